//! The request line: versions, targets, lengths (RFC 9112 2, 3).

use crate::root::everything;
use crate::runner::run_table;
use crate::script::*;

#[test]
fn request_lines() {
    const NONE: &str = "not an HTTP/1.1 request";
    let table = rows! {
        "two spaces between the parts":
            request("GET  /hello.txt HTTP/1.1") => bad(NONE);
        "two spaces before the version":
            request("GET /hello.txt  HTTP/1.1") => bad(NONE);
        "a tab instead of a space":
            request("GET\t/hello.txt HTTP/1.1") => bad(NONE);
        "a space at the end":
            request("GET /hello.txt HTTP/1.1 ") => bad(NONE);
        "a space at the beginning":
            request(" GET /hello.txt HTTP/1.1") => bad(NONE);
        "a space in the target":
            request("GET /a b.txt HTTP/1.1") => bad(NONE);
        "a line without a version (HTTP/0.9)":
            request("GET /hello.txt") => bad(NONE);
        "a method alone":
            request("GET") => bad(NONE);
        "no NUL":
            request("GET /\0 HTTP/1.1") => bad(NONE);
        "a control byte":
            request("GET /\x01 HTTP/1.1") => bad(NONE);
        "no DEL":
            request("GET /\x7f HTTP/1.1") => bad(NONE);
        "a bare CR":
            request("GET /\r HTTP/1.1") => bad(NONE);
        "a line that ends in LF":
            "GET /hello.txt HTTP/1.1\nHost: a\r\n\r\n" => bad("a line ends in LF without CR");
        "one empty line before a request is skipped (RFC 9112 2.2)":
            "\r\nGET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n" => text("hello");
        "two are skipped, too":
            "\r\n\r\nGET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n" => text("hello");
        "a hundred are skipped":
            "\r\n".repeat(100) + "GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n" => text("hello");
        "also in pieces":
            ["\r", "\n\r", "\n\r\n", "\r\nGET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n"]
                .map(Script::from) => text("hello");
        "one more is refused at once": "\r\n".repeat(101) => bad("too many empty lines before the request");
        "empty lines between requests":
            get("/hello.txt") + "\r\n\r\n\r\n" + get("/hello.txt") => [text("hello"), text("hello")];
        "empty lines behind a body of no bytes":
            get("/hello.txt").field("Content-Length: 0") + "\r\n\r\n" + get("/hello.txt")
            => [text("hello"), text("hello")];
        "a CR alone is not an empty line": "\rG" => bad(NONE);
        "an empty line that is a bare LF is not":
            "\nGET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n" => bad("a line ends in LF without CR");
    };
    run_table(&everything(), table);
}

/// None of these has the end of a head: the server refuses it as soon as it cannot be a request.
#[test]
fn bytes_that_cannot_be_a_request_are_refused_at_once() {
    const NONE: &str = "not an HTTP/1.1 request";
    const TARGET: &str = "the target is neither a path nor an absolute URL";
    const NAME: &str = "a field name is not a token, or a line is folded";
    const VALUE: &str = "a field value contains a control byte";
    const LF: &str = "a line ends in LF without CR";
    const VERSION: &str = "only HTTP/1.0 and HTTP/1.1 are supported";
    let tls = || bad("this is TLS, and the port speaks plain HTTP");
    let other = || refusal("505 HTTP Version Not Supported", VERSION).closing();
    let table = rows! {
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" => tls();
        "the first byte of TLS": b"\x16" => tls();
        "TLS after a request": get("/hello.txt") + "\x16\x03\x01"
            => [text("hello"), tls()];
        "SMTP": "EHLO x\r\n" => bad(NONE);
        "FTP": "USER anonymous\r\n" => bad(NONE);
        "SSH": "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n" => bad(NONE);
        "redis": "PING\r\n" => bad(NONE);
        "redis, as its clients send it": "*1\r\n$4\r\nPING\r\n" => bad(NONE);
        "memcached": "get key\r\n" => bad(NONE);
        "SOCKS 4": b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00" => bad(NONE);
        "SOCKS 5": b"\x05\x01\x00" => bad(NONE);
        "PostgreSQL": b"\x00\x00\x00\x08\x04\xd2\x16\x2f" => bad(NONE);
        "RDP": b"\x03\x00\x00\x13\x0e\xe0" => bad(NONE);
        "RTSP": "OPTIONS rtsp://a/b RTSP/1.0\r\n" => bad(NONE);
        "SIP": "OPTIONS sip:a SIP/2.0\r\n" => bad(NONE);
        "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" => bad(TARGET);
        "the PROXY protocol": "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" => bad(NONE);
        "its version 2": "\r\n\r\n\0\r\nQUIT\n" => bad(NONE);
        "JSON": "{\"jsonrpc\": \"2.0\"}" => bad(NONE);
        "HTTP/0.9": "GET /hello.txt\r\n" => bad(NONE);
        "HEAD of HTTP/0.9": "HEAD /hello.txt\r\n" => bad(NONE).without_body();
        "HEAD with two spaces": "HEAD  " => bad(NONE).without_body();
        "line ends without CR": "GET /hello.txt HTTP/1.1\n" => bad(LF);
        "another major version": "GET /hello.txt HTTP/3.0\r\n" => other();
        "an invalid version": "GET /hello.txt HTTP/1.10" => bad(NONE);
        "an invalid target": "GET hello.txt HTTP/1.1\r\n" => bad(TARGET);
        "a line without a colon": "GET / HTTP/1.1\r\nHost: a\r\nx\r\n" => bad(NAME);
        "a space in a name": "GET / HTTP/1.1\r\nHost: a\r\nx " => bad(NAME);
        "a folded line": "GET / HTTP/1.1\r\nHost: a\r\n b" => bad(NAME);
        "NUL in a value": "GET / HTTP/1.1\r\nHost: a\0" => bad(VALUE);
        "byte by byte": (b"EHLO x\r\n").map(|byte| Script::from(char::from(byte).to_string()))
            => bad(NONE);
        "the first error is reported, not the last":
            "GET /hello.txt HTTP/1.1\r\nHost : a\r\nb: \0\r\nc: d\n\r\n" => bad(NAME);
        "even of a line that is too long": " ".to_owned() + &"x".repeat(9000) => bad(NONE);
        "even of a head that is too large":
            "GET / HTTP/1.1\r\nA\r\nX: ".to_owned() + &"x".repeat(33 * 1024) => bad(NAME);
    };
    run_table(&everything(), table);
}

