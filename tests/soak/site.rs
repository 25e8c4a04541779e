//! The files that do not change. They are old, so that their responses never change.

use crate::random::content;
use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// More than the buffers of a connection can hold (net.ipv4.tcp_wmem).
pub const LARGE: usize = 12 << 20;
/// A slow reader receives it in a second or two.
pub const MEDIUM: usize = 3 << 20;

/// Names and lengths: empty, around the inline body limit, and large.
pub const FILES: [(&str, usize); 11] = [
    ("index.html", 700),
    ("nothing.txt", 0),
    ("byte.txt", 1),
    ("small.txt", 120),
    ("page.css", 5000),
    ("page.css.gz", 1700),
    ("inline.bin", 16 * 1024),
    ("not-inline.bin", 16 * 1024 + 1),
    ("picture.png", 250_000),
    ("medium.bin", MEDIUM),
    ("large.bin", LARGE),
];

/// Entries of the directory that is listed: a few slices of work.
pub const ENTRIES: usize = 700;

/// Writes them, and the directories of those that change.
pub fn build(root: &Path) {
    for (name, length) in FILES {
        put(&root.join(name), &content(name, 0, length));
    }
    fs::create_dir(root.join("many")).unwrap();
    for entry in 0..ENTRIES {
        put(&root.join(format!("many/entry-{entry:04}.txt")), b"");
    }
    date(&root.join("many"));
    fs::create_dir(root.join("changing")).unwrap();
    fs::create_dir(root.join("cut")).unwrap();
}

fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    date(path);
}

/// Sets its time to 2020.
fn date(path: &Path) {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_millis(1_600_000_000_123);
    let file = File::open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(long_ago))
        .unwrap();
}
