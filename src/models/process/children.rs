//! What the models with processes share: the signals of the parent, which it passes on, and the
//! life of a child from fork(2) to its reaping.

use super::fork::{self, BlockedSignals, Fork, fork};
use crate::clock::Now;
use crate::handler::Handler;
use crate::models::control::Control;
use crate::probe::Probe;
use crate::signals::{self, Action, SignalPolicy, SignalSource};
use mio::{Registry, Token};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};
use signal_hook::consts::SIGCHLD;
use std::collections::HashMap;
use std::fmt::Display;
use std::io;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

/// How often the parent repeats a signal to its children. A signal that arrives between a child's
/// check of the flag and its read does not interrupt the read; the next one does.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

/// How long a child may take to stop at once before it is killed.
const KILL_AFTER: Duration = Duration::from_secs(1);

/// The signal by which the parent makes a child stop at once. Its default action is none, and a
/// child that is not stopping ignores it, so one that another process sends does no harm.
const ABORT: Signal = Signal::URG;

/// The children of this process, and the signals that it gets and passes on to them.
pub struct Children {
    signals: SignalSource,
    policy: SignalPolicy,
    /// Of each child. In the parent it is not used.
    control: Control,
    /// Each with the time of its fork.
    running: HashMap<Pid, Instant>,
    grace: Duration,
    /// The server is stopping, and the children are aborted at this time.
    stop_at: Option<Instant>,
    /// The signal that was sent to the children last, and when.
    last_signal: Option<(Instant, Signal)>,
}

/// A child that has ended.
pub struct Ended {
    /// Its process ID.
    pub child: Pid,
    /// How it has ended.
    pub status: WaitStatus,
    /// How long it has run.
    pub lived: Duration,
}

/// What a child does from its fork to its exit, besides serving.
pub struct ChildParts<O, C, P> {
    /// Opens a handler of its own.
    pub open: O,
    /// Closes it.
    pub close: C,
    /// Observes its connections.
    pub probe: P,
}

impl Children {
    /// None yet. Handles the signals of `policy`, and SIGCHLD; a poll announces them as `token`. No
    /// thread may have been started.
    ///
    /// # Errors
    /// A signal handler cannot be set.
    pub fn new(
        policy: SignalPolicy,
        grace: Duration,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let handled = policy.handled().chain([SIGCHLD]);
        Ok(Self {
            signals: SignalSource::new(handled, registry, token)?,
            policy,
            control: Control::for_children(policy, ABORT.as_raw())?,
            running: HashMap::new(),
            grace,
            stop_at: None,
            last_signal: None,
        })
    }

    /// Number of children that have not been reaped.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// Whether a signal has asked the server to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop_at.is_some()
    }

    /// Whether the server is stopping, and the grace period is over.
    pub fn is_grace_over(&self) -> bool {
        self.stop_at.is_some_and(|at| at <= Now::read().instant)
    }

    /// How long the parent may wait for an event: while the server is stopping, signals are
    /// repeated.
    pub fn wait_timeout(&self) -> Option<Duration> {
        self.stop_at.map(|_| SIGNAL_INTERVAL)
    }

    /// Forks. Returns twice: in the child with its blocked signals, for
    /// [`run_child`](Self::run_child).
    ///
    /// # Errors
    /// See [`fork`].
    pub fn fork(&mut self) -> io::Result<Option<BlockedSignals>> {
        match fork()? {
            Fork::Child(blocked) => Ok(Some(blocked)),
            Fork::Parent(child) => {
                self.running.insert(child, Now::read().instant);
                Ok(None)
            }
        }
    }

    /// The life of a child: opens its handler, calls `serve`, closes the handler, and ends the
    /// process.
    pub fn run_child<H: Handler, E: Display, P: Probe>(
        self,
        blocked: BlockedSignals,
        parts: ChildParts<impl Fn() -> Result<H, E>, impl Fn(H), P>,
        serve: impl FnOnce(&mut H, &Control, &mut P) -> io::Result<()>,
    ) -> ! {
        let ChildParts {
            open,
            close,
            mut probe,
        } = parts;
        // The handlers stay: to remove the parent's and set others would copy, for each signal, the
        // table of all of them. They set the flags of the control, and also write to the pipe of
        // the parent, which wakes and finds no signal of its own.
        let (control, _signals) = (self.control, ManuallyDrop::new(self.signals));
        control.reset();
        drop(blocked);
        probe.on_fork();
        let served = open().map_err(|error| error.to_string());
        let served = served.and_then(|mut handler| {
            let served = serve(&mut handler, &control, &mut probe);
            close(handler);
            probe.on_exit();
            served.map_err(|error| error.to_string())
        });
        match served {
            Ok(()) => fork::exit(0),
            Err(error) => {
                log::error!("a process ends, because it cannot serve: {error}");
                fork::exit(1)
            }
        }
    }

    /// Reaps all children that have ended, and calls `on_end` for each. One SIGCHLD may stand for
    /// many.
    pub fn reap(&mut self, mut on_end: impl FnMut(Ended)) {
        while let Ok(Some((child, status))) = waitpid(None, WaitOptions::NOHANG) {
            if let Some(forked) = self.running.remove(&child) {
                let lived = Now::read().instant.saturating_duration_since(forked);
                on_end(Ended {
                    child,
                    status,
                    lived,
                });
            }
        }
    }

    /// Handles the signals that have arrived, if the wait was `woken` for them, and passes them on
    /// to the children. `reload` changes what later children open, and returns whether it has; the
    /// others only open their logs again. Returns what it has returned.
    pub fn handle_signals(
        &mut self,
        woken: bool,
        registry: &Registry,
        reload: impl Fn() -> bool,
    ) -> bool {
        let mut is_changed = false;
        let now = Now::read().instant;
        let signals = woken.then(|| self.signals.take(registry));
        for signal in signals.into_iter().flatten() {
            if signal == SIGCHLD {
                continue;
            }
            match self.policy.receive(signal) {
                Action::ReopenFiles => self.signal(Signal::USR1),
                Action::Reload => {
                    is_changed |= reload();
                    self.signal(Signal::USR1);
                }
                Action::Stop if self.stop_at.is_none() => {
                    log::info!("stopping; processes that serve: {}", self.count());
                    self.stop_at = Some(now + self.grace);
                }
                Action::Stop => {
                    signals::log_abort();
                    self.stop_at = Some(now);
                }
            }
        }
        self.continue_stopping(now);
        is_changed
    }

    /// If the server is stopping: sends the children the signal of this time, unless they have got
    /// it just now.
    fn continue_stopping(&mut self, now: Instant) {
        let Some(at) = self.stop_at else {
            return;
        };
        let signal = match at {
            at if at + KILL_AFTER <= now => Signal::KILL,
            at if at <= now => ABORT,
            _ => Signal::TERM,
        };
        let is_recent = |(when, last)| last == signal && now < when + SIGNAL_INTERVAL;
        if !self.last_signal.is_some_and(is_recent) {
            self.last_signal = Some((now, signal));
            if signal == ABORT {
                // A child that is not stopping ignores the signal. Without a grace period this is
                // the first that it gets.
                self.signal(Signal::TERM);
            }
            self.signal(signal);
        }
    }

    /// Sends `signal` to each child. A child that has ended keeps its process ID until it is
    /// reaped, so no other process gets the signal.
    fn signal(&self, signal: Signal) {
        for child in self.running.keys() {
            let _ = kill_process(*child, signal);
        }
    }
}
