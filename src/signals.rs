//! Signals: which are handled, which are ignored, and the action of each, for all models.
//!
//! The default action of most signals is to end the process (signal(7)). So each signal that
//! operators and systems send has a row:
//!
//! | Signal | Action |
//! |---|---|
//! | SIGTERM, SIGINT, SIGQUIT; SIGPWR (LXC); SIGXCPU (RLIMIT_CPU) | stop |
//! | SIGUSR1 | reopen the logs |
//! | SIGHUP with a configuration, certificates or users | read them again, and reopen the logs |
//! | SIGHUP with a log file | reopen it |
//! | SIGHUP without all of these | stop, unless it was ignored at the start (nohup(1)) |
//! | SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO | ignored |
//! | SIGPIPE, SIGXFSZ | ignored: the write fails with EPIPE or EFBIG instead |
//! | SIGTTIN, SIGTTOU | ignored: a background job may write to the terminal (`stty tostop`) |
//!
//! # Why the `unsafe` code is sound
//!
//! sigaction(2) with SIG_IGN installs no handler, and reads and writes local variables only.
//! signal-hook, which handles the other signals, cannot ignore one, and a handler in place of
//! SIG_IGN would make a write to a terminal under `stty tostop` restart without end.
#![allow(unsafe_code)]

use libc::c_int;
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use signal_hook::low_level::signal_name;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The action of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Stop: the first signal when all requests are answered, the second at once.
    Stop,
    /// Reopen the log files.
    ReopenFiles,
    /// Read the configuration again, and reopen the log files.
    Reload,
}

/// The signals that stop the server.
const STOP: &[c_int] = &[
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGXCPU,
    #[cfg(target_os = "linux")]
    libc::SIGPWR,
];

