//! The scheduler: which connection runs next, and how long the loop may sleep. It has the slab, the
//! run queue and the timers.
//!
//! It knows no sockets: a connection's transport is what the caller gave, so that a test drives the
//! same iterations through a simulated network.
//!
//! Events only mark connections ([`Scheduler::mark_ready`]); work is done in [`Scheduler::run`];
//! slots are freed in one place, [`Scheduler::reap`], after the work. So an event for a connection
//! that ended earlier in the same iteration finds a closed connection, and never another one in its
//! slot.

use crate::clock::Now;
use crate::connection::{CloseReason, Connection};
use crate::deadline_clock::DeadlineClock;
use crate::event_loop::lifecycle::warn_unregistered;
use crate::handler::{Handler, Role};
use crate::http::date::DateCache;
use crate::limits::Limits;
use crate::probe::{Cause, EventFlags, Origin, Probe};
use crate::pump::{PumpContext, PumpOutcome, Session, SharedBuffers, pump_guarded};
use crate::timers::Timers;
use crate::transport::Transport;
use slab::Slab;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// All connections of one loop.
#[derive(Debug)]
pub struct Scheduler<T, S, P = ()> {
    slots: Slab<Slot<T, S>>,
    /// Keys of the slots that have something to do, each once. The run phase runs those that are in
    /// the queue when the phase begins. A key that is added later runs in the next iteration.
    runnable: VecDeque<usize>,
    /// One entry per live slot, at or before its connection's deadline.
    timers: Timers,
    /// Keys of the slots whose connections wait for the handler. Some may have gone on since.
    waiting: BTreeSet<usize>,
    /// Keys of the slots whose sockets must be registered with the poll, for the first time or for
    /// other events.
    unregistered: Vec<usize>,
    /// Keys of the slots that ended in this iteration, and why.
    ended: Vec<(usize, CloseReason)>,
    buffers: SharedBuffers,
    date: DateCache,
    draining: bool,
    deadline_clock: DeadlineClock,
    limits: Arc<Limits>,
    /// The id of the next connection.
    next_id: u64,
    /// Open connections of the role [`Role::Admin`].
    admin: usize,
    probe: P,
}

#[derive(Debug)]
struct Slot<T, S> {
    session: Session<T, S>,
    /// The role of the listener that accepted it.
    role: Role,
    /// Its key is in `runnable`.
    is_queued: bool,
}

/// For tests: what one connection costs while it is idle, in bytes of a slot. Its timer entry comes
/// on top.
pub const fn slot_size<T, S>() -> usize {
    size_of::<Slot<T, S>>()
}

impl<T: Transport, S, P: Probe> Scheduler<T, S, P> {
    /// Makes a scheduler without connections. `probe` observes those that are added.
    pub fn new(limits: Arc<Limits>, probe: P) -> Self {
        let threshold = limits.stall_threshold();
        Self {
            slots: Slab::new(),
            runnable: VecDeque::new(),
            timers: Timers::new(),
            waiting: BTreeSet::new(),
            unregistered: Vec::new(),
            ended: Vec::new(),
            buffers: SharedBuffers::new(&limits),
            date: DateCache::default(),
            draining: false,
            deadline_clock: DeadlineClock::new(threshold, threshold),
            limits,
            next_id: 0,
            admin: 0,
            probe,
        }
    }

    /// The probe.
    pub fn probe(&mut self) -> &mut P {
        &mut self.probe
    }

    /// The clock of the deadlines.
    pub fn deadline_clock(&mut self) -> &mut DeadlineClock {
        &mut self.deadline_clock
    }

    /// Number of open connections.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Number of open connections of this role.
    pub fn count(&self, role: Role) -> usize {
        match role {
            Role::Public => self.slots.len() - self.admin,
            Role::Admin => self.admin,
        }
    }

    /// Whether no connection is open.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// For tests: each connection with its key.
    pub fn connections(&self) -> impl Iterator<Item = (usize, &Connection)> {
        (self.slots.iter()).map(|(key, slot)| (key, &slot.session.connection))
    }

