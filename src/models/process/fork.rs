//! fork(2), which Rust does not offer: the only `unsafe` of the models.
//!
//! # Why this is sound
//!
//! The child has a copy of everything but the other threads; a lock that one of them held would
//! stay locked for ever. So fork is called by a process that has no other thread: the model with a
//! process per client starts none before it forks, neither for diagnostics nor for an access log
//! (the one that it opens to see whether that can be done has ended by then).
#![allow(unsafe_code)]

use rustix::process::Pid;
use std::io;

/// Who returned from fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The new process.
    Child,
    /// The old one, with the number of the new one.
    Parent(Pid),
}

/// Divides the process in two. No other thread may run.
///
/// # Errors
/// No memory or no place for a process (EAGAIN, ENOMEM).
pub fn fork() -> io::Result<Fork> {
    // SAFETY: see the module's text.
    let number = unsafe { libc::fork() };
    match number {
        0 => Ok(Fork::Child),
        // `from_raw` asserts that the number is not negative.
        number => (number > 0)
            .then(|| Pid::from_raw(number))
            .flatten()
            .map(Fork::Parent)
            .ok_or_else(io::Error::last_os_error),
    }
}
