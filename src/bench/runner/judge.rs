//! Decides whether a sample is valid. No I/O.
//!
//! An invalid sample is kept, with the reasons, and left out of comparisons.

use super::derive::{Metrics, silence, starved};
use crate::bench::stats::float;
use crate::bench::types::{Behavior, ClientStats, Fault, Group, Load, Outcome, Totals};
use crate::bench::workloads::WorkloadTraits;
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

/// The result for a sample, as sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Why the sample is invalid.
    pub invalid: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// How the counts of client and server differ.
    pub miscounts: Vec<String>,
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

/// Judges an outcome. `tally` is `None` for servers that do not count.
pub fn judge(
    load: &Load,
    outcome: &Outcome,
    metrics: &Metrics,
    (primary_metric, traits): (&str, WorkloadTraits),
    tally: Option<Tally>,
) -> Judgement {
    let mut judgement = Judgement::default();
    let spins = |group: &Group| matches!(group.behavior, Behavior::Open { .. });
    match load.groups.iter().any(spins) {
        true => lag(metrics, primary_metric, &mut judgement),
        false => generator(metrics, primary_metric, &mut judgement),
    }
    machine(metrics, outcome, &mut judgement);
    if !traits.may_starve {
        laws(metrics, &mut judgement);
    }
    overflows(outcome, traits, &mut judgement);
    for (group, seen) in load.groups.iter().zip(&outcome.groups) {
        errors(group, seen, traits, &mut judgement);
    }
    judgement.notes.extend(outcome.problems.iter().cloned());
    judgement.notes.extend(silence(load, outcome));
    if let Some(tally) = tally {
        conservation(outcome, traits, tally, &mut judgement);
    }
    judgement
}

/// In an open loop the generator is always busy, because it spins to send in time; its delay is the
/// criterion. The limit does not depend on the measured times, or only fast samples would be
/// invalid.
fn lag(metrics: &Metrics, primary_metric: &str, judgement: &mut Judgement) {
    let late = metrics.get("lag_p99").copied().unwrap_or(0.0);
    if late > MAX_LAG && primary_metric != "memory_slope" {
        judgement.invalid.push(format!(
            "the generator sent {late:.0} us late at the 99th percentile"
        ));
    }
}

/// A busy generator may limit a metric, except the CPU time of the server.
fn generator(metrics: &Metrics, primary_metric: &str, judgement: &mut Judgement) {
    let share = metrics.get("generator_share").copied().unwrap_or(0.0);
    let is_of_server =
        ["per_core", "memory_slope"].contains(&primary_metric) || primary_metric.starts_with("cpu");
    if share > MAX_GENERATOR && is_of_server {
        judgement.notes.push(format!(
            "the generator was {share:.1} % busy: it may limit rates and times, but not \
             {primary_metric}"
        ));
    } else if share > MAX_GENERATOR {
        judgement.invalid.push(format!(
            "the generator was {share:.1} % busy: it may be the limit"
        ));
    }
}

fn machine(metrics: &Metrics, outcome: &Outcome, judgement: &mut Judgement) {
    let of = |name: &str| metrics.get(name).copied().unwrap_or(0.0);
    let ticks = TICKS / (float(outcome.measured) / 1e9).max(1e-3);
    let (steal, others, throttled) = (of("steal"), of("others"), of("throttled"));
    if steal > MAX_STEAL + ticks / 3.0 {
        judgement.invalid.push(format!(
            "the hypervisor gave {steal:.1} % of the CPU time to other machines (steal)"
        ));
    }
    if throttled > 0.0 {
        judgement.invalid.push(format!(
            "a CPU quota stopped server or generator (cpu.stat of the control group: \
             {throttled:.1} % of the time)"
        ));
    }
    if others > MAX_OTHERS + ticks {
        let reason = format!("other programs used {others:.1} % of the CPUs");
        judgement.invalid.push(reason);
    }
}

/// What holds if the server serves all connections.
fn laws(metrics: &Metrics, judgement: &mut Judgement) {
    for (name, value) in metrics {
        if name.ends_with("achieved") && *value < MIN_ACHIEVED {
            let reason = format!("{value:.1} % of the due requests had a response");
            judgement.invalid.push(reason);
        }
        if name.ends_with("little") && *value > MAX_LITTLE {
            judgement.invalid.push(format!(
                "connections and rate x time differ by {value:.1} % (Little's law): something was \
                 not counted"
            ));
        }
    }
}

