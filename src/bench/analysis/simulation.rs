//! A simulation of the verdicts: runs with a known truth are drawn, and the interval, false
//! verdicts and found slowdowns are counted. The seed is fixed.
//!
//! `cargo test --lib simulation -- --ignored --nocapture` prints the table of
//! docs/bench/statistics.md.

use super::sample_runs::{add, run};
use super::{Analysis, Verdict, analyse};
use crate::bench::types::{Arm, ArmKind, Run};
use fastrand::Rng;
use std::f64::consts::TAU;

/// The distribution of the samples of an arm.
#[derive(Clone, Copy, Debug)]
enum Noise {
    Normal,
    /// Student's t with three degrees of freedom.
    Tails,
    /// Exponential, to the slow side.
    Skew,
    /// Normal, with one sample in twenty 5 to 20 % slow.
    Spikes,
}

const NOISES: [Noise; 4] = [Noise::Normal, Noise::Tails, Noise::Skew, Noise::Spikes];
/// The true ratio of each arm: an equal one, and two slower ones.
const TRUTH: [f64; 5] = [1.0, 1.0, 1.0, 0.95, 0.98];

fn normal(random: &mut Rng) -> f64 {
    let distance = (-2.0 * random.f64().max(f64::MIN_POSITIVE).ln()).sqrt();
    distance * (TAU * random.f64()).cos()
}

/// A deviation with a standard deviation of about 1.
fn deviation(noise: Noise, random: &mut Rng) -> f64 {
    match noise {
        Noise::Normal | Noise::Spikes => normal(random),
        Noise::Tails => {
            let square: f64 = (0..3).map(|_| normal(random).powi(2)).sum();
            normal(random) / square.sqrt()
        }
        Noise::Skew => 1.0 + random.f64().max(f64::MIN_POSITIVE).ln(),
    }
}

/// A run with the standard deviation `sigma`, on a machine that drifts by 10 %.
fn draw(noise: Noise, sigma: f64, (rounds, cells): (u32, usize), random: &mut Rng) -> Run {
    let named: Vec<_> = (0..cells)
        .map(|_| ("keepalive c=64", "throughput"))
        .collect();
    let mut run = run(&named);
    run.arms = (0..TRUTH.len())
        .map(|index| Arm {
            name: format!("arm {index}"),
            kind: if index == 1 {
                ArmKind::Control
            } else {
                ArmKind::Model
            },
            command: Vec::new(),
        })
        .collect();
    for round in 0..rounds {
        for cell in 0..cells {
            let mut order: Vec<usize> = (0..TRUTH.len()).collect();
            random.shuffle(&mut order);
            for (turn, arm) in (0_u32..).zip(order) {
                let time = f64::from(round * 5 + turn) / f64::from(rounds * 5);
                let spike = matches!(noise, Noise::Spikes) && random.f64() < 0.05;
                let slow = if spike {
                    0.05 + 0.15 * random.f64()
                } else {
                    0.0
                };
                let off = sigma * deviation(noise, random) - slow - 0.1 * time;
                let value = 80_000.0 * TRUTH[arm] * off.exp();
                add(&mut run, (cell, arm, round), &[("throughput", value)]);
            }
        }
    }
    run
}

/// Shares of all cells.
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

fn rates(noise: Noise, sigma: f64, size: (u32, usize), runs: u32) -> Rates {
    let mut random = Rng::with_seed(42);
    let mut rates = Rates::default();
    let mut cells = 0.0;
    for _ in 0..runs {
        let analysis = analyse(&draw(noise, sigma, size, &mut random));
        rates.unproven_runs += f64::from(analysis.unproven) / f64::from(runs);
        cells += count(&analysis, &mut rates);
    }
    for rate in [
        &mut rates.false_verdicts,
        &mut rates.five_found,
        &mut rates.two_found,
        &mut rates.wrong_side,
        &mut rates.unproven_cells,
    ] {
        *rate /= cells;
    }
    rates.covered /= cells * 3.0;
    rates
}

fn count(analysis: &Analysis, rates: &mut Rates) -> f64 {
    let mut cells = 0.0;
    for cell in &analysis.cells {
        cells += 1.0;
        rates.unproven_cells += f64::from(!cell.proven);
        for row in &cell.rows[2..] {
            let (ratio, truth) = (row.ratio.unwrap(), TRUTH[row.arm]);
            rates.covered += f64::from(ratio.low <= truth && truth <= ratio.high);
            rates.wrong_side += f64::from(row.verdict == Verdict::Better && truth < 1.0);
        }
        rates.false_verdicts += f64::from(cell.rows[2].verdict.is_difference());
        rates.five_found += f64::from(cell.rows[3].verdict == Verdict::Worse);
        rates.two_found += f64::from(cell.rows[4].verdict == Verdict::Worse);
    }
    cells
}

#[test]
fn intervals_and_verdicts_have_the_documented_error_rates() {
    for noise in NOISES {
        let found = rates(noise, 0.02, (8, 6), 40);
        let text = format!("{noise:?}: {found:?}");
        assert!(found.covered >= 0.93, "{text}");
        assert!(found.false_verdicts <= 0.03, "{text}");
        assert!(found.wrong_side <= 0.005, "{text}");
        assert!(
            found.unproven_runs <= 0.1 && found.unproven_cells <= 0.02,
            "{text}"
        );
        if !matches!(noise, Noise::Spikes) {
            assert!(found.five_found >= 0.9, "{text}");
        }
    }
}

#[test]
#[ignore = "takes a minute, and prints the table for the document"]
#[expect(clippy::print_stdout, reason = "the test prints a table")]
fn print_the_table() {
    use Noise::{Normal, Skew, Spikes, Tails};
    let few = [
        (6, Normal, 2),
        (6, Normal, 3),
        (8, Normal, 2),
        (8, Normal, 3),
        (8, Normal, 4),
    ];
    let other = [(8, Tails, 3), (8, Skew, 3), (8, Spikes, 2), (8, Spikes, 3)];
    let many = [
        (12, Normal, 3),
        (12, Normal, 4),
        (12, Spikes, 3),
        (16, Normal, 4),
        (16, Spikes, 3),
    ];
    for (rounds, noise, sigma) in [&few[..], &other, &many].concat() {
        let found = rates(noise, f64::from(sigma) / 100.0, (rounds, 6), 500);
        let shares = [
            found.covered,
            found.false_verdicts,
            found.five_found,
            found.two_found,
            found.unproven_cells,
            found.unproven_runs,
        ];
        let percent = shares
            .map(|rate| format!("{:.1}", rate * 100.0))
            .join(" | ");
        println!("| {rounds} | {noise:?} | {sigma} % | {percent} |");
    }
}
