//! Heads that both understand, and answer differently, or treat the connection differently.

use super::{
    Answers::{Interim, Open, Outcomes},
    Class, Part, REFUSED, class,
};
use crate::differences::Outcome::{self, Status};
use crate::signs::*;

/// What is answered before a path is decoded.
const NOT_LOOKED_UP: &[Outcome] = &[Status(204), Status(405), Status(417), Status(501)];

pub fn by_both() -> Part {
    let mut classes = methods();
    classes.extend(expectations());
    classes.extend(connections());
    Part {
        heading: "Understood by both",
        text: "They agree on where the request ends; what they answer is not the same.",
        classes,
    }
}

fn methods() -> Vec<Class> {
    vec![
        class(
            "OPTIONS",
            Outcomes(&[Status(204)], &[Status(405)]),
            |head| head.method() == b"OPTIONS",
            "RFC 9110 9.3.7: it asks what is allowed",
        ),
        class(
            "OPTIONS of the whole server",
            Outcomes(&[Status(204), Status(417)], REFUSED),
            |head| head.method() == b"OPTIONS" && head.target() == b"*",
            "RFC 9112 3.2.4: that is what `*` is for",
        ),
        class(
            "A method that nobody knows",
            Outcomes(&[Status(501)], &[Status(405), Status(404), Status(301)]),
            is_method_unknown,
            "RFC 9110 9.1: 501 for what is not known, 405 for what is known and not allowed",
        ),
        class(
            "A method with other bytes than capital letters, `-` and `_`",
            Outcomes(&[Status(501), Status(417)], REFUSED),
            has_unusual_method,
            "RFC 9110 9.1, 5.6.2: it may be any token. It is known nowhere, and so not implemented",
        ),
        class(
            "A method that is known and not allowed",
            Outcomes(&[Status(405)], &[Status(404), Status(301)]),
            |head| !is_method_read_only(head),
            "RFC 9110 15.5.6: it is allowed nowhere, so nothing is looked up",
        ),
        class(
            "A path that is none, where it is not looked at",
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
            "RFC 9110 10.1.1: 417 may be said",
        ),
        class(
            "`Expect: 100-continue`",
            Interim(false, true),
            expects_continue,
            "RFC 9110 10.1.1: the final answer may come at once. No body is wanted here",
        ),
    ]
}

fn connections() -> Vec<Class> {
    vec![
        class(
            "A request with a body",
            Open(false, true),
            has_body,
            "RFC 9112 9.3: who does not read a body closes the connection",
        ),
        class(
            "`close` as a part of something else in Connection",
            Open(true, false),
            |head| names_option(head, "close") && !has_option(head, "close"),
            "RFC 9110 7.6.1: it is a list of tokens. nginx looks for the letters",
        ),
        class(
            "`keep-alive` as a part of something else in Connection, in HTTP/1.0",
            Open(false, true),
            |head| names_option(head, "keep-alive") && !has_option(head, "keep-alive"),
            "RFC 9110 7.6.1: as above",
        ),
        class(
            "Both `close` and `keep-alive`",
            Open(false, true),
            |head| has_option(head, "close") && has_option(head, "keep-alive"),
            "RFC 9112 9.3: close is looked at first. nginx believes the later line",
        ),
        class(
            "TRACE",
            Open(true, false),
            |head| head.method() == b"TRACE",
            "RFC 9110 15.5.6: not allowed, like others",
        ),
    ]
}
