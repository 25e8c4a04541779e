//! The directories that are served. The time of every file is Sun, 06 Nov 1994 08:49:37 GMT, so
//! that the validators are known.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time of all files, as an HTTP date.
pub const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const MODIFIED_SECONDS: u64 = 784_111_777;

pub const DIGITS: &str = "0123456789";

/// Longer than the inline body limit, so that the file itself is sent.
pub const BIG_LINES: usize = 10_000;

/// Numbered lines of ten bytes: the byte at 470 begins the line `000000047`.
pub fn numbered(lines: usize) -> String {
    (0..lines).map(|line| format!("{line:09}\n")).collect()
}

/// The entity-tag of a file with this content.
pub fn tag(content: &[u8]) -> String {
    format!("\"{:016x}\"", twox_hash::XxHash3_64::oneshot(content))
}

/// A tree that is removed when the test is done.
pub struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    /// With these files.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let tree = Self { dir };
        fs::create_dir(tree.root()).expect("a fresh directory");
        for (name, content) in files {
            tree.write(name.as_bytes(), content.as_bytes());
        }
        tree
    }

    /// The directory to serve. No client may reach its parent.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Writes a file, and the directories it needs.
    pub fn write(&self, name: &[u8], content: &[u8]) {
        self.write_at(name, content, Duration::from_secs(MODIFIED_SECONDS));
    }

    pub fn write_at(&self, name: &[u8], content: &[u8], since_1970: Duration) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("the root, at least")).expect("directories");
        fs::write(&path, content).expect("a file");
        set_modified(&path, UNIX_EPOCH + since_1970);
    }

    /// The time at which the inode of a file changed, in nanoseconds after 1970.
    pub fn changed(&self, name: &str) -> i64 {
        let about = fs::metadata(self.path(name.as_bytes())).expect("our own file");
        about.ctime() * 1_000_000_000 + about.ctime_nsec()
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        self.root().join(OsStr::from_bytes(name))
    }

    pub fn fifo(&self, name: &str) {
        use rustix::fs::{CWD, Mode};
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mkfifoat(CWD, self.path(name.as_bytes()), mode).expect("a FIFO");
    }

    pub fn link(&self, name: &str, target: impl AsRef<Path>) {
        symlink(target, self.path(name.as_bytes())).expect("a symlink");
    }
}

fn set_modified(path: &Path, time: SystemTime) {
    let file = File::options().append(true).open(path).expect("our file");
    file.set_modified(time).expect("our own file's time");
}

/// The tree of most rows.
pub fn everything() -> Tree {
    let tree = Tree::of(&[
        ("alive", "yes"),
        ("index.html", "<h1>home</h1>"),
        ("hello.txt", "hello"),
        ("digits.txt", DIGITS),
        ("long.txt", &numbered(100)),
        ("big.txt", &numbered(BIG_LINES)),
        ("empty.txt", ""),
        ("dir/inner.txt", "inner"),
        ("indexed/index.html", "<h1>index</h1>"),
        ("outer/inner/file.txt", "deep"),
        ("evil.com/file.txt", "not evil"),
        ("\\evil.com/file.txt", "not evil"),
        ("sub dir/file.txt", "in a sub dir"),
        ("ab:c/file.txt", "behind a colon"),
    ]);
    fs::create_dir(tree.path(b"bare")).expect("a directory without entries");
    add_types(&tree);
    add_names(&tree);
    add_hidden(&tree);
    add_encoded(&tree);
    add_links(&tree);
    add_strange(&tree);
    tree
}

fn add_types(tree: &Tree) {
    for name in [
        "page.html",
        "style.css",
        "script.js",
        "module.mjs",
        "data.json",
        "image.svg",
        "photo.png",
        "font.woff2",
        "code.wasm",
        "notes.md",
        "program.rs",
        "README",
        "archive.tar.gz",
        "thing.xyzzy",
        "UPPER.HTML",
    ] {
        tree.write(format!("types/{name}").as_bytes(), b"typed");
    }
    let precise = Duration::new(MODIFIED_SECONDS, 123_456_789);
    tree.write_at(b"precise.txt", b"precise", precise);
    let big = numbered(BIG_LINES);
    tree.write_at(b"precise-big.txt", big.as_bytes(), precise);
}

fn add_names(tree: &Tree) {
    for name in [
        "a b.txt",
        "a+b.txt",
        "a..b.txt",
        "....txt",
        "100%.txt",
        "%61.txt",
        "what?.txt",
        "#1.txt",
        "a&b;c=d.txt",
        "a:b.txt",
        "<b>.txt",
        "back\\slash.txt",
        "\u{fc}ber.txt",
        "\u{65e5}\u{672c}.txt",
        "\u{fc}/inner.txt",
    ] {
        tree.write(name.as_bytes(), b"named");
    }
    tree.write(b"latin-\xe9.txt", b"named");
    tree.write(longest_name().as_bytes(), b"named");
}

/// 255 bytes, the maximum of file systems.
pub fn longest_name() -> String {
    format!("{}.txt", "n".repeat(251))
}

fn add_hidden(tree: &Tree) {
    for name in [
        ".env",
        ".git/config",
        "dir/.inner",
        ".well-known/security.txt",
        ".well-known/.inner",
        "dir/.well-known/file.txt",
    ] {
        tree.write(name.as_bytes(), b"hidden");
    }
}

/// The content is not compressed: the server uses only the names.
fn add_encoded(tree: &Tree) {
    for (name, content) in [
        ("packed.js", "identity"),
        ("packed.js.br", "brotli!"),
        ("packed.js.zst", "zstandard"),
        ("packed.js.gz", "gzip"),
        ("style.css", "plain style"),
        ("style.css.gz", "gzipped style"),
        ("photo.png", "png"),
        ("photo.png.gz", "gzipped png"),
        ("only.txt.gz", "gzipped only"),
        ("packed/index.html", "plain index"),
        ("packed/index.html.br", "packed index"),
        ("both/file.txt", "plain"),
    ] {
        tree.write(name.as_bytes(), content.as_bytes());
    }
    fs::create_dir(tree.path(b"both/file.txt.gz")).expect("a directory in a sibling's place");
}

fn add_links(tree: &Tree) {
    tree.write(b"../secret.txt", b"secret");
    tree.write(b"../outside/file.txt", b"outside");
    tree.link("link.txt", "hello.txt");
    tree.link("link-to-link.txt", "link.txt");
    tree.link("dir/up.txt", "../hello.txt");
    tree.link("link-to-dir", "dir");
    tree.link("out.txt", "../secret.txt");
    tree.link("out-by-name.txt", tree.root().join("../secret.txt"));
    tree.link("in-by-name.txt", tree.root().join("hello.txt"));
    tree.link("out", "../outside");
    tree.link("out-and-in.txt", "../root/hello.txt");
    tree.link("out-and-in", "../root/dir");
    tree.link("to-root", tree.root());
    tree.link("nothing-by-name.txt", tree.root().join("nothing"));
    // Its target is `root2`.
    tree.write(b"../root2/file.txt", b"beside");
    tree.link("beside.txt", "../root2/file.txt");
    tree.link("dangling.txt", "nothing.txt");
    tree.link("loop.txt", "loop.txt");
}

fn add_strange(tree: &Tree) {
    tree.fifo("fifo.txt");
    tree.link("link-to-fifo.txt", "fifo.txt");
    UnixListener::bind(tree.path(b"socket.txt")).expect("a socket");
}
