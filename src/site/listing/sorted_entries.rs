//! The entries of a listing, sorted in the order in which they are shown.

use super::query::{Column, Order, Query};
use super::text;
use crate::site::root::Attributes;
use rustix::fs::FileType;
use std::collections::BTreeMap;

/// Entries, sorted as they are added. Beyond a limit the last ones are dropped, so the page does
/// not depend on the order in which the directory was read.
#[derive(Debug)]
pub(super) struct SortedEntries {
    order: Order,
    limit: usize,
    directories: BTreeMap<Key, Facts>,
    files: BTreeMap<Key, Facts>,
    counts: EntryCounts,
    /// Bytes of memory that the entries take.
    held: usize,
}

/// The totals of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EntryCounts {
    /// All entries, whether they match the filter or not.
    pub(super) found: u64,
    /// Directories shown.
    pub(super) directories: u64,
    /// Files shown.
    pub(super) files: u64,
    /// Bytes in the files shown.
    pub(super) bytes: u64,
    /// Entries that match but are not shown because of the limit.
    pub(super) omitted: u64,
}

/// One entry of a listing.
#[derive(Debug)]
pub(super) struct Row {
    key: Key,
    pub(super) is_directory: bool,
    /// Bytes; meaningless for a directory.
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
}

#[derive(Clone, Copy, Debug)]
struct Facts {
    size: u64,
    modified: i64,
}

/// The sort key of an entry: a number, then its name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// The value of the column, such that the smallest comes first; 0 to sort by name only.
    number: u64,
    /// The name to compare, a NUL, and the name itself to order names that differ only in case.
    /// Names contain no NUL, and it is less than any byte: `a` comes before `ab`.
    names: Box<[u8]>,
}

impl SortedEntries {
    /// No entries; at most `limit` are kept.
    pub(super) fn new(query: &Query, limit: usize) -> Self {
        Self {
            order: query.order(),
            limit,
            directories: BTreeMap::new(),
            files: BTreeMap::new(),
            counts: EntryCounts::default(),
            held: 0,
        }
    }

    /// Bytes of memory that the entries take, approximately.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Counts an entry, and keeps it if its name contains `filter` and it is not beyond the limit.
    pub(super) fn add(&mut self, name: &[u8], found: Attributes, filter: &str) {
        self.counts.found += 1;
        let plain = text::without_case(name);
        if !plain.contains(filter) {
            return;
        }
        let facts = Facts {
            size: found.size,
            modified: found.modified,
        };
        let is_directory = found.file_type == FileType::Directory;
        let key = Key::new(&plain, name, number(self.order, is_directory, facts));
        self.held += key.held();
        if is_directory {
            self.directories.insert(key, facts);
            self.counts.directories += 1;
        } else {
            self.files.insert(key, facts);
            self.counts.files += 1;
            self.counts.bytes = self.counts.bytes.saturating_add(facts.size);
        }
        if self.directories.len() + self.files.len() > self.limit {
            self.drop_last();
        }
    }

    /// The totals; taking entries does not change them.
    pub(super) fn counts(&self) -> EntryCounts {
        self.counts
    }

    /// Takes the first entry.
    pub(super) fn take_first(&mut self) -> Option<Row> {
        let is_directory = !self.directories.is_empty();
        let entries = match is_directory {
            true => &mut self.directories,
            false => &mut self.files,
        };
        let (key, facts) = match self.order.is_reversed() {
            true => entries.pop_last(),
            false => entries.pop_first(),
        }?;
        self.held -= key.held();
        Some(Row {
            key,
            is_directory,
            size: facts.size,
            modified: facts.modified,
        })
    }

    fn drop_last(&mut self) {
        let is_directory = self.files.is_empty();
        let entries = match is_directory {
            true => &mut self.directories,
            false => &mut self.files,
        };
        let dropped = match self.order.is_reversed() {
            true => entries.pop_first(),
            false => entries.pop_last(),
        };
        let Some((key, facts)) = dropped else { return };
        self.held -= key.held();
        self.counts.omitted += 1;
        if is_directory {
            self.counts.directories -= 1;
        } else {
            self.counts.files -= 1;
            self.counts.bytes = self.counts.bytes.saturating_sub(facts.size);
        }
    }
}

impl EntryCounts {
    /// Entries shown.
    pub(super) fn shown(self) -> u64 {
        self.directories + self.files
    }
}

