//! THE machine: what must be remembered of one connection between two events.
//!
//! A [`Connection`] does no I/O, reads no clock and knows no site. Ask it for its next
//! [`Step`], do that one thing, and tell it what came of it by the event method named
//! beside the step. The transitions of a connection's life stand in this file, those that end it
//! early in `ending`; docs/states.md holds them all as a table that a test compares with this code.
//!
//! Imports `inbox`, `outbox`, `http` and `limits`; the time is an argument.

mod body;
mod ending;
mod head;
mod questions;
mod step;

pub use step::{CloseReason, Counts, Step, Terms};

use crate::http::payload::Progress;
use crate::http::response::{Framing, Response};
use crate::http::status::Status;
use crate::inbox::Inbox;
use crate::limits::Limits;
use crate::outbox::Outbox;
use body::{Body, Pace, produce_slice};
use head::Head;
use std::sync::Arc;
use std::time::Instant;

/// One connection, from accept to close.
#[derive(Debug)]
pub struct Connection {
    state: State,
    inbox: Inbox,
    outbox: Outbox,
    /// When [`Connection::expired`] has to be called, unless something happens before.
    deadline: Instant,
    /// Responses begun.
    responses: u32,
    /// Bytes of bodies: see [`Counts`].
    body_bytes: u64,
    latest_body: u64,
    limits: Arc<Limits>,
}

/// A state owns what it needs, and a transition takes it away.
#[derive(Debug)]
enum State {
    /// Collecting a request head. With an empty inbox the connection is idle.
    Reading,
    /// The head is complete, or never will be. The next step answers it.
    Parsing(Head),
    /// Sending status line and fields; a small body rides along in the outbox. Responses
    /// to requests that had arrived together leave together.
    WritingHeader {
        body: Option<Body>,
        then: Then,
        pace: Pace,
    },
    /// Sending a body that did not fit beside its header.
    WritingBody { body: Body, then: Then, pace: Pace },
    /// Nothing more to say: half-close, then read and drop what the peer still sends, so
    /// that our close does not become a reset that eats the last response (RFC 9112 9.6).
    Closing(Farewell),
    /// Over. The slot is freed at the end of the turn.
    Closed(CloseReason),
}

/// What follows a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Next,
    Close,
    /// The same, and the peer has said that this was its last request.
    Leave,
}

#[derive(Clone, Copy, Debug)]
enum Farewell {
    /// All sent, our side still open. Whether the peer has said that it sends nothing more.
    Flushed { is_mutual: bool },
    /// Our side is shut; this many bytes were read and dropped since.
    Lingering(u64),
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(limits: Arc<Limits>, now: Instant) -> Self {
        Self {
            state: State::Reading,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            deadline: now + limits.idle_timeout,
            responses: 0,
            body_bytes: 0,
            latest_body: 0,
            limits,
        }
    }

