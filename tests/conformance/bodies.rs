//! Requests with a body: answered, and then the connection closes (RFC 9110 10.1.1).

use crate::root::everything;
use crate::runner::run_table;
use crate::script::*;

#[test]
fn bodies() {
    let post = || request("POST /hello.txt HTTP/1.1");
    const CHUNKS: &str = "the body is not made of chunks";
    let chunked = |body: &str| {
        get("/hello.txt")
            .field("Transfer-Encoding: chunked")
            .body(body)
    };
    let megabytes = "x".repeat(3 << 20);
    let table = rows! {
        "POST with a body is not allowed, and closes":
            post().field("Content-Length: 5").body("12345") => not_allowed().closing();
        "it is answered before its body has come":
            post().field("Content-Length: 5") => not_allowed().closing();
        "a body that looks like a request is not one":
            post().field("Content-Length: 36").body("GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n")
            => not_allowed().closing();
        "nor is what follows it":
            post().field("Content-Length: 1").body("x") + get("/hello.txt")
            => not_allowed().closing();
        "a long body is received and discarded, and the response is complete":
            post().field("Content-Length: 3145728").body(&megabytes) => not_allowed().closing();
        "a long body in pieces":
            [
                post().field("Content-Length: 6").into(),
                Script::from("12"),
                Script::from("34"),
                Script::from("56"),
            ] => not_allowed().closing();
        "chunks are a body":
            post().field("Transfer-Encoding: chunked").body("5\r\n12345\r\n0\r\n\r\n")
            => not_allowed().closing();
        "chunks with extensions and a trailer":
            post().field("Transfer-Encoding: chunked").body("5;a=b\r\n12345\r\n0\r\nC: d\r\n\r\n")
            => not_allowed().closing();
        "a chunk that is not whole yet":
            post().field("Transfer-Encoding: chunked").body("5\r\n12") => not_allowed().closing();
        "an invalid chunk": chunked("zz\r\n") => bad(CHUNKS);
        "a size with a sign": chunked("-1\r\n") => bad(CHUNKS);
        "a size that ends in LF": chunked("5\n12345\n0\n\n") => bad(CHUNKS);
        "an extension that ends in LF": chunked("5;a\n12345") => bad(CHUNKS);
        "no size": chunked("\r\n") => bad(CHUNKS);
        "a size of more than 64 bits": chunked("fffffffffffffffff\r\n") => bad(CHUNKS);
        "a chunk longer than its size": chunked("5\r\n123456\r\n0\r\n\r\n") => bad(CHUNKS);
        "an invalid second chunk": chunked("1\r\nx\r\n\r\n") => bad(CHUNKS);
        "an invalid trailer": chunked("0\r\nx\r\n\r\n") => bad(CHUNKS);
        "a request in place of a chunk":
            chunked("GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n") => bad(CHUNKS);
        "the last chunk alone is a body, too":
            post().field("Transfer-Encoding: Chunked").body("0\r\n\r\n")
            => not_allowed().closing();
        "GET with a body is answered, and closes":
            get("/hello.txt").field("Content-Length: 5").body("12345")
            => text("hello").closing();
        "HEAD with a body":
            head("/hello.txt").field("Content-Length: 5").body("12345")
            => text("hello").without_body().closing();
        "OPTIONS with a body":
            request("OPTIONS * HTTP/1.1").field("Content-Length: 2").body("{}")
            => options().closing();
        "an unknown method with a body":
            request("BREW /pot HTTP/1.1").field("Content-Length: 2").body("{}")
            => not_implemented().closing();
        "a body in 1.0":
            request("POST /hello.txt HTTP/1.0").field("Content-Length: 2").body("{}")
            => not_allowed().closing();
        "a body in 1.0 with keep-alive":
            request("POST /hello.txt HTTP/1.0").field("Connection: keep-alive")
                .field("Content-Length: 2").body("{}")
            => not_allowed().closing();
        "POST without a body stays open":
            post().field("Content-Length: 0") => not_allowed();
        "a 404 with a body closes, too":
            get("/nothing").field("Content-Length: 1").body("x") => not_found().closing();
        "a 304 with a body closes, too":
            get("/hello.txt").field("If-None-Match: *").field("Content-Length: 1").body("x")
            => text("hello").not_modified().closing();
    };
    run_table(&everything(), table);
}

#[test]
fn expectations() {
    let get_expecting = |value: &str| get("/hello.txt").field(&format!("Expect: {value}"));
    let table = rows! {
        "a client that expects 100 gets the final response at once":
            request("POST / HTTP/1.1").field("Expect: 100-continue").field("Content-Length: 1000000")
            => not_allowed().closing();
        "also for chunks":
            request("PUT /x HTTP/1.1").field("Expect: 100-continue")
                .field("Transfer-Encoding: chunked")
            => not_allowed().closing();
        "also GET":
            get_expecting("100-continue").field("Content-Length: 5") => text("hello").closing();
        "without a body there is nothing to continue":
            get_expecting("100-continue") => text("hello");
        "an expectation is compared without case": get_expecting("100-Continue") => text("hello");
        "it may be repeated": get_expecting("100-continue, 100-continue") => text("hello");
        "an empty list expects nothing": get_expecting("") => text("hello");
        "other expectations fail": get_expecting("200-maybe") => expectation_failed();
        "also beside 100-continue": get_expecting("100-continue, x=y") => expectation_failed();
        "also for HEAD":
            head("/hello.txt").field("Expect: x") => expectation_failed().without_body();
        "with a body it closes":
            request("PUT /x HTTP/1.1").field("Expect: x").field("Content-Length: 3").body("abc")
            => expectation_failed().closing();
        "1.0 has no expectations":
            request("GET /hello.txt HTTP/1.0").field("Expect: x") => text("hello").closing();
    };
    run_table(&everything(), table);
}
