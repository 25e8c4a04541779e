//! How long a connection lives, and pipelining (RFC 9112 9).

use crate::root::{BIG_LINES, everything, numbered};
use crate::runner::run_table;
use crate::script::*;

#[test]
fn persistence() {
    let hello = || get("/hello.txt");
    let old = || request("GET /hello.txt HTTP/1.0");
    let table = rows! {
        "1.1 stays open": hello() => text("hello");
        "1.1 closes with close": hello().field("Connection: close") => text("hello").closing();
        "close is compared without case": hello().field("Connection: CLOSE") => text("hello").closing();
        "close in a list":
            hello().field("Connection: Upgrade, close") => text("hello").closing();
        "close in a list with gaps":
            hello().field("Connection: ,, \t,close,") => text("hello").closing();
        "close in a second line":
            hello().field("Connection: x").field("Connection: close") => text("hello").closing();
        "close takes precedence over keep-alive":
            hello().field("Connection: keep-alive, close") => text("hello").closing();
        "closed is not close": hello().field("Connection: closed, xclose") => text("hello");
        "keep-alive has no effect in 1.1":
            hello().field("Connection: keep-alive") => text("hello");
        "an upgrade is ignored":
            hello().field("Connection: Upgrade, HTTP2-Settings").field("Upgrade: h2c")
                .field("HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
            => text("hello");
        "1.0 closes": old() => text("hello").closing();
        "1.0 with keep-alive stays open, with keep-alive in the response":
            old().field("Connection: keep-alive") => text("hello").kept_alive();
        "keep-alive is compared without case":
            old().field("Connection: Keep-Alive") => text("hello").kept_alive();
        "1.0 with both closes":
            old().field("Connection: keep-alive, close") => text("hello").closing();
        "Proxy-Connection is ignored":
            old().field("Proxy-Connection: keep-alive") => text("hello").closing();
        "HEAD in 1.0":
            request("HEAD /hello.txt HTTP/1.0").field("Connection: keep-alive")
            => text("hello").without_body().kept_alive();
        "a long file in 1.0":
            request("GET /big.txt HTTP/1.0") => text(&numbered(BIG_LINES)).closing();
        "304 in 1.0":
            old().field("Connection: keep-alive").field("If-None-Match: *")
            => text("hello").not_modified().kept_alive();
        "a 404 stays open in 1.0, too":
            request("GET /nothing HTTP/1.0").field("Connection: keep-alive")
            => not_found().kept_alive();
        "a 404 closes with close":
            get("/nothing").field("Connection: close") => not_found().closing();
        "a redirect closes with close":
            get("/dir").field("Connection: close") => redirect("./dir/").closing();
    };
    run_table(&everything(), table);
}

#[test]
fn pipelining() {
    let (hello, digits) = (|| get("/hello.txt"), || get("/digits.txt"));
    let many = (0..20).fold(Script::from(""), |script, _| script + hello());
    let hundreds = (0..300).fold(Script::from(""), |script, _| script + head("/hello.txt"));
    let big = numbered(BIG_LINES);
    let table = rows! {
        "one after the other": [hello(), digits()] => [text("hello"), text("0123456789")];
        "two at once, in order": hello() + digits() => [text("hello"), text("0123456789")];
        "three": hello() + get("/alive") + digits()
            => [text("hello"), binary("yes"), text("0123456789")];
        "twenty": many => vec![text("hello"); 20];
        "more than the budget of one iteration": hundreds => vec![text("hello").without_body(); 300];
        "HEAD between GETs": hello() + head("/digits.txt") + get("/alive")
            => [text("hello"), text("0123456789").without_body(), binary("yes")];
        "304 between 200s": hello() + digits().field("If-None-Match: *") + get("/alive")
            => [text("hello"), text("0123456789").not_modified(), binary("yes")];
        "204 between 200s": hello() + request("OPTIONS * HTTP/1.1") + digits()
            => [text("hello"), options(), text("0123456789")];
        "206 between 200s": hello() + digits().field("Range: bytes=0-0") + hello()
            => [text("hello"), text("0123456789").part("0-0/10", "0"), text("hello")];
        "a 404 does not end it": get("/nothing") + hello() => [not_found(), text("hello")];
        "nor a 405": request("POST / HTTP/1.1") + hello() => [not_allowed(), text("hello")];
        "long and short, in order": get("/big.txt") + hello() + get("/big.txt") + digits()
            => [text(&big), text("hello"), text(&big), text("0123456789")];
        "an empty file among others": hello() + get("/empty.txt") + hello()
            => [text("hello"), text(""), text("hello")];
        "an empty line between requests is skipped":
            hello() + "\r\n" + digits() => [text("hello"), text("0123456789")];
        "nothing after an invalid path is answered":
            hello() + get("/%zz") + digits()
            => [
                text("hello"),
                page("400 Bad Request", "the path contains a % without two hexadecimal digits").closing(),
            ];
        "nothing after close is answered":
            hello() + digits().field("Connection: close") + get("/alive")
            => [text("hello"), text("0123456789").closing()];
        "nothing after a bad request is answered":
            hello() + "nonsense\r\n\r\n" + get("/alive")
            => [text("hello"), bad("not an HTTP/1.1 request")];
        "nothing after a 1.0 request is answered":
            request("GET /hello.txt HTTP/1.0") + digits() => text("hello").closing();
        "1.0 among 1.1":
            hello() + request("GET /digits.txt HTTP/1.0").field("Connection: keep-alive") + hello()
            => [text("hello"), text("0123456789").kept_alive(), text("hello")];
        "bytes one by one":
            "GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n".split("").collect::<Pieces<'_>>()
            => text("hello");
        "split in the middle of the empty line":
            ["GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r", "\n"] => text("hello");
        "split in the second of two":
            [
                "GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\nGET /digits",
                ".txt HTTP/1.1\r\nHost: a\r\n\r\n",
            ]
            => [text("hello"), text("0123456789")];
    };
    run_table(&everything(), table);
}

#[test]
fn half_closes() {
    let hello = || get("/hello.txt");
    let table = rows! {
        "a half-closed connection is still answered": half_close_after(hello()) => text("hello");
        "with all its requests": half_close_after(hello() + get("/digits.txt"))
            => [text("hello"), text("0123456789")];
        "and with long files": half_close_after(get("/big.txt") + hello())
            => [text(&numbered(BIG_LINES)), text("hello")];
        "without a request there is no response": half_close_after("") => no_response();
        "nor for half a request": half_close_after("GET /hello.txt HTTP/1.1\r\nHost: a\r\n")
            => no_response();
        "half a second request is ignored": half_close_after(hello() + "GET /dig") => text("hello");
        "an empty line is not a request": half_close_after("\r\n") => no_response();
        "a body that is not sent": half_close_after(request("POST / HTTP/1.1").field("Content-Length: 9"))
            => not_allowed().closing();
    };
    run_table(&everything(), table);
}
