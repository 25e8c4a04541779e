//! The runtime: what the coroutines of one thread share, and what they wait for.

use crate::clock::Now;
use crate::connection::Connection;
use crate::deadline_clock::DeadlineClock;
use crate::event_loop::lifecycle::warn_unregistered;
use crate::handler::{Handler, Role};
use crate::http::date::DateCache;
use crate::limits::Limits;
use crate::probe::{Cause, EventFlags, Origin, Probe};
use crate::pump::{PumpContext, PumpOutcome, Session, SharedBuffers, pump_guarded};
use crate::timers::Timers;
use crate::tls::{OverSocket, PlainOrTls};
use crate::transport::{ReadyFlags, Socket, Transport};
use mio::{Registry, Token};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

/// Shared by the coroutines of one thread: cells, no locks. Nothing is borrowed across an `.await`.
pub struct Runtime<H, P = ()> {
    pub handler: RefCell<H>,
    slots: RefCell<Slab<TaskSlot>>,
    timers: RefCell<Timers>,
    /// Keys of the coroutines that wait for the handler. Some may have gone on since.
    waiting: RefCell<BTreeSet<usize>>,
    pub now: Cell<Now>,
    pub deadline_clock: RefCell<DeadlineClock>,
    pub draining: Cell<bool>,
    pub aborting: Cell<bool>,
    registry: Registry,
    buffers: RefCell<(SharedBuffers, DateCache)>,
    limits: Arc<Limits>,
    /// The id of the next connection.
    next_id: Cell<u64>,
    /// Open connections of the role [`Role::Admin`].
    admin: Cell<usize>,
    pub probe: RefCell<P>,
}

/// A connection as the poll sees it: what its events reported, and the waker of its task.
struct TaskSlot {
    id: u64,
    /// The role of the listener that accepted it.
    role: Role,
    flags: Option<ReadyFlags>,
    waker: Option<Waker>,
}

/// Frees the slot when the coroutine ends, in whatever way.
struct SlotGuard<H, P>(Rc<Runtime<H, P>>, usize);

impl<H, P> Drop for SlotGuard<H, P> {
    fn drop(&mut self) {
        let slot = self.0.slots.borrow_mut().try_remove(self.1);
        if slot.is_some_and(|slot| slot.role == Role::Admin) {
            self.0.admin.update(|open| open - 1);
        }
        self.0.timers.borrow_mut().remove(self.1);
    }
}

impl<H: Handler, P: Probe> Runtime<H, P> {
    /// A runtime without coroutines. Their sockets are registered with `registry`, and `probe`
    /// observes them.
    pub fn new(handler: H, registry: Registry, limits: Arc<Limits>, probe: P) -> Self {
        let threshold = limits.stall_threshold();
        Self {
            handler: RefCell::new(handler),
            slots: RefCell::new(Slab::new()),
            timers: RefCell::new(Timers::new()),
            waiting: RefCell::default(),
            now: Cell::new(Now::read()),
            deadline_clock: RefCell::new(DeadlineClock::new(threshold, threshold)),
            draining: Cell::new(false),
            aborting: Cell::new(false),
            registry,
            buffers: RefCell::new((SharedBuffers::new(&limits), DateCache::default())),
            limits,
            next_id: Cell::new(0),
            admin: Cell::new(0),
            probe: RefCell::new(probe),
        }
    }

    /// Number of open connections.
    pub fn open(&self) -> usize {
        self.slots.borrow().len()
    }

    /// Number of open connections of this role.
    pub fn count(&self, role: Role) -> usize {
        match role {
            Role::Public => self.open() - self.admin.get(),
            Role::Admin => self.admin.get(),
        }
    }

    /// The next deadline, by the real clock.
    pub fn next_deadline(&self) -> Option<Instant> {
        let earliest = self.timers.borrow().earliest()?;
        Some(self.deadline_clock.borrow().real_time(earliest))
    }

