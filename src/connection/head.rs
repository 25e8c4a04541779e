//! What a connection has received: a request head, or the reason why it is refused.

use crate::http::request::{Refusal, Request, RequestTraits};
use crate::http::request_line::{first_line, reason_for_long_line};
use crate::http::scan;
use crate::http::status::Status;
use crate::limits::Limits;
use crate::read_buffer::{HeadScan, ReadBuffer};

/// What is to be answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    /// A head of `length` bytes at the start of the read buffer. The traits are set when it is
    /// parsed.
    Whole {
        length: usize,
        traits: RequestTraits,
    },
    /// No request begins with these bytes.
    Malformed,
    LineTooLong,
    TooLong,
    TooSlow,
}

impl Head {
    /// What a search for a head found to answer, if anything.
    pub(super) fn of(found: HeadScan) -> Option<Self> {
        match found {
            HeadScan::Partial => None,
            HeadScan::Whole(length) => Some(Self::Whole {
                length,
                traits: RequestTraits::REFUSED,
            }),
            HeadScan::Malformed => Some(Self::Malformed),
            HeadScan::LineTooLong => Some(Self::LineTooLong),
            HeadScan::TooLong => Some(Self::TooLong),
        }
    }

    /// How many bytes of the read buffer it takes up, and how it wants its response.
    pub(super) fn extent(self, read_buffer: &ReadBuffer) -> (usize, RequestTraits) {
        match self {
            Self::Whole { length, traits } => (length, traits),
            _ => {
                let bytes = read_buffer.bytes();
                (bytes.len(), RequestTraits::refused(first_line(bytes)))
            }
        }
    }

    /// Parses a whole head, or says why there is none.
    pub(super) fn parse<'c>(
        &mut self,
        read_buffer: &'c ReadBuffer,
        limits: &Limits,
    ) -> Result<Request<'c>, Refusal<'c>> {
        let bytes = read_buffer.bytes();
        // An error that comes before the limit is reported instead of the limit, however the bytes
        // were split on their way.
        let start = |length: usize| bytes.get(..length).unwrap_or(bytes);
        let (status, why) = match self {
            Self::Whole { length, traits } => {
                let (head, body) = bytes.split_at(*length);
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
            line: first_line(bytes),
        })
    }
}
