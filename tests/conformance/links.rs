//! Symlinks, and what is neither a file nor a directory.

use crate::root::{Tree, everything};
use crate::runner::{Setup, run_table, run_table_with};
use crate::script::*;

#[test]
fn links() {
    let many = format!("/{}hello.txt", "to-root/".repeat(40));
    let too_many = format!("/{}hello.txt", "to-root/".repeat(41));
    let table = rows! {
        "a link to a file": get("/link.txt") => text("hello");
        "a link to a link": get("/link-to-link.txt") => text("hello");
        "a link up, within the root": get("/dir/up.txt") => text("hello");
        "a link to a directory": get("/link-to-dir/inner.txt") => text("inner");
        "a link up, through a link": get("/link-to-dir/up.txt") => text("hello");
        "a link out of the root": get("/out.txt") => not_found();
        "an absolute link out of the root": get("/out-by-name.txt") => not_found();
        "an absolute link into the root": get("/in-by-name.txt") => text("hello");
        "a link that leaves the root and comes back": get("/out-and-in.txt") => text("hello");
        "the same of a directory": get("/out-and-in") => redirect("./out-and-in/");
        "a file in it": get("/out-and-in/inner.txt") => text("inner");
        "a link in it": get("/out-and-in/up.txt") => text("hello");
        "a missing file in it": get("/out-and-in/nothing") => not_found();
        "it has no index": head("/out-and-in/?format=json") => listing_json(&[]).without_body();
        "as many links as the system follows": get(&many) => text("hello");
        "one more": get(&too_many) => not_found();
        "a link to the root, and again": get("/to-root/to-root/hello.txt") => text("hello");
        "the root through a link": get("/to-root/") => html("<h1>home</h1>");
        "an absolute link to nothing": get("/nothing-by-name.txt") => not_found();
        "a link whose name begins as the root's does": get("/beside.txt") => not_found();
        "out through a link that comes back": get("/to-root/out.txt") => not_found();
        "a directory outside": get("/out/") => not_found();
        "a directory outside has no slash": get("/out") => not_found();
        "a file in a directory outside": get("/out/file.txt") => not_found();
        "a link to nothing": get("/dangling.txt") => not_found();
        "a link to itself": get("/loop.txt") => not_found();
        "HEAD is refused, too": head("/out.txt") => not_found().without_body();
        "a FIFO does not block": get("/fifo.txt") => not_found();
        "a link to a FIFO": get("/link-to-fifo.txt") => not_found();
        "a socket": get("/socket.txt") => not_found();
        "HEAD of a FIFO": head("/fifo.txt") => not_found().without_body();
    };
    run_table(&everything(), table);
}

#[test]
fn links_that_are_followed() {
    let setup = Setup::of(&["--follow-symlinks"]);
    let table = rows! {
        "a link out of the root": get("/out.txt") => text("secret");
        "an absolute link": get("/out-by-name.txt") => text("secret");
        "an absolute link into the root": get("/in-by-name.txt") => text("hello");
        "a directory outside": get("/out/file.txt") => text("outside");
        "which redirects to its slash": get("/out") => redirect("./out/");
        "a link inside": get("/link.txt") => text("hello");
        "a link to nothing": get("/dangling.txt") => not_found();
        "a link to itself": get("/loop.txt") => not_found();
        "dot-dot is not a link":
            get("/../secret.txt") => page("400 Bad Request", "the path climbs above the root").closing();
        "a FIFO is not served": get("/fifo.txt") => not_found();
        "nor through a link": get("/link-to-fifo.txt") => not_found();
    };
    run_table_with(&setup, &everything().root(), table);
}

/// A file that may not be served is not replaced by a listing, the next index, or the application.
#[test]
fn a_denied_file_is_not_treated_as_missing() {
    const APPLICATION: &str = "Accept-Encoding, Accept, Sec-Fetch-Dest, Sec-Fetch-Mode";
    let tree = Tree::of(&[
        ("b.html", "the application"),
        ("dir/b.html", "the next index"),
        ("dir/page", "a page"),
        ("page.txt", "plain"),
        ("listed/page", "a page"),
    ]);
    tree.write(b"../secret.txt", b"secret");
    for name in ["dir/a.html", "out", "page.txt.gz"] {
        tree.link(name, tree.root().join("../secret.txt"));
    }
    tree.fifo("listed/a.html");
    tree.link("loop", "loop");
    tree.link("around", tree.root().join("listed"));
    let options = &["--index", "a.html", "--index", "b.html", "--spa"];
    let page = |name: &str| get(name).field("Accept: text/html");
    let missing = || html_page("404 Not Found", "there is nothing at this address");
    let table = rows! {
        "an index that is denied hides the next one": get("/dir/") => not_found();
        "and the listing": get("/listed/") => not_found();
        "as JSON, too": get("/listed/?format=json") => not_found();
        "a file beside it is served": get("/listed/page") => binary("a page");
        "a link out is not a page of the application": page("/out") => missing();
        "nor is a loop": page("/loop") => missing();
        "what is missing behind a link that comes back is a page of the application":
            page("/around/a/page") => html("the application").varying_by(APPLICATION);
        "nor is a directory whose index is denied": page("/dir/") => missing();
        "a file is served whose sibling is denied":
            get("/page.txt").field("Accept-Encoding: gzip") => text("plain");
    };
    run_table_with(&Setup::of(options), &tree.root(), table);
    let tree = Tree::of(&[("b.html", "the next index")]);
    for name in ["a.html", "404.html"] {
        tree.link(name, "/dev/null");
    }
    let table = rows! {
        "the root's index": get("/") => not_found();
        "an application whose page is denied has no other page": page("/a/page")
            => missing().varying_by("Accept, Sec-Fetch-Dest, Sec-Fetch-Mode");
    };
    run_table_with(&Setup::of(options), &tree.root(), table);
}

#[test]
fn a_link_that_is_the_root_is_served_by_its_own_name_and_followed() {
    let tree = Tree::of(&[("v1/page.html", "<p>1"), ("other.html", "other")]);
    tree.link("current.html", "v1/page.html");
    tree.write(b"../away.html", b"<p>away");
    tree.link("away.html", "../away.html");
    tree.link("away.html.gz", "../away.html");
    let table = |name: &'static str, bytes: &'static str| {
        let page = || html(bytes).with_disposition(&format!("filename=\"{}\"", &name[1..]));
        rows! {
            "by its name": get(name) => page();
            "at the root": get("/") => page();
            "with a dot": get("/./") => page();
            "no other": get("/other.html") => not_found();
            "not by the name it leads to": get("/page.html") => not_found();
            "nor by a directory's": get(&format!("{name}/")) => not_found();
            "a sibling is not followed":
                get("/").field("Accept-Encoding: gzip") => page();
        }
    };
    for (link, bytes) in [("current.html", "<p>1"), ("away.html", "<p>away")] {
        let name = ["/", link].concat().leak();
        run_table_with(&Setup::of(&[]), &tree.root().join(link), table(name, bytes));
    }
}