    /// Adds a connection. It runs in this iteration without an event, because its request may have
    /// arrived already. It is registered with the poll only if it is still open afterwards, which
    /// saves the call for a connection that is answered and closed at once. Returns its key.
    pub fn add(&mut self, origin: &Origin, transport: T, handler_state: S, now: Now) -> usize {
        let id = self.next_id;
        self.next_id += 1;
        let session = Session::new(
            id,
            transport,
            handler_state,
            self.limits.clone(),
            self.deadline_now(now),
        );
        let deadline = session.connection.deadline();
        self.probe
            .on_accept(id, *origin, session.connection.state_name());
        let key = self.slots.insert(Slot {
            session,
            role: origin.listener.role,
            is_queued: false,
        });
        self.admin += usize::from(origin.listener.role == Role::Admin);
        self.timers.schedule(key, deadline);
        self.unregistered.push(key);
        self.enqueue(key);
        key
    }

    /// Registers the connections that were added in this iteration, or wait for other events than
    /// before, and are still open. `register`
    /// gets the transport and the key for its events. If it fails, only this connection is lost.
    pub fn register(&mut self, mut register: impl FnMut(&mut T, usize) -> io::Result<()>) {
        while let Some(key) = self.unregistered.pop() {
            let Some(slot) = self.slots.get_mut(key) else {
                continue;
            };
            if slot.session.connection.close_reason().is_some() {
                continue;
            }
            if let Err(error) = register(&mut slot.session.transport, key) {
                warn_unregistered(&error);
                (slot.session).change(&mut self.probe, Cause::Registration, |connection| {
                    connection.on_error(error.kind());
                });
                // It ends when it runs next.
                self.enqueue(key);
            } else {
                self.probe.on_register(slot.session.id);
            }
        }
    }

    /// An event arrived for `key`: its connection will run in this iteration. Which direction is
    /// ready does not matter: the connection tries what it needs. `flags` is what the event says,
    /// for the probe. Returns the transport, which reads the event; `None` if the connection is
    /// gone.
    pub fn mark_ready(&mut self, key: usize, flags: impl FnOnce() -> EventFlags) -> Option<&mut T> {
        self.enqueue(key);
        let slot = self.slots.get_mut(key)?;
        if P::ACTIVE {
            self.probe.on_event(slot.session.id, flags());
        }
        Some(&mut slot.session.transport)
    }

    /// Whether a connection waits for the handler.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The handler may be ready: the connections that wait for it run in this iteration.
    pub fn wake_waiting(&mut self) {
        while let Some(key) = self.waiting.pop_first() {
            self.enqueue(key);
        }
    }

    /// Runs each connection that is in the queue, once, within its budget; then handles the
    /// deadlines that have passed.
    pub fn run<H: Handler<State = S>>(&mut self, handler: &mut H, now: Now) {
        for _ in 0..self.runnable.len() {
            let Some(key) = self.runnable.pop_front() else {
                break;
            };
            self.run_one(key, handler, now);
        }
        self.expire(handler, now);
    }

    /// Like [`Scheduler::run`], while the public connections are held: they stay in the queue, in
    /// their order, and no deadline passes.
    pub fn run_admin<H: Handler<State = S>>(&mut self, handler: &mut H, now: Now) {
        for _ in 0..self.runnable.len() {
            let Some(key) = self.runnable.pop_front() else {
                break;
            };
            match self.is_admin(key) {
                true => self.run_one(key, handler, now),
                false => self.runnable.push_back(key),
            }
        }
    }

    fn is_admin(&self, key: usize) -> bool {
        let slot = self.slots.get(key);
        slot.is_some_and(|slot| slot.role == Role::Admin)
    }

