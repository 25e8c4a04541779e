//! One handler for many threads.
//!
//! A mutex is held while a request is answered: a stat(2) of a file and the rendering of a header,
//! but no socket, so for microseconds. A site for each thread would need no lock, and would cache
//! each file once per thread. The cost is that one thread answers at a time, which shows on
//! machines with many processors, and that a slow disk is slow for all threads.

use crate::clock::Now;
use crate::handler::{Handler, Wrapper};
use crate::signals::Action;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often [`SharedHandler::into_inner`] tries, and how long it waits between two tries.
const INTO_INNER_TRIES: u32 = 100;
const INTO_INNER_WAIT: Duration = Duration::from_millis(1);

/// A handler that several threads share.
pub struct SharedHandler<H>(Arc<Mutex<Locked<H>>>);

struct Locked<H> {
    handler: H,
    /// To the timer thread: when to call the handler.
    wakeups: Option<Sender<Instant>>,
    /// The time that was last sent there.
    next_wakeup: Option<Instant>,
}

impl<H> SharedHandler<H> {
    /// Shares `handler` among the clones of this value.
    pub fn new(handler: H) -> Self {
        Self(Arc::new(Mutex::new(Locked {
            handler,
            wakeups: None,
            next_wakeup: None,
        })))
    }

    /// Returns the handler, unless a connection still has a clone.
    ///
    /// The timer thread and the thread that reopens the logs have one for a moment, which this
    /// waits for.
    pub fn into_inner(mut self) -> Option<H> {
        for _ in 0..INTO_INNER_TRIES {
            match Arc::try_unwrap(self.0) {
                Ok(mutex) => {
                    let inner = mutex.into_inner().unwrap_or_else(PoisonError::into_inner);
                    return Some(inner.handler);
                }
                Err(shared) => self.0 = shared,
            }
            thread::sleep(INTO_INNER_WAIT);
        }
        None
    }

    /// Starts a thread that calls [`Handler::end_iteration`] when it is due: the threads that share
    /// the handler sleep in their reads, and cannot. Without it the handler is called only when a
    /// client is served.
    #[must_use]
    pub fn with_timer_thread(self) -> Self
    where
        H: Handler + Send + 'static,
    {
        let (sender, receiver) = channel();
        let handler = Arc::downgrade(&self.0);
        let started = thread::Builder::new()
            .name("due".into())
            .spawn(move || run_timer(&handler, &receiver));
        match started {
            Ok(_) => self.lock().wakeups = Some(sender),
            Err(error) => log::warn!(
                "cannot start the thread that closes files: {error}; without clients, they stay \
                 open until SIGUSR1"
            ),
        }
        self
    }

    /// Returns a function that reopens the logs or reloads the configuration. It holds no clone.
    pub fn reloader(&self) -> impl Fn(Action) + Send + use<H>
    where
        H: Handler + Send + 'static,
    {
        let handler = Arc::downgrade(&self.0);
        move |action| match (handler.upgrade().map(Self), action) {
            (Some(mut handler), Action::Reload) => handler.reload(),
            (Some(mut handler), _) => handler.reopen_files(),
            (None, _) => {}
        }
    }

    /// Ignores poisoning: a panic under the lock has ended a connection, and the handler is between
    /// two requests.
    fn lock(&self) -> MutexGuard<'_, Locked<H>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls the handler at each time that it receives, until the handler is gone.
fn run_timer<H: Handler>(handler: &Weak<Mutex<Locked<H>>>, wakeups: &Receiver<Instant>) {
    for wakeup in wakeups {
        thread::sleep(wakeup.saturating_duration_since(Now::read().instant));
        let Some(handler) = handler.upgrade() else {
            return;
        };
        Wrapper::end_iteration(&mut SharedHandler(handler), Now::read());
    }
}

impl<H> Clone for SharedHandler<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<H: Handler> Wrapper for SharedHandler<H> {
    type Inner = H;

    fn with_inner<R>(&mut self, call: impl FnOnce(&mut H) -> R) -> R {
        call(&mut self.lock().handler)
    }

    fn end_iteration(&mut self, now: Now) -> Option<Instant> {
        let mut inner = self.lock();
        let due = inner.handler.end_iteration(now);
        if due != std::mem::replace(&mut inner.next_wakeup, due)
            && let (Some(wakeups), Some(due)) = (&inner.wakeups, due)
        {
            // The thread ends only when the handler does.
            let _ = wakeups.send(due);
        }
        due
    }
}
