//! Tests the load generator against servers with a known answer ([`server`]): scenarios with
//! expected values.
//!
//! The checks of counts depend on no clock, so they hold on a busy machine, too.

pub mod server;

use super::procfs::Usage;
use super::runner::process::{Process, generate};
use super::runner::{INTERRUPTED, RunContext, RunError, USAGE, say};
use super::stats::{self, float, mean, variance};
use super::types::{Arrivals, Behavior, ClientStats, Fault, Group, Load, Outcome};
use super::{Selftest, platform};
use hdrhistogram::Histogram;
use server::{FAULTS, Policy, ServerCounters, page};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::Duration;

/// Limit for the attempts at a check that depends on a clock. A disturbance by the machine affects
/// one or two of them, a bug of the generator all.
const MAX_ATTEMPTS: usize = 5;
/// The machine is quiet if other programs use less than this, percent.
const QUIET: f64 = 4.0;
/// How often the machine is watched until it is quiet, and for how long each time.
const WATCHES: u32 = 120;
const WATCH: Duration = Duration::from_millis(250);
/// Limit for the end of a known-answer server.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// A millisecond, in nanoseconds.
const MS: u64 = 1_000_000;
/// A second, in nanoseconds.
const SECOND: u64 = 1_000 * MS;

const PASSED: &str = "The generator finds the expected values in the checks that ran.";
const FAILED: &str = "The generator does not find the expected values. If other programs were \
                      running, repeat without\nthem; if it fails again, do not trust results of \
                      this build.";

/// The checks, with the names that the filter of the command line matches.
const CHECKS: &[(&str, Check)] = &[
    ("counts: faults", faults),
    ("counts: connections", connections),
    ("counts: shares", shares),
    ("counts: dropped", dropped),
    ("delay", delay),
    ("two-point latency", two_point),
    ("stall, open loop", stall),
    ("constant rate", constant),
];

/// A check of the generator; an error if server or generator failed.
type Check = fn(&Harness) -> Checked;
type Checked = Result<Vec<Comparison>, RunError>;

