//! All of the loop but the poll: accept, run, reap, and stop.
//!
//! It makes no system call of its own and reads no clock. [`Sockets`] does what has to be done to a
//! socket, and the time is an argument. So the simulator in tests/sim runs the same loop.

use super::scheduler::Scheduler;
use crate::clock::Now;
use crate::deadline_clock::PollOutcome;
use crate::event_loop::lifecycle::{Connections, Lifecycle, Stop, warn_unnotified};
use crate::handler::{Handler, ListenerInfo, Role};
use crate::limits::Limits;
use crate::listen::accept::Accept;
use crate::notifier::Notifier;
use crate::probe::{EventFlags, Origin, Probe};
use crate::signals::{Action, StopMessages};
use crate::transport::Transport;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the loop does to its sockets.
pub trait Sockets<A: Accept, T> {
    /// Makes a transport of a connection that `listener` accepted, and names the peer: `None` for a
    /// unix socket.
    ///
    /// # Errors
    /// The connection cannot be served. Only this one is lost.
    fn make_transport(
        &mut self,
        listener: ListenerInfo,
        stream: A::Stream,
    ) -> io::Result<(T, Option<SocketAddr>)>;

    /// Registers a socket with the poll: once and for both directions, or again when
    /// [`Transport::changes_interest`] says so. `key` is the token of its events. If the socket is
    /// ready already, the next poll reports it.
    ///
    /// # Errors
    /// Those of epoll_ctl(2) or kevent(2). Only this connection is lost.
    fn register(&mut self, transport: &mut T, key: usize) -> io::Result<()>;

    /// Deregisters and closes the socket of a connection.
    fn close_connection(&mut self, transport: T);

    /// Makes each notification of `notifier` end the poll, and be reported by
    /// [`Engine::mark_handler_ready`].
    ///
    /// # Errors
    /// Those of eventfd(2) or kevent(2).
    fn watch(&mut self, notifier: &Notifier) -> io::Result<()>;

    /// Deregisters and closes the listening sockets.
    fn close_listeners(&mut self, listeners: Vec<A>);
}

/// Whether the loop goes on.
pub type Flow = ControlFlow<()>;

/// The listeners and connections of a loop, and the handler that answers.
pub struct Engine<A: Accept, T, H: Handler, P = ()> {
    lifecycle: Lifecycle<A>,
    scheduler: Scheduler<T, H::State, P>,
    handler: H,
    /// When the handler's `end_iteration` must be called, even if nothing happens.
    handler_due: Option<Instant>,
    /// The public connections are held in this iteration or poll ([`Handler::holds_public`]).
    is_held: bool,
    /// The handler's notifier is watched: since the first connection that had to wait for it.
    is_notified: bool,
}

/// The connections as [`Lifecycle`] uses them, in one iteration.
struct LoopConnections<'e, T, H: Handler, K, P> {
    scheduler: &'e mut Scheduler<T, H::State, P>,
    handler: &'e mut H,
    sockets: &'e mut K,
    now: Now,
}

impl<A, T, H, K, P> Connections<A> for LoopConnections<'_, T, H, K, P>
where
    A: Accept,
    T: Transport,
    H: Handler,
    K: Sockets<A, T>,
    P: Probe,
{
    fn count(&self, role: Role) -> usize {
        self.scheduler.count(role)
    }

    fn add(&mut self, listener: ListenerInfo, stream: A::Stream) -> io::Result<()> {
        let (transport, peer) = self.sockets.make_transport(listener, stream)?;
        let handler_state = self
            .handler
            .on_connect(listener, peer.map(|peer| peer.ip()));
        let origin = Origin { listener, peer };
        self.scheduler
            .add(&origin, transport, handler_state, self.now);
        Ok(())
    }

    fn evict(&mut self) -> usize {
        self.scheduler.evict(self.handler, self.now)
    }

    fn on_accept_pause(&mut self) {
        self.scheduler.probe().on_accept_pause();
    }
}

