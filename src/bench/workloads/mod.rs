//! The workloads: a table, the cells of each, and the files that the clients ask for ([`pages`]).

pub mod pages;

use super::load::{Arrivals, Behavior, Closer, Group, Page};
use super::record::Preset;
use std::collections::BTreeMap;

/// A workload.
#[derive(Debug)]
pub struct Workload {
    /// The name on the command line and in `run.json`.
    pub name: &'static str,
    /// What it shows, as sentences.
    pub purpose: &'static str,
    /// The metrics beside the primary one that matter, the most important first.
    pub columns: &'static [&'static str],
    /// Options with which the models are started for it.
    pub options: &'static [&'static str],
    /// Which arms can take part.
    pub eligible: Eligible,
    /// What is unusual about its samples and still valid.
    pub traits: WorkloadTraits,
    /// How much longer than usual it is measured.
    pub duration_factor: f64,
    /// Seconds of warm-up beyond the usual, until all connections are open.
    pub extra_warm_up: f64,
    /// Its cells.
    pub cell_specs: fn(&Selection) -> Vec<CellSpec>,
}

/// Which arms can take part in a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eligible {
    /// All: it needs one small page only.
    All,
    /// Servers that the benchmark starts: it needs their files and their processes.
    Launched,
    /// Our models: it needs one of their options.
    Models,
}

/// What is unusual about the samples of a workload and still valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkloadTraits {
    /// Clients may get no response because other clients hold all workers. That is the result, not
    /// an error.
    pub may_starve: bool,
    /// The client aborts responses, so it receives less than the server has sent.
    pub client_aborts: bool,
    /// The server is stopped for a while, or gets more load than it can serve.
    pub overloads: bool,
    /// The server's descriptors are counted before and after.
    pub counts_descriptors: bool,
    /// Its files are removed from the page cache again and again.
    pub cold_cache: bool,
}

impl WorkloadTraits {
    /// Nothing unusual.
    pub const NONE: Self = Self {
        may_starve: false,
        client_aborts: false,
        overloads: false,
        counts_descriptors: false,
        cold_cache: false,
    };
}

/// Which cells of a workload are run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// The preset.
    pub preset: Preset,
    /// Numbers of connections, if the command line has some.
    pub connections: Vec<u32>,
}

impl Selection {
    /// The numbers of the command line, or those of the preset.
    fn numbers(&self, quick: &[u32], standard: &[u32], full: &[u32]) -> Vec<u32> {
        if !self.connections.is_empty() {
            return self.connections.clone();
        }
        match self.preset {
            Preset::Quick => quick.to_vec(),
            Preset::Standard => standard.to_vec(),
            Preset::Full => full.to_vec(),
        }
    }
}

/// The load of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellSpec {
    /// Its name, which is unique.
    pub name: String,
    /// The parameters that differ between the cells of a workload, by name.
    pub parameters: BTreeMap<String, f64>,
    /// A description in description.
    pub description: String,
    /// The metric that is compared.
    pub primary_metric: &'static str,
    /// The command of another tool for a similar load, without the address: `wrk -t1 -c64`.
    pub reproduce: Option<String>,
    /// The client groups.
    pub groups: Vec<Group>,
    /// Where the rate of the first group comes from.
    pub rate_source: RateSource,
    /// Before the measurement, the first group opens these numbers of connections one after the
    /// other, to the same process, and memory is read at each: for the slope.
    pub memory_steps: Vec<u32>,
    /// The server is stopped at this part of the measurement, for this many nanoseconds.
    pub stall: Option<(f64, u64)>,
    /// Whether a server that serves one connection at a time can take part.
    pub single_connection: bool,
}

/// Where the rate of an open loop comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateSource {
    /// The group has it.
    Fixed,
    /// A share of the capacity of the slowest server.
    ShareOfSlowest(f64),
    /// A share of the capacity of the server itself.
    ShareOfOwn(f64),
}

impl CellSpec {
    fn new(name: String, primary_metric: &'static str, description: String) -> Self {
        Self {
            name,
            parameters: BTreeMap::new(),
            description,
            primary_metric,
            reproduce: None,
            groups: Vec::new(),
            rate_source: RateSource::Fixed,
            memory_steps: Vec::new(),
            stall: None,
            single_connection: false,
        }
    }

