//! Room `bench`: how long does a request wait? Open loops: requests come when they come, whatever
//! the server does, and each is timed from when it was due.

use super::{CellSpec, Eligible, Preset, RateSource, Selection, Workload, WorkloadTraits, pages};
use crate::bench::load::{Arrivals, Behavior, Group, Page};

/// The workloads of this file.
pub const TABLE: &[Workload] = &[
    Workload {
        name: "latency",
        purpose: "how long a request takes at a rate that every model can bear, so that none \
                    looks good by being asked less",
        options: &[],
        eligible: Eligible::All,
        traits: WorkloadTraits::NONE,
        duration_factor: 1.0,
        extra_warm_up: 0.0,
        cell_specs: latency,
    },
    Workload {
        name: "overload",
        purpose: "what is left of a server that is asked for more than it can do",
        options: &[],
        eligible: Eligible::All,
        traits: WorkloadTraits {
            overloads: true,
            may_starve: true,
            ..WorkloadTraits::NONE
        },
        duration_factor: 1.0,
        extra_warm_up: 0.0,
        cell_specs: overload,
    },
    Workload {
        name: "sweep",
        purpose: "what a connection that is open costs each request: the rate stays the same, \
                    and ever more connections share it",
        options: &[],
        eligible: Eligible::All,
        traits: WorkloadTraits::NONE,
        duration_factor: 1.0,
        extra_warm_up: 1.0,
        cell_specs: sweep,
    },
    Workload {
        name: "mixed",
        purpose: "whether small requests wait behind large ones: four clients take a large file \
                    all the time, and others want a small page now and then",
        options: &[],
        eligible: Eligible::Launched,
        traits: WorkloadTraits {
            client_aborts: true,
            ..WorkloadTraits::NONE
        },
        duration_factor: 1.0,
        extra_warm_up: 0.0,
        cell_specs: mixed,
    },
    Workload {
        name: "burn",
        purpose: "where one thread for all loses: a request that computes for 20 ms holds up \
                    everybody, and with a thread or process for each only itself",
        options: &["--burn", "20"],
        eligible: Eligible::Models,
        traits: WorkloadTraits::NONE,
        duration_factor: 1.0,
        extra_warm_up: 0.0,
        cell_specs: burn,
    },
    Workload {
        name: "coldfile",
        purpose: "where one thread for all loses: a file that must come from the disk holds up \
                    everybody while it is read",
        options: &[],
        eligible: Eligible::Launched,
        traits: WorkloadTraits {
            cold_cache: true,
            ..WorkloadTraits::NONE
        },
        duration_factor: 1.0,
        extra_warm_up: 0.0,
        cell_specs: coldfile,
    },
    Workload {
        name: "stall",
        purpose: "the two loops, not the servers: one that is stopped for 200 ms shows it in the \
                    open loop, and hardly in the closed one, which stops asking",
        options: &[],
        eligible: Eligible::Models,
        traits: WorkloadTraits {
            overloads: true,
            may_starve: true,
            ..WorkloadTraits::NONE
        },
        duration_factor: 2.0,
        extra_warm_up: 0.0,
        cell_specs: stall,
    },
];

/// Requests that may wait for a free connection: as many as come in a second, about.
const MOST_WAITING: u32 = 20_000;
/// Small requests a second beside something else. Enough for a 99th percentile in a second, and
/// a few percent of what a server can do.
const MICE: f64 = 500.0;
/// What each elephant takes, bytes a second: all of them together a small part of what a receiver
/// can take, so that the mice wait for the server and not for the generator.
const ELEPHANT: f64 = 50e6;

fn open(name: &str, connections: u32, rate: f64, arrivals: Arrivals, pages: Vec<Page>) -> Group {
    Group {
        name: name.to_owned(),
        connections,
        behavior: Behavior::Open {
            rate,
            arrivals,
            max_waiting: MOST_WAITING,
        },
        pages,
    }
}

fn mice() -> Group {
    open("mice", 32, MICE, Arrivals::Poisson, vec![pages::small()])
}

fn main(connections: u32, rate: f64) -> Group {
    open(
        "main",
        connections,
        rate,
        Arrivals::Poisson,
        vec![pages::small()],
    )
}

