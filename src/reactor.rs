//! The default model: one thread, one poll, all connections.
//!
//! [`Reactor::run`] is the loop: *poll* for events, *mark* what they are about, *accept* a bounded
//! number of connections, *run* each connection that is runnable once, and *reap* those that have
//! ended. An event only marks a connection, so the loop decides how much happens in an iteration,
//! not its peers.
//!
//! This file connects the loop to mio, which polls with edges. The iteration is in
//! [`engine`](crate::event_loop::engine), the poll in [`poller`](crate::event_loop::poller).

use crate::clock::Now;
use crate::event_loop::engine::{Engine, Flow, Sockets};
use crate::event_loop::poller::{EventTarget, Poller, flags_of};
use crate::handler::{Handler, ListenerInfo};
use crate::limits::Limits;
use crate::listen::open::BoundListener;
use crate::listen::socket::{AcceptedStream, ListenerSocket};
use crate::notifier::Notifier;
use crate::probe::Probe;
use crate::signals::{ActionSource, StopMessages};
use crate::tls::OverSocket;
use crate::transport::Socket;
use mio::Token;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// One loop with its sockets. `T` is the transport of its connections.
pub struct Reactor<T, H: Handler, P = ()> {
    poller: Poller,
    engine: Engine<ListenerSocket, T, H, P>,
}

impl<T: OverSocket<Socket>, H: Handler, P: Probe> Reactor<T, H, P> {
    /// Makes a loop that accepts from `listeners` and is observed by `probe`. It does
    /// `actions`, such as those of signals.
    ///
    /// # Errors
    /// Those of epoll_create(2) or kqueue(2), and of registering.
    pub fn new(
        listeners: Vec<BoundListener>,
        handler: H,
        limits: Arc<Limits>,
        actions: impl Into<ActionSource>,
        probe: P,
    ) -> io::Result<Self> {
        let (poller, sockets) = Poller::new(listeners, &limits, actions)?;
        let engine = Engine::new(sockets, handler, limits, probe);
        Ok(Self { poller, engine })
    }

    /// Makes it log with others that it stops.
    pub fn share_stop_messages(&mut self, messages: Arc<StopMessages>) {
        self.engine.share_stop_messages(messages);
    }

    /// Serves until a signal stops it. Returns the handler: it may have something to close.
    ///
    /// # Errors
    /// The poll or a listening socket is broken.
    pub fn run(mut self) -> io::Result<H> {
        loop {
            // Poll. The time is read again, because an iteration takes time, and no deadline may
            // be late.
            let timeout = self.engine.begin_poll(Now::read());
            let outcome = self.poller.poll(timeout)?;
            let now = Now::read();
            let events = self.poller.event_count();
            self.engine.end_poll(now, timeout, outcome, events);
            // Mark. Signals come last, so that what arrived before a signal is marked.
            if self.mark() && self.handle_signals(now).is_break() {
                break;
            }
            // Accept, run, reap.
            if (self.engine.run_phases(now, &mut self.poller)?).is_break() {
                break;
            }
        }
        Ok(self.engine.into_handler())
    }

    /// Marks what the events are about. Returns whether signals have arrived.
    fn mark(&mut self) -> bool {
        let mut has_signals = false;
        for (target, event) in self.poller.events() {
            match target {
                EventTarget::Signals => has_signals = true,
                EventTarget::Handler => self.engine.mark_handler_ready(),
                EventTarget::Listener(id) => self.engine.mark_listener_ready(id),
                EventTarget::Connection(key) => {
                    if let Some(socket) = self.engine.mark_ready(key, || flags_of(event)) {
                        socket.socket_mut().on_event(event);
                    }
                }
            }
        }
        has_signals
    }

    fn handle_signals(&mut self, now: Now) -> Flow {
        for action in self.poller.take_signals() {
            (self.engine).handle_signal(action, now, &mut self.poller)?;
        }
        Flow::Continue(())
    }
}

impl<T: OverSocket<Socket>> Sockets<ListenerSocket, T> for Poller {
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
        Ok((T::over(Socket::new(stream), layers)?, peer))
    }

    fn register(&mut self, transport: &mut T, key: usize) -> io::Result<()> {
        let source = transport.socket_mut().source();
        (self.registry()).register(source, Token(key), Socket::INTEREST)
    }

    fn close_connection(&mut self, transport: T) {
        transport.into_socket().close(self.registry());
    }

    fn watch(&mut self, notifier: &Notifier) -> io::Result<()> {
        Poller::watch(self, notifier)
    }

    fn close_listeners(&mut self, listeners: Vec<ListenerSocket>) {
        Poller::close_listeners(self, listeners);
    }
}
