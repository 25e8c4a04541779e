//! Head bytes -> [`Request`], or the [`Refusal`] that answers them.
//!
//! httparse does the grammar. What it tolerates and RFC 9112 does not is refused here,
//! because two servers that read one head differently are how requests are smuggled:
//! bare LF, a Content-Length that is not plain digits or stands twice, every Transfer-Encoding
//! but `chunked`, a Host that is missing, repeated or not a host. A target may hold all bytes but
//! spaces and control bytes: RFC 3986 allows fewer, but clients send the others as they are.

use super::fields::Fields;
use super::host::{is_host, is_host_and_port};
use super::scan;
use super::status::Status;
use super::survey::Survey;
use httparse::Status as Parsed;
use std::mem::MaybeUninit;

/// More field lines than this cannot be parsed; `Limits::fields` may be lower.
const MOST_FIELDS: usize = 128;

/// One understood request. Borrows the head it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Request<'h> {
    /// What is asked for.
    pub method: Method,
    /// What it is asked of.
    pub target: Target<'h>,
    /// The request line as it arrived, without its line end: for the access log.
    pub line: &'h [u8],
    /// The Host field, or the authority of an absolute target.
    pub host: Option<&'h [u8]>,
    /// All fields.
    pub fields: Fields<'h>,
    /// Which of them are worth a look.
    pub mentions: Mentions,
    /// What the connection needs to know of it.
    pub manners: Manners,
    /// It expects something other than `100-continue` (RFC 9110 10.1.1).
    pub expects_unknown: bool,
}

/// The methods, as far as we tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The representation.
    Get,
    /// Its header only.
    Head,
    /// What is allowed here.
    Options,
    /// A method that exists and that a static server never allows: 405.
    Known,
    /// The same, but what follows it may be meant for the other end of a tunnel.
    Connect,
    /// A method we never heard of: 501.
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

/// How a request wants its response delivered: all the connection keeps of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// The peer speaks HTTP/1.0: it must be told when the connection stays open.
    pub old: bool,
    /// HEAD: the body is described, not sent.
    pub bodiless: bool,
    /// The connection may carry another request afterwards.
    pub persistent: bool,
    /// The peer has said that it sends nothing after this request, and the request has no body:
    /// `Connection: close`, or HTTP/1.0 without keep-alive (RFC 9112 9.6, 9.3).
    pub last: bool,
}

/// Fields that most requests lack, and whoever answers need not look for then: to find that a field
/// is absent takes a walk over all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// A precondition, or If-Range.
    pub conditions: bool,
    /// Range.
    pub range: bool,
    /// Accept-Encoding.
    pub codings: bool,
}

impl Manners {
    /// For a request that could not be understood: nothing after it can be trusted.
    pub const REFUSED: Manners = Manners {
        old: false,
        bodiless: false,
        persistent: false,
        last: false,
    };

    /// The same, with what can be read off its line: the answer to HEAD has no body, whatever
    /// else is wrong with the request (RFC 9110 9.3.2).
    pub fn refused(line: &[u8]) -> Self {
        Self {
            bodiless: line.starts_with(b"HEAD "),
            ..Self::REFUSED
        }
    }
}

/// A head that gets no further than its answer. The connection closes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'h> {
    /// The status of the answer.
    pub status: Status,
    /// What was wrong, in words for the one who sent it.
    pub why: &'static str,
    /// The request line, as far as there is one: for the access log.
    pub line: Option<&'h [u8]>,
}

impl Refusal<'_> {
    /// How its answer is to be delivered.
    pub fn manners(&self) -> Manners {
        self.line.map_or(Manners::REFUSED, Manners::refused)
    }
}