    /// An event arrived for the connection `key`. `all_flags` are for the probe.
    pub fn mark_ready(
        &self,
        key: usize,
        flags: ReadyFlags,
        all_flags: impl FnOnce() -> EventFlags,
    ) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(key) {
            if P::ACTIVE {
                self.probe.borrow_mut().on_event(slot.id, all_flags());
            }
            slot.flags = Some(slot.flags.map_or(flags, |known| known.union(flags)));
            slot.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Wakes the coroutines whose deadline has passed, a bounded number.
    pub fn expire(&self) {
        for _ in 0..self.limits.expiries_per_iteration {
            let expired = self.timers.borrow_mut().pop_expired(self.deadline_now());
            let Some(key) = expired else { break };
            self.wake(key);
        }
    }

    /// Wakes all coroutines.
    pub fn wake_all(&self) {
        let keys: Vec<_> = self.slots.borrow().iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.wake(key));
    }

    /// Whether a coroutine waits for the handler.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    /// The handler may be ready: wakes the coroutines that wait for it.
    pub fn wake_waiting(&self) {
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(|key| self.wake(key));
    }

    fn wake(&self, key: usize) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(key) {
            slot.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Waits for an event, the deadline, or a signal. Returns what the events reported meanwhile.
    async fn ready(&self, key: usize, connection: &Connection) -> ReadyFlags {
        let mut has_waited = false;
        poll_fn(|context| {
            let mut slots = self.slots.borrow_mut();
            let Some(slot) = slots.get_mut(key) else {
                debug_assert!(false, "the guard of a coroutine keeps its slot");
                return Poll::Pending;
            };
            if let Some(flags) = slot.flags.take() {
                return Poll::Ready(flags);
            }
            // Woken without an event: by the deadline or a signal.
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(ReadyFlags::default());
            }
            slot.waker = Some(context.waker().clone());
            self.timers
                .borrow_mut()
                .schedule(key, connection.deadline());
            Poll::Pending
        })
        .await
    }

    /// The time by the clock of the deadlines.
    pub fn deadline_now(&self) -> Instant {
        self.deadline_clock.borrow().at(self.now.get().instant)
    }

    fn pump(&self, session: &mut Session<PlainOrTls<Socket>, H::State>) -> PumpOutcome {
        let now = self.now.get();
        let (buffers, date) = &mut *self.buffers.borrow_mut();
        let mut context = PumpContext {
            now,
            deadline_now: self.deadline_now(),
            date: date.at(now.wall),
            draining: self.draining.get(),
            limits: &self.limits,
            buffers,
            probe: &mut *self.probe.borrow_mut(),
        };
        let handler = &mut *self.handler.borrow_mut();
        pump_guarded(session, handler, &mut context)
    }
}

