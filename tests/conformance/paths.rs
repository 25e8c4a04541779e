//! From the path of a target to the name of a file.

use crate::root::{everything, longest_name};
use crate::runner::play;
use crate::script::*;

#[test]
fn names() {
    let named = || text("named");
    let longest = format!("/{}", longest_name());
    let too_long = format!("/n{}", longest_name());
    let deep = format!("/{}hello.txt", "dir/".repeat(1500));
    let table = rows! {
        "an escaped letter is that letter": get("/%68ello%2Etxt") => text("hello");
        "hexadecimal has no case": get("/%C3%bcber.txt") => named();
        "an escaped blank": get("/a%20b.txt") => named();
        "a plus is a plus, not a blank": get("/a+b.txt") => named();
        "and not one in disguise": get("/a+b.txt?x+y") => named();
        "a blank is no plus": get("/a%2Bb.txt") => named();
        "a percent sign in a name": get("/100%25.txt") => named();
        "decoding happens once: a name that looks escaped": get("/%2561.txt") => named();
        "decoding happens once: no such name": get("/%2568ello.txt") => not_found();
        "a question mark in a name": get("/what%3F.txt") => named();
        "a hash in a name": get("/%231.txt") => named();
        "marks that need no escape": get("/a&b;c=d.txt") => named();
        "a colon": get("/a:b.txt") => named();
        "angle brackets": get("/%3Cb%3E.txt") => named();
        "dots inside a name": get("/a..b.txt") => named();
        "UTF-8, escaped": get("/%E6%97%A5%E6%9C%AC.txt") => named();
        "UTF-8, as it is": get("/\u{65e5}\u{672c}.txt") => named();
        "bytes that are no UTF-8, escaped": get("/latin-%E9.txt") => named();
        "bytes that are no UTF-8 have to be":
        b"GET /latin-\xe9.txt HTTP/1.1\r\nHost: a\r\n\r\n" => bad("not an HTTP/1.1 request");
    "overlong UTF-8 is no slash": get("/dir%C0%AFinner.txt") => not_found();
        "overlong UTF-8 is no dot": get("/%C0%AE%C0%AE/secret.txt") => not_found();
        "names have a case": get("/HELLO.TXT") => not_found();
        "the longest name": get(&longest) => named();
        "a longer one": get(&too_long) => not_found();
        "a path longer than any": get(&deep) => not_found();
        "a file is no directory": get("/hello.txt/inner.txt") => not_found();
        "a slash after a file": get("/hello.txt/") => not_found();
        "two slashes are one": get("/dir//inner.txt") => text("inner");
        "slashes at the beginning": get("///hello.txt") => text("hello");
        "two slashes are no host": get("//evil.com/file.txt") => text("not evil");
        "a directory's name may hold UTF-8": get("/%C3%BC/inner.txt") => named();
        "a file in a directory": get("/dir/inner.txt") => text("inner");
        "a blank in a directory's name": get("/sub%20dir/file.txt") => text("in a sub dir");
    };
    play(&everything(), table);
}

#[test]
fn names_that_are_none() {
    const DOTS: &str = "the path holds a dot segment";
    const ESCAPED: &str = "the path holds an escaped separator or NUL";
    const NONE: &str = "the path holds a % without two hexadecimal digits";
    const INCOMPLETE: &str = "the path holds a % without two hexadecimal digits";
    let malformed = |why| page("400 Bad Request", why);
    let table = rows! {
        "dot-dot": get("/../secret.txt") => malformed(DOTS);
        "dot-dot in the middle": get("/dir/../hello.txt") => malformed(DOTS);
        "dot-dot at the end": get("/dir/..") => malformed(DOTS);
        "dot-dot with a slash": get("/dir/../") => malformed(DOTS);
        "escaped dot-dot": get("/%2e%2e/secret.txt") => malformed(DOTS);
        "half-escaped dot-dot": get("/.%2E/secret.txt") => malformed(DOTS);
        "dot-dot behind slashes": get("//..//secret.txt") => malformed(DOTS);
        "dot-dot in absolute-form": get("http://a/../secret.txt") => malformed(DOTS);
        "dot": get("/./hello.txt") => malformed(DOTS);
        "escaped dot": get("/%2e/hello.txt") => malformed(DOTS);
        "dot-dot escaped twice is a name": get("/%252e%252e/secret.txt") => not_found();
        "dot-dot with a parameter is a hidden name": get("/..;/secret.txt") => not_found();
        "three dots are a hidden name": get("/.../secret.txt") => not_found();
        "an escaped slash": get("/dir%2Finner.txt") => malformed(ESCAPED);
        "an escaped slash and dot-dot": get("/..%2fsecret.txt") => malformed(ESCAPED);
        "an escaped backslash": get("/back%5Cslash.txt") => malformed(ESCAPED);
        "an escaped NUL": get("/hello.txt%00.html") => malformed(ESCAPED);
        "an escape of no number": get("/%zz") => malformed(NONE);
        "an escape of half a number": get("/%4g") => malformed(NONE);
        "an escape with a sign": get("/%+1") => malformed(NONE);
        "half an escape": get("/hello%2") => malformed(INCOMPLETE);
        "a percent sign alone": get("/100%") => malformed(INCOMPLETE);
        "an escape across a slash": get("/%2/1") => malformed(INCOMPLETE);
        "HEAD has no body": head("/%zz") => malformed(NONE).headless();
        "a browser is told in HTML":
            get("/%zz").field("Accept: text/html") => html_page("400 Bad Request", NONE);
        "what is not allowed is not decoded": ask("POST /%zz HTTP/1.1") => not_allowed();
    };
    play(&everything(), table);
}
