//! Room `bench`: where does one answer end and the next begin, and what was in it? No I/O.
//!
//! The server may be anybody's, so all framings of RFC 9112, section 6.3 are known: a length,
//! chunks, and the end of the stream. Only GET is asked, so no answer is without a body for its
//! method's sake.

use crate::bench::load::{HASH_START, hash_on};

/// Bytes of a head, and of a chunk's line, that are taken at most.
const LONGEST_HEAD: usize = 64 * 1024;
/// Fields of a head that are taken at most.
const MOST_FIELDS: usize = 96;

/// One whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Bytes of its body.
    pub length: u64,
    /// The hash of its body, if that was asked for.
    pub hash: Option<u64>,
    /// Whether the server will close the connection.
    pub closes: bool,
}

/// It is no HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads answers.
#[derive(Debug, Default)]
pub struct Reader {
    /// The beginning of a head or of a chunk's line that came in pieces.
    head: Vec<u8>,
    body: Body,
    status: u16,
    length: u64,
    hash: u64,
    closes: bool,
    /// Bytes of bodies, of all answers so far.
    pub body_bytes: u64,
    /// Whether the body that comes next is hashed.
    pub checks: bool,
}

/// What is awaited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Body {
    /// A head.
    #[default]
    None,
    /// So many bytes.
    Length(u64),
    /// A chunk's first line.
    ChunkSize,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The end of line after a chunk.
    ChunkEnd,
    /// The lines after the last chunk.
    Trailer,
    /// All that comes.
    UntilEnd,
}

impl Reader {
    /// Takes bytes from the front of `bytes`, until an answer is whole or all are taken.
    pub fn feed(&mut self, bytes: &mut &[u8]) -> Result<Option<Answer>, Malformed> {
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

    /// The stream has ended: the answer, if that is how it ends.
    pub fn end(&mut self) -> Option<Answer> {
        (self.body == Body::UntilEnd).then(|| self.finish())
    }

    fn finish(&mut self) -> Answer {
        self.body = Body::None;
        Answer {
            status: self.status,
            length: self.length,
            hash: self.checks.then_some(self.hash),
            closes: self.closes,
        }
    }

    /// Takes at most `most` bytes of the body.
    fn take(&mut self, bytes: &mut &[u8], most: u64) -> u64 {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let (taken, rest) = bytes.split_at(bytes.len().min(most));
        if self.checks {
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

    /// Takes a head, or what has come of it. Returns whether that is the whole answer.
    fn head(&mut self, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        if self.head.is_empty()
            && let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n")
        {
            let (head, rest) = bytes.split_at(end + 4);
            *bytes = rest;
            return self.read(head);
        }
        // In pieces: byte by byte would do, but the end is looked for where it may be.
        let from = self.head.len().saturating_sub(3);
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let found = memchr::memmem::find(self.head.get(from..).unwrap_or_default(), b"\r\n\r\n");
        let Some(end) = found.map(|at| from + at + 4) else {
            *bytes = &[];
            return match self.head.len() > LONGEST_HEAD {
                true => Err(Malformed),
                false => Ok(false),
            };
        };
        *bytes = bytes.get(end - before..).unwrap_or_default();
        let mut head = std::mem::take(&mut self.head);
        head.truncate(end);
        let done = self.read(&head);
        head.clear();
        self.head = head;
        done
    }

    fn read(&mut self, head: &[u8]) -> Result<bool, Malformed> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) | Err(_) => return Err(Malformed),
        }
        self.status = response.code.ok_or(Malformed)?;
        (self.length, self.hash) = (0, HASH_START);
        self.closes = response.version == Some(0);
        self.body = Body::UntilEnd;
        for field in response.headers.iter() {
            if field.name.eq_ignore_ascii_case("content-length") {
                let text = std::str::from_utf8(field.value).map_err(|_| Malformed)?;
                self.body = Body::Length(text.trim().parse().map_err(|_| Malformed)?);
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                self.body = Body::ChunkSize;
                break;
            } else if field.name.eq_ignore_ascii_case("connection") {
                self.closes |= field.value.eq_ignore_ascii_case(b"close");
            }
        }
        match self.status {
            // Another one follows.
            100..=199 => {
                self.body = Body::None;
                Ok(false)
            }
            204 | 304 => Ok(true),
            _ => {
                self.closes |= self.body == Body::UntilEnd;
                Ok(self.body == Body::Length(0))
            }
        }
    }

