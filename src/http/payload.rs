//! What follows the header: bytes, a stretch of a file, parts of one, or a stream.
//!
//! A payload only says what is to be sent. The connection counts it down, and the
//! transport moves it: from memory, or from the file straight into the socket.

use super::range::ByteRange;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

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

/// The parts of a `multipart/byteranges` body (RFC 9110 14.6) that are still to be sent.
#[derive(Debug)]
pub struct Parts {
    file: Arc<File>,
    /// What stands before a part, and the part.
    waiting: VecDeque<(Vec<u8>, ByteRange)>,
    /// What stands behind the last one; empty when it has been taken.
    trailer: Vec<u8>,
}

/// What comes next in a multipart body.
#[derive(Debug)]
pub enum NextPart {
    /// These bytes, then this stretch.
    Part(Vec<u8>, Stretch),
    /// These bytes, and that was all.
    Trailer(Vec<u8>),
}

impl Parts {
    /// Parts of `file`, each with the bytes that introduce it, and the closing bytes.
    pub fn new(file: Arc<File>, parts: Vec<(Vec<u8>, ByteRange)>, trailer: Vec<u8>) -> Self {
        Self {
            file,
            waiting: parts.into(),
            trailer,
        }
    }

    /// Takes the next part off.
    pub fn take(&mut self) -> NextPart {
        match self.waiting.pop_front() {
            Some((introduction, range)) => {
                let stretch = Stretch::new(self.file.clone(), range.first(), range.length());
                NextPart::Part(introduction, stretch)
            }
            None => NextPart::Trailer(std::mem::take(&mut self.trailer)),
        }
    }

    /// Bytes in all that is still to be taken.
    pub fn length(&self) -> u64 {
        let parts = self
            .waiting
            .iter()
            .map(|(text, range)| text.len() as u64 + range.length());
        parts.sum::<u64>() + self.trailer.len() as u64
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
