//! The search for the end of a head, and the reading of it. Input: what arrives.

use super::opinion::{self, Bounds, End, Opinion, Target};
use oneloop::connection::{Connection, Step};
use oneloop::http::request::{self, Delivery, Method, Refusal, Request};
use oneloop::limits::Limits;
use std::sync::Arc;
use std::time::Instant;

/// Short enough that a mutator gets beyond them.
const BOUNDS: Bounds = Bounds {
    head: 600,
    line: 200,
    empty_lines: 3,
};
const MOST_FIELDS: usize = 12;
/// The only refusal that depends on what has arrived by then.
const MALFORMED_BODY: &str = "the body is not made of chunks";

pub fn check(data: &[u8]) {
    let end = opinion::end(data, &BOUNDS);
    let outcome = arrive(data, data.len(), |request| {
        check_end(data, end, request);
        describe(request)
    });
    assert_eq!(
        outcome.is_none(),
        end == End::Partial,
        "{outcome:?}, but {end:?}"
    );

    // One piece at a time, each as long as a byte of the input says, and byte by byte.
    let size = usize::from(data.len() as u8 ^ data.last().copied().unwrap_or(0)) % 17 + 1;
    let is_body = matches!(&outcome, Some(Err((_, why, _))) if *why == MALFORMED_BODY);
    for size in [1, size].into_iter().filter(|_| !is_body) {
        assert_eq!(arrive(data, size, describe), outcome, "in pieces of {size}");
    }
    // Not a head that the read buffer would find, most of the time: must only not panic.
    let _ = Request::parse(data, b"", MOST_FIELDS);
}

/// What `read` returns for the request, or the refusal, of `bytes` in pieces of `size`; `None` if
/// the connection waits for more.
fn arrive<T>(
    bytes: &[u8],
    size: usize,
    read: impl Fn(&Result<Request<'_>, Refusal<'_>>) -> T,
) -> Option<T> {
    let limits = Arc::new(Limits {
        max_head_bytes: BOUNDS.head,
        max_request_line_bytes: BOUNDS.line,
        max_empty_lines: BOUNDS.empty_lines as u16,
        max_fields: MOST_FIELDS,
        ..Limits::default()
    });
    let now = Instant::now();
    let mut connection = Connection::new(limits, now);
    let mut pieces = bytes.chunks(size.max(1));
    let mut piece: &[u8] = &[];
    loop {
        match connection.step() {
            Step::Respond(request) => return Some(read(&request)),
            Step::Receive(buffer) => {
                if piece.is_empty() {
                    piece = pieces.next()?;
                }
                let length = buffer.len().min(piece.len());
                buffer[..length].copy_from_slice(&piece[..length]);
                piece = &piece[length..];
                connection.on_received(length, now);
            }
            step => panic!("{step:?}"),
        }
    }
}

/// Everything that the response depends on.
fn describe(
    request: &Result<Request<'_>, Refusal<'_>>,
) -> Result<String, (u16, &'static str, Delivery)> {
    match request {
        Ok(request) => Ok(format!("{request:?}")),
        Err(refusal) => Err((refusal.status.code(), refusal.why, refusal.delivery())),
    }
}

fn check_end(data: &[u8], end: End, request: &Result<Request<'_>, Refusal<'_>>) {
    let statuses: &[u16] = match end {
        End::Whole(skipped, length) => return compare(&data[skipped..skipped + length], request),
        End::Partial => &[],
        End::Malformed => &[400, 505],
        End::LineTooLong => &[414, 501],
        End::TooLong => &[431],
    };
    let status = request.as_ref().unwrap_err().status.code();
    assert!(statuses.contains(&status), "{status}, but {end:?}");
}

fn compare(head: &[u8], parsed: &Result<Request<'_>, Refusal<'_>>) {
    let expected = opinion::read(head, MOST_FIELDS);
    match (parsed, &expected) {
        (Ok(request), Some(opinion)) => same(request, opinion),
        (Err(refusal), Some(_)) => assert_eq!(refusal.why, MALFORMED_BODY),
        (Err(refusal), None) => check_refusal(head, refusal),
        _ => panic!("{parsed:?}, but the second opinion is {expected:?}"),
    }
}

fn same(request: &Request<'_>, opinion: &Opinion) {
    let method = match opinion.method.as_str() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "OPTIONS" => Method::Options,
        "POST" | "PUT" | "DELETE" | "TRACE" | "PATCH" => Method::Known,
        "CONNECT" => Method::Connect,
        _ => Method::Unknown,
    };
    assert_eq!(request.method, method);
    let target = match &opinion.target {
        Target::Path(path, query) => request::Target::Path {
            path,
            query: query.as_deref(),
        },
        Target::Asterisk => request::Target::Asterisk,
        Target::Authority => request::Target::Authority,
    };
    assert_eq!(request.target, target);
    assert_eq!(request.host, opinion.host.as_deref());
    assert_eq!(request.expects_unknown, opinion.expects_unknown);
    let delivery = Delivery {
        http10: opinion.old,
        is_head: opinion.method == "HEAD",
        keep_alive: opinion.persistent,
        close_requested: opinion.last,
    };
    assert_eq!(request.delivery, delivery);
    let fields: Vec<_> = request
        .fields
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec()))
        .collect();
    assert_eq!(fields, opinion.fields);
}

fn check_refusal(head: &[u8], refusal: &Refusal<'_>) {
    let line = refusal.line;
    assert!(head.starts_with(line) && !line.contains(&b'\n'));
    assert_eq!(refusal.delivery().is_head, opinion::is_bodiless(head));
    assert!(!refusal.delivery().keep_alive);
    let lines = head.iter().filter(|&&byte| byte == b'\n').count();
    match refusal.status.code() {
        400 => {}
        // All but the request line and the empty line.
        431 => assert!(lines > MOST_FIELDS + 2),
        501 => assert!(refusal.why.contains("transfer coding")),
        505 => {
            let version = line.rsplit(|&byte| byte == b' ').next().unwrap();
            let [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] = version else {
                panic!("505 for a line that names no version");
            };
            assert!(major.is_ascii_digit() && minor.is_ascii_digit() && *major != b'1');
        }
        other => panic!("refused with {other}"),
    }
}
