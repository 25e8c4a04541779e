//! A connection of the load generator, and what the connections of a client group share.

use super::parser::{Parser, Response};
use super::recorder::{Recorder, Request, Schedule};
use super::tls;
use crate::bench::types::{Behavior, Closer, Group, Load, Page, Target};
use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not connected.
    Closed,
    /// connect(2) is in progress.
    Connecting,
    /// Connected.
    Open,
}

/// A connection, which may be closed and made again.
pub struct Connection {
    /// The index of its group.
    pub group: usize,
    /// Its number in the group.
    pub number: usize,
    pub state: State,
    /// Parses the responses.
    pub parser: Parser,
    /// The request without a complete response.
    pub outstanding: Option<Request>,
    /// Bytes that the socket has not taken yet.
    pub unsent: Vec<u8>,
    /// The number of the next request.
    pub next: usize,
    /// Failed attempts since the last successful one.
    pub failures: u32,
    /// When the current connection, or the pause after it, started. A timer with another value
    /// belongs to an earlier connection.
    pub started: u64,
    /// Whether the current connection has had a response.
    pub has_response: bool,
    /// Whether it is in the list of idle connections.
    pub is_idle: bool,
    /// Why the connection failed, if that is known.
    pub problem: Option<String>,
    stream: Option<Stream>,
    tls: Option<tls::Session>,
}

/// A socket.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// This many bytes.
    Bytes(usize),
    /// There is nothing to read now.
    WouldBlock,
    /// The end of the stream.
    End,
    /// A reset, or another error.
    Failed,
}

impl Connection {
    /// One that is not connected.
    pub fn new(group: usize, number: usize) -> Self {
        Self {
            group,
            number,
            state: State::Closed,
            parser: Parser::default(),
            outstanding: None,
            unsent: Vec::new(),
            next: number,
            failures: 0,
            started: 0,
            has_response: false,
            is_idle: false,
            problem: None,
            stream: None,
            tls: None,
        }
    }

    /// Whether it is connected.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether it is connecting, or a response is outstanding.
    pub fn is_busy(&self) -> bool {
        self.state == State::Connecting || self.outstanding.is_some()
    }

    /// Whether it is encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Starts to connect. `buffer` is the size of the receive buffer, if not the default.
    pub fn connect(
        &mut self,
        (registry, token): (&Registry, Token),
        target: &Target,
        source: Option<Ipv4Addr>,
        buffer: Option<usize>,
        tls: Option<&tls::Config>,
    ) -> io::Result<()> {
        let mut stream = match target {
            Target::Tcp(address) => Stream::Tcp(connect(*address, source, buffer)?),
            Target::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        };
        let source: &mut dyn Source = match &mut stream {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => stream,
        };
        source.register(registry, token, Interest::READABLE | Interest::WRITABLE)?;
        self.tls = tls.map(tls::Session::new).transpose()?;
        self.stream = Some(stream);
        self.state = State::Connecting;
        Ok(())
    }

    /// `None` while connect(2) is in progress.
    pub fn is_connected(&self) -> io::Result<Option<()>> {
        let stream = match &self.stream {
            Some(Stream::Tcp(stream)) => stream,
            // A Unix socket connects at once, or fails.
            Some(Stream::Unix(_)) => return Ok(Some(())),
            None => return Ok(None),
        };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            // Without a listener the socket may get this port itself and connect to itself (a
            // simultaneous open, RFC 9293, section 3.5).
            Ok(peer) if stream.local_addr()? == peer => Err(io::ErrorKind::AddrInUse.into()),
            Ok(_) => Ok(Some(())),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Closes the connection, and discards an outstanding request.
    pub fn close(&mut self) {
        (self.stream, self.tls) = (None, None);
        self.state = State::Closed;
        self.parser = Parser::default();
        self.outstanding = None;
        self.unsent.clear();
        self.has_response = false;
    }

    /// Reads once.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Received {
        let Some(stream) = &mut self.stream else {
            return Received::WouldBlock;
        };
        loop {
            let read = match &mut self.tls {
                Some(tls) => tls.read(buffer, stream),
                None => stream.read(buffer),
            };
            return match read {
                Ok(0) => Received::End,
                Ok(length) => Received::Bytes(length),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock => Received::WouldBlock,
                    io::ErrorKind::Other => {
                        self.problem = Some(format!("TLS: {error}"));
                        Received::Failed
                    }
                    _ => Received::Failed,
                },
            };
        }
    }

    /// Sends as much as the socket takes. The next read reports an error.
    pub fn flush(&mut self) {
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
                Ok(length) if length == self.unsent.len() => self.unsent.clear(),
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.unsent.clear(),
            }
        }
    }
}

