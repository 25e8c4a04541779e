//! fork(2), and the signal mask around it.
//!
//! # Why this is sound
//!
//! The child has a copy of everything but the other threads, and a lock that another thread held
//! would stay locked. So fork is called by a process without other threads: the model with a
//! process per connection starts none before it forks, neither for diagnostics nor for an access
//! log (the thread of the log that is opened at the start, to see whether it can be, has ended by
//! then).
//!
//! pthread_sigmask(3) reads and writes local variables only. _exit(2) has no arguments that could
//! be wrong; the threads that still run end with the process.
#![allow(unsafe_code)]

use rustix::process::Pid;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// The process that returned from [`fork`].
pub enum Fork {
    /// The new process. It has no signals of its own yet, so all are blocked.
    Child(BlockedSignals),
    /// The old process, with the ID of the new one.
    Parent(Pid),
}

/// Blocks all signals until it is dropped. A signal that arrives meanwhile is handled afterwards.
pub struct BlockedSignals {
    previous: libc::sigset_t,
}

impl BlockedSignals {
    fn new() -> Self {
        // SAFETY: see the module's text. All zeros are a valid set, and `how` is a valid argument,
        // so the calls cannot fail.
        unsafe {
            let mut all: libc::sigset_t = MaybeUninit::zeroed().assume_init();
            let mut previous: libc::sigset_t = MaybeUninit::zeroed().assume_init();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut previous);
            Self { previous }
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: see the module's text.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.previous, ptr::null_mut());
        }
    }
}

/// Ends the process at once (_exit(2)). A child calls no exit handlers: those are the parent's, and
/// the pages that they touch would be copied.
pub fn exit(status: i32) -> ! {
    // SAFETY: see the module's text.
    unsafe { libc::_exit(status) }
}

/// Forks. No other thread may run.
///
/// # Errors
/// The system has no memory or no process ID left (EAGAIN, ENOMEM).
pub fn fork() -> io::Result<Fork> {
    let blocked = BlockedSignals::new();
    // SAFETY: see the module's text.
    let number = unsafe { libc::fork() };
    match number {
        0 => Ok(Fork::Child(blocked)),
        // `from_raw` asserts that the number is not negative.
        number => (number > 0)
            .then(|| Pid::from_raw(number))
            .flatten()
            .map(Fork::Parent)
            .ok_or_else(io::Error::last_os_error),
    }
}
