//! A blocking socket as a [`Transport`], for a thread or a process that serves one connection.
//!
//! The pump takes the time as an argument, so it must not sleep in a read. The thread sleeps in
//! [`BlockingSocket::wait`], which reads into a buffer, and
//! [`receive`](Transport::receive) only copies from that buffer. A request on an open connection
//! costs two system calls, a read and a write. A send sleeps for [`SEND_TIMEOUT`] at most; then the
//! thread checks the clock and the signals.

use super::plain::{msg_more, msg_nosignal};
use super::{Transport, sendfile};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_timeout};
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

/// Size of the read buffer in bytes.
pub const READ_BUFFER: usize = 16 * 1024;

/// The longest a send may sleep.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// By how much a wait may be too long, in milliseconds and as a part of the wait; the larger one
/// counts. A timeout that is set and near enough is not set again.
const TIMEOUT_TOLERANCE: Duration = Duration::from_millis(10);
const TOLERATED_PART: u32 = 64;

/// How long a wait lasts on a socket that is shut for reading.
const WOKEN_WAIT: Duration = Duration::from_millis(20);

/// The result of a read: a number of bytes, or what failed.
pub type ReadResult = Result<usize, io::ErrorKind>;

/// A blocking stream socket.
#[derive(Debug)]
pub enum BlockingStream {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

/// A socket that other threads may shut while its owner sleeps in a read or a send.
#[derive(Debug)]
pub struct Handle {
    stream: BlockingStream,
    /// Its owner waits for the next request, or is about to.
    is_idle: AtomicBool,
    /// [`wake`](Self::wake) has shut it for reading: "end of stream" may not be the peer's.
    is_woken: AtomicBool,
    /// The timeouts that it had when it was accepted.
    timeouts: Timeouts,
}

impl Handle {
    /// The handle of a socket that was just accepted, and has these `timeouts`.
    pub fn new(stream: BlockingStream, timeouts: Timeouts) -> Arc<Self> {
        Arc::new(Self {
            stream,
            timeouts,
            is_idle: AtomicBool::new(false),
            is_woken: AtomicBool::new(false),
        })
    }

    /// The timeouts that it had when it was accepted.
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Called by the owner, which checks afterwards whether the server is stopping. The thread that
    /// stops the server sets that flag first and checks this one afterwards, so one of the two sees
    /// the other.
    pub fn set_idle(&self, is_idle: bool) {
        self.is_idle.store(is_idle, Ordering::SeqCst);
    }

    /// Wakes its owner if it is idle: its read ends (shutdown(2), SHUT_RD).
    ///
    /// Does nothing if bytes or the peer's FIN have arrived, which wake the owner: after SHUT_RD
    /// the end of the stream does not tell whether the peer has closed.
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

    /// Wakes its owner: from a read at once, from a send after [`SEND_TIMEOUT`] at most. Shutting
    /// the write direction would send a FIN, and the peer might take an incomplete response for a
    /// complete one before the reset arrives.
    pub fn wake(&self) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.shut(Shutdown::Read);
    }

    fn shut(&self, how: Shutdown) {
        // If it fails, the connection is gone, and its owner is awake.
        let _ = self.shutdown(how);
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match &self.stream {
            BlockingStream::Tcp(stream) => stream.shutdown(how),
            BlockingStream::Unix(stream) => stream.shutdown(how),
        }
    }

    /// Reads (read(2)), sleeping for at most `timeout`.
    ///
    /// # Errors
    /// Those of read(2). `WouldBlock`: the time is over.
    pub fn read(&self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
        set_socket_timeout(self.fd(), Timeout::Recv, Some(round_up_to_ms(timeout)))?;
        match &self.stream {
            BlockingStream::Tcp(stream) => (&*stream).read(buf),
            BlockingStream::Unix(stream) => (&*stream).read(buf),
        }
    }

    /// Sends (send(2)), sleeping for at most `timeout`.
    ///
    /// # Errors
    /// Those of send(2). `WouldBlock`: the time is over.
    pub fn write(&self, bytes: &[u8], timeout: Duration) -> io::Result<usize> {
        set_socket_timeout(self.fd(), Timeout::Send, Some(round_up_to_ms(timeout)))?;
        Ok(send(self.fd(), bytes, msg_nosignal())?)
    }

