//! Room `bench`: which files does a server have to serve, and what is the right answer to each?
//!
//! All are made, for the length of a run, from a rule that repeats after a number of bytes that
//! divides no size of a buffer: a piece that is missing or doubled shifts all that follows.

use super::super::load::{HASH_START, Page, hash_on};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Bytes of the small page, which most of the workloads ask for.
pub const SMALL: u64 = 1024;
/// Bytes of the file that a slow reader asks for.
pub const MIDDLE: u64 = 4 * 1024 * 1024;
/// Bytes of the file that takes a server some time to send.
pub const LARGE: u64 = 16 * 1024 * 1024;
/// Bytes of each file that is pushed out of memory, and how many there are.
pub const COLD: (u64, u32) = (1024 * 1024, 32);

/// Letters, digits and what is between them: all that is printed in ASCII.
const PERIOD: u64 = 95;
/// What is longer is not hashed: that would hold up the generator, and all who wait for it.
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

/// The files that are not in memory.
pub fn cold() -> Vec<Page> {
    let (length, count) = COLD;
    (0..count)
        .map(|number| page(&format!("/cold/{number}.bin"), length))
        .collect()
}

/// What takes a processor for a while (the server's option `--burn`); its answer says how long.
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

/// Writes the files of these pages into `root`; those without a length are no files.
///
/// # Errors
/// What the system says.
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
        // What is not on the disk cannot be pushed out of memory.
        file.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::body_hash;

    #[test]
    fn a_file_is_what_its_page_says() {
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
    fn a_piece_that_is_missing_shows() {
        let whole: Vec<u8> = bytes(64 * 1024).collect();
        for size in [512, 1024, 4096, 16 * 1024] {
            assert_ne!(whole[..size], whole[size..2 * size]);
        }
    }
}
