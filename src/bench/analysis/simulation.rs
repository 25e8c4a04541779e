//! Runs for tests, and a simulation of the verdicts: runs with a known truth are drawn, and the
//! intervals that contain it, false verdicts and found slowdowns are counted.
//!
//! `cargo test --lib simulation -- --ignored --nocapture` prints the table of
//! docs/bench/statistics.md.

use super::{CellAnalysis, Verdict, analyse};
use crate::bench::stats;
use crate::bench::types::{Arm, ArmKind, Cell, Run, SCHEMA, Sample};
use fastrand::Rng;
use std::f64::consts::TAU;

fn arm(name: &str, kind: ArmKind) -> Arm {
    Arm {
        name: name.to_owned(),
        kind,
        command: vec!["oneloop".to_owned()],
    }
}

/// A run with these cells (name, primary metric), without samples.
pub fn run(cells: &[(&str, &str)]) -> Run {
    let arms = [
        arm("reactor", ArmKind::Model),
        arm("reactor'", ArmKind::Control),
        arm("thread", ArmKind::Model),
        arm("process", ArmKind::Model),
    ];
    let cell = |(name, primary_metric): &(&str, &str)| Cell {
        name: (*name).to_owned(),
        workload: name.split(' ').next().unwrap().to_owned(),
        description: "closed loop, 64 connections, 1 KiB".to_owned(),
        pinned: true,
        primary_metric: (*primary_metric).to_owned(),
    };
    Run {
        schema: SCHEMA,
        arms: arms.to_vec(),
        cells: cells.iter().map(cell).collect(),
        seed: 7,
        ..Run::default()
    }
}

/// Adds a sample of a cell, an arm and a round with these metrics.
pub fn add(run: &mut Run, (cell, arm, round): (usize, usize, u32), metrics: &[(&str, f64)]) {
    let named = |(name, value): &(&str, f64)| ((*name).to_owned(), *value);
    run.samples.push(Sample {
        arm,
        cell,
        round,
        metrics: metrics.iter().map(named).collect(),
        limiter: "server processor (100 %)".to_owned(),
        ..Sample::default()
    });
}

/// A run of one cell in which each arm has the throughput of the reference times a factor, with a
/// fixed noise of about 1 %, on a machine that becomes slower with each round.
pub fn plain(factors: [f64; 4], rounds: u32) -> Run {
    let mut run = run(&[("keepalive c=64", "throughput")]);
    for round in 0..rounds {
        for (arm, factor) in (0_u32..).zip(factors) {
            let step = (round * 7 + arm * 13) % 11;
            let noise = 1.0 + (f64::from(step) - 5.0) / 400.0;
            let value = (84_000.0 - 2000.0 * f64::from(round)) * factor * noise;
            let (cpu, switches) = (1e6 / value, if arm < 2 { 0.11 } else { 0.98 });
            let times = [("cpu", cpu), ("switches", switches), ("p99", cpu * 150.0)];
            let metrics = [&[("throughput", value)], &times[..]].concat();
            add(&mut run, (0, arm as usize, round), &metrics);
        }
    }
    run
}

/// The distribution of the samples of an arm.
#[derive(Clone, Debug)]
enum Noise {
    Normal,
    /// Student's t with three degrees of freedom.
    Tails,
    /// Exponential, to the slow side.
    Skew,
    /// Normal, with one sample in twenty 5 to 20 % slow.
    Spikes,
    /// One of these logarithms, whatever the standard deviation.
    Seen(Vec<f64>),
}

/// Rounds, noise, and standard deviation of a sample in percent.
const CASES: [(u32, Noise, u32); 16] = [
    (6, Noise::Normal, 2),
    (6, Noise::Normal, 3),
    (8, Noise::Normal, 2),
    (8, Noise::Normal, 3),
    (8, Noise::Normal, 4),
    (8, Noise::Tails, 2),
    (8, Noise::Tails, 3),
    (8, Noise::Skew, 2),
    (8, Noise::Skew, 3),
    (8, Noise::Spikes, 2),
    (8, Noise::Spikes, 3),
    (12, Noise::Normal, 3),
    (12, Noise::Normal, 4),
    (12, Noise::Spikes, 3),
    (16, Noise::Normal, 4),
    (16, Noise::Spikes, 3),
];
/// The true ratio of each arm: reference, control, an equal one, and two slower ones.
const TRUTH: [f64; 5] = [1.0, 1.0, 1.0, 0.95, 0.98];

