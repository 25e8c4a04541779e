//! What the command line changes: applications, header lines, other origins, a page for 404, one
//! file alone.

use crate::root::{Tree, everything};
use crate::runner::{COMMON_FIELDS, Setup, run_table, run_table_with};
use crate::script::*;

const NAVIGATION: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn browse(target: &str) -> Request {
    get(target).field(NAVIGATION)
}

#[test]
fn applications() {
    let tree = Tree::of(&[
        ("index.html", "the app"),
        ("app.js", "code"),
        ("assets/a.txt", "asset"),
    ]);
    const ALL: &str = "Accept-Encoding, Accept, Sec-Fetch-Dest, Sec-Fetch-Mode";
    const MISSING: &str = "Accept, Sec-Fetch-Dest, Sec-Fetch-Mode";
    let app = || html("the app").varying_by(ALL);
    let missing = || not_found().varying_by(MISSING);
    let lost =
        || html_page("404 Not Found", "there is nothing at this address").varying_by(MISSING);
    let fetch = |target: &str, dest: &str, mode: &str| {
        let dest = format!("Sec-Fetch-Dest: {dest}");
        get(target)
            .field("Accept: */*")
            .field(&dest)
            .field(&format!("Sec-Fetch-Mode: {mode}"))
    };
    let accepting = |target: &str, accept: &str| get(target).field(&format!("Accept: {accept}"));
    let table = rows! {
        "the application": browse("/") => html("the app");
        "a route of the application": browse("/users/7") => app();
        "with a slash": browse("/users/") => app();
        "with a query": browse("/users?sort=name.first") => app();
        "with a dot": browse("/users/jane.doe") => app();
        "with the name of a script": browse("/missing.js") => app();
        "with a hidden name": browse("/.env") => app();
        "a navigation that says so": fetch("/users/jane.doe", "document", "navigate") => app();
        "in a frame": fetch("/users/jane.doe", "iframe", "navigate") => app();
        "a navigation without a destination":
            get("/users/jane.doe").field("Sec-Fetch-Mode: navigate") => app();
        "names have no case": fetch("/a.b", "Document", "Navigate") => app();
        "HEAD": head("/users/7").field(NAVIGATION) => app().without_body();
        "a range, as some link previews ask":
            get("/users/7").field("Range: bytes=0-2") => app().part("0-2/7", "the");
        "a range beyond it":
            get("/users/7").field("Range: bytes=7-") => unsatisfiable(7).varying_by(MISSING);
        "it has conditions":
            browse("/users/7").field("If-None-Match: *") => app().not_modified();
        "and they fail":
            get("/users/7").field("If-Match: \"x\"")
            => precondition_failed().varying_by(MISSING);
        "a file is itself": browse("/assets/a.txt") => text("asset");
        "a script that is missing stays missing": accepting("/missing.js", "*/*") => missing();
        "even without a dot": fetch("/missing", "script", "no-cors") => missing();
        "a module": fetch("/missing", "script", "cors") => missing();
        "a style sheet": fetch("/missing", "style", "no-cors") => missing();
        "a font": fetch("/missing", "font", "cors") => missing();
        "an image": fetch("/missing", "image", "no-cors") => missing();
        "a worker": fetch("/missing", "worker", "same-origin") => missing();
        "an object, which shows something else then": fetch("/a.pdf", "object", "navigate") => missing();
        "what a script fetches": fetch("/api/users", "empty", "cors") => missing();
        "a script that fetches a page": fetch("/users/7", "empty", "cors").field(NAVIGATION) => app();
        "an image in a browser that says no more":
            accepting("/img/logo", "image/avif,image/*,*/*;q=0.8") => missing();
        "a style sheet there": accepting("/style", "text/css,*/*;q=0.1") => missing();
        "JSON": accepting("/api/users", "application/json") => missing();
        "JSON or anything": accepting("/api/users", "application/json, text/plain, */*")
            => missing();
        "a link preview or a monitor that accepts anything": accepting("/users/7", "*/*") => app();
        "anything, but less": accepting("/users/7", "*/*;q=0.8") => app();
        "one that says nothing": get("/users/7") => app();
        "one that says nothing, of a name with a dot": get("/users/jane.doe") => missing();
        "a dot in a directory is none of the name": get("/v1.2/users") => app();
        "node's fetch, which has a mode and no destination":
            accepting("/users/7", "*/*").field("sec-fetch-mode: cors") => app();
        "one that refuses HTML": accepting("/users/7", "text/html;q=0") => missing();
        "one that refuses anything": accepting("/users/7", "*/*;q=0") => missing();
        "an image request is not a navigation, even if it accepts HTML": fetch("/a.png", "image", "no-cors").field("Accept: text/html") => lost();
        "a directory still has its slash":
            get("/assets") => redirect("./assets/");
        "a path that is none is none":
            get("/%zz") => page("400 Bad Request", "the path contains a % without two hexadecimal digits").closing();
        "POST is not a navigation":
            request("POST /users/7 HTTP/1.1").field(NAVIGATION)
            => html_page(
                "405 Method Not Allowed",
                "only GET, HEAD and OPTIONS are allowed",
            ).with_field("Allow: GET, HEAD, OPTIONS");
    };
    run_table_with(&Setup::of(&["--spa"]), &tree.root(), table);
}

