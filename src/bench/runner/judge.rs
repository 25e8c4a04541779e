//! Decides whether a sample is valid. No I/O.
//!
//! An invalid sample is kept, with the reasons, and left out of comparisons.

use crate::bench::metrics::{Metrics, starved};
use crate::bench::stats::float;
use crate::bench::types::{Behavior, ClientStats, Fault, Group, Load, Outcome, Totals};
use crate::bench::workloads::{CellSpec, Workload};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a server has counted (its option `--tally`), the sum of its processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Tally {
    /// Responses that were begun, whatever their status.
    pub responses: u64,
    /// Bytes of their bodies.
    pub body_bytes: u64,
}

impl Tally {
    /// Adds up the lines, one per process.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.lines().try_fold(Self::default(), |sum, line| {
            let one: Self = serde_json::from_str(line)
                .map_err(|error| format!("cannot parse the tally of the server: {error}"))?;
            Ok(Self {
                responses: sum.responses.saturating_add(one.responses),
                body_bytes: sum.body_bytes.saturating_add(one.body_bytes),
            })
        })
    }
}

/// Limit for the CPU time of the generator, percent: above, it is the generator that is measured.
const MAX_GENERATOR: f64 = 90.0;
/// Limit for steal, percent of the CPUs that are used.
const MAX_STEAL: f64 = 1.0;
/// Limit for the CPU time of other programs, percent of the CPUs that are used.
const MAX_OTHERS: f64 = 3.0;
/// Precision of the counts in /proc/stat: three clock ticks, in percent of a second of two CPUs.
const TICKS: f64 = 1.5;
/// Minimum of the due requests that have a response, percent.
const MIN_ACHIEVED: f64 = 99.0;
/// Limit for the deviation from Little's law, percent.
const MAX_LITTLE: f64 = 3.0;
/// Limit for the own delay of the generator at the 99th percentile, microseconds.
const MAX_LAG: f64 = 1000.0;

/// Why a sample is invalid, as sentences. Its loads have the measured one last, which has these
/// metrics.
pub fn judge(cell: &CellSpec, loads: &[(Load, Outcome)], metrics: &Metrics) -> Vec<String> {
    let mut invalid = Vec::new();
    if let Some((load, outcome)) = loads.last() {
        invalid.extend(limits(cell, load, outcome, metrics));
    }
    for (load, outcome) in loads {
        invalid.extend(outcome.problems.iter().cloned());
        for (group, seen) in load.groups.iter().zip(&outcome.groups) {
            errors(group, seen, cell.workload, &mut invalid);
        }
    }
    invalid
}

/// The limits that are exceeded.
fn limits(cell: &CellSpec, load: &Load, outcome: &Outcome, metrics: &Metrics) -> Vec<String> {
    let of = |name: &str| metrics.get(name).copied().unwrap_or(0.0);
    let of_groups = |name: &'static str| {
        let all = metrics.iter();
        all.filter_map(move |(key, value)| key.ends_with(name).then_some(*value))
    };
    let is_open = |group: &Group| matches!(group.behavior, Behavior::Open { .. });
    let is_open = load.groups.iter().any(is_open);
    let is_memory = cell.primary_metric == "memory_slope";
    // What a busy generator does not disturb.
    let is_of_server =
        is_memory || cell.primary_metric == "per_core" || cell.primary_metric.starts_with("cpu");
    let serves_all = !cell.workload.may_starve;
    let (late, busy, throttled) = (of("lag_p99"), of("generator_share"), of("throttled"));
    let (steal, others) = (of("steal"), of("others"));
    let ticks = TICKS / (float(outcome.measured) / 1e9).max(1e-3);
    let achieved = of_groups("achieved").fold(100.0, f64::min);
    let little = of_groups("little").fold(0.0, f64::max);
    let overflows = outcome.usage.as_ref().map_or(0, |(before, after)| {
        let before = before.listen_overflows;
        after.listen_overflows.saturating_sub(before)
    });
    let rules = [
        // In an open loop the generator is always busy, because it spins to send in time; its delay
        // is the criterion. The limit does not depend on the measured times, or only fast samples
        // would be invalid.
        (
            is_open && late > MAX_LAG && !is_memory,
            format!("the generator sent {late:.0} us late at the 99th percentile"),
        ),
        (
            !is_open && busy > MAX_GENERATOR && !is_of_server,
            format!("the generator was {busy:.1} % busy: it may be the limit"),
        ),
        (
            steal > MAX_STEAL + ticks / 3.0,
            format!("the hypervisor gave {steal:.1} % of the CPU time to other machines (steal)"),
        ),
        (
            throttled > 0.0,
            format!(
                "a CPU quota stopped server or generator (cpu.stat of the control group: \
                 {throttled:.1} % of the time)"
            ),
        ),
        (
            others > MAX_OTHERS + ticks,
            format!("other programs used {others:.1} % of the CPUs"),
        ),
        (
            serves_all && achieved < MIN_ACHIEVED,
            format!("{achieved:.1} % of the due requests had a response"),
        ),
        (
            serves_all && little > MAX_LITTLE,
            format!(
                "connections and rate x time differ by {little:.1} % (Little's law): something was \
                 not counted"
            ),
        ),
        (
            serves_all && overflows > 0,
            format!("{overflows} connections found the listen queue full"),
        ),
    ];
    let broken = rules.into_iter().filter(|(is_broken, _)| *is_broken);
    broken.map(|(_, sentence)| sentence).collect()
}

