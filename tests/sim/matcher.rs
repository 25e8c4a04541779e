//! Compares the output of a connection with the expected responses.

use crate::requests::{ExpectedResponse, Piece, SimRequest, content};
use crate::response_checker::{Position, ResponseChecker};

/// Compares byte by byte, as the bytes are sent.
#[derive(Debug)]
pub struct Matcher {
    responses: Vec<ExpectedResponse>,
    /// Bytes of the current response's head that were sent.
    header: usize,
    /// Whether that head may still be the one that keeps the connection open, or the one that
    /// closes it.
    kept: bool,
    last: bool,
    is_whole: bool,
    /// Complete pieces of the current body, and bytes of the next one.
    pieces: usize,
    within: u64,
    /// The last response is complete.
    over: bool,
    /// This response and all after it must say that they are the last.
    last_from: usize,
    /// Bytes sent in total.
    total: u64,
    /// Where each complete response ended.
    ends: Vec<u64>,
}

impl Matcher {
    pub fn new(requests: &[SimRequest]) -> Self {
        let mut matcher = Self {
            responses: requests.iter().map(SimRequest::response).collect(),
            header: 0,
            kept: true,
            last: true,
            is_whole: false,
            pieces: 0,
            within: 0,
            over: false,
            last_from: usize::MAX,
            total: 0,
            ends: Vec::new(),
        };
        matcher.begin();
        matcher
    }
}

impl ResponseChecker for Matcher {
    fn sent(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        self.total += bytes.len() as u64;
        while !bytes.is_empty() {
            let taken = match self.piece() {
                _ if self.over => return Err(self.wrong("after the last response", bytes)),
                None if self.done() == self.responses.len() => {
                    return Err(self.wrong("without a request", bytes));
                }
                None if self.is_whole => return Err(self.wrong("after a broken body", bytes)),
                None => {
                    let taken = self.header_sent(bytes)?;
                    self.header += taken;
                    bytes = &bytes[taken..];
                    self.finish();
                    continue;
                }
                Some(Piece::Bytes(piece)) => {
                    let rest = &piece[self.within as usize..];
                    let length = rest.len().min(bytes.len());
                    if rest[..length] != bytes[..length] {
                        return Err(self.wrong("in a body", bytes));
                    }
                    length
                }
                Some(&Piece::File { file, offset, left }) => {
                    let length = (left - self.within).min(bytes.len() as u64) as usize;
                    let from = offset + self.within;
                    let is_right =
                        |(at, byte): (usize, &u8)| *byte == content(file, from + at as u64);
                    if !bytes[..length].iter().enumerate().all(is_right) {
                        return Err(self.wrong("of a file", bytes));
                    }
                    length
                }
            };
            self.advance(taken as u64);
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn file_sent(&mut self, file: usize, offset: u64, length: u64) -> Result<(), String> {
        self.total += length;
        let (within, over) = (self.within, self.over);
        match self.piece() {
            Some(&Piece::File {
                file: right,
                offset: from,
                left,
            }) if !over && file == right && offset == from + within && length <= left - within => {
                self.advance(length);
                Ok(())
            }
            _ => Err(format!(
                "bytes {offset}+{length} of file {file} instead of {:?}",
                self.position()
            )),
        }
    }

    fn expect_last(&mut self, number: usize) {
        self.last_from = self.last_from.min(number);
    }

    fn position(&self) -> Position {
        match self.header {
            0 => Position::Between,
            _ if self.is_whole && self.piece().is_none() => Position::Broken,
            _ => Position::Within,
        }
    }

    fn done(&self) -> usize {
        self.ends.len()
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn total(&self) -> u64 {
        self.total
    }

    fn done_within(&self, bytes: u64) -> usize {
        self.ends.partition_point(|&end| end <= bytes)
    }
}

impl Matcher {
    /// The current piece of the body, if the head is complete.
    fn piece(&self) -> Option<&Piece> {
        let response = self.responses.get(self.done())?;
        response.body.get(self.pieces).filter(|_| self.is_whole)
    }

    fn header_sent(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let response = &self.responses[self.done()];
        for (taken, &byte) in bytes.iter().enumerate() {
            let at = self.header + taken;
            self.kept &= response.kept.get(at) == Some(&byte);
            self.last &= response.last.get(at) == Some(&byte);
            if !self.kept && !self.last {
                return Err(self.wrong("in a header", &bytes[taken..]));
            }
            self.is_whole = (self.kept && at + 1 == response.kept.len())
                || (self.last && at + 1 == response.last.len());
            if self.is_whole && !self.last && self.done() >= self.last_from {
                return Err(format!(
                    "response {} did not say that it was the last",
                    self.done()
                ));
            }
            if self.is_whole {
                return Ok(taken + 1);
            }
        }
        Ok(bytes.len())
    }

    fn advance(&mut self, length: u64) {
        self.within += length;
        if self
            .piece()
            .is_some_and(|piece| piece.length() == self.within)
        {
            self.pieces += 1;
            self.within = 0;
        }
        self.finish();
    }

    /// Goes on to the next response if this one is complete.
    fn finish(&mut self) {
        while self.piece().is_some_and(|piece| piece.length() == 0) {
            self.pieces += 1;
        }
        if self.is_whole && self.piece().is_none() && !self.responses[self.done()].breaks {
            self.over = self.last;
            self.ends.push(self.total);
            self.begin();
        }
    }

    /// Begins the next response.
    fn begin(&mut self) {
        self.header = 0;
        self.is_whole = false;
        self.pieces = 0;
        self.within = 0;
        self.last = true;
        self.kept =
            (self.responses.get(self.done())).is_some_and(|response| !response.kept.is_empty());
    }

    fn wrong(&self, place: &str, bytes: &[u8]) -> String {
        let shown = &bytes[..bytes.len().min(60)];
        format!(
            "wrong bytes {place} (response {}): {:?}",
            self.done(),
            String::from_utf8_lossy(shown)
        )
    }
}
