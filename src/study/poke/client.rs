//! The connections of `oneloop poke`: a small reactor, in which each of them follows the same
//! script.

use super::script::Script;
use super::stream::{Handshake, Stream};
use super::transcript::{Event, Transcript};
use crate::clock::Now;
use crate::timers::Timers;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a connection without `--hold` stays open while nothing comes.
const QUIET: Duration = Duration::from_secs(1);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// With a read rate of at least this many bytes, this many reads are made in a second.
const READS_PER_SECOND: usize = 50;
/// The most bytes of one read.
const BUFFER: usize = 64 * 1024;
/// Events taken from one poll.
const EVENTS: usize = 1024;

/// What every connection does.
#[derive(Debug)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// TLS, unless the bytes go as they are.
    pub tls: Option<super::tls::Connector>,
    /// How many connections.
    pub connections: usize,
    /// What is sent.
    pub script: Script,
    /// SO_RCVBUF, in bytes.
    pub receive_buffer: Option<usize>,
    /// The most bytes read in a second.
    pub read_rate: Option<usize>,
    /// Close our direction after the script.
    pub half_close: bool,
    /// Reset the connection after the script.
    pub reset: bool,
    /// How long to stay open after the script; without it, until nothing has come for [`QUIET`].
    pub hold: Option<Duration>,
}

/// Runs the plan until all connections have ended.
///
/// # Errors
/// A socket or a poll cannot be created; the transcript cannot be written.
pub fn run<W: Write>(plan: &Plan, transcript: &mut Transcript<W>) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(EVENTS);
    let mut timers = Timers::new();
    let start = Now::read().instant;
    let mut runner = Runner {
        plan,
        transcript,
        start,
        buffer: vec![0; BUFFER],
    };
    let mut clients = Slab::new();
    for number in 0..plan.connections {
        match connect(plan, number)? {
            Ok(mut stream) => {
                let both = Interest::READABLE | Interest::WRITABLE;
                let entry = clients.vacant_entry();
                let token = Token(entry.key());
                poll.registry().register(stream.socket(), token, both)?;
                entry.insert(Client::new(number, stream, start));
            }
            Err(error) => runner.record(number, &Event::NotConnected(plan.address, error))?,
        }
    }
    while !clients.is_empty() {
        let now = Now::read().instant;
        let timeout = timers
            .earliest()
            .map(|earliest| earliest.saturating_duration_since(now));
        match poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let now = Now::read().instant;
        let mut keys: Vec<usize> = events.iter().map(|event| event.token().0).collect();
        keys.extend(std::iter::from_fn(|| timers.pop_expired(now)));
        for key in keys {
            let Some(client) = clients.get_mut(key) else {
                continue;
            };
            runner.advance(client, now)?;
            if client.state == State::Ended {
                timers.remove(key);
                // Closes the socket.
                clients.remove(key);
            } else if let Some(at) = client.wakes_at(plan, now) {
                timers.schedule(key, at);
            }
        }
    }
    runner.transcript.finish(Now::read().instant - start)
}

/// Begins to connect. The inner error is the connection's: it may be refused at once.
///
/// # Errors
/// A socket cannot be created.
fn connect(plan: &Plan, number: usize) -> io::Result<io::Result<Stream>> {
    let domain = Domain::for_address(plan.address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).map_err(|error| {
        let which = number + 1;
        io::Error::other(format!(
            "no socket for connection {which}: {error} (raise: ulimit -n)"
        ))
    })?;
    if let Some(bytes) = plan.receive_buffer {
        // Before connecting, so that the window is never larger (tcp(7)).
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&plan.address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
            Ok(Err(error))
        }
        _ => {
            let socket = TcpStream::from_std(socket.into());
            let Some(connector) = &plan.tls else {
                return Ok(Ok(Stream::Plain(socket)));
            };
            let session = connector.session(socket).map_err(io::Error::other)?;
            Ok(Ok(Stream::Tls(Box::new(session))))
        }
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    /// Connected; TLS is being agreed on.
    Handshake {
        since: Instant,
    },
    /// The write of this index is next, at this time.
    Sending {
        write: usize,
        at: Instant,
    },
    /// Everything is sent, since this time.
    Done {
        since: Instant,
    },
    Ended,
}

/// One connection.
struct Client {
    number: usize,
    stream: Stream,
    state: State,
    /// Bytes of the current write that the kernel has taken.
    sent: usize,
    /// Whether something has come.
    is_answered: bool,
    /// When something came last, or the start.
    latest: Instant,
    /// No read before this time.
    read_at: Instant,
}

impl Client {
    fn new(number: usize, stream: Stream, now: Instant) -> Self {
        Self {
            number,
            stream,
            state: State::Connecting,
            sent: 0,
            is_answered: false,
            latest: now,
            read_at: now,
        }
    }

    /// When it has something to do, if no event comes.
    fn wakes_at(&self, plan: &Plan, now: Instant) -> Option<Instant> {
        let next = match self.state {
            State::Connecting | State::Ended => None,
            State::Handshake { since } => Some(since + HANDSHAKE),
            // Due already: the socket takes no more, and an event will tell when it does.
            State::Sending { at, .. } => Some(at).filter(|at| *at > now),
            State::Done { since } => Some(self.ends_at(since, plan)),
        };
        let read_at = Some(self.read_at).filter(|at| *at > now);
        next.into_iter().chain(read_at).min()
    }

    /// When it closes, if everything was sent at `since`.
    fn ends_at(&self, since: Instant, plan: &Plan) -> Instant {
        match plan.hold {
            Some(hold) => since + hold,
            None => since.max(self.latest) + QUIET,
        }
    }
}

