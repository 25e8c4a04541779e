//! A process for each connection, as the first servers had it.
//!
//! What waits: each child for its connection, in read(2). The parent waits for connections, signals
//! and children that end. Nothing is shared, so nothing needs a lock, and a child that dies ends no
//! other connection.
//! What a connection costs: a fork, a copy of the page tables and of the pages that the child
//! changes, a log of its own, and an exit. The site is opened before the fork, but what one child
//! has read of a file is cached by no other.
//! Where it loses: with short connections, which are mostly fork, and with many, by memory.

pub(super) mod children;
mod fork;

use super::acceptor::{Accepted, Acceptor};
use super::connection_runner::ConnectionRunner;
use crate::handler::Handler;
use crate::limits::Limits;
use crate::listen::open::BoundListener;
use crate::probe::Probe;
use crate::signals::SignalPolicy;
use children::{ChildParts, Children, Ended};
use fork::BlockedSignals;
use std::fmt::Display;
use std::io;
use std::sync::Arc;

/// The process that accepts.
pub struct Parent {
    acceptor: Acceptor,
    children: Children,
    limits: Arc<Limits>,
    /// A connection that was accepted, but could not be given a process.
    pending: Option<Accepted>,
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
        let (registry, token) = (acceptor.registry(), Acceptor::token());
        let children = Children::new(policy, limits.grace_period, registry, token)?;
        Ok(Self {
            acceptor,
            children,
            limits,
            pending: None,
            is_closed: false,
        })
    }

    /// Serves until a signal stops it. Each child has a handler of its own, from `open` to `close`,
    /// and a clone of `probe`; `reload` changes what later children open.
    ///
    /// # Errors
    /// The poll or a listening socket is broken.
    pub fn run<H: Handler, E: Display>(
        mut self,
        open: impl Fn() -> Result<H, E>,
        reload: impl Fn() -> bool,
        close: impl Fn(H),
        probe: impl Probe + Clone,
    ) -> io::Result<()> {
        loop {
            if let Some((accepted, blocked)) = self.accept()? {
                let parts = ChildParts { open, close, probe };
                self.run_child(accepted, blocked, parts);
            }
            if self.is_closed && self.children.count() == 0 {
                return Ok(());
            }
            let woken = self.acceptor.wait(self.children.wait_timeout())?;
            // In this order: a child that ends after the reaping is announced again.
            (self.children).handle_signals(woken, self.acceptor.registry(), &reload);
            if woken {
                self.children.reap(log_killed);
            }
        }
    }

    /// Accepts the connections that wait, up to the limit, and forks a child for each. When the
    /// server is stopping, those that wait are accepted, too, but none after the grace
    /// period. Returns twice: in a child, with the connection that it serves.
    fn accept(&mut self) -> io::Result<Option<(Accepted, BlockedSignals)>> {
        let is_grace_over = self.children.is_grace_over();
        while !self.is_closed
            && !is_grace_over
            && self.children.count() < self.limits.max_connections
        {
            let next = match self.pending.take() {
                Some(accepted) => Some(accepted),
                None => self.acceptor.listeners.try_accept()?,
            };
            let Some(accepted) = next else {
                self.is_closed = self.children.is_stopping();
                break;
            };
            match self.children.fork() {
                Ok(Some(blocked)) => return Ok(Some((accepted, blocked))),
                // The parent's copy of the socket is closed here, so that the child's close ends
                // the connection.
                Ok(None) => {}
                Err(error) => {
                    let what = format!("no process for a connection: {error} (raise: ulimit -u)");
                    self.acceptor.listeners.pause_after(&what);
                    self.pending = Some(accepted);
                    break;
                }
            }
        }
        self.is_closed |= is_grace_over;
        if self.is_closed {
            self.acceptor.listeners.close();
        }
        Ok(None)
    }

    /// Serves one connection in a child, and ends the process.
    fn run_child<H: Handler, E: Display, P: Probe + Clone>(
        self,
        accepted: Accepted,
        blocked: BlockedSignals,
        parts: ChildParts<impl Fn() -> Result<H, E>, impl Fn(H), P>,
    ) -> ! {
        let mut acceptor = self.acceptor;
        acceptor.listeners.leave_files_to_parent();
        drop(acceptor);
        let limits = self.limits;
        (self.children).run_child(blocked, parts, |handler, control, probe| {
            let mut runner = ConnectionRunner::new(limits, probe.clone());
            runner.serve(accepted, handler, control);
            Ok(())
        })
    }
}

fn log_killed(ended: Ended) {
    if let Some(signal) = ended.status.terminating_signal() {
        log::error!("the process of a connection was ended by signal {signal}");
    }
}