/// Connections that were not made, and errors that the workload does not expect.
fn errors(group: &Group, seen: &ClientStats, workload: &Workload, invalid: &mut Vec<String>) {
    let name = &seen.name;
    let (asked, made) = seen.connections;
    if made < asked {
        invalid.push(format!("{name}: {made} of {asked} connections were made"));
    }
    // Those of connections without any response are in the metric `starved`.
    let starving = match group.behavior {
        Behavior::Closed => starved(seen),
        _ => 0,
    };
    for (fault, number) in &seen.errors {
        let is_expected = match fault {
            Fault::Missing => workload.may_starve || workload.client_aborts || *number <= starving,
            Fault::Closed | Fault::Reset => workload.may_starve,
            _ => false,
        };
        if !is_expected {
            invalid.push(format!("{name}: {}", sentence(*fault, *number)));
        }
    }
}

/// How the counts of server and client differ, as sentences. The server must have begun what the
/// client received in all loads. If the client did not wait for all responses, the server may have
/// begun more, but never less.
pub fn miscounts(workload: &Workload, loads: &[(Load, Outcome)], tally: Tally) -> Vec<String> {
    let seen = || loads.iter().flat_map(|(_, outcome)| &outcome.groups);
    let sum = |of: fn(&Totals) -> u64| -> u64 { seen().map(|group| of(&group.totals)).sum() };
    let (responses, bytes) = (sum(|all| all.responses), sum(|all| all.body_bytes));
    let (begun, sent) = (tally.responses, tally.body_bytes);
    let has_no_errors = seen().all(|group| group.errors.is_empty());
    let is_exact = has_no_errors && !workload.client_aborts;
    let mut miscounts = Vec::new();
    if begun < responses || is_exact && begun != responses {
        miscounts.push(format!(
            "the server began {begun} responses and the client received {responses}"
        ));
    }
    // With errors, or if the client aborts, the tally has bytes that the client did not receive.
    if is_exact && sent != bytes {
        miscounts.push(format!(
            "the server sent {sent} bytes of bodies and the client received {bytes}"
        ));
    }
    miscounts
}

/// Errors in words.
pub fn in_words(errors: &BTreeMap<Fault, u64>) -> String {
    let sentences = errors
        .iter()
        .map(|(fault, number)| sentence(*fault, *number));
    sentences.collect::<Vec<_>>().join(", ")
}