/// Moves clients forward.
struct Runner<'r, W> {
    plan: &'r Plan,
    transcript: &'r mut Transcript<W>,
    start: Instant,
    buffer: Vec<u8>,
}

impl<W: Write> Runner<'_, W> {
    /// Does what the connection can do now: an event or its time has come.
    ///
    /// # Errors
    /// Those of the transcript.
    fn advance(&mut self, client: &mut Client, now: Instant) -> io::Result<()> {
        if client.state == State::Connecting {
            self.finish_connecting(client, now)?;
        }
        if let State::Handshake { since } = client.state {
            self.go_on_with_handshake(client, since, now)?;
        }
        if !matches!(client.state, State::Sending { .. } | State::Done { .. }) {
            return Ok(());
        }
        if let Err(error) = client.stream.flush() {
            return self.end(client, &Event::Failed(error));
        }
        self.send(client)?;
        self.receive(client, now)?;
        if let State::Done { since } = client.state
            && client.ends_at(since, self.plan) <= now
        {
            client.stream.close_session();
            self.end(client, &Event::Closed)?;
        }
        Ok(())
    }

    fn finish_connecting(&mut self, client: &mut Client, now: Instant) -> io::Result<()> {
        let socket = client.stream.socket();
        if let Some(error) = socket.take_error()? {
            return self.end(client, &Event::NotConnected(self.plan.address, error));
        }
        // Not connected yet: the event was for something else (connect(2)).
        if socket.peer_addr().is_err() {
            return Ok(());
        }
        let local = socket.local_addr()?;
        client.state = State::Handshake { since: now };
        self.record(client.number, &Event::Connected(local))
    }

    fn go_on_with_handshake(
        &mut self,
        client: &mut Client,
        since: Instant,
        now: Instant,
    ) -> io::Result<()> {
        match client.stream.handshake() {
            Ok(Handshake::Pending) if now < since + HANDSHAKE => Ok(()),
            Ok(Handshake::Pending) => {
                let error = io::Error::new(ErrorKind::TimedOut, "no TLS handshake in 10 s");
                self.end(client, &Event::Failed(error))
            }
            Ok(Handshake::Finished(agreed)) => {
                client.state = self.next_write(0, now);
                match agreed {
                    Some(text) => self.record(client.number, &Event::Secured(text)),
                    None => Ok(()),
                }
            }
            Err(error) => self.end(client, &Event::Failed(error)),
        }
    }

    /// The state after `index` writes.
    fn next_write(&self, index: usize, now: Instant) -> State {
        let script = &self.plan.script;
        let pause = script.writes.get(index).map(|write| write.pause);
        State::Sending {
            write: index,
            at: now + pause.unwrap_or(script.last_pause),
        }
    }

    /// Sends what is due, and does what follows the script.
    fn send(&mut self, client: &mut Client) -> io::Result<()> {
        while let State::Sending { write: index, at } = client.state {
            // Writes take time, so each looks at the clock.
            let now = Now::read().instant;
            if at > now {
                return Ok(());
            }
            let Some(write) = self.plan.script.writes.get(index) else {
                return self.finish_script(client, now);
            };
            let (_, rest) = write.bytes.split_at(client.sent);
            match client.stream.write(rest) {
                Ok(length) => {
                    client.sent += length;
                    self.record(client.number, &Event::Sent(rest.split_at(length).0))?;
                    if length == rest.len() {
                        client.sent = 0;
                        client.state = self.next_write(index + 1, now);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.end(client, &Event::Failed(error)),
            }
        }
        Ok(())
    }

    fn finish_script(&mut self, client: &mut Client, now: Instant) -> io::Result<()> {
        client.state = State::Done { since: now };
        if self.plan.reset {
            client.stream.reset_when_closed()?;
            return self.end(client, &Event::Reset);
        }
        if self.plan.half_close && client.stream.close_our_direction().is_ok() {
            let sent = client.stream.end_marks().sent;
            self.record(client.number, &Event::HalfClosed(sent))?;
        }
        Ok(())
    }

    /// Receives until nothing waits, or as much as the rate allows.
    fn receive(&mut self, client: &mut Client, now: Instant) -> io::Result<()> {
        while client.state != State::Ended && client.read_at <= now {
            let length = match self.plan.read_rate {
                None => BUFFER,
                Some(rate) => (rate / READS_PER_SECOND).clamp(1, BUFFER),
            };
            let mut buffer = std::mem::take(&mut self.buffer);
            let done = match client.stream.read(buffer.split_at_mut(length).0) {
                Ok(0) => {
                    let received = client.stream.end_marks().received;
                    self.end(client, &Event::ClosedByServer(received))
                }
                Ok(length) => {
                    if let Some(rate) = self.plan.read_rate {
                        client.read_at = now + Duration::from_secs_f64(length as f64 / rate as f64);
                    }
                    client.latest = now;
                    self.transcript.totals.answered += usize::from(!client.is_answered);
                    client.is_answered = true;
                    self.record(client.number, &Event::Received(buffer.split_at(length).0))
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.buffer = buffer;
                    return Ok(());
                }
                Err(error) => self.end(client, &Event::Failed(error)),
            };
            self.buffer = buffer;
            done?;
        }
        Ok(())
    }

    fn end(&mut self, client: &mut Client, event: &Event<'_>) -> io::Result<()> {
        client.state = State::Ended;
        self.record(client.number, event)
    }

    fn record(&mut self, number: usize, event: &Event<'_>) -> io::Result<()> {
        let time = Now::read().instant - self.start;
        self.transcript.record(number, time, event)
    }
}
