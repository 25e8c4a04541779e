//! Heads that one of the two refuses, or that both refuse with different words.

use super::{ANSWERED, Answers::Outcomes, Class, Part, REFUSED, class};
use crate::differences::Outcome::{Bare, Status};
use crate::head::Head;
use crate::signs::*;

pub fn by_us() -> Part {
    let mut classes = lines_refused_by_us();
    classes.extend(fields_refused_by_us());
    Part {
        heading: "Refused by oneloop, answered by nginx",
        text: "oneloop closes the connection after each of these, and nothing behind it is read as a \
               request. Each is a way to make two programs on one path read the same bytes differently, \
               which is how requests are smuggled. No usual client sends any of them.",
        classes,
    }
}

fn lines_refused_by_us() -> Vec<Class> {
    vec![
        class(
            "A line that ends in LF without CR",
            Outcomes(REFUSED, ANSWERED),
            has_bare_lf,
            "RFC 9112 2.2: a recipient may take it for a line end, and need not",
        ),
        class(
            "A CR that no LF follows",
            Outcomes(REFUSED, ANSWERED),
            has_bare_cr,
            "RFC 9112 2.2: it must be taken as invalid, or be replaced",
        ),
        class(
            "More than 100 empty lines before the request",
            Outcomes(REFUSED, ANSWERED),
            has_more_empty_lines,
            "RFC 9112 2.2: at least one should be ignored; 100 are",
        ),
        class(
            "More than one blank in the request line, or one at its end",
            Outcomes(REFUSED, ANSWERED),
            has_more_blanks,
            "RFC 9112 3: the parts are divided by one blank; to be lenient about it is a risk",
        ),
        class(
            "A version of more digits than one before and one after the dot",
            Outcomes(REFUSED, ANSWERED),
            has_malformed_version,
            "RFC 9112 2.3: a digit, a dot, a digit",
        ),
        class(
            "No version, as in HTTP/0.9",
            Outcomes(REFUSED, &[Bare]),
            is_without_version,
            "RFC 9112 3: a request line has one. nginx answers with a body alone, which has no status",
        ),
        class(
            "Another scheme than http and https",
            Outcomes(REFUSED, ANSWERED),
            has_other_scheme,
            "RFC 9110 7.4: the scheme is part of what is asked for, and there is nothing of that kind here",
        ),
        class(
            "An absolute target whose host is none",
            Outcomes(REFUSED, ANSWERED),
            has_bad_authority,
            "RFC 3986 3.2.2. nginx takes anything between brackets",
        ),
    ]
}

fn fields_refused_by_us() -> Vec<Class> {
    vec![
        class(
            "A Host that is none",
            Outcomes(REFUSED, ANSWERED),
            has_bad_host,
            "RFC 9112 3.2: an invalid Host must be answered with 400",
        ),
        class(
            "A field name that is not a token",
            Outcomes(REFUSED, ANSWERED),
            has_name_that_is_no_token,
            "RFC 9112 5, RFC 9110 5.1. nginx drops the line, and the next server may not",
        ),
        class(
            "A field line without a colon",
            Outcomes(REFUSED, ANSWERED),
            has_line_without_colon,
            "RFC 9112 5. nginx drops the line",
        ),
        class(
            "A control byte in a field value",
            Outcomes(REFUSED, ANSWERED),
            has_control_byte_in_value,
            "RFC 9110 5.5: invalid; it may be retained, and need not be",
        ),
        class(
            "A Content-Length of more than 19 digits",
            Outcomes(REFUSED, ANSWERED),
            has_long_length,
            "RFC 9110 8.6: as many zeros as one likes are allowed; nobody sends them",
        ),
        class(
            "Chunks that are malformed",
            Outcomes(REFUSED, ANSWERED),
            |head| is_chunked(head) && has_chunk_outside_the_grammar(head.after()),
            "RFC 9112 7.1. nginx takes LF for a line end and does not look at trailers, nor at any \
             chunk if the method is not allowed",
        ),
        class(
            "More than 100 field lines",
            Outcomes(&[Status(431)], ANSWERED),
            |head| has_more_fields_than(head, 100),
            "RFC 6585 5; a limit of ours. nginx counts only bytes",
        ),
    ]
}

