//! From the path of a target to the name of a file.

use crate::root::{everything, longest_name};
use crate::runner::run_table;
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
        "bytes that are no UTF-8, as they are":
            b"GET /latin-\xe9.txt HTTP/1.1\r\nHost: a\r\n\r\n" => named();
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
    run_table(&everything(), table);
}

#[test]
fn dot_segments_are_resolved() {
    let table = rows! {
        "a dot at the front, as apt and rclone send it": get("/./hello.txt") => text("hello");
        "an escaped dot": get("/%2e/hello.txt") => text("hello");
        "several": get("/././dir/./inner.txt") => text("inner");
        "up and down": get("/dir/../hello.txt") => text("hello");
        "escaped in part": get("/dir/.%2E/hello.txt") => text("hello");
        "escaped whole": get("/dir/%2e%2e/hello.txt") => text("hello");
        "two slashes are one here, too": get("/dir//../hello.txt") => text("hello");
        "in absolute-form": get("http://a/dir/../hello.txt") => text("hello");
        "what is left out need not be there": get("/nothing/../hello.txt") => text("hello");
        "nor be a directory": get("/hello.txt/../hello.txt") => text("hello");
        "nor be shown": get("/.git/../hello.txt") => text("hello");
        "what is left may be hidden": get("/dir/../.git/config") => not_found();
        "links are not looked at": get("/link-to-dir/../hello.txt") => text("hello");
        "a dot at the end is a directory's": get("/indexed/.") => html("<h1>index</h1>");
        "with a slash": get("/indexed/./") => html("<h1>index</h1>");
        "and escaped": get("/indexed/%2E") => html("<h1>index</h1>");
        "dot-dot at the end": get("/dir/..") => html("<h1>home</h1>");
        "with a slash, too": get("/dir/../") => html("<h1>home</h1>");
        "a dot alone": get("/.") => html("<h1>home</h1>");
        "a dot behind a file": get("/hello.txt/.") => not_found();
        "a dot in the query is none": get("/hello.txt?/../..") => text("hello");
        "HEAD": head("/./hello.txt") => text("hello").without_body();
    };
    run_table(&everything(), table);
}

#[test]
fn an_escaped_slash_is_a_slash_and_a_backslash_a_byte() {
    let table = rows! {
        "an escaped slash": get("/dir%2Finner.txt") => text("inner");
        "in lower case, as npm sends it": get("/dir%2finner.txt") => text("inner");
        "it is decoded once": get("/dir%252Finner.txt") => not_found();
        "at the front": get("/%2Fhello.txt") => text("hello");
        "two of them": get("/dir%2F%2Finner.txt") => text("inner");
        "at the end": get("/indexed%2F") => html("<h1>index</h1>");
        "behind a file": get("/hello.txt%2F") => not_found();
        "with dot-dot, inside": get("/dir%2F..%2Fhello.txt") => text("hello");
        "a hidden name behind one": get("/dir%2F.inner") => not_found();
        "a backslash": get("/back%5Cslash.txt") => text("named");
        "in lower case": get("/back%5cslash.txt") => text("named");
        "a backslash divides nothing": get("/dir%5Cinner.txt") => not_found();
        "nor does it climb": get("/..%5Csecret.txt") => not_found();
    };
    run_table(&everything(), table);
}

#[test]
fn invalid_names() {
    const CLIMBS: &str = "the path climbs above the root";
    const NUL: &str = "the path contains NUL";
    const NONE: &str = "the path contains a % without two hexadecimal digits";
    let malformed = |why| page("400 Bad Request", why).closing();
    let table = rows! {
        "dot-dot": get("/../secret.txt") => malformed(CLIMBS);
        "dot-dot alone": get("/..") => malformed(CLIMBS);
        "back into the root": get("/../root/hello.txt") => malformed(CLIMBS);
        "one more than there are": get("/dir/../../secret.txt") => malformed(CLIMBS);
        "at the end": get("/dir/../..") => malformed(CLIMBS);
        "escaped dot-dot": get("/%2e%2e/secret.txt") => malformed(CLIMBS);
        "half-escaped dot-dot": get("/.%2E/secret.txt") => malformed(CLIMBS);
        "dot-dot behind slashes": get("//..//secret.txt") => malformed(CLIMBS);
        "empty segments are nothing to climb from":
            get("/dir//../../secret.txt") => malformed(CLIMBS);
        "dots are nothing to climb from": get("/./../secret.txt") => malformed(CLIMBS);
        "dot-dot in absolute-form": get("http://a/../secret.txt") => malformed(CLIMBS);
        "an escaped slash and dot-dot": get("/..%2fsecret.txt") => malformed(CLIMBS);
        "all of it escaped": get("/%2e%2e%2fsecret.txt") => malformed(CLIMBS);
        "escaped, from a directory": get("/dir/%2e%2e%2f%2e%2e%2fsecret.txt") => malformed(CLIMBS);
        "dot-dot escaped twice is a name": get("/%252e%252e/secret.txt") => not_found();
        "dot-dot with a parameter is a hidden name": get("/..;/secret.txt") => not_found();
        "three dots are a hidden name": get("/.../secret.txt") => not_found();
        "an escaped NUL": get("/hello.txt%00.html") => malformed(NUL);
        "NUL in what would be left out": get("/a%00/../hello.txt") => malformed(NUL);
        "an escape of no number": get("/%zz") => malformed(NONE);
        "an escape of half a number": get("/%4g") => malformed(NONE);
        "an escape with a sign": get("/%+1") => malformed(NONE);
        "half an escape": get("/hello%2") => malformed(NONE);
        "a percent sign alone": get("/100%") => malformed(NONE);
        "an escape across a slash": get("/%2/1") => malformed(NONE);
        "HEAD has no body": head("/%zz") => malformed(NONE).without_body();
        "a browser gets HTML":
            get("/%zz").field("Accept: text/html") => html_page("400 Bad Request", NONE).closing();
        "what is not allowed is not decoded": request("POST /%zz HTTP/1.1") => not_allowed();
    };
    run_table(&everything(), table);
}
