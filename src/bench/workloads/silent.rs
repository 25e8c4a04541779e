//! Room `bench`: what do those cost who say little, and stay? Beside them somebody wants a page now
//! and then, and that is who is timed.

use super::{CellSpec, Eligible, Selection, Workload, WorkloadTraits, pages};
use crate::bench::load::{Arrivals, Behavior, Group};

/// The workloads of this file.
pub const TABLE: &[Workload] = &[
    Workload {
        name: "idle",
        purpose: "what memory a connection takes that is open and silent: a table entry, a \
                    stack, or a process; and whether it keeps others out",
        // The kernel would keep a silent connection for itself for a second.
        options: &["--no-defer-accept"],
        eligible: Eligible::Launched,
        traits: WorkloadTraits {
            may_starve: true,
            ..WorkloadTraits::NONE
        },
        duration_factor: 0.5,
        extra_warm_up: 0.25,
        cell_specs: idle,
    },
    Workload {
        name: "slowloris",
        purpose: "who is held by clients that send a byte a second: where each holds a unit, \
                    and units are few, nobody else is served",
        options: &["--no-defer-accept"],
        eligible: Eligible::Launched,
        traits: WorkloadTraits {
            may_starve: true,
            client_aborts: true,
            ..WorkloadTraits::NONE
        },
        duration_factor: 2.0,
        extra_warm_up: 0.5,
        cell_specs: slowloris,
    },
    Workload {
        name: "slowread",
        purpose: "who is held by clients that hardly read what they have asked for",
        options: &[],
        eligible: Eligible::Launched,
        traits: WorkloadTraits {
            may_starve: true,
            client_aborts: true,
            ..WorkloadTraits::NONE
        },
        duration_factor: 2.0,
        extra_warm_up: 0.5,
        cell_specs: slowread,
    },
];

/// Somebody who wants a page now and then.
fn canary(name: &str, connections: u32, rate: f64) -> Group {
    Group {
        name: name.to_owned(),
        connections,
        behavior: Behavior::Open {
            rate,
            arrivals: Arrivals::Constant,
            max_waiting: 10_000,
        },
        pages: vec![pages::small()],
    }
}

fn idle(selection: &Selection) -> Vec<CellSpec> {
    let cell_spec = |connections: u32| {
        let words = format!(
            "{connections} silent connections, after none and half of them, and 50 small requests \
             a second; what the kernel takes is that of both ends"
        );
        let group = Group {
            name: "silent".to_owned(),
            connections,
            behavior: Behavior::Silent,
            pages: Vec::new(),
        };
        let cell_spec = CellSpec::new(format!("idle c={connections}"), "memory_slope", words)
            .with("c", f64::from(connections))
            .group(group)
            .group(canary("canary", 2, 50.0));
        CellSpec {
            memory_steps: vec![0, connections / 2],
            ..cell_spec
        }
    };
    let numbers = selection.numbers(&[500], &[1000], &[1000, 2000, 5000, 10_000]);
    numbers.into_iter().map(cell_spec).collect()
}

fn slowloris(selection: &Selection) -> Vec<CellSpec> {
    let cell_spec = |connections: u32| {
        let words = format!(
            "{connections} clients that send a head at a byte a second, and 200 small requests a \
             second over 50 connections"
        );
        let group = Group {
            name: "drip".to_owned(),
            connections,
            behavior: Behavior::Drip { rate: 1.0 },
            pages: Vec::new(),
        };
        CellSpec::new(format!("slowloris c={connections}"), "normal.p99", words)
            .with("c", f64::from(connections))
            .group(group)
            .group(canary("normal", 50, 200.0))
    };
    let numbers = selection.numbers(&[500], &[500], &[500]);
    numbers.into_iter().map(cell_spec).collect()
}

fn slowread(selection: &Selection) -> Vec<CellSpec> {
    let cell_spec = |connections: u32| {
        let words = format!(
            "{connections} clients that read 4 MiB at 20 kB/s, and 200 small requests a second"
        );
        let group = Group {
            name: "readers".to_owned(),
            connections,
            behavior: Behavior::SlowRead {
                rate: 20_000.0,
                buffer: 4096,
            },
            pages: vec![pages::middle()],
        };
        CellSpec::new(format!("slowread c={connections}"), "canary.p99", words)
            .with("c", f64::from(connections))
            .group(group)
            .group(canary("canary", 50, 200.0))
    };
    let numbers = selection.numbers(&[200], &[200], &[200]);
    numbers.into_iter().map(cell_spec).collect()
}