    fn with(mut self, parameter: &str, value: f64) -> Self {
        self.parameters.insert(parameter.to_owned(), value);
        self
    }

    fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    fn reproduced_by(mut self, command: String) -> Self {
        self.reproduce = Some(command);
        self
    }

    fn single(mut self, single_connection: bool) -> Self {
        self.single_connection = single_connection;
        self
    }

    /// All connections that are open at once.
    pub fn connections(&self) -> u32 {
        self.groups.iter().map(|group| group.connections).sum()
    }

    /// The same load on another page, for a server that has only that one.
    pub fn asking_for(&self, page: &Page) -> Self {
        let mut cell_spec = self.clone();
        for group in &mut cell_spec.groups {
            if !group.pages.is_empty() {
                group.pages = vec![page.clone()];
            }
        }
        cell_spec
    }
}

/// A workload without anything unusual.
const USUAL: Workload = Workload {
    name: "",
    purpose: "",
    columns: USUAL_COLUMNS,
    options: &[],
    eligible: Eligible::All,
    traits: WorkloadTraits::NONE,
    duration_factor: 1.0,
    extra_warm_up: 0.0,
    cell_specs: |_| Vec::new(),
};

/// The columns of a workload that does not name others.
pub const USUAL_COLUMNS: &[&str] = &[
    "throughput",
    "p99",
    "cpu",
    "switches",
    "syscalls",
    "memory",
    "fairness",
];

/// All workloads.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "keepalive",
        purpose: "The cost of a request on an open connection. A model that waits for many \
                  connections at once wakes up once for several requests; a model that sleeps in \
                  each read wakes up for every request.",
        cell_specs: keepalive,
        ..USUAL
    },
    Workload {
        name: "short",
        purpose: "The cost of a connection: a table entry, a thread or a process that is created \
                  for it and ends with it.",
        columns: &["connects", "switches", "syscalls", "p99", "faults"],
        cell_specs: short,
        ..USUAL
    },
    Workload {
        name: "pipeline",
        purpose: "How many system calls are saved if several requests arrive together. All models \
                  share the code that does it, so they should not differ much.",
        cell_specs: pipeline,
        ..USUAL
    },
    Workload {
        name: "large",
        purpose: "The cost of bytes. The kernel does this work, at the same cost for all models, \
                  so a model that differs has a fault.",
        columns: &["bandwidth", "cpu_user", "switches"],
        eligible: Eligible::Launched,
        cell_specs: large,
        ..USUAL
    },
    Workload {
        name: "churn",
        purpose: "Clients that disappear: three in ten reset their connection. Afterwards the \
                  server must have closed every descriptor.",
        columns: &["connects", "switches", "leaked_descriptors", "faults"],
        eligible: Eligible::Launched,
        traits: WorkloadTraits {
            client_aborts: true,
            counts_descriptors: true,
            ..WorkloadTraits::NONE
        },
        cell_specs: churn,
        ..USUAL
    },
    Workload {
        name: "latency",
        purpose: "The response time at a fixed rate, which every model can serve. So no model \
                  looks better because it gets fewer requests.",
        columns: &["p50", "p999", "cpu", "switches", "service_p99"],
        cell_specs: latency,
        ..USUAL
    },
    Workload {
        name: "overload",
        purpose: "What a server still does when it gets more requests than it can serve.",
        columns: &["p50", "cpu", "switches", "dropped"],
        traits: WorkloadTraits {
            overloads: true,
            may_starve: true,
            ..WorkloadTraits::NONE
        },
        cell_specs: overload,
        ..USUAL
    },
    Workload {
        name: "sweep",
        purpose: "What an open connection costs each request: the rate stays the same, over more \
                  and more connections.",
        columns: &["p50", "cpu", "switches", "memory"],
        extra_warm_up: 1.0,
        cell_specs: sweep,
        ..USUAL
    },
    Workload {
        name: "mixed",
        purpose: "Whether small requests wait behind large ones. Elephants, clients that download \
                  large files all the time, share the server with mice, which are small requests.",
        columns: &["mice.p50", "mice.p999", "bandwidth", "switches"],
        eligible: Eligible::Launched,
        traits: WorkloadTraits {
            client_aborts: true,
            ..WorkloadTraits::NONE
        },
        cell_specs: mixed,
        ..USUAL
    },
    Workload {
        name: "burn",
        purpose: "Where one thread for all connections loses: a request that computes for 20 ms \
                  delays all other clients. With a thread or a process for each connection it \
                  delays only its own client. The mice are small requests beside it.",
        columns: &["mice.p50", "mice.p999", "mice.max", "switches"],
        options: &["--burn", "20"],
        eligible: Eligible::Models,
        cell_specs: burn,
        ..USUAL
    },
    Workload {
        name: "coldfile",
        purpose: "Where one thread for all connections loses: while it reads a file from the \
                  disk, all clients wait. The mice are small requests beside it.",
        columns: &["mice.p50", "mice.p999", "mice.max", "switches"],
        eligible: Eligible::Launched,
        traits: WorkloadTraits {
            cold_cache: true,
            ..WorkloadTraits::NONE
        },
        cell_specs: coldfile,
        ..USUAL
    },
    Workload {
        name: "stall",
        purpose: "The difference between the two loops, not between servers. A server that is \
                  stopped for 200 ms is visible in the open loop, and hardly in the closed loop, \
                  which sends nothing meanwhile.",
        columns: &["p50", "max", "throughput", "recovery"],
        eligible: Eligible::Models,
        traits: WorkloadTraits {
            overloads: true,
            may_starve: true,
            ..WorkloadTraits::NONE
        },
        duration_factor: 2.0,
        cell_specs: stall,
        ..USUAL
    },
    Workload {
        name: "idle",
        purpose: "The memory of an open, silent connection: a table entry, a stack or a process. \
                  The canary, a small request now and then, shows whether other clients are still \
                  served.",
        columns: &[
            "canary.p99",
            "canary.achieved",
            "threads",
            "processes",
            "virtual",
        ],
        // Without this option the kernel holds a silent connection back for a second.
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
        purpose: "Clients that send one byte of a request per second. If each holds a worker and \
                  workers are few, normal clients are not served.",
        columns: &["normal.achieved", "normal.p50", "threads", "memory"],
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
        purpose: "Clients that hardly read the response. The canary, a small request now and then, \
                  shows whether other clients are still served.",
        columns: &["canary.achieved", "canary.p50", "threads", "memory"],
        eligible: Eligible::Launched,
        traits: WorkloadTraits {
            may_starve: true,
            client_aborts: true,
            ..WorkloadTraits::NONE
        },
        duration_factor: 2.0,
        extra_warm_up: 0.5,
        cell_specs: slowread,
        ..USUAL
    },
];

