//! Names that begin with a dot.

use crate::root::everything;
use crate::runner::{Setup, run_table, run_table_with};
use crate::script::*;

fn hidden() -> Response {
    binary("hidden")
}

#[test]
fn hidden_names() {
    let table = rows! {
        "a hidden file": get("/.env") => not_found();
        "a hidden file, escaped": get("/%2eenv") => not_found();
        "a file in a hidden directory": get("/.git/config") => not_found();
        "a hidden directory": get("/.git/") => not_found();
        "a hidden directory has no slash": get("/.git") => not_found();
        "a hidden file in a directory": get("/dir/.inner") => not_found();
        "a name of dots": get("/....txt") => not_found();
        "HEAD": head("/.env") => not_found().without_body();
        "/.well-known/ is served":
            get("/.well-known/security.txt") => text("hidden");
        "its hidden files are not": get("/.well-known/.inner") => not_found();
        "only at the root": get("/dir/.well-known/file.txt") => not_found();
        "not a name that begins like it": get("/.well-known2/") => not_found();
    };
    run_table(&everything(), table);
}

#[test]
fn hidden_names_that_are_shown() {
    let table = rows! {
        "a hidden file": get("/.env") => text("hidden");
        "a file in a hidden directory": get("/.git/config") => hidden();
        "a hidden directory": get("/.git") => redirect("./.git/");
        "a hidden file in a directory": get("/dir/.inner") => hidden();
        "a name of dots": get("/....txt") => text("named");
        "/.well-known/": get("/.well-known/.inner") => hidden();
        "dot-dot is not a name":
            get("/../secret.txt") => page("400 Bad Request", "the path climbs above the root").closing();
    };
    run_table_with(&Setup::of(&["--hidden"]), &everything().root(), table);
}
