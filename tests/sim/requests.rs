//! The requests of the peers and their expected responses: the reference for `matcher`. It uses no
//! code of the server.

use crate::site::request::SiteRequest;
use std::fmt;

/// The Date of every response: the wall clock of the simulation stands still.
pub const DATE: &str = "Fri, 01 Jan 2100 00:00:00 GMT";

/// Bytes of every file.
pub const FILE: u64 = 1 << 20;
/// How many files there are.
pub const FILES: usize = 3;
/// Byte `offset` of a file, and of every other body. `handler` and `matcher` both use it.
pub fn content(file: usize, offset: u64) -> u8 {
    ((offset + 31 * file as u64) % 251) as u8
}

/// One request, or invalid input in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimRequest {
    Page {
        method: Method,
        persistence: Persistence,
        page: Page,
    },
    /// A request to the real site.
    Site(SiteRequest),
    /// Not HTTP.
    Garbage,
    /// A request line of this length, which is over the limit.
    LongLine(usize),
    /// A head of this length, which is over the limit.
    LongHead(usize),
    /// The beginning of a head. The end never follows.
    Unfinished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    /// With a body of this length, which the server discards.
    Post(usize),
}

/// The version, and the `Connection` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    Http11,
    Http11Close,
    Http10,
    Http10KeepAlive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// A body of this length, in memory.
    Bytes(usize),
    /// A range of a file.
    File {
        file: usize,
        offset: u64,
        length: u64,
    },
    /// A multipart body: three ranges of a file.
    Parts { file: usize },
    /// A stream: slices of this size, produced while the body is sent. Every third one is empty.
    Stream { slices: usize, size: usize },
    /// The same, but the stream fails after its last slice.
    Broken { slices: usize, size: usize },
}

/// The parts of [`Page::Parts`]: offset and length.
pub const PARTS: [(u64, u64); 3] = [(5, 1), (1000, 3000), (70_000, 20)];
const BEHIND_PARTS: &[u8] = b"\r\n--b--\r\n";

/// The head of a part. The size of the file is given as the largest possible.
fn before_part((offset, length): (u64, u64)) -> String {
    let (last, total) = (offset + length - 1, u64::MAX);
    format!("\r\n--b\r\nContent-Type: t\r\nContent-Range: bytes {offset}-{last}/{total}\r\n\r\n")
}

/// The expected response. `kept` and `last` differ: a stopping server may add `Connection: close`
/// to any response.
#[derive(Clone, Debug)]
pub struct ExpectedResponse {
    /// Status line and fields if the connection stays open; empty if it must close.
    pub kept: Vec<u8>,
    /// The same with `Connection: close`.
    pub last: Vec<u8>,
    pub body: Vec<Piece>,
    /// The body cannot be completed: a reset must follow these bytes.
    pub breaks: bool,
}

/// A part of a body.
#[derive(Clone, Debug)]
pub enum Piece {
    Bytes(Vec<u8>),
    File { file: usize, offset: u64, left: u64 },
}

impl Piece {
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { left, .. } => *left,
        }
    }
}

impl Method {
    /// Its name, and the field that describes its body.
    pub fn fields(self) -> (&'static str, String) {
        match self {
            Self::Get => ("GET", String::new()),
            Self::Head => ("HEAD", String::new()),
            Self::Post(length) => ("POST", format!("Content-Length: {length}\r\n")),
        }
    }
}

impl Persistence {
    /// The version, and the `Connection` field.
    pub fn fields(self) -> (&'static str, &'static str) {
        match self {
            Self::Http11 => ("1.1", ""),
            Self::Http11Close => ("1.1", "Connection: close\r\n"),
            Self::Http10 => ("1.0", ""),
            Self::Http10KeepAlive => ("1.0", "Connection: keep-alive\r\n"),
        }
    }
}

impl SimRequest {
    /// Whether it announces that it is the last: by its version, or by `Connection: close`.
    pub fn is_last(&self) -> bool {
        let (method, persistence) = match self {
            Self::Page {
                method,
                persistence,
                ..
            } => (method, persistence),
            Self::Site(request) => (&request.method, &request.persistence),
            _ => return false,
        };
        matches!(persistence, Persistence::Http11Close | Persistence::Http10)
            && !matches!(method, Method::Post(1..))
    }