/// The workload with this name.
pub fn named(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

/// The names of the workloads of a preset.
pub fn of_preset(preset: Preset) -> &'static [&'static str] {
    match preset {
        Preset::Quick => &["keepalive", "short", "mixed", "idle"],
        Preset::Standard => &["keepalive", "latency", "short", "mixed", "burn", "idle"],
        Preset::Full => &[
            "keepalive",
            "short",
            "pipeline",
            "large",
            "churn",
            "latency",
            "overload",
            "sweep",
            "mixed",
            "burn",
            "coldfile",
            "stall",
            "idle",
            "slowloris",
            "slowread",
        ],
    }
}

/// Short connections at once: enough to keep a server busy, and few enough to be accepted at once.
const SHORT: u32 = 16;

fn closed(connections: u32, depth: u32) -> Group {
    Group {
        name: "main".to_owned(),
        connections,
        behavior: Behavior::Closed { depth },
        pages: vec![pages::small()],
    }
}

/// The load that measures the capacity of a server, before any rate is set.
pub fn probe() -> Group {
    closed(64, 1)
}

/// With one connection, server and generator take turns, and the rate of both together counts. With
/// many connections the generator is the limit for the fastest servers. Responses per second of the
/// server's CPU time are the same number where the server is the limit, and are still a number of
/// the server where the generator is.
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
        let description = format!(
            "closed loop, {connections} connection{}, 1 KiB",
            if connections == 1 { "" } else { "s" }
        );
        CellSpec::new(
            format!("keepalive c={connections}"),
            primary_metric(connections),
            description,
        )
        .with("c", f64::from(connections))
        .group(closed(connections, 1))
        .reproduced_by(format!("wrk -t1 -c{connections} -d5s --latency"))
        .single(connections == 1)
    };
    numbers.into_iter().map(cell_spec).collect()
}

