//! Parses a request head: a [`Request`], or the [`Refusal`] that says how to answer it.
//!
//! httparse parses the grammar. What it accepts and RFC 9112 does not is refused here: two servers
//! that read one head differently make request smuggling possible. Refused are a bare LF, a
//! Content-Length that is not plain digits or is repeated, every Transfer-Encoding but `chunked`,
//! and a Host that is missing, repeated or not a host. A target may contain all bytes but spaces
//! and control bytes: RFC 3986 allows fewer, but clients send the others unescaped.

use super::field_scan::FieldScan;
use super::fields::Fields;
use super::grammar;
use super::request_line::{first_line, parse_target, split_line};
use super::status::{RequestError, Status, bad_request};
use httparse::Status as Parsed;
use std::mem::MaybeUninit;

pub use super::field_scan::PresentFields;
pub use super::request_line::{Method, Target};

/// The most field lines that can be parsed; `Limits::max_fields` may be lower.
const MAX_FIELDS: usize = 128;

/// A parsed request. Borrows the head.
#[derive(Clone, Copy, Debug)]
pub struct Request<'h> {
    /// The method.
    pub method: Method,
    /// The target.
    pub target: Target<'h>,
    /// The request line as received, without its line end: for the access log.
    pub line: &'h [u8],
    /// The Host field, or the authority of an absolute target.
    pub host: Option<&'h [u8]>,
    /// All fields.
    pub fields: Fields<'h>,
    /// Which of the fields it has that select a representation.
    pub present: PresentFields,
    /// What the connection needs to know to deliver the response.
    pub delivery: Delivery,
    /// It expects something other than `100-continue` (RFC 9110 10.1.1).
    pub expects_unknown: bool,
}

/// What the connection keeps of a request: how to deliver the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The request is HTTP/1.0: a connection that stays open needs `Connection: keep-alive`.
    pub http10: bool,
    /// The method is HEAD: the response has no body.
    pub is_head: bool,
    /// The connection may carry another request afterwards.
    pub keep_alive: bool,
    /// The client sends nothing after this request, and the request has no body:
    /// `Connection: close`, or HTTP/1.0 without keep-alive (RFC 9112 9.6, 9.3).
    pub close_requested: bool,
}

impl Delivery {
    /// How to deliver the response to a request that cannot be parsed: the connection closes after
    /// the response.
    pub const REFUSED: Delivery = Delivery {
        http10: false,
        is_head: false,
        keep_alive: false,
        close_requested: false,
    };

    /// The same for a request with this first line: the response to HEAD has no body, whatever
    /// else is wrong with the request (RFC 9110 9.3.2).
    pub fn refused(line: &[u8]) -> Self {
        Self {
            is_head: line.starts_with(b"HEAD "),
            ..Self::REFUSED
        }
    }
}

/// A head that is answered with an error. The connection closes afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'h> {
    /// The status of the response.
    pub status: Status,
    /// What is wrong, as text for the client.
    pub why: &'static str,
    /// The request line, as far as it has been received: for the access log.
    pub line: &'h [u8],
}

impl Refusal<'_> {
    /// Whether TLS arrived instead of a request.
    pub fn is_tls(&self) -> bool {
        self.line.first() == Some(&grammar::TLS_HANDSHAKE)
    }

    /// How to deliver the response.
    pub fn delivery(&self) -> Delivery {
        Delivery::refused(self.line)
    }
}

