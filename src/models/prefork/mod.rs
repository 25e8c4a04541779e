//! Processes that are forked at the start, as in Apache's prefork MPM.
//!
//! What waits: each of N children, first for a connection and then, in read(2), for the requests of
//! that one. The parent accepts nothing: it waits for signals, and replaces children that end.
//! What a connection costs: one of the N processes, as long as it is open. A child serves many
//! clients, not one as in [`process`](super::process), so a connection costs no fork, and finds the
//! files in the cache that earlier ones of the same child have read. Nothing is shared, so nothing
//! needs a lock, and a child that dies ends one connection.
//! Where it loses: as the pool. N silent connections keep N processes, and no other is accepted
//! until their idle timeout. N processes have N caches.
//!
//! All children wait for the same listening sockets. If one connection woke all of them, N - 1
//! would wake in vain (the thundering herd). A blocking accept(2) wakes one, but waits for one
//! socket only, and there may be several. So a child polls, and asks the kernel with EPOLLEXCLUSIVE
//! to wake one child that waits (wait.rs). Linux takes the first that began to wait on the
//! socket, and when that one is busy the next: with little to do one child does it all, and its
//! caches are warm.

mod wait;

use super::acceptor::{Acceptor, BlockingListeners};
use super::connection_runner::ConnectionRunner;
use super::control::Control;
use super::process::children::{ChildParts, Children, Ended};
use crate::clock::Now;
use crate::handler::Handler;
use crate::limits::Limits;
use crate::listen::open::BoundListener;
use crate::probe::Probe;
use crate::signals::SignalPolicy;
use std::fmt::Display;
use std::io::{self, PipeReader, PipeWriter, pipe};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wait::{SharedWait, Woken};

/// A child that has lived for less than this has failed at its start.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// How long it takes, after a child has failed at its start, until another one is forked; and how
/// long only one is forked at a time.
const FORK_PAUSE: Duration = Duration::from_secs(1);
const CAUTION: Duration = Duration::from_secs(3);

/// The most forks until the parent looks at its signals again: thousands take many seconds.
const FORKS_AT_ONCE: usize = 16;

/// The ids of a child's connections begin with this number times that of the child, so that no two
/// children use the same one.
const IDS: u64 = 1_000_000;

/// The parent.
pub struct Prefork {
    listeners: BlockingListeners,
    children: Children,
    /// Waits for signals only.
    poll: Acceptor,
    limits: Arc<Limits>,
    /// Children have the end to read from. When the end to write to is closed, because the
    /// configuration has changed or this process has died, they end after the connection that they
    /// serve.
    lifeline: (PipeReader, PipeWriter),
    /// Children forked so far.
    forked: u64,
    forks: ForkPolicy,
}

impl Prefork {
    /// Handles the signals of `policy`. No thread may have been started.
    ///
    /// # Errors
    /// A poll, a pipe or a signal handler cannot be created.
    pub fn new(
        listeners: Vec<BoundListener>,
        limits: Arc<Limits>,
        policy: SignalPolicy,
    ) -> io::Result<Self> {
        let poll = Acceptor::new(Vec::new(), &limits)?;
        let (registry, token) = (poll.registry(), Acceptor::token());
        Ok(Self {
            listeners: BlockingListeners::new(listeners, &limits),
            children: Children::new(policy, limits.grace_period, registry, token)?,
            poll,
            lifeline: pipe()?,
            forked: 0,
            forks: ForkPolicy::default(),
            limits,
        })
    }

    /// Serves until a signal stops it. Each child has a handler of its own, from `open` to `close`,
    /// and a clone of `probe`. `reload` changes what later children open, and returns whether it
    /// has: then the others are replaced.
    ///
    /// # Errors
    /// The poll is broken, or there is no descriptor for a pipe.
    pub fn run<H: Handler, E: Display>(
        mut self,
        open: impl Fn() -> Result<H, E>,
        reload: impl Fn() -> bool,
        close: impl Fn(H),
        probe: impl Probe + Clone,
    ) -> io::Result<()> {
        let most = self.limits.workers.min(self.limits.max_connections);
        loop {
            let missing = match self.children.is_stopping() {
                true => 0,
                false => most.saturating_sub(self.children.count()),
            };
            let allowed = self.forks.allowed(missing, Now::read().instant);
            for _ in 0..allowed {
                self.forked += 1;
                match self.children.fork() {
                    Ok(Some(blocked)) => {
                        let parts = ChildParts { open, close, probe };
                        let (children, serving) = self.into_child();
                        children.run_child(blocked, parts, |handler, control, probe| {
                            serving.run(handler, control, probe)
                        });
                    }
                    Ok(None) => {}
                    Err(error) => {
                        self.forks.on_failure(Now::read().instant);
                        log::warn!("no process could be forked: {error} (raise: ulimit -u)");
                        break;
                    }
                }
            }
            if self.children.is_stopping() && self.children.count() == 0 {
                return Ok(());
            }
            let pause = match allowed {
                FORKS_AT_ONCE => Duration::ZERO,
                _ => FORK_PAUSE,
            };
            self.wait_and_handle_signals(&reload, most, pause)?;
        }
    }