fn latency(selection: &Selection) -> Vec<CellSpec> {
    let connections = selection.connections.first().copied().unwrap_or(64);
    let common = CellSpec {
        rate_source: RateSource::ShareOfSlowest(0.6),
        ..CellSpec::new(
            "latency common".to_owned(),
            "p99",
            format!(
                "Poisson arrivals at 60 % of what the slowest can do, {connections} connections"
            ),
        )
    };
    let common = common.with("c", f64::from(connections));
    let mut cell_specs = vec![common.group(main(connections, 0.0))];
    let own = match selection.preset {
        Preset::Full => &[50_u32, 75, 90][..],
        _ => &[],
    };
    cell_specs.extend(own.iter().map(|part| {
        let words = format!(
            "Poisson arrivals at {part} % of what the server itself can do, {connections} \
             connections"
        );
        let cell_spec = CellSpec {
            rate_source: RateSource::ShareOfOwn(f64::from(*part) / 100.0),
            ..CellSpec::new(format!("latency own {part}%"), "p99", words)
        };
        let cell_spec = cell_spec.with("load", f64::from(*part) / 100.0);
        cell_spec.group(main(connections, 0.0))
    }));
    cell_specs
}

fn overload(selection: &Selection) -> Vec<CellSpec> {
    let connections = selection.connections.first().copied().unwrap_or(256);
    let cell_spec = |part: u32| {
        let words = format!(
            "Poisson arrivals at {part} % of what the server itself can do, {connections} \
             connections"
        );
        let cell_spec = CellSpec {
            rate_source: RateSource::ShareOfOwn(f64::from(part) / 100.0),
            ..CellSpec::new(format!("overload {part}%"), "throughput", words)
        };
        let cell_spec = cell_spec.with("load", f64::from(part) / 100.0);
        cell_spec.group(main(connections, 0.0))
    };
    [120, 200].into_iter().map(cell_spec).collect()
}

fn sweep(selection: &Selection) -> Vec<CellSpec> {
    const RATE: f64 = 5000.0;
    let cell_spec = |connections: u32| {
        let words = format!("{RATE} requests a second, evenly, over {connections} connections");
        let group = open(
            "main",
            connections,
            RATE,
            Arrivals::Constant,
            vec![pages::small()],
        );
        CellSpec::new(format!("sweep c={connections}"), "p99", words)
            .with("c", f64::from(connections))
            .group(group)
            .alone(connections == 1)
    };
    let numbers = selection.numbers(&[64], &[16, 1000], &[1, 10, 100, 1000, 4000, 8000]);
    numbers.into_iter().map(cell_spec).collect()
}

fn mixed(selection: &Selection) -> Vec<CellSpec> {
    let cell_spec = |elephants: u32| {
        let words = format!(
            "{elephants} clients that take 16 MiB at {} MB/s each, and {MICE} small requests a \
             second",
            ELEPHANT / 1e6
        );
        let group = Group {
            name: "elephants".to_owned(),
            connections: elephants,
            behavior: Behavior::SlowRead {
                rate: ELEPHANT,
                buffer: 1024 * 1024,
            },
            pages: vec![pages::large()],
        };
        CellSpec::new(format!("mixed elephants={elephants}"), "mice.p99", words)
            .with("elephants", f64::from(elephants))
            .group(group)
            .group(mice())
    };
    let numbers = selection.numbers(&[4], &[4], &[4]);
    numbers.into_iter().map(cell_spec).collect()
}

fn burn(_: &Selection) -> Vec<CellSpec> {
    const BURNS: f64 = 5.0;
    let words = format!(
        "{BURNS} requests a second that compute for 20 ms each, and {MICE} small ones a second"
    );
    let burners = open("burners", 4, BURNS, Arrivals::Constant, vec![pages::burn()]);
    let cell_spec = CellSpec::new("burn 20ms".to_owned(), "mice.p99", words);
    vec![cell_spec.with("ms", 20.0).group(burners).group(mice())]
}

fn coldfile(_: &Selection) -> Vec<CellSpec> {
    const READS: f64 = 20.0;
    let words = format!(
        "{READS} requests a second for 1 MiB that is not in memory, and {MICE} small ones a second"
    );
    let readers = open("readers", 8, READS, Arrivals::Constant, pages::cold());
    let cell_spec = CellSpec::new("coldfile 1MiB".to_owned(), "mice.p99", words);
    vec![cell_spec.with("rate", READS).group(readers).group(mice())]
}

fn stall(_: &Selection) -> Vec<CellSpec> {
    const STOPPED: u64 = 200_000_000;
    const RATE: f64 = 2000.0;
    let cell_spec = |name: &str, words: String, group: Group| CellSpec {
        stall: Some((0.25, STOPPED)),
        ..CellSpec::new(format!("stall {name}"), "p99", words)
            .with("ms", 200.0)
            .group(group)
    };
    vec![
        cell_spec(
            "closed",
            "closed loop, 64 connections; the server is stopped for 200 ms".to_owned(),
            super::capacity::probe(),
        ),
        cell_spec(
            "open",
            format!("{RATE} requests a second, evenly; the server is stopped for 200 ms"),
            open("main", 64, RATE, Arrivals::Constant, vec![pages::small()]),
        ),
    ]
}
