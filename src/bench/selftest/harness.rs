//! The test harness: runs the load generator against a known-answer server, and compares.

use super::CheckError;
use super::server::{Policy, ServerConfig, ServerCounters, page};
use crate::bench::load::{Arrivals, Behavior, ClientStats, Closer, Group, Load, Outcome};
use crate::bench::runner::context::{RunContext, RunError, ScratchFile};
use crate::bench::runner::process::{Process, generate};
use crate::bench::stats::histogram;
use hdrhistogram::Histogram;
use std::cell::Cell;
use std::fmt::Debug;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A millisecond, in nanoseconds.
pub const MS: u64 = 1_000_000;
/// A second, in nanoseconds.
pub const SECOND: u64 = 1_000 * MS;
/// Bytes of a body where the size does not matter.
const SMALL: usize = 12;
/// Limit for the responses that are outstanding after a measurement, ns.
const DRAIN: u64 = SECOND;
/// Limit for the start and for the end of a known-answer server.
const SERVER_TIMEOUT: Duration = Duration::from_secs(10);

/// What all checks share.
pub struct Harness {
    /// Program, CPUs and files.
    pub context: RunContext,
    /// Whether measurements are short.
    pub quick: bool,
    /// The highest rate of the generator, if it was measured.
    pub ceiling: Cell<Option<f64>>,
}

/// A load on a known-answer server.
pub struct Scenario {
    /// How the server responds.
    pub policy: Policy,
    /// Bytes of a correct body.
    pub body_size: usize,
    /// Whether the server logs when requests arrive.
    pub logs_arrivals: bool,
    /// Connections.
    pub connections: u32,
    /// What they do.
    pub behavior: Behavior,
    /// Time before the measurement, ns.
    pub warm_up: u64,
    /// Length of the measurement, ns.
    pub measure: u64,
    /// When the generator stops the server, and for how long, ns.
    pub stall: Option<(u64, u64)>,
}

impl Scenario {
    /// A closed loop with small bodies and without a warm-up.
    pub fn closed(policy: Policy, connections: u32, measure: u64) -> Self {
        Self {
            policy,
            body_size: SMALL,
            logs_arrivals: false,
            connections,
            behavior: Behavior::Closed { depth: 1 },
            warm_up: 0,
            measure,
            stall: None,
        }
    }

    /// An open loop.
    pub fn open(
        policy: Policy,
        connections: u32,
        measure: u64,
        rate: f64,
        arrivals: Arrivals,
    ) -> Self {
        Self {
            behavior: Behavior::Open {
                rate,
                arrivals,
                max_waiting: 100_000,
            },
            ..Self::closed(policy, connections, measure)
        }
    }

    /// A connection per request, closed by the client.
    pub fn short(policy: Policy, connections: u32, measure: u64) -> Self {
        Self {
            behavior: Behavior::Short {
                closer: Closer::Client,
                resets: 0,
            },
            ..Self::closed(policy, connections, measure)
        }
    }
}

/// The result of a scenario.
pub struct Observed {
    /// The outcome of the generator.
    pub outcome: Outcome,
    /// The statistics of its only group.
    pub stats: ClientStats,
    /// The counts of the server.
    pub counters: ServerCounters,
}

impl Harness {
    /// A harness for this machine.
    ///
    /// # Errors
    /// Those of [`RunContext::new`].
    pub fn new(quick: bool) -> Result<Self, String> {
        Ok(Self {
            context: RunContext::new(1, true, std::iter::empty())?,
            quick,
            ceiling: Cell::new(None),
        })
    }

    /// One of two times in milliseconds, as nanoseconds.
    pub fn time(&self, quick: u64, full: u64) -> u64 {
        MS * if self.quick { quick } else { full }
    }

    /// Runs a scenario.
    ///
    /// # Errors
    /// Server or generator fails.
    pub fn run(&self, scenario: &Scenario) -> Result<Observed, CheckError> {
        let server = KnownAnswerServer::start(self, scenario)?;
        let mut load = self.load(&server, scenario);
        if scenario.stall.is_some() {
            load.server = Some(server.process.id());
        }
        let outcome = generate(&self.context, &load, || {})?;
        let counters = server.stop(self)?;
        let stats = outcome.groups.first().cloned();
        Ok(Observed {
            stats: stats.ok_or_else(|| "the outcome has no group".to_owned())?,
            outcome,
            counters,
        })
    }

    /// The load of a scenario.
    pub fn load(&self, server: &KnownAnswerServer, scenario: &Scenario) -> Load {
        Load {
            target: server.address,
            source: self.context.source(),
            server: None,
            cpu: self.context.cpus.map(|cpus| cpus.generator),
            seed: 1,
            warm_up: scenario.warm_up,
            measure: scenario.measure,
            drain: DRAIN,
            stall: scenario.stall,
            groups: vec![Group {
                name: "main".to_owned(),
                connections: scenario.connections,
                behavior: scenario.behavior,
                pages: vec![page(scenario.body_size)],
            }],
        }
    }
}

/// A running known-answer server.
pub struct KnownAnswerServer {
    /// Where it listens.
    pub address: SocketAddr,
    process: Process,
    output: ScratchFile,
}

