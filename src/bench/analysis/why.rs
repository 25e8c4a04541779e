//! Room `bench`: which measured numbers explain where a model stands?
//!
//! What a model's way of waiting does to a request is counted: its processor time, its context
//! switches, its system calls, its memory. The row's sentence sets those that differ beside the
//! reference's; the reason is the expectation's, if there is one and it is what was found.

use super::{Row, pairs};
use crate::bench::expectations;
use crate::bench::record::{Cell, Run};

/// What is counted, and how it is said. Of those that differ the first are told.
const FACTS: &[(&str, &str)] = &[
    ("cpu_connection", "us of processor time for each connection"),
    ("cpu_gigabyte", "s of processor time for each GB"),
    ("cpu", "us of processor time for each answer"),
    ("switches", "context switches for each answer"),
    ("calls", "system calls for each answer"),
    ("faults", "page faults for each answer"),
    ("memory_slope", "KiB for each further connection"),
    ("starved", "connections without any answer"),
    ("threads", "threads"),
    ("processes", "processes"),
];
/// Of a connection or a GB the cost is one fact, and of an answer the same fact again.
const SAME: [&str; 3] = ["cpu_connection", "cpu_gigabyte", "cpu"];
/// What there is no part of.
const COUNTS: [&str; 3] = ["starved", "threads", "processes"];
/// Facts in a sentence.
const MOST: usize = 3;
/// What differs less explains nothing.
const PART: f64 = 0.1;
/// Nor does what is as small as that.
const NOTHING: f64 = 0.05;

/// Gives each row but the reference's its reasons.
pub fn explain(run: &Run, cell: &Cell, rows: &mut [Row]) {
    let Some(reference) = rows.iter().find(|row| row.arm == pairs::REFERENCE).cloned() else {
        return;
    };
    let name = |arm: usize| run.arms.get(arm).map_or("", |arm| arm.name.as_str());
    for row in rows {
        if row.arm == pairs::REFERENCE || is_control(run, row.arm) {
            continue;
        }
        let is_it = |one: &&expectations::Expectation| match row.ratio {
            Some(ratio) => one.metric.is_some() || one.explains(ratio.low, ratio.high),
            None => one.metric.is_some(),
        };
        let reasons = expectations::matching(cell, name(row.arm)).filter(is_it);
        let reasons = reasons.map(|one| one.why.clone());
        let beside = (name(reference.arm), &reference);
        row.why = sentence(&cell.headline, (name(row.arm), row), beside)
            .into_iter()
            .chain(reasons)
            .collect();
    }
}

fn is_control(run: &Run, arm: usize) -> bool {
    let kind = run.arms.get(arm).map(|arm| arm.kind);
    kind == Some(crate::bench::record::ArmKind::Control)
}

/// Sets what a row has measured beside the reference's. `None` if nothing differs.
pub fn sentence(
    headline: &str,
    (name, row): (&str, &Row),
    (other, reference): (&str, &Row),
) -> Option<String> {
    let mut named: Vec<&str> = Vec::new();
    let mut parts = Vec::new();
    for (metric, words) in FACTS {
        let repeated = SAME.contains(metric) && named.iter().any(|named| SAME.contains(named));
        // Of what is not compared here, a GB is often a part of one.
        let aside = *metric == "cpu_gigabyte" && headline != *metric;
        let pair = (row.medians.get(*metric), reference.medians.get(*metric));
        let (Some(own), Some(others)) = pair else {
            continue;
        };
        let off = (own - others).abs();
        if aside || repeated || parts.len() == MOST || off < NOTHING || off < others.abs() * PART {
            continue;
        }
        named.push(metric);
        let is_count = COUNTS.contains(metric);
        let told = |value: f64| {
            if is_count {
                format!("{value:.0}")
            } else {
                number(value)
            }
        };
        let (own, others) = (told(*own), told(*others));
        parts.push(format!("{own} {words}, where {other} has {others}"));
    }
    (!parts.is_empty()).then(|| format!("{name} has {}.", parts.join("; ")))
}

/// With about three digits.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::Verdict;
    use std::collections::BTreeMap;

    fn row(medians: &[(&str, f64)]) -> Row {
        let medians = medians.iter();
        Row {
            arm: 1,
            ratio: None,
            verdict: Verdict::NoDifference,
            medians: medians
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
            ratios: Vec::new(),
            samples: 8,
            invalid: 0,
            limiter: String::new(),
            why: Vec::new(),
        }
    }

    #[test]
    fn a_row_is_explained_by_what_differs() {
        let thread = row(&[
            ("cpu", 13.41),
            ("switches", 0.98),
            ("calls", 3.0),
            ("threads", 65.0),
        ]);
        let reactor = row(&[
            ("cpu", 11.2),
            ("switches", 0.11),
            ("calls", 2.9),
            ("threads", 1.0),
        ]);
        let told = sentence("throughput", ("thread", &thread), ("reactor", &reactor));
        let expected = "thread has 13.4 us of processor time for each answer, where reactor has \
                        11.2; 0.98 context switches for each answer, where reactor has 0.11; 65 \
                        threads, where reactor has 1.";
        assert_eq!(told.as_deref(), Some(expected));
    }

    #[test]
    fn the_same_cost_is_told_once() {
        let one = row(&[("cpu_connection", 40.0), ("cpu", 41.0)]);
        let other = row(&[("cpu_connection", 20.0), ("cpu", 20.5)]);
        let told = sentence("cpu_connection", ("thread", &one), ("reactor", &other)).unwrap();
        assert!(!told.contains("answer"), "{told}");
    }

    #[test]
    fn what_does_not_differ_explains_nothing() {
        let same = row(&[("cpu", 10.0), ("faults", 0.01)]);
        let other = row(&[("cpu", 10.5), ("faults", 0.001), ("calls", 2.0)]);
        assert_eq!(sentence("cpu", ("a", &same), ("b", &other)), None);
        let _: BTreeMap<String, f64> = same.medians;
    }

    #[test]
    fn numbers_have_three_digits() {
        let told = [0.004, 0.98, 9.99, 13.41, 99.96, 84_123.4].map(number);
        assert_eq!(told, ["0.00", "0.98", "9.99", "13.4", "100", "84123"]);
    }
}