/// The signals that are ignored.
const IGNORED: &[c_int] = &[
    libc::SIGPIPE,
    libc::SIGXFSZ,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// What each signal does in this process.
#[derive(Clone, Copy, Debug)]
pub struct SignalPolicy {
    hangup: Action,
    /// SIGHUP was ignored at the start (nohup(1)), and stays so.
    ignores_hangup: bool,
}

impl SignalPolicy {
    /// Ignores the signals of the table. Called at the start, before anything is written to a file.
    /// `hangup` is what SIGHUP does.
    pub fn install(hangup: Action) -> Self {
        let is_stop = hangup == Action::Stop;
        let ignores_hangup = is_stop && disposition(libc::SIGHUP) == libc::SIG_IGN;
        for &signal in IGNORED {
            ignore(signal);
        }
        // The logs have just been opened, so a signal before the model handles it has no effect.
        ignore(libc::SIGUSR1);
        if !is_stop {
            ignore(libc::SIGHUP);
        }
        Self {
            hangup,
            ignores_hangup,
        }
    }

    /// The signals that a model handles.
    pub fn handled(self) -> impl Iterator<Item = c_int> {
        let hangup = (!self.ignores_hangup).then_some(libc::SIGHUP);
        STOP.iter().copied().chain([libc::SIGUSR1]).chain(hangup)
    }

    /// The action of one of [`handled`](Self::handled).
    pub fn action(self, signal: c_int) -> Action {
        match signal {
            libc::SIGUSR1 => Action::ReopenFiles,
            libc::SIGHUP => self.hangup,
            _ => Action::Stop,
        }
    }

    /// The action of a signal that has arrived, which is logged.
    pub fn receive(self, signal: c_int) -> Action {
        let name = signal_name(signal).unwrap_or("a signal");
        match signal {
            libc::SIGXCPU => log::warn!("{name}: the limit of CPU time is reached (ulimit -t)"),
            _ => log::info!("received {name}"),
        }
        self.action(signal)
    }
}

/// Where a loop gets its actions from.
pub enum ActionSource {
    /// It handles the signals of this policy.
    Signals(SignalPolicy),
    /// Another thread handles them, for several loops.
    Thread(ActionReceiver),
}

impl From<SignalPolicy> for ActionSource {
    fn from(policy: SignalPolicy) -> Self {
        Self::Signals(policy)
    }
}

/// Passes actions on to the loop of another thread.
#[derive(Debug)]
pub struct ActionSender(UnixStream);

/// The other end: an event source.
#[derive(Debug)]
pub struct ActionReceiver(UnixStream);

/// A socket from the thread that handles the signals to one loop. Each action is a byte.
///
/// # Errors
/// Those of socketpair(2).
pub fn action_channel() -> io::Result<(ActionSender, ActionReceiver)> {
    let (sender, receiver) = UnixStream::pair()?;
    Ok((ActionSender(sender), ActionReceiver(receiver)))
}

impl ActionSender {
    /// Sends an action. A loop that has ended gets none.
    pub fn send(&self, action: Action) {
        let byte = match action {
            Action::Stop => b's',
            Action::ReopenFiles => b'o',
            Action::Reload => b'r',
        };
        // It fails if the loop has ended, or has not looked at thousands of actions.
        let _ = (&self.0).write(&[byte]);
    }
}

/// The messages about a stop: one of each kind for all loops that share them.
#[derive(Debug)]
pub struct StopMessages {
    loops: usize,
    /// How many loops are stopping, and how many connections they had open.
    stopping: AtomicUsize,
    open: AtomicUsize,
    is_aborted: AtomicBool,
    /// Connections reset when the grace period was over.
    reset: AtomicUsize,
}

impl StopMessages {
    /// Those of this number of loops.
    pub fn of(loops: usize) -> Self {
        Self {
            loops,
            stopping: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            is_aborted: AtomicBool::new(false),
            reset: AtomicUsize::new(0),
        }
    }

    /// The number of loops that share them.
    pub fn loops(&self) -> usize {
        self.loops
    }

    /// A loop stops, and finishes what its `open` connections have begun. The last loop logs it.
    pub fn on_stop(&self, open: usize) {
        let open = open + self.open.fetch_add(open, Ordering::SeqCst);
        if self.stopping.fetch_add(1, Ordering::SeqCst) + 1 == self.loops {
            log_stop(open);
        }
    }

    /// A loop stops without finishing anything. The first one logs it.
    pub fn on_abort(&self) {
        if !self.is_aborted.swap(true, Ordering::SeqCst) {
            log_abort();
        }
    }

    /// A loop has reset `count` connections, because the grace period is over. It is logged at the
    /// end of the last loop.
    pub fn on_grace_over(&self, count: usize) {
        self.reset.fetch_add(count, Ordering::SeqCst);
    }
}

impl Drop for StopMessages {
    fn drop(&mut self) {
        log_grace_over(*self.reset.get_mut());
    }
}

/// Logs that the server stops, and finishes what its `open` connections have begun.
pub fn log_stop(open: usize) {
    log::info!("stopping; connections open: {open}");
}

/// Logs that the server stops without finishing anything.
pub fn log_abort() {
    log::warn!("stopping at once");
}

/// Logs that `count` connections are reset, because the grace period is over.
pub fn log_grace_over(count: usize) {
    if count > 0 {
        log::warn!("the grace period is over; connections closed: {count}");
    }
}

/// Handled signals as a descriptor, which is readable when one has arrived: the handler of a signal
/// writes a byte into a pair of sockets (the "self-pipe").
#[derive(Debug)]
pub struct SignalPipe(SignalDelivery<UnixStream, SignalOnly>);

impl SignalPipe {
    /// Handles the signals `handled`.
    ///
    /// # Errors
    /// Those of sigaction(2) and of socketpair(2).
    pub fn new(handled: impl Iterator<Item = c_int>) -> io::Result<Self> {
        let (read, write) = net::UnixStream::pair()?;
        read.set_nonblocking(true)?;
        let (read, write) = (UnixStream::from_std(read), OwnedFd::from(write));
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, handled)?;
        Ok(Self(delivery))
    }

    /// The signals that have arrived since the last call, each once.
    pub fn take(&mut self) -> impl Iterator<Item = c_int> + use<> {
        self.0.pending()
    }
}

impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_read().as_fd()
    }
}

/// Handled signals as an event source: the poll announces them, [`take`](Self::take) reads them.
pub struct SignalSource {
    signals: SignalPipe,
    token: Token,
}