    fn run_one<H: Handler<State = S>>(&mut self, key: usize, handler: &mut H, now: Now) {
        let deadline_now = self.deadline_now(now);
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.is_queued = false;
        let mut context = PumpContext {
            now,
            deadline_now,
            date: self.date.at(now.wall),
            draining: self.draining,
            limits: &self.limits,
            buffers: &mut self.buffers,
            probe: &mut self.probe,
        };
        let outcome = pump_guarded(&mut slot.session, handler, &mut context);
        let id = slot.session.id;
        let connection = &mut slot.session.connection;
        if let PumpOutcome::Ended(reason) = outcome {
            self.ended.push((key, reason));
            return;
        }
        let is_blocked = outcome == PumpOutcome::Blocked;
        let waits = outcome != PumpOutcome::Yielded;
        if waits && slot.session.transport.changes_interest(is_blocked) {
            self.unregistered.push(key);
        }
        if self.draining {
            connection.drain(deadline_now);
        }
        let deadline = connection.deadline();
        if outcome == PumpOutcome::Yielded {
            self.enqueue(key);
        }
        self.timers.schedule(key, deadline);
        if outcome == PumpOutcome::Waiting {
            self.waiting.insert(key);
        }
        if P::ACTIVE
            && let Some(slot) = self.slots.get(key)
        {
            let left = deadline.saturating_duration_since(deadline_now);
            let received = slot.session.connection.received();
            self.probe.on_run_end(id, received, left);
        }
    }

