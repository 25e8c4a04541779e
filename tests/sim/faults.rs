//! What does the kernel answer, where it may answer differently?

use crate::chance::mix;
use crate::exhaustive::Choices;
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The calls that the kernel can answer in more than one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    Receive,
    Send,
    SendFile,
    Shutdown,
    Accept,
    Register,
}

/// One of the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As much as there is, or there is room for.
    All,
    /// One byte; the rest a little later.
    One,
    /// Half of it; the rest a little later.
    Half,
    /// Would block; a little later it will not.
    Later,
    /// This error.
    Fails(Errno),
}

/// Which call: whose, of what kind, and its number among those.
pub type Place = (usize, Call, u32);

/// The answers, all of them decided before the first call is made.
#[derive(Clone, Debug)]
pub enum Faults {
    /// From a seed, with so many parts in a thousand of each.
    Drawn { seed: u64, share: Share },
    /// These, and [`Answer::All`] for every other call.
    Listed(BTreeMap<Place, Answer>),
    /// From this call on, always the same.
    Forever(Place, Answer),
    /// One after the other, until all have been seen.
    Chosen(Rc<RefCell<Choices>>),
}

/// How many of a thousand calls have which answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub one: u16,
    pub half: u16,
    pub later: u16,
    pub fails: u16,
    pub door_fails: u16,
    pub register_fails: u16,
}

impl Faults {
    pub fn none() -> Self {
        Self::Listed(BTreeMap::new())
    }

    pub fn answer(&self, place: Place) -> Answer {
        let (whose, call, number) = place;
        match self {
            Self::Listed(answers) => answers.get(&place).copied().unwrap_or(Answer::All),
            Self::Forever((who, what, first), answer) => {
                let is_it = (whose, call) == (*who, *what) && number >= *first;
                if is_it { *answer } else { Answer::All }
            }
            Self::Chosen(choices) => choices.borrow_mut().answer(call),
            Self::Drawn { seed, share } => {
                let draw = mix(&[*seed, whose as u64, call as u64, u64::from(number)]);
                share.answer(call, draw)
            }
        }
    }

    /// Whether any answer is an error, which ends a connection early.
    pub fn may_fail(&self) -> bool {
        let fails = |answer: &Answer| matches!(answer, Answer::Fails(_));
        match self {
            Self::Listed(answers) => answers.values().any(fails),
            Self::Forever(_, answer) => fails(answer),
            Self::Chosen(_) => true,
            Self::Drawn { share, .. } => {
                share.fails > 0 || share.door_fails > 0 || share.register_fails > 0
            }
        }
    }
}

impl Share {
    fn answer(&self, call: Call, draw: u64) -> Answer {
        let (part, which) = ((draw % 1000) as u16, (draw / 1000) as usize);
        let errors = errors(call);
        let fails = Answer::Fails(errors[which % errors.len()]);
        match call {
            Call::Accept if part < self.door_fails => fails,
            Call::Register if part < self.register_fails => fails,
            Call::Accept | Call::Register => Answer::All,
            _ if part < self.fails => fails,
            Call::Shutdown => Answer::All,
            _ if part < self.fails + self.one => Answer::One,
            _ if part < self.fails + self.one + self.half => Answer::Half,
            _ if part < self.fails + self.one + self.half + self.later => Answer::Later,
            _ => Answer::All,
        }
    }
}

/// The errors that a call may meet, and that do not break the server.
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
