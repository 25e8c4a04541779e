//! Field lines: their form, Host, and how a body is announced (RFC 9112 3.2, 5, 6).

use crate::root::everything;
use crate::runner::run_table;
use crate::script::*;

#[test]
fn field_lines() {
    const NAME: &str = "a field name is not a token, or a line is folded";
    const VALUE: &str = "a field value contains a control byte";
    const LF: &str = "a line ends in LF without CR";
    let hello = || get("/hello.txt");
    let table = rows! {
        "an empty value": hello().field("X:") => text("hello");
        "blanks around a value": hello().field("X: \t y \t ") => text("hello");
        "no blank after the colon": hello().field("X:y") => text("hello");
        "a tab inside a value": hello().field("X: a\tb") => text("hello");
        "bytes beyond ASCII in a value": hello().field("X: \u{fc}") => text("hello");
        "a name may have any token's bytes": hello().field("!#$%&'*+-.^_`|~1: x") => text("hello");
        "a name has no case":
            "GET /hello.txt HTTP/1.1\r\nhOsT: a\r\nCONNECTION: CLOSE\r\n\r\n"
            => text("hello").closing();
        "a folded line": hello().field("X: a\r\n b") => bad(NAME);
        "a line folded with a tab": hello().field("X: a\r\n\tb") => bad(NAME);
        "a blank before the first line":
            "GET /hello.txt HTTP/1.1\r\n Host: a\r\n\r\n" => bad(NAME);
        "a blank before the colon": hello().field("X : y") => bad(NAME);
        "a tab before the colon": hello().field("X\t: y") => bad(NAME);
        "no name": hello().field(": y") => bad(NAME);
        "no colon": hello().field("X") => bad(NAME);
        "a blank inside a name": hello().field("X Y: z") => bad(NAME);
        "a byte beyond ASCII in a name": hello().field("\u{fc}: z") => bad(NAME);
        "NUL in a name": hello().field("X\0: y") => bad(NAME);
        "NUL in a value": hello().field("X: \0") => bad(VALUE);
        "a control byte in a value": hello().field("X: \x1b[31m") => bad(VALUE);
        "DEL in a value": hello().field("X: \x7f") => bad(VALUE);
        "a bare CR in a value": hello().field("X: a\rY: b") => bad(VALUE);
        "a line that ends with LF": "GET /hello.txt HTTP/1.1\r\nHost: a\n\r\n" => bad(LF);
        "an empty line that ends with LF": "GET /hello.txt HTTP/1.1\r\nHost: a\r\n\n" => bad(LF);
        "two LF are no end of a head": "GET /hello.txt HTTP/1.1\r\nHost: a\n\n" => bad(LF);
        "HEAD that is refused has no body":
            "HEAD /hello.txt HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n" => bad(NAME).without_body();
    };
    run_table(&everything(), table);
}

#[test]
fn hosts() {
    const NONE: &str = "Host is not a valid host";
    let host = |value: &str| format!("GET /hello.txt HTTP/1.1\r\nHost: {value}\r\n\r\n");
    let table = rows! {
        "1.1 requires Host":
            "GET /hello.txt HTTP/1.1\r\n\r\n" => bad("HTTP/1.1 requires a Host field");
        "also for what is not allowed":
            "POST /hello.txt HTTP/1.1\r\n\r\n" => bad("HTTP/1.1 requires a Host field");
        "HEAD without Host gets no body":
            "HEAD /hello.txt HTTP/1.1\r\n\r\n" => bad("HTTP/1.1 requires a Host field").without_body();
        "1.0 does not": "GET /hello.txt HTTP/1.0\r\n\r\n" => text("hello").closing();
        "Host may not stand twice": get("/hello.txt").field("Host: a") => bad("Host is repeated");
        "nor with two values": get("/hello.txt").field("Host: b") => bad("Host is repeated");
        "nor twice in 1.0":
            request("GET /hello.txt HTTP/1.0").field("Host: a").field("Host: b")
            => bad("Host is repeated");
        "Host may be empty": host("") => text("hello");
        "a name": host("www.example.org") => text("hello");
        "a name and a port": host("www.example.org:8080") => text("hello");
        "a colon without a port": host("a:") => text("hello");
        "an IPv4 address": host("127.0.0.1:80") => text("hello");
        "an IPv6 address": host("[::1]:80") => text("hello");
        "an address of a later version": host("[v1.a]") => text("hello");
        "one with a port": host("[vF.a:1]:80") => text("hello");
        "a later version without a number": host("[v.a]") => bad(NONE);
        "a later version without an address": host("[v1.]") => bad(NONE);
        "a zone": host("[fe80::1%lo]:80") => text("hello");
        "an escaped zone": host("[fe80::1%25lo]") => text("hello");
        "no zone": host("[fe80::1%]") => bad(NONE);
        "an escaped name": host("%C3%BC.example") => text("hello");
        "a bad escape": host("%zz.example") => bad(NONE);
        "half an escape": host("a%4") => bad(NONE);
        "an IPv6 address without its bracket": host("[::1") => bad(NONE);
        "an IPv6 address without brackets": host("::1") => bad(NONE);
        "brackets around what is no address": host("[:::]") => bad(NONE);
        "a strange port": host("a:b") => bad(NONE);
        "a port with a sign": host("a:-1") => bad(NONE);
        "a path": host("a/b") => bad(NONE);
        "a user": host("u@a") => bad(NONE);
        "a blank": host("a b") => bad(NONE);
        "a tag": host("<a>") => bad(NONE);
        "a byte beyond ASCII": host("\u{fc}.example") => bad(NONE);
        "1.0 may omit Host, but an invalid one is refused":
            request("GET /hello.txt HTTP/1.0").field("Host: a b") => bad(NONE);
    };
    run_table(&everything(), table);
}