/// Runs the checks that match the filter, and prints the results. The exit code is 1 if one failed.
pub(super) fn run(arguments: &Selftest) -> Result<ExitCode, Box<dyn Error>> {
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let selected: Vec<_> = (CHECKS.iter().filter(|(name, _)| name.contains(filter))).collect();
    if selected.is_empty() {
        let names = CHECKS.iter().map(|(name, _)| *name);
        let names = names.collect::<Vec<_>>().join("\n  ");
        say(&format!(
            "oneloop: no check has `{filter}` in its name; there are:\n  {names}"
        ));
        return Ok(ExitCode::from(USAGE));
    }
    let harness = Harness {
        context: RunContext::new(1)?,
        quick: arguments.quick,
    };
    let to = &mut io::stdout();
    if platform::UNOPTIMIZED {
        writeln!(to, "Built without optimization: times may be too long.")?;
    }
    let (mut passed, mut failed) = (0, 0);
    for (name, check) in selected {
        let comparisons = run_check(name, *check, &harness, to)?;
        passed += comparisons.iter().filter(|one| one.passed).count();
        failed += comparisons.iter().filter(|one| !one.passed).count();
        if harness.context.is_interrupted() {
            writeln!(to, "\nInterrupted.")?;
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
    let verdict = if failed > 0 { FAILED } else { PASSED };
    writeln!(to, "\n{passed} passed, {failed} failed.\n{verdict}")?;
    Ok(ExitCode::from(u8::from(failed > 0)))
}

/// Runs a check, again if the machine may have disturbed it, and prints the last attempt.
fn run_check(
    name: &str,
    check: Check,
    harness: &Harness,
    to: &mut dyn Write,
) -> io::Result<Vec<Comparison>> {
    let context = &harness.context;
    let is_timed = !name.starts_with("counts");
    let mut failures = Vec::new();
    let comparisons = loop {
        let (checked, others) = with_others(context, || check(harness));
        let comparisons = checked.unwrap_or_else(|error| vec![Comparison::failed(error)]);
        let failed = comparisons.iter().find(|one| !one.passed);
        let Some(failed) = failed.filter(|_| is_timed) else {
            break comparisons;
        };
        failures.push(format!(
            "{} was {} while other programs used {others:.0} % of the machine",
            failed.what, failed.found
        ));
        if failures.len() >= MAX_ATTEMPTS || context.is_interrupted() {
            break comparisons;
        }
        let is_quiet = |_| {
            let ((), others) = with_others(context, || std::thread::sleep(WATCH));
            context.is_interrupted() || others < QUIET
        };
        (0..WATCHES).any(is_quiet);
    };
    for comparison in &comparisons {
        writeln!(to, "{}", comparison.line(name))?;
    }
    for (attempt, failure) in (1..).zip(&failures) {
        writeln!(to, "      (attempt {attempt} of {MAX_ATTEMPTS}: {failure})")?;
    }
    to.flush()?;
    Ok(comparisons)
}

/// Does some work. Also returns what other programs, and other machines on the host, have used
/// meanwhile, percent of the machine; 0 without /proc.
fn with_others<T>(context: &RunContext, work: impl FnOnce() -> T) -> (T, f64) {
    let usage = || Usage::of(std::process::id(), &[]).unwrap_or_default();
    let before = usage();
    let result = work();
    let after = usage();
    let cpus = context.cpu_count as u64;
    let own = after.cpu_time.saturating_sub(before.cpu_time);
    let steal = after.steal.saturating_sub(before.steal);
    let others = after.used_since(&before, cpus).saturating_sub(own) + steal;
    let all = cpus * after.read_at.saturating_sub(before.read_at);
    (result, 100.0 * float(others) / float(all.max(1)))
}

/// What all checks share.
struct Harness {
    /// Program, CPUs and files.
    context: RunContext,
    /// Whether measurements are short.
    quick: bool,
}

/// The result of a scenario.
struct Observed {
    outcome: Outcome,
    /// The statistics of its only group.
    stats: ClientStats,
    /// The counts of the server.
    counters: ServerCounters,
    response_times: Histogram<u64>,
    service_times: Histogram<u64>,
}

impl Harness {
    /// One of two times in milliseconds, as nanoseconds.
    fn time(&self, quick: u64, full: u64) -> u64 {
        MS * if self.quick { quick } else { full }
    }

    /// Runs a load on a known-answer server, after a warm-up of `times.0` ns for `times.1` ns:
    /// starts the server, waits until it has printed its port, runs the generator, and stops the
    /// server, which then prints its counts.
    fn run(
        &self,
        policy: &Policy,
        connections: u32,
        behavior: Behavior,
        times: (u64, u64),
    ) -> Result<Observed, RunError> {
        let context = &self.context;
        let policy = serde_json::to_string(policy).map_err(|error| error.to_string())?;
        let words = [&context.program, "bench", "known-answer-server", &policy];
        let words = words.map(str::to_owned);
        let cpu = context.cpus.map(|cpus| cpus.server);
        let mut server = Process::start(context, &words, cpu, true)?;
        let text = |server: &Process| String::from_utf8_lossy(&server.output()).into_owned();
        let port = server.wait_until_ready(context, "a port", |server| {
            text(server).strip_suffix('\n')?.parse::<u16>().ok()
        })?;
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let outcome = generate(
            context,
            &Load {
                source: RunContext::source(),
                server: Some(server.id()),
                cpu: context.cpus.map(|cpus| cpus.generator),
                warm_up: times.0,
                drain: SECOND,
                groups: vec![Group {
                    name: "main".to_owned(),
                    connections,
                    behavior,
                    page: Some(page()),
                }],
                ..Load::new(target, times.1)
            },
        )?;
        // The end of its input.
        server.tell(b"");
        let status = server.wait(STOP_TIMEOUT);
        let counters = text(&server).lines().nth(1).map(serde_json::from_str);
        match (counters, outcome.groups.first().cloned()) {
            (Some(Ok(counters)), Some(stats)) => Ok(Observed {
                response_times: stats::decode(&stats.response_time)?,
                service_times: stats::decode(&stats.service_time)?,
                outcome,
                stats,
                counters,
            }),
            _ => {
                let messages = server.messages();
                Err(format!("the server did not print its counts ({status:?}){messages}").into())
            }
        }
    }
}

impl Observed {
    /// Compares what server and client have counted.
    fn same_counts(&self) -> Comparison {
        let (client, server) = (&self.stats.totals, &self.counters.totals);
        Comparison::equal("server and client counts", server, client)
    }
}

/// A value and its expected value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparison {
    /// What was compared.
    what: String,
    /// The expected value, or its bounds.
    expected: String,
    /// The value that was found.
    found: String,
    /// Whether it is the expected one.
    passed: bool,
}

impl Comparison {
    /// With an exact expected value.
    fn equal<T: Debug + PartialEq>(what: &str, expected: &T, found: &T) -> Self {
        // Without the syntax of Rust.
        let plain = |value: &T| {
            let text = format!("{value:?}").replace("Totals", "");
            text.replace(['{', '}', '"'], "").trim().to_owned()
        };
        Self {
            what: what.to_owned(),
            expected: plain(expected),
            found: plain(found),
            passed: expected == found,
        }
    }

    /// With bounds; `unit` is printed after the values.
    fn within(what: &str, bounds: RangeInclusive<f64>, found: f64, unit: &str) -> Self {
        let (low, high) = (bounds.start(), bounds.end());
        Self {
            what: what.to_owned(),
            expected: format!("{low:.2} to {high:.2}{unit}"),
            found: format!("{found:.2}{unit}"),
            passed: bounds.contains(&found),
        }
    }

    /// A check without a result.
    fn failed(error: RunError) -> Self {
        let found = match error {
            RunError::Failed(reason) => reason,
            RunError::Interrupted => "interrupted".to_owned(),
        };
        let expected = "a result".to_owned();
        Self {
            found,
            ..Self::equal("the check", &expected, &String::new())
        }
    }

    /// The line of the output.
    fn line(&self, check: &str) -> String {
        let verdict = if self.passed { "PASS" } else { "FAIL" };
        let what = format!("{check}: {}", self.what);
        let (expected, found) = (&self.expected, &self.found);
        format!("{verdict}  {what:<44} expected {expected}, found {found}")
    }
}

/// A quantile of a histogram, ms; NaN, which no bounds contain, if it is empty.
fn quantile(times: &Histogram<u64>, quantile: f64) -> f64 {
    match times.is_empty() {
        true => f64::NAN,
        false => float(times.value_at_quantile(quantile)) / 1e6,
    }
}

fn about(value: f64, tolerance: f64) -> RangeInclusive<f64> {
    value - tolerance..=value + tolerance
}

/// The server responds wrongly in eight ways, each a known number of times.
fn faults(harness: &Harness) -> Checked {
    let times = (0, harness.time(500, 3000));
    let observed = harness.run(&Policy::Faulty, 8, Behavior::Closed, times)?;
    let (expected, errors) = (&observed.counters.faults, &observed.stats.errors);
    let recorded = observed.response_times.len();
    Ok(vec![
        observed.same_counts(),
        Comparison::equal("errors by kind", expected, errors),
        // 97 requests, after which all kinds have occurred, take a moment.
        Comparison::equal("kinds", &FAULTS.len(), &errors.len()),
        // Each correct response in the window once.
        Comparison::equal("times recorded", &observed.stats.responses, &recorded),
    ])
}

/// The server accepts 100 connections of 1000, and refuses the others.
fn connections(harness: &Harness) -> Checked {
    // Connections in the listen queue when the listener is closed are reset in the warm-up.
    let times = (SECOND / 5, 2 * SECOND);
    let observed = harness.run(&Policy::Refuse(100), 1000, Behavior::Closed, times)?;
    let Observed { outcome, stats, .. } = observed;
    let served = stats.shares.iter().filter(|share| **share > 0).count();
    let refused = stats.errors.get(&Fault::Connect).copied().unwrap_or(0);
    let is_reported = refused >= 900 && !outcome.problems.is_empty();
    Ok(vec![
        Comparison::equal("requested, made", &(1000, 100), &stats.connections),
        Comparison::equal("served connections", &100, &served),
        Comparison::equal("900 refused connections are reported", &true, &is_reported),
    ])
}

/// The server sends a number of responses on each connection, and then none.
fn shares(harness: &Harness) -> Checked {
    const CONNECTIONS: u32 = 20;
    // The first five get none.
    let quotas = (0..u64::from(CONNECTIONS)).map(|number| 10 * number.saturating_sub(4));
    let quotas: Vec<u64> = quotas.collect();
    let policy = Policy::Quota(quotas.clone());
    let observed = harness.run(&policy, CONNECTIONS, Behavior::Closed, (0, 2 * SECOND))?;
    let mut shares = observed.stats.shares.clone();
    shares.sort_unstable();
    let missing = BTreeMap::from([(Fault::Missing, u64::from(CONNECTIONS))]);
    Ok(vec![
        observed.same_counts(),
        Comparison::equal("shares", &quotas, &shares),
        Comparison::equal("missing", &missing, &observed.stats.errors),
    ])
}

/// The server never responds to an open loop: one request per connection is sent, a limited number
/// waits, and all others are dropped.
fn dropped(harness: &Harness) -> Checked {
    const CONNECTIONS: u32 = 10;
    const WAITING: u32 = 50;
    const RATE: f64 = 1000.0;
    let policy = Policy::Quota(Vec::new());
    let times = (0, SECOND / 2);
    let observed = harness.run(&policy, CONNECTIONS, open(RATE, WAITING), times)?;
    let stats = &observed.stats;
    let missing = BTreeMap::from([(Fault::Missing, u64::from(CONNECTIONS + WAITING))]);
    // A request without a response is recorded with the time that it has waited. The first ones may
    // have been due before the window.
    let recorded = stats.dropped + observed.response_times.len();
    Ok(vec![
        observed.same_counts(),
        due(&observed, RATE),
        Comparison::equal("sent", &u64::from(CONNECTIONS), &stats.totals.requests),
        Comparison::equal("missing", &missing, &stats.errors),
        Comparison::equal("dropped and recorded", &stats.due, &recorded),
    ])
}

/// The requests that were due in an open loop. The window begins and ends between two of them.
fn due(observed: &Observed, rate: f64) -> Comparison {
    let expected = about(rate * float(observed.outcome.measured) / 1e9, 1.0);
    Comparison::within("due", expected, float(observed.stats.due), "")
}

/// Tolerance for the median of times, ms: the way over loopback, and the time to wake up. 20 to 230
/// microseconds were measured on two virtual CPUs; it is longer after a longer sleep.
const LATENCY: f64 = 0.5;

/// Every response comes 1 ms after its request: the response time R is d + latency, and c
/// outstanding requests make a rate of c / R, at most c / d. The lower bound of the rate is wide,
/// because it depends on the slowest responses. Little's law is precise without knowing d: rate * R
/// = c, except for the generator's time between a response and the next request (microseconds), and
/// for the requests at the ends of the window.
fn delay(harness: &Harness) -> Checked {
    const DELAY: f64 = 1.0;
    const CONNECTIONS: u32 = 8;
    let policy = Policy::Delay(MS, u64::from(CONNECTIONS));
    let measure = harness.time(800, 3000);
    // The first responses are later than the others.
    let observed = harness.run(&policy, CONNECTIONS, Behavior::Closed, (50 * MS, measure))?;
    let outstanding = f64::from(CONNECTIONS);
    let times = &observed.response_times;
    let rate = float(observed.stats.responses) * 1e9 / float(observed.outcome.measured.max(1));
    let service = quantile(&observed.service_times, 0.5);
    let p50 = DELAY..=DELAY + LATENCY;
    // The window contains up to one more or one less response per connection.
    let border = outstanding / float(measure) * 1e9;
    let least = outstanding / (2.0 * DELAY + LATENCY) * 1e3 - border;
    let most = outstanding / DELAY * 1e3 + border;
    let (little, found) = (
        about(outstanding, 0.01 * outstanding),
        rate * times.mean() / 1e9,
    );
    Ok(vec![
        observed.same_counts(),
        Comparison::within("p50", p50.clone(), quantile(times, 0.5), " ms"),
        Comparison::within("p50 of service", p50, service, " ms"),
        Comparison::within("rate", least..=most, rate, "/s"),
        Comparison::within("rate x time (Little)", little, found, ""),
        server_cpu_time(harness, &observed),
    ])
}

/// A known-answer server is always busy, so it must have used its CPU for all of the time; less if
/// other programs used it.
fn server_cpu_time(harness: &Harness, observed: &Observed) -> Comparison {
    // Without a CPU of its own it shares that of the generator.
    let least = harness.context.cpus.map_or(0.0, |_| 80.0);
    let usage = observed.outcome.usage.as_ref();
    let used = usage.map(|(before, after)| after.cpu_time.saturating_sub(before.cpu_time));
    let measured = float(observed.outcome.measured);
    let percent = used.map_or(f64::NAN, |used| 100.0 * float(used) / measured);
    Comparison::within("CPU time of the server", least..=101.0, percent, " %")
}

/// One response in 100 is 100 ms late: there are two values, and nothing between them, where a
/// histogram that interpolates has a slope (vegeta, issue 726).
fn two_point(harness: &Harness) -> Checked {
    const DELAY: u64 = 100 * MS;
    const CONNECTIONS: u32 = 16;
    let policy = Policy::TwoPoint(100, DELAY);
    let times = (0, harness.time(1000, 5000));
    let observed = harness.run(&policy, CONNECTIONS, Behavior::Closed, times)?;
    let times = &observed.response_times;
    let late = float(times.count_between(DELAY - MS, DELAY + 50 * MS));
    let between = float(times.count_between(DELAY / 2, DELAY - MS));
    // Late responses that are outstanding at the end are not in the window.
    let counted = float(observed.counters.late);
    let bounds = counted - f64::from(CONNECTIONS)..=counted;
    let (p98, p995) = (quantile(times, 0.98), quantile(times, 0.995));
    Ok(vec![
        observed.same_counts(),
        Comparison::within("p98", 0.0..=10.0, p98, " ms"),
        Comparison::within("p99.5", 100.0..=101.0, p995, " ms"),
        Comparison::within("late responses", bounds, late, ""),
        // The machine may delay a response that is not late.
        Comparison::within("between the two values", 0.0..=2.0, between, ""),
    ])
}

/// The server stalls for 200 ms. Requests that are due meanwhile must count from when they were
/// due. A generator that waits for a response before it sends the next request (coordinated
/// omission) finds one long time per connection. Its clock is the service time, which must show
/// nothing at p99.
///
/// The tolerance for a quantile: requests are due 1 ms apart; waking up and the queue after the
/// stall take less than 1 ms each.
fn stall(harness: &Harness) -> Checked {
    const STALL: u64 = 200 * MS;
    const RATE: f64 = 1000.0;
    const TOLERANCE: f64 = 4.0;
    const SERVICE_TIME: u64 = 50_000;
    let measure = harness.time(2000, 10_000);
    let policy = Policy::Stall(measure / 2..measure / 2 + STALL, SERVICE_TIME);
    let observed = harness.run(&policy, 4, open(RATE, 100_000), (0, measure))?;
    let times = &observed.response_times;
    let service = quantile(&observed.service_times, 0.99);
    let at = |name: &str, q: f64| {
        let capacity = 1e9 / float(SERVICE_TIME);
        let expected = stalled(q, float(STALL), float(measure), RATE, capacity) / 1e6;
        let bounds = about(expected, TOLERANCE);
        Comparison::within(name, bounds, quantile(times, q), " ms")
    };
    Ok(vec![
        observed.same_counts(),
        at("p99", 0.99),
        at("p99.9", 0.999),
        Comparison::within("p99 of service", 0.0..=5.0, service, " ms"),
        Comparison::equal("times recorded", &observed.stats.due, &times.len()),
    ])
}

/// The response time at quantile `q` of an open loop, if the server stalls once for `stall` ns in a
/// measurement of `time` ns. Requests are due at `rate` per second, the server can serve
/// `capacity`.
///
/// docs/bench/selftest.md derives it. It is 0 if the stall does not reach the quantile.
fn stalled(q: f64, stall: f64, time: f64, rate: f64, capacity: f64) -> f64 {
    (stall - (1.0 - q) * time * (capacity - rate) / capacity).max(0.0)
}

/// A constant rate, by the clock of the server: the rate within 0.5 %, hardly any variance of the
/// counts in bins, and even intervals. A generator that sleeps whole milliseconds sends five
/// requests at once, and has no even interval. The machine disturbs some: the timer tick of the
/// virtual machine on which this was written took 0.1 ms, 250 times per second.
fn constant(harness: &Harness) -> Checked {
    const RATE: f64 = 5000.0;
    let measure = harness.time(1000, 4000);
    let behavior = open(RATE, 100_000);
    let observed = harness.run(&Policy::Immediate, 16, behavior, (0, measure))?;
    let arrivals = &observed.counters.arrivals;
    let last = arrivals.last().copied().unwrap_or(0);
    let rate = float(arrivals.len().saturating_sub(1) as u64) / float(last) * 1e9;
    let even = about(1e9 / RATE, 0.5e9 / RATE);
    let intervals = arrivals.windows(2);
    let is_even = |pair: &&[u64]| matches!(pair, [a, b] if even.contains(&float(b - a)));
    let even = 100.0 * float(intervals.clone().filter(is_even).count() as u64);
    let even = even / float(intervals.count() as u64);
    let spread = dispersion(arrivals);
    Ok(vec![
        observed.same_counts(),
        Comparison::within("even intervals", 75.0..=100.0, even, " %"),
        Comparison::within("rate", about(RATE, 0.005 * RATE), rate, "/s"),
        due(&observed, RATE),
        Comparison::within("variance / mean", 0.0..=0.2, spread, ""),
    ])
}

/// The index of dispersion, variance / mean, of the counts in whole bins of 10 ms: 0 for a constant
/// rate. NaN without counts.
fn dispersion(arrivals: &[u64]) -> f64 {
    let bin = |arrival: &u64| usize::try_from(arrival / (10 * MS)).unwrap_or(0);
    let mut counts = vec![0.0; arrivals.last().map_or(0, bin)];
    for arrival in arrivals {
        if let Some(count) = counts.get_mut(bin(arrival)) {
            *count += 1.0;
        }
    }
    variance(&counts).unwrap_or(f64::NAN) / mean(&counts).unwrap_or(f64::NAN)
}

/// An open loop with this rate.
fn open(rate: f64, max_waiting: u32) -> Behavior {
    let arrivals = Arrivals::Constant;
    Behavior::Open {
        rate,
        arrivals,
        max_waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closed_form_agrees_with_a_simulated_queue() {
        let (stall, time, rate, capacity) = (200.0, 2000.0, 1000.0, 5000.0);
        let (mut free, mut response_times) = (0.0_f64, Vec::new());
        for number in 0..2000 {
            let due = f64::from(number) * 1000.0 / rate;
            let mut begin = due.max(free);
            if (500.0..500.0 + stall).contains(&begin) {
                begin = 500.0 + stall;
            }
            free = begin + 1000.0 / capacity;
            response_times.push(free - due);
        }
        response_times.sort_by(f64::total_cmp);
        for (q, rank) in [(0.99, 1979), (0.95, 1899), (0.999, 1997)] {
            let expected = stalled(q, stall, time, rate, capacity);
            let found = response_times[rank];
            assert!((found - expected).abs() < 1.0, "{q}: {found} {expected}");
        }
    }
}
