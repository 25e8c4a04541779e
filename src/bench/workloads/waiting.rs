//! Room `bench`: how long does a request wait? Open loops: requests come when they come, whatever
//! the server does, and each is timed from when it was due.

use super::{Audience, Choice, Pace, Preset, Shape, Traits, Workload, pages};
use crate::bench::load::{Arrivals, Behavior, Group, Page};

/// The workloads of this file.
pub const TABLE: &[Workload] = &[
    Workload {
        name: "latency",
        separates: "how long a request takes at a rate that every model can bear, so that none \
                    looks good by being asked less",
        options: &[],
        audience: Audience::Everybody,
        traits: Traits::NONE,
        span: 1.0,
        settle: 0.0,
        shapes: latency,
    },
    Workload {
        name: "overload",
        separates: "what is left of a server that is asked for more than it can do",
        options: &[],
        audience: Audience::Everybody,
        traits: Traits {
            overloads: true,
            captures: true,
            ..Traits::NONE
        },
        span: 1.0,
        settle: 0.0,
        shapes: overload,
    },
    Workload {
        name: "sweep",
        separates: "what a connection that is open costs each request: the rate stays the same, \
                    and ever more connections share it",
        options: &[],
        audience: Audience::Everybody,
        traits: Traits::NONE,
        span: 1.0,
        settle: 1.0,
        shapes: sweep,
    },
    Workload {
        name: "mixed",
        separates: "whether small requests wait behind large ones: four clients take a large file \
                    all the time, and others want a small page now and then",
        options: &[],
        audience: Audience::Started,
        traits: Traits {
            cuts: true,
            ..Traits::NONE
        },
        span: 1.0,
        settle: 0.0,
        shapes: mixed,
    },
    Workload {
        name: "burn",
        separates: "where one thread for all loses: a request that computes for 20 ms holds up \
                    everybody, and with a thread or process for each only itself",
        options: &["--burn", "20"],
        audience: Audience::Models,
        traits: Traits::NONE,
        span: 1.0,
        settle: 0.0,
        shapes: burn,
    },
    Workload {
        name: "coldfile",
        separates: "where one thread for all loses: a file that must come from the disk holds up \
                    everybody while it is read",
        options: &[],
        audience: Audience::Started,
        traits: Traits {
            cold: true,
            ..Traits::NONE
        },
        span: 1.0,
        settle: 0.0,
        shapes: coldfile,
    },
    Workload {
        name: "stall",
        separates: "the two loops, not the servers: one that is stopped for 200 ms shows it in the \
                    open loop, and hardly in the closed one, which stops asking",
        options: &[],
        audience: Audience::Models,
        traits: Traits {
            overloads: true,
            captures: true,
            ..Traits::NONE
        },
        span: 2.0,
        settle: 0.0,
        shapes: stall,
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

fn latency(choice: &Choice) -> Vec<Shape> {
    let connections = choice.connections.first().copied().unwrap_or(64);
    let common = Shape {
        pace: Pace::OfSlowest(0.6),
        ..Shape::new(
            "latency common".to_owned(),
            "p99",
            format!(
                "Poisson arrivals at 60 % of what the slowest can do, {connections} connections"
            ),
        )
    };
    let common = common.with("c", f64::from(connections));
    let mut shapes = vec![common.group(main(connections, 0.0))];
    let own = match choice.preset {
        Preset::Full => &[50_u32, 75, 90][..],
        _ => &[],
    };
    shapes.extend(own.iter().map(|part| {
        let words = format!(
            "Poisson arrivals at {part} % of what the server itself can do, {connections} \
             connections"
        );
        let shape = Shape {
            pace: Pace::OfOwn(f64::from(*part) / 100.0),
            ..Shape::new(format!("latency own {part}%"), "p99", words)
        };
        let shape = shape.with("load", f64::from(*part) / 100.0);
        shape.group(main(connections, 0.0))
    }));
    shapes
}

fn overload(choice: &Choice) -> Vec<Shape> {
    let connections = choice.connections.first().copied().unwrap_or(256);
    let shape = |part: u32| {
        let words = format!(
            "Poisson arrivals at {part} % of what the server itself can do, {connections} \
             connections"
        );
        let shape = Shape {
            pace: Pace::OfOwn(f64::from(part) / 100.0),
            ..Shape::new(format!("overload {part}%"), "throughput", words)
        };
        let shape = shape.with("load", f64::from(part) / 100.0);
        shape.group(main(connections, 0.0))
    };
    [120, 200].into_iter().map(shape).collect()
}

fn sweep(choice: &Choice) -> Vec<Shape> {
    const RATE: f64 = 5000.0;
    let shape = |connections: u32| {
        let words = format!("{RATE} requests a second, evenly, over {connections} connections");
        let group = open(
            "main",
            connections,
            RATE,
            Arrivals::Constant,
            vec![pages::small()],
        );
        Shape::new(format!("sweep c={connections}"), "p99", words)
            .with("c", f64::from(connections))
            .group(group)
            .alone(connections == 1)
    };
    let numbers = choice.numbers(&[64], &[16, 1000], &[1, 10, 100, 1000, 4000, 8000]);
    numbers.into_iter().map(shape).collect()
}

fn mixed(choice: &Choice) -> Vec<Shape> {
    let shape = |elephants: u32| {
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
        Shape::new(format!("mixed elephants={elephants}"), "mice.p99", words)
            .with("elephants", f64::from(elephants))
            .group(group)
            .group(mice())
    };
    let numbers = choice.numbers(&[4], &[4], &[4]);
    numbers.into_iter().map(shape).collect()
}

fn burn(_: &Choice) -> Vec<Shape> {
    const BURNS: f64 = 5.0;
    let words = format!(
        "{BURNS} requests a second that compute for 20 ms each, and {MICE} small ones a second"
    );
    let burners = open("burners", 4, BURNS, Arrivals::Constant, vec![pages::burn()]);
    let shape = Shape::new("burn 20ms".to_owned(), "mice.p99", words);
    vec![shape.with("ms", 20.0).group(burners).group(mice())]
}

fn coldfile(_: &Choice) -> Vec<Shape> {
    const READS: f64 = 20.0;
    let words = format!(
        "{READS} requests a second for 1 MiB that is not in memory, and {MICE} small ones a second"
    );
    let readers = open("readers", 8, READS, Arrivals::Constant, pages::cold());
    let shape = Shape::new("coldfile 1MiB".to_owned(), "mice.p99", words);
    vec![shape.with("rate", READS).group(readers).group(mice())]
}

fn stall(_: &Choice) -> Vec<Shape> {
    const STOPPED: u64 = 200_000_000;
    const RATE: f64 = 2000.0;
    let shape = |name: &str, words: String, group: Group| Shape {
        stall: Some((0.25, STOPPED)),
        ..Shape::new(format!("stall {name}"), "p99", words)
            .with("ms", 200.0)
            .group(group)
    };
    vec![
        shape(
            "closed",
            "closed loop, 64 connections; the server is stopped for 200 ms".to_owned(),
            super::capacity::probe(),
        ),
        shape(
            "open",
            format!("{RATE} requests a second, evenly; the server is stopped for 200 ms"),
            open("main", 64, RATE, Arrivals::Constant, vec![pages::small()]),
        ),
    ]
}
