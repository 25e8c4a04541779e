//! The one seam between the protocol and the world: what a connection can want of its socket.
//! A plain socket is one transport, a script in a test another.
//!
//! Imports nothing of ours. With the reactor, the only room that may name mio.

mod arrivals;
pub mod blocking;
mod plain;
pub mod sendfile;

pub use arrivals::{Announced, Arrivals};
pub use plain::{Socket, Stream};

use std::fs::File;
use std::io;

/// A byte stream to the peer that never blocks.
///
/// Every method may fail with [`io::ErrorKind::WouldBlock`], which means: try again after
/// the next readiness event; and with `Interrupted`, which means: try again now. Any other
/// error ends the connection.
pub trait Transport {
    /// Receives into `room` (read(2)). 0 says that the peer has closed its direction.
    ///
    /// # Errors
    /// Those of the trait.
    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize>;

    /// Whether it is certain that nothing lies unread: the latest receive proved it, and no event
    /// has told of more. Then a close does not turn into a reset.
    fn is_drained(&self) -> bool;

    /// Forgets whether it is drained: the next receive asks the kernel. For a transport that always
    /// asks there is nothing to do.
    fn look_again(&mut self) {}

    /// Sends a part of `bytes`, at least one (send(2)). With `more`, a file follows at once and
    /// a packet that is not full may wait for it (MSG_MORE).
    ///
    /// # Errors
    /// Those of the trait.
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize>;

    /// Sends up to `length` bytes of `file` from `offset`. 0 says that the file ends before
    /// that. Where the system cannot do it by itself, the bytes travel through `copy`.
    ///
    /// # Errors
    /// Those of the trait, and those of reading the file.
    fn send_file(
        &mut self,
        file: &File,
        offset: u64,
        length: u64,
        copy: &mut [u8],
    ) -> io::Result<usize>;

    /// Closes our direction (shutdown(2), SHUT_WR).
    ///
    /// # Errors
    /// Those of the trait; an error here says that the connection is gone already.
    fn shutdown(&mut self) -> io::Result<()>;

    /// Makes the close that follows a reset (SO_LINGER 0): for responses that stay incomplete.
    fn abort(&mut self);
}
