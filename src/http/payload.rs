//! The body of a response: bytes, a range of a file, several ranges, or a stream.
//!
//! A payload only describes what to send. The connection keeps track of what is left, and the
//! transport sends it: from memory, or from the file directly to the socket.

use super::range::ByteRange;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::vec;

/// The body of a response.
#[derive(Debug, Default)]
pub enum Payload {
    /// No bytes: `Content-Length: 0`.
    #[default]
    Empty,
    /// Bytes in memory, or a range of them. Few, as they are sent in the same write as the header.
    Bytes(Arc<[u8]>, Option<ByteRange>),
    /// A range of a file.
    File(FileRange),
    /// Several ranges of a file, each with a header: `multipart/byteranges`.
    Parts(Box<Parts>),
    /// Produced while it is sent.
    Stream(Box<dyn Produce>),
}

impl Payload {
    /// Content-Length in bytes; `None` for a stream whose length is not known before.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Bytes(bytes, None) => Some(bytes.len() as u64),
            Self::Bytes(_, Some(range)) => Some(range.length()),
            Self::File(range) => Some(range.left()),
            Self::Parts(parts) => Some(parts.length()),
            Self::Stream(source) => source.length(),
        }
    }
}

/// What is left to send of a range of an open file. Several connections may share the file.
#[derive(Clone, Debug)]
pub struct FileRange {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

impl FileRange {
    /// `length` bytes of `file` from `offset`. The caller ensures that the file has them.
    pub fn new(file: Arc<File>, offset: u64, length: u64) -> Self {
        Self {
            file,
            offset,
            left: length,
        }
    }

    /// The file.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// The offset of the next byte to send.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes left to send.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Records that `sent` bytes were sent.
    pub fn advance(&mut self, sent: u64) {
        assert!(sent <= self.left, "no more is sent than the range has");
        self.offset += sent;
        self.left -= sent;
    }
}

/// A `multipart/byteranges` body whose parts are ranges of a file. The header of a part is rendered
/// just before the part is sent, so a waiting part takes only the 16 bytes of its range.
#[derive(Debug)]
pub struct Parts {
    file: Arc<File>,
    waiting: vec::IntoIter<ByteRange>,
    multipart: Multipart,
    length: u64,
}

impl Parts {
    /// A body of these ranges of `file`, in this order.
    pub fn new(file: Arc<File>, ranges: Vec<ByteRange>, multipart: Multipart) -> Self {
        Self {
            file,
            length: multipart.length(&ranges),
            waiting: ranges.into_iter(),
            multipart,
        }
    }

    /// Appends the header of the next part to `out` and returns the part, or appends the end of the
    /// body.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Option<FileRange> {
        let Some(range) = self.waiting.next() else {
            self.multipart.put_end(out);
            return None;
        };
        self.multipart.put_head(range, out);
        let range = FileRange::new(self.file.clone(), range.first(), range.length());
        Some(range)
    }

    /// Bytes of the whole body.
    pub fn length(&self) -> u64 {
        self.length
    }
}

/// The text between the parts of a `multipart/byteranges` body (RFC 9110 14.6, RFC 2046 5.1.1).
/// The body begins with CRLF, as with nginx and Apache: zsync skips one line before the first
/// boundary.
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
    /// The header of a part up to the value of its Content-Range.
    head: String,
    end: String,
    total: u64,
}

impl Multipart {
    /// The text between parts of a file of `total` bytes.
    pub fn new(boundary: &str, content_type: &str, total: u64) -> Self {
        Self {
            head: format!("\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: "),
            end: format!("\r\n--{boundary}--\r\n"),
            total,
        }
    }

    /// Appends the header of the part `range`.
    pub fn put_head(&self, range: ByteRange, out: &mut Vec<u8>) {
        out.extend_from_slice(self.head.as_bytes());
        range.put_content_range(self.total, out);
        out.extend_from_slice(b"\r\n\r\n");
    }

    /// Appends the end of the body.
    pub fn put_end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.end.as_bytes());
    }

    /// Bytes of a body with these parts. They do not overlap, so the sum cannot overflow.
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

/// A body that is produced while it is sent, a bounded slice at a time.
pub trait Produce: Send {
    /// Does a bounded amount of work and appends the next bytes to `out`; none, if the slice only
    /// prepared others.
    ///
    /// # Errors
    /// The body cannot be completed. The connection is aborted, so that the client does not take
    /// what was sent for the whole body.
    fn produce(&mut self, out: &mut Vec<u8>) -> io::Result<Progress>;

    /// How many bytes all slices together have, if that is known before the first.
    fn length(&self) -> Option<u64> {
        None
    }
}

/// Whether a stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There are more slices.
    More,
    /// That was the last slice.
    Done,
}

impl fmt::Debug for dyn Produce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dyn Produce")
    }
}
