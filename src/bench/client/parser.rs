//! Parses responses to GET requests. No I/O.
//!
//! The server may be any program, so all framings of RFC 9112, section 6.3, are supported:
//! Content-Length, chunked, and the end of the stream.

use crate::bench::types::{HASH_START, hash_on};

/// Limit for the bytes of a head, and of a line of the chunked coding.
const MAX_HEAD: usize = 64 * 1024;
/// Limit for the fields of a head.
const MAX_FIELDS: usize = 96;

/// A complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Bytes of the body.
    pub length: u64,
    /// The hash of the body, if [`Parser::hashes_body`] was set.
    pub hash: Option<u64>,
    /// Whether the server will close the connection.
    pub closes: bool,
}

/// The bytes are not HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Parses a stream of responses.
#[derive(Debug, Default)]
pub struct Parser {
    /// The received part of an incomplete head or line.
    partial: Vec<u8>,
    body: Body,
    status: u16,
    length: u64,
    hash: u64,
    closes: bool,
    /// Bytes of the bodies of all responses so far.
    pub body_bytes: u64,
    /// Whether the next body is hashed.
    pub hashes_body: bool,
    /// The statuses of interim responses, until they are taken.
    pub interim: Vec<u16>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Body {
    /// A head.
    #[default]
    None,
    /// This many bytes of a body.
    Length(u64),
    /// The size line of a chunk.
    ChunkSize,
    /// This many bytes of a chunk.
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// Trailer fields.
    Trailer,
    /// A body until the end of the stream.
    UntilEnd,
}

impl Parser {
    /// Consumes bytes of `bytes` until a response is complete or all are consumed.
    pub fn feed(&mut self, bytes: &mut &[u8]) -> Result<Option<Response>, Malformed> {
        while !bytes.is_empty() {
            let done = match self.body {
                Body::None => self.head(bytes)?,
                Body::Length(left) => {
                    let left = left - self.take(bytes, left);
                    self.body = Body::Length(left);
                    left == 0
                }
                Body::Chunk(left) => {
                    self.body = match left - self.take(bytes, left) {
                        0 => Body::ChunkEnd,
                        left => Body::Chunk(left),
                    };
                    false
                }
                Body::ChunkSize | Body::ChunkEnd | Body::Trailer => self.line(bytes)?,
                Body::UntilEnd => {
                    self.take(bytes, u64::MAX);
                    false
                }
            };
            if done {
                return Ok(Some(self.finish()));
            }
        }
        Ok(None)
    }

    /// The end of the stream: returns the response that it completes.
    pub fn end(&mut self) -> Option<Response> {
        (self.body == Body::UntilEnd).then(|| self.finish())
    }

    fn finish(&mut self) -> Response {
        self.body = Body::None;
        Response {
            status: self.status,
            length: self.length,
            hash: self.hashes_body.then_some(self.hash),
            closes: self.closes,
        }
    }

    /// Consumes at most `most` bytes of a body.
    fn take(&mut self, bytes: &mut &[u8], most: u64) -> u64 {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let (taken, rest) = bytes.split_at(bytes.len().min(most));
        if self.hashes_body {
            self.hash = taken
                .iter()
                .fold(self.hash, |hash, byte| hash_on(hash, *byte));
        }
        *bytes = rest;
        let length = taken.len() as u64;
        self.length += length;
        self.body_bytes += length;
        length
    }

    /// Consumes a head, or a part of one. Returns whether this completes the response.
    fn head(&mut self, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        if self.partial.is_empty()
            && let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n")
        {
            let (head, rest) = bytes.split_at(end + 4);
            *bytes = rest;
            return self.parse_head(head);
        }
        let from = self.partial.len().saturating_sub(3);
        let before = self.partial.len();
        self.partial.extend_from_slice(bytes);
        let found = memchr::memmem::find(self.partial.get(from..).unwrap_or_default(), b"\r\n\r\n");
        let Some(end) = found.map(|at| from + at + 4) else {
            *bytes = &[];
            return match self.partial.len() > MAX_HEAD {
                true => Err(Malformed),
                false => Ok(false),
            };
        };
        *bytes = bytes.get(end - before..).unwrap_or_default();
        let mut head = std::mem::take(&mut self.partial);
        head.truncate(end);
        let done = self.parse_head(&head);
        head.clear();
        self.partial = head;
        done
    }

