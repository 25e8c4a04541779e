//! The ring: operations go to the kernel in one queue, and their results come back in another.
//!
//! An entry of the submission queue is one operation: its kind, a descriptor, a buffer, and a
//! number of ours that comes back with the completion (`user_data`). Here the number names the kind
//! and the key of a socket or a listener. A key is not used again before the last completion that
//! carries it has arrived, so a late completion never concerns another connection.
//!
//! One call, io_uring_enter(2), submits all new operations and waits for completions.
//!
//! # Why the `unsafe` code is sound
//!
//! The kernel reads and writes the memory that an operation names until its completion arrives. The
//! driver owns that memory, frees nothing before the completion, and at its end waits for all of
//! them.

#![allow(unsafe_code)]

use io_uring::types::{CancelBuilder, SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode, squeue};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

/// Entries of the submission queue. What does not fit is submitted in a further call.
const SUBMISSIONS: u32 = 1024;

/// Entries of the completion queue. What does not fit waits in the kernel (IORING_FEAT_NODROP).
const COMPLETIONS: u32 = 4096;

/// What to do where the kernel has no io_uring that suffices.
const ADVICE: &str = "use --model reactor";

/// What an operation is about; the number is the key of a socket or the id of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A listener accepts.
    Accept(usize),
    /// A listener waits until a connection waits.
    Waiting(usize),
    /// A socket receives.
    Receive(usize),
    /// A socket sends.
    Send(usize),
    /// A file is read for a socket.
    Read(usize),
    /// A socket waits until it can send.
    Writable(usize),
    /// The poll waits for signals and for the handler.
    Poll,
    /// An operation is cancelled. There is a completion only if that fails.
    Silent,
}

/// A completion.
#[derive(Debug)]
pub struct Completion {
    /// The operation.
    pub operation: Operation,
    /// What the system call would have returned, or what failed.
    pub result: Result<usize, Errno>,
    /// The connection that was accepted.
    pub accepted: Option<OwnedFd>,
    /// The provided buffer that the kernel has filled.
    pub buffer: Option<u16>,
    /// Further completions of the operation will follow.
    pub has_more: bool,
    /// A receive has left bytes in the socket.
    pub is_socket_nonempty: bool,
}

/// Both queues.
pub struct Ring {
    io: IoUring,
    /// Entries that did not fit into the submission queue, and whether each is linked to the next.
    backlog: VecDeque<(squeue::Entry, bool)>,
    /// Operations whose last completion has not arrived.
    in_flight: usize,
    /// How often the kernel was entered.
    enters: u32,
}

impl Operation {
    const KIND_SHIFT: u32 = 56;

    fn to_user_data(self) -> u64 {
        let (kind, key) = match self {
            Self::Accept(id) => (0, id),
            Self::Waiting(id) => (1, id),
            Self::Receive(key) => (2, key),
            Self::Send(key) => (3, key),
            Self::Read(key) => (4, key),
            Self::Writable(key) => (5, key),
            Self::Poll => (6, 0),
            Self::Silent => (7, 0),
        };
        kind << Self::KIND_SHIFT | key as u64
    }

    fn from_user_data(data: u64) -> Self {
        let key = (data & ((1 << Self::KIND_SHIFT) - 1)) as usize;
        match data >> Self::KIND_SHIFT {
            0 => Self::Accept(key),
            1 => Self::Waiting(key),
            2 => Self::Receive(key),
            3 => Self::Send(key),
            4 => Self::Read(key),
            5 => Self::Writable(key),
            6 => Self::Poll,
            _ => Self::Silent,
        }
    }
}

impl Ring {
    /// Makes the queues (io_uring_setup(2)).
    ///
    /// # Errors
    /// With a sentence for the user: the kernel has no io_uring, forbids it, or has an older one.
    pub fn new() -> io::Result<Self> {
        let io = set_up().map_err(|error| explain(&error))?;
        check_features(&io)?;
        Ok(Self {
            io,
            backlog: VecDeque::new(),
            in_flight: 0,
            enters: 0,
        })
    }

