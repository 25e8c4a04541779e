//! Accepts connections one at a time, for the blocking models.
//!
//! Connections wait in the kernel's queue until a thread or a process can serve them. The listening
//! sockets, and what an error of accept(2) means, are those of the event loops.

use crate::handler::ListenerInfo;
use crate::limits::Limits;
use crate::listen::accept::{AcceptFailure, advice, classify_accept_error};
use crate::listen::accept_blocking;
use crate::listen::open::BoundListener;
use crate::listen::socket::Family;
use crate::tls::Layers;
use crate::transport::blocking::{BlockingStream, Handle, Timeouts};
use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Registry, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

/// After this number of lost connections in a row the error is taken to last.
const LOSSES: usize = 64;

/// The token of all listeners: accept(2) tells which of them is ready.
const ANY: Token = Token(0);

/// The token of the [`Waker`], and of another source.
const WOKEN: Token = Token(1);

/// A connection that was accepted.
pub struct Accepted {
    /// Its id for the probe.
    pub id: u64,
    /// Its socket.
    pub handle: Arc<Handle>,
    /// The listener that accepted it.
    pub listener: ListenerInfo,
    /// The peer. `None`: on a unix socket.
    pub peer: Option<SocketAddr>,
    /// The layers over its socket.
    pub layers: Layers,
}

/// Ends a [`wait`](Acceptor::wait) from another thread.
///
/// A byte in a socket of its own, and not a mio::Waker: with mio's poll(2) selector a wake-up that
/// coincides with an accept(2) in the waiting thread gets lost.
pub struct Waker(UnixStream);

impl Waker {
    /// Ends the wait that is going on, or the next one. An acceptor that is gone waits no more.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn wake(&self) -> io::Result<()> {
        match (&self.0).write(&[0]).map_err(|error| (error.kind(), error)) {
            // A full buffer wakes as well.
            Ok(_) | Err((io::ErrorKind::WouldBlock | io::ErrorKind::BrokenPipe, _)) => Ok(()),
            Err((_, error)) => Err(error),
        }
    }
}

/// The listening sockets, without a wait.
pub struct BlockingListeners {
    listeners: Vec<Listener>,
    /// The id of the next connection.
    next_id: u64,
    /// Index of the socket to accept from next: one connection is accepted from each in turn, so
    /// that many connections at one socket do not hold up another.
    next: usize,
    /// Connections lost in a row, on any socket.
    losses: usize,
    pause: Duration,
    has_warned: bool,
    /// A connection may wait that could not be accepted. No event will announce it again.
    retries_at_once: bool,
}

/// A listening socket.
struct Listener {
    bound: BoundListener,
    /// The timeouts of the sockets that it accepts: the first one was asked.
    timeouts: Option<Timeouts>,
}

/// The listening sockets, and a poll to wait for their connections.
pub struct Acceptor {
    poll: Poll,
    /// The other end of the [`Waker`].
    woken: Option<UnixStream>,
    events: Events,
    /// The sockets.
    pub listeners: BlockingListeners,
}

impl Acceptor {
    /// Registers the listeners with a poll.
    ///
    /// # Errors
    /// Those of epoll_create(2) or kqueue(2), and of registering.
    pub fn new(mut listeners: Vec<BoundListener>, limits: &Limits) -> io::Result<Self> {
        let poll = Poll::new()?;
        for listener in &mut listeners {
            poll.registry()
                .register(&mut listener.socket, ANY, Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            woken: None,
            events: Events::with_capacity(64),
            listeners: BlockingListeners::new(listeners, limits),
        })
    }

    /// Returns what ends a [`wait`](Self::wait) from another thread. An earlier waker has no effect
    /// any more.
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

    /// Where another source that ends a wait can be registered.
    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// The token for such a source.
    pub fn token() -> Token {
        WOKEN
    }

