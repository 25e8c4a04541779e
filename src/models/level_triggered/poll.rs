//! poll(2): each wait passes an array with an entry for each descriptor, and the kernel writes into
//! it what is ready.
//!
//! A wait costs as much as there are entries: the kernel copies the array and asks each socket, and
//! the loop searches it for the few that are ready. A change of an interest is a write into the
//! array.
//!
//! The entry of a descriptor is at the index of its number, so it is found without a search.
//! poll(2) skips entries whose number is negative: these are watched for nothing. (With a number
//! and no flags, POLLERR and POLLHUP would still be reported, in every wait.)
//!
//! # Why the `unsafe` code is sound
//!
//! poll(2) reads and writes the entries of one vector, and gets its length. A number in it that is
//! no open descriptor is reported as POLLNVAL. The `poll` of rustix has no negative numbers.
#![allow(unsafe_code)]

use super::{Interest, Selector};
use crate::probe::EventFlags;
use libc::{POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, c_int, c_short, pollfd};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// The peer has closed its direction. POSIX has no flag for that: elsewhere, the loop reads the end
/// of the stream.
#[cfg(any(target_os = "linux", target_os = "android"))]
const READ_CLOSED: c_short = libc::POLLRDHUP;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const READ_CLOSED: c_short = 0;

/// The entry of a descriptor that is not watched.
const SKIPPED: pollfd = pollfd {
    fd: -1,
    events: 0,
    revents: 0,
};

/// The array.
#[derive(Default)]
pub struct Poll {
    /// Ends with an entry that is watched.
    entries: Vec<pollfd>,
}

impl Poll {
    fn skip(&mut self, fd: BorrowedFd<'_>) {
        if let Some(entry) = index(fd).and_then(|index| self.entries.get_mut(index)) {
            *entry = SKIPPED;
        }
        while self.entries.pop_if(|last| last.fd < 0).is_some() {}
    }
}

fn index(fd: BorrowedFd<'_>) -> Option<usize> {
    usize::try_from(fd.as_raw_fd()).ok()
}

impl Selector for Poll {
    fn set(&mut self, fd: BorrowedFd<'_>, _: Interest, after: Interest) -> io::Result<()> {
        if after == Interest::NOTHING {
            self.skip(fd);
            return Ok(());
        }
        let Some(index) = index(fd) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if index >= self.entries.len() {
            self.entries.resize(index + 1, SKIPPED);
        }
        if let Some(entry) = self.entries.get_mut(index) {
            entry.fd = fd.as_raw_fd();
            entry.events = flags_of(after);
        }
        Ok(())
    }

    fn remove(&mut self, fd: BorrowedFd<'_>, _: Interest) {
        self.skip(fd);
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Vec<(RawFd, EventFlags)>,
    ) -> io::Result<()> {
        // -1: without a limit.
        let milliseconds = timeout.map_or(-1, |timeout| {
            c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
        });
        let length = self.entries.len() as libc::nfds_t;
        // SAFETY: see the text of the module.
        let count = unsafe { libc::poll(self.entries.as_mut_ptr(), length, milliseconds) };
        let Ok(count) = usize::try_from(count) else {
            return Err(io::Error::last_os_error());
        };
        let is_ready = |entry: &&pollfd| entry.revents != 0;
        // The search ends at the last that is ready.
        let entries = self.entries.iter().filter(is_ready).take(count);
        ready.extend(entries.map(|entry| (entry.fd, reported(entry.revents))));
        Ok(())
    }
}

fn flags_of(interest: Interest) -> c_short {
    let reading = match interest.reading {
        true => POLLIN | POLLPRI | READ_CLOSED,
        false => 0,
    };
    let writing = match interest.writing {
        true => POLLOUT,
        false => 0,
    };
    reading | writing
}

fn reported(flags: c_short) -> EventFlags {
    let has = |some: c_short| flags & some != 0;
    EventFlags {
        is_readable: has(POLLIN | POLLPRI),
        is_writable: has(POLLOUT),
        is_read_closed: has(POLLHUP | READ_CLOSED),
        is_write_closed: has(POLLHUP | POLLERR),
        is_urgent: has(POLLPRI),
        is_error: has(POLLERR | POLLNVAL),
    }
}
