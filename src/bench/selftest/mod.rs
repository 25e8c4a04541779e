//! Tests the load generator against servers with a known answer.
//!
//! - here: runs the generator against a known-answer server, and compares
//! - `checks`: scenarios with expected values
//! - [`server`]: the known-answer server

mod checks;
pub mod server;

use super::procfs::Usage;
use super::runner::process::{Process, generate};
use super::runner::{INTERRUPTED, RunContext, RunError, USAGE};
use super::stats::{self, float};
use super::types::{Arrivals, Behavior, ClientStats, Group, Load, Outcome, Target};
use super::{Selftest, platform};
use hdrhistogram::Histogram;
use server::{Policy, ServerCounters, page};
use std::error::Error;
use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Limit for the attempts at a check that depends on a clock. A disturbance by the machine affects
/// one or two of them, a bug of the generator all.
const MAX_ATTEMPTS: usize = 5;
/// Limit for waiting until the machine is quiet, seconds.
const QUIET_TIMEOUT: f64 = 30.0;
/// The machine is quiet if other programs use less than this, percent.
const QUIET: f64 = 4.0;

/// What the filter of the command line matches; whether the check depends on a clock, so that a
/// busy machine may disturb it; and the check.
type Check = (&'static str, bool, fn(&Harness) -> checks::Result);

/// Why a check has no result: server or generator failed.
#[derive(Debug)]
struct CheckError(String);

impl From<String> for CheckError {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl From<RunError> for CheckError {
    fn from(error: RunError) -> Self {
        Self(match error {
            RunError::Failed(reason) => reason,
            RunError::Interrupted => "interrupted".to_owned(),
        })
    }
}

const CHECKS: &[Check] = &[
    ("counts: faults", false, checks::faults),
    ("counts: connections", false, checks::connections),
    ("counts: shares", false, checks::shares),
    ("counts: dropped", false, checks::dropped),
    ("counts: short", false, checks::short),
    ("delay", true, checks::delay),
    ("interval", true, checks::interval),
    ("two-point latency", true, checks::two_point),
    ("stall, open loop", true, checks::stall_open),
    ("stall by signal", true, checks::stall_by_signal),
    ("constant rate", true, checks::constant),
    ("poisson arrivals", true, checks::poisson),
];

/// Runs the checks that match the filter, and prints the results. The exit code is 1 if one failed.
pub(super) fn run(arguments: &Selftest) -> Result<ExitCode, Box<dyn Error>> {
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let selected: Vec<&Check> = (CHECKS.iter())
        .filter(|check| check.0.contains(filter))
        .collect();
    if selected.is_empty() {
        let names: Vec<_> = CHECKS.iter().map(|check| check.0).collect();
        let names = names.join("\n  ");
        writeln!(
            io::stderr(),
            "oneloop: no check has `{filter}` in its name; there are:\n  {names}"
        )?;
        return Ok(ExitCode::from(USAGE));
    }
    let context = RunContext::new(1, true, std::iter::empty())?;
    let harness = Harness {
        context,
        quick: arguments.quick,
    };
    let to = &mut io::stdout();
    if platform::UNOPTIMIZED {
        writeln!(to, "Built without optimization: times may be too long.")?;
    }
    let (mut passed, mut failed) = (0, 0);
    for check in &selected {
        run_check(check, &harness, (&mut passed, &mut failed), to)?;
        if harness.context.is_interrupted() {
            writeln!(to, "\nInterrupted.")?;
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
    writeln!(to, "\n{passed} passed, {failed} failed.")?;
    if failed > 0 {
        writeln!(to, "{FAILED}")?;
        return Ok(ExitCode::FAILURE);
    }
    writeln!(to, "{PASSED}")?;
    Ok(ExitCode::SUCCESS)
}

const PASSED: &str = "The generator finds the expected values in the checks that ran.";
const FAILED: &str = "The generator does not find the expected values. If other programs were \
                      running, repeat without\nthem; if it fails again, do not trust results of \
                      this build.";

/// Runs a check, again if the machine may have disturbed it, and prints the last attempt.
fn run_check(
    &(name, is_timed, run): &Check,
    harness: &Harness,
    (passed, failed): (&mut u32, &mut u32),
    to: &mut dyn Write,
) -> io::Result<()> {
    let attempts = if is_timed { MAX_ATTEMPTS } else { 1 };
    let mut failures = Vec::new();
    let result = loop {
        let watch = CpuWatch::new(&harness.context);
        let result = run(harness);
        let Some(failure) = first_failure(&result).filter(|_| is_timed) else {
            break result;
        };
        let others = watch.others().map_or(String::new(), |others| {
            format!(" while other programs used {others:.0} % of the machine")
        });
        failures.push(format!("{failure}{others}"));
        if failures.len() >= attempts || harness.context.is_interrupted() {
            break result;
        }
        wait_until_quiet(&harness.context);
    };
    match result {
        Err(CheckError(reason)) => {
            *failed += 1;
            writeln!(to, "FAIL  {}: {reason}", name)?;
        }
        Ok(comparisons) => {
            for comparison in &comparisons {
                match comparison.passed {
                    true => *passed += 1,
                    false => *failed += 1,
                }
                writeln!(to, "{}", comparison.line(name))?;
            }
            for (attempt, failure) in failures.iter().enumerate() {
                let attempt = attempt + 1;
                writeln!(to, "      (attempt {attempt} of {MAX_ATTEMPTS}: {failure})")?;
            }
        }
    }
    to.flush()
}

fn first_failure(result: &checks::Result) -> Option<String> {
    let failed = |comparison: &&Comparison| !comparison.passed;
    let failure = result.as_ref().ok()?.iter().find(failed)?;
    Some(format!("{} was {}", failure.what, failure.found))
}

/// The CPU time that other programs use from now on.
struct CpuWatch<'c> {
    context: &'c RunContext,
    before: Option<Usage>,
    start: f64,
}

impl<'c> CpuWatch<'c> {
    fn new(context: &'c RunContext) -> Self {
        Self {
            context,
            before: Usage::of(std::process::id(), &[]),
            start: context.seconds(),
        }
    }

    /// What other programs and other machines on the host have used, percent of the machine. `None`
    /// without /proc.
    fn others(&self) -> Option<f64> {
        let (before, after) = (self.before?, Usage::of(std::process::id(), &[])?);
        let cpus = self.context.cpu_count as u64;
        let total = (self.context.seconds() - self.start) * float(cpus) * 1e9;
        let machine = after.used_since(&before, cpus);
        let own = after.cpu_time.saturating_sub(before.cpu_time);
        let steal = after.steal.saturating_sub(before.steal);
        (total > 0.0).then(|| 100.0 * float(machine.saturating_sub(own) + steal) / total)
    }
}

fn wait_until_quiet(context: &RunContext) {
    let start = context.seconds();
    loop {
        let watch = CpuWatch::new(context);
        let is_interrupted = context.sleep(Duration::from_millis(250)).is_err();
        let is_quiet = watch.others().is_none_or(|others| others < QUIET);
        if is_interrupted || is_quiet || context.seconds() - start > QUIET_TIMEOUT {
            return;
        }
    }
}

/// A millisecond, in nanoseconds.
const MS: u64 = 1_000_000;
/// A second, in nanoseconds.
const SECOND: u64 = 1_000 * MS;
/// Limit for the start and for the end of a known-answer server.
const SERVER_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// When the generator stops the server, and for how long.
    stall: Option<(u64, u64)>,
}

impl Scenario {
    fn new(policy: Policy, connections: u32, measure: u64, behavior: Behavior) -> Self {
        Self {
            policy,
            connections,
            behavior,
            warm_up: 0,
            measure,
            stall: None,
        }
    }

    fn closed(policy: Policy, connections: u32, measure: u64) -> Self {
        Self::new(policy, connections, measure, Behavior::Closed { depth: 1 })
    }

    fn open(policy: Policy, connections: u32, measure: u64, rate: f64, arrivals: Arrivals) -> Self {
        let behavior = Behavior::Open {
            rate,
            arrivals,
            max_waiting: 100_000,
        };
        Self::new(policy, connections, measure, behavior)
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
    fn run(&self, scenario: &Scenario) -> Result<Observed, CheckError> {
        let context = &self.context;
        let policy = serde_json::to_string(&scenario.policy).map_err(|error| error.to_string())?;
        let output = context.file("server");
        let file = File::create(&*output);
        let file = file.map_err(|error| format!("cannot create {}: {error}", output.display()))?;
        let mut command = Command::new(&context.program);
        command.args(["bench", "known-answer-server", &policy]);
        command.stdin(Stdio::piped()).stdout(file);
        let cpu = context.cpus.map(|cpus| cpus.server);
        let mut server = Process::start(context, &mut command, cpu)?;
        let start = context.seconds();
        let text = || std::fs::read_to_string(&*output).unwrap_or_default();
        let port = loop {
            if let Some(port) = text().strip_suffix('\n').and_then(|line| line.parse().ok()) {
                break port;
            }
            let is_late = context.seconds() - start > SERVER_TIMEOUT.as_secs_f64();
            if is_late || server.status().is_some() {
                return Err(format!("the server did not start{}", server.messages()).into());
            }
            context.sleep(Duration::from_millis(1))?;
        };
        let outcome = generate(context, &self.load(port, server.id(), scenario))?;
        server.close_stdin();
        let status = server.wait(context, SERVER_TIMEOUT)?;
        let counters = text()
            .lines()
            .nth(1)
            .and_then(|line| serde_json::from_str(line).ok());
        match (counters, outcome.groups.first().cloned()) {
            (Some(counters), Some(stats)) => Ok(Observed {
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

    fn load(&self, port: u16, server: u32, scenario: &Scenario) -> Load {
        let group = Group {
            name: "main".to_owned(),
            connections: scenario.connections,
            behavior: scenario.behavior,
            pages: vec![page()],
        };
        Load {
            target: Target::Tcp((Ipv4Addr::LOCALHOST, port).into()),
            source: self.context.source(),
            server: scenario.stall.map(|_| server),
            cpu: self.context.cpus.map(|cpus| cpus.generator),
            seed: 1,
            warm_up: scenario.warm_up,
            measure: scenario.measure,
            drain: SECOND,
            stall: scenario.stall,
            http: None,
            groups: vec![group],
        }
    }
}

impl Observed {
    /// Correct responses per second.
    fn rate(&self) -> f64 {
        per_second(self.stats.responses, self.outcome.measured)
    }

    /// Compares what server and client have counted.
    fn same_counts(&self) -> Comparison {
        let (client, server) = (&self.stats.totals, &self.counters);
        let server = [
            server.requests,
            server.responses,
            server.body_bytes,
            server.connections,
        ];
        let client = [
            client.requests,
            client.responses,
            client.body_bytes,
            client.connections,
        ];
        let what = "server and client counts";
        Comparison::equal(what, &server, &client)
    }

    fn times(&self, of: fn(&ClientStats) -> &String) -> Result<Histogram<u64>, String> {
        stats::decode(of(&self.stats)).map_err(|error| format!("a histogram: {error}"))
    }
}

/// A quantile of a histogram, ns.
fn quantile(histogram: &Histogram<u64>, quantile: f64) -> Option<f64> {
    (!histogram.is_empty()).then(|| float(histogram.value_at_quantile(quantile)))
}

/// A rate per second.
fn per_second(count: u64, nanoseconds: u64) -> f64 {
    float(count) / (float(nanoseconds.max(1)) / 1e9)
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

/// The unit of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Nanoseconds, printed in milliseconds.
    Milliseconds,
    PerSecond,
    Percent,
    /// A plain number.
    One,
}

impl Unit {
    fn format(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{:.2} ms", value / 1e6),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Percent => format!("{value:.2} %"),
            Self::One => format!("{value:.3}"),
        }
    }
}

impl Comparison {
    /// With an exact expected value.
    fn equal<T: Debug + PartialEq>(what: &str, expected: &T, found: &T) -> Self {
        Self {
            what: what.to_owned(),
            expected: plain(&format!("{expected:?}")),
            found: plain(&format!("{found:?}")),
            passed: expected == found,
        }
    }

    fn within(what: &str, bounds: RangeInclusive<f64>, found: Option<f64>, unit: Unit) -> Self {
        let (low, high) = (unit.format(*bounds.start()), unit.format(*bounds.end()));
        Self {
            what: what.to_owned(),
            expected: format!("{low} to {high}"),
            found: found.map_or_else(|| "nothing".to_owned(), |found| unit.format(found)),
            passed: found.is_some_and(|found| bounds.contains(&found)),
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

/// Removes the syntax of Rust: `{Status: 3}` becomes `Status: 3`.
fn plain(text: &str) -> String {
    let inner = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'));
    inner.unwrap_or(text).replace('"', "")
}

fn about(value: f64, tolerance: f64) -> RangeInclusive<f64> {
    value - tolerance..=value + tolerance
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn an_exact_value_must_be_equal() {
        let expected = BTreeMap::from([("late", 3_u64)]);
        let other = BTreeMap::from([("late", 2)]);
        assert_eq!(
            Comparison::equal("faults", &expected, &other).line("counts"),
            format!(
                "FAIL  {:<44} expected late: 3, found late: 2",
                "counts: faults"
            )
        );
        assert!(Comparison::equal("faults", &expected, &expected.clone()).passed);
    }

    #[test]
    fn bounds_are_inclusive_and_contain_no_missing_value() {
        let with = |found| Comparison::within("p50", about(2e6, 1e6), found, Unit::Milliseconds);
        assert!(with(Some(1e6)).passed && with(Some(3e6)).passed);
        assert!(!with(Some(3.1e6)).passed && !with(Some(f64::NAN)).passed && !with(None).passed);
        let line = with(Some(3.1e6)).line("delay");
        let end = "expected 1.00 ms to 3.00 ms, found 3.10 ms";
        assert!(line.ends_with(end), "{line}");
    }
}
