//! The state machine of one connection.
//!
//! A [`Connection`] does no I/O, reads no clock and knows no site. It names its next [`Step`]; the
//! driver does that step, and reports the result by the method named beside the step. All
//! transitions are in this file. docs/states.md lists them in a table that a test compares with
//! this code.
//!
//! Imports `read_buffer`, `write_buffer`, `http` and `limits`; the time is an argument.

mod body;
mod head;
mod step;

pub use body::Pace;
pub use step::{CloseReason, Counts, StateName, Step, StepName, Terms};

use crate::http::payload::Progress;
use crate::http::response::{Framing, Response};
use crate::http::status::Status;
use crate::limits::Limits;
use crate::read_buffer::ReadBuffer;
use crate::write_buffer::WriteBuffer;
use body::{Body, produce_slice};
use head::Head;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// One connection, from accept to close.
#[derive(Debug)]
pub struct Connection {
    state: State,
    read_buffer: ReadBuffer,
    write_buffer: WriteBuffer,
    /// When [`Connection::expired`] must be called, unless another call moves it.
    deadline: Instant,
    counts: Counts,
    limits: Arc<Limits>,
}

/// A state owns what only it needs; a transition drops it. Buffers outlive the state.
#[derive(Debug)]
enum State {
    /// The transport's handshake is not complete: no byte of HTTP can be received or sent.
    Handshaking,
    /// Collecting a request head. With an empty read buffer the connection is idle.
    Reading,
    /// The head is complete, or refused. The next step answers it.
    Parsing(Head),
    /// Sending status line and header fields. A small body is in the write buffer behind them.
    /// Responses to requests that arrived together are sent together.
    WritingHeader {
        body: Option<Body>,
        then: AfterResponse,
        pace: Pace,
    },
    /// Sending a body that did not fit beside its header.
    WritingBody {
        body: Body,
        then: AfterResponse,
        pace: Pace,
    },
    /// The last response is sent: half-close, then read and drop what the peer still sends. Without
    /// that the close may become a reset, which may destroy the last response (RFC 9112 9.6).
    Closing(CloseMode),
    /// Over. The driver frees the slot at the end of the iteration.
    Closed(CloseReason),
}

/// What follows a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterResponse {
    /// The next request of the connection.
    Next,
    /// A lingering close: the peer may still be sending.
    Linger,
    /// The peer announced that this was its last request: the connection closes without lingering
    /// if nothing is unread.
    CloseNow,
}

/// How far a close has come.
#[derive(Clone, Copy, Debug)]
enum CloseMode {
    /// Everything is sent, and our direction is still open.
    Shutdown { unless_all_is_read: bool },
    /// Our direction is closed; this many bytes were read and dropped since.
    Linger(u64),
}

impl Connection {
    /// Makes a connection that was just accepted, and whose transport has a handshake.
    pub fn before_handshake(limits: Arc<Limits>, now: Instant) -> Self {
        Self {
            state: State::Handshaking,
            deadline: now + limits.header_timeout,
            ..Self::new(limits, now)
        }
    }

    /// Makes a connection that was just accepted.
    pub fn new(limits: Arc<Limits>, now: Instant) -> Self {
        Self {
            state: State::Reading,
            read_buffer: ReadBuffer::default(),
            write_buffer: WriteBuffer::default(),
            deadline: now + limits.idle_timeout,
            counts: Counts::default(),
            limits,
        }
    }

