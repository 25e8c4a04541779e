//! Heads that one of the servers refuses, or that both refuse with different statuses.

use super::{ANSWERED, Class, Part, REFUSED, Responses::Outcomes, class};
use crate::differences::Outcome::{Bare, Status};
use crate::head::Head;
use crate::signs::*;

pub fn by_us() -> Part {
    let mut classes = lines_refused_by_us();
    classes.extend(fields_refused_by_us());
    Part {
        heading: "Refused by oneloop, answered by nginx",
        text: "oneloop closes the connection after each of these, and parses no request after it. Each \
               makes request smuggling possible where two programs on one path parse it differently. \
               No common client sends any of them.",
        classes,
    }
}

fn lines_refused_by_us() -> Vec<Class> {
    vec![
        class(
            "A line that ends in LF without CR",
            Outcomes(REFUSED, ANSWERED),
            has_bare_lf,
            "RFC 9112 2.2: a recipient may accept it as a line end, but need not",
        ),
        class(
            "A CR that no LF follows",
            Outcomes(REFUSED, ANSWERED),
            has_bare_cr,
            "RFC 9112 2.2: it must be treated as invalid, or be replaced",
        ),
        class(
            "More than 100 empty lines before the request",
            Outcomes(REFUSED, ANSWERED),
            has_more_empty_lines,
            "RFC 9112 2.2: at least one should be ignored; oneloop ignores 100",
        ),
        class(
            "More than one space between the parts of the request line, or one at its end",
            Outcomes(REFUSED, ANSWERED),
            has_more_blanks,
            "RFC 9112 3: one space separates the parts; accepting more is a risk",
        ),
        class(
            "A version with more than one digit before or after the dot",
            Outcomes(REFUSED, ANSWERED),
            has_malformed_version,
            "RFC 9112 2.3: one digit, a dot, one digit",
        ),
        class(
            "No version, as in HTTP/0.9",
            Outcomes(REFUSED, &[Bare]),
            is_without_version,
            "RFC 9112 3: a request line has one. nginx sends a body without a status",
        ),
        class(
            "Another scheme than http and https",
            Outcomes(REFUSED, ANSWERED),
            has_other_scheme,
            "RFC 9110 7.4: the scheme is part of the requested address, and the server has no such address",
        ),
        class(
            "An absolute target with an invalid host",
            Outcomes(REFUSED, ANSWERED),
            has_bad_authority,
            "RFC 3986 3.2.2. nginx accepts anything between brackets",
        ),
    ]
}

fn fields_refused_by_us() -> Vec<Class> {
    vec![
        class(
            "An invalid Host",
            Outcomes(REFUSED, ANSWERED),
            has_bad_host,
            "RFC 9112 3.2: an invalid Host must be answered with 400",
        ),
        class(
            "A field name that is not a token",
            Outcomes(REFUSED, ANSWERED),
            has_name_that_is_no_token,
            "RFC 9112 5, RFC 9110 5.1. nginx drops the line; the next server may not",
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
            "RFC 9110 5.5: invalid; a recipient may keep it, but need not",
        ),
        class(
            "A Content-Length of more than 19 digits",
            Outcomes(REFUSED, ANSWERED),
            has_long_length,
            "RFC 9110 8.6: any number of zeros is allowed; no client sends them",
        ),
        class(
            "Malformed chunks",
            Outcomes(REFUSED, ANSWERED),
            |head| is_chunked(head) && has_chunk_outside_the_grammar(head.after()),
            "RFC 9112 7.1. nginx accepts LF as a line end and does not parse trailers, nor any chunk if \
             the method is not allowed",
        ),
        class(
            "More than 100 field lines",
            Outcomes(&[Status(431)], ANSWERED),
            |head| has_more_fields_than(head, 100),
            "RFC 6585 5: a limit of oneloop. nginx counts only bytes",
        ),
    ]
}

