//! A TCP or unix socket of mio's as a [`Transport`].

use super::{Announced, Arrivals, Transport, sendfile};
use mio::Interest;
use mio::event::Event;
use mio::net::{TcpStream, UnixStream};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::fs::File;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::time::Duration;

/// A connected socket, registered once for both directions.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    arrivals: Arrivals,
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
    /// What a socket is registered for, once and never again: both directions, for which one a
    /// connection waits for is its own affair; and urgent data where it has an event of its own.
    pub const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(URGENT);

    /// A socket that was just accepted. That it sends small packets at once (TCP_NODELAY) it has
    /// from the socket that listens.
    pub fn new(stream: Stream) -> Self {
        let arrivals = match stream {
            Stream::Tcp(_) => Arrivals::default(),
            Stream::Other(_) | Stream::Unix(_) => Arrivals::of_messages(),
        };
        Self { stream, arrivals }
    }

    /// An event says that something may have changed.
    pub fn note(&mut self, event: &Event) {
        self.note_announced(Announced::of(event));
    }

    /// The same, for one who could not be there when the event came.
    pub fn note_announced(&mut self, announced: Announced) {
        self.arrivals.note(announced);
    }

    /// Closes the socket, and sees to it that no poll waits for it any more. epoll and kqueue
    /// forget a socket by themselves when its last descriptor is closed, and this is the only one
    /// (epoll(7), kqueue(2)); mio's poll(2) selector has to be told.
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

    /// Does `operation` on the descriptor in mio's way, so that readiness is kept track of.
    fn try_io(&self, operation: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        match &self.stream {
            Stream::Tcp(stream) | Stream::Other(stream) => stream.try_io(operation),
            Stream::Unix(stream) => stream.try_io(operation),
        }
    }

    /// Where a short receive proves nothing, a look (MSG_PEEK) does.
    fn is_empty_although_short_proves_nothing(&self) -> bool {
        let is_tcp = matches!(self.stream, Stream::Tcp(_));
        let look = || recv(self.fd(), &mut [0], RecvFlags::PEEK);
        // With 0 the peer has closed, and nothing lies before that.
        !is_tcp && matches!(look(), Err(Errno::AGAIN) | Ok((_, 0)))
    }

    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) | Stream::Other(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Announced {
    /// What an event says.
    pub fn of(event: &Event) -> Self {
        Self {
            readable: event.is_readable(),
            beyond_short: event.is_read_closed() || event.is_error() || event.is_priority(),
        }
    }

    /// What both say together.
    pub fn and(self, other: Self) -> Self {
        Self {
            readable: self.readable || other.readable,
            beyond_short: self.beyond_short || other.beyond_short,
        }
    }
}

impl Transport for Socket {
    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.arrivals.are_drained() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let received = match &mut self.stream {
            Stream::Tcp(stream) | Stream::Other(stream) => stream.read(room),
            Stream::Unix(stream) => stream.read(room),
        };
        self.arrivals.received(&received, room.len());
        if self.arrivals.are_drained() && received.is_ok() {
            // mio's poll(2) selector looks again only after "would block": so it is told that.
            // On edges nothing comes of it.
            let _ = self.try_io(|| Err(io::ErrorKind::WouldBlock.into()));
        }
        received
    }

    fn is_drained(&self) -> bool {
        self.arrivals.are_drained() || self.is_empty_although_short_proves_nothing()
    }

    fn look_again(&mut self) {
        self.arrivals.forget();
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        let flags = if more {
            hold_back()
        } else {
            SendFlags::empty()
        };
        self.try_io(|| Ok(send(self.fd(), bytes, flags | no_signal())?))
    }

    fn send_file(
        &mut self,
        file: &File,
        offset: u64,
        length: u64,
        copy: &mut [u8],
    ) -> io::Result<usize> {
        self.try_io(|| {
            sendfile::send_file(self.fd(), file, offset, length, copy, |bytes| {
                Ok(send(self.fd(), bytes, no_signal())?)
            })
        })
    }

    fn shutdown(&mut self) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) | Stream::Other(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    fn abort(&mut self) {
        // If it fails the socket is beyond resetting, and closing it is all there is to do.
        let _ = rustix::net::sockopt::set_socket_linger(self.fd(), Some(Duration::ZERO));
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const URGENT: Interest = Interest::PRIORITY;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
const URGENT: Interest = Interest::READABLE;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn hold_back() -> SendFlags {
    SendFlags::MORE
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn hold_back() -> SendFlags {
    SendFlags::empty()
}

/// A peer that is gone is an error to handle, not a signal to die of.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn no_signal() -> SendFlags {
    SendFlags::NOSIGNAL
}

/// There the option is the socket's (SO_NOSIGPIPE), and Rust ignores the signal anyway.
#[cfg(target_vendor = "apple")]
pub(super) fn no_signal() -> SendFlags {
    SendFlags::empty()
}
