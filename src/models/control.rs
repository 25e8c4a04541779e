//! Room `models`: how to stop threads that sleep in a read.
//!
//! A thread in read(2) hears nothing. A poll(2) over its socket and a pipe would let it listen to
//! both, and cost a third system call for each request; a timeout of a second would wake ten
//! thousand idle threads each second. So the thread that waits for signals has a list of all
//! sockets, and shuts those that are idle for reading: their reads end.

use crate::limits::Limits;
use crate::signals::{Action, Policy};
use crate::transport::blocking::Handle;
use signal_hook::iterator::Signals;
use slab::Slab;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long somebody who was cut off may take to see it: he may sleep in a send for a second.
const ABORT_TIMEOUT: Duration = Duration::from_secs(2);

/// What the signals want, for everybody to see.
#[derive(Debug, Default)]
pub struct Control {
    /// The server is stopping: idle connections end, the others with their next response.
    pub draining: Arc<AtomicBool>,
    /// The server stops at once.
    pub aborting: Arc<AtomicBool>,
    /// The logs are to be opened again. Only a process per connection looks at it: elsewhere the
    /// thread that waits for signals does it.
    pub reopen: Arc<AtomicBool>,
    sockets: Mutex<Slab<Arc<Handle>>>,
    /// Somebody has left.
    on_close: Condvar,
}

/// A place in the list of sockets, until it is dropped.
pub struct Registration {
    control: Arc<Control>,
    key: usize,
}

impl Control {
    /// Whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Whether it stops at once.
    pub fn is_aborting(&self) -> bool {
        self.is_draining() && self.aborting.load(Ordering::SeqCst)
    }

    /// Takes a client's socket into the list.
    pub fn register(self: &Arc<Self>, handle: Arc<Handle>) -> Registration {
        let key = self.lock().insert(handle);
        Registration {
            control: self.clone(),
            key,
        }
    }

    /// Waits until fewer than `most` have a seat.
    pub fn wait_for_capacity(&self, most: usize) {
        let is_full = |sockets: &mut Slab<_>| sockets.len() >= most && !self.is_aborting();
        drop(self.on_close.wait_while(self.lock(), is_full));
    }

    /// Waits until all have left. Who was cut off has only to close his socket, but that makes the
    /// reset by which his peer sees that something is missing; so there is a moment for it.
    pub fn wait_for_all(&self) {
        let is_there = |sockets: &mut Slab<_>| !sockets.is_empty() && !self.is_aborting();
        let sockets = self.on_close.wait_while(self.lock(), is_there);
        let sockets = sockets.unwrap_or_else(PoisonError::into_inner);
        let is_there = |sockets: &mut Slab<_>| !sockets.is_empty();
        let waited = self
            .on_close
            .wait_timeout_while(sockets, ABORT_TIMEOUT, is_there);
        drop(waited);
    }

    /// Starts the thread that waits for signals: `wake` wakes whoever accepts, `reopen` opens the
    /// logs anew.
    ///
    /// # Errors
    /// The system gives no thread, or no handler.
    pub fn spawn_signal_thread(
        self: &Arc<Self>,
        limits: &Limits,
        policy: Policy,
        wake: impl Fn() + Send + 'static,
        reopen: impl Fn() + Send + 'static,
    ) -> io::Result<()> {
        let mut signals = Signals::new(policy.handled())?;
        let (control, grace) = (self.clone(), limits.grace);
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    match policy.receive(signal) {
                        Action::ReopenLogs => reopen(),
                        Action::Stop if control.is_draining() => {
                            log::warn!("stopping at once");
                            control.abort_all();
                        }
                        Action::Stop => control.drain(grace),
                    }
                    wake();
                }
            })
            .map_err(|error| {
                let what = "cannot start the thread that waits for signals";
                io::Error::new(error.kind(), format!("{what}: {error}"))
            })?;
        Ok(())
    }

    fn drain(self: &Arc<Self>, grace: Duration) {
        self.draining.store(true, Ordering::SeqCst);
        let sockets = self.lock();
        log::info!("stopping; connections open: {}", sockets.len());
        sockets.iter().for_each(|(_, handle)| handle.wake_if_idle());
        drop(sockets);
        let control = self.clone();
        let timer = thread::Builder::new().spawn(move || {
            thread::sleep(grace);
            log::warn!(
                "the grace period is over; connections cut: {}",
                control.lock().len()
            );
            control.abort_all();
        });
        if timer.is_err() {
            // Without a thread to wait in there is no grace.
            self.abort_all();
        }
    }

    fn abort_all(&self) {
        self.aborting.store(true, Ordering::SeqCst);
        let sockets = self.lock();
        sockets.iter().for_each(|(_, handle)| handle.wake());
        self.on_close.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Arc<Handle>>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.control.lock().try_remove(self.key);
        self.control.on_close.notify_all();
    }
}
