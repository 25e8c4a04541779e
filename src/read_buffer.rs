//! Received bytes, until they are a whole request head or cannot become one.
//!
//! The buffer remembers how far it has searched for the end of the head and checked its grammar, so
//! that a head that arrives byte by byte is searched once, not once for each byte. It holds no
//! memory while it is empty: the loop lends its own buffer to the connection that runs
//! ([`ReadBuffer::borrow_from`]) and takes it back afterwards ([`ReadBuffer::give_back_to`]). Only
//! bytes that no response has consumed yet, mostly an unfinished head, are copied to a buffer of
//! the connection's own, which is exactly as large.

use crate::http::grammar::GrammarCheck;
use crate::http::status::RequestError;

/// The smallest buffer of a connection's own, in bytes.
const SMALLEST: usize = 256;

/// Bytes received and not yet consumed.
#[derive(Debug, Default)]
pub struct ReadBuffer {
    buffer: Box<[u8]>,
    /// Unconsumed bytes are `buffer[start..end]`.
    start: u32,
    end: u32,
    /// The bytes before this index are searched for the end of a head.
    searched: u32,
    /// Where the line that is being searched begins.
    line: u32,
    /// The state after the bytes before `searched`.
    grammar: GrammarCheck,
    /// Empty lines before the request that were skipped.
    skipped: u16,
}

/// The result of a search for the end of a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadEnd {
    /// The head is not complete, and within the limits.
    NotYet,
    /// The head is complete, and has this many bytes.
    At(usize),
    /// The head is not complete, and no request begins with these bytes.
    Malformed(RequestError),
    /// The request line is longer than the limit.
    LineTooLong,
    /// The head is longer than the limit.
    TooLong,
}

impl ReadBuffer {
    /// Whether it has no unconsumed bytes.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes of memory that it holds.
    pub fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// The unconsumed bytes.
    pub fn bytes(&self) -> &[u8] {
        self.between(self.start, self.end as usize)
    }

    /// The free part of the buffer, to receive into. It is never empty. If the buffer is full, its
    /// size is doubled, up to `max_size` bytes; but it has at least 256, and grows by at least one.
    pub fn free_space(&mut self, max_size: usize) -> &mut [u8] {
        if self.is_empty() {
            self.rebase();
        }
        if self.end as usize == self.buffer.len() {
            if self.start > 0 {
                self.compact();
            } else {
                let doubled = (self.buffer.len() * 2).clamp(SMALLEST, max_size.max(SMALLEST));
                self.replace(vec![0; doubled.max(self.buffer.len() + 1)].into_boxed_slice());
            }
        }
        let (_, free) = self.buffer.split_at_mut(self.end as usize);
        free
    }

    /// `length` bytes were received into the free part.
    pub fn on_received(&mut self, length: usize) {
        self.end += length as u32;
        assert!(self.end as usize <= self.buffer.len());
    }

    /// Removes the first `length` bytes: a head that has been answered.
    pub fn consume(&mut self, length: usize) {
        self.start += length as u32;
        assert!(self.start <= self.end);
        if self.is_empty() {
            // The whole buffer is free again: the part behind `end` may be one byte only.
            self.start = 0;
            self.end = 0;
        }
        self.searched = self.start;
        self.line = self.start;
        self.grammar = GrammarCheck::default();
        self.skipped = 0;
    }

    /// Removes all bytes.
    pub fn clear(&mut self) {
        self.consume(self.bytes().len());
    }