    /// The bytes of the request, and how many of them the server needs for a response.
    pub fn text(&self) -> (Vec<u8>, usize) {
        let whole = |text: String| (text.clone().into_bytes(), text.len());
        match self {
            Self::Page {
                method,
                persistence,
                page,
            } => {
                let (name, length) = method.fields();
                let (version, fields) = persistence.fields();
                let (mut text, head) = whole(format!(
                    "{name} {page} HTTP/{version}\r\nHost: a\r\n{fields}{length}\r\n"
                ));
                if let Method::Post(length) = method {
                    text.resize(head + length, b'p');
                }
                (text, head)
            }
            Self::Site(request) => (request.text().0, request.head()),
            // The first byte is enough.
            Self::Garbage => (b"\x01\x02 garbage".to_vec(), 1),
            Self::LongLine(length) => whole(format!("GET /{}", "l".repeat(length - 5))),
            Self::LongHead(length) => {
                let start = "GET / HTTP/1.1\r\nHost: a\r\nLong: ";
                whole(format!("{start}{}", "h".repeat(length - start.len())))
            }
            Self::Unfinished => (b"GET / HTTP/1.1\r\nUnfinished: ".to_vec(), usize::MAX),
        }
    }

    pub fn response(&self) -> ExpectedResponse {
        let refused = |status| ExpectedResponse {
            kept: Vec::new(),
            last: head(status, Some(0), "Connection: close\r\n"),
            body: Vec::new(),
            breaks: false,
        };
        match self {
            Self::Page {
                method,
                persistence,
                page,
            } => page.response(*method, *persistence),
            Self::Site(_) => unreachable!("which files there will be is not known beforehand"),
            Self::Garbage => refused("400 Bad Request"),
            Self::LongLine(_) => refused("414 URI Too Long"),
            Self::LongHead(_) => refused("431 Request Header Fields Too Large"),
            Self::Unfinished => refused("408 Request Timeout"),
        }
    }
}

impl Page {
    fn response(self, method: Method, persistence: Persistence) -> ExpectedResponse {
        let is_http10 = matches!(
            persistence,
            Persistence::Http10 | Persistence::Http10KeepAlive
        );
        let length = self.length();
        let until_close = length.is_none() && is_http10;
        let closes = matches!(persistence, Persistence::Http11Close | Persistence::Http10)
            || matches!(method, Method::Post(1..))
            || until_close;
        let kept = match (closes, is_http10) {
            (true, _) => Vec::new(),
            (false, true) => self.head(is_http10, "Connection: keep-alive\r\n"),
            (false, false) => self.head(is_http10, ""),
        };
        let mut body = Vec::new();
        if method != Method::Head {
            self.push_body(!is_http10, &mut body);
        }
        ExpectedResponse {
            kept,
            last: self.head(is_http10, "Connection: close\r\n"),
            breaks: matches!(self, Self::Broken { .. }) && method != Method::Head,
            body,
        }
    }

    fn head(self, is_http10: bool, connection: &str) -> Vec<u8> {
        match self.length() {
            None if !is_http10 => head(
                "200 OK",
                None,
                &format!("Transfer-Encoding: chunked\r\n{connection}"),
            ),
            length => head("200 OK", length, connection),
        }
    }

    fn length(self) -> Option<u64> {
        match self {
            Self::Bytes(length) => Some(length as u64),
            Self::File { length, .. } => Some(length),
            Self::Parts { .. } => {
                let part = |part: (u64, u64)| before_part(part).len() as u64 + part.1;
                Some(PARTS.into_iter().map(part).sum::<u64>() + BEHIND_PARTS.len() as u64)
            }
            Self::Stream { .. } | Self::Broken { .. } => None,
        }
    }

