//! Room `reactor`: all of the loop but its sleep. Accept, run, reap; and how to stop.
//!
//! No sockets and no clock here: what has to be done to a socket is asked of [`Sockets`], and the
//! time is an argument. So the simulator in tests/sim turns the very same loop.

use super::listener::{Accept, AcceptOutcome, Listeners};
use super::scheduler::Scheduler;
use crate::clock::Now;
use crate::handler::Handler;
use crate::limits::Limits;
use crate::signals::Action;
use crate::stalls::{PollOutcome, Stalls};
use crate::transport::Transport;
use crate::warnings::Limited;
use std::io;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// No connection can be accepted.
static REFUSED: Limited = Limited::new();

/// What the loop wants done to its sockets.
pub trait Sockets<A: Accept, T> {
    /// Makes a transport of what was accepted, and says whose it is; `None` stands for a peer on a
    /// unix socket.
    fn welcome(&mut self, stream: A::Stream) -> (T, Option<IpAddr>);

    /// Registers a socket, once and for both directions: its events will bear `key`. What is ready
    /// by then is announced, too.
    ///
    /// # Errors
    /// Those of epoll_ctl(2) or kevent(2). The connection is lost, no other.
    fn register(&mut self, transport: &mut T, key: usize) -> io::Result<()>;

    /// Forgets a connection's socket and closes it.
    fn release(&mut self, transport: T);

    /// Forgets the listening sockets and closes them.
    fn close(&mut self, acceptors: impl Iterator<Item = A>);
}

/// Whether the loop goes on.
pub type Flow = ControlFlow<()>;

/// The loop's listening sockets, its connections, and who answers them.
pub struct Engine<A: Accept, T, H: Handler> {
    listeners: Listeners<A>,
    scheduler: Scheduler<T, H::State>,
    handler: H,
    limits: Arc<Limits>,
    stalls: Stalls,
    /// The server is stopping, and cuts off at this time whoever is not done.
    stop_at: Option<Instant>,
    /// The server is stopping, and accepts until this time whom the kernel holds back.
    accept_until: Option<Instant>,
    /// When the handler's `end_iteration` must be called, even if nothing happens.
    handler_due: Option<Instant>,
}

impl<A: Accept, T: Transport, H: Handler> Engine<A, T, H> {
    /// A loop over these listening sockets, without connections.
    pub fn new(acceptors: impl IntoIterator<Item = A>, handler: H, limits: Arc<Limits>) -> Self {
        Self {
            listeners: Listeners::new(acceptors),
            scheduler: Scheduler::new(limits.clone()),
            handler,
            stalls: Stalls::new(limits.stall_threshold()),
            limits,
            stop_at: None,
            accept_until: None,
            handler_due: None,
        }
    }

    /// The loop is over; its handler may have something to close.
    pub fn into_handler(self) -> H {
        self.handler
    }

    /// All clients.
    pub fn scheduler(&self) -> &Scheduler<T, H::State> {
        &self.scheduler
    }

    /// How many doors are open.
    pub fn listener_count(&self) -> usize {
        self.listeners.len()
    }

