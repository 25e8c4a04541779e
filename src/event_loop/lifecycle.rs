//! The policy of a loop around its connections: when it accepts, and when it stops.

use crate::clock::Now;
use crate::handler::{ListenerInfo, Role};
use crate::limits::{self, Limits};
use crate::listen::accept::{Accept, AcceptOutcome, Listeners, advice};
use crate::signals::StopMessages;
use crate::warnings::RateLimited;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections cannot be accepted.
static CANNOT_ACCEPT: RateLimited = RateLimited::new();

/// Connections cannot be registered with the poll.
static UNWATCHED: RateLimited = RateLimited::new();

/// Warns that a connection is lost, because the poll cannot watch it.
pub fn warn_unregistered(error: &io::Error) {
    UNWATCHED.warn(format_args!(
        "a connection is closed: it cannot be registered with the poll: {error}"
    ));
}

/// The handler cannot wake the loop.
static UNNOTIFIED: RateLimited = RateLimited::new();

/// Warns that the loop asks the handler again and again, because it cannot be woken by it.
pub fn warn_unnotified(error: &io::Error) {
    UNNOTIFIED.warn(format_args!(
        "the loop does not sleep while a password is checked: it cannot be woken: {error}"
    ));
}

/// The connections of the loop, as the policy uses them.
pub trait Connections<A: Accept> {
    /// Number of open connections that listeners of this role accepted.
    fn count(&self, role: Role) -> usize;

    /// Adds a connection that was accepted. It runs in this iteration.
    ///
    /// # Errors
    /// The connection cannot be served. Only this one is lost.
    fn add(&mut self, listener: ListenerInfo, stream: A::Stream) -> io::Result<()>;

    /// Closes idle public connections, so that others can be accepted. Returns how many.
    fn evict(&mut self) -> usize;

    /// Public connections wait, and none is accepted for [`Limits::accept_pause`] or until a
    /// connection ends.
    fn on_accept_pause(&mut self);
}

/// What a signal to stop leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The first signal: idle connections are closed, the others after their next response.
    Drain,
    /// The second signal: all connections are aborted.
    Abort,
}

/// Accepting and stopping of one loop.
pub struct Lifecycle<A: Accept> {
    /// The public ones.
    listeners: Listeners<A>,
    /// Those of the operator. They have a limit of connections of their own, so that the public
    /// cannot lock the operator out.
    admin: Listeners<A>,
    limits: Arc<Limits>,
    /// The server is stopping, and aborts the remaining connections at this time.
    stop_at: Option<Instant>,
    /// The server is stopping, and accepts until this time, for the kernel may hold connections
    /// back.
    accept_until: Option<Instant>,
    /// Logs that the server stops. Several loops may share them.
    pub stop_messages: Arc<StopMessages>,
}

impl<A: Accept> Lifecycle<A> {
    /// Makes the lifecycle of a loop that accepts from `listeners`.
    pub fn new(listeners: impl IntoIterator<Item = A>, limits: Arc<Limits>) -> Self {
        let mut listeners = Listeners::new(listeners);
        let admin = listeners.take_admin();
        Self {
            listeners,
            admin,
            limits,
            stop_at: None,
            accept_until: None,
            stop_messages: Arc::new(StopMessages::of(1)),
        }
    }

    /// An event arrived for the listener `id`.
    pub fn mark_listener_ready(&mut self, id: usize) {
        self.listeners.mark_ready(id);
        if !self.admin.is_empty() {
            self.admin.mark_ready(id);
        }
    }

    /// The listeners that are open: their ids, and whether a connection may wait.
    pub fn listeners(&self) -> impl Iterator<Item = (usize, &A, bool)> {
        self.listeners.entries().chain(self.admin.entries())
    }