fn overflows(outcome: &Outcome, traits: WorkloadTraits, judgement: &mut Judgement) {
    let overflows = outcome.usage.as_ref().map_or(0, |(before, after)| {
        after
            .listen_overflows
            .saturating_sub(before.listen_overflows)
    });
    if overflows > 0 {
        let sentence = format!("{overflows} connections found the listen queue full");
        match traits.may_starve {
            true => judgement.notes.push(sentence),
            false => judgement.invalid.push(sentence),
        }
    }
}

/// Connections that were not made, and errors that the workload does not expect.
fn errors(group: &Group, seen: &ClientStats, traits: WorkloadTraits, judgement: &mut Judgement) {
    let name = &seen.name;
    let (asked, made) = seen.connections;
    if made < asked {
        let reason = format!("{name}: {made} of {asked} connections were made");
        judgement.invalid.push(reason);
    }
    // Those of connections without any response are in the metric `starved`.
    let starving = match group.behavior {
        Behavior::Closed => starved(seen),
        _ => 0,
    };
    for (fault, number) in &seen.errors {
        let is_expected = match fault {
            Fault::Missing => traits.may_starve || traits.client_aborts || *number <= starving,
            Fault::Closed | Fault::Reset => traits.may_starve,
            _ => false,
        };
        let sentence = format!("{name}: {}", sentence(*fault, *number));
        if is_expected {
            judgement.notes.push(sentence);
        } else if *number > 0 {
            judgement.invalid.push(sentence);
        }
    }
}

