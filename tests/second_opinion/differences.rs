//! The differences between the responses of both servers, request by request.

use crate::head::Head;
use crate::responses::Response;
use crate::servers::Opinions;
use std::fmt;

/// A difference, and the head that causes it.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'b> {
    pub head: Head<'b>,
    pub what: What,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The responses.
    Outcome { ours: Outcome, theirs: Outcome },
    /// Whether the connection stays open; oneloop first.
    Open(bool, bool),
    /// Whether `100 Continue` comes first; oneloop first.
    Interim(bool, bool),
    /// The file that is sent.
    Content,
}

/// The response to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Status(u16),
    /// A body without header, as in HTTP/0.9.
    Bare,
    /// None: the server waits for more bytes.
    Nothing,
}

/// Statuses that always come with `Connection: close`.
const REFUSALS: [Outcome; 6] = [
    Outcome::Status(400),
    Outcome::Status(413),
    Outcome::Status(414),
    Outcome::Status(431),
    Outcome::Status(501),
    Outcome::Status(505),
];

impl Outcome {
    fn of(response: Option<&Response>) -> Self {
        match response {
            None => Self::Nothing,
            Some(response) if response.bare => Self::Bare,
            Some(response) => Self::Status(response.status),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(out, "{status}"),
            Self::Bare => out.write_str("a body without header"),
            Self::Nothing => out.write_str("nothing"),
        }
    }
}

/// Compares the responses one by one, until a server closes the connection.
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

fn compare(ours: Option<&Response>, theirs: Option<&Response>) -> Vec<What> {
    let mut found = Vec::new();
    let outcomes = (Outcome::of(ours), Outcome::of(theirs));
    if outcomes.0 != outcomes.1 {
        let (ours, theirs) = outcomes;
        found.push(What::Outcome { ours, theirs });
    }
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        return found;
    };
    // A server that refuses a request closes: that is not another difference.
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
