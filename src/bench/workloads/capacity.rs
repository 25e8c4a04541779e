//! Room `bench`: how much can a server do? Closed loops: who has an answer asks again at once.

use super::{CellSpec, Eligible, Selection, Workload, WorkloadTraits, pages};
use crate::bench::load::{Behavior, Closer, Group};

/// The workloads of this file.
pub const TABLE: &[Workload] = &[
    Workload {
        name: "keepalive",
        purpose: "what a request costs on an open connection: a model that waits for many at \
                    once wakes up once for several requests, one that sleeps in each read wakes up \
                    for every one",
        options: &[],
        eligible: Eligible::All,
        traits: WorkloadTraits::NONE,
        duration_factor: 1.0,
        extra_warm_up: 0.0,
        cell_specs: keepalive,
    },
    Workload {
        name: "short",
        purpose: "what a connection costs: a table entry, a thread, or a process that is made \
                    for it and ends with it",
        options: &[],
        eligible: Eligible::All,
        traits: WorkloadTraits::NONE,
        duration_factor: 1.0,
        extra_warm_up: 0.0,
        cell_specs: short,
    },
    Workload {
        name: "pipeline",
        purpose: "how many system calls are saved when requests lie there together; all models \
                    share the code that saves them, so they should differ little",
        options: &[],
        eligible: Eligible::All,
        traits: WorkloadTraits::NONE,
        duration_factor: 1.0,
        extra_warm_up: 0.0,
        cell_specs: pipeline,
    },
    Workload {
        name: "large",
        purpose: "what bytes cost: that is the kernel's work and the same for all models, so a \
                    model that stands out has a fault of its own",
        options: &[],
        eligible: Eligible::Launched,
        traits: WorkloadTraits::NONE,
        duration_factor: 1.0,
        extra_warm_up: 0.0,
        cell_specs: large,
    },
    Workload {
        name: "churn",
        purpose: "who survives clients that vanish: three in ten reset their connection, and \
                    afterwards every descriptor must be back",
        options: &[],
        eligible: Eligible::Launched,
        traits: WorkloadTraits {
            client_aborts: true,
            counts_descriptors: true,
            ..WorkloadTraits::NONE
        },
        duration_factor: 1.0,
        extra_warm_up: 0.0,
        cell_specs: churn,
    },
];

/// Connections of a storm of short ones: as many as keep a server busy, and few enough to be
/// accepted at once.
const STORM: u32 = 16;

fn closed(connections: u32, depth: u32) -> Group {
    Group {
        name: "main".to_owned(),
        connections,
        behavior: Behavior::Closed { depth },
        pages: vec![pages::small()],
    }
}

/// The load by which it is found out what a server can do, before any rate is set.
pub fn probe() -> Group {
    closed(64, 1)
}

/// With one connection server and generator take turns, and how fast they are together is the
/// question. With many the server is always busy; but so is the generator, which takes about as
/// long for a request as the fastest of them. What a server does with a second of its own processor
/// is the same number where the server is the limit, and does not become the generator's where that
/// is.
fn primary_metric(connections: u32) -> &'static str {
    if connections == 1 {
        "throughput"
    } else {
        "per_core"
    }
}

fn keepalive(selection: &Selection) -> Vec<CellSpec> {
    let numbers = selection.numbers(&[64], &[1, 64], &[1, 8, 64, 512]);
    let cell_spec = |connections: u32| {
        let words = format!(
            "closed loop, {connections} connection{}, 1 KiB",
            if connections == 1 { "" } else { "s" }
        );
        CellSpec::new(
            format!("keepalive c={connections}"),
            primary_metric(connections),
            words,
        )
        .with("c", f64::from(connections))
        .group(closed(connections, 1))
        .reproduced_by(format!("wrk -t1 -c{connections} -d5s --latency"))
        .alone(connections == 1)
    };
    numbers.into_iter().map(cell_spec).collect()
}

fn short(selection: &Selection) -> Vec<CellSpec> {
    let numbers = selection.numbers(&[STORM], &[STORM], &[STORM]);
    let closers = match selection.preset {
        super::Preset::Full => &[(Closer::Client, "client"), (Closer::Server, "server")][..],
        _ => &[(Closer::Client, "client")],
    };
    let cell_spec = |connections: u32, closer: Closer, word: &str| {
        let words = format!(
            "closed loop, {connections} at once, a new connection for each request, the {word} \
             closes"
        );
        let cell_spec = CellSpec::new(
            format!("short {word} c={connections}"),
            "cpu_connection",
            words,
        )
        .with("c", f64::from(connections))
        .group(Group {
            behavior: Behavior::Short { closer, resets: 0 },
            ..closed(connections, 1)
        })
        .alone(true);
        match closer {
            Closer::Client => cell_spec,
            Closer::Server => cell_spec.reproduced_by(format!(
                "wrk -t1 -c{connections} -d5s -H 'Connection: close'"
            )),
        }
    };
    let of = |connections: u32| closers.iter().map(move |one| (connections, *one));
    numbers
        .into_iter()
        .flat_map(of)
        .map(|(connections, (closer, word))| cell_spec(connections, closer, word))
        .collect()
}

fn pipeline(selection: &Selection) -> Vec<CellSpec> {
    let connections = selection.connections.first().copied().unwrap_or(16);
    let cell_spec = |depth: u32| {
        let words = format!("closed loop, {connections} connections, {depth} requests at a time");
        CellSpec::new(format!("pipeline depth={depth}"), "per_core", words)
            .with("depth", f64::from(depth))
            .with("c", f64::from(connections))
            .group(closed(connections, depth))
    };
    [1, 4, 16].into_iter().map(cell_spec).collect()
}

fn large(selection: &Selection) -> Vec<CellSpec> {
    let cell_spec = |connections: u32| {
        let words = format!("closed loop, {connections} connections, 16 MiB");
        CellSpec::new(format!("large c={connections}"), "cpu_gigabyte", words)
            .with("c", f64::from(connections))
            .group(Group {
                pages: vec![pages::large()],
                ..closed(connections, 1)
            })
    };
    let numbers = selection.numbers(&[4], &[4], &[4]);
    numbers.into_iter().map(cell_spec).collect()
}

fn churn(selection: &Selection) -> Vec<CellSpec> {
    let cell_spec = |connections: u32| {
        let words = format!(
            "{connections} at once, a new connection for each request, 30 of 100 are reset by the \
             client"
        );
        let behavior = Behavior::Short {
            closer: Closer::Client,
            resets: 30,
        };
        CellSpec::new(format!("churn c={connections}"), "cpu_connection", words)
            .with("c", f64::from(connections))
            .group(Group {
                behavior,
                ..closed(connections, 1)
            })
            .alone(true)
    };
    let numbers = selection.numbers(&[64], &[64], &[64]);
    numbers.into_iter().map(cell_spec).collect()
}
