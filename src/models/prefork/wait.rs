//! How many processes wait for the same listening sockets.
//!
//! On Linux each has an epoll of its own, with EPOLLEXCLUSIVE (epoll_ctl(2)): a connection wakes
//! one or more of the processes that wait, mostly one. It is level-triggered, so a connection that
//! the woken process does not accept wakes the next process that waits. On other systems each calls
//! poll(2), and a connection wakes all of them; the first one accepts it.

use rustix::io::Errno;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd};

/// Why a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A connection waits, unless another process has accepted it meanwhile.
    Listener,
    /// A signal has arrived.
    Signal,
    /// The parent wants no further connection from this process, or has died.
    Retired,
}

/// Whether a poll was ended by a signal.
fn by_signal<T>(polled: Result<T, Errno>) -> io::Result<Option<T>> {
    match polled {
        Ok(polled) => Ok(Some(polled)),
        Err(Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(all(target_os = "linux", not(mio_unsupported_force_poll_poll)))]
mod system {
    use super::{AsFd, BorrowedFd, PipeReader, Woken, by_signal, io};
    use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;

    const LISTENER: u64 = 0;
    const LIFELINE: u64 = 1;

    /// An epoll of one process.
    pub struct SharedWait(OwnedFd);

    impl SharedWait {
        /// Waits for connections at `listeners`, and until nothing can be written to `lifeline`
        /// any more.
        ///
        /// # Errors
        /// Those of epoll_create(2) and epoll_ctl(2).
        pub fn new<'l>(
            listeners: impl Iterator<Item = BorrowedFd<'l>>,
            lifeline: &PipeReader,
        ) -> io::Result<Self> {
            let poll = epoll::create(CreateFlags::CLOEXEC)?;
            for listener in listeners {
                let flags = EventFlags::IN | EventFlags::EXCLUSIVE;
                epoll::add(&poll, listener, EventData::new_u64(LISTENER), flags)?;
            }
            // EPOLLHUP is always reported.
            let flags = EventFlags::empty();
            epoll::add(&poll, lifeline, EventData::new_u64(LIFELINE), flags)?;
            Ok(Self(poll))
        }

        /// Waits without an end.
        ///
        /// # Errors
        /// The poll is broken.
        pub fn wait(&self) -> io::Result<Woken> {
            let mut events = [const { MaybeUninit::uninit() }; 8];
            let polled = epoll::wait(self.0.as_fd(), &mut events, None);
            Ok(match by_signal(polled)? {
                None => Woken::Signal,
                Some((events, _)) => {
                    let mut events = events.iter();
                    match events.any(|event| event.data.u64() == LIFELINE) {
                        true => Woken::Retired,
                        false => Woken::Listener,
                    }
                }
            })
        }
    }
}

#[cfg(not(all(target_os = "linux", not(mio_unsupported_force_poll_poll))))]
mod system {
    use super::{AsFd, BorrowedFd, PipeReader, Woken, by_signal, io};
    use rustix::event::{PollFd, PollFlags, poll};
    use std::os::fd::OwnedFd;

    /// The descriptors that poll(2) gets.
    pub struct SharedWait {
        listeners: Vec<OwnedFd>,
        lifeline: OwnedFd,
    }

    impl SharedWait {
        /// Waits for connections at `listeners`, and until nothing can be written to `lifeline`
        /// any more.
        ///
        /// # Errors
        /// Those of dup(2).
        pub fn new<'l>(
            listeners: impl Iterator<Item = BorrowedFd<'l>>,
            lifeline: &PipeReader,
        ) -> io::Result<Self> {
            let listeners = listeners.map(|listener| listener.try_clone_to_owned());
            Ok(Self {
                listeners: listeners.collect::<io::Result<_>>()?,
                lifeline: lifeline.as_fd().try_clone_to_owned()?,
            })
        }

        /// Waits without an end.
        ///
        /// # Errors
        /// The poll is broken.
        pub fn wait(&self) -> io::Result<Woken> {
            // POLLHUP is always reported.
            let lifeline = PollFd::new(&self.lifeline, PollFlags::empty());
            let listeners = self.listeners.iter();
            let listeners = listeners.map(|listener| PollFd::new(listener, PollFlags::IN));
            let mut sources: Vec<_> = [lifeline].into_iter().chain(listeners).collect();
            let polled = by_signal(poll(&mut sources, None))?;
            let lifeline = sources.first().map(PollFd::revents);
            Ok(match (polled, lifeline) {
                (None, _) => Woken::Signal,
                (_, Some(flags)) if !flags.is_empty() => Woken::Retired,
                _ => Woken::Listener,
            })
        }
    }
}

pub use system::SharedWait;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    /// Fails if the lifeline is not registered, and if its event is taken for a connection.
    #[test]
    fn a_wait_ends_with_a_connection_and_with_the_parent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (lifeline, parent) = io::pipe().unwrap();
        let wait = SharedWait::new([listener.as_fd()].into_iter(), &lifeline).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(wait.wait().unwrap(), Woken::Listener);
        // It still waits.
        assert_eq!(wait.wait().unwrap(), Woken::Listener);
        drop(parent);
        assert_eq!(wait.wait().unwrap(), Woken::Retired);
    }
}
