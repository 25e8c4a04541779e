//! Files that change while they are served, and types that are not served.

use crate::client::{Client, StreamEnd, get};
use crate::process::{Launch, eventually, has, site, skipped};
use rustix::fs::{CWD, Mode, mkfifoat};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const MIB: usize = 1024 * 1024;

/// More than all buffers between a server and a client that does not read.
const LARGE: usize = 24 * MIB;

/// Opening a FIFO waits for a writer, opening a terminal for a carrier, and reading /dev/zero never
/// ends; with one thread all connections would wait. Fails if the file type is not checked.
#[test]
fn a_fifo_socket_or_device_is_a_404_and_blocks_no_request() {
    let root = site(&[("small", b"small")]);
    let at = |name: &str| root.path().join(name);
    mkfifoat(CWD, at("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    for device in ["zero", "full", "tty", "stdin", "ptmx"] {
        symlink(Path::new("/dev").join(device), at(device)).unwrap();
    }
    symlink("fifo", at("link-to-fifo")).unwrap();
    let names = [
        "fifo",
        "socket",
        "zero",
        "full",
        "tty",
        "ptmx",
        "link-to-fifo",
    ];
    for args in ["", "--follow-symlinks"] {
        let server = Launch::of(&root).with(args).start();
        let mut other = Client::of(&server);
        let mut client = Client::of(&server);
        for name in names {
            let response = client.fetch(&format!("/{name}"));
            assert_eq!(response.status(), 404, "{name} {args}");
            assert_eq!(other.fetch("/small").body, b"small", "after {name} {args}");
        }
    }
}

/// A program that waits for a reader takes the open for one, writes, and ends by SIGPIPE.
/// inotify(7) reports every open. Fails if a file is opened before its type is known.
#[test]
fn a_fifo_is_never_opened_under_any_name() {
    use rustix::fs::inotify;
    let root = site(&[("page.txt", b"page"), ("dir/page", b"page")]);
    let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
    let events = inotify::init(flags).unwrap();
    for name in [
        "fifo",
        "page.txt.gz",
        "index.html",
        "dir/index.html",
        "404.html",
    ] {
        let fifo = root.path().join(name);
        mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        inotify::add_watch(&events, &fifo, inotify::WatchFlags::OPEN).unwrap();
    }
    symlink("fifo", root.path().join("link")).unwrap();
    symlink(root.path().join("fifo"), root.path().join("absolute")).unwrap();
    for args in ["", "--follow-symlinks", "--spa"] {
        let server = Launch::of(&root).with(args).start();
        let mut client = Client::of(&server);
        for path in [
            "/fifo",
            "/fifo/",
            "/link",
            "/absolute",
            "/",
            "/dir/",
            "/dir/?format=json",
        ] {
            client.send(format!(
                "GET {path} HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n"
            ));
            assert_eq!(client.read_response().status(), 404, "{path} {args}");
        }
        client.send("GET /page.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
        assert_eq!(client.read_response().body, b"page");
    }
    let opened = rustix::io::read(&events, &mut [0; 4096]);
    assert_eq!(opened, Err(rustix::io::Errno::AGAIN), "it was opened");
}

/// Site generators remove the directory first. A cache or a mirror would believe an empty listing.
/// Fails if the server does not notice that the directory is gone.
#[test]
fn a_root_that_is_removed_is_a_404_until_it_is_back() {
    let directory = site(&[("www/page", b"page")]);
    let root = directory.path().join("www");
    let server = Launch::of(&root).start();
    let expect = |status: u16| {
        for path in ["/", "/?format=json", "/page"] {
            let head =
                Client::with_request(&server, format!("GET {path} HTTP/1.0\r\n\r\n")).read_head();
            assert!(
                head.starts_with(&format!("HTTP/1.1 {status} ")),
                "{path}: {head}"
            );
        }
    };
    for _ in 0..2 {
        expect(200);
        fs::remove_dir_all(&root).unwrap();
        expect(404);
        fs::create_dir(&root).unwrap();
        fs::write(root.join("page"), "page").unwrap();
    }
    expect(200);
}

/// The administrator must learn why a file is not served. Clients must not be able to fill the log.
#[test]
fn a_file_without_permission_is_warned_about_once() {
    let root = site(&[("dir/page", b"page")]);
    symlink("/etc/passwd", root.path().join("out")).unwrap();
    symlink("loop", root.path().join("loop")).unwrap();
    symlink("../..", root.path().join("dir/up")).unwrap();
    let server = Launch::of(&root).start();
    let mut client = Client::of(&server);
    for at in 0..100 {
        for name in ["out", "loop", "nothing", "dir/page/nothing"] {
            assert_eq!(client.fetch(&format!("/{name}")).status(), 404);
        }
        assert_eq!(client.fetch(&format!("/dir/up/{at}")).status(), 404);
    }
    let directory = root.path().display();
    let out = format!(
        "answering 404 for {directory}/out: a symbolic link leads out of ROOT, or to nothing (to follow \
         links that lead out: --follow-symlinks)"
    );
    let looped = format!(
        "answering 404 for {directory}/loop: Too many levels of symbolic links (os error 40) (check the \
         symbolic links it leads through)"
    );
    let are_logged = || {
        let messages = server.diagnostics();
        messages.contains(&out) && messages.contains(&looped)
    };
    eventually("both warnings", are_logged);
    let messages = server.diagnostics();
    for text in [&out, &looped] {
        assert_eq!(messages.matches(text).count(), 1, "{text}\n{messages}");
    }
    let count = messages.matches("answering 404").count();
    assert!((3..=20).contains(&count), "{count} lines:\n{messages}");
    assert!(!messages.contains("/nothing"), "{messages}");
}

#[test]
fn a_file_that_the_server_may_not_read_is_a_404() {
    let root = site(&[
        ("small", b"small"),
        ("secret", b"secret"),
        ("indexed/index.html", b"secret"),
        ("searched/index.html", b"index"),
        ("unlisted/page", b"page"),
        ("closed/index.html", b"secret"),
        ("page.txt", b"page"),
        ("page.txt.gz", b"secret"),
    ]);
    for (name, mode) in [
        ("", 0o755),
        ("secret", 0),
        ("indexed/index.html", 0),
        ("searched", 0o711),
        ("unlisted", 0o711),
        ("closed", 0o600),
        ("page.txt.gz", 0),
    ] {
        fs::set_permissions(root.path().join(name), Permissions::from_mode(mode)).unwrap();
    }
    let mut launch = Launch::of(&root);
    if rustix::process::geteuid().is_root() {
        // Root may read every file.
        let program = Path::new(env!("CARGO_BIN_EXE_oneloop"));
        let others = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o001;
        if program.ancestors().any(|path| others(path) == 0) {
            return skipped("another user could not run the program where it lies");
        }
        launch = launch.user(65_534);
    }
    let server = launch.start();
    let mut client = Client::of(&server);
    for (path, status) in [
        ("/secret", 404),
        ("/indexed", 301),
        // No listing instead of it.
        ("/indexed/", 404),
        ("/indexed/?format=json", 404),
        // A directory with search permission only has no listing. Its files are served.
        ("/searched", 301),
        ("/searched/", 200),
        ("/unlisted", 301),
        ("/unlisted/", 404),
        ("/unlisted/page", 200),
        ("/closed/", 404),
        ("/closed/index.html", 404),
        ("/small", 200),
    ] {
        assert_eq!(client.fetch(path).status(), status, "{path}");
    }
    client.send("GET /page.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(client.read_response().body, b"page");
    for name in [
        "secret",
        "indexed/index.html",
        "unlisted",
        "closed/index.html",
        "page.txt.gz",
    ] {
        let directory = root.path().join(name);
        let warning = format!(
            "answering 404 for {}: Permission denied (os error 13) (check the permissions",
            directory.display()
        );
        eventually(name, || server.diagnostics().contains(&warning));
    }
}

/// The length was sent and cannot be kept. The client must not take what follows for the rest of
/// the file. Fails if 0 bytes of a file count as its end.
#[test]
fn a_file_that_shrinks_while_it_is_sent_ends_the_connection() {
    let root = site(&[("small", b"small")]);
    let path = root.path().join("large");
    fs::write(&path, vec![b'l'; LARGE]).unwrap();
    let server = Launch::of(&root).start();
    let mut client = Client::with_request(&server, get("/large") + &get("/small"));
    let head = client.read_head();
    assert!(head.contains(&format!("Content-Length: {LARGE}")), "{head}");
    File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_len(MIB as u64))
        .unwrap();
    let (bytes, end) = client.read_to_end();
    assert!(bytes.len() < LARGE, "{} bytes", bytes.len());
    // sendfile(2) passes the file's pages to the socket, and truncating may overwrite them.
    let is_file = |&byte: &u8| byte == b'l' || byte == 0;
    assert!(bytes.iter().all(is_file), "other bytes");
    assert_eq!(end, StreamEnd::Reset);
    assert_eq!(Client::of(&server).fetch("/small").body, b"small");
    let name = path.canonicalize().unwrap();
    let warning = format!(
        "of {}: the file was truncated while it was sent",
        name.display()
    );
    eventually("a warning", || server.diagnostics().contains(&warning));
}

/// Careful programs replace files by renaming: an open file does not change.
#[test]
fn a_file_replaced_while_it_is_sent_is_sent_unchanged() {
    let root = site(&[("new", b"new")]);
    let path = root.path().join("large");
    fs::write(&path, vec![b'o'; LARGE]).unwrap();
    let server = Launch::of(&root).start();
    // A new connection may be served in the same iteration, and then shares the open file.
    let mut other = Client::of(&server);
    assert_eq!(other.fetch("/new").body, b"new");
    let mut client = Client::with_request(&server, get("/large"));
    while_it_is_sent(&mut client, || {
        fs::rename(root.path().join("new"), &path).unwrap();
        assert_eq!(other.fetch("/large").body, b"new");
    });
    assert_eq!(client.fetch("/large").body, b"new");
}

/// Reads the head, calls `change`, and reads the body: `LARGE` times `o`.
fn while_it_is_sent(client: &mut Client, change: impl FnOnce()) {
    let head = client.read_head();
    assert!(head.contains(&format!("Content-Length: {LARGE}")), "{head}");
    change();
    let mut body = vec![0; LARGE];
    let mut taken = 0;
    while taken < LARGE {
        match client.read(&mut body[taken..]).unwrap() {
            0 => panic!("it ends after {taken} bytes"),
            length => taken += length,
        }
    }
    assert!(body.iter().all(|&byte| byte == b'o'), "other bytes");
}

/// As logs grow. Fails if ranges are sent to the end of the file.
#[test]
fn a_file_that_grows_while_it_is_sent_has_the_length_it_had() {
    let root = site(&[]);
    let path = root.path().join("log");
    fs::write(&path, vec![b'o'; LARGE]).unwrap();
    let server = Launch::of(&root).start();
    let mut client = Client::with_request(&server, get("/log") + &get("/log"));
    while_it_is_sent(&mut client, || {
        let mut log = OpenOptions::new().append(true).open(&path).unwrap();
        log.write_all(b"more").unwrap();
    });
    // The next response is correct, and has the new length.
    let response = client.read_response();
    assert_eq!(response.body.len(), LARGE + 4);
    assert!(response.body.ends_with(b"omore"));
}

/// If timestamps have a resolution of milliseconds (before Linux 6.13), neither date nor size tells
/// these versions apart. Fails if cached bytes are not checked in each iteration, and (two versions
/// share a tag) if `Identity::is_racy` is always false.
#[test]
fn a_small_file_is_never_stale_however_often_it_is_rewritten() {
    a_file_is_never_old(0);
}

/// The same for an open file. Fails if an open file is not checked again.
#[test]
fn a_larger_file_is_never_stale_however_often_it_is_rewritten() {
    a_file_is_never_old(50_000);
}

fn a_file_is_never_old(padding: usize) {
    let root = site(&[]);
    let path = root.path().join("counter");
    let server = Launch::of(&root).start();
    let mut client = Client::of(&server);
    let mut tags = Vec::new();
    for version in 0..200 {
        let bytes = format!("{}version {version:04}", "-".repeat(padding));
        match version % 2 {
            0 => fs::write(&path, &bytes).unwrap(),
            _ => {
                let new = root.path().join("counter.new");
                fs::write(&new, &bytes).unwrap();
                fs::rename(&new, &path).unwrap();
            }
        }
        let response = client.fetch("/counter");
        assert!(response.body == bytes.as_bytes(), "version {version}");
        tags.push(response.field("ETag").unwrap().to_owned());
        if version % 10 < 2 {
            // Old enough to be cached: each way of replacing it meets a cached file, too.
            sleep(Duration::from_millis(30));
        }
        let response = client.fetch("/counter");
        assert!(
            response.body == bytes.as_bytes(),
            "version {version}, again"
        );
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 200, "two versions share a tag");
}

/// Files in /sys have a size of one page and fewer bytes; FUSE file systems may change the
/// timestamps on each read. Fails (503) if bytes count only when the state before and after the
/// read is the same.
#[test]
fn a_file_whose_state_does_not_fit_its_bytes_is_served_all_the_same() {
    let root = Path::new("/sys/class/net/lo");
    let Ok(bytes) = fs::read(root.join("mtu")) else {
        return skipped("there is no /sys");
    };
    let server = Launch::of(root).start();
    let mut client = Client::of(&server);
    for _ in 0..2 {
        let response = client.fetch("/mtu");
        assert_eq!((response.status(), &response.body), (200, &bytes));
    }
}

/// mmap(2) writes update the timestamp once, and then not for half a minute; on tmpfs never. Fails
/// if `Limits::file_cache_lifetime` is an hour.
#[test]
fn bytes_written_through_mmap_are_served_after_some_seconds() {
    if !has("python3") {
        return;
    }
    let root = site(&[("mapped", b"1st")]);
    let path = root.path().join("mapped");
    let write = "import mmap, sys\n\
                 file = open(sys.argv[1], 'r+b')\n\
                 map = mmap.mmap(file.fileno(), 0)\n\
                 for line in sys.stdin:\n \
                 map[:] = line.encode()[:3]; print(flush=True)\n";
    let mut writer = Command::new("python3")
        .args(["-c", write])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(writer.stdout.take().unwrap());
    let mut maps = |bytes: &str| {
        writeln!(writer.stdin.as_ref().unwrap(), "{bytes}").unwrap();
        stdout.read_line(&mut String::new()).unwrap();
        // Old enough to be cached.
        sleep(Duration::from_millis(1100));
    };
    let server = Launch::of(&root).start();
    let mut client = Client::of(&server);
    let mut tags = Vec::new();
    for bytes in ["2nd", "3rd", "4th"] {
        maps(bytes);
        eventually(bytes, || client.fetch("/mapped").body == bytes.as_bytes());
        tags.push(client.fetch("/mapped").field("ETag").unwrap().to_owned());
    }
    tags.dedup();
    assert_eq!(tags.len(), 3, "two versions share a tag");
    drop(writer.stdin.take());
    writer.wait().unwrap();
}

/// Site generators remove and recreate the directory, and deployments switch a symlink to the next
/// release. Fails if the root is opened only once.
#[test]
fn a_root_that_is_replaced_is_opened_again() {
    let directory = site(&[]);
    let (root, next) = (directory.path().join("www"), directory.path().join("next"));
    let make = |path: &Path, text: &str| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("page"), text).unwrap();
        fs::write(path.join("large"), text.repeat(MIB)).unwrap();
    };
    make(&root, "1");
    let server = Launch::of(&root).start();
    let mut client = Client::of(&server);
    let mut expect = |text: &str| {
        assert_eq!(client.fetch("/page").body, text.as_bytes());
        assert!(client.fetch("/large").body == text.repeat(MIB).as_bytes());
    };
    expect("1");
    sleep(Duration::from_millis(50));
    // Cached by now.
    expect("1");
    fs::remove_dir_all(&root).unwrap();
    make(&root, "2");
    expect("2");
    make(&next, "3");
    fs::remove_dir_all(&root).unwrap();
    symlink(&next, &root).unwrap();
    expect("3");
    drop(server);

    let server = Launch::of(&root).start();
    let mut client = Client::of(&server);
    assert_eq!(client.fetch("/page").body, b"3");
    let release = directory.path().join("release");
    make(&release, "4");
    symlink(&release, directory.path().join("link")).unwrap();
    fs::rename(directory.path().join("link"), &root).unwrap();
    assert_eq!(client.fetch("/page").body, b"4");
}

