//! Room `models`: who is let in, when the driver can only take one at a time.
//!
//! The kernel's queue is the waiting room: nobody is accepted before there is a thread, a process
//! or a turn for him. The listening sockets are the reactor's, and so is the judgement of what an
//! error of accept(2) calls for.

use crate::limits::Limits;
use crate::reactor::listen::BoundListener;
use crate::reactor::listener::{Accept, AcceptFailure, classify};
use crate::transport::Stream;
use crate::transport::blocking::{BlockingStream, Handle};
use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Registry, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

/// After so many connections lost in a row the error is taken to last.
const LOSSES: usize = 64;

/// Whatever wakes the poll: it is asked afresh what has come.
const ANY: Token = Token(0);

/// A [`Waker`] ended the wait.
const WOKEN: Token = Token(1);

/// Somebody who was let in.
pub struct Accepted {
    /// His socket.
    pub handle: Arc<Handle>,
    /// Who he is; `None` stands for a peer on a unix socket.
    pub peer: Option<IpAddr>,
}

/// Ends a [`wait`](Acceptor::wait) from another thread.
///
/// A byte in a socket of its own, and not a mio::Waker: with mio's poll(2) selector a wake-up that
/// coincides with an accept(2) in the waiting thread gets lost.
pub struct Waker(UnixStream);

