//! Methods, statuses, and the fields of a response (RFC 9110 9, 15).

use crate::root::{BIG_LINES, everything, numbered};
use crate::runner::run_table;
use crate::script::*;

#[test]
fn methods() {
    let table = rows! {
        "a file has its type, validators and length":
            get("/hello.txt") => text("hello");
        "HEAD has the same header without the body":
            head("/hello.txt") => text("hello").without_body();
        "a file that is too long for one write is complete":
            get("/big.txt") => text(&numbered(BIG_LINES));
        "HEAD of a long file sends none of it":
            head("/big.txt") => text(&numbered(BIG_LINES)).without_body();
        "an empty file has a length of zero":
            get("/empty.txt") => text("");
        "HEAD of an empty file":
            head("/empty.txt") => text("");
        "HEAD of a missing file has the length of the page for GET":
            head("/nothing") => not_found().without_body();
        "a missing file is a 404, and the connection stays open":
            get("/nothing") => not_found();
        "a browser gets its 404 as HTML":
            get("/nothing").field("Accept: text/html,application/xml;q=0.9,*/*;q=0.8")
            => html_page("404 Not Found", "there is nothing at this address");
        "HEAD of a missing file for a browser":
            head("/nothing").field("Accept: text/html")
            => html_page("404 Not Found", "there is nothing at this address").without_body();
        "a client that accepts anything gets text":
            get("/nothing").field("Accept: */*") => not_found();
        "a client that refuses HTML gets text":
            get("/nothing").field("Accept: text/html;q=0, text/plain") => not_found();

        "OPTIONS says what is allowed":
            request("OPTIONS /hello.txt HTTP/1.1") => options();
        "OPTIONS * says it for the server":
            request("OPTIONS * HTTP/1.1") => options();
        "OPTIONS of what does not exist":
            request("OPTIONS /nothing HTTP/1.1") => options();
        "OPTIONS in absolute-form without a path means the server (RFC 9112 3.2.4)":
            request("OPTIONS http://a HTTP/1.1") => options();
        "the asterisk is for OPTIONS alone":
            request("GET * HTTP/1.1")
            => bad("the target is neither a path nor an absolute URL");

        "POST is known and not allowed":
            request("POST /hello.txt HTTP/1.1") => not_allowed();
        "PUT is known and not allowed":
            request("PUT /hello.txt HTTP/1.1") => not_allowed();
        "DELETE is known and not allowed":
            request("DELETE /hello.txt HTTP/1.1") => not_allowed();
        "PATCH is known and not allowed":
            request("PATCH /hello.txt HTTP/1.1") => not_allowed();
        "TRACE is known and not allowed, and echoes nothing":
            request("TRACE /hello.txt HTTP/1.1").field("Cookie: secret") => not_allowed();
        "CONNECT is known and not allowed, and what follows it was meant for a tunnel":
            request("CONNECT a:80 HTTP/1.1") + get("/hello.txt") => not_allowed().closing();
        "CONNECT to an IPv6 address":
            request("CONNECT [::1]:80 HTTP/1.1") => not_allowed().closing();
        "what is not allowed is not looked up":
            request("POST /nothing HTTP/1.1") => not_allowed();
        "a browser gets HTML":
            request("POST / HTTP/1.1").field("Accept: text/html")
            => html_page(
                "405 Method Not Allowed",
                "only GET, HEAD and OPTIONS are allowed",
            ).with_field("Allow: GET, HEAD, OPTIONS");
        "an unknown method is not implemented":
            request("BREW /pot HTTP/1.1") => not_implemented();
        "WebDAV's methods are not implemented":
            request("PROPFIND / HTTP/1.1") => not_implemented();
        "methods have a case (RFC 9110 9.1)":
            request("get /hello.txt HTTP/1.1") => not_implemented();
        "a method is no prefix of another":
            request("GETS /hello.txt HTTP/1.1") => not_implemented();
        "a method may have any token's bytes":
            request("M-SEARCH!#$%&'*+.^_`|~ / HTTP/1.1") => not_implemented();
        "a method with another byte is none":
            request("G@T / HTTP/1.1") => bad("not an HTTP/1.1 request");
    };
    run_table(&everything(), table);
}

#[test]
fn types() {
    let typed = |kind| file(kind, "typed");
    let table = rows! {
        "HTML": get("/types/page.html") => html("typed");
        "an extension has no case": get("/types/UPPER.HTML") => html("typed");
        "a style sheet":
            get("/types/style.css") => typed("text/css; charset=utf-8").varying();
        "a script":
            get("/types/script.js") => typed("text/javascript; charset=utf-8").varying();
        "a module":
            get("/types/module.mjs") => typed("text/javascript; charset=utf-8").varying();
        "JSON is UTF-8 without saying so":
            get("/types/data.json") => typed("application/json").varying();
        "a drawing": get("/types/image.svg") => typed("image/svg+xml").varying();
        "WebAssembly": get("/types/code.wasm") => typed("application/wasm").varying();
        "Markdown": get("/types/notes.md") => typed("text/markdown; charset=utf-8").varying();
        "a picture": get("/types/photo.png") => typed("image/png");
        "a font": get("/types/font.woff2") => typed("font/woff2");
        "an archive is what it is, not an encoding of something":
            get("/types/archive.tar.gz") => typed("application/gzip");
        "source code is text": get("/types/program.rs") => text("typed");
        "a README is text": get("/types/README") => text("typed");
        "an unknown extension": get("/types/thing.xyzzy") => binary("typed");
        "no extension at all": get("/alive") => binary("yes");

        "the entity-tag of a small file tells its content, not its time":
            get("/precise.txt") => text("precise");
        "that of a larger one has the nanoseconds that Last-Modified cannot say":
            head("/precise-big.txt")
            => text(&numbered(BIG_LINES)).tagged("\"ae1b981c3a4d715-186a0\"").without_body();
        "but whole seconds may be those of several versions: it is hashed, too":
            head("/big.txt") => text(&numbered(BIG_LINES)).without_body();
    };
    run_table(&everything(), table);
}
