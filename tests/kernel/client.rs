//! HTTP clients on blocking sockets.

use crate::process::{Server, TIME_LIMIT};
use rustix::net::sockopt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status line and fields, without the empty line.
    pub head: String,
    /// As many bytes as Content-Length says.
    pub body: Vec<u8>,
}

impl Response {
    /// The number in the status line.
    pub fn status(&self) -> u16 {
        let code = self.head.split(' ').nth(1).unwrap_or_default();
        code.parse().expect(&self.head)
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// The value of a field in a head.
pub fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields
        .find(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// A request for `path` with keep-alive.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// One connection.
#[derive(Debug)]
pub struct Client<S = TcpStream> {
    reader: BufReader<S>,
}

impl Client {
    /// Connects to the server.
    #[track_caller]
    pub fn of(server: &Server) -> Self {
        Self::to(server.address())
    }

    /// Connects to an address.
    #[track_caller]
    pub fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TIME_LIMIT)).unwrap();
        stream.set_write_timeout(Some(TIME_LIMIT)).unwrap();
        // A small buffer: all but a KiB of what a test does not read stays in the kernel.
        Self::over(stream)
    }

    /// Connects and sends `bytes`.
    #[track_caller]
    pub fn with_request(server: &Server, bytes: impl AsRef<[u8]>) -> Self {
        let mut client = Self::of(server);
        client.send(bytes);
        client
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Shuts down the sending direction (FIN).
    pub fn finish_sending(&self) {
        self.socket().shutdown(Shutdown::Write).unwrap();
    }

    /// Closes with a reset.
    pub fn reset(self) {
        sockopt::set_socket_linger(self.socket(), Some(Duration::ZERO)).unwrap();
    }

    /// Whether nothing was received so far, not even the end of the stream. It waits only 100 ms,
    /// so it may miss what a slow server sends.
    pub fn has_received_nothing(&self) -> bool {
        let moment = Duration::from_millis(100);
        self.socket().set_read_timeout(Some(moment)).unwrap();
        let peeked = self.socket().peek(&mut [0]);
        self.socket().set_read_timeout(Some(TIME_LIMIT)).unwrap();
        matches!(peeked, Err(error) if is_timeout(&error))
    }
}

impl Client<UnixStream> {
    /// Connects to a unix socket.
    #[track_caller]
    pub fn at(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(TIME_LIMIT)).unwrap();
        Self::over(stream)
    }
}

impl<S: Read + Write> Client<S> {
    /// On a stream that is connected.
    pub fn over(stream: S) -> Self {
        Self {
            reader: BufReader::with_capacity(1024, stream),
        }
    }

    /// The stream.
    pub fn stream(&mut self) -> &mut S {
        self.reader.get_mut()
    }

    /// Sends all of `bytes`.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.reader.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends as many of `bytes` as the server receives.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<usize> {
        self.reader.get_mut().write(bytes.as_ref())
    }

    /// Sends a request for `path` and reads the response.
    #[track_caller]
    pub fn fetch(&mut self, path: &str) -> Response {
        self.send(get(path));
        self.read_response()
    }

    /// Reads the next response.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        let head = self.read_head();
        let length = field(&head, "Content-Length").expect(&head);
        let mut body = vec![0; length.parse().unwrap()];
        self.reader.read_exact(&mut body).unwrap();
        Response { head, body }
    }

    /// Reads the head of the next response.
    #[track_caller]
    pub fn read_head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match self.reader.read_line(&mut head).unwrap() {
                0 => panic!("the connection ended in a head: {head:?}"),
                _ => continue,
            }
        }
        head.truncate(head.len() - 4);
        head
    }

    /// Reads up to `buf.len()` bytes of a body, at least one.
    pub fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buf)
    }

    /// Reads to the end. Returns the bytes and how the connection ended.
    #[track_caller]
    pub fn read_to_end(&mut self) -> (Vec<u8>, StreamEnd) {
        let mut bytes = Vec::new();
        let end = match self.reader.read_to_end(&mut bytes) {
            Ok(_) => StreamEnd::Closed,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => StreamEnd::Reset,
            Err(error) => panic!("after {} bytes: {error}", bytes.len()),
        };
        (bytes, end)
    }

    /// Asserts that the server closes without another byte.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let (bytes, end) = self.read_to_end();
        assert_eq!(String::from_utf8_lossy(&bytes), "");
        assert_eq!(end, StreamEnd::Closed);
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// FIN.
    Closed,
    /// RST.
    Reset,
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