    /// Adds an operation, which begins when the kernel is entered next. The order is kept.
    pub fn push(&mut self, operation: Operation, entry: squeue::Entry) {
        self.push_with(operation, entry, squeue::Flags::empty());
    }

    /// The same. The next operation begins when this one has succeeded completely, and is cancelled
    /// otherwise.
    pub fn push_linked(&mut self, operation: Operation, entry: squeue::Entry) {
        self.push_with(operation, entry, squeue::Flags::IO_LINK);
    }

    /// The same, for an operation without a completion.
    fn push_silent(&mut self, entry: squeue::Entry) {
        self.push_with(Operation::Silent, entry, squeue::Flags::SKIP_SUCCESS);
    }

    /// Cancels all that is in flight of this operation: the completions arrive soon.
    pub fn cancel(&mut self, operation: Operation) {
        let builder = CancelBuilder::user_data(operation.to_user_data()).all();
        self.push_silent(opcode::AsyncCancel2::new(builder).build());
    }

    /// Cancels everything.
    pub fn cancel_all(&mut self) {
        self.push_silent(opcode::AsyncCancel2::new(CancelBuilder::any()).build());
    }

    fn push_with(&mut self, operation: Operation, entry: squeue::Entry, flags: squeue::Flags) {
        if operation != Operation::Silent {
            self.in_flight += 1;
        }
        let is_linked = flags.contains(squeue::Flags::IO_LINK);
        let entry = entry.user_data(operation.to_user_data()).flags(flags);
        self.backlog.push_back((entry, is_linked));
        if !is_linked {
            self.fill();
        }
    }

    /// Moves entries of the backlog into the submission queue. A link holds only within one
    /// submission, so both of its entries must fit.
    fn fill(&mut self) {
        let mut queue = self.io.submission();
        while let Some((entry, is_linked)) = self.backlog.front() {
            let free = queue.capacity() - queue.len();
            // SAFETY: see the module's text.
            if free < 1 + usize::from(*is_linked) || unsafe { queue.push(entry) }.is_err() {
                break;
            }
            self.backlog.pop_front();
        }
    }

    /// Submits all operations, and waits for a completion, for at most `timeout`.
    ///
    /// # Errors
    /// Those of io_uring_enter(2), but not the end of the timeout, EINTR, and a completion queue
    /// that is full.
    pub fn enter(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        while !self.backlog.is_empty() {
            self.enters = self.enters.wrapping_add(1);
            let submitted = without_expected(self.io.submit())?;
            self.fill();
            if submitted == 0 {
                // The completions come first.
                return Ok(());
            }
        }
        self.enters = self.enters.wrapping_add(1);
        let entered = match timeout {
            None => self.io.submit_and_wait(1),
            Some(timeout) => {
                let timeout = Timespec::from(timeout);
                let arguments = SubmitArgs::new().timespec(&timeout);
                self.io.submitter().submit_with_args(1, &arguments)
            }
        };
        without_expected(entered).map(drop)
    }

    /// How often the kernel was entered. What was pushed at the same number is not submitted yet.
    pub fn enters(&self) -> u32 {
        self.enters
    }

    /// Operations whose last completion has not arrived.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The next completion.
    pub fn next_completion(&mut self) -> Option<Completion> {
        let entry = self.io.completion().next()?;
        let operation = Operation::from_user_data(entry.user_data());
        let flags = entry.flags();
        let has_more = cqueue::more(flags);
        if !has_more && operation != Operation::Silent {
            self.in_flight -= 1;
        }
        let result = entry.result();
        let accepted = match operation {
            // SAFETY: the kernel has just made this descriptor, and nothing else knows it.
            Operation::Accept(_) if result >= 0 => Some(unsafe { OwnedFd::from_raw_fd(result) }),
            _ => None,
        };
        Some(Completion {
            operation,
            result: usize::try_from(result).map_err(|_| Errno::from_raw_os_error(-result)),
            accepted,
            buffer: cqueue::buffer_select(flags),
            has_more,
            is_socket_nonempty: cqueue::sock_nonempty(flags),
        })
    }