#[test]
fn a_page_for_404() {
    let tree = Tree::of(&[
        ("404.html", "<h1>lost</h1>"),
        ("hello.txt", "hello"),
        ("dir/404.html", "not this one"),
    ]);
    let lost = || {
        html("<h1>lost</h1>")
            .status("404 Not Found")
            .without_validators()
    };
    let table = rows! {
        "the site's page": get("/nothing") => lost();
        "from a directory, too": get("/dir/nothing") => lost();
        "for a browser": browse("/nothing") => lost();
        "HEAD": head("/nothing") => lost().without_body();
        "for hidden names": get("/.env") => lost();
        "it has no ranges": get("/nothing").field("Range: bytes=0-1") => lost();
        "and no conditions": get("/nothing").field("If-None-Match: *") => lost();
        "at its own path it is a page": get("/404.html") => html("<h1>lost</h1>");
        "other statuses have their own":
            request("POST / HTTP/1.1") => not_allowed();
        "in 1.0": request("GET /nothing HTTP/1.0") => lost().closing();
    };
    run_table(&tree, table);
}

#[test]
fn a_long_page_for_404() {
    let long = "<p>lost</p>\n".repeat(2000);
    let tree = Tree::of(&[("404.html", &long)]);
    let lost = || html(&long).status("404 Not Found").without_validators();
    let table = rows! {
        "all of it": get("/nothing") => lost();
        "none of it for HEAD": head("/nothing") => lost().without_body();
        "several": get("/a") + get("/404.html") + get("/b") => [lost(), html(&long), lost()];
    };
    run_table(&tree, table);
}

#[test]
fn a_single_file() {
    let tree = Tree::of(&[
        ("a b.txt", "alone"),
        ("other.txt", "other"),
        ("404.html", "no"),
        ("index.html", "no"),
    ]);
    let root = tree.root().join("a b.txt");
    let text = |content: &str| text(content).with_disposition("filename=\"a b.txt\"");
    let table = rows! {
        "it is the root": get("/") => text("alone");
        "by its name, too": get("/a%20b.txt") => text("alone");
        "HEAD": head("/") => text("alone").without_body();
        "a range of it": get("/").field("Range: bytes=-2") => text("alone").part("3-4/5", "ne");
        "with a query": get("/?x") => text("alone");
        "304": get("/").field("If-None-Match: *") => text("alone").not_modified();
        "several ranges": get("/").field("Range: bytes=0-0,0-1")
            => text("alone").part("0-1/5", "al");
        "416": get("/").field("Range: bytes=5-") => unsatisfiable(5);
        "its neighbour is not served": get("/other.txt") => not_found();
        "nor is the directory's 404.html": get("/404.html") => not_found();
        "it is no directory": get("/a%20b.txt/") => not_found();
        "nor is anything in it": get("/a%20b.txt/x") => not_found();
    };
    run_table_with(&Setup::of(&[]), &root, table);
    let app =
        || text("alone").varying_by("Accept-Encoding, Accept, Sec-Fetch-Dest, Sec-Fetch-Mode");
    let table = rows! {
        "as an application it is its own page": get("/route") => app();
    };
    run_table_with(&Setup::of(&["--spa"]), &root, table);
}

