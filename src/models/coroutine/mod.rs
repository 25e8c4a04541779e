//! A coroutine for each client: what gevent, asyncio and the async runtimes do.
//!
//! What waits: a future for each client, at its `.await`. One thread sleeps in the reactor's poll
//! and wakes whom an event or a deadline concerns. So the code reads from top to bottom like the
//! thread's, and costs like the reactor.
//! What a connection costs: its future, which is the connection and what lives across an `.await`;
//! a waker; a timer entry. It has no stack.
//! Where it loses: it waits for no lock and no disk better than the reactor does, each wake goes
//! through one more table, and who forgets to yield holds up all others.

mod executor;
mod runtime;

use crate::clock::Now;
use crate::handler::Handler;
use crate::http::date::DateLine;
use crate::limits::Limits;
use crate::pump::SharedBuffers;
use crate::reactor::listen::{BoundListener, ListenerSocket, SocketFile};
use crate::reactor::listener::{AcceptOutcome, Listeners};
use crate::signals::{Action, Policy, SignalSource};
use crate::stalls::{PollOutcome, Stalls};
use crate::timers::Timers;
use crate::transport::ReadyFlags;
use crate::warnings::Limited;
use executor::Executor;
use mio::{Events, Interest, Poll, Token};
use runtime::{Runtime, Slot, serve};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Signals have the last token, listening sockets those before it, and clients count from 0.
const SIGNALS: usize = usize::MAX;

/// No connection can be accepted.
static REFUSED: Limited = Limited::new();

/// One thread with its coroutines.
pub struct Coroutines<H: Handler> {
    poll: Poll,
    signals: SignalSource,
    policy: Policy,
    listeners: Listeners<ListenerSocket>,
    /// The files of unix sockets.
    files: Vec<SocketFile>,
    executor: Executor,
    runtime: Rc<Runtime<H>>,
    limits: Arc<Limits>,
    stalls: Stalls,
    stop_at: Option<Instant>,
    /// The server is stopping, and accepts until this time whom the kernel holds back.
    accept_until: Option<Instant>,
    /// When the handler's `end_iteration` must be called, even if nothing happens.
    handler_due: Option<Instant>,
}