/// The server must have begun what the client received. If the client did not wait for all
/// responses, the server may have begun more, but never less.
fn conservation(
    outcome: &Outcome,
    traits: WorkloadTraits,
    tally: Tally,
    judgement: &mut Judgement,
) {
    let sum = |of: fn(&Totals) -> u64| -> u64 {
        outcome.groups.iter().map(|seen| of(&seen.totals)).sum()
    };
    let (responses, bytes) = (sum(|all| all.responses), sum(|all| all.body_bytes));
    let begun = tally.responses;
    let has_no_errors = outcome.groups.iter().all(|seen| seen.errors.is_empty());
    let is_exact = has_no_errors && !traits.client_aborts;
    if begun < responses || is_exact && begun != responses {
        judgement.miscounts.push(format!(
            "the server began {begun} responses and the client received {responses}"
        ));
    }
    // With errors, or if the client aborts, the tally has bytes that the client did not receive.
    if is_exact && tally.body_bytes != bytes {
        let sent = tally.body_bytes;
        judgement.miscounts.push(format!(
            "the server sent {sent} bytes of bodies and the client received {bytes}"
        ));
    }
    judgement
        .invalid
        .extend(judgement.miscounts.iter().cloned());
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
    use super::super::derive::metrics;
    use super::super::derive::tests::{CLOSED, OPEN, closed, load};
    use super::*;

    const MATCHING: Tally = Tally {
        responses: 5000,
        body_bytes: 5_120_000,
    };

    /// The judgement of a valid sample after `change`.
    fn judged(
        traits: WorkloadTraits,
        tally: Tally,
        change: impl Fn(&mut Outcome, &mut Metrics),
    ) -> Judgement {
        let (load, mut outcome) = (load(CLOSED), closed());
        let mut metrics = metrics(&load, &outcome, 2);
        metrics.insert("others".to_owned(), 0.0);
        change(&mut outcome, &mut metrics);
        judge(
            &load,
            &outcome,
            &metrics,
            ("throughput", traits),
            Some(tally),
        )
    }

    #[test]
    fn each_metric_beyond_its_limit_makes_the_sample_invalid() {
        let valid = judged(WorkloadTraits::NONE, MATCHING, |_, _| {});
        assert_eq!(valid, Judgement::default());
        for (name, value, sentence) in [
            ("generator_share", 90.5, "the generator was 90.5 % busy"),
            ("steal", 1.6, "the hypervisor gave 1.6 %"),
            ("throttled", 0.4, "a CPU quota stopped server or generator"),
            ("others", 4.6, "other programs used 4.6 %"),
            ("mice.achieved", 98.9, "98.9 % of the due requests"),
            ("little", 3.1, "connections and rate x time differ by 3.1 %"),
        ] {
            let judgement = judged(WorkloadTraits::NONE, MATCHING, |_, metrics| {
                metrics.insert(name.to_owned(), value);
            });
            assert_eq!(judgement.invalid.len(), 1, "{name}");
            assert!(judgement.invalid[0].starts_with(sentence), "{judgement:?}");
        }
        // No percentile shows a pause of a closed loop.
        let paused = judged(WorkloadTraits::NONE, MATCHING, |outcome, _| {
            outcome.groups[0].silence = 300_000_000;
        });
        let pause = "a pause of the server (no response for 300 ms)";
        assert_eq!(paused.notes, [pause]);
        // The kernel counts in ticks, so a short sample says less.
        let short = judged(WorkloadTraits::NONE, MATCHING, |outcome, metrics| {
            outcome.measured = 250_000_000;
            metrics.insert("others".to_owned(), 8.0);
        });
        assert_eq!(short.invalid, [""; 0]);
    }

    /// The judgement with one metric replaced.
    fn with(behavior: Behavior, primary_metric: &str, changed: (&str, f64)) -> Judgement {
        let load = load(behavior);
        let mut metrics = metrics(&load, &closed(), 2);
        for (name, value) in [("others", 0.0), ("achieved", 100.0), changed] {
            metrics.insert(name.to_owned(), value);
        }
        let compared = (primary_metric, WorkloadTraits::NONE);
        judge(&load, &closed(), &metrics, compared, None)
    }

    #[test]
    fn a_busy_generator_does_not_disturb_the_cpu_time_of_the_server() {
        for (metric, invalid, notes) in [
            ("per_core", 0, 1),
            ("cpu_connection", 0, 1),
            ("memory_slope", 0, 1),
            ("throughput", 1, 0),
            ("mice.p99", 1, 0),
        ] {
            let judged = with(CLOSED, metric, ("generator_share", 99.0));
            let found = (judged.invalid.len(), judged.notes.len());
            assert_eq!(found, (invalid, notes), "{metric}");
        }
    }

    #[test]
    fn in_an_open_loop_the_delay_of_the_generator_is_limited_and_not_its_cpu_time() {
        let busy = with(OPEN, "p99", ("generator_share", 100.0));
        assert_eq!(busy, Judgement::default());
        for (metric, late, invalid) in [
            ("p99", 999.0, 0),
            ("p99", 1001.0, 1),
            ("memory_slope", 1001.0, 0),
        ] {
            let judged = with(OPEN, metric, ("lag_p99", late));
            assert_eq!(judged.invalid.len(), invalid, "{metric} {late}: {judged:?}");
        }
    }

    #[test]
    fn errors_make_a_sample_invalid_unless_the_workload_is_about_them() {
        let starving = WorkloadTraits {
            may_starve: true,
            ..WorkloadTraits::NONE
        };
        // Those of connections that never had a response are in the metric `starved`.
        for (traits, fault, starved, is_valid) in [
            (WorkloadTraits::NONE, Fault::Missing, 0, false),
            (WorkloadTraits::NONE, Fault::Missing, 3, true),
            (starving, Fault::Missing, 0, true),
            (starving, Fault::Content, 0, false),
        ] {
            let judgement = judged(traits, MATCHING, |outcome, _| {
                outcome.groups[0].errors.insert(fault, 3);
                outcome.groups[0].shares[..starved].fill(0);
            });
            assert_eq!(judgement.invalid.is_empty(), is_valid, "{judgement:?}");
        }
    }

    #[test]
    fn connections_that_were_not_made_and_full_listen_queues_make_a_sample_invalid() {
        let judgement = judged(WorkloadTraits::NONE, MATCHING, |outcome, _| {
            outcome.groups[0].connections = (1000, 100);
            outcome.usage.as_mut().unwrap().1.listen_overflows = 7;
        });
        let expected = [
            "7 connections found the listen queue full",
            "main: 100 of 1000 connections were made",
        ];
        assert_eq!(judgement.invalid, expected);
    }

    #[test]
    fn different_counts_of_client_and_server_are_miscounts() {
        let aborts = WorkloadTraits {
            client_aborts: true,
            ..WorkloadTraits::NONE
        };
        // If the client aborts, the server may have finished more responses, but not fewer.
        for (traits, lines, miscounts) in [
            (WorkloadTraits::NONE, [(2000, 5_120_000), (3001, 0)], 1),
            (WorkloadTraits::NONE, [(2000, 5_119_999), (3000, 0)], 1),
            (aborts, [(5007, 5_000_000), (0, 0)], 0),
            (aborts, [(4999, 5_120_000), (0, 0)], 1),
        ] {
            let line = |(responses, bytes)| {
                format!("{{\"connections\":1,\"responses\":{responses},\"body_bytes\":{bytes}}}\n")
            };
            let tally = Tally::parse(&lines.map(line).concat()).unwrap();
            let found = judged(traits, tally, |_, _| {}).miscounts;
            assert_eq!(found.len(), miscounts, "{found:?}");
        }
        assert!(Tally::parse("{}").is_err());
    }
}
