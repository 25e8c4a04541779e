//! Decides whether a sample is valid. No I/O.
//!
//! An invalid sample is kept, with the reasons, and left out of comparisons.

use super::derive::{Metrics, starved};
use crate::bench::load::{Behavior, Fault, Group, Load, Outcome};
use crate::bench::workloads::WorkloadTraits;
use serde::Deserialize;
use std::time::Duration;

/// What a server has counted (its option `--tally`), the sum of its processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Tally {
    /// Accepted connections.
    pub connections: u64,
    /// Finished responses.
    pub responses: u64,
    /// Bytes of their bodies.
    pub body_bytes: u64,
}

impl Tally {
    /// Adds up the lines, one per process.
    ///
    /// # Errors
    /// A line cannot be parsed.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.lines().try_fold(Self::default(), |sum, line| {
            let one: Self = serde_json::from_str(line)
                .map_err(|error| format!("cannot parse the tally of the server: {error}"))?;
            Ok(Self {
                connections: sum.connections.saturating_add(one.connections),
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
/// Limit for steal, percent of the machine.
const MAX_STEAL: f64 = 1.0;
/// Limit for the CPU time of other programs, percent of the machine.
const MAX_OTHERS: f64 = 3.0;
/// Precision of the kernel's counts of the machine: three ticks, in percent of a second of two
/// CPUs.
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
    if load.groups.iter().any(spins) {
        lag(metrics, primary_metric, &mut judgement);
    } else {
        generator(metrics, primary_metric, &mut judgement);
    }
    machine(metrics, outcome, &mut judgement);
    if !traits.may_starve && !traits.overloads {
        laws(metrics, &mut judgement);
    }
    overflows(outcome, traits, &mut judgement);
    for (group, seen) in load.groups.iter().zip(&outcome.groups) {
        let (asked, made) = seen.connections;
        if made < asked {
            judgement.invalid.push(format!(
                "{}: {made} of {asked} connections were made",
                seen.name
            ));
        }
        let allowed = if traits.may_starve {
            &[Fault::Missing, Fault::Closed, Fault::Reset][..]
        } else {
            &[]
        };
        for (fault, number) in &seen.errors {
            let starving = match group.behavior {
                Behavior::Closed { depth } => starved(seen) * u64::from(depth),
                _ => 0,
            };
            let sentence = format!("{}: {}", seen.name, in_words(*fault, *number));
            let expected = *fault == Fault::Missing && *number <= starving;
            if expected
                || allowed.contains(fault)
                || traits.client_aborts && *fault == Fault::Missing
            {
                judgement.notes.push(sentence);
            } else if *number > 0 {
                judgement.invalid.push(sentence);
            }
        }
    }
    judgement.notes.extend(outcome.problems.iter().cloned());
    if let Some(tally) = tally {
        conservation(outcome, traits, tally, &mut judgement);
    }
    judgement
}

/// In an open loop the generator is always busy, because it spins to send in time; its delay is the
/// criterion. The limit does not depend on the measured times, or only fast samples would be
/// invalid. If the delay is more than half of the compared time, a note says so.
fn lag(metrics: &Metrics, primary_metric: &str, judgement: &mut Judgement) {
    let of = |name: &str| metrics.get(name).copied();
    let late = of("lag_p99").unwrap_or(0.0);
    let name = primary_metric.rsplit('.').next().unwrap_or(primary_metric);
    let is_time = ["p50", "p90", "p99", "p999", "max", "mean"].contains(&name);
    if late > MAX_LAG && name != "memory_slope" {
        judgement.invalid.push(format!(
            "the generator sent {late:.0} us late at the 99th percentile"
        ));
    } else if let Some(time) = of(primary_metric).filter(|time| is_time && late > time / 2.0) {
        judgement.notes.push(format!(
            "up to {late:.0} us of the {primary_metric} of {time:.0} us may be the generator's \
             own delay"
        ));
    }
}

/// A busy generator may limit a metric, except the CPU time of the server.
fn generator(metrics: &Metrics, primary_metric: &str, judgement: &mut Judgement) {
    let share = metrics.get("generator_share").copied().unwrap_or(0.0);
    if share <= MAX_GENERATOR {
        return;
    }
    let is_of_server =
        ["per_core", "memory_slope"].contains(&primary_metric) || primary_metric.starts_with("cpu");
    if is_of_server {
        judgement.notes.push(format!(
            "the generator was {share:.1} % busy: it may limit rates and times, but not \
             {primary_metric}"
        ));
    } else {
        judgement.invalid.push(format!(
            "the generator was {share:.1} % busy: it may be the limit"
        ));
    }
}

fn machine(metrics: &Metrics, outcome: &Outcome, judgement: &mut Judgement) {
    let of = |name: &str| metrics.get(name).copied().unwrap_or(0.0);
    // The kernel counts in ticks.
    let seconds = Duration::from_nanos(outcome.measured).as_secs_f64();
    let ticks = if seconds > 0.0 { TICKS / seconds } else { 0.0 };
    let (steal, others) = (of("steal"), of("others"));
    if steal > MAX_STEAL + ticks / 3.0 {
        judgement.invalid.push(format!(
            "the hypervisor gave {steal:.1} % of the CPU time to other machines (steal)"
        ));
    }
    if others > MAX_OTHERS + ticks {
        judgement
            .invalid
            .push(format!("other programs used {others:.1} % of the machine"));
    }
}

/// What holds if the server serves all connections.
fn laws(metrics: &Metrics, judgement: &mut Judgement) {
    for (name, value) in metrics {
        match name.rsplit('.').next() {
            Some("achieved") if *value < MIN_ACHIEVED => judgement
                .invalid
                .push(format!("{value:.1} % of the due requests had a response")),
            Some("little") if *value > MAX_LITTLE => judgement.invalid.push(format!(
                "connections and rate x time differ by {value:.1} % (Little's law): something was \
                 not counted"
            )),
            _ => {}
        }
    }
}

fn overflows(outcome: &Outcome, traits: WorkloadTraits, judgement: &mut Judgement) {
    let Some((before, after)) = &outcome.usage else {
        return;
    };
    let number = after
        .listen_overflows
        .saturating_sub(before.listen_overflows);
    let sentence = format!("{number} connections found the listen queue full");
    if number > 0 && (traits.may_starve || traits.overloads) {
        judgement.notes.push(sentence);
    } else if number > 0 {
        judgement.invalid.push(sentence);
    }
}

/// The server must have finished what the client received. If the client did not wait for all
/// responses, the server may have finished more, but never less.
fn conservation(
    outcome: &Outcome,
    traits: WorkloadTraits,
    tally: Tally,
    judgement: &mut Judgement,
) {
    let sum = |of: fn(&crate::bench::load::Totals) -> u64| -> u64 {
        outcome.groups.iter().map(|seen| of(&seen.totals)).sum()
    };
    let (responses, bytes) = (
        sum(|totals| totals.responses),
        sum(|totals| totals.body_bytes),
    );
    let has_no_errors = outcome.groups.iter().all(|seen| seen.errors.is_empty());
    let is_exact = has_no_errors && !traits.client_aborts;
    let differ = |server: u64, client: u64| server != client && (is_exact || server < client);
    if differ(tally.responses, responses) {
        judgement.miscounts.push(format!(
            "the server finished {} responses and the client received {responses}",
            tally.responses
        ));
    }
    // The bytes of an unfinished response are not in the tally.
    if is_exact && tally.body_bytes != bytes {
        judgement.miscounts.push(format!(
            "the server sent {} bytes of bodies and the client received {bytes}",
            tally.body_bytes
        ));
    }
    if !is_exact {
        judgement.notes.push(format!(
            "the client did not wait for all responses: it received {responses}, and the server \
             finished {}",
            tally.responses
        ));
    }
    judgement
        .invalid
        .extend(judgement.miscounts.iter().cloned());
}

/// This many errors of a kind, in words.
fn in_words(fault: Fault, number: u64) -> String {
    let (noun, what) = match fault {
        Fault::Connect => ("connections", "were not made (refused, or too slow)"),
        Fault::Status => ("responses", "had another status"),
        Fault::Length => ("bodies", "had another length"),
        Fault::Content => ("bodies", "had other bytes"),
        Fault::Truncated => ("responses", "were truncated"),
        Fault::Reset => ("connections", "were reset before the response"),
        Fault::Closed => ("connections", "were closed before the response"),
        Fault::Missing => ("requests", "had no response"),
        Fault::Malformed => ("responses", "were not HTTP"),
        Fault::Unsolicited => ("times", "there were bytes without a request"),
    };
    format!("{number} {noun} {what}")
}

#[cfg(test)]
mod tests {
    use super::super::derive;
    use super::super::derive::tests::closed;
    use super::*;
    use crate::bench::load::{Arrivals, Totals};

    const MATCHING: Tally = Tally {
        connections: 5,
        responses: 5000,
        body_bytes: 5_120_000,
    };
    const CAPTURES: WorkloadTraits = WorkloadTraits {
        may_starve: true,
        ..WorkloadTraits::NONE
    };

    /// The judgement of a valid sample after `change`.
    fn judged(
        traits: WorkloadTraits,
        tally: Tally,
        change: impl Fn(&mut Outcome, &mut Metrics),
    ) -> Judgement {
        let (load, mut outcome) = closed();
        outcome.groups[0].totals = Totals {
            requests: 5000,
            responses: 5000,
            body_bytes: 5_120_000,
            connections: 4,
        };
        let mut metrics = derive::metrics(&load, &outcome, 2);
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
    fn a_sample_without_disturbances_is_valid() {
        assert_eq!(
            judged(WorkloadTraits::NONE, MATCHING, |_, _| {}),
            Judgement::default()
        );
    }

    #[test]
    fn each_metric_beyond_its_limit_makes_the_sample_invalid() {
        let table = [
            ("generator_share", 90.5, "the generator was 90.5 % busy"),
            ("steal", 1.6, "the hypervisor gave 1.6 %"),
            ("others", 4.6, "other programs used 4.6 %"),
            ("mice.achieved", 98.9, "98.9 % of the due requests"),
            ("little", 3.1, "connections and rate x time differ by 3.1 %"),
        ];
        for (name, value, sentence) in table {
            let judgement = judged(WorkloadTraits::NONE, MATCHING, |_, metrics| {
                metrics.insert(name.to_owned(), value);
            });
            assert_eq!(judgement.invalid.len(), 1, "{name}");
            assert!(judgement.invalid[0].starts_with(sentence), "{judgement:?}");
        }
    }

    #[test]
    fn a_busy_generator_does_not_disturb_the_cpu_time_of_the_server() {
        let (load, outcome) = closed();
        let mut metrics = derive::metrics(&load, &outcome, 2);
        metrics.insert("generator_share".to_owned(), 99.0);
        metrics.insert("others".to_owned(), 0.0);
        let judged = |primary_metric| {
            judge(
                &load,
                &outcome,
                &metrics,
                (primary_metric, WorkloadTraits::NONE),
                None,
            )
        };
        for primary_metric in ["per_core", "cpu_connection", "memory_slope"] {
            assert_eq!(judged(primary_metric).invalid, [""; 0], "{primary_metric}");
            assert_eq!(judged(primary_metric).notes.len(), 1, "{primary_metric}");
        }
        for primary_metric in ["throughput", "p99", "mice.p99"] {
            assert_eq!(judged(primary_metric).invalid.len(), 1, "{primary_metric}");
        }
    }

    #[test]
    fn in_an_open_loop_the_delay_of_the_generator_is_limited_and_not_its_cpu_time() {
        let open = Behavior::Open {
            rate: 4000.0,
            arrivals: Arrivals::Poisson,
            max_waiting: 10,
        };
        let (_, outcome) = closed();
        let load = derive::tests::load(open, 4);
        let judged = |primary_metric: &str, late: f64| {
            let mut metrics = derive::metrics(&load, &outcome, 2);
            let numbers = [
                ("generator_share", 100.0),
                ("others", 0.0),
                ("lag_p99", late),
            ];
            metrics.extend(numbers.map(|(name, value)| (name.to_owned(), value)));
            judge(
                &load,
                &outcome,
                &metrics,
                (primary_metric, WorkloadTraits::NONE),
                None,
            )
        };
        // The p99 is a millisecond.
        assert_eq!(judged("p99", 499.0), Judgement::default());
        let note = "up to 501 us of the p99 of 1000 us may be the generator's own delay";
        assert_eq!(judged("p99", 501.0).notes, [note]);
        assert_eq!(judged("p99", 501.0).invalid, [""; 0]);
        assert_eq!(judged("p99", 1001.0).invalid.len(), 1);
        assert_eq!(judged("throughput", 999.0), Judgement::default());
        assert_eq!(judged("throughput", 1001.0).invalid.len(), 1);
        assert_eq!(judged("memory_slope", 1001.0), Judgement::default());
    }

    #[test]
    fn the_limit_for_other_programs_allows_for_the_precision_of_ticks() {
        let judged = |measured: u64| {
            judged(WorkloadTraits::NONE, MATCHING, |outcome, metrics| {
                outcome.measured = measured;
                metrics.insert("others".to_owned(), 8.0);
            })
        };
        assert_eq!(judged(250_000_000).invalid, [""; 0]);
        assert_eq!(judged(1_000_000_000).invalid.len(), 1);
    }

    #[test]
    fn errors_make_a_sample_invalid_unless_the_workload_is_about_them() {
        let change = |outcome: &mut Outcome, _: &mut Metrics| {
            outcome.groups[0].errors.insert(Fault::Missing, 3);
        };
        let sentence = "main: 3 requests had no response".to_owned();
        let judgement = judged(WorkloadTraits::NONE, MATCHING, change);
        assert_eq!(judgement.invalid[..], [sentence.as_str()]);
        let judgement = judged(CAPTURES, MATCHING, change);
        assert_eq!(judgement.invalid, [""; 0]);
        assert_eq!(judgement.notes[0], sentence);
        let wrong = |outcome: &mut Outcome, _: &mut Metrics| {
            outcome.groups[0].errors.insert(Fault::Content, 1);
        };
        assert_eq!(judged(CAPTURES, MATCHING, wrong).invalid.len(), 1);
    }

    #[test]
    fn the_missing_responses_of_starved_connections_do_not_make_a_sample_invalid() {
        let judgement = judged(WorkloadTraits::NONE, MATCHING, |outcome, _| {
            outcome.groups[0].shares = vec![4000, 0, 0, 0];
            outcome.groups[0].errors.insert(Fault::Missing, 3);
        });
        assert_eq!(judgement.invalid, [""; 0]);
    }

    #[test]
    fn connections_that_were_not_made_and_full_listen_queues_make_a_sample_invalid() {
        let judgement = judged(WorkloadTraits::NONE, MATCHING, |outcome, _| {
            outcome.groups[0].connections = (1000, 100);
            let (_, after) = outcome.usage.as_mut().unwrap();
            after.listen_overflows = 7;
        });
        let expected = [
            "7 connections found the listen queue full",
            "main: 100 of 1000 connections were made",
        ];
        assert_eq!(judgement.invalid, expected);
    }

    #[test]
    fn different_counts_of_client_and_server_are_miscounts() {
        let one_more = Tally {
            responses: 5001,
            ..MATCHING
        };
        let other_bytes = Tally {
            body_bytes: 5_119_999,
            ..MATCHING
        };
        for tally in [one_more, other_bytes] {
            let judgement = judged(WorkloadTraits::NONE, tally, |_, _| {});
            assert_eq!(judgement.miscounts.len(), 1);
            assert_eq!(judgement.miscounts, judgement.invalid);
        }
    }

    #[test]
    fn with_resets_the_server_may_have_finished_more_responses_but_not_fewer() {
        let cuts = WorkloadTraits {
            client_aborts: true,
            ..WorkloadTraits::NONE
        };
        let with = |responses: u64| Tally {
            responses,
            ..MATCHING
        };
        assert_eq!(judged(cuts, with(5007), |_, _| {}).miscounts, [""; 0]);
        assert_eq!(judged(cuts, with(4999), |_, _| {}).miscounts.len(), 1);
    }

    #[test]
    fn the_tallies_of_all_processes_are_added() {
        let line = r#"{"connections":1,"responses":20,"body_bytes":300}"#;
        let expected = Tally {
            connections: 2,
            responses: 40,
            body_bytes: 600,
        };
        assert_eq!(Tally::parse(&format!("{line}\n{line}\n")), Ok(expected));
        assert_eq!(Tally::parse(""), Ok(Tally::default()));
        assert!(Tally::parse("{}").is_err());
    }
}
