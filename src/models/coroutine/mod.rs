//! A coroutine for each connection: what gevent, asyncio and async runtimes do.
//!
//! What waits: a future for each connection, at its `.await`. One thread sleeps in the poll and
//! wakes the futures that an event or a deadline concerns. So the code reads from top to bottom
//! like that of a thread, and costs what the reactor costs.
//! What a connection costs: its future (the connection and what lives across an `.await`), a waker
//! and a timer entry. It has no stack.
//! Where it loses: locks and disks block it as they block the reactor, each wake goes through one
//! more table, and a coroutine that does not yield holds up all others.

mod executor;
mod runtime;

use crate::clock::Now;
use crate::event_loop::lifecycle::{Connections, Lifecycle, Stop, warn_unnotified};
use crate::event_loop::poller::{EventTarget, Poller, flags_of};
use crate::handler::{Handler, ListenerInfo, Role};
use crate::limits::Limits;
use crate::listen::open::BoundListener;
use crate::listen::socket::{AcceptedStream, ListenerSocket};
use crate::probe::{Origin, Probe};
use crate::signals::{self, Action, SignalPolicy};
use crate::tls::{OverSocket, PlainOrTls};
use crate::transport::{ReadyFlags, Socket};
use executor::Executor;
use runtime::{Runtime, add_connection};
use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One thread with its coroutines.
pub struct Coroutines<H: Handler, P = ()> {
    poller: Poller,
    lifecycle: Lifecycle<ListenerSocket>,
    executor: Executor,
    runtime: Rc<Runtime<H, P>>,
    /// When the handler's `end_iteration` must be called, even if nothing happens.
    handler_due: Option<Instant>,
    /// The handler's notifier is watched: since the first connection that had to wait for it.
    is_notified: bool,
}

/// The connections as [`Lifecycle`] uses them.
struct Spawner<'c, H, P> {
    executor: &'c mut Executor,
    runtime: &'c Rc<Runtime<H, P>>,
}

impl<H, P> Connections<ListenerSocket> for Spawner<'_, H, P>
where
    H: Handler + 'static,
    P: Probe + 'static,
{
    fn count(&self, role: Role) -> usize {
        self.runtime.count(role)
    }

    fn add(&mut self, listener: ListenerInfo, accepted: AcceptedStream) -> io::Result<()> {
        let AcceptedStream {
            stream,
            peer,
            layers,
        } = accepted;
        let transport = PlainOrTls::over(Socket::new(stream), layers)?;
        let coroutine = add_connection(self.runtime.clone(), Origin { listener, peer }, transport);
        self.executor.spawn(coroutine);
        Ok(())
    }

    /// A coroutine is ended by itself only: no idle connection is closed for another.
    fn evict(&mut self) -> usize {
        0
    }

    fn on_accept_pause(&mut self) {
        self.runtime.probe.borrow_mut().on_accept_pause();
    }
}

impl<H: Handler + 'static, P: Probe + 'static> Coroutines<H, P> {
    /// Observed by `probe`. Handles the signals of `policy`.
    ///
    /// # Errors
    /// Those of the poll, and of registering.
    pub fn new(
        listeners: Vec<BoundListener>,
        handler: H,
        limits: Arc<Limits>,
        policy: SignalPolicy,
        probe: P,
    ) -> io::Result<Self> {
        let (poller, sockets) = Poller::new(listeners, &limits, policy)?;
        let registry = poller.registry().try_clone()?;
        Ok(Self {
            poller,
            lifecycle: Lifecycle::new(sockets, limits.clone()),
            executor: Executor::default(),
            runtime: Rc::new(Runtime::new(handler, registry, limits, probe)),
            handler_due: None,
            is_notified: false,
        })
    }

    /// Serves until a signal stops it. Returns the handler: it may have something to close.
    ///
    /// # Errors
    /// The poll or a listening socket is broken.
    pub fn run(mut self) -> io::Result<Option<H>> {
        loop {
            let now = Now::read();
            (self.runtime.deadline_clock.borrow_mut()).on_poll_begin(now.instant);
            let timeout = self.poll_timeout(now);
            (self.runtime.probe.borrow_mut()).on_poll_begin(now, timeout);
            let outcome = self.poller.poll(timeout)?;
            let now = Now::read();
            let events = self.poller.event_count();
            (self.runtime.probe.borrow_mut()).on_poll_end(now, events);
            (self.runtime.deadline_clock.borrow_mut()).on_poll_end(now.instant, timeout, outcome);
            self.runtime.now.set(now);
            if self.mark() && self.handle_signals(now).is_break() {
                break;
            }
            if self.run_iteration(now)?.is_break() {
                break;
            }
        }
        drop(self.executor);
        Ok(Rc::into_inner(self.runtime).map(|runtime| runtime.handler.into_inner()))
    }

