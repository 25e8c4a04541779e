//! A process for each client, as servers did it first.
//!
//! What waits: each child for its client, in read(2). The parent waits for clients, signals, and
//! children that end. Nothing is shared, so nothing needs a lock, and a child that dies takes
//! nobody along.
//! What a connection costs: a fork, a copy of the page tables, a site and a log of its own, and an
//! exit. What one child has read of a file, no other remembers.
//! Where it loses: with short connections, which are mostly fork; and with many, by memory.

mod fork;

use super::acceptor::{Accepted, Acceptor};
use super::connection_runner::ConnectionRunner;
use super::control::Control;
use crate::clock::Now;
use crate::handler::Handler;
use crate::limits::Limits;
use crate::reactor::listen::BoundListener;
use crate::signals::{Action, Policy, SignalSource};
use fork::{Fork, fork};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use signal_hook::consts::{SIGCHLD, SIGURG};
use std::collections::HashSet;
use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often a child is told to stop. A signal that comes between its look at the flag and its read
/// does not end the read; the next one does.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

/// How long a child that was told to stop at once may take for it.
const KILL_AFTER: Duration = Duration::from_secs(1);

/// Tells a child to stop at once. By default this signal does nothing, and a child heeds it only
/// when it is stopping: so one that comes from elsewhere does no harm.
const ABORT: Signal = Signal::URG;

/// The process that accepts.
pub struct Parent {
    acceptor: Acceptor,
    signals: SignalSource,
    policy: Policy,
    /// What the signals want, in the parent and, as its handlers are copied, in each child.
    control: Arc<Control>,
    children: HashSet<Pid>,
    limits: Arc<Limits>,
    /// The server is stopping: at that time at once.
    stop_at: Option<Instant>,
    /// Accepted, but there is no process for it yet.
    pending: Option<Accepted>,
    /// When the children were last told to stop, and by which signal.
    last_signal: Option<(Instant, Signal)>,
    /// The server accepts no more: all that waited when it was told to stop were accepted.
    is_closed: bool,
}

impl Parent {
    /// Handles the signals of `policy`. No thread may have been started.
    ///
    /// # Errors
    /// The system gives no poll or no signals.
    pub fn new(
        listening: Vec<BoundListener>,
        limits: Arc<Limits>,
        policy: Policy,
    ) -> io::Result<Self> {
        let acceptor = Acceptor::new(listening, &limits)?;
        let control = Arc::new(Control::default());
        // Before the first fork, so that there is no moment in which a child would not hear.
        for signal in policy.handled() {
            let flag = match policy.action(signal) {
                Action::Stop => &control.draining,
                Action::ReopenLogs => &control.reopen,
            };
            signal_hook::flag::register(signal, flag.clone())?;
        }
        signal_hook::flag::register(SIGURG, control.aborting.clone())?;
        let handled = policy.handled().chain([SIGCHLD]);
        let signals = SignalSource::new(handled, acceptor.registry(), Acceptor::token())?;
        Ok(Self {
            acceptor,
            signals,
            policy,
            control,
            children: HashSet::new(),
            limits,
            stop_at: None,
            pending: None,
            last_signal: None,
            is_closed: false,
        })
    }

    /// Serves until a signal stops it. Each child has a handler of its own, from `open` to `close`.
    ///
    /// # Errors
    /// A listening socket failed in a way that cannot be mended.
    pub fn run<H: Handler, E: Display>(
        mut self,
        open: impl Fn() -> Result<H, E>,
        close: impl Fn(H),
    ) -> io::Result<()> {
        loop {
            if let Some(client) = self.accept()? {
                self.run_child(client, open, close);
            }
            if self.is_closed && self.children.is_empty() {
                return Ok(());
            }
            self.acceptor.wait(self.stop_at.map(|_| SIGNAL_INTERVAL))?;
            self.reap();
            self.handle_signals();
        }
    }

    /// Forks a child for each connection that waits, as long as there may be more children. When
    /// the server is stopping, what waited by then is accepted, too, but nothing after the grace.
    /// Returns twice: in a child with the connection that it is to serve.
    fn accept(&mut self) -> io::Result<Option<Accepted>> {
        let is_overdue = self.stop_at.is_some_and(|at| at <= Now::read().instant);
        while !self.is_closed && !is_overdue && self.children.len() < self.limits.connections {
            let next = match self.pending.take() {
                Some(client) => Some(client),
                None => self.acceptor.try_accept()?,
            };
            let Some(client) = next else {
                self.is_closed = self.stop_at.is_some();
                break;
            };
            match fork() {
                Ok(Fork::Child) => return Ok(Some(client)),
                // The parent's copy of the socket is closed here: the child's close counts.
                Ok(Fork::Parent(child)) => drop(self.children.insert(child)),
                Err(error) => {
                    let what = format!("no process for a client: {error} (raise: ulimit -u)");
                    self.acceptor.pause_after(&what);
                    self.pending = Some(client);
                    break;
                }
            }
        }
        self.is_closed |= is_overdue;
        if self.is_closed {
            self.acceptor.close();
        }
        Ok(None)
    }

    /// The child's whole life. It never returns to what its parent was about to do.
    fn run_child<H: Handler, E: Display>(
        self,
        client: Accepted,
        open: impl Fn() -> Result<H, E>,
        close: impl Fn(H),
    ) -> ! {
        self.acceptor.close_in_child();
        // The parent's pipe: what a handler here wrote into it would wake the parent, which then
        // signals again, and so on.
        drop(self.signals);
        self.control.aborting.store(false, Ordering::SeqCst);
        match open() {
            Ok(mut handler) => {
                ConnectionRunner::new(self.limits).serve(client, &mut handler, &self.control);
                close(handler);
                std::process::exit(0)
            }
            Err(error) => {
                log::error!("a client was lost: {error}");
                std::process::exit(1)
            }
        }
    }

    /// Asks for everybody who has ended, so that none stays a zombie. One SIGCHLD may stand for
    /// many.
    fn reap(&mut self) {
        while let Ok(Some((child, status))) = waitpid(None, WaitOptions::NOHANG) {
            self.children.remove(&child);
            if let Some(signal) = status.terminating_signal() {
                log::error!("the process of a client was ended by signal {signal}");
            }
        }
    }

    /// Does what the signals want that have come, and passes it on.
    fn handle_signals(&mut self) {
        let now = Now::read().instant;
        for signal in self.signals.take(self.acceptor.registry()) {
            if signal == SIGCHLD {
                continue;
            }
            match self.policy.receive(signal) {
                Action::ReopenLogs => {
                    // A child that is forked from now on opens the new file anyway.
                    self.control.reopen.store(false, Ordering::SeqCst);
                    signal_children(&self.children, Signal::USR1);
                }
                Action::Stop if self.stop_at.is_none() => {
                    log::info!("stopping; connections open: {}", self.children.len());
                    self.stop_at = Some(now + self.limits.grace);
                }
                Action::Stop => {
                    log::warn!("stopping at once");
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
        let is_told = |(when, what)| what == signal && now < when + SIGNAL_INTERVAL;
        if !self.last_signal.is_some_and(is_told) {
            self.last_signal = Some((now, signal));
            signal_children(&self.children, signal);
        }
    }
}

/// A child that has ended and was not asked for yet keeps its number, so nobody else is told.
fn signal_children(children: &HashSet<Pid>, signal: Signal) {
    for child in children {
        let _ = kill_process(*child, signal);
    }
}
