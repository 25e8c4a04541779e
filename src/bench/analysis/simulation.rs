//! Runs for tests, and a simulation of the verdicts: runs with a known truth are drawn, and the
//! intervals that contain it, false verdicts and found slowdowns are counted.
//!
//! `cargo test --lib simulation -- --ignored --nocapture` prints the tables of
//! docs/bench/statistics.md.

use super::{CellAnalysis, Verdict, analyse};
use crate::bench::stats::variance;
use crate::bench::types::{self, Arm, ArmKind, Cell, Run, SCHEMA, Sample};
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

/// Rounds, noise, and standard deviations of a sample in percent.
const CASES: [(u32, Noise, &[u32]); 9] = [
    (6, Noise::Normal, &[2, 3]),
    (8, Noise::Normal, &[2, 3, 4]),
    (8, Noise::Tails, &[2, 3]),
    (8, Noise::Skew, &[2, 3]),
    (8, Noise::Spikes, &[2, 3]),
    (16, Noise::Normal, &[4]),
    (16, Noise::Spikes, &[3]),
    (24, Noise::Normal, &[4, 6]),
    (24, Noise::Spikes, &[3]),
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

/// In percent: true values in the interval, false verdicts on the equal arm, 5 % and 2 % found,
/// unproven cells and runs, and slower arms that are called faster.
type Rates = [f64; 7];

/// Those of each cell.
fn rates(rounds: u32, cells: &[(Noise, f64)], runs: u32) -> Vec<Rates> {
    let mut random = Rng::with_seed(42);
    let mut all = vec![Rates::default(); cells.len()];
    for _ in 0..runs {
        let run = draw(rounds, cells, &mut random);
        let analysis = analyse(&run);
        for (rates, cell) in all.iter_mut().zip(&analysis.cells) {
            let (mut covered, mut wrong) = (0.0, 0.0);
            for row in &cell.rows[2..] {
                let (ratio, truth) = (row.ratio.unwrap(), TRUTH[row.arm]);
                covered += f64::from(ratio.low <= truth && truth <= ratio.high) / 3.0;
                wrong += f64::from(row.verdict == Verdict::Better && truth < 1.0);
            }
            let [equal, five, two] = [2, 3, 4].map(|arm| cell.rows[arm].verdict);
            let is_false = matches!(equal, Verdict::Better | Verdict::Worse);
            let [five, two] = [five, two].map(|verdict| verdict == Verdict::Worse);
            let others = [is_false, five, two, !cell.proven, analysis.unproven];
            let [is_false, five, two, cell, run] = others.map(f64::from);
            let counts = [covered, is_false, five, two, cell, run, wrong];
            for (rate, count) in rates.iter_mut().zip(counts) {
                *rate += 100.0 * count / f64::from(runs);
            }
        }
    }
    all
}

/// The means of six cells with the same standard deviation.
fn mean_rates(rounds: u32, noise: &Noise, sigma: u32, runs: u32) -> Rates {
    let cells = vec![(noise.clone(), f64::from(sigma) / 100.0); 6];
    let all = rates(rounds, &cells, runs);
    std::array::from_fn(|rate| all.iter().map(|of_cell| of_cell[rate]).sum::<f64>() / 6.0)
}

/// The noise of a cell of a run, and its standard deviation. In a round the logarithms of the two
/// samples of the reference differ by d, so the noise of one is d or -d, divided by the root of 2.
/// What changes both samples of a round is not in it.
fn noise(of: &CellAnalysis) -> (Noise, f64) {
    let control = of.rows[1].ratios.iter();
    let distances = control.map(|ratio| ratio.ln() / 2_f64.sqrt());
    let both: Vec<f64> = distances.flat_map(|one| [one, -one]).collect();
    let sigma = variance(&both).unwrap().sqrt();
    (Noise::Seen(both), sigma)
}

#[test]
fn intervals_and_verdicts_have_the_documented_error_rates() {
    for noise in [Noise::Normal, Noise::Tails, Noise::Skew, Noise::Spikes] {
        let found = mean_rates(8, &noise, 2, 40);
        let [covered, false_verdicts, five, _, cells, runs, wrong] = found;
        let text = format!("{noise:?}: {found:?}");
        assert!(covered >= 93.0 && false_verdicts <= 3.0, "{text}");
        assert!(wrong <= 0.5 && runs <= 10.0 && cells <= 2.0, "{text}");
        assert!(five >= 90.0 || matches!(noise, Noise::Spikes), "{text}");
    }
}

/// The second table is of runs whose cells have the noise that they had in the published run, and
/// as many rounds, fewer or more.
#[test]
#[ignore = "takes minutes, and prints the tables for the document"]
#[expect(clippy::print_stdout, reason = "the test prints tables")]
fn print_the_tables() {
    for (rounds, noise, sigmas) in CASES {
        for sigma in sigmas {
            let rates = mean_rates(rounds, &noise, *sigma, 500);
            let rates = rates.map(|rate| format!("{rate:.1} | "));
            let rates = rates[..6].concat();
            println!("| {rounds} | {noise:?} | {sigma} % | {rates}");
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bench/run.json");
    let run = types::read(path.as_ref()).unwrap();
    let cells: Vec<(Noise, f64)> = analyse(&run).cells.iter().map(noise).collect();
    let found = [8, 16, 24, 32].map(|rounds| rates(rounds, &cells, 500));
    for (cell, of) in run.cells.iter().enumerate() {
        let (name, sigma, false_verdicts) = (&of.name, 100.0 * cells[cell].1, found[2][cell][1]);
        let five = [0, 1, 2, 3].map(|rounds| format!(" {:.1} |", found[rounds][cell][2]));
        let five = five.concat();
        println!("| {name} | {sigma:.1} % | {false_verdicts:.1} |{five}");
    }
}
