//! A connection of the load generator: what it does on an event or a timer.

use super::group::ClientGroup;
use super::parser::Parser;
use super::recorder::Request;
use super::{Phase, Shared, tls};
use crate::bench::platform;
use crate::bench::types::{Behavior, Fault, Target};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Token};
use rustix::io::Errno;
use socket2::{SockAddr, SockRef, Socket, Type};
use std::cmp::Reverse;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

/// The longest pause before a new attempt to connect, ns; the first is a 512th of it.
const MAX_BACKOFF: u64 = 512_000_000;
/// Attempts in the connect phase; a connection that failed this often is tried again in the
/// warm-up.
const CONNECT_ATTEMPTS: u32 = 4;
/// Time between two portions of a slow reader, ns.
const PORTION_INTERVAL: u64 = 20_000_000;
/// The longest portion, bytes: reading it takes some 10 us.
const MAX_PORTION: f64 = 65_536.0;
/// The time after which no read of a connection follows another in a turn of the event loop, ns: a
/// server that sends faster than this program parses must not keep it from its other work.
const MAX_READ_TIME: u64 = 1_000_000;

/// A connection, which may be closed and made again.
pub struct Connection {
    /// Its index in the event loop.
    index: usize,
    /// The index of its group.
    pub group: usize,
    /// Its number in the group.
    number: usize,
    /// A stream socket of any family, until it is closed: mio sends and receives only.
    stream: Option<TcpStream>,
    tls: Option<tls::Session>,
    /// Whether connect(2) is complete.
    pub is_open: bool,
    /// Parses the responses.
    parser: Parser,
    /// The request without a complete response.
    pub outstanding: Option<Request>,
    /// Bytes that the socket has not taken yet.
    unsent: Vec<u8>,
    /// Failed attempts since the last successful one.
    failures: u32,
    /// When the current connection, or the pause after it, started. A timer with another value
    /// belongs to an earlier connection.
    pub started: u64,
    /// Whether the current connection has had a response.
    has_response: bool,
    /// Whether it is in the list of idle connections.
    is_idle: bool,
    /// Whether a timer of the current connection, or of the pause after it, is set.
    has_timer: bool,
}

impl Connection {
    /// One that is not connected.
    pub fn new(index: usize, group: usize, number: usize) -> Self {
        Self {
            index,
            group,
            number,
            stream: None,
            tls: None,
            is_open: false,
            parser: Parser::default(),
            outstanding: None,
            unsent: Vec::new(),
            failures: 0,
            started: 0,
            has_response: false,
            is_idle: false,
            has_timer: false,
        }
    }

    /// Whether a response is outstanding that the drain waits for, or the connection for it.
    pub fn is_awaited(&self, group: &ClientGroup) -> bool {
        match group.behavior {
            Behavior::SlowRead { .. } | Behavior::Silent => false,
            Behavior::Short if self.stream.is_some() && !self.is_open => true,
            _ => self.outstanding.is_some(),
        }
    }

    /// Takes it from the list of idle connections. Returns whether it can send a request.
    pub fn leave_idle(&mut self) -> bool {
        self.is_idle = false;
        // A closed connection returns to the list when it is connected again.
        self.is_open && self.outstanding.is_none()
    }

    /// Starts to connect.
    pub fn connect(&mut self, group: &mut ClientGroup, shared: &mut Shared) {
        shared.attempts += 1;
        self.started = shared.now;
        match self.start(group, shared) {
            Ok(()) => shared.connecting += 1,
            Err(error) => self.on_connect_error(group, shared, &error),
        }
    }

