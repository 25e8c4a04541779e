//! Heads that both parse, with different responses, or different ends of the connection.

use super::{
    Class, Part, REFUSED,
    Responses::{Interim, Open, Outcomes},
    class,
};
use crate::differences::Outcome::{self, Status};
use crate::signs::*;

/// Responses that do not need the path.
const NOT_LOOKED_UP: &[Outcome] = &[Status(204), Status(405), Status(417), Status(501)];

pub fn by_both() -> Part {
    let mut classes = methods();
    classes.extend(expectations());
    classes.extend(connections());
    Part {
        heading: "Understood by both",
        text: "Both agree on where the request ends; the responses differ.",
        classes,
    }
}

fn methods() -> Vec<Class> {
    vec![
        class(
            "OPTIONS",
            Outcomes(&[Status(204)], &[Status(405)]),
            |head| head.method() == b"OPTIONS",
            "RFC 9110 9.3.7: it requests the allowed methods",
        ),
        class(
            "OPTIONS of the whole server",
            Outcomes(&[Status(204), Status(417)], REFUSED),
            |head| head.method() == b"OPTIONS" && head.target() == b"*",
            "RFC 9112 3.2.4: `*` is for that",
        ),
        class(
            "An unknown method",
            Outcomes(&[Status(501)], &[Status(405), Status(404), Status(301)]),
            is_method_unknown,
            "RFC 9110 9.1: 501 for an unknown method, 405 for a known one that is not allowed",
        ),
        class(
            "A method with other bytes than capital letters, `-` and `_`",
            Outcomes(&[Status(501), Status(417)], REFUSED),
            has_unusual_method,
            "RFC 9110 9.1, 5.6.2: a method may be any token; this one is unknown",
        ),
        class(
            "A known method that is not allowed",
            Outcomes(&[Status(405)], &[Status(404), Status(301)]),
            |head| !is_method_read_only(head),
            "RFC 9110 15.5.6: it is not allowed for any file, so no file is looked up",
        ),
        class(
            "An invalid path in a request that needs no path",
            Outcomes(NOT_LOOKED_UP, REFUSED),
            |head| {
                has_path_that_is_none(head)
                    && (!is_method_read_only(head) || expects_other_things(head))
            },
            "RFC 9110 15.5.6: as above",
        ),
    ]
}

fn expectations() -> Vec<Class> {
    vec![
        class(
            "An expectation that is not `100-continue`",
            Outcomes(
                &[Status(417)],
                &[Status(200), Status(301), Status(404), Status(405)],
            ),
            expects_other_things,
            "RFC 9110 10.1.1: 417 is allowed",
        ),
        class(
            "`Expect: 100-continue`",
            Interim(false, true),
            expects_continue,
            "RFC 9110 10.1.1: the final response may come at once. oneloop reads no body",
        ),
    ]
}

fn connections() -> Vec<Class> {
    vec![
        class(
            "A request with a body",
            Open(false, true),
            has_body,
            "RFC 9112 9.3: a server that does not read the body closes the connection",
        ),
        class(
            "`close` as a part of another option in Connection",
            Open(true, false),
            |head| names_option(head, "close") && !has_option(head, "close"),
            "RFC 9110 7.6.1: the value is a list of tokens. nginx searches for the letters",
        ),
        class(
            "`keep-alive` as a part of another option in Connection, in HTTP/1.0",
            Open(false, true),
            |head| names_option(head, "keep-alive") && !has_option(head, "keep-alive"),
            "RFC 9110 7.6.1: as above",
        ),
        class(
            "Both `close` and `keep-alive`",
            Open(false, true),
            |head| has_option(head, "close") && has_option(head, "keep-alive"),
            "RFC 9112 9.3: close takes precedence. nginx uses the last line",
        ),
        class(
            "TRACE",
            Open(true, false),
            |head| head.method() == b"TRACE",
            "RFC 9110 15.5.6: not allowed, as other methods",
        ),
    ]
}
