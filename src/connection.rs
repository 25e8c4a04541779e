//! THE machine: what must be remembered of one connection between two events.
//!
//! A [`Connection`] does no I/O, reads no clock and knows no site. Ask it for its next
//! [`Step`], do that one thing, and tell it what came of it by the event method named
//! beside the step. Every transition there is stands in this file; docs/states.md holds
//! them as a table that a test compares with this code.
//!
//! Imports `inbox`, `outbox`, `http` and `limits`; the time is an argument.

use crate::http::payload::{NextPart, Parts, Payload, Produce, Progress, Stretch};
use crate::http::request::{Manners, Refusal, Request};
use crate::http::response::{Framing, Response};
use crate::http::status::Status;
use crate::inbox::{Arrival, Inbox};
use crate::limits::Limits;
use crate::outbox::Outbox;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One connection, from accept to close.
#[derive(Debug)]
pub struct Connection {
    state: State,
    inbox: Inbox,
    outbox: Outbox,
    /// When [`Connection::expired`] has to be called, unless something happens before.
    deadline: Instant,
    /// Bytes of the latest response's body that were handed over, framing not counted.
    body_sent: u64,
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
    Closed(Ending),
}

/// What there is to answer.
#[derive(Clone, Copy, Debug)]
enum Head {
    /// This many bytes of the inbox; how to answer is known once they are parsed.
    Whole {
        length: usize,
        manners: Manners,
    },
    LineTooLong,
    TooLong,
    TooSlow,
}

/// The part of a response that has not been rendered into the outbox.
#[derive(Debug)]
enum Body {
    File(Stretch),
    Parts {
        current: Stretch,
        rest: Box<Parts>,
    },
    Stream {
        source: Box<dyn Produce>,
        chunked: bool,
    },
    /// Nothing: its last bytes lie in the outbox.
    Rendered,
}

/// What follows a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Next,
    Close,
}

/// How fast the peer takes a response.
#[derive(Clone, Copy, Debug)]
struct Pace {
    started: Instant,
    taken: u64,
}

#[derive(Clone, Copy, Debug)]
enum Farewell {
    /// All sent, our side still open.
    Flushed,
    /// Our side is shut; this many bytes were read and dropped since.
    Lingering(u64),
}

