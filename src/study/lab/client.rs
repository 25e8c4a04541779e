//! The client of a lab: a blocking socket, and sentences that say what came.

use crate::clock::Now;
use rustix::net::{SendFlags, send};
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a client waits for the next bytes. A server on a busy machine is silent for less.
pub const TIME_LIMIT: Duration = Duration::from_secs(4);
/// The receive buffer of a client that reads slowly.
const SMALL_BUFFER: usize = 4096;

/// A connection to the server.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Received and not yet looked at.
    received: Vec<u8>,
    /// How long to wait for the next bytes.
    pub time_limit: Duration,
}

/// Why no more bytes come.
#[derive(Debug)]
pub enum End {
    /// Nothing has come for so long.
    Silence(Duration),
    /// The server has closed its direction.
    Closed,
    /// The connection is broken.
    Broken(io::Error),
    /// What came is no response: the beginning of it.
    NoResponse(String),
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence(time) => write!(out, "nothing for {} s", time.as_secs()),
            Self::Closed => out.write_str("the connection is closed"),
            Self::Broken(error) => out.write_str(&broken(error)),
            Self::NoResponse(bytes) => write!(out, "bytes that begin no response: \"{bytes}\""),
        }
    }
}

/// What happened to the connection.
pub fn broken(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionReset => "the connection is reset".to_owned(),
        ErrorKind::BrokenPipe => "the connection is broken".to_owned(),
        _ => error.to_string(),
    }
}

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    /// The status code.
    pub status: String,
    /// Content-Length.
    pub length: u64,
    /// It says `Connection: close`.
    pub is_last: bool,
}

/// A response, as far as it came.
#[derive(Debug)]
pub struct Response {
    /// Its head.
    pub head: Head,
    /// Bytes of its body.
    pub body: u64,
    /// Why the rest of the body is missing.
    pub end: Option<End>,
}

impl fmt::Display for Response {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, length) = (&self.head.status, grouped(self.head.length));
        match &self.end {
            None => write!(out, "{status}, {length} bytes"),
            Some(end) => {
                let body = grouped(self.body);
                write!(out, "{status}, {body} of {length} bytes, then {end}")
            }
        }
    }
}

