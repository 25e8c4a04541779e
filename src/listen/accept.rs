//! Accepts connections from several listening sockets in turn, and knows which of them may have one
//! waiting.
//!
//! An event announces new connections once. It is remembered until accept(2) itself reports that no
//! connection waits. So accepting can stop after a bounded number, at the connection limit or for
//! want of descriptors, and go on later without an event.

use crate::clock::Now;
use crate::handler::{ListenerInfo, Role};
use crate::limits::{self, Limits};
use rustix::io::Errno;
use std::io;
use std::time::{Duration, Instant};

/// A listening socket: where new connections come from.
pub trait Accept {
    /// A new connection.
    type Stream;

    /// Accepts the next waiting connection (accept(2)). Never blocks.
    ///
    /// # Errors
    /// `WouldBlock` when no connection waits; see [`classify_accept_error`] for the others.
    fn accept(&mut self) -> io::Result<Self::Stream>;

    /// What is served on it.
    fn role(&self) -> Role {
        Role::Public
    }

    /// Whether its connections are encrypted.
    fn is_tls(&self) -> bool {
        false
    }

    /// The server is stopping: the kernel shall not hold connections back until their first bytes
    /// arrive. Returns whether such connections may exist.
    fn stop_deferring(&mut self) -> bool {
        false
    }
}

/// The listening sockets of one loop. They share the accept budget of an iteration: one connection
/// is accepted from each in turn.
#[derive(Debug)]
pub struct Listeners<A: Accept> {
    entries: Vec<ListenerEntry<A>>,
    /// Index of the socket to accept from next.
    next: usize,
    /// A connection that was accepted at the connection limit. Only accept(2) can tell whether one
    /// waits, and no idle connection may be evicted before that is certain.
    pending: Option<(ListenerInfo, A::Stream)>,
    /// No connection is accepted before this time, because there are no resources.
    paused_until: Option<Instant>,
}

#[derive(Debug)]
struct ListenerEntry<A> {
    info: ListenerInfo,
    socket: A,
    /// A connection may wait: accept(2) has not reported otherwise since the last event.
    is_ready: bool,
}

/// Why [`Listeners::accept`] stopped.
#[derive(Debug)]
pub enum AcceptOutcome {
    /// No connection waits, the budget is used up, or accepting is paused.
    Done,
    /// The connection limit is reached, and a connection waits.
    Full,
    /// The system has no descriptor or memory for another connection.
    Exhausted(io::Error),
    /// The whole budget was lost connections: the error may last.
    Failing(io::Error),
    /// A listening socket is broken: the server cannot go on.
    Broken(io::Error),
}

/// What an error of accept(2) means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptFailure {
    /// No connection waits: stop until the next event.
    NoneWaiting,
    /// This connection was lost while it waited: accept the next one.
    ConnectionLost,
    /// No descriptor or memory: close an idle connection, or pause.
    NoResources,
    /// Not a listening socket.
    Fatal,
}

/// Classifies every error that accept(2) documents. An unknown error is taken for a lost
/// connection, because Linux passes network errors of a connection on.
pub fn classify_accept_error(error: &io::Error) -> AcceptFailure {
    match Errno::from_io_error(error) {
        Some(Errno::AGAIN) => AcceptFailure::NoneWaiting,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
            AcceptFailure::NoResources
        }
        // Not EOPNOTSUPP, which Linux also passes on from the network for one connection.
        Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::FAULT) => AcceptFailure::Fatal,
        None if error.kind() == io::ErrorKind::WouldBlock => AcceptFailure::NoneWaiting,
        _ => AcceptFailure::ConnectionLost,
    }
}

/// What to do about an error of accept(2) for want of descriptors, in parentheses.
pub fn advice(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE) => limits::advice_on_descriptors(),
        Some(Errno::NFILE) => " (raise the limit of the system: sysctl fs.file-max)",
        _ => "",
    }
}

impl<A: Accept> Listeners<A> {
    /// Listeners over `sockets`. A connection may wait at each of them.
    pub fn new(sockets: impl IntoIterator<Item = A>) -> Self {
        let entries = sockets
            .into_iter()
            .enumerate()
            .map(|(id, socket)| ListenerEntry {
                info: ListenerInfo {
                    id,
                    role: socket.role(),
                    is_tls: socket.is_tls(),
                },
                socket,
                is_ready: true,
            });
        Self {
            entries: entries.collect(),
            next: 0,
            pending: None,
            paused_until: None,
        }
    }

    /// Removes and returns the admin listeners: they have a limit of connections and a pause of
    /// their own.
    pub fn take_admin(&mut self) -> Self {
        let is_admin = |entry: &mut ListenerEntry<A>| entry.info.role == Role::Admin;
        Self {
            entries: self.entries.extract_if(.., is_admin).collect(),
            ..Self::new([])
        }
    }