/// The next thing to do for a connection, with the event that reports what came of it.
#[derive(Debug)]
pub enum Step<'c> {
    /// Receive into this room: [`Connection::received`] or [`Connection::peer_closed`].
    Receive(&'c mut [u8]),
    /// Answer this: [`Connection::respond`].
    Respond(Result<Request<'c>, Refusal<'c>>),
    /// Send these bytes: [`Connection::sent`].
    Send {
        /// What to send; any part of it will do.
        bytes: &'c [u8],
        /// A file follows at once: the kernel may wait for it before it sends a packet.
        more: bool,
    },
    /// Send from this file: [`Connection::file_sent`].
    SendFile(&'c Stretch),
    /// Let the body grow by one slice: [`Connection::produce`].
    Produce,
    /// Close our direction: [`Connection::shut_down`].
    Shutdown,
    /// Receive into this room and forget it: [`Connection::discarded`].
    Discard(&'c mut [u8]),
    /// Close the socket: no event follows.
    End(Ending),
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The last response was sent and the peer has closed, too.
    Answered,
    /// The peer closed between requests, or before its request was complete.
    PeerClosed,
    /// The network said no: a reset, mostly.
    Failed(io::ErrorKind),
    /// No request came within the idle timeout.
    Idle,
    /// Idle, and its descriptor was needed for someone else.
    Evicted,
    /// Idle, and the server is stopping.
    Drained,
    /// The grace period after SIGTERM is over.
    Cut,
    /// The peer took nothing, or too little, of a response.
    Stalled,
    /// The peer went on sending after our last response, for too long or too much.
    Overstayed,
    /// A body could not be sent as long as announced: its file shrank or failed.
    Truncated,
}

impl Ending {
    /// Whether the socket is closed with a reset: where a response stays incomplete, so that
    /// nobody takes it for complete and the kernel drops what it still holds.
    pub fn aborts(self) -> bool {
        matches!(self, Self::Cut | Self::Stalled | Self::Truncated)
    }
}

/// What the driver decides about a response.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'t> {
    /// The Date field's value.
    pub date: &'t [u8; 29],
    /// The server is stopping: this response is the connection's last.
    pub draining: bool,
    /// The turn's budget has room for another response, so this one may wait for it.
    pub join: bool,
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(limits: Arc<Limits>, now: Instant) -> Self {
        Self {
            state: State::Reading,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            deadline: now + limits.idle_timeout,
            body_sent: 0,
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
                Body::File(stretch)
                | Body::Parts {
                    current: stretch, ..
                } => Step::SendFile(stretch),
                Body::Stream { .. } => Step::Produce,
                // Its last bytes are sent, and then the state is left in the same event.
                Body::Rendered => Step::Send {
                    bytes: self.outbox.unsent(),
                    more: false,
                },
            },
            State::Closing(Farewell::Flushed) => Step::Shutdown,
            State::Closing(Farewell::Lingering(_)) => Step::Discard(self.inbox.room(0)),
            State::Closed(ending) => Step::End(*ending),
        }
    }

    /// `length` bytes, at least one, arrived in the room.
    pub fn received(&mut self, length: usize, now: Instant) {
        let was_idle = self.is_idle();
        self.inbox.received(length);
        self.state = self.look_for_head();
        if was_idle && !self.inbox.is_empty() {
            // From the first byte of a head to its last: later bytes do not move it.
            self.deadline = now + self.limits.header_timeout;
        }
    }

    /// The peer has closed its direction before a head was complete. (After a complete one it
    /// is answered first: a half-close is not an abort.)
    pub fn peer_closed(&mut self) {
        self.end(match self.state {
            State::Closing(_) => Ending::Answered,
            _ => Ending::PeerClosed,
        });
    }

    /// The site answers the head.
    pub fn respond(&mut self, response: Response, terms: Terms<'_>, now: Instant) {
        let State::Parsing(head) = self.state else {
            debug_assert!(false, "respond in {}", self.state_name());
            return;
        };
        let (length, manners) = match head {
            Head::Whole { length, manners } => (length, manners),
            _ => (self.inbox.bytes().len(), Manners::REFUSED),
        };
        self.inbox.consume(length);
        let framing = response.framing(manners);
        let persistent = manners.persistent && !terms.draining && framing != Framing::UntilClose;
        let then = if persistent { Then::Next } else { Then::Close };
        response.render(self.outbox.end(), terms.date, manners, persistent);
        self.body_sent = 0;
        let body = match manners.bodiless || response.status.is_bodiless() {
            true => None,
            false => self.render_body(response.payload, framing),
        };
        self.deadline = now + self.limits.send_timeout;
        self.state = State::WritingHeader {
            body,
            then,
            pace: Pace {
                started: now,
                taken: 0,
            },
        };
        self.join_next(terms.join);
    }

    /// The socket took `length` of the bytes to send.
    pub fn sent(&mut self, length: usize, now: Instant) {
        self.outbox.sent(length);
        self.note_progress(length as u64, now);
        if self.outbox.is_empty() {
            self.state = match self.take_state() {
                State::WritingHeader {
                    body: Some(body),
                    then,
                    pace,
                } => State::WritingBody { body, then, pace },
                State::WritingHeader {
                    body: None, then, ..
                }
                | State::WritingBody {
                    body: Body::Rendered,
                    then,
                    ..
                } => self.finish(then, now),
                other => other,
            };
        }
    }

    /// The socket took `length` bytes of the file; 0 says that the file has none left,
    /// although some are owed.
    pub fn file_sent(&mut self, length: u64, now: Instant) {
        let State::WritingBody { body, .. } = &mut self.state else {
            return;
        };
        let (Body::File(stretch)
        | Body::Parts {
            current: stretch, ..
        }) = body
        else {
            return;
        };
        if length == 0 {
            return self.end(Ending::Truncated);
        }
        stretch.advance(length);
        let is_done = stretch.left() == 0;
        self.body_sent += length;
        self.note_progress(length, now);
        if is_done {
            self.state = match self.take_state() {
                State::WritingBody {
                    body: Body::Parts { rest, .. },
                    then,
                    pace,
                } => State::WritingBody {
                    body: self.render_part(rest),
                    then,
                    pace,
                },
                State::WritingBody { then, .. } => self.finish(then, now),
                other => other,
            };
        }
    }

    /// Renders one slice of a stream into the outbox.
    pub fn produce(&mut self, now: Instant) {
        let State::WritingBody {
            body: Body::Stream { source, chunked },
            then,
            pace,
        } = self.take_state()
        else {
            debug_assert!(false, "produce without a stream");
            return self.end(Ending::Truncated);
        };
        let mut source = source;
        self.state = match produce_slice(source.as_mut(), chunked, self.outbox.end()) {
            Err(_) => return self.end(Ending::Truncated),
            Ok((length, progress)) => {
                self.body_sent += length;
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
            self.end(Ending::Overstayed);
        }
    }

    /// The socket reported an error.
    pub fn failed(&mut self, kind: io::ErrorKind) {
        self.end(Ending::Failed(kind));
    }

    /// When [`Connection::expired`] must be called at the latest.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Time has passed. Does nothing before the deadline.
    pub fn expired(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        match self.state {
            State::Reading if self.inbox.is_empty() => self.end(Ending::Idle),
            State::Reading => self.state = State::Parsing(Head::TooSlow),
            State::WritingHeader { .. } | State::WritingBody { .. } => self.end(Ending::Stalled),
            State::Closing(_) => self.end(Ending::Overstayed),
            // About to be answered in this turn; closed at its end.
            State::Parsing(_) | State::Closed(_) => {}
        }
    }

    /// The server is stopping: an idle connection closes now. The others go on, and
    /// [`Terms::draining`] makes their next response the last.
    pub fn drain(&mut self) {
        if self.is_idle() {
            self.end(Ending::Drained);
        }
    }

    /// Ends the connection whatever it is doing.
    pub fn end(&mut self, ending: Ending) {
        self.inbox.clear();
        self.outbox.clear();
        self.state = State::Closed(ending);
    }

    /// Between requests: nothing received that waits for an answer, nothing left to send.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Reading) && self.inbox.is_empty()
    }

    /// Whether a body is on its way that was not rendered whole when it was answered.
    pub fn is_sending_body(&self) -> bool {
        matches!(
            self.state,
            State::WritingHeader { body: Some(_), .. } | State::WritingBody { .. }
        )
    }

    /// Bytes of the latest response's body that left, or lie ready to.
    pub fn body_sent(&self) -> u64 {
        self.body_sent
    }

    /// How it ended, if it has.
    pub fn ending(&self) -> Option<Ending> {
        match self.state {
            State::Closed(ending) => Some(ending),
            _ => None,
        }
    }

    /// The state's name, as the documentation writes it.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::Reading => "Reading",
            State::Parsing(_) => "Parsing",
            State::WritingHeader { .. } => "WritingHeader",
            State::WritingBody { .. } => "WritingBody",
            State::Closing(_) => "Closing",
            State::Closed(_) => "Closed",
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
        match self
            .inbox
            .arrival(self.limits.head, self.limits.request_line)
        {
            Arrival::Partial => State::Reading,
            Arrival::Whole(length) => State::Parsing(Head::Whole {
                length,
                manners: Manners::REFUSED,
            }),
            Arrival::LineTooLong => State::Parsing(Head::LineTooLong),
            Arrival::TooLong => State::Parsing(Head::TooLong),
        }
    }

    /// A response is sent.
    fn finish(&mut self, then: Then, now: Instant) -> State {
        match then {
            Then::Next => {
                let next = self.look_for_head();
                let limits = &self.limits;
                self.deadline = now
                    + if self.inbox.is_empty() {
                        limits.idle_timeout
                    } else {
                        limits.header_timeout
                    };
                next
            }
            Then::Close => {
                self.inbox.clear();
                self.deadline = now + self.limits.linger_timeout;
                State::Closing(Farewell::Flushed)
            }
        }
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
        if join && is_whole && self.outbox.unsent().len() < self.limits.coalesced {
            let next = self.look_for_head();
            if let State::Parsing(_) = next {
                self.state = next;
            }
        }
    }

    fn render_body(&mut self, payload: Payload, framing: Framing) -> Option<Body> {
        match payload {
            Payload::Empty => None,
            Payload::Bytes(bytes, range) => {
                let bytes = match range {
                    Some(range) => range.of(&bytes),
                    None => &bytes,
                };
                self.outbox.end().extend_from_slice(bytes);
                self.body_sent = bytes.len() as u64;
                None
            }
            Payload::File(stretch) if stretch.left() == 0 => None,
            Payload::File(stretch) => Some(Body::File(stretch)),
            Payload::Parts(parts) => Some(self.render_part(parts)),
            Payload::Stream(source) => Some(Body::Stream {
                source,
                chunked: framing == Framing::Chunked,
            }),
        }
    }

    fn render_part(&mut self, mut parts: Box<Parts>) -> Body {
        let (text, body) = match parts.take() {
            NextPart::Part(text, current) => (
                text,
                Body::Parts {
                    current,
                    rest: parts,
                },
            ),
            NextPart::Trailer(text) => (text, Body::Rendered),
        };
        self.outbox.end().extend_from_slice(&text);
        self.body_sent += text.len() as u64;
        body
    }

    /// The peer must take something at least every `send_timeout`, and after the first one
    /// `min_send_rate` bytes a second on average.
    fn note_progress(&mut self, length: u64, now: Instant) {
        let (State::WritingHeader { pace, .. } | State::WritingBody { pace, .. }) = &mut self.state
        else {
            return;
        };
        pace.taken += length;
        let stall = now + self.limits.send_timeout;
        let earned = match self.limits.min_send_rate {
            0 => return self.deadline = stall,
            rate => Duration::from_secs(pace.taken / u64::from(rate)),
        };
        let too_slow = pace.started.checked_add(self.limits.send_timeout + earned);
        self.deadline = too_slow.map_or(stall, |too_slow| stall.min(too_slow));
    }

    /// Moves the state out; the caller puts the next one in.
    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Closed(Ending::Answered))
    }
}

