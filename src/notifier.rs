//! Tells the drivers that a handler can answer what it could not answer before.
//!
//! A handler that leaves work to another thread has a [`Notifier`]
//! ([`Handler::notifier`](crate::handler::Handler::notifier)). A loop is woken from its poll; a
//! thread with one connection waits for the next notification.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counts notifications, and passes each one on.
#[derive(Default)]
pub struct Notifier {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    count: u64,
    wakers: Vec<Box<dyn Fn() + Send>>,
}

impl Notifier {
    /// Wakes everything that waits.
    pub fn notify(&self) {
        let mut inner = self.lock();
        inner.count += 1;
        inner.wakers.iter().for_each(|wake| wake());
        self.changed.notify_all();
    }

    /// Calls `wake` at each notification from now on, in the thread that notifies.
    pub fn on_notify(&self, wake: impl Fn() + Send + 'static) {
        self.lock().wakers.push(Box::new(wake));
    }

    /// How many notifications there were.
    pub fn count(&self) -> u64 {
        self.lock().count
    }

    /// Waits until there were more than `seen` notifications, for at most `timeout`.
    pub fn wait_beyond(&self, seen: u64, timeout: Duration) {
        let inner = self.lock();
        let is_old = |inner: &mut Inner| inner.count <= seen;
        // A mutex is poisoned only by a waker that panics. The count is right then, too.
        drop(self.changed.wait_timeout_while(inner, timeout, is_old));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn a_notification_wakes_what_waits_and_what_begins_to_wait_too_late() {
        let notifier = Arc::new(Notifier::default());
        let (sender, receiver) = channel();
        notifier.on_notify(move || sender.send(()).unwrap());
        let seen = notifier.count();
        let waits = {
            let notifier = notifier.clone();
            thread::spawn(move || notifier.wait_beyond(seen, Duration::from_secs(60)))
        };
        notifier.notify();
        waits.join().unwrap();
        receiver.try_recv().unwrap();
        // Returns at once: the notification is not lost.
        notifier.wait_beyond(seen, Duration::from_secs(60));
        notifier.wait_beyond(seen + 1, Duration::from_millis(1));
        assert_eq!(notifier.count(), 1);
    }
}