fn connect(
    target: SocketAddr,
    source: Option<Ipv4Addr>,
    buffer: Option<usize>,
) -> io::Result<TcpStream> {
    let domain = Domain::for_address(target);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(buffer) = buffer {
        socket.set_recv_buffer_size(buffer)?;
    }
    if let Some(source) = source {
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    match socket.connect(&target.into()) {
        Err(error) if !is_in_progress(&error) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

/// One of sixteen loopback addresses, chosen by the number of the connection, so that none runs
/// out of ports: a port that the client closed is in TIME_WAIT for a minute.
pub fn rotated(source: Ipv4Addr, number: u64) -> Ipv4Addr {
    let [first, second, third, last] = source.octets();
    let offset = u8::try_from(number % 16).unwrap_or(0);
    Ipv4Addr::new(first, second.wrapping_add(offset), third, last)
}

/// The bytes of one body in this many are compared.
const CHECK_INTERVAL: u64 = 64;
/// Bodies up to this length are all compared: it costs less than receiving them.
const ALWAYS_CHECKED: u64 = 64;

/// What the connections of a client group share.
pub struct ClientGroup {
    /// What its connections do.
    pub behavior: Behavior,
    /// Its statistics.
    pub recorder: Recorder,
    /// When requests are due, in an open loop.
    pub schedule: Option<Schedule>,
    /// When the schedule started, ns since the generator's start.
    pub origin: u64,
    /// When the next request is due, ns since the generator's start.
    pub next_due: u64,
    /// Due times of the requests that wait for an idle connection.
    pub waiting: VecDeque<u64>,
    /// Idle connections.
    pub idle: VecDeque<usize>,
    /// The pages, and the bytes of their requests.
    pages: Vec<(Page, Vec<u8>)>,
    responses: u64,
}

impl ClientGroup {
    /// A group of a load.
    pub fn new(group: &Group, load: &Load, seed: u64) -> Self {
        let schedule = match group.behavior {
            Behavior::Open { rate, arrivals, .. } => Some(Schedule::new(rate, arrivals, seed)),
            _ => None,
        };
        let mut fields = match (&load.http, load.target.address()) {
            (Some(http), _) => format!("Host: {}\r\n", http.host),
            (None, Some(address)) => format!("Host: {address}\r\n"),
            (None, None) => "Host:\r\n".to_owned(),
        };
        if matches!(group.behavior, Behavior::Short { closer } if closer == Closer::Server) {
            fields.push_str("Connection: close\r\n");
        }
        for field in load.http.iter().flat_map(|http| &http.headers) {
            fields.push_str(field);
            fields.push_str("\r\n");
        }
        let request = |page: &Page| {
            let request = format!("GET {} HTTP/1.1\r\n{fields}\r\n", page.path);
            (page.clone(), request.into_bytes())
        };
        Self {
            behavior: group.behavior,
            recorder: Recorder::new(&group.name, group.connections, schedule.is_some()),
            schedule,
            origin: 0,
            next_due: u64::MAX,
            waiting: VecDeque::new(),
            idle: VecDeque::new(),
            pages: group.pages.iter().map(request).collect(),
            responses: 0,
        }
    }

    /// The index of the page of request number `number`: they are requested in a cycle.
    fn index_of(&self, number: usize) -> usize {
        number.checked_rem(self.pages.len()).unwrap_or(0)
    }

    /// The bytes of request number `number`.
    pub fn request(&self, number: usize) -> Option<&[u8]> {
        let (_, request) = self.pages.get(self.index_of(number))?;
        Some(request)
    }

    /// Whether the bytes of the next body, the response to request number `number`, are compared.
    pub fn checks_next_body(&mut self, number: usize) -> bool {
        self.responses += 1;
        let page = self.pages.get(self.index_of(number)).map(|(page, _)| page);
        // Hashing a body with nothing to compare it with would only delay the others.
        let Some(page) = page.filter(|page| page.hash.is_some()) else {
            return false;
        };
        self.responses % CHECK_INTERVAL == 1
            || page.length.is_some_and(|length| length <= ALWAYS_CHECKED)
    }

    /// Records a response on the connection with this number.
    pub fn on_response(
        &mut self,
        connection: usize,
        request: &Request,
        response: Response,
        now: u64,
    ) {
        if let Some((page, _)) = self.pages.get(self.index_of(request.number)) {
            self.recorder
                .response(connection, request, response, page, now);
        }
    }

    /// Whether each request has a connection of its own.
    pub fn is_short(&self) -> bool {
        matches!(self.behavior, Behavior::Short { .. })
    }

    /// The size of the receive buffer, if it is not the default.
    pub fn receive_buffer(&self) -> Option<usize> {
        match self.behavior {
            Behavior::SlowRead { buffer, .. } => usize::try_from(buffer).ok(),
            _ => None,
        }
    }
}
