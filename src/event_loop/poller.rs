//! The poll of a loop: the tokens and registrations of signals, listeners and connections. The
//! reactor and the coroutine model share it.

use crate::deadline_clock::PollOutcome;
use crate::limits::Limits;
use crate::listen::open::{BoundListener, SocketFiles};
use crate::listen::socket::ListenerSocket;
use crate::notifier::Notifier;
use crate::probe::EventFlags;
use crate::signals::{Action, ActionSource, Actions};
use mio::event::{Event, Source};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// The token of the signals. The listeners have the tokens before it; connections count from 0.
const SIGNALS: Token = Token(usize::MAX);

/// The token of the handler's notifications, between those of listeners and connections.
const HANDLER: Token = Token(usize::MAX / 2);

/// A poll with its events.
pub struct Poller {
    poll: Poll,
    events: Events,
    actions: Actions,
    listeners: usize,
    socket_files: SocketFiles,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTarget {
    /// Signals: call [`Poller::take_signals`].
    Signals,
    /// The handler, which has called its notifier.
    Handler,
    /// The listener with this id.
    Listener(usize),
    /// The connection with this key.
    Connection(usize),
}

/// What an event says, for the probe.
pub fn flags_of(event: &Event) -> EventFlags {
    EventFlags {
        is_readable: event.is_readable(),
        is_writable: event.is_writable(),
        is_read_closed: event.is_read_closed(),
        is_write_closed: event.is_write_closed(),
        is_urgent: event.is_priority(),
        is_error: event.is_error(),
    }
}

impl Poller {
    /// Registers `listeners` and `actions`, such as those of signals. Returns the listening sockets
    /// in their order, which is that of their ids.
    ///
    /// # Errors
    /// Those of epoll_create(2) or kqueue(2), and of registering.
    pub fn new(
        listeners: Vec<BoundListener>,
        limits: &Limits,
        actions: impl Into<ActionSource>,
    ) -> io::Result<(Self, Vec<ListenerSocket>)> {
        let poll = Poll::new()?;
        let registry = poll.registry();
        let actions = Actions::new(actions.into(), registry, SIGNALS)?;
        let (mut sockets, socket_files) = SocketFiles::take_from(listeners);
        for (id, socket) in sockets.iter_mut().enumerate() {
            let token = Token(SIGNALS.0 - 1 - id);
            registry.register(socket, token, Interest::READABLE)?;
        }
        let poller = Self {
            poll,
            events: Events::with_capacity(limits.events_per_poll),
            actions,
            listeners: sockets.len(),
            socket_files,
        };
        Ok((poller, sockets))
    }

    /// Waits for events, for at most `timeout`.
    ///
    /// # Errors
    /// Those of epoll_wait(2) or kevent(2), but not EINTR.
    pub fn poll(&mut self, timeout: Option<Duration>) -> io::Result<PollOutcome> {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) if self.events.is_empty() => Ok(PollOutcome::Nothing),
            Ok(()) => Ok(PollOutcome::Events),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(PollOutcome::Interrupted)
            }
            Err(error) => Err(error),
        }
    }

    /// The events of the latest poll.
    pub fn events(&self) -> impl Iterator<Item = (EventTarget, &Event)> {
        self.events.iter().map(|event| {
            let Token(token) = event.token();
            let target = match SIGNALS.0 - token {
                0 => EventTarget::Signals,
                from_last if from_last <= self.listeners => EventTarget::Listener(from_last - 1),
                _ if token == HANDLER.0 => EventTarget::Handler,
                _ => EventTarget::Connection(token),
            };
            (target, event)
        })
    }

    /// Number of events of the latest poll.
    pub fn event_count(&self) -> usize {
        self.events.iter().count()
    }

    /// The actions of the signals that have arrived since the last call.
    pub fn take_signals(&mut self) -> Vec<Action> {
        self.actions.take(self.poll.registry())
    }

    /// Makes each notification an event. Call it once.
    ///
    /// # Errors
    /// Those of eventfd(2) or kevent(2).
    pub fn watch(&self, notifier: &Notifier) -> io::Result<()> {
        let waker = Waker::new(self.poll.registry(), HANDLER)?;
        notifier.on_notify(move || {
            if let Err(error) = waker.wake() {
                log::error!("cannot wake the loop: {error}");
            }
        });
        Ok(())
    }

    /// Makes it an event of the connection `key` that the socket `fd` can be written to.
    ///
    /// # Errors
    /// Those of epoll_ctl(2) or kevent(2).
    pub fn watch_writable(&self, fd: RawFd, key: usize) -> io::Result<()> {
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&fd), Token(key), Interest::WRITABLE)
    }

    /// Undoes [`watch_writable`](Self::watch_writable).
    pub fn forget_writable(&self, fd: RawFd) {
        let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
    }

    /// Its descriptor: readable when there are events. mio's poll(2) selector has none.
    #[cfg(not(mio_unsupported_force_poll_poll))]
    pub fn descriptor(&self) -> RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&self.poll)
    }

    /// Where connections are registered, with their keys as tokens.
    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Deregisters and closes the listening sockets: all of a role. Before that, the files of
    /// those that are unix sockets are removed.
    pub fn close_listeners(&mut self, sockets: Vec<ListenerSocket>) {
        self.socket_files.remove(&sockets);
        for mut socket in sockets {
            // Closing deregisters it from epoll and kqueue. mio's poll(2) selector needs this call.
            let _ = socket.deregister(self.poll.registry());
        }
    }
}
