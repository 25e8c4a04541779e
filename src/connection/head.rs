//! What a connection has received: a request head, or the reason why it is refused.

use crate::http::grammar;
use crate::http::request::{Delivery, Refusal, Request};
use crate::http::request_line::{first_line, long_line_error};
use crate::http::status::{RequestError, Status};
use crate::limits::Limits;
use crate::read_buffer::{HeadEnd, ReadBuffer};

/// A request that waits for its response.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    /// A head of `length` bytes at the start of the read buffer. The delivery is set when it is
    /// parsed.
    Whole {
        length: usize,
        delivery: Delivery,
        /// The handler was asked, and was not ready.
        is_postponed: bool,
    },
    /// No head: what the read buffer holds is refused.
    Refused(RequestError),
}

impl Head {
    /// The handler was not ready to answer the head at its deadline.
    pub(super) const TOO_BUSY: Self = Self::Refused((
        Status::ServiceUnavailable,
        "the server is too busy to answer now; try again",
    ));

    /// The head was not complete at its deadline.
    pub(super) const TOO_SLOW: Self =
        Self::Refused((Status::RequestTimeout, "the request did not arrive in time"));

    /// Searches for a whole head, or for a reason why there will be none.
    pub(super) fn find(read_buffer: &mut ReadBuffer, limits: &Limits) -> Option<Self> {
        let end = read_buffer.find_head(
            limits.max_head_bytes,
            limits.max_request_line_bytes,
            limits.max_empty_lines,
        );
        // An error that comes before the limit is reported instead of the limit, however the bytes
        // were split on their way.
        let start = |length| read_buffer.bytes().split_at(length).0;
        Some(Self::Refused(match end {
            HeadEnd::NotYet => return None,
            HeadEnd::At(length) => {
                return Some(Self::Whole {
                    length,
                    delivery: Delivery::REFUSED,
                    is_postponed: false,
                });
            }
            HeadEnd::Malformed(error) => error,
            HeadEnd::LineTooLong => {
                let start = start(limits.max_request_line_bytes + 2);
                grammar::fault(start).unwrap_or_else(|| long_line_error(start))
            }
            HeadEnd::TooLong => grammar::fault(start(limits.max_head_bytes + 1)).unwrap_or((
                Status::RequestHeaderFieldsTooLarge,
                "the header fields are too large",
            )),
        }))
    }

    /// The handler is not ready. Returns whether it was asked for the first time.
    pub(super) fn postpone(&mut self) -> bool {
        match self {
            Self::Whole { is_postponed, .. } => !std::mem::replace(is_postponed, true),
            Self::Refused(_) => false,
        }
    }

    /// How many bytes of the read buffer it takes up, and how it wants its response.
    pub(super) fn length_and_delivery(self, read_buffer: &ReadBuffer) -> (usize, Delivery) {
        match self {
            Self::Whole {
                length, delivery, ..
            } => (length, delivery),
            Self::Refused(_) => {
                let bytes = read_buffer.bytes();
                (bytes.len(), Delivery::refused(first_line(bytes)))
            }
        }
    }

    /// Parses a whole head.
    pub(super) fn parse<'c>(
        &mut self,
        read_buffer: &'c ReadBuffer,
        limits: &Limits,
    ) -> Result<Request<'c>, Refusal<'c>> {
        let bytes = read_buffer.bytes();
        match self {
            Self::Whole {
                length, delivery, ..
            } => {
                let (head, body) = bytes.split_at(*length);
                let parsed = Request::parse(head, body, limits.max_fields);
                *delivery = match &parsed {
                    Ok(request) => request.delivery,
                    Err(refusal) => refusal.delivery(),
                };
                parsed
            }
            Self::Refused((status, why)) => Err(Refusal {
                status: *status,
                why,
                line: first_line(bytes),
            }),
        }
    }
}
