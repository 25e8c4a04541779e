//! select(2): each wait passes three sets of bits, and the kernel replaces them by what is ready.
//!
//! A wait costs as much as the highest descriptor: the sets are copied, the kernel looks at each
//! bit below it and asks the sockets of those that are set, and the loop looks at the bits again.
//! A hang-up has no bit: such a socket is readable.
//!
//! A set (`fd_set`) has FD_SETSIZE bits, 1024 nearly everywhere. In C, FD_SET with a higher number
//! writes behind the set. Here the limit of descriptors is lowered to FD_SETSIZE at the start, so
//! that the kernel gives no higher number, and an inherited descriptor with one is an error.
//!
//! # Why the `unsafe` code is sound
//!
//! select(2) reads and writes three sets that are as large as `bound` demands, which rustix checks.
//! Their descriptors are open: the loop removes one before it closes it.
#![allow(unsafe_code)]

use super::{Interest, Selector};
use crate::probe::EventFlags;
use rustix::event::{FdSetElement, FdSetIter, fd_set_bound, fd_set_insert, fd_set_remove, select};
use rustix::time::Timespec;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// Only descriptors with a number below this can be watched.
pub const MAX_DESCRIPTORS: usize = libc::FD_SETSIZE;

type Set = [FdSetElement; MAX_DESCRIPTORS / (8 * size_of::<FdSetElement>())];

/// The sets of what is watched.
#[derive(Default)]
pub struct Select {
    reading: Set,
    writing: Set,
}

impl Selector for Select {
    fn set(&mut self, fd: BorrowedFd<'_>, before: Interest, after: Interest) -> io::Result<()> {
        let number = fd.as_raw_fd();
        if usize::try_from(number).is_ok_and(|number| number >= MAX_DESCRIPTORS) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "select(2) cannot watch descriptor {number}: it must be below \
                     {MAX_DESCRIPTORS}, FD_SETSIZE (try: --model poll)"
                ),
            ));
        }
        self.remove(fd, before);
        if after.reading {
            fd_set_insert(&mut self.reading, number);
        }
        if after.writing {
            fd_set_insert(&mut self.writing, number);
        }
        Ok(())
    }

    fn remove(&mut self, fd: BorrowedFd<'_>, before: Interest) {
        if before.reading {
            fd_set_remove(&mut self.reading, fd.as_raw_fd());
        }
        if before.writing {
            fd_set_remove(&mut self.writing, fd.as_raw_fd());
        }
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Vec<(RawFd, EventFlags)>,
    ) -> io::Result<()> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let (mut read, mut write, mut urgent) = (self.reading, self.writing, self.reading);
        let bound = fd_set_bound(&read).max(fd_set_bound(&write));
        // SAFETY: see the text of the module.
        unsafe {
            select(
                bound,
                Some(&mut read),
                Some(&mut write),
                Some(&mut urgent),
                timeout.as_ref(),
            )?;
        }
        let readable = EventFlags {
            is_readable: true,
            ..EventFlags::default()
        };
        let writable = EventFlags {
            is_writable: true,
            ..EventFlags::default()
        };
        let has_urgent = EventFlags {
            is_urgent: true,
            ..readable
        };
        for (set, flags) in [(read, readable), (write, writable), (urgent, has_urgent)] {
            ready.extend(FdSetIter::new(&set).map(|fd| (fd, flags)));
        }
        Ok(())
    }
}
