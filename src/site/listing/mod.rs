//! Room `site`: what a directory without an index file shows, as a page or as JSON.
//!
//! A listing is made while it is sent, a bounded slice at a time, so that a directory of
//! 100,000 entries never holds the loop: first slices that read (`reader`) and sort as they
//! go (`shelf`), then slices that render (`page` or `json`). Imports `http`.
//!
//! Sorting in slices: each entry is put where it belongs in a B-tree when it is read, which
//! takes some seventeen comparisons among 100,000. No slice has to sort them all, rendering
//! takes them off at the front, and the memory of a row is free once it has been rendered.
//! What it costs: a listing that is given up between reading and rendering frees all rows at
//! once, some ten milliseconds for 100,000.

mod json;
mod page;
mod query;
mod reader;
mod shelf;
mod text;

pub use page::csp;
pub use query::Query;

use super::path::SitePath;
use super::root::Root;
use crate::http::payload::{Produce, Progress};
use crate::warnings::{Limited, Name};
use reader::Reader;
use shelf::Shelf;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// What a listing may show, and how much.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names that begin with a dot, too.
    pub hidden: bool,
    /// Entries shown; what is beyond is counted and said. An entry takes some 100 bytes of
    /// memory until it is rendered.
    pub entries: usize,
    /// Entries read, or rows rendered, in one slice.
    pub slice: usize,
    /// Held for as long as the listing lives, so that its owner can count how many do.
    pub place: Arc<()>,
}

/// A directory, on its way to becoming a page.
#[derive(Debug)]
pub struct Listing {
    view: View,
    slice: usize,
    phase: Phase,
    _place: Arc<()>,
}

/// What was asked for.
#[derive(Debug)]
struct View {
    /// As [`SitePath::name`] has it: relative to the root, no slash at either end.
    path: Box<[u8]>,
    query: Query,
}

#[derive(Debug)]
enum Phase {
    Reading(Reader, Shelf),
    Rendering { shelf: Shelf, is_first: bool },
    Ended,
}

/// Starts a listing of `directory`, which is open for reading and which `path` names beneath
/// `root`. `raw_query` is what follows the question mark in the target, as it was sent.
///
/// # Errors
/// Those of fdopendir(3).
pub fn open(
    directory: File,
    root: Arc<Root>,
    path: SitePath<'_>,
    raw_query: Option<&[u8]>,
    options: Options,
) -> io::Result<Listing> {
    let query = Query::parse(raw_query);
    let shelf = Shelf::new(&query, options.entries);
    let reader = Reader::new(directory, root, path, options.hidden);
    let reader = reader.inspect_err(|error| report(path.name(), error))?;
    Ok(Listing {
        view: View {
            path: path.name().into(),
            query,
        },
        slice: options.slice.max(1),
        phase: Phase::Reading(reader, shelf),
        _place: options.place,
    })
}

/// Warns that a listing was not finished, or not begun.
fn report(path: &[u8], error: &io::Error) {
    static FAILED: Limited = Limited::new();
    let path = Name(path);
    FAILED.warn(format_args!("the listing of /{path} was cut off: {error}"));
}

impl Produce for Listing {
    /// Reads and sorts one slice of entries, which appends nothing, or renders one.
    ///
    /// # Errors
    /// The directory could not be read to its end.
    fn produce(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        // An error leaves the listing ended, not in the middle of something.
        let result = match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Reading(reader, shelf) => self.read(reader, shelf, out),
            Phase::Rendering { shelf, is_first } => self.render(shelf, is_first, out),
            Phase::Ended => Ok(Progress::Done),
        };
        result.inspect_err(|error| report(&self.view.path, error))
    }
}

impl Listing {
    fn read(
        &mut self,
        mut reader: Reader,
        mut shelf: Shelf,
        out: &mut Vec<u8>,
    ) -> io::Result<Progress> {
        let filter = self.view.query.filter();
        self.phase = match reader.read(self.slice, |name, found| shelf.add(name, found, filter))? {
            Progress::More => Phase::Reading(reader, shelf),
            Progress::Done => {
                match self.view.query.is_json() {
                    true => json::put_head(&self.view, out)?,
                    false => page::put_head(&self.view, shelf.counts(), out)?,
                }
                Phase::Rendering {
                    shelf,
                    is_first: true,
                }
            }
        };
        Ok(Progress::More)
    }

