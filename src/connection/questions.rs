//! Room `connection`: what can be asked of a connection. Nothing here changes it.

use super::{CloseReason, Connection, Counts, State};
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

    /// What the connection has sent.
    pub fn counts(&self) -> Counts {
        Counts {
            responses: self.responses,
            body_bytes: self.body_bytes,
            latest_body: self.latest_body,
        }
    }

    /// Bytes of memory that it keeps for itself: what has arrived of a head, and what the socket
    /// refused. None while it is idle.
    pub fn kept(&self) -> usize {
        self.inbox.capacity() + self.outbox.capacity()
    }

    /// How it ended, if it has.
    pub fn close_reason(&self) -> Option<CloseReason> {
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
