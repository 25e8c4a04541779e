//! What the parts of the benchmark exchange.
//!
//! A [`Load`] is the input of the load generator and an [`Outcome`] its output; it is a process of
//! its own (`oneloop bench generate`), so that its cost is not the server's. Times are whole
//! nanoseconds, sizes bytes, rates per second.
//!
//! A [`Run`] is the contents of `run.json`: arms (what is compared), cells (under which load) and
//! samples (one fresh server process each: an arm in a cell in a round). Nothing that is computed
//! from the samples is stored, so a report can be written again from an old file.

use super::procfs::Usage;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// A load on one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// The address of the server.
    pub target: Target,
    /// The source address, a loopback one: so a sample needs no port that is in TIME_WAIT.
    pub source: Option<Ipv4Addr>,
    /// The process ID of the server, if the benchmark has started it: its usage is read.
    pub server: Option<u32>,
    /// The CPU that the generator is pinned to.
    pub cpu: Option<usize>,
    /// The seed of all random numbers.
    pub seed: u64,
    /// Time under load before the measurement.
    pub warm_up: u64,
    /// Length of the measurement.
    pub measure: u64,
    /// Limit for the responses that are outstanding after the measurement.
    pub drain: u64,
    /// What is in each request beside its path; `None`: only a Host field with the address.
    pub http: Option<HttpOptions>,
    /// The client groups, which run at the same time.
    pub groups: Vec<Group>,
}

impl Load {
    /// A measurement of this length, ns, without warm-up and groups.
    pub fn new(target: impl Into<Target>, measure: u64) -> Self {
        Self {
            target: target.into(),
            source: None,
            server: None,
            cpu: None,
            seed: 1,
            warm_up: 0,
            measure,
            drain: 0,
            http: None,
            groups: Vec::new(),
        }
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Target {
    /// The TCP address.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

/// What is in each request beside its path, and how it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpOptions {
    /// The Host field.
    pub host: String,
    /// Other fields: `Name: value`.
    pub headers: Vec<String>,
    /// TLS, if it is used.
    pub tls: Option<TlsOptions>,
}

/// How TLS is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsOptions {
    /// The name that the certificate must have.
    pub server_name: String,
    /// A PEM file of the authorities; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// Whether the certificate is not checked.
    pub insecure: bool,
}

/// Connections with the same behavior.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The name in the report: `main`, `canary`, `mice`.
    pub name: String,
    /// The number of concurrent connections.
    pub connections: u32,
    /// What each connection does.
    pub behavior: Behavior,
    /// The page to request; `None` for a behavior that requests nothing.
    pub page: Option<Page>,
}

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behavior {
    /// Closed loop: sends the next request when a response is complete.
    Closed,
    /// Open loop: requests are due at a rate, however fast the server is. A request without an idle
    /// connection waits, and this time is part of its response time.
    Open {
        /// Requests per second of the whole group.
        rate: f64,
        /// The distribution of the times between requests.
        arrivals: Arrivals,
        /// If more requests wait for a connection, they are dropped, and counted.
        max_waiting: u32,
    },
    /// One connection per request, which the client closes.
    Short,
    /// Connects and sends nothing.
    Silent,
    /// Sends requests, and reads the responses slowly.
    SlowRead {
        /// Bytes per second of each connection.
        rate: f64,
        /// Receive buffer (SO_RCVBUF).
        buffer: u32,
    },
}

/// When the requests of an open loop are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// At equal intervals.
    Constant,
    /// As a Poisson process.
    Poisson,
}

/// A request target, and its expected response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The path in the request line.
    pub path: String,
    /// The expected status; 0 is each below 400.
    pub status: u16,
    /// The expected length of the body; `None` accepts any.
    pub length: Option<u64>,
    /// The expected hash of the body ([`body_hash`]), for each body that is compared.
    pub hash: Option<u64>,
}

/// The result of a [`Load`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The actual length of the measurement.
    pub measured: u64,
    /// The results of the groups, in the order of the load.
    pub groups: Vec<ClientStats>,
    /// CPU time of the generator during the measurement.
    pub generator_time: u64,
    /// The server's usage at the beginning and at the end, with the connections open.
    pub usage: Option<(Usage, Usage)>,
    /// The generator's own delay of the requests of an open loop: a histogram, V2-deflate, base64.
    pub send_lag: String,
    /// What the generator could not do as specified, as sentences.
    pub problems: Vec<String>,
}

