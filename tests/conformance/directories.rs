//! Directories: the slash, the index file, the listing.

use crate::root::{Tree, everything};
use crate::runner::{Setup, run_table, run_table_with};
use crate::script::*;

#[test]
fn redirects() {
    let table = rows! {
        "the address of a directory ends with a slash": get("/dir") => redirect("./dir/");
        "HEAD, too": head("/dir") => redirect("./dir/").without_body();
        "a browser gets HTML":
            get("/dir").field("Accept: text/html")
            => html_page(
                "301 Moved Permanently",
                "this is a directory; its address ends with a slash",
            ).with_field("Location: ./dir/");
        "the query is kept": get("/dir?a=b&c=%2F..%2F") => redirect("./dir/?a=b&c=%2F..%2F");
        "an empty query is kept, too": get("/dir?") => redirect("./dir/?");
        "a deeper one is named relatively": get("/outer/inner?x") => redirect("./inner/?x");
        "with an index or without": get("/indexed") => redirect("./indexed/");
        "a name is escaped": get("/sub%20dir") => redirect("./sub%20dir/");
        "a colon does not make a scheme": get("/ab:c") => redirect("./ab%3Ac/");
        "UTF-8 is escaped": get("/\u{fc}") => redirect("./%C3%BC/");
        "two slashes do not make a host": get("//evil.com") => redirect("./evil.com/");
        "nor do three": get("///evil.com") => redirect("./evil.com/");
        "absolute-form does not add a host": get("http://evil.org/dir") => redirect("./dir/");
        "Host does not add a host":
            "GET /dir HTTP/1.1\r\nHost: evil.org\r\n\r\n" => redirect("./dir/");
        "a backslash does not make a host":
            get("/\\evil.com") => redirect("./%5Cevil.com/");
        "nor does an escaped one": get("/%5cevil.com") => redirect("./%5Cevil.com/");
        "an escaped slash does not make a host": get("/%2Fevil.com") => redirect("./evil.com/");
        "an escaped slash is in the client's last segment":
            get("/outer%2Finner") => redirect("./outer/inner/");
        "and in an earlier one": get("/outer%2F/inner") => redirect("./inner/");
        "a dot": get("/./outer/./inner") => redirect("./inner/");
        "dot-dot": get("/dir/../outer/inner") => redirect("./inner/");
        "dot-dot after an empty segment, which clients resolve differently":
            get("/outer//../dir") => redirect("/dir/");
        "or after an escaped slash": get("/outer%2Finner/../inner?x") => redirect("/outer/inner/?x");
        "within a client's segment": get("/outer/inner%2F..%2Finner") => redirect("/outer/inner/");
        "that does not make a host": get("/%2F/a/..//evil.com") => redirect("/evil.com/");
        "an escaped line end does not split the header": get("/%0d%0aX:%20y") => not_found();
        "bytes that no URL has are escaped in the query":
            get("/dir?\u{e9}=\"<x>{|}") => redirect("./dir/?%C3%A9=%22%3Cx%3E%7B%7C%7D");
        "nor does one in the query": get("/dir?%0d%0aX:%20y") => redirect("./dir/?%0d%0aX:%20y");
        "a link to a directory, too": get("/link-to-dir") => redirect("./link-to-dir/");
        "many slashes after a directory are one": get("/indexed//") => html("<h1>index</h1>");
    };
    run_table(&everything(), table);
}