    /// Frees the slots of the connections that ended, and passes each socket to `close`. Returns
    /// their number.
    pub fn reap<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        now: Now,
        mut close: impl FnMut(T),
    ) -> usize {
        let before = self.slots.len();
        for (key, reason) in self.ended.drain(..) {
            // A key may be there twice.
            let Some(slot) = self.slots.try_remove(key) else {
                continue;
            };
            self.timers.remove(key);
            log::debug!("slot {key}: {reason:?}");
            self.admin -= usize::from(slot.role == Role::Admin);
            close((slot.session).close(reason, handler, &mut self.probe, now));
        }
        debug_assert!(self.is_consistent());
        before - self.slots.len()
    }

    /// How long the loop may poll: not at all while a connection is in the queue, else until the
    /// next deadline.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        if !self.runnable.is_empty() {
            return Some(Duration::ZERO);
        }
        self.timers
            .earliest()
            .map(|earliest| earliest.saturating_duration_since(self.deadline_now(now)))
    }

    /// Like [`Scheduler::poll_timeout`], while the public connections are held.
    pub fn poll_timeout_of_admin(&self) -> Option<Duration> {
        let has_work = self.runnable.iter().any(|key| self.is_admin(*key));
        has_work.then_some(Duration::ZERO)
    }

    /// The server is stopping: idle connections close soon ([`Connection::drain`]), the others
    /// after their next response. First each connection runs once more and asks the kernel what has
    /// arrived: a request may be there whose event the poll has not reported yet.
    pub fn drain(&mut self) {
        self.draining = true;
        self.recheck_all();
    }

    /// Each connection will run in this iteration, and ask the kernel what has arrived.
    pub fn recheck_all(&mut self) {
        let keys: Vec<usize> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.recheck(key);
        }
    }

    fn recheck(&mut self, key: usize) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.session.transport.assume_readable();
        }
        self.enqueue(key);
    }

    /// Ends every connection, whatever it is doing. Returns how many had not ended yet.
    pub fn abort_all(&mut self) -> usize {
        self.runnable.clear();
        // All of them are added again below, also those that have a reason and have not run since.
        self.ended.clear();
        let mut count = 0;
        for (key, slot) in &mut self.slots {
            let is_open = slot.session.connection.close_reason().is_none();
            count += usize::from(is_open);
            (slot.session).change(&mut self.probe, Cause::Abort, |connection| {
                // An earlier reason stays: it may call for a reset.
                self.ended.push((key, connection.abort()));
            });
        }
        count
    }

    /// Closes the public connections that have been idle longest, or in their handshake, so that
    /// others can be accepted: one, and one more for every 1024 open, which spreads the cost of the
    /// search. Each runs once more first: a request that has arrived is answered instead, and a
    /// handshake may make progress. Returns how many were evicted.
    pub fn evict<H: Handler<State = S>>(&mut self, handler: &mut H, now: Now) -> usize {
        let deadline_now = self.deadline_now(now);
        let max_evictions = 1 + self.slots.len() / 1024;
        let mut idle: Vec<_> = (self.slots.iter())
            .filter(|(_, slot)| slot.role == Role::Public && !slot.is_queued)
            .filter_map(|(key, slot)| {
                let since = slot.session.connection.has_waited_since(deadline_now)?;
                Some((since, key))
            })
            .collect();
        idle.sort_unstable();
        let mut count = 0;
        for (_, key) in idle.into_iter().take(self.limits.expiries_per_iteration) {
            self.recheck_and_run(key, handler, now);
            if let Some(slot) = self.slots.get_mut(key)
                && (slot.session.connection.has_waited_since(deadline_now)).is_some()
                && !slot.is_queued
            {
                (slot.session).change(&mut self.probe, Cause::Eviction, |connection| {
                    connection.end(CloseReason::Evicted);
                });
                self.ended.push((key, CloseReason::Evicted));
                count += 1;
            }
            if count == max_evictions {
                break;
            }
        }
        count
    }

    /// Handles the connections whose deadline has passed: an incomplete request is answered with
    /// 408, the others end. First each of them runs, and asks the kernel what has arrived and what
    /// can be sent: the loop may have been late, and the poll may not have reported every event. If
    /// it makes progress, its deadline moves; if its budget is used up, it is looked at in the next
    /// iteration. The number per iteration is bounded, for ten thousand idle connections may expire
    /// at once.
    fn expire<H: Handler<State = S>>(&mut self, handler: &mut H, now: Now) {
        let deadline_now = self.deadline_now(now);
        let mut budget = self.limits.expiries_per_iteration;
        let mut postponed = Vec::new();
        while budget > 0
            && let Some(key) = self.timers.pop_expired(deadline_now)
        {
            let Some(slot) = self.slots.get(key) else {
                debug_assert!(false, "reap removes the timer of a slot");
                continue;
            };
            if slot.is_queued {
                postponed.push(key);
                continue;
            }
            let connection = &slot.session.connection;
            if connection.close_reason().is_some() {
                continue;
            }
            budget -= 1;
            let deadline = connection.deadline();
            if deadline > deadline_now {
                // The deadline has moved since the entry was made.
                self.timers.schedule(key, deadline);
                continue;
            }
            self.recheck_and_run(key, handler, now);
            if let Some(slot) = self.slots.get_mut(key)
                && !slot.is_queued
                && slot.session.connection.close_reason().is_none()
                && slot.session.connection.deadline() <= deadline_now
            {
                (slot.session).on_deadline(&mut self.probe, deadline_now, self.draining);
                self.run_one(key, handler, now);
            }
        }
        for key in postponed {
            if let Some(slot) = self.slots.get(key) {
                self.timers
                    .schedule(key, slot.session.connection.deadline());
            }
        }
    }

    /// Runs a connection that is not in the queue, and lets it ask the kernel what has arrived.
    fn recheck_and_run<H: Handler<State = S>>(&mut self, key: usize, handler: &mut H, now: Now) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.session.transport.assume_readable();
        }
        self.run_one(key, handler, now);
    }

    /// The time by the clock of the deadlines.
    fn deadline_now(&self, now: Now) -> Instant {
        self.deadline_clock.at(now.instant)
    }

    fn enqueue(&mut self, key: usize) {
        if let Some(slot) = self.slots.get_mut(key).filter(|slot| !slot.is_queued) {
            slot.is_queued = true;
            self.runnable.push_back(key);
        }
    }

    /// Whether there are as many timer entries as slots, and every slot in the queue says so.
    fn is_consistent(&self) -> bool {
        self.timers.len() == self.slots.len()
            && self
                .runnable
                .iter()
                .all(|key| self.slots.get(*key).is_none_or(|slot| slot.is_queued))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Socket;

    /// A probe of eight bytes.
    struct Counter(#[expect(dead_code, reason = "only its size counts")] u64);

    #[test]
    fn a_scheduler_without_a_probe_has_no_byte_for_it() {
        let without = size_of::<Scheduler<Socket, ()>>();
        assert_eq!(
            without + size_of::<Counter>(),
            size_of::<Scheduler<Socket, (), Counter>>()
        );
    }
}