    /// Waits for an event, for at most `timeout`. Returns whether the other source or a [`Waker`]
    /// may have one.
    ///
    /// # Errors
    /// The poll is broken.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        // The pause is over already.
        if std::mem::take(&mut self.listeners.retries_at_once) {
            return Ok(true);
        }
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        }
        let is_woken = self.events.iter().any(|event| event.token() == WOKEN);
        if let Some(woken) = &mut self.woken
            && is_woken
        {
            while let Ok(1..) = woken.read(&mut [0; 16]) {}
        }
        Ok(is_woken)
    }

    /// Waits for a connection and accepts it. `None`: the server is stopping, and all connections
    /// that waited were accepted.
    ///
    /// # Errors
    /// A listening socket is broken.
    pub fn accept(&mut self, is_draining: impl Fn() -> bool) -> io::Result<Option<Accepted>> {
        loop {
            // Checked before accept(2): a connection that arrives later is too late.
            let is_draining = is_draining();
            if let Some(accepted) = self.listeners.try_accept()? {
                return Ok(Some(accepted));
            }
            if is_draining {
                self.listeners.close();
                return Ok(None);
            }
            self.wait(None)?;
        }
    }
}

impl BlockingListeners {
    /// Accepts from `listeners`.
    pub fn new(listeners: Vec<BoundListener>, limits: &Limits) -> Self {
        let listeners = listeners.into_iter().map(|bound| Listener {
            bound,
            timeouts: None,
        });
        Self {
            listeners: listeners.collect(),
            next_id: 0,
            next: 0,
            losses: 0,
            pause: limits.accept_pause,
            has_warned: false,
            retries_at_once: false,
        }
    }

    /// Accepts a connection if one waits.
    ///
    /// # Errors
    /// A listening socket is broken.
    pub fn try_accept(&mut self) -> io::Result<Option<Accepted>> {
        let first = self.next;
        for index in (first..self.listeners.len()).chain(0..first) {
            if let Some(accepted) = self.try_accept_from(index)? {
                self.next = (index + 1) % self.listeners.len();
                return Ok(Some(accepted));
            }
        }
        Ok(None)
    }

    fn try_accept_from(&mut self, index: usize) -> io::Result<Option<Accepted>> {
        while let Some(listener) = self.listeners.get_mut(index) {
            let error = match listener.accept() {
                Ok((handle, peer, layers)) => {
                    self.losses = 0;
                    let id = self.next_id;
                    self.next_id += 1;
                    return Ok(Some(Accepted {
                        id,
                        handle,
                        listener: ListenerInfo {
                            is_tls: layers.tls.is_some(),
                            ..ListenerInfo::public(index)
                        },
                        peer,
                        layers,
                    }));
                }
                Err(error) => error,
            };
            match classify_accept_error(&error) {
                AcceptFailure::NoneWaiting => break,
                AcceptFailure::ConnectionLost if self.losses < LOSSES => {
                    log::debug!("accept: {error}");
                    self.losses += 1;
                }
                // Without a pause an error that lasts would keep the processor busy.
                AcceptFailure::ConnectionLost => {
                    self.pause_after(&format!("accept fails repeatedly: {error}"));
                    break;
                }
                AcceptFailure::NoResources => {
                    let advice = advice(&error);
                    self.pause_after(&format!("cannot accept for now: {error}{advice}"));
                    break;
                }
                AcceptFailure::Fatal => return Err(error),
            }
        }
        Ok(None)
    }

    /// Accepting failed, though a connection may wait: warns once, and pauses.
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
            .listeners
            .iter()
            .map(|listener| PollFd::new(&listener.bound.socket, PollFlags::IN))
            .collect();
        // An interrupted call is not a reason to end a connection.
        poll(&mut sockets, Some(&Timespec::default())).is_ok_and(|count| count > 0)
    }

    /// Closes the listening sockets.
    pub fn close(&mut self) {
        self.listeners.clear();
    }

    /// Leaves the files of unix sockets to the parent of this process, which removes them.
    pub fn leave_files_to_parent(&mut self) {
        for listener in &mut self.listeners {
            std::mem::forget(listener.bound.file.take());
        }
    }

    /// The sockets, to wait for their connections.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let listeners = self.listeners.iter();
        listeners.map(|listener| listener.bound.socket.as_fd())
    }

    /// Numbers the connections from `id`.
    pub fn number_from(&mut self, id: u64) {
        self.next_id = id;
    }
}