    /// Takes a line of the chunked framing (RFC 9112, section 7.1).
    fn line(&mut self, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        let (taken, rest) = bytes.split_at(end);
        *bytes = rest;
        self.head.extend_from_slice(taken);
        if self.head.len() > LONGEST_HEAD {
            return Err(Malformed);
        }
        if self.head.last() != Some(&b'\n') {
            return Ok(false);
        }
        let line = std::mem::take(&mut self.head);
        let line = line.trim_ascii();
        (self.body, _) = match self.body {
            Body::ChunkEnd if line.is_empty() => (Body::ChunkSize, ()),
            Body::Trailer if line.is_empty() => return Ok(true),
            Body::Trailer => (Body::Trailer, ()),
            Body::ChunkSize => (chunk(line)?, ()),
            _ => return Err(Malformed),
        };
        Ok(false)
    }
}

/// What follows a chunk's first line.
fn chunk(line: &[u8]) -> Result<Body, Malformed> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let text = std::str::from_utf8(digits.trim_ascii()).map_err(|_| Malformed)?;
    match u64::from_str_radix(text, 16).map_err(|_| Malformed)? {
        0 => Ok(Body::Trailer),
        size => Ok(Body::Chunk(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::body_hash;

    const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
        HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nConnection: close\r\n\r\n\
        HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        5;x=y\r\nhello\r\n3\r\n, w\r\n0\r\nA: b\r\n\r\n\
        HTTP/1.0 500 No\r\n\r\nall that comes";

    fn answers() -> Vec<Answer> {
        let answer = |status, body: &[u8], closes| Answer {
            status,
            length: body.len() as u64,
            hash: Some(body_hash(body)),
            closes,
        };
        vec![
            answer(200, b"hello", false),
            answer(404, b"", true),
            answer(204, b"", false),
            answer(200, b"hello, w", false),
            answer(500, b"all that comes", true),
        ]
    }

    /// Whether nothing of an answer has come yet.
    fn is_between(reader: &Reader) -> bool {
        reader.body == Body::None && reader.head.is_empty()
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<Answer>, Malformed> {
        let mut reader = Reader {
            checks: true,
            ..Reader::default()
        };
        let mut read = Vec::new();
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() {
                read.extend(reader.feed(&mut piece)?);
            }
        }
        read.extend(reader.end());
        assert!(is_between(&reader));
        Ok(read)
    }

    #[test]
    fn however_the_bytes_are_cut_the_answers_are_the_same() {
        assert_eq!(read(&[STREAM]), Ok(answers()));
        for first in 0..=STREAM.len() {
            let (one, rest) = STREAM.split_at(first);
            assert_eq!(read(&[one, rest]), Ok(answers()), "{first}");
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(read(&bytes), Ok(answers()));
    }

    #[test]
    fn what_is_no_http_is_said() {
        for text in [
            &b"220 ftp ready\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        ] {
            assert_eq!(read(&[text]), Err(Malformed), "{}", text.escape_ascii());
        }
        let endless = vec![b'x'; LONGEST_HEAD + 1];
        assert_eq!(read(&[&endless]), Err(Malformed));
    }

    #[test]
    fn bytes_of_bodies_are_counted_even_if_the_end_never_comes() {
        let mut reader = Reader::default();
        let mut bytes = &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"[..];
        assert_eq!(reader.feed(&mut bytes), Ok(None));
        assert_eq!((reader.body_bytes, is_between(&reader)), (5, false));
        assert_eq!(reader.end(), None);
    }
}