#[test]
fn names_to_save_one_file_by() {
    let plain = |name: &str| format!("filename=\"{name}\"");
    let table = [
        ("x.txt", plain("x.txt")),
        ("it's 100$ (a).txt", plain("it's 100$ (a).txt")),
        // Some clients read an escape in a quoted string, some do not; all read the second form.
        (
            "a\"b.txt",
            plain("a_b.txt") + "; filename*=UTF-8''a%22b.txt",
        ),
        ("50%.txt", plain("50_.txt") + "; filename*=UTF-8''50%25.txt"),
        (
            "\u{fc}.txt",
            plain("_.txt") + "; filename*=UTF-8''%C3%BC.txt",
        ),
        (
            "a\nb.txt",
            plain("a_b.txt") + "; filename*=UTF-8''a%0Ab.txt",
        ),
    ];
    for (name, disposition) in table {
        let tree = Tree::of(&[(name, "x")]);
        let table = rows! {
            "it has its name": get("/") => text("x").with_disposition(&disposition);
        };
        run_table_with(&Setup::of(&[]), &tree.root().join(name), table);
    }
    let setup = Setup {
        content: "Content-Disposition: attachment",
        ..Setup::of(&["--header", "Content-Disposition: attachment"])
    };
    let tree = Tree::of(&[("x.txt", "x")]);
    let table = rows! {
        "the user's field replaces ours": get("/") => text("x");
    };
    run_table_with(&setup, &tree.root().join("x.txt"), table);
}

#[test]
fn header_lines() {
    let setup = Setup {
        options: &[
            "--header",
            "X-Frame-Options: DENY",
            "--header",
            "Content-Security-Policy: default-src 'self'",
            "--header",
            "Cache-Control: public, max-age=31536000, immutable",
            "--header",
            "Cloudflare-CDN-Cache-Control: max-age=60",
            "--header",
            "expires: Thu, 31 Dec 2099 23:59:59 GMT",
            "--header",
            "Content-Disposition: attachment",
        ],
        common_fields: "Server: oneloop\nX-Content-Type-Options: nosniff\nX-Frame-Options: DENY\n\
                 Content-Security-Policy: default-src 'self'",
        content: "Cache-Control: public, max-age=31536000, immutable\n\
                  Cloudflare-CDN-Cache-Control: max-age=60\n\
                  expires: Thu, 31 Dec 2099 23:59:59 GMT\n\
                  Content-Disposition: attachment",
        allows: &[],
    };
    let hello = || get("/hello.txt");
    let table = rows! {
        "a file has them": hello() => text("hello");
        "HEAD": head("/hello.txt") => text("hello").without_body();
        "304": hello().field("If-None-Match: *") => text("hello").not_modified();
        "206": hello().field("Range: bytes=0-0") => text("hello").part("0-0/5", "h");
        "several parts":
            get("/long.txt").field("Range: bytes=0-8,500-508")
            => text(&crate::root::numbered(100)).parts(&[
                ("0-8/1000", "000000000"), ("500-508/1000", "000000050"),
            ]);
        "a listing has the user's in place of its own":
            head("/bare/") => plain_listing_page().without_body();
        "its stylesheet, too": get("/bare/?style=1") => listing_style();
        "301 has no field about content": get("/dir") => redirect("./dir/");
        "404": get("/nothing") => not_found();
        "405": request("POST / HTTP/1.1") => not_allowed();
        "412": hello().field("If-Match: \"x\"") => precondition_failed();
        "416": hello().field("Range: bytes=5-") => unsatisfiable(5);
        "417": hello().field("Expect: more") => expectation_failed();
        "501": request("BREW / HTTP/1.1") => not_implemented();
        "OPTIONS": request("OPTIONS * HTTP/1.1") => options();
        "400": "x\r\n\r\n" => bad("not an HTTP/1.1 request");
    };
    run_table_with(&setup, &everything().root(), table);
    let tree = Tree::of(&[("404.html", "<h1>lost</h1>"), ("hello.txt", "hello")]);
    let lost = || {
        html("<h1>lost</h1>")
            .status("404 Not Found")
            .without_validators()
    };
    let table = rows! {
        "the site's own page for 404 is an error all the same": get("/nothing") => lost();
        "at its own path it is content": get("/404.html") => html("<h1>lost</h1>");
    };
    run_table_with(&setup, &tree.root(), table);
}

