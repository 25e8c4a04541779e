//! Stops threads that sleep in a read.
//!
//! A thread in read(2) does not notice a flag. With a poll(2) over its socket and a pipe it would,
//! but that is a third system call for each request; with a timeout of a second, ten thousand idle
//! threads would wake each second. So the thread that waits for signals has a list of all sockets,
//! and shuts those that are idle for reading, which ends their reads.

use crate::limits::Limits;
use crate::signals::{self, Action, SignalPolicy};
use crate::transport::blocking::{Handle, SEND_TIMEOUT};
use signal_hook::iterator::Signals;
use slab::Slab;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long aborted connections may take to end. A thread may sleep in two sends.
const ABORT_TIMEOUT: Duration = SEND_TIMEOUT.saturating_mul(3);

/// What signals ask for, and the sockets of all connections.
#[derive(Debug, Default)]
pub struct Control {
    /// The server is stopping: idle connections end, the others after their next response.
    draining: Arc<AtomicBool>,
    /// The server stops at once: connections are aborted. In a child any process may set it, by a
    /// signal, so it counts only while the server is stopping.
    aborting: Arc<AtomicBool>,
    /// A child of the process model must open its logs again. In the other models the thread that
    /// waits for signals does it.
    reopen: Arc<AtomicBool>,
    sockets: Mutex<Sockets>,
    /// Notified when a connection is closed and a thread waits for that.
    on_close: Condvar,
}

/// The sockets of all connections.
#[derive(Debug, Default)]
struct Sockets {
    open: Slab<Arc<Handle>>,
    /// A thread waits until one is closed. To notify is a system call even if none does.
    is_awaited: bool,
}

impl Sockets {
    /// Whether the thread that asks must wait for a connection to close.
    fn wait_if(&mut self, must_wait: bool) -> bool {
        self.is_awaited = must_wait;
        must_wait
    }
}

/// The entry of a socket in the list, until it is dropped.
pub struct Registration {
    control: Arc<Control>,
    key: usize,
}

impl Control {
    /// The control of child processes: handlers set its flags, and the signal interrupts a read.
    /// `abort` is the signal to stop at once. Made before the forks, because it sets the handlers:
    /// each child has a copy of it.
    ///
    /// # Errors
    /// A signal handler cannot be set.
    pub fn for_children(policy: SignalPolicy, abort: i32) -> io::Result<Self> {
        let control = Self::default();
        for signal in policy.handled() {
            let flag = match policy.action(signal) {
                Action::Stop => &control.draining,
                Action::ReopenFiles | Action::Reload => &control.reopen,
            };
            signal_hook::flag::register(signal, flag.clone())?;
        }
        signal_hook::flag::register(abort, control.aborting.clone())?;
        Ok(control)
    }

    /// Called by a child, whose signals are still blocked: forgets the signals of the parent.
    pub fn reset(&self) {
        for flag in [&self.draining, &self.aborting, &self.reopen] {
            flag.store(false, Ordering::SeqCst);
        }
    }

    /// Whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Whether the server stops at once.
    pub fn is_aborting(&self) -> bool {
        self.is_draining() && self.aborting.load(Ordering::SeqCst)
    }

    /// Whether the logs must be opened again. Each request for that is returned once.
    pub fn take_reopen(&self) -> bool {
        self.reopen.swap(false, Ordering::SeqCst)
    }

    /// Adds the socket of a connection to the list.
    pub fn register(self: &Arc<Self>, handle: Arc<Handle>) -> Registration {
        let key = self.lock().open.insert(handle);
        Registration {
            control: self.clone(),
            key,
        }
    }

    /// Waits until fewer than `max_connections` connections are open, or the server stops at once.
    pub fn wait_for_capacity(&self, max_connections: usize) {
        let is_full = |sockets: &mut Sockets| {
            let is_full = sockets.open.len() >= max_connections;
            sockets.wait_if(is_full && !self.is_aborting())
        };
        drop(self.on_close.wait_while(self.lock(), is_full));
    }

    /// Waits until all connections are closed, and no longer than [`ABORT_TIMEOUT`] after they were
    /// aborted: closing the socket makes the reset that tells the peer that something is missing.
    /// The sockets that are still open then are reset when the process ends.
    pub fn wait_for_all(&self) {
        let is_open = |sockets: &mut Sockets| {
            let is_open = !sockets.open.is_empty();
            sockets.wait_if(is_open && !self.is_aborting())
        };
        let sockets = self.on_close.wait_while(self.lock(), is_open);
        let sockets = sockets.unwrap_or_else(PoisonError::into_inner);
        let is_open = |sockets: &mut Sockets| {
            let is_open = !sockets.open.is_empty();
            sockets.wait_if(is_open)
        };
        let waited = self
            .on_close
            .wait_timeout_while(sockets, ABORT_TIMEOUT, is_open);
        let (sockets, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let sockets = sockets.open.iter();
        sockets.for_each(|(_, handle)| handle.reset_on_close());
    }

    /// Starts the thread that waits for signals. `wake` wakes the loop that accepts, `reload`
    /// reopens the logs or reloads the configuration.
    ///
    /// # Errors
    /// A thread or a signal handler cannot be created.
    pub fn spawn_signal_thread(
        self: &Arc<Self>,
        limits: &Limits,
        policy: SignalPolicy,
        wake: impl Fn() + Send + 'static,
        reload: impl Fn(Action) + Send + 'static,
    ) -> io::Result<()> {
        let mut signals = Signals::new(policy.handled())?;
        let (control, grace) = (self.clone(), limits.grace_period);
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    match policy.receive(signal) {
                        action @ (Action::ReopenFiles | Action::Reload) => reload(action),
                        Action::Stop if control.is_draining() => {
                            signals::log_abort();
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

    /// Stops the server: idle connections end, the others after their next response, and those that
    /// are left after `grace` are aborted.
    pub(super) fn drain(self: &Arc<Self>, grace: Duration) {
        self.draining.store(true, Ordering::SeqCst);
        let sockets = self.lock();
        signals::log_stop(sockets.open.len());
        let open = sockets.open.iter();
        open.for_each(|(_, handle)| handle.wake_if_idle());
        drop(sockets);
        let control = self.clone();
        let timer = thread::Builder::new().spawn(move || {
            thread::sleep(grace);
            signals::log_grace_over(control.lock().open.len());
            control.abort_all();
        });
        if timer.is_err() {
            // Without a thread that waits there is no grace period.
            self.abort_all();
        }
    }

    fn abort_all(&self) {
        self.aborting.store(true, Ordering::SeqCst);
        let sockets = self.lock();
        sockets.open.iter().for_each(|(_, handle)| handle.wake());
        self.on_close.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let is_awaited = {
            let mut sockets = self.control.lock();
            sockets.open.try_remove(self.key);
            sockets.is_awaited
        };
        if is_awaited {
            self.control.on_close.notify_all();
        }
    }
}
