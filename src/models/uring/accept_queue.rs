//! The connections that the kernel has accepted for a listener and the loop has not taken yet.
//!
//! A *multishot* accept is submitted once and has a completion for each connection. It knows no
//! limit, so near the limit of connections there are single accepts instead, no more than may be
//! open: the other connections wait in the kernel.

use super::ring::{Completion, Operation, Ring};
use crate::handler::Role;
use io_uring::opcode;
use io_uring::types::Fd;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

/// Connections in a queue at which a multishot accept is cancelled: the loop takes none while
/// accepting pauses.
const MAX_QUEUED: usize = 256;

/// How many connections may be accepted.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Connections that may still be opened, without those that are accepted or being accepted.
    pub free: usize,
    /// How many connections a multishot accept may accept before it can be cancelled.
    pub burst: usize,
    /// The most single accepts in flight.
    pub most: usize,
}

/// The accepts of one listener.
#[derive(Debug)]
pub struct AcceptQueue {
    id: usize,
    role: Role,
    queue: VecDeque<OwnedFd>,
    /// An accept has failed, and the loop does not know yet.
    error: Option<Errno>,
    /// Single accepts in flight.
    singles: usize,
    is_multishot: bool,
    /// The multishot accept was cancelled, and has not ended yet.
    is_cancelling: bool,
    /// A poll waits until a connection waits.
    is_polling: bool,
    /// The server is stopping: all connections that wait are accepted.
    pub is_stopping: bool,
    /// The listener is closed: a connection that is accepted nevertheless is reset.
    is_closed: bool,
}

impl AcceptQueue {
    /// The accepts of the listener `id`: none yet.
    pub fn new(id: usize, role: Role) -> Self {
        Self {
            id,
            role,
            queue: VecDeque::new(),
            error: None,
            singles: 0,
            is_multishot: false,
            is_cancelling: false,
            is_polling: false,
            is_stopping: false,
            is_closed: false,
        }
    }

    /// Connections that are accepted or being accepted.
    pub fn len(&self) -> usize {
        self.queue.len() + self.singles
    }

    /// Whether the loop can take neither a connection nor an error.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.error.is_none()
    }

    /// The next connection, or why there is none.
    pub fn take(&mut self) -> Option<Result<OwnedFd, Errno>> {
        match self.queue.pop_front() {
            None => self.error.take().map(Err),
            connection => connection.map(Ok),
        }
    }

    /// Accepts from `socket`, if no accept is in flight.
    pub fn accept(&mut self, ring: &mut Ring, socket: BorrowedFd<'_>, capacity: Capacity) {
        if self.singles > 0 || self.is_multishot || (self.is_polling && !self.is_stopping) {
            return;
        }
        let (operation, fd) = (Operation::Accept(self.id), Fd(socket.as_raw_fd()));
        let is_public = self.role == Role::Public;
        if is_public && !self.is_stopping && capacity.free > capacity.burst {
            self.is_multishot = true;
            let accept = opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC);
            ring.push(operation, accept.build());
            return;
        }
        // At the limit one is accepted all the same: that is how the loop learns that it waits.
        self.singles = match (is_public, self.is_stopping) {
            (true, true) => capacity.most,
            (true, false) => capacity.free.clamp(1, capacity.most),
            (false, _) => 1,
        };
        for _ in 0..self.singles {
            let accept = opcode::Accept::new(fd, ptr::null_mut(), ptr::null_mut());
            ring.push(operation, accept.flags(libc::SOCK_CLOEXEC).build());
        }
    }

    /// Waits until a connection waits at `socket`, without accepting it.
    pub fn poll(&mut self, ring: &mut Ring, socket: BorrowedFd<'_>) {
        if !std::mem::replace(&mut self.is_polling, true) {
            let poll = opcode::PollAdd::new(Fd(socket.as_raw_fd()), libc::POLLIN as u32);
            ring.push(Operation::Waiting(self.id), poll.build());
        }
    }

    /// That poll is complete.
    pub fn on_polled(&mut self) {
        self.is_polling = false;
    }

    /// An accept is complete.
    pub fn on_accepted(&mut self, completion: Completion) {
        if !completion.has_more {
            match self.is_multishot {
                true => (self.is_multishot, self.is_cancelling) = (false, false),
                false => self.singles -= 1,
            }
        }
        match (completion.accepted, completion.result) {
            (Some(connection), _) if self.is_closed => reset_on_close(&connection),
            (Some(connection), _) => {
                self.queue.push_back(connection);
                self.error = None;
            }
            (None, Err(Errno::CANCELED)) => {}
            (None, result) => self.error = result.err(),
        }
    }

    /// Cancels a multishot accept that comes near the limit, or whose connections are not taken.
    pub fn check(&mut self, ring: &mut Ring, capacity: Capacity) {
        let is_over = capacity.free < capacity.burst || self.queue.len() >= MAX_QUEUED;
        if self.is_multishot && is_over && !std::mem::replace(&mut self.is_cancelling, true) {
            ring.cancel(Operation::Accept(self.id));
        }
    }

    /// The listener is about to be closed.
    pub fn close(&mut self, ring: &mut Ring) {
        self.is_closed = true;
        // As closing a listening socket does to the connections in its queue.
        self.queue
            .drain(..)
            .for_each(|connection| reset_on_close(&connection));
        ring.cancel(Operation::Accept(self.id));
        ring.cancel(Operation::Waiting(self.id));
    }
}

/// Makes the close of a connection a reset (SO_LINGER 0).
pub fn reset_on_close(connection: impl AsFd) {
    // If it fails, the connection is gone, and only the close is left.
    let linger = Some(std::time::Duration::ZERO);
    let _ = rustix::net::sockopt::set_socket_linger(connection, linger);
}
