//! One pass over the header fields of a request: Host, the length of the body, and whether the
//! connection stays open.
//!
//! What is ambiguous is refused: two servers that disagree about where a request ends make request
//! smuggling possible.

use super::conditional::is_condition;
use super::fields::list;
use super::grammar::is_malformed_body;
use super::host::is_host;
use super::status::{RequestError, Status, bad_request};

/// Which of the fields are present that select a representation or a part of it. An absent one need
/// not be searched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PresentFields {
    /// A precondition, or If-Range.
    pub conditions: bool,
    /// Range.
    pub range: bool,
    /// Accept-Encoding.
    pub accept_encoding: bool,
}

/// What one pass over the fields finds. This is the only pass over the fields that every request
/// needs.
#[derive(Default)]
pub(super) struct FieldScan<'h> {
    pub(super) host: Option<&'h [u8]>,
    length: Option<u64>,
    coding: Option<&'h [u8]>,
    says_close: bool,
    says_keep_alive: bool,
    pub(super) expects_unknown: bool,
    pub(super) present: PresentFields,
}

impl<'h> FieldScan<'h> {
    pub(super) fn of<'n>(
        lines: impl Iterator<Item = (&'n [u8], &'h [u8])>,
    ) -> Result<Self, RequestError> {
        let mut scan = Self::default();
        for (name, value) in lines {
            scan.read(name, value)?;
        }
        Ok(scan)
    }

    fn read(&mut self, name: &[u8], value: &'h [u8]) -> Result<(), RequestError> {
        // The length of the name alone excludes most fields.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if !is_host(value) {
                    return Err(bad_request("Host is not a valid host"));
                }
                if self.host.replace(value).is_some() {
                    return Err(bad_request("Host is repeated"));
                }
            }
            5 if name.eq_ignore_ascii_case(b"range") => self.present.range = true,
            6 if name.eq_ignore_ascii_case(b"expect") => {
                self.expects_unknown |=
                    list(value).any(|name| !name.eq_ignore_ascii_case(b"100-continue"));
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for token in list(value) {
                    self.says_close |= token.eq_ignore_ascii_case(b"close");
                    self.says_keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = parse_length(value)?;
                if self.length.replace(length).is_some() {
                    return Err(bad_request("Content-Length is repeated"));
                }
            }
            15 if name.eq_ignore_ascii_case(b"accept-encoding") => {
                self.present.accept_encoding = true
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.coding.replace(value).is_some() {
                    return Err(bad_request("Transfer-Encoding is repeated"));
                }
            }
            _ => self.present.conditions |= is_condition(name),
        }
        Ok(())
    }

    /// Whether a body follows the head; `body` is what has been received of it. A body is never
    /// read: the connection closes after the response (RFC 9112 9.3).
    ///
    /// Errors are those of RFC 9112 6.1 and 6.3. Where the two differ (a list that does not end
    /// with chunked), the error is that of other servers.
    pub(super) fn has_body(&self, http10: bool, body: &[u8]) -> Result<bool, RequestError> {
        let Some(coding) = self.coding else {
            return Ok(self.length.is_some_and(|length| length > 0));
        };
        if http10 {
            return Err(bad_request("Transfer-Encoding in an HTTP/1.0 request"));
        }
        if !coding.eq_ignore_ascii_case(b"chunked") {
            return Err((
                Status::NotImplemented,
                "the only supported transfer coding is chunked, once",
            ));
        }
        if self.length.is_some() {
            return Err(bad_request("both Content-Length and Transfer-Encoding"));
        }
        if is_malformed_body(body) {
            return Err(bad_request("the body is not made of chunks"));
        }
        Ok(true)
    }

    /// Whether the connection stays open, by version and Connection field (RFC 9112 9.3).
    pub(super) fn keep_alive(&self, http10: bool) -> bool {
        !self.says_close && (!http10 || self.says_keep_alive)
    }
}

/// Digits only: `u64::from_str` accepts a plus sign, and a list contains two lengths.
fn parse_length(value: &[u8]) -> Result<u64, RequestError> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return Err(bad_request("Content-Length is not a number"));
    }
    Ok(value
        .iter()
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}
