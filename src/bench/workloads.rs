//! The workloads: a table, the cells of each, and the files that the clients ask for.

use super::types::{Arrivals, Behavior, Closer, Group, HASH_START, Page, Preset, hash_on};
use std::io;
use std::path::Path;

/// A workload.
#[derive(Debug)]
pub struct Workload {
    /// The name on the command line and in `run.json`.
    pub name: &'static str,
    /// What it shows, as a sentence.
    pub purpose: &'static str,
    /// The metrics beside the primary one that matter, the most important first.
    pub columns: &'static [&'static str],
    /// Options with which the models are started for it.
    pub options: &'static [&'static str],
    /// Whether it needs one of these options, which other programs do not have.
    pub models_only: bool,
    pub traits: WorkloadTraits,
    /// How much longer than usual it is measured.
    pub duration_factor: f64,
    /// Seconds of warm-up beyond the usual, until all connections are open.
    pub extra_warm_up: f64,
    pub cell_specs: fn(&Selection) -> Vec<CellSpec>,
}

/// What is unusual about the samples of a workload and still valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkloadTraits {
    /// Clients may get no response because other clients hold all workers. That is the result, not
    /// an error.
    pub may_starve: bool,
    /// The client aborts responses, so it receives less than the server has sent.
    pub client_aborts: bool,
}

impl WorkloadTraits {
    pub const NONE: Self = Self {
        may_starve: false,
        client_aborts: false,
    };
}

/// Which cells of a workload are run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    pub preset: Preset,
    /// Numbers of connections, if the command line has some.
    pub connections: Vec<u32>,
}

impl Selection {
    /// A cell for each number of the command line, or of the preset (quick, standard, full).
    fn each(&self, presets: [&[u32]; 3], cell: impl Fn(u32) -> CellSpec) -> Vec<CellSpec> {
        let [quick, standard, full] = presets;
        let numbers = match self.preset {
            _ if !self.connections.is_empty() => &self.connections,
            Preset::Quick => quick,
            Preset::Standard => standard,
            Preset::Full => full,
        };
        numbers.iter().map(|number| cell(*number)).collect()
    }

    /// The first number of the command line, or `usual`.
    fn first(&self, usual: u32) -> u32 {
        self.connections.first().copied().unwrap_or(usual)
    }
}

/// The load of a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CellSpec {
    /// Its name, which is unique.
    pub name: String,
    /// The metric that is compared.
    pub primary_metric: &'static str,
    pub description: String,
    pub groups: Vec<Group>,
    /// The rate of the first group is this share of the capacity of the slowest server.
    pub share_of_slowest: Option<f64>,
    /// Before the measurement, the first group opens these numbers of connections one after the
    /// other, to the same process, and memory is read at each: for the slope.
    pub memory_steps: Vec<u32>,
    /// Whether a server that serves one connection at a time can take part.
    pub single_connection: bool,
}

impl CellSpec {
    /// All connections that are open at once.
    pub fn connections(&self) -> u32 {
        self.groups.iter().map(|group| group.connections).sum()
    }
}

/// The columns of a workload that does not name others.
pub const USUAL_COLUMNS: &[&str] = &["throughput", "p99", "cpu", "switches", "memory", "fairness"];

/// A workload without anything unusual.
const USUAL: Workload = Workload {
    name: "",
    purpose: "",
    columns: USUAL_COLUMNS,
    options: &[],
    models_only: false,
    traits: WorkloadTraits::NONE,
    duration_factor: 1.0,
    extra_warm_up: 0.0,
    cell_specs: |_| Vec::new(),
};
/// Silent or slow connections may hold all workers.
const MAY_STARVE: WorkloadTraits = WorkloadTraits {
    may_starve: true,
    client_aborts: false,
};
/// The client closes slow connections in the middle of a response.
const CLIENT_ABORTS: WorkloadTraits = WorkloadTraits {
    may_starve: false,
    client_aborts: true,
};
const SLOW_CLIENTS: WorkloadTraits = WorkloadTraits {
    may_starve: true,
    client_aborts: true,
};

pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "keepalive",
        purpose: "The cost of a request on an open connection.",
        cell_specs: keepalive,
        ..USUAL
    },
    Workload {
        name: "short",
        purpose: "The cost of a connection: a table entry, a thread or a process is created.",
        columns: &["connects", "switches", "p99", "faults"],
        cell_specs: short,
        ..USUAL
    },
    Workload {
        name: "pipeline",
        purpose: "How many system calls are saved if several requests arrive together.",
        cell_specs: pipeline,
        ..USUAL
    },
    Workload {
        name: "large",
        purpose: "The cost of bytes, the same for all models: one that differs has a fault.",
        columns: &["bandwidth", "cpu_user", "switches"],
        cell_specs: large,
        ..USUAL
    },
    Workload {
        name: "latency",
        purpose: "The response time at a fixed rate, which every model can serve.",
        columns: &["p99", "p999", "cpu", "switches", "service_p99"],
        cell_specs: latency,
        ..USUAL
    },
    Workload {
        name: "sweep",
        purpose: "What an open connection costs each request: one rate over more and more of them.",
        columns: &["p99", "cpu", "switches", "memory"],
        extra_warm_up: 1.0,
        cell_specs: sweep,
        ..USUAL
    },
    Workload {
        name: "mixed",
        purpose: "Whether mice, small requests, wait behind elephants, clients with large files.",
        columns: &["mice.p99", "mice.p999", "bandwidth", "switches"],
        traits: CLIENT_ABORTS,
        duration_factor: 2.0,
        cell_specs: mixed,
        ..USUAL
    },
    Workload {
        name: "burn",
        purpose: "Whether mice, small requests, wait while another request computes for 20 ms.",
        columns: &["mice.p50", "mice.p999", "mice.max", "switches"],
        options: &["--burn", "20"],
        models_only: true,
        cell_specs: burn,
        ..USUAL
    },
    Workload {
        name: "idle",
        purpose: "The memory of a silent connection; the canary is a small request beside them.",
        columns: &[
            "canary.p99",
            "canary.achieved",
            "threads",
            "processes",
            "virtual",
        ],
        // Without this option the kernel holds a silent connection back for a second.
        options: &["--no-defer-accept"],
        traits: MAY_STARVE,
        duration_factor: 0.5,
        extra_warm_up: 0.25,
        cell_specs: idle,
        ..USUAL
    },
    Workload {
        name: "slowloris",
        purpose: "Whether clients that send one byte per second hold the workers of others.",
        columns: &["normal.achieved", "normal.p50", "threads", "memory"],
        options: &["--no-defer-accept"],
        traits: SLOW_CLIENTS,
        duration_factor: 2.0,
        extra_warm_up: 0.5,
        cell_specs: slowloris,
        ..USUAL
    },
    Workload {
        name: "slowread",
        purpose: "Whether clients that hardly read hold the workers of others.",
        columns: &["canary.achieved", "canary.p50", "threads", "memory"],
        traits: SLOW_CLIENTS,
        duration_factor: 2.0,
        extra_warm_up: 0.5,
        cell_specs: slowread,
        ..USUAL
    },
];

pub fn named(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

/// The names of the workloads of a preset.
pub fn of_preset(preset: Preset) -> Vec<&'static str> {
    match preset {
        Preset::Quick => vec!["keepalive", "short", "mixed", "idle"],
        Preset::Standard => vec!["keepalive", "latency", "short", "mixed", "burn", "idle"],
        Preset::Full => WORKLOADS.iter().map(|workload| workload.name).collect(),
    }
}

