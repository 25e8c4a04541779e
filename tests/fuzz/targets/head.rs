//! The search for the end of a head, and the reading of it. Input: what arrives.

use super::opinion::{self, End, Opinion, Target};
use oneloop::http::request::{self, Manners, Method, Refusal, Request};
use oneloop::inbox::{Arrival, Inbox};

/// Short enough that a mutator gets beyond them.
const LONGEST_HEAD: usize = 600;
const LONGEST_LINE: usize = 200;
const MOST_FIELDS: usize = 12;

pub fn check(data: &[u8]) {
    let (arrival, head) = arrive(data, data.len());
    let expected = opinion::end(data, LONGEST_HEAD, LONGEST_LINE);
    let found = match arrival {
        Arrival::Partial => End::Partial,
        Arrival::LineTooLong => End::LineTooLong,
        Arrival::TooLong => End::TooLong,
        Arrival::Whole(length) => match expected {
            End::Whole(skipped, _) => {
                assert_eq!(head, &data[skipped..skipped + length], "another head");
                End::Whole(skipped, length)
            }
            _ => End::Whole(0, length),
        },
    };
    assert_eq!(found, expected, "where the head ends");

    // One piece at a time, each as long as a byte of the input says, and byte by byte.
    let size = usize::from(data.len() as u8 ^ data.last().copied().unwrap_or(0)) % 17 + 1;
    for size in [1, size] {
        let split = arrive(data, size);
        assert_eq!(split, (arrival, head.clone()), "in pieces of {size}");
    }

    if let Arrival::Whole(_) = arrival {
        let parsed = Request::parse(&head, MOST_FIELDS);
        compare(&head, &parsed);
    }
    // Not a head that the inbox would find, most of the time: must only not panic.
    let _ = Request::parse(data, MOST_FIELDS);
}

/// What the inbox finds when `bytes` come in pieces of `size`.
fn arrive(bytes: &[u8], size: usize) -> (Arrival, Vec<u8>) {
    let mut inbox = Inbox::default();
    for mut piece in bytes.chunks(size.max(1)) {
        while !piece.is_empty() {
            let room = inbox.room(LONGEST_HEAD + 1);
            let length = room.len().min(piece.len());
            room[..length].copy_from_slice(&piece[..length]);
            inbox.received(length);
            piece = &piece[length..];
        }
        match inbox.arrival(LONGEST_HEAD, LONGEST_LINE) {
            Arrival::Partial => {}
            Arrival::Whole(length) => {
                return (Arrival::Whole(length), inbox.head(length).to_vec());
            }
            other => return (other, Vec::new()),
        }
    }
    (Arrival::Partial, Vec::new())
}

fn compare(head: &[u8], parsed: &Result<Request<'_>, Refusal<'_>>) {
    let expected = opinion::read(head, MOST_FIELDS);
    match (parsed, &expected) {
        (Ok(request), Some(opinion)) => same(request, opinion),
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
    let manners = Manners {
        old: opinion.old,
        bodiless: opinion.method == "HEAD",
        persistent: opinion.persistent,
        last: opinion.last,
    };
    assert_eq!(request.manners, manners);
    let fields: Vec<_> = request
        .fields
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec()))
        .collect();
    assert_eq!(fields, opinion.fields);
}

fn check_refusal(head: &[u8], refusal: &Refusal<'_>) {
    let line = refusal.line.expect("a head has a first line");
    assert!(head.starts_with(line) && !line.contains(&b'\n'));
    assert_eq!(refusal.manners().bodiless, opinion::is_bodiless(head));
    assert!(!refusal.manners().persistent);
    let lines = head.iter().filter(|&&byte| byte == b'\n').count();
    match refusal.status.code() {
        400 => {}
        // All but the request line and the empty line.
        431 => assert!(lines > MOST_FIELDS + 2),
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