pub fn by_them() -> Part {
    let classes = vec![
        class(
            "An empty Host, with a port or without",
            Outcomes(ANSWERED, REFUSED),
            has_host_without_name,
            "RFC 9112 3.3: the server may refuse it, or know who is meant. There is one site here",
        ),
        class(
            "A Host with an empty part between dots",
            Outcomes(ANSWERED, REFUSED),
            has_host_with_empty_label,
            "RFC 3986 3.2.2: a name may have any such bytes; the name is not used here",
        ),
        class(
            "An absolute target whose host has bytes that are in no name of the DNS",
            Outcomes(ANSWERED, REFUSED),
            has_unusual_authority,
            "RFC 3986 3.2.2: as above. nginx takes them in Host, and not in a target",
        ),
        class(
            "A tab beside the value of Host or Content-Length",
            Outcomes(ANSWERED, REFUSED),
            |head| {
                ["host", "content-length"]
                    .iter()
                    .any(|name| has_tab_beside(head, name))
            },
            "RFC 9110 5.5, 5.6.3: a tab is a blank, and blanks around a value are not part of it",
        ),
        class(
            "A tab beside the value of Transfer-Encoding",
            Outcomes(ANSWERED, &[Status(501)]),
            |head| has_tab_beside(head, "transfer-encoding"),
            "RFC 9110 5.5, 5.6.3: as above",
        ),
        class(
            "A Content-Length of 2^63 or more, of at most 19 digits",
            Outcomes(ANSWERED, REFUSED),
            |head| length(head).is_some_and(|length| length >= 1 << 63),
            "RFC 9110 8.6: it is a number. No body is read, whatever its length",
        ),
        class(
            "A Content-Length of more than a megabyte",
            Outcomes(ANSWERED, &[Status(413)]),
            |head| length(head).is_some_and(|length| length > 1 << 20),
            "RFC 9110 15.5.14: nginx has a limit for bodies. No body is read here",
        ),
        class(
            "A chunk whose size is beyond 2^59",
            Outcomes(ANSWERED, REFUSED),
            |head| is_chunked(head) && has_malformed_chunk(head.after()),
            "RFC 9112 7.1: it is a number. No body is read here",
        ),
        class(
            "A field twice that may stand once",
            Outcomes(ANSWERED, REFUSED),
            |head| is_repeated(head, &["authorization", "expect"]),
            "RFC 9110 5.3: the sender is wrong. What is not used here is not looked at",
        ),
        class(
            "A request line of nearly 8 KiB",
            Outcomes(ANSWERED, &[Status(414)]),
            |head| is_line_longer_than(head, 8180),
            "RFC 9112 3: 8,000 bytes should be taken. oneloop takes 8,192, and nginx the line end \
             within them",
        ),
        class(
            "A field line of more than 8 KiB",
            Outcomes(ANSWERED, REFUSED),
            |head| has_field_longer_than(head, 8180),
            "RFC 9110 5.4: oneloop has a limit of 32 KiB for the head, nginx of 8 KiB for a line",
        ),
    ];
    Part {
        heading: "Refused by nginx, answered by oneloop",
        text: "None of these changes where a request ends, or which file is meant.",
        classes,
    }
}

pub fn by_both() -> Part {
    let classes = vec![
        class(
            "A transfer coding that is not `chunked`, with something else that is wrong",
            Outcomes(&[Status(501)], REFUSED),
            |head| {
                head.any("transfer-encoding", |it| {
                    !it.eq_ignore_ascii_case(b"chunked")
                })
            },
            "RFC 9112 3: whichever is found first",
        ),
        class(
            "`chunked` with a tab beside it, and something else that is wrong",
            Outcomes(REFUSED, &[Status(501)]),
            |head| has_tab_beside(head, "transfer-encoding"),
            "RFC 9112 3: whichever is found first",
        ),
        class(
            "Another major version, with something else that is wrong",
            Outcomes(&[Status(400), Status(505)], &[Status(400), Status(505)]),
            has_other_major_version,
            "RFC 9112 3: whichever is found first. For nginx `HTTP/2` is a version, and HTTP/0.9 \
             one that must not be written",
        ),
        class(
            "A Content-Length of more than a megabyte, with something else that is wrong",
            Outcomes(REFUSED, &[Status(413)]),
            |head| length(head).is_some_and(|length| length > 1 << 20),
            "RFC 9112 3: whichever is found first",
        ),
        class(
            "Too large a head",
            Outcomes(&[Status(431)], REFUSED),
            |head| has_more_fields_than(head, 100) || head.bytes().len() > 32 * 1024,
            "RFC 6585 5: 431 is for that. nginx says 400",
        ),
        class(
            "CONNECT without a host and a port",
            Outcomes(REFUSED, &[Status(405)]),
            |head| head.method() == b"CONNECT",
            "RFC 9112 3.2.3: it has no other target",
        ),
        class(
            "CONNECT with a host and a port",
            Outcomes(&[Status(405)], REFUSED),
            |head: Head<'_>| head.method() == b"CONNECT",
            "RFC 9110 15.5.6: the target is right, and the method is not allowed",
        ),
    ];
    Part {
        heading: "Refused by both, in different words",
        text: "Both close the connection.",
        classes,
    }
}