    /// How long nothing is due.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        let until = |at: Instant| at.saturating_duration_since(now.instant);
        [
            self.scheduler.poll_timeout(now),
            self.listeners.poll_timeout(now),
            self.accept_until.map(until),
            self.stop_at.map(until),
            self.handler_due.map(until),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The loop is about to poll. Returns for how long: until something is due.
    pub fn begin_poll(&mut self, now: Now) -> Option<Duration> {
        let stall = self.stalls.worked(now.instant);
        self.scheduler.stalled(stall);
        self.poll_timeout(now)
    }

    /// The poll came back, which was to take `timeout` at most.
    pub fn end_poll(&mut self, now: Now, timeout: Option<Duration>, outcome: PollOutcome) {
        let stall = self.stalls.polled(now.instant, timeout, outcome);
        self.scheduler.stalled(stall);
    }

    /// An event came for the connection with this key. Returns its transport, which may want to
    /// look at the event; `None` for one that is gone.
    pub fn mark_ready(&mut self, key: usize) -> Option<&mut T> {
        self.scheduler.mark_ready(key)
    }

    /// An event came for the listening socket with this index.
    pub fn mark_listener_ready(&mut self, index: usize) {
        self.listeners.mark_ready(index);
    }

    /// One turn, after the events were noted: accept a few, let everybody who can move run once,
    /// reap who is done. Breaks when the server was to stop and has.
    ///
    /// # Errors
    /// A listening socket failed in a way that cannot be mended.
    pub fn run_iteration(
        &mut self,
        now: Now,
        sockets: &mut impl Sockets<A, T>,
    ) -> io::Result<Flow> {
        self.accept(now, sockets)?;
        if self.accept_until.is_some_and(|until| until <= now.instant) {
            self.stop_accepting(now, sockets);
        }
        let is_overdue = self.stop_at.is_some_and(|stop_at| stop_at <= now.instant);
        if is_overdue {
            self.scheduler.recheck_all();
        }
        self.scheduler.run(&mut self.handler, now);
        self.scheduler
            .register(|transport, key| sockets.register(transport, key));
        if is_overdue {
            self.abort_remaining();
        }
        self.reap(now, sockets);
        self.handler_due = self.handler.end_iteration(now);
        Ok(match self.stop_at {
            Some(_) if self.scheduler.is_empty() && self.listeners.is_empty() => Flow::Break(()),
            _ => Flow::Continue(()),
        })
    }

    /// A signal came. Breaks when the server has stopped at once.
    pub fn handle_signal(
        &mut self,
        action: Action,
        now: Now,
        sockets: &mut impl Sockets<A, T>,
    ) -> Flow {
        match action {
            Action::ReopenLogs => self.handler.reopen_logs(),
            Action::Stop if self.stop_at.is_some() => {
                log::warn!("stopping at once");
                // Aborted, so that no peer takes what it got for the whole; and logged.
                self.scheduler.abort_all();
                self.reap(now, sockets);
                return Flow::Break(());
            }
            Action::Stop => {
                self.stop_at = Some(now.instant + self.limits.grace);
                log::info!("stopping; connections open: {}", self.scheduler.len());
                if self.listeners.stop_deferring() {
                    self.accept_until = Some(now.instant + self.limits.defer_accept_timeout);
                } else {
                    self.stop_accepting(now, sockets);
                }
                self.scheduler.drain();
            }
        }
        Flow::Continue(())
    }

    fn accept(&mut self, now: Now, sockets: &mut impl Sockets<A, T>) -> io::Result<()> {
        let Self {
            listeners,
            scheduler,
            handler,
            limits,
            ..
        } = self;
        let room = match self.stop_at {
            None => limits.connections.saturating_sub(scheduler.len()),
            // Whoever is let in now is the last: descriptors are the only limit.
            Some(_) => usize::MAX,
        };
        let outcome = listeners.accept(room, limits, now, |stream| {
            let (transport, peer) = sockets.welcome(stream);
            scheduler.admit(transport, handler.on_connect(peer), now);
        });
        match outcome {
            AcceptOutcome::Done => {}
            AcceptOutcome::Broken(error) => return Err(error),
            AcceptOutcome::Full => {
                REFUSED.warn(format_args!(
                    "the limit of connections is reached (--max-connections)"
                ));
                self.evict_or_pause(now);
            }
            AcceptOutcome::Exhausted(error) => {
                REFUSED.warn(format_args!(
                    "cannot accept for now: {error} (raise: ulimit -n)"
                ));
                self.evict_or_pause(now);
            }
            AcceptOutcome::Failing(error) => {
                REFUSED.warn(format_args!("accepting fails: {error}"));
                self.listeners.pause(now.instant + self.limits.accept_pause);
            }
        }
        Ok(())
    }

    /// Somebody waits at the door and there is no place: an idle connection makes room, or
    /// accepting pauses. Whatever ends meanwhile resumes it. (While the server stops, idle
    /// connections are about to close anyway.)
    fn evict_or_pause(&mut self, now: Now) {
        let is_stopping = self.stop_at.is_some();
        if is_stopping || self.scheduler.evict(&mut self.handler, now) == 0 {
            self.listeners.pause(now.instant + self.limits.accept_pause);
        }
    }

    fn reap(&mut self, now: Now, sockets: &mut impl Sockets<A, T>) {
        let handler = &mut self.handler;
        let count = self
            .scheduler
            .reap(handler, now, |transport| sockets.release(transport));
        if count > 0 {
            self.listeners.resume();
        }
    }

    /// Takes in everybody who is waiting already, for closing the socket would reset them, and
    /// closes it.
    fn stop_accepting(&mut self, now: Now, sockets: &mut impl Sockets<A, T>) {
        self.accept_until = None;
        let queue = self.limits.backlog.unsigned_abs() as usize;
        let most = 1 + self.listeners.len() * queue / self.limits.accepts_per_iteration;
        self.listeners.resume();
        // Not every event needs to have been told by now.
        self.listeners.mark_all_ready();
        for _ in 0..most {
            let is_waiting = self.listeners.poll_timeout(now) == Some(Duration::ZERO);
            if !is_waiting || self.accept(now, sockets).is_err() {
                break;
            }
        }
        sockets.close(self.listeners.close());
    }

    fn abort_remaining(&mut self) {
        let count = self.scheduler.abort_all();
        if count > 0 {
            log::warn!("the grace period is over; connections cut: {count}");
        }
    }
}
