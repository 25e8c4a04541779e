//! Room `bench`: one connection of the generator.

use super::parser::Reader;
use super::recorder::Request;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is none, for it was not begun yet, or has ended.
    Apart,
    /// connect(2) is on its way.
    Connecting,
    /// It stands.
    Open,
}

/// A connection, again and again.
pub struct Line {
    /// Which group, by its place in the load.
    pub group: usize,
    /// Which of the group's connections.
    pub number: usize,
    /// Where it is.
    pub state: State,
    /// Where answers are read.
    pub reader: Reader,
    /// Requests that were sent and have no answer yet.
    pub owed: VecDeque<Request>,
    /// Bytes that the socket has not taken yet.
    pub unsent: Vec<u8>,
    /// Which page is asked for next.
    pub page: usize,
    /// Attempts that have failed since the last that did not.
    pub failures: u32,
    /// When the present connection was begun, or the pause after it.
    pub begun: u64,
    /// Whether the request on its way ends with a reset.
    pub resets: bool,
    /// Whether the present connection has had an answer.
    pub has_answered: bool,
    /// Whether it stands among those that have nothing to do.
    pub is_free: bool,
    stream: Option<TcpStream>,
}

/// What reading has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// So many bytes.
    Bytes(usize),
    /// Nothing is there now.
    Nothing,
    /// The end of the stream.
    End,
    /// A reset, or another error that ends it.
    Failed,
}

impl Line {
    /// One that is not connected.
    pub fn new(group: usize, number: usize) -> Self {
        Self {
            group,
            number,
            state: State::Apart,
            reader: Reader::default(),
            owed: VecDeque::new(),
            unsent: Vec::new(),
            page: number,
            failures: 0,
            begun: 0,
            resets: false,
            has_answered: false,
            is_free: false,
            stream: None,
        }
    }

    /// Whether it stands.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether it is being made, or an answer is owed on it.
    pub fn is_under_way(&self) -> bool {
        self.state == State::Connecting || !self.owed.is_empty()
    }

    /// Begins to connect. `buffer` is its receive buffer, if that is to be small.
    ///
    /// # Errors
    /// Those of socket(2), bind(2) and connect(2).
    pub fn connect(
        &mut self,
        registry: &Registry,
        token: Token,
        target: SocketAddr,
        source: Option<Ipv4Addr>,
        buffer: Option<usize>,
    ) -> io::Result<()> {
        let socket = Socket::new(
            Domain::for_address(target),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(buffer) = buffer {
            socket.set_recv_buffer_size(buffer)?;
        }
        if let Some(source) = source {
            socket.bind(&SocketAddr::from((source, 0)).into())?;
        }
        match socket.connect(&target.into()) {
            Ok(()) => {}
            Err(error) if is_under_way(&error) => {}
            Err(error) => return Err(error),
        }
        let mut stream = TcpStream::from_std(socket.into());
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.stream = Some(stream);
        self.state = State::Connecting;
        Ok(())
    }

    /// Whether connect(2) has come to an end: `None` if not yet.
    ///
    /// # Errors
    /// The connection was refused, or whatever else connect(2) says.
    pub fn is_connected(&self) -> io::Result<Option<()>> {
        let Some(stream) = &self.stream else {
            return Ok(None);
        };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            // Whoever asks a port that nobody listens on may be given that port, and meet himself.
            Ok(peer) if stream.local_addr()? == peer => Err(io::ErrorKind::AddrInUse.into()),
            Ok(_) => Ok(Some(())),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ends the connection, and forgets what was on its way.
    pub fn close(&mut self) {
        self.stream = None;
        self.state = State::Apart;
        self.reader = Reader::default();
        self.owed.clear();
        self.unsent.clear();
        self.has_answered = false;
    }

    /// Ends it with a reset (SO_LINGER of 0, socket(7)).
    pub fn reset(&mut self) {
        if let Some(stream) = &self.stream {
            // Where that fails it is an end like another, and the server's count says so.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
        self.close();
    }

    /// Receives at most `buffer`.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Got {
        let Some(stream) = &mut self.stream else {
            return Got::Nothing;
        };
        loop {
            return match stream.read(buffer) {
                Ok(0) => Got::End,
                Ok(length) => Got::Bytes(length),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock => Got::Nothing,
                    _ => Got::Failed,
                },
            };
        }
    }

    /// Sends what is unsent, as far as the socket takes it. Whether it failed shows when reading.
    pub fn flush(&mut self) {
        let Some(stream) = &mut self.stream else {
            return;
        };
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

fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

/// One of sixteen addresses beside `source`, so that no one of them runs out of ports: each that
/// a client has closed is not to be had for a minute (TIME-WAIT).
pub fn beside(source: Ipv4Addr, turn: u64) -> Ipv4Addr {
    let [first, second, third, last] = source.octets();
    let turn = u8::try_from(turn % 16).unwrap_or(0);
    Ipv4Addr::new(first, second.wrapping_add(turn), third, last)
}

/// Whether a source may be used for a target.
pub fn are_both_loopback(source: Ipv4Addr, target: IpAddr) -> bool {
    source.is_loopback() && target.is_loopback() && target.is_ipv4()
}