impl SignalSource {
    /// Handles the signals `handled` and registers the source as `token`.
    ///
    /// # Errors
    /// Those of [`SignalPipe::new`], and of registering.
    pub fn new(
        handled: impl Iterator<Item = c_int>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut signals = SignalPipe::new(handled)?;
        registry.register(signals.0.get_read_mut(), token, Interest::READABLE)?;
        Ok(Self { signals, token })
    }

    /// The signals that have arrived since the last call, each once.
    ///
    /// The source is registered again first: it is read past mio, whose poll(2) selector announces
    /// a source again only after mio has seen a read of it. If that fails, the signals that have
    /// arrived are returned all the same.
    pub fn take(&mut self, registry: &Registry) -> impl Iterator<Item = c_int> + use<> {
        let source = self.signals.0.get_read_mut();
        let _ = registry.reregister(source, self.token, Interest::READABLE);
        self.signals.take()
    }
}

/// The actions of a loop as an event source: the poll announces them, [`take`](Self::take) reads
/// them.
pub enum Actions {
    /// From signals.
    Signals(SignalSource, SignalPolicy),
    /// From another thread.
    Thread(ActionReceiver),
}

impl Actions {
    /// Registers `source` as `token`.
    ///
    /// # Errors
    /// See [`SignalSource::new`].
    pub fn new(source: ActionSource, registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(match source {
            ActionSource::Signals(policy) => {
                let signals = SignalSource::new(policy.handled(), registry, token)?;
                Self::Signals(signals, policy)
            }
            ActionSource::Thread(mut receiver) => {
                registry.register(&mut receiver.0, token, Interest::READABLE)?;
                Self::Thread(receiver)
            }
        })
    }

    /// The actions that have arrived since the last call.
    pub fn take(&mut self, registry: &Registry) -> Vec<Action> {
        match self {
            Self::Signals(signals, policy) => {
                let signals = signals.take(registry);
                signals.map(|signal| policy.receive(signal)).collect()
            }
            Self::Thread(receiver) => {
                let mut bytes = Vec::new();
                let mut buf = [0; 64];
                while let Ok(length @ 1..) = receiver.0.read(&mut buf) {
                    bytes.extend(buf.iter().take(length));
                }
                let actions = bytes.into_iter().map(|byte| match byte {
                    b'o' => Action::ReopenFiles,
                    b'r' => Action::Reload,
                    _ => Action::Stop,
                });
                actions.collect()
            }
        }
    }
}

/// Ignores a signal, unless a library that was loaded before handles it (a profiler handles
/// SIGPROF).
fn ignore(signal: c_int) {
    if disposition(signal) != libc::SIG_DFL {
        return;
    }
    // SAFETY: see the module's text. All zeros are a sigaction without flags and mask.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = libc::SIG_IGN;
        libc::sigaction(signal, &raw const action, ptr::null_mut());
    }
}

/// The disposition of a signal: SIG_DFL, SIG_IGN or the address of a handler.
fn disposition(signal: c_int) -> libc::sighandler_t {
    // SAFETY: see the module's text. sigaction fails only for numbers that are no signals, and then
    // leaves the zeros, which are SIG_DFL.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        libc::sigaction(signal, ptr::null(), &raw mut action);
        action.sa_sigaction
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};
    use signal_hook::low_level::raise;
    use std::time::Duration;

    /// A signal that arrives outside poll(2) does not interrupt it: only the source announces it.
    /// Fails under poll(2) without the `reregister`.
    #[test]
    fn a_second_signal_is_announced_after_the_first_was_taken() {
        let mut poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let handled = std::iter::once(libc::SIGWINCH);
        let mut source = SignalSource::new(handled, &registry, Token(7)).unwrap();
        let mut events = Events::with_capacity(4);
        for _ in 0..3 {
            raise(libc::SIGWINCH).unwrap();
            poll.poll(&mut events, Some(Duration::from_secs(20)))
                .unwrap();
            let tokens: Vec<_> = events.iter().map(mio::event::Event::token).collect();
            assert_eq!(tokens, [Token(7)]);
            let taken: Vec<_> = source.take(&registry).collect();
            assert_eq!(taken, [libc::SIGWINCH]);
        }
    }
}
