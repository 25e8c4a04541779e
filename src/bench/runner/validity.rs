//! Room `bench`: may a sample be believed? A pure function of what was asked and what came.
//!
//! A sample that must not be believed is kept, with the reasons, and left out of comparisons.

use super::derive::{Metrics, starved};
use crate::bench::load::{Behavior, Fault, Group, Load, Outcome};
use crate::bench::workloads::WorkloadTraits;
use serde::Deserialize;
use std::time::Duration;

/// What a server says that it has done (its option `--tally`), all of its processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Tally {
    /// Connections that it took in.
    pub connections: u64,
    /// Responses that it finished.
    pub responses: u64,
    /// Bytes of their bodies.
    pub body_bytes: u64,
}

impl Tally {
    /// The sum of the lines, one of each process that has ended.
    ///
    /// # Errors
    /// If a line is none.
    pub fn of(text: &str) -> Result<Self, String> {
        text.lines().try_fold(Self::default(), |sum, line| {
            let one: Self = serde_json::from_str(line)
                .map_err(|error| format!("the server's count is not understood: {error}"))?;
            Ok(Self {
                connections: sum.connections.saturating_add(one.connections),
                responses: sum.responses.saturating_add(one.responses),
                body_bytes: sum.body_bytes.saturating_add(one.body_bytes),
            })
        })
    }
}

/// What is said of a sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Why it must not be believed.
    pub invalid: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// What must not happen at all: client and server have counted differently.
    pub broken: Vec<String>,
}

/// Percent of its processor that a generator may use: above, it is what is measured.
const GENERATOR: f64 = 90.0;
/// Percent of the machine that it may be without, because another machine had it.
const STEAL: f64 = 1.0;
/// Percent of the machine that may go to somebody else.
const OTHERS: f64 = 3.0;
/// Percent of a second of the machine that three ticks are, on two processors: so far may the
/// kernel's count of the whole machine be from the truth.
const TICKS: f64 = 1.5;
/// Percent of the requests due that must be answered.
const ACHIEVED: f64 = 99.0;
/// Percent by which Little's law may be missed.
const LITTLE: f64 = 3.0;
/// Microseconds that the generator may be late itself, 99 %.
const LAG: f64 = 1000.0;

/// Judges an outcome. `tally` is `None` for servers that count nothing.
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
                "{}: {made} connections were made of {asked} that were asked for",
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
            let sentence = format!("{}: {number} {}", seen.name, words(*fault));
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

/// In an open loop the generator is always busy, for it spins so as to be in time. Whether it was
/// is what counts. The limit does not depend on what was measured: it would leave out the fast
/// samples only. Where the delay is a good part of the time that is compared, a note says so.
fn lag(metrics: &Metrics, primary_metric: &str, judgement: &mut Judgement) {
    let of = |name: &str| metrics.get(name).copied();
    let late = of("lag_p99").unwrap_or(0.0);
    let name = primary_metric.rsplit('.').next().unwrap_or(primary_metric);
    let is_time = ["p50", "p90", "p99", "p999", "max", "mean"].contains(&name);
    if late > LAG && name != "memory_slope" {
        judgement.invalid.push(format!(
            "the generator itself sent late, by {late:.0} us at the 99th percentile"
        ));
    } else if let Some(time) = of(primary_metric).filter(|time| is_time && late > time / 2.0) {
        judgement.notes.push(format!(
            "of the {primary_metric} of {time:.0} us the generator's own delay may be {late:.0}"
        ));
    }
}

/// A busy generator may be what limits a number, unless it is the server's own account.
fn generator(metrics: &Metrics, primary_metric: &str, judgement: &mut Judgement) {
    let share = metrics.get("generator_share").copied().unwrap_or(0.0);
    if share <= GENERATOR {
        return;
    }
    let own =
        ["per_core", "memory_slope"].contains(&primary_metric) || primary_metric.starts_with("cpu");
    if own {
        judgement.notes.push(format!(
            "the generator was busy for {share:.1} % of the time: rates and times may be its own, \
             but {primary_metric} is not"
        ));
    } else {
        judgement.invalid.push(format!(
            "the generator was busy for {share:.1} % of the time: the number may be its own"
        ));
    }
}

fn machine(metrics: &Metrics, outcome: &Outcome, judgement: &mut Judgement) {
    let of = |name: &str| metrics.get(name).copied().unwrap_or(0.0);
    // The kernel counts the machine's time in ticks.
    let seconds = Duration::from_nanos(outcome.measured).as_secs_f64();
    let ticks = if seconds > 0.0 { TICKS / seconds } else { 0.0 };
    let (steal, others) = (of("steal"), of("others"));
    if steal > STEAL + ticks / 3.0 {
        judgement.invalid.push(format!(
            "the machine was without {steal:.1} % of its processor time (steal)"
        ));
    }
    if others > OTHERS + ticks {
        judgement
            .invalid
            .push(format!("other processes took {others:.1} % of the machine"));
    }
}

