//! The grammar of a request head and of a chunked body (RFC 9112 2 to 7), byte by byte: finds the
//! first byte that no request can have.
//!
//! httparse parses whole heads, and is faster. This check is for heads that are incomplete or that
//! httparse refuses. The error describes the first wrong byte, so it does not depend on how many
//! bytes behind it have been received.

use super::fields::is_token_byte;
use super::request_line::{Method, parse_target, split_line};
use super::status::{RequestError, Status, bad_request};

/// The first byte of a TLS connection: a record of the type handshake (RFC 8446 5.1).
pub(super) const TLS_HANDSHAKE: u8 = 22;

/// The state of a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrammarCheck(Next);

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    /// The method, or an empty line before it.
    #[default]
    Start,
    EmptyLineLf,
    Method,
    TargetStart,
    Target,
    /// The byte with this offset of `HTTP/1.1`, or the CR behind it.
    Version(u8),
    RequestLineLf,
    FieldStart,
    Name,
    Value,
    FieldLf,
    HeadLf,
    /// Nothing: the head is complete.
    End,
}

impl GrammarCheck {
    /// Checks the bytes of `head` from the offset `from` on; those before it have been checked.
    ///
    /// # Errors
    /// No request begins like this: 400, or 505 for another major version.
    pub fn advance(&mut self, head: &[u8], from: usize) -> Result<(), RequestError> {
        for (at, &byte) in head.iter().enumerate().skip(from) {
            let is_request_line = self.0 == Next::RequestLineLf;
            self.0 = self.0.after(byte).map_err(bad_request)?;
            if is_request_line {
                check_request_line(head.split_at(at + 1).0)?;
            }
        }
        Ok(())
    }
}

/// The error for the first byte of `head` that no request can have, if there is one.
pub fn fault(head: &[u8]) -> Option<RequestError> {
    GrammarCheck::default().advance(head, 0).err()
}

/// Checks a whole head.
///
/// # Errors
/// Those of [`GrammarCheck::advance`], and 400 if `head` is not exactly one head.
pub(super) fn check_head(head: &[u8]) -> Result<(), RequestError> {
    let mut check = GrammarCheck::default();
    check.advance(head, 0)?;
    match check.0 {
        Next::End => Ok(()),
        Next::Start => Err(bad_request("too many empty lines before the request")),
        _ => Err(bad_request(NO_REQUEST)),
    }
}

/// Whether `body` cannot be the beginning of a chunked body (RFC 9112 7.1).
pub(super) fn is_malformed_body(mut body: &[u8]) -> bool {
    loop {
        let digits = body.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let (digits, rest) = body.split_at(digits.count());
        let size = digits.iter().try_fold(0_usize, |size, &digit| {
            let digit = char::from(digit).to_digit(16)?;
            size.checked_mul(16)?.checked_add(digit as usize)
        });
        let (Some(size), Some(next)) = (size, rest.first()) else {
            return size.is_none();
        };
        if digits.is_empty() || !b"\r;\t ".contains(next) {
            return true;
        }
        // An extension has the same bytes and the same end as a field value.
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
        let (line, rest) = rest.split_at(end);
        if GrammarCheck(Next::Value).advance(line, 0).is_err() {
            return true;
        }
        if size == 0 {
            let trailer = rest
                .iter()
                .try_fold(Next::FieldStart, |next, &byte| match next {
                    Next::End => Ok(next),
                    _ => next.after(byte),
                });
            return trailer.is_err();
        }
        body = match rest.get(size..) {
            None | Some([] | [b'\r']) => return false,
            Some([b'\r', b'\n', next @ ..]) => next,
            Some(_) => return true,
        };
    }
}

const NO_REQUEST: &str = "not an HTTP/1.1 request";

impl Next {
    /// The state after `byte`.
    fn after(self, byte: u8) -> Result<Self, &'static str> {
        Ok(match (self, byte) {
            (Self::Start, b'\r') => Self::EmptyLineLf,
            (Self::EmptyLineLf, b'\n') => Self::Start,
            (Self::Start | Self::Method, _) if is_token_byte(byte) => Self::Method,
            (Self::Method, b' ') => Self::TargetStart,
            (Self::TargetStart | Self::Target, b'!'..=b'~' | 0x80..) => Self::Target,
            (Self::Target, b' ') => Self::Version(0),
            (Self::Version(8), b'\r') => Self::RequestLineLf,
            (Self::Version(at), _) if is_in_version(at, byte) => Self::Version(at + 1),
            (Self::RequestLineLf | Self::FieldLf, b'\n') => Self::FieldStart,
            (Self::FieldStart, b'\r') => Self::HeadLf,
            (Self::HeadLf, b'\n') => Self::End,
            (Self::FieldStart | Self::Name, _) if is_token_byte(byte) => Self::Name,
            (Self::Name, b':') => Self::Value,
            (Self::Value, b'\t' | b' '..=b'~' | 0x80..) => Self::Value,
            (Self::Value, b'\r') => Self::FieldLf,

            (Self::Start, TLS_HANDSHAKE) => {
                return Err("this is TLS, and the port speaks plain HTTP");
            }
            (_, b'\n') => return Err("a line ends in LF without CR"),
            (Self::FieldStart | Self::Name, _) => {
                return Err("a field name is not a token, or a line is folded");
            }
            (Self::Value | Self::FieldLf, _) => {
                return Err("a field value contains a control byte");
            }
            _ => return Err(NO_REQUEST),
        })
    }
}

