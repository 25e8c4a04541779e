//! A directory to serve: one file of each kind, and hostile names.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

/// The time of all files: Sun, 06 Nov 1994 08:49:37 GMT.
const MODIFIED: Duration = Duration::from_secs(784_111_777);

/// Names of the files in `odd/`.
pub const ODD: [&[u8]; 9] = [
    b"plain.txt",
    b"Part 10",
    b"part 9",
    b"\"><script>alert(1)",
    b"javascript:alert(1)",
    b"a\nb\x1b[31m",
    b"\xff\xfe not UTF-8",
    "\u{202e}gpj.exe".as_bytes(),
    "\u{c4}\u{df}\u{130}".as_bytes(),
];

/// The directory in `odd/`.
pub const ODD_DIRECTORY: &[u8] = b"sub & sub";

pub fn make() -> TempDir {
    let root = TempDir::new().expect("a directory for temporary files");
    let large: Vec<u8> = (0..300).map(|n| b'a' + (n % 26) as u8).collect();
    let put = |name: &[u8], bytes: &[u8]| {
        let path = root.path().join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        age(&path);
    };
    put(b"s", b"small");
    put(b"empty", b"");
    put(b"large", &large);
    put(b"index.html", b"<p>plain</p>");
    put(b"index.html.gz", b"not really gzip");
    put(b"index.html.br", b"nor brotli");
    put(b".hidden", b"x");
    put(b"dir/one", b"1");
    put(b"dir/two", b"22");
    for (index, name) in ODD.into_iter().enumerate() {
        put(&[b"odd/", name].concat(), &vec![b'x'; index]);
    }
    let directory = root
        .path()
        .join("odd")
        .join(OsStr::from_bytes(ODD_DIRECTORY));
    fs::create_dir(&directory).unwrap();
    for path in [directory, root.path().join("dir"), root.path().join("odd")] {
        age(&path);
    }
    root
}

fn age(path: &Path) {
    let file = File::open(path).unwrap();
    file.set_modified(UNIX_EPOCH + MODIFIED).unwrap();
}