/// The results of a client group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientStats {
    /// The group's name.
    pub name: String,
    /// Requested connections, and those that were open when the measurement began.
    pub connections: (u32, u32),
    /// Correct responses that were complete during the measurement.
    pub responses: u64,
    /// Bytes of their bodies.
    pub body_bytes: u64,
    /// Counts with warm-up and drain: the server must have counted the same.
    pub totals: Totals,
    /// Requests of an open loop that were due in the measurement.
    pub due: u64,
    /// Requests of an open loop that were dropped because too many were waiting.
    pub dropped: u64,
    /// New connections made during the measurement.
    pub connected: u64,
    /// Times from when a request was due (in a closed loop: sent) to the last byte, a histogram.
    pub response_time: String,
    /// Times from sending a request to the last byte of its response.
    pub service_time: String,
    /// Errors of the whole run, by kind.
    pub errors: BTreeMap<Fault, u64>,
    /// Responses of each connection in the measurement.
    pub shares: Vec<u64>,
    /// A bucket for each tenth of a second of the measurement.
    pub time_series: Vec<Bucket>,
    /// The longest time in the measurement without a correct response.
    pub silence: u64,
    /// Responses in the measurement by status, with interim and wrong ones.
    pub statuses: BTreeMap<u16, u64>,
}

/// Counts of a whole run of the generator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Requests sent.
    pub requests: u64,
    /// Complete responses, correct or wrong.
    pub responses: u64,
    /// Received bytes of bodies, of complete and incomplete responses.
    pub body_bytes: u64,
    /// Connections made.
    pub connections: u64,
}

/// A tenth of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Correct responses.
    pub responses: u64,
    /// The longest of their response times, ns.
    pub longest: u64,
}

/// Kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// connect(2) failed, or did not complete in time.
    Connect,
    /// Another status than expected.
    Status,
    /// A body of another length than expected.
    Length,
    /// A body with other bytes than expected.
    Content,
    /// The stream ended within a response.
    Truncated,
    /// A reset while a response was outstanding.
    Reset,
    /// The stream ended before a response.
    Closed,
    /// No response until the end of the drain.
    Missing,
    /// A response that is not HTTP.
    Malformed,
    /// Bytes without a request.
    Unsolicited,
}

/// FNV-1a, 64 bits, of a body.
pub fn body_hash(body: &[u8]) -> u64 {
    body.iter()
        .fold(HASH_START, |hash, byte| hash_on(hash, *byte))
}

/// The hash of an empty body.
pub const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash with one more byte.
pub fn hash_on(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

/// The version of the format. A change that an older program would misread gets a new number.
pub const SCHEMA: u32 = 2;

/// One run of the benchmark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `oneloop 0.1.0`.
    pub program: String,
    /// The command line.
    pub command: Vec<String>,
    /// The start, in seconds since 1970-01-01 UTC.
    pub started: u64,
    /// The duration in seconds.
    pub seconds: f64,
    /// The seed of the random order and arrivals.
    pub seed: u64,
    /// The machine.
    pub environment: Environment,
    /// The arms. The first is the reference. The second may be its control: the same program again.
    pub arms: Vec<Arm>,
    /// The cells.
    pub cells: Vec<Cell>,
    /// The samples, in the order in which they were taken.
    pub samples: Vec<Sample>,
    /// Problems with the whole run, as sentences.
    pub problems: Vec<String>,
    /// Notes on the run, as sentences: what was left out, and why.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The index of the arm with which all others are compared.
pub const REFERENCE: usize = 0;

impl Run {
    /// The index of the control of the reference, if there is one.
    pub fn control(&self) -> Option<usize> {
        let arm = self.arms.get(REFERENCE + 1)?;
        (arm.kind == ArmKind::Control).then_some(REFERENCE + 1)
    }

    /// The name of an arm.
    pub fn name(&self, arm: usize) -> &str {
        self.arms.get(arm).map_or("?", |arm| arm.name.as_str())
    }

    /// The samples that are compared.
    pub fn measured(&self) -> impl Iterator<Item = &Sample> {
        let samples = self.samples.iter();
        samples.filter(|sample| sample.pass == Pass::Measured)
    }
}

/// Facts about the machine and its system, and warnings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Facts in words, by name (`processor`, `kernel`, ...).
    pub facts: BTreeMap<String, String>,
    /// What may disturb the measurement, as sentences.
    pub warnings: Vec<String>,
}

