//! Rules for paths: caching, headers, types, codings, dispositions, redirects and rewrites; and
//! clean URLs, a base path and pages of errors.

use crate::root::Tree;
use crate::runner::{Setup, run_table_with};
use crate::script::*;
use std::fs;

/// Runs a table with a server that has this configuration file.
fn run_with_file(tree: &Tree, configuration: &str, rows: Vec<Row>) {
    let file = tree.root().with_file_name("oneloop.toml");
    fs::write(&file, configuration).unwrap();
    let options = ["--config", file.to_str().unwrap()];
    run_table_with(&Setup::of(&options), &tree.root(), rows);
}

/// The response of a redirect.
fn moved(status: &'static str, location: &str) -> Response {
    let why = "the address has changed; the header Location has the new one";
    page(status, why).with_field(&format!("Location: {location}"))
}

#[test]
fn caching_by_name() {
    let tree = Tree::of(&[
        ("index.html", "home"),
        ("404.html", "lost"),
        ("app.3f2a9c1b.js", "app"),
        ("data/a.txt", "data"),
        ("data/b.txt", "more"),
        ("data/b.txt.gz", "packed"),
    ]);
    let policy = |response: Response, policy: &str| {
        response.with_lasting_field(&format!("Cache-Control: {policy}"))
    };
    let home = || policy(html("home"), "no-cache");
    let script = file("text/javascript; charset=utf-8", "app").varying();
    let packed = text("more").encoded("gzip", "packed");
    let table = rows! {
        "a page is asked for each time": get("/") => home();
        "304 says it again": get("/").field("If-None-Match: *") => home().not_modified();
        "206": get("/").field("Range: bytes=0-1") => home().part("0-1/4", "ho");
        "a name with a hash never changes":
            get("/app.3f2a9c1b.js") => policy(script, "public, max-age=31536000, immutable");
        "a rule comes first": get("/data/a.txt") => policy(text("data"), "max-age=60");
        "an encoded sibling has the rules of its file":
            get("/data/b.txt").field("Accept-Encoding: gzip") => policy(packed, "max-age=60");
        "an error has none": get("/nothing")
            => html("lost").status("404 Not Found").without_validators();
    };
    let rule = "cache = 'auto'\n[[rule]]\npath = '/data/**'\ncache = 'max-age=60'\n";
    run_with_file(&tree, rule, table);
}

#[test]
fn properties_of_files() {
    let tree = Tree::of(&[
        ("a.svgz", "drawing"),
        ("x.wasm.br", "code"),
        ("tiles/1.pbf", "tile"),
        ("dl/a b.txt", "save me"),
        ("dl/index.html", "index"),
        ("dl/none/a", ""),
    ]);
    let configuration = r#"
        [[rule]]
        path = ["*.svgz", "/tiles/**"]
        encoding = "gzip"

        [[rule]]
        path = "*.wasm.br"
        encoding = "br"

        [[rule]]
        path = "/dl/*.txt"
        disposition = "attachment"
        type = "text/x-note"
        header = ["X-Robots-Tag: none", "Vary: Cookie", "Expires: 0"]

        [[rule]]
        path = "/dl/**"
        type = "text/x-other"
        header = ["X-Robots-Tag: all", "X-Download: yes"]
    "#;
    let whole =
        |kind: &str, content: &str, coding: &'static str| file(kind, content).stored_in(coding);
    let note = || {
        file("text/x-note; charset=utf-8", "save me")
            .with_lasting_field("X-Robots-Tag: none")
            .with_lasting_field("Expires: 0")
            .with_lasting_field("X-Download: yes")
            .varying_by("Cookie, Accept-Encoding")
            .attached("filename=\"a b.txt\"")
    };
    let other = |response: Response| {
        response
            .with_lasting_field("X-Robots-Tag: all")
            .with_lasting_field("X-Download: yes")
    };
    let table = rows! {
        "a coding by name": get("/a.svgz") => whole("image/svg+xml", "drawing", "gzip");
        "whatever the client accepts":
            get("/a.svgz").field("Accept-Encoding: br")
            => whole("image/svg+xml", "drawing", "gzip");
        "the type is that of the name before": get("/x.wasm.br")
            => whole("application/wasm", "code", "br");
        "a directory of encoded files": get("/tiles/1.pbf")
            => whole("application/octet-stream", "tile", "gzip");
        "the first rule for each property": get("/dl/a%20b.txt") => note();
        "304 without the description": get("/dl/a%20b.txt").field("If-None-Match: *")
            => note().not_modified();
        "a redirect gets what is not about content":
            get("/dl/none") => other(redirect("./none/").not_varying().with_lasting_field("Vary: Accept"));
        "and an error": get("/dl/x.txt")
            => not_found().not_varying().with_lasting_field("Vary: Accept, Cookie")
                .with_lasting_field("X-Robots-Tag: none").with_lasting_field("X-Download: yes");
        "and OPTIONS": request("OPTIONS /dl/x HTTP/1.1") => other(options());
        "other paths do not": get("/nothing") => not_found();
    };
    run_with_file(&tree, configuration, table);
}