/// Requests that may wait for a free connection: about as many as are due in a second.
const MOST_WAITING: u32 = 20_000;
/// Small requests per second beside another load: enough for a 99th percentile in a second, and a
/// few percent of the capacity of a server.
const MICE: f64 = 500.0;
/// Bytes per second of an elephant. All of them together receive a small part of what the generator
/// can, so the mice wait for the server and not for the generator.
const ELEPHANT: f64 = 50e6;

fn group(name: &str, connections: u32, behavior: Behavior, pages: Vec<Page>) -> Group {
    Group {
        name: name.to_owned(),
        connections,
        behavior,
        pages,
    }
}

fn closed(connections: u32, depth: u32, page: Page) -> Group {
    group("main", connections, Behavior::Closed { depth }, vec![page])
}

/// The load that measures the capacity of a server, before any rate is set.
pub fn probe() -> Group {
    closed(64, 1, small())
}

fn open(name: &str, connections: u32, rate: f64, arrivals: Arrivals, page: Page) -> Group {
    let behavior = Behavior::Open {
        rate,
        arrivals,
        max_waiting: MOST_WAITING,
    };
    group(name, connections, behavior, vec![page])
}

/// Small requests at a constant rate, which show whether the server still serves other clients.
fn canary(name: &str, connections: u32, rate: f64) -> Group {
    open(name, connections, rate, Arrivals::Constant, small())
}

fn mice() -> Group {
    open("mice", 32, MICE, Arrivals::Poisson, small())
}

/// With one connection, server and generator take turns, and the rate of both together counts. With
/// many connections the generator is the limit for the fastest servers. Responses per second of the
/// server's CPU time are the same number where the server is the limit, and are still a number of
/// the server where the generator is.
fn keepalive(selection: &Selection) -> Vec<CellSpec> {
    selection.each([&[64], &[1, 64], &[1, 8, 64, 512]], |c| {
        let (primary_metric, s) = match c {
            1 => ("throughput", ""),
            _ => ("per_core", "s"),
        };
        CellSpec {
            name: format!("keepalive c={c}"),
            primary_metric,
            description: format!("closed loop, {c} connection{s}, 1 KiB"),
            groups: vec![closed(c, 1, small())],
            single_connection: c == 1,
            ..CellSpec::default()
        }
    })
}

fn short(selection: &Selection) -> Vec<CellSpec> {
    let of = |closer: Closer, word: &str| {
        // Enough connections to keep a server busy, and few enough to be accepted at once.
        selection.each([&[16]; 3], |c| CellSpec {
            name: format!("short {word} c={c}"),
            primary_metric: "cpu_connection",
            description: format!(
                "closed loop, {c} at once, a new connection for each request, which the {word} \
                 closes"
            ),
            groups: vec![group("main", c, Behavior::Short { closer }, vec![small()])],
            single_connection: true,
            ..CellSpec::default()
        })
    };
    let mut cells = of(Closer::Client, "client");
    if selection.preset == Preset::Full {
        cells.extend(of(Closer::Server, "server"));
    }
    cells
}

fn pipeline(selection: &Selection) -> Vec<CellSpec> {
    let c = selection.first(16);
    let cell = |depth: u32| CellSpec {
        name: format!("pipeline depth={depth}"),
        primary_metric: "per_core",
        description: format!("closed loop, {c} connections, {depth} requests at a time"),
        groups: vec![closed(c, depth, small())],
        ..CellSpec::default()
    };
    [1, 4, 16].map(cell).to_vec()
}

fn large(selection: &Selection) -> Vec<CellSpec> {
    selection.each([&[4]; 3], |c| CellSpec {
        name: format!("large c={c}"),
        primary_metric: "cpu_gigabyte",
        description: format!("closed loop, {c} connections, 16 MiB"),
        groups: vec![closed(c, 1, large_file())],
        ..CellSpec::default()
    })
}