    /// Waits for a signal. If fewer than `most` children run, the wait ends after `pause`.
    fn wait_and_handle_signals(
        &mut self,
        reload: &impl Fn() -> bool,
        most: usize,
        pause: Duration,
    ) -> io::Result<()> {
        let missing = self.children.count() < most;
        let timeout = self.children.wait_timeout();
        let woken = (self.poll).wait(timeout.or(missing.then_some(pause)))?;
        // In this order: a child that ends after the reaping is announced again.
        let registry = self.poll.registry();
        if self.children.handle_signals(woken, registry, reload) {
            self.lifeline = pipe()?;
        }
        if self.children.is_stopping() {
            // The children have copies. Those close when all connections that waited are accepted.
            self.listeners.close();
        }
        let (is_stopping, forks) = (self.children.is_stopping(), &mut self.forks);
        self.children.reap(|ended| {
            if !is_stopping {
                log_ended(&ended);
            }
            if ended.lived < SHORT_LIFE && ended.status.exit_status() != Some(0) {
                forks.on_failure(Now::read().instant);
            }
        });
        Ok(())
    }

    /// What a child takes over from its parent.
    fn into_child(self) -> (Children, Serving) {
        let Self {
            mut listeners,
            children,
            limits,
            lifeline: (lifeline, _),
            forked,
            ..
        } = self;
        listeners.leave_files_to_parent();
        listeners.number_from((forked - 1) * IDS);
        let serving = Serving {
            listeners,
            lifeline,
            limits,
        };
        (children, serving)
    }
}

/// What a child serves with.
struct Serving {
    listeners: BlockingListeners,
    lifeline: PipeReader,
    limits: Arc<Limits>,
}

impl Serving {
    /// Serves one connection after the other, until the server stops or replaces this process.
    fn run<H: Handler>(
        mut self,
        handler: &mut H,
        control: &Control,
        probe: &mut (impl Probe + Clone),
    ) -> io::Result<()> {
        let wait = SharedWait::new(self.listeners.sockets(), &self.lifeline)?;
        let mut runner = ConnectionRunner::new(self.limits, probe.clone());
        loop {
            // Checked before accept(2): a connection that arrives later is too late.
            let is_draining = control.is_draining();
            if !is_draining {
                let woken = wait.wait()?;
                if control.take_reopen() {
                    handler.reopen_files();
                }
                match woken {
                    Woken::Listener => {}
                    Woken::Signal => continue,
                    Woken::Retired => return Ok(()),
                }
            }
            match self.listeners.try_accept()? {
                Some(accepted) => runner.serve(accepted, handler, control),
                None if is_draining => return Ok(()),
                // Another child was faster.
                None => {}
            }
        }
    }
}

/// How many children may be forked now: if they die at once, each for the same reason, forking them
/// again and again would take the whole machine.
#[derive(Debug, Default)]
struct ForkPolicy {
    /// The latest failure: of a fork, or of a child at its start.
    failed: Option<Instant>,
    /// The latest fork since then.
    tried: Option<Instant>,
}

impl ForkPolicy {
    fn on_failure(&mut self, now: Instant) {
        self.failed = Some(now);
    }

    /// Returns how many of `missing` children are forked at `now`, at most [`FORKS_AT_ONCE`].
    fn allowed(&mut self, missing: usize, now: Instant) -> usize {
        let is_within = |at: Option<Instant>, time| at.is_some_and(|at| now < at + time);
        if !is_within(self.failed, CAUTION) {
            self.tried = None;
            return missing.min(FORKS_AT_ONCE);
        }
        if is_within(self.failed, FORK_PAUSE) || is_within(self.tried, FORK_PAUSE) {
            return 0;
        }
        self.tried = Some(now);
        missing.min(1)
    }
}

fn log_ended(ended: &Ended) {
    let child = ended.child;
    match (
        ended.status.terminating_signal(),
        ended.status.exit_status(),
    ) {
        (Some(signal), _) => log::error!("process {child} was ended by signal {signal}"),
        // It has logged why.
        (None, Some(status)) if status != 0 => log::error!("process {child} ended: {status}"),
        _ => log::debug!("process {child} has ended"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if a failure is forgotten when another child is forked.
    #[test]
    fn children_that_die_at_once_are_replaced_one_by_one_with_pauses() {
        let start = Now::read().instant;
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut forks = ForkPolicy::default();
        assert_eq!(forks.allowed(5, at(0)), 5);
        forks.on_failure(at(100));
        assert_eq!(forks.allowed(5, at(1000)), 0);
        assert_eq!(forks.allowed(5, at(1100)), 1);
        forks.on_failure(at(1150));
        assert_eq!(forks.allowed(5, at(2100)), 0);
        assert_eq!(forks.allowed(5, at(2200)), 1);
        assert_eq!(forks.allowed(4, at(2300)), 0);
        assert_eq!(forks.allowed(4, at(3200)), 1);
        // None has died for three seconds.
        assert_eq!(forks.allowed(3, at(4200)), 3);
        // In between, the parent looks at its signals.
        assert_eq!(forks.allowed(1000, at(4200)), 16);
        assert_eq!(forks.allowed(0, at(4300)), 0);
    }
}