impl<'h> Request<'h> {
    /// Reads a whole head, from the first byte of the request line to the empty line. `body` is
    /// what has arrived behind it.
    ///
    /// # Errors
    /// A [`Refusal`] with status 400, 431 (more than `most_fields` field lines), 501 (a transfer
    /// coding other than chunked) or 505.
    pub fn parse(head: &'h [u8], body: &[u8], most_fields: usize) -> Result<Self, Refusal<'h>> {
        let (line, fields) = split_head(head);
        let refuse = |(status, why)| Refusal {
            status,
            why,
            line: Some(line),
        };
        let Grammar {
            method,
            target,
            minor,
            survey,
        } = parse_with_httparse(head, most_fields)
            .map_or_else(|| parse_slowly(head, line, fields, most_fields), Ok)
            .map_err(refuse)?;
        let method = Method::of(method);
        let (target, authority) = parse_target(method, target).map_err(refuse)?;
        let old = minor == 0;
        let survey = survey.map_err(refuse)?;
        if survey.host.is_none() && !old {
            return Err(refuse(bad("HTTP/1.1 requires a Host field")));
        }
        let has_body = survey.has_body(old, body).map_err(refuse)?;
        let may_go_on = survey.may_go_on(old);
        Ok(Self {
            method,
            target,
            line,
            // RFC 9112 3.2.2: an absolute target overrides Host.
            host: authority.or(survey.host),
            fields,
            manners: Manners {
                old,
                bodiless: method == Method::Head,
                persistent: may_go_on && !has_body && method != Method::Connect,
                last: !may_go_on && !has_body && method != Method::Connect,
            },
            mentions: survey.mentions,
            expects_unknown: survey.expects_unknown && !old,
        })
    }
}

impl Method {
    /// Length in bytes of the longest method that is known here.
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

/// What is wrong with a head: the status of the answer, and why.
pub type Reason = (Status, &'static str);

pub(super) fn bad(why: &'static str) -> Reason {
    (Status::BAD_REQUEST, why)
}

/// What is wrong with a head that begins with too long a request line: its method (RFC 9112 3
/// asks for 501), or else its target.
pub fn name_long_part(head: &[u8]) -> Reason {
    let (method, ..) = split_line(head);
    match method.len() > Method::LONGEST {
        true => (Status::NOT_IMPLEMENTED, "this method is unknown here"),
        false => (Status::URI_TOO_LONG, "the request line is too long"),
    }
}

/// The first line without its line end, or as much of it as there is.
pub fn first_line(bytes: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let line = bytes.get(..end).unwrap_or(bytes);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Method, target and version.
pub(super) fn split_line(line: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let mut next = || parts.next().unwrap_or_default();
    (next(), next(), next())
}

/// The first line of a head without its line end, and its field lines.
fn split_head(head: &[u8]) -> (&[u8], Fields<'_>) {
    let line = first_line(head);
    // Behind the CRLF of the line, up to the empty line.
    let lines = head.get(line.len() + 2..head.len().saturating_sub(2));
    (line, Fields::new(lines.unwrap_or_default()))
}

/// What the grammar says of a head.
struct Grammar<'h> {
    method: &'h [u8],
    target: &'h [u8],
    minor: u8,
    survey: Result<Survey<'h>, Reason>,
}

/// `None` if it finds a mistake, which need not be one.
fn parse_with_httparse(head: &[u8], most: usize) -> Option<Grammar<'_>> {
    // httparse takes a bare LF for a line end; RFC 9112 2.2 lets us, and prudence asks us, not
    // to.
    if has_bare_lf(head) {
        return None;
    }
    let mut lines = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let lines = lines.get_mut(..most.min(MOST_FIELDS)).unwrap_or_default();
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, lines) {
        Ok(Parsed::Complete(length)) if length == head.len() => {}
        _ => return None,
    }
    let lines = request.headers.iter();
    Some(Grammar {
        method: request.method?.as_bytes(),
        target: request.path?.as_bytes(),
        minor: request.version?,
        survey: Survey::of(lines.map(|line| (line.name.as_bytes(), line.value))),
    })
}

/// Finds what is wrong with a head that httparse refuses, if anything is: it refuses later minor
/// versions, which are read as the latest one known here (RFC 9110 2.5), and targets that are not
/// UTF-8.
fn parse_slowly<'h>(
    head: &[u8],
    line: &'h [u8],
    fields: Fields<'h>,
    most: usize,
) -> Result<Grammar<'h>, Reason> {
    scan::check(head)?;
    if fields.iter().count() > most.min(MOST_FIELDS) {
        return Err((Status::HEAD_TOO_LARGE, "too many field lines"));
    }
    let (method, target, version) = split_line(line);
    Ok(Grammar {
        method,
        target,
        minor: u8::from(!version.ends_with(b"0")),
        survey: Survey::of(fields.iter()),
    })
}

/// Whether an LF stands without its CR. Counted, not searched: without a way out of the middle, the
/// compiler makes steps of many bytes of it.
fn has_bare_lf(head: &[u8]) -> bool {
    let pairs = head.iter().zip(head.get(1..).unwrap_or_default());
    let bare = pairs.filter(|(before, byte)| **byte == b'\n' && **before != b'\r');
    head.first() == Some(&b'\n') || bare.count() > 0
}

/// The target, and the authority if it brought one.
pub(super) fn parse_target(
    method: Method,
    target: &[u8],
) -> Result<(Target<'_>, Option<&[u8]>), Reason> {
    if method == Method::Connect {
        return match is_host_and_port(target) {
            true => Ok((Target::Authority, None)),
            false => Err(bad("the target of CONNECT is not a host and a port")),
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
                    return Err(bad("the target names no valid host"));
                }
                Ok((split_query(path), Some(authority)))
            }
            None => Err(bad("the target is neither a path nor an absolute URL")),
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
    // Clients should not send a fragment (RFC 9112 3.2). Some do, and mean what stands before it.
    let query = rest.strip_prefix(b"?").map(|query| {
        let end = memchr::memchr(b'#', query).unwrap_or(query.len());
        query.get(..end).unwrap_or(query)
    });
    // RFC 9112 3.2.1: an empty path is the root.
    Target::Path {
        path: if path.is_empty() { b"/" } else { path },
        query,
    }
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
            request.manners,
            Manners {
                old: false,
                bodiless: false,
                persistent: true,
                last: false,
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
        let persistent = |head: &str| parse(head).unwrap().manners.persistent;
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
        let manners = |head: &'static str| refused(head.as_bytes()).manners();
        assert!(manners("HEAD / HTTP/1.1\r\n\r\n").bodiless);
        assert!(manners("HEAD / HTTP/1.1\nHost: a\r\n\r\n").bodiless);
        assert!(!manners("GET / HTTP/1.1\r\n\r\n").bodiless);
        assert!(!manners("HEADS / HTTP/1.1\r\n\r\n").bodiless);
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
        assert!(request.manners.persistent && !request.manners.old);
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