    /// How long the loop may poll: until something is due.
    fn poll_timeout(&self, now: Now) -> Option<Duration> {
        if self.executor.has_runnable() {
            return Some(Duration::ZERO);
        }
        let until = |at: Instant| at.saturating_duration_since(now.instant);
        [
            self.runtime.next_deadline().map(until),
            self.lifecycle.poll_timeout(now),
            self.handler_due.map(until),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Marks what the events are about. Returns whether signals have arrived.
    fn mark(&mut self) -> bool {
        let mut has_signals = false;
        for (target, event) in self.poller.events() {
            match target {
                EventTarget::Signals => has_signals = true,
                EventTarget::Handler => self.runtime.wake_waiting(),
                EventTarget::Listener(id) => self.lifecycle.mark_listener_ready(id),
                EventTarget::Connection(key) => {
                    let flags = || flags_of(event);
                    self.runtime
                        .mark_ready(key, ReadyFlags::from_event(event), flags);
                }
            }
        }
        has_signals
    }

    /// Breaks when the server has stopped at once.
    fn handle_signals(&mut self, now: Now) -> ControlFlow<()> {
        for action in self.poller.take_signals() {
            match action {
                Action::ReopenFiles => self.runtime.handler.borrow_mut().reopen_files(),
                Action::Reload => self.runtime.handler.borrow_mut().reload(),
                Action::Stop => match self.lifecycle.stop(now, self.runtime.open()) {
                    Stop::Drain => {
                        self.runtime.probe.borrow_mut().on_drain();
                        self.runtime.draining.set(true);
                        self.runtime.wake_all();
                    }
                    Stop::Abort => {
                        self.abort_all();
                        self.executor.run();
                        return ControlFlow::Break(());
                    }
                },
            }
        }
        ControlFlow::Continue(())
    }

    /// Accepts, then polls each coroutine that is runnable once. Breaks when the server has
    /// stopped.
    fn run_iteration(&mut self, now: Now) -> io::Result<ControlFlow<()>> {
        self.runtime.expire();
        let mut spawner = Spawner {
            executor: &mut self.executor,
            runtime: &self.runtime,
        };
        self.lifecycle.accept(now, &mut spawner)?;
        let closing = self.lifecycle.stop_accepting(now, &mut spawner);
        if !closing.is_empty() {
            self.poller.close_listeners(closing);
        }
        if self.lifecycle.is_grace_over(now) {
            signals::log_grace_over(self.abort_all());
        }
        let before = self.runtime.open();
        self.executor.run();
        if self.runtime.has_waiting() && !self.is_notified {
            self.watch_handler();
        }
        if self.runtime.open() < before {
            self.lifecycle.on_connections_closed();
        }
        self.handler_due = self.runtime.handler.borrow_mut().end_iteration(now);
        let closing = self.lifecycle.stop_admin(self.runtime.count(Role::Public));
        if !closing.is_empty() {
            self.poller.close_listeners(closing);
        }
        Ok(match self.lifecycle.accepts_no_more() {
            true if self.runtime.open() == 0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    }

    /// The first connection has to wait for the handler.
    #[cold]
    fn watch_handler(&mut self) {
        let notifier = self.runtime.handler.borrow_mut().notifier();
        match notifier.map(|one| self.poller.watch(&one)) {
            Some(Err(error)) => warn_unnotified(&error),
            watched => self.is_notified = watched.is_some(),
        }
        // What was notified before is asked for in the next iteration.
        self.runtime.wake_waiting();
    }

    /// Each connection will end when its coroutine runs. Returns how many there are.
    fn abort_all(&mut self) -> usize {
        self.runtime.aborting.set(true);
        self.runtime.wake_all();
        self.runtime.open()
    }
}