impl<A: Accept, T: Transport, H: Handler, P: Probe> Engine<A, T, H, P> {
    /// A loop without connections that accepts from `listeners`, observed by `probe`.
    pub fn new(
        listeners: impl IntoIterator<Item = A>,
        handler: H,
        limits: Arc<Limits>,
        probe: P,
    ) -> Self {
        Self {
            lifecycle: Lifecycle::new(listeners, limits.clone()),
            scheduler: Scheduler::new(limits, probe),
            handler,
            handler_due: None,
            is_held: false,
            is_notified: false,
        }
    }

    /// Makes the loop log with others that it stops.
    pub fn share_stop_messages(&mut self, messages: Arc<StopMessages>) {
        self.lifecycle.stop_messages = messages;
    }

    /// Returns the handler when the loop has ended: it may have something to close.
    pub fn into_handler(self) -> H {
        self.handler
    }

    /// For tests: the connections.
    pub fn scheduler(&self) -> &Scheduler<T, H::State, P> {
        &self.scheduler
    }

    /// Whether the public connections are held in this iteration or poll.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// The listeners that are open: their ids, and whether a connection may wait, so that no event
    /// is needed.
    pub fn listeners(&self) -> impl Iterator<Item = (usize, &A, bool)> {
        self.lifecycle.listeners()
    }

