//! Level-triggered loops: the reactor's loop, with another wait.
//!
//! What waits: one thread, in epoll_wait(2) without EPOLLET, in poll(2) or in select(2), for all
//! connections. A wait reports a descriptor for as long as it is ready, and not only once. So no
//! wake-up can be lost: a connection that stops before its socket would block is reported again.
//! What a connection costs: what it costs in the reactor. poll(2) and select(2) also pass and
//! search all descriptors in each wait, which epoll(7) keeps in the kernel.
//! Where it loses: a loop that watches for something that it does not use never sleeps. While a
//! connection sends, unread requests must not be reported; while its handler computes, nothing at
//! all; and no listener while accepting pauses. So what a descriptor is watched for changes, with
//! epoll by a system call each time. With edges, one registration for both directions is enough.
//!
//! What a connection waits for is what its socket has refused: `socket` records it, and `watcher`
//! passes it to a selector: `epoll`, `poll` or `select`. This file is the loop.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll;
mod poll;
mod select;
mod socket;
mod watcher;

use crate::clock::Now;
use crate::event_loop::engine::{Engine, Flow};
use crate::event_loop::poller::EventTarget;
use crate::handler::Handler;
use crate::limits::Limits;
use crate::listen::open::BoundListener;
use crate::listen::socket::ListenerSocket;
use crate::probe::{EventFlags, Probe};
use crate::signals::SignalPolicy;
use crate::tls::{OverSocket, PlainOrTls};
use socket::LevelSocket;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;
use watcher::Watcher;

pub use select::MAX_DESCRIPTORS as MAX_SELECT_DESCRIPTORS;

/// The system call that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// epoll_wait(2), without EPOLLET.
    Epoll,
    /// poll(2).
    Poll,
    /// select(2).
    Select,
}

/// For what a descriptor is watched. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Whether a receive or an accept would not block.
    pub reading: bool,
    /// Whether a send would not block.
    pub writing: bool,
}

impl Interest {
    /// Not watched. An error or a hang-up is not reported either.
    pub const NOTHING: Self = Self {
        reading: false,
        writing: false,
    };
    /// Reading alone.
    pub const READING: Self = Self {
        reading: true,
        writing: false,
    };
}

/// Waits until descriptors are ready. Each is known by its number.
trait Selector {
    /// Watches `fd` for `after` from now on. So far it was watched for `before`, which is something
    /// else.
    ///
    /// # Errors
    /// Those of the system. `fd` is not watched.
    fn set(&mut self, fd: BorrowedFd<'_>, before: Interest, after: Interest) -> io::Result<()>;

    /// `fd`, which was watched for `before`, is about to be closed.
    fn remove(&mut self, fd: BorrowedFd<'_>, before: Interest);

    /// Waits until a descriptor is ready, for at most `timeout`, a whole number of milliseconds.
    /// Adds those that are ready to `ready`; one may be there twice.
    ///
    /// # Errors
    /// Those of the system, EINTR among them.
    fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Vec<(RawFd, EventFlags)>,
    ) -> io::Result<()>;
}

impl Wait {
    fn selector(self, limits: &Limits) -> io::Result<Box<dyn Selector>> {
        Ok(match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Epoll => Box::new(epoll::Epoll::new(limits.events_per_poll)?),
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            Self::Epoll => {
                let what = "this system has no epoll (try: --model poll)";
                return Err(io::Error::new(io::ErrorKind::Unsupported, what));
            }
            Self::Poll => Box::new(poll::Poll::default()),
            Self::Select => Box::new(select::Select::default()),
        })
    }
}

/// The transport of all connections. The reactor has plain sockets where no listener has a layer,
/// which saves it a branch for each call.
type Transport = PlainOrTls<LevelSocket>;

/// One loop with its sockets.
pub struct LevelTriggered<H: Handler, P = ()> {
    watcher: Watcher,
    engine: Engine<ListenerSocket, Transport, H, P>,
}