    fn render(
        &mut self,
        mut shelf: Shelf,
        mut is_first: bool,
        out: &mut Vec<u8>,
    ) -> io::Result<Progress> {
        let is_json = self.view.query.is_json();
        for _ in 0..self.slice {
            let Some(row) = shelf.take_first() else {
                match is_json {
                    true => json::put_tail(shelf.counts(), out)?,
                    false => page::put_tail(&self.view, shelf.counts(), out)?,
                }
                return Ok(Progress::Done);
            };
            match is_json {
                true => json::put_row(&row, is_first, out)?,
                false => page::put_row(&row, out)?,
            }
            is_first = false;
        }
        self.phase = Phase::Rendering { shelf, is_first };
        Ok(Progress::More)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    fn listing(root: &Path, path: &str, query: &str, (entries, slice): (usize, usize)) -> Listing {
        let root = Arc::new(Root::new(root, false).unwrap());
        let path = SitePath::of_name(path.as_bytes());
        let directory = root.open(path).unwrap();
        let options = Options {
            hidden: false,
            entries,
            slice,
            place: Arc::default(),
        };
        open(directory, root, path, Some(query.as_bytes()), options).unwrap()
    }

    fn slices(mut listing: Listing) -> Vec<String> {
        let mut slices = Vec::new();
        loop {
            let mut out = Vec::new();
            let progress = listing.produce(&mut out).unwrap();
            slices.push(String::from_utf8(out).unwrap());
            if progress == Progress::Done {
                return slices;
            }
        }
    }

    fn whole(root: &Path, path: &str, query: &str) -> String {
        slices(listing(root, path, query, (1000, 7))).concat()
    }

    fn parsed(root: &Path, query: &str) -> Value {
        serde_json::from_str(&whole(root, "", query)).unwrap()
    }

    fn make(path: &Path, size: usize, modified: u64) {
        fs::write(path, vec![b'x'; size]).unwrap();
        touch(path, modified);
    }

    fn touch(path: &Path, modified: u64) {
        let time = UNIX_EPOCH + Duration::from_secs(modified);
        File::open(path).unwrap().set_modified(time).unwrap();
    }

    /// Three entries in `a & b/docs`, one of each kind, one with a number in its name.
    fn small() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let docs = root.path().join("a & b/docs");
        fs::create_dir_all(docs.join("images")).unwrap();
        make(&docs.join("Part 10.txt"), 1234, 1_795_362_148);
        make(&docs.join("part 9.txt"), 0, 0);
        touch(&docs.join("images"), 951_782_400);
        root
    }

    #[test]
    fn a_small_directory_is_this_page() {
        let root = small();
        let style = include_str!("style.css");
        let expected = include_str!("golden/small.html").replace("{style}", style);
        assert_eq!(whole(root.path(), "a & b/docs", ""), expected);
    }

    #[test]
    fn a_small_directory_is_this_json() {
        let root = small();
        let query = "format=json&sort=size&order=desc";
        let json = whole(root.path(), "a & b/docs", query);
        assert_eq!(json, include_str!("golden/small.json"));
    }

