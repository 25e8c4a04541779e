//! The server behind a proxy: which address the access log has for a client.
#![cfg(target_os = "linux")]

#[path = "support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;

use process::{Launch, eventually, site};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// All models with an access log.
const MODELS: [&str; 6] = [
    "reactor",
    "coroutine",
    "sequential",
    "thread",
    "pool",
    "process",
];

/// A body that is not sent together with its head: its line is written when it has been sent.
const LARGE: usize = 300_000;

/// A root with a small and a large file.
fn root() -> TempDir {
    site(&[("small", b"small"), ("large", &[b'x'; LARGE])])
}

/// The lines of an access log.
struct Log {
    place: TempDir,
}

impl Log {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        Self { place }
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("access.log")
    }

    /// The server that writes it.
    fn launch(&self, root: &Path, args: &str) -> Launch {
        let launch = Launch::of(root).with(args);
        launch.arg("--log-file").arg(self.path())
    }

    /// Waits for `count` lines, and returns them.
    #[track_caller]
    fn lines(&self, count: usize) -> Vec<String> {
        let read = || fs::read_to_string(self.path()).unwrap_or_default();
        eventually("the log has all lines", || read().lines().count() >= count);
        let lines: Vec<_> = read().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }

    /// Waits for `count` lines, and returns the addresses of their clients.
    #[track_caller]
    fn clients(&self, count: usize) -> Vec<String> {
        let lines = self.lines(count).into_iter();
        let clients = lines.map(|line| line.split(' ').next().unwrap().to_owned());
        clients.collect()
    }
}

/// Sends bytes and reads to the end.
#[track_caller]
fn exchange(mut stream: impl Read + Write, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    received
}

/// Requests `target` with these field lines, and expects a success.
#[track_caller]
fn get(stream: impl Read + Write, target: &str, lines: &str) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n");
    let response = exchange(stream, request.as_bytes());
    let status = String::from_utf8_lossy(&response[..response.len().min(12)]).into_owned();
    assert_eq!(status, "HTTP/1.1 200", "{target} {lines:?}");
}

fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).unwrap()
}

#[test]
fn in_every_model_the_log_has_the_client_that_a_trusted_proxy_names() {
    let root = root();
    for model in MODELS {
        let log = Log::new();
        let args = format!("--model {model} --trusted-proxy 127.0.0.0/8,10.0.0.0/8");
        let server = log.launch(root.path(), &args).start();
        for (target, lines) in [
            ("/small", "X-Forwarded-For: 192.0.2.1\r\n"),
            (
                "/large",
                "X-Forwarded-For: 192.0.2.9, 192.0.2.2, 10.0.0.1\r\n",
            ),
            ("/small", "Forwarded: for=\"[2001:db8::1]:4711\"\r\n"),
            ("/large", "Forwarded: for=192.0.2.3;proto=https\r\n"),
            ("/small", "X-Forwarded-For: unknown\r\n"),
            ("/small", ""),
        ] {
            get(connect(server.address()), target, lines);
        }
        let expected = [
            "192.0.2.1",
            "192.0.2.2",
            "2001:db8::1",
            "192.0.2.3",
            "127.0.0.1",
            "127.0.0.1",
        ];
        let mut clients = log.clients(6);
        // A process or a thread that ends writes its line when the next request may be answered.
        clients.sort();
        let mut expected = expected.map(str::to_owned);
        expected.sort();
        assert_eq!(clients, expected, "{model}");
    }
}

#[test]
fn each_request_of_a_connection_has_its_own_client() {
    let root = root();
    let log = Log::new();
    let launch = log.launch(root.path(), "--trusted-proxy 127.0.0.1");
    let server = launch.start();
    let request = |last| {
        let line = format!("X-Forwarded-For: 192.0.2.{last}\r\n");
        format!("GET /small HTTP/1.1\r\nHost: a\r\n{line}\r\n")
    };
    let mut requests: String = (1..=3).map(request).collect();
    requests += "GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    exchange(connect(server.address()), requests.as_bytes());
    let expected = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "127.0.0.1"];
    assert_eq!(log.clients(4), expected);
}

#[test]
fn all_forms_of_the_log_have_the_client() {
    let root = root();
    for (format, before, after) in [
        ("common", "192.0.2.1 - - [", "\"GET /small HTTP/1.1\" 200 5"),
        (
            "combined",
            "192.0.2.1 - - [",
            "\"GET /small HTTP/1.1\" 200 5 \"-\" \"-\"",
        ),
        ("json", "{\"time\":\"", "\"duration_us\":0}"),
    ] {
        let log = Log::new();
        let args = format!("--log-format {format} --trusted-proxy 127.0.0.1");
        let server = log.launch(root.path(), &args).start();
        let lines = "X-Forwarded-For: 192.0.2.1\r\n";
        get(connect(server.address()), "/small", lines);
        let line = log.lines(1).remove(0);
        assert!(line.starts_with(before) && line.ends_with(after), "{line}");
        let is_json = format == "json";
        assert_eq!(line.contains("\"peer\":\"192.0.2.1\""), is_json, "{line}");
    }
}

#[test]
fn a_peer_that_is_not_trusted_is_not_believed() {
    let root = root();
    let log = Log::new();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("s");
    let launch = log.launch(root.path(), "--trusted-proxy 192.0.2.0/24,::/0");
    let launch = launch.arg("--bind").arg("127.0.0.1").arg("--bind");
    let server = launch.arg(format!("unix:{}", path.display())).start();
    let lines = "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n";
    get(connect(server.address()), "/small", lines);
    get(UnixStream::connect(&path).unwrap(), "/small", lines);
    assert_eq!(log.clients(2), ["127.0.0.1", "127.0.0.1"]);
}

#[test]
fn a_proxy_on_a_unix_socket_is_trusted_by_its_name() {
    let root = root();
    let log = Log::new();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("s");
    let launch = log.launch(root.path(), "--trusted-proxy unix");
    let launch = launch.arg("--bind").arg("127.0.0.1").arg("--bind");
    let server = launch.arg(format!("unix:{}", path.display())).start();
    let lines = "X-Forwarded-For: 192.0.2.1\r\n";
    get(UnixStream::connect(&path).unwrap(), "/small", lines);
    get(connect(server.address()), "/small", lines);
    assert_eq!(log.clients(2), ["192.0.2.1", "127.0.0.1"]);
}

#[test]
fn a_value_cannot_write_a_line_of_its_own() {
    let root = root();
    let log = Log::new();
    let launch = log.launch(root.path(), "--trusted-proxy 127.0.0.1");
    let server = launch.start();
    for value in ["192.0.2.1\" 200 5", "\x1b[2J", "192.0.2.1%0a", "\\n", "\""] {
        let lines = format!("X-Forwarded-For: {value}\r\n");
        let request = format!("GET /small HTTP/1.0\r\n{lines}\r\n");
        exchange(connect(server.address()), request.as_bytes());
    }
    assert_eq!(log.clients(5), ["127.0.0.1"; 5]);
}

#[test]
fn two_fields_that_differ_are_reported_once() {
    let root = root();
    let log = Log::new();
    let launch = log.launch(root.path(), "--trusted-proxy 127.0.0.1");
    let server = launch.start();
    let lines = "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.2\r\n";
    for _ in 0..3 {
        get(connect(server.address()), "/small", lines);
    }
    assert_eq!(log.clients(3), ["127.0.0.1"; 3]);
    let warning = "a request has both X-Forwarded-For and Forwarded";
    eventually("a warning", || server.diagnostics().contains(warning));
    assert_eq!(server.diagnostics().matches(warning).count(), 1);
}
