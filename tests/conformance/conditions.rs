//! Conditional requests, in the order of RFC 9110 13.2.2.

use crate::root::{Tree, everything, numbered, tag};
use crate::runner::run_table;
use crate::script::*;
use std::time::{Duration, UNIX_EPOCH};

const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

/// The file with these field lines; `TAG` stands for its entity-tag.
fn hello(lines: &[&str]) -> Request {
    let with_tag = |line: &&str| line.replace("TAG", &tag(b"hello"));
    lines
        .iter()
        .map(with_tag)
        .fold(get("/hello.txt"), |request, line| request.field(&line))
}

fn dated(name: &str, date: &str) -> Request {
    hello(&[&format!("{name}: {date}")])
}

#[test]
fn entity_tags() {
    let fresh = || text("hello").not_modified();
    let table = rows! {
        "the client has it": hello(&["If-None-Match: TAG"]) => fresh();
        "the client has another": hello(&["If-None-Match: \"x\""]) => text("hello");
        "the client has several": hello(&["If-None-Match: \"x\", TAG,\"y\""]) => fresh();
        "the client has several, in two lines":
            hello(&["If-None-Match: \"x\"", "If-None-Match: TAG"]) => fresh();
        "the comparison is weak": hello(&["If-None-Match: W/TAG"]) => fresh();
        "a weak one among others": hello(&["If-None-Match: \"x\", W/TAG"]) => fresh();
        "a lowercase w is not a prefix": hello(&["If-None-Match: w/TAG"]) => text("hello");
        "any": hello(&["If-None-Match: *"]) => fresh();
        "any, for a missing file":
            get("/nothing").field("If-None-Match: *") => not_found();
        "a tag may contain a comma": hello(&["If-None-Match: \"a,b\", TAG"]) => fresh();
        "gaps in the list": hello(&["If-None-Match: ,, TAG ,"]) => fresh();
        "a tag without quotes is invalid": hello(&["If-None-Match: x"]) => text("hello");
        "an empty list matches nothing": hello(&["If-None-Match:"]) => text("hello");
        "a prefix of the tag does not match": hello(&["If-None-Match: \"ae1b981bc490a00\""]) => text("hello");
        "HEAD is answered as GET":
            head("/hello.txt").field("If-None-Match: *") => fresh();
        "OPTIONS has no conditions":
            request("OPTIONS /hello.txt HTTP/1.1").field("If-None-Match: *") => options();
        "nor has a method that is not allowed":
            request("PUT /hello.txt HTTP/1.1").field("If-None-Match: *") => not_allowed();

        "it must be this one, and is": hello(&["If-Match: TAG"]) => text("hello");
        "it must be one of these": hello(&["If-Match: \"x\", TAG"]) => text("hello");
        "it must exist, and does": hello(&["If-Match: *"]) => text("hello");
        "it must be another": hello(&["If-Match: \"x\""]) => precondition_failed();
        "the comparison is strong": hello(&["If-Match: W/TAG"]) => precondition_failed();
        "an empty list matches nothing here, too": hello(&["If-Match:"]) => precondition_failed();
        "HEAD, too":
            head("/hello.txt").field("If-Match: \"x\"") => precondition_failed().without_body();
        "a browser gets HTML":
            hello(&["If-Match: \"x\"", "Accept: text/html"])
            => html_page(
                "412 Precondition Failed",
                "the file is not the one the request depends on",
            );
        "no condition changes a 404": get("/nothing").field("If-Match: \"x\"") => not_found();
        "nor a redirect": get("/dir").field("If-None-Match: *") => redirect("./dir/");
        "a listing has no tag, so none matches":
            get("/bare/").field("If-Match: \"x\"") => precondition_failed();
        "but any matches":
        head("/bare/").field("If-Match: *") => listing_page().without_body();
    "and any is allowed":
        head("/bare/").field("If-None-Match: *") => listing_page().not_modified();
    "both are true: the second decides":
            hello(&["If-Match: TAG", "If-None-Match: TAG"]) => fresh();
        "the first fails: the second is not evaluated":
            hello(&["If-Match: \"x\"", "If-None-Match: TAG"]) => precondition_failed();
    };
    run_table(&everything(), table);
}