    #[test]
    fn the_root_has_no_parent_and_may_be_empty() {
        let root = tempfile::tempdir().unwrap();
        let page = whole(root.path(), "", "");
        assert!(page.contains("<title>Index of /</title>"));
        assert!(page.contains(r#"<a href="./" aria-current="page">/</a></h1>"#));
        assert!(page.contains("<p>0 directories, 0 files, 0 B</p>"));
        assert!(page.contains("This directory is empty."));
        assert!(!page.contains("../"));
        let nothing = json!({"path": "/", "entries": [], "omitted": 0});
        assert_eq!(parsed(root.path(), "format=json"), nothing);
    }

    #[test]
    fn a_filter_shows_what_matches_and_says_so() {
        let root = small();
        let page = whole(root.path(), "a & b/docs", "q=PART+1&sort=time");
        assert!(page.contains(
            "<p>1 of 3 shown: 0 directories, 1 file, 1.2 kB \
             (<a href=\"?sort=time\">show all</a>)</p>"
        ));
        assert!(page.contains(
            r#"<input type="hidden" name="sort" value="time"><input type="search" name="q""#
        ));
        assert!(page.contains(r#"value="PART 1">"#));
        assert!(page.contains(
            r#"aria-sort="ascending"><a href="?sort=time&amp;order=desc&amp;q=PART%201">"#
        ));
        assert_eq!(page.matches("<tr><td>").count(), 1);

        let page = whole(root.path(), "a & b/docs", "q=%22%3E%3Cscript%3E");
        assert!(page.contains("<p>0 of 3 shown: "));
        assert!(page.contains("No name here contains “<bdi>&quot;&gt;&lt;script&gt;</bdi>”."));
        assert!(page.contains(r#"value="&quot;&gt;&lt;script&gt;">"#));
        assert!(!page.contains("<script"));
    }

    #[test]
    fn links_are_followed_from_pages_in_the_usual_order_only() {
        let root = tempfile::tempdir().unwrap();
        for (query, is_followed) in [("", true), ("q=a", true), ("order=desc", false)] {
            let page = whole(root.path(), "", query);
            assert_eq!(!page.contains("nofollow"), is_followed, "{query}");
        }
    }

    #[test]
    fn hostile_names_are_shown_and_linked_and_nothing_more() {
        let root = tempfile::tempdir().unwrap();
        let names: [&[u8]; 13] = [
            b"<img src=x onerror=alert(1)>",
            b"\"><script>alert(1)<!--",
            b"&amp;",
            b"new\nline",
            b"javascript:alert(1)",
            b"a:b",
            b"?x",
            b"#y",
            b"%41",
            b"invalid \xff\xc3",
            b"..foo",
            b" leading",
            b"\xe2\x80\xaetxt.exe",
        ];
        let hidden = b"..foo".as_slice();
        for name in names {
            make(&root.path().join(OsStr::from_bytes(name)), 1, 0);
        }
        let page = whole(root.path(), "", "");
        let listed = parsed(root.path(), "format=json");
        let entries = listed["entries"].as_array().unwrap();
        assert_eq!(entries.len(), names.len() - 1, "one begins with a dot");
        for name in names.into_iter().filter(|name| *name != hidden) {
            let href = format!("./{}", crate::site::path::encode(name));
            assert_eq!(
                page.matches(&format!("<a href=\"{href}\"><bdi>")).count(),
                1
            );
            let entry = entries.iter().find(|entry| entry["href"] == *href).unwrap();
            assert_eq!(entry["name"], *String::from_utf8_lossy(name));
        }
        for harm in ["<img", "<script", "<!--", "\"javascript", "new\nline"] {
            assert!(!page.contains(harm), "{harm}");
        }
        for text in ["&amp;amp;<", "new\\x0aline<", "invalid \u{fffd}\u{fffd}<"] {
            assert!(page.contains(text), "{text}");
        }
    }

    #[test]
    fn a_slice_reads_or_renders_no_more_than_its_share() {
        let root = tempfile::tempdir().unwrap();
        let mut names: Vec<_> = (0..3000)
            .map(|at| format!("{:04}", at * 7 % 3000))
            .collect();
        for name in &names {
            fs::write(root.path().join(name), "").unwrap();
        }
        for (query, row) in [("", "<tr><td>"), ("format=json", "{\"name\"")] {
            let slices = slices(listing(root.path(), "", query, (10_000, 256)));
            // 3,002 entries are read, for `.` and `..` are two of them.
            let silent = slices.iter().take_while(|slice| slice.is_empty()).count();
            assert_eq!(silent, 11);
            assert_eq!(slices.len(), silent + 1 + 12);
            let rows = slices.iter().map(|slice| slice.matches(row).count());
            assert!(rows.clone().all(|rows| rows <= 256));
            assert_eq!(rows.sum::<usize>(), 3000);
        }
        let listed: Value = {
            let listing = listing(root.path(), "", "format=json", (2990, 256));
            serde_json::from_str(&slices(listing).concat()).unwrap()
        };
        names.sort();
        let entries = listed["entries"].as_array().unwrap();
        let shown: Vec<_> = entries.iter().map(|entry| &entry["name"]).collect();
        assert_eq!(shown, names[..2990].iter().collect::<Vec<_>>());
        assert_eq!(listed["omitted"], 10);
        let page = slices(listing(root.path(), "", "order=desc", (2999, 256))).concat();
        assert!(page.contains("<p>2,999 of 3,000 shown: 0 directories, 2,999 files, 0 B</p>"));
        assert!(page.contains("1 more entry is not shown."));
        assert!(!page.contains(">0000<") && page.contains(">0001<"));
    }

    #[test]
    fn a_listing_that_has_failed_has_ended() {
        let root = tempfile::tempdir().unwrap();
        make(&root.path().join("file"), 1, 0);
        let mut listing = listing(root.path(), "file", "", (10, 10));
        let mut out = Vec::new();
        assert!(listing.produce(&mut out).is_err());
        assert_eq!(listing.produce(&mut out).unwrap(), Progress::Done);
        assert_eq!(out, b"");
    }
}
