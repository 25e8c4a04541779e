//! Room `connection`: what a connection has been asked, or will never be.

use crate::http::request::{Manners, Refusal, Request, first_line, name_long_part};
use crate::http::scan;
use crate::http::status::Status;
use crate::inbox::{Arrival, Inbox};
use crate::limits::Limits;

/// What there is to answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    /// This many bytes of the inbox; how to answer is known once they are parsed.
    Whole {
        length: usize,
        manners: Manners,
    },
    /// No head begins like this.
    Malformed,
    LineTooLong,
    TooLong,
    TooSlow,
}

impl Head {
    /// What an arrival leaves to answer, if anything.
    pub(super) fn of(arrival: Arrival) -> Option<Self> {
        match arrival {
            Arrival::Partial => None,
            Arrival::Whole(length) => Some(Self::Whole {
                length,
                manners: Manners::REFUSED,
            }),
            Arrival::Malformed => Some(Self::Malformed),
            Arrival::LineTooLong => Some(Self::LineTooLong),
            Arrival::TooLong => Some(Self::TooLong),
        }
    }

    /// How many bytes of the inbox it takes up, and how its answer is to be delivered.
    pub(super) fn extent(self, inbox: &Inbox) -> (usize, Manners) {
        match self {
            Self::Whole { length, manners } => (length, manners),
            _ => {
                let bytes = inbox.bytes();
                (bytes.len(), Manners::refused(first_line(bytes)))
            }
        }
    }

    /// Parses a whole head and notes how to answer it.
    pub(super) fn parse<'c>(
        &mut self,
        inbox: &'c Inbox,
        limits: &Limits,
    ) -> Result<Request<'c>, Refusal<'c>> {
        let bytes = inbox.bytes();
        // What was wrong with a head before it was too long is told even if it arrived at once.
        let start = |length: usize| bytes.get(..length).unwrap_or(bytes);
        let (status, why) = match self {
            Self::Whole { length, manners } => {
                let (head, body) = bytes.split_at_checked(*length).unwrap_or((bytes, &[]));
                let parsed = Request::parse(head, body, limits.fields);
                *manners = match &parsed {
                    Ok(request) => request.manners,
                    Err(refusal) => refusal.manners(),
                };
                return parsed;
            }
            Self::Malformed => {
                let fault = scan::fault(bytes);
                debug_assert!(fault.is_some(), "{}", bytes.escape_ascii());
                fault.unwrap_or((Status::BAD_REQUEST, "not an HTTP/1.1 request"))
            }
            Self::LineTooLong => {
                let start = start(limits.request_line + 2);
                scan::fault(start).unwrap_or_else(|| name_long_part(start))
            }
            Self::TooLong => scan::fault(start(limits.head + 1))
                .unwrap_or((Status::HEAD_TOO_LARGE, "the header fields are too large")),
            Self::TooSlow => (
                Status::REQUEST_TIMEOUT,
                "the request did not arrive in time",
            ),
        };
        Err(Refusal {
            status,
            why,
            line: Some(first_line(bytes)),
        })
    }
}
