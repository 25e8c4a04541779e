//! Two opinions on the same bytes -> what they differ in, request by request.

use crate::answers::Answer;
use crate::head::Head;
use crate::servers::Opinions;
use std::fmt;

/// One thing that differs, and the head that it is about.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'b> {
    pub head: Head<'b>,
    pub what: What,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// How it is answered.
    Outcome { ours: Outcome, theirs: Outcome },
    /// Whether another request may follow; ours first.
    Open(bool, bool),
    /// Whether `100 Continue` comes first; ours first.
    Interim(bool, bool),
    /// Which file it is.
    Content,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Status(u16),
    /// By a body alone, as in HTTP/0.9.
    Bare,
    /// Not at all: the server waits for more of it.
    Nothing,
}

/// These come with `Connection: close` because of what they are.
const REFUSALS: [Outcome; 6] = [
    Outcome::Status(400),
    Outcome::Status(413),
    Outcome::Status(414),
    Outcome::Status(431),
    Outcome::Status(501),
    Outcome::Status(505),
];

impl Outcome {
    fn of(answer: Option<&Answer>) -> Self {
        match answer {
            None => Self::Nothing,
            Some(answer) if answer.bare => Self::Bare,
            Some(answer) => Self::Status(answer.status),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(out, "{status}"),
            Self::Bare => out.write_str("a body alone"),
            Self::Nothing => out.write_str("nothing"),
        }
    }
}

/// Compares answer by answer, as long as both servers go on. What one does when the other has
/// closed the connection is a consequence, and no difference of its own.
pub fn differences<'b>(stream: &'b [u8], opinions: &Opinions) -> Vec<Difference<'b>> {
    let mut found = Vec::new();
    let mut rest = stream;
    let (mut ours, mut theirs) = (opinions.ours.iter(), opinions.theirs.iter());
    loop {
        let pair = (ours.next(), theirs.next());
        if let (None, None) = pair {
            return found;
        }
        let head = Head::new(rest);
        found.extend(
            compare(pair.0, pair.1)
                .into_iter()
                .map(|what| Difference { head, what }),
        );
        match pair {
            (Some(ours), Some(theirs)) if ours.open && theirs.open => rest = head.after(),
            _ => return found,
        }
    }
}

fn compare(ours: Option<&Answer>, theirs: Option<&Answer>) -> Vec<What> {
    let mut found = Vec::new();
    let outcomes = (Outcome::of(ours), Outcome::of(theirs));
    if outcomes.0 != outcomes.1 {
        let (ours, theirs) = outcomes;
        found.push(What::Outcome { ours, theirs });
    }
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        return found;
    };
    // The one that refuses closes: that is not worth a difference of its own.
    let closing = if ours.open { outcomes.1 } else { outcomes.0 };
    let follows = outcomes.0 != outcomes.1 && REFUSALS.contains(&closing);
    if ours.open != theirs.open && !follows && !theirs.bare {
        found.push(What::Open(ours.open, theirs.open));
    }
    if ours.interim != theirs.interim {
        found.push(What::Interim(ours.interim, theirs.interim));
    }
    if outcomes.0 == outcomes.1 && ours.content != theirs.content {
        found.push(What::Content);
    }
    found
}