impl<'h> Request<'h> {
    /// Parses a whole head, from the first byte of the request line to the empty line. `body` is
    /// what has been received behind it.
    ///
    /// # Errors
    /// A [`Refusal`] with status 400, 431 (more than `max_fields` field lines), 501 (a transfer
    /// coding other than chunked) or 505.
    pub fn parse(head: &'h [u8], body: &[u8], max_fields: usize) -> Result<Self, Refusal<'h>> {
        let line = first_line(head);
        let refuse = |(status, why)| Refusal { status, why, line };
        let fields = field_lines(head, line);
        let ParsedHead {
            method,
            target,
            minor,
            headers,
        } = parse_with_httparse(head, max_fields)
            .map_or_else(
                || parse_without_httparse(head, line, fields, max_fields),
                Ok,
            )
            .map_err(refuse)?;
        let method = Method::of(method);
        let (target, authority) = parse_target(method, target).map_err(refuse)?;
        let http10 = minor == 0;
        let headers = headers.map_err(refuse)?;
        if headers.host.is_none() && !http10 {
            return Err(refuse(bad_request("HTTP/1.1 requires a Host field")));
        }
        let has_body = headers.has_body(http10, body).map_err(refuse)?;
        let keep_alive = headers.keep_alive(http10);
        let is_alone = !has_body && method != Method::Connect;
        Ok(Self {
            method,
            target,
            line,
            // RFC 9112 3.2.2: an absolute target overrides Host.
            host: authority.or(headers.host),
            fields,
            delivery: Delivery {
                http10,
                is_head: method == Method::Head,
                keep_alive: keep_alive && is_alone,
                close_requested: !keep_alive && is_alone,
            },
            present: headers.present,
            expects_unknown: headers.expects_unknown && !http10,
        })
    }
}

/// The field lines of a head that begins with `line`: from behind its CRLF to the empty line. A
/// head with other line ends, which is refused, may have none.
fn field_lines<'h>(head: &'h [u8], line: &[u8]) -> Fields<'h> {
    let end = head.len().saturating_sub(2);
    Fields::new(head.get(line.len() + 2..end).unwrap_or(b""))
}

/// The parts of a head that has the right grammar.
struct ParsedHead<'h> {
    method: &'h [u8],
    target: &'h [u8],
    minor: u8,
    headers: Result<FieldScan<'h>, RequestError>,
}

/// `None` if httparse refuses the head; [`parse_without_httparse`] decides then.
fn parse_with_httparse(head: &[u8], max_fields: usize) -> Option<ParsedHead<'_>> {
    // httparse accepts a bare LF as a line end, as RFC 9112 2.2 allows.
    if has_bare_lf(head) {
        return None;
    }
    let mut lines = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let (lines, _) = lines.split_at_mut(max_fields.min(MAX_FIELDS));
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, lines) {
        Ok(Parsed::Complete(length)) if length == head.len() => {}
        _ => return None,
    }
    let lines = request.headers.iter();
    Some(ParsedHead {
        method: request.method?.as_bytes(),
        target: request.path?.as_bytes(),
        minor: request.version?,
        headers: FieldScan::of(lines.map(|line| (line.name.as_bytes(), line.value))),
    })
}

/// Parses a head that httparse refuses, or finds what is wrong with it. httparse refuses later
/// minor versions, which are treated as HTTP/1.1 (RFC 9110 2.5), and targets that are not UTF-8.
fn parse_without_httparse<'h>(
    head: &[u8],
    line: &'h [u8],
    fields: Fields<'h>,
    max_fields: usize,
) -> Result<ParsedHead<'h>, RequestError> {
    grammar::check_head(head)?;
    if fields.iter().count() > max_fields.min(MAX_FIELDS) {
        return Err((Status::RequestHeaderFieldsTooLarge, "too many field lines"));
    }
    let (method, target, version) = split_line(line);
    Ok(ParsedHead {
        method,
        target,
        minor: u8::from(!version.ends_with(b"0")),
        headers: FieldScan::of(fields.iter()),
    })
}

