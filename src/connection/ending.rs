//! Room `connection`: how a connection ends when not all was said and done. Errors, deadlines, and
//! a server that stops.

use super::head::Head;
use super::{CloseReason, Connection, State};
use std::io;
use std::time::Instant;

impl Connection {
    /// The socket or the file reported an error.
    pub fn failed(&mut self, kind: io::ErrorKind) {
        self.end(match self.state {
            State::WritingHeader { .. } | State::WritingBody { .. } => CloseReason::Broken(kind),
            _ => CloseReason::Failed(kind),
        });
    }

    /// Time has passed. Does nothing before the deadline.
    pub fn expired(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        match self.state {
            State::Reading if !self.inbox.has_begun() => self.end(CloseReason::Idle),
            State::Reading => self.state = State::Parsing(Head::TooSlow),
            State::WritingHeader { .. } | State::WritingBody { .. } => {
                self.end(CloseReason::Stalled)
            }
            State::Closing(_) => self.end(CloseReason::Overstayed),
            // About to be answered in this turn; closed at its end.
            State::Parsing(_) | State::Closed(_) => {}
        }
    }

    /// The server is stopping, so the deadline of an idle connection moves nearer: to `now` if it
    /// is settled, else by `Limits::min_idle`. A request that arrives before is answered, and
    /// [`Terms::draining`](super::Terms::draining) makes its response the last. May be called
    /// again.
    pub fn drain(&mut self, now: Instant) {
        let soon = now + self.limits.min_idle;
        if self.is_idle() && self.deadline > soon {
            self.deadline = if self.is_settled(now) { now } else { soon };
        }
    }

    /// The grace period is over: whatever the connection is doing, it ends. Returns the reason: an
    /// earlier one, if it has ended before.
    pub fn cut(&mut self) -> CloseReason {
        let reason = match self.state {
            State::WritingHeader { .. } | State::WritingBody { .. } => CloseReason::Cut,
            State::Closing(_) => CloseReason::Overstayed,
            State::Closed(reason) => reason,
            _ => CloseReason::Drained,
        };
        self.end(reason);
        reason
    }

    /// Ends the connection whatever it is doing.
    pub fn end(&mut self, ending: CloseReason) {
        self.inbox.clear();
        self.body_bytes -= self.outbox.abandon();
        self.state = State::Closed(ending);
    }
}
