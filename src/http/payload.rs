//! What follows the header: bytes, a stretch of a file, parts of one, or a stream.
//!
//! A payload only says what is to be sent. The connection counts it down, and the
//! transport moves it: from memory, or from the file straight into the socket.

use super::range::ByteRange;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::vec;

/// The body of a response.
#[derive(Debug, Default)]
pub enum Payload {
    /// Nothing, and it says so: `Content-Length: 0`.
    #[default]
    Empty,
    /// Bytes in memory. They leave in the same write as the header, so they are few.
    Bytes(Arc<[u8]>, Option<ByteRange>),
    /// A stretch of a file.
    File(Stretch),
    /// Several stretches with a header each: `multipart/byteranges`.
    Parts(Box<Parts>),
    /// Made while it is sent; its length is not known beforehand.
    Stream(Box<dyn Produce>),
}

impl Payload {
    /// Content-Length, in bytes; `None` if only the end will tell.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Bytes(bytes, None) => Some(bytes.len() as u64),
            Self::Bytes(_, Some(range)) => Some(range.length()),
            Self::File(stretch) => Some(stretch.left()),
            Self::Parts(parts) => Some(parts.length()),
            Self::Stream(_) => None,
        }
    }
}

/// The rest of a stretch of an open file. Shared: many connections may send one file.
#[derive(Clone, Debug)]
pub struct Stretch {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

impl Stretch {
    /// `length` bytes of `file` from `offset`, which the caller knows to be there.
    pub fn new(file: Arc<File>, offset: u64, length: u64) -> Self {
        Self {
            file,
            offset,
            left: length,
        }
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where in the file the next byte to send lies.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes still to send.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// `sent` bytes have left.
    pub fn advance(&mut self, sent: u64) {
        debug_assert!(sent <= self.left);
        self.offset += sent;
        self.left = self.left.saturating_sub(sent);
    }
}

/// A `multipart/byteranges` body whose parts are stretches of a file. The head of a part is
/// rendered when its turn comes, so a part that waits takes only the 16 bytes of its range.
#[derive(Debug)]
pub struct Parts {
    file: Arc<File>,
    waiting: vec::IntoIter<ByteRange>,
    multipart: Multipart,
    length: u64,
}

impl Parts {
    /// These ranges of `file`, in this order.
    pub fn new(file: Arc<File>, ranges: Vec<ByteRange>, multipart: Multipart) -> Self {
        Self {
            file,
            length: multipart.length(&ranges),
            waiting: ranges.into_iter(),
            multipart,
        }
    }

    /// Appends the head of the next part to `out` and returns the part, or appends the end of
    /// the body.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Option<Stretch> {
        let Some(range) = self.waiting.next() else {
            self.multipart.put_end(out);
            return None;
        };
        self.multipart.put_head(range, out);
        let stretch = Stretch::new(self.file.clone(), range.first(), range.length());
        Some(stretch)
    }

    /// Bytes of the whole body.
    pub fn length(&self) -> u64 {
        self.length
    }
}

/// The text between the parts of a `multipart/byteranges` body (RFC 9110 14.6, RFC 2046 5.1.1).
/// The body begins with CRLF, as that of nginx and Apache does: zsync skips one line before the
/// first boundary.
///
/// ```text
/// CRLF --BOUNDARY CRLF
/// Content-Type: text/plain CRLF
/// Content-Range: bytes 0-9/100 CRLF
/// CRLF
/// ten bytes
/// CRLF --BOUNDARY CRLF  ... and so on ...
/// CRLF --BOUNDARY-- CRLF
/// ```
#[derive(Debug)]
pub struct Multipart {
    /// The head of a part up to the value of its Content-Range.
    head: String,
    end: String,
    total: u64,
}

impl Multipart {
    /// Parts of a file of `total` bytes.
    pub fn new(boundary: &str, content_type: &str, total: u64) -> Self {
        Self {
            head: format!("\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: "),
            end: format!("\r\n--{boundary}--\r\n"),
            total,
        }
    }

    /// Appends what stands before the bytes of `range`.
    pub fn put_head(&self, range: ByteRange, out: &mut Vec<u8>) {
        out.extend_from_slice(self.head.as_bytes());
        range.put_content_range(self.total, out);
        out.extend_from_slice(b"\r\n\r\n");
    }

    /// Appends what stands behind the last part.
    pub fn put_end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.end.as_bytes());
    }

    /// Bytes of a body with these parts. They have no byte in common, so the sum cannot overflow.
    pub fn length(&self, ranges: &[ByteRange]) -> u64 {
        let mut head = Vec::new();
        let parts = ranges.iter().map(|range| {
            head.clear();
            self.put_head(*range, &mut head);
            head.len() as u64 + range.length()
        });
        parts.sum::<u64>() + self.end.len() as u64
    }
}

/// A body that is made while it is sent, a bounded slice at a time.
pub trait Produce: Send {
    /// Appends the next bytes to `out`, doing a bounded amount of work. Appending nothing and
    /// returning [`Progress::More`] is allowed: some slices only prepare.
    ///
    /// # Errors
    /// The body cannot be completed; the connection is aborted, so that nobody takes what
    /// was sent for the whole.
    fn produce(&mut self, out: &mut Vec<u8>) -> io::Result<Progress>;
}

/// Whether a stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Ask again.
    More,
    /// That was the last slice.
    Done,
}

impl fmt::Debug for dyn Produce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dyn Produce")
    }
}