#[test]
fn versions() {
    let other = || {
        refusal(
            "505 HTTP Version Not Supported",
            "only HTTP/1.0 and HTTP/1.1 are supported",
        )
        .closing()
    };
    const NONE: &str = "not an HTTP/1.1 request";
    let table = rows! {
        "1.0 is answered in 1.1, and the connection closes":
            request("GET /hello.txt HTTP/1.0") => text("hello").closing();
        "a later minor version is parsed as 1.1 (RFC 9110 2.5)":
            request("GET /hello.txt HTTP/1.2") => text("hello");
        "as late as 1.9":
            request("HEAD /hello.txt HTTP/1.9") => text("hello").without_body();
        "and it needs a Host":
            "GET /hello.txt HTTP/1.7\r\n\r\n" => bad("HTTP/1.1 requires a Host field");
        "another major version is refused":
            request("GET /hello.txt HTTP/2.0") => other();
        "not an older one either":
            request("GET /hello.txt HTTP/0.9") => other();
        "a digit, a dot, a digit": request("GET /hello.txt HTTP/1") => bad(NONE);
        "not two digits": request("GET /hello.txt HTTP/1.10") => bad(NONE);
        "not two digits before the dot": request("GET /hello.txt HTTP/01.1") => bad(NONE);
        "a comma instead of the dot": request("GET /hello.txt HTTP/1,1") => bad(NONE);
        "the name is case-sensitive": request("GET /hello.txt http/1.1") => bad(NONE);
        "another protocol": request("GET /hello.txt RTSP/1.0") => bad(NONE);
        "letters in the version": request("GET /hello.txt HTTP/x.y") => bad(NONE);
    };
    run_table(&everything(), table);
}

