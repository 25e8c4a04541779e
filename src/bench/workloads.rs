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
    fn single_connection(self, single_connection: bool) -> Self {
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
        // With one connection, server and generator take turns, and the rate of both together
        // counts. With many the generator is the limit for the fastest servers: responses per
        // second of the server's CPU time are a number of the server in any case.
        cell_specs: |selection| {
            selection.each([&[64], &[1, 64], &[1, 8, 64, 512]], |c| {
                let (metric, s) = if c == 1 {
                    ("throughput", "")
                } else {
                    ("per_core", "s")
                };
                let load = format!("closed loop, {c} connection{s}, 1 KiB");
                let cell = cell(format!("keepalive c={c}"), metric, load, vec![closed(c)]);
                cell.single_connection(c == 1)
            })
        },
        ..USUAL
    },
    Workload {
        name: "short",
        purpose: "The cost of a connection: a table entry, a thread or a process is created.",
        columns: &["connects", "switches", "p99", "faults"],
        cell_specs: |selection| {
            let of = |closer: Closer, word: &str| {
                // Enough connections to keep a server busy, and few enough to be accepted at once.
                selection.each([&[16]; 3], |c| {
                    let load = format!(
                        "closed loop, {c} at once, a new connection for each request, which the \
                         {word} closes"
                    );
                    let group = group("main", c, Behavior::Short { closer }, small());
                    let name = format!("short {word} c={c}");
                    cell(name, "cpu_connection", load, vec![group]).single_connection(true)
                })
            };
            let mut cells = of(Closer::Client, "client");
            if selection.preset == Preset::Full {
                cells.extend(of(Closer::Server, "server"));
            }
            cells
        },
        ..USUAL
    },
    Workload {
        name: "latency",
        purpose: "The response time at a fixed rate, which every model can serve.",
        columns: &["p99", "p999", "cpu", "switches", "service_p99"],
        cell_specs: |selection| {
            let c = selection.connections.first().copied().unwrap_or(64);
            let load = format!(
                "Poisson arrivals at 60 % of the capacity of the slowest server, {c} connections"
            );
            let groups = vec![open("main", c, 0.0, Arrivals::Poisson, small())];
            vec![CellSpec {
                share_of_slowest: Some(0.6),
                ..cell("latency common".to_owned(), "p50", load, groups)
            }]
        },
        ..USUAL
    },
    Workload {
        name: "sweep",
        purpose: "What an open connection costs each request: one rate over more and more of them.",
        columns: &["p99", "cpu", "switches", "memory"],
        extra_warm_up: 1.0,
        cell_specs: |selection| {
            selection.each([&[64], &[16, 1000], &[1, 10, 100, 1000, 4000, 8000]], |c| {
                let load =
                    format!("5000 requests per second at equal distances over {c} connections");
                let groups = vec![canary("main", c, 5000.0)];
                cell(format!("sweep c={c}"), "p50", load, groups).single_connection(c == 1)
            })
        },
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
        // All elephants together receive a small part of what the generator can, so the mice wait
        // for the server and not for the generator.
        cell_specs: |selection| {
            selection.each([&[4]; 3], |elephants| {
                let load = format!(
                    "{elephants} elephants, which download 16 MiB at 50 MB/s each, and {MICE} mice \
                     per second"
                );
                let slow = Behavior::SlowRead {
                    rate: 50e6,
                    buffer: 1024 * 1024,
                };
                let page = page("/16m.bin", 16 * MIB);
                let groups = vec![group("elephants", elephants, slow, page), mice()];
                cell(
                    format!("mixed elephants={elephants}"),
                    "mice.p50",
                    load,
                    groups,
                )
            })
        },
        ..USUAL
    },
    Workload {
        name: "burn",
        purpose: "Whether mice, small requests, wait while another request computes for 20 ms.",
        columns: &["mice.p50", "mice.p999", "mice.max", "switches"],
        options: &["--burn", "20"],
        models_only: true,
        duration_factor: 2.0,
        cell_specs: |_| {
            let load = format!(
                "5 requests per second that compute for 20 ms each, and {MICE} mice per second"
            );
            let burners = open("burners", 4, 5.0, Arrivals::Constant, burn_page());
            vec![cell(
                "burn 20ms".to_owned(),
                "mice.p99",
                load,
                vec![burners, mice()],
            )]
        },
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
        extra_warm_up: 0.25,
        cell_specs: |selection| {
            selection.each([&[500], &[1000], &[1000, 2000, 5000, 10_000]], |c| {
                let load = format!(
                    "{c} silent connections (memory is also read at none and at half of them), and \
                     50 canary requests per second; the kernel's memory is that of both ends"
                );
                let silent = Group {
                    page: None,
                    ..group("silent", c, Behavior::Silent, small())
                };
                let groups = vec![silent, canary("canary", 2, 50.0)];
                CellSpec {
                    memory_steps: vec![0, c / 2],
                    ..cell(format!("idle c={c}"), "memory_slope", load, groups)
                }
            })
        },
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

/// Small requests per second beside another load: enough for a 99th percentile in a second, and a
/// few percent of the capacity of a server.
const MICE: f64 = 500.0;

fn cell(
    name: String,
    primary_metric: &'static str,
    description: String,
    groups: Vec<Group>,
) -> CellSpec {
    CellSpec {
        name,
        primary_metric,
        description,
        groups,
        ..CellSpec::default()
    }
}

fn group(name: &str, connections: u32, behavior: Behavior, page: Page) -> Group {
    Group {
        name: name.to_owned(),
        connections,
        behavior,
        page: Some(page),
    }
}

fn closed(connections: u32) -> Group {
    group("main", connections, Behavior::Closed, small())
}

/// The load that measures the capacity of a server, before any rate is set.
pub fn probe() -> Group {
    closed(64)
}

fn open(name: &str, connections: u32, rate: f64, arrivals: Arrivals, page: Page) -> Group {
    let behavior = Behavior::Open {
        rate,
        arrivals,
        // About as many as are due in a second.
        max_waiting: 20_000,
    };
    group(name, connections, behavior, page)
}

/// Small requests at a constant rate, which show whether the server still serves other clients.
fn canary(name: &str, connections: u32, rate: f64) -> Group {
    open(name, connections, rate, Arrivals::Constant, small())
}

fn mice() -> Group {
    open("mice", 32, MICE, Arrivals::Poisson, small())
}

const MIB: u64 = 1024 * 1024;

/// The page of 1 KiB, for which most workloads ask.
pub fn small() -> Page {
    page("/1k.html", 1024)
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