    /// How long the loop may poll: until something is due.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        let until = |at: Instant| at.saturating_duration_since(now.instant);
        let (scheduler, lifecycle) = match self.holds_public(now) {
            true => (
                self.scheduler.poll_timeout_of_admin(),
                self.lifecycle.poll_timeout_of_admin(now),
            ),
            false => (
                self.scheduler.poll_timeout(now),
                self.lifecycle.poll_timeout(now),
            ),
        };
        [scheduler, lifecycle, self.handler_due.map(until)]
            .into_iter()
            .flatten()
            .min()
    }

    /// See [`Handler::holds_public`]. A server that stops holds no connection.
    fn holds_public(&self, now: Now) -> bool {
        self.handler.holds_public(now.instant) && !self.lifecycle.is_stopping()
    }

    /// The loop is about to poll. Returns for how long: see [`Engine::poll_timeout`].
    pub fn begin_poll(&mut self, now: Now) -> Option<Duration> {
        match self.is_held {
            true => self.scheduler.deadline_clock().on_held(now.instant),
            false => self.scheduler.deadline_clock().on_poll_begin(now.instant),
        }
        self.is_held = self.holds_public(now);
        let timeout = self.poll_timeout(now);
        self.scheduler.probe().on_poll_begin(now, timeout);
        timeout
    }

    /// The poll returned, with this number of events. Its timeout was `timeout`.
    pub fn end_poll(
        &mut self,
        now: Now,
        timeout: Option<Duration>,
        outcome: PollOutcome,
        events: usize,
    ) {
        match self.is_held {
            true => self.scheduler.deadline_clock().on_held(now.instant),
            false => (self.scheduler.deadline_clock()).on_poll_end(now.instant, timeout, outcome),
        }
        self.scheduler.probe().on_poll_end(now, events);
    }

    /// See [`Scheduler::mark_ready`].
    pub fn mark_ready(&mut self, key: usize, flags: impl FnOnce() -> EventFlags) -> Option<&mut T> {
        self.scheduler.mark_ready(key, flags)
    }

    /// An event arrived for the listener `id`.
    pub fn mark_listener_ready(&mut self, id: usize) {
        self.lifecycle.mark_listener_ready(id);
    }

    /// The handler's notifier was called.
    pub fn mark_handler_ready(&mut self) {
        self.scheduler.wake_waiting();
    }

    /// One iteration, after the events were marked: accepts, runs each connection that is runnable
    /// once, and reaps those that ended. Breaks when the server has stopped.
    ///
    /// # Errors
    /// A listening socket is broken: the server cannot go on.
    pub fn run_phases(&mut self, now: Now, sockets: &mut impl Sockets<A, T>) -> io::Result<Flow> {
        self.is_held = self.holds_public(now);
        if self.is_held {
            return self.run_held_phases(now, sockets);
        }
        self.accept(now, sockets)?;
        let is_grace_over = self.lifecycle.is_grace_over(now);
        if is_grace_over {
            self.scheduler.recheck_all();
        }
        self.scheduler.run(&mut self.handler, now);
        if self.scheduler.has_waiting() && !self.is_notified {
            self.watch_handler(sockets);
        }
        self.scheduler
            .register(|transport, key| sockets.register(transport, key));
        if is_grace_over {
            let count = self.scheduler.abort_all();
            self.lifecycle.stop_messages.on_grace_over(count);
        }
        self.reap(now, sockets);
        self.handler_due = self.handler.end_iteration(now);
        Ok(match self.lifecycle.is_stopping() {
            true => self.continue_stopping(sockets),
            false => Flow::Continue(()),
        })
    }

    /// The first connection has to wait for the handler.
    #[cold]
    fn watch_handler(&mut self, sockets: &mut impl Sockets<A, T>) {
        match self.handler.notifier().map(|one| sockets.watch(&one)) {
            Some(Err(error)) => warn_unnotified(&error),
            watched => self.is_notified = watched.is_some(),
        }
        // What was notified before is asked for in the next iteration.
        self.scheduler.wake_waiting();
    }

    /// The end of an iteration of a server that is stopping.
    #[cold]
    fn continue_stopping(&mut self, sockets: &mut impl Sockets<A, T>) -> Flow {
        let public = self.scheduler.count(Role::Public);
        let closing = self.lifecycle.stop_admin(public);
        if !closing.is_empty() {
            sockets.close_listeners(closing);
        }
        match self.lifecycle.accepts_no_more() {
            true if self.scheduler.is_empty() => Flow::Break(()),
            _ => Flow::Continue(()),
        }
    }

    /// An iteration in which the public connections are held.
    fn run_held_phases(&mut self, now: Now, sockets: &mut impl Sockets<A, T>) -> io::Result<Flow> {
        let mut connections = LoopConnections {
            scheduler: &mut self.scheduler,
            handler: &mut self.handler,
            sockets,
            now,
        };
        self.lifecycle.accept_admin(now, &mut connections)?;
        self.scheduler.run_admin(&mut self.handler, now);
        self.scheduler
            .register(|transport, key| sockets.register(transport, key));
        self.reap(now, sockets);
        self.handler_due = self.handler.end_iteration(now);
        Ok(Flow::Continue(()))
    }

    /// A signal arrived. Breaks when the server has stopped at once.
    pub fn handle_signal(
        &mut self,
        action: Action,
        now: Now,
        sockets: &mut impl Sockets<A, T>,
    ) -> Flow {
        match action {
            Action::ReopenFiles => self.handler.reopen_files(),
            Action::Reload => self.handler.reload(),
            Action::Stop => match self.lifecycle.stop(now, self.scheduler.len()) {
                Stop::Drain => {
                    self.scheduler.probe().on_drain();
                    self.scheduler.drain();
                }
                Stop::Abort => {
                    // Aborted, so that no peer takes a part of a response for the whole; and
                    // logged.
                    self.scheduler.abort_all();
                    self.reap(now, sockets);
                    return Flow::Break(());
                }
            },
        }
        Flow::Continue(())
    }

    fn accept(&mut self, now: Now, sockets: &mut impl Sockets<A, T>) -> io::Result<()> {
        let mut connections = LoopConnections {
            scheduler: &mut self.scheduler,
            handler: &mut self.handler,
            sockets,
            now,
        };
        self.lifecycle.accept(now, &mut connections)?;
        let closing = self.lifecycle.stop_accepting(now, &mut connections);
        if !closing.is_empty() {
            sockets.close_listeners(closing);
        }
        Ok(())
    }

    fn reap(&mut self, now: Now, sockets: &mut impl Sockets<A, T>) {
        let count = self.scheduler.reap(&mut self.handler, now, |transport| {
            sockets.close_connection(transport)
        });
        if count > 0 {
            self.lifecycle.on_connections_closed();
        }
    }
}
