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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
                Body::None | Body::ChunkSize | Body::ChunkEnd | Body::Trailer => {
                    self.line(bytes)?
                }
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

    /// Consumes a line of a head or of the chunked coding (RFC 9112, section 7.1), or a part.
    /// Returns whether this completes the response.
    fn line(&mut self, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        let (taken, rest) = bytes.split_at(end);
        *bytes = rest;
        self.partial.extend_from_slice(taken);
        if self.partial.len() > MAX_HEAD {
            return Err(Malformed);
        }
        let is_head = self.body == Body::None;
        let is_line = self.partial.ends_with(b"\n");
        if !is_line || is_head && !self.partial.ends_with(b"\r\n\r\n") {
            return Ok(false);
        }
        let mut text = std::mem::take(&mut self.partial);
        let is_empty = text.trim_ascii().is_empty();
        let mut is_complete = false;
        match self.body {
            Body::ChunkSize => {
                let size = text.split(|byte| *byte == b';').next().unwrap_or_default();
                self.body = match number(size, 16)? {
                    0 => Body::Trailer,
                    size => Body::Chunk(size),
                };
            }
            Body::ChunkEnd if is_empty => self.body = Body::ChunkSize,
            Body::ChunkEnd => return Err(Malformed),
            Body::Trailer => is_complete = is_empty,
            _ => is_complete = self.parse_head(&text)?,
        }
        text.clear();
        self.partial = text;
        Ok(is_complete)
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
        for row in [
            "5 open: HTTP/1.1 200 OK; Content-Length: 5",
            "5 open: HTTP/1.1 200 OK; Content-Length: 5, 5; Content-Length: 5",
            "5 closes: HTTP/1.1 200 OK; Content-Length: 5; Connection: x, Close",
            "5 closes: HTTP/1.0 200 OK; Content-Length: 5",
            "5 open: HTTP/1.0 200 OK; Connection: keep-alive; Content-Length: 5",
            "0 closes: HTTP/1.1 101 X; Upgrade: x; Content-Length: 5",
            "0 open: HTTP/1.1 200 OK; Content-Length: 3; Transfer-Encoding: gzip, chunked",
            "0 closes: HTTP/1.1 200 OK; Transfer-Encoding: chunked; Connection: close",
            "5 closes: HTTP/1.1 200 OK; Transfer-Encoding: gzip",
        ] {
            let (expected, head) = row.split_once(": ").unwrap();
            let text = format!("{head}; ; 0; ; ").replace("; ", "\r\n");
            let mut parser = Parser::default();
            let complete = parser.feed(&mut text.as_bytes());
            let response = complete.unwrap().or_else(|| parser.end()).unwrap();
            let what = if response.closes { "closes" } else { "open" };
            assert_eq!(format!("{} {what}", response.length), expected, "{row}");
        }
    }
}