impl KnownAnswerServer {
    /// Starts the server of a scenario, and waits until it has printed its port.
    ///
    /// # Errors
    /// It does not start; the user has interrupted the test.
    pub fn start(harness: &Harness, scenario: &Scenario) -> Result<Self, RunError> {
        let context = &harness.context;
        let config = ServerConfig {
            policy: scenario.policy.clone(),
            body_size: scenario.body_size,
            logs_arrivals: scenario.logs_arrivals,
        };
        let config = serde_json::to_string(&config).map_err(|error| error.to_string())?;
        let output = context.file("server");
        let file = File::create(&*output);
        let file = file.map_err(|error| format!("cannot create {}: {error}", output.display()))?;
        let mut command = Command::new(&context.program);
        command
            .args(["bench", "known-answer-server", &config])
            .stdin(Stdio::piped())
            .stdout(file);
        let cpu = context.cpus.map(|cpus| cpus.server);
        let mut process = Process::start(context, &mut command, cpu)?;
        let start = context.seconds();
        loop {
            let text = std::fs::read_to_string(&*output).unwrap_or_default();
            let line = text.strip_suffix('\n');
            if let Some(port) = line.and_then(|line| line.parse::<u16>().ok()) {
                return Ok(Self {
                    address: (Ipv4Addr::LOCALHOST, port).into(),
                    process,
                    output,
                });
            }
            let is_late = context.seconds() - start > SERVER_TIMEOUT.as_secs_f64();
            if is_late || process.status().is_some() {
                let messages = process.messages();
                let reason = format!("the known-answer server did not start{messages}");
                return Err(RunError::Failed(reason));
            }
            context.sleep(Duration::from_millis(1))?;
        }
    }

    /// Stops it, and returns its counts.
    fn stop(mut self, harness: &Harness) -> Result<ServerCounters, RunError> {
        self.process.close_stdin();
        let status = self.process.wait(&harness.context, SERVER_TIMEOUT, || {})?;
        let text = std::fs::read_to_string(&*self.output).unwrap_or_default();
        let counters = text.lines().nth(1).map(serde_json::from_str);
        match (status, counters) {
            (Some(status), Some(Ok(counters))) if status.success() => Ok(counters),
            (status, _) => Err(RunError::Failed(format!(
                "the known-answer server did not print its counts ({status:?}){}",
                self.process.messages()
            ))),
        }
    }
}

impl Observed {
    /// Correct responses per second.
    pub fn rate(&self) -> f64 {
        per_second(self.stats.responses, self.outcome.measured)
    }

    /// Compares what server and client have counted.
    pub fn same_counts(&self) -> Comparison {
        let (client, server) = (&self.stats.totals, &self.counters);
        let counts = |requests, responses, bytes, connections| {
            format!(
                "{requests} requests, {responses} responses, {bytes} B, {connections} connections"
            )
        };
        let server = counts(
            server.requests,
            server.responses,
            server.body_bytes,
            server.connections,
        );
        let client = counts(
            client.requests,
            client.responses,
            client.body_bytes,
            client.connections,
        );
        let mut comparison = Comparison::equal("server and client counts", &server, &client);
        if comparison.passed {
            "the same".clone_into(&mut comparison.found);
        }
        comparison
    }

    /// The histogram of response times.
    ///
    /// # Errors
    /// It cannot be decoded.
    pub fn response_times(&self) -> Result<Histogram<u64>, String> {
        decode(&self.stats.response_time)
    }

    /// The histogram of service times.
    ///
    /// # Errors
    /// It cannot be decoded.
    pub fn service_times(&self) -> Result<Histogram<u64>, String> {
        decode(&self.stats.service_time)
    }

    /// The histogram of times to the first byte.
    ///
    /// # Errors
    /// It cannot be decoded.
    pub fn first_bytes(&self) -> Result<Histogram<u64>, String> {
        decode(&self.stats.first_byte)
    }
}

fn decode(text: &str) -> Result<Histogram<u64>, String> {
    histogram::decode(text).map_err(|error| format!("cannot decode a histogram: {error}"))
}

/// A quantile of a histogram, ns.
pub fn quantile(histogram: &Histogram<u64>, quantile: f64) -> Option<f64> {
    (!histogram.is_empty()).then(|| float(histogram.value_at_quantile(quantile)))
}

/// A rate per second.
pub fn per_second(count: u64, nanoseconds: u64) -> f64 {
    float(count) / (float(nanoseconds.max(1)) / 1e9)
}

/// A count as a float.
#[allow(
    clippy::cast_precision_loss,
    reason = "counts and times of minutes are far below 2^53"
)]
pub fn float(count: u64) -> f64 {
    count as f64
}

/// A value and its expected value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// What was compared.
    pub what: String,
    /// The expected value, or its bounds.
    pub expected: String,
    /// The value that was found.
    pub found: String,
    /// Whether it is the expected one.
    pub passed: bool,
}

/// The unit of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds, printed in milliseconds.
    Milliseconds,
    /// Per second.
    PerSecond,
    /// Percent.
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
    pub fn equal<T: Debug + PartialEq>(what: &str, expected: &T, found: &T) -> Self {
        Self {
            what: what.to_owned(),
            expected: plain(&format!("{expected:?}")),
            found: plain(&format!("{found:?}")),
            passed: expected == found,
        }
    }

    /// With bounds, inclusive.
    pub fn within(what: &str, bounds: RangeInclusive<f64>, found: Option<f64>, unit: Unit) -> Self {
        let (low, high) = (unit.format(*bounds.start()), unit.format(*bounds.end()));
        Self {
            what: what.to_owned(),
            expected: format!("{low} to {high}"),
            found: found.map_or_else(|| "nothing".to_owned(), |found| unit.format(found)),
            passed: found.is_some_and(|found| bounds.contains(&found)),
        }
    }

    /// The line of the output.
    pub fn line(&self, check: &str) -> String {
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

/// A value with a tolerance.
pub fn about(value: f64, tolerance: f64) -> RangeInclusive<f64> {
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
