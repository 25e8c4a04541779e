//! Symlinks, and what is neither a file nor a directory.

use crate::root::everything;
use crate::runner::{Setting, play, play_with};
use crate::script::*;

#[test]
fn links() {
    let table = rows! {
        "a link to a file": get("/link.txt") => text("hello");
        "a link to a link": get("/link-to-link.txt") => text("hello");
        "a link up, within the root": get("/dir/up.txt") => text("hello");
        "a link to a directory": get("/link-to-dir/inner.txt") => text("inner");
        "a link up, through a link": get("/link-to-dir/up.txt") => text("hello");
        "a link out of the root": get("/out.txt") => not_found();
        "an absolute link out of the root": get("/out-by-name.txt") => not_found();
        "an absolute link is not beneath the root, wherever it leads":
            get("/in-by-name.txt") => not_found();
        "a directory outside": get("/out/") => not_found();
        "a directory outside has no slash": get("/out") => not_found();
        "a file in a directory outside": get("/out/file.txt") => not_found();
        "a link to nothing": get("/dangling.txt") => not_found();
        "a link to itself": get("/loop.txt") => not_found();
        "HEAD is refused, too": head("/out.txt") => not_found().headless();
        "a FIFO blocks nobody": get("/fifo.txt") => not_found();
        "a link to a FIFO": get("/link-to-fifo.txt") => not_found();
        "a socket": get("/socket.txt") => not_found();
        "HEAD of a FIFO": head("/fifo.txt") => not_found().headless();
    };
    play(&everything(), table);
}

#[test]
fn links_that_are_followed() {
    let setting = Setting::of(&["--follow-symlinks"]);
    let table = rows! {
        "a link out of the root": get("/out.txt") => text("secret");
        "an absolute link": get("/out-by-name.txt") => text("secret");
        "an absolute link into the root": get("/in-by-name.txt") => text("hello");
        "a directory outside": get("/out/file.txt") => text("outside");
        "which has a slash": get("/out") => redirect("./out/");
        "a link inside": get("/link.txt") => text("hello");
        "a link to nothing": get("/dangling.txt") => not_found();
        "a link to itself": get("/loop.txt") => not_found();
        "dot-dot is no link":
            get("/../secret.txt") => page("400 Bad Request", "the path holds a dot segment");
        "a FIFO is still none": get("/fifo.txt") => not_found();
        "nor through a link": get("/link-to-fifo.txt") => not_found();
    };
    play_with(&setting, &everything().root(), table);
}
