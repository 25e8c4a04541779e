//! Handlers that many threads share.
//!
//! Behind one mutex, one thread answers at a time. A handler for each thread would need no lock,
//! and would cache each file once per thread. So there are a few handlers, each behind a mutex of
//! its own. A call takes one that is free: the thread's own, or another one if that is in use. A
//! thread waits for a mutex only when all handlers are in use, as when each of them opens a file on
//! a slow disk.
//!
//! What is left is the cost of a lock that is free: one atomic operation to take it and one to give
//! it back, three times for each response, and no system call.
//!
//! A call may take another handler than the one before. So each call ends the iteration of its
//! handler before it gives it back: the lines of the log are queued in the order of the calls.

use crate::clock::Now;
use crate::connection::{CloseReason, Counts};
use crate::handler::{Handler, ListenerInfo};
use crate::http::request::{Refusal, Request};
use crate::http::response::Response;
use crate::notifier::Notifier;
use crate::signals::Action;
use std::iter;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often [`SharedHandler::into_inner`] tries, and how long it waits between two tries.
const INTO_INNER_TRIES: u32 = 100;
const INTO_INNER_WAIT: Duration = Duration::from_millis(1);

/// Handlers that several threads share. Each thread has a clone.
pub struct SharedHandler<H> {
    all: Arc<All<H>>,
    /// The number of the handler that this clone tries first.
    own: usize,
}

struct All<H> {
    first: Mutex<Locked<H>>,
    others: Vec<Mutex<Locked<H>>>,
    /// How many clones were made.
    clones: AtomicUsize,
}

struct Locked<H> {
    handler: H,
    /// To the timer thread: when to call the handler.
    wakeups: Option<Sender<Instant>>,
    /// The time that was last sent there.
    next_wakeup: Option<Instant>,
}

impl<H> SharedHandler<H> {
    /// Shares the handlers among the clones of this value. Any of them may answer any request.
    pub fn new(first: H, others: Vec<H>) -> Self {
        let locked = |handler| {
            Mutex::new(Locked {
                handler,
                wakeups: None,
                next_wakeup: None,
            })
        };
        let all = Arc::new(All {
            first: locked(first),
            others: others.into_iter().map(locked).collect(),
            clones: AtomicUsize::new(0),
        });
        Self { all, own: 0 }
    }

    /// Returns the handlers, unless a connection still has a clone.
    ///
    /// The timer thread and the thread that reopens the logs have one for a moment, which this
    /// waits for.
    pub fn into_inner(mut self) -> Option<(H, Vec<H>)> {
        let inner = |mutex: Mutex<Locked<H>>| {
            let inner = mutex.into_inner().unwrap_or_else(PoisonError::into_inner);
            inner.handler
        };
        for _ in 0..INTO_INNER_TRIES {
            match Arc::try_unwrap(self.all) {
                Ok(All { first, others, .. }) => {
                    return Some((inner(first), others.into_iter().map(inner).collect()));
                }
                Err(all) => self.all = all,
            }
            thread::sleep(INTO_INNER_WAIT);
        }
        None
    }

    /// Starts a thread that calls [`Handler::end_iteration`] when it is due: the threads that share
    /// the handlers sleep in their reads, and cannot. Without it a handler is called only when a
    /// client is served.
    #[must_use]
    pub fn with_timer_thread(self) -> Self
    where
        H: Handler + Send + 'static,
    {
        let (sender, receiver) = channel();
        let all = Arc::downgrade(&self.all);
        let started = thread::Builder::new()
            .name("due".into())
            .spawn(move || run_timer(&all, &receiver));
        match started {
            Ok(_) => {
                for mut locked in self.all.lock() {
                    locked.wakeups = Some(sender.clone());
                }
            }
            Err(error) => log::warn!(
                "cannot start the thread that closes files: {error}; without clients, they stay \
                 open until SIGUSR1"
            ),
        }
        self
    }

    /// Returns a function that reopens the logs or reloads the configuration: for all handlers at
    /// once, so that no client gets the new configuration and then the old one. Meanwhile it calls
    /// `prepare`, which returns what the handlers do. It holds no clone.
    pub fn reloader<F>(&self, prepare: F) -> impl Fn(Action) + Send + use<H, F>
    where
        H: Handler + Send + 'static,
        F: Fn(Action) -> Action + Send,
    {
        let all = Arc::downgrade(&self.all);
        move |action| {
            let Some(all) = all.upgrade() else {
                return;
            };
            let locked = all.lock();
            let action = prepare(action);
            for mut locked in locked {
                match action {
                    Action::Reload => locked.handler.reload(),
                    _ => locked.handler.reopen_files(),
                }
            }
        }
    }

