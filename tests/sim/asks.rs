//! What can a peer ask, and which bytes are the only right answer? Written down here a second
//! time, on purpose: nothing of the server's code is used to say what it should send.

use crate::site::ask::SiteAsk;
use std::fmt;

/// The Date of every response: the wall clock of the simulation stands still.
pub const DATE: &str = "Fri, 01 Jan 2100 00:00:00 GMT";

/// Bytes of every file.
pub const FILE: u64 = 1 << 20;
/// How many files there are.
pub const FILES: usize = 3;
/// What the site and this file agree on: byte `offset` of a file, and of every other body.
pub fn content(file: usize, offset: u64) -> u8 {
    ((offset + 31 * file as u64) % 251) as u8
}

/// One request, or something that was to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    Page {
        method: Method,
        manner: Manner,
        page: Page,
    },
    /// Of the real site.
    Site(SiteAsk),
    /// Not HTTP.
    Garbage,
    /// A request line of so many bytes, which is too many.
    LongLine(usize),
    /// A head of so many bytes, which is too many.
    LongHead(usize),
    /// The beginning of a head, and never its end.
    Unfinished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    /// With so many bytes of body, which nobody reads.
    Post(usize),
}

/// The version, and what the request says of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    New,
    NewClose,
    Old,
    OldKeep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// So many bytes in memory.
    Bytes(usize),
    /// A stretch of a file.
    File {
        file: usize,
        offset: u64,
        length: u64,
    },
    /// Three stretches of a file, each with a text before it.
    Parts { file: usize },
    /// Made while it is sent: slices of this size. Some slices may be empty.
    Stream { slices: usize, size: usize },
    /// The same, but it fails after its last slice.
    Broken { slices: usize, size: usize },
}

/// The parts of [`Page::Parts`]: offset and length.
pub const PARTS: [(u64, u64); 3] = [(5, 1), (1000, 3000), (70_000, 20)];
const BEHIND_PARTS: &[u8] = b"\r\n--b--\r\n";

/// What stands before a part, of a file that has as many bytes as one can.
fn before_part((offset, length): (u64, u64)) -> String {
    let (last, total) = (offset + length - 1, u64::MAX);
    format!("\r\n--b\r\nContent-Type: t\r\nContent-Range: bytes {offset}-{last}/{total}\r\n\r\n")
}

/// The one right answer, but for whether it is the connection's last: a server that is stopping
/// may say so with any response.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status line and fields if the connection stays open; empty if it may not.
    pub kept: Vec<u8>,
    /// The same with `Connection: close`.
    pub last: Vec<u8>,
    pub body: Vec<Piece>,
    /// The body cannot be completed: after these bytes there must be a reset.
    pub breaks: bool,
}

/// A run of bytes of a body.
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
    /// Its name, and the field that its body needs.
    pub fn spelled(self) -> (&'static str, String) {
        match self {
            Self::Get => ("GET", String::new()),
            Self::Head => ("HEAD", String::new()),
            Self::Post(length) => ("POST", format!("Content-Length: {length}\r\n")),
        }
    }
}

impl Manner {
    /// The version, and the field that the connection needs.
    pub fn spelled(self) -> (&'static str, &'static str) {
        match self {
            Self::New => ("1.1", ""),
            Self::NewClose => ("1.1", "Connection: close\r\n"),
            Self::Old => ("1.0", ""),
            Self::OldKeep => ("1.0", "Connection: keep-alive\r\n"),
        }
    }
}

impl Ask {
    /// Whether it says itself that nothing follows it.
    pub fn is_last(&self) -> bool {
        let (method, manner) = match self {
            Self::Page { method, manner, .. } => (method, manner),
            Self::Site(ask) => (&ask.method, &ask.manner),
            _ => return false,
        };
        matches!(manner, Manner::NewClose | Manner::Old) && !matches!(method, Method::Post(1..))
    }

    /// The bytes of the request, and how many of them the server has to have for an answer.
    pub fn text(&self) -> (Vec<u8>, usize) {
        let whole = |text: String| (text.clone().into_bytes(), text.len());
        match self {
            Self::Page {
                method,
                manner,
                page,
            } => {
                let (name, length) = method.spelled();
                let (version, fields) = manner.spelled();
                let (mut text, head) = whole(format!(
                    "{name} {page} HTTP/{version}\r\nHost: a\r\n{fields}{length}\r\n"
                ));
                if let Method::Post(length) = method {
                    text.resize(head + length, b'p');
                }
                (text, head)
            }
            Self::Site(ask) => (ask.text().0, ask.head()),
            // Its first byte decides.
            Self::Garbage => (b"\x01\x02 garbage".to_vec(), 1),
            Self::LongLine(length) => whole(format!("GET /{}", "l".repeat(length - 5))),
            Self::LongHead(length) => {
                let start = "GET / HTTP/1.1\r\nHost: a\r\nLong: ";
                whole(format!("{start}{}", "h".repeat(length - start.len())))
            }
            Self::Unfinished => (b"GET / HTTP/1.1\r\nUnfinished: ".to_vec(), usize::MAX),
        }
    }

    pub fn reply(&self) -> Reply {
        let refused = |status| Reply {
            kept: Vec::new(),
            last: head(status, Some(0), "Connection: close\r\n"),
            body: Vec::new(),
            breaks: false,
        };
        match self {
            Self::Page {
                method,
                manner,
                page,
            } => page.reply(*method, *manner),
            Self::Site(_) => unreachable!("which files there will be is not known beforehand"),
            Self::Garbage => refused("400 Bad Request"),
            Self::LongLine(_) => refused("414 URI Too Long"),
            Self::LongHead(_) => refused("431 Request Header Fields Too Large"),
            Self::Unfinished => refused("408 Request Timeout"),
        }
    }
}

impl Page {
    fn reply(self, method: Method, manner: Manner) -> Reply {
        let old = matches!(manner, Manner::Old | Manner::OldKeep);
        let length = self.length();
        let until_close = length.is_none() && old;
        let closes = matches!(manner, Manner::NewClose | Manner::Old)
            || matches!(method, Method::Post(1..))
            || until_close;
        let kept = match (closes, old) {
            (true, _) => Vec::new(),
            (false, true) => self.head(old, "Connection: keep-alive\r\n"),
            (false, false) => self.head(old, ""),
        };
        let mut body = Vec::new();
        if method != Method::Head {
            self.push_body(!old, &mut body);
        }
        Reply {
            kept,
            last: self.head(old, "Connection: close\r\n"),
            breaks: matches!(self, Self::Broken { .. }) && method != Method::Head,
            body,
        }
    }

    fn head(self, old: bool, connection: &str) -> Vec<u8> {
        match self.length() {
            None if !old => head(
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

/// Every third slice of a stream is empty: it only prepares.
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

/// As the path that asks for it.
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
    /// The page that a path asks for.
    pub fn of(path: &str) -> Option<Self> {
        let mut parts = path.split('/').skip(1);
        let kind = parts.next()?;
        let numbers: Vec<u64> = parts.map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let size = |at: usize| numbers.get(at).map(|&number| number as usize);
        Some(match kind {
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
    fn a_page_is_found_by_the_path_that_asks_for_it() {
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
    fn an_answer_is_written_down_to_the_last_byte() {
        let ask = Ask::Page {
            method: Method::Get,
            manner: Manner::New,
            page: Page::Stream { slices: 3, size: 2 },
        };
        let reply = ask.reply();
        assert_eq!(
            String::from_utf8(reply.kept).unwrap(),
            "HTTP/1.1 200 OK\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
        let body: Vec<u8> = (reply.body.into_iter())
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
