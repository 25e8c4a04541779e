//! The state machine of one connection.
//!
//! A [`Connection`] does no I/O, reads no clock and knows no site. It names its next [`Step`]; the
//! pump does that step, and reports the result by the method named beside the step. All
//! transitions are in this file. docs/states.md lists them in a table that a test compares with
//! this code.

mod body;
mod head;
mod step;

pub use body::SendRate;
pub use step::{CloseReason, Counts, ResponseContext, StateName, Step, StepName};

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
    /// When [`Connection::on_deadline`] must be called, unless another call moves it.
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
        rate: SendRate,
    },
    /// Sending a body that did not fit beside its header.
    WritingBody {
        body: Body,
        then: AfterResponse,
        rate: SendRate,
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
    Shutdown { may_skip: bool },
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
            State::Reading => {
                Step::Receive(self.read_buffer.free_space(self.limits.max_head_bytes + 1))
            }
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
                // Not reached: `on_sent` leaves the state with the last byte. The pump panics at an
                // empty send.
                Body::Rendered => Step::Send {
                    bytes: &[],
                    more: false,
                },
            },
            State::Closing(CloseMode::Shutdown { may_skip }) => Step::Shutdown {
                may_skip: *may_skip,
            },
            State::Closing(CloseMode::Linger(_)) => Step::Discard(self.read_buffer.free_space(0)),
            State::Closed(reason) => Step::End(*reason),
        }
    }

    /// The handshake of the transport is complete.
    pub fn on_handshake(&mut self, now: Instant) {
        self.assert_possible("on_handshake", matches!(self.state, State::Handshaking));
        self.deadline = now + self.limits.idle_timeout;
        self.transition(State::Reading);
    }

    /// `length` bytes, at least one, were received into the buffer of [`Step::Receive`].
    pub fn on_received(&mut self, length: usize, now: Instant) {
        self.assert_possible("on_received", matches!(self.state, State::Reading));
        let had_begun = self.read_buffer.has_begun();
        self.read_buffer.on_received(length);
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
    pub fn on_peer_closed(&mut self) {
        self.end(match self.state {
            State::Reading => CloseReason::PeerClosed,
            State::Closing(CloseMode::Linger(_)) => CloseReason::Completed,
            _ => return self.assert_possible("on_peer_closed", false),
        });
    }

    /// The handler has answered the head.
    pub fn respond(&mut self, response: Response, context: ResponseContext<'_>, now: Instant) {
        let State::Parsing(head) = self.state else {
            return self.assert_possible("respond", false);
        };
        let (length, delivery) = head.length_and_delivery(&self.read_buffer);
        self.read_buffer.consume(length);
        let framing = response.framing(delivery);
        let persistent = delivery.keep_alive
            && !context.draining
            && framing != Framing::UntilClose
            // After a request that was not understood, it is unknown where the next one begins.
            && response.status != Status::BadRequest;
        let then = match (
            persistent,
            delivery.close_requested && self.read_buffer.is_empty(),
        ) {
            (true, _) => AfterResponse::Next,
            (false, true) => AfterResponse::CloseNow,
            (false, false) => AfterResponse::Linger,
        };
        response.render(self.write_buffer.end(), context.date, delivery, persistent);
        let (sent, body) = match delivery.is_head || response.status.is_bodiless() {
            true => (0, None),
            false => Body::render(response.payload, framing, self.write_buffer.end()),
        };
        self.counts.latest_body = 0;
        self.record_body(sent, 0);
        self.deadline = now + self.limits.send_timeout;
        self.transition(State::WritingHeader {
            body,
            then,
            rate: SendRate::start(now),
        });
        self.coalesce_next(context.may_coalesce);
    }

    /// The handler cannot answer the head yet. Responses that wait in the write buffer are sent
    /// first: returns whether there are any. Without any, the wait for the handler begins with the
    /// first call.
    pub fn postpone(&mut self, now: Instant) -> bool {
        let State::Parsing(head) = &mut self.state else {
            self.assert_possible("postpone", false);
            return false;
        };
        if self.write_buffer.is_empty() {
            if head.postpone() {
                self.deadline = now + self.limits.handler_timeout;
            }
            return false;
        }
        // The head is searched again when they are sent.
        self.read_buffer.consume(0);
        self.transition(State::WritingHeader {
            body: None,
            then: AfterResponse::Next,
            rate: SendRate::start(now),
        });
        true
    }

    /// The socket took `length` of the bytes to send.
    pub fn on_sent(&mut self, length: usize, now: Instant) {
        let is_writing = matches!(
            self.state,
            State::WritingHeader { .. } | State::WritingBody { .. }
        );
        self.assert_possible("on_sent", is_writing);
        self.write_buffer.on_sent(length);
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
                rate,
            } => State::WritingBody { body, then, rate },
            // The rest of the body follows what was sent.
            writing_body => writing_body,
        };
        self.transition(next);
        // A finished response has no rate any more.
        self.record_progress(length as u64, now);
    }

    /// The socket took `length` bytes of the file. 0 means that the file has shrunk: it has no more
    /// bytes, although the response announced more.
    pub fn on_file_sent(&mut self, length: u64, now: Instant) {
        let State::WritingBody { body, then, rate } = &mut self.state else {
            return self.assert_possible("on_file_sent", false);
        };
        let (Body::File(range) | Body::Parts { current: range, .. }) = body else {
            return self.assert_possible("on_file_sent", false);
        };
        assert!(self.write_buffer.is_empty(), "framing is unsent");
        if length == 0 {
            return self.end(CloseReason::Truncated);
        }
        range.advance(length);
        self.deadline = rate.on_sent(length, &self.limits, now);
        if range.left() == 0 {
            let then = *then;
            match std::mem::replace(body, Body::Rendered) {
                Body::Parts { rest, .. } => {
                    let (length, next) = Body::next_part(rest, self.write_buffer.end());
                    *body = next;
                    self.record_body(length, 0);
                }
                _ => {
                    let next = self.finish(then, now);
                    self.transition(next);
                }
            }
        }
        self.count_body(length);
    }

    /// Renders one slice of a stream into the write buffer. The time that this takes does not count
    /// as the peer's.
    pub fn produce(&mut self, now: Instant) {
        let State::WritingBody {
            body: Body::Stream { source, chunked },
            then,
            rate,
        } = &mut self.state
        else {
            return self.assert_possible("produce", false);
        };
        assert!(self.write_buffer.is_empty(), "a slice is unsent");
        // The deadline was set when the peer had taken everything: `send_timeout` after that.
        rate.exclude(now - (self.deadline - self.limits.send_timeout));
        let produced = produce_slice(source.as_mut(), *chunked, self.write_buffer.end());
        self.deadline = match self.write_buffer.is_empty() {
            true => now + self.limits.send_timeout,
            false => rate.on_sent(0, &self.limits, now),
        };
        let (then, rate) = (*then, *rate);
        let Ok((length, trailing_framing, progress)) = produced else {
            return self.end(CloseReason::Truncated);
        };
        self.record_body(length, trailing_framing);
        if progress == Progress::Done {
            let next = match self.write_buffer.is_empty() {
                // With nothing to send, no later call would finish the response.
                true => self.finish(then, now),
                false => State::WritingBody {
                    body: Body::Rendered,
                    then,
                    rate,
                },
            };
            self.transition(next);
        }
    }

    /// The peer sends no more requests, and nothing is unread in the socket, so that closing it
    /// does not become a reset.
    pub fn on_shutdown_skipped(&mut self) {
        let is_possible = matches!(
            self.state,
            State::Closing(CloseMode::Shutdown { may_skip: true })
        );
        self.assert_possible("on_shutdown_skipped", is_possible);
        self.end(CloseReason::Completed);
    }

    /// Our direction of the socket is closed.
    pub fn on_shutdown(&mut self) {
        let is_possible = matches!(self.state, State::Closing(CloseMode::Shutdown { .. }));
        self.assert_possible("on_shutdown", is_possible);
        self.transition(State::Closing(CloseMode::Linger(0)));
    }

    /// `length` bytes were received and dropped.
    pub fn on_discarded(&mut self, length: usize) {
        let State::Closing(CloseMode::Linger(dropped)) = &mut self.state else {
            return self.assert_possible("on_discarded", false);
        };
        *dropped += length as u64;
        if *dropped > self.limits.max_linger_bytes {
            self.end(CloseReason::LingerLimit);
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
    pub fn on_error(&mut self, kind: io::ErrorKind) {
        self.assert_possible("on_error", self.close_reason().is_none());
        self.end(match self.state {
            State::WritingHeader { .. } | State::WritingBody { .. } => CloseReason::SendError(kind),
            _ => CloseReason::SocketError(kind),
        });
    }

    /// The deadline has passed. Does nothing before it.
    pub fn on_deadline(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        match self.state {
            State::Handshaking => self.end(CloseReason::HandshakeTimeout),
            State::Reading if !self.read_buffer.has_begun() => self.end(CloseReason::IdleTimeout),
            State::Reading => self.transition(State::Parsing(Head::TOO_SLOW)),
            State::WritingHeader { .. } | State::WritingBody { .. } => {
                self.end(CloseReason::SendTimeout)
            }
            State::Closing(_) => self.end(CloseReason::LingerTimeout),
            // The handler was not ready in time. A refused head does not wait for it.
            State::Parsing(Head::Whole { .. }) => self.transition(State::Parsing(Head::TOO_BUSY)),
            // It is answered in this iteration, or in a later one if the budget is used up. The
            // slot of a closed connection is freed at the end of the iteration.
            State::Parsing(Head::Refused(_)) | State::Closed(_) => {}
        }
    }

    /// The server is stopping. If the connection is idle for long, its deadline becomes `now`. If
    /// it is idle for less, or in a handshake, the deadline becomes `Limits::min_idle_time` from
    /// now, if it was later. A request that arrives before it is answered, and that response is the
    /// last ([`ResponseContext::draining`]). May be called again.
    pub fn drain(&mut self, now: Instant) {
        let soon = now + self.limits.min_idle_time;
        if self.has_no_request() && self.deadline > soon {
            self.deadline = if self.is_long_idle(now) { now } else { soon };
        }
    }

    /// The server is stopping: ends the connection in any state. Returns the reason; if it has
    /// ended before, the earlier one.
    pub fn abort(&mut self) -> CloseReason {
        let reason = match self.state {
            State::WritingHeader { .. } | State::WritingBody { .. } => CloseReason::Aborted,
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

    /// When [`Connection::on_deadline`] must be called at the latest.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The bytes that were received after the latest request.
    pub fn received(&self) -> &[u8] {
        self.read_buffer.bytes()
    }

    /// Whether it is idle, or in its handshake.
    pub fn has_no_request(&self) -> bool {
        self.is_idle() || matches!(self.state, State::Handshaking)
    }

    /// Whether the connection is between requests: nothing is received, nothing is left to send.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Reading) && self.read_buffer.is_empty()
    }

    /// Whether it has been idle for `Limits::min_idle_time`, so that no request and no response
    /// should be on the network.
    pub fn is_long_idle(&self, now: Instant) -> bool {
        self.is_idle() && self.has_waited_since(now).is_some()
    }

    /// Since when it is idle, or in its handshake, if that is `Limits::min_idle_time` ago or more:
    /// it may be closed for another connection. The longest goes first.
    pub fn has_waited_since(&self, now: Instant) -> Option<Instant> {
        let timeout = match self.state {
            State::Handshaking => self.limits.header_timeout,
            _ if self.is_idle() => self.limits.idle_timeout,
            _ => return None,
        };
        // The deadline tells when it became so.
        let since = self.deadline.checked_sub(timeout)?;
        (since + self.limits.min_idle_time <= now).then_some(since)
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

    /// For tests: bytes of memory in its own buffers, for a part of a head and for what the socket
    /// did not take. 0 while it is idle.
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
        Head::find(&mut self.read_buffer, &self.limits).map_or(State::Reading, State::Parsing)
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
    fn start_closing(&mut self, may_skip: bool, now: Instant) -> State {
        self.read_buffer.clear();
        self.deadline = now + self.limits.linger_timeout;
        State::Closing(CloseMode::Shutdown { may_skip })
    }

    /// If the response is complete in the write buffer, and the next request in the read buffer,
    /// answers that one before sending: both responses are sent in one write.
    fn coalesce_next(&mut self, may_coalesce: bool) {
        let is_whole = matches!(
            self.state,
            State::WritingHeader {
                body: None,
                then: AfterResponse::Next,
                ..
            }
        );
        if may_coalesce
            && is_whole
            && self.write_buffer.unsent().len() < self.limits.max_coalesced_bytes
        {
            let next = self.look_for_head();
            if let State::Parsing(_) = next {
                self.transition(next);
            }
        }
    }

    /// `length` bytes of a body, and `trailing_framing` bytes of framing after them, are in the
    /// write buffer.
    fn record_body(&mut self, length: u64, trailing_framing: u32) {
        self.count_body(length);
        self.write_buffer.record_body(length, trailing_framing);
    }

    fn count_body(&mut self, length: u64) {
        self.counts.body_bytes += length;
        self.counts.latest_body += length;
    }

    fn record_progress(&mut self, length: u64, now: Instant) {
        let (body, rate) = match &mut self.state {
            State::WritingHeader { rate, .. } => (None, rate),
            State::WritingBody { body, rate, .. } => (Some(body), rate),
            _ => return,
        };
        self.deadline = rate.on_sent(length, &self.limits, now);
        if self.write_buffer.is_empty() && matches!(body, Some(Body::Stream { .. })) {
            self.deadline = now + self.limits.send_timeout;
        }
    }

    /// A report that the step of the state does not lead to is a bug of the pump. It panics, and
    /// the pump closes only this connection.
    fn assert_possible(&self, call: &str, is_possible: bool) {
        assert!(is_possible, "{call} in {:?}", self.state_name());
    }

    /// Sets the next state. No other function does, but for what [`take_state`](Self::take_state)
    /// leaves.
    fn transition(&mut self, next: State) {
        self.state = next;
    }

    /// Moves the state out, and leaves one that the connection is never seen in: the caller passes
    /// the next one to [`transition`](Self::transition).
    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Closed(CloseReason::Completed))
    }
}
