//! A server with a known answer, a process of its own (`oneloop bench known-answer-server JSON`).
//!
//! It prints its port, serves until its standard input ends, and then prints what it has counted
//! ([`ServerCounters`], JSON). A client must have counted the same, and must find the times that
//! follow from the [`Policy`].
//!
//! Its loop never sleeps: it reads from every connection in turn. So there is no time to wake up,
//! responses are sent within microseconds of when they are due, and under load it needs fewer
//! system calls per request than any client. It uses a whole CPU, but yields it when idle. Clients
//! send the next request after the response.

use crate::bench::types::{Fault, Page, Totals, body_hash};
use crate::clock::Now;
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes of one read.
const READ_SIZE: usize = 4096;
/// The body of a correct response.
const BODY: &str = "right right ";

/// Every n-th request gets a wrong response of this kind. The numbers are primes, so two kinds
/// rarely coincide; if they do, the first one counts.
pub(super) const FAULTS: [(u64, Fault); 8] = [
    (97, Fault::Truncated),
    (89, Fault::Status),
    (83, Fault::Content),
    (79, Fault::Reset),
    (73, Fault::Closed),
    (71, Fault::Length),
    (67, Fault::Malformed),
    (61, Fault::Unsolicited),
];

/// How a known-answer server responds. Times are nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// At once.
    Immediate,
    /// With these bytes, at once; if the flag is set, it then closes the connection.
    Canned(String, bool),
    /// This long after the request. The first response of connection i of n (the second number) is
    /// later by i / n of the delay, so that responses are spread out.
    Delay(u64, u64),
    /// One response after the other, each of which takes the second time; nothing is done in this
    /// span from the first request.
    Stall(Range<u64>, u64),
    /// Every n-th response (the first number) is this late, the others are immediate.
    TwoPoint(u64, u64),
    /// Wrong responses of eight kinds, by the number of the request.
    Faulty,
    /// Accepts this many connections, then closes the listener.
    Refuse(u64),
    /// This many responses on each connection, in the order of accept; connections without a number
    /// get none.
    Quota(Vec<u64>),
}

/// What a known-answer server has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCounters {
    /// What the client must have counted.
    pub totals: Totals,
    /// Wrong responses, by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// Late responses ([`Policy::TwoPoint`]).
    pub late: u64,
    /// When requests arrived, from the first one.
    pub arrivals: Vec<u64>,
}

/// The page of a known-answer server.
pub(super) fn page() -> Page {
    Page {
        path: "/".to_owned(),
        status: 200,
        length: Some(BODY.len() as u64),
        hash: Some(body_hash(BODY.as_bytes())),
    }
}