impl Waker {
    /// Ends the wait that is going on, or the next one.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn wake(&self) -> io::Result<()> {
        match (&self.0).write(&[0]) {
            // A full buffer wakes as well.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}

/// The listening sockets.
pub struct Acceptor {
    poll: Poll,
    /// What the [`Waker`] writes to.
    woken: Option<UnixStream>,
    events: Events,
    listening: Vec<BoundListener>,
    /// The socket to accept from next: each has its turn, so that many connections at one do not
    /// hold up those at another.
    next: usize,
    /// Connections lost in a row, on whatever socket.
    losses: usize,
    pause: Duration,
    has_warned: bool,
    /// Somebody may still wait for whom there was no descriptor. He was announced, and will not be
    /// again.
    retries_at_once: bool,
}

impl Acceptor {
    /// Of sockets that listen.
    ///
    /// # Errors
    /// Those of epoll_create(2) or kqueue(2), and of registering with them.
    pub fn new(mut listening: Vec<BoundListener>, limits: &Limits) -> io::Result<Self> {
        let poll = Poll::new()?;
        for one in &mut listening {
            poll.registry()
                .register(&mut one.socket, ANY, Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            woken: None,
            events: Events::with_capacity(64),
            listening,
            next: 0,
            losses: 0,
            pause: limits.accept_pause,
            has_warned: false,
            retries_at_once: false,
        })
    }

    /// What ends a [`wait`](Self::wait) from another thread. The latest one does.
    ///
    /// # Errors
    /// Those of socketpair(2), and of registering.
    pub fn waker(&mut self) -> io::Result<Waker> {
        let (writer, mut reader) = UnixStream::pair()?;
        let registry = self.poll.registry();
        registry.register(&mut reader, WOKEN, Interest::READABLE)?;
        self.woken = Some(reader);
        Ok(Waker(writer))
    }

    /// Where something else may be registered that ends a rest.
    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// What the registry's newcomers are to be called.
    pub fn token() -> Token {
        ANY
    }

    /// Sleeps until something may have come.
    ///
    /// # Errors
    /// The poll failed in a way that cannot be mended.
    pub fn wait(&mut self, most: Option<Duration>) -> io::Result<()> {
        // The pause was taken when he was left.
        if std::mem::take(&mut self.retries_at_once) {
            return Ok(());
        }
        match self.poll.poll(&mut self.events, most) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        if let Some(woken) = &mut self.woken
            && self.events.iter().any(|event| event.token() == WOKEN)
        {
            while let Ok(1..) = woken.read(&mut [0; 16]) {}
        }
        Ok(())
    }

    /// Waits for somebody. `None`: the server is stopping, and all who waited have been let in.
    ///
    /// # Errors
    /// A listening socket failed in a way that cannot be mended.
    pub fn accept(&mut self, is_draining: impl Fn() -> bool) -> io::Result<Option<Accepted>> {
        loop {
            // Asked before: who comes after that question has come too late.
            let is_draining = is_draining();
            if let Some(accepted) = self.try_accept()? {
                return Ok(Some(accepted));
            }
            if is_draining {
                self.listening.clear();
                return Ok(None);
            }
            self.wait(None)?;
        }
    }

    /// Accepts a connection that waits already.
    ///
    /// # Errors
    /// A listening socket failed in a way that cannot be mended.
    pub fn try_accept(&mut self) -> io::Result<Option<Accepted>> {
        let first = self.next;
        for index in (first..self.listening.len()).chain(0..first) {
            if let Some(accepted) = self.try_accept_from(index)? {
                self.next = (index + 1) % self.listening.len();
                return Ok(Some(accepted));
            }
        }
        Ok(None)
    }

    fn try_accept_from(&mut self, index: usize) -> io::Result<Option<Accepted>> {
        while let Some(one) = self.listening.get_mut(index) {
            let error = match one.socket.accept().and_then(admit) {
                Ok(accepted) => {
                    self.losses = 0;
                    return Ok(Some(accepted));
                }
                Err(error) => error,
            };
            match classify(&error) {
                AcceptFailure::NoneWaiting => break,
                AcceptFailure::ConnectionLost if self.losses < LOSSES => {
                    log::debug!("accept: {error}");
                    self.losses += 1;
                }
                // Without a pause an error that lasts would keep the processor busy.
                AcceptFailure::ConnectionLost => {
                    self.pause_after(&format!("accept fails again and again: {error}"));
                    break;
                }
                AcceptFailure::NoResources => {
                    self.pause_after(&format!(
                        "cannot accept for now: {error} (raise: ulimit -n)"
                    ));
                    break;
                }
                AcceptFailure::Fatal => return Err(error),
            }
        }
        Ok(None)
    }

    /// Accepting failed, though a connection may wait: says so once, and pauses before the next
    /// try.
    pub fn pause_after(&mut self, what: &str) {
        if !std::mem::replace(&mut self.has_warned, true) {
            log::warn!("{what}; trying again every {} ms", self.pause.as_millis());
        }
        sleep(self.pause);
        self.retries_at_once = true;
    }

    /// Whether a connection waits to be accepted (poll(2)).
    pub fn has_pending(&self) -> bool {
        let mut sockets: Vec<_> = self
            .listening
            .iter()
            .map(|one| PollFd::new(&one.socket, PollFlags::IN))
            .collect();
        // An interrupted call is no reason to end a connection.
        poll(&mut sockets, Some(&Timespec::default())).is_ok_and(|count| count > 0)
    }

    /// Nobody is let in any more.
    pub fn close(&mut self) {
        self.listening.clear();
    }

    /// What a child does with its copy: closes the sockets, and leaves the files of unix sockets to
    /// the parent.
    pub fn close_in_child(mut self) {
        for one in self.listening.drain(..) {
            std::mem::forget(one.file);
        }
    }
}

/// The listening socket does not block, as several may wait for it, and mio's accepted ones do not
/// either. Ours are to.
fn admit((stream, peer): (Stream, Option<IpAddr>)) -> io::Result<Accepted> {
    let stream = match stream {
        Stream::Tcp(stream) | Stream::Other(stream) => {
            let stream = std::net::TcpStream::from(OwnedFd::from(stream));
            stream.set_nonblocking(false)?;
            BlockingStream::Tcp(stream)
        }
        Stream::Unix(stream) => {
            let stream = std::os::unix::net::UnixStream::from(OwnedFd::from(stream));
            stream.set_nonblocking(false)?;
            BlockingStream::Unix(stream)
        }
    };
    let handle = Handle::new(stream);
    Ok(Accepted { handle, peer })
}
