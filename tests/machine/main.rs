//! The state machine, the iteration and accepting, tested without sockets.
//!
//! The tests run the scheduler over connections in memory ([`memory_transport`]), as the reactor
//! runs it over sockets. Time passes only when a test advances it.
//!
//! - `deadlines`: all timeouts
//! - `closing`: half-closes, lingering, resets, errors
//! - `bodies`: files, parts and streams, and what happens when they cannot be completed
//! - `coalescing`: responses that are sent together
//! - `budgets`: no connection holds up the others
//! - `stopping`: draining and aborting
//! - `slots`: when slots are freed, and which connections are evicted
//! - `listeners`: when connections are accepted, and errors of accept(2)
//! - `layered`: a transport with its own protocol, as TLS would be
//! - `tls`: TLS over such a connection, with a client of rustls
//! - `probe`: what the scheduler and the pump report to a probe
//! - `waiting`: a handler that is not ready to answer
//! - `held`: public connections that are held, for the live view
//! - `view`: the table of the live view

#[cfg(feature = "tls")]
#[path = "../support/certificate.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod certificate;
#[path = "../support/memory_transport.rs"]
mod memory_transport;
#[path = "../support/records.rs"]
mod records;
#[path = "../support/scripted_body.rs"]
mod scripted_body;

mod bodies;
mod budgets;
mod closing;
mod coalescing;
mod deadlines;
mod handler;
mod held;
mod layered;
mod listeners;
mod probe;
mod slots;
mod stopping;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "study")]
mod view;
mod waiting;

use handler::Pages;
use memory_transport::{MemoryTransport, Peer, pair};
use oneloop::clock::Now;
use oneloop::event_loop::scheduler::Scheduler;
use oneloop::handler::{Handler, ListenerInfo};
use oneloop::limits::Limits;
use oneloop::probe::{EventFlags, Origin};
use oneloop::transport::Transport;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Fri, 01 Jan 2100 00:00:00 GMT. The wall clock stands still; only the monotonic clock moves.
const WALL: Duration = Duration::from_secs(4_102_444_800);

/// A request for a small page, and its response.
const GET: &str = "GET /small HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\n\
                  Content-Length: 5\r\n\r\nsmall";
/// The same as the last of its connection.
const LAST_GET: &str = "GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const LAST: &str = "HTTP/1.1 200 OK\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\n\
                    Content-Length: 5\r\nConnection: close\r\n\r\nsmall";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// The head of a response with a body of `length` bytes.
fn head(length: usize) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\nContent-Length: {length}\r\n\r\n"
    )
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The reactor without its poll: the test calls the functions that an iteration calls.
struct TestServer<T = MemoryTransport> {
    scheduler: Scheduler<T, usize>,
    handler: Pages,
    now: Now,
    peers: Vec<(usize, Peer)>,
    /// How many sockets were released.
    released: usize,
}

impl TestServer {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Limits)) -> Self {
        Self::of_transports(change)
    }

    /// A peer connects, and sends these bytes at once.
    fn connect(&mut self, bytes: impl AsRef<[u8]>) -> Peer {
        let (memory_transport, peer) = pair();
        if !bytes.as_ref().is_empty() {
            peer.sends(bytes);
        }
        self.add(memory_transport, peer)
    }
}

impl<T: Transport> TestServer<T> {
    fn of_transports(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        Self {
            scheduler: Scheduler::new(Arc::new(limits), ()),
            handler: Pages::default(),
            now: Now {
                wall: UNIX_EPOCH + WALL,
                ..Now::read()
            },
            peers: Vec::new(),
            released: 0,
        }
    }

    /// The peer of this transport connects.
    fn add(&mut self, transport: T, peer: Peer) -> Peer {
        let listener = ListenerInfo::public(0);
        let state = self.handler.on_connect(listener, None);
        let origin = Origin {
            listener,
            peer: None,
        };
        let key = self.scheduler.add(&origin, transport, state, self.now);
        self.peers.push((key, peer.clone()));
        peer
    }

    /// One iteration: mark events, run, reap.
    fn iterate(&mut self) {
        self.mark_events();
        self.scheduler.run(&mut self.handler, self.now);
        self.scheduler.register(|_, _| Ok(()));
        self.reap();
    }

    /// Marks each connection whose peer did something. Closed sockets have no events.
    fn mark_events(&mut self) {
        for (key, peer) in &self.peers {
            if peer.take_event() && !peer.is_closed() {
                self.scheduler.mark_ready(*key, EventFlags::default);
            }
        }
    }

    /// The keys of all connections, in the order in which they were accepted.
    fn keys(&self) -> Vec<usize> {
        self.peers.iter().map(|(key, _)| *key).collect()
    }

    fn reap(&mut self) -> usize {
        let mut released = 0;
        let count = self
            .scheduler
            .reap(&mut self.handler, self.now, |_| released += 1);
        self.released += released;
        count
    }

    /// Evicts idle connections; returns how many.
    fn evict(&mut self) -> usize {
        self.scheduler.evict(&mut self.handler, self.now)
    }

    /// Runs iterations until the loop would wait.
    fn run(&mut self) {
        for _ in 0..1_000_000 {
            self.iterate();
            if !self.is_busy() {
                return;
            }
        }
        panic!("the loop never waits");
    }

    /// Whether a connection is runnable.
    fn is_busy(&self) -> bool {
        self.scheduler.poll_timeout(self.now) == Some(Duration::ZERO)
    }

    /// Time passes without an event, and the loop runs.
    fn wait(&mut self, time: Duration) {
        self.now.instant += time;
        self.run();
    }
}
