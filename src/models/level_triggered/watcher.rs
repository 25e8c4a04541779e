//! [`Watcher`]: the descriptors that the loop watches, and what each of them is.

use super::socket::LevelSocket;
use super::{Interest, Selector};
use crate::deadline_clock::PollOutcome;
use crate::event_loop::engine::Sockets;
use crate::event_loop::poller::EventTarget;
use crate::handler::ListenerInfo;
use crate::listen::open::{BoundListener, SocketFiles};
use crate::listen::socket::{AcceptedStream, ListenerSocket};
use crate::notifier::Notifier;
use crate::probe::EventFlags;
use crate::signals::{Action, SignalPipe, SignalPolicy};
use crate::tls::OverSocket;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A selector, and the descriptors that it watches.
pub struct Watcher {
    selector: Box<dyn Selector>,
    /// What the latest wait reported.
    pub ready: Vec<(RawFd, EventFlags)>,
    /// What each descriptor is, at the index of its number.
    targets: Vec<Option<EventTarget>>,
    signals: SignalPipe,
    policy: SignalPolicy,
    /// Has a byte when the handler has called its notifier.
    notifications: Option<UnixStream>,
    /// What each listener is watched for, at the index of its id.
    listeners: Vec<Interest>,
    socket_files: SocketFiles,
}

impl Watcher {
    /// Watches the signals of `policy`. Returns the listening sockets in their order, which is that
    /// of their ids; [`watch_listener`](Self::watch_listener) watches them.
    ///
    /// # Errors
    /// Those of sigaction(2), and of watching.
    pub fn new(
        selector: Box<dyn Selector>,
        listeners: Vec<BoundListener>,
        policy: SignalPolicy,
    ) -> io::Result<(Self, Vec<ListenerSocket>)> {
        let (sockets, socket_files) = SocketFiles::take_from(listeners);
        let mut watcher = Self {
            selector,
            ready: Vec::new(),
            targets: Vec::new(),
            signals: SignalPipe::new(policy.handled())?,
            policy,
            notifications: None,
            listeners: vec![Interest::NOTHING; sockets.len()],
            socket_files,
        };
        let signals = watcher.signals.as_fd();
        (watcher.selector).set(signals, Interest::NOTHING, Interest::READING)?;
        let signals = signals.as_raw_fd();
        watcher.set_target(signals, EventTarget::Signals);
        Ok((watcher, sockets))
    }

    /// Waits for what is watched, for at most `timeout`.
    ///
    /// # Errors
    /// Those of the system, but not EINTR.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<PollOutcome> {
        self.ready.clear();
        match self.selector.wait(timeout.map(round_up), &mut self.ready) {
            Ok(()) if self.ready.is_empty() => Ok(PollOutcome::Nothing),
            Ok(()) => Ok(PollOutcome::Events),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Ok(PollOutcome::Interrupted)
            }
            Err(error) => Err(error),
        }
    }

    /// What a descriptor is.
    pub fn target(&self, fd: RawFd) -> Option<EventTarget> {
        *self.targets.get(usize::try_from(fd).ok()?)?
    }

    fn set_target(&mut self, fd: RawFd, target: EventTarget) {
        let index = usize::try_from(fd).unwrap_or(0);
        if index >= self.targets.len() {
            self.targets.resize(index + 1, None);
        }
        if let Some(entry) = self.targets.get_mut(index) {
            *entry = Some(target);
        }
    }

    /// Watches a listener for connections, or not.
    ///
    /// # Errors
    /// Those of [`Selector::set`].
    pub fn watch_listener(
        &mut self,
        id: usize,
        socket: &ListenerSocket,
        is_watched: bool,
    ) -> io::Result<()> {
        let after = Interest {
            reading: is_watched,
            writing: false,
        };
        let Some(before) = self.listeners.get_mut(id).filter(|now| **now != after) else {
            return Ok(());
        };
        self.selector.set(socket.as_fd(), *before, after)?;
        *before = after;
        self.set_target(socket.as_fd().as_raw_fd(), EventTarget::Listener(id));
        Ok(())
    }

    /// Watches a connection for something else than before.
    ///
    /// # Errors
    /// Those of [`Selector::set`].
    pub fn watch_connection(
        &mut self,
        socket: &mut LevelSocket,
        interest: Interest,
    ) -> io::Result<()> {
        let before = socket.watched.unwrap_or_default();
        if before != interest {
            self.selector.set(socket.as_fd(), before, interest)?;
        }
        socket.watched = Some(interest);
        Ok(())
    }

    /// The actions of the signals that have arrived since the last call.
    pub fn take_signals(&mut self) -> impl Iterator<Item = Action> + use<> {
        let policy = self.policy;
        let signals = self.signals.take();
        signals.map(move |signal| policy.receive(signal))
    }

    /// The handler has called its notifier: a later call is to be reported again.
    pub fn take_notifications(&mut self) {
        if let Some(notifications) = &mut self.notifications {
            while notifications.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
        }
    }
}

/// To milliseconds, the unit of epoll_wait(2) and poll(2): no wait ends before a deadline.
fn round_up(timeout: Duration) -> Duration {
    let milliseconds = timeout.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

impl<T: OverSocket<LevelSocket>> Sockets<ListenerSocket, T> for Watcher {
    fn make_transport(
        &mut self,
        _: ListenerInfo,
        accepted: AcceptedStream,
    ) -> io::Result<(T, Option<SocketAddr>)> {
        let AcceptedStream {
            stream,
            peer,
            layers,
        } = accepted;
        Ok((T::over(LevelSocket::new(stream), layers)?, peer))
    }

    fn register(&mut self, transport: &mut T, key: usize) -> io::Result<()> {
        let socket = transport.socket_mut();
        self.set_target(socket.as_fd().as_raw_fd(), EventTarget::Connection(key));
        self.watch_connection(socket, socket.awaited)
    }

    fn close_connection(&mut self, transport: T) {
        let socket = transport.into_socket();
        let before = socket.watched.unwrap_or_default();
        self.selector.remove(socket.as_fd(), before);
    }

    fn watch(&mut self, notifier: &Notifier) -> io::Result<()> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        (self.selector).set(read.as_fd(), Interest::NOTHING, Interest::READING)?;
        self.set_target(read.as_raw_fd(), EventTarget::Handler);
        self.notifications = Some(read);
        // It is full only while bytes wait to be read.
        notifier.on_notify(move || drop((&write).write(&[0])));
        Ok(())
    }

    fn close_listeners(&mut self, listeners: Vec<ListenerSocket>) {
        self.socket_files.remove(&listeners);
        for socket in listeners {
            let fd: BorrowedFd<'_> = socket.as_fd();
            if let Some(EventTarget::Listener(id)) = self.target(fd.as_raw_fd())
                && let Some(before) = self.listeners.get(id)
            {
                self.selector.remove(fd, *before);
            }
        }
    }
}
