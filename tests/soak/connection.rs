//! The client side of a connection: a blocking socket that compares what it receives with the
//! expected bytes.

use crate::exchanges::Response;
use rustix::net::sockopt::set_socket_linger;
use socket2::{Domain, Socket, Type};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use crate::random::Random;

/// How long a socket waits for anything. Nothing takes that long.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// The most that is received at once.
pub const PIECE: usize = 256 * 1024;

/// A result whose error is a sentence.
pub type Checked<T = ()> = Result<T, String>;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// When it was opened.
    pub opened: Instant,
    /// Bytes received so far.
    pub received: u64,
    /// The buffer of received bytes.
    buffer: Vec<u8>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// FIN.
    Closed,
    /// RST.
    Reset,
    /// Not at all: nothing was received for [`TIMEOUT`].
    Silent,
}

/// Why a response is wrong.
#[derive(Debug)]
pub enum Fault {
    /// It ended too early.
    Ended(Ending, u64),
    /// It differs.
    Other(String),
}

impl Connection {
    /// Connects from a random address: one pair of addresses has 28,000 ports, and a closed
    /// connection keeps its port for a minute.
    pub fn open(to: SocketAddr, random: &mut Random) -> Checked<Self> {
        Self::with_buffer(to, random, None)
    }

    /// Connects with a receive buffer of this size.
    pub fn narrow(to: SocketAddr, random: &mut Random, buffer: usize) -> Checked<Self> {
        Self::with_buffer(to, random, Some(buffer))
    }

