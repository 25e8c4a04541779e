//! Tests the load generator against servers with a known answer.
//!
//! - here: runs the generator against a known-answer server, and compares
//! - `checks`: scenarios with expected values
//! - [`server`]: the known-answer server

mod checks;
pub mod server;

use super::procfs::Usage;
use super::runner::process::{Process, generate};
use super::runner::{INTERRUPTED, RunContext, RunError, USAGE, say};
use super::stats::{self, float};
use super::types::{Arrivals, Behavior, ClientStats, Group, Load, Outcome};
use super::{Selftest, platform};
use checks::CHECKS;
use hdrhistogram::Histogram;
use server::{Policy, ServerCounters, page};
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

/// A check of the generator.
struct Check {
    /// What the filter of the command line matches.
    name: &'static str,
    /// Whether it depends on a clock, so that a busy machine may disturb it.
    is_timed: bool,
    run: fn(&Harness) -> Checked,
}

impl Check {
    const fn counts(name: &'static str, run: fn(&Harness) -> Checked) -> Self {
        let is_timed = false;
        Self {
            name,
            is_timed,
            run,
        }
    }

    const fn timed(name: &'static str, run: fn(&Harness) -> Checked) -> Self {
        let is_timed = true;
        Self {
            name,
            is_timed,
            run,
        }
    }
}

/// The comparisons of a check; an error if server or generator failed.
type Checked = Result<Vec<Comparison>, RunError>;

/// Runs the checks that match the filter, and prints the results. The exit code is 1 if one failed.
pub(super) fn run(arguments: &Selftest) -> Result<ExitCode, Box<dyn Error>> {
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let selected = CHECKS.iter().filter(|check| check.name.contains(filter));
    let selected: Vec<&Check> = selected.collect();
    if selected.is_empty() {
        let names: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
        let names = names.join("\n  ");
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
    for check in selected {
        let comparisons = run_check(check, &harness, to)?;
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
fn run_check(check: &Check, harness: &Harness, to: &mut dyn Write) -> io::Result<Vec<Comparison>> {
    let context = &harness.context;
    let mut failures = Vec::new();
    let comparisons = loop {
        let (checked, others) = with_others(context, || (check.run)(harness));
        let comparisons = checked.unwrap_or_else(|error| vec![Comparison::failed(&error)]);
        let failed = comparisons.iter().find(|one| !one.passed);
        let Some(failed) = failed.filter(|_| check.is_timed) else {
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
        writeln!(to, "{}", comparison.line(check.name))?;
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

/// A load on a known-answer server. Times are nanoseconds.
struct Scenario {
    policy: Policy,
    connections: u32,
    behavior: Behavior,
    warm_up: u64,
    measure: u64,
}

impl Scenario {
    fn closed(policy: Policy, connections: u32, measure: u64) -> Self {
        Self {
            policy,
            connections,
            behavior: Behavior::Closed,
            warm_up: 0,
            measure,
        }
    }

    fn open(policy: Policy, connections: u32, measure: u64, rate: f64, arrivals: Arrivals) -> Self {
        Self {
            behavior: Behavior::Open {
                rate,
                arrivals,
                max_waiting: 100_000,
            },
            ..Self::closed(policy, connections, measure)
        }
    }
}

/// The result of a scenario.
struct Observed {
    outcome: Outcome,
    /// The statistics of its only group.
    stats: ClientStats,
    /// The counts of the server.
    counters: ServerCounters,
}

impl Harness {
    /// One of two times in milliseconds, as nanoseconds.
    fn time(&self, quick: u64, full: u64) -> u64 {
        MS * if self.quick { quick } else { full }
    }

    /// Runs a scenario: starts the server, waits until it has printed its port, runs the generator,
    /// and stops the server, which then prints its counts.
    fn run(&self, scenario: &Scenario) -> Result<Observed, RunError> {
        let context = &self.context;
        let policy = serde_json::to_string(&scenario.policy).map_err(|error| error.to_string())?;
        let words = [&context.program, "bench", "known-answer-server", &policy];
        let words = words.map(str::to_owned);
        let mut server = Process::start(context, &words, context.cpus.map(|cpus| cpus.server))?;
        let text = |server: &Process| String::from_utf8_lossy(&server.output()).into_owned();
        let port = server.wait_until_ready(context, "a port", |server| {
            text(server).strip_suffix('\n')?.parse::<u16>().ok()
        })?;
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let outcome = generate(
            context,
            &Load {
                source: context.source(),
                server: Some(server.id()),
                cpu: context.cpus.map(|cpus| cpus.generator),
                warm_up: scenario.warm_up,
                drain: SECOND,
                groups: vec![Group {
                    name: "main".to_owned(),
                    connections: scenario.connections,
                    behavior: scenario.behavior,
                    page: Some(page()),
                }],
                ..Load::new(target, scenario.measure)
            },
        )?;
        // The end of its input.
        server.tell(b"");
        let status = server.wait(STOP_TIMEOUT);
        let counters = text(&server).lines().nth(1).map(serde_json::from_str);
        match (counters, outcome.groups.first().cloned()) {
            (Some(Ok(counters)), Some(stats)) => Ok(Observed {
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
    /// Correct responses per second.
    fn rate(&self) -> f64 {
        float(self.stats.responses) * 1e9 / float(self.outcome.measured.max(1))
    }

    /// Compares what server and client have counted.
    fn same_counts(&self) -> Comparison {
        let (client, server) = (&self.stats.totals, &self.counters);
        let of_server = (
            server.requests,
            server.responses,
            server.body_bytes,
            server.connections,
        );
        let of_client = (
            client.requests,
            client.responses,
            client.body_bytes,
            client.connections,
        );
        Comparison::equal("server and client counts", &of_server, &of_client)
    }

    /// The response times.
    fn times(&self) -> Result<Histogram<u64>, String> {
        stats::decode(&self.stats.response_time)
    }

    /// The service times.
    fn service_times(&self) -> Result<Histogram<u64>, String> {
        stats::decode(&self.stats.service_time)
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
        let plain = |value: &T| format!("{value:?}").replace(['{', '}', '"'], "");
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
    fn failed(error: &RunError) -> Self {
        Self {
            what: "the check".to_owned(),
            expected: "a result".to_owned(),
            found: match error {
                RunError::Failed(reason) => reason.clone(),
                RunError::Interrupted => "interrupted".to_owned(),
            },
            passed: false,
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
