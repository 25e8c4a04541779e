//! Room `connection`: what can be asked of a connection. Nothing here changes it.

use super::{Connection, Ending, State};
use std::time::Instant;

impl Connection {
    /// When [`Connection::expired`] must be called at the latest.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Between requests: nothing received that waits for an answer, nothing left to send.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Reading) && self.inbox.is_empty()
    }

    /// Idle for so long that nothing should be on its way in either direction.
    pub fn is_settled(&self, now: Instant) -> bool {
        // While idle, the deadline tells since when.
        let closes_in = self.deadline.saturating_duration_since(now);
        self.is_idle() && closes_in + self.limits.min_idle <= self.limits.idle_timeout
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

    /// Bytes of bodies that lay ready, also of responses before the latest, and never left. Known
    /// when the connection is over.
    pub fn lost(&self) -> u64 {
        self.outbox.lost()
    }

    /// Bytes of memory that it keeps for itself: what has arrived of a head, and what the socket
    /// refused. None while it is idle.
    pub fn kept(&self) -> usize {
        self.inbox.capacity() + self.outbox.capacity()
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
}
