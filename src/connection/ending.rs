//! Room `connection`: how a connection ends when not all was said and done. Errors, deadlines, and
//! a server that stops.

use super::head::Head;
use super::{Connection, Ending, State};
use std::io;
use std::time::Instant;

impl Connection {
    /// The socket or the file reported an error.
    pub fn failed(&mut self, kind: io::ErrorKind) {
        self.end(match self.state {
            State::WritingHeader { .. } | State::WritingBody { .. } => Ending::Broken(kind),
            _ => Ending::Failed(kind),
        });
    }

    /// Time has passed. Does nothing before the deadline.
    pub fn expired(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        match self.state {
            State::Reading if !self.inbox.has_begun() => self.end(Ending::Idle),
            State::Reading => self.state = State::Parsing(Head::TooSlow),
            State::WritingHeader { .. } | State::WritingBody { .. } => self.end(Ending::Stalled),
            State::Closing(_) => self.end(Ending::Overstayed),
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

    /// The grace period is over: whatever the connection is doing, it ends.
    pub fn cut(&mut self) {
        self.end(match self.state {
            State::WritingHeader { .. } | State::WritingBody { .. } => Ending::Cut,
            State::Closing(_) => Ending::Overstayed,
            State::Closed(ending) => ending,
            _ => Ending::Drained,
        });
    }

    /// Ends the connection whatever it is doing.
    pub fn end(&mut self, ending: Ending) {
        self.inbox.clear();
        self.outbox.abandon();
        self.state = State::Closed(ending);
    }
}
