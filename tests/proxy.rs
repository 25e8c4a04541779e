//! The server behind a proxy: which address the access log has for a client, and which connections
//! are refused.
#![cfg(target_os = "linux")]

#[path = "support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;

use process::{Launch, available, eventually, has, site, skipped};
use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// All models with an access log.
const MODELS: [&str; 13] = [
    "reactor",
    "reactors",
    "uring",
    "level",
    "poll",
    "select",
    "coroutine",
    "sequential",
    "thread",
    "thread-reuse",
    "pool",
    "process",
    "prefork",
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
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
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
    for model in available(&MODELS) {
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

/// A header of version 2 with the client 192.0.2.4 and an extension.
fn v2(command: u8) -> Vec<u8> {
    let start = [b"\r\n\r\n\0\r\nQUIT\n", &[command, 0x11, 0, 20][..]].concat();
    let rest = [
        192, 0, 2, 4, 192, 0, 2, 9, 0xdc, 4, 1, 0xbb, 4, 0, 5, 1, 2, 3, 4, 5,
    ];
    [&start[..], &rest].concat()
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n";
const V1_LAST: &str = "192.0.2.1";

/// Connects, sends the header, and requests `/small`.
#[track_caller]
fn get_through(mut stream: impl Read + Write, header: &[u8], lines: &str) {
    stream.write_all(header).unwrap();
    get(stream, "/small", lines);
}

#[test]
fn in_every_model_the_header_of_the_proxy_protocol_names_the_client() {
    let root = root();
    for model in available(&MODELS) {
        let log = Log::new();
        let args = format!("--model {model} --proxy-protocol all --admin 127.0.0.1:0");
        // Only the models with a loop have the operator's listener, whose handler passes the client
        // on.
        let args = match model {
            "reactor" | "coroutine" | "uring" | "level" | "poll" | "select" => &args[..],
            _ => args.split_once(" --admin").unwrap().0,
        };
        let server = log.launch(root.path(), args).start();
        for header in [
            V1,
            b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n",
            b"PROXY UNKNOWN\r\n",
            b"PROXY UNKNOWN ::1 ::1 1 1\r\n",
            &v2(0x21),
            &v2(0x20),
        ] {
            get_through(connect(server.address()), header, "");
        }
        let mut clients = log.clients(6);
        clients.sort();
        let mut expected = [
            "192.0.2.1",
            "2001:db8::1",
            "127.0.0.1",
            "127.0.0.1",
            "192.0.2.4",
            "127.0.0.1",
        ];
        expected.sort();
        assert_eq!(clients, expected, "{model}");
        // The operator's listener expects none.
        if args.contains("--admin") {
            get(connect(server.admin()), "/health", "");
        }
    }
}

#[test]
fn a_header_that_arrives_in_pieces_is_one() {
    let root = root();
    for model in available(&MODELS) {
        let log = Log::new();
        let args = format!("--model {model} --proxy-protocol all --no-defer-accept");
        let server = log.launch(root.path(), &args).start();
        for header in [V1, &v2(0x21)] {
            let mut stream = connect(server.address());
            stream.set_nodelay(true).unwrap();
            for piece in header.chunks(9) {
                stream.write_all(piece).unwrap();
                sleep(Duration::from_millis(10));
            }
            get(stream, "/small", "");
        }
        let mut clients = log.clients(2);
        clients.sort();
        assert_eq!(clients, ["192.0.2.1", "192.0.2.4"], "{model}");
    }
}

#[test]
fn all_requests_of_a_connection_have_the_client_of_its_header() {
    let root = root();
    let log = Log::new();
    let launch = log.launch(root.path(), "--proxy-protocol all");
    let server = launch.start();
    let mut requests = V1.to_vec();
    requests.extend(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n".repeat(40));
    requests.extend(b"GET /large HTTP/1.0\r\n\r\n");
    let received = exchange(connect(server.address()), &requests);
    assert!(received.len() > LARGE);
    assert_eq!(log.clients(41), [V1_LAST; 41]);
}

#[test]
fn the_model_fixed_reads_the_header_before_the_head() {
    let root = root();
    let page = root.path().join("small");
    let server = Launch::of(page).with("--model fixed --proxy-protocol all");
    let server = server.start();
    for header in [V1, &v2(0x21), b"PROXY UNKNOWN\r\n"] {
        get_through(connect(server.address()), header, "");
    }
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(refused(server.address(), head), b"");
}

/// What a client receives until its connection ends or is reset.
fn refused(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    let mut received = Vec::new();
    // A reset may come before everything is sent.
    let _ = stream.write_all(bytes);
    let _ = stream.read_to_end(&mut received);
    received
}

#[test]
fn a_connection_without_a_header_is_refused_with_a_warning() {
    let root = root();
    for model in available(&MODELS) {
        let log = Log::new();
        let args = format!("--model {model} --proxy-protocol all");
        let server = log.launch(root.path(), &args).start();
        let get = b"GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let malformed = [b"PROXY TCP4 192.0.2.1 x 1 2\r\n", &get[..]].concat();
        for bytes in [
            &get[..],
            &malformed,
            b"\x16\x03\x01\x02\0",
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
        ] {
            assert_eq!(refused(server.address(), bytes), b"", "{model}");
        }
        for warning in [
            "a connection from 127.0.0.1 is refused: it sent no PROXY header",
            "a connection from 127.0.0.1 is refused: its PROXY header is malformed",
        ] {
            eventually("a warning", || server.diagnostics().contains(warning));
        }
        // Not a line in the log, and the next one is served.
        get_through(connect(server.address()), V1, "");
        assert_eq!(log.clients(1), [V1_LAST], "{model}");
    }
}

#[test]
fn only_a_trusted_proxy_may_send_a_header_if_there_is_one() {
    let root = root();
    for model in available(&MODELS) {
        let log = Log::new();
        let args = format!("--model {model} --proxy-protocol all --trusted-proxy 127.0.0.2");
        let server = log.launch(root.path(), &args).start();
        assert_eq!(refused(server.address(), V1), b"", "{model}");
        let warning = "a connection from 127.0.0.1 is refused: it is no trusted proxy";
        eventually("a warning", || server.diagnostics().contains(warning));
    }
}

#[test]
fn the_client_of_the_header_may_be_a_proxy_that_names_its_client() {
    let root = root();
    let log = Log::new();
    let trusted = "--proxy-protocol all --trusted-proxy 127.0.0.1,192.0.2.0/24";
    let server = log.launch(root.path(), trusted).start();
    let lines = "X-Forwarded-For: 203.0.113.7, 192.0.2.3\r\n";
    get_through(connect(server.address()), V1, lines);
    let untrusted = b"PROXY TCP4 203.0.113.8 192.0.2.9 56324 443\r\n";
    get_through(connect(server.address()), untrusted, lines);
    get_through(connect(server.address()), b"PROXY UNKNOWN\r\n", lines);
    assert_eq!(
        log.clients(3),
        ["203.0.113.7", "203.0.113.8", "203.0.113.7"]
    );
}

#[test]
fn only_the_listener_that_is_named_expects_a_header() {
    let root = root();
    let log = Log::new();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("s").display().to_string();
    let launch = log.launch(root.path(), "").with("--bind 127.0.0.1 --bind");
    let launch = launch.arg(format!("unix:{path}")).arg("--proxy-protocol");
    let server = launch.arg(format!("unix:{path}")).start();
    get(connect(server.address()), "/small", "");
    get_through(UnixStream::connect(&path).unwrap(), V1, "");
    get_through(
        UnixStream::connect(&path).unwrap(),
        b"PROXY UNKNOWN\r\n",
        "",
    );
    assert_eq!(log.clients(3), ["127.0.0.1", V1_LAST, "127.0.0.1"]);
}

#[test]
fn a_header_that_stalls_ends_at_the_header_timeout() {
    let root = root();
    for model in available(&MODELS) {
        let log = Log::new();
        let args = format!("--model {model} --proxy-protocol all --no-defer-accept");
        let launch = log.launch(root.path(), &args);
        let server = launch
            .with("--header-timeout 0.4 --idle-timeout 30")
            .start();
        for (sent, then) in [(&b""[..], &b""[..]), (b"PROXY TCP4 1", b"92.0.2.1 1")] {
            let begun = Instant::now();
            let mut stream = connect(server.address());
            stream.write_all(sent).unwrap();
            sleep(Duration::from_millis(200));
            // Progress does not extend the time.
            let _ = stream.write_all(then);
            let mut received = Vec::new();
            let _ = stream.read_to_end(&mut received);
            assert_eq!(received, b"", "{model}");
            let time = begun.elapsed();
            assert!(time >= Duration::from_millis(400), "{model}: {time:?}");
            assert!(time < Duration::from_secs(15), "{model}: {time:?}");
        }
        // After the header, the connection is idle for as long as others are.
        let mut stream = connect(server.address());
        stream.write_all(V1).unwrap();
        sleep(Duration::from_millis(600));
        get(stream, "/small", "");
    }
}

/// Otherwise clients that connect and send nothing occupy the server for the header timeout.
#[test]
fn a_silent_connection_without_its_header_is_closed_for_another_one() {
    let root = root();
    let log = Log::new();
    let args = "--proxy-protocol all --no-defer-accept --max-connections 1 --header-timeout 3600";
    let server = log.launch(root.path(), args).start();
    let mut silent = connect(server.address());
    get_through(connect(server.address()), V1, "");
    let mut received = Vec::new();
    silent.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"");
}

#[test]
fn an_address_that_no_listener_has_is_an_error() {
    let root = root();
    for (args, expected) in [
        (
            "--proxy-protocol 127.0.0.1:1",
            "127.0.0.1:1 is no address of --bind or --tls-bind",
        ),
        (
            "--proxy-protocol unix:/s",
            "unix:/s is no address of --bind or --tls-bind",
        ),
        (
            "--proxy-protocol on",
            "on is no address of --bind or --tls-bind",
        ),
        ("--trusted-proxy 10.0.0.1/8", "write 10.0.0.0/8"),
    ] {
        let (status, text) = Launch::of(root.path()).with(args).expect_failure();
        assert_eq!(status.code(), Some(2), "{args}");
        assert!(text.contains(expected), "{args}: {text}");
    }
}

#[test]
fn health_checks_are_kept_out_of_the_log_unless_they_fail() {
    let root = site(&[
        ("health", b"fine"),
        ("small", b"small"),
        ("checks/large", &[b'x'; LARGE]),
    ]);
    for model in available(&MODELS) {
        let log = Log::new();
        let args = format!("--model {model} --log-skip /health --log-skip /checks/**");
        let server = log.launch(root.path(), &args).start();
        for target in [
            "/health",
            "/health?from=1",
            "/%68ealth",
            "/checks/large",
            "/x/../health",
            "/health/../small",
            "/small?/health",
        ] {
            get(connect(server.address()), target, "");
        }
        for target in ["/checks/missing", "/health/", "*"] {
            let request = format!("GET {target} HTTP/1.0\r\n\r\n");
            exchange(connect(server.address()), request.as_bytes());
        }
        let mut targets: Vec<_> = (log.lines(5).iter())
            .map(|line| line.split('"').nth(1).unwrap().to_owned())
            .collect();
        targets.sort();
        let expected = [
            "GET * HTTP/1.0",
            "GET /checks/missing HTTP/1.0",
            "GET /health/ HTTP/1.0",
            "GET /health/../small HTTP/1.1",
            "GET /small?/health HTTP/1.1",
        ];
        assert_eq!(targets, expected, "{model}");
    }
}

/// The blocks of code in docs/proxy.md in this language.
fn examples(language: &str) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/proxy.md");
    let text = fs::read_to_string(path).unwrap();
    let start = format!("```{language}\n");
    let blocks = text.split(&start).skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

/// A proxy that runs, until this is dropped.
struct Proxy {
    child: Child,
    port: u16,
    _place: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    /// Starts `program` with `config`, in which `PLACE` is a directory of its own and `PORT` a free
    /// port.
    #[track_caller]
    fn start(program: &str, args: &[&str], config: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let config = config.replace("PLACE", place.path().to_str().unwrap());
        let path = place.path().join("config");
        fs::write(&path, config.replace("PORT", &port.to_string())).unwrap();
        let mut command = Command::new(program);
        command.args(args).arg(&path).current_dir(place.path());
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        eventually("the proxy listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self {
            child,
            port,
            _place: place,
        }
    }

    /// haproxy with this section. One process.
    fn haproxy(section: &str, server: SocketAddr) -> Self {
        let section = section.replace("bind :80", "bind 127.0.0.1:PORT");
        let section = section.replace("127.0.0.1:8080", &server.to_string());
        let defaults = "defaults\n timeout connect 10s\n timeout client 10s\n timeout server 10s\n";
        Self::start("haproxy", &["-db", "-f"], &format!("{defaults}{section}"))
    }

    /// nginx with these modules and this block. One process, so that killing it leaves none.
    fn nginx(modules: &str, block: &str) -> Self {
        let start = "daemon off; master_process off; pid PLACE/pid; error_log PLACE/errors;
            events { worker_connections 64; }";
        let args = ["-p", "/", "-c"];
        Self::start("nginx", &args, &format!("{modules}\n{start}\n{block}"))
    }

    /// A connection from `client`, an address of this machine.
    fn connect_from(&self, client: [u8; 4]) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let address = |ip, port| SocketAddr::from((ip, port)).into();
        socket.bind(&address(client, 0)).unwrap();
        socket.connect(&address([127, 0, 0, 1], self.port)).unwrap();
        socket.into()
    }
}

const CLIENT: [u8; 4] = [127, 0, 0, 5];
const CLIENT_TEXT: &str = "127.0.0.5";

#[test]
fn behind_haproxy_the_log_has_the_client_in_both_versions_of_the_protocol() {
    if !has("haproxy") {
        return;
    }
    let root = root();
    let section = examples("haproxy").remove(1);
    for version in [
        "send-proxy-v2 check",
        "send-proxy check",
        "send-proxy-v2-ssl-cn",
    ] {
        for model in available(&MODELS) {
            let log = Log::new();
            let args = format!("--model {model} --proxy-protocol all --trusted-proxy 127.0.0.1");
            let server = log.launch(root.path(), &args).start();
            let section = section.replace("send-proxy-v2 check", version);
            let haproxy = Proxy::haproxy(&section, server.address());
            get(haproxy.connect_from(CLIENT), "/small", "");
            get(haproxy.connect_from(CLIENT), "/large", "");
            let clients = log.clients(2);
            assert_eq!(clients, [CLIENT_TEXT; 2], "{version} {model}");
        }
    }
}

#[test]
fn behind_haproxy_the_log_has_the_client_of_x_forwarded_for() {
    if !has("haproxy") {
        return;
    }
    let root = root();
    let log = Log::new();
    let launch = log.launch(root.path(), "--trusted-proxy 127.0.0.1");
    let server = launch.start();
    let haproxy = Proxy::haproxy(&examples("haproxy")[0], server.address());
    let invented = "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n";
    get(haproxy.connect_from(CLIENT), "/small", "");
    get(haproxy.connect_from(CLIENT), "/large", invented);
    assert_eq!(log.clients(2), [CLIENT_TEXT; 2]);
}

#[test]
fn behind_nginx_the_log_has_the_client_of_x_forwarded_for() {
    if !has("nginx") {
        return;
    }
    let root = root();
    let log = Log::new();
    let launch = log.launch(root.path(), "--trusted-proxy 127.0.0.1");
    let server = launch.start();
    let (lines, address) = (&examples("nginx")[0], server.address());
    let nginx = Proxy::nginx(
        "",
        &format!(
            "http {{
            access_log off;
            client_body_temp_path PLACE/body; proxy_temp_path PLACE/proxy;
            fastcgi_temp_path PLACE/fastcgi; uwsgi_temp_path PLACE/uwsgi;
            scgi_temp_path PLACE/scgi;
            server {{
                listen 127.0.0.1:PORT;
                location / {{ proxy_pass http://{address}; {lines} }}
            }}
        }}"
        ),
    );
    let invented = "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n";
    get(nginx.connect_from(CLIENT), "/small", "");
    get(nginx.connect_from(CLIENT), "/large", invented);
    assert_eq!(log.clients(2), [CLIENT_TEXT; 2]);
}

#[test]
fn behind_a_stream_of_nginx_the_log_has_the_client() {
    const MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
    if !has("nginx") {
        return;
    }
    if !Path::new(MODULE).exists() {
        return skipped("nginx has no stream module");
    }
    let root = root();
    let log = Log::new();
    let launch = log.launch(root.path(), "--proxy-protocol all");
    let server = launch.start();
    let block = examples("nginx").remove(1);
    let block = block.replace("listen 80", "listen 127.0.0.1:PORT");
    let block = block.replace("127.0.0.1:8080", &server.address().to_string());
    let nginx = Proxy::nginx(&format!("load_module {MODULE};"), &block);
    get(nginx.connect_from(CLIENT), "/small", "");
    get(nginx.connect_from(CLIENT), "/large", "");
    // The connection that has waited for nginx sends no request.
    assert_eq!(log.clients(2), [CLIENT_TEXT; 2]);
}