fn normal(random: &mut Rng) -> f64 {
    let distance = (-2.0 * random.f64().max(f64::MIN_POSITIVE).ln()).sqrt();
    distance * (TAU * random.f64()).cos()
}

/// The logarithm of the noise of a sample.
fn deviation(noise: &Noise, sigma: f64, random: &mut Rng) -> f64 {
    match noise {
        Noise::Normal => sigma * normal(random),
        Noise::Tails => {
            let square: f64 = (0..3).map(|_| normal(random).powi(2)).sum();
            sigma * normal(random) / square.sqrt()
        }
        Noise::Skew => sigma * (1.0 + random.f64().max(f64::MIN_POSITIVE).ln()),
        Noise::Spikes if random.f64() < 0.05 => sigma * normal(random) - 0.05 - 0.15 * random.f64(),
        Noise::Spikes => sigma * normal(random),
        Noise::Seen(all) => random.choice(all).copied().unwrap_or(0.0),
    }
}

/// A run on a machine that drifts by 10 %, whose cells have this noise and standard deviation.
fn draw(rounds: u32, cells: &[(Noise, f64)], random: &mut Rng) -> Run {
    let mut run = run(&vec![("keepalive c=64", "throughput"); cells.len()]);
    run.arms.push(arm("fifth", ArmKind::Model));
    for round in 0..rounds {
        for (cell, (noise, sigma)) in cells.iter().enumerate() {
            let mut order: Vec<usize> = (0..TRUTH.len()).collect();
            random.shuffle(&mut order);
            for (turn, arm) in (0_u32..).zip(order) {
                let time = f64::from(round * 5 + turn) / f64::from(rounds * 5);
                let off = deviation(noise, *sigma, random) - 0.1 * time;
                let value = 80_000.0 * TRUTH[arm] * off.exp();
                add(&mut run, (cell, arm, round), &[("throughput", value)]);
            }
        }
    }
    run
}

/// Shares in percent of the runs.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    covered: f64,
    false_verdicts: f64,
    five_found: f64,
    two_found: f64,
    wrong_side: f64,
    unproven_cells: f64,
    unproven_runs: f64,
}

/// Those of each cell.
fn rates(rounds: u32, cells: &[(Noise, f64)], runs: u32) -> Vec<Rates> {
    let mut random = Rng::with_seed(42);
    let mut all = vec![Rates::default(); cells.len()];
    let share = 100.0 / f64::from(runs);
    for _ in 0..runs {
        let run = draw(rounds, cells, &mut random);
        let analysis = analyse(&run);
        let add = |rate: &mut f64, is_so: bool| *rate += share * f64::from(is_so);
        for (rates, cell) in all.iter_mut().zip(&analysis.cells) {
            add(&mut rates.unproven_runs, analysis.unproven);
            add(&mut rates.unproven_cells, !cell.proven);
            for row in &cell.rows[2..] {
                let (ratio, truth) = (row.ratio.unwrap(), TRUTH[row.arm]);
                let is_covered = ratio.low <= truth && truth <= ratio.high;
                rates.covered += share / 3.0 * f64::from(is_covered);
                let is_wrong = row.verdict == Verdict::Better && truth < 1.0;
                add(&mut rates.wrong_side, is_wrong);
            }
            let [equal, five, two] = [2, 3, 4].map(|arm| cell.rows[arm].verdict);
            let is_false = matches!(equal, Verdict::Better | Verdict::Worse);
            add(&mut rates.false_verdicts, is_false);
            add(&mut rates.five_found, five == Verdict::Worse);
            add(&mut rates.two_found, two == Verdict::Worse);
        }
    }
    all
}