/// Lets the other coroutines run first.
async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|context| match std::mem::replace(&mut has_yielded, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

/// Adds a connection that was just accepted. Returns the coroutine that serves it.
pub fn add_connection<H: Handler, P: Probe>(
    runtime: Rc<Runtime<H, P>>,
    origin: Origin,
    transport: PlainOrTls<Socket>,
) -> impl Future<Output = ()> {
    let id = runtime.next_id.get();
    runtime.next_id.set(id + 1);
    let handler_state = {
        let peer = origin.peer.map(|peer| peer.ip());
        (runtime.handler.borrow_mut()).on_connect(origin.listener, peer)
    };
    let (limits, now) = (runtime.limits.clone(), runtime.deadline_now());
    let session = Session::new(id, transport, handler_state, limits, now);
    let state = session.connection.state_name();
    runtime.probe.borrow_mut().on_accept(id, origin, state);
    let role = origin.listener.role;
    if role == Role::Admin {
        runtime.admin.update(|open| open + 1);
    }
    let key = runtime.slots.borrow_mut().insert(TaskSlot {
        id,
        role,
        flags: None,
        waker: None,
    });
    serve(runtime, key, session)
}

/// Serves one connection until it ends, as a thread would, with `.await` where a thread sleeps.
async fn serve<H: Handler, P: Probe>(
    runtime: Rc<Runtime<H, P>>,
    key: usize,
    mut session: Session<PlainOrTls<Socket>, H::State>,
) {
    let guard = SlotGuard(runtime.clone(), key);
    let mut is_registered = false;
    let reason = loop {
        let deadline_now = runtime.deadline_now();
        let is_late = session.connection.deadline() <= deadline_now;
        if is_late || runtime.draining.get() || runtime.aborting.get() {
            session.transport.assume_readable();
        }
        let outcome = runtime.pump(&mut session);
        match outcome {
            PumpOutcome::Ended(reason) => break reason,
            PumpOutcome::Yielded if !runtime.aborting.get() => yield_now().await,
            PumpOutcome::Yielded | PumpOutcome::Blocked | PumpOutcome::Waiting => {
                // The kernel was asked what has arrived and what the peer takes. Now the deadline
                // counts.
                if runtime.aborting.get() {
                    session.abort(&mut *runtime.probe.borrow_mut(), Cause::Abort);
                    continue;
                }
                if runtime.draining.get() {
                    session.connection.drain(deadline_now);
                }
                if session.connection.deadline() <= deadline_now {
                    let mut probe = runtime.probe.borrow_mut();
                    session.on_deadline(&mut *probe, deadline_now, runtime.draining.get());
                    continue;
                }
                // A connection is registered when it first waits, once and for both directions.
                if !is_registered {
                    let source = session.transport.socket_mut().source();
                    let token = Token(key);
                    if let Err(error) = runtime.registry.register(source, token, Socket::INTEREST) {
                        warn_unregistered(&error);
                        let mut probe = runtime.probe.borrow_mut();
                        session.change(&mut *probe, Cause::Registration, |connection| {
                            connection.on_error(error.kind());
                        });
                        continue;
                    }
                    is_registered = true;
                    runtime.probe.borrow_mut().on_register(session.id);
                }
                if outcome == PumpOutcome::Waiting {
                    runtime.waiting.borrow_mut().insert(key);
                }
                let flags = runtime.ready(key, &session.connection).await;
                session.transport.socket_mut().on_ready(flags);
            }
        }
    };
    let transport = session.close(
        reason,
        &mut *runtime.handler.borrow_mut(),
        &mut *runtime.probe.borrow_mut(),
        runtime.now.get(),
    );
    transport.into_socket().close(&runtime.registry);
    drop(guard);
}

#[cfg(test)]
mod tests {
    use super::super::executor::Executor;
    use super::*;
    use crate::handler::ListenerInfo;
    use crate::models::panics_on_request::PanicsOnRequest;
    use crate::tls::Layers;
    use crate::transport::Stream;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    /// A cell that stays borrowed would panic in the next coroutine. Fails if `pump` is called
    /// instead of `pump_guarded`.
    #[test]
    fn a_panic_ends_one_coroutine_and_the_others_go_on() {
        let poll = mio::Poll::new().unwrap();
        let limits = Arc::new(Limits::default());
        let registry = poll.registry().try_clone().unwrap();
        let runtime = Rc::new(Runtime::new(PanicsOnRequest, registry, limits, ()));
        let mut executor = Executor::default();
        let mut clients = Vec::new();
        for name in ["good", "defect", "good"] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let head = format!("GET /{name} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            theirs.write_all(head.as_bytes()).unwrap();
            let stream = Stream::Unix(mio::net::UnixStream::from_std(ours));
            let origin = Origin {
                listener: ListenerInfo::public(0),
                peer: None,
            };
            let transport = PlainOrTls::over(Socket::new(stream), Layers::default()).unwrap();
            executor.spawn(add_connection(runtime.clone(), origin, transport));
            clients.push(theirs);
        }
        while executor.has_runnable() {
            executor.run();
        }
        let answers = clients.into_iter().map(|mut client| {
            let mut received = String::new();
            let _ = client.read_to_string(&mut received);
            received.matches("HTTP/1.1 200 OK\r\n").count()
        });
        assert_eq!(answers.collect::<Vec<_>>(), [1, 0, 1]);
        assert!(runtime.slots.borrow().is_empty());
    }
}