#[test]
fn dates() {
    let fresh = || text("hello").not_modified();
    let since = |date| dated("If-Modified-Since", date);
    let until = |date| dated("If-Unmodified-Since", date);
    let table = rows! {
        "not modified since": since(MODIFIED) => fresh();
        "not modified since later": since(AFTER) => fresh();
        "modified since": since(BEFORE) => text("hello");
        "the form of RFC 850": since("Sunday, 06-Nov-94 08:49:37 GMT") => fresh();
        "the form of asctime": since("Sun Nov  6 08:49:37 1994") => fresh();
        "the form of asctime, a second earlier": since("Sun Nov  6 08:49:36 1994") => text("hello");
        "an invalid date is ignored": since("yesterday") => text("hello");
        "another time zone is ignored": since("Sun, 06 Nov 1994 08:49:37 EST") => text("hello");
        "an empty date is ignored": since("") => text("hello");
        "two dates are ignored":
            hello(&[
                "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
                "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            ]) => text("hello");
        "a date in the future is ignored": since("Fri, 31 Dec 2100 23:59:59 GMT") => text("hello");
        "HEAD, too":
            head("/hello.txt").field("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT")
            => fresh();
        "a fraction of a second is not compared":
            get("/precise.txt").field("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT")
            => text("precise").not_modified();
        "unmodified since": until(MODIFIED) => text("hello");
        "unmodified since later": until(AFTER) => text("hello");
        "modified meanwhile": until(BEFORE) => precondition_failed();
        "an invalid date is no condition": until("tomorrow") => text("hello");
        "a tag comes before a date: it is another":
            hello(&["If-None-Match: \"x\"", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"])
            => text("hello");
        "a tag comes before a date: it is this one":
            hello(&["If-None-Match: TAG", "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT"])
            => fresh();
        "If-Match comes before If-Unmodified-Since":
            hello(&["If-Match: TAG", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT"])
            => text("hello");
        "If-Unmodified-Since comes before If-None-Match":
            hello(&["If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT", "If-None-Match: TAG"])
            => precondition_failed();
    };
    run_table(&everything(), table);
}

#[test]
fn parts_of_a_version() {
    let part = || text("hello").part("0-1/5", "he");
    let range = "Range: bytes=0-1";
    let table = rows! {
        "a part of this version": hello(&[range, "If-Range: TAG"]) => part();
        "all of another": hello(&[range, "If-Range: \"x\""]) => text("hello");
        "the comparison is strong": hello(&[range, "If-Range: W/TAG"]) => text("hello");
        "a list is not a validator": hello(&[range, "If-Range: TAG, \"x\""]) => text("hello");
        "a part of the version of this date":
            hello(&[range, "If-Range: Sun, 06 Nov 1994 08:49:37 GMT"]) => part();
        "the date must be the same, not a later one":
            hello(&[range, "If-Range: Sun, 06 Nov 1994 08:49:38 GMT"]) => text("hello");
        "nor an earlier one":
            hello(&[range, "If-Range: Sun, 06 Nov 1994 08:49:36 GMT"]) => text("hello");
        "an invalid validator does not match": hello(&[range, "If-Range: x"]) => text("hello");
        "without Range, If-Range is ignored": hello(&["If-Range: \"x\""]) => text("hello");
        "a range that does not exist, of another version, is not refused":
            hello(&["Range: bytes=9-", "If-Range: \"x\""]) => text("hello");
        "a range that does not exist, of this version":
            hello(&["Range: bytes=9-", "If-Range: TAG"]) => unsatisfiable(5);
        "not modified: the range is ignored":
            hello(&[range, "If-None-Match: TAG"]) => text("hello").not_modified();
        "also one that does not exist":
            hello(&["Range: bytes=9-", "If-None-Match: TAG"]) => text("hello").not_modified();
        "a failed condition comes before the range":
            hello(&[range, "If-Match: \"x\""]) => precondition_failed();
        "a condition that is true lets the range apply": hello(&[range, "If-Match: TAG"]) => part();
        "all conditions at once":
            hello(&[range, "If-Match: TAG", "If-None-Match: \"x\"", "If-Range: TAG"]) => part();
    };
    run_table(&everything(), table);
}

/// Files whose times were set: their dates are those of their inodes. Each is requested whole,
/// again with its validators, in part, and from some byte on.
fn set_times() -> (Tree, Vec<Row>) {
    let tree = Tree::of(&[]);
    let sizes = [("small", 1000), ("medium", 5000), ("large", 200_000)];
    let times = [
        ("hours ahead", Duration::from_secs(4_102_444_800)),
        (
            "hours ahead, with a fraction",
            Duration::new(4_102_444_800, 5),
        ),
        ("1970", Duration::ZERO),
        ("1", Duration::from_secs(1)),
        ("1980, as in a zip", Duration::from_secs(315_532_800)),
        (
            "1985, as in an npm package",
            Duration::from_secs(499_162_500),
        ),
    ];
    let mut files = Vec::new();
    for (size, lines) in sizes {
        for (nth, (what, time)) in times.iter().enumerate() {
            let name = format!("{size}-{nth}");
            let content = numbered(lines);
            tree.write_at(name.as_bytes(), content.as_bytes(), *time);
            files.push((name, format!("{size}, {what}"), content, time.as_nanos()));
        }
    }
    // The second in which they were written has to be over: until then they have no date.
    std::thread::sleep(Duration::from_millis(1100));
    let rows = files.into_iter().map(|(name, what, content, time)| {
        let length = content.len();
        let changed = tree.changed(&name);
        let date = UNIX_EPOCH + Duration::from_nanos(changed as u64);
        let date = httpdate::fmt_http_date(date);
        let tag = match (name.starts_with("small"), time % 1_000_000_000) {
            (false, 1..) => format!("\"{time:x}-{length:x}\""),
            (false, _) if name.starts_with("large") => {
                format!("\"{time:x}-{length:x}-{changed:x}\"")
            }
            _ => tag(content.as_bytes()),
        };
        let whole = || binary(&content).tagged(&tag).modified(&date);
        let request = |lines: &[&str]| {
            let request = get(&format!("/{name}"));
            lines
                .iter()
                .fold(request, |request, line| request.field(line))
        };
        let line = |name: &str, value: &str| format!("{name}: {value}");
        let part = || whole().part(&format!("0-8/{length}"), "000000000");
        let range = "Range: bytes=0-8";
        let table = rows! {
            "whole": head(&format!("/{name}")) => whole().without_body();
            "by tag": request(&[&line("If-None-Match", &tag)]) => whole().not_modified();
            "by date": request(&[&line("If-Modified-Since", &date)]) => whole().not_modified();
            "a part": request(&[range]) => part();
            "the rest, by tag": request(&[range, &line("If-Range", &tag)]) => part();
            "the rest, by date": request(&[range, &line("If-Range", &date)]) => part();
            "it must be this one": request(&[range, &line("If-Match", &tag)]) => part();
        };
        table.into_iter().map(move |mut row| {
            row.name = format!("{what}: {}", row.name).leak();
            row
        })
    });
    let rows = rows.flatten().collect();
    (tree, rows)
}

/// Clocks of other machines, archives of another time zone, images and reproducible builds.
#[test]
fn files_with_times_that_were_set_have_validators() {
    let (tree, rows) = set_times();
    run_table(&tree, rows);
}
