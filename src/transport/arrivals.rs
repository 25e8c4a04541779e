//! Room `transport`: may there be something to receive?
//!
//! A receive that finds nothing costs a system call, and most of them could be known to find
//! nothing. What may be concluded from a receive and from an event stands here, apart from any
//! socket, so that a simulated network can hold it to account.

use std::io;

/// What an event said about receiving. Only "readable" is certain to be said by every system; the
/// end of stream is said by all that are trusted below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// There may be bytes.
    pub readable: bool,
    /// A short receive will not prove the socket empty: the peer has closed, or may have, and its
    /// end of stream is still to be read; or it has sent urgent data, at whose mark a receive
    /// stops (tcp(7), SIOCATMARK). No further event will announce the rest.
    pub beyond_short: bool,
}

/// What is known of the bytes that wait in a socket. The default is that of a TCP socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrivals {
    /// The last receive found nothing, or did not fill its room, and no event has told of anything
    /// new since: the next one would only say "would block", and need not be asked.
    drained: bool,
    /// An event was `beyond_short`, or the socket is not of TCP, once and for all.
    short_proves_nothing: bool,
    /// Events may not have been told yet, such as one that would be `beyond_short`: so until a
    /// receive would block, a short one proves nothing.
    untold: bool,
}

/// A short receive proves the socket empty where readiness is announced anew for every
/// arrival: with epoll's and kqueue's edges (epoll(7), "Since even with edge-triggered epoll"),
/// and with mio's poll(2) selector once it has been told to look again.
const SHORT_MEANS_DRAINED: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "freebsd"
));

impl Arrivals {
    /// Those of a socket whose receive may stop between two messages, although more has arrived. In
    /// a unix socket it stops after descriptors (SCM_RIGHTS), at another sender's credentials
    /// (SCM_CREDENTIALS) and at an urgent byte (unix(7)); of other protocols nothing is known.
    pub fn of_messages() -> Self {
        Self {
            short_proves_nothing: true,
            ..Self::default()
        }
    }

    /// An event came. One about room to write says nothing of what is to be read, and must not lead
    /// to a receive: after one that would block, mio's poll(2) selector announces that room
    /// again, and so on for ever.
    pub fn note(&mut self, announced: Announced) {
        self.short_proves_nothing |= announced.beyond_short;
        self.drained &= !(announced.beyond_short || announced.readable);
    }

    /// What was known is no longer to be relied on: the next receive asks the kernel.
    pub fn forget(&mut self) {
        self.drained = false;
        self.untold = true;
    }

    /// Nothing has arrived since the socket was empty: a receive would block.
    pub fn are_drained(&self) -> bool {
        self.drained
    }

    /// A receive into so much `room` came to this.
    pub fn received(&mut self, result: &io::Result<usize>, room: usize) {
        let short_proves = SHORT_MEANS_DRAINED && !self.short_proves_nothing && !self.untold;
        self.drained = match result {
            Ok(length) => short_proves && *length < room,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        self.untold &= result.is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The event that tells of urgent data or of the end may still be in the poll.
    #[test]
    fn a_look_reads_until_the_socket_is_empty() {
        let would_block = || Err(io::ErrorKind::WouldBlock.into());
        let mut arrivals = Arrivals::default();
        arrivals.received(&Ok(8), 100);
        assert_eq!(arrivals.are_drained(), SHORT_MEANS_DRAINED);
        arrivals.forget();
        assert!(!arrivals.are_drained(), "the kernel is asked");
        arrivals.received(&Ok(8), 100);
        assert!(!arrivals.are_drained(), "there may be a mark");
        arrivals.received(&would_block(), 100);
        assert!(arrivals.are_drained());
        arrivals.note(Announced {
            readable: true,
            beyond_short: false,
        });
        arrivals.received(&Ok(8), 100);
        assert_eq!(arrivals.are_drained(), SHORT_MEANS_DRAINED);
    }

    #[test]
    fn a_short_receive_of_messages_proves_nothing() {
        let mut arrivals = Arrivals::of_messages();
        arrivals.received(&Ok(8), 100);
        assert!(!arrivals.are_drained());
        arrivals.received(&Err(io::ErrorKind::WouldBlock.into()), 100);
        assert!(arrivals.are_drained());
    }
}