impl<H: Handler, P: Probe> LevelTriggered<H, P> {
    /// Makes a loop that accepts from `listeners` and is observed by `probe`. It handles the
    /// signals of `policy`.
    ///
    /// # Errors
    /// Those of epoll_create(2) and of sigaction(2). The system has no epoll. A listener has a
    /// descriptor that select(2) cannot watch.
    pub fn new(
        wait: Wait,
        listeners: Vec<BoundListener>,
        handler: H,
        limits: Arc<Limits>,
        policy: SignalPolicy,
        probe: P,
    ) -> io::Result<Self> {
        let (watcher, sockets) = Watcher::new(wait.selector(&limits)?, listeners, policy)?;
        let engine = Engine::new(sockets, handler, limits, probe);
        Ok(Self { watcher, engine })
    }

    /// Serves until a signal stops it. Returns the handler: it may have something to close.
    ///
    /// # Errors
    /// The wait or a listening socket is broken.
    pub fn run(mut self) -> io::Result<H> {
        loop {
            // A listener at which a connection waits already is not watched: it would end every
            // wait while accepting pauses.
            for (id, socket, has_waiting) in self.engine.listeners() {
                self.watcher.watch_listener(id, socket, !has_waiting)?;
            }
            let timeout = self.engine.begin_poll(Now::read());
            let outcome = self.watcher.wait(timeout)?;
            let now = Now::read();
            let events = self.watcher.ready.len();
            self.engine.end_poll(now, timeout, outcome, events);
            // Signals come last, so that what arrived before a signal is marked.
            if self.mark()? && self.handle_signals(now).is_break() {
                break;
            }
            if (self.engine.run_phases(now, &mut self.watcher)?).is_break() {
                break;
            }
        }
        Ok(self.engine.into_handler())
    }

    /// Marks what is ready. Returns whether signals have arrived.
    fn mark(&mut self) -> io::Result<bool> {
        let mut has_signals = false;
        let ready = std::mem::take(&mut self.watcher.ready);
        for &(fd, flags) in &ready {
            match self.watcher.target(fd) {
                Some(EventTarget::Signals) => has_signals = true,
                Some(EventTarget::Handler) => {
                    self.watcher.take_notifications();
                    self.engine.mark_handler_ready();
                }
                Some(EventTarget::Listener(id)) => self.engine.mark_listener_ready(id),
                Some(EventTarget::Connection(key)) => {
                    let is_held = self.engine.is_held();
                    if let Some(transport) = self.engine.mark_ready(key, || flags) {
                        let socket = transport.socket_mut();
                        socket.on_ready(flags);
                        // It may not run before the hold ends, and would end every wait. It is on
                        // the run queue, and is watched again when it has run.
                        if is_held {
                            (self.watcher).watch_connection(socket, Interest::NOTHING)?;
                        }
                    }
                }
                None => debug_assert!(false, "descriptor {fd} is not watched"),
            }
        }
        self.watcher.ready = ready;
        Ok(has_signals)
    }

