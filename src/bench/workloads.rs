//! The workloads: a table, the cells of each, and the files that the clients ask for.

use super::types::{Arrivals, Behavior, Group, Page, body_hash};
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
    /// Clients may get no response because other clients hold all workers. That is the result, not
    /// an error.
    pub may_starve: bool,
    /// The client aborts responses, so it receives less than the server has sent.
    pub client_aborts: bool,
    /// How much longer than usual it is measured.
    pub duration_factor: f64,
    /// Seconds of warm-up beyond the usual, until all connections are open.
    pub extra_warm_up: f64,
    /// Its cells, without its name.
    specs: fn(&Selection) -> Vec<CellSpec>,
}

/// The size of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// About two minutes, without verdicts.
    Quick,
    /// The default.
    Standard,
    /// All workloads, about 70 minutes.
    Full,
}

/// Which cells of a workload are run.
#[derive(Clone, Debug)]
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

/// A load under which servers are compared.
#[derive(Clone, Debug)]
pub struct CellSpec {
    pub workload: &'static Workload,
    /// A unique name: `keepalive c=64`.
    pub name: String,
    pub primary_metric: &'static str,
    pub description: String,
    pub groups: Vec<Group>,
    /// The rate of the first group is this share of the capacity of the slowest server.
    pub share_of_slowest: Option<f64>,
}

impl CellSpec {
    /// All connections that are open at once.
    pub fn connections(&self) -> u32 {
        self.groups.iter().map(|group| group.connections).sum()
    }

    /// Whether a server that serves one connection at a time can take part.
    pub fn allows_sequential(&self) -> bool {
        let mut groups = self.groups.iter();
        self.connections() == 1 || groups.all(|group| group.behavior == Behavior::Short)
    }

    /// Whether the process is first measured without its first group, so that the difference of the
    /// memory is that of its connections.
    pub fn has_base(&self) -> bool {
        self.primary_metric == "memory_slope"
    }

