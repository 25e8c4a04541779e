//! The input and the output of the load generator.
//!
//! The generator is a process of its own (`oneloop bench generate`), so that its cost is not the
//! server's: it reads a [`Load`] as JSON from standard input, and writes an [`Outcome`] as JSON to
//! standard output. Times are whole nanoseconds, sizes bytes, rates per second.

use super::procfs::Usage;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

/// A load on one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// The address of the server.
    pub target: SocketAddr,
    /// The source address of the connections, so that a sample does not use ports that the sample
    /// before left in TIME_WAIT. The target must then be a loopback address, too.
    pub source: Option<Ipv4Addr>,
    /// The process ID of the server, whose resource usage is read when the measurement begins and
    /// ends; `None` for a server that was not started by the benchmark.
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
    /// The server and its child processes are stopped (SIGSTOP) at this time after the beginning
    /// of the measurement, for this long; the stall must end within the measurement.
    pub stall: Option<(u64, u64)>,
    /// The client groups, which run at the same time.
    pub groups: Vec<Group>,
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
    /// The pages to request, in a cycle; empty for a behavior that requests nothing.
    pub pages: Vec<Page>,
}

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behavior {
    /// Closed loop: sends the next request when a response is complete.
    Closed {
        /// Outstanding requests of a connection (pipelining).
        depth: u32,
    },
    /// Open loop: requests are due at a rate, however fast the server is, and are sent on an idle
    /// connection. A request without one waits, and this time is part of its response time. If
    /// more than `max_waiting` wait, a request is dropped and counted.
    Open {
        /// Requests per second of the whole group.
        rate: f64,
        /// The distribution of the times between requests.
        arrivals: Arrivals,
        /// Limit for requests that wait for an idle connection.
        max_waiting: u32,
    },
    /// One connection per request.
    Short {
        /// The side that closes.
        closer: Closer,
        /// Percentage of the connections that the client resets after sending the request, without
        /// reading the response.
        resets: u32,
    },
    /// Connects and sends nothing.
    Silent,
    /// Sends a request head that never ends; reconnects when it is closed (slowloris).
    Drip {
        /// Bytes per second of each connection.
        rate: f64,
    },
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

/// The side that closes a connection after its only response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closer {
    /// The client closes after the response.
    Client,
    /// The client sends `Connection: close` and waits for the end of the stream.
    Server,
}

/// A request target, and its expected response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The path in the request line.
    pub path: String,
    /// The expected status.
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
    /// Resource usage of the server at the beginning and at the end of the measurement, with the
    /// connections still open.
    pub usage: Option<(Usage, Usage)>,
    /// How late requests of an open loop were sent although a connection was idle: the generator's
    /// own delay. A histogram, V2-deflate and base64.
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
    /// Counts from the first connection to the last response, with warm-up and drain: the server
    /// must have counted the same.
    pub totals: Totals,
    /// Requests of an open loop that were due in the measurement.
    pub due: u64,
    /// Requests of an open loop that were dropped because too many were waiting.
    pub dropped: u64,
    /// New connections made during the measurement.
    pub connected: u64,
    /// Times from when a request was due to the last byte of its response, as a histogram. In a
    /// closed loop a request is due when it is sent.
    pub response_time: String,
    /// Times from sending a request to the last byte of its response.
    pub service_time: String,
    /// Times from sending a request to the first byte of its response.
    pub first_byte: String,
    /// Errors of the whole run, by kind.
    pub errors: BTreeMap<Fault, u64>,
    /// Responses of each connection in the measurement.
    pub shares: Vec<u64>,
    /// A bucket for each tenth of a second of the measurement.
    pub time_series: Vec<Bucket>,
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
    /// The median of their response times, ns.
    pub median: u64,
    /// Errors.
    pub errors: u64,
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