/// The fields describe the file that was opened. Fails if its attributes are read by its name,
/// which does not exist here.
#[test]
fn a_root_that_is_moved_away_is_still_served() {
    let directory = site(&[]);
    let root = directory.path().join("www");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("page"), "page").unwrap();
    fs::write(root.join("large"), "large".repeat(MIB)).unwrap();
    let server = Launch::of(&root).start();
    let mut client = Client::of(&server);
    fs::rename(&root, directory.path().join("elsewhere")).unwrap();
    for _ in 0..2 {
        assert_eq!(client.fetch("/page").body, b"page");
        assert!(client.fetch("/large").body == "large".repeat(MIB).as_bytes());
    }
}

/// Fails if the timestamps of a file and its sibling are not compared.
#[test]
fn a_sibling_older_than_its_file_is_not_sent() {
    let root = site(&[("page.html", b"new"), ("page.html.gz", b"packed")]);
    let path = |name: &str| root.path().join(name);
    let set = |name: &str, second: u64| {
        let time = std::time::UNIX_EPOCH + Duration::from_secs(second);
        let file = File::options().append(true).open(path(name)).unwrap();
        file.set_modified(time).unwrap();
    };
    let server = Launch::of(&root).start();
    let mut client = Client::of(&server);
    for (page, sibling, expected) in [(20, 20, "packed"), (20, 30, "packed"), (21, 20, "new")] {
        set("page.html", page);
        set("page.html.gz", sibling);
        client.send("GET /page.html HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n");
        assert_eq!(
            client.read_response().body,
            expected.as_bytes(),
            "{page} {sibling}"
        );
    }
}
