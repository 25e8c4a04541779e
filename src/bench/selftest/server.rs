//! A server with a known answer, a process of its own (`oneloop bench known-answer-server JSON`).
//!
//! It prints its port, serves until its standard input ends, and then prints what it has counted
//! ([`ServerCounters`], JSON). A client must have counted the same, and must find the times that
//! follow from the [`Policy`].
//!
//! Its loop never sleeps: it reads from every connection in turn. So there is no time to wake up,
//! responses are sent within microseconds of when they are due, and under load it needs fewer
//! system calls per request than any client. It uses a whole CPU, but yields it when idle.

use crate::bench::types::{Fault, Page, body_hash};
use crate::clock::Now;
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes of one read.
const READ_SIZE: usize = 4096;
/// Limit for the queued responses of a connection; beyond it, the connection is not read.
const MAX_QUEUED: usize = 64;
/// A busy loop accepts in one of this many iterations, an idle loop in each.
const ACCEPT_INTERVAL: u64 = 16;
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
    let mut iteration = 0;
    let mut was_idle = true;
    while !stop.load(Ordering::Relaxed) {
        iteration += 1;
        server.is_busy = false;
        if (was_idle || iteration % ACCEPT_INTERVAL == 0)
            && let Some(stream) = listener.as_ref().map(accept).transpose()?.flatten()
        {
            connections.push(Connection::new(stream, server.counters.connections));
            server.counters.connections += 1;
            server.is_busy = true;
            if server.policy == Policy::Refuse(server.counters.connections) {
                listener = None;
            }
        }
        connections.retain_mut(|one| one.advance(&mut server).is_some());
        was_idle = !server.is_busy;
        if was_idle {
            std::thread::yield_now();
        }
    }
    Ok(server.counters)
}

