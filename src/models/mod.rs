//! The same server, waiting in other ways.
//!
//! Site, connection, pump and log are those of the reactor; what differs is what a driver does when
//! the pump says that it would block, and that is a file for each:
//!
//! - [`fixed`]: one page, one client at a time, and none of what the others share
//! - [`sequential`]: one client at a time
//! - [`process`]: a process for each client
//! - [`thread`]: a thread for each client
//! - [`coroutine`]: a coroutine for each client, in one thread
//! - [`pool`]: a fixed number of threads
//!
//! `acceptor` lets clients in, `connection_runner` serves one of them by blocking, `control` tells
//! those who block that the server stops, [`shared`] is one handler for many threads.

mod acceptor;
mod connection_runner;
mod control;
pub mod coroutine;
pub mod fixed;
pub mod pool;
pub mod process;
pub mod sequential;
pub mod shared;
pub mod thread;

use crate::handler::Handler;
use crate::limits::Limits;
use crate::reactor::listen::BoundListener;
use crate::signals::Policy;
use acceptor::Acceptor;
use control::Control;
use std::io;
use std::sync::Arc;

/// The models that block in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockingModel {
    /// One client at a time.
    Sequential,
    /// A thread for each client.
    Thread,
    /// A fixed number of threads.
    Pool,
}

/// Blocking threads, and who lets clients in.
pub struct Driver {
    acceptor: Acceptor,
    control: Arc<Control>,
    limits: Arc<Limits>,
}

impl Driver {
    /// Handles the signals of `policy`; `reopen` opens the logs anew.
    ///
    /// # Errors
    /// The system gives no poll, no thread or no signals.
    pub fn new(
        listening: Vec<BoundListener>,
        reopen: impl Fn() + Send + 'static,
        limits: Arc<Limits>,
        policy: Policy,
    ) -> io::Result<Self> {
        let mut acceptor = Acceptor::new(listening, &limits)?;
        let control = Arc::new(Control::default());
        let waker = acceptor.waker()?;
        let wake = move || {
            if let Err(error) = waker.wake() {
                log::warn!("cannot wake the loop that accepts: {error}");
            }
        };
        control.spawn_signal_thread(&limits, policy, wake, reopen)?;
        Ok(Self {
            acceptor,
            control,
            limits,
        })
    }

    /// Sends `answer` to everybody, one after the other, until a signal stops it.
    ///
    /// # Errors
    /// A listening socket failed in a way that cannot be mended.
    pub fn run_fixed(self, answer: &[u8]) -> io::Result<()> {
        fixed::run(self.acceptor, answer, &self.control, &self.limits)
    }

    /// Serves until a signal stops it; each thread has a clone of `handler`. Somebody who was cut
    /// off may still hold one afterwards.
    ///
    /// # Errors
    /// A listening socket failed in a way that cannot be mended, or the system gives no threads.
    pub fn run<H>(self, model: BlockingModel, handler: H) -> io::Result<()>
    where
        H: Handler + Clone + Send + 'static,
    {
        let control = &self.control;
        match model {
            BlockingModel::Sequential => {
                sequential::run(self.acceptor, handler, control, self.limits)
            }
            BlockingModel::Thread => thread::run(self.acceptor, handler, control, &self.limits),
            BlockingModel::Pool => pool::run(self.acceptor, handler, control, &self.limits),
        }
    }
}
