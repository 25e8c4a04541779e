//! A process for each connection, as the first servers had it.
//!
//! What waits: each child for its connection, in read(2). The parent waits for connections, signals
//! and children that end. Nothing is shared, so nothing needs a lock, and a child that dies ends no
//! other connection.
//! What a connection costs: a fork, a copy of the page tables, a site and a log of its own, and an
//! exit. What one child has read of a file is cached by no other.
//! Where it loses: with short connections, which are mostly fork, and with many, by memory.

mod fork;

use super::acceptor::{Accepted, Acceptor};
use super::connection_runner::ConnectionRunner;
use super::control::Control;
use crate::clock::Now;
use crate::handler::Handler;
use crate::limits::Limits;
use crate::listen::open::BoundListener;
use crate::probe::Probe;
use crate::signals::{self, Action, SignalPolicy, SignalSource};
use fork::{BlockedSignals, Fork, fork};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use signal_hook::consts::SIGCHLD;
use std::collections::HashSet;
use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the parent repeats a signal to its children. A signal that arrives between a child's
/// check of the flag and its read does not interrupt the read; the next one does.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

/// How long a child may take to stop at once before it is killed.
const KILL_AFTER: Duration = Duration::from_secs(1);

/// The signal by which the parent makes a child stop at once. Its default action is none, and a
/// child that is not stopping ignores it, so one that another process sends does no harm.
const ABORT: Signal = Signal::URG;

/// The process that accepts.
pub struct Parent {
    acceptor: Acceptor,
    signals: SignalSource,
    policy: SignalPolicy,
    children: HashSet<Pid>,
    limits: Arc<Limits>,
    /// The server is stopping, and the children are aborted at this time.
    stop_at: Option<Instant>,
    /// A connection that was accepted, but could not be given a process.
    pending: Option<Accepted>,
    /// The signal that was sent to the children last, and when.
    last_signal: Option<(Instant, Signal)>,
    /// Accepting has stopped: all connections that waited at the stop signal were accepted.
    is_closed: bool,
}

impl Parent {
    /// Handles the signals of `policy`. No thread may have been started.
    ///
    /// # Errors
    /// A poll or a signal handler cannot be created.
    pub fn new(
        listeners: Vec<BoundListener>,
        limits: Arc<Limits>,
        policy: SignalPolicy,
    ) -> io::Result<Self> {
        let acceptor = Acceptor::new(listeners, &limits)?;
        let handled = policy.handled().chain([SIGCHLD]);
        let signals = SignalSource::new(handled, acceptor.registry(), Acceptor::token())?;
        Ok(Self {
            acceptor,
            signals,
            policy,
            children: HashSet::new(),
            limits,
            stop_at: None,
            pending: None,
            last_signal: None,
            is_closed: false,
        })
    }

    /// Serves until a signal stops it. Each child has a handler of its own, from `open` to `close`;
    /// `reload` changes what later children open,
    /// and a clone of `probe`.
    ///
    /// # Errors
    /// The poll or a listening socket is broken.
    pub fn run<H: Handler, E: Display>(
        mut self,
        open: impl Fn() -> Result<H, E>,
        reload: impl Fn(),
        close: impl Fn(H),
        probe: &(impl Probe + Clone),
    ) -> io::Result<()> {
        loop {
            if let Some((accepted, blocked)) = self.accept()? {
                self.run_child(accepted, blocked, open, close, probe.clone());
            }
            if self.is_closed && self.children.is_empty() {
                return Ok(());
            }
            self.acceptor.wait(self.stop_at.map(|_| SIGNAL_INTERVAL))?;
            // In this order: a child that ends after the reaping is announced again.
            self.handle_signals(&reload);
            self.reap();
        }
    }

