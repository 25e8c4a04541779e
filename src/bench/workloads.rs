//! The workloads: a table, the cells of each, and the files that the clients ask for.

use super::types::{Arrivals, Behavior, Closer, Group, HASH_START, Page, Preset, hash_on};
use std::collections::BTreeMap;
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
    /// The server is stopped for a while, or gets more load than it can serve.
    pub overloads: bool,
    /// The server's descriptors are counted before and after.
    pub counts_descriptors: bool,
    /// Its files are removed from the page cache again and again.
    pub cold_cache: bool,
}

impl WorkloadTraits {
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
    pub preset: Preset,
    /// Numbers of connections, if the command line has some.
    pub connections: Vec<u32>,
}

impl Selection {
    /// The numbers of the command line, or those of the preset.
    fn numbers(&self, [quick, standard, full]: [&[u32]; 3]) -> Vec<u32> {
        match self.preset {
            _ if !self.connections.is_empty() => self.connections.clone(),
            Preset::Quick => quick.to_vec(),
            Preset::Standard => standard.to_vec(),
            Preset::Full => full.to_vec(),
        }
    }

    /// A cell for each number of connections.
    fn each(&self, presets: [&[u32]; 3], cell: impl Fn(u32) -> CellSpec) -> Vec<CellSpec> {
        let numbers = self.numbers(presets).into_iter();
        numbers.map(|c| cell(c).with("c", c.into())).collect()
    }

    /// The first number of the command line, or `usual`.
    fn first(&self, usual: u32) -> u32 {
        self.connections.first().copied().unwrap_or(usual)
    }
}

