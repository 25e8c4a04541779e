//! The default model: one thread, one poll, all connections.
//!
//! [`Reactor::run`] is the loop: *poll* for events, *mark* what they are about, *accept* a bounded
//! number of connections, *run* each connection that is runnable once, and *reap* those that have
//! ended. An event only marks a connection, so the loop decides how much happens in an iteration,
//! not its peers.
//!
//! This file connects the loop to mio. The iteration is in [`engine`], the poll in [`poller`].

pub mod engine;
pub mod lifecycle;
pub mod poller;
pub mod scheduler;

use crate::clock::Now;
use crate::handler::{Handler, ListenerInfo};
use crate::limits::Limits;
use crate::listen::open::BoundListener;
use crate::listen::socket::ListenerSocket;
use crate::probe::Probe;
use crate::signals::Policy;
use crate::transport::{Socket, Stream};
use engine::{Engine, Flow, Sockets};
use mio::Token;
use poller::{EventTarget, Poller};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// One loop with its sockets.
pub struct Reactor<H: Handler, P = ()> {
    poller: Poller,
    engine: Engine<ListenerSocket, Socket, H, P>,
}

impl<H: Handler, P: Probe> Reactor<H, P> {
    /// Makes a loop that accepts from `listeners` and is observed by `probe`. It handles the
    /// signals of `policy`.
    ///
    /// # Errors
    /// Those of epoll_create(2) or kqueue(2), and of registering.
    pub fn new(
        listeners: Vec<BoundListener>,
        handler: H,
        limits: Arc<Limits>,
        policy: Policy,
        probe: P,
    ) -> io::Result<Self> {
        let (poller, sockets) = Poller::new(listeners, &limits, policy)?;
        let engine = Engine::new(sockets, handler, limits, probe);
        Ok(Self { poller, engine })
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
            if (self.engine.run_iteration(now, &mut self.poller)?).is_break() {
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
                EventTarget::Listener(id) => self.engine.mark_listener_ready(id),
                EventTarget::Connection(key) => {
                    if let Some(socket) = self.engine.mark_ready(key, || poller::flags_of(event)) {
                        socket.on_event(event);
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

impl Sockets<ListenerSocket, Socket> for Poller {
    fn make_transport(
        &mut self,
        _: ListenerInfo,
        (stream, peer): (Stream, Option<SocketAddr>),
    ) -> io::Result<(Socket, Option<SocketAddr>)> {
        Ok((Socket::new(stream), peer))
    }

    fn register(&mut self, socket: &mut Socket, key: usize) -> io::Result<()> {
        (self.registry()).register(socket.source(), Token(key), Socket::INTEREST)
    }

    fn close_connection(&mut self, socket: Socket) {
        socket.close(self.registry());
    }

    fn close_listeners(&mut self, listeners: Vec<ListenerSocket>) {
        Poller::close_listeners(self, listeners);
    }
}