fn accept(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    match listener.accept() {
        Ok((stream, _)) => {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            Ok(Some(stream))
        }
        Err(error) if is_transient(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether there is nothing to do now, or the client closed the connection before it was accepted.
fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    [WouldBlock, Interrupted, ConnectionAborted].contains(&error.kind())
}

/// A response.
#[derive(Clone, Debug)]
struct Response {
    message: Rc<Message>,
    /// When it is sent.
    due: u64,
    /// What happens afterwards.
    then: Then,
}

/// What happens to the connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Continue,
    Close,
    Reset,
}

/// The bytes of a response.
#[derive(Debug, Default)]
struct Message {
    bytes: Vec<u8>,
    /// How many of them are the body.
    body_length: u64,
    /// Whether a client gets a complete response.
    is_complete: bool,
}

impl Message {
    /// A head that announces `length` bytes, a body, and bytes behind it.
    fn new(status: &str, length: usize, body: &str, more: &str) -> Self {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
        Self {
            body_length: body.len() as u64,
            is_complete: body.len() == length,
            bytes: [&head, body, more].concat().into_bytes(),
        }
    }

    /// These bytes, whose body is not counted.
    fn canned(text: &str, is_complete: bool) -> Self {
        Self {
            bytes: text.as_bytes().to_vec(),
            body_length: 0,
            is_complete,
        }
    }

    /// The message for the `time`-th fault of a kind, from 0.
    fn wrong(fault: Fault, time: u64) -> Self {
        let all = BODY.len();
        match fault {
            Fault::Truncated => Self::new("200 OK", all, "right ", ""),
            Fault::Status if time % 2 == 1 => Self::new("404 Not Found", all, BODY, ""),
            Fault::Status => Self::new("500 Wrong", all, BODY, ""),
            Fault::Content => Self::new("200 OK", all, "wrong wrong ", ""),
            Fault::Length => Self::new("200 OK", all + 6, "right right longer", ""),
            Fault::Malformed => Self::canned("220 this is not HTTP\r\n\r\n", false),
            Fault::Unsolicited => Self::new("200 OK", all, BODY, "unsolicited"),
            _ => Self::default(),
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// Its number in the order of accept, from 0.
    number: u64,
    requests: u64,
    /// How much of the empty line at the end of a head was received.
    matched: usize,
    responses: VecDeque<Response>,
    /// Sent bytes of the first response.
    sent: usize,
}

impl Connection {
    fn new(stream: TcpStream, number: u64) -> Self {
        Self {
            stream,
            number,
            requests: 0,
            matched: 0,
            responses: VecDeque::new(),
            sent: 0,
        }
    }

    /// Reads requests, and sends the responses that are due. `None` closes the connection.
    fn advance(&mut self, server: &mut Server) -> Option<()> {
        if self.responses.len() < MAX_QUEUED {
            self.receive(server)?;
        }
        while let Some(response) = self.responses.front() {
            if response.due > server.now() {
                break;
            }
            server.is_busy = true;
            let message = &response.message;
            let rest = message.bytes.get(self.sent..).unwrap_or_default();
            if !rest.is_empty() {
                match self.stream.write(rest) {
                    Ok(length) => self.sent += length,
                    Err(error) if is_transient(&error) => break,
                    Err(_) => return None,
                }
            }
            if self.sent < message.bytes.len() {
                break;
            }
            server.counters.responses += u64::from(message.is_complete);
            server.counters.body_bytes += message.body_length;
            let then = response.then;
            (self.sent, _) = (0, self.responses.pop_front());
            if then == Then::Reset {
                // If this fails, the client counts an end, and the comparison fails.
                let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
            }
            if then != Then::Continue {
                return None;
            }
        }
        Some(())
    }

    fn receive(&mut self, server: &mut Server) -> Option<()> {
        let mut buffer = [0; READ_SIZE];
        let length = match self.stream.read(&mut buffer) {
            Ok(0) => return None,
            Ok(length) => length,
            Err(error) if is_transient(&error) => return Some(()),
            Err(_) => return None,
        };
        server.is_busy = true;
        let now = server.now();
        for byte in buffer.get(..length).unwrap_or_default() {
            self.matched = match (self.matched, byte) {
                (0 | 2, b'\r') | (1 | 3, b'\n') => self.matched + 1,
                (_, b'\r') => 1,
                _ => 0,
            };
            if self.matched == 4 {
                self.matched = 0;
                let response = server.respond(self, now);
                self.responses.extend(response);
            }
        }
        Some(())
    }
}

/// Decides what the response to a request is, and when it is due. Times are nanoseconds since the
/// start of the server.
struct Server {
    policy: Policy,
    correct: Rc<Message>,
    counters: ServerCounters,
    origin: Instant,
    first_request: Option<u64>,
    /// When a server that responds to one request after the other is free again.
    free_at: u64,
    /// Whether something was done in this iteration.
    is_busy: bool,
}

impl Server {
    fn new(policy: Policy) -> Self {
        let correct = match &policy {
            Policy::Canned(text, _) => Message::canned(text, true),
            _ => Message::new("200 OK", BODY.len(), BODY, ""),
        };
        Self {
            policy,
            correct: Rc::new(correct),
            counters: ServerCounters::default(),
            origin: Now::read().instant,
            first_request: None,
            free_at: 0,
            is_busy: false,
        }
    }

    fn now(&self) -> u64 {
        let since = Now::read().instant.saturating_duration_since(self.origin);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The response to a request that arrives at `now`; `None` if there never is one.
    fn respond(&mut self, connection: &mut Connection, now: u64) -> Option<Response> {
        self.counters.requests += 1;
        connection.requests += 1;
        let first = *self.first_request.get_or_insert(now);
        self.counters.arrivals.push(now - first);
        let requests = self.counters.requests;
        let mut response = Response {
            message: self.correct.clone(),
            due: now,
            then: Then::Continue,
        };
        match &self.policy {
            Policy::Immediate | Policy::Refuse(_) | Policy::Canned(_, false) => {}
            Policy::Canned(_, true) => response.then = Then::Close,
            Policy::Delay(delay, connections) => {
                response.due = now + delay;
                if connection.requests == 1 {
                    response.due += delay * (connection.number % connections) / connections;
                }
            }
            Policy::Stall {
                after,
                length,
                service_time,
            } => {
                let stall = first + after..first + after + length;
                let mut begin = now.max(self.free_at);
                if stall.contains(&begin) {
                    begin = stall.end;
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
            Policy::Faulty => self.make_wrong(&mut response),
            Policy::Quota(responses) => {
                let number = usize::try_from(connection.number).ok();
                let quota = number.and_then(|number| responses.get(number));
                if connection.requests > quota.copied().unwrap_or(0) {
                    return None;
                }
            }
        }
        Some(response)
    }

    /// Makes the response to the current request a wrong one, if its number says so.
    fn make_wrong(&mut self, response: &mut Response) {
        let requests = self.counters.requests;
        let is_next = |(every, _): &&(u64, Fault)| requests.is_multiple_of(*every);
        let Some((_, fault)) = FAULTS.iter().find(is_next).copied() else {
            return;
        };
        let times = self.counters.faults.entry(fault).or_default();
        response.message = Rc::new(Message::wrong(fault, *times));
        response.then = match fault {
            Fault::Truncated | Fault::Closed => Then::Close,
            Fault::Reset => Then::Reset,
            _ => Then::Continue,
        };
        *times += 1;
    }
}