    /// Searches the bytes that are not searched yet for the end of a head: an empty line, ended by
    /// CRLF or by a bare LF (so that such a request is refused at once). Without an end, checks
    /// whether a request may begin like this.
    ///
    /// Skips at most `most_empty_lines` empty lines *before* the head (RFC 9112 2.2 asks for one).
    /// One more is a head without a request line, which is refused. The result depends on the bytes
    /// alone, not on how they were split on their way.
    pub fn find_head(
        &mut self,
        longest_head: usize,
        longest_line: usize,
        most_empty_lines: u16,
    ) -> HeadEnd {
        let mut unchecked = self.searched;
        while let Some(lf) = self.next_line_end() {
            let line = self.between(self.line, lf);
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
                self.grammar = GrammarCheck::default();
                unchecked = self.start;
                continue;
            }
            if is_first && length > longest_line {
                return HeadEnd::LineTooLong;
            }
            let so_far = (self.searched - self.start) as usize;
            if so_far > longest_head {
                return HeadEnd::TooLong;
            }
            if is_empty {
                return HeadEnd::At(so_far);
            }
        }
        self.searched = self.end;
        match self.bytes().len() {
            // One byte more than the longest line: its CR.
            waiting if self.line == self.start && waiting > longest_line + 1 => {
                HeadEnd::LineTooLong
            }
            waiting if waiting > longest_head => HeadEnd::TooLong,
            0 => HeadEnd::NotYet,
            _ => match self.check_grammar(unchecked) {
                Ok(()) => HeadEnd::NotYet,
                Err(error) => HeadEnd::Malformed(error),
            },
        }
    }

    /// Checks the grammar of the bytes from `unchecked` on.
    fn check_grammar(&mut self, unchecked: u32) -> Result<(), RequestError> {
        let mut grammar = self.grammar;
        let from = (unchecked - self.start) as usize;
        let checked = grammar.advance(self.bytes(), from);
        self.grammar = grammar;
        checked
    }

    /// Whether the first byte of a request has arrived. The CR of an empty line does not count.
    pub fn has_begun(&self) -> bool {
        !matches!(self.bytes(), [] | [b'\r'])
    }

    /// Borrows the loop's buffer if this one has none of its own.
    pub fn borrow_from(&mut self, loop_buffer: &mut Box<[u8]>) {
        if self.buffer.is_empty() {
            std::mem::swap(&mut self.buffer, loop_buffer);
        }
    }

    /// Gives the loop's buffer back. Copies unconsumed bytes to a buffer that is as large as they
    /// are; without any, keeps no memory.
    pub fn give_back_to(&mut self, loop_buffer: &mut Box<[u8]>) {
        if loop_buffer.is_empty() {
            let own = if self.is_empty() {
                Box::default()
            } else {
                Box::from(self.bytes())
            };
            *loop_buffer = self.replace(own);
        } else if self.is_empty() {
            self.buffer = Box::default();
        }
    }

    /// Copies the unconsumed bytes to the start of `buffer`. Returns the old buffer.
    fn replace(&mut self, mut buffer: Box<[u8]>) -> Box<[u8]> {
        let bytes = self.bytes();
        let (copy, _) = buffer.split_at_mut(bytes.len());
        copy.copy_from_slice(bytes);
        self.rebase();
        std::mem::replace(&mut self.buffer, buffer)
    }

    /// The bytes from `start` to `end`. Panics if they are not in this order in the buffer.
    fn between(&self, start: u32, end: usize) -> &[u8] {
        let (before_end, _) = self.buffer.split_at(end);
        before_end.split_at(start as usize).1
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
        let unsearched = self.between(self.searched, self.end as usize);
        memchr::memchr(b'\n', unsearched).map(|at| self.searched as usize + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(read_buffer: &mut ReadBuffer, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let free = read_buffer.free_space(1 << 16);
            let length = free.len().min(bytes.len());
            free[..length].copy_from_slice(&bytes[..length]);
            read_buffer.on_received(length);
            bytes = &bytes[length..];
        }
    }

    /// What is found when `bytes` arrive in pieces of `size`.
    fn finds(bytes: &[u8], size: usize) -> (HeadEnd, Vec<u8>) {
        let mut read_buffer = ReadBuffer::default();
        for piece in bytes.chunks(size) {
            fill(&mut read_buffer, piece);
            match read_buffer.find_head(60, 20, 2) {
                HeadEnd::NotYet => {}
                HeadEnd::At(length) => {
                    return (HeadEnd::At(length), read_buffer.bytes()[..length].to_vec());
                }
                other => return (other, Vec::new()),
            }
        }
        (HeadEnd::NotYet, Vec::new())
    }

    #[test]
    fn a_head_ends_at_its_first_empty_line_however_it_was_split() {
        let cases: [(&[u8], HeadEnd, &[u8]); 9] = [
            (
                b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest",
                HeadEnd::At(24),
                b"GET / HTTP/1.1\r\nA: b\r\n\r\n",
            ),
            (
                b"\r\nGET / HTTP/1.1\r\n\r\n",
                HeadEnd::At(18),
                b"GET / HTTP/1.1\r\n\r\n",
            ),
            (
                b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                HeadEnd::At(18),
                b"GET / HTTP/1.1\r\n\r\n",
            ),
            (b"\r\n\r\n\r\nGET /", HeadEnd::At(2), b"\r\n"),
            (b"GET / HTTP/1.1\r\nA: b\r\n\r", HeadEnd::NotYet, b""),
            (
                b"GET /123456 HTTP/1.1\r\n\r\n",
                HeadEnd::At(24),
                b"GET /123456 HTTP/1.1\r\n\r\n",
            ),
            (b"GET /1234567 HTTP/1.1\r\n\r\n", HeadEnd::LineTooLong, b""),
            (b"GET /123456789012345678901", HeadEnd::LineTooLong, b""),
            (
                b"GET / HTTP/1.1\r\nA:12345678901234567890123456789012345678901234567890",
                HeadEnd::TooLong,
                b"",
            ),
        ];
        for (bytes, found, head) in cases {
            for size in 1..=bytes.len() {
                let text = bytes.escape_ascii();
                assert_eq!(
                    finds(bytes, size),
                    (found, head.to_vec()),
                    "{text} by {size}"
                );
            }
        }
    }

    #[test]
    fn a_byte_that_no_request_can_have_is_found_as_soon_as_it_arrives() {
        for bytes in [
            b"\x16".as_slice(),
            b"\r\n\r\n\0",
            b"EHLO x\r",
            b"GET / HTTP/1.1\r\nA\r",
        ] {
            for size in 1..=bytes.len() {
                let (_, before) = bytes.split_last().unwrap();
                assert_eq!(finds(before, size).0, HeadEnd::NotYet);
                assert!(matches!(finds(bytes, size).0, HeadEnd::Malformed(_)));
            }
        }
    }

    #[test]
    fn a_request_begins_after_the_empty_lines() {
        let mut read_buffer = ReadBuffer::default();
        for (bytes, expected) in [(b"\r", false), (b"\n", false), (b"\r", false), (b"x", true)] {
            fill(&mut read_buffer, bytes);
            read_buffer.find_head(60, 20, 2);
            assert_eq!(read_buffer.has_begun(), expected);
        }
    }

    /// Otherwise a head that arrives byte by byte would cost the square of its length.
    #[test]
    fn no_byte_is_searched_twice() {
        let mut read_buffer = ReadBuffer::default();
        for byte in b"G / HTTP/1.1\r\nA:\r\nB:\r\nC:\r" {
            fill(&mut read_buffer, &[*byte]);
            let grammar = read_buffer.grammar;
            assert_eq!(read_buffer.find_head(60, 20, 2), HeadEnd::NotYet);
            assert_eq!(read_buffer.searched, read_buffer.end);
            assert_ne!(
                read_buffer.grammar, grammar,
                "no byte of the same kind follows another here"
            );
        }
    }

    #[test]
    fn a_read_buffer_without_bytes_holds_no_memory() {
        let mut loop_buffer = vec![0; 1024].into_boxed_slice();
        let mut read_buffer = ReadBuffer::default();
        read_buffer.borrow_from(&mut loop_buffer);
        assert_eq!(loop_buffer.len(), 0);
        let head = b"GET / HTTP/1.1\r\n\r\n";
        fill(&mut read_buffer, &[head, b"GE".as_slice()].concat());
        assert_eq!(read_buffer.find_head(60, 20, 2), HeadEnd::At(18));
        read_buffer.consume(18);
        read_buffer.give_back_to(&mut loop_buffer);
        assert_eq!(
            (loop_buffer.len(), read_buffer.buffer.len()),
            (1024, 2),
            "what is left, and no more"
        );
        read_buffer.borrow_from(&mut loop_buffer);
        assert_eq!(
            loop_buffer.len(),
            1024,
            "a read buffer with bytes keeps its own buffer"
        );
        fill(&mut read_buffer, &head[2..]);
        assert_eq!(read_buffer.find_head(60, 20, 2), HeadEnd::At(18));
        assert_eq!(read_buffer.bytes()[..18], *head);
        read_buffer.consume(18);
        read_buffer.give_back_to(&mut loop_buffer);
        assert_eq!((loop_buffer.len(), read_buffer.buffer.len()), (1024, 0));
    }

    #[test]
    fn a_read_buffer_without_bytes_is_free_as_a_whole() {
        let mut read_buffer = ReadBuffer::default();
        fill(&mut read_buffer, &[b'x'; 255]);
        assert_eq!(read_buffer.free_space(0).len(), 1);
        read_buffer.consume(255);
        assert_eq!(read_buffer.free_space(0).len(), 256);
    }

    #[test]
    fn the_free_part_is_never_empty_and_bytes_survive_growth() {
        let mut read_buffer = ReadBuffer::default();
        let bytes: Vec<u8> = (0..5000).map(|n| (n % 251) as u8).collect();
        fill(&mut read_buffer, &bytes);
        assert_eq!(read_buffer.bytes(), bytes);
        read_buffer.consume(100);
        fill(&mut read_buffer, &bytes);
        assert_eq!(read_buffer.bytes(), [&bytes[100..], &bytes].concat());
    }
}