    /// Returns the next step. It stays the same until a result is reported.
    pub fn step(&mut self) -> Step<'_> {
        match &mut self.state {
            State::Handshaking => Step::Handshake,
            // A byte more than the longest head, to see that it is too long.
            State::Reading => Step::Receive(self.read_buffer.spare(self.limits.head + 1)),
            State::Parsing(head) => Step::Respond(head.parse(&self.read_buffer, &self.limits)),
            State::WritingHeader { body, .. } => Step::Send {
                bytes: self.write_buffer.unsent(),
                more: body.as_ref().is_some_and(Body::is_file),
            },
            State::WritingBody { body, .. } => match body {
                body if !self.write_buffer.is_empty() => Step::Send {
                    bytes: self.write_buffer.unsent(),
                    more: body.is_file(),
                },
                Body::File(range) | Body::Parts { current: range, .. } => Step::SendFile(range),
                Body::Stream { .. } => Step::Produce,
                // Not reached: the call of `sent` for the last bytes leaves the state.
                Body::Rendered => Step::Send {
                    bytes: self.write_buffer.unsent(),
                    more: false,
                },
            },
            State::Closing(CloseMode::Shutdown { unless_all_is_read }) => Step::Shutdown {
                unless_all_is_read: *unless_all_is_read,
            },
            State::Closing(CloseMode::Linger(_)) => Step::Discard(self.read_buffer.spare(0)),
            State::Closed(reason) => Step::End(*reason),
        }
    }

    /// The handshake of the transport is complete.
    pub fn handshake_done(&mut self, now: Instant) {
        self.deadline = now + self.limits.idle_timeout;
        self.transition(State::Reading);
    }

    /// `length` bytes, at least one, were received into the buffer of [`Step::Receive`].
    pub fn received(&mut self, length: usize, now: Instant) {
        let had_begun = self.read_buffer.has_begun();
        self.read_buffer.received(length);
        let next = self.look_for_head();
        self.transition(next);
        if !had_begun && self.read_buffer.has_begun() {
            // The header timeout runs from the first byte of a head to its last; later bytes do not
            // move it. Empty lines before the head do not move the idle deadline.
            self.deadline = now + self.limits.header_timeout;
        }
    }

    /// The peer has closed its direction: before a head was complete, or while the connection
    /// lingers. (A complete head is answered first: a half-close is not an abort.)
    pub fn peer_closed(&mut self) {
        self.end(match self.state {
            State::Closing(_) => CloseReason::Completed,
            _ => CloseReason::PeerClosed,
        });
    }

    /// The handler has answered the head.
    pub fn respond(&mut self, response: Response, terms: Terms<'_>, now: Instant) {
        let State::Parsing(head) = self.state else {
            debug_assert!(false, "respond in {:?}", self.state_name());
            return;
        };
        let (length, traits) = head.extent(&self.read_buffer);
        self.read_buffer.consume(length);
        let framing = response.framing(traits);
        let persistent = traits.keep_alive
            && !terms.draining
            && framing != Framing::UntilClose
            // After a request that was not understood, it is unknown where the next one begins.
            && response.status != Status::BAD_REQUEST;
        let then = match (
            persistent,
            traits.close_requested && self.read_buffer.is_empty(),
        ) {
            (true, _) => AfterResponse::Next,
            (false, true) => AfterResponse::CloseNow,
            (false, false) => AfterResponse::Linger,
        };
        response.render(self.write_buffer.end(), terms.date, traits, persistent);
        let (sent, body) = match traits.is_head || response.status.is_bodiless() {
            true => (0, None),
            false => Body::render(response.payload, framing, self.write_buffer.end()),
        };
        self.counts.latest_body = 0;
        self.record_body(sent, 0);
        self.deadline = now + self.limits.send_timeout;
        self.transition(State::WritingHeader {
            body,
            then,
            pace: Pace::start(now),
        });
        self.join_next(terms.join);
    }

    /// The socket took `length` of the bytes to send.
    pub fn sent(&mut self, length: usize, now: Instant) {
        self.write_buffer.sent(length);
        if !self.write_buffer.is_empty() {
            return self.record_progress(length as u64, now);
        }
        let next = match self.take_state() {
            State::WritingHeader {
                body: None, then, ..
            }
            | State::WritingBody {
                body: Body::Rendered,
                then,
                ..
            } => self.finish(then, now),
            State::WritingHeader {
                body: Some(body),
                then,
                pace,
            } => State::WritingBody { body, then, pace },
            other => other,
        };
        self.transition(next);
        // A finished response has no pace any more.
        self.record_progress(length as u64, now);
    }

    /// The socket took `length` bytes of the file. 0 means that the file has shrunk: it has no more
    /// bytes, although the response announced more.
    pub fn file_sent(&mut self, length: u64, now: Instant) {
        let State::WritingBody { body, .. } = &mut self.state else {
            return;
        };
        let (Body::File(range) | Body::Parts { current: range, .. }) = body else {
            return;
        };
        if length == 0 {
            return self.end(CloseReason::Truncated);
        }
        range.advance(length);
        let is_done = range.left() == 0;
        self.count_body(length);
        self.record_progress(length, now);
        if is_done {
            let next = match self.take_state() {
                State::WritingBody {
                    body: Body::Parts { rest, .. },
                    then,
                    pace,
                } => {
                    let (length, body) = Body::next_part(rest, self.write_buffer.end());
                    self.record_body(length, 0);
                    State::WritingBody { body, then, pace }
                }
                State::WritingBody { then, .. } => self.finish(then, now),
                other => other,
            };
            self.transition(next);
        }
    }

    /// Renders one slice of a stream into the write buffer. The peer's time stands still while the
    /// slice is made.
    pub fn produce(&mut self, now: Instant) {
        let State::WritingBody {
            body: Body::Stream { source, chunked },
            then,
            mut pace,
        } = self.take_state()
        else {
            debug_assert!(false, "produce without a stream");
            return self.end(CloseReason::Truncated);
        };
        let mut source = source;
        // The deadline was set when the peer had taken everything: `send_timeout` after that.
        let since = self.deadline.checked_sub(self.limits.send_timeout);
        pace.stand_still(now.saturating_duration_since(since.unwrap_or(now)));
        let produced = produce_slice(source.as_mut(), chunked, self.write_buffer.end());
        self.deadline = match self.write_buffer.is_empty() {
            true => now + self.limits.send_timeout,
            false => pace.take(0, &self.limits, now),
        };
        let next = match produced {
            Err(_) => return self.end(CloseReason::Truncated),
            Ok((length, behind, progress)) => {
                self.record_body(length, behind);
                match progress {
                    Progress::More => State::WritingBody {
                        body: Body::Stream { source, chunked },
                        then,
                        pace,
                    },
                    // With nothing to send, no later call would finish the response.
                    Progress::Done if self.write_buffer.is_empty() => self.finish(then, now),
                    Progress::Done => State::WritingBody {
                        body: Body::Rendered,
                        then,
                        pace,
                    },
                }
            }
        };
        self.transition(next);
    }

    /// The peer sends no more requests, and nothing is unread in the socket, so that closing it
    /// does not become a reset.
    pub fn close_now(&mut self) {
        self.end(CloseReason::Completed);
    }

    /// Our direction of the socket is closed.
    pub fn shut_down(&mut self) {
        self.transition(State::Closing(CloseMode::Linger(0)));
    }

    /// `length` bytes were received and dropped.
    pub fn discarded(&mut self, length: usize) {
        let State::Closing(CloseMode::Linger(dropped)) = &mut self.state else {
            return;
        };
        *dropped += length as u64;
        if *dropped > self.limits.linger_bytes {
            self.end(CloseReason::LingerTimeout);
        }
    }

    /// Borrows the loop's buffers while this connection runs.
    pub fn borrow_from(&mut self, receive: &mut Box<[u8]>, send: &mut Vec<u8>) {
        self.read_buffer.borrow_from(receive);
        self.write_buffer.borrow_from(send);
    }

    /// Gives them back. The connection keeps a copy of the bytes that are not finished.
    pub fn give_back_to(&mut self, receive: &mut Box<[u8]>, send: &mut Vec<u8>) {
        self.read_buffer.give_back_to(receive);
        self.write_buffer.give_back_to(send);
    }

    /// The socket or the file reported an error.
    pub fn failed(&mut self, kind: io::ErrorKind) {
        self.end(match self.state {
            State::WritingHeader { .. } | State::WritingBody { .. } => CloseReason::SendError(kind),
            _ => CloseReason::SocketError(kind),
        });
    }

    /// The deadline has passed. Does nothing before it.
    pub fn expired(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        match self.state {
            State::Handshaking => self.end(CloseReason::HandshakeTimeout),
            State::Reading if !self.read_buffer.has_begun() => self.end(CloseReason::IdleTimeout),
            State::Reading => self.transition(State::Parsing(Head::TooSlow)),
            State::WritingHeader { .. } | State::WritingBody { .. } => {
                self.end(CloseReason::SendTimeout)
            }
            State::Closing(_) => self.end(CloseReason::LingerTimeout),
            // Answered in this iteration; its slot is freed at the end of it.
            State::Parsing(_) | State::Closed(_) => {}
        }
    }

    /// The server is stopping. If the connection is evictable, its deadline becomes `now`. If it is
    /// idle for less, or in a handshake, the deadline becomes `Limits::min_idle` from now, if it
    /// was later. A request that arrives before it is answered, and [`Terms::draining`] makes that
    /// response the last. May be called again.
    pub fn drain(&mut self, now: Instant) {
        let soon = now + self.limits.min_idle;
        let has_no_request = self.is_idle() || matches!(self.state, State::Handshaking);
        if has_no_request && self.deadline > soon {
            self.deadline = if self.is_evictable(now) { now } else { soon };
        }
    }

    /// The grace period is over: ends the connection in any state. Returns the reason; if it has
    /// ended before, the earlier one.
    pub fn abort(&mut self) -> CloseReason {
        let reason = match self.state {
            State::WritingHeader { .. } | State::WritingBody { .. } => CloseReason::Aborted,
            State::Closing(_) => CloseReason::LingerTimeout,
            State::Closed(reason) => reason,
            _ => CloseReason::Stopping,
        };
        self.end(reason);
        reason
    }

    /// Ends the connection in any state.
    pub fn end(&mut self, reason: CloseReason) {
        self.read_buffer.clear();
        self.counts.body_bytes -= self.write_buffer.abandon();
        self.transition(State::Closed(reason));
    }

    /// When [`Connection::expired`] must be called at the latest.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the connection is between requests: nothing is received, nothing is left to send.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Reading) && self.read_buffer.is_empty()
    }

    /// Whether it has been idle for `Limits::min_idle`, so that no request and no response should
    /// be on the network.
    pub fn is_evictable(&self, now: Instant) -> bool {
        // The deadline of an idle connection tells when it became idle.
        let closes_in = self.deadline.saturating_duration_since(now);
        self.is_idle() && closes_in + self.limits.min_idle <= self.limits.idle_timeout
    }

    /// Whether a response is being sent whose body was not rendered at once.
    pub fn is_sending_body(&self) -> bool {
        matches!(
            self.state,
            State::WritingHeader { body: Some(_), .. } | State::WritingBody { .. }
        )
    }

    /// The bytes in memory that wait to be sent: heads, and bodies that are sent with them.
    pub fn unsent(&self) -> &[u8] {
        self.write_buffer.unsent()
    }

    /// What the connection has sent.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Bytes of memory in its own buffers: a part of a head, and what the socket did not take. 0
    /// while it is idle.
    pub fn kept(&self) -> usize {
        self.read_buffer.capacity() + self.write_buffer.capacity()
    }

    /// Why it ended, if it has.
    pub fn close_reason(&self) -> Option<CloseReason> {
        match self.state {
            State::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// The state's name.
    pub fn state_name(&self) -> StateName {
        match self.state {
            State::Handshaking => StateName::Handshaking,
            State::Reading => StateName::Reading,
            State::Parsing(_) => StateName::Parsing,
            State::WritingHeader { .. } => StateName::WritingHeader,
            State::WritingBody { .. } => StateName::WritingBody,
            State::Closing(_) => StateName::Closing,
            State::Closed(reason) => StateName::Closed(reason),
        }
    }

    fn look_for_head(&mut self) -> State {
        let limits = &self.limits;
        let found =
            (self.read_buffer).find_head(limits.head, limits.request_line, limits.empty_lines);
        Head::of(found).map_or(State::Reading, State::Parsing)
    }

    /// A response is sent. Returns the next state.
    fn finish(&mut self, then: AfterResponse, now: Instant) -> State {
        match then {
            AfterResponse::Next => {
                let next = self.look_for_head();
                let limits = &self.limits;
                self.deadline = now
                    + if self.read_buffer.has_begun() {
                        limits.header_timeout
                    } else {
                        limits.idle_timeout
                    };
                next
            }
            AfterResponse::Linger => self.start_closing(false, now),
            AfterResponse::CloseNow => self.start_closing(true, now),
        }
    }

    /// Nothing more will be sent. Returns the next state.
    fn start_closing(&mut self, unless_all_is_read: bool, now: Instant) -> State {
        self.read_buffer.clear();
        self.deadline = now + self.limits.linger_timeout;
        State::Closing(CloseMode::Shutdown { unless_all_is_read })
    }

    /// If the response is complete in the write buffer, and the next request in the read buffer,
    /// answers that one before sending: both responses are sent in one write.
    fn join_next(&mut self, join: bool) {
        let is_whole = matches!(
            self.state,
            State::WritingHeader {
                body: None,
                then: AfterResponse::Next,
                ..
            }
        );
        if join && is_whole && self.write_buffer.unsent().len() < self.limits.write_coalescing_limit
        {
            let next = self.look_for_head();
            if let State::Parsing(_) = next {
                self.transition(next);
            }
        }
    }

    /// `length` bytes of a body, and `behind` bytes of framing after them, are in the write buffer.
    fn record_body(&mut self, length: u64, behind: u32) {
        self.count_body(length);
        self.write_buffer.record_body(length, behind);
    }

    fn count_body(&mut self, length: u64) {
        self.counts.body_bytes += length;
        self.counts.latest_body += length;
    }

    fn record_progress(&mut self, length: u64, now: Instant) {
        let (body, pace) = match &mut self.state {
            State::WritingHeader { pace, .. } => (None, pace),
            State::WritingBody { body, pace, .. } => (Some(body), pace),
            _ => return,
        };
        self.deadline = pace.take(length, &self.limits, now);
        if self.write_buffer.is_empty() && matches!(body, Some(Body::Stream { .. })) {
            self.deadline = now + self.limits.send_timeout;
        }
    }

    /// The only function that sets the state.
    fn transition(&mut self, next: State) {
        self.state = next;
    }

    /// Moves the state out. The caller passes the next one to [`transition`](Self::transition).
    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Closed(CloseReason::Completed))
    }
}
