//! Bodies that are being sent, and the send rate of the peer.

use crate::http::payload::{FileRange, Parts, Payload, Produce, Progress};
use crate::http::response::Framing;
use crate::limits::Limits;
use std::io;
use std::time::{Duration, Instant};

/// The part of a response that has not been rendered into the write buffer yet.
#[derive(Debug)]
pub(super) enum Body {
    File(FileRange),
    Parts {
        current: FileRange,
        rest: Box<Parts>,
    },
    Stream {
        source: Box<dyn Produce>,
        chunked: bool,
    },
    /// Nothing: its last bytes are in the write buffer.
    Rendered,
}

impl Body {
    /// Appends a body in memory to the header in `out`. Returns how many bytes of body that is, and
    /// the rest of the body, if any.
    pub(super) fn render(
        payload: Payload,
        framing: Framing,
        out: &mut Vec<u8>,
    ) -> (u64, Option<Self>) {
        match payload {
            Payload::Empty => (0, None),
            Payload::Bytes(bytes, range) => {
                let bytes = range.map_or(&*bytes, |range| range.of(&bytes));
                out.extend_from_slice(bytes);
                (bytes.len() as u64, None)
            }
            Payload::File(range) if range.left() == 0 => (0, None),
            Payload::File(range) => (0, Some(Self::File(range))),
            Payload::Parts(parts) => {
                let (length, body) = Self::next_part(parts, out);
                (length, Some(body))
            }
            Payload::Stream(source) => (
                0,
                Some(Self::Stream {
                    source,
                    chunked: framing == Framing::Chunked,
                }),
            ),
        }
    }

    /// Appends the framing before the next part, or after the last one.
    pub(super) fn next_part(mut parts: Box<Parts>, out: &mut Vec<u8>) -> (u64, Self) {
        let before = out.len();
        let body = match parts.next(out) {
            Some(current) => Self::Parts {
                current,
                rest: parts,
            },
            None => Self::Rendered,
        };
        ((out.len() - before) as u64, body)
    }

    /// Whether bytes of a file follow what the write buffer holds.
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_) | Self::Parts { .. })
    }
}

/// Appends one slice of a stream, as a chunk of its own if `chunked` (RFC 9112 7.1). Returns how
/// many bytes of body it has, and how many bytes of framing follow them.
pub(super) fn produce_slice(
    source: &mut dyn Produce,
    chunked: bool,
    out: &mut Vec<u8>,
) -> io::Result<(u64, u32, Progress)> {
    if !chunked {
        let before = out.len();
        let progress = source.produce(out)?;
        return Ok(((out.len() - before) as u64, 0, progress));
    }
    // The size comes before the chunk but is known after it: reserve eight digits.
    let size_at = out.len();
    out.extend_from_slice(b"00000000\r\n");
    let chunk_at = out.len();
    let progress = source.produce(out)?;
    let length = out.len() - chunk_at;
    let mut trailing_framing = 0;
    if length == 0 {
        // A chunk of size zero would end the body.
        out.truncate(size_at);
    } else {
        let (_, chunk) = out.split_at_mut(size_at);
        let (size, _) = chunk.split_at_mut(8);
        size.copy_from_slice(format!("{length:08x}").as_bytes());
        out.extend_from_slice(b"\r\n");
        trailing_framing += 2;
    }
    if progress == Progress::Done {
        out.extend_from_slice(b"0\r\n\r\n");
        trailing_framing += 5;
    }
    Ok((length as u64, trailing_framing, progress))
}

/// How fast the socket takes a response. It is ahead of the peer by what the kernel buffers.
#[derive(Clone, Copy, Debug)]
pub struct SendRate {
    started: Instant,
    sent: u64,
}

impl SendRate {
    /// Starts with the response.
    pub fn start(now: Instant) -> Self {
        Self {
            started: now,
            sent: 0,
        }
    }

    /// Leaves this time out: the peer waited for the next slice.
    pub(super) fn exclude(&mut self, time: Duration) {
        self.started += time;
    }

    /// The socket took `length` bytes. Returns by when it must take more: at least one byte every
    /// `send_timeout`, and after the first timeout `min_send_rate` bytes a second on average.
    pub fn on_sent(&mut self, length: u64, limits: &Limits, now: Instant) -> Instant {
        self.sent += length;
        let progress_deadline = now + limits.send_timeout;
        if limits.min_send_rate == 0 {
            return progress_deadline;
        }
        let allowance = Duration::from_secs(self.sent / u64::from(limits.min_send_rate));
        // `None`: later than the clock can tell.
        let rate_deadline = self.started.checked_add(limits.send_timeout + allowance);
        rate_deadline.map_or(progress_deadline, |deadline| {
            deadline.min(progress_deadline)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Connection, ResponseContext, Step};
    use super::*;
    use crate::http::fields::FieldLines;
    use crate::http::response::Response;
    use crate::http::status::Status;
    use std::sync::Arc;

    /// Prepares for as many slices as it says, then has something to give.
    struct Slow(u32);

    impl Produce for Slow {
        fn produce(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
            if self.0 > 0 {
                self.0 -= 1;
                return Ok(Progress::More);
            }
            out.extend_from_slice(b"page");
            Ok(Progress::Done)
        }
    }

    #[test]
    fn a_peer_has_all_its_time_after_a_stream_that_took_long_to_prepare() {
        let limits = Arc::new(Limits::default());
        let mut now = Instant::now();
        let mut connection = Connection::new(limits.clone(), now);
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        if let Step::Receive(buffer) = connection.step() {
            buffer[..head.len()].copy_from_slice(head);
        }
        connection.on_received(head.len(), now);
        assert!(matches!(connection.step(), Step::Respond(Ok(_))));
        let response = Response::new(Status::Ok, Arc::new(FieldLines::new()))
            .with(Payload::Stream(Box::new(Slow(3))));
        let context = ResponseContext {
            date: b"Sun, 06 Nov 1994 08:49:37 GMT",
            draining: false,
            may_coalesce: false,
        };
        connection.respond(response, context, now);
        let mut sent = Vec::new();
        while !connection.is_idle() {
            connection.on_deadline(now);
            match connection.step() {
                Step::Send { bytes, .. } => {
                    sent.extend_from_slice(bytes);
                    let length = bytes.len();
                    connection.on_sent(length, now);
                }
                Step::Produce => {
                    // Each slice takes nearly as long as the peer may.
                    now += limits.send_timeout - Duration::from_secs(1);
                    connection.produce(now);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(sent.ends_with(b"4\r\npage\r\n0\r\n\r\n"));
    }
}
