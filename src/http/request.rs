//! Head bytes -> [`Request`], or the [`Refusal`] that answers them.
//!
//! httparse does the grammar. What it tolerates and RFC 9112 does not is refused here,
//! because two servers that read one head differently are how requests are smuggled:
//! bare LF, a second empty line before the request, bytes that no target may hold, a
//! Content-Length that is not plain digits or stands twice, every Transfer-Encoding but
//! `chunked`, a Host that is missing, repeated or not a host.

use super::fields::Fields;
use super::host::{is_host, is_host_and_port};
use super::status::Status;
use super::survey::Survey;
use httparse::{Error, Status as Parsed};
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
    /// Reads a whole head, from the first byte of the request line to the empty line.
    ///
    /// # Errors
    /// A [`Refusal`] with status 400, 431 (more than `most_fields` field lines) or 505.
    pub fn parse(head: &'h [u8], most_fields: usize) -> Result<Self, Refusal<'h>> {
        let end = memchr::memchr(b'\n', head).unwrap_or(head.len());
        let line = head.get(..end).unwrap_or(head).trim_ascii_end();
        let refuse = |(status, why)| Refusal {
            status,
            why,
            line: Some(line),
        };

        // httparse takes a bare LF for a line end; RFC 9112 2.2 lets us, and prudence asks us, not
        // to.
        if has_bare_lf(head) {
            return Err(refuse(bad("a line ends in LF without CR")));
        }
        let lines = head
            .get(end + 1..head.len().saturating_sub(2))
            .unwrap_or_default();
        let fields = Fields::new(lines);
        let Grammar {
            method,
            target,
            minor,
            survey,
        } = parse_with_httparse(head, most_fields)
            .or_else(|error| read_as_latest(error, head, line, fields, most_fields))
            .map_err(|error| refuse(name_error(error, line)))?;
        let method = Method::of(method);
        let (target, authority) = parse_target(method, target).map_err(refuse)?;
        let old = minor == 0;
        let survey = survey.map_err(refuse)?;
        let has_body = survey.has_body(old).map_err(refuse)?;
        let may_go_on = survey.may_go_on(old);
        if survey.host.is_none() && !old {
            return Err(refuse(bad("HTTP/1.1 requires a Host field")));
        }
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
    fn of(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "OPTIONS" => Self::Options,
            "POST" | "PUT" | "DELETE" | "TRACE" | "PATCH" => Self::Known,
            "CONNECT" => Self::Connect,
            _ => Self::Unknown,
        }
    }
}

/// What is wrong with a head: the status of the answer, and why.
pub(super) type Reason = (Status, &'static str);

pub(super) fn bad(why: &'static str) -> Reason {
    (Status::BAD_REQUEST, why)
}

/// What httparse reads off a head.
struct Grammar<'h> {
    method: &'h str,
    target: &'h str,
    minor: u8,
    survey: Result<Survey<'h>, Reason>,
}

fn parse_with_httparse(head: &[u8], most: usize) -> Result<Grammar<'_>, Error> {
    let mut lines = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let lines = lines.get_mut(..most.min(MOST_FIELDS)).unwrap_or_default();
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, lines)? {
        Parsed::Complete(length) if length == head.len() => {}
        // The inbox and httparse disagree about where the head ends: trust neither.
        _ => return Err(Error::NewLine),
    }
    let lines = request.headers.iter();
    match (request.method, request.path, request.version) {
        (Some(method), Some(target), Some(minor)) => Ok(Grammar {
            method,
            target,
            minor,
            survey: Survey::of(lines.map(|line| (line.name.as_bytes(), line.value))),
        }),
        _ => Err(Error::Token),
    }
}

/// A later minor version is read as the latest one known here (RFC 9110 2.5), which httparse would
/// not do: it gets a copy that says 1.1.
fn read_as_latest<'h>(
    error: Error,
    head: &[u8],
    line: &'h [u8],
    fields: Fields<'h>,
    most: usize,
) -> Result<Grammar<'h>, Error> {
    let [before @ .., b'2'..=b'9'] = line else {
        return Err(error);
    };
    if error != Error::Version || !before.ends_with(b" HTTP/1.") {
        return Err(error);
    }
    let mut copy = head.to_vec();
    if let Some(minor) = copy.get_mut(before.len()) {
        *minor = b'1';
    }
    parse_with_httparse(&copy, most)?;
    // It has exactly two blanks, then.
    let mut parts = str::from_utf8(line).map_err(|_| error)?.split(' ');
    match (parts.next(), parts.next()) {
        (Some(method), Some(target)) => Ok(Grammar {
            method,
            target,
            minor: 1,
            survey: Survey::of(fields.iter()),
        }),
        _ => Err(error),
    }
}

/// Whether an LF stands without its CR. Counted, not searched: without a way out of the middle, the
/// compiler makes steps of many bytes of it.
fn has_bare_lf(head: &[u8]) -> bool {
    let pairs = head.iter().zip(head.get(1..).unwrap_or_default());
    let bare = pairs.filter(|(before, byte)| **byte == b'\n' && **before != b'\r');
    head.first() == Some(&b'\n') || bare.count() > 0
}

fn name_error(error: Error, line: &[u8]) -> Reason {
    match error {
        Error::TooManyHeaders => (Status::HEAD_TOO_LARGE, "too many field lines"),
        Error::Version if names_another_version(line) => (
            Status::VERSION_NOT_SUPPORTED,
            "only HTTP/1.0 and HTTP/1.1 are spoken here",
        ),
        Error::HeaderName => bad("a field name is not a token, or a line is folded"),
        Error::HeaderValue => bad("a field value holds a control byte"),
        _ => bad("not an HTTP/1.1 request"),
    }
}

/// `HTTP/2.0` is a version; `HTTP/x` is a mistake, and `HTTP/1.1` not what was wrong.
fn names_another_version(line: &[u8]) -> bool {
    let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit() && *major != b'1')
}

/// The target, and the authority if it brought one.
fn parse_target(method: Method, target: &str) -> Result<(Target<'_>, Option<&[u8]>), Reason> {
    let target = target.as_bytes();
    let must_be_escaped = |byte: &u8| matches!(byte, b'#' | b'"' | b'<' | b'>' | b'\\');
    if target.iter().any(must_be_escaped) {
        return Err(bad("the target holds a byte that must be percent-encoded"));
    }
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
    let (path, query) = match memchr::memchr(b'?', target) {
        Some(mark) => {
            let (path, query) = target.split_at(mark);
            (path, query.get(1..))
        }
        None => (target, None),
    };
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
        Request::parse(head.as_bytes(), 100).map_err(|refusal| (refusal.status.code(), refusal.why))
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
            "identity",
            "chunked, chunked",
            "",
            "xchunked",
        ] {
            assert_eq!(
                get(&format!("Transfer-Encoding: {value}\r\n")),
                400,
                "{value:?}"
            );
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
        let manners = |head: &str| Request::parse(head.as_bytes(), 100).unwrap_err().manners();
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
            ("/a#b", 400),
            ("/a\\b", 400),
            ("/a\"b", 400),
            ("/<b>", 400),
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
        assert_eq!(status("PRI * HTTP/2.0\r\n\r\n"), 505);
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