    fn start(&mut self, group: &ClientGroup, shared: &Shared) -> io::Result<()> {
        let address = match &shared.load.target {
            Target::Tcp(address) => SockAddr::from(*address),
            Target::Unix(path) => SockAddr::unix(path)?,
        };
        let socket = Socket::new(address.domain(), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        if !address.is_unix() {
            socket.set_tcp_nodelay(true)?;
        }
        if let Behavior::SlowRead { buffer, .. } = group.behavior {
            socket.set_recv_buffer_size(buffer as usize)?;
        }
        if let Some(source) = shared.load.source {
            socket.bind(&rotated(source, shared.attempts).into())?;
        }
        match socket.connect(&address) {
            Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => {
                return Err(error);
            }
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        let interest = Interest::READABLE | Interest::WRITABLE;
        shared
            .registry
            .register(&mut stream, Token(self.index), interest)?;
        self.tls = shared.tls.as_ref().map(tls::Session::new).transpose()?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Whether connect(2) is complete.
    fn is_connected(&self) -> io::Result<bool> {
        let Some(stream) = &self.stream else {
            return Ok(false);
        };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        let socket = SockRef::from(stream);
        match socket.peer_addr() {
            // Without a listener the socket may get this port itself and connect to itself (a
            // simultaneous open, RFC 9293, section 3.5).
            Ok(peer) if socket.local_addr()? == peer => Err(io::ErrorKind::AddrInUse.into()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Handles an event.
    pub fn on_event(&mut self, group: &mut ClientGroup, shared: &mut Shared, event: &Event) {
        if self.stream.is_some() && !self.is_open {
            let connected = self.is_connected();
            if matches!(connected, Ok(false)) {
                return;
            }
            shared.connecting -= 1;
            if let Err(error) = connected {
                return self.on_connect_error(group, shared, &error);
            }
            self.is_open = true;
            group.recorder.connected(shared.now);
            if !matches!(shared.phase, Phase::Connecting(_)) {
                self.begin(group, shared);
            }
        } else if event.is_writable() {
            self.flush();
        }
        let is_readable = event.is_readable() || event.is_read_closed() || event.is_error();
        let is_slow = matches!(group.behavior, Behavior::SlowRead { .. });
        if (is_readable || !platform::SHORT_READ_MEANS_EMPTY) && !is_slow {
            self.read(group, shared, event.is_read_closed());
        }
    }

    /// Handles a timer.
    pub fn on_timer(&mut self, group: &mut ClientGroup, shared: &mut Shared) {
        let is_draining = matches!(shared.phase, Phase::Draining(_));
        self.has_timer = false;
        if self.is_open {
            self.read(group, shared, true);
        } else if self.stream.is_none() && (!is_draining || !group.waiting.is_empty()) {
            self.connect(group, shared);
        }
    }

    /// Records a failed connect, and tries again after a pause.
    fn on_connect_error(
        &mut self,
        group: &mut ClientGroup,
        shared: &mut Shared,
        error: &io::Error,
    ) {
        shared.report(format!("connect: {error}"));
        self.fail(group, shared, Fault::Connect);
    }

    /// Closes the connection because of an error. Returns that it is no longer open.
    fn fail(&mut self, group: &mut ClientGroup, shared: &mut Shared, fault: Fault) -> bool {
        group.recorder.fault(fault);
        self.close(group, shared, true);
        false
    }

    /// Closes the connection, and makes a new one, except during the drain if no request waits for
    /// one. After failures it waits longer each time.
    fn close(&mut self, group: &ClientGroup, shared: &mut Shared, failed: bool) {
        (self.stream, self.tls, self.outstanding) = (None, None, None);
        (self.is_open, self.has_response, self.has_timer) = (false, false, false);
        self.parser = Parser::default();
        self.unsent.clear();
        self.failures = if failed { self.failures + 1 } else { 0 };
        // This also disarms the timers of the closed connection.
        self.started = shared.now;
        let reconnects = match shared.phase {
            Phase::Connecting(_) => self.failures < CONNECT_ATTEMPTS,
            Phase::WarmUp(_) | Phase::Measuring(_) => true,
            Phase::Draining(_) => !group.waiting.is_empty(),
        };
        if reconnects {
            let pause = match self.failures {
                0 => 0,
                failures => MAX_BACKOFF >> (10 - failures.min(10)),
            };
            self.set_timer(shared, shared.now + pause);
        }
    }

    fn set_timer(&mut self, shared: &mut Shared, at: u64) {
        self.has_timer = true;
        shared.timers.push(Reverse((at, self.index, self.started)));
    }

    /// Starts the behavior, if the connection is open, or makes a connection that is closed.
    pub fn begin(&mut self, group: &mut ClientGroup, shared: &mut Shared) {
        // Spread out: many reads at the same moment would delay all other connections.
        let spread = shared.random.u64(..=PORTION_INTERVAL);
        if self.stream.is_none() {
            return self.close(group, shared, false);
        }
        if !self.is_open {
            return;
        }
        match group.behavior {
            Behavior::Closed => self.send(group, shared.now, shared.now),
            Behavior::Open { .. } => self.on_idle(group, shared.now),
            Behavior::Short => self.send(group, self.started, shared.now),
            Behavior::Silent => {}
            Behavior::SlowRead { .. } => {
                self.send(group, shared.now, shared.now);
                self.set_timer(shared, shared.now + spread);
            }
        }
    }

    /// A connection of an open loop is idle: it sends a waiting request, if there is one.
    fn on_idle(&mut self, group: &mut ClientGroup, now: u64) {
        match group.waiting.pop_front() {
            Some(due) => self.send(group, due, now),
            None if self.is_idle => {}
            None => {
                self.is_idle = true;
                group.idle.push_back(self.index);
            }
        }
    }

    /// Sends a request.
    pub fn send(&mut self, group: &mut ClientGroup, due: u64, now: u64) {
        self.outstanding = Some(Request {
            due,
            sent: now,
            has_response: false,
        });
        group.recorder.totals().requests += 1;
        self.unsent.extend_from_slice(&group.request);
        self.flush();
    }

    /// Sends as much as the socket takes. The next read reports an error.
    fn flush(&mut self) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        if let Some(tls) = &mut self.tls {
            // The session keeps what the socket does not take.
            let _ = tls.write(&self.unsent, stream);
            return self.unsent.clear();
        }
        while !self.unsent.is_empty() {
            match stream.write(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.unsent.clear(),
            }
        }
    }

    /// Reads what there is, or a portion, and the rest in a later turn. `closed`: the event also
    /// reported the end of the stream.
    fn read(&mut self, group: &mut ClientGroup, shared: &mut Shared, closed: bool) {
        let begun = shared.now;
        let slow = match group.behavior {
            Behavior::SlowRead { rate, .. } => Some(portion(rate)),
            _ => None,
        };
        let (mut left, pause) = slow.unwrap_or((usize::MAX, MAX_READ_TIME));
        let mut buffer = std::mem::take(&mut shared.buffer);
        let mut has_more = true;
        while has_more && left > 0 && shared.now <= begun + MAX_READ_TIME {
            let most = left.min(buffer.len());
            let received = self.receive(buffer.get_mut(..most).unwrap_or_default());
            shared.read_clock();
            match received {
                Ok(length @ 1..) => {
                    left -= length;
                    let is_all = length < most && platform::SHORT_READ_MEANS_EMPTY;
                    let may_be_more = closed || !is_all || self.tls.is_some();
                    let bytes = buffer.get(..length).unwrap_or_default();
                    has_more = self.on_bytes(group, shared, bytes) && may_be_more;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => has_more = false,
                end => {
                    self.on_end(group, shared, end.err());
                    has_more = false;
                }
            }
        }
        shared.buffer = buffer;
        if self.is_open && (has_more || slow.is_some()) && !self.has_timer {
            self.set_timer(shared, begun + pause);
        }
    }

    /// Reads once.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match (&mut self.stream, &mut self.tls) {
            (Some(stream), Some(tls)) => tls.read(buffer, stream),
            (Some(stream), None) => stream.read(buffer),
            (None, _) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Handles received bytes. Returns whether the connection is still open.
    fn on_bytes(&mut self, group: &mut ClientGroup, shared: &mut Shared, mut bytes: &[u8]) -> bool {
        let Some(request) = &mut self.outstanding else {
            return self.fail(group, shared, Fault::Unsolicited);
        };
        if !std::mem::replace(&mut request.has_response, true) {
            self.parser.hashes_body = group.recorder.begin_response();
        }
        let request = *request;
        let before = self.parser.body_bytes;
        let fed = self.parser.feed(&mut bytes);
        group.recorder.totals().body_bytes += self.parser.body_bytes - before;
        for status in self.parser.interim.drain(..) {
            group.recorder.status(status, shared.now);
        }
        match fed {
            Err(_) => self.fail(group, shared, Fault::Malformed),
            Ok(None) => true,
            Ok(Some(response)) => {
                self.outstanding = None;
                group
                    .recorder
                    .response(self.number, request, response, shared.now);
                match bytes.is_empty() {
                    true => self.on_response(group, shared, response.closes),
                    false => self.fail(group, shared, Fault::Unsolicited),
                }
            }
        }
    }

    /// Continues after a complete response; `closes`: the server announced that it closes the
    /// connection. Returns whether it is still open.
    fn on_response(&mut self, group: &mut ClientGroup, shared: &mut Shared, closes: bool) -> bool {
        self.failures = 0;
        self.has_response = true;
        let is_draining = matches!(shared.phase, Phase::Draining(_));
        if closes || group.is_short() {
            self.close(group, shared, false);
            return false;
        }
        match group.behavior {
            Behavior::Open { .. } => self.on_idle(group, shared.now),
            Behavior::Closed | Behavior::SlowRead { .. } if !is_draining => {
                self.send(group, shared.now, shared.now);
            }
            _ => {}
        }
        true
    }

    /// Handles the end of the stream, or an error.
    fn on_end(&mut self, group: &mut ClientGroup, shared: &mut Shared, error: Option<io::Error>) {
        if let Some(error) = error
            .as_ref()
            .filter(|one| one.kind() == io::ErrorKind::Other)
        {
            shared.report(format!("TLS: {error}"));
        }
        let failed = error.is_some();
        if !failed && let Some(response) = self.parser.end() {
            let request = self.outstanding.take().unwrap_or_default();
            group
                .recorder
                .response(self.number, request, response, shared.now);
            self.has_response = true;
        }
        // The server may close an idle connection, but not a silent one, which is there to stay.
        let is_lost = failed && !group.is_short() || group.behavior == Behavior::Silent;
        let fault = match self.outstanding {
            None if !is_lost => None,
            _ if failed => Some(Fault::Reset),
            Some(request) if request.has_response => Some(Fault::Truncated),
            _ => Some(Fault::Closed),
        };
        if let Some(fault) = fault {
            group.recorder.fault(fault);
        }
        // A server that closes without a response is not reconnected to at once.
        self.close(group, shared, fault.is_some() || !self.has_response);
    }
}

/// One of sixteen loopback addresses, chosen by the number of the connection, so that none runs
/// out of ports: a port that the client closed is in TIME_WAIT for a minute.
fn rotated(source: Ipv4Addr, number: u64) -> SocketAddr {
    let [first, second, third, last] = source.octets();
    let offset = u8::try_from(number % 16).unwrap_or(0);
    let address = Ipv4Addr::new(first, second.wrapping_add(offset), third, last);
    SocketAddr::from((address, 0))
}

/// The length of a portion and the time until the next, for this many bytes per second.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rate is positive, and a float saturates"
)]
fn portion(rate: f64) -> (usize, u64) {
    let length = (rate * PORTION_INTERVAL as f64 / 1e9)
        .ceil()
        .clamp(1.0, MAX_PORTION);
    (length as usize, (length / rate * 1e9) as u64)
}