/// The means of six cells with the same standard deviation.
fn mean_rates((rounds, noise, sigma): &(u32, Noise, u32), runs: u32) -> Rates {
    let cells = vec![(noise.clone(), f64::from(*sigma) / 100.0); 6];
    let all = rates(*rounds, &cells, runs);
    let mean = |of: fn(&Rates) -> f64| all.iter().map(of).sum::<f64>() / 6.0;
    Rates {
        covered: mean(|one| one.covered),
        false_verdicts: mean(|one| one.false_verdicts),
        five_found: mean(|one| one.five_found),
        two_found: mean(|one| one.two_found),
        wrong_side: mean(|one| one.wrong_side),
        unproven_cells: mean(|one| one.unproven_cells),
        unproven_runs: mean(|one| one.unproven_runs),
    }
}

/// The noise of each cell of the published run, and its standard deviation. In a round the
/// logarithms of the two samples of the reference differ by d, so the noise of one is d or -d,
/// divided by the root of 2. What changes both samples of a round is not in it.
fn published_noise() -> Vec<(String, (Noise, f64))> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bench/run.json");
    let run: Run = serde_json::from_reader(std::fs::File::open(path).unwrap()).unwrap();
    let noise = |(cell, of): (&Cell, &CellAnalysis)| {
        let control = of.rows.iter().find(|row| Some(row.arm) == run.control())?;
        let distances = control.ratios.iter().map(|ratio| ratio.ln() / 2_f64.sqrt());
        let both: Vec<f64> = distances.flat_map(|one| [one, -one]).collect();
        let sigma = stats::variance(&both)?.sqrt();
        Some((cell.name.clone(), (Noise::Seen(both), sigma)))
    };
    let analysis = analyse(&run);
    run.cells
        .iter()
        .zip(&analysis.cells)
        .filter_map(noise)
        .collect()
}

#[test]
fn intervals_and_verdicts_have_the_documented_error_rates() {
    let is_short = |case: &(u32, Noise, u32)| (case.0, case.2) == (8, 2);
    for case in CASES.into_iter().filter(is_short) {
        let found = mean_rates(&case, 40);
        let text = format!("{case:?}: {found:?}");
        assert!(
            found.covered >= 93.0 && found.false_verdicts <= 3.0,
            "{text}"
        );
        assert!(found.wrong_side <= 0.5, "{text}");
        assert!(
            found.unproven_runs <= 10.0 && found.unproven_cells <= 2.0,
            "{text}"
        );
        let is_found = found.five_found >= 90.0;
        assert!(is_found || matches!(case.1, Noise::Spikes), "{text}");
    }
}

#[test]
#[ignore = "takes a minute, and prints the table for the document"]
#[expect(clippy::print_stdout, reason = "the test prints a table")]
fn print_the_table() {
    for case in CASES {
        let found = mean_rates(&case, 500);
        let (rounds, noise, sigma) = case;
        println!(
            "| {rounds} | {noise:?} | {sigma} % | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            found.covered,
            found.false_verdicts,
            found.five_found,
            found.two_found,
            found.unproven_cells,
            found.unproven_runs,
        );
    }
}

/// Runs whose cells have the noise that they had in the published run, and as many rounds, fewer or
/// more.
#[test]
#[ignore = "takes a minute, and prints the table for the document"]
#[expect(clippy::print_stdout, reason = "the test prints a table")]
fn print_the_table_of_the_published_run() {
    let (names, noise): (Vec<_>, Vec<_>) = published_noise().into_iter().unzip();
    let found = [8, 16, 24, 32].map(|rounds| rates(rounds, &noise, 500));
    for (cell, name) in names.iter().enumerate() {
        let sigma = 100.0 * noise[cell].1;
        let false_verdicts = found[2][cell].false_verdicts;
        let [a, b, c, d] = [0, 1, 2, 3].map(|rounds| found[rounds][cell].five_found);
        println!(
            "| {name} | {sigma:.1} % | {false_verdicts:.1} | {a:.1} | {b:.1} | {c:.1} | {d:.1} |"
        );
    }
}
