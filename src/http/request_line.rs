//! The request line: method, target and version (RFC 9112 3).

use super::host::{is_host, is_host_and_port};
use super::status::{RequestError, Status, bad_request};

/// The methods that the server distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`: the same response without its body.
    Head,
    /// `OPTIONS`.
    Options,
    /// A standard method that a static server never allows: 405.
    Known,
    /// `CONNECT`: never allowed either, and the bytes behind it may belong to the other end of a
    /// tunnel.
    Connect,
    /// Any other method: 501.
    Unknown,
}

/// The request target (RFC 9112 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'h> {
    /// Origin-form, or absolute-form without its scheme and authority.
    Path {
        /// Begins with a slash; not decoded.
        path: &'h [u8],
        /// What follows the first question mark.
        query: Option<&'h [u8]>,
    },
    /// `*`: the server as a whole.
    Asterisk,
    /// The authority-form of CONNECT.
    Authority,
}

impl Method {
    /// Length of the longest method name in bytes.
    const LONGEST: usize = 7;

    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            b"POST" | b"PUT" | b"DELETE" | b"TRACE" | b"PATCH" => Self::Known,
            b"CONNECT" => Self::Connect,
            _ => Self::Unknown,
        }
    }
}

/// Why a head whose request line is too long is refused: its method is too long (501, RFC 9112 3),
/// or its target is (414).
pub fn long_line_error(head: &[u8]) -> RequestError {
    let (method, ..) = split_line(head);
    match method.len() > Method::LONGEST {
        true => (Status::NotImplemented, "the method is unknown"),
        false => (Status::UriTooLong, "the request line is too long"),
    }
}

/// The first line without its line end, or all of `bytes` if no line has ended.
pub fn first_line(bytes: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let (line, _) = bytes.split_at(end);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Method, target and version. Parts that are missing are empty.
pub(super) fn split_line(line: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let mut next = || parts.next().unwrap_or(b"");
    (next(), next(), next())
}

/// The target, and the authority of an absolute target.
pub(super) fn parse_target(
    method: Method,
    target: &[u8],
) -> Result<(Target<'_>, Option<&[u8]>), RequestError> {
    if method == Method::Connect {
        return match is_host_and_port(target) {
            true => Ok((Target::Authority, None)),
            false => Err(bad_request(
                "the target of CONNECT is not a host and a port",
            )),
        };
    }
    match target {
        [b'/', ..] => Ok((split_query(target), None)),
        b"*" if method == Method::Options => Ok((Target::Asterisk, None)),
        _ => match strip_scheme(target) {
            Some(rest) => {
                let end = rest
                    .iter()
                    .position(|byte| b"/?".contains(byte))
                    .unwrap_or(rest.len());
                let (authority, path) = rest.split_at(end);
                // RFC 9110 4.2.1: an empty host is invalid, with a port or without.
                if matches!(authority, [] | [b':', ..]) || !is_host(authority) {
                    return Err(bad_request("the target names no valid host"));
                }
                Ok((split_query(path), Some(authority)))
            }
            None => Err(bad_request(
                "the target is neither a path nor an absolute URL",
            )),
        },
    }
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    [b"http://".as_slice(), b"https://"]
        .into_iter()
        .find_map(|scheme| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        })
}

fn split_query(target: &[u8]) -> Target<'_> {
    let (path, rest) = match memchr::memchr2(b'?', b'#', target) {
        Some(mark) => target.split_at(mark),
        None => (target, b"".as_slice()),
    };
    // Clients should not send a fragment (RFC 9112 3.2). Some do; it is cut off.
    let query = rest.strip_prefix(b"?").map(|query| {
        let end = memchr::memchr(b'#', query).unwrap_or(query.len());
        query.split_at(end).0
    });
    // RFC 9112 3.2.1: an empty path is the root.
    Target::Path {
        path: if path.is_empty() { b"/" } else { path },
        query,
    }
}
