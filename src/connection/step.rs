//! The steps of a connection, the reasons for its end, and what the pump passes to it.

use crate::http::payload::FileRange;
use crate::http::request::{Refusal, Request};
use std::io;

/// A state of a connection by its name, as docs/states.md writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateName {
    /// The transport's handshake is not complete.
    Handshaking,
    /// Collecting a request head, or idle.
    Reading,
    /// A head is complete, or refused, and not answered yet.
    Parsing,
    /// Sending status line, header fields and a small body.
    WritingHeader,
    /// Sending a body that did not fit beside its header.
    WritingBody,
    /// The last response is sent.
    Closing,
    /// The connection has ended.
    Closed(CloseReason),
}

/// The next thing to do for a connection, and the method that reports its result.
#[derive(Debug)]
pub enum Step<'c> {
    /// Do the next part of the transport's handshake. When it is complete:
    /// [`on_handshake`](super::Connection::on_handshake).
    Handshake,
    /// Receive into this buffer: [`on_received`](super::Connection::on_received) or
    /// [`on_peer_closed`](super::Connection::on_peer_closed).
    Receive(&'c mut [u8]),
    /// Answer this request: [`respond`](super::Connection::respond).
    Respond(Result<Request<'c>, Refusal<'c>>),
    /// Send these bytes: [`on_sent`](super::Connection::on_sent).
    Send {
        /// What to send. It need not be sent whole.
        bytes: &'c [u8],
        /// A file follows at once: the kernel may wait for it before it sends a packet (MSG_MORE).
        more: bool,
    },
    /// Send from this file: [`on_file_sent`](super::Connection::on_file_sent).
    SendFile(&'c FileRange),
    /// Produce one slice of the body: [`produce`](super::Connection::produce).
    Produce,
    /// Close our direction of the socket: [`on_shutdown`](super::Connection::on_shutdown).
    Shutdown {
        /// The peer announced that it sends no more requests. If nothing is unread in the socket
        /// either, there is no need to linger:
        /// [`on_shutdown_skipped`](super::Connection::on_shutdown_skipped).
        may_skip: bool,
    },
    /// Receive into this buffer and drop the bytes:
    /// [`on_discarded`](super::Connection::on_discarded).
    Discard(&'c mut [u8]),
    /// Close the socket: there is no result to report.
    End(CloseReason),
}

/// A [`Step`] by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepName {
    /// [`Step::Handshake`]
    Handshake,
    /// [`Step::Receive`]
    Receive,
    /// [`Step::Respond`]
    Respond,
    /// [`Step::Send`]
    Send,
    /// [`Step::SendFile`]
    SendFile,
    /// [`Step::Produce`]
    Produce,
    /// [`Step::Shutdown`]
    Shutdown,
    /// [`Step::Discard`]
    Discard,
    /// [`Step::End`]
    End,
}

impl Step<'_> {
    /// Its name.
    pub fn name(&self) -> StepName {
        match self {
            Self::Handshake => StepName::Handshake,
            Self::Receive(_) => StepName::Receive,
            Self::Respond(_) => StepName::Respond,
            Self::Send { .. } => StepName::Send,
            Self::SendFile(_) => StepName::SendFile,
            Self::Produce => StepName::Produce,
            Self::Shutdown { .. } => StepName::Shutdown,
            Self::Discard(_) => StepName::Discard,
            Self::End(_) => StepName::End,
        }
    }
}

/// Why a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The last response was sent, and the peer has closed, too, or sends no more requests.
    Completed,
    /// The peer closed between requests, or before its request was complete.
    PeerClosed,
    /// The socket reported an error, mostly a reset, while no response was being sent.
    SocketError(io::ErrorKind),
    /// The socket, or the file, reported an error while a response was being sent.
    SendError(io::ErrorKind),
    /// The handshake was not complete within the header timeout. No response can be sent.
    HandshakeTimeout,
    /// No request came within the idle timeout.
    IdleTimeout,
    /// Idle or in its handshake, and closed to accept another connection.
    Evicted,
    /// The server is stopping, and no response was being sent.
    Stopping,
    /// The grace period after SIGTERM ended before the response was sent.
    Aborted,
    /// Handling the connection panicked: a bug in oneloop.
    Panicked,
    /// The peer took nothing of a response within the send timeout, or took it too slowly.
    SendTimeout,
    /// The peer did not close within the linger timeout after the last response.
    LingerTimeout,
    /// The peer sent more than the linger limit after the last response.
    LingerLimit,
    /// A body could not be sent in the announced length: its file shrank, or its stream failed.
    Truncated,
}

impl CloseReason {
    /// Whether the socket is closed with a reset. A response is incomplete then: the reset tells
    /// the peer so, and the kernel drops the bytes that it still holds.
    pub fn is_reset(self) -> bool {
        matches!(
            self,
            Self::Aborted
                | Self::Panicked
                | Self::SendTimeout
                | Self::Truncated
                | Self::SendError(_)
        )
    }
}

/// What the pump decides about a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseContext<'t> {
    /// The value of the Date field.
    pub date: &'t [u8; 29],
    /// The server is stopping: this response is the connection's last.
    pub draining: bool,
    /// The budget allows another response, so that this one may wait to be sent with it.
    pub may_coalesce: bool,
}

/// What a connection has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes of all bodies, without framing, that the socket or the write buffer has taken. When
    /// the connection has ended: without those that were never sent from the write buffer.
    pub body_bytes: u64,
    /// Bytes of the latest response's body that the socket or the write buffer has taken.
    pub latest_body: u64,
}
