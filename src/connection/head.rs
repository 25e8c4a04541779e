//! Room `connection`: what a connection has been asked, or will never be.

use crate::http::request::{Manners, Refusal, Request};
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
            Arrival::LineTooLong => Some(Self::LineTooLong),
            Arrival::TooLong => Some(Self::TooLong),
        }
    }

    /// How many bytes of the inbox it takes up, and how its answer is to be delivered.
    pub(super) fn extent(self, inbox: &Inbox) -> (usize, Manners) {
        match self {
            Self::Whole { length, manners } => (length, manners),
            _ => (inbox.bytes().len(), Manners::refused(inbox.first_line())),
        }
    }

    /// Parses a whole head and notes how to answer it.
    pub(super) fn parse<'c>(
        &mut self,
        inbox: &'c Inbox,
        limits: &Limits,
    ) -> Result<Request<'c>, Refusal<'c>> {
        let (status, why) = match self {
            Self::Whole { length, manners } => {
                let parsed = Request::parse(inbox.head(*length), limits.fields);
                *manners = match &parsed {
                    Ok(request) => request.manners,
                    Err(refusal) => refusal.manners(),
                };
                return parsed;
            }
            Self::LineTooLong => (Status::URI_TOO_LONG, "the request line is too long"),
            Self::TooLong => (Status::HEAD_TOO_LARGE, "the header fields are too large"),
            Self::TooSlow => (
                Status::REQUEST_TIMEOUT,
                "the request did not arrive in time",
            ),
        };
        Err(Refusal {
            status,
            why,
            line: Some(inbox.first_line()),
        })
    }
}