pub fn by_them() -> Part {
    let classes = vec![
        class(
            "An empty Host, with a port or without",
            Outcomes(ANSWERED, REFUSED),
            has_host_without_name,
            "RFC 9112 3.3: the server may refuse it, or use a default. oneloop has one site",
        ),
        class(
            "A Host with an empty part between dots",
            Outcomes(ANSWERED, REFUSED),
            has_host_with_empty_label,
            "RFC 3986 3.2.2: a name may contain these bytes; oneloop does not use the name",
        ),
        class(
            "An absolute target whose host has bytes that no DNS name has",
            Outcomes(ANSWERED, REFUSED),
            has_unusual_authority,
            "RFC 3986 3.2.2: as above. nginx accepts them in Host, but not in a target",
        ),
        class(
            "A tab beside the value of Host or Content-Length",
            Outcomes(ANSWERED, REFUSED),
            |head| {
                ["host", "content-length"]
                    .iter()
                    .any(|name| has_tab_beside(head, name))
            },
            "RFC 9110 5.5, 5.6.3: a tab is white space, which is not part of the value",
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
            "RFC 9110 8.6: it is a number. oneloop reads no body",
        ),
        class(
            "A Content-Length of more than a megabyte",
            Outcomes(ANSWERED, &[Status(413)]),
            |head| length(head).is_some_and(|length| length > 1 << 20),
            "RFC 9110 15.5.14: nginx has a limit for bodies. oneloop reads no body",
        ),
        class(
            "A chunk of more than 2^59 bytes",
            Outcomes(ANSWERED, REFUSED),
            |head| is_chunked(head) && has_malformed_chunk(head.after()),
            "RFC 9112 7.1: it is a number. oneloop reads no body",
        ),
        class(
            "A repeated field that may occur only once",
            Outcomes(ANSWERED, REFUSED),
            |head| is_repeated(head, &["authorization", "expect"]),
            "RFC 9110 5.3: an error of the sender. oneloop does not use the field",
        ),
        class(
            "A request line of almost 8 KiB",
            Outcomes(ANSWERED, &[Status(414)]),
            |head| is_line_longer_than(head, 8180),
            "RFC 9112 3: 8,000 bytes should be accepted. oneloop accepts 8,192; with nginx they include \
             the line end",
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
        text: "None of these changes where a request ends, or which file is requested.",
        classes,
    }
}

pub fn by_both() -> Part {
    let classes = vec![
        class(
            "A transfer coding that is not `chunked`, and another error",
            Outcomes(&[Status(501)], REFUSED),
            |head| {
                head.any("transfer-encoding", |it| {
                    !it.eq_ignore_ascii_case(b"chunked")
                })
            },
            "RFC 9112 3: the first error that is found",
        ),
        class(
            "`chunked` with a tab beside it, and another error",
            Outcomes(REFUSED, &[Status(501)]),
            |head| has_tab_beside(head, "transfer-encoding"),
            "RFC 9112 3: the first error that is found",
        ),
        class(
            "Another major version, and another error",
            Outcomes(&[Status(400), Status(505)], &[Status(400), Status(505)]),
            has_other_major_version,
            "RFC 9112 3: the first error that is found. For nginx, `HTTP/2` is a version, and \
             HTTP/0.9 must not be named",
        ),
        class(
            "A Content-Length of more than a megabyte, and another error",
            Outcomes(REFUSED, &[Status(413)]),
            |head| length(head).is_some_and(|length| length > 1 << 20),
            "RFC 9112 3: the first error that is found",
        ),
        class(
            "A head that is too large",
            Outcomes(&[Status(431)], REFUSED),
            |head| has_more_fields_than(head, 100) || head.bytes().len() > 32 * 1024,
            "RFC 6585 5: 431 is the status for it. nginx sends 400",
        ),
        class(
            "CONNECT without a host and a port",
            Outcomes(REFUSED, &[Status(405), Status(501)]),
            |head| head.method() == b"CONNECT",
            "RFC 9112 3.2.3: CONNECT has no other target",
        ),
        class(
            "CONNECT with a host and a port",
            Outcomes(&[Status(405)], REFUSED),
            |head: Head<'_>| head.method() == b"CONNECT",
            "RFC 9110 15.5.6: the target is valid, and the method is not allowed",
        ),
    ];
    Part {
        heading: "Refused by both, with different statuses",
        text: "Both close the connection.",
        classes,
    }
}
