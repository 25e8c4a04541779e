//! The media type of a file (RFC 9110 8.3), and what users can set.

use crate::root::{Tree, numbered};
use crate::runner::{Setup, run_table, run_table_with};
use crate::script::*;

#[test]
fn types_by_extension() {
    let tree = Tree::of(&[
        ("a.ttl", "x"),
        ("a.VCF", "x"),
        ("a.wgsl", "x"),
        ("a.ipynb", "x"),
        ("a.osm", "x"),
        ("a.otf", "x"),
        ("a.woff", "x"),
        ("a.m4a", "x"),
        ("a.stl", "x"),
        ("a.ts", "x"),
        ("a.cjs", "x"),
        ("a.rpm", "x"),
        ("a.msix", "x"),
        ("a.rs", "x"),
        ("a.sh", "x"),
        ("v1.2/Makefile", "x"),
    ]);
    let typed = |kind| file(kind, "x");
    let table = rows! {
        "Turtle": get("/a.ttl") => typed("text/turtle; charset=utf-8").varying();
        "an extension has no case": get("/a.VCF") => typed("text/vcard; charset=utf-8").varying();
        "a shader": get("/a.wgsl") => typed("text/wgsl; charset=utf-8").varying();
        "a notebook": get("/a.ipynb") => typed("application/x-ipynb+json").varying();
        "a map": get("/a.osm") => typed("application/vnd.openstreetmap.data+xml").varying();
        "a font": get("/a.otf") => typed("font/otf").varying();
        "a packed font": get("/a.woff") => typed("font/woff");
        "music": get("/a.m4a") => typed("audio/mp4");
        "a model": get("/a.stl") => typed("model/stl").varying();
        "a segment of a stream": get("/a.ts") => typed("video/mp2t");
        "a module of Node.js": get("/a.cjs") => typed("application/node").varying();
        "a package": get("/a.rpm") => typed("application/x-redhat-package-manager");
        "another": get("/a.msix") => typed("application/msix");
        "source code is shown as text": get("/a.rs") => text("x");
        "so are scripts": get("/a.sh") => text("x");
        "a dot in a directory begins no extension": get("/v1.2/Makefile") => text("x");
    };
    run_table(&tree, table);
}

#[test]
fn types_of_the_user() {
    let tree = Tree::of(&[
        ("a.ts", "code"),
        ("long.ts", &numbered(100)),
        ("a.txt", "text"),
        ("b.tar.gz", "tape"),
        ("b.gz", "gzip"),
        ("CNAME", "name"),
        ("b.css", "style"),
        ("404.html", "lost"),
    ]);
    let options = [
        "--type",
        ".TS=text/javascript,html=application/xhtml+xml",
        "--type=tar.gz=application/x-gtar\ncname=text/csv",
        "--type",
        "txt=text/plain;charset=windows-1252",
    ];
    let code = || file("text/javascript; charset=utf-8", "code").varying();
    let table = rows! {
        "it counts before the known types": get("/a.ts") => code();
        "with its own parameters it is as it was written":
            get("/a.txt") => file("text/plain; charset=windows-1252", "text").varying();
        "the longest extension counts":
            get("/b.tar.gz") => file("application/x-gtar", "tape");
        "others stay": get("/b.gz") => file("application/gzip", "gzip");
        "a name without an extension":
            get("/CNAME") => file("text/csv; charset=utf-8", "name").varying();
        "other types stay": get("/b.css") => file("text/css; charset=utf-8", "style").varying();
        "the page for 404 has it, too":
            get("/x") => file("application/xhtml+xml", "lost")
                .status("404 Not Found").without_validators();
        "and each part of a multipart body":
            get("/long.ts").field("Range: bytes=0-9,990-999")
            => file("text/javascript; charset=utf-8", &numbered(100))
                .varying()
                .parts(&[("0-9/1000", "000000000\n"), ("990-999/1000", "000000099\n")]);
    };
    run_table_with(&Setup::of(&options), &tree.root(), table);
}

