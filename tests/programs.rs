//! Tests with other programs that use a web server: clients, proxies and log tools. A test whose
//! program is not installed prints a line and passes.
#![cfg(target_os = "linux")]

#[path = "support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;

use process::{Launch, Server, eventually, has, site};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// Bytes without a pattern.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// Runs a program without the proxy settings of the environment, and asserts that it succeeds.
#[track_caller]
fn run(program: &str, args: &[&str], place: &Path) -> Output {
    let output = Command::new(program)
        .args(args)
        .current_dir(place)
        .env("HOME", place)
        .envs([("no_proxy", "*"), ("NO_PROXY", "*")])
        .envs([("GIT_CONFIG_NOSYSTEM", "1"), ("LC_ALL", "C")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "{program} {args:?}: {}\n{stdout}\n{stderr}",
        output.status
    );
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs curl with a timeout of a minute. Returns its output.
#[track_caller]
fn curl(args: &[&str], place: &Path) -> Vec<u8> {
    let always = ["-sS", "--max-time", "60", "--noproxy", "*"];
    run("curl", &[&always, args].concat(), place).stdout
}

fn place() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn curl_gets_a_file_a_head_a_range_and_the_rest() {
    if !has("curl") {
        return;
    }
    let bytes = noise(300_000);
    let root = site(&[("noise.bin", &bytes)]);
    let server = Launch::of(&root).start();
    let (place, url) = (place(), server.url("/noise.bin"));
    let at = place.path();

    assert!(curl(&["--fail", &url], at) == bytes, "other bytes");
    assert!(curl(&["--fail", "--http1.0", &url], at) == bytes, "1.0");
    let head = text(&curl(&["-I", &url], at));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Length: 300000\r\n"), "{head}");
    assert_eq!(curl(&["-r", "1000-1999", &url], at), bytes[1000..2000]);
    assert_eq!(curl(&["-r", "-10", &url], at), bytes[299_990..]);

    fs::write(at.join("noise.bin"), &bytes[..123_456]).unwrap();
    curl(&["--fail", "-C", "-", "-O", &url], at);
    assert!(fs::read(at.join("noise.bin")).unwrap() == bytes, "resumed");

    // Several on one connection.
    let twice = curl(&["--fail", "-w", "%{num_connects} ", &url, &url], at);
    assert!(twice.ends_with(b"0 "), "the second needed a new connection");
}

#[test]
fn curl_compressed_gets_the_sibling_and_unpacks_it() {
    if !has("curl") || !has("gzip") {
        return;
    }
    let page = "a line like every other\n".repeat(2000);
    let root = site(&[("page.txt", page.as_bytes())]);
    run("gzip", &["-k", "page.txt"], root.path());
    let server = Launch::of(&root).start();
    let (place, url) = (place(), server.url("/page.txt"));

    let plain = curl(&["--fail", &url], place.path());
    assert!(plain == page.as_bytes(), "plain");
    let asked = ["--fail", "--compressed", "-D", "head", &url];
    let unpacked = curl(&asked, place.path());
    assert!(unpacked == page.as_bytes(), "unpacked");
    let head = fs::read_to_string(place.path().join("head")).unwrap();
    assert!(head.contains("Content-Encoding: gzip\r\n"), "{head}");
    assert!(head.contains("Vary: Accept-Encoding\r\n"), "{head}");
}

/// The first response is compressed while it is sent, and the second is from the cache.
#[test]
fn the_programs_of_each_coding_unpack_what_the_server_compresses() {
    let decoders = [("br", "brotli"), ("zstd", "zstd"), ("gzip", "gzip")];
    if !has("curl") || !decoders.iter().all(|(_, program)| has(program)) {
        return;
    }
    let page: String = (0..20_000)
        .map(|line| format!("this is line {line}\n"))
        .collect();
    let root = site(&[("page.txt", page.as_bytes())]);
    let many = root.path().join("many");
    fs::create_dir(&many).unwrap();
    for at in 0..20_000 {
        fs::write(many.join(format!("photo {at}.jpg")), "").unwrap();
    }
    let server = Launch::of(&root).arg("--compress").start();
    let (place, page_url, many_url) = (place(), server.url("/page.txt"), server.url("/many/"));
    let at = place.path();
    let listing = curl(&["--fail", &many_url], at);
    for (coding, program) in decoders {
        let field = format!("Accept-Encoding: {coding}");
        for (url, plain) in [
            (&page_url, page.as_bytes()),
            (&page_url, page.as_bytes()),
            (&many_url, &listing),
        ] {
            let asked = ["--fail", "-H", &field, "-D", "head", "-o", "packed", url];
            curl(&asked, at);
            let head = fs::read_to_string(at.join("head")).unwrap();
            let line = format!("Content-Encoding: {coding}\r\n");
            assert!(head.contains(&line), "{head}");
            let packed = fs::metadata(at.join("packed")).unwrap().len();
            assert!(packed < 300_000, "{coding}: {packed} bytes");
            fs::rename(at.join("packed"), at.join("packed.gz")).unwrap();
            let unpacked = run(program, &["-dc", "packed.gz"], at).stdout;
            assert!(unpacked == plain, "{coding}: other bytes");
        }
    }
    let unpacked = curl(&["--fail", "--compressed", &page_url], at);
    assert!(unpacked == page.as_bytes());
}

/// curl sends `Expect: 100-continue` before a large body, and gets the final response.
#[test]
fn curl_gets_a_405_for_an_upload() {
    if !has("curl") {
        return;
    }
    let root = site(&[]);
    let server = Launch::of(&root).start();
    let (place, url) = (place(), server.url("/new"));
    fs::write(place.path().join("upload"), noise(10 << 20)).unwrap();
    for expect in ["Expect: 100-continue", "Expect:"] {
        let args = ["-T", "upload", "-H", expect, "-o", "response"];
        let status = ["-w", "%{http_code}", &url];
        let code = curl(&[&args[..], &status[..]].concat(), place.path());
        assert_eq!(text(&code), "405", "{expect}");
        assert!(!fs::read(place.path().join("response")).unwrap().is_empty());
    }
    assert!(!root.path().join("new").exists());
}

#[test]
fn curl_connects_through_a_unix_socket() {
    if !has("curl") {
        return;
    }
    let root = site(&[("small", b"small")]);
    let place = place();
    let _server = Launch::of(&root)
        .without_port()
        .arg("-b")
        .arg(format!("unix:{}/socket", place.path().display()))
        .start();
    let args = ["--fail", "--unix-socket", "socket", "http://any/small"];
    assert_eq!(curl(&args, place.path()), b"small");
}

/// Names with spaces, percent signs and letters of other languages, in several levels.
#[test]
fn wget_copies_a_tree_by_its_listings() {
    if !has("wget") {
        return;
    }
    let files: [(&str, &[u8]); 6] = [
        ("top.txt", b"top"),
        ("a/one.txt", b"one"),
        ("a/b/two.txt", b"two"),
        ("a/b/with blank.txt", b"blank"),
        ("a/b/50% & more?.txt", b"percent"),
        ("ü/größe.txt", b"umlaut"),
    ];
    let root = site(&files);
    let server = Launch::of(&root).start();
    let place = place();
    run(
        "wget",
        &[
            "-r",
            "-nv",
            "-nH",
            "-np",
            "-e",
            "robots=off",
            "--restrict-file-names=nocontrol",
            "--tries=1",
            "--timeout=30",
            &server.url("/"),
        ],
        place.path(),
    );
    for (name, bytes) in files {
        let copy = fs::read(place.path().join(name));
        assert_eq!(copy.ok().as_deref(), Some(bytes), "{name}");
    }
    // The files, and one page for each directory.
    let found = run("find", &[".", "-type", "f"], place.path()).stdout;
    assert_eq!(text(&found).lines().count(), files.len() + 4);
}

/// Each parses the page in its own way. Fails if the names begin with `./`, and for httpdirfs also
/// if a link contains an element.
#[test]
fn rclone_lftp_and_httpdirfs_find_the_entries_of_a_listing() {
    let files: [(&str, &[u8]); 6] = [
        ("top.txt", b"top"),
        ("a/one.txt", b"one"),
        ("a/with blank.txt", b"blank"),
        ("a/50% & more?.txt", b"percent"),
        ("a/it's (1) [x] #2;.txt", b"marks"),
        ("ü/größe.txt", b"umlaut"),
    ];
    let root = site(&files);
    let server = Launch::of(&root).start();
    let place = place();
    let url = server.url("/");
    let is_whole = |copy: &Path, program: &str| {
        for (name, bytes) in files {
            let copy = fs::read(copy.join(name));
            assert_eq!(copy.ok().as_deref(), Some(bytes), "{program}: {name}");
        }
        let found = run("find", &[".", "-type", "f"], copy).stdout;
        assert_eq!(text(&found).lines().count(), files.len(), "{program}");
    };
    if has("rclone") {
        let args = [
            "copy",
            "-q",
            "--config",
            "/dev/null",
            "--http-url",
            &url,
            ":http:",
            "rclone",
        ];
        run("rclone", &args, place.path());
        is_whole(&place.path().join("rclone"), "rclone");
    }
    if has("lftp") {
        let script = format!("set xfer:log no; open {url}; mirror . lftp");
        run("lftp", &["--norc", "-c", &script], place.path());
        is_whole(&place.path().join("lftp"), "lftp");
    }
    if has("httpdirfs") && Path::new("/dev/fuse").exists() {
        let mount = place.path().join("httpdirfs");
        fs::create_dir(&mount).unwrap();
        let mount = mount.to_str().unwrap();
        run("httpdirfs", &[&url, mount], place.path());
        let result = std::panic::catch_unwind(|| is_whole(Path::new(mount), "httpdirfs"));
        run("fusermount", &["-u", mount], place.path());
        result.unwrap();
    }
}

/// The dumb protocol: a repository is a tree of files, one of which lists the others.
#[test]
fn git_clones_a_repository_in_the_root() {
    if !has("git") {
        return;
    }
    let (work, root) = (place(), place());
    let git = |args: &[&str], place: &Path| run("git", args, place);
    let me = ["-c", "user.name=me", "-c", "user.email=me@example.org"];
    let at = work.path();
    git(&["init", "-q", "-b", "main"], at);
    for commit in 0..5 {
        fs::write(at.join("file.bin"), noise(100_000 + commit)).unwrap();
        git(&["add", "."], at);
        let message = format!("commit {commit}");
        git(&[&me[..], &["commit", "-q", "-m", &message]].concat(), at);
    }
    let bare = root.path().join("project.git");
    let bare_text = bare.to_str().unwrap();
    git(
        &["clone", "-q", "--bare", at.to_str().unwrap(), bare_text],
        at,
    );
    git(&["update-server-info"], &bare);

    let server = Launch::of(&root).start();
    let place = place();
    let url = server.url("/project.git");
    git(&["clone", "-q", &url, "copy"], place.path());
    let copy = place.path().join("copy");
    assert_eq!(fs::read(copy.join("file.bin")).unwrap(), noise(100_004));
    let log = git(&["log", "--format=%s"], &copy);
    assert_eq!(text(&log.stdout).lines().count(), 5);
    git(&["fsck", "--strict"], &copy);
}

/// Eight connections, each with ranges of its own.
#[test]
fn aria2c_joins_ranges_from_eight_connections() {
    if !has("aria2c") {
        return;
    }
    let bytes = noise(20 << 20);
    let root = site(&[("large.bin", &bytes)]);
    let server = Launch::of(&root).start();
    let place = place();
    run(
        "aria2c",
        &[
            "-q",
            "-x8",
            "-s8",
            "-k1M",
            "--no-conf",
            "--allow-overwrite=true",
            "--file-allocation=none",
            &server.url("/large.bin"),
        ],
        place.path(),
    );
    let copy = fs::read(place.path().join("large.bin")).unwrap();
    assert!(copy == bytes, "other bytes");
}

/// nginx, until it is dropped.
struct Nginx {
    child: Child,
    port: u16,
    _place: TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Nginx {
    /// A proxy for the server, with persistent connections. One process, so that killing it leaves
    /// none.
    fn before(server: &Server) -> Self {
        let place = place();
        let at = place.path().display();
        // Free now, and almost certainly in a moment.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let upstream = server.address();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;
            events {{ worker_connections 64; }}
            http {{
                access_log off;
                client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;
                fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi;
                scgi_temp_path {at}/scgi;
                upstream oneloop {{ server {upstream}; keepalive 4; }}
                server {{
                    listen 127.0.0.1:{port};
                    location / {{
                        proxy_pass http://oneloop;
                        proxy_http_version 1.1;
                        proxy_set_header Connection \"\";
                    }}
                }}
            }}"
        );
        let path = place.path().join("nginx.conf");
        fs::write(&path, config).unwrap();
        let child = Command::new("nginx")
            .arg("-p")
            .arg(place.path())
            .arg("-c")
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("nginx listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self {
            child,
            port,
            _place: place,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

#[test]
fn behind_nginx_responses_are_unchanged() {
    if !has("curl") || !has("nginx") {
        return;
    }
    let bytes = noise(3 << 20);
    let root = site(&[("large.bin", &bytes), ("dir/index.html", b"<p>hello")]);
    let server = Launch::of(&root).start();
    let nginx = Nginx::before(&server);
    let place = place();
    let at = place.path();
    let large = nginx.url("/large.bin");

    assert!(curl(&["--fail", &large], at) == bytes, "other bytes");
    let part = curl(&["--fail", "-r", "1000000-1999999", &large], at);
    assert!(part == bytes[1_000_000..2_000_000], "other part");
    let head = text(&curl(&["-I", &large], at));
    assert!(head.contains("Content-Length: 3145728\r\n"), "{head}");

    // The redirect names no host, so it is right for every client.
    let status = "%{http_code} %{redirect_url}";
    let moved = curl(&["-o", "page", "-w", status, &nginx.url("/dir")], at);
    assert_eq!(text(&moved), format!("301 {}", nginx.url("/dir/")));
    assert_eq!(curl(&["-L", &nginx.url("/dir")], at), b"<p>hello");

    let fields = curl(&["-I", &nginx.url("/dir/")], at);
    let fields = text(&fields);
    let etag = fields.lines().find(|line| line.starts_with("ETag: "));
    let etag = etag.expect(&fields).replace("ETag", "If-None-Match");
    let code = ["-o", "page", "-w", "%{http_code}", "-H"];
    let page = nginx.url("/dir/");
    let again = [&code[..], &[etag.as_str(), &page]].concat();
    assert_eq!(text(&curl(&again, at)), "304");

    for _ in 0..50 {
        assert_eq!(curl(&["--fail", &nginx.url("/dir/")], at), b"<p>hello");
    }
    assert_eq!(
        text(&curl(
            &["-T", "page", "-o", "response", "-w", "%{http_code}", &large],
            at
        )),
        "405"
    );
}

#[test]
fn wrk_finds_no_error_in_a_burst() {
    if !has("wrk") {
        return;
    }
    let (small, large) = (noise(1000), noise(200_000));
    let root = site(&[("small", &small), ("large", &large)]);
    let server = Launch::of(&root).start();
    for path in ["/small", "/large"] {
        let args = ["-t1", "-c64", "-d1s", &server.url(path)];
        let report = text(&run("wrk", &args, root.path()).stdout);
        assert!(report.contains("requests in"), "{report}");
        for trouble in ["Socket errors", "Non-2xx"] {
            assert!(!report.contains(trouble), "{report}");
        }
    }
}

/// ab uses HTTP/1.0, with and without keep-alive, and compares the lengths.
#[test]
fn ab_finds_no_error_in_a_burst() {
    if !has("ab") {
        return;
    }
    let root = site(&[("small", &noise(1000))]);
    let server = Launch::of(&root).start();
    for keep in [None, Some("-k")] {
        let url = server.url("/small");
        let mut args = vec!["-q", "-n2000", "-c32"];
        args.extend(keep);
        args.push(&url);
        let report = text(&run("ab", &args, root.path()).stdout);
        let line = |name: &str| {
            let mut lines = report.lines().filter_map(|line| line.strip_prefix(name));
            lines.next().map(|number| number.trim().to_owned())
        };
        assert_eq!(line("Complete requests:").as_deref(), Some("2000"));
        assert_eq!(line("Failed requests:").as_deref(), Some("0"), "{report}");
        assert_eq!(line("Non-2xx responses:"), None, "{report}");
        let kept = line("Keep-Alive requests:").unwrap_or("0".to_owned());
        assert_eq!(kept, if keep.is_some() { "2000" } else { "0" }, "{report}");
    }
}

/// The text after `before` in docs/access-log.md, to the end of its block.
fn recipe(before: &str) -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access-log.md"));
    let page = page.unwrap();
    let (_, after) = page.split_once(before).expect(before);
    let (_, block) = after.split_once("```sh\n").expect(before);
    block.split_once("```").expect(before).0.to_owned()
}

/// The commands are those of docs/access-log.md. goaccess accepts only addresses as hosts. Fails
/// if the client of a unix socket is logged as `unix:` or `-`.
#[test]
fn goaccess_reads_the_log_of_a_unix_socket_in_both_forms() {
    if !has("goaccess") || !has("curl") {
        return;
    }
    for (format, before) in [("combined", "on `combined`:"), ("json", "on `json`:")] {
        let root = site(&[("a.txt", b"a")]);
        let place = place();
        let at = place.path();
        let socket = at.join("socket");
        let launch = Launch::of(&root).without_port().with("--log-format");
        let launch = launch
            .arg(format)
            .arg("--log-file")
            .arg(at.join("access.log"));
        let bind = format!("unix:{}", socket.display());
        let mut server = launch.arg("--bind").arg(bind).start();
        for name in ["a.txt", "missing", "a.txt?q=%22"] {
            let url = format!("http://localhost/{name}");
            curl(&["--unix-socket", socket.to_str().unwrap(), &url], at);
        }
        server.signal(rustix::process::Signal::TERM);
        server.wait();
        run("sh", &["-c", &recipe(before)], at);
        let report = fs::read_to_string(at.join("report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["general"]["valid_requests"], 3, "{format}");
        assert_eq!(report["general"]["failed_requests"], 0, "{format}");
    }
}

/// The configuration is docs/deploy/oneloop.logrotate, with another path and a replacement for
/// systemctl. Fails if postrotate is only `systemctl reload`.
#[test]
fn logrotate_rotates_the_log_whether_the_server_runs_or_not() {
    if !has("logrotate") {
        return;
    }
    let root = site(&[("a.txt", b"a")]);
    let place = place();
    let at = place.path();
    let log = at.join("access.log");
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/deploy/oneloop.logrotate");
    let recipe = fs::read_to_string(recipe).unwrap();
    let config = recipe.replace("/var/log/oneloop/access.log", log.to_str().unwrap());
    fs::write(at.join("config"), config).unwrap();
    let systemctl = |pid: &str| {
        let script = format!(
            "#!/bin/sh\ncase $1 in\nis-active) kill -0 {pid};;\nreload) kill -HUP {pid};;\nesac\n"
        );
        fs::write(at.join("systemctl"), script).unwrap();
    };
    systemctl("");
    run("chmod", &["755", "systemctl"], at);
    let rotate = || {
        let path = format!("PATH={}:$PATH; ", at.display());
        run(
            "sh",
            &["-c", &(path + "exec logrotate -f -s state config")],
            at,
        );
    };

    let launch = Launch::of(&root).arg("--log-file").arg(&log);
    let mut server = launch.start();
    systemctl(&server.pid().to_string());
    curl(&[&server.url("/a.txt?1")], at);
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    eventually("it is logged", || text(&log).contains("?1 "));
    rotate();
    eventually("there is a new file", || log.exists());
    curl(&[&server.url("/a.txt?2")], at);
    eventually("it is logged", || text(&log).contains("?2 "));
    assert!(text(&at.join("access.log.1")).contains("?1 "));

    server.signal(rustix::process::Signal::TERM);
    server.wait();
    rotate();
    assert!(text(&at.join("access.log.1")).contains("?2 "));
}