impl Listener {
    /// Accepts a connection whose socket blocks.
    fn accept(&mut self) -> io::Result<(Arc<Handle>, Option<SocketAddr>, Layers)> {
        let socket = &mut self.bound.socket;
        let (accepted, peer) = accept_blocking::accept(socket)?;
        let ask = || Timeouts::of(&accepted);
        let timeouts = *self.timeouts.get_or_insert_with(ask);
        let stream = match socket.family {
            Family::Tcp(..) => BlockingStream::Tcp(accepted.into()),
            Family::Unix(_) => BlockingStream::Unix(accepted.into()),
        };
        Ok((Handle::new(stream, timeouts), peer, socket.layers(peer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::Role;
    use crate::listen::address::{Address, Bind, Host};
    use crate::listen::open::{ListenOptions, open_listeners};

    /// Fails if the timeouts of a listener are taken for those of a connection that has not
    /// inherited them, such as one of a unix socket on Linux.
    #[test]
    fn the_timeouts_that_are_known_of_a_socket_are_those_that_it_has() {
        let limits = Limits::default();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let tcp = Bind::Tcp {
            host: Host::Ip([127, 0, 0, 1].into()),
            port: 0,
        };
        let options = ListenOptions {
            role: Role::Public,
            backlog: 16,
            deferred: false,
            has_siblings: false,
            timeouts: Some(Timeouts::new(limits.idle_timeout, limits.send_timeout)),
        };
        let listeners = open_listeners(&[tcp, Bind::Unix(path.clone())], options).unwrap();
        let Address::Tcp { local, .. } = listeners[0].address else {
            panic!("not TCP");
        };
        let mut acceptor = Acceptor::new(listeners, &limits).unwrap();
        for _ in 0..2 {
            let _over_unix = std::os::unix::net::UnixStream::connect(&path).unwrap();
            let _over_tcp = std::net::TcpStream::connect(local).unwrap();
            for _ in 0..2 {
                let accepted = acceptor.accept(|| false).unwrap().unwrap();
                let handle = &accepted.handle;
                assert_eq!(handle.timeouts(), Timeouts::of(&**handle));
            }
        }
    }

    /// As when a signal arrives while the server stops.
    #[test]
    fn to_wake_an_acceptor_that_is_gone_is_no_error() {
        let mut acceptor = Acceptor::new(Vec::new(), &Limits::default()).unwrap();
        let waker = acceptor.waker().unwrap();
        drop(acceptor);
        waker.wake().unwrap();
    }

    #[test]
    fn a_connection_knows_the_listener_that_accepted_it() {
        let bind = Bind::Tcp {
            host: Host::Ip([127, 0, 0, 1].into()),
            port: 0,
        };
        let options = ListenOptions {
            role: Role::Public,
            backlog: 16,
            deferred: false,
            has_siblings: false,
            timeouts: None,
        };
        let listeners = open_listeners(&[bind.clone(), bind], options).unwrap();
        let addresses = listeners.iter().map(|listener| listener.address.clone());
        let addresses: Vec<_> = addresses.collect();
        let mut acceptor = Acceptor::new(listeners, &Limits::default()).unwrap();
        for id in [1, 0, 1] {
            let Address::Tcp { local, .. } = addresses[id] else {
                panic!("not TCP");
            };
            let _client = std::net::TcpStream::connect(local).unwrap();
            let accepted = acceptor.accept(|| false).unwrap().unwrap();
            assert_eq!(accepted.listener, ListenerInfo::public(id));
        }
    }
}