    /// A closed loop in place of the load: it measures the capacity of a server.
    pub fn probe(&self, connections: u32) -> Self {
        Self {
            primary_metric: "throughput",
            groups: vec![closed(connections)],
            share_of_slowest: None,
            ..self.clone()
        }
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
    may_starve: false,
    client_aborts: false,
    duration_factor: 1.0,
    extra_warm_up: 0.0,
    specs: |_| Vec::new(),
};

pub static WORKLOADS: &[Workload] = &[
    Workload {
        name: "keepalive",
        purpose: "The cost of a request on an open connection.",
        // With one connection, server and generator take turns, and the rate of both together
        // counts. With many the generator is the limit for the fastest servers: responses per
        // second of the server's CPU time are a number of the server in any case.
        specs: |selection| {
            selection.each([&[64], &[1, 64], &[1, 8, 64, 512]], |c| {
                let (metric, s) = match c {
                    1 => ("throughput", ""),
                    _ => ("per_core", "s"),
                };
                let load = format!("closed loop, {c} connection{s}, 1 KiB");
                cell(format!("c={c}"), metric, load, vec![closed(c)])
            })
        },
        ..USUAL
    },
    Workload {
        name: "short",
        purpose: "The cost of a connection: a table entry, a thread or a process is created.",
        columns: &["connects", "switches", "p99", "faults"],
        specs: |selection| {
            // Enough connections to keep a server busy, and few enough to be accepted at once.
            selection.each([&[16]; 3], |c| {
                let load = format!(
                    "closed loop, {c} at once, a new connection for each request, which the client \
                     closes"
                );
                let group = group("main", c, Behavior::Short, Some(small()));
                cell(format!("client c={c}"), "cpu_connection", load, vec![group])
            })
        },
        ..USUAL
    },
    Workload {
        name: "latency",
        purpose: "The response time at a fixed rate, which every model can serve.",
        columns: &["p99", "p999", "cpu", "switches", "service_p99"],
        specs: |selection| {
            let c = selection.connections.first().copied().unwrap_or(64);
            let load = format!(
                "Poisson arrivals at 60 % of the capacity of the slowest server, {c} connections"
            );
            let groups = vec![open("main", c, 0.0, Arrivals::Poisson, small())];
            vec![CellSpec {
                share_of_slowest: Some(0.6),
                ..cell("common".to_owned(), "p50", load, groups)
            }]
        },
        ..USUAL
    },
    Workload {
        name: "sweep",
        purpose: "What an open connection costs each request: one rate over more and more of them.",
        columns: &["p99", "cpu", "switches", "memory"],
        extra_warm_up: 1.0,
        specs: |selection| {
            selection.each([&[64], &[16, 1000], &[1, 10, 100, 1000, 4000, 8000]], |c| {
                let load =
                    format!("5000 requests per second at equal distances over {c} connections");
                let group = open("main", c, 5000.0, Arrivals::Constant, small());
                cell(format!("c={c}"), "p50", load, vec![group])
            })
        },
        ..USUAL
    },
    Workload {
        name: "mixed",
        purpose: "Whether mice, small requests, wait behind elephants, clients with large files.",
        columns: &["mice.p99", "mice.p999", "bandwidth", "switches"],
        client_aborts: true,
        duration_factor: 2.0,
        // All elephants together receive a small part of what the generator can, so the mice wait
        // for the server and not for the generator.
        specs: |selection| {
            selection.each([&[4]; 3], |c| {
                let load = format!(
                    "{c} elephants, which download 16 MiB at 50 MB/s each, and {MICE} mice per \
                     second"
                );
                let slow = Behavior::SlowRead {
                    rate: 50e6,
                    buffer: 1024 * 1024,
                };
                let elephants = group("elephants", c, slow, Some(page(LARGE)));
                let groups = vec![elephants, mice()];
                cell(format!("elephants={c}"), "mice.p50", load, groups)
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
        specs: |_| {
            let load = format!(
                "5 requests per second that compute for 20 ms each, and {MICE} mice per second"
            );
            // The response says how much CPU time it took.
            let burn = Page {
                path: "/burn".to_owned(),
                status: 200,
                length: None,
                hash: None,
            };
            let burners = open("burners", 4, 5.0, Arrivals::Constant, burn);
            let groups = vec![burners, mice()];
            vec![cell("20ms".to_owned(), "mice.p99", load, groups)]
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
        may_starve: true,
        extra_warm_up: 0.25,
        specs: |selection| {
            selection.each([&[500], &[1000], &[1000, 2000, 5000, 10_000]], |c| {
                let load = format!(
                    "{c} silent connections (memory is also read before them), and 50 canary \
                     requests per second; the kernel's memory is that of both ends"
                );
                let silent = group("silent", c, Behavior::Silent, None);
                let canary = open("canary", 2, 50.0, Arrivals::Constant, small());
                cell(format!("c={c}"), "memory_slope", load, vec![silent, canary])
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

/// The cells of the workloads with these names.
pub fn cells(names: &[&str], selection: &Selection) -> Vec<CellSpec> {
    let mut cells = Vec::new();
    for workload in WORKLOADS.iter().filter(|one| names.contains(&one.name)) {
        cells.extend(
            (workload.specs)(selection)
                .into_iter()
                .map(|spec| CellSpec {
                    workload,
                    name: format!("{} {}", workload.name, spec.name),
                    ..spec
                }),
        );
    }
    cells
}

/// Small requests per second beside another load: enough for a 99th percentile in a second, and a
/// few percent of the capacity of a server.
const MICE: f64 = 500.0;

/// A cell that has no workload yet.
fn cell(
    name: String,
    primary_metric: &'static str,
    description: String,
    groups: Vec<Group>,
) -> CellSpec {
    CellSpec {
        workload: &USUAL,
        name,
        primary_metric,
        description,
        groups,
        share_of_slowest: None,
    }
}

fn group(name: &str, connections: u32, behavior: Behavior, page: Option<Page>) -> Group {
    Group {
        name: name.to_owned(),
        connections,
        behavior,
        page,
    }
}

fn closed(connections: u32) -> Group {
    group("main", connections, Behavior::Closed, Some(small()))
}

fn open(name: &str, connections: u32, rate: f64, arrivals: Arrivals, page: Page) -> Group {
    let behavior = Behavior::Open {
        rate,
        arrivals,
        // About as many as are due in a second.
        max_waiting: 20_000,
    };
    group(name, connections, behavior, Some(page))
}

fn mice() -> Group {
    open("mice", 32, MICE, Arrivals::Poisson, small())
}

/// The files that are served, with their lengths: that for which most workloads ask, and that of
/// the elephants.
const FILES: [(&str, usize); 2] = [SMALL, LARGE];
const SMALL: (&str, usize) = ("/1k.html", 1024);
const LARGE: (&str, usize) = ("/16m.bin", 16 * 1024 * 1024);
/// A longer body is not hashed: that would delay the generator.
const MAX_HASHED: usize = 1024 * 1024;

fn small() -> Page {
    page(SMALL)
}

fn page((path, length): (&str, usize)) -> Page {
    Page {
        path: path.to_owned(),
        status: 200,
        length: Some(length as u64),
        hash: (length <= MAX_HASHED).then(|| body_hash(&bytes(length))),
    }
}

/// The bytes of a file. They repeat after 95, which does not divide the size of a buffer. So a
/// missing or doubled piece shifts all bytes that follow, and the hash differs.
fn bytes(length: usize) -> Vec<u8> {
    let period: Vec<u8> = (b' '..=b'~').collect();
    let mut bytes = period.repeat(length / period.len() + 1);
    bytes.truncate(length);
    bytes
}

/// Writes the files into a new directory.
pub fn write(root: &Path) -> io::Result<()> {
    std::fs::create_dir(root)?;
    for (path, length) in FILES {
        let path = root.join(path.trim_start_matches('/'));
        std::fs::write(path, bytes(length))?;
    }
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::bench::metrics::metric_named;
    use std::collections::BTreeSet;

    fn of(names: &[&str], preset: Preset) -> Vec<CellSpec> {
        let connections = Vec::new();
        let selection = Selection {
            preset,
            connections,
        };
        cells(names, &selection)
    }

    /// A cell of a workload.
    pub fn cell_of(workload: &str) -> CellSpec {
        of(&[workload], Preset::Quick).swap_remove(0)
    }

    #[test]
    fn each_cell_of_a_run_has_one_name_a_metric_of_one_of_its_groups_and_a_line_in_the_document() {
        let document = include_str!("../../docs/bench.md");
        let all = of_preset(Preset::Full);
        for preset in [Preset::Quick, Preset::Standard, Preset::Full] {
            let mut names = BTreeSet::new();
            for cell in of(&all, preset) {
                let name = &cell.name;
                assert!(names.insert(name.clone()), "{name}");
                assert!(metric_named(cell.primary_metric).is_some(), "{name}");
                if let Some((group, _)) = cell.primary_metric.split_once('.') {
                    let mut others = cell.groups[1..].iter();
                    assert!(others.any(|one| one.name == group), "{name}");
                }
                let row = format!("| {} | ", cell.workload.name);
                let mut lines = document.lines();
                let row = lines.find(|line| line.starts_with(&row)).expect(name);
                assert!(row.contains(&format!("`{}`", cell.primary_metric)), "{row}");
            }
        }
        for name in WORKLOADS.iter().flat_map(|workload| workload.columns) {
            assert!(metric_named(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_file_has_the_length_and_the_hash_of_its_page() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        write(&root).unwrap();
        for page in [small(), page(LARGE)] {
            let body = std::fs::read(root.join(&page.path[1..])).unwrap();
            assert_eq!(Some(body.len() as u64), page.length);
            assert!(page.hash.is_none_or(|hash| hash == body_hash(&body)));
            assert_ne!(
                body[..512],
                body[512..1024],
                "a missing piece changes the bytes"
            );
        }
        assert!(small().hash.is_some());
    }
}
