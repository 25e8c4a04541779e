//! A client of the conformance tests: bytes, and nothing that knows HTTP.

use crate::process::TIME_LIMIT;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

/// The client's end of a connection. No read or write takes longer than [`TIME_LIMIT`].
pub struct Peer(TcpStream);

impl Peer {
    /// On a connected socket.
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a fresh socket");
        stream.set_read_timeout(Some(TIME_LIMIT)).expect("not zero");
        stream
            .set_write_timeout(Some(TIME_LIMIT))
            .expect("not zero");
        Self(stream)
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// Those of send(2); `TimedOut` when the server takes none of it.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).map_err(with_timeout_named)
    }

    /// Shuts down the sending direction.
    pub fn half_close(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    /// Receives `length` bytes, or fewer if the server closes before.
    ///
    /// # Errors
    /// Those of recv(2), with what had arrived before: a reset, or `TimedOut`.
    pub fn receive(&mut self, length: usize) -> Result<Vec<u8>, (Vec<u8>, io::Error)> {
        let mut bytes = Vec::new();
        let mut rest = (&self.0).take(length as u64);
        match rest.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err((bytes, with_timeout_named(error))),
        }
    }

    /// Receives what there is, or waits for it; nothing at all means that the server closed.
    ///
    /// # Errors
    /// Those of recv(2): a reset, or `TimedOut`.
    pub fn receive_some(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            match self.0.read(&mut bytes) {
                Ok(length) => {
                    bytes.truncate(length);
                    return Ok(bytes);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(with_timeout_named(error)),
            }
        }
    }

    /// Receives until the server closes.
    ///
    /// # Errors
    /// Those of [`Peer::receive`].
    pub fn receive_to_end(&mut self) -> Result<Vec<u8>, (Vec<u8>, io::Error)> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err((bytes, with_timeout_named(error))),
        }
    }
}

/// On a socket with a timeout, `WouldBlock` means that the time is over.
fn with_timeout_named(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => io::Error::new(
            ErrorKind::TimedOut,
            "nothing was sent or received within the time limit",
        ),
        _ => error,
    }
}
