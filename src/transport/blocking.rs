//! A socket that blocks, as a [`Transport`]: for drivers that have a thread or a process to spend
//! on one client.
//!
//! The pump is told the time before it begins, so it must not sleep: the time would be old when it
//! goes on. So [`Blocking::receive`](Transport::receive) hands out only what [`Blocking::wait`] has
//! fetched, and `wait` is where the driver sleeps: in the read itself. Thus a request on an open
//! connection costs two system calls, a read and a write. Nor does a send sleep for longer than
//! `PATIENCE`: then the driver looks at the clock and at the signals.

use super::plain::{hold_back, no_signal};
use super::{Transport, sendfile};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::fs::File;
use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// Bytes fetched by one read.
const ROOM: usize = 16 * 1024;

/// The longest a send may sleep.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// How late a wait may end: a timeout that is set already and near enough is not set again.
const NEAR: Duration = Duration::from_millis(10);

/// How long a wait lasts on a socket that was woken for good.
const TICK: Duration = Duration::from_millis(20);

/// The two kinds of stream sockets, blocking.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

/// What others may do to a socket whose owner sleeps in it.
#[derive(Debug)]
pub struct Handle {
    stream: Stream,
    /// Its owner sleeps between two requests, or is about to.
    is_idle: AtomicBool,
    /// It was woken: from now on "end of stream" may mean just that.
    is_woken: AtomicBool,
}

impl Handle {
    /// Of a socket that was just accepted.
    pub fn new(stream: Stream) -> Arc<Self> {
        Arc::new(Self {
            stream,
            is_idle: AtomicBool::new(false),
            is_woken: AtomicBool::new(false),
        })
    }

    /// Its owner says whether it is idle, and only then looks whether the server is stopping. Who
    /// stops it does it the other way round, so one of the two sees the other.
    pub fn set_idle(&self, is_idle: bool) {
        self.is_idle.store(is_idle, Ordering::SeqCst);
    }

    /// Wakes its owner if it is idle: its read ends (shutdown(2), SHUT_RD).
    ///
    /// If bytes or the peer's FIN have arrived, they wake the owner, and the socket stays as it is:
    /// after SHUT_RD a read that ends no longer says whether the peer has closed the connection.
    pub fn wake_if_idle(&self) {
        let peeked = || {
            recv(
                self.fd(),
                &mut [0; 1],
                RecvFlags::PEEK | RecvFlags::DONTWAIT,
            )
        };
        if self.is_idle.load(Ordering::SeqCst) && peeked() == Err(Errno::AGAIN) {
            self.is_woken.store(true, Ordering::SeqCst);
            self.shut(Shutdown::Read);
        }
    }