    /// Forks a child for each connection that waits, up to the connection limit. When the server is
    /// stopping, the connections that waited by then are accepted, too, but none after the grace
    /// period. Returns twice: in a child, with the connection that it serves.
    fn accept(&mut self) -> io::Result<Option<(Accepted, BlockedSignals)>> {
        let is_grace_over = self.stop_at.is_some_and(|at| at <= Now::read().instant);
        while !self.is_closed && !is_grace_over && self.children.len() < self.limits.max_connections
        {
            let next = match self.pending.take() {
                Some(accepted) => Some(accepted),
                None => self.acceptor.try_accept()?,
            };
            let Some(accepted) = next else {
                self.is_closed = self.stop_at.is_some();
                break;
            };
            match fork() {
                Ok(Fork::Child(blocked)) => return Ok(Some((accepted, blocked))),
                // The parent's copy of the socket is closed here, so that the child's close ends
                // the connection.
                Ok(Fork::Parent(child)) => drop(self.children.insert(child)),
                Err(error) => {
                    let what = format!("no process for a connection: {error} (raise: ulimit -u)");
                    self.acceptor.pause_after(&what);
                    self.pending = Some(accepted);
                    break;
                }
            }
        }
        self.is_closed |= is_grace_over;
        if self.is_closed {
            self.acceptor.close();
        }
        Ok(None)
    }

    /// Serves one connection in a child, and ends the process.
    fn run_child<H: Handler, E: Display>(
        self,
        accepted: Accepted,
        blocked: BlockedSignals,
        open: impl Fn() -> Result<H, E>,
        close: impl Fn(H),
        mut probe: impl Probe + Clone,
    ) -> ! {
        self.acceptor.close_in_child();
        // The handlers and the pipe are the parent's. The child has its own from here on, and no
        // signal is handled in between.
        drop(self.signals);
        let control = Control::for_child(self.policy, ABORT.as_raw());
        drop(blocked);
        probe.on_fork();
        let opened = open().map_err(|error| error.to_string());
        let served = control
            .map_err(|error| error.to_string())
            .and_then(|control| Ok((control, opened?)));
        match served {
            Ok((control, mut handler)) => {
                let mut runner = ConnectionRunner::new(self.limits, probe.clone());
                runner.serve(accepted, &mut handler, &control);
                close(handler);
                probe.on_exit();
                std::process::exit(0)
            }
            Err(error) => {
                log::error!("a connection was lost: {error}");
                std::process::exit(1)
            }
        }
    }

    /// Reaps all children that have ended. One SIGCHLD may stand for many.
    fn reap(&mut self) {
        while let Ok(Some((child, status))) = waitpid(None, WaitOptions::NOHANG) {
            self.children.remove(&child);
            if let Some(signal) = status.terminating_signal() {
                log::error!("the process of a connection was ended by signal {signal}");
            }
        }
    }

    /// Handles the signals that have arrived, and passes them on to the children.
    fn handle_signals(&mut self, reload: impl Fn()) {
        let now = Now::read().instant;
        for signal in self.signals.take(self.acceptor.registry()) {
            if signal == SIGCHLD {
                continue;
            }
            match self.policy.receive(signal) {
                Action::ReopenFiles => signal_children(&self.children, Signal::USR1),
                // A child serves one connection: with the configuration that it began with.
                Action::Reload => {
                    reload();
                    signal_children(&self.children, Signal::USR1);
                }
                Action::Stop if self.stop_at.is_none() => {
                    signals::log_stop(self.children.len());
                    self.stop_at = Some(now + self.limits.grace_period);
                }
                Action::Stop => {
                    signals::log_abort();
                    self.stop_at = Some(now);
                }
            }
        }
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
                signal_children(&self.children, Signal::TERM);
            }
            signal_children(&self.children, signal);
        }
    }
}

/// Sends `signal` to each child. A child that has ended keeps its process ID until it is reaped, so
/// no other process gets the signal.
fn signal_children(children: &HashSet<Pid>, signal: Signal) {
    for child in children {
        let _ = kill_process(*child, signal);
    }
}