fn short(selection: &Selection) -> Vec<CellSpec> {
    let numbers = selection.numbers(&[SHORT], &[SHORT], &[SHORT]);
    let closers = match selection.preset {
        Preset::Full => &[(Closer::Client, "client"), (Closer::Server, "server")][..],
        _ => &[(Closer::Client, "client")],
    };
    let cell_spec = |connections: u32, closer: Closer, word: &str| {
        let description = format!(
            "closed loop, {connections} at once, a new connection for each request, which the \
             {word} closes"
        );
        let cell_spec = CellSpec::new(
            format!("short {word} c={connections}"),
            "cpu_connection",
            description,
        )
        .with("c", f64::from(connections))
        .group(Group {
            behavior: Behavior::Short { closer, resets: 0 },
            ..closed(connections, 1)
        })
        .single(true);
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
        let description =
            format!("closed loop, {connections} connections, {depth} requests at a time");
        CellSpec::new(format!("pipeline depth={depth}"), "per_core", description)
            .with("depth", f64::from(depth))
            .with("c", f64::from(connections))
            .group(closed(connections, depth))
    };
    [1, 4, 16].into_iter().map(cell_spec).collect()
}

fn large(selection: &Selection) -> Vec<CellSpec> {
    let cell_spec = |connections: u32| {
        let description = format!("closed loop, {connections} connections, 16 MiB");
        CellSpec::new(
            format!("large c={connections}"),
            "cpu_gigabyte",
            description,
        )
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
        let description = format!(
            "closed loop, {connections} at once, a new connection for each request, of which the \
             client resets 30 %"
        );
        let behavior = Behavior::Short {
            closer: Closer::Client,
            resets: 30,
        };
        CellSpec::new(
            format!("churn c={connections}"),
            "cpu_connection",
            description,
        )
        .with("c", f64::from(connections))
        .group(Group {
            behavior,
            ..closed(connections, 1)
        })
        .single(true)
    };
    let numbers = selection.numbers(&[64], &[64], &[64]);
    numbers.into_iter().map(cell_spec).collect()
}

/// Requests that may wait for a free connection: about as many as are due in a second.
const MOST_WAITING: u32 = 20_000;
/// Small requests per second beside another load: enough for a 99th percentile in a second, and a
/// few percent of the capacity of a server.
const MICE: f64 = 500.0;
/// Bytes per second of an elephant. All of them together receive a small part of what the generator
/// can, so the mice wait for the server and not for the generator.
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
                "Poisson arrivals at 60 % of the capacity of the slowest server, {connections} \
                 connections"
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
        let description = format!(
            "Poisson arrivals at {part} % of the capacity of the server itself, {connections} \
             connections"
        );
        let cell_spec = CellSpec {
            rate_source: RateSource::ShareOfOwn(f64::from(*part) / 100.0),
            ..CellSpec::new(format!("latency own {part}%"), "p99", description)
        };
        let cell_spec = cell_spec.with("load", f64::from(*part) / 100.0);
        cell_spec.group(main(connections, 0.0))
    }));
    cell_specs
}

fn overload(selection: &Selection) -> Vec<CellSpec> {
    let connections = selection.connections.first().copied().unwrap_or(256);
    let cell_spec = |part: u32| {
        let description = format!(
            "Poisson arrivals at {part} % of the capacity of the server itself, {connections} \
             connections"
        );
        let cell_spec = CellSpec {
            rate_source: RateSource::ShareOfOwn(f64::from(part) / 100.0),
            ..CellSpec::new(format!("overload {part}%"), "throughput", description)
        };
        let cell_spec = cell_spec.with("load", f64::from(part) / 100.0);
        cell_spec.group(main(connections, 0.0))
    };
    [120, 200].into_iter().map(cell_spec).collect()
}