/// A server that is compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// A short, unique name: `reactor`, `reactor'`, `thread`, `nginx`.
    pub name: String,
    /// Its kind.
    pub kind: ArmKind,
    /// The command that starts it, with `{port}` and `{root}`.
    pub command: Vec<String>,
}

/// The kind of an arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmKind {
    /// One of our models.
    #[default]
    Model,
    /// The reference again, to measure the noise.
    Control,
    /// Another program, started with a command of the user.
    Server,
}

/// A load under which arms are compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// A unique name: `keepalive c=64`.
    pub name: String,
    /// The workload: `keepalive`.
    pub workload: String,
    /// A description: `closed loop, 64 connections, server on one processor`.
    pub description: String,
    /// Whether server and generator were pinned to different CPUs.
    pub pinned: bool,
    /// The name of the metric that is compared.
    pub primary_metric: String,
}

/// The measurements of one fresh server process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The index in [`Run::arms`].
    pub arm: usize,
    /// The index in [`Run::cells`].
    pub cell: usize,
    /// The round, from 0. Samples of a round are compared with each other.
    pub round: u32,
    /// The purpose. Only measured samples are compared.
    #[serde(default)]
    pub pass: Pass,
    /// The start of the measurement, in seconds since the start of the run.
    pub at: f64,
    /// By the names in src/bench/metrics.rs, with the name of a second group before it:
    /// `canary.p99`.
    pub metrics: BTreeMap<String, f64>,
    /// Histograms (ns, V2-deflate, base64), by name: `response`, `canary.response`.
    pub histograms: BTreeMap<String, String>,
    /// What limits the result: `the CPU of the server`.
    pub limiter: String,
    /// Why the sample is invalid, as sentences; empty for a valid sample.
    pub invalid: Vec<String>,
}

/// The purpose of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// It is compared.
    #[default]
    Measured,
    /// It measures the capacity, from which the rates of open loops follow. (An older version had
    /// another pass that is not compared either.)
    #[serde(alias = "syscalls")]
    Capacity,
}

/// Reads a run.
///
/// # Errors
/// A sentence for the user that names the file and says what is wrong with it.
pub fn read(path: &Path) -> Result<Run, String> {
    let named = path.display();
    let bytes = std::fs::read(path)
        .map_err(|error| format!("{named}: {error} (name the run.json of a run)"))?;
    parse(&bytes).map_err(|reason| format!("{named} {reason}"))
}

fn parse(bytes: &[u8]) -> Result<Run, String> {
    /// The part that all schemas have.
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    let wrong = |error: serde_json::Error| format!("is not a run of `oneloop bench`: {error}");
    match serde_json::from_slice::<Head>(bytes).map_err(wrong)?.schema {
        SCHEMA => serde_json::from_slice(bytes).map_err(wrong),
        other => Err(format!(
            "has schema {other}, and this program knows {SCHEMA}: read it with the oneloop that \
             wrote it"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::simulation::plain;

    #[test]
    fn a_run_is_read_as_it_was_written_and_another_file_is_an_error_with_a_reason() {
        let mut run = plain([1.0, 1.0, 0.86, 1.0], 3);
        let sample = &mut run.samples[0];
        sample.metrics.insert("p99".to_owned(), 0.1 + 0.2);
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(parse(text.as_bytes()), Ok(run));
        let odd = text.replacen("\"seed\":7", "\"seed\":\"seven\"", 1);
        let other = text.replacen("\"schema\":2", "\"schema\":7", 1);
        let table = [
            ("hello", "expected value at line 1 column 1"),
            ("{\"a\":1}", "missing field `schema`"),
            (&text[..text.len() / 2], "EOF"),
            (&odd, "invalid type: string \"seven\""),
            (&other, "has schema 7, and this program knows 2"),
        ];
        for (text, why) in table {
            let reason = parse(text.as_bytes()).unwrap_err();
            assert!(reason.contains(why), "{reason}");
        }
        let missing = read(Path::new("/nonexistent/run.json")).unwrap_err();
        assert!(
            missing.starts_with("/nonexistent/run.json: No such file"),
            "{missing}"
        );
    }
}