/// What must hold where nobody is kept out.
fn laws(metrics: &Metrics, judgement: &mut Judgement) {
    for (name, value) in metrics {
        match name.rsplit('.').next() {
            Some("achieved") if *value < ACHIEVED => judgement.invalid.push(format!(
                "{value:.1} % of the requests that were due were answered"
            )),
            Some("little") if *value > LITTLE => judgement.invalid.push(format!(
                "connections and rate x time are {value:.1} % apart (Little's law): something \
                 was not counted"
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

/// What the server has finished is what the client has received. Where an answer was not waited
/// for, the server may have finished it all the same, but never less than the client has seen.
fn conservation(
    outcome: &Outcome,
    traits: WorkloadTraits,
    tally: Tally,
    judgement: &mut Judgement,
) {
    let sum = |of: fn(&crate::bench::load::Totals) -> u64| -> u64 {
        outcome.groups.iter().map(|seen| of(&seen.totals)).sum()
    };
    let (answers, bytes) = (
        sum(|totals| totals.responses),
        sum(|totals| totals.body_bytes),
    );
    let faultless = outcome.groups.iter().all(|seen| seen.errors.is_empty());
    let exact = faultless && !traits.client_aborts;
    let broken = |server: u64, client: u64| server != client && (exact || server < client);
    if broken(tally.responses, answers) {
        judgement.broken.push(format!(
            "the server finished {} responses and the client received {answers}",
            tally.responses
        ));
    }
    // A body that is cut off is no response that was finished, so its bytes are not compared.
    if exact && tally.body_bytes != bytes {
        judgement.broken.push(format!(
            "the server sent {} bytes of bodies and the client received {bytes}",
            tally.body_bytes
        ));
    }
    if !exact {
        judgement.notes.push(format!(
            "the client did not wait for all answers: it received {answers}, and the server \
             finished {}",
            tally.responses
        ));
    }
    judgement.invalid.extend(judgement.broken.iter().cloned());
}

/// A kind of fault, in words.
pub fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::Connect => "connections were refused or not made in time",
        Fault::Status => "answers had another status",
        Fault::Length => "bodies had another length",
        Fault::Content => "bodies had other bytes",
        Fault::Truncated => "answers were cut short",
        Fault::Reset => "connections were reset before the answer",
        Fault::Closed => "connections were closed before the answer",
        Fault::Missing => "requests had no answer until the end",
        Fault::Malformed => "answers were no HTTP",
        Fault::Unsolicited => "times came bytes that nobody had asked for",
    }
}

#[cfg(test)]
mod tests {
    use super::super::derive;
    use super::super::derive::tests::closed;
    use super::*;
    use crate::bench::load::{Arrivals, Totals};

    const FINE: Tally = Tally {
        connections: 5,
        responses: 5000,
        body_bytes: 5_120_000,
    };
    const CAPTURES: WorkloadTraits = WorkloadTraits {
        may_starve: true,
        ..WorkloadTraits::NONE
    };

    /// What is said of a second that was fine, but for this.
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
        let mut metrics = derive::of(&load, &outcome, 2);
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
    fn a_sample_that_is_fine_is_believed() {
        assert_eq!(
            judged(WorkloadTraits::NONE, FINE, |_, _| {}),
            Judgement::default()
        );
    }

    #[test]
    fn each_number_beyond_its_limit_is_a_reason() {
        let table = [
            ("generator_share", 90.5, "the generator was busy for 90.5 %"),
            ("steal", 1.6, "the machine was without 1.6 %"),
            ("others", 4.6, "other processes took 4.6 %"),
            ("mice.achieved", 98.9, "98.9 % of the requests"),
            ("little", 3.1, "connections and rate x time are 3.1 % apart"),
        ];
        for (name, value, sentence) in table {
            let judgement = judged(WorkloadTraits::NONE, FINE, |_, metrics| {
                metrics.insert(name.to_owned(), value);
            });
            assert_eq!(judgement.invalid.len(), 1, "{name}");
            assert!(judgement.invalid[0].starts_with(sentence), "{judgement:?}");
        }
    }

    #[test]
    fn a_busy_generator_does_not_spoil_the_servers_own_account() {
        let (load, outcome) = closed();
        let mut metrics = derive::of(&load, &outcome, 2);
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
    fn in_an_open_loop_it_is_not_the_generators_work_but_its_delay_that_counts() {
        let open = Behavior::Open {
            rate: 4000.0,
            arrivals: Arrivals::Poisson,
            max_waiting: 10,
        };
        let (_, outcome) = closed();
        let load = derive::tests::load(open, 4);
        let judged = |primary_metric: &str, late: f64| {
            let mut metrics = derive::of(&load, &outcome, 2);
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
        // Its p99 is a millisecond.
        assert_eq!(judged("p99", 499.0), Judgement::default());
        let own = "of the p99 of 1000 us the generator's own delay may be 501";
        assert_eq!(judged("p99", 501.0).notes, [own]);
        assert_eq!(judged("p99", 501.0).invalid, [""; 0]);
        assert_eq!(judged("p99", 1001.0).invalid.len(), 1);
        assert_eq!(judged("throughput", 999.0), Judgement::default());
        assert_eq!(judged("throughput", 1001.0).invalid.len(), 1);
        assert_eq!(judged("memory_slope", 1001.0), Judgement::default());
    }

    #[test]
    fn what_a_few_ticks_can_be_is_not_held_against_others() {
        let judged = |measured: u64| {
            judged(WorkloadTraits::NONE, FINE, |outcome, metrics| {
                outcome.measured = measured;
                metrics.insert("others".to_owned(), 8.0);
            })
        };
        assert_eq!(judged(250_000_000).invalid, [""; 0]);
        assert_eq!(judged(1_000_000_000).invalid.len(), 1);
    }

    #[test]
    fn errors_are_a_reason_unless_they_are_what_the_workload_shows() {
        let change = |outcome: &mut Outcome, _: &mut Metrics| {
            outcome.groups[0].errors.insert(Fault::Missing, 3);
        };
        let sentence = "main: 3 requests had no answer until the end".to_owned();
        let judgement = judged(WorkloadTraits::NONE, FINE, change);
        assert_eq!(judgement.invalid[..], [sentence.as_str()]);
        let judgement = judged(CAPTURES, FINE, change);
        assert_eq!(judgement.invalid, [""; 0]);
        assert_eq!(judgement.notes[0], sentence);
        let wrong = |outcome: &mut Outcome, _: &mut Metrics| {
            outcome.groups[0].errors.insert(Fault::Content, 1);
        };
        assert_eq!(judged(CAPTURES, FINE, wrong).invalid.len(), 1);
    }

    #[test]
    fn who_was_starved_is_missing_an_answer_and_that_is_the_result() {
        let judgement = judged(WorkloadTraits::NONE, FINE, |outcome, _| {
            outcome.groups[0].shares = vec![4000, 0, 0, 0];
            outcome.groups[0].errors.insert(Fault::Missing, 3);
        });
        assert_eq!(judgement.invalid, [""; 0]);
    }

    #[test]
    fn connections_that_were_not_made_and_queues_that_were_full_are_reasons() {
        let judgement = judged(WorkloadTraits::NONE, FINE, |outcome, _| {
            outcome.groups[0].connections = (1000, 100);
            let (_, after) = outcome.usage.as_mut().unwrap();
            after.listen_overflows = 7;
        });
        let wanted = [
            "7 connections found the listen queue full",
            "main: 100 connections were made of 1000 that were asked for",
        ];
        assert_eq!(judgement.invalid, wanted);
    }

    #[test]
    fn client_and_server_must_have_counted_the_same() {
        let one_more = Tally {
            responses: 5001,
            ..FINE
        };
        let other_bytes = Tally {
            body_bytes: 5_119_999,
            ..FINE
        };
        for tally in [one_more, other_bytes] {
            let judgement = judged(WorkloadTraits::NONE, tally, |_, _| {});
            assert_eq!(judgement.broken.len(), 1);
            assert_eq!(judgement.broken, judgement.invalid);
        }
    }

    #[test]
    fn where_answers_are_cut_off_the_server_may_have_finished_more_but_not_less() {
        let cuts = WorkloadTraits {
            client_aborts: true,
            ..WorkloadTraits::NONE
        };
        let with = |responses: u64| Tally { responses, ..FINE };
        assert_eq!(judged(cuts, with(5007), |_, _| {}).broken, [""; 0]);
        assert_eq!(judged(cuts, with(4999), |_, _| {}).broken.len(), 1);
    }

    #[test]
    fn the_counts_of_all_processes_are_added() {
        let line = r#"{"connections":1,"responses":20,"body_bytes":300}"#;
        let wanted = Tally {
            connections: 2,
            responses: 40,
            body_bytes: 600,
        };
        assert_eq!(Tally::of(&format!("{line}\n{line}\n")), Ok(wanted));
        assert_eq!(Tally::of(""), Ok(Tally::default()));
        assert!(Tally::of("{}").is_err());
    }
}