/// Whether an LF has no CR before it. Counts instead of stopping at the first: the compiler
/// vectorises a loop without an early exit.
fn has_bare_lf(head: &[u8]) -> bool {
    let pairs = head.iter().zip(head.iter().skip(1));
    let bare = pairs.filter(|(before, byte)| **byte == b'\n' && **before != b'\r');
    head.first() == Some(&b'\n') || bare.count() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Result<Request<'_>, (u16, &'static str)> {
        Request::parse(head.as_bytes(), b"", 100)
            .map_err(|refusal| (refusal.status.code(), refusal.why))
    }

    fn status(head: &str) -> u16 {
        parse(head).map_or_else(|(status, _)| status, |_| 200)
    }

    fn get(fields: &str) -> u16 {
        status(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
    }

    #[test]
    fn a_request_is_read_whole() {
        let head = "GET /a%20b?c=d HTTP/1.1\r\nHost: example.com:80\r\nAccept: */*\r\n\r\n";
        let request = parse(head).unwrap();
        assert_eq!(request.method, Method::Get);
        assert_eq!(
            request.target,
            Target::Path {
                path: b"/a%20b",
                query: Some(b"c=d")
            }
        );
        assert_eq!(request.line, b"GET /a%20b?c=d HTTP/1.1");
        assert_eq!(request.host, Some(b"example.com:80".as_slice()));
        assert_eq!(request.fields.only("accept"), Some(b"*/*".as_slice()));
        assert_eq!(
            request.delivery,
            Delivery {
                http10: false,
                is_head: false,
                keep_alive: true,
                close_requested: false,
            }
        );
    }

    #[test]
    fn an_absolute_target_is_its_path_and_overrides_host() {
        let request = parse("GET http://b:8/x HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(
            request.target,
            Target::Path {
                path: b"/x",
                query: None
            }
        );
        assert_eq!(request.host, Some(b"b:8".as_slice()));
        let request = parse("GET HTTP://b?q HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(
            request.target,
            Target::Path {
                path: b"/",
                query: Some(b"q")
            }
        );
    }

    #[test]
    fn line_ends_are_crlf_and_nothing_else() {
        assert_eq!(status("GET / HTTP/1.1\nHost: a\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\n\n"), 400);
        assert_eq!(get("A: b\rc: d\r\n"), 400);
    }

    #[test]
    fn folded_lines_and_spaces_before_the_colon_are_refused() {
        assert_eq!(get("A: b\r\n c\r\n"), 400);
        assert_eq!(get("A : b\r\n"), 400);
        assert_eq!(get(" A: b\r\n"), 400);
        assert_eq!(get(": b\r\n"), 400);
        assert_eq!(get("A\r\n"), 400);
        assert_eq!(get("A: \0\r\n"), 400);
    }

    #[test]
    fn a_content_length_is_digits_once() {
        assert_eq!(get("Content-Length: 5\r\n"), 200);
        for value in [
            "+3",
            "-1",
            "5, 5",
            "0x10",
            "",
            "5 5",
            "99999999999999999999",
        ] {
            assert_eq!(
                get(&format!("Content-Length: {value}\r\n")),
                400,
                "{value:?}"
            );
        }
        assert_eq!(get("Content-Length: 5\r\nContent-Length: 5\r\n"), 400);
    }

    #[test]
    fn the_only_transfer_coding_is_chunked_and_it_stands_alone() {
        assert_eq!(get("Transfer-Encoding: Chunked\r\n"), 200);
        for value in [
            "gzip",
            "gzip, chunked",
            "chunked, gzip",
            "identity",
            "chunked, chunked",
            "chunked,",
            "chunked;q=1",
            "",
            "xchunked",
        ] {
            let field = format!("Transfer-Encoding: {value}\r\n");
            assert_eq!(get(&field), 501, "{value:?}");
            assert_eq!(get(&(field.clone() + &field)), 400, "{value:?} twice");
            assert_eq!(get(&(field.clone() + "Content-Length: 1\r\n")), 501);
            let old = format!("GET / HTTP/1.0\r\n{field}\r\n");
            assert_eq!(status(&old), 400, "{value:?} in 1.0");
        }
        assert_eq!(
            get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            400
        );
        assert_eq!(
            get("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"),
            400
        );
        assert_eq!(
            status("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            400
        );
    }

    #[test]
    fn the_connection_persists_as_version_and_fields_say() {
        let persistent = |head: &str| parse(head).unwrap().delivery.keep_alive;
        assert!(persistent("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(!persistent(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"
        ));
        assert!(!persistent("GET / HTTP/1.0\r\n\r\n"));
        assert!(persistent(
            "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
        ));
        assert!(!persistent(
            "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"
        ));
        assert!(persistent(
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        ));
        assert!(!persistent(
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"
        ));
        assert!(!persistent(
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
    }

    #[test]
    fn host_is_required_once_and_must_be_one() {
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.0\r\n\r\n"), 200);
        assert_eq!(get("Host: a\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a:80\r\n\r\n"), 200);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
    }

    #[test]
    fn a_refused_head_has_no_body_in_its_answer() {
        let refused = |head| Request::parse(head, b"", 100).unwrap_err();
        let delivery = |head: &'static str| refused(head.as_bytes()).delivery();
        assert!(delivery("HEAD / HTTP/1.1\r\n\r\n").is_head);
        assert!(delivery("HEAD / HTTP/1.1\nHost: a\r\n\r\n").is_head);
        assert!(!delivery("GET / HTTP/1.1\r\n\r\n").is_head);
        assert!(!delivery("HEADS / HTTP/1.1\r\n\r\n").is_head);
    }

    #[test]
    fn targets_have_one_of_the_four_forms() {
        for (target, expected) in [
            ("/", 200),
            ("/a?b?c", 200),
            ("//a", 200),
            ("/a|b", 200),
            ("*", 400),
            ("a", 400),
            ("/a#b", 200),
            ("/a\\b", 200),
            ("/a\"b", 200),
            ("/<b>", 200),
            ("/^`{}[]'", 200),
            ("/\u{e9}", 200),
            ("\\a", 400),
            ("#a", 400),
            ("*#", 400),
            ("http://", 400),
            ("http:///a", 400),
            ("ftp://a/b", 400),
            ("http://a b/", 400),
            ("http://u@a/", 400),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(status(&head), expected, "{target:?}");
        }
        assert_eq!(status("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
        assert_eq!(status("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    }

    #[test]
    fn other_versions_are_named_as_such() {
        assert_eq!(status("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
        assert_eq!(status("PRI * HTTP/2.0\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), 505);
        assert_eq!(status("GET / HTTP/x\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(status("GET / http/1.1\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(status("GET /\r\n\r\n"), 400);
    }

    #[test]
    fn a_later_minor_version_is_read_as_1_1() {
        let request = parse("HEAD /a?b HTTP/1.7\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(request.method, Method::Head);
        let (path, query) = (b"/a".as_slice(), Some(b"b".as_slice()));
        assert_eq!(request.target, Target::Path { path, query });
        assert!(request.delivery.keep_alive && !request.delivery.http10);
        assert_eq!(request.line, b"HEAD /a?b HTTP/1.7");
        assert_eq!(status("GET / HTTP/1.2\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.2 \r\nHost: a\r\n\r\n"), 400);
        assert_eq!(status("GET  / HTTP/1.2\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.10\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.2\r\nHost: a\r\nX : y\r\n\r\n"), 400);
    }

    #[test]
    fn a_target_may_hold_all_bytes_but_blanks_and_control_bytes() {
        for byte in 1..=u8::MAX {
            let head = [b"GET /", &[byte][..], b"?q HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            let path = [b'/', byte];
            let expected = match byte {
                ..=b' ' | 0x7f => None,
                b'#' => Some((b"/".as_slice(), None)),
                b'?' => Some((b"/".as_slice(), Some(b"?q".as_slice()))),
                _ => Some((path.as_slice(), Some(b"q".as_slice()))),
            };
            let request = Request::parse(&head, b"", 100).ok();
            let target = expected.map(|(path, query)| Target::Path { path, query });
            assert_eq!(request.map(|request| request.target), target, "{byte:#x}");
        }
    }

    #[test]
    fn a_fragment_is_dropped() {
        for target in ["/a?b#c", "/a?b#c?d", "http://h/a?b#", "/a?b"] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
            let (path, query) = (b"/a".as_slice(), Some(b"b".as_slice()));
            assert_eq!(parse(&head).unwrap().target, Target::Path { path, query });
        }
        assert_eq!(status("GET http://h#x HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    }

    #[test]
    fn too_many_fields_are_too_large_a_head() {
        assert_eq!(get(&"A: b\r\n".repeat(99)), 200);
        assert_eq!(get(&"A: b\r\n".repeat(100)), 431);
    }

    #[test]
    fn an_unknown_expectation_is_noticed() {
        let expects = |value: &str| {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\nExpect: {value}\r\n\r\n");
            parse(&head).unwrap().expects_unknown
        };
        assert!(!expects("100-Continue"));
        assert!(!expects("100-continue, 100-continue,"));
        assert!(!expects(""));
        assert!(expects("100-continue, x=y"));
        assert!(expects("200-maybe"));
    }
}