#[test]
fn framing() {
    const LENGTH: &str = "Content-Length is not a number";
    const TWICE: &str = "Transfer-Encoding is repeated";
    let unknown = || {
        let why = "the only supported transfer coding is chunked, once";
        refusal("501 Not Implemented", why).closing()
    };
    let hello = || get("/hello.txt");
    let length = |value: &str| get("/hello.txt").field(&format!("Content-Length: {value}"));
    let coding = |value: &str| get("/hello.txt").field(&format!("Transfer-Encoding: {value}"));
    let table = rows! {
        "a length of zero is no body": length("0") => text("hello");
        "nor are many zeros": length("000") => text("hello");
        "a length with a sign": length("+3") => bad(LENGTH);
        "a negative length": length("-1") => bad(LENGTH);
        "a length in hexadecimal": length("0x5") => bad(LENGTH);
        "a length with a fraction": length("5.0") => bad(LENGTH);
        "a length with a blank": length("5 5") => bad(LENGTH);
        "a list of lengths": length("5, 5") => bad(LENGTH);
        "a list of different lengths": length("5, 6") => bad(LENGTH);
        "an empty length": length("") => bad(LENGTH);
        "a length of more than 64 bits": length("99999999999999999999") => bad(LENGTH);
        "a repeated length": length("5").field("Content-Length: 5")
            => bad("Content-Length is repeated");
        "a repeated length of zero": length("0").field("Content-Length: 0")
            => bad("Content-Length is repeated");
        "two lengths": length("5").field("Content-Length: 6")
            => bad("Content-Length is repeated");
        "a length and a coding": length("5").field("Transfer-Encoding: chunked")
            => bad("both Content-Length and Transfer-Encoding");
        "a coding and a length": coding("chunked").field("Content-Length: 0")
            => bad("both Content-Length and Transfer-Encoding");
        "an unknown coding": coding("xchunked") => unknown();
        "gzip alone": coding("gzip") => unknown();
        "gzip and chunked": coding("gzip, chunked") => unknown();
        "chunked and something": coding("chunked, identity") => unknown();
        "chunked twice": coding("chunked, chunked") => unknown();
        "identity, which is obsolete": coding("identity") => unknown();
        "an empty coding": coding("") => unknown();
        "a coding with a parameter": coding("chunked;q=1") => unknown();
        "a coding in quotes": coding("\"chunked\"") => unknown();
        "an unknown coding and a length": coding("gzip").field("Content-Length: 5") => unknown();
        "HEAD with an unknown coding":
            head("/hello.txt").field("Transfer-Encoding: gzip, chunked") => unknown().without_body();
        "chunked in two lines": coding("chunked").field("Transfer-Encoding: chunked")
            => bad(TWICE);
        "chunked in the second of two lines":
            coding("gzip").field("Transfer-Encoding: chunked") => bad(TWICE);
        "chunked hidden behind a vertical tab":
            hello().field("Transfer-Encoding:\x0bchunked")
            => bad("a field value contains a control byte");
        "an unknown coding in 1.0":
            request("GET /hello.txt HTTP/1.0").field("Transfer-Encoding: gzip, chunked")
            => bad("Transfer-Encoding in an HTTP/1.0 request");
        "chunked in 1.0, which has no chunks":
            request("GET /hello.txt HTTP/1.0").field("Transfer-Encoding: chunked")
            => bad("Transfer-Encoding in an HTTP/1.0 request");
        "what follows a refused request is not parsed":
            length("1, 1").body("x") + hello() => bad(LENGTH);
    };
    run_table(&everything(), table);
}
