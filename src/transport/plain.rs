//! A non-blocking TCP or unix socket as a [`Transport`].

use super::read_readiness::{ReadReadiness, ReadyFlags};
use super::{Transport, sendfile};
use mio::Interest;
use mio::event::Event;
use mio::net::{TcpStream, UnixStream};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::fs::File;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// A connected socket, registered once for both directions.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    readiness: ReadReadiness,
    is_send_closed: bool,
}

/// The kinds of stream sockets.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// What is used in the same way, such as Multipath TCP.
    Other(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// The interest of the only registration of a socket: both directions, and urgent data where it
    /// has an event of its own.
    pub const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(URGENT);

    /// A socket that was just accepted. It inherits TCP_NODELAY from the listening socket.
    pub fn new(stream: Stream) -> Self {
        let readiness = match stream {
            Stream::Tcp(_) => ReadReadiness::default(),
            Stream::Other(_) | Stream::Unix(_) => ReadReadiness::for_messages(),
        };
        Self {
            stream,
            readiness,
            is_send_closed: false,
        }
    }

    /// An event arrived.
    pub fn on_event(&mut self, event: &Event) {
        self.on_ready(ReadyFlags::from_event(event));
        self.is_send_closed |= event.is_write_closed();
    }

    /// The flags of an earlier event.
    pub fn on_ready(&mut self, flags: ReadyFlags) {
        self.readiness.on_ready(flags);
    }

    /// Closes the socket. epoll and kqueue drop a socket when its last descriptor is closed, and
    /// this is the only one (epoll(7), kqueue(2)). mio's poll(2) selector needs a call.
    pub fn close(mut self, registry: &mio::Registry) {
        if cfg!(mio_unsupported_force_poll_poll) {
            let _ = registry.deregister(self.source());
        }
    }

    /// What the poll registers.
    pub fn source(&mut self) -> &mut dyn mio::event::Source {
        match &mut self.stream {
            Stream::Tcp(stream) | Stream::Other(stream) => stream,
            Stream::Unix(stream) => stream,
        }
    }

    /// Runs `operation` through mio, which tracks readiness.
    fn try_io(&self, operation: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        match &self.stream {
            Stream::Tcp(stream) | Stream::Other(stream) => stream.try_io(operation),
            Stream::Unix(stream) => stream.try_io(operation),
        }
    }

    /// Asks the kernel (MSG_PEEK) where a short receive proves nothing.
    fn peek_finds_nothing(&self) -> bool {
        let is_tcp = matches!(self.stream, Stream::Tcp(_));
        let peek = || recv(self.as_fd(), &mut [0], RecvFlags::PEEK);
        // 0: the peer has closed, and no byte lies before the end.
        !is_tcp && matches!(peek(), Err(Errno::AGAIN) | Ok((_, 0)))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) | Stream::Other(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

/// Here, because read_readiness.rs knows no mio.
impl ReadyFlags {
    /// What an event says.
    pub fn from_event(event: &Event) -> Self {
        Self {
            readable: event.is_readable(),
            read_until_blocked: event.is_read_closed() || event.is_error() || event.is_priority(),
        }
    }
}

impl Transport for Socket {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.readiness.is_known_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let received = match &mut self.stream {
            Stream::Tcp(stream) | Stream::Other(stream) => stream.read(buf),
            Stream::Unix(stream) => stream.read(buf),
        };
        self.readiness.on_read(&received, buf.len());
        if self.readiness.is_known_empty() && received.is_ok() {
            // Makes mio's poll(2) selector watch for reading again. With edges it does nothing.
            let _ = self.try_io(|| Err(io::ErrorKind::WouldBlock.into()));
        }
        received
    }

    fn is_known_empty(&self) -> bool {
        self.readiness.is_known_empty() || self.peek_finds_nothing()
    }

    fn assume_readable(&mut self) {
        self.readiness.assume_readable();
    }

    fn is_send_closed(&self) -> bool {
        self.is_send_closed
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        let flags = if more { msg_more() } else { SendFlags::empty() };
        self.try_io(|| Ok(send(self.as_fd(), bytes, flags | msg_nosignal())?))
    }

    fn send_file(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        length: u64,
        copy: &mut [u8],
    ) -> io::Result<usize> {
        self.try_io(|| {
            sendfile::send_file(self.as_fd(), file, offset, length, copy, |bytes| {
                Ok(send(self.as_fd(), bytes, msg_nosignal())?)
            })
        })
    }

    fn shutdown(&mut self) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) | Stream::Other(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    fn reset_on_close(&mut self) {
        // If it fails, the connection is gone, and only the close is left.
        let _ = rustix::net::sockopt::set_socket_linger(self.as_fd(), Some(Duration::ZERO));
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const URGENT: Interest = Interest::PRIORITY;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
const URGENT: Interest = Interest::READABLE;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn msg_more() -> SendFlags {
    SendFlags::MORE
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn msg_more() -> SendFlags {
    SendFlags::empty()
}

/// A peer that is gone is an error (EPIPE), not a SIGPIPE.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn msg_nosignal() -> SendFlags {
    SendFlags::NOSIGNAL
}

/// Apple's systems have a socket option instead (SO_NOSIGPIPE), and SIGPIPE is ignored.
#[cfg(target_vendor = "apple")]
pub(super) fn msg_nosignal() -> SendFlags {
    SendFlags::empty()
}