/// This many errors of a kind, in words.
fn sentence(fault: Fault, number: u64) -> String {
    let what = match fault {
        Fault::Connect => "connections were not made (refused, or too slow)",
        Fault::Status => "responses had another status",
        Fault::Length => "bodies had another length",
        Fault::Content => "bodies had other bytes",
        Fault::Truncated => "responses were truncated",
        Fault::Reset => "connections were reset before the response",
        Fault::Closed => "connections were closed before the response",
        Fault::Missing => "requests had no response",
        Fault::Malformed => "responses were not HTTP",
        Fault::Unsolicited => "times there were bytes without a request",
    };
    format!("{number} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::metrics::of_outcome;
    use crate::bench::metrics::tests::{OPEN, closed, load};
    use crate::bench::workloads::tests::cell_of;

    /// Why a sample of this workload is invalid after `change`, which is compared by a metric.
    fn judged(
        workload: &str,
        (behavior, primary_metric): (Behavior, &'static str),
        change: impl Fn(&mut Outcome, &mut Metrics),
    ) -> Vec<String> {
        let (load, mut outcome) = (load(behavior), closed());
        let mut metrics = of_outcome(&load, &outcome, 2);
        metrics.insert("others".to_owned(), 0.0);
        change(&mut outcome, &mut metrics);
        let cell = CellSpec {
            primary_metric,
            ..cell_of(workload)
        };
        judge(&cell, &[(load, outcome)], &metrics)
    }

    const USUAL: (Behavior, &str) = (Behavior::Closed, "throughput");

    #[test]
    fn each_metric_beyond_its_limit_makes_the_sample_invalid() {
        assert_eq!(judged("keepalive", USUAL, |_, _| {}), [""; 0]);
        let table = [
            (
                USUAL,
                "generator_share",
                90.5,
                "the generator was 90.5 % busy",
            ),
            (USUAL, "steal", 1.6, "the hypervisor gave 1.6 %"),
            (
                USUAL,
                "throttled",
                0.4,
                "a CPU quota stopped server or generator",
            ),
            (USUAL, "others", 4.6, "other programs used 4.6 %"),
            (USUAL, "mice.achieved", 98.9, "98.9 % of the due requests"),
            (
                USUAL,
                "little",
                3.1,
                "connections and rate x time differ by 3.1 %",
            ),
            (
                (OPEN, "p99"),
                "lag_p99",
                1001.0,
                "the generator sent 1001 us late",
            ),
            // What does not disturb the metric that is compared.
            ((Behavior::Closed, "per_core"), "generator_share", 99.0, ""),
            (
                (Behavior::Closed, "cpu_connection"),
                "generator_share",
                99.0,
                "",
            ),
            (
                (Behavior::Closed, "memory_slope"),
                "generator_share",
                99.0,
                "",
            ),
            ((OPEN, "p99"), "generator_share", 100.0, ""),
            ((OPEN, "p99"), "lag_p99", 999.0, ""),
            ((OPEN, "memory_slope"), "lag_p99", 1001.0, ""),
        ];
        for (compared, name, value, sentence) in table {
            let invalid = judged("keepalive", compared, |_, metrics| {
                metrics.insert(name.to_owned(), value);
            });
            assert_eq!(invalid.len(), usize::from(!sentence.is_empty()), "{name}");
            assert!(invalid.concat().starts_with(sentence), "{invalid:?}");
        }
        // The kernel counts in ticks, so a short sample says less.
        let short = judged("keepalive", USUAL, |outcome, metrics| {
            outcome.measured = 250_000_000;
            metrics.insert("others".to_owned(), 8.0);
        });
        assert_eq!(short, [""; 0]);
    }

    #[test]
    fn errors_make_a_sample_invalid_unless_the_workload_is_about_them() {
        // Those of connections that never had a response are in the metric `starved`.
        for (workload, fault, starved, is_valid) in [
            ("keepalive", Fault::Missing, 0, false),
            ("keepalive", Fault::Missing, 3, true),
            ("idle", Fault::Missing, 0, true),
            ("idle", Fault::Content, 0, false),
        ] {
            let invalid = judged(workload, USUAL, |outcome, _| {
                outcome.groups[0].errors.insert(fault, 3);
                outcome.groups[0].shares[..starved].fill(0);
            });
            assert_eq!(invalid.is_empty(), is_valid, "{invalid:?}");
        }
    }

    #[test]
    fn connections_that_were_not_made_and_full_listen_queues_make_a_sample_invalid() {
        let invalid = judged("keepalive", USUAL, |outcome, _| {
            outcome.groups[0].connections = (1000, 100);
            outcome.usage.as_mut().unwrap().1.listen_overflows = 7;
            outcome.problems = vec!["a signal ended the generator early".to_owned()];
        });
        let expected = [
            "7 connections found the listen queue full",
            "a signal ended the generator early",
            "main: 100 of 1000 connections were made",
        ];
        assert_eq!(invalid, expected);
    }

    #[test]
    fn different_counts_of_client_and_server_are_miscounts() {
        // If the client aborts, the server may have finished more responses, but not fewer.
        for (workload, lines, expected) in [
            ("keepalive", [(2000, 5_120_000), (3000, 0)], 0),
            ("keepalive", [(2000, 5_120_000), (3001, 0)], 1),
            ("keepalive", [(2000, 5_119_999), (3000, 0)], 1),
            ("mixed", [(5007, 5_000_000), (0, 0)], 0),
            ("mixed", [(4999, 5_120_000), (0, 0)], 1),
        ] {
            let line = |(responses, bytes)| {
                format!("{{\"connections\":1,\"responses\":{responses},\"body_bytes\":{bytes}}}\n")
            };
            let tally = Tally::parse(&lines.map(line).concat()).unwrap();
            let loads = [(load(Behavior::Closed), closed())];
            let found = miscounts(cell_of(workload).workload, &loads, tally);
            assert_eq!(found.len(), expected, "{found:?}");
        }
        assert!(Tally::parse("{}").is_err());
    }
}
