//! The executor: which coroutine runs next.
//!
//! A task is a future with a key in a table. Its waker puts that key on the run queue, once. A run
//! polls each task that was on the queue when the run began. What wakes a task (an event, a
//! deadline, a signal) is decided elsewhere.

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
    waker: Arc<TaskWaker>,
}

/// The waker of a task. Wakers may be sent to other threads, which ours are not. Hence the lock,
/// which is never contended, and no `unsafe`.
struct TaskWaker {
    key: usize,
    is_queued: AtomicBool,
    runnable: Arc<Mutex<VecDeque<usize>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            let mut runnable = self.runnable.lock().unwrap_or_else(PoisonError::into_inner);
            runnable.push_back(self.key);
        }
    }
}

impl Executor {
    /// Adds a task. It is polled in the next run.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
        let entry = self.tasks.vacant_entry();
        let waker = Arc::new(TaskWaker {
            key: entry.key(),
            is_queued: AtomicBool::new(false),
            runnable: self.runnable.clone(),
        });
        entry.insert(Task {
            future: Box::pin(future),
            waker: waker.clone(),
        });
        waker.wake();
    }

    /// Whether a task is runnable.
    pub fn has_runnable(&self) -> bool {
        self.queued() > 0
    }

    /// Polls each task that is runnable now, once.
    pub fn run(&mut self) {
        for _ in 0..self.queued() {
            let Some(key) = self.next() else { break };
            let Some(task) = self.tasks.get_mut(key) else {
                continue;
            };
            task.waker.is_queued.store(false, Ordering::Relaxed);
            let waker = Waker::from(task.waker.clone());
            let mut context = Context::from_waker(&waker);
            if task.future.as_mut().poll(&mut context).is_ready() {
                // A waker of it that still exists wakes the next task with this key, which does no
                // harm.
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