impl Row {
    /// The name of the entry in the directory.
    pub(super) fn name(&self) -> &[u8] {
        let names = &self.key.names;
        names.rsplit(|&byte| byte == 0).next().unwrap_or(names)
    }
}

impl Order {
    /// Whether entries are taken from the end. Entries of one size or time are sorted by ascending
    /// names in both orders.
    fn is_reversed(self) -> bool {
        self.by == Column::Name && self.is_descending
    }
}

impl Key {
    fn new(plain: &str, name: &[u8], number: u64) -> Self {
        let mut names = Vec::with_capacity(plain.len() + name.len() + 8);
        put_comparable(plain, &mut names);
        names.push(0);
        names.extend_from_slice(name);
        Self {
            number,
            names: names.into(),
        }
    }

    /// Bytes of memory that an entry with this key takes, with the overhead of the allocator and of
    /// nodes that are not full.
    fn held(&self) -> usize {
        let entry = size_of::<Self>() + size_of::<Facts>();
        entry + entry / 2 + self.names.len() + 16
    }
}

fn number(order: Order, is_directory: bool, facts: Facts) -> u64 {
    let ascending = match order.by {
        Column::Name => return 0,
        Column::Size if is_directory => return 0,
        Column::Size => facts.size,
        // With the sign inverted, times before 1970 come first.
        Column::Time => facts.modified.cast_unsigned() ^ (1 << 63),
    };
    match order.is_descending {
        true => !ascending,
        false => ascending,
    }
}