fn latency(selection: &Selection) -> Vec<CellSpec> {
    let c = selection.first(64);
    vec![CellSpec {
        name: "latency common".to_owned(),
        primary_metric: "p50",
        description: format!(
            "Poisson arrivals at 60 % of the capacity of the slowest server, {c} connections"
        ),
        groups: vec![open("main", c, 0.0, Arrivals::Poisson, small())],
        share_of_slowest: Some(0.6),
        ..CellSpec::default()
    }]
}

fn sweep(selection: &Selection) -> Vec<CellSpec> {
    const RATE: f64 = 5000.0;
    let presets: [&[u32]; 3] = [&[64], &[16, 1000], &[1, 10, 100, 1000, 4000, 8000]];
    selection.each(presets, |c| CellSpec {
        name: format!("sweep c={c}"),
        primary_metric: "p50",
        description: format!("{RATE} requests per second at equal distances over {c} connections"),
        groups: vec![canary("main", c, RATE)],
        single_connection: c == 1,
        ..CellSpec::default()
    })
}

fn mixed(selection: &Selection) -> Vec<CellSpec> {
    let slow = Behavior::SlowRead {
        rate: ELEPHANT,
        buffer: 1024 * 1024,
    };
    let elephants = |number: u32| group("elephants", number, slow, vec![large_file()]);
    selection.each([&[4]; 3], |number| CellSpec {
        name: format!("mixed elephants={number}"),
        primary_metric: "mice.p50",
        description: format!(
            "{number} elephants, which download 16 MiB at {} MB/s each, and {MICE} mice per second",
            ELEPHANT / 1e6
        ),
        groups: vec![elephants(number), mice()],
        ..CellSpec::default()
    })
}

fn burn(_: &Selection) -> Vec<CellSpec> {
    const BURNS: f64 = 5.0;
    vec![CellSpec {
        name: "burn 20ms".to_owned(),
        primary_metric: "mice.p99",
        description: format!(
            "{BURNS} requests per second that compute for 20 ms each, and {MICE} mice per second"
        ),
        groups: vec![
            open("burners", 4, BURNS, Arrivals::Constant, burn_page()),
            mice(),
        ],
        ..CellSpec::default()
    }]
}

fn idle(selection: &Selection) -> Vec<CellSpec> {
    let presets: [&[u32]; 3] = [&[500], &[1000], &[1000, 2000, 5000, 10_000]];
    selection.each(presets, |c| CellSpec {
        name: format!("idle c={c}"),
        primary_metric: "memory_slope",
        description: format!(
            "{c} silent connections (memory is also read at none and at half of them), and 50 \
             canary requests per second; the kernel's memory is that of both ends"
        ),
        groups: vec![
            group("silent", c, Behavior::Silent, Vec::new()),
            canary("canary", 2, 50.0),
        ],
        memory_steps: vec![0, c / 2],
        ..CellSpec::default()
    })
}

fn slowloris(selection: &Selection) -> Vec<CellSpec> {
    selection.each([&[500]; 3], |c| CellSpec {
        name: format!("slowloris c={c}"),
        primary_metric: "normal.p99",
        description: format!(
            "{c} clients that send one byte of a head per second, and 200 normal requests per \
             second over 50 connections"
        ),
        groups: vec![
            group("drip", c, Behavior::Drip { rate: 1.0 }, Vec::new()),
            canary("normal", 50, 200.0),
        ],
        ..CellSpec::default()
    })
}

fn slowread(selection: &Selection) -> Vec<CellSpec> {
    let slow = Behavior::SlowRead {
        rate: 20_000.0,
        buffer: 4096,
    };
    let readers = |c: u32| group("readers", c, slow, vec![page("/4m.bin", 4 * MIB)]);
    selection.each([&[200]; 3], |c| CellSpec {
        name: format!("slowread c={c}"),
        primary_metric: "canary.p99",
        description: format!(
            "{c} clients that read 4 MiB at 20 kB/s, and 200 canary requests per second"
        ),
        groups: vec![readers(c), canary("canary", 50, 200.0)],
        ..CellSpec::default()
    })
}

const MIB: u64 = 1024 * 1024;

