//! The product: one thread, one poll, every connection.
//!
//! The loop in [`Reactor::run`] is the whole idea: *sleep* until something may have changed,
//! *note* what, *accept* a few, let everybody who can move *run* once, and *reap* who is done.
//! Nothing is done in reaction to an event but to note it; so the loop, not its peers,
//! decides how much happens before it looks at the world again.

pub mod address;
mod inherited;
pub mod listen;
pub mod listener;
pub mod scheduler;
mod socket_file;

use crate::clock::Now;
use crate::limits::Limits;
use crate::pump::Service;
use crate::transport::{Socket, Stream};
use listen::{Acceptor, Listening};
use listener::{Accept, Listeners, Stopped};
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use scheduler::Scheduler;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use socket_file::SocketFile;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Signals have the last token, listening sockets those before it, and clients count from 0: the
/// slab's keys are their tokens.
const SIGNALS: Token = Token(usize::MAX);

/// How long a warning about the want of places holds.
const SAID_ENOUGH: Duration = Duration::from_secs(60);

/// One loop with its sockets.
pub struct Reactor<S: Service> {
    poll: Poll,
    signals: Signals,
    /// The files of unix sockets. They go before their sockets do, so that no other server's file
    /// can be taken for ours.
    socket_files: Vec<SocketFile>,
    listeners: Listeners<Acceptor>,
    scheduler: Scheduler<Socket, S::Guest>,
    service: S,
    limits: Arc<Limits>,
    /// The server is stopping, and cuts off at this time whoever is not done.
    stop_at: Option<Instant>,
    /// When the want of places for clients was last reported.
    warned_at: Option<Instant>,
}

impl<S: Service> Reactor<S> {
    /// A loop over sockets that listen. Takes over SIGTERM, SIGINT and SIGHUP.
    ///
    /// # Errors
    /// Those of epoll_create(2) or kqueue(2), and of registering with them.
    pub fn new(listening: Vec<Listening>, service: S, limits: Arc<Limits>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        poll.registry()
            .register(&mut signals, SIGNALS, Interest::READABLE)?;
        let mut acceptors = Vec::new();
        let mut socket_files = Vec::new();
        for (index, one) in listening.into_iter().enumerate() {
            let Listening {
                file, mut socket, ..
            } = one;
            poll.registry()
                .register(&mut socket, token_of(index), Interest::READABLE)?;
            acceptors.push(socket);
            socket_files.extend(file);
        }
        Ok(Self {
            poll,
            signals,
            socket_files,
            listeners: Listeners::new(acceptors),
            scheduler: Scheduler::new(limits.clone()),
            service,
            limits,
            stop_at: None,
            warned_at: None,
        })
    }

    /// Serves until SIGTERM or SIGINT; returns the service, for it may have something to close.
    ///
    /// # Errors
    /// The poll or a listening socket failed in a way that cannot be mended.
    pub fn run(mut self) -> io::Result<S> {
        let mut events = Events::with_capacity(self.limits.events);
        loop {
            // Sleep. The time is read again: a turn takes time, and no deadline may be late.
            let rest = self.rest(Now::read());
            if let Err(error) = self.poll.poll(&mut events, rest) {
                match error.kind() {
                    io::ErrorKind::Interrupted => events.clear(),
                    _ => return Err(error),
                }
            }
            // Note.
            let now = Now::read();
            let mut has_signal = false;
            for event in &events {
                has_signal |= self.note(event);
            }
            if has_signal && self.obey_signals(now) {
                return Ok(self.service);
            }
            // Accept.
            self.accept(now)?;
            // Run.
            self.scheduler.turn(&mut self.service, now);
            self.cut_if_overdue(now);
            // Reap.
            self.reap(now);
            self.service.turn_ended();
            if self.stop_at.is_some() && self.scheduler.is_empty() {
                return Ok(self.service);
            }
        }
    }

    /// How long nothing is due.
    fn rest(&self, now: Now) -> Option<Duration> {
        let stop = self
            .stop_at
            .map(|stop_at| stop_at.saturating_duration_since(now.instant));
        [self.scheduler.rest(now), self.listeners.rest(now), stop]
            .into_iter()
            .flatten()
            .min()
    }

    /// Remembers what an event is about; says whether it is about signals.
    fn note(&mut self, event: &Event) -> bool {
        let token = event.token();
        if token == SIGNALS {
            return true;
        }
        let from_last = SIGNALS.0 - token.0;
        if from_last <= self.listeners.len() {
            self.listeners.note(from_last - 1);
        } else if let Some(socket) = self.scheduler.note(token.0) {
            socket.note(event);
        }
        false
    }