impl<H: Handler + 'static> Coroutines<H> {
    /// Handles the signals of `policy`.
    ///
    /// # Errors
    /// Those of the poll, and of registering with it.
    pub fn new(
        listening: Vec<BoundListener>,
        handler: H,
        limits: Arc<Limits>,
        policy: Policy,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry();
        let signals = SignalSource::new(policy.handled(), registry, Token(SIGNALS))?;
        let (mut acceptors, mut files) = (Vec::new(), Vec::new());
        for (index, mut one) in listening.into_iter().enumerate() {
            let token = Token(SIGNALS - 1 - index);
            registry.register(&mut one.socket, token, Interest::READABLE)?;
            acceptors.push(one.socket);
            files.extend(one.file);
        }
        let runtime = Runtime {
            handler: RefCell::new(handler),
            slots: RefCell::new(Slab::new()),
            timers: RefCell::new(Timers::new()),
            now: Cell::new(Now::read()),
            behind: Cell::new(Duration::ZERO),
            draining: Cell::new(false),
            aborting: Cell::new(false),
            registry: registry.try_clone()?,
            buffers: RefCell::new((SharedBuffers::new(&limits), DateLine::default())),
            limits: limits.clone(),
        };
        Ok(Self {
            poll,
            signals,
            policy,
            listeners: Listeners::new(acceptors),
            files,
            executor: Executor::default(),
            runtime: Rc::new(runtime),
            stalls: Stalls::new(limits.stall_threshold()),
            limits,
            stop_at: None,
            accept_until: None,
            handler_due: None,
        })
    }

    /// Serves until a signal stops it; returns the handler, for it may have something to close.
    ///
    /// # Errors
    /// The poll or a listening socket failed in a way that cannot be mended.
    pub fn run(mut self) -> io::Result<Option<H>> {
        let mut events = Events::with_capacity(self.limits.events);
        loop {
            let now = Now::read();
            self.runtime.stalled(self.stalls.worked(now.instant));
            let timeout = self.poll_timeout(now);
            let outcome = match self.poll.poll(&mut events, timeout) {
                Ok(()) if events.is_empty() => PollOutcome::Nothing,
                Ok(()) => PollOutcome::Events,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    events.clear();
                    PollOutcome::Interrupted
                }
                Err(error) => return Err(error),
            };
            let now = Now::read();
            let stall = self.stalls.polled(now.instant, timeout, outcome);
            self.runtime.stalled(stall);
            self.runtime.now.set(now);
            for event in &events {
                let Token(token) = event.token();
                match SIGNALS - token {
                    0 => self.handle_signals(now),
                    from_last if from_last <= self.listeners.len() => {
                        self.listeners.mark_ready(from_last - 1);
                    }
                    _ => self.runtime.mark_ready(token, ReadyFlags::of(event)),
                }
            }
            self.runtime.expire();
            self.accept(now)?;
            let before = self.runtime.slots.borrow().len();
            self.executor.run();
            if self.runtime.slots.borrow().len() < before {
                self.listeners.resume();
            }
            self.handler_due = self.runtime.handler.borrow_mut().end_iteration(now);
            if self.has_stopped(now) {
                break;
            }
        }
        drop(self.executor);
        Ok(Rc::into_inner(self.runtime).map(|runtime| runtime.handler.into_inner()))
    }

    /// How long nothing is due.
    fn poll_timeout(&self, now: Now) -> Option<Duration> {
        if self.executor.has_runnable() {
            return Some(Duration::ZERO);
        }
        let until = |at: Instant| at.saturating_duration_since(now.instant);
        let behind = self.runtime.behind.get();
        let next = self.runtime.timers.borrow().next().map(|at| at + behind);
        [
            next.map(until),
            self.stop_at.map(until),
            self.handler_due.map(until),
            self.accept_until.map(until),
            self.listeners.poll_timeout(now),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Lets a few in, each with a coroutine of his own. At the limit the kernel's queue waits.
    fn accept(&mut self, now: Now) -> io::Result<()> {
        let (runtime, executor) = (&self.runtime, &mut self.executor);
        let open = runtime.slots.borrow().len();
        let room = self.limits.connections.saturating_sub(open);
        let outcome = (self.listeners).accept(room, &self.limits, now, |(stream, peer)| {
            let key = runtime.slots.borrow_mut().insert(Slot::default());
            executor.spawn(serve(runtime.clone(), key, stream, peer));
        });
        match outcome {
            AcceptOutcome::Done => return Ok(()),
            AcceptOutcome::Broken(error) => return Err(error),
            AcceptOutcome::Full => log::debug!("the limit of connections is reached"),
            AcceptOutcome::Exhausted(error) => {
                REFUSED.warn(format_args!(
                    "cannot accept for now: {error} (raise: ulimit -n)"
                ));
            }
            AcceptOutcome::Failing(error) => {
                REFUSED.warn(format_args!("accepting fails: {error}"));
            }
        }
        self.listeners.pause(now.instant + self.limits.accept_pause);
        Ok(())
    }

    fn handle_signals(&mut self, now: Now) {
        for signal in self.signals.take(self.poll.registry()) {
            match self.policy.receive(signal) {
                Action::ReopenLogs => self.runtime.handler.borrow_mut().reopen_logs(),
                Action::Stop if self.stop_at.is_some() => {
                    log::warn!("stopping at once");
                    self.stop_at = Some(now.instant);
                }
                Action::Stop => {
                    log::info!(
                        "stopping; connections open: {}",
                        self.runtime.slots.borrow().len()
                    );
                    self.stop_at = Some(now.instant + self.limits.grace);
                    if self.listeners.stop_deferring() {
                        self.accept_until = Some(now.instant + self.limits.defer_accept_timeout);
                    } else {
                        self.listeners.mark_all_ready();
                    }
                    self.runtime.draining.set(true);
                    self.runtime.wake_all();
                }
            }
        }
    }

    /// Whether the server was to stop and has. Who waits at the door then is let in first.
    fn has_stopped(&mut self, now: Now) -> bool {
        let Some(stop_at) = self.stop_at else {
            return false;
        };
        if self
            .accept_until
            .take_if(|until| *until <= now.instant)
            .is_some()
        {
            self.listeners.mark_all_ready();
        }
        if self.accept_until.is_none() && self.listeners.poll_timeout(now).is_none() {
            self.files.clear();
            self.listeners.close().for_each(drop);
        }
        if stop_at <= now.instant {
            log::warn!("connections cut: {}", self.runtime.slots.borrow().len());
            self.runtime.aborting.set(true);
            self.runtime.wake_all();
            self.executor.run();
            return true;
        }
        self.listeners.is_empty() && self.runtime.slots.borrow().is_empty()
    }
}
