//! Received bytes, until they are a whole request head or can be none any more.
//!
//! Two things make it more than a buffer. It remembers how far it has searched for the
//! end of the head and checked its grammar, so a head that arrives a byte at a time is still
//! searched once, not once per byte. And it holds no memory while it is empty: the loop lends
//! its own buffer to whichever connection is being served ([`Inbox::borrow_from`]) and takes
//! it back afterwards ([`Inbox::give_back_to`]); only what is left of an unfinished head
//! moves into memory of the connection's own, and just as much as it needs.

use crate::http::scan::Scan;

/// The smallest buffer a connection gets for itself.
const SMALLEST: usize = 256;

/// Bytes received and not yet consumed.
#[derive(Debug, Default)]
pub struct Inbox {
    buffer: Box<[u8]>,
    /// Unconsumed bytes are `buffer[start..end]`.
    start: u32,
    end: u32,
    /// Everything before this has been searched for the end of a head.
    searched: u32,
    /// Where the line being searched begins.
    line: u32,
    /// The grammar of the bytes before `searched`.
    scan: Scan,
    /// Empty lines that stood before the request and were skipped.
    skipped: u16,
}

/// How much of a head has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Not all, and not too much yet.
    Partial,
    /// All of it: this many bytes.
    Whole(usize),
    /// Not all, and no head begins like this.
    Malformed,
    /// More than a request line may have, and no line end in it.
    LineTooLong,
    /// More than a head may have, and no end in it.
    TooLong,
}