    /// Closes the write direction (shutdown(2), SHUT_WR).
    ///
    /// # Errors
    /// The connection is gone already.
    pub fn finish_sending(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// Makes the next close a reset (SO_LINGER 0).
    pub fn reset_on_close(&self) {
        // If it fails, the connection is gone, and only the close is left.
        let _ = rustix::net::sockopt::set_socket_linger(self.fd(), Some(Duration::ZERO));
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            BlockingStream::Tcp(stream) => stream.as_fd(),
            BlockingStream::Unix(stream) => stream.as_fd(),
        }
    }
}

/// The longest that a read and a send of a socket may sleep, as the socket has it (SO_RCVTIMEO,
/// SO_SNDTIMEO). `None`: without an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    receive: Option<Duration>,
    send: Option<Duration>,
}

impl Timeouts {
    /// Those of a connection whose first wait takes at most `first_wait`. A send sleeps for a
    /// quarter of `send_timeout` at most.
    pub fn new(first_wait: Duration, send_timeout: Duration) -> Self {
        let send = (send_timeout / 4).clamp(Duration::from_millis(1), SEND_TIMEOUT);
        Self {
            receive: Some(round_up_to_ms(first_wait)),
            send: Some(send),
        }
    }

    /// Those that `socket` has. If it cannot tell, none.
    pub fn of(socket: impl AsFd) -> Self {
        let of = |which| socket_timeout(&socket, which).ok().flatten();
        Self {
            receive: of(Timeout::Recv),
            send: of(Timeout::Send),
        }
    }

    /// Sets them on `socket`.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_on(self, socket: impl AsFd) -> io::Result<()> {
        set_socket_timeout(&socket, Timeout::Recv, self.receive)?;
        Ok(set_socket_timeout(&socket, Timeout::Send, self.send)?)
    }
}

/// Whether a timeout that is set does for a wait of `wanted`. The kernel rounds up.
fn is_near(set: Option<Duration>, wanted: Duration) -> bool {
    let tolerance = TIMEOUT_TOLERANCE.max(wanted / TOLERATED_PART);
    set.is_some_and(|set| set >= wanted && set - wanted <= tolerance)
}

/// A connected blocking socket with its read buffer.
#[derive(Debug)]
pub struct BlockingSocket {
    handle: Arc<Handle>,
    /// What the latest read has read. Its memory is not cleared, so it takes none before that.
    buf: Vec<u8>,
    /// The part of `buf` that was read and not received yet.
    unread: std::ops::Range<usize>,
    /// The peer has closed its direction.
    is_at_end: bool,
    /// A read failed: the next receive returns this.
    error: Option<io::Error>,
    /// The latest read did not fill the buffer.
    is_socket_empty: bool,
    /// The latest operation that would block was a send, which has slept.
    has_slept: bool,
    /// A send returned less than it was given: it has slept, and the time is old.
    has_sent_part: bool,
    /// The read timeout that is set (SO_RCVTIMEO).
    timeout: Option<Duration>,
}

