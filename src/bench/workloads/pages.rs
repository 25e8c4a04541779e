//! The files that a server serves in a run, and the expected response to each.
//!
//! Their bytes repeat after a number that does not divide the size of a buffer. So a missing or
//! doubled piece shifts all bytes that follow, and the hash differs.

use crate::bench::load::{HASH_START, Page, hash_on};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Bytes of the small page, for which most workloads ask.
pub const SMALL: u64 = 1024;
/// Bytes of the file for which a slow reader asks.
pub const MIDDLE: u64 = 4 * 1024 * 1024;
/// Bytes of the file for which an elephant asks.
pub const LARGE: u64 = 16 * 1024 * 1024;
/// Bytes of each file that is removed from the page cache, and the number of these files.
pub const COLD: (u64, u32) = (1024 * 1024, 32);

/// The printable characters of ASCII.
const PERIOD: u64 = 95;
/// A longer body is not hashed: that would delay the generator.
const HASHED: u64 = 1024 * 1024;

/// The page of 1 KiB.
pub fn small() -> Page {
    page("/1k.html", SMALL)
}

/// The file of 4 MiB.
pub fn middle() -> Page {
    page("/4m.bin", MIDDLE)
}

/// The file of 16 MiB.
pub fn large() -> Page {
    page("/16m.bin", LARGE)
}

/// The files that are not in the page cache.
pub fn cold() -> Vec<Page> {
    let (length, count) = COLD;
    (0..count)
        .map(|number| page(&format!("/cold/{number}.bin"), length))
        .collect()
}

/// The address that takes CPU time (the server's option `--burn`). The response says how much.
pub fn burn() -> Page {
    Page {
        path: "/burn".to_owned(),
        status: 200,
        length: None,
        hash: None,
    }
}

fn page(path: &str, length: u64) -> Page {
    let hash = (length <= HASHED).then(|| bytes(length).fold(HASH_START, hash_on));
    Page {
        path: path.to_owned(),
        status: 200,
        length: Some(length),
        hash,
    }
}

fn bytes(length: u64) -> impl Iterator<Item = u8> {
    (0..length).map(|at| b' ' + u8::try_from(at % PERIOD).unwrap_or(0))
}

/// Writes the files of these pages into `root`. A page without a length is not a file.
///
/// # Errors
/// The error of the system.
pub fn write<'a>(root: &Path, pages: impl Iterator<Item = &'a Page>) -> io::Result<()> {
    for page in pages {
        let Some(length) = page.length else { continue };
        let path = root.join(page.path.trim_start_matches('/'));
        if path.exists() {
            continue;
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = BufWriter::new(File::create(&path)?);
        for byte in bytes(length) {
            file.write_all(&[byte])?;
        }
        let file = file.into_inner().map_err(|error| error.into_error())?;
        // A page that is not yet on the disk cannot be removed from the page cache.
        file.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::body_hash;

    #[test]
    fn a_file_has_the_length_and_the_hash_of_its_page() {
        let root = tempfile::tempdir().unwrap();
        let pages = [small(), burn(), cold().remove(0)];
        write(root.path(), pages.iter()).unwrap();
        for page in pages.iter().filter(|page| page.length.is_some()) {
            let body = std::fs::read(root.path().join(&page.path[1..])).unwrap();
            assert_eq!(Some(body.len() as u64), page.length);
            assert_eq!(Some(body_hash(&body)), page.hash);
        }
        assert!(!root.path().join("burn").exists());
    }

    #[test]
    fn a_missing_piece_changes_the_bytes() {
        let whole: Vec<u8> = bytes(64 * 1024).collect();
        for size in [512, 1024, 4096, 16 * 1024] {
            assert_ne!(whole[..size], whole[size..2 * size]);
        }
    }
}