    fn accept(&mut self, now: Now) -> io::Result<()> {
        let Self {
            poll,
            listeners,
            scheduler,
            service,
            limits,
            ..
        } = self;
        let room = match self.stop_at {
            None => limits.connections.saturating_sub(scheduler.len()),
            // Whoever is let in now is the last: descriptors are the only limit.
            Some(_) => usize::MAX,
        };
        let stopped = listeners.accept(room, limits, now, |(stream, peer)| {
            let mut socket = Socket::new(stream);
            let token = Token(scheduler.next_key());
            match poll
                .registry()
                .register(socket.source(), token, Socket::INTEREST)
            {
                Ok(()) => scheduler.admit(socket, service.welcome(peer), now),
                // This client is lost, no other.
                Err(error) => log::warn!("cannot register a connection: {error}"),
            }
        });
        match stopped {
            Stopped::Done => {}
            Stopped::Broken(error) => return Err(error),
            Stopped::Full => {
                self.warn(
                    now,
                    "the limit of connections is reached (--max-connections)",
                );
                self.make_room(now);
            }
            Stopped::Exhausted(error) => {
                self.warn(
                    now,
                    &format!("cannot accept for now: {error} (raise: ulimit -n)"),
                );
                self.make_room(now);
            }
        }
        Ok(())
    }

    /// Says that there is no place for a client; not more often than somebody can mend it.
    fn warn(&mut self, now: Now, what: &str) {
        let is_due = |last: Instant| now.instant.saturating_duration_since(last) >= SAID_ENOUGH;
        if self.warned_at.is_none_or(is_due) {
            self.warned_at = Some(now.instant);
            log::warn!("{what}");
        }
    }

    /// Somebody waits at the door and there is no place: an idle connection makes room, or
    /// accepting pauses. Whatever ends meanwhile resumes it.
    fn make_room(&mut self, now: Now) {
        if self.scheduler.evict(now) == 0 {
            self.listeners.pause(now.instant + self.limits.accept_pause);
        }
    }

    fn reap(&mut self, now: Now) {
        let registry = self.poll.registry();
        let count = self.scheduler.reap(&mut self.service, now, |mut socket| {
            // Fails only for a socket that the poll has forgotten by itself.
            let _ = registry.deregister(socket.source());
        });
        if count > 0 {
            self.listeners.resume();
        }
    }

    /// Says whether to stop at once.
    fn obey_signals(&mut self, now: Now) -> bool {
        let registry = self.poll.registry();
        // They are read past mio, whose poll(2) selector announces no more until it has seen that.
        // If it fails, those that came are obeyed all the same.
        let _ = registry.reregister(&mut self.signals, SIGNALS, Interest::READABLE);
        for signal in self.signals.pending() {
            match signal {
                SIGHUP => self.service.reopen_logs(),
                _ if self.stop_at.is_some() => {
                    log::warn!("stopping at once");
                    // Aborted, so that no peer takes what it got for the whole; and logged.
                    self.scheduler.cut();
                    self.reap(now);
                    return true;
                }
                _ => self.stop_at = Some(now.instant + self.limits.grace),
            }
        }
        if self.stop_at.is_some() && !self.listeners.is_empty() {
            log::info!("stopping; connections open: {}", self.scheduler.len());
            self.close_doors(now);
            self.scheduler.drain();
        }
        false
    }

    /// Takes in everybody who is waiting already, for closing the socket would reset them, and
    /// closes it.
    fn close_doors(&mut self, now: Now) {
        let most = 1 + self.limits.backlog.unsigned_abs() as usize / self.limits.accepts_per_turn;
        self.listeners.resume();
        for _ in 0..most {
            let is_waiting = self.listeners.rest(now) == Some(Duration::ZERO);
            if !is_waiting || self.accept(now).is_err() {
                break;
            }
        }
        self.socket_files.clear();
        for mut acceptor in self.listeners.close() {
            let _ = self.poll.registry().deregister(&mut acceptor);
        }
    }

    fn cut_if_overdue(&mut self, now: Now) {
        if self.stop_at.is_some_and(|stop_at| stop_at <= now.instant) && !self.scheduler.is_empty()
        {
            log::warn!(
                "the grace period is over; connections cut: {}",
                self.scheduler.len()
            );
            self.scheduler.cut();
        }
    }
}

fn token_of(index: usize) -> Token {
    Token(SIGNALS.0 - 1 - index)
}

impl Accept for Acceptor {
    type Stream = (Stream, Option<IpAddr>);

    fn accept(&mut self) -> io::Result<Self::Stream> {
        match self {
            Self::Tcp(listener) => listener
                .accept()
                .map(|(stream, peer)| (Stream::Tcp(stream), Some(peer.ip()))),
            Self::Unix(listener) => listener
                .accept()
                .map(|(stream, _)| (Stream::Unix(stream), None)),
        }
    }
}
