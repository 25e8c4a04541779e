//! The results of system calls where a kernel has a choice.

use crate::exhaustive::Choices;
use crate::random::mix;
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// System calls that can have more than one result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    Receive,
    Send,
    SendFile,
    Shutdown,
    Accept,
    Register,
}

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// As many bytes as possible.
    All,
    /// One byte; the others are possible a little later.
    OneByte,
    /// Half of the bytes; the others are possible a little later.
    Half,
    /// "Would block"; the operation is possible a little later.
    WouldBlock,
    /// This error.
    Error(Errno),
}

/// A call: the connection, the kind, and its number among the calls of this kind.
pub type CallId = (usize, Call, u32);

/// The results of all calls, fixed before the run.
#[derive(Clone, Debug)]
pub enum Faults {
    /// Random, with these rates.
    Drawn { seed: u64, rates: Rates },
    /// These, and [`CallResult::All`] for every other call.
    Listed(BTreeMap<CallId, CallResult>),
    /// This call and all later ones of its kind have this result.
    Forever(CallId, CallResult),
    /// Chosen one after the other, until all combinations were run.
    Chosen(Rc<RefCell<Choices>>),
}

/// Calls of a thousand with each result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub one: u16,
    pub half: u16,
    pub later: u16,
    pub fails: u16,
    pub accept_fails: u16,
    pub register_fails: u16,
}

impl Faults {
    pub fn none() -> Self {
        Self::Listed(BTreeMap::new())
    }

    pub fn result(&self, call_id: CallId) -> CallResult {
        let (owner, call, number) = call_id;
        match self {
            Self::Listed(results) => results.get(&call_id).copied().unwrap_or(CallResult::All),
            Self::Forever((listed_owner, listed_call, first), result) => {
                let is_it = (owner, call) == (*listed_owner, *listed_call) && number >= *first;
                if is_it { *result } else { CallResult::All }
            }
            Self::Chosen(choices) => choices.borrow_mut().result(call),
            Self::Drawn { seed, rates } => {
                let draw = mix(&[*seed, owner as u64, call as u64, u64::from(number)]);
                rates.result(call, draw)
            }
        }
    }

    /// Whether a call can fail with an error, which may close its connection.
    pub fn may_fail(&self) -> bool {
        let fails = |result: &CallResult| matches!(result, CallResult::Error(_));
        match self {
            Self::Listed(results) => results.values().any(fails),
            Self::Forever(_, result) => fails(result),
            Self::Chosen(_) => true,
            Self::Drawn { rates, .. } => {
                rates.fails > 0 || rates.accept_fails > 0 || rates.register_fails > 0
            }
        }
    }
}

impl Rates {
    fn result(&self, call: Call, draw: u64) -> CallResult {
        let (part, which) = ((draw % 1000) as u16, (draw / 1000) as usize);
        let errors = errors(call);
        let fails = CallResult::Error(errors[which % errors.len()]);
        match call {
            Call::Accept if part < self.accept_fails => fails,
            Call::Register if part < self.register_fails => fails,
            Call::Accept | Call::Register => CallResult::All,
            _ if part < self.fails => fails,
            Call::Shutdown => CallResult::All,
            _ if part < self.fails + self.one => CallResult::OneByte,
            _ if part < self.fails + self.one + self.half => CallResult::Half,
            _ if part < self.fails + self.one + self.half + self.later => CallResult::WouldBlock,
            _ => CallResult::All,
        }
    }
}

/// The errors of a call that must not stop the server.
pub fn errors(call: Call) -> &'static [Errno] {
    match call {
        Call::Receive => &[
            Errno::CONNRESET,
            Errno::TIMEDOUT,
            Errno::HOSTUNREACH,
            Errno::INTR,
            Errno::NOMEM,
        ],
        Call::Send => &[
            Errno::PIPE,
            Errno::CONNRESET,
            Errno::TIMEDOUT,
            Errno::INTR,
            Errno::NOBUFS,
        ],
        Call::SendFile => &[
            Errno::IO,
            Errno::PIPE,
            Errno::CONNRESET,
            Errno::INTR,
            Errno::NOMEM,
        ],
        Call::Shutdown => &[Errno::NOTCONN, Errno::INTR],
        Call::Accept => &[
            Errno::CONNABORTED,
            Errno::INTR,
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::PROTO,
            Errno::PERM,
            Errno::NETDOWN,
            Errno::OPNOTSUPP,
        ],
        Call::Register => &[Errno::NOSPC, Errno::NOMEM],
    }
}