/// A number with a comma after each group of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A request without a body.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n")
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::with_receive_buffer(address, None)
    }

    /// Connects with a receive buffer so small that the server cannot send much ahead.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn slow(address: SocketAddr) -> io::Result<Self> {
        Self::with_receive_buffer(address, Some(SMALL_BUFFER))
    }

    fn with_receive_buffer(address: SocketAddr, bytes: Option<usize>) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if let Some(bytes) = bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.set_tcp_nodelay(true)?;
        socket.connect(&address.into())?;
        Ok(Self {
            stream: socket.into(),
            received: Vec::new(),
            time_limit: TIME_LIMIT,
        })
    }

    /// Sends all of this.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a byte of urgent data (tcp(7)).
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send_urgent(&self, byte: u8) -> io::Result<()> {
        send(&self.stream, &[byte], SendFlags::OOB)?;
        Ok(())
    }

    /// Closes our direction.
    ///
    /// # Errors
    /// Those of shutdown(2).
    pub fn finish(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Whether something has come, or comes within this time: bytes, or the end.
    pub fn receives_within(&mut self, time: Duration) -> bool {
        if !self.received.is_empty() {
            return true;
        }
        let time_limit = std::mem::replace(&mut self.time_limit, time);
        let received = self.receive();
        self.time_limit = time_limit;
        !matches!(received, Err(End::Silence(_)))
    }

    /// Receives once.
    fn receive(&mut self) -> Result<(), End> {
        let mut buffer = [0; 64 * 1024];
        let _ = self.stream.set_read_timeout(Some(self.time_limit));
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(End::Closed),
            Ok(length) => {
                let (bytes, _) = buffer.split_at(length);
                self.received.extend_from_slice(bytes);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(End::Silence(self.time_limit))
            }
            Err(error) => Err(End::Broken(error)),
        }
    }

    /// Receives the head of a response.
    ///
    /// # Errors
    /// Why there is none.
    pub fn head(&mut self) -> Result<Head, End> {
        const BEGIN: &[u8] = b"HTTP/1.1 ";
        let length = loop {
            let known = self.received.len().min(BEGIN.len());
            if self.received.get(..known) != BEGIN.get(..known) {
                let begin = self.received.get(..self.received.len().min(10));
                let begin = begin.unwrap_or_default().escape_ascii().to_string();
                return Err(End::NoResponse(begin));
            }
            let end = self.received.windows(4).position(|end| end == b"\r\n\r\n");
            match end {
                Some(at) => break at + 4,
                None => self.receive()?,
            }
        };
        let head: Vec<u8> = self.received.drain(..length).collect();
        let head = String::from_utf8_lossy(&head);
        let field = |name: &str| {
            head.lines().find_map(|line| {
                let (found, value) = line.split_once(": ")?;
                found.eq_ignore_ascii_case(name).then_some(value)
            })
        };
        let status = head.split(' ').nth(1).unwrap_or_default();
        Ok(Head {
            status: status.to_owned(),
            length: field("Content-Length").map_or(0, |length| length.parse().unwrap_or(0)),
            is_last: field("Connection") == Some("close"),
        })
    }

    /// Receives a response.
    ///
    /// # Errors
    /// Why there is none.
    pub fn response(&mut self) -> Result<Response, End> {
        let head = self.head()?;
        let mut body = 0;
        let end = loop {
            let missing = usize::try_from(head.length - body).unwrap_or(usize::MAX);
            let taken = self.received.len().min(missing);
            self.received.drain(..taken);
            body += taken as u64;
            if body == head.length {
                break None;
            }
            if let Err(end) = self.receive() {
                break Some(end);
            }
        };
        Ok(Response { head, body, end })
    }

    /// Sends a request for `path` and says what came.
    pub fn asks_for(&mut self, path: &str) -> String {
        match self.send(get(path)) {
            Ok(()) => self.describe_response(),
            Err(error) => broken(&error),
        }
    }

    /// Receives a response and describes it.
    pub fn describe_response(&mut self) -> String {
        match self.response() {
            Ok(response) => response.to_string(),
            Err(end) => end.to_string(),
        }
    }

    /// Receives `count` responses and describes how many arrived.
    pub fn describe_responses(&mut self, count: usize) -> String {
        for received in 0..count {
            let end = match self.response() {
                Ok(Response { end: None, .. }) => continue,
                Ok(Response { end: Some(end), .. }) | Err(end) => end,
            };
            return format!("{received} of {count} are answered, then {end}");
        }
        format!("{count} of {count} are answered")
    }

    /// Receives until no more comes. Returns the last bytes, and why it ended.
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        const KEPT: usize = 64 * 1024;
        loop {
            let surplus = self.received.len().saturating_sub(KEPT);
            self.received.drain(..surplus);
            if let Err(end) = self.receive() {
                return (std::mem::take(&mut self.received), end);
            }
        }
    }

    /// Receives at most `max_bytes` bytes; fewer, with the reason, if no more come.
    pub fn some(&mut self, max_bytes: u64) -> (Vec<u8>, Option<End>) {
        let end = match self.received.is_empty() {
            true => self.receive().err(),
            false => None,
        };
        let length = self
            .received
            .len()
            .min(usize::try_from(max_bytes).unwrap_or(usize::MAX));
        (self.received.drain(..length).collect(), end)
    }
}

/// Of `clients` that have each sent a request, says how many are answered within [`TIME_LIMIT`].
pub fn answered(clients: &mut [Client]) -> String {
    let start = Now::read().instant;
    let count = clients.len();
    let answered = clients.iter_mut().filter_map(|client| {
        let spent = Now::read().instant - start;
        client.time_limit = TIME_LIMIT
            .saturating_sub(spent)
            .max(Duration::from_millis(20));
        client.response().ok()
    });
    format!("{} of {count} are answered", answered.count())
}