impl BlockingSocket {
    /// An accepted socket. It gets the timeout for a send from `wanted`, if it has another one. A
    /// wait sets that for a read.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn new(handle: Arc<Handle>, wanted: Timeouts) -> io::Result<Self> {
        let set = handle.timeouts();
        if !wanted.send.is_some_and(|wanted| is_near(set.send, wanted)) {
            set_socket_timeout(handle.fd(), Timeout::Send, wanted.send)?;
        }
        Ok(Self {
            handle,
            buf: Vec::new(),
            unread: 0..0,
            is_at_end: false,
            error: None,
            is_socket_empty: false,
            has_slept: false,
            has_sent_part: false,
            timeout: set.receive,
        })
    }

    /// The handle that is shared with other threads.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Sleeps until bytes arrive, a signal arrives, or `timeout` has passed. After a send that has
    /// slept it does not sleep. Returns the result of the read, if there was one.
    pub fn wait(&mut self, timeout: Duration) -> Option<ReadResult> {
        if std::mem::take(&mut self.has_slept) {
            return None;
        }
        if let Err(error) = self.set_timeout(timeout) {
            self.error = Some(error);
            return None;
        }
        Some(self.read(RecvFlags::empty(), timeout))
    }

    /// Whether a wait has brought something: bytes that are not received yet, the end of the
    /// stream, or an error.
    pub fn has_arrived(&self) -> bool {
        !self.unread.is_empty() || self.is_at_end || self.error.is_some()
    }

    /// Reads without sleeping. Called before a deadline is judged, and before a server that stops
    /// closes a connection. Returns the result of the read, if there was one.
    pub fn read_available(&mut self) -> Option<ReadResult> {
        if self.has_arrived() {
            return None;
        }
        Some(self.read(RecvFlags::DONTWAIT, Duration::ZERO))
    }

    fn read(&mut self, flags: RecvFlags, timeout: Duration) -> ReadResult {
        self.buf.clear();
        self.buf.reserve_exact(READ_BUFFER);
        let read = recv(self.handle.fd(), spare_capacity(&mut self.buf), flags);
        let read = read.map(|(length, _)| length).map_err(io::Error::from);
        self.record_read(read, timeout)
    }

    fn record_read(&mut self, read: io::Result<usize>, timeout: Duration) -> ReadResult {
        let result = read.as_ref().copied().map_err(io::Error::kind);
        match read {
            Ok(0) if self.handle.is_woken.load(Ordering::SeqCst) => sleep(WOKEN_WAIT.min(timeout)),
            Ok(0) => self.is_at_end = true,
            Ok(length) => {
                self.unread = 0..length;
                self.is_socket_empty = length < READ_BUFFER;
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ => self.error = Some(error),
            },
        }
        result
    }

    /// Sets the read timeout unless the one that is set is near enough, as it is after most
    /// responses.
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        if !is_near(self.timeout, timeout) {
            let rounded = round_up_to_ms(timeout);
            set_socket_timeout(self.handle.fd(), Timeout::Recv, Some(rounded))?;
            self.timeout = Some(rounded);
        }
        Ok(())
    }

    fn block_after_short_send(&mut self) -> io::Result<()> {
        self.has_slept = std::mem::take(&mut self.has_sent_part);
        match self.has_slept {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Ok(()),
        }
    }

    /// Records the result of a send of `length` bytes.
    fn record_send(&mut self, sent: io::Result<usize>, length: usize) -> io::Result<usize> {
        match sent {
            Ok(sent) => {
                self.has_sent_part = sent < length;
                Ok(sent)
            }
            // After a signal the caller checks what it asks for.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                self.has_slept = true;
                Err(Errno::AGAIN.into())
            }
            Err(error) => Err(error),
        }
    }
}

impl Transport for BlockingSocket {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.unread.is_empty() {
            let (read, _) = self.buf.split_at(self.unread.end);
            let (_, mut unread) = read.split_at(self.unread.start);
            let length = unread.read(buf)?;
            self.unread.start += length;
            return Ok(length);
        }
        match self.error.take() {
            Some(error) => Err(error),
            None if self.is_at_end => Ok(0),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn is_known_empty(&self) -> bool {
        self.is_socket_empty && self.unread.is_empty()
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        self.block_after_short_send()?;
        let flags = if more { msg_more() } else { SendFlags::empty() };
        let sent = send(self.handle.fd(), bytes, flags | msg_nosignal()).map_err(io::Error::from);
        self.record_send(sent, bytes.len())
    }

    fn send_file(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        length: u64,
        copy: &mut [u8],
    ) -> io::Result<usize> {
        self.block_after_short_send()?;
        let fd = self.handle.fd();
        let sent = sendfile::send_file(fd, file, offset, length, copy, |bytes| {
            Ok(send(fd, bytes, msg_nosignal())?)
        });
        self.record_send(sent, usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.handle.finish_sending()
    }

    fn reset_on_close(&mut self) {
        self.handle.reset_on_close();
    }
}

/// The next whole millisecond after `timeout`: zero would mean no timeout.
fn round_up_to_ms(timeout: Duration) -> Duration {
    let whole = Duration::new(timeout.as_secs(), timeout.subsec_millis() * 1_000_000);
    whole.saturating_add(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    fn accepted(listener: &TcpListener) -> Arc<Handle> {
        let stream = BlockingStream::Tcp(listener.accept().unwrap().0);
        Handle::new(stream, Timeouts::default())
    }

    fn blocking(handle: Arc<Handle>) -> BlockingSocket {
        let wanted = Timeouts::new(SEND_TIMEOUT, SEND_TIMEOUT);
        BlockingSocket::new(handle, wanted).unwrap()
    }

    /// Fails if `wake_if_idle` shuts down a socket with unread bytes.
    #[test]
    fn what_arrived_before_the_wake_is_read_and_so_is_the_end() {
        for bytes in [&b""[..], b"GET /sm"] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let handle = accepted(&listener);
            let mut transport = blocking(handle.clone());
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
                transport.wait(SEND_TIMEOUT);
                match transport.receive(&mut buffer).unwrap() {
                    0 => break,
                    length => received.extend_from_slice(&buffer[..length]),
                }
            }
            assert_eq!(received, bytes);
        }
    }
}