    /// The sockets: their ids, and whether a connection may wait.
    pub fn entries(&self) -> impl Iterator<Item = (usize, &A, bool)> {
        let entries = self.entries.iter();
        entries.map(|entry| (entry.info.id, &entry.socket, entry.is_ready))
    }

    /// Number of listening sockets.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether all listening sockets are closed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the sockets, to be closed. No connection is accepted any more.
    pub fn close(&mut self) -> Vec<A> {
        self.entries.drain(..).map(|entry| entry.socket).collect()
    }

    /// Marks every socket as one at which a connection may wait, whatever events have reported.
    pub fn mark_all_ready(&mut self) {
        for entry in &mut self.entries {
            entry.is_ready = true;
        }
    }

    /// The server is stopping: see [`Accept::stop_deferring`].
    pub fn stop_deferring(&mut self) -> bool {
        let mut is_any_deferred = false;
        for entry in &mut self.entries {
            is_any_deferred |= entry.socket.stop_deferring();
        }
        is_any_deferred
    }

    /// An event arrived for the listener `id`.
    pub fn mark_ready(&mut self, id: usize) {
        let mut entries = self.entries.iter_mut();
        if let Some(entry) = entries.find(|entry| entry.info.id == id) {
            entry.is_ready = true;
        }
    }

    /// Whether a connection may wait: if not, there is nothing to accept.
    #[inline]
    pub fn may_have_waiting(&self) -> bool {
        self.pending.is_some() || self.entries.iter().any(|entry| entry.is_ready)
    }

    /// Accepts up to the budget of an iteration, and up to `capacity` connections. One is accepted
    /// from each socket in turn, starting after the one that was accepted from last: many
    /// connections at one socket do not hold up another. `add` gets each connection; where it
    /// fails, only that connection is lost.
    pub fn accept(
        &mut self,
        capacity: usize,
        limits: &Limits,
        now: Now,
        mut add: impl FnMut(ListenerInfo, A::Stream) -> io::Result<()>,
    ) -> AcceptOutcome {
        if self.paused_until.is_some_and(|until| now.instant < until) {
            return AcceptOutcome::Done;
        }
        self.paused_until = None;
        let mut budget = limits.accepts_per_iteration;
        let mut lost = 0;
        let mut capacity = capacity;
        if let Some((listener, stream)) = self.pending.take_if(|_| capacity > 0) {
            match add(listener, stream) {
                Ok(()) => capacity -= 1,
                Err(error) => log::debug!("accept: {error}"),
            }
        }
        if self.pending.is_some() {
            return AcceptOutcome::Full;
        }
        // How many sockets in a row are not ready.
        let mut not_ready = 0;
        while not_ready < self.entries.len() && budget > 0 {
            let index = self.next % self.entries.len();
            self.next = index + 1;
            let next = self.entries.get_mut(index);
            let Some(entry) = next.filter(|entry| entry.is_ready) else {
                not_ready += 1;
                continue;
            };
            not_ready = 0;
            budget -= 1;
            let (failure, error) = match entry.socket.accept() {
                Ok(stream) if capacity == 0 => {
                    self.pending = Some((entry.info, stream));
                    return AcceptOutcome::Full;
                }
                Ok(stream) => match add(entry.info, stream) {
                    Ok(()) => {
                        capacity -= 1;
                        continue;
                    }
                    Err(error) => (AcceptFailure::ConnectionLost, error),
                },
                Err(error) => (classify_accept_error(&error), error),
            };
            match failure {
                AcceptFailure::NoneWaiting => entry.is_ready = false,
                AcceptFailure::ConnectionLost => {
                    log::debug!("accept: {error}");
                    lost += 1;
                    if lost == limits.accepts_per_iteration {
                        return AcceptOutcome::Failing(error);
                    }
                }
                AcceptFailure::NoResources => return AcceptOutcome::Exhausted(error),
                AcceptFailure::Fatal => return AcceptOutcome::Broken(error),
            }
        }
        AcceptOutcome::Done
    }

    /// Accepts no connection before `until`, or before [`resume`](Self::resume) is called.
    pub fn pause(&mut self, until: Instant) {
        self.paused_until = Some(until);
    }

    /// A connection was closed, so there is capacity and a descriptor again.
    pub fn resume(&mut self) {
        self.paused_until = None;
    }

    /// How long accepting can wait without an event: until the pause is over (not at all without
    /// one) while a connection may wait, else without limit (`None`).
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        if !self.may_have_waiting() {
            return None;
        }
        let until = self.paused_until.unwrap_or(now.instant);
        Some(until.saturating_duration_since(now.instant))
    }
}