/// Appends the form of a name whose bytes compare in natural order: `part9` before `part10`. A
/// number becomes a `0`, which sorts it among other characters as a digit, then how many digits it
/// has, then the digits.
fn put_comparable(plain: &str, out: &mut Vec<u8>) {
    let runs = plain
        .as_bytes()
        .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    for run in runs {
        if !run.first().is_some_and(u8::is_ascii_digit) {
            out.extend_from_slice(run);
            continue;
        }
        let zeros = run.iter().take_while(|&&digit| digit == b'0').count();
        let (_, digits) = run.split_at(zeros);
        // Plus one, because NUL separates the names of a key.
        let length = u8::try_from(digits.len() + 1).unwrap_or(u8::MAX);
        out.extend_from_slice(&[b'0', length]);
        out.extend_from_slice(digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Ordering;

    fn file(size: u64, modified: i64) -> Attributes {
        Attributes {
            file_type: FileType::RegularFile,
            size,
            modified,
        }
    }

    fn directory(modified: i64) -> Attributes {
        Attributes {
            file_type: FileType::Directory,
            ..file(4096 + modified.unsigned_abs(), modified)
        }
    }

    fn empty(query: &str, limit: usize) -> SortedEntries {
        SortedEntries::new(&Query::parse(Some(query.as_bytes())), limit)
    }

    fn taken(mut entries: SortedEntries) -> Vec<String> {
        std::iter::from_fn(|| entries.take_first())
            .map(|row| row.name().escape_ascii().to_string())
            .collect()
    }

    fn sorted(query: &str, entries: &[(&str, Attributes)]) -> String {
        let mut sorted = empty(query, 100);
        for (name, attributes) in entries {
            sorted.add(name.as_bytes(), *attributes, "");
        }
        taken(sorted).join(" ")
    }

    #[test]
    fn names_are_sorted_as_people_do() {
        let names = [
            "10", "9", "a", "B", "b", "c", "file10", "file9", "file09", "_", "Z", "a b", "a.b",
            "a0", "a00", "ab", "-",
        ];
        let entries = names.map(|name| (name, file(0, 0)));
        let ascending = sorted("", &entries);
        assert_eq!(
            ascending,
            "- 9 10 _ a a b a.b a0 a00 ab B b c file09 file9 file10 Z"
        );
        let descending = sorted("order=desc", &entries);
        assert_eq!(
            descending,
            "Z file10 file9 file09 c b B ab a00 a0 a.b a b a _ 10 9 -"
        );
    }

    #[test]
    fn directories_come_first_and_ties_are_sorted_by_name() {
        let entries = [
            ("small", file(1, 30)),
            ("d2", directory(20)),
            ("old", file(2, -5)),
            ("also-small", file(1, 10)),
            ("d1", directory(10)),
        ];
        for (query, order) in [
            ("", "d1 d2 also-small old small"),
            ("order=desc", "d2 d1 small old also-small"),
            ("sort=size", "d1 d2 also-small small old"),
            ("sort=size&order=desc", "d1 d2 old also-small small"),
            ("sort=time", "d1 d2 old also-small small"),
            ("sort=time&order=desc", "d2 d1 small also-small old"),
        ] {
            assert_eq!(sorted(query, &entries), order, "{query}");
        }
    }

    #[test]
    fn beyond_the_limit_the_last_ones_are_dropped_and_counted() {
        for (query, kept) in [
            ("", ["d", "a", "b"]),
            ("order=desc", ["d", "c", "b"]),
            ("sort=size&order=desc", ["d", "b", "c"]),
        ] {
            let mut sorted = empty(query, 3);
            for (name, size) in [("c", 4), ("a", 1), ("b", 7)] {
                sorted.add(name.as_bytes(), file(size, 0), "");
            }
            sorted.add(b"d", directory(0), "");
            let counts = sorted.counts();
            assert_eq!((counts.found, counts.shown(), counts.omitted), (4, 3, 1));
            assert_eq!((counts.directories, counts.files), (1, 2));
            let bytes = if query.is_empty() { 8 } else { 11 };
            assert_eq!(counts.bytes, bytes, "{query}");
            assert_eq!(taken(sorted), kept, "{query}");
        }
        let mut sorted = empty("", 0);
        sorted.add(b"d", directory(0), "");
        assert_eq!((sorted.counts().shown(), sorted.counts().omitted), (0, 1));
    }

    #[test]
    fn the_filter_knows_no_case_in_any_language() {
        for (name, filter, matches) in [
            ("README.md", "readme", true),
            ("\u{c9}tude", "\u{e9}t", true),
            ("\u{39f}\u{394}\u{39f}\u{3a3}.txt", "\u{3bf}\u{3c3}.", true),
            ("abc", "ac", false),
            ("a", "ab", false),
        ] {
            let mut sorted = empty("", 10);
            sorted.add(name.as_bytes(), file(0, 0), filter);
            assert_eq!(sorted.counts().found, 1);
            assert_eq!(sorted.counts().shown(), u64::from(matches), "{name}");
        }
        let mut sorted = empty("", 10);
        sorted.add(b"a\xff\xfe", file(0, 0), "a\u{fffd}");
        assert_eq!(taken(sorted), [r"a\xff\xfe"]);
    }

    /// The order in words: runs of digits by their value, everything else byte by byte.
    fn as_people_do(a: &str, b: &str) -> Ordering {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (Some(first_a), Some(first_b)) = (a.bytes().next(), b.bytes().next()) else {
            return a.len().cmp(&b.len());
        };
        match (digits(a), digits(b)) {
            (0, 0) => {
                let order = first_a.cmp(&first_b);
                order.then_with(|| as_people_do(&a[1..], &b[1..]))
            }
            (0, _) => first_a.cmp(&b'0'),
            (_, 0) => b'0'.cmp(&first_b),
            (digits_a, digits_b) => {
                let (number_a, rest_a) = a.split_at(digits_a);
                let (number_b, rest_b) = b.split_at(digits_b);
                let value = |number: &str| number.parse::<u128>().unwrap();
                let order = value(number_a).cmp(&value(number_b));
                order.then_with(|| as_people_do(rest_a, rest_b))
            }
        }
    }

    proptest! {
        #[test]
        fn keys_compare_as_the_order_in_words(
            names in prop::collection::vec("[a-c0-3._A-B]{1,12}", 2..12)
        ) {
            let mut names: Vec<String> = names;
            names.sort();
            names.dedup();
            let mut sorted = empty("", 100);
            for name in &names {
                sorted.add(name.as_bytes(), file(0, 0), "");
            }
            names.sort_by(|a, b| {
                as_people_do(&a.to_lowercase(), &b.to_lowercase()).then_with(|| a.cmp(b))
            });
            prop_assert_eq!(taken(sorted), names);
        }

        #[test]
        fn a_row_knows_its_name_byte_for_byte(
            name in prop::collection::vec(1..=255u8, 1..300)
        ) {
            let mut sorted = empty("", 1);
            sorted.add(&name, file(0, 0), "");
            let row = sorted.take_first().unwrap();
            prop_assert_eq!(row.name(), name);
        }
    }
}