fn sweep(selection: &Selection) -> Vec<CellSpec> {
    const RATE: f64 = 5000.0;
    let cell_spec = |connections: u32| {
        let description =
            format!("{RATE} requests per second at equal distances over {connections} connections");
        let group = open(
            "main",
            connections,
            RATE,
            Arrivals::Constant,
            vec![pages::small()],
        );
        CellSpec::new(format!("sweep c={connections}"), "p99", description)
            .with("c", f64::from(connections))
            .group(group)
            .single(connections == 1)
    };
    let numbers = selection.numbers(&[64], &[16, 1000], &[1, 10, 100, 1000, 4000, 8000]);
    numbers.into_iter().map(cell_spec).collect()
}

fn mixed(selection: &Selection) -> Vec<CellSpec> {
    let cell_spec = |elephants: u32| {
        let description = format!(
            "{elephants} elephants, which download 16 MiB at {} MB/s each, and {MICE} mice per \
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
        CellSpec::new(
            format!("mixed elephants={elephants}"),
            "mice.p99",
            description,
        )
        .with("elephants", f64::from(elephants))
        .group(group)
        .group(mice())
    };
    let numbers = selection.numbers(&[4], &[4], &[4]);
    numbers.into_iter().map(cell_spec).collect()
}

fn burn(_: &Selection) -> Vec<CellSpec> {
    const BURNS: f64 = 5.0;
    let description = format!(
        "{BURNS} requests per second that compute for 20 ms each, and {MICE} mice per second"
    );
    let burners = open("burners", 4, BURNS, Arrivals::Constant, vec![pages::burn()]);
    let cell_spec = CellSpec::new("burn 20ms".to_owned(), "mice.p99", description);
    vec![cell_spec.with("ms", 20.0).group(burners).group(mice())]
}

fn coldfile(_: &Selection) -> Vec<CellSpec> {
    const READS: f64 = 20.0;
    let description = format!(
        "{READS} requests per second for 1 MiB that is not in the page cache, and {MICE} mice per \
         second"
    );
    let readers = open("readers", 8, READS, Arrivals::Constant, pages::cold());
    let cell_spec = CellSpec::new("coldfile 1MiB".to_owned(), "mice.p99", description);
    vec![cell_spec.with("rate", READS).group(readers).group(mice())]
}

fn stall(_: &Selection) -> Vec<CellSpec> {
    const STOPPED: u64 = 200_000_000;
    const RATE: f64 = 2000.0;
    let cell_spec = |name: &str, description: String, group: Group| CellSpec {
        stall: Some((0.25, STOPPED)),
        ..CellSpec::new(format!("stall {name}"), "p99", description)
            .with("ms", 200.0)
            .group(group)
    };
    vec![
        cell_spec(
            "closed",
            "closed loop, 64 connections; the server is stopped for 200 ms".to_owned(),
            probe(),
        ),
        cell_spec(
            "open",
            format!(
                "{RATE} requests per second at equal distances; the server is stopped for 200 ms"
            ),
            open("main", 64, RATE, Arrivals::Constant, vec![pages::small()]),
        ),
    ]
}

/// Small requests at a constant rate, which show whether the server still serves other clients.
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
        let description = format!(
            "{connections} silent connections (memory is also read at none and at half of them), \
             and 50 canary requests per second; the kernel's memory is that of both ends"
        );
        let group = Group {
            name: "silent".to_owned(),
            connections,
            behavior: Behavior::Silent,
            pages: Vec::new(),
        };
        let cell_spec = CellSpec::new(format!("idle c={connections}"), "memory_slope", description)
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
        let description = format!(
            "{connections} clients that send one byte of a head per second, and 200 normal \
             requests per second over 50 connections"
        );
        let group = Group {
            name: "drip".to_owned(),
            connections,
            behavior: Behavior::Drip { rate: 1.0 },
            pages: Vec::new(),
        };
        CellSpec::new(
            format!("slowloris c={connections}"),
            "normal.p99",
            description,
        )
        .with("c", f64::from(connections))
        .group(group)
        .group(canary("normal", 50, 200.0))
    };
    let numbers = selection.numbers(&[500], &[500], &[500]);
    numbers.into_iter().map(cell_spec).collect()
}

