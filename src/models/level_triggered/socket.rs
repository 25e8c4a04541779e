//! [`LevelSocket`]: a socket that records what it has refused, so that the loop watches it for that
//! and nothing else.

use super::Interest;
use crate::probe::EventFlags;
use crate::transport::{ReadyFlags, Socket, Stream, Transport};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// The socket of a connection.
#[derive(Debug)]
pub struct LevelSocket {
    socket: Socket,
    /// An event has reported that no byte can be sent any more.
    is_send_closed: bool,
    /// The calls that would block, since the connection began to run.
    refused: Interest,
    /// What the connection waits for.
    pub awaited: Interest,
    /// What the socket is watched for. `None`: it was never registered.
    pub watched: Option<Interest>,
}

impl LevelSocket {
    /// A socket that was just accepted.
    pub fn new(stream: Stream) -> Self {
        Self {
            socket: Socket::new(stream),
            is_send_closed: false,
            refused: Interest::NOTHING,
            awaited: Interest::NOTHING,
            watched: None,
        }
    }

    /// The socket is ready. The rules for edges hold here, too, and save the same call: a receive
    /// that does not fill its buffer has emptied the socket. What arrives later is reported.
    pub fn on_ready(&mut self, flags: EventFlags) {
        self.is_send_closed |= flags.is_write_closed;
        self.socket.on_ready(ReadyFlags {
            readable: flags.is_readable,
            read_until_blocked: flags.is_read_closed || flags.is_error || flags.is_urgent,
        });
    }

    fn read<R>(&mut self, call: impl FnOnce(&mut Socket) -> io::Result<R>) -> io::Result<R> {
        let result = call(&mut self.socket);
        self.refused.reading = would_block(&result);
        result
    }

    fn write<R>(&mut self, call: impl FnOnce(&mut Socket) -> io::Result<R>) -> io::Result<R> {
        let result = call(&mut self.socket);
        self.refused.writing = would_block(&result);
        result
    }
}

fn would_block<R>(result: &io::Result<R>) -> bool {
    (result.as_ref()).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl AsFd for LevelSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Transport for LevelSocket {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read(|socket| socket.receive(buf))
    }

    fn is_known_empty(&self) -> bool {
        self.socket.is_known_empty()
    }

    fn assume_readable(&mut self) {
        self.socket.assume_readable();
    }

    fn is_send_closed(&self) -> bool {
        self.is_send_closed
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        self.write(|socket| socket.send(bytes, more))
    }

    fn send_file(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        length: u64,
        copy: &mut [u8],
    ) -> io::Result<usize> {
        self.write(|socket| socket.send_file(file, offset, length, copy))
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.socket.shutdown()
    }

    fn reset_on_close(&mut self) {
        self.socket.reset_on_close();
    }

    fn changes_interest(&mut self, is_blocked: bool) -> bool {
        let refused = std::mem::take(&mut self.refused);
        self.awaited = match is_blocked {
            true => refused,
            // What the handler does is no event of the socket.
            false => Interest::NOTHING,
        };
        self.watched.is_some_and(|watched| watched != self.awaited)
    }
}
