//! Room `bench`: what a generator is told to do, and what it tells of it.
//!
//! The generator is a process of its own (`oneloop bench generate`), so that what it costs is not
//! the server's: a [`Load`] goes in as JSON on standard input, an [`Outcome`] comes out as JSON on
//! standard output. Times are whole nanoseconds, sizes bytes, rates per second.

use super::procfs::Account;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

/// What to do to one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Where the server listens.
    pub target: SocketAddr,
    /// Where connections come from, so that no run meets the ports of the one before; with it the
    /// target must be a loopback address, too.
    pub source: Option<Ipv4Addr>,
    /// The server's process, whose account is taken when the measurement begins and ends; `None`
    /// for a server that somebody else has started.
    pub server: Option<u32>,
    /// The processor to stay on.
    pub processor: Option<usize>,
    /// For everything that is drawn.
    pub seed: u64,
    /// Load that is not measured, before the measurement.
    pub warm_up: u64,
    /// How long to measure.
    pub measure: u64,
    /// How long requests that are under way at the end may take to be answered.
    pub drain: u64,
    /// At that time after the beginning of the measurement the server is stopped (SIGSTOP), with
    /// all its processes, for that long; it must end within the measurement.
    pub stall: Option<(u64, u64)>,
    /// What the connections do; all groups at once.
    pub groups: Vec<Group>,
}

/// Connections that all do the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// What the report calls them: `main`, `canary`, `mice`.
    pub name: String,
    /// How many there are at once.
    pub connections: u32,
    /// What each of them does.
    pub behavior: Behavior,
    /// What they ask for, one after the other, and begin anew; for those who ask.
    pub pages: Vec<Page>,
}

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behavior {
    /// Asks again as soon as it has its answers, `depth` requests at a time (closed loop).
    Closed {
        /// Requests on their way at once.
        depth: u32,
    },
    /// Requests come at a rate, whatever the server does, and take a free connection (open loop).
    /// Who finds none waits, and that is part of the response time; more than `most_waiting` are
    /// dropped and counted.
    Open {
        /// Requests a second, of the whole group.
        rate: f64,
        /// How they are spread.
        arrivals: Arrivals,
        /// Requests that may wait for a free connection.
        most_waiting: u32,
    },
    /// A new connection for each request, closed by the side that is named. Of every hundred,
    /// `resets` are reset (RST) by the client after the request, without reading.
    Short {
        /// Who closes.
        closer: Closer,
        /// Of a hundred.
        resets: u32,
    },
    /// Connects, and says nothing.
    Silent,
    /// Sends a head that never ends, so many bytes a second; connects again when it is closed.
    Drip {
        /// Bytes a second, of each connection.
        rate: f64,
    },
    /// Asks, and reads so many bytes a second into a receive buffer of that size.
    SlowRead {
        /// Bytes a second, of each connection.
        rate: f64,
        /// Bytes of receive buffer (SO_RCVBUF).
        buffer: u32,
    },
}

/// When the requests of an open loop are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// At equal distances.
    Constant,
    /// As a Poisson process: independent of each other.
    Poisson,
}

/// Who ends a connection that has had its one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closer {
    /// The client closes when it has the answer.
    Client,
    /// The client says `Connection: close`, and waits for the end.
    Server,
}

/// A request target, and the right answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The path, as it stands in the request line.
    pub path: String,
    /// The status of the right answer.
    pub status: u16,
    /// The length of the right body; `None` leaves it open (a server of somebody else).
    pub length: Option<u64>,
    /// The hash of the right body ([`body_hash`]), compared for each whole body that is checked.
    pub hash: Option<u64>,
}

/// What came of a [`Load`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How long the measurement really took.
    pub measured: u64,
    /// What each group has seen, in the order of the load.
    pub groups: Vec<ClientStats>,
    /// The generator's own processor time during the measurement: user, system.
    pub generator: (u64, u64),
    /// The server's account when the measurement began and when it ended, connections still open.
    pub accounts: Option<(Account, Account)>,
    /// How late requests of the open loop were sent although a connection was free: the
    /// generator's own fault. V2-deflate, base64.
    pub send_lag: String,
    /// What the generator could not do as told (fewer connections than asked, ...), as sentences.
    pub problems: Vec<String>,
}

/// What a group has seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientStats {
    /// The group's name.
    pub name: String,
    /// Connections that were asked for, and that were made at the beginning.
    pub connections: (u32, u32),
    /// Right answers that were complete during the measurement, and bytes of their bodies.
    pub answers: u64,
    /// As above, in bytes.
    pub body_bytes: u64,
    /// From the first connection to the last answer, warm-up and drain included: what the server
    /// must have counted, too.
    pub whole: Totals,
    /// Requests of an open loop that were due in the measurement.
    pub due: u64,
    /// Requests of an open loop that were dropped because too many waited.
    pub dropped: u64,
    /// New connections made during the measurement.
    pub connected: u64,
    /// From the time at which the request was due to the last byte of the answer, V2-deflate and
    /// base64. In a closed loop it is due when it is sent.
    pub response_time: String,
    /// From the time at which the request was sent to the last byte of the answer.
    pub service_time: String,
    /// From the time at which the request was sent to the first byte of the answer.
    pub first_byte: String,
    /// What went wrong, during the whole run, by kind.
    pub errors: BTreeMap<Fault, u64>,
    /// Answers of each connection in the measurement, in the order of the connections.
    pub shares: Vec<u64>,
    /// A row for each tenth of a second of the measurement.
    pub course: Vec<Bucket>,
}

/// Counts over a generator's whole life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Requests that were sent whole.
    pub requests: u64,
    /// Answers that came whole, right or wrong.
    pub answers: u64,
    /// Bytes of bodies that were received, of whole answers and of others.
    pub body_bytes: u64,
    /// Connections that were made.
    pub connections: u64,
}

/// A tenth of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Right answers.
    pub answers: u64,
    /// The longest response time of those, ns.
    pub longest: u64,
    /// Its median, ns.
    pub median: u64,
    /// Errors.
    pub errors: u64,
}

/// Kinds of what may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// connect(2) failed or did not end in time.
    Connect,
    /// Another status than the page's.
    Status,
    /// A body of another length than the page's.
    Length,
    /// A body with other bytes.
    Content,
    /// The end of the stream in the middle of an answer.
    Truncated,
    /// A reset while an answer was owed.
    Reset,
    /// An end of the stream, in time, while an answer was owed and none of it had come.
    Closed,
    /// No answer until the drain was over.
    Missing,
    /// An answer that is no HTTP.
    Malformed,
    /// Bytes that nobody had asked for.
    Unasked,
}

/// FNV-1a, 64 bits: of a body that is compared.
pub fn body_hash(body: &[u8]) -> u64 {
    body.iter()
        .fold(HASH_START, |hash, byte| hash_on(hash, *byte))
}

/// The hash of nothing.
pub const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash of one byte more.
pub fn hash_on(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}