#[test]
fn redirects_and_rewrites() {
    let tree = Tree::of(&[
        ("index.html", "home"),
        ("new/a b", "new"),
        ("moved/index.html", "shut"),
        ("v2/dir/index.html", "inside"),
        (".secret", "no"),
    ]);
    let configuration = r#"
        rule = [
            { path = "/old/**", redirect = "/new/{rest}", status = 301 },
            { path = "/away/**", redirect = "https://example.org/{path}" },
            { path = "/q", redirect = "/new/?a=b" },
            { path = "/part", redirect = "/new/#part" },
            { path = "/r", redirect = "/", status = 307 },
            { path = "/moved/**", redirect = "/moved/", status = 308 },
            { path = "/v1/**", rewrite = "/v2/{rest}" },
            { path = ["/shop", "/shop/"], rewrite = "/moved" },
            { path = "/only", rewrite = "/moved" },
            { path = "/hidden", rewrite = "/.secret" },
            { path = "/alias", rewrite = "/new/a%20b" },
        ]
    "#;
    let table = rows! {
        "a redirect with the rest of the path": get("/old/a%20b/c")
            => moved("301 Moved Permanently", "/new/a%20b/c");
        "HEAD": head("/old/x") => moved("301 Moved Permanently", "/new/x").without_body();
        "the query is kept": get("/old/x?y=1&z") => moved("301 Moved Permanently", "/new/x?y=1&z");
        "with bytes that no URL has escaped": get("/old/x?\u{e9}")
            => moved("301 Moved Permanently", "/new/x?%C3%A9");
        "and comes before a fragment": get("/part?y=1") => moved("302 Found", "/new/?y=1#part");
        "unless the target has one": get("/q?y=1") => moved("302 Found", "/new/?a=b");
        "to another host": get("/away/x") => moved("302 Found", "https://example.org/away/x");
        "a request cannot choose the host": get("//evil.example/..//old//evil.example")
            => moved("301 Moved Permanently", "/new/evil.example");
        "nor with a backslash": get("/old/%5Cevil.example")
            => moved("301 Moved Permanently", "/new/%5Cevil.example");
        "nor end the line": get("/old/%0d%0aX:%20y")
            => moved("301 Moved Permanently", "/new/%0D%0AX%3A%20y");
        "a status": get("/r") => moved("307 Temporary Redirect", "/");
        "an address is not redirected to itself": get("/moved/") => html("shut");
        "but everything beside it": get("/moved/x") => moved("308 Permanent Redirect", "/moved/");
        "POST is an error all the same": request("POST /old/x HTTP/1.1") => not_allowed();
        "a rewrite": get("/alias") => binary("new");
        "a rewrite to a directory keeps its address secret": get("/v1/dir?x=y") => redirect("./dir/?x=y");
        "and ends there": get("/v1/dir/") => html("inside");
        "a rewrite without its slash, too": get("/shop/") => html("shut");
        "and without any": get("/shop") => redirect("./shop/");
        "with its slash that address leads nowhere": get("/only") => html("shut");
        "so there is no redirect": get("/only/") => not_found();
        "a rewrite to nothing": get("/v1/none") => not_found();
        "a rewrite does not show what is hidden": get("/hidden") => not_found();
        "other paths are themselves": get("/") => html("home");
    };
    run_with_file(&tree, configuration, table);
}