fn is_in_version(at: u8, byte: u8) -> bool {
    match at {
        5 | 7 => byte.is_ascii_digit(),
        at => b"HTTP/1.1".get(usize::from(at)) == Some(&byte),
    }
}

/// Checks the target and the version of a request line, with its line end, that has the right
/// grammar.
fn check_request_line(line: &[u8]) -> Result<(), RequestError> {
    let (method, target, version) = split_line(line.trim_ascii_end());
    parse_target(Method::of(method), target)?;
    match version {
        [.., b'1', b'.', _] => Ok(()),
        _ => Err((
            Status::HttpVersionNotSupported,
            "only HTTP/1.0 and HTTP/1.1 are supported",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wrong_byte_decides() {
        let cases: [(&[u8], &[u8]); 32] = [
            // Other protocols.
            (b"\x16", b"\x03\x01\x02"),
            (b"\x04", b"\x01\x00\x50"),
            (b"\x05", b"\x01\x00"),
            (b"\0", b"\0\0\x08\x04\xd2\x16\x2f"),
            (b"\x80", b"\x2e\x01"),
            (b"EHLO x\r", b"\n"),
            (b"PING\r", b"\n"),
            (b"*1\r", b"\n$4\r\nPING\r\n"),
            (b"SSH-2.0-OpenSSH_9.2\r", b"\n"),
            (b"SSH-2.0-OpenSSH_9.2 Debian\r", b"\n"),
            (b"OPTIONS rtsp://a R", b"TSP/1.0\r\n"),
            (b"OPTIONS sip:a S", b"IP/2.0\r\n"),
            (b"PROXY TCP4 1", b"27.0.0.1 127.0.0.1 1 80\r\n"),
            (b"\r\n\r\n\0", b"\r\nQUIT\n"),
            (b"PRI * HTTP/2.0\r\n", b"\r\nSM\r\n\r\n"),
            (b"{", b"\"jsonrpc\": \"2.0\"}"),
            (b"<", b"stream:stream>"),
            // Requests with a mistake.
            (b" ", b"GET / HTTP/1.1"),
            (b"\n", b"GET / HTTP/1.1"),
            (b"\rG", b"ET / HTTP/1.1"),
            (b"GET\t", b"/ HTTP/1.1"),
            (b"GET  ", b"/ HTTP/1.1"),
            (b"GET /\x7f", b" HTTP/1.1"),
            (b"GET /\r", b"\n"),
            (b"GET / h", b"ttp/1.1"),
            (b"GET / HTTP/1.10", b"\r\n"),
            (b"GET / HTTP/1.1\n", b"\r\n"),
            (b"GET / HTTP/2.0\r\n", b"A: b\r\n"),
            (b"GET x HTTP/1.1\r\n", b"A: b\r\n"),
            (b"GET / HTTP/1.1\r\nA\r", b"\n"),
            (b"GET / HTTP/1.1\r\nA: b\r\n ", b"c\r\n"),
            (b"GET / HTTP/1.1\r\nA: \0", b"\r\n"),
        ];
        for (start, rest) in cases {
            let text = start.escape_ascii();
            let (_, before) = start.split_last().unwrap();
            assert_eq!(fault(before), None, "{text}");
            let decided = fault(start);
            assert!(decided.is_some(), "{text}");
            assert_eq!(fault(&[start, rest].concat()), decided, "{text}");
        }
    }

    #[test]
    fn a_head_is_read_in_pieces_as_in_one() {
        let head = b"\r\n\r\nGET /\xff?\"#x HTTP/1.9\r\nHost: a\r\nA:\tb \xff\r\n\r\n";
        assert_eq!(check_head(head), Ok(()));
        let mut check = GrammarCheck::default();
        for at in 0..head.len() {
            assert_eq!(check.advance(&head[..=at], at), Ok(()));
        }
        assert_eq!(check.0, Next::End);
        assert!(check_head(&head[1..]).is_err());
        assert!(check_head(&head[..head.len() - 1]).is_err());
        assert!(check_head(&[head, b"x".as_slice()].concat()).is_err());
    }

    #[test]
    fn chunks_are_malformed_as_soon_as_no_body_begins_like_that() {
        for (body, expected) in [
            ("", false),
            ("5", false),
            ("5\r", false),
            ("5\r\nab", false),
            ("5\r\nabcde\r", false),
            ("5\r\nabcde\r\n0\r\n\r\n", false),
            ("5;a=\"b\"\r\nabcde\r\n00\r\n\r\n", false),
            ("5 ; a\r\nabcde\r\n0 \r\n\r\n", false),
            ("0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n", false),
            ("ffffffff", false),
            ("x", true),
            ("-1\r\n", true),
            ("0x5\r\n", true),
            ("\r\n", true),
            (";a\r\n", true),
            (" 5\r\n", true),
            ("5\n", true),
            ("5\rx", true),
            ("5;\n", true),
            ("5 \0", true),
            ("5\r\nabcdeX", true),
            ("5\r\nabcde\n", true),
            ("5\r\nabcde\r\n\r\n", true),
            ("5\r\nabcde\r\nx", true),
            ("0\r\nA\r\n\r\n", true),
            ("0\r\n\n", true),
            ("11111111111111111", true),
        ] {
            assert_eq!(is_malformed_body(body.as_bytes()), expected, "{body:?}");
        }
    }
}