    /// A handler that is free, or the own one, after waiting for it.
    fn lock(&self) -> MutexGuard<'_, Locked<H>> {
        let all = || self.all.iter();
        let mut in_order = all().skip(self.own).chain(all().take(self.own));
        in_order.find_map(try_lock).unwrap_or_else(|| {
            let own = all().nth(self.own);
            lock(own.unwrap_or(&self.all.first))
        })
    }
}

impl<H> All<H> {
    fn iter(&self) -> impl Iterator<Item = &Mutex<Locked<H>>> {
        iter::once(&self.first).chain(&self.others)
    }

    /// Waits for all of them, in this order. A thread that answers has only one at a time.
    fn lock(&self) -> Vec<MutexGuard<'_, Locked<H>>> {
        self.iter().map(lock).collect()
    }
}

/// Ignores poisoning: a panic under the lock has ended a connection, and the handler is between two
/// requests.
fn lock<H>(mutex: &Mutex<Locked<H>>) -> MutexGuard<'_, Locked<H>> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `None`: it is in use.
fn try_lock<H>(mutex: &Mutex<Locked<H>>) -> Option<MutexGuard<'_, Locked<H>>> {
    match mutex.try_lock() {
        Ok(locked) => Some(locked),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Calls the handlers at each time that it receives, until they are gone.
fn run_timer<H: Handler>(all: &Weak<All<H>>, wakeups: &Receiver<Instant>) {
    for wakeup in wakeups {
        thread::sleep(wakeup.saturating_duration_since(Now::read().instant));
        let Some(all) = all.upgrade() else {
            return;
        };
        for mutex in all.iter() {
            lock(mutex).end_iteration(Now::read());
        }
    }
}

impl<H> Clone for SharedHandler<H> {
    fn clone(&self) -> Self {
        let clones = self.all.clones.fetch_add(1, Ordering::Relaxed);
        Self {
            all: self.all.clone(),
            own: clones % (1 + self.all.others.len()),
        }
    }
}

impl<H: Handler> Locked<H> {
    fn end_iteration(&mut self, now: Now) {
        let due = self.handler.end_iteration(now);
        if due != std::mem::replace(&mut self.next_wakeup, due)
            && let (Some(wakeups), Some(due)) = (&self.wakeups, due)
        {
            // The thread ends only when the handlers do.
            let _ = wakeups.send(due);
        }
    }
}

impl<H: Handler> SharedHandler<H> {
    /// Calls a handler, and ends its iteration.
    fn call<R>(&self, now: Now, call: impl FnOnce(&mut H) -> R) -> R {
        let mut locked = self.lock();
        let result = call(&mut locked.handler);
        locked.end_iteration(now);
        result
    }
}

impl<H: Handler> Handler for SharedHandler<H> {
    type State = H::State;

    fn on_connect(&mut self, listener: ListenerInfo, peer: Option<IpAddr>) -> H::State {
        self.lock().handler.on_connect(listener, peer)
    }

    fn on_client(&mut self, state: &mut H::State, client: IpAddr) {
        self.lock().handler.on_client(state, client);
    }

    fn is_ready(
        &mut self,
        state: &mut H::State,
        request: &Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> bool {
        self.call(now, |handler| handler.is_ready(state, request, now))
    }

    fn notifier(&mut self) -> Option<Arc<Notifier>> {
        self.lock().handler.notifier()
    }

    fn respond(
        &mut self,
        state: &mut H::State,
        request: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        self.call(now, |handler| handler.respond(state, request, now))
    }

    fn log_request(
        &mut self,
        state: &mut H::State,
        request: &Result<Request<'_>, Refusal<'_>>,
        response: &Response,
        now: Now,
    ) {
        self.call(now, |handler| {
            handler.log_request(state, request, response, now);
        });
    }

    fn on_body_taken(&mut self, state: &mut H::State, body_bytes: u64, now: Now) {
        self.call(now, |handler| handler.on_body_taken(state, body_bytes, now));
    }

    fn on_close(&mut self, state: H::State, reason: CloseReason, counts: Counts, now: Now) {
        self.call(now, |handler| handler.on_close(state, reason, counts, now));
    }

    /// Each call has ended its own, and the timer thread calls what is due.
    fn end_iteration(&mut self, _: Now) -> Option<Instant> {
        None
    }

    fn reopen_files(&mut self) {
        for mut locked in self.all.lock() {
            locked.handler.reopen_files();
        }
    }

    fn reload(&mut self) {
        for mut locked in self.all.lock() {
            locked.handler.reload();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fields::FieldLines;
    use crate::http::status::Status;

    /// What a handler was called for, with its number.
    type Call = (usize, &'static str);

    /// Reports its calls. At the request line `wait` it answers when it is released: with 200, or
    /// with 503 after a minute.
    struct Reporting {
        number: usize,
        calls: Sender<Call>,
        released: Receiver<()>,
        due: Option<Instant>,
    }

    impl Reporting {
        fn report(&self, call: &'static str) {
            let _ = self.calls.send((self.number, call));
        }
    }

    impl Handler for Reporting {
        type State = ();

        fn on_connect(&mut self, _: ListenerInfo, _: Option<IpAddr>) {}

        fn respond(
            &mut self,
            (): &mut (),
            request: Result<Request<'_>, Refusal<'_>>,
            _: Now,
        ) -> Response {
            self.report("respond");
            let must_wait = request.is_err_and(|refusal| refusal.line == b"wait");
            let is_released =
                !must_wait || self.released.recv_timeout(Duration::from_secs(60)).is_ok();
            let status = match is_released {
                true => Status::Ok,
                false => Status::ServiceUnavailable,
            };
            Response::new(status, Arc::new(FieldLines::new()))
        }

        fn end_iteration(&mut self, _: Now) -> Option<Instant> {
            self.report("end");
            self.due
        }

        fn reopen_files(&mut self) {
            self.report("reopen");
        }

        fn reload(&mut self) {
            self.report("reload");
        }
    }

    /// Shares `count` handlers. Returns what reports their calls, and what releases each of them.
    fn share(count: usize) -> (SharedHandler<Reporting>, Receiver<Call>, Vec<Sender<()>>) {
        let (calls, receiver) = channel();
        let (mut handlers, mut releases) = (Vec::new(), Vec::new());
        for number in 0..count {
            let (release, released) = channel();
            releases.push(release);
            handlers.push(Reporting {
                number,
                calls: calls.clone(),
                released,
                due: None,
            });
        }
        let first = handlers.remove(0);
        (SharedHandler::new(first, handlers), receiver, releases)
    }

    fn respond(handler: &mut SharedHandler<Reporting>, line: &[u8]) -> Status {
        let refusal = Refusal {
            status: Status::BadRequest,
            why: "",
            line,
        };
        handler.respond(&mut (), Err(refusal), Now::read()).status
    }

    /// The first thread answers only when all others have been answered. Fails with one handler,
    /// and if a thread waits for its own handler while another one is free.
    #[test]
    fn while_a_handler_is_in_use_the_others_answer_whichever_thread_calls() {
        let (shared, calls, releases) = share(2);
        let mut slow = shared.clone();
        let slow = thread::spawn(move || respond(&mut slow, b"wait"));
        let (in_use, _) = calls.recv().unwrap();
        for _ in 0..4 {
            assert_eq!(respond(&mut shared.clone(), b""), Status::Ok);
            assert_eq!(calls.recv(), Ok((1 - in_use, "respond")));
            assert_eq!(calls.recv(), Ok((1 - in_use, "end")));
        }
        releases[in_use].send(()).unwrap();
        assert_eq!(slow.join().unwrap(), Status::Ok);
        assert_eq!(calls.recv(), Ok((in_use, "end")));
    }

    #[test]
    fn the_clones_begin_with_different_handlers_and_stay_with_them() {
        let (shared, calls, _releases) = share(3);
        let mut clones = [(); 6].map(|()| shared.clone());
        let mut handlers = || {
            for clone in &mut clones {
                respond(clone, b"");
            }
            let answers = calls.try_iter().filter(|(_, call)| *call == "respond");
            answers.map(|(number, _)| number).collect::<Vec<_>>()
        };
        assert_eq!(handlers(), [0, 1, 2, 0, 1, 2]);
        assert_eq!(handlers(), [0, 1, 2, 0, 1, 2]);
    }

    /// Fails if a handler is free again before all of them are loaded.
    #[test]
    fn a_signal_reaches_all_handlers_and_none_answers_meanwhile() {
        let (shared, calls, _releases) = share(2);
        let (all, reported) = (shared.all.clone(), shared.all.clone());
        let reload = shared.reloader(move |action| {
            assert!(all.iter().all(|one| try_lock(one).is_none()));
            action
        });
        for (action, call) in [(Action::Reload, "reload"), (Action::ReopenFiles, "reopen")] {
            reload(action);
            assert_eq!(calls.try_iter().collect::<Vec<_>>(), [(0, call), (1, call)]);
        }
        assert!(reported.iter().all(|one| try_lock(one).is_some()));
    }

    /// No client is served.
    #[test]
    fn the_timer_thread_ends_the_iteration_of_each_handler() {
        let (mut shared, calls, _releases) = share(2);
        let due = Some(Now::read().instant);
        let all = Arc::get_mut(&mut shared.all).unwrap();
        all.first.get_mut().unwrap().handler.due = due;
        let mut shared = shared.with_timer_thread();
        respond(&mut shared, b"");
        let expected = [(0, "respond"), (0, "end"), (0, "end"), (1, "end")];
        for call in expected {
            assert_eq!(calls.recv_timeout(Duration::from_secs(60)), Ok(call));
        }
        drop(calls);
        assert!(shared.into_inner().is_some());
    }
}