impl Inbox {
    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes of memory that it holds.
    pub fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// The waiting bytes.
    pub fn bytes(&self) -> &[u8] {
        self.buffer
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    /// Room to receive into. Never empty; all there is while nothing waits. Grows the buffer when
    /// it is full, to at most `most` bytes and always by at least one.
    pub fn room(&mut self, most: usize) -> &mut [u8] {
        if self.is_empty() {
            self.rebase();
        }
        if self.end as usize == self.buffer.len() {
            if self.start > 0 {
                self.compact();
            } else {
                let doubled = (self.buffer.len() * 2).clamp(SMALLEST, most.max(SMALLEST));
                self.replace(vec![0; doubled.max(self.buffer.len() + 1)].into_boxed_slice());
            }
        }
        self.buffer.get_mut(self.end as usize..).unwrap_or_default()
    }

    /// `length` bytes were received into the room.
    pub fn received(&mut self, length: usize) {
        self.end += length as u32;
        debug_assert!(self.end as usize <= self.buffer.len());
    }

    /// The first `length` bytes, a head, have been dealt with.
    pub fn consume(&mut self, length: usize) {
        self.start += length as u32;
        debug_assert!(self.start <= self.end);
        if self.is_empty() {
            // The whole buffer is room again: what is left behind `end` may be a byte.
            self.start = 0;
            self.end = 0;
        }
        self.searched = self.start;
        self.line = self.start;
        self.scan = Scan::default();
        self.skipped = 0;
    }

    /// Forgets everything that is waiting.
    pub fn clear(&mut self) {
        self.consume(self.bytes().len());
    }

    /// Looks for the end of a head in what has not been searched: an empty line, ended by CRLF
    /// or (so that a peer that ends lines wrongly hears of it at once) by a bare LF. Without an
    /// end, it looks for a byte that no head can have there.
    ///
    /// Empty lines *before* the head, at most `most_empty_lines`, are skipped, as RFC 9112 2.2 asks
    /// (for one); one more is a head without a request line, and will be refused as such. The
    /// answer depends on the bytes alone, never on how they were split on their way.
    pub fn arrival(
        &mut self,
        longest_head: usize,
        longest_line: usize,
        most_empty_lines: u16,
    ) -> Arrival {
        let mut unchecked = self.searched;
        while let Some(lf) = self.next_line_end() {
            let line = self.buffer.get(self.line as usize..lf).unwrap_or_default();
            let (is_empty, length) = match line.strip_suffix(b"\r") {
                Some(content) => (content.is_empty(), content.len()),
                None => (line.is_empty(), line.len()),
            };
            let is_first = self.line == self.start;
            let is_skippable = is_first && line == b"\r" && self.skipped < most_empty_lines;
            self.searched = lf as u32 + 1;
            self.line = self.searched;
            if is_skippable {
                self.start = self.searched;
                self.skipped += 1;
                self.scan = Scan::default();
                unchecked = self.start;
                continue;
            }
            if is_first && length > longest_line {
                return Arrival::LineTooLong;
            }
            let so_far = (self.searched - self.start) as usize;
            if so_far > longest_head {
                return Arrival::TooLong;
            }
            if is_empty {
                return Arrival::Whole(so_far);
            }
        }
        self.searched = self.end;
        match self.bytes().len() {
            // One more than the longest may be waiting: its CR.
            waiting if self.line == self.start && waiting > longest_line + 1 => {
                Arrival::LineTooLong
            }
            waiting if waiting > longest_head => Arrival::TooLong,
            0 => Arrival::Partial,
            _ if self.is_malformed(unchecked) => Arrival::Malformed,
            _ => Arrival::Partial,
        }
    }

    /// Checks the grammar of what waits, from `unchecked` on.
    fn is_malformed(&mut self, unchecked: u32) -> bool {
        let mut scan = self.scan;
        let from = (unchecked - self.start) as usize;
        let checked = scan.advance(self.bytes(), from);
        self.scan = scan;
        checked.is_err()
    }

    /// The first `length` waiting bytes: a head that [`Inbox::arrival`] has found.
    pub fn head(&self, length: usize) -> &[u8] {
        self.bytes().get(..length).unwrap_or_default()
    }

    /// Whether the first byte of a request has arrived. The CR of an empty line is none.
    pub fn has_begun(&self) -> bool {
        !matches!(self.bytes(), [] | [b'\r'])
    }

    /// Takes the loop's buffer if the inbox has none of its own.
    pub fn borrow_from(&mut self, spare: &mut Box<[u8]>) {
        if self.buffer.is_empty() {
            std::mem::swap(&mut self.buffer, spare);
        }
    }

    /// Gives the loop's buffer back, moving what still waits into a buffer of its own size.
    /// With nothing waiting, no memory stays behind.
    pub fn give_back_to(&mut self, spare: &mut Box<[u8]>) {
        if spare.is_empty() {
            let own = if self.is_empty() {
                Box::default()
            } else {
                Box::from(self.bytes())
            };
            *spare = self.replace(own);
        } else if self.is_empty() {
            self.buffer = Box::default();
        }
    }

    /// Moves what waits to the start of `buffer` and returns the old one.
    fn replace(&mut self, mut buffer: Box<[u8]>) -> Box<[u8]> {
        if let Some(room) = buffer.get_mut(..self.bytes().len()) {
            room.copy_from_slice(self.bytes());
        }
        self.rebase();
        std::mem::replace(&mut self.buffer, buffer)
    }

    fn compact(&mut self) {
        self.buffer
            .copy_within(self.start as usize..self.end as usize, 0);
        self.rebase();
    }

    fn rebase(&mut self) {
        self.end -= self.start;
        self.searched -= self.start;
        self.line -= self.start;
        self.start = 0;
    }

    fn next_line_end(&self) -> Option<usize> {
        let unsearched = self.buffer.get(self.searched as usize..self.end as usize)?;
        memchr::memchr(b'\n', unsearched).map(|at| self.searched as usize + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(inbox: &mut Inbox, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = inbox.room(1 << 16);
            let length = room.len().min(bytes.len());
            room[..length].copy_from_slice(&bytes[..length]);
            inbox.received(length);
            bytes = &bytes[length..];
        }
    }

    /// What arrives when `bytes` come in pieces of `size`.
    fn arrives(bytes: &[u8], size: usize) -> (Arrival, Vec<u8>) {
        let mut inbox = Inbox::default();
        for piece in bytes.chunks(size) {
            fill(&mut inbox, piece);
            match inbox.arrival(60, 20, 2) {
                Arrival::Partial => {}
                Arrival::Whole(length) => {
                    return (Arrival::Whole(length), inbox.head(length).to_vec());
                }
                other => return (other, Vec::new()),
            }
        }
        (Arrival::Partial, Vec::new())
    }

    #[test]
    fn a_head_ends_at_its_first_empty_line_however_it_was_split() {
        let cases: [(&[u8], Arrival, &[u8]); 9] = [
            (
                b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest",
                Arrival::Whole(24),
                b"GET / HTTP/1.1\r\nA: b\r\n\r\n",
            ),
            (
                b"\r\nGET / HTTP/1.1\r\n\r\n",
                Arrival::Whole(18),
                b"GET / HTTP/1.1\r\n\r\n",
            ),
            (
                b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                Arrival::Whole(18),
                b"GET / HTTP/1.1\r\n\r\n",
            ),
            (b"\r\n\r\n\r\nGET /", Arrival::Whole(2), b"\r\n"),
            (b"GET / HTTP/1.1\r\nA: b\r\n\r", Arrival::Partial, b""),
            (
                b"GET /123456 HTTP/1.1\r\n\r\n",
                Arrival::Whole(24),
                b"GET /123456 HTTP/1.1\r\n\r\n",
            ),
            (b"GET /1234567 HTTP/1.1\r\n\r\n", Arrival::LineTooLong, b""),
            (b"GET /123456789012345678901", Arrival::LineTooLong, b""),
            (
                b"GET / HTTP/1.1\r\nA:12345678901234567890123456789012345678901234567890",
                Arrival::TooLong,
                b"",
            ),
        ];
        for (bytes, arrival, head) in cases {
            for size in 1..=bytes.len() {
                let text = bytes.escape_ascii();
                assert_eq!(
                    arrives(bytes, size),
                    (arrival, head.to_vec()),
                    "{text} by {size}"
                );
            }
        }
    }

    #[test]
    fn what_no_head_begins_with_is_found_where_it_arrives() {
        for bytes in [
            b"\x16".as_slice(),
            b"\r\n\r\n\0",
            b"EHLO x\r",
            b"GET / HTTP/1.1\r\nA\r",
        ] {
            for size in 1..=bytes.len() {
                let (_, before) = bytes.split_last().unwrap();
                assert_eq!(arrives(before, size).0, Arrival::Partial);
                assert_eq!(arrives(bytes, size).0, Arrival::Malformed);
            }
        }
    }

    #[test]
    fn a_request_begins_behind_the_empty_lines() {
        let mut inbox = Inbox::default();
        for (bytes, expected) in [(b"\r", false), (b"\n", false), (b"\r", false), (b"x", true)] {
            fill(&mut inbox, bytes);
            inbox.arrival(60, 20, 2);
            assert_eq!(inbox.has_begun(), expected);
        }
    }

    /// A head that drips would cost the square of its length.
    #[test]
    fn no_byte_is_searched_twice() {
        let mut inbox = Inbox::default();
        for byte in b"G / HTTP/1.1\r\nA:\r\nB:\r\nC:\r" {
            fill(&mut inbox, &[*byte]);
            let scan = inbox.scan;
            assert_eq!(inbox.arrival(60, 20, 2), Arrival::Partial);
            assert_eq!(inbox.searched, inbox.end);
            assert_ne!(
                inbox.scan, scan,
                "no byte of the same kind follows another here"
            );
        }
    }

    #[test]
    fn an_inbox_without_bytes_holds_no_memory() {
        let mut spare = vec![0; 1024].into_boxed_slice();
        let mut inbox = Inbox::default();
        inbox.borrow_from(&mut spare);
        assert_eq!(spare.len(), 0);
        let head = b"GET / HTTP/1.1\r\n\r\n";
        fill(&mut inbox, &[head, b"GE".as_slice()].concat());
        assert_eq!(inbox.arrival(60, 20, 2), Arrival::Whole(18));
        inbox.consume(18);
        inbox.give_back_to(&mut spare);
        assert_eq!(
            (spare.len(), inbox.buffer.len()),
            (1024, 2),
            "what is left, and no more"
        );
        inbox.borrow_from(&mut spare);
        assert_eq!(
            spare.len(),
            1024,
            "an inbox with bytes keeps its own buffer"
        );
        fill(&mut inbox, &head[2..]);
        assert_eq!(inbox.arrival(60, 20, 2), Arrival::Whole(18));
        assert_eq!(inbox.head(18), head);
        inbox.consume(18);
        inbox.give_back_to(&mut spare);
        assert_eq!((spare.len(), inbox.buffer.len()), (1024, 0));
    }

    #[test]
    fn an_inbox_without_bytes_has_all_its_room() {
        let mut inbox = Inbox::default();
        fill(&mut inbox, &[b'x'; 255]);
        assert_eq!(inbox.room(0).len(), 1);
        inbox.consume(255);
        assert_eq!(inbox.room(0).len(), 256);
    }

    #[test]
    fn room_is_never_empty_and_bytes_survive_its_growth() {
        let mut inbox = Inbox::default();
        let bytes: Vec<u8> = (0..5000).map(|n| (n % 251) as u8).collect();
        fill(&mut inbox, &bytes);
        assert_eq!(inbox.bytes(), bytes);
        inbox.consume(100);
        fill(&mut inbox, &bytes);
        assert_eq!(inbox.bytes(), [&bytes[100..], &bytes].concat());
    }
}
