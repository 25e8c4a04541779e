//! Room `connection`: the words between the machine and whoever drives it.

use crate::http::payload::FileRange;
use crate::http::request::{Refusal, Request};
use std::io;

/// The next thing to do for a connection, with the event that reports what came of it.
#[derive(Debug)]
pub enum Step<'c> {
    /// Receive into this room: [`received`](super::Connection::received) or
    /// [`peer_closed`](super::Connection::peer_closed).
    Receive(&'c mut [u8]),
    /// Answer this: [`respond`](super::Connection::respond).
    Respond(Result<Request<'c>, Refusal<'c>>),
    /// Send these bytes: [`sent`](super::Connection::sent).
    Send {
        /// What to send; any part of it will do.
        bytes: &'c [u8],
        /// A file follows at once: the kernel may wait for it before it sends a packet.
        more: bool,
    },
    /// Send from this file: [`file_sent`](super::Connection::file_sent).
    SendFile(&'c FileRange),
    /// Let the body grow by one slice: [`produce`](super::Connection::produce).
    Produce,
    /// Close our direction: [`shut_down`](super::Connection::shut_down).
    Shutdown {
        /// The peer has said that it sends nothing more. If nothing lies unread in the socket
        /// either, a farewell is in nobody's interest: [`left`](super::Connection::left).
        unless_drained: bool,
    },
    /// Receive into this room and forget it: [`discarded`](super::Connection::discarded).
    Discard(&'c mut [u8]),
    /// Close the socket: no event follows.
    End(CloseReason),
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The last response was sent, and the peer has closed, too, or has nothing more to say.
    Answered,
    /// The peer closed between requests, or before its request was complete.
    PeerClosed,
    /// The network said no: a reset, mostly.
    Failed(io::ErrorKind),
    /// The same, or a file could not be read, while a response was on its way.
    Broken(io::ErrorKind),
    /// No request came within the idle timeout.
    Idle,
    /// Idle, and its descriptor was needed for someone else.
    Evicted,
    /// Idle, and the server is stopping.
    Drained,
    /// The grace period after SIGTERM was over before the response was sent.
    Cut,
    /// The peer took nothing, or too little, of a response.
    Stalled,
    /// The peer went on sending after our last response, for too long or too much.
    Overstayed,
    /// A body could not be sent as long as announced: its file shrank or failed.
    Truncated,
}

impl CloseReason {
    /// Whether the socket is closed with a reset: where a response stays incomplete, so that
    /// nobody takes it for complete and the kernel drops what it still holds.
    pub fn aborts(self) -> bool {
        matches!(
            self,
            Self::Cut | Self::Stalled | Self::Truncated | Self::Broken(_)
        )
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

/// What a connection has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Responses begun, refusals among them.
    pub responses: u32,
    /// Bytes of all bodies, without framing, that the socket or the write buffer has taken. When
    /// the connection has ended: without those that never left the write buffer.
    pub body_bytes: u64,
    /// Bytes of the latest response's body that the socket or the write buffer has taken.
    pub latest_body: u64,
}
