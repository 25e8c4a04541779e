//! Room `http`: what do the fields say of the message itself, whatever is asked for?
//!
//! Whose it is (Host), how long it is, and what becomes of the connection after it. What is
//! ambiguous is refused, because two servers that see another end of a request are how requests
//! are smuggled.

use super::conditional::is_condition;
use super::fields::list;
use super::host::is_host;
use super::request::{Mentions, Reason, bad};
use super::scan::is_malformed_body;
use super::status::Status;

/// What one walk over the fields finds out. It is the only walk that every request needs.
#[derive(Default)]
pub(super) struct Survey<'h> {
    pub(super) host: Option<&'h [u8]>,
    length: Option<u64>,
    coding: Option<&'h [u8]>,
    close: bool,
    keep_alive: bool,
    pub(super) expects_unknown: bool,
    pub(super) mentions: Mentions,
}

impl<'h> Survey<'h> {
    pub(super) fn of<'n>(
        lines: impl Iterator<Item = (&'n [u8], &'h [u8])>,
    ) -> Result<Self, Reason> {
        let mut survey = Self::default();
        for (name, value) in lines {
            survey.note(name, value)?;
        }
        Ok(survey)
    }

    fn note(&mut self, name: &[u8], value: &'h [u8]) -> Result<(), Reason> {
        // Most fields are none of these; their length alone says so.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if !is_host(value) {
                    return Err(bad("Host is not a valid host"));
                }
                if self.host.replace(value).is_some() {
                    return Err(bad("Host stands twice"));
                }
            }
            5 if name.eq_ignore_ascii_case(b"range") => self.mentions.range = true,
            6 if name.eq_ignore_ascii_case(b"expect") => {
                self.expects_unknown |=
                    list(value).any(|one| !one.eq_ignore_ascii_case(b"100-continue"));
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for token in list(value) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = parse_length(value)?;
                if self.length.replace(length).is_some() {
                    return Err(bad("Content-Length stands twice"));
                }
            }
            15 if name.eq_ignore_ascii_case(b"accept-encoding") => self.mentions.codings = true,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.coding.replace(value).is_some() {
                    return Err(bad("Transfer-Encoding stands twice"));
                }
            }
            _ => self.mentions.conditions |= is_condition(name),
        }
        Ok(())
    }

    /// Whether a body follows the head; `body` is what has arrived of it. It is never read as one:
    /// after a request that announces one, we answer and close (RFC 9112 9.3).
    ///
    /// The answers of RFC 9112 6.1 and 6.3, and where those differ (a list without chunked at its
    /// end) that of other servers.
    pub(super) fn has_body(&self, old: bool, body: &[u8]) -> Result<bool, Reason> {
        let Some(coding) = self.coding else {
            return Ok(self.length.is_some_and(|length| length > 0));
        };
        if old {
            return Err(bad("Transfer-Encoding in an HTTP/1.0 request"));
        }
        if !coding.eq_ignore_ascii_case(b"chunked") {
            return Err((
                Status::NOT_IMPLEMENTED,
                "the only transfer coding understood here is one chunked",
            ));
        }
        if self.length.is_some() {
            return Err(bad("both Content-Length and Transfer-Encoding"));
        }
        if is_malformed_body(body) {
            return Err(bad("the body is not made of chunks"));
        }
        Ok(true)
    }

    /// Whether the peer may send another request on the connection, by what it said itself.
    pub(super) fn may_go_on(&self, old: bool) -> bool {
        !self.close && (!old || self.keep_alive)
    }
}

/// Digits only: `u64::from_str` would accept a plus sign, and a list would be two lengths.
fn parse_length(value: &[u8]) -> Result<u64, Reason> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return Err(bad("Content-Length is not a number"));
    }
    Ok(value
        .iter()
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}