#[test]
fn indexes_and_listings() {
    let entry = |name: &str| {
        let about = r#""type":"file","size":5,"modified":"1994-11-06T08:49:37Z""#;
        format!("{{\"name\":\"{name}\",{about},\"href\":\"{name}\"}}")
    };
    let (inner, up) = (entry("inner.txt"), entry("up.txt"));
    let start = "{\"path\":\"/dir/\",\"entries\":[";
    let rows = format!("\n{inner},\n{up}\n],\"omitted\":0}}\n");
    let whole = format!("{start}{rows}");
    let table = rows! {
        "the root's index": get("/") => html("<h1>home</h1>");
        "HEAD of it": head("/") => html("<h1>home</h1>").without_body();
        "by its name": get("/index.html") => html("<h1>home</h1>");
        "a directory's index": get("/indexed/") => html("<h1>index</h1>");
        "with a query": get("/indexed/?x") => html("<h1>index</h1>");
        "an index has conditions":
            get("/indexed/").field("If-None-Match: *") => html("<h1>index</h1>").not_modified();
        "and ranges":
            get("/indexed/").field("Range: bytes=0-3")
            => html("<h1>index</h1>").part("0-3/14", "<h1>");
        "and codings":
            get("/packed/").field("Accept-Encoding: br")
            => html("plain index").encoded("br", "packed index");
        "a listing, before its rows": head("/dir/") => listing_page().without_body();
        "a listing is compressed for clients that prefer it":
            head("/dir/").field("Accept-Encoding: gzip, deflate, br")
            => listing_page().in_coding("gzip").without_body();
        "as JSON, too":
            head("/dir/?format=json").field("Accept-Encoding: x-gzip")
            => listing_json(&[]).in_coding("gzip").without_body();
        "not for others":
            get("/dir/?format=json").field("Accept-Encoding: br, gzip;q=0")
            => listing_json(&[&whole]);
        "not in 1.0":
            request("GET /dir/?format=json HTTP/1.0").field("Accept-Encoding: gzip")
            => listing_json(&[]).until_close(&whole);
        "a 304 has no field about the coding":
            head("/dir/").field("Accept-Encoding: gzip").field("If-None-Match: *")
            => listing_page().not_modified();
        "the stylesheet, for pages that may have none in them":
            get("/dir/?style=1")
            => listing_style().with_lasting_field("Cache-Control: max-age=31536000, immutable");
        "an index has no other one": get("/indexed/?style=1") => html("<h1>index</h1>");
        "a listing as JSON, before its rows":
            head("/dir/?format=json") => listing_json(&[]).without_body();
        "a listing is made while it is sent":
            get("/dir/?format=json") => listing_json(&[&whole]);
        "an empty one":
            get("/bare/?format=json") => listing_json(&["{\"path\":\"/bare/\",\"entries\":[\n],\"omitted\":0}\n"]);
        "without chunks, for 1.0, the end of the connection ends it":
            request("GET /dir/?format=json HTTP/1.0")
            => listing_json(&[]).until_close(&whole);
        "even if it wanted to stay":
            request("GET /dir/?format=json HTTP/1.0").field("Connection: keep-alive")
            => listing_json(&[]).until_close(&whole);
        "HEAD in 1.0": request("HEAD /dir/ HTTP/1.0") => listing_page().until_close("");
        "a listing among others":
            get("/hello.txt") + get("/dir/?format=json") + get("/alive")
            => [text("hello"), listing_json(&[&whole]), binary("yes")];
    };
    run_table(&everything(), table);
}

#[test]
fn several_index_names() {
    let tree = Tree::of(&[
        ("b.html", "b of the root"),
        ("index.html", "index of the root"),
        ("both/a.html", "a of both"),
        ("both/b.html", "b of both"),
        ("one/b.html", "b of one"),
        ("dir/a.html/inner.txt", "a directory by that name"),
        ("dir/b.html", "b beside it"),
        ("none/index.html", "not the index"),
    ]);
    let setup = Setup::of(&["--index", "a.html", "--index", "b.html", "--no-listing"]);
    let table = rows! {
        "the first name that there is": get("/both/") => html("a of both");
        "or the second": get("/one/") => html("b of one");
        "also in the root": get("/") => html("b of the root");
        "a directory is no index": get("/dir/") => html("b beside it");
        "no other name is tried": get("/none/") => not_found();
        "though its own path is served": get("/none/index.html") => html("not the index");
    };
    run_table_with(&setup, &tree.root(), table);
}

#[test]
fn no_listing() {
    let table = rows! {
        "a directory without an index is nothing": get("/dir/") => not_found();
        "HEAD, too": head("/dir/") => not_found().without_body();
        "as JSON, too": get("/dir/?format=json") => not_found();
        "it still has a slash": get("/dir") => redirect("./dir/");
        "its files are served": get("/dir/inner.txt") => text("inner");
        "an index is one": get("/indexed/") => html("<h1>index</h1>");
    };
    run_table_with(&Setup::of(&["--no-listing"]), &everything().root(), table);
}
