//! Room `reactor`: accepting, and when not to.
//!
//! The edge that announces new connections comes once. What it announced is remembered here
//! until accept(2) itself has said that nobody waits, so accepting can stop after a bounded
//! number, at the connection limit or for want of descriptors, and go on later by itself.

use crate::clock::Now;
use crate::limits::Limits;
use rustix::io::Errno;
use std::io;
use std::time::{Duration, Instant};

/// Where new connections come from.
pub trait Accept {
    /// A new connection.
    type Stream;

    /// Takes the next waiting connection (accept(2)); never blocks.
    ///
    /// # Errors
    /// `WouldBlock` when nobody waits; see [`classify`] for the others.
    fn accept(&mut self) -> io::Result<Self::Stream>;

    /// The server is stopping: connections that the kernel holds back until their first bytes
    /// arrive are to come without. Returns whether there may be any.
    fn stop_deferring(&mut self) -> bool {
        false
    }
}

/// The listening sockets of one loop.
#[derive(Debug)]
pub struct Listeners<A: Accept> {
    listeners: Vec<Listener<A>>,
    /// Where accepting goes on.
    next: usize,
    /// Accepted when there was no room. Only accept(2) can tell whether anybody waits, and no idle
    /// connection is to be closed for nobody.
    pending: Option<A::Stream>,
    /// Until when nothing is accepted, because there was nothing to accept it with.
    pause: Option<Instant>,
}

#[derive(Debug)]
struct Listener<A> {
    acceptor: A,
    /// Somebody may be waiting: accept(2) has not said otherwise since the last event.
    is_ready: bool,
}

/// Why accepting stopped.
#[derive(Debug)]
pub enum AcceptOutcome {
    /// Nobody waits, the turn's share is done, or accepting is paused.
    Done,
    /// The limit of connections is reached, and somebody waits.
    Full,
    /// The system has no descriptor or memory for another connection.
    Exhausted(io::Error),
    /// A whole turn's share of connections was lost: an error that may last.
    Failing(io::Error),
    /// A listening socket is broken: the server cannot go on.
    Broken(io::Error),
}

/// What an error of accept(2) calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptFailure {
    /// Nobody waits: stop until the next event.
    NoneWaiting,
    /// This connection was lost while it waited: take the next one.
    ConnectionLost,
    /// No descriptor or memory: make room or pause.
    NoResources,
    /// Not a listening socket any more.
    Fatal,
}

/// The action for every error that accept(2) documents. An unknown one costs one connection,
/// not the server, as Linux passes on whatever errors the network had for it.
pub fn classify(error: &io::Error) -> AcceptFailure {
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

impl<A: Accept> Listeners<A> {
    /// All of `acceptors`, each assumed to have somebody waiting.
    pub fn new(acceptors: impl IntoIterator<Item = A>) -> Self {
        let listeners = acceptors
            .into_iter()
            .map(|acceptor| Listener {
                acceptor,
                is_ready: true,
            })
            .collect();
        Self {
            listeners,
            next: 0,
            pending: None,
            pause: None,
        }
    }

    /// How many listeners are open.
    pub fn len(&self) -> usize {
        self.listeners.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }

    /// Gives the sockets back, to be closed. Nothing is accepted any more.
    pub fn close(&mut self) -> impl Iterator<Item = A> {
        self.listeners.drain(..).map(|listener| listener.acceptor)
    }

    /// Whether connections wait is to be asked of accept(2) once more, whatever events have told.
    pub fn mark_all_ready(&mut self) {
        for listener in &mut self.listeners {
            listener.is_ready = true;
        }
    }

    /// The server is stopping: see [`Accept::stop_deferring`].
    pub fn stop_deferring(&mut self) -> bool {
        let mut is_any_held_back = false;
        for listener in &mut self.listeners {
            is_any_held_back |= listener.acceptor.stop_deferring();
        }
        is_any_held_back
    }

    /// An event came for the listening socket with this index.
    pub fn mark_ready(&mut self, index: usize) {
        if let Some(listener) = self.listeners.get_mut(index) {
            listener.is_ready = true;
        }
    }

    /// Accepts up to the turn's share of connections, and admits no more than there is `room` for.
    /// One is taken from each socket in turn, beginning behind the one that was latest: a flood at
    /// one socket does not hold up another.
    pub fn accept(
        &mut self,
        room: usize,
        limits: &Limits,
        now: Now,
        mut admit: impl FnMut(A::Stream),
    ) -> AcceptOutcome {
        if self.pause.is_some_and(|until| now.instant < until) {
            return AcceptOutcome::Done;
        }
        self.pause = None;
        let mut share = limits.accepts_per_iteration;
        let mut losses = 0;
        let mut room = room;
        if let Some(stream) = self.pending.take_if(|_| room > 0) {
            admit(stream);
            room -= 1;
        }
        if self.pending.is_some() {
            return AcceptOutcome::Full;
        }
        // How many in a row had nothing.
        let mut quiet = 0;
        while quiet < self.listeners.len() && share > 0 {
            let index = self.next % self.listeners.len();
            self.next = index + 1;
            let next = self.listeners.get_mut(index);
            let Some(listener) = next.filter(|listener| listener.is_ready) else {
                quiet += 1;
                continue;
            };
            quiet = 0;
            share -= 1;
            let error = match listener.acceptor.accept() {
                Ok(stream) => {
                    if room == 0 {
                        self.pending = Some(stream);
                        return AcceptOutcome::Full;
                    }
                    admit(stream);
                    room -= 1;
                    continue;
                }
                Err(error) => error,
            };
            match classify(&error) {
                AcceptFailure::NoneWaiting => listener.is_ready = false,
                AcceptFailure::ConnectionLost => {
                    log::debug!("accept: {error}");
                    losses += 1;
                    if losses == limits.accepts_per_iteration {
                        return AcceptOutcome::Failing(error);
                    }
                }
                AcceptFailure::NoResources => return AcceptOutcome::Exhausted(error),
                AcceptFailure::Fatal => return AcceptOutcome::Broken(error),
            }
        }
        AcceptOutcome::Done
    }

    /// Nothing is accepted before `until`, unless [`Listeners::resume`] comes first.
    pub fn pause(&mut self, until: Instant) {
        self.pause = Some(until);
    }

    /// A connection ended, so there is room and a descriptor again.
    pub fn resume(&mut self) {
        self.pause = None;
    }

    /// How long accepting can wait unless an event comes: not at all while somebody may be
    /// waiting, else for ever.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        if self.pending.is_none() && !self.listeners.iter().any(|listener| listener.is_ready) {
            return None;
        }
        let until = self.pause.unwrap_or(now.instant);
        Some(until.saturating_duration_since(now.instant))
    }
}
