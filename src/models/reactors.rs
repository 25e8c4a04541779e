//! N reactors, each in a thread of its own: nginx's workers, memcached, and every server that has a
//! loop for each processor.
//!
//! What waits: each of N threads in its own poll, for its own connections. A thread has listening
//! sockets, a handler, caches and a part of the connection limit of its own, and shares nothing
//! with the others but the access log's queue, the compressed files of `--compress`, what is known
//! of passwords, and the signals. So the reactor is the same, and knows nothing of the others.
//! What a connection costs: as in the [`reactor`](crate::reactor). The kernel chooses its thread
//! when it arrives (SO_REUSEPORT, socket(7)), by a hash of addresses and ports, and it stays there.
//! Where it loses: the hash knows no load. What blocks a loop blocks all of its connections, also
//! while other loops sleep, and one loop may be full while others are not. A file is cached once
//! for each loop.
//!
//! The main thread handles the signals, because each is meant for all loops at once: with a handler
//! in each loop, two signals in a row could be one for a loop that is busy, and two for another.

use crate::signals::{Action, ActionReceiver, ActionSender, SignalPolicy, action_channel};
use signal_hook::iterator::{Handle, Signals};
use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// What a loop does in its thread, from its first poll to its end.
pub type Run = Box<dyn FnOnce() -> io::Result<()>>;

/// Loops in threads of their own.
pub struct Reactors {
    signals: Signals,
    policy: SignalPolicy,
    loops: Vec<Loop>,
    running: Arc<AtomicUsize>,
    results: (Sender<io::Result<()>>, Receiver<io::Result<()>>),
}

/// How the main thread reaches a loop.
struct Loop {
    actions: ActionSender,
    /// Starts it. When this is dropped first, its thread ends.
    start: Sender<()>,
}

impl Reactors {
    /// None yet. Handles the signals of `policy`.
    ///
    /// # Errors
    /// A signal handler cannot be set.
    pub fn new(policy: SignalPolicy) -> io::Result<Self> {
        Ok(Self {
            signals: Signals::new(policy.handled())?,
            policy,
            loops: Vec::new(),
            running: Arc::default(),
            results: channel(),
        })
    }

    /// Starts a thread, in which `build` makes a loop, and waits until that is done. The loop gets
    /// its actions from the argument of `build`. It runs from [`run`](Self::run) on.
    ///
    /// # Errors
    /// With a sentence for the user: there is no thread or socket, or `build` has failed.
    pub fn add<E: Display>(
        &mut self,
        build: impl FnOnce(ActionReceiver) -> Result<Run, E> + Send + 'static,
    ) -> Result<(), String> {
        let (actions, receiver) = action_channel().map_err(|error| error.to_string())?;
        let (start, started) = channel();
        let (built, is_built) = channel();
        let results = self.results.0.clone();
        self.running.fetch_add(1, Ordering::SeqCst);
        let ending = Ending {
            running: self.running.clone(),
            signals: self.signals.handle(),
        };
        let thread = thread::Builder::new().name("loop".into());
        let spawned = thread.spawn(move || {
            let ending = ending;
            let run = match build(receiver) {
                Ok(run) => run,
                Err(error) => return drop(built.send(Err(error.to_string()))),
            };
            drop(built.send(Ok(())));
            if started.recv().is_ok() {
                let result = run();
                let is_ok = result.is_ok();
                // The main thread waits for it, unless another loop has failed.
                drop(results.send(result));
                if !is_ok {
                    ending.signals.close();
                }
            }
        });
        spawned.map_err(|error| {
            format!("cannot start the thread of a loop: {error} (raise: ulimit -u)")
        })?;
        self.loops.push(Loop { actions, start });
        is_built
            .recv()
            .unwrap_or_else(|_| Err("the thread of a loop has ended".to_owned()))
    }

    /// Serves until a signal stops it. `prepare` gets each action before the loops, and returns
    /// what they do.
    ///
    /// # Errors
    /// The poll or a listening socket of a loop is broken, or a loop has panicked.
    pub fn run(mut self, mut prepare: impl FnMut(Action) -> Action) -> io::Result<()> {
        for one in &self.loops {
            // It waits for this.
            let _ = one.start.send(());
        }
        // Until the last loop has ended, or one has failed.
        for signal in self.signals.forever() {
            let action = prepare(self.policy.receive(signal));
            self.loops.iter().for_each(|one| one.actions.send(action));
        }
        let ended = self.results.1.try_iter().collect::<io::Result<Vec<()>>>()?;
        match ended.len() == self.loops.len() {
            true => Ok(()),
            false => Err(io::Error::other("the thread of a loop has panicked")),
        }
    }
}

/// Dropped when a thread ends: the last one, and one that panics, end the wait for signals.
struct Ending {
    running: Arc<AtomicUsize>,
    signals: Handle,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.running.fetch_sub(1, Ordering::SeqCst) == 1 || thread::panicking() {
            self.signals.close();
        }
    }
}

/// The part of `total` that the loop number `index` of `loops` has. The parts add up to it.
pub fn part(total: usize, loops: usize, index: usize) -> usize {
    let (each, rest) = (total / loops, total % loops);
    each + usize::from(index < rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_limit_add_up_to_it_and_differ_by_one_at_most() {
        for (total, loops) in [(10, 3), (4, 4), (16_000, 7)] {
            let parts: Vec<_> = (0..loops).map(|index| part(total, loops, index)).collect();
            assert_eq!(parts.iter().sum::<usize>(), total);
            assert!(parts[0] - parts[loops - 1] <= 1);
        }
    }
}