    /// The ring, to register buffers.
    pub fn io(&self) -> &IoUring {
        &self.io
    }
}

/// 0 for errors after which the caller goes on: the time is over (ETIME), a signal (EINTR), or the
/// completions must be taken first (EBUSY, EAGAIN).
fn without_expected(entered: io::Result<usize>) -> io::Result<usize> {
    entered.or_else(|error| match Errno::from_io_error(&error) {
        Some(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN) => Ok(0),
        _ => Err(error),
    })
}

/// Completions are posted when the kernel is entered for them, and by this thread only (Linux 6.1),
/// which saves interrupts and locks. An older kernel posts them when the thread enters for any
/// reason (5.19).
fn set_up() -> io::Result<IoUring> {
    let build = |configure: &dyn Fn(&mut io_uring::Builder)| {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(COMPLETIONS).setup_submit_all();
        configure(&mut builder);
        builder.build(SUBMISSIONS)
    };
    build(&|builder| {
        builder.setup_single_issuer().setup_defer_taskrun();
    })
    .or_else(|error| match Errno::from_io_error(&error) {
        Some(Errno::INVAL) => build(&|builder| {
            builder.setup_coop_taskrun();
        }),
        _ => Err(error),
    })
}

/// What the model needs came with Linux 6.0 at the latest. The kernel does not tell whether it has
/// the multishot receive; SEND_ZC came in the same version.
fn check_features(io: &IoUring) -> io::Result<()> {
    let mut probe = Probe::new();
    let parameters = io.params();
    let suffices = parameters.is_feature_nodrop()
        && parameters.is_feature_ext_arg()
        && parameters.is_feature_skip_cqe_on_success()
        && io.submitter().register_probe(&mut probe).is_ok()
        && probe.is_supported(opcode::SendZc::CODE);
    match suffices {
        true => Ok(()),
        false => Err(too_old()),
    }
}

fn too_old() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("the model uring needs the io_uring of Linux 6.0 or later; {ADVICE}"),
    )
}

/// The error of io_uring_setup(2), with its cause and what to do.
fn explain(error: &io::Error) -> io::Error {
    let cause = match Errno::from_io_error(error) {
        Some(Errno::NOSYS) => "this kernel has no io_uring",
        Some(Errno::PERM | Errno::ACCESS) => {
            "io_uring is forbidden here, by a container's filter of system calls or by sysctl \
             kernel.io_uring_disabled"
        }
        Some(Errno::NOMEM) => "there is too little memory that may be locked (ulimit -l)",
        Some(Errno::INVAL) => return too_old(),
        _ => "io_uring_setup(2) failed",
    };
    io::Error::new(error.kind(), format!("{cause} ({error}); {ADVICE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_for_no_ring_has_a_sentence() {
        let sentence = |errno: Errno| explain(&errno.into()).to_string();
        assert_eq!(
            sentence(Errno::NOSYS),
            "this kernel has no io_uring (Function not implemented (os error 38)); use --model \
             reactor"
        );
        assert_eq!(
            sentence(Errno::PERM),
            "io_uring is forbidden here, by a container's filter of system calls or by sysctl \
             kernel.io_uring_disabled (Operation not permitted (os error 1)); use --model reactor"
        );
        assert_eq!(
            sentence(Errno::INVAL),
            "the model uring needs the io_uring of Linux 6.0 or later; use --model reactor"
        );
        assert!(sentence(Errno::NOMEM).contains("ulimit -l"));
        assert!(sentence(Errno::MFILE).starts_with("io_uring_setup(2) failed (Too many"));
    }

    #[test]
    fn user_data_names_the_operation() {
        for operation in [
            Operation::Accept(1),
            Operation::Waiting(2),
            Operation::Receive(0),
            Operation::Send(usize::from(u16::MAX)),
            Operation::Read(1 << 40),
            Operation::Writable(7),
            Operation::Poll,
            Operation::Silent,
        ] {
            let data = operation.to_user_data();
            assert_eq!(Operation::from_user_data(data), operation);
        }
    }
}
