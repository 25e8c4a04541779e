//! Read readiness: whether a receive may find something.
//!
//! A receive that finds nothing costs a system call. Events and earlier receives tell when that
//! call can be left out. The rules are apart from any socket, so that the simulator tests them.

use std::io;

/// What an event says about receiving. Every system reports "readable". The end of the stream is
/// reported by all systems for which `SHORT_MEANS_EMPTY` is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadyFlags {
    /// There may be bytes.
    pub readable: bool,
    /// A short receive does not prove that the socket is empty: the peer has closed, or may have,
    /// and its end of stream must be read; or it has sent urgent data, at whose mark a receive
    /// stops (tcp(7), SIOCATMARK). No further event announces the rest.
    pub read_until_blocked: bool,
}

impl ReadyFlags {
    /// The events of both.
    pub fn union(self, other: Self) -> Self {
        Self {
            readable: self.readable || other.readable,
            read_until_blocked: self.read_until_blocked || other.read_until_blocked,
        }
    }
}

/// What is known about unread bytes in a socket. The default is for a TCP socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadReadiness {
    /// The last receive found nothing, or did not fill its buffer, and no event has announced more
    /// since. The next receive would return "would block" and is left out.
    is_known_empty: bool,
    /// An event was `read_until_blocked`, or the socket is not a TCP socket. Never cleared.
    read_until_blocked: bool,
    /// Events may be waiting in the poll, also one that is `read_until_blocked`. Until a receive
    /// would block, a short one proves nothing.
    events_pending: bool,
}

/// Whether a short receive proves that the socket is empty. It does where each arrival is a new
/// event: with the edges of epoll and kqueue (epoll(7), "Since even with edge-triggered epoll"),
/// and with mio's poll(2) selector after a call that would block.
const SHORT_MEANS_EMPTY: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "freebsd"
));

impl ReadReadiness {
    /// For a socket whose receive may stop between two messages although more has arrived. A unix
    /// socket stops after descriptors (SCM_RIGHTS), at another sender's credentials
    /// (SCM_CREDENTIALS) and at an urgent byte (unix(7)). Nothing is known about other protocols.
    pub fn for_messages() -> Self {
        Self {
            read_until_blocked: true,
            ..Self::default()
        }
    }

    /// An event arrived. One that is only about writing must not lead to a receive: after a receive
    /// that would block, mio's poll(2) selector reports "writable" again, without end.
    pub fn on_ready(&mut self, flags: ReadyFlags) {
        self.read_until_blocked |= flags.read_until_blocked;
        self.is_known_empty &= !(flags.read_until_blocked || flags.readable);
    }

    /// The next receive asks the kernel, whatever is known.
    pub fn assume_readable(&mut self) {
        self.is_known_empty = false;
        self.events_pending = true;
    }

    /// Whether a receive would block: nothing has arrived since the socket was empty.
    pub fn is_known_empty(&self) -> bool {
        self.is_known_empty
    }

    /// A receive into `capacity` bytes returned `result`.
    pub fn on_read(&mut self, result: &io::Result<usize>, capacity: usize) {
        let short_proves = SHORT_MEANS_EMPTY && !self.read_until_blocked && !self.events_pending;
        self.is_known_empty = match result {
            Ok(length) => short_proves && *length < capacity,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        self.events_pending &= result.is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The event for urgent data or for the end of the stream may still be in the poll.
    #[test]
    fn a_recheck_reads_until_the_socket_would_block() {
        let would_block = || Err(io::ErrorKind::WouldBlock.into());
        let mut readiness = ReadReadiness::default();
        readiness.on_read(&Ok(8), 100);
        assert_eq!(readiness.is_known_empty(), SHORT_MEANS_EMPTY);
        readiness.assume_readable();
        assert!(!readiness.is_known_empty(), "the kernel is asked");
        readiness.on_read(&Ok(8), 100);
        assert!(!readiness.is_known_empty(), "there may be a mark");
        readiness.on_read(&would_block(), 100);
        assert!(readiness.is_known_empty());
        readiness.on_ready(ReadyFlags {
            readable: true,
            read_until_blocked: false,
        });
        readiness.on_read(&Ok(8), 100);
        assert_eq!(readiness.is_known_empty(), SHORT_MEANS_EMPTY);
    }

    #[test]
    fn a_short_receive_of_messages_proves_nothing() {
        let mut readiness = ReadReadiness::for_messages();
        readiness.on_read(&Ok(8), 100);
        assert!(!readiness.is_known_empty());
        readiness.on_read(&Err(io::ErrorKind::WouldBlock.into()), 100);
        assert!(readiness.is_known_empty());
    }
}
