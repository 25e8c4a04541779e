//! A record layer as a `Transport`: what TLS does to a byte stream, without its cryptography.
//!
//! A record is a type, the length of its payload (a byte), and the payload with all bits inverted.
//! The handshake is a number of round trips, which the peer begins. [`Records`] is the server's
//! end; [`seal`] and [`open`] are the peer's.

#![allow(dead_code, reason = "each test uses the part it needs")]

use oneloop::transport::{Handshake, Transport, sendfile};
use std::fs::File;
use std::io;
use std::sync::Arc;

pub const HANDSHAKE: u8 = b'H';
pub const DATA: u8 = b'D';
pub const CLOSE: u8 = b'C';

/// Most bytes in a record that the server sends.
pub const RECORD: usize = 60;
/// What the server sends in a round trip.
pub const FLIGHT: &[u8] = &[b'f'; 40];

/// The server's end, over a transport of bytes.
#[derive(Debug)]
pub struct Records<T> {
    inner: T,
    /// Round trips of the handshake that are to come.
    rounds: usize,
    /// Received and not decoded.
    raw: Vec<u8>,
    /// Decoded and not returned.
    plaintext: Vec<u8>,
    /// Encoded, and not taken by the inner transport.
    unsent: Vec<u8>,
    /// The payload of the data in `unsent`, which was not reported as sent.
    unreported: Vec<u8>,
    peer_has_closed: bool,
    has_closed: bool,
}

/// Bytes as a record of this type.
pub fn seal(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a payload of 255 bytes at most");
    let inverted = payload.iter().map(|byte| !byte);
    [kind, length].into_iter().chain(inverted).collect()
}

/// What a sequence of records says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Messages of the handshake.
    pub flights: usize,
    /// The payload of all data.
    pub plaintext: Vec<u8>,
    /// The last record is the end of the direction.
    pub is_closed: bool,
}

/// Decodes what a server has sent: whole records in a sensible order.
pub fn open(mut raw: &[u8]) -> Opened {
    let mut opened = Opened::default();
    while let Some((kind, payload, length)) = first(raw) {
        assert!(!opened.is_closed, "a record after the end");
        match kind {
            HANDSHAKE => {
                assert_eq!((&*payload, opened.plaintext.len()), (FLIGHT, 0));
                opened.flights += 1;
            }
            DATA => opened.plaintext.extend(payload),
            CLOSE => opened.is_closed = true,
            other => panic!("a record of type {other}"),
        }
        raw = &raw[length..];
    }
    assert_eq!(raw, b"", "a part of a record");
    opened
}

/// The first record of `raw`, if it is whole: type, payload, and its length with its header.
fn first(raw: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (header, rest) = raw.split_at_checked(2)?;
    let (payload, _) = rest.split_at_checked(header[1].into())?;
    let payload = payload.iter().map(|byte| !byte).collect();
    Some((header[0], payload, 2 + usize::from(header[1])))
}

impl<T: Transport> Records<T> {
    pub fn new(inner: T, rounds: usize) -> Self {
        Self {
            inner,
            rounds,
            raw: Vec::new(),
            plaintext: Vec::new(),
            unsent: Vec::new(),
            unreported: Vec::new(),
            peer_has_closed: false,
            has_closed: false,
        }
    }

    /// The next record, received if it is not here. `None`: the peer has closed its socket.
    fn record(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        loop {
            if let Some((kind, payload, length)) = first(&self.raw) {
                self.raw.drain(..length);
                return Ok(Some((kind, payload)));
            }
            let mut buf = [0; 1000];
            match self.inner.receive(&mut buf)? {
                0 => return Ok(None),
                length => self.raw.extend_from_slice(&buf[..length]),
            }
        }
    }

    /// Sends what is encoded, until the inner transport has taken all or would block.
    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.inner.send(&self.unsent, false)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                length => drop(self.unsent.drain(..length)),
            }
        }
        Ok(())
    }
}

impl<T: Transport> Transport for Records<T> {
    fn needs_handshake(&self) -> bool {
        self.rounds > 0
    }

    fn handshake(&mut self) -> io::Result<Handshake> {
        if self.unsent.is_empty() {
            match self.record()? {
                Some((HANDSHAKE, _)) => self.unsent = seal(HANDSHAKE, FLIGHT),
                Some(_) => return Err(io::ErrorKind::InvalidData.into()),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        self.flush()?;
        self.rounds -= 1;
        Ok(match self.rounds {
            0 => Handshake::Complete,
            _ => Handshake::Unfinished,
        })
    }

    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        assert_eq!(self.rounds, 0, "a receive before the handshake is complete");
        while self.plaintext.is_empty() && !self.peer_has_closed {
            match self.record()? {
                Some((DATA, payload)) => self.plaintext = payload,
                Some((CLOSE, _)) => self.peer_has_closed = true,
                Some(_) => return Err(io::ErrorKind::InvalidData.into()),
                // A truncated stream must not look like a complete one (close_notify).
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let length = self.plaintext.len().min(buf.len());
        buf[..length].copy_from_slice(&self.plaintext[..length]);
        self.plaintext.drain(..length);
        Ok(length)
    }

    fn is_known_empty(&self) -> bool {
        self.plaintext.is_empty() && self.raw.is_empty() && self.inner.is_known_empty()
    }

    fn assume_readable(&mut self) {
        self.inner.assume_readable();
    }

    fn send(&mut self, bytes: &[u8], _: bool) -> io::Result<usize> {
        assert_eq!(self.rounds, 0, "a send before the handshake is complete");
        assert!(!self.has_closed, "a send after the end");
        if self.unreported.is_empty() {
            self.unreported = bytes[..bytes.len().min(RECORD)].to_vec();
            self.unsent.extend(seal(DATA, &self.unreported));
        }
        assert!(
            bytes.starts_with(&self.unreported),
            "other bytes than those that blocked"
        );
        self.flush()?;
        Ok(std::mem::take(&mut self.unreported).len())
    }

    fn send_file(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        length: u64,
        copy: &mut [u8],
    ) -> io::Result<usize> {
        sendfile::by_copying(file, offset, length, copy, |bytes| self.send(bytes, false))
    }

    fn close_notify(&mut self) -> io::Result<()> {
        // Before the end of the handshake there is nothing to end.
        if self.rounds == 0 && !std::mem::replace(&mut self.has_closed, true) {
            self.unsent.extend(seal(CLOSE, b""));
        }
        self.flush()
    }

    fn shutdown(&mut self) -> io::Result<()> {
        assert!(
            self.has_closed && self.unsent.is_empty(),
            "shut before the end was sent"
        );
        self.inner.shutdown()
    }

    fn reset_on_close(&mut self) {
        self.inner.reset_on_close();
    }
}
