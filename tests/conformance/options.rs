//! What the command line changes: applications, header lines, other origins, a page for 404, one
//! file alone.

use crate::root::{Tree, everything};
use crate::runner::{PRESET, Setting, play, play_with};
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
    let app = || html("the app").own("Vary: Accept");
    let lost = || html_page("404 Not Found", "there is nothing at this address");
    let table = rows! {
        "the application": browse("/") => html("the app");
        "a route of the application": browse("/users/7") => app();
        "with a slash": browse("/users/") => app();
        "with a query": browse("/users?sort=name.first") => app();
        "HEAD": head("/users/7").field(NAVIGATION) => app().headless();
        "it has conditions":
            browse("/users/7").field("If-None-Match: *") => app().not_modified();
        "a file is itself": browse("/assets/a.txt") => text("asset");
        "a script that is missing stays missing": get("/missing.js").field("Accept: */*")
            => not_found();
        "even if it is looked at": browse("/missing.js") => lost();
        "an image that is missing": get("/img/logo").field("Accept: image/avif,image/*,*/*;q=0.8")
            => not_found();
        "what a script fetches": get("/api/users").field("Accept: application/json")
            => not_found();
        "who accepts nothing in particular": get("/users/7") => not_found();
        "who refuses HTML": get("/users/7").field("Accept: text/html;q=0") => not_found();
        "a name with a dot is no route": browse("/.env") => lost();
        "a directory still has its slash":
            get("/assets") => redirect("./assets/");
        "a path that is none is none":
            get("/%zz") => page("400 Bad Request", "the path holds a % without two hexadecimal digits");
        "POST is not a navigation":
            ask("POST /users/7 HTTP/1.1").field(NAVIGATION)
            => html_page(
                "405 Method Not Allowed",
                "files are only read here: GET, HEAD and OPTIONS",
            ).own("Allow: GET, HEAD, OPTIONS");
    };
    play_with(&Setting::of(&["--spa"]), &tree.root(), table);
}

#[test]
fn a_page_for_404() {
    let tree = Tree::of(&[
        ("404.html", "<h1>lost</h1>"),
        ("hello.txt", "hello"),
        ("dir/404.html", "not this one"),
    ]);
    let lost = || html("<h1>lost</h1>").status("404 Not Found").unversioned();
    let table = rows! {
        "the site's page": get("/nothing") => lost();
        "from a directory, too": get("/dir/nothing") => lost();
        "for a browser": browse("/nothing") => lost();
        "HEAD": head("/nothing") => lost().headless();
        "for hidden names": get("/.env") => lost();
        "it has no ranges": get("/nothing").field("Range: bytes=0-1") => lost();
        "and no conditions": get("/nothing").field("If-None-Match: *") => lost();
        "asked for itself it is a page": get("/404.html") => html("<h1>lost</h1>");
        "other statuses have their own":
            ask("POST / HTTP/1.1") => not_allowed();
        "in 1.0": ask("GET /nothing HTTP/1.0") => lost().closing();
    };
    play(&tree, table);
}

#[test]
fn a_long_page_for_404() {
    let long = "<p>lost</p>\n".repeat(2000);
    let tree = Tree::of(&[("404.html", &long)]);
    let lost = || html(&long).status("404 Not Found").unversioned();
    let table = rows! {
        "all of it": get("/nothing") => lost();
        "none of it for HEAD": head("/nothing") => lost().headless();
        "several": get("/a") + get("/404.html") + get("/b") => [lost(), html(&long), lost()];
    };
    play(&tree, table);
}

#[test]
fn one_file_alone() {
    let tree = Tree::of(&[
        ("a b.txt", "alone"),
        ("other.txt", "other"),
        ("404.html", "no"),
    ]);
    let root = tree.root().join("a b.txt");
    let table = rows! {
        "it is the root": get("/") => text("alone");
        "by its name, too": get("/a%20b.txt") => text("alone");
        "HEAD": head("/") => text("alone").headless();
        "a range of it": get("/").field("Range: bytes=-2") => text("alone").part("3-4/5", "ne");
        "with a query": get("/?x") => text("alone");
        "its neighbour is not served": get("/other.txt") => not_found();
        "nor is the directory's 404.html": get("/404.html") => not_found();
        "it is no directory": get("/a%20b.txt/") => not_found();
        "nor is anything in it": get("/a%20b.txt/x") => not_found();
    };
    play_with(&Setting::of(&[]), &root, table);
}