    fn with_buffer(to: SocketAddr, random: &mut Random, buffer: Option<usize>) -> Checked<Self> {
        let mut part = |least, end| (least + random.below(end - least)) as u8;
        let from = Ipv4Addr::new(127, part(1, 200), part(0, 256), part(1, 255));
        let opened = Instant::now();
        let connect = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            if let Some(size) = buffer {
                // It affects the window only before the connection is established.
                socket.set_recv_buffer_size(size)?;
            }
            socket.bind(&SocketAddr::from((from, 0)).into())?;
            socket.connect(&to.into())?;
            let stream = TcpStream::from(socket);
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            Ok(stream)
        };
        let stream = connect().map_err(|error: std::io::Error| format!("connect: {error}"))?;
        Ok(Self {
            stream,
            opened,
            received: 0,
            buffer: Vec::new(),
        })
    }

    /// Sends all bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Checked {
        let sent = self.stream.write_all(bytes);
        sent.map_err(|error| format!("sending {} bytes: {error}", bytes.len()))
    }

    /// Shuts down the sending side (FIN).
    pub fn half_close(&self) -> Checked {
        let shut = self.stream.shutdown(Shutdown::Write);
        shut.map_err(|error| format!("shutdown: {error}"))
    }

    /// Closes with a reset.
    pub fn reset(self) {
        // Fails if the socket is closed already.
        let _ = set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    /// Receives up to `most` bytes, at least one.
    pub fn receive(&mut self, most: usize) -> Result<&[u8], Ending> {
        let most = most.min(PIECE);
        if self.buffer.len() < most {
            self.buffer = vec![0; most];
        }
        loop {
            let length = match self.stream.read(&mut self.buffer[..most]) {
                Ok(0) => return Err(Ending::Closed),
                Ok(length) => length,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => continue,
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(Ending::Silent),
                    _ => return Err(Ending::Reset),
                },
            };
            self.received += length as u64;
            return Ok(&self.buffer[..length]);
        }
    }

    /// Receives `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        let mut taken = Vec::with_capacity(length);
        while taken.len() < length {
            match self.receive(length - taken.len()) {
                Ok(bytes) => taken.extend_from_slice(bytes),
                Err(ending) => {
                    let text = taken.escape_ascii();
                    return match taken.is_empty() {
                        true => Err(Fault::Ended(ending, self.received)),
                        false => Err(Fault::Other(format!("{ending:?} after: {text}"))),
                    };
                }
            }
        }
        Ok(taken)
    }

    /// Receives the head of a response, with its empty line.
    pub fn head(&mut self) -> Result<String, Fault> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            // Byte by byte: what follows the head stays in the socket.
            let received = self.received;
            let byte = self.receive(1);
            head.extend_from_slice(byte.map_err(|ending| Fault::Ended(ending, received))?);
            if head.len() > 8192 {
                return Err(Fault::Other(format!("no head: {}", head.escape_ascii())));
            }
        }
        let wrong = |_| Fault::Other("a head that is not ASCII".into());
        String::from_utf8(head).map_err(wrong)
    }

    /// Receives exactly this response.
    pub fn expect_response(&mut self, response: &Response) -> Result<(), Fault> {
        self.expect_head(response)?;
        self.expect_body(response.body(), PIECE, |_| {})
    }

    /// Receives the head of exactly this response.
    pub fn expect_head(&mut self, response: &Response) -> Result<(), Fault> {
        let head = self.take(response.head.len())?;
        self.check_head(&head, response).map_err(Fault::Other)
    }

    /// Compares a head; its date must not be before this connection.
    pub fn check_head(&self, head: &[u8], response: &Response) -> Checked {
        let mut dated = response.head.clone();
        let date = head.get(response.date.clone()).unwrap_or(b"no date");
        dated.splice(response.date.clone(), date.iter().copied());
        if head != dated {
            let (received, expected) = (head.escape_ascii(), response.head.escape_ascii());
            return Err(format!("received {received}\nexpected {expected}"));
        }
        let text = String::from_utf8_lossy(date);
        let time = httpdate::parse_http_date(&text).map_err(|error| format!("{text}: {error}"))?;
        let (now, second) = (SystemTime::now(), Duration::from_secs(1));
        let is_plausible = time <= now + second && time + self.opened.elapsed() + 2 * second >= now;
        is_plausible
            .then_some(())
            .ok_or_else(|| format!("Date: {text}, at {now:?}"))
    }

    /// Receives exactly these bytes in pieces of `piece` bytes, and calls `between` with the length
    /// of each.
    pub fn expect_body(
        &mut self,
        body: &[u8],
        piece: usize,
        mut between: impl FnMut(usize),
    ) -> Result<(), Fault> {
        let mut offset = 0;
        while offset < body.len() {
            let most = piece.min(body.len() - offset);
            let received = self.received;
            let bytes = match self.receive(most) {
                Ok(bytes) => bytes,
                Err(ending) => return Err(Fault::Ended(ending, received)),
            };
            let expected = &body[offset..offset + bytes.len()];
            if bytes != expected {
                return Err(Fault::Other(difference(bytes, expected, offset)));
            }
            let length = bytes.len();
            offset += length;
            between(length);
        }
        Ok(())
    }

    /// Whether nothing, not even an end, is received for `time`.
    pub fn is_silent_for(&self, time: Duration) -> Checked<bool> {
        let peek = || {
            self.stream.set_read_timeout(Some(time))?;
            let peeked = self.stream.peek(&mut [0]);
            self.stream.set_read_timeout(Some(TIMEOUT))?;
            match peeked {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock) => Ok(true),
                peeked => peeked.map(|_| false),
            }
        };
        peek().map_err(|error: std::io::Error| format!("peek: {error}"))
    }

    /// Checks that the server closes and sends nothing before.
    pub fn expect_end(&mut self) -> Checked {
        match self.receive(1024) {
            Err(Ending::Closed) => Ok(()),
            Err(ending) => Err(format!("{ending:?} where a close was expected")),
            Ok(more) => Err(format!("bytes after the response: {}", more.escape_ascii())),
        }
    }
}

/// Where two ranges of a body differ.
pub fn difference(bytes: &[u8], expected: &[u8], offset: usize) -> String {
    let pairs = bytes.iter().zip(expected);
    let at = pairs.take_while(|(a, b)| a == b).count();
    let show = |bytes: &[u8]| {
        bytes[at..bytes.len().min(at + 64)]
            .escape_ascii()
            .to_string()
    };
    let (received, expected) = (show(bytes), show(expected));
    format!(
        "other bytes from {}: received {received}, expected {expected}",
        offset + at
    )
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(ending, after) => {
                write!(out, "{ending:?} after {after} bytes on this connection")
            }
            Self::Other(what) => out.write_str(what),
        }
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}