    /// Wakes its owner whatever it does: at once from a read, and by its patience from a send. To
    /// shut that direction, too, would send a FIN, and the peer might take what it has for the
    /// whole before the reset comes.
    pub fn wake(&self) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.shut(Shutdown::Read);
    }

    fn shut(&self, how: Shutdown) {
        // If it fails, the connection is gone, and its owner awake.
        let _ = self.shutdown(how);
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(how),
            Stream::Unix(stream) => stream.shutdown(how),
        }
    }

    /// Reads (read(2)), sleeping for at most `most`.
    ///
    /// # Errors
    /// Those of read(2); `WouldBlock` says that the time is up.
    pub fn read(&self, room: &mut [u8], most: Duration) -> io::Result<usize> {
        set_socket_timeout(self.fd(), Timeout::Recv, Some(rounded(most)))?;
        match &self.stream {
            Stream::Tcp(stream) => (&*stream).read(room),
            Stream::Unix(stream) => (&*stream).read(room),
        }
    }

    /// Sends (send(2)), sleeping for at most `most`.
    ///
    /// # Errors
    /// Those of send(2); `WouldBlock` says that the time is up.
    pub fn write(&self, bytes: &[u8], most: Duration) -> io::Result<usize> {
        set_socket_timeout(self.fd(), Timeout::Send, Some(rounded(most)))?;
        Ok(send(self.fd(), bytes, no_signal())?)
    }

    /// Nothing more will be sent (shutdown(2), SHUT_WR).
    ///
    /// # Errors
    /// The connection is gone already.
    pub fn finish_sending(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// Its close will be a reset.
    pub fn abort(&self) {
        // If it fails the socket is beyond resetting, and closing it is all there is to do.
        let _ = rustix::net::sockopt::set_socket_linger(self.fd(), Some(Duration::ZERO));
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

/// A connected socket, whose owner waits in it.
#[derive(Debug)]
pub struct Blocking {
    handle: Arc<Handle>,
    room: Box<[u8]>,
    /// What was fetched and is not handed out yet.
    fetched: std::ops::Range<usize>,
    /// The peer has closed its direction.
    is_at_end: bool,
    /// A read failed: what is to be said of it.
    error: Option<io::Error>,
    /// The latest read did not fill its room.
    is_drained: bool,
    /// The latest operation that was refused was a send: it has waited already.
    has_slept: bool,
    /// A send came back with less than it was given: it has slept, and the time is old.
    is_short: bool,
    /// The timeout for reading that is set.
    timeout: Option<Duration>,
}

impl Blocking {
    /// Of an accepted socket. `send_timeout` is how long a peer may take nothing.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn new(handle: Arc<Handle>, send_timeout: Duration) -> io::Result<Self> {
        let patience = (send_timeout / 4).clamp(Duration::from_millis(1), PATIENCE);
        set_socket_timeout(handle.fd(), Timeout::Send, Some(patience))?;
        Ok(Self {
            handle,
            room: vec![0; ROOM].into(),
            fetched: 0..0,
            is_at_end: false,
            error: None,
            is_drained: false,
            has_slept: false,
            is_short: false,
            timeout: None,
        })
    }

    /// What others hold of it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Sleeps until the operation that was refused can go on, a signal comes, or `most` has passed.
    pub fn wait(&mut self, most: Duration) {
        if std::mem::take(&mut self.has_slept) {
            return;
        }
        if let Err(error) = self.set_timeout(most) {
            self.error = Some(error);
            return;
        }
        let read = match &self.handle.stream {
            Stream::Tcp(stream) => (&*stream).read(&mut self.room),
            Stream::Unix(stream) => (&*stream).read(&mut self.room),
        };
        self.note(read, most);
    }

    /// Fetches what has arrived, without sleeping: before a deadline is judged, and before a server
    /// that stops closes a connection.
    pub fn look(&mut self) {
        if self.fetched.is_empty() && !self.is_at_end && self.error.is_none() {
            let read = recv(self.handle.fd(), &mut *self.room, RecvFlags::DONTWAIT);
            let read = read.map(|(length, _)| length).map_err(io::Error::from);
            self.note(read, Duration::ZERO);
        }
    }

    fn note(&mut self, read: io::Result<usize>, most: Duration) {
        match read {
            Ok(0) if self.handle.is_woken.load(Ordering::SeqCst) => sleep(TICK.min(most)),
            Ok(0) => self.is_at_end = true,
            Ok(length) => {
                self.fetched = 0..length;
                self.is_drained = length < ROOM;
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ => self.error = Some(error),
            },
        }
    }

    /// After a response the time to wait is the same as after the one before, but for what the
    /// response took; so mostly there is no call here.
    fn set_timeout(&mut self, most: Duration) -> io::Result<()> {
        let is_near = |set: Duration| set >= most && set - most <= NEAR;
        if !self.timeout.is_some_and(is_near) {
            let rounded = rounded(most);
            set_socket_timeout(self.handle.fd(), Timeout::Recv, Some(rounded))?;
            self.timeout = Some(rounded);
        }
        Ok(())
    }

    fn refuse_to_sleep_twice(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.is_short) {
            true => self.slept(),
            false => Ok(()),
        }
    }

    fn slept(&mut self) -> io::Result<()> {
        self.has_slept = true;
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// What came of a send that could have sent `length` bytes.
    fn outcome(&mut self, sent: io::Result<usize>, length: usize) -> io::Result<usize> {
        match sent {
            Ok(sent) => {
                self.is_short = sent < length;
                Ok(sent)
            }
            // Interrupted: the driver is to look what the signal wants.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                self.slept().map(|()| 0)
            }
            Err(error) => Err(error),
        }
    }
}

impl Transport for Blocking {
    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let fetched = self.room.get(self.fetched.clone()).unwrap_or_default();
        if !fetched.is_empty() {
            let length = fetched.len().min(room.len());
            for (to, from) in room.iter_mut().zip(fetched) {
                *to = *from;
            }
            self.fetched.start += length;
            return Ok(length);
        }
        match self.error.take() {
            Some(error) => Err(error),
            None if self.is_at_end => Ok(0),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn is_drained(&self) -> bool {
        self.is_drained && self.fetched.is_empty()
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        self.refuse_to_sleep_twice()?;
        let flags = if more {
            hold_back()
        } else {
            SendFlags::empty()
        };
        let sent = send(self.handle.fd(), bytes, flags | no_signal()).map_err(io::Error::from);
        self.outcome(sent, bytes.len())
    }

    fn send_file(
        &mut self,
        file: &File,
        offset: u64,
        length: u64,
        copy: &mut [u8],
    ) -> io::Result<usize> {
        self.refuse_to_sleep_twice()?;
        let fd = self.handle.fd();
        let sent = sendfile::send_file(fd, file, offset, length, copy, |bytes| {
            Ok(send(fd, bytes, no_signal())?)
        });
        self.outcome(sent, usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.handle.finish_sending()
    }

    fn abort(&mut self) {
        self.handle.abort();
    }
}

/// Zero would mean for ever, and a fraction of a millisecond a busy loop.
fn rounded(most: Duration) -> Duration {
    Duration::from_millis(u64::try_from(most.as_millis()).unwrap_or(0) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    /// Red when `wake_if_idle` shuts the socket whatever has arrived.
    #[test]
    fn what_arrived_before_the_wake_is_read_and_so_is_the_end() {
        for bytes in [&b""[..], b"GET /sm"] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let handle = Handle::new(Stream::Tcp(listener.accept().unwrap().0));
            let mut transport = Blocking::new(handle.clone(), PATIENCE).unwrap();
            peer.write_all(bytes).unwrap();
            drop(peer);
            let mut peeked = [0; 8];
            // The FIN has arrived when the bytes have and the read after them does not wait.
            recv(handle.fd(), &mut peeked, RecvFlags::PEEK).unwrap();
            handle.set_idle(true);
            handle.wake_if_idle();
            let mut received = Vec::new();
            let mut buffer = [0; 16];
            loop {
                transport.wait(PATIENCE);
                match transport.receive(&mut buffer).unwrap() {
                    0 => break,
                    length => received.extend_from_slice(&buffer[..length]),
                }
            }
            assert_eq!(received, bytes);
        }
    }
}