    /// What to do next. Asking twice gives the same answer.
    pub fn step(&mut self) -> Step<'_> {
        match &mut self.state {
            // A byte more than the longest head, to see that it is too long.
            State::Reading => Step::Receive(self.inbox.room(self.limits.head + 1)),
            State::Parsing(head) => Step::Respond(head.parse(&self.inbox, &self.limits)),
            State::WritingHeader { body, .. } => Step::Send {
                bytes: self.outbox.unsent(),
                more: body.as_ref().is_some_and(Body::is_file),
            },
            State::WritingBody { body, .. } => match body {
                body if !self.outbox.is_empty() => Step::Send {
                    bytes: self.outbox.unsent(),
                    more: body.is_file(),
                },
                Body::File(range) | Body::Parts { current: range, .. } => Step::SendFile(range),
                Body::Stream { .. } => Step::Produce,
                // Its last bytes are sent, and then the state is left in the same event.
                Body::Rendered => Step::Send {
                    bytes: self.outbox.unsent(),
                    more: false,
                },
            },
            State::Closing(Farewell::Flushed { is_mutual }) => Step::Shutdown {
                unless_drained: *is_mutual,
            },
            State::Closing(Farewell::Lingering(_)) => Step::Discard(self.inbox.room(0)),
            State::Closed(ending) => Step::End(*ending),
        }
    }

    /// `length` bytes, at least one, arrived in the room.
    pub fn received(&mut self, length: usize, now: Instant) {
        let had_begun = self.inbox.has_begun();
        self.inbox.received(length);
        self.state = self.look_for_head();
        if !had_begun && self.inbox.has_begun() {
            // From the first byte of a head to its last: later bytes do not move it, and empty
            // lines before it do not move the deadline of an idle connection.
            self.deadline = now + self.limits.header_timeout;
        }
    }

    /// The peer has closed its direction before a head was complete. (After a complete one it
    /// is answered first: a half-close is not an abort.)
    pub fn peer_closed(&mut self) {
        self.end(match self.state {
            State::Closing(_) => CloseReason::Answered,
            _ => CloseReason::PeerClosed,
        });
    }

    /// The site answers the head.
    pub fn respond(&mut self, response: Response, terms: Terms<'_>, now: Instant) {
        let State::Parsing(head) = self.state else {
            debug_assert!(false, "respond in {}", self.state_name());
            return;
        };
        let (length, traits) = head.extent(&self.inbox);
        self.inbox.consume(length);
        let framing = response.framing(traits);
        let persistent = traits.keep_alive
            && !terms.draining
            && framing != Framing::UntilClose
            // Whatever it was that could not be understood: what follows it cannot be trusted.
            && response.status != Status::BAD_REQUEST;
        let then = match (persistent, traits.close_requested && self.inbox.is_empty()) {
            (true, _) => Then::Next,
            (false, true) => Then::Leave,
            (false, false) => Then::Close,
        };
        response.render(self.outbox.end(), terms.date, traits, persistent);
        let (sent, body) = match traits.is_head || response.status.is_bodiless() {
            true => (0, None),
            false => Body::render(response.payload, framing, self.outbox.end()),
        };
        self.responses = self.responses.saturating_add(1);
        self.latest_body = 0;
        self.record_body(sent, 0);
        self.deadline = now + self.limits.send_timeout;
        self.state = State::WritingHeader {
            body,
            then,
            pace: Pace::start(now),
        };
        self.join_next(terms.join);
    }

    /// The socket took `length` of the bytes to send.
    pub fn sent(&mut self, length: usize, now: Instant) {
        self.outbox.sent(length);
        if !self.outbox.is_empty() {
            return self.note_progress(length as u64, now);
        }
        self.state = match self.take_state() {
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
        // A finished response has no pace any more.
        self.note_progress(length as u64, now);
    }

    /// The socket took `length` bytes of the file; 0 says that the file has none left,
    /// although some are owed.
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
        self.note_progress(length, now);
        if is_done {
            self.state = match self.take_state() {
                State::WritingBody {
                    body: Body::Parts { rest, .. },
                    then,
                    pace,
                } => {
                    let (length, body) = Body::next_part(rest, self.outbox.end());
                    self.record_body(length, 0);
                    State::WritingBody { body, then, pace }
                }
                State::WritingBody { then, .. } => self.finish(then, now),
                other => other,
            };
        }
    }

    /// Renders one slice of a stream into the outbox. The time that preparing it took is ours;
    /// the peer's goes on when there is something to take.
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
        // As the deadline was set when the peer had taken all there was.
        let since = self.deadline.checked_sub(self.limits.send_timeout);
        pace.stand_still(now.saturating_duration_since(since.unwrap_or(now)));
        let produced = produce_slice(source.as_mut(), chunked, self.outbox.end());
        self.deadline = match self.outbox.is_empty() {
            true => now + self.limits.send_timeout,
            false => pace.take(0, &self.limits, now),
        };
        self.state = match produced {
            Err(_) => return self.end(CloseReason::Truncated),
            Ok((length, behind, progress)) => {
                self.record_body(length, behind);
                match progress {
                    Progress::More => State::WritingBody {
                        body: Body::Stream { source, chunked },
                        then,
                        pace,
                    },
                    // Nothing left to send means no event that would finish the response.
                    Progress::Done if self.outbox.is_empty() => self.finish(then, now),
                    Progress::Done => State::WritingBody {
                        body: Body::Rendered,
                        then,
                        pace,
                    },
                }
            }
        };
    }

    /// All is said on both sides, and nothing lies unread: closing can reset nobody.
    pub fn left(&mut self) {
        self.end(CloseReason::Answered);
    }

    /// Our direction is closed.
    pub fn shut_down(&mut self) {
        self.state = State::Closing(Farewell::Lingering(0));
    }

    /// `length` bytes were received and dropped.
    pub fn discarded(&mut self, length: usize) {
        let State::Closing(Farewell::Lingering(dropped)) = &mut self.state else {
            return;
        };
        *dropped += length as u64;
        if *dropped > self.limits.linger_bytes {
            self.end(CloseReason::Overstayed);
        }
    }

    /// Takes the loop's buffers, for as long as this connection is being served.
    pub fn borrow_from(&mut self, receive: &mut Box<[u8]>, send: &mut Vec<u8>) {
        self.inbox.borrow_from(receive);
        self.outbox.borrow_from(send);
    }

    /// Gives them back. What the connection keeps is what it could not finish.
    pub fn give_back_to(&mut self, receive: &mut Box<[u8]>, send: &mut Vec<u8>) {
        self.inbox.give_back_to(receive);
        self.outbox.give_back_to(send);
    }

    fn look_for_head(&mut self) -> State {
        let limits = &self.limits;
        let arrival = (self.inbox).arrival(limits.head, limits.request_line, limits.empty_lines);
        Head::of(arrival).map_or(State::Reading, State::Parsing)
    }

    /// A response is sent.
    fn finish(&mut self, then: Then, now: Instant) -> State {
        match then {
            Then::Next => {
                let next = self.look_for_head();
                let limits = &self.limits;
                self.deadline = now
                    + if self.inbox.has_begun() {
                        limits.header_timeout
                    } else {
                        limits.idle_timeout
                    };
                next
            }
            Then::Close => self.farewell(false, now),
            Then::Leave => self.farewell(true, now),
        }
    }

    /// Nothing more will be sent.
    fn farewell(&mut self, is_mutual: bool, now: Instant) -> State {
        self.inbox.clear();
        self.deadline = now + self.limits.linger_timeout;
        State::Closing(Farewell::Flushed { is_mutual })
    }

    /// With a response complete in the outbox and the next request in the inbox, answer that
    /// before sending: both leave in one write.
    fn join_next(&mut self, join: bool) {
        let is_whole = matches!(
            self.state,
            State::WritingHeader {
                body: None,
                then: Then::Next,
                ..
            }
        );
        if join && is_whole && self.outbox.unsent().len() < self.limits.write_coalescing_limit {
            let next = self.look_for_head();
            if let State::Parsing(_) = next {
                self.state = next;
            }
        }
    }

    /// `length` bytes of a body, and `behind` bytes of framing after them, are in the outbox.
    fn record_body(&mut self, length: u64, behind: u32) {
        self.count_body(length);
        self.outbox.record_body(length, behind);
    }

    fn count_body(&mut self, length: u64) {
        self.body_bytes += length;
        self.latest_body += length;
    }

    fn note_progress(&mut self, length: u64, now: Instant) {
        let (body, pace) = match &mut self.state {
            State::WritingHeader { pace, .. } => (None, pace),
            State::WritingBody { body, pace, .. } => (Some(body), pace),
            _ => return,
        };
        self.deadline = pace.take(length, &self.limits, now);
        if self.outbox.is_empty() && matches!(body, Some(Body::Stream { .. })) {
            self.deadline = now + self.limits.send_timeout;
        }
    }

    /// Moves the state out; the caller puts the next one in.
    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Closed(CloseReason::Answered))
    }
}
