//! [`Transport`]: the operations that a connection needs of its socket, or of a protocol between
//! itself and the socket, such as TLS.
//!
//! Implementations: [`Socket`] (non-blocking), [`blocking::BlockingSocket`], and byte streams in
//! memory in the tests and the simulator.

pub mod blocking;
mod plain;
mod read_readiness;
pub mod sendfile;

pub use plain::{Socket, Stream};
pub use read_readiness::{ReadReadiness, ReadyFlags};

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// A part of it is done.
    Unfinished,
    /// The same, and that part, which cost little, has named the client of the connection.
    Client(IpAddr),
    /// It is complete, and its last message sent.
    Complete,
}

/// A byte stream to the peer. A receive never blocks. A send blocks only in the blocking models,
/// for a limited time ([`blocking`]).
///
/// Every method may fail with [`io::ErrorKind::WouldBlock`], which means: the socket would
/// block, in either direction; try again after the next readiness event, of either direction. And
/// with `Interrupted`, which means: try again without an event, after the other connections. Any
/// other error ends the connection.
///
/// The methods with a default are for a transport with a protocol of its own. A plain socket has
/// none, and pays nothing for them.
pub trait Transport {
    /// Whether [`handshake`](Self::handshake) comes before the first receive.
    fn needs_handshake(&self) -> bool {
        false
    }

    /// Does a part of the handshake: what one received message leads to, and no more, because the
    /// next part may have to wait for other connections.
    ///
    /// # Errors
    /// Those of the trait. The peer has closed, or does not speak the protocol.
    fn handshake(&mut self) -> io::Result<Handshake> {
        Ok(Handshake::Complete)
    }

    /// Receives into `buf` (read(2)). 0: the peer has closed its direction. If the socket ends
    /// without the end that the transport's own protocol has (TLS: close_notify), the transport
    /// decides whether to return 0 or an error.
    ///
    /// # Errors
    /// Those of the trait. Not `WouldBlock` while the transport holds bytes that it has decoded and
    /// not returned: no event announces those.
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Whether it is certain that no byte is unread, in the socket or in the transport: the latest
    /// receive proved it, and no event has announced more. Then a close does not become a reset.
    fn is_known_empty(&self) -> bool;

    /// The next receive asks the kernel. A transport that always asks does nothing here.
    fn assume_readable(&mut self) {}

    /// Whether an event has reported that no byte can be sent any more: the connection was reset,
    /// or its peer has closed both directions. A half-close of the peer is no such report. Then no
    /// body has to be produced.
    fn is_send_closed(&self) -> bool {
        false
    }

    /// Sends at least one of `bytes`, and returns how many (send(2)). With `more`, a file follows
    /// at once, and a packet that is not full may wait for it (MSG_MORE).
    ///
    /// A byte counts when the socket has taken it, so nothing is left to flush when a response is
    /// sent. A transport that encodes bytes before the socket takes them fails with `WouldBlock`
    /// and keeps the encoded ones: the next send begins with the same bytes and has no fewer (as
    /// SSL_write(3) demands), or the connection is reset.
    ///
    /// # Errors
    /// Those of the trait.
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize>;

    /// Sends up to `length` bytes of `file` from `offset`, and returns how many. 0: the file ends
    /// before `offset`. Where sendfile(2) is not supported, `copy` is the buffer. The rule of
    /// [`send`](Self::send) holds: after `WouldBlock`, `offset` is the same and `length` no less.
    ///
    /// # Errors
    /// Those of the trait, and those of reading the file.
    fn send_file(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        length: u64,
        copy: &mut [u8],
    ) -> io::Result<usize>;

    /// Ends our direction in the transport's own protocol (the close_notify of TLS), and returns
    /// when the socket has taken that. Called before [`shutdown`](Self::shutdown), and once before
    /// each close that is no reset, whatever it returns. Does nothing when it has done it before.
    ///
    /// # Errors
    /// Those of the trait.
    fn close_notify(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Closes our direction (shutdown(2), SHUT_WR).
    ///
    /// # Errors
    /// Those of the trait. The connection is gone already.
    fn shutdown(&mut self) -> io::Result<()>;

    /// The connection has run and waits: for what its socket has refused (`is_blocked`), or for its
    /// handler. Returns whether the poll must watch the socket for something else than before.
    /// Never with edges, where a socket is registered once, for both directions.
    fn changes_interest(&mut self, _is_blocked: bool) -> bool {
        false
    }

    /// Makes the next close a reset (SO_LINGER 0), for a response that is incomplete.
    fn reset_on_close(&mut self);
}