    /// How long the loop may poll before accepting or stopping has something to do.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        let until = |at: Instant| at.saturating_duration_since(now.instant);
        [
            self.listeners.poll_timeout(now),
            match self.admin.is_empty() {
                true => None,
                false => self.admin.poll_timeout(now),
            },
            self.accept_until.map(until),
            self.stop_at.map(until),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Like [`Lifecycle::poll_timeout`], while the public connections are held.
    pub fn poll_timeout_of_admin(&self, now: Now) -> Option<Duration> {
        self.admin.poll_timeout(now)
    }

    /// Like [`Lifecycle::accept`], while the public connections are held.
    ///
    /// # Errors
    /// A listening socket is broken: the server cannot go on.
    pub fn accept_admin(
        &mut self,
        now: Now,
        connections: &mut impl Connections<A>,
    ) -> io::Result<()> {
        self.accept_from(Role::Admin, now, connections)
    }

    /// Accepts connections, within the budget of an iteration.
    ///
    /// # Errors
    /// A listening socket is broken: the server cannot go on.
    pub fn accept(&mut self, now: Now, connections: &mut impl Connections<A>) -> io::Result<()> {
        if !self.admin.is_empty() {
            self.accept_from(Role::Admin, now, connections)?;
        }
        self.accept_from(Role::Public, now, connections)
    }

    #[inline]
    fn accept_from(
        &mut self,
        role: Role,
        now: Now,
        connections: &mut impl Connections<A>,
    ) -> io::Result<()> {
        let (listeners, max) = match role {
            Role::Public => (&mut self.listeners, self.limits.max_connections),
            Role::Admin => (&mut self.admin, self.limits.max_admin_connections),
        };
        if !listeners.may_have_waiting() {
            return Ok(());
        }
        let capacity = match (self.stop_at, role) {
            // These are the last connections, so only descriptors limit them.
            (Some(_), Role::Public) => usize::MAX,
            _ => max.saturating_sub(connections.count(role)),
        };
        let outcome = listeners.accept(capacity, &self.limits, now, |listener, stream| {
            connections.add(listener, stream)
        });
        match outcome {
            AcceptOutcome::Done => {}
            AcceptOutcome::Broken(error) => return Err(error),
            AcceptOutcome::Full if role == Role::Admin => self.pause(role, now, connections),
            AcceptOutcome::Full => {
                let loops = self.stop_messages.loops();
                let advice = limits::advice_on_connections(max, loops);
                let of_loop = if loops > 1 { " of a loop" } else { "" };
                CANNOT_ACCEPT.warn(format_args!(
                    "all {max} allowed connections{of_loop} are open{advice}"
                ));
                self.evict_or_pause(role, now, connections);
            }
            AcceptOutcome::Exhausted(error) => {
                let advice = advice(&error);
                CANNOT_ACCEPT.warn(format_args!("cannot accept for now: {error}{advice}"));
                self.evict_or_pause(role, now, connections);
            }
            AcceptOutcome::Failing(error) => {
                CANNOT_ACCEPT.warn(format_args!("accepting fails: {error}"));
                self.pause(role, now, connections);
            }
        }
        Ok(())
    }

    /// A connection waits, and there is no capacity or descriptor for it: closes idle connections,
    /// or pauses accepting until a connection ends. While the server stops, idle connections are
    /// about to be closed anyway.
    fn evict_or_pause(&mut self, role: Role, now: Now, connections: &mut impl Connections<A>) {
        if self.stop_at.is_some() || connections.evict() == 0 {
            self.pause(role, now, connections);
        }
    }

    fn pause(&mut self, role: Role, now: Now, connections: &mut impl Connections<A>) {
        let until = now.instant + self.limits.accept_pause;
        match role {
            Role::Public => {
                self.listeners.pause(until);
                connections.on_accept_pause();
            }
            Role::Admin => self.admin.pause(until),
        }
    }

    /// Connections were closed: a pause of accepting ends.
    pub fn on_connections_closed(&mut self) {
        self.listeners.resume();
        self.admin.resume();
    }

    /// A signal asks the server to stop; `open` connections are open.
    pub fn stop(&mut self, now: Now, open: usize) -> Stop {
        if self.stop_at.is_some() {
            self.stop_messages.on_abort();
            return Stop::Abort;
        }
        self.stop_messages.on_stop(open);
        self.stop_at = Some(now.instant + self.limits.grace_period);
        let wait = match self.listeners.stop_deferring() {
            true => self.limits.defer_accept_timeout,
            false => Duration::ZERO,
        };
        self.accept_until = Some(now.instant + wait);
        Stop::Drain
    }

    /// If it is time to stop accepting public connections: accepts those that wait, because closing
    /// a listening socket resets them, and returns the sockets for the caller to close. Before and
    /// after that time it returns none.
    pub fn stop_accepting(&mut self, now: Now, connections: &mut impl Connections<A>) -> Vec<A> {
        let is_time = |until: &mut Instant| *until <= now.instant;
        if self.accept_until.take_if(is_time).is_none() {
            return Vec::new();
        }
        let queue = self.limits.backlog.unsigned_abs() as usize;
        let max_rounds = 1 + self.listeners.len() * queue / self.limits.accepts_per_iteration;
        self.listeners.resume();
        // Events may still be in the poll.
        self.listeners.mark_all_ready();
        for _ in 0..max_rounds {
            let is_waiting = self.listeners.poll_timeout(now) == Some(Duration::ZERO);
            if !is_waiting || self.accept(now, connections).is_err() {
                break;
            }
        }
        self.listeners.close()
    }

    /// The operator's sockets, for the caller to close, when the server has stopped serving the
    /// public: none of its connections is accepted any more, and `public` of them are open.
    pub fn stop_admin(&mut self, public: usize) -> Vec<A> {
        match self.is_stopping() && self.listeners.is_empty() && public == 0 {
            true => self.admin.close(),
            false => Vec::new(),
        }
    }

    /// Whether a signal has asked the server to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop_at.is_some()
    }

    /// Whether the grace period is over: the driver aborts the connections that are left.
    pub fn is_grace_over(&self, now: Now) -> bool {
        self.stop_at.is_some_and(|stop_at| stop_at <= now.instant)
    }

    /// Whether the server is stopping and accepts no more: it has stopped when no connection is
    /// open.
    pub fn accepts_no_more(&self) -> bool {
        self.stop_at.is_some() && self.listeners.is_empty() && self.admin.is_empty()
    }
}
