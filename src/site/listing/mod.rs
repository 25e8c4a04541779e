//! Listings: a directory without an index file, as an HTML page or as JSON.
//!
//! A listing is produced while it is sent, a bounded slice at a time, so that a directory of
//! 100,000 entries does not block the loop. The first slices read entries (`reader`) and sort them
//! (`sorted_entries`); the others render them (`page` or `json`) and compress the text.
//! The memory of large listings is counted and bounded ([`BodyMemory`]).
//!
//! Each entry is inserted into a B-tree when it is read, which takes some seventeen comparisons
//! among 100,000. So no slice has to sort them all, and the memory of an entry is free when it has
//! been rendered. A listing that is aborted between reading and rendering frees all entries at
//! once, which takes some ten milliseconds for 100,000.

mod json;
mod page;
mod query;
mod reader;
mod sorted_entries;
mod text;

pub use page::{STYLE, csp};
pub use query::{Format, Query};

use super::body_memory::{BodyMemory, Reservation};
use super::encoder::Encoder;
use super::path::SitePath;
use super::root::Root;
use crate::http::negotiate::Coding;
use crate::http::payload::{Produce, Progress};
use crate::warnings::{Printable, RateLimited};
use query::View;
use reader::Reader;
use sorted_entries::SortedEntries;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// The options of a listing.
#[derive(Clone, Debug)]
pub struct ListingOptions {
    /// Show names that begin with a dot.
    pub hidden: bool,
    /// The most entries that are shown; the page says how many more there are. An entry takes some
    /// 130 bytes of memory until it is rendered.
    pub entries: usize,
    /// Entries read, or rows rendered, in one slice.
    pub slice: usize,
    /// The memory that large listings share.
    pub memory: BodyMemory,
    /// The coding of the text.
    pub coding: Coding,
    /// Link to the stylesheet: a policy may forbid one in the page.
    pub links_style: bool,
}

/// A listing that is being produced.
#[derive(Debug)]
pub struct Listing {
    view: View,
    slice: usize,
    phase: Phase,
    coding: Coding,
    /// Exists from the first rendered slice to the last.
    encoder: Option<Encoder>,
    /// Only for a large listing: one with more than a slice of entries.
    reservation: Option<Reservation>,
}

#[derive(Debug)]
enum Phase {
    Reading(Reader, SortedEntries),
    /// The number of rows that were rendered; `None`: not even the head.
    Rendering(SortedEntries, Option<usize>),
    Ended,
}

/// Starts a listing of `directory`, which is open for reading and which `path` names beneath
/// `root`. Reads the first slice of entries. A small listing is complete then, and always admitted.
///
/// # Errors
/// Those of fdopendir(3) and getdents(2), and `ResourceBusy`: the listing is large, and others hold
/// all the memory that listings may use.
pub fn open(
    directory: File,
    root: Arc<Root>,
    path: SitePath<'_>,
    query: Query,
    options: ListingOptions,
) -> io::Result<Listing> {
    begin(directory, root, path, query, options)
        .inspect_err(|error| warn_failed(path.name(), error))
}

fn begin(
    directory: File,
    root: Arc<Root>,
    path: SitePath<'_>,
    query: Query,
    options: ListingOptions,
) -> io::Result<Listing> {
    let entries = SortedEntries::new(&query, options.entries);
    let reader = Reader::new(directory, root, path, options.hidden)?;
    let mut listing = Listing {
        view: View {
            path: path.name().into(),
            query,
            links_style: options.links_style,
        },
        slice: options.slice.max(1),
        phase: Phase::Ended,
        coding: options.coding,
        encoder: None,
        reservation: None,
    };
    listing.phase = listing.read(reader, entries)?;
    if let Phase::Reading(..) = listing.phase {
        listing.reservation = Some(options.memory.admit()?);
        listing.count_memory()?;
    }
    Ok(listing)
}

/// Warns that a listing was aborted, or not begun.
fn warn_failed(path: &[u8], error: &io::Error) {
    static FAILED: RateLimited = RateLimited::new();
    let path = Printable(path);
    FAILED.warn(format_args!("the listing of /{path} was cut off: {error}"));
}

impl Produce for Listing {
    /// Reads and sorts a slice of entries, and appends nothing; or renders a slice.
    ///
    /// # Errors
    /// The directory cannot be read to its end, or the listings hold too much memory.
    fn produce(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        let result = self.next_slice(out);
        if let Err(error) = &result {
            self.phase = Phase::Ended;
            warn_failed(&self.view.path, error);
        }
        result
    }
}

