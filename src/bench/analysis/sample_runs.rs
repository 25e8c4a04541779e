//! Runs for tests.

use crate::bench::types::{Arm, ArmKind, Cell, Run, SCHEMA, Sample};

/// The arms of these runs.
pub const ARMS: [&str; 4] = ["reactor", "reactor'", "thread", "process"];

/// A run with these cells (name, primary metric), without samples.
pub fn run(cells: &[(&str, &str)]) -> Run {
    let kinds = [
        ArmKind::Model,
        ArmKind::Control,
        ArmKind::Model,
        ArmKind::Model,
    ];
    let arm = |(name, kind): (&str, ArmKind)| Arm {
        name: name.to_owned(),
        kind,
        command: vec!["oneloop".to_owned()],
    };
    let cell = |(name, primary_metric): &(&str, &str)| {
        let workload = name.split(' ').next().unwrap_or_default();
        Cell {
            name: (*name).to_owned(),
            workload: workload.to_owned(),
            description: "closed loop, 64 connections, 1 KiB".to_owned(),
            pinned: true,
            primary_metric: (*primary_metric).to_owned(),
        }
    };
    Run {
        schema: SCHEMA,
        program: "oneloop 0.1.0".to_owned(),
        command: vec!["oneloop".to_owned(), "bench".to_owned()],
        arms: ARMS.into_iter().zip(kinds).map(arm).collect(),
        cells: cells.iter().map(cell).collect(),
        seed: 7,
        seconds: 480.0,
        ..Run::default()
    }
}

/// Adds a sample with these metrics.
pub fn add(run: &mut Run, place: (usize, usize, u32), metrics: &[(&str, f64)]) {
    let (cell, arm, round) = place;
    run.samples.push(Sample {
        arm,
        cell,
        round,
        metrics: metrics
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect(),
        limiter: "server processor 100 %".to_owned(),
        ..Sample::default()
    });
}

/// A fixed factor of about 1 ± 1 % for each round and `salt`.
pub fn noise(round: u32, salt: u32) -> f64 {
    let step = (round * 7 + salt * 13) % 11;
    1.0 + (f64::from(step) - 5.0) / 400.0
}

/// A run of one cell in which each arm has the throughput of the reference times a factor, on a
/// machine that becomes slower with each round.
pub fn plain(factors: [f64; 4], rounds: u32) -> Run {
    let mut run = run(&[("keepalive c=64", "throughput")]);
    for round in 0..rounds {
        for (arm, factor) in (0_u32..).zip(factors) {
            let machine = 84_000.0 - 2000.0 * f64::from(round);
            let value = machine * factor * noise(round, arm);
            let (cpu, switches) = (1e6 / value, if arm < 2 { 0.11 } else { 0.98 });
            let times = [("cpu", cpu), ("switches", switches), ("p99", cpu * 150.0)];
            let metrics = [&[("throughput", value)], &times[..]].concat();
            add(&mut run, (0, arm as usize, round), &metrics);
        }
    }
    run
}
