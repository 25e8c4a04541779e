//! Room `bench`: which numbers matter in which workload, and how are they called in a narrow table?

use super::format::plain;
use crate::bench::analysis::CellAnalysis;
use crate::bench::metrics::metric_named;
use crate::bench::record::Cell;

/// Columns beside the primary metric, by workload, the most important first: as many are shown as
/// fit.
const COLUMNS: &[(&str, &[&str])] = &[
    (
        "latency",
        &["p50", "cpu", "switches", "p999", "service_p99", "syscalls"],
    ),
    ("overload", &["p50", "cpu", "switches", "dropped"]),
    ("sweep", &["p50", "cpu", "switches", "memory"]),
    (
        "short",
        &["connects", "switches", "syscalls", "p99", "faults"],
    ),
    (
        "churn",
        &["connects", "switches", "leaked_descriptors", "faults"],
    ),
    (
        "idle",
        &[
            "canary.p99",
            "canary.achieved",
            "threads",
            "processes",
            "virtual",
        ],
    ),
    (
        "slowloris",
        &["normal.achieved", "normal.p50", "threads", "memory"],
    ),
    (
        "slowread",
        &["canary.achieved", "canary.p50", "threads", "memory"],
    ),
    ("large", &["bandwidth", "cpu_user", "switches"]),
    ("mixed", &["mice.p50", "mice.p999", "bandwidth", "switches"]),
    ("burn", &["mice.p50", "mice.p999", "mice.max", "switches"]),
    (
        "coldfile",
        &["mice.p50", "mice.p999", "mice.max", "switches"],
    ),
    ("stall", &["p50", "max", "throughput", "recovery"]),
];
/// Of all others.
const USUAL: &[&str] = &[
    "throughput",
    "p99",
    "cpu",
    "switches",
    "syscalls",
    "memory",
    "fairness",
];

/// Short headings of some metrics, and what they mean.
const HEADINGS: &[(&str, &str, &str)] = &[
    (
        "cpu",
        "CPU us",
        "us of processor time of the server for each answer",
    ),
    ("cpu_user", "user", "us of it outside the kernel"),
    ("switches", "ctxsw", "context switches for each answer"),
    ("syscalls", "syscalls", "system calls for each answer"),
    ("faults", "faults", "page faults for each answer"),
    ("achieved", "ok %", "answers, of those that were due"),
    ("memory", "memory", "MiB of the server's processes (PSS)"),
    (
        "leaked_descriptors",
        "leaks",
        "descriptors more than before",
    ),
];

/// Those that at least one row has.
pub fn columns(cell: &Cell, analysis: &CellAnalysis) -> Vec<&'static str> {
    let known = COLUMNS.iter().find(|(name, _)| *name == cell.workload);
    let all = known.map_or(USUAL, |(_, columns)| columns).iter().copied();
    let has = |name: &&str| {
        analysis
            .rows
            .iter()
            .any(|row| row.medians.contains_key(*name))
    };
    all.filter(|name| *name != cell.primary_metric)
        .filter(has)
        .collect()
}

/// The heading of a metric, with its group.
pub fn heading(metric: &str) -> String {
    let (group, name) = metric.rsplit_once('.').unwrap_or(("", metric));
    let short = HEADINGS.iter().find(|(known, _, _)| *known == name);
    let title = metric_named(name).map_or(name, |metric| metric.title);
    let title = short.map_or(title, |(_, short, _)| short);
    match group {
        "" => title.to_owned(),
        group => format!("{} {title}", plain(group)),
    }
}

/// What the short headings among these columns mean, as `ctxsw: context switches ...`.
pub fn meanings(columns: &[&str]) -> Vec<String> {
    let has = |name: &str| {
        columns
            .iter()
            .any(|one| one.rsplit('.').next() == Some(name))
    };
    let used = HEADINGS.iter().filter(|(name, _, _)| has(name));
    used.map(|(_, short, what)| format!("{short}: {what}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::metrics::METRICS;
    use crate::bench::workloads;

    #[test]
    fn every_column_is_of_a_workload_and_a_metric_that_exist() {
        let all = COLUMNS
            .iter()
            .flat_map(|(_, columns)| columns.iter())
            .chain(USUAL);
        for name in all {
            assert!(metric_named(name).is_some(), "{name}");
        }
        for (name, _) in COLUMNS {
            assert!(
                workloads::all().iter().any(|one| one.name == *name),
                "{name}"
            );
        }
        for (name, _, _) in HEADINGS {
            assert!(METRICS.iter().any(|metric| metric.name == *name), "{name}");
        }
    }

    #[test]
    fn headings_are_short_and_name_their_group() {
        let told = ["cpu", "mice.p99", "canary.achieved", "nonsense"].map(heading);
        assert_eq!(told, ["CPU us", "mice p99", "canary ok %", "nonsense"]);
        assert_eq!(
            meanings(&["mice.switches"]),
            ["ctxsw: context switches for each answer"]
        );
    }
}