#[test]
fn clean_urls() {
    let tree = Tree::of(&[
        ("about.html", "about"),
        ("about.html.gz", "packed"),
        ("both.html", "page"),
        ("both/index.html", "directory"),
        ("dir/index.html", "index"),
        ("exact", "exact"),
        ("exact.html", "page"),
    ]);
    let table = rows! {
        "a page without its suffix": get("/about") => html("about");
        "with it, too": get("/about.html") => html("about");
        "encoded": get("/about").field("Accept-Encoding: gzip")
            => html("about").encoded("gzip", "packed");
        "a page before a directory": get("/both") => html("page");
        "which has its slash": get("/both/") => html("directory");
        "a directory without a page": get("/dir") => redirect("./dir/");
        "a file before a page": get("/exact") => binary("exact");
        "a slash is a directory's": get("/about/") => not_found();
        "nothing": get("/none") => not_found();
    };
    run_table_with(&Setup::of(&["--clean-urls"]), &tree.root(), table);
}

#[test]
fn a_base_path() {
    let tree = Tree::of(&[
        ("index.html", "home"),
        ("dir/index.html", "index"),
        ("app/x", "nested"),
    ]);
    let table = rows! {
        "the root": get("/app/") => html("home");
        "without its slash": get("/app") => redirect("./app/");
        "with a query": get("/app?x") => redirect("./app/?x");
        "a file": get("/app/index.html") => html("home");
        "a directory": get("/app/dir") => redirect("./dir/");
        "where a relative reference would be ambiguous": get("/app/a//%2e/../dir")
            => redirect("/app/dir/");
        "an escaped slash": get("/app%2fdir") => redirect("/app/dir/");
        "a directory with the name of the base": get("/app/app/x") => binary("nested");
        "the host's root": get("/") => not_found();
        "another path": get("/index.html") => not_found();
        "a name that begins like it": get("/apple") => not_found();
    };
    run_table_with(&Setup::of(&["--base", "/app"]), &tree.root(), table);
}

#[test]
fn pages_of_errors() {
    let tree = Tree::of(&[
        ("hello.txt", "hello"),
        ("e/405.html", "<h1>no</h1>"),
        ("e/404.txt", "lost"),
        ("404.html", "not this one"),
    ]);
    let error = |status: &'static str, kind: &str, body: &str| {
        file(kind, body).status(status).without_validators()
    };
    let table = rows! {
        "404": get("/nothing")
            => error("404 Not Found", "text/plain; charset=utf-8", "lost");
        "405 with its header": request("POST / HTTP/1.1")
            => error("405 Method Not Allowed", "text/html; charset=utf-8", "<h1>no</h1>")
                .varying_by("Accept").with_field("Allow: GET, HEAD, OPTIONS");
        "HEAD": head("/nothing")
            => error("404 Not Found", "text/plain; charset=utf-8", "lost").without_body();
        "the others are the server's": get("/hello.txt").field("Range: bytes=9-")
            => unsatisfiable(5);
        "at its own path it is a page": get("/e/404.txt") => text("lost");
    };
    let setup = Setup::of(&[
        "--error-page",
        "404=e/404.txt",
        "--error-page",
        "405=/e/405.html",
    ]);
    run_table_with(&setup, &tree.root(), table);
}