/// Serves with the policy `text` until standard input ends.
pub(in crate::bench) fn serve(text: &str) -> Result<ExitCode, Box<dyn Error>> {
    let policy: Policy = serde_json::from_str(text)
        .map_err(|error| format!("not a policy: {error} (see src/bench/selftest/server.rs)"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    // So that the server does not outlive its parent.
    std::thread::Builder::new().spawn(move || {
        // An error is an end, too.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        flag.store(true, Ordering::Relaxed);
    })?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", listener.local_addr()?.port())?;
    stdout.flush()?;
    let counters = run(policy, listener, &stop)?;
    serde_json::to_writer(&mut stdout, &counters)?;
    writeln!(stdout)?;
    Ok(ExitCode::SUCCESS)
}

fn run(policy: Policy, listener: TcpListener, stop: &AtomicBool) -> io::Result<ServerCounters> {
    listener.set_nonblocking(true)?;
    let mut listener = Some(listener);
    let mut connections: Vec<Connection> = Vec::new();
    let mut server = Server::new(policy);
    while !stop.load(Ordering::Relaxed) {
        let before = server.counters.totals;
        // Without an accepted connection, the counts of the client differ.
        if let Some(Ok((stream, _))) = listener.as_ref().map(TcpListener::accept) {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            connections.push(Connection::new(stream, before.connections));
            server.counters.totals.connections += 1;
            if server.policy == Policy::Refuse(before.connections + 1) {
                listener = None;
            }
        }
        connections.retain_mut(|one| one.advance(&mut server).is_some());
        if server.counters.totals == before {
            std::thread::yield_now();
        }
    }
    Ok(server.counters)
}

/// Whether there is nothing to do now.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// A response.
#[derive(Clone, Debug, Default)]
struct Response {
    bytes: Vec<u8>,
    /// How many of them are the body.
    body_length: u64,
    /// Whether a client gets a complete response.
    is_complete: bool,
    /// When it is sent.
    due: u64,
    /// What happens afterwards.
    then: Then,
}

/// What happens to the connection after a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Then {
    #[default]
    Continue,
    Close,
    Reset,
}

impl Response {
    /// A head that announces `length` bytes, a body, and bytes behind it.
    fn new(status: &str, length: usize, body: &str, more: &str) -> Self {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
        Self {
            body_length: body.len() as u64,
            is_complete: body.len() == length,
            ..Self::canned(&[&head, body, more].concat())
        }
    }

    /// These bytes, which are no complete response.
    fn canned(text: &str) -> Self {
        Self {
            bytes: text.as_bytes().to_vec(),
            ..Self::default()
        }
    }

    /// The response for the `time`-th fault of a kind, from 0.
    fn wrong(fault: Fault, time: u64) -> Self {
        let all = BODY.len();
        let response = match fault {
            Fault::Truncated => Self::new("200 OK", all, "right ", ""),
            Fault::Status if time % 2 == 1 => Self::new("404 Not Found", all, BODY, ""),
            Fault::Status => Self::new("500 Wrong", all, BODY, ""),
            Fault::Content => Self::new("200 OK", all, "wrong wrong ", ""),
            Fault::Length => Self::new("200 OK", all + 6, "right right longer", ""),
            Fault::Malformed => Self::canned("220 this is not HTTP\r\n\r\n"),
            Fault::Unsolicited => Self::new("200 OK", all, BODY, "unsolicited"),
            _ => Self::default(),
        };
        let then = match fault {
            Fault::Truncated | Fault::Closed => Then::Close,
            Fault::Reset => Then::Reset,
            _ => Then::Continue,
        };
        Self { then, ..response }
    }
}

struct Connection {
    stream: TcpStream,
    /// Its number in the order of accept, from 0.
    number: u64,
    requests: u64,
    /// How much of the empty line at the end of a head was received.
    matched: usize,
    response: Option<Response>,
    /// Sent bytes of the response.
    sent: usize,
}

impl Connection {
    fn new(stream: TcpStream, number: u64) -> Self {
        Self {
            stream,
            number,
            requests: 0,
            matched: 0,
            response: None,
            sent: 0,
        }
    }

    /// Reads a request, and sends the response if it is due. `None` closes the connection.
    fn advance(&mut self, server: &mut Server) -> Option<()> {
        if self.response.is_none() {
            self.receive(server)?;
        }
        let is_due = |response: &&Response| response.due <= server.now();
        let Some(response) = self.response.as_ref().filter(is_due) else {
            return Some(());
        };
        match (&self.stream).write(response.bytes.get(self.sent..)?) {
            Ok(length) => self.sent += length,
            Err(error) if is_transient(&error) => {}
            Err(_) => return None,
        }
        if self.sent < response.bytes.len() {
            return Some(());
        }
        server.counters.totals.responses += u64::from(response.is_complete);
        server.counters.totals.body_bytes += response.body_length;
        if response.then == Then::Reset {
            // If this fails, the client counts an end, and the comparison fails.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
        let continues = response.then == Then::Continue;
        (self.sent, self.response) = (0, None);
        continues.then_some(())
    }

    fn receive(&mut self, server: &mut Server) -> Option<()> {
        let mut buffer = [0; READ_SIZE];
        let length = match self.stream.read(&mut buffer) {
            Ok(0) => return None,
            Ok(length) => length,
            Err(error) if is_transient(&error) => return Some(()),
            Err(_) => return None,
        };
        let now = server.now();
        for byte in buffer.get(..length).unwrap_or_default() {
            self.matched = match (self.matched, byte) {
                (0 | 2, b'\r') | (1 | 3, b'\n') => self.matched + 1,
                (_, b'\r') => 1,
                _ => 0,
            };
            if self.matched == 4 {
                self.matched = 0;
                self.requests += 1;
                self.response = server.respond(self.number, self.requests, now);
            }
        }
        Some(())
    }
}

/// Decides what the response to a request is, and when it is due. Times are nanoseconds since the
/// start of the server.
struct Server {
    policy: Policy,
    correct: Response,
    counters: ServerCounters,
    origin: Instant,
    first_request: Option<u64>,
    /// When a server that responds to one request after the other is free again.
    free_at: u64,
}

impl Server {
    fn new(policy: Policy) -> Self {
        let correct = match &policy {
            Policy::Canned(text, closes) => Response {
                is_complete: true,
                then: if *closes { Then::Close } else { Then::Continue },
                ..Response::canned(text)
            },
            _ => Response::new("200 OK", BODY.len(), BODY, ""),
        };
        Self {
            policy,
            correct,
            counters: ServerCounters::default(),
            origin: Now::read().instant,
            first_request: None,
            free_at: 0,
        }
    }

    fn now(&self) -> u64 {
        let since = Now::read().instant.saturating_duration_since(self.origin);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The response to a request that arrives at `now`, the `number`-th of the connection, from 1;
    /// `None` if there never is one.
    fn respond(&mut self, connection: u64, number: u64, now: u64) -> Option<Response> {
        self.counters.totals.requests += 1;
        let requests = self.counters.totals.requests;
        let first = *self.first_request.get_or_insert(now);
        self.counters.arrivals.push(now - first);
        let mut response = self.correct.clone();
        response.due = now;
        match &self.policy {
            Policy::Immediate | Policy::Refuse(_) | Policy::Canned(..) => {}
            Policy::Delay(delay, connections) => {
                response.due += delay;
                if number == 1 {
                    response.due += delay * (connection % connections) / connections;
                }
            }
            Policy::Stall(stall, service_time) => {
                let mut begin = now.max(self.free_at);
                if stall.contains(&(begin - first)) {
                    begin = first + stall.end;
                }
                self.free_at = begin + service_time;
                response.due = self.free_at;
            }
            Policy::TwoPoint(every, delay) => {
                if requests.is_multiple_of(*every) {
                    response.due += delay;
                    self.counters.late += 1;
                }
            }
            Policy::Faulty => {
                let is_next = |(every, _): &&(u64, Fault)| requests.is_multiple_of(*every);
                if let Some((_, fault)) = FAULTS.iter().find(is_next) {
                    let times = self.counters.faults.entry(*fault).or_default();
                    response = Response::wrong(*fault, *times);
                    *times += 1;
                }
            }
            Policy::Quota(quotas) => {
                let index = usize::try_from(connection).ok()?;
                if number > *quotas.get(index)? {
                    return None;
                }
            }
        }
        Some(response)
    }
}