#[test]
fn targets() {
    const FORM: &str = "the target is neither a path nor an absolute URL";
    const HOST: &str = "the target names no valid host";
    const TUNNEL: &str = "the target of CONNECT is not a host and a port";
    let table = rows! {
        "a query is ignored": get("/hello.txt?a=b&c") => text("hello");
        "an empty query is ignored, too": get("/hello.txt?") => text("hello");
        "a second question mark belongs to the query": get("/hello.txt?a?b/../c") => text("hello");
        "escapes in a query are ignored": get("/hello.txt?%00%zz%") => text("hello");
        "absolute-form": get("http://a/hello.txt") => text("hello");
        "absolute-form with a port and a query": get("http://a:80/hello.txt?x") => text("hello");
        "absolute-form of the root": get("http://a/") => html("<h1>home</h1>");
        "absolute-form without a path is the root": get("http://a") => html("<h1>home</h1>");
        "absolute-form with nothing but a query": get("http://a?x") => html("<h1>home</h1>");
        "a scheme is compared without case": get("HtTp://a/hello.txt") => text("hello");
        "behind a proxy that ends TLS": get("https://a/hello.txt") => text("hello");
        "the host of absolute-form takes precedence (RFC 9112 3.2.2)":
            "GET http://a/hello.txt HTTP/1.1\r\nHost: b\r\n\r\n" => text("hello");
        "but it does not replace Host":
            "GET http://a/hello.txt HTTP/1.1\r\n\r\n" => bad("HTTP/1.1 requires a Host field");
        "absolute-form in 1.0": request("GET http://a/hello.txt HTTP/1.0") => text("hello").closing();
        "absolute-form with an IPv6 address": get("http://[::1]:80/hello.txt") => text("hello");
        "absolute-form without a host": get("http:///hello.txt") => bad(HOST);
        "absolute-form with a port and no host (RFC 9110 4.2.1)":
            get("http://:80/hello.txt") => bad(HOST);
        "absolute-form without anything": get("http://") => bad(HOST);
        "absolute-form with a user": get("http://u@a/hello.txt") => bad(HOST);
        "absolute-form with a strange port": get("http://a:x/hello.txt") => bad(HOST);
        "another scheme": get("ftp://a/hello.txt") => bad(FORM);
        "no scheme at all": get("hello.txt") => bad(FORM);
        "authority-form is for CONNECT alone": get("a:80") => bad(FORM);
        "not for what is not allowed, either": request("POST a:80 HTTP/1.1") => bad(FORM);
        "nor is the asterisk": request("POST * HTTP/1.1") => bad(FORM);
        "CONNECT has no other (RFC 9112 3.2.3)": request("CONNECT /a HTTP/1.1") => bad(TUNNEL);
        "not the absolute one": request("CONNECT http://a/ HTTP/1.1") => bad(TUNNEL);
        "nor the asterisk": request("CONNECT * HTTP/1.1") => bad(TUNNEL);
        "CONNECT without a port": request("CONNECT a HTTP/1.1") => bad(TUNNEL);
        "CONNECT with an empty port": request("CONNECT a: HTTP/1.1") => bad(TUNNEL);
        "CONNECT without a host": request("CONNECT :80 HTTP/1.1") => bad(TUNNEL);
        "CONNECT with a strange port": request("CONNECT a:x8 HTTP/1.1") => bad(TUNNEL);
        "CONNECT to an address without brackets": request("CONNECT ::1 HTTP/1.1") => bad(TUNNEL);
        "a fragment is ignored": get("/hello.txt#x") => text("hello");
        "with what follows it": get("/hello.txt#x?y") => text("hello");
        "after a query, too": get("/hello.txt?x#y") => text("hello");
        "but not after a host": get("http://a#x") => bad(HOST);
        "a fragment alone": get("#x") => bad(FORM);
        "a query as browsers send it": get("/hello.txt?a=b\\`{|}^[]'~") => text("hello");
        "a query as curl sends it": get("/hello.txt?a=\"b\"<c>\u{e9}") => text("hello");
        "a query of any bytes":
            b"GET /hello.txt?\xff\xe9\x80 HTTP/1.1\r\nHost: a\r\n\r\n" => text("hello");
        "a backslash is not a slash": get("\\hello.txt") => bad(FORM);
        "angle brackets": get("/<b>.txt") => text("named");
        "other bytes that browsers do not escape": get("/hello.txt|^[]{}`'\"") => not_found();
    };
    run_table(&everything(), table);
}

#[test]
fn lengths() {
    let line_too_long = || refusal("414 URI Too Long", "the request line is too long").closing();
    let head_too_long = |why| refusal("431 Request Header Fields Too Large", why).closing();
    let no_method = || refusal("501 Not Implemented", "the method is unknown").closing();
    let too_long = "the header fields are too large";
    // `GET ` and ` HTTP/1.1` take 13 bytes of the line.
    let target = |length: usize| format!("/hello.txt?{}", "q".repeat(length - 13 - 11));
    let head_of = |length: usize| {
        let start = "GET /hello.txt HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4))
    };
    let fields =
        |count: usize| (1..count).fold(get("/hello.txt"), |request, _| request.field("X: y"));
    let table = rows! {
        "a request line of 8 KiB": get(&target(8192)) => text("hello");
        "a longer one": get(&target(8193)) => line_too_long();
        "HEAD with a longer one has no body": head(&target(8200)) => line_too_long().without_body();
        "a line that does not end": "GET /".to_owned() + &"a".repeat(9000) => line_too_long();
        "a method that does not end": "A".repeat(9000) => no_method();
        "a method of 8 KiB": "A".repeat(8192 - 11) + " / HTTP/1.1\r\nHost: a\r\n\r\n"
            => not_implemented();
        "a longer one": "A".repeat(8192) + " / HTTP/1.1\r\nHost: a\r\n\r\n" => no_method();
        "a long method with a long target": "A".repeat(8) + " /" + &"a".repeat(9000) => no_method();
        "a method that is known, with a long target":
            "OPTIONS /".to_owned() + &"a".repeat(9000) => line_too_long();
        "a head of 32 KiB": head_of(32 * 1024) => text("hello");
        "a longer one is too large": head_of(32 * 1024 + 1) => head_too_long(too_long);
        "a head that does not end is refused before it does":
            "GET / HTTP/1.1\r\nX: ".to_owned() + &"x".repeat(33 * 1024)
            => head_too_long(too_long);
        "a head that does not end, in many lines":
            "GET / HTTP/1.1\r\n".to_owned() + &"X: y\r\n".repeat(6000)
            => head_too_long(too_long);
        "HEAD with too large a head has no body":
            "HEAD / HTTP/1.1\r\nX: ".to_owned() + &"x".repeat(33 * 1024)
            => head_too_long(too_long).without_body();
        "a hundred fields": fields(100) => text("hello");
        "one more": fields(101) => head_too_long("too many field lines");
    };
    run_table(&everything(), table);
}
