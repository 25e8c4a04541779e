//! A server with a known answer, a process of its own (`oneloop bench known-answer-server JSON`).
//!
//! It prints its port, serves until its standard input ends, and then prints what it has counted
//! ([`ServerCounters`], JSON). A client must have counted the same, and must find the times that
//! follow from the [`Policy`].
//!
//! Its loop never sleeps: it reads from every connection in turn. So there is no time to wake up,
//! responses are sent within microseconds of when they are due, and under load it needs fewer
//! system calls per request than any client. It uses a whole CPU, but yields it when idle.
//!
//! - `policy`: what the response to a request is, and when it is due. No I/O, no clock

mod policy;

pub use policy::{FAULTS, page};

use crate::bench::load::Fault;
use crate::clock::Now;
use policy::{ConnectionState, Responder, Response, Then};
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Limit for the size of a body.
const MAX_BODY: usize = 64 * 1024 * 1024;
/// Bytes of one read.
const READ_SIZE: usize = 16 * 1024;
/// Limit for the queued responses of a connection; beyond it, the connection is not read.
const MAX_QUEUED: usize = 64;
/// A busy loop accepts in one of this many iterations, an idle loop in each.
const ACCEPT_INTERVAL: u64 = 16;
/// Limit for the connections whose responses are counted separately.
const MAX_SHARES: usize = 10_000;
/// Limit for the logged arrivals.
const MAX_ARRIVALS: usize = 1_000_000;

/// The configuration of a known-answer server. Times are nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerConfig {
    /// How it responds.
    pub policy: Policy,
    /// Bytes of a correct body.
    pub body_size: usize,
    /// Whether it logs when requests arrive.
    pub logs_arrivals: bool,
}

/// How a known-answer server responds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// At once.
    Immediate,
    /// `delay` after the request. The first response of connection i of `connections` is later by
    /// i / `connections` of the delay, so that responses are spread out.
    Delay {
        /// Time from the request to the response.
        delay: u64,
        /// The number of connections.
        connections: u64,
    },
    /// `interval` after the response before it on the connection, whenever the request came. A
    /// request that comes too late waits for the next multiple. First responses are spread out as
    /// above.
    Interval {
        /// Time from response to response.
        interval: u64,
        /// The number of connections.
        connections: u64,
    },
    /// One response after the other, each of which takes `service_time`; once, nothing is done for
    /// `length`.
    Stall {
        /// When the stall begins, from the first request.
        after: u64,
        /// Its length.
        length: u64,
        /// Time per response.
        service_time: u64,
    },
    /// Every `every`-th response is `delay` late, the others are immediate.
    TwoPoint {
        /// Responses per late response.
        every: u64,
        /// The delay of a late response.
        delay: u64,
    },
    /// Wrong responses of eight kinds, by the number of the request: [`FAULTS`].
    Faulty,
    /// Accepts this many connections, then closes the listener.
    Refuse {
        /// Accepted connections.
        connections: u64,
    },
    /// This many responses on each connection, in the order of accept; connections without a number
    /// get none.
    Quota {
        /// Responses per connection.
        responses: Vec<u64>,
    },
}

/// What a known-answer server has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCounters {
    /// Accepted connections.
    pub connections: u64,
    /// Complete request heads.
    pub requests: u64,
    /// Complete responses, correct or wrong.
    pub responses: u64,
    /// Sent bytes of bodies, of complete and incomplete responses.
    pub body_bytes: u64,
    /// Wrong responses, by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// Late responses ([`Policy::TwoPoint`]).
    pub late: u64,
    /// Responses of each connection, in the order of accept.
    pub shares: Vec<u64>,
    /// When requests arrived, from the first one, if that is logged.
    pub arrivals: Vec<u64>,
    /// Reads.
    pub reads: u64,
    /// Reads that found nothing.
    pub empty_reads: u64,
}

/// Serves with the configuration `text` until standard input ends.
///
/// # Errors
/// The configuration is not valid; a system call fails.
pub fn serve(text: &str) -> Result<ExitCode, Box<dyn Error>> {
    let config: ServerConfig = serde_json::from_str(text).map_err(|error| {
        format!("not a configuration: {error} (see src/bench/selftest/server/mod.rs)")
    })?;
    check(&config)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let stop = stop_at_end_of_stdin()?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", listener.local_addr()?.port())?;
    stdout.flush()?;
    let counters = run(&config, listener, &stop)?;
    serde_json::to_writer(&mut stdout, &counters)?;
    writeln!(stdout)?;
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// A flag that is set at the end of standard input, so that the server does not outlive its parent.
fn stop_at_end_of_stdin() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    std::thread::Builder::new().spawn(move || {
        // An error is an end, too.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        flag.store(true, Ordering::Relaxed);
    })?;
    Ok(stop)
}

fn check(config: &ServerConfig) -> Result<(), String> {
    if config.body_size > MAX_BODY {
        let size = config.body_size;
        return Err(format!("body_size {size}: must be at most {MAX_BODY}"));
    }
    let divisors = match config.policy {
        Policy::Delay { connections, .. } => [connections, 1],
        Policy::Interval {
            interval,
            connections,
        } => [interval, connections],
        Policy::TwoPoint { every, .. } => [every, 1],
        _ => [1, 1],
    };
    match divisors.contains(&0) {
        true => Err(format!("{:?}: a number must not be 0", config.policy)),
        false => Ok(()),
    }
}

