//! The same server, waiting in other ways.
//!
//! Site, connection, pump and log are those of the reactor; what differs is what a driver does when
//! the pump says that it would block, and that is a file for each:
//!
//! - [`sequential`]: one client at a time
//! - [`process`]: a process for each client
//! - [`thread`]: a thread for each client
//! - [`coroutine`]: a coroutine for each client, in one thread
//! - [`pool`]: a fixed number of threads
//!
//! `doors` lets clients in, `visit` serves one of them by blocking, `control` tells those who block
//! that the server stops, `shared` is one service for many threads.

mod control;
pub mod coroutine;
mod doors;
pub mod pool;
pub mod process;
pub mod sequential;
mod shared;
pub mod thread;
mod visit;

use crate::limits::Limits;
use crate::pump::Service;
use crate::reactor::listen::Listening;
use control::Control;
use doors::Doors;
use shared::Shared;
use std::io;
use std::sync::Arc;

/// The models that block in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// One client at a time.
    Sequential,
    /// A thread for each client.
    Thread,
    /// A fixed number of threads.
    Pool,
}

/// Blocking threads with what they serve.
pub struct Driver<S> {
    doors: Doors,
    service: Shared<S>,
    control: Arc<Control>,
    limits: Arc<Limits>,
}

impl<S: Service + Send + 'static> Driver<S> {
    /// Takes over SIGTERM, SIGINT and SIGHUP.
    ///
    /// # Errors
    /// The system gives no poll, no thread or no signals.
    pub fn new(listening: Vec<Listening>, service: S, limits: Arc<Limits>) -> io::Result<Self> {
        let doors = Doors::new(listening, &limits)?;
        let (service, control) = (Shared::new(service), Arc::new(Control::default()));
        let (waker, reopen) = (doors.waker()?, service.reopener());
        let wake = move || {
            if let Err(error) = waker.wake() {
                log::warn!("cannot wake the loop that accepts: {error}");
            }
        };
        control.listen(&limits, wake, reopen)?;
        Ok(Self {
            doors,
            service,
            control,
            limits,
        })
    }

    /// Serves until SIGTERM or SIGINT. Returns the service, for it may have something to close,
    /// unless somebody who was cut off still holds it.
    ///
    /// # Errors
    /// A listening socket failed in a way that cannot be mended, or the system gives no threads.
    pub fn run(self, model: Blocking) -> io::Result<Option<S>> {
        let (shared, control) = (self.service.clone(), &self.control);
        match model {
            Blocking::Sequential => sequential::run(self.doors, shared, control, self.limits)?,
            Blocking::Thread => thread::run(self.doors, shared, control, &self.limits)?,
            Blocking::Pool => pool::run(self.doors, shared, control, &self.limits)?,
        }
        Ok(self.service.into_inner())
    }
}
