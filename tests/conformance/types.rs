//! The media type of a file (RFC 9110 8.3), and what users can set.

use crate::root::{Tree, numbered};
use crate::runner::{Setting, play, play_with};
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
        "a model": get("/a.stl") => typed("model/stl");
        "a segment of a stream": get("/a.ts") => typed("video/mp2t");
        "a module of Node.js": get("/a.cjs") => typed("application/node");
        "a package": get("/a.rpm") => typed("application/x-redhat-package-manager");
        "another": get("/a.msix") => typed("application/msix");
        "source code is shown as text": get("/a.rs") => text("x");
        "so are scripts": get("/a.sh") => text("x");
        "a dot in a directory begins no extension": get("/v1.2/Makefile") => text("x");
    };
    play(&tree, table);
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
                .status("404 Not Found").unversioned();
        "and each part of a multipart body":
            get("/long.ts").field("Range: bytes=0-9,990-999")
            => file("text/javascript; charset=utf-8", &numbered(100))
                .varying()
                .parts(&[("0-9/1000", "000000000\n"), ("990-999/1000", "000000099\n")]);
    };
    play_with(&Setting::of(&options), &tree.root(), table);
}
