//! A thread for each connection, and threads that are used again: Java's cached thread pool.
//!
//! What waits: each thread for its own connection, in read(2), as in [`thread`](super::thread).
//! When its connection has ended, it waits a few seconds for the next one, and only if none of the
//! others waits so is a thread started for a connection.
//! What a connection costs: as there, but for the start and the end of a thread: a handover to a
//! thread that waits, which is a lock and a wake-up.
//! Where it loses: with many connections that are mostly idle, each of which keeps a thread. What
//! is saved shows only where connections are short.
//!
//! The thread that has waited for the shortest time gets the next connection: its stack and its
//! buffers are the most likely to be in the processor's cache, and with little to do the others
//! end.

use super::acceptor::Acceptor;
use super::connection_runner::ConnectionRunner;
use super::control::Control;
use super::thread::{Task, accept_all, spawn, take};
use crate::handler::Handler;
use crate::limits::Limits;
use crate::probe::Probe;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a thread waits for its next connection.
const IDLE_TIME: Duration = Duration::from_secs(5);

/// Serves until a signal stops the server.
///
/// # Errors
/// A listening socket is broken.
pub fn run<H, P>(
    acceptor: Acceptor,
    handler: H,
    control: &Arc<Control>,
    limits: &Arc<Limits>,
    probe: &P,
) -> io::Result<()>
where
    H: Handler + Clone + Send + 'static,
    P: Probe + Clone + Send + 'static,
{
    let idle: Arc<IdleThreads<Task<H>>> = Arc::default();
    accept_all(acceptor, &handler, control, limits, |slot| {
        let Some(Err(task)) = take(slot).map(|task| idle.hand_over(task)) else {
            return Ok(());
        };
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        let (idle, control) = (idle.clone(), control.clone());
        let (limits, probe) = (limits.clone(), probe.clone());
        spawn(slot, move |first| {
            let mut runner = ConnectionRunner::new(limits, probe);
            let mut next = Some(first);
            while let Some(task) = next {
                let registration = task.serve(&mut runner, &control);
                // In this order: when a place is free for another connection, this thread is known
                // to be idle. So there are never more threads than connections are allowed.
                let wait = idle.register();
                drop(registration);
                next = wait.next(IDLE_TIME);
            }
        })
    })
}

/// The threads that wait for a task, the latest last.
struct IdleThreads<T>(Mutex<IdleList<T>>);

struct IdleList<T> {
    threads: Vec<(u64, SyncSender<T>)>,
    /// The number of the next wait.
    next: u64,
}

/// A thread that waits.
struct Wait<'i, T> {
    idle: &'i IdleThreads<T>,
    number: u64,
    tasks: Receiver<T>,
}

impl<T> Default for IdleThreads<T> {
    fn default() -> Self {
        Self(Mutex::new(IdleList {
            threads: Vec::new(),
            next: 0,
        }))
    }
}

impl<T> IdleThreads<T> {
    /// Gives the task to the thread that has waited for the shortest time. If none waits, returns
    /// the task.
    fn hand_over(&self, task: T) -> Result<(), T> {
        // In a statement of its own: the thread that wakes may need the lock.
        let waiting = self.lock().threads.pop();
        match waiting {
            Some((_, thread)) => thread.send(task).map_err(|unsent| unsent.0),
            None => Err(task),
        }
    }

    /// Puts this thread on the list.
    fn register(&self) -> Wait<'_, T> {
        let (sender, tasks) = sync_channel(1);
        let mut list = self.lock();
        let number = list.next;
        list.next += 1;
        list.threads.push((number, sender));
        Wait {
            idle: self,
            number,
            tasks,
        }
    }

    fn lock(&self) -> MutexGuard<'_, IdleList<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Wait<'_, T> {
    /// Waits for a task, for at most `timeout`.
    fn next(self, timeout: Duration) -> Option<T> {
        if let Ok(task) = self.tasks.recv_timeout(timeout) {
            return Some(task);
        }
        let mut list = self.idle.lock();
        let count = list.threads.len();
        list.threads.retain(|(number, _)| *number != self.number);
        let is_taken = list.threads.len() == count;
        drop(list);
        // A task is on its way.
        is_taken.then(|| self.tasks.recv().ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_that_waits_for_the_shortest_time_gets_the_task() {
        let idle = IdleThreads::default();
        assert_eq!(idle.hand_over(1), Err(1));
        let (first, second) = (idle.register(), idle.register());
        assert_eq!(idle.hand_over(2), Ok(()));
        assert_eq!(second.next(Duration::ZERO), Some(2));
        assert_eq!(idle.hand_over(3), Ok(()));
        assert_eq!(first.next(Duration::ZERO), Some(3));
        assert_eq!(idle.hand_over(4), Err(4));
    }

    /// Fails if a thread that has waited in vain stays on the list.
    #[test]
    fn a_thread_that_has_waited_in_vain_gets_no_task() {
        let idle = IdleThreads::<u8>::default();
        assert_eq!(idle.register().next(Duration::ZERO), None);
        assert_eq!(idle.hand_over(1), Err(1));
    }

    /// Fails if a thread whose time is over forgets the task that it has been given.
    #[test]
    fn a_task_that_is_handed_over_at_the_last_moment_is_not_lost() {
        let idle = IdleThreads::default();
        let wait = idle.register();
        let (_, sender) = idle.lock().threads.pop().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| wait.next(Duration::ZERO));
            std::thread::sleep(Duration::from_millis(20));
            sender.send(5).unwrap();
            assert_eq!(waiting.join().unwrap(), Some(5));
        });
    }
}
