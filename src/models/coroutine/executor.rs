//! Who runs next, when the connections are futures: all that a runtime needs.
//!
//! A task is a future and a place in a table. Its waker knows the place, and puts it on the run
//! queue once; a turn polls everybody who was on the queue when it began. What wakes a task (an
//! event, a deadline, a signal) is not decided here.

use slab::Slab;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// All tasks of one thread.
#[derive(Default)]
pub struct Executor {
    tasks: Slab<Task>,
    runnable: Arc<Mutex<VecDeque<usize>>>,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    ticket: Arc<Ticket>,
}

/// What a waker holds. Wakers may travel to other threads, though ours do not: hence the lock,
/// which nobody ever waits for, and no `unsafe`.
struct Ticket {
    key: usize,
    is_queued: AtomicBool,
    runnable: Arc<Mutex<VecDeque<usize>>>,
}

impl Wake for Ticket {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            let mut runnable = self.runnable.lock().unwrap_or_else(PoisonError::into_inner);
            runnable.push_back(self.key);
        }
    }
}

impl Executor {
    /// Takes a task in. It runs in the coming turn.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
        let place = self.tasks.vacant_entry();
        let ticket = Arc::new(Ticket {
            key: place.key(),
            is_queued: AtomicBool::new(false),
            runnable: self.runnable.clone(),
        });
        place.insert(Task {
            future: Box::pin(future),
            ticket: ticket.clone(),
        });
        ticket.wake();
    }

    /// Whether somebody could run at once.
    pub fn has_runnable(&self) -> bool {
        self.queued() > 0
    }

    /// Polls each task that is runnable now, once.
    pub fn turn(&mut self) {
        for _ in 0..self.queued() {
            let Some(key) = self.next() else { break };
            let Some(task) = self.tasks.get_mut(key) else {
                continue;
            };
            task.ticket.is_queued.store(false, Ordering::Relaxed);
            let waker = Waker::from(task.ticket.clone());
            let mut context = Context::from_waker(&waker);
            if task.future.as_mut().poll(&mut context).is_ready() {
                // A waker of it that is still about wakes its successor, which does no harm.
                self.tasks.try_remove(key);
            }
        }
    }

    fn queued(&self) -> usize {
        let runnable = self.runnable.lock();
        runnable.unwrap_or_else(PoisonError::into_inner).len()
    }

    fn next(&self) -> Option<usize> {
        let runnable = self.runnable.lock();
        runnable.unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}
