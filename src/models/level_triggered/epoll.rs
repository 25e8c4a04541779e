//! epoll(7), level-triggered: the kernel keeps what is watched, and a list of what is ready.
//!
//! A wait costs as much as there are ready descriptors, whatever is watched. Each change of an
//! interest is a system call. The reactor makes none, because it registers a socket once, for both
//! directions, with EPOLLET.
//!
//! EPOLLERR and EPOLLHUP cannot be left out of an interest. So a descriptor that is watched for
//! nothing is deleted: a peer that is gone would end every wait.

use super::{Interest, Selector};
use crate::probe;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::Timespec;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// An epoll instance.
pub struct Epoll {
    epoll: OwnedFd,
    /// The events of a wait. Its capacity is the most that one wait returns.
    events: Vec<Event>,
}

impl Epoll {
    /// Makes an instance that returns at most `capacity` events at once.
    ///
    /// # Errors
    /// Those of epoll_create(2).
    pub fn new(capacity: usize) -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(capacity),
        })
    }
}

impl Selector for Epoll {
    fn set(&mut self, fd: BorrowedFd<'_>, before: Interest, after: Interest) -> io::Result<()> {
        let data = EventData::new_u64(u64::from(fd.as_raw_fd().unsigned_abs()));
        match (before, after) {
            (Interest::NOTHING, after) => epoll::add(&self.epoll, fd, data, flags_of(after))?,
            (_, Interest::NOTHING) => epoll::delete(&self.epoll, fd)?,
            (_, after) => epoll::modify(&self.epoll, fd, data, flags_of(after))?,
        }
        Ok(())
    }

    /// epoll drops a socket when its last descriptor is closed, and this is the only one.
    fn remove(&mut self, _: BorrowedFd<'_>, _: Interest) {}

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Vec<(RawFd, probe::EventFlags)>,
    ) -> io::Result<()> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        self.events.clear();
        epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            timeout.as_ref(),
        )?;
        for event in &self.events {
            let fd = RawFd::try_from(event.data.u64()).unwrap_or(-1);
            ready.push((fd, reported(event.flags)));
        }
        Ok(())
    }
}

fn flags_of(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(
        EventFlags::IN | EventFlags::PRI | EventFlags::RDHUP,
        interest.reading,
    );
    flags.set(EventFlags::OUT, interest.writing);
    flags
}

/// As mio has it, so that a trace of the reactor and of this model say the same.
fn reported(flags: EventFlags) -> probe::EventFlags {
    let has = |flag| flags.contains(flag);
    probe::EventFlags {
        is_readable: flags.intersects(EventFlags::IN | EventFlags::PRI),
        is_writable: has(EventFlags::OUT),
        is_read_closed: has(EventFlags::HUP) || has(EventFlags::IN | EventFlags::RDHUP),
        is_write_closed: has(EventFlags::HUP)
            || has(EventFlags::OUT | EventFlags::ERR)
            || flags == EventFlags::ERR,
        is_urgent: has(EventFlags::PRI),
        is_error: has(EventFlags::ERR),
    }
}