/// The page of 1 KiB, for which most workloads ask.
pub fn small() -> Page {
    page("/1k.html", 1024)
}

/// The file of 16 MiB, for which an elephant asks.
fn large_file() -> Page {
    page("/16m.bin", 16 * MIB)
}

/// The address that takes CPU time (the server's option `--burn`). The response says how much.
fn burn_page() -> Page {
    Page {
        length: None,
        hash: None,
        ..page("/burn", 0)
    }
}

/// A longer body than 1 MiB is not hashed: that would delay the generator.
fn page(path: &str, length: u64) -> Page {
    let hash = (length <= MIB).then(|| bytes(length).fold(HASH_START, hash_on));
    Page {
        path: path.to_owned(),
        status: 200,
        length: Some(length),
        hash,
    }
}

/// The bytes of a file. They repeat after 95, which does not divide the size of a buffer. So a
/// missing or doubled piece shifts all bytes that follow, and the hash differs.
fn bytes(length: u64) -> impl Iterator<Item = u8> {
    (b' '..=b'~')
        .cycle()
        .take(usize::try_from(length).unwrap_or(0))
}

/// Writes the files of these pages into `root`. A page without a length is not a file.
pub fn write<'a>(root: &Path, pages: impl Iterator<Item = &'a Page>) -> io::Result<()> {
    for page in pages {
        let Some(length) = page.length else { continue };
        let path = root.join(page.path.trim_start_matches('/'));
        if path.exists() {
            continue;
        }
        std::fs::write(&path, bytes(length).collect::<Vec<_>>())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::metrics::metric_named;
    use crate::bench::types::body_hash;
    use std::collections::BTreeSet;

    fn cells(preset: Preset) -> impl Iterator<Item = (&'static Workload, CellSpec)> {
        let connections = Vec::new();
        let selection = Selection {
            preset,
            connections,
        };
        let of = move |workload: &'static Workload| {
            let cells = (workload.cell_specs)(&selection).into_iter();
            cells.map(move |cell| (workload, cell))
        };
        WORKLOADS.iter().flat_map(of)
    }

    #[test]
    fn each_cell_of_a_run_has_one_name_a_metric_of_one_of_its_groups_and_a_line_in_the_document() {
        let document = include_str!("../../docs/bench.md");
        for preset in [Preset::Quick, Preset::Standard, Preset::Full] {
            let mut names = BTreeSet::new();
            for (workload, cell) in cells(preset) {
                let name = &cell.name;
                assert!(
                    names.insert(name.clone()) && name.starts_with(workload.name),
                    "{name}"
                );
                assert!(metric_named(cell.primary_metric).is_some(), "{name}");
                if let Some((group, _)) = cell.primary_metric.split_once('.') {
                    assert!(
                        cell.groups[1..].iter().any(|one| one.name == group),
                        "{name}"
                    );
                }
                let row = format!("| {} | ", workload.name);
                let row = document
                    .lines()
                    .find(|line| line.starts_with(&row))
                    .expect(name);
                assert!(row.contains(&format!("`{}`", cell.primary_metric)), "{row}");
            }
        }
        for name in WORKLOADS.iter().flat_map(|workload| workload.columns) {
            assert!(metric_named(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_file_has_the_length_and_the_hash_of_its_page() {
        let root = tempfile::tempdir().unwrap();
        let pages = [small(), burn_page(), page("/1m.bin", MIB)];
        write(root.path(), pages.iter()).unwrap();
        for page in pages.iter().filter(|page| page.length.is_some()) {
            let body = std::fs::read(root.path().join(&page.path[1..])).unwrap();
            assert_eq!(Some(body.len() as u64), page.length);
            assert_eq!(Some(body_hash(&body)), page.hash);
            assert_ne!(
                body[..512],
                body[512..1024],
                "a missing piece changes the bytes"
            );
        }
        assert!(!root.path().join("burn").exists());
    }
}