/// A page that declares its encoding, with so many bytes more.
fn page(charset: &str, more: usize) -> String {
    format!(
        "<!doctype html><META charset={charset}>{}",
        "x".repeat(more)
    )
}

#[test]
fn declared_encodings() {
    let http_equiv = "<html><head><meta http-equiv='Content-Type' \
                      content='text/html; charset=koi8-r'></head>";
    let (small, large) = (page("windows-1251", 0), page("windows-1251", 20_000));
    let (utf8, large_utf8) = (page("utf8", 0), page("UTF-8", 20_000));
    let late = " ".repeat(1024) + &small;
    let tree = Tree::of(&[
        ("small.html", &small),
        ("large.html", &large),
        ("large.html.gz", "packed"),
        ("old.htm", http_equiv),
        ("utf8.html", &utf8),
        ("large-utf8.html", &large_utf8),
        ("late.html", &late),
        ("dir/index.html", &small),
        ("404.html", &small),
        ("style.css", "@charset \"koi8-r\"; a{}"),
        ("plain.css", "a{}"),
        ("feed.xml", "<?xml version='1.0' encoding='ISO-8859-1'?>"),
        ("a.txt", &small),
    ]);
    let undeclared = |content: &str| file("text/html", content).varying();
    let table = rows! {
        "a page that declares its encoding is sent without a charset":
            get("/small.html") => undeclared(&small);
        "by its older form, too": get("/old.htm") => undeclared(http_equiv);
        "and one that is not kept in memory": get("/large.html") => undeclared(&large);
        "its sibling has the same type":
            get("/large.html").field("Accept-Encoding: gzip")
            => undeclared(&large).encoded("gzip", "packed");
        "again": get("/large.html") => undeclared(&large);
        "UTF-8 is declared in both places": get("/utf8.html") => html(&utf8);
        "in a large page, too": get("/large-utf8.html") => html(&large_utf8);
        "browsers do not look behind 1,024 bytes": get("/late.html") => html(&late);
        "an index": get("/dir/") => undeclared(&small);
        "the page for 404":
            get("/x") => file("text/html", &small).status("404 Not Found").without_validators();
        "each part of a multipart body":
            get("/large.html").field("Range: bytes=0-1,18000-18001")
            => undeclared(&large)
                .parts(&[("0-1/20042", "<!"), ("18000-18001/20042", "xx")]);
        "a style sheet":
            get("/style.css") => file("text/css", "@charset \"koi8-r\"; a{}").varying();
        "one that declares none":
            get("/plain.css") => file("text/css; charset=utf-8", "a{}").varying();
        "XML has no charset":
            get("/feed.xml")
            => file("application/xml", "<?xml version='1.0' encoding='ISO-8859-1'?>").varying();
        "text declares nothing": get("/a.txt") => text(&small);
    };
    run_table(&tree, table);
}

#[test]
fn charsets_of_the_user() {
    let utf8 = page("utf-8", 0);
    let tree = Tree::of(&[
        ("a.txt", "a"),
        ("a.html", "a"),
        ("utf8.html", &utf8),
        ("a.xml", "a"),
    ]);
    let koi8 = |kind: &str| file(&format!("{kind}; charset=koi8-r"), "a").varying();
    let table = rows! {
        "text is what the user says": get("/a.txt") => koi8("text/plain");
        "so is a page": get("/a.html") => koi8("text/html");
        "that declares nothing else": get("/utf8.html") => file("text/html", &utf8).varying();
        "XML declares for itself": get("/a.xml") => file("application/xml", "a").varying();
        "pages of ours stay": get("/x") => not_found();
    };
    run_table_with(&Setup::of(&["--charset", "koi8-r"]), &tree.root(), table);
    let table = rows! {
        "no charset": get("/a.txt") => file("text/plain", "a").varying();
        "in no page": get("/a.html") => file("text/html", "a").varying();
    };
    run_table_with(&Setup::of(&["--charset=none"]), &tree.root(), table);
}