    fn push_body(self, chunked: bool, body: &mut Vec<Piece>) {
        match self {
            Self::Bytes(length) => body.push(Piece::Bytes(memory(length))),
            Self::File {
                file,
                offset,
                length,
            } => body.push(Piece::File {
                file,
                offset,
                left: length,
            }),
            Self::Parts { file } => {
                for (offset, left) in PARTS {
                    body.push(Piece::Bytes(before_part((offset, left)).into()));
                    body.push(Piece::File { file, offset, left });
                }
                body.push(Piece::Bytes(BEHIND_PARTS.to_vec()));
            }
            Self::Stream { slices, size } => {
                push_slices(slices, size, chunked, body);
                if chunked {
                    body.push(Piece::Bytes(b"0\r\n\r\n".to_vec()));
                }
            }
            Self::Broken { slices, size } => push_slices(slices, size, chunked, body),
        }
    }
}

/// Every third slice of a stream is empty.
pub fn is_empty_slice(index: usize) -> bool {
    index % 3 == 1
}

/// The bytes of a body in memory, and of each slice of a stream.
pub fn memory(length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|offset| content(0, offset))
        .collect()
}

fn push_slices(slices: usize, size: usize, chunked: bool, body: &mut Vec<Piece>) {
    for _ in (0..slices).filter(|&index| !is_empty_slice(index)) {
        let bytes = memory(size);
        if chunked {
            let mut chunk = format!("{size:08x}\r\n").into_bytes();
            chunk.extend_from_slice(&bytes);
            chunk.extend_from_slice(b"\r\n");
            body.push(Piece::Bytes(chunk));
        } else {
            body.push(Piece::Bytes(bytes));
        }
    }
}

fn head(status: &str, length: Option<u64>, connection: &str) -> Vec<u8> {
    let length = length.map_or(String::new(), |length| {
        format!("Content-Length: {length}\r\n")
    });
    format!("HTTP/1.1 {status}\r\nDate: {DATE}\r\n{length}{connection}\r\n").into_bytes()
}

/// The path of the page in a request line.
impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(length) => write!(f, "/bytes/{length}"),
            Self::File {
                file,
                offset,
                length,
            } => write!(f, "/file/{file}/{offset}/{length}"),
            Self::Parts { file } => write!(f, "/parts/{file}"),
            Self::Stream { slices, size } => write!(f, "/stream/{slices}/{size}"),
            Self::Broken { slices, size } => write!(f, "/broken/{slices}/{size}"),
        }
    }
}

impl Page {
    /// The page of this path.
    pub fn of(path: &str) -> Option<Self> {
        let mut parts = path.split('/').skip(1);
        let behaviour = parts.next()?;
        let numbers: Vec<u64> = parts.map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let size = |at: usize| numbers.get(at).map(|&number| number as usize);
        Some(match behaviour {
            "bytes" => Self::Bytes(size(0)?),
            "file" => Self::File {
                file: size(0)?,
                offset: *numbers.get(1)?,
                length: *numbers.get(2)?,
            },
            "parts" => Self::Parts { file: size(0)? },
            "stream" => Self::Stream {
                slices: size(0)?,
                size: size(1)?,
            },
            "broken" => Self::Broken {
                slices: size(0)?,
                size: size(1)?,
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_page_leads_to_this_page() {
        let pages = [
            Page::Bytes(7),
            Page::File {
                file: 1,
                offset: 2,
                length: 3,
            },
            Page::Parts { file: 2 },
            Page::Stream { slices: 4, size: 5 },
            Page::Broken { slices: 1, size: 9 },
        ];
        assert_eq!(
            pages.map(|page| Page::of(&page.to_string())),
            pages.map(Some)
        );
    }

    #[test]
    fn an_expected_response_is_complete_to_the_last_byte() {
        let request = SimRequest::Page {
            method: Method::Get,
            persistence: Persistence::Http11,
            page: Page::Stream { slices: 3, size: 2 },
        };
        let response = request.response();
        assert_eq!(
            String::from_utf8(response.kept).unwrap(),
            "HTTP/1.1 200 OK\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
        let body: Vec<u8> = (response.body.into_iter())
            .flat_map(|piece| match piece {
                Piece::Bytes(bytes) => bytes,
                Piece::File { .. } => panic!("a stream has no file"),
            })
            .collect();
        assert_eq!(
            body,
            b"00000002\r\n\x00\x01\r\n00000002\r\n\x00\x01\r\n0\r\n\r\n"
        );
    }
}
