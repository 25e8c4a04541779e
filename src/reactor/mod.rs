//! The product: one thread, one poll, every connection.
//!
//! The loop in [`Reactor::run`] is the whole idea: *sleep* until something may have changed,
//! *note* what, *accept* a few, let everybody who can move *run* once, and *reap* who is done.
//! Nothing is done in reaction to an event but to note it; so the loop, not its peers,
//! decides how much happens before it looks at the world again.
//!
//! Only what touches mio stands in this file; the turn itself is the [`engine`]'s.

pub mod address;
mod defer_accept;
pub mod engine;
pub mod listen;
pub mod listener;
pub mod scheduler;
mod socket_activation;
mod socket_file;

use crate::clock::Now;
use crate::handler::Handler;
use crate::limits::Limits;
use crate::signals::{Policy, SignalSource};
use crate::stalls::PollOutcome;
use crate::transport::{Socket, Stream};
use engine::{Engine, Flow, Sockets};
use listen::{BoundListener, Kind, ListenerSocket};
use listener::Accept;
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use socket_file::SocketFile;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// Signals have the last token, listening sockets those before it, and clients count from 0: the
/// slab's keys are their tokens.
const SIGNALS: Token = Token(usize::MAX);

/// One loop with its sockets.
pub struct Reactor<H: Handler> {
    polled: Polled,
    signals: SignalSource,
    policy: Policy,
    engine: Engine<ListenerSocket, Socket, H>,
    limits: Arc<Limits>,
}

/// The poll, as the engine sees it.
struct Polled {
    poll: Poll,
    /// The files of unix sockets. They go before their sockets do, so that no other server's file
    /// can be taken for ours.
    socket_files: Vec<SocketFile>,
}

impl<H: Handler> Reactor<H> {
    /// A loop over sockets that listen. Handles the signals of `policy`.
    ///
    /// # Errors
    /// Those of epoll_create(2) or kqueue(2), and of registering with them.
    pub fn new(
        listening: Vec<BoundListener>,
        handler: H,
        limits: Arc<Limits>,
        policy: Policy,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let signals = SignalSource::new(policy.handled(), poll.registry(), SIGNALS)?;
        let mut acceptors = Vec::new();
        let mut socket_files = Vec::new();
        for (index, one) in listening.into_iter().enumerate() {
            let BoundListener {
                file, mut socket, ..
            } = one;
            poll.registry()
                .register(&mut socket, token_of(index), Interest::READABLE)?;
            acceptors.push(socket);
            socket_files.extend(file);
        }
        Ok(Self {
            polled: Polled { poll, socket_files },
            signals,
            policy,
            engine: Engine::new(acceptors, handler, limits.clone()),
            limits,
        })
    }

    /// Serves until a signal stops it; returns the handler, for it may have something to close.
    ///
    /// # Errors
    /// The poll or a listening socket failed in a way that cannot be mended.
    pub fn run(mut self) -> io::Result<H> {
        let mut events = Events::with_capacity(self.limits.events);
        loop {
            // Sleep. The time is read again: a turn takes time, and no deadline may be late.
            let timeout = self.engine.begin_poll(Now::read());
            let outcome = match self.polled.poll.poll(&mut events, timeout) {
                Ok(()) if events.is_empty() => PollOutcome::Nothing,
                Ok(()) => PollOutcome::Events,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    events.clear();
                    PollOutcome::Interrupted
                }
                Err(error) => return Err(error),
            };
            let now = Now::read();
            self.engine.end_poll(now, timeout, outcome);
            // Note.
            let mut has_signal = false;
            for event in &events {
                has_signal |= self.dispatch(event);
            }
            if has_signal && self.handle_signals(now).is_break() {
                break;
            }
            // Accept, run, reap.
            if self.engine.run_iteration(now, &mut self.polled)?.is_break() {
                break;
            }
        }
        Ok(self.engine.into_handler())
    }

    /// Remembers what an event is about; says whether it is about signals.
    fn dispatch(&mut self, event: &Event) -> bool {
        let token = event.token();
        if token == SIGNALS {
            return true;
        }
        let from_last = SIGNALS.0 - token.0;
        if from_last <= self.engine.listener_count() {
            self.engine.mark_listener_ready(from_last - 1);
        } else if let Some(socket) = self.engine.mark_ready(token.0) {
            socket.on_event(event);
        }
        false
    }

    /// Does what the signals ask that have come.
    fn handle_signals(&mut self, now: Now) -> Flow {
        for signal in self.signals.take(self.polled.poll.registry()) {
            let action = self.policy.receive(signal);
            self.engine.handle_signal(action, now, &mut self.polled)?;
        }
        Flow::Continue(())
    }
}

fn token_of(index: usize) -> Token {
    Token(SIGNALS.0 - 1 - index)
}

impl Sockets<ListenerSocket, Socket> for Polled {
    fn welcome(&mut self, (stream, peer): (Stream, Option<IpAddr>)) -> (Socket, Option<IpAddr>) {
        (Socket::new(stream), peer)
    }

    fn register(&mut self, socket: &mut Socket, key: usize) -> io::Result<()> {
        let registry = self.poll.registry();
        registry.register(socket.source(), Token(key), Socket::INTEREST)
    }

    fn release(&mut self, socket: Socket) {
        socket.close(self.poll.registry());
    }

    fn close(&mut self, acceptors: impl Iterator<Item = ListenerSocket>) {
        self.socket_files.clear();
        for mut acceptor in acceptors {
            let _ = self.poll.registry().deregister(&mut acceptor);
        }
    }
}

impl Accept for ListenerSocket {
    type Stream = (Stream, Option<IpAddr>);

    fn accept(&mut self) -> io::Result<Self::Stream> {
        Ok(match self {
            Self::Tcp(listener, kind) => {
                let (stream, peer) = listener.accept()?;
                let stream = match kind {
                    Kind::Plain | Kind::Deferred => Stream::Tcp(stream),
                    Kind::Other => Stream::Other(stream),
                };
                (stream, Some(peer.ip()))
            }
            Self::Unix(listener) => (Stream::Unix(listener.accept()?.0), None),
        })
    }

    fn stop_deferring(&mut self) -> bool {
        match self {
            Self::Tcp(listener, Kind::Deferred) => defer_accept::stop_deferring(listener),
            _ => false,
        }
    }
}