/// The load of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellSpec {
    /// Its name, which is unique.
    pub name: String,
    /// The parameters that differ between the cells of a workload, by name.
    pub parameters: BTreeMap<String, f64>,
    pub description: String,
    /// The metric that is compared.
    pub primary_metric: &'static str,
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

    fn rate(self, rate_source: RateSource) -> Self {
        Self {
            rate_source,
            ..self
        }
    }

    fn single(self, single_connection: bool) -> Self {
        Self {
            single_connection,
            ..self
        }
    }

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
        name: "churn",
        purpose: "Clients that disappear. Afterwards every descriptor must be closed.",
        columns: &["connects", "switches", "leaked_descriptors", "faults"],
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
        purpose: "The response time at a fixed rate, which every model can serve.",
        columns: &["p99", "p999", "cpu", "switches", "service_p99"],
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
        traits: WorkloadTraits {
            client_aborts: true,
            ..WorkloadTraits::NONE
        },
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
        name: "coldfile",
        purpose: "Whether mice, small requests, wait while a file is read from the disk.",
        columns: &["mice.p50", "mice.p999", "mice.max", "switches"],
        traits: WorkloadTraits {
            cold_cache: true,
            ..WorkloadTraits::NONE
        },
        cell_specs: coldfile,
        ..USUAL
    },
    Workload {
        name: "stall",
        purpose: "That a server which is stopped for 200 ms is visible in an open loop only.",
        columns: &["p50", "max", "throughput", "recovery"],
        models_only: true,
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
        traits: WorkloadTraits {
            may_starve: true,
            ..WorkloadTraits::NONE
        },
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
        traits: WorkloadTraits {
            may_starve: true,
            client_aborts: true,
            ..WorkloadTraits::NONE
        },
        duration_factor: 2.0,
        extra_warm_up: 0.5,
        cell_specs: slowloris,
        ..USUAL
    },
    Workload {
        name: "slowread",
        purpose: "Whether clients that hardly read hold the workers of others.",
        columns: &["canary.achieved", "canary.p50", "threads", "memory"],
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

fn closed(connections: u32, depth: u32) -> Group {
    group(
        "main",
        connections,
        Behavior::Closed { depth },
        vec![small()],
    )
}

/// The load that measures the capacity of a server, before any rate is set.
pub fn probe() -> Group {
    closed(64, 1)
}

fn short_lived(connections: u32, closer: Closer, resets: u32) -> Group {
    group(
        "main",
        connections,
        Behavior::Short { closer, resets },
        vec![small()],
    )
}

fn open(
    name: &str,
    connections: u32,
    (rate, arrivals): (f64, Arrivals),
    pages: Vec<Page>,
) -> Group {
    let behavior = Behavior::Open {
        rate,
        arrivals,
        max_waiting: MOST_WAITING,
    };
    group(name, connections, behavior, pages)
}

/// Small requests at a constant rate, which show whether the server still serves other clients.
fn canary(name: &str, connections: u32, rate: f64) -> Group {
    open(name, connections, (rate, Arrivals::Constant), vec![small()])
}

fn mice() -> Group {
    open("mice", 32, (MICE, Arrivals::Poisson), vec![small()])
}

/// An open loop whose rate follows from the capacity of the servers.
fn paced(connections: u32) -> Group {
    open("main", connections, (0.0, Arrivals::Poisson), vec![small()])
}

/// With one connection, server and generator take turns, and the rate of both together counts. With
/// many connections the generator is the limit for the fastest servers. Responses per second of the
/// server's CPU time are the same number where the server is the limit, and are still a number of
/// the server where the generator is.
fn keepalive(selection: &Selection) -> Vec<CellSpec> {
    selection.each([&[64], &[1, 64], &[1, 8, 64, 512]], |c| {
        let (metric, s) = if c == 1 {
            ("throughput", "")
        } else {
            ("per_core", "s")
        };
        let description = format!("closed loop, {c} connection{s}, 1 KiB");
        let cell = CellSpec::new(format!("keepalive c={c}"), metric, description);
        cell.group(closed(c, 1)).single(c == 1)
    })
}

fn short(selection: &Selection) -> Vec<CellSpec> {
    let of = |closer: Closer, word: &str| {
        // Enough connections to keep a server busy, and few enough to be accepted at once.
        selection.each([&[16]; 3], |c| {
            let description = format!(
                "closed loop, {c} at once, a new connection for each request, which the {word} \
                 closes"
            );
            let cell = CellSpec::new(format!("short {word} c={c}"), "cpu_connection", description);
            cell.group(short_lived(c, closer, 0)).single(true)
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
    let cell = |depth: u32| {
        let description = format!("closed loop, {c} connections, {depth} requests at a time");
        let cell = CellSpec::new(format!("pipeline depth={depth}"), "per_core", description);
        cell.with("depth", depth.into())
            .with("c", c.into())
            .group(closed(c, depth))
    };
    [1, 4, 16].map(cell).to_vec()
}

fn large(selection: &Selection) -> Vec<CellSpec> {
    selection.each([&[4]; 3], |c| {
        let description = format!("closed loop, {c} connections, 16 MiB");
        let group = group("main", c, Behavior::Closed { depth: 1 }, vec![large_file()]);
        CellSpec::new(format!("large c={c}"), "cpu_gigabyte", description).group(group)
    })
}

fn churn(selection: &Selection) -> Vec<CellSpec> {
    selection.each([&[64]; 3], |c| {
        let description = format!(
            "closed loop, {c} at once, a new connection for each request, of which the client \
             resets 30 %"
        );
        let cell = CellSpec::new(format!("churn c={c}"), "cpu_connection", description);
        cell.group(short_lived(c, Closer::Client, 30)).single(true)
    })
}

fn latency(selection: &Selection) -> Vec<CellSpec> {
    let c = selection.first(64);
    let description =
        format!("Poisson arrivals at 60 % of the capacity of the slowest server, {c} connections");
    let common = CellSpec::new("latency common".to_owned(), "p50", description);
    let common = common.with("c", c.into()).group(paced(c));
    let mut cells = vec![common.rate(RateSource::ShareOfSlowest(0.6))];
    if selection.preset == Preset::Full {
        cells.extend([50, 75, 90].map(|part| own_share("latency own", "p50", part, c)));
    }
    cells
}

fn own_share(name: &str, metric: &'static str, part: u32, connections: u32) -> CellSpec {
    let description = format!(
        "Poisson arrivals at {part} % of the capacity of the server itself, {connections} \
         connections"
    );
    let share = f64::from(part) / 100.0;
    let cell = CellSpec::new(format!("{name} {part}%"), metric, description);
    let cell = cell.with("load", share).group(paced(connections));
    cell.rate(RateSource::ShareOfOwn(share))
}

fn overload(selection: &Selection) -> Vec<CellSpec> {
    let c = selection.first(256);
    [120, 200]
        .map(|part| own_share("overload", "throughput", part, c))
        .to_vec()
}

fn sweep(selection: &Selection) -> Vec<CellSpec> {
    const RATE: f64 = 5000.0;
    selection.each([&[64], &[16, 1000], &[1, 10, 100, 1000, 4000, 8000]], |c| {
        let description =
            format!("{RATE} requests per second at equal distances over {c} connections");
        let cell = CellSpec::new(format!("sweep c={c}"), "p50", description);
        cell.group(canary("main", c, RATE)).single(c == 1)
    })
}

fn mixed(selection: &Selection) -> Vec<CellSpec> {
    let cell = |elephants: u32| {
        let description = format!(
            "{elephants} elephants, which download 16 MiB at {} MB/s each, and {MICE} mice per \
             second",
            ELEPHANT / 1e6
        );
        let slow = Behavior::SlowRead {
            rate: ELEPHANT,
            buffer: 1024 * 1024,
        };
        let group = group("elephants", elephants, slow, vec![large_file()]);
        let cell = CellSpec::new(
            format!("mixed elephants={elephants}"),
            "mice.p50",
            description,
        );
        cell.with("elephants", elephants.into())
            .group(group)
            .group(mice())
    };
    selection.numbers([&[4]; 3]).into_iter().map(cell).collect()
}

fn burn(_: &Selection) -> Vec<CellSpec> {
    const BURNS: f64 = 5.0;
    let description = format!(
        "{BURNS} requests per second that compute for 20 ms each, and {MICE} mice per second"
    );
    let burners = open("burners", 4, (BURNS, Arrivals::Constant), vec![burn_page()]);
    let cell = CellSpec::new("burn 20ms".to_owned(), "mice.p99", description);
    vec![cell.with("ms", 20.0).group(burners).group(mice())]
}

fn coldfile(_: &Selection) -> Vec<CellSpec> {
    const READS: f64 = 20.0;
    let description = format!(
        "{READS} requests per second for 1 MiB that is not in the page cache, and {MICE} mice per \
         second"
    );
    let readers = open("readers", 8, (READS, Arrivals::Constant), cold());
    let cell = CellSpec::new("coldfile 1MiB".to_owned(), "mice.p99", description);
    vec![cell.with("rate", READS).group(readers).group(mice())]
}

fn stall(_: &Selection) -> Vec<CellSpec> {
    const RATE: f64 = 2000.0;
    let cell = |name: &str, load: String, group: Group| {
        let description = format!("{load}; the server is stopped for 200 ms");
        let cell = CellSpec::new(format!("stall {name}"), "p99", description);
        let stall = Some((0.25, 200_000_000));
        CellSpec {
            stall,
            ..cell.with("ms", 200.0).group(group)
        }
    };
    vec![
        cell("closed", "closed loop, 64 connections".to_owned(), probe()),
        cell(
            "open",
            format!("{RATE} requests per second at equal distances"),
            canary("main", 64, RATE),
        ),
    ]
}

fn idle(selection: &Selection) -> Vec<CellSpec> {
    selection.each([&[500], &[1000], &[1000, 2000, 5000, 10_000]], |c| {
        let description = format!(
            "{c} silent connections (memory is also read at none and at half of them), and 50 \
             canary requests per second; the kernel's memory is that of both ends"
        );
        let cell = CellSpec::new(format!("idle c={c}"), "memory_slope", description)
            .group(group("silent", c, Behavior::Silent, Vec::new()))
            .group(canary("canary", 2, 50.0));
        CellSpec {
            memory_steps: vec![0, c / 2],
            ..cell
        }
    })
}

fn slowloris(selection: &Selection) -> Vec<CellSpec> {
    selection.each([&[500]; 3], |c| {
        let description = format!(
            "{c} clients that send one byte of a head per second, and 200 normal requests per \
             second over 50 connections"
        );
        CellSpec::new(format!("slowloris c={c}"), "normal.p99", description)
            .group(group("drip", c, Behavior::Drip { rate: 1.0 }, Vec::new()))
            .group(canary("normal", 50, 200.0))
    })
}

fn slowread(selection: &Selection) -> Vec<CellSpec> {
    selection.each([&[200]; 3], |c| {
        let description =
            format!("{c} clients that read 4 MiB at 20 kB/s, and 200 canary requests per second");
        let slow = Behavior::SlowRead {
            rate: 20_000.0,
            buffer: 4096,
        };
        CellSpec::new(format!("slowread c={c}"), "canary.p99", description)
            .group(group("readers", c, slow, vec![page("/4m.bin", 4 * MIB)]))
            .group(canary("canary", 50, 200.0))
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

/// The files that are removed from the page cache.
pub fn cold() -> Vec<Page> {
    (0..32)
        .map(|number| page(&format!("/cold/{number}.bin"), MIB))
        .collect()
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
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, bytes(length).collect::<Vec<_>>())?;
        // A page that is not yet on the disk cannot be removed from the page cache.
        std::fs::File::open(&path)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::metrics::metric_named;
    use crate::bench::types::body_hash;
    use std::collections::BTreeSet;

    const PRESETS: [Preset; 3] = [Preset::Quick, Preset::Standard, Preset::Full];

    fn cells(preset: Preset) -> impl Iterator<Item = (&'static Workload, CellSpec)> {
        let selection = Selection {
            preset,
            connections: Vec::new(),
        };
        let of = move |workload: &'static Workload| {
            let cells = (workload.cell_specs)(&selection).into_iter();
            cells.map(move |cell| (workload, cell))
        };
        WORKLOADS.iter().flat_map(of)
    }

    #[test]
    fn each_preset_has_known_workloads() {
        let of = |preset| of_preset(preset).into_iter().collect::<BTreeSet<_>>();
        assert!(of(Preset::Quick).is_subset(&of(Preset::Standard)));
        assert!(of(Preset::Standard).is_subset(&of(Preset::Full)));
    }

    #[test]
    fn each_cell_of_a_run_has_one_name_a_metric_of_one_of_its_groups_and_a_line_in_the_document() {
        let document = include_str!("../../docs/bench.md");
        for preset in PRESETS {
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
                let first = matches!(cell.groups[0].behavior, Behavior::Open { .. });
                assert!(cell.rate_source == RateSource::Fixed || first, "{name}");
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
    fn numbers_of_connections_replace_those_of_the_preset() {
        let selection = Selection {
            preset: Preset::Standard,
            connections: vec![3, 5],
        };
        let cells = (named("keepalive").unwrap().cell_specs)(&selection);
        let names: Vec<_> = cells.into_iter().map(|cell| cell.name).collect();
        assert_eq!(names, ["keepalive c=3", "keepalive c=5"]);
    }

    #[test]
    fn a_file_has_the_length_and_the_hash_of_its_page() {
        let root = tempfile::tempdir().unwrap();
        let pages = [small(), burn_page(), cold().remove(0)];
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