impl Head {
    /// Parses a whole head and notes how to answer it.
    fn parse<'c>(&mut self, inbox: &'c Inbox, limits: &Limits) -> Result<Request<'c>, Refusal<'c>> {
        let (status, why) = match self {
            Self::Whole { length, manners } => {
                let parsed = Request::parse(inbox.head(*length), limits.fields);
                *manners = parsed.map_or(Manners::REFUSED, |request| request.manners);
                return parsed;
            }
            Self::LineTooLong => (Status::URI_TOO_LONG, "the request line is too long"),
            Self::TooLong => (Status::HEAD_TOO_LARGE, "the header fields are too large"),
            Self::TooSlow => (
                Status::REQUEST_TIMEOUT,
                "the request did not arrive in time",
            ),
        };
        Err(Refusal {
            status,
            why,
            line: Some(inbox.first_line()),
        })
    }
}

impl Body {
    /// Whether bytes of a file follow what the outbox holds.
    fn is_file(&self) -> bool {
        matches!(self, Self::File(_) | Self::Parts { .. })
    }
}

/// Appends one slice of a stream, as a chunk of its own where chunks are spoken (RFC 9112 7.1),
/// and returns how many bytes of body it has.
fn produce_slice(
    source: &mut dyn Produce,
    chunked: bool,
    out: &mut Vec<u8>,
) -> io::Result<(u64, Progress)> {
    if !chunked {
        let before = out.len();
        let progress = source.produce(out)?;
        return Ok(((out.len() - before) as u64, progress));
    }
    // The size stands before the chunk and is known after it: leave room for eight digits.
    let size_at = out.len();
    out.extend_from_slice(b"00000000\r\n");
    let chunk_at = out.len();
    let progress = source.produce(out)?;
    let length = out.len() - chunk_at;
    if length == 0 {
        // A chunk of size zero would end the body.
        out.truncate(size_at);
    } else {
        if let Some(size) = out.get_mut(size_at..size_at + 8) {
            size.copy_from_slice(format!("{length:08x}").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
    if progress == Progress::Done {
        out.extend_from_slice(b"0\r\n\r\n");
    }
    Ok((length as u64, progress))
}