fn slowread(selection: &Selection) -> Vec<CellSpec> {
    let cell_spec = |connections: u32| {
        let description = format!(
            "{connections} clients that read 4 MiB at 20 kB/s, and 200 canary requests per second"
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
        CellSpec::new(
            format!("slowread c={connections}"),
            "canary.p99",
            description,
        )
        .with("c", f64::from(connections))
        .group(group)
        .group(canary("canary", 50, 200.0))
    };
    let numbers = selection.numbers(&[200], &[200], &[200]);
    numbers.into_iter().map(cell_spec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::metrics::metric_named;
    use std::collections::BTreeSet;

    fn every_cell_spec() -> Vec<(&'static Workload, CellSpec)> {
        let presets = [Preset::Quick, Preset::Standard, Preset::Full];
        let selections = presets.map(|preset| Selection {
            preset,
            connections: Vec::new(),
        });
        WORKLOADS
            .iter()
            .flat_map(|workload| {
                let cell_specs = selections
                    .iter()
                    .flat_map(|selection| (workload.cell_specs)(selection));
                cell_specs
                    .map(move |cell_spec| (workload, cell_spec))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn each_preset_has_known_workloads_and_the_full_one_has_all() {
        let known: BTreeSet<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
        let of = |preset| of_preset(preset).iter().copied().collect::<BTreeSet<_>>();
        assert!(of(Preset::Quick).is_subset(&of(Preset::Standard)));
        assert!(of(Preset::Standard).is_subset(&known));
        assert_eq!(of(Preset::Full), known);
    }

    #[test]
    fn the_primary_metric_of_a_cell_is_a_metric_of_one_of_its_groups() {
        for (workload, cell_spec) in every_cell_spec() {
            let metric = metric_named(cell_spec.primary_metric);
            assert!(
                metric.is_some(),
                "{}: {}",
                cell_spec.name,
                cell_spec.primary_metric
            );
            if let Some((group, _)) = cell_spec.primary_metric.split_once('.') {
                let later = cell_spec.groups.iter().skip(1);
                assert!(
                    later.clone().any(|one| one.name == group),
                    "{}",
                    cell_spec.name
                );
            }
            assert!(
                cell_spec.name.starts_with(workload.name),
                "{}",
                cell_spec.name
            );
            assert!(!cell_spec.groups.is_empty(), "{}", cell_spec.name);
        }
    }

    #[test]
    fn each_column_is_a_metric() {
        for name in WORKLOADS.iter().flat_map(|workload| workload.columns) {
            assert!(metric_named(name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_documentation_lists_each_workload_with_its_primary_metric() {
        let document = include_str!("../../../docs/bench.md");
        for (workload, cell_spec) in every_cell_spec() {
            let row = format!("| {} | ", workload.name);
            let row = document.lines().find(|line| line.starts_with(&row));
            let metric = format!("`{}`", cell_spec.primary_metric);
            assert!(
                row.is_some_and(|row| row.contains(&metric)),
                "{}",
                cell_spec.name
            );
        }
    }

    #[test]
    fn each_cell_of_a_run_has_one_name() {
        for preset in [Preset::Quick, Preset::Standard, Preset::Full] {
            let selection = Selection {
                preset,
                connections: Vec::new(),
            };
            let names: Vec<_> = WORKLOADS
                .iter()
                .flat_map(|workload| (workload.cell_specs)(&selection))
                .map(|cell_spec| cell_spec.name)
                .collect();
            let different: BTreeSet<_> = names.iter().collect();
            assert_eq!(different.len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn a_rate_that_depends_on_the_servers_is_that_of_an_open_loop() {
        for (_, cell_spec) in every_cell_spec() {
            let open = matches!(
                cell_spec.groups.first().map(|group| group.behavior),
                Some(Behavior::Open { .. })
            );
            assert!(
                cell_spec.rate_source == RateSource::Fixed || open,
                "{}",
                cell_spec.name
            );
        }
    }

    #[test]
    fn numbers_of_connections_replace_those_of_the_preset() {
        let selection = Selection {
            preset: Preset::Standard,
            connections: vec![3, 5],
        };
        let keepalive = named("keepalive").unwrap();
        let names: Vec<_> = (keepalive.cell_specs)(&selection)
            .into_iter()
            .map(|cell_spec| cell_spec.name)
            .collect();
        assert_eq!(names, ["keepalive c=3", "keepalive c=5"]);
    }
}