#[test]
fn header_lines() {
    let setting = Setting {
        options: &[
            "--header",
            "Cache-Control: no-cache",
            "--header",
            "X-Frame-Options: DENY",
        ],
        preset: "Server: oneloop\nX-Content-Type-Options: nosniff\n\
                 Cache-Control: no-cache\nX-Frame-Options: DENY",
        allows: &[],
    };
    let table = rows! {
        "every response has them": get("/hello.txt") => text("hello");
        "304": get("/hello.txt").field("If-None-Match: *") => text("hello").not_modified();
        "206": get("/hello.txt").field("Range: bytes=0-0") => text("hello").part("0-0/5", "h");
        "several parts":
            get("/long.txt").field("Range: bytes=0-8,500-508")
            => text(&crate::root::numbered(100)).parts(&[
                ("0-8/1000", "000000000"), ("500-508/1000", "000000050"),
            ]);
        "a redirect": get("/dir") => redirect("./dir/");
        "404": get("/nothing") => not_found();
        "405": ask("POST / HTTP/1.1") => not_allowed();
        "OPTIONS": ask("OPTIONS * HTTP/1.1") => options();
        "400": "x\r\n\r\n" => bad("not an HTTP/1.1 request");
    };
    play_with(&setting, &everything().root(), table);
}

#[test]
fn header_lines_of_ours() {
    let setting = Setting {
        options: &["--no-server-header"],
        preset: "X-Content-Type-Options: nosniff",
        allows: &[],
    };
    let table = rows! {
        "nobody is told what serves": get("/hello.txt") => text("hello");
        "not by an error either": get("/nothing") => not_found();
        "nor by a refusal": "x\r\n\r\n" => bad("not an HTTP/1.1 request");
    };
    play_with(&setting, &everything().root(), table);
    let setting = Setting {
        options: &["--header", "Server: mine"],
        preset: "X-Content-Type-Options: nosniff\nServer: mine",
        allows: &[],
    };
    let table = rows! {
        "a line of one's own replaces ours": get("/hello.txt") => text("hello");
    };
    play_with(&setting, &everything().root(), table);
}

const PREFLIGHT: &[&str] = &[
    "Access-Control-Allow-Methods: GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers: *",
    "Access-Control-Max-Age: 86400",
];

fn preflighted() -> Reply {
    PREFLIGHT
        .iter()
        .fold(options(), |reply, line| reply.own(line))
}

#[test]
fn other_origins() {
    let any = format!("{PRESET}\nAccess-Control-Allow-Origin: *\nAccess-Control-Expose-Headers: *");
    let setting = Setting {
        options: &["--cors"],
        preset: &any,
        allows: PREFLIGHT,
    };
    let table = rows! {
        "any origin may read": get("/hello.txt").field("Origin: http://b") => text("hello");
        "and is told so without asking": get("/hello.txt") => text("hello");
        "a preflight":
            ask("OPTIONS /hello.txt HTTP/1.1").field("Origin: http://b")
                .field("Access-Control-Request-Method: GET")
                .field("Access-Control-Request-Headers: range")
            => preflighted();
        "errors may be read, too": get("/nothing").field("Origin: http://b") => not_found();
        "304 says it again":
            get("/hello.txt").field("If-None-Match: *") => text("hello").not_modified();
    };
    play_with(&setting, &everything().root(), table);
    let one = format!(
        "{PRESET}\nAccess-Control-Allow-Origin: https://b.example\n\
         Access-Control-Expose-Headers: *\nVary: Origin"
    );
    let setting = Setting {
        options: &["--cors=https://b.example"],
        preset: &one,
        allows: PREFLIGHT,
    };
    let table = rows! {
        "one origin may read": get("/hello.txt").field("Origin: https://b.example")
            => text("hello");
        "another is told whose it is": get("/hello.txt").field("Origin: https://c.example")
            => text("hello");
        "a preflight": ask("OPTIONS / HTTP/1.1").field("Origin: https://b.example")
            => preflighted();
    };
    play_with(&setting, &everything().root(), table);
}

#[test]
fn without_cors() {
    let table = rows! {
        "other origins are told nothing": get("/hello.txt").field("Origin: http://b")
            => text("hello");
        "not even before they ask":
            ask("OPTIONS / HTTP/1.1").field("Origin: http://b")
                .field("Access-Control-Request-Method: GET")
            => options();
    };
    play(&everything(), table);
}
