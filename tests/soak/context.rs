//! What all clients share: the server, the known exchanges, the counters, and the failures.

use crate::changing::Changing;
use crate::connection::Connection;
use crate::exchanges::{Exchange, Kind};
use crate::random::Random;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// From the first byte of a head to its last (`--header-timeout`).
pub const HEADER: Duration = Duration::from_secs(2);
/// Without progress of a response (`--send-timeout`).
pub const SEND: Duration = Duration::from_secs(5);
/// From the last response to the close (`--linger-timeout`).
pub const LINGER: Duration = Duration::from_secs(2);

/// The server, as its clients see it.
#[derive(Debug)]
pub struct Context {
    /// Its address.
    pub address: SocketAddr,
    /// Its root.
    pub root: PathBuf,
    /// All requests for files that do not change.
    pub exchanges: Vec<Exchange>,
    /// Files that change.
    pub changing: Vec<Changing>,
    /// The counters.
    pub counters: Counters,
    is_over: AtomicBool,
    failures: Mutex<Vec<String>>,
}

/// Counters.
#[derive(Debug, Default)]
pub struct Counters {
    /// Responses that were complete and right.
    pub responses: AtomicU64,
    /// Connections made.
    pub connections: AtomicU64,
    /// Connections that a client has reset.
    pub resets: AtomicU64,
    /// Downloads that a client has aborted.
    pub abandoned: AtomicU64,
    /// Downloads that the server had to abort.
    pub aborted: AtomicU64,
    /// Bytes received.
    pub bytes: AtomicU64,
    /// Listings that were refused with 503.
    pub busy: AtomicU64,
    /// Deadlines that a client has missed because the machine was too busy.
    pub late: AtomicU64,
}

impl Context {
    /// Before the load begins. All counters are 0.
    pub fn new(
        address: SocketAddr,
        root: PathBuf,
        exchanges: Vec<Exchange>,
        changing: Vec<Changing>,
    ) -> Self {
        Self {
            address,
            root,
            exchanges,
            changing,
            counters: Counters::default(),
            is_over: AtomicBool::new(false),
            failures: Mutex::default(),
        }
    }

    /// The exchange with this request line.
    pub fn exchange(&self, path: &str) -> &Exchange {
        let request = format!("GET {path} HTTP/1.1\r\nHost: soak\r\n\r\n");
        let mut exchanges = self.exchanges.iter();
        let found = exchanges.find(|exchange| exchange.request == request);
        found.expect("an exchange for each file")
    }

    /// The exchanges of one kind.
    pub fn exchanges(&self, kind: Kind) -> Vec<&Exchange> {
        let exchanges = self.exchanges.iter();
        exchanges.filter(|exchange| exchange.kind == kind).collect()
    }

    /// A random exchange of one kind.
    pub fn any(&self, kind: Kind, random: &mut Random) -> &Exchange {
        let exchanges = self.exchanges(kind);
        random.pick::<&Exchange>(&exchanges)
    }

    /// Whether to stop.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Stops all clients.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Records a failure, and stops all clients.
    pub fn report(&self, what: String) {
        self.failures.lock().unwrap().push(what);
        self.end();
    }

    /// All failures.
    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }

    /// Whether the server may have closed this connection because of a timeout, as the machine is
    /// too busy for the client to be in time.
    pub fn is_late(&self, connection: &Connection, limit: Duration) -> bool {
        let is_late = connection.opened.elapsed() >= limit;
        if is_late {
            count(&self.counters.late, 1);
        }
        is_late
    }
}

/// Adds to a counter.
pub fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Reads a counter.
pub fn counted(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
