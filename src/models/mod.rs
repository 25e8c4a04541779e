//! The other concurrency models: one connection at a time, a process or a thread for each, pools of
//! processes and threads, coroutines, completions, loops that are level-triggered.
//!
//! [`fixed`] stands apart: one page, one connection at a time, without the code that the others
//! share. In the others, site, connection, pump and log are those of the reactor. They differ in
//! what they do when the pump would block:
//!
//! - [`sequential`]: one connection at a time
//! - [`process`]: a process for each connection
//! - [`prefork`]: a fixed number of processes
//! - [`thread`]: a thread for each connection
//! - [`thread_reuse`]: the same, and threads are used again
//! - [`coroutine`]: a coroutine for each connection, in one thread
//! - [`pool`]: a fixed number of threads
//! - [`reactors`]: a reactor for each processor
//! - [`Uring`]: one thread and one ring of io_uring(7)
//! - [`level_triggered`]: one loop for all connections, as the reactor, with epoll(7) without
//!   edges, poll(2) or select(2)
//!
//! `acceptor` accepts connections, `connection_runner` serves one on a blocking socket, `control`
//! stops threads that block, [`shared`] is a few handlers for many threads, `observed_socket` is
//! the socket of [`fixed`].

mod acceptor;
mod connection_runner;
mod control;
pub mod coroutine;
pub mod fixed;
pub mod level_triggered;
#[cfg(not(all(target_os = "linux", not(mio_unsupported_force_poll_poll))))]
mod no_uring;
mod observed_socket;
#[cfg(test)]
mod panics_on_request;
pub mod pool;
pub mod prefork;
pub mod process;
pub mod reactors;
pub mod sequential;
pub mod shared;
pub mod thread;
pub mod thread_reuse;
#[cfg(all(target_os = "linux", not(mio_unsupported_force_poll_poll)))]
pub mod uring;

#[cfg(not(all(target_os = "linux", not(mio_unsupported_force_poll_poll))))]
pub use no_uring::Uring;
#[cfg(all(target_os = "linux", not(mio_unsupported_force_poll_poll)))]
pub use uring::Uring;

use crate::handler::Handler;
use crate::limits::Limits;
use crate::listen::open::BoundListener;
use crate::probe::Probe;
use crate::signals::{Action, SignalPolicy};
use acceptor::Acceptor;
use control::Control;
use prefork::Prefork;
use process::Parent;
use std::fmt::Display;
use std::io;
use std::sync::Arc;

/// The blocking models with one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockingModel {
    /// One connection at a time.
    Sequential,
    /// A thread for each connection.
    Thread,
    /// A thread for each connection, used again.
    ThreadReuse,
    /// A fixed number of threads.
    Pool,
}

/// A server of processes.
pub enum ForkingServer {
    /// A process for each connection.
    PerConnection(Parent),
    /// A fixed number of processes.
    Prefork(Prefork),
}

impl ForkingServer {
    /// Serves until a signal stops it. Each child has a handler of its own, from `open` to `close`,
    /// and a clone of `probe`. `reload` changes what later children open, and returns whether it
    /// has.
    ///
    /// # Errors
    /// The poll or a listening socket is broken.
    pub fn run<H: Handler, E: Display>(
        self,
        open: impl Fn() -> Result<H, E>,
        reload: impl Fn() -> bool,
        close: impl Fn(H),
        probe: impl Probe + Clone,
    ) -> io::Result<()> {
        match self {
            Self::PerConnection(parent) => parent.run(open, reload, close, probe),
            Self::Prefork(parent) => parent.run(open, reload, close, probe),
        }
    }
}

/// A server of blocking threads.
pub struct BlockingServer {
    acceptor: Acceptor,
    control: Arc<Control>,
    limits: Arc<Limits>,
}

impl BlockingServer {
    /// Handles the signals of `policy`. `reload` reopens the logs or reloads the
    /// configuration.
    ///
    /// # Errors
    /// A poll, a thread or a signal handler cannot be created.
    pub fn new(
        listeners: Vec<BoundListener>,
        reload: impl Fn(Action) + Send + 'static,
        limits: Arc<Limits>,
        policy: SignalPolicy,
    ) -> io::Result<Self> {
        let mut acceptor = Acceptor::new(listeners, &limits)?;
        let control = Arc::new(Control::default());
        let waker = acceptor.waker()?;
        let wake = move || {
            if let Err(error) = waker.wake() {
                log::warn!("cannot wake the loop that accepts: {error}");
            }
        };
        control.spawn_signal_thread(&limits, policy, wake, reload)?;
        Ok(Self {
            acceptor,
            control,
            limits,
        })
    }

    /// Sends `response` on each connection, one after the other, until a signal stops it.
    ///
    /// # Errors
    /// A listening socket is broken.
    pub fn run_fixed(self, response: &[u8], probe: &mut impl Probe) -> io::Result<()> {
        fixed::run(self.acceptor, response, &self.control, &self.limits, probe)
    }

    /// Serves until a signal stops it. Each thread has a clone of `handler` and of `probe`. A
    /// thread whose connection was aborted may still have them afterwards.
    ///
    /// # Errors
    /// A listening socket is broken, or a thread cannot be created.
    pub fn run<H, P>(self, model: BlockingModel, handler: H, probe: &P) -> io::Result<()>
    where
        H: Handler + Clone + Send + 'static,
        P: Probe + Clone + Send + 'static,
    {
        let control = &self.control;
        match model {
            BlockingModel::Sequential => {
                let probe = probe.clone();
                sequential::run(self.acceptor, handler, control, self.limits, probe)
            }
            BlockingModel::Thread => {
                thread::run(self.acceptor, handler, control, &self.limits, probe)
            }
            BlockingModel::ThreadReuse => {
                thread_reuse::run(self.acceptor, handler, control, &self.limits, probe)
            }
            BlockingModel::Pool => pool::run(self.acceptor, handler, control, &self.limits, probe),
        }
    }
}