fn run(
    config: &ServerConfig,
    listener: TcpListener,
    stop: &AtomicBool,
) -> io::Result<ServerCounters> {
    listener.set_nonblocking(true)?;
    let mut listener = Some(listener);
    let mut connections: Vec<Connection> = Vec::new();
    let mut shared = Shared {
        responder: Responder::new(config),
        counters: ServerCounters::default(),
        logs_arrivals: config.logs_arrivals,
        origin: Now::read().instant,
        buffer: vec![0; READ_SIZE],
    };
    let mut iteration = 0;
    let mut was_idle = true;
    while !stop.load(Ordering::Relaxed) {
        iteration += 1;
        let mut is_busy = false;
        if (was_idle || iteration % ACCEPT_INTERVAL == 0)
            && let Some(stream) = listener.as_ref().map(accept).transpose()?.flatten()
        {
            connections.push(Connection::new(stream, &mut shared.counters));
            is_busy = true;
            let accepted = shared.counters.connections;
            if matches!(config.policy, Policy::Refuse { connections } if accepted >= connections) {
                listener = None;
            }
        }
        connections.retain_mut(|one| one.advance(&mut shared, &mut is_busy).is_some());
        was_idle = !is_busy;
        if was_idle {
            std::thread::yield_now();
        }
    }
    Ok(ServerCounters {
        requests: shared.responder.requests,
        faults: shared.responder.faults,
        late: shared.responder.late,
        ..shared.counters
    })
}

fn accept(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    match listener.accept() {
        Ok((stream, _)) => {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            Ok(Some(stream))
        }
        Err(error) if is_transient(&error) => Ok(None),
        // The client closed the connection before it was accepted.
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_transient(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
    kinds.contains(&error.kind())
}

/// What all connections share.
struct Shared {
    responder: Responder,
    counters: ServerCounters,
    logs_arrivals: bool,
    origin: Instant,
    buffer: Vec<u8>,
}

impl Shared {
    fn now(&self) -> u64 {
        let since = Now::read().instant.saturating_duration_since(self.origin);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

struct Connection {
    stream: TcpStream,
    state: ConnectionState,
    /// How much of the empty line at the end of a head was received.
    matched: usize,
    responses: VecDeque<Response>,
    /// Sent bytes of the first response.
    sent: usize,
}

impl Connection {
    fn new(stream: TcpStream, counters: &mut ServerCounters) -> Self {
        let number = counters.connections;
        counters.connections += 1;
        if counters.shares.len() < MAX_SHARES {
            counters.shares.push(0);
        }
        Self {
            stream,
            state: ConnectionState::new(number),
            matched: 0,
            responses: VecDeque::new(),
            sent: 0,
        }
    }

    /// Reads requests, and sends the responses that are due. `None` closes the connection.
    fn advance(&mut self, shared: &mut Shared, is_busy: &mut bool) -> Option<()> {
        if self.responses.len() < MAX_QUEUED {
            self.receive(shared, is_busy)?;
        }
        while let Some(response) = self.responses.front() {
            if response.due > shared.now() {
                break;
            }
            *is_busy = true;
            let message = &response.message;
            let rest = message.bytes.get(self.sent..).unwrap_or_default();
            if !rest.is_empty() {
                match self.stream.write(rest) {
                    Ok(length) => {
                        let before = message.body_bytes_in(self.sent);
                        self.sent += length;
                        let after = message.body_bytes_in(self.sent);
                        shared.counters.body_bytes += (after - before) as u64;
                    }
                    Err(error) if is_transient(&error) => break,
                    Err(_) => return None,
                }
            }
            if self.sent < message.bytes.len() {
                break;
            }
            self.finish_response(shared)?;
        }
        Some(())
    }

    /// Counts the first response, which was sent.
    fn finish_response(&mut self, shared: &mut Shared) -> Option<()> {
        let response = self.responses.pop_front()?;
        self.sent = 0;
        if response.message.is_complete {
            shared.counters.responses += 1;
            let number = usize::try_from(self.state.number).ok();
            if let Some(share) = number.and_then(|number| shared.counters.shares.get_mut(number)) {
                *share += 1;
            }
        }
        match response.then {
            Then::Continue => Some(()),
            Then::Close => None,
            Then::Reset => {
                // If this fails, the client counts an end, and the comparison fails.
                let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
                None
            }
        }
    }

    fn receive(&mut self, shared: &mut Shared, is_busy: &mut bool) -> Option<()> {
        shared.counters.reads += 1;
        let length = match self.stream.read(&mut shared.buffer) {
            Ok(0) => return None,
            Ok(length) => length,
            Err(error) if is_transient(&error) => {
                shared.counters.empty_reads += 1;
                return Some(());
            }
            Err(_) => return None,
        };
        *is_busy = true;
        let now = shared.now();
        let bytes = shared.buffer.get(..length).unwrap_or_default();
        let mut requests = 0;
        for byte in bytes {
            self.matched = match (self.matched, byte) {
                (0 | 2, b'\r') | (1, b'\n') => self.matched + 1,
                (3, b'\n') => {
                    requests += 1;
                    0
                }
                (_, b'\r') => 1,
                _ => 0,
            };
        }
        for _ in 0..requests {
            let response = shared.responder.respond(&mut self.state, now);
            self.responses.extend(response);
            if shared.logs_arrivals && shared.counters.arrivals.len() < MAX_ARRIVALS {
                let first = shared.responder.first_request.unwrap_or(now);
                shared.counters.arrivals.push(now - first);
            }
        }
        Some(())
    }
}