#[test]
fn header_lines_that_the_server_sets_too() {
    let setup = Setup {
        options: &[
            "--cors=https://b.example",
            "--header",
            "vary: Cookie",
            "--header",
            "Access-Control-Max-Age: 600",
            "--header",
            "Access-Control-Expose-Headers: ETag",
        ],
        common_fields: "Server: oneloop\nX-Content-Type-Options: nosniff\nvary: Cookie, Origin\n\
                 Access-Control-Max-Age: 600\nAccess-Control-Expose-Headers: ETag\n\
                 Access-Control-Allow-Origin: https://b.example",
        content: "",
        allows: &PREFLIGHT[..2],
    };
    let preflighted = || {
        PREFLIGHT[..2]
            .iter()
            .fold(options(), |response, line| response.with_field(line))
    };
    let table = rows! {
        "Vary is one field with all names": get("/hello.txt") => text("hello");
        "304": get("/hello.txt").field("If-None-Match: *") => text("hello").not_modified();
        "404": get("/nothing") => not_found();
        "the user's field replaces ours": request("OPTIONS / HTTP/1.1") => preflighted();
    };
    run_table_with(&setup, &everything().root(), table);
}

#[test]
fn header_lines_of_ours() {
    let setup = Setup {
        options: &["--no-server-header"],
        common_fields: "X-Content-Type-Options: nosniff",
        content: "",
        allows: &[],
    };
    let table = rows! {
        "no response has a Server field": get("/hello.txt") => text("hello");
        "not by an error either": get("/nothing") => not_found();
        "nor by a refusal": "x\r\n\r\n" => bad("not an HTTP/1.1 request");
    };
    run_table_with(&setup, &everything().root(), table);
    let setup = Setup {
        options: &["--header", "Server: mine"],
        common_fields: "X-Content-Type-Options: nosniff\nServer: mine",
        content: "",
        allows: &[],
    };
    let table = rows! {
        "a line of one's own replaces ours": get("/hello.txt") => text("hello");
    };
    run_table_with(&setup, &everything().root(), table);
}

const PREFLIGHT: &[&str] = &[
    "Access-Control-Allow-Methods: GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers: *",
    "Access-Control-Max-Age: 86400",
];

fn preflighted() -> Response {
    PREFLIGHT
        .iter()
        .fold(options(), |response, line| response.with_field(line))
}

#[test]
fn other_origins() {
    let any = format!(
        "{COMMON_FIELDS}\nAccess-Control-Allow-Origin: *\nAccess-Control-Expose-Headers: *"
    );
    let setup = Setup {
        options: &["--cors"],
        common_fields: &any,
        content: "",
        allows: PREFLIGHT,
    };
    let table = rows! {
        "any origin may read": get("/hello.txt").field("Origin: http://b") => text("hello");
        "also without the field Origin": get("/hello.txt") => text("hello");
        "a preflight":
            request("OPTIONS /hello.txt HTTP/1.1").field("Origin: http://b")
                .field("Access-Control-Request-Method: GET")
                .field("Access-Control-Request-Headers: range")
            => preflighted();
        "errors may be read, too": get("/nothing").field("Origin: http://b") => not_found();
        "304 says it again":
            get("/hello.txt").field("If-None-Match: *") => text("hello").not_modified();
    };
    run_table_with(&setup, &everything().root(), table);
    let one = format!(
        "{COMMON_FIELDS}\nAccess-Control-Allow-Origin: https://b.example\n\
         Access-Control-Expose-Headers: *\nVary: Origin"
    );
    let setup = Setup {
        options: &["--cors=https://b.example"],
        common_fields: &one,
        content: "",
        allows: PREFLIGHT,
    };
    let table = rows! {
        "one origin may read": get("/hello.txt").field("Origin: https://b.example")
            => text("hello");
        "another origin gets the allowed one": get("/hello.txt").field("Origin: https://c.example")
            => text("hello");
        "a preflight": request("OPTIONS / HTTP/1.1").field("Origin: https://b.example")
            => preflighted();
    };
    run_table_with(&setup, &everything().root(), table);
}

#[test]
fn without_cors() {
    let table = rows! {
        "other origins get no such field": get("/hello.txt").field("Origin: http://b")
            => text("hello");
        "not even before they ask":
            request("OPTIONS / HTTP/1.1").field("Origin: http://b")
                .field("Access-Control-Request-Method: GET")
            => options();
    };
    run_table(&everything(), table);
}