impl Listing {
    fn next_slice(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Reading(reader, entries) => self.read(reader, entries)?,
            Phase::Rendering(entries, rendered) => self.render_slice(entries, rendered, out)?,
            Phase::Ended => return Ok(Progress::Done),
        };
        self.count_memory()?;
        Ok(match self.phase {
            Phase::Ended => Progress::Done,
            _ => Progress::More,
        })
    }

    /// Records the memory that the listing holds now.
    fn count_memory(&mut self) -> io::Result<()> {
        let held = match &self.phase {
            Phase::Reading(_, entries) | Phase::Rendering(entries, _) => entries.held(),
            Phase::Ended => return Ok(()),
        };
        let encoder = Encoder::memory(self.coding);
        match &mut self.reservation {
            Some(reservation) => reservation.set(held + encoder),
            None => Ok(()),
        }
    }

    fn read(&mut self, mut reader: Reader, mut entries: SortedEntries) -> io::Result<Phase> {
        let filter = self.view.query.filter();
        let progress = reader.read(self.slice, |name, found| entries.add(name, found, filter))?;
        Ok(match progress {
            Progress::More => Phase::Reading(reader, entries),
            Progress::Done => Phase::Rendering(entries, None),
        })
    }

    /// Renders a slice, and compresses it if the client prefers that.
    fn render_slice(
        &mut self,
        entries: SortedEntries,
        rendered: Option<usize>,
        out: &mut Vec<u8>,
    ) -> io::Result<Phase> {
        if self.coding == Coding::Identity {
            return self.render(entries, rendered, out);
        }
        let mut encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => Encoder::new(self.coding, None)?,
        };
        let mut plain = Vec::new();
        let phase = self.render(entries, rendered, &mut plain)?;
        encoder.write(&plain, out)?;
        if let Phase::Ended = phase {
            encoder.finish(out)?;
        } else {
            self.encoder = Some(encoder);
        }
        Ok(phase)
    }

    fn render(
        &self,
        mut entries: SortedEntries,
        rendered: Option<usize>,
        out: &mut Vec<u8>,
    ) -> io::Result<Phase> {
        let is_json = self.view.query.format() == Format::Json;
        if rendered.is_none() {
            match is_json {
                true => json::put_head(&self.view, out)?,
                false => page::put_head(&self.view, entries.counts(), out)?,
            }
        }
        let mut rendered = rendered.unwrap_or(0);
        for _ in 0..self.slice {
            let Some(row) = entries.take_first() else {
                match is_json {
                    true => json::put_tail(entries.counts(), out)?,
                    false => page::put_tail(&self.view, entries.counts(), out)?,
                }
                return Ok(Phase::Ended);
            };
            match is_json {
                true => json::put_row(&row, rendered == 0, out)?,
                false => page::put_row(&row, out)?,
            }
            rendered += 1;
        }
        Ok(Phase::Rendering(entries, Some(rendered)))
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

    fn options(entries: usize, slice: usize) -> ListingOptions {
        ListingOptions {
            hidden: false,
            entries,
            slice,
            memory: BodyMemory::new(usize::MAX),
            coding: Coding::Identity,
            links_style: false,
        }
    }

    fn begin_at(
        root: &Path,
        path: &str,
        query: &str,
        options: ListingOptions,
    ) -> io::Result<Listing> {
        let root = Arc::new(Root::new(root, false).unwrap());
        let path = SitePath::of_name(path.as_bytes());
        let directory = root.open(path).unwrap();
        let query = Query::parse(Some(query.as_bytes()));
        open(directory, root, path, query, options)
    }

    fn listing(root: &Path, path: &str, query: &str, (entries, slice): (usize, usize)) -> Listing {
        begin_at(root, path, query, options(entries, slice)).unwrap()
    }

    fn raw_slices(mut listing: Listing) -> Vec<Vec<u8>> {
        let mut slices = Vec::new();
        loop {
            let mut out = Vec::new();
            let progress = listing.produce(&mut out).unwrap();
            slices.push(out);
            if progress == Progress::Done {
                return slices;
            }
        }
    }

    fn slices(listing: Listing) -> Vec<String> {
        let slices = raw_slices(listing).into_iter();
        slices.map(|it| String::from_utf8(it).unwrap()).collect()
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
    fn a_page_is_the_expected_one() {
        let root = small();
        let style = include_str!("style.css");
        let expected = include_str!("golden/small.html").replace("{style}", style);
        assert_eq!(whole(root.path(), "a & b/docs", ""), expected);
    }

    #[test]
    fn the_json_is_the_expected_one() {
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
        assert!(page.contains(r#"<span aria-current="page">/</span></h1>"#));
        assert!(page.contains("<p>0 directories, 0 files, 0 B</p>"));
        assert!(page.contains("This directory is empty."));
        assert!(!page.contains("../"));
        let nothing = json!({"path": "/", "entries": [], "omitted": 0});
        assert_eq!(parsed(root.path(), "format=json"), nothing);
    }

    #[test]
    fn a_filter_shows_matching_names_and_how_many() {
        let root = small();
        let page = whole(root.path(), "a & b/docs", "q=PART+1&sort=time");
        assert!(page.contains(
            "<p>1 of 3 shown: 0 directories, 1 file, 1.2 kB \
             (<a href=\"?sort=time\">show all</a>)</p>"
        ));
        assert!(
            page.contains(
                r#"value="PART 1"><button name="sort" value="time">Filter</button></div>"#
            )
        );
        assert!(page.contains(
            r#"aria-sort="ascending"><button name="sort" value="-time">Modified</button></th>"#
        ));
        assert!(page.contains(
            "<form action=\"./\"><input type=\"hidden\" name=\"sort\" value=\"time\">\
             <input type=\"hidden\" name=\"q\" value=\"PART 1\"><button name=\"format\""
        ));
        assert_eq!(page.matches("<tr><td>").count(), 1);

        let page = whole(root.path(), "a & b/docs", "q=%22%3E%3Cscript%3E");
        assert!(page.contains("<p>0 of 3 shown: "));
        assert!(page.contains("No name here contains “<bdi>&quot;&gt;&lt;script&gt;</bdi>”."));
        assert!(page.contains(r#"value="&quot;&gt;&lt;script&gt;">"#));
        assert!(!page.contains("<script"));
    }

    #[test]
    fn only_pages_in_the_default_order_may_be_crawled() {
        let root = tempfile::tempdir().unwrap();
        for (query, is_followed) in [("", true), ("q=a", true), ("order=desc", false)] {
            let page = whole(root.path(), "", query);
            assert_eq!(!page.contains("nofollow"), is_followed, "{query}");
        }
    }

    #[test]
    fn hostile_names_are_only_text_and_a_link() {
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
            let href = crate::site::path::encode(name).to_string();
            assert_eq!(page.matches(&format!("<a href=\"{href}\">")).count(), 1);
            let entry = entries.iter().find(|entry| entry["href"] == *href).unwrap();
            assert_eq!(entry["name"], *String::from_utf8_lossy(name));
        }
        for harm in ["<img", "<script", "<!--", "\"javascript:", "new\nline"] {
            assert!(!page.contains(harm), "{harm}");
        }
        for text in ["&amp;amp;<", "new\\x0aline<", "invalid \u{fffd}\u{fffd}<"] {
            assert!(page.contains(text), "{text}");
        }
    }

    #[test]
    fn a_slice_reads_or_renders_a_limited_number_of_entries() {
        let root = tempfile::tempdir().unwrap();
        let mut names: Vec<_> = (0..3000)
            .map(|at| format!("{:04}", at * 7 % 3000))
            .collect();
        for name in &names {
            fs::write(root.path().join(name), "").unwrap();
        }
        for (query, row) in [("", "<tr><td>"), ("format=json", "{\"name\"")] {
            let slices = slices(listing(root.path(), "", query, (10_000, 256)));
            // 3,002 entries with `.` and `..`, the first slice of which is read before the
            // response.
            let silent = slices.iter().take_while(|slice| slice.is_empty()).count();
            assert_eq!(silent, 11);
            assert_eq!(slices.len(), silent + 12);
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
    fn a_listing_ends_when_it_fails() {
        let root = tempfile::tempdir().unwrap();
        make(&root.path().join("file"), 1, 0);
        assert!(begin_at(root.path(), "file", "", options(10, 10)).is_err());
        fill(root.path(), 20);
        let memory = BodyMemory::new(600);
        let options = ListingOptions {
            memory: memory.clone(),
            ..options(1000, 3)
        };
        let mut listing = begin_at(root.path(), "", "", options).unwrap();
        let mut out = Vec::new();
        let error = loop {
            match listing.produce(&mut out) {
                Ok(progress) => assert_eq!(progress, Progress::More),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        assert_eq!(listing.produce(&mut out).unwrap(), Progress::Done);
        assert_eq!(out, b"");
        drop(listing);
        assert_eq!(memory.held(), 0);
    }

    fn fill(root: &Path, files: usize) {
        for at in 0..files {
            fs::write(root.join(format!("file {at}")), "").unwrap();
        }
    }

    #[test]
    fn large_listings_are_refused_without_memory_and_small_ones_are_not() {
        let (root, memory) = (tempfile::tempdir().unwrap(), BodyMemory::new(2000));
        fs::create_dir(root.path().join("large")).unwrap();
        fill(&root.path().join("large"), 20);
        let options = || ListingOptions {
            memory: memory.clone(),
            ..options(1000, 10)
        };
        // Each holds more than 10 times 100 bytes and less than 20 times 200.
        let mut large = vec![begin_at(root.path(), "large", "", options()).unwrap()];
        large[0].produce(&mut Vec::new()).unwrap();
        large[0].produce(&mut Vec::new()).unwrap();
        assert!((1000..4000).contains(&memory.held()), "{}", memory.held());
        let error = loop {
            match begin_at(root.path(), "large", "", options()) {
                Ok(another) => large.push(another),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert!(memory.held() >= 2000 && (2..=3).contains(&large.len()));
        let small = slices(begin_at(root.path(), "", "", options()).unwrap()).concat();
        assert!(small.contains("<a href=\"large/\">large/</a>"));
        let mut first = large.swap_remove(0);
        let before = memory.held();
        while first.produce(&mut Vec::new()).unwrap() == Progress::More {
            assert!(memory.held() < before, "rendered entries hold no memory");
        }
        drop((first, large));
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn a_compressed_listing_is_the_same_page() {
        use std::io::Read;
        let root = tempfile::tempdir().unwrap();
        fill(root.path(), 1000);
        for query in ["", "format=json", "q=7&sort=-size"] {
            let plain = slices(listing(root.path(), "", query, (1000, 64))).concat();
            let options = ListingOptions {
                coding: Coding::Gzip,
                ..options(1000, 64)
            };
            let slices = raw_slices(begin_at(root.path(), "", query, options).unwrap());
            let packed = slices.concat();
            assert!(packed.len() * 2 < plain.len(), "{}", packed.len());
            let mut unpacked = String::new();
            let mut decoder = flate2::read::GzDecoder::new(packed.as_slice());
            decoder.read_to_string(&mut unpacked).unwrap();
            assert_eq!(unpacked, plain);
        }
    }

    /// As in Kodi: an entry is a link whose text is its decoded target.
    #[test]
    fn programs_find_the_entries_and_nothing_else() {
        let root = small();
        let names = [
            "a:b", "?x", "#y", "_z", "-o", "~", " a", "it's", "a;b+c&d", "\u{e9}", "(1)",
        ];
        let docs = root.path().join("a & b/docs");
        for name in names {
            make(&docs.join(name), 1, 0);
        }
        let mut expected: Vec<_> = names.map(str::to_owned).into();
        expected.extend(["images/", "Part 10.txt", "part 9.txt"].map(str::to_owned));
        expected.sort();
        for query in ["", "sort=-size"] {
            let page = whole(root.path(), "a & b/docs", query);
            let mut entries = Vec::new();
            for link in page.split("<a ").skip(1) {
                let (link, _) = link.split_once("</a>").unwrap();
                let link = link.strip_prefix("href=\"").unwrap();
                let (href, text) = link.split_once("\">").unwrap();
                let text = text.replace("&#39;", "'").replace("&amp;", "&");
                let decoded = percent_encoding::percent_decode_str(href);
                if decoded.decode_utf8().unwrap() == text && text != "../" {
                    entries.push(text);
                } else {
                    assert_eq!(href.replace("../", ""), "", "neither an entry nor a parent");
                }
            }
            entries.sort();
            assert_eq!(entries, expected);
        }
    }

    #[test]
    fn the_style_is_in_the_page_or_linked() {
        let root = small();
        let options = ListingOptions {
            links_style: true,
            ..options(100, 100)
        };
        let page = slices(begin_at(root.path(), "", "", options).unwrap()).concat();
        let (_, link) = page
            .split_once("<link rel=\"stylesheet\" href=\"?")
            .unwrap();
        let (query, _) = link.split_once('"').unwrap();
        assert_eq!(Query::parse(Some(query.as_bytes())).format(), Format::Style);
        assert!(!page.contains("<style") && !page.contains(STYLE));
    }
}