    fn handle_signals(&mut self, now: Now) -> Flow {
        for action in self.watcher.take_signals() {
            (self.engine).handle_signal(action, now, &mut self.watcher)?;
        }
        Flow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::{AsFd, AsRawFd};
    use std::os::unix::net::UnixStream;

    const WRITING: Interest = Interest {
        reading: false,
        writing: true,
    };
    const BOTH: Interest = Interest {
        reading: true,
        writing: true,
    };

    fn selectors() -> Vec<(&'static str, Box<dyn Selector>)> {
        let limits = Limits::default();
        vec![
            #[cfg(target_os = "linux")]
            ("epoll", Wait::Epoll.selector(&limits).unwrap()),
            ("poll", Wait::Poll.selector(&limits).unwrap()),
            ("select", Wait::Select.selector(&limits).unwrap()),
        ]
    }

    /// Whether `fd` is reported as readable and as writable, without waiting.
    fn ready(selector: &mut dyn Selector, fd: &UnixStream) -> (bool, bool) {
        let mut ready = Vec::new();
        selector.wait(Some(Duration::ZERO), &mut ready).unwrap();
        assert!(ready.iter().all(|(one, _)| *one == fd.as_raw_fd()));
        let flags = ready.iter().map(|(_, flags)| flags);
        (
            flags.clone().any(|flags| flags.is_readable),
            flags.clone().any(|flags| flags.is_writable),
        )
    }

    #[test]
    fn what_is_ready_is_reported_in_every_wait_and_only_what_is_watched_for() {
        for (name, mut selector) in selectors() {
            let selector = &mut *selector;
            let (mut socket, mut peer) = UnixStream::pair().unwrap();
            let fd = &socket.try_clone().unwrap();
            selector
                .set(fd.as_fd(), Interest::NOTHING, Interest::READING)
                .unwrap();
            assert_eq!(ready(selector, fd), (false, false), "{name}");
            peer.write_all(b"x").unwrap();
            for _ in 0..3 {
                assert_eq!(ready(selector, fd), (true, false), "{name}");
            }
            selector.set(fd.as_fd(), Interest::READING, BOTH).unwrap();
            assert_eq!(ready(selector, fd), (true, true), "{name}");
            selector.set(fd.as_fd(), BOTH, WRITING).unwrap();
            for _ in 0..3 {
                assert_eq!(ready(selector, fd), (false, true), "{name}");
            }
            let reading = Interest::READING;
            selector.set(fd.as_fd(), WRITING, reading).unwrap();
            socket.read_exact(&mut [0]).unwrap();
            assert_eq!(ready(selector, fd), (false, false), "{name}");
        }
    }

    #[test]
    fn a_hang_up_is_readable_but_not_reported_of_what_is_watched_for_nothing() {
        for (name, mut selector) in selectors() {
            let selector = &mut *selector;
            let (fd, peer) = UnixStream::pair().unwrap();
            let reading = Interest::READING;
            selector
                .set(fd.as_fd(), Interest::NOTHING, reading)
                .unwrap();
            drop(peer);
            assert!(ready(selector, &fd).0, "{name}");
            selector
                .set(fd.as_fd(), reading, Interest::NOTHING)
                .unwrap();
            let mut ready = Vec::new();
            selector.wait(Some(Duration::ZERO), &mut ready).unwrap();
            assert_eq!(ready, [], "{name}");
        }
    }

    #[test]
    fn a_descriptor_that_was_removed_and_closed_is_not_reported() {
        for (name, mut selector) in selectors() {
            let selector = &mut *selector;
            let (fd, mut peer) = UnixStream::pair().unwrap();
            let (kept, _other) = UnixStream::pair().unwrap();
            for fd in [&fd, &kept] {
                selector
                    .set(fd.as_fd(), Interest::NOTHING, Interest::READING)
                    .unwrap();
            }
            peer.write_all(b"x").unwrap();
            assert!(ready(selector, &fd).0, "{name}");
            selector.remove(fd.as_fd(), Interest::READING);
            drop(fd);
            assert_eq!(ready(selector, &kept), (false, false), "{name}");
        }
    }

    #[test]
    fn a_wait_takes_as_long_as_it_may() {
        for (name, mut selector) in selectors() {
            let wait = Duration::from_millis(30);
            let begun = Now::read().instant;
            let mut ready = Vec::new();
            selector.wait(Some(wait), &mut ready).unwrap();
            assert_eq!(ready, [], "{name}");
            assert!(Now::read().instant - begun >= wait, "{name}");
        }
    }

    #[test]
    fn select_refuses_a_descriptor_that_no_set_has() {
        let socket = UnixStream::pair().unwrap().0;
        let beyond = i32::try_from(select::MAX_DESCRIPTORS).unwrap();
        crate::limits::set_descriptors(None);
        let Ok(fd) = rustix::io::fcntl_dupfd_cloexec(&socket, beyond) else {
            // The hard limit is as low.
            return;
        };
        let mut select = select::Select::default();
        let error = select
            .set(fd.as_fd(), Interest::NOTHING, Interest::READING)
            .unwrap_err();
        let expected = format!(
            "select(2) cannot watch descriptor {beyond}: it must be below 1024, FD_SETSIZE \
             (try: --model poll)"
        );
        assert_eq!(error.to_string(), expected);
    }
}
