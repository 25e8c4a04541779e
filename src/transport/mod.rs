//! [`Transport`]: the operations that a connection needs of its socket.
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

/// A byte stream to the peer that never blocks.
///
/// Every method may fail with [`io::ErrorKind::WouldBlock`], which means: try again after
/// the next readiness event; and with `Interrupted`, which means: try again now. Any other
/// error ends the connection.
pub trait Transport {
    /// Receives into `buf` (read(2)). 0: the peer has closed its direction.
    ///
    /// # Errors
    /// Those of the trait.
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Whether it is certain that no byte is unread: the latest receive proved it, and no event has
    /// announced more. Then a close does not become a reset.
    fn is_drained(&self) -> bool;

    /// The next receive asks the kernel. A transport that always asks does nothing here.
    fn assume_readable(&mut self) {}

    /// Sends at least one of `bytes`, and returns how many (send(2)). With `more`, a file follows
    /// at once, and a packet that is not full may wait for it (MSG_MORE).
    ///
    /// # Errors
    /// Those of the trait.
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize>;

    /// Sends up to `length` bytes of `file` from `offset`, and returns how many. 0: the file ends
    /// before `offset`. Where sendfile(2) is not supported, `copy` is the buffer.
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
    /// Those of the trait. The connection is gone already.
    fn shutdown(&mut self) -> io::Result<()>;

    /// Makes the next close a reset (SO_LINGER 0), for a response that is incomplete.
    fn abort(&mut self);
}