    fn parse_head(&mut self, head: &[u8]) -> Result<bool, Malformed> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) | Err(_) => return Err(Malformed),
        }
        self.status = response.code.ok_or(Malformed)?;
        (self.length, self.hash) = (0, HASH_START);
        let (mut length, mut is_chunked) = (None, None);
        let (mut close, mut keep_alive) = (false, false);
        for field in response.headers.iter() {
            let is_named = |name| field.name.eq_ignore_ascii_case(name);
            let mut items = field.value.split(|byte| *byte == b',');
            let is_item = |item: &[u8], name| item.trim_ascii().eq_ignore_ascii_case(name);
            if is_named("content-length") {
                for item in items {
                    let value = number(item, 10)?;
                    if length.replace(value).is_some_and(|before| before != value) {
                        return Err(Malformed);
                    }
                }
            } else if is_named("transfer-encoding") {
                let last = items.next_back();
                is_chunked = Some(last.is_some_and(|item| is_item(item, b"chunked")));
            } else if is_named("connection") {
                close |= items.clone().any(|item| is_item(item, b"close"));
                keep_alive |= items.any(|item| is_item(item, b"keep-alive"));
            }
        }
        self.closes = close || response.version == Some(0) && !keep_alive;
        self.body = match (is_chunked, length) {
            (Some(true), _) => Body::ChunkSize,
            (None, Some(length)) => Body::Length(length),
            (Some(false), _) | (None, None) => Body::UntilEnd,
        };
        match self.status {
            // An interim response: another head follows. After 101 what follows is not HTTP.
            100 | 102..=199 => {
                self.body = Body::None;
                self.interim.push(self.status);
                Ok(false)
            }
            101 | 204 | 304 => {
                self.closes |= self.status == 101;
                Ok(true)
            }
            _ => {
                self.closes |= self.body == Body::UntilEnd;
                Ok(self.body == Body::Length(0))
            }
        }
    }

    /// Consumes a line of the chunked coding (RFC 9112, section 7.1), or a part of one.
    fn line(&mut self, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        let (taken, rest) = bytes.split_at(end);
        *bytes = rest;
        self.partial.extend_from_slice(taken);
        if self.partial.len() > MAX_HEAD {
            return Err(Malformed);
        }
        if self.partial.last() != Some(&b'\n') {
            return Ok(false);
        }
        let line = std::mem::take(&mut self.partial);
        let line = line.trim_ascii();
        self.body = match self.body {
            Body::ChunkEnd if line.is_empty() => Body::ChunkSize,
            Body::Trailer if line.is_empty() => return Ok(true),
            Body::Trailer => Body::Trailer,
            Body::ChunkSize => after_size_line(line)?,
            _ => return Err(Malformed),
        };
        Ok(false)
    }
}

/// What follows the size line of a chunk.
fn after_size_line(line: &[u8]) -> Result<Body, Malformed> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    match number(digits, 16)? {
        0 => Ok(Body::Trailer),
        size => Ok(Body::Chunk(size)),
    }
}

/// A number without a sign, which from_str_radix would take.
fn number(text: &[u8], radix: u32) -> Result<u64, Malformed> {
    match std::str::from_utf8(text.trim_ascii()) {
        Ok(text) if !text.starts_with('+') => {
            u64::from_str_radix(text, radix).map_err(|_| Malformed)
        }
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::types::body_hash;

    const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
        HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nConnection: close\r\n\r\n\
        HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        5;x=y\r\nhello\r\n3\r\n, w\r\n0\r\nA: b\r\n\r\n\
        HTTP/1.0 500 No\r\n\r\nall that comes";

    fn responses() -> Vec<Response> {
        let response = |status, body: &[u8], closes| Response {
            status,
            length: body.len() as u64,
            hash: Some(body_hash(body)),
            closes,
        };
        vec![
            response(200, b"hello", false),
            response(404, b"", true),
            response(204, b"", false),
            response(200, b"hello, w", false),
            response(500, b"all that comes", true),
        ]
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<Response>, Malformed> {
        let mut parser = Parser {
            hashes_body: true,
            ..Parser::default()
        };
        let mut read = Vec::new();
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() {
                read.extend(parser.feed(&mut piece)?);
            }
        }
        read.extend(parser.end());
        assert!(parser.body == Body::None && parser.partial.is_empty());
        Ok(read)
    }

    #[test]
    fn responses_are_the_same_however_the_bytes_are_split() {
        for first in 0..=STREAM.len() {
            let (one, rest) = STREAM.split_at(first);
            assert_eq!(read(&[one, rest]), Ok(responses()), "{first}");
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(read(&bytes), Ok(responses()));
    }

    #[test]
    fn bytes_that_are_not_http_are_an_error() {
        for text in [
            &b"220 ftp ready\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2, 1\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            &[b'x'; MAX_HEAD + 1],
        ] {
            assert_eq!(read(&[text]), Err(Malformed), "{}", text.escape_ascii());
        }
    }

    /// RFC 9112, sections 6.3 and 9.3.
    #[test]
    fn version_and_fields_decide_the_length_and_whether_the_connection_is_closed() {
        let ok = "HTTP/1.1 200 OK\r\n";
        for (head, fields, length, closes) in [
            (ok, "Content-Length: 5", 5, false),
            (ok, "Content-Length: 5, 5\r\nContent-Length: 5", 5, false),
            (ok, "Content-Length: 5\r\nConnection: x, Close", 5, true),
            (ok, "Connection: close\r\nContent-Length: 5", 5, true),
            ("HTTP/1.0 200 OK\r\n", "Content-Length: 5", 5, true),
            (
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n",
                "Content-Length: 5",
                5,
                false,
            ),
            (
                "HTTP/1.1 101 X\r\n",
                "Upgrade: x\r\nContent-Length: 5",
                0,
                true,
            ),
            (
                ok,
                "Content-Length: 3\r\nTransfer-Encoding: gzip, chunked",
                0,
                false,
            ),
            (
                ok,
                "Transfer-Encoding: chunked\r\nConnection: close",
                0,
                true,
            ),
            (ok, "Transfer-Encoding: gzip", 5, true),
        ] {
            let text = format!("{head}{fields}\r\n\r\n0\r\n\r\n");
            let mut parser = Parser::default();
            let complete = parser.feed(&mut text.as_bytes());
            let response = complete.unwrap().or_else(|| parser.end()).unwrap();
            assert_eq!(
                (response.length, response.closes),
                (length, closes),
                "{text}"
            );
        }
    }
}
