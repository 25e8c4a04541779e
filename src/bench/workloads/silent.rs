//! Room `bench`: what do those cost who say little, and stay? Beside them somebody wants a page now
//! and then, and that is who is timed.

use super::{Audience, Choice, Shape, Traits, Workload, pages};
use crate::bench::load::{Arrivals, Behavior, Group};

/// The workloads of this file.
pub const TABLE: &[Workload] = &[
    Workload {
        name: "idle",
        separates: "what memory a connection takes that is open and silent: a table entry, a \
                    stack, or a process; and whether it keeps others out",
        // The kernel would keep a silent connection for itself for a second.
        options: &["--no-defer-accept"],
        audience: Audience::Started,
        traits: Traits {
            captures: true,
            ..Traits::NONE
        },
        span: 0.5,
        settle: 0.25,
        shapes: idle,
    },
    Workload {
        name: "slowloris",
        separates: "who is held by clients that send a byte a second: where each holds a unit, \
                    and units are few, nobody else is served",
        options: &["--no-defer-accept"],
        audience: Audience::Started,
        traits: Traits {
            captures: true,
            cuts: true,
            ..Traits::NONE
        },
        span: 2.0,
        settle: 0.5,
        shapes: slowloris,
    },
    Workload {
        name: "slowread",
        separates: "who is held by clients that hardly read what they have asked for",
        options: &[],
        audience: Audience::Started,
        traits: Traits {
            captures: true,
            cuts: true,
            ..Traits::NONE
        },
        span: 2.0,
        settle: 0.5,
        shapes: slowread,
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

fn idle(choice: &Choice) -> Vec<Shape> {
    let shape = |connections: u32| {
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
        let shape = Shape::new(format!("idle c={connections}"), "memory_slope", words)
            .with("c", f64::from(connections))
            .group(group)
            .group(canary("canary", 2, 50.0));
        Shape {
            levels: vec![0, connections / 2],
            ..shape
        }
    };
    let numbers = choice.numbers(&[500], &[1000], &[1000, 2000, 5000, 10_000]);
    numbers.into_iter().map(shape).collect()
}

fn slowloris(choice: &Choice) -> Vec<Shape> {
    let shape = |connections: u32| {
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
        Shape::new(format!("slowloris c={connections}"), "normal.p99", words)
            .with("c", f64::from(connections))
            .group(group)
            .group(canary("normal", 50, 200.0))
    };
    let numbers = choice.numbers(&[500], &[500], &[500]);
    numbers.into_iter().map(shape).collect()
}

fn slowread(choice: &Choice) -> Vec<Shape> {
    let shape = |connections: u32| {
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
        Shape::new(format!("slowread c={connections}"), "canary.p99", words)
            .with("c", f64::from(connections))
            .group(group)
            .group(canary("canary", 50, 200.0))
    };
    let numbers = choice.numbers(&[200], &[200], &[200]);
    numbers.into_iter().map(shape).collect()
}
