//! Room `connection`: what a connection has been asked, or will never be.

use crate::http::request::{Refusal, Request, RequestTraits};
use crate::http::request_line::{first_line, reason_for_long_line};
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
        traits: RequestTraits,
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
                traits: RequestTraits::REFUSED,
            }),
            Arrival::Malformed => Some(Self::Malformed),
            Arrival::LineTooLong => Some(Self::LineTooLong),
            Arrival::TooLong => Some(Self::TooLong),
        }
    }

    /// How many bytes of the inbox it takes up, and how its answer is to be delivered.
    pub(super) fn extent(self, inbox: &Inbox) -> (usize, RequestTraits) {
        match self {
            Self::Whole { length, traits } => (length, traits),
            _ => {
                let bytes = inbox.bytes();
                (bytes.len(), RequestTraits::refused(first_line(bytes)))
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
            Self::Whole { length, traits } => {
                let (head, body) = bytes.split_at_checked(*length).unwrap_or((bytes, &[]));
                let parsed = Request::parse(head, body, limits.fields);
                *traits = match &parsed {
                    Ok(request) => request.traits,
                    Err(refusal) => refusal.traits(),
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
                scan::fault(start).unwrap_or_else(|| reason_for_long_line(start))
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
