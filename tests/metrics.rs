//! `oneloop --admin`: `/metrics`, `/health` and `/ready`, in both models that have them.
#![cfg(all(feature = "admin", not(mio_unsupported_force_poll_poll)))]

#[path = "kernel/client.rs"]
#[allow(dead_code, reason = "other test programs use the rest")]
mod client;
#[path = "support/process.rs"]
#[allow(dead_code, reason = "other test programs use the rest")]
mod process;

use client::{Client, Response, get};
use process::{Launch, Server, available, eventually, has, site};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// More than the kernel's socket buffers take at once.
const LARGE: u64 = 50 * 1024 * 1024;

const MODELS: [&str; 6] = ["reactor", "coroutine", "uring", "level", "poll", "select"];

fn files() -> TempDir {
    let root = site(&[("small", b"0123456789")]);
    let large = std::fs::File::create(root.path().join("large")).unwrap();
    large.set_len(LARGE).unwrap();
    root
}

/// Without deferring, a connection is accepted before it has sent anything.
fn launch(root: &Path, model: &str) -> Launch {
    let options = format!("--admin 127.0.0.1:0 --no-defer-accept --model {model}");
    Launch::of(root).with(&options)
}

/// GETs a path of the operator's listener.
fn ask(server: &Server, path: &str) -> Response {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut client = Client::to(server.admin());
    client.send(head);
    client.read_response()
}

fn metrics(server: &Server) -> String {
    String::from_utf8(ask(server, "/metrics").body).unwrap()
}

/// The value of a sample, which has these labels.
fn value(text: &str, sample: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(sample));
    let line = lines.find_map(|rest| rest.strip_prefix(' '));
    line.expect(sample).parse().unwrap()
}

fn wait_for(server: &Server, sample: &str, number: u64) {
    eventually(&format!("{sample} {number}"), || {
        value(&metrics(server), sample) == number
    });
}

/// Waits until no public connection is open.
fn wait_until_closed(server: &Server) {
    eventually("all connections are closed", || {
        let text = metrics(server);
        let mut lines = text.lines().filter(|line| line.starts_with(OPEN));
        lines.all(|line| line.ends_with(" 0"))
    });
}

const OPEN: &str = "oneloop_connections{";

/// Sends all of it, and reads until the server closes.
fn exchange(server: &Server, requests: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(process::TIME_LIMIT)).unwrap();
    stream.write_all(requests.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    received
}

/// The metrics with `-` in place of times and of how many iterations there were.
fn without_times(text: &str) -> String {
    let is_time = |line: &str| {
        let mut names = [
            "process_start",
            "oneloop_iteration",
            "oneloop_longest_stall",
        ]
        .into_iter();
        names.any(|name| line.starts_with(name))
    };
    let lines = text.lines().map(|line| match line.rsplit_once(' ') {
        Some((name, _)) if is_time(line) => format!("{name} -\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// The whole text after a session. The bytes are those that the client has counted.
fn expected(received: usize, sent: usize, bodies: usize) -> String {
    format!(
        r#"# HELP oneloop_build_info The version of the server.
# TYPE oneloop_build_info gauge
oneloop_build_info{{version="{version}"}} 1
# HELP process_start_time_seconds When the server was started, since 1970.
# TYPE process_start_time_seconds gauge
process_start_time_seconds -
# HELP oneloop_draining 1 while the server stops.
# TYPE oneloop_draining gauge
oneloop_draining 0
# HELP oneloop_requests_total Requests, or what came in place of one.
# TYPE oneloop_requests_total counter
oneloop_requests_total{{status="200"}} 3
oneloop_requests_total{{status="204"}} 0
oneloop_requests_total{{status="206"}} 0
oneloop_requests_total{{status="301"}} 0
oneloop_requests_total{{status="302"}} 0
oneloop_requests_total{{status="304"}} 0
oneloop_requests_total{{status="307"}} 0
oneloop_requests_total{{status="308"}} 0
oneloop_requests_total{{status="400"}} 1
oneloop_requests_total{{status="401"}} 0
oneloop_requests_total{{status="404"}} 1
oneloop_requests_total{{status="405"}} 0
oneloop_requests_total{{status="408"}} 0
oneloop_requests_total{{status="412"}} 0
oneloop_requests_total{{status="414"}} 0
oneloop_requests_total{{status="416"}} 0
oneloop_requests_total{{status="417"}} 0
oneloop_requests_total{{status="421"}} 0
oneloop_requests_total{{status="431"}} 0
oneloop_requests_total{{status="500"}} 0
oneloop_requests_total{{status="501"}} 0
oneloop_requests_total{{status="503"}} 0
oneloop_requests_total{{status="505"}} 0
# HELP oneloop_response_body_bytes_total Bytes of response bodies, as in the access log.
# TYPE oneloop_response_body_bytes_total counter
oneloop_response_body_bytes_total {bodies}
# HELP oneloop_received_bytes_total Bytes received from clients.
# TYPE oneloop_received_bytes_total counter
oneloop_received_bytes_total {received}
# HELP oneloop_sent_bytes_total Bytes sent to clients, with the heads of responses.
# TYPE oneloop_sent_bytes_total counter
oneloop_sent_bytes_total {sent}
# HELP oneloop_log_lines_dropped_total Lines that the access log lacks.
# TYPE oneloop_log_lines_dropped_total counter
oneloop_log_lines_dropped_total 0
# HELP oneloop_panics_total Connections that a panic has closed: a bug of oneloop.
# TYPE oneloop_panics_total counter
oneloop_panics_total 0
# HELP oneloop_connections Open connections. An idle one is reading.
# TYPE oneloop_connections gauge
oneloop_connections{{state="handshaking"}} 0
oneloop_connections{{state="reading"}} 1
oneloop_connections{{state="parsing"}} 0
oneloop_connections{{state="writing_header"}} 0
oneloop_connections{{state="writing_body"}} 0
oneloop_connections{{state="closing"}} 0
# HELP oneloop_connections_accepted_total Connections accepted.
# TYPE oneloop_connections_accepted_total counter
oneloop_connections_accepted_total 3
# HELP oneloop_accept_pauses_total Pauses in which connections wait to be accepted.
# TYPE oneloop_accept_pauses_total counter
oneloop_accept_pauses_total 0
# HELP oneloop_evictions_total Idle connections that were closed to accept others.
# TYPE oneloop_evictions_total counter
oneloop_evictions_total 0
# HELP oneloop_timeouts_total Connections whose deadline has passed.
# TYPE oneloop_timeouts_total counter
oneloop_timeouts_total{{kind="handshake"}} 0
oneloop_timeouts_total{{kind="header"}} 0
oneloop_timeouts_total{{kind="idle"}} 0
oneloop_timeouts_total{{kind="send"}} 0
oneloop_timeouts_total{{kind="linger"}} 0
# HELP oneloop_handshakes_total TLS handshakes and PROXY headers.
# TYPE oneloop_handshakes_total counter
oneloop_handshakes_total{{result="completed"}} 0
oneloop_handshakes_total{{result="failed"}} 0
# HELP oneloop_iteration_seconds How long iterations of the loop took, without the poll.
# TYPE oneloop_iteration_seconds histogram
oneloop_iteration_seconds_bucket{{le="0.00003"}} -
oneloop_iteration_seconds_bucket{{le="0.0001"}} -
oneloop_iteration_seconds_bucket{{le="0.0003"}} -
oneloop_iteration_seconds_bucket{{le="0.001"}} -
oneloop_iteration_seconds_bucket{{le="0.003"}} -
oneloop_iteration_seconds_bucket{{le="0.01"}} -
oneloop_iteration_seconds_bucket{{le="0.03"}} -
oneloop_iteration_seconds_bucket{{le="0.1"}} -
oneloop_iteration_seconds_bucket{{le="0.3"}} -
oneloop_iteration_seconds_bucket{{le="1"}} -
oneloop_iteration_seconds_bucket{{le="+Inf"}} -
oneloop_iteration_seconds_sum -
oneloop_iteration_seconds_count -
# HELP oneloop_longest_stall_seconds The longest time without a look at the sockets.
# TYPE oneloop_longest_stall_seconds gauge
oneloop_longest_stall_seconds{{cause="handshake"}} -
oneloop_longest_stall_seconds{{cause="recv"}} -
oneloop_longest_stall_seconds{{cause="respond"}} -
oneloop_longest_stall_seconds{{cause="send"}} -
oneloop_longest_stall_seconds{{cause="sendfile"}} -
oneloop_longest_stall_seconds{{cause="produce"}} -
oneloop_longest_stall_seconds{{cause="shutdown"}} -
oneloop_longest_stall_seconds{{cause="discard"}} -
oneloop_longest_stall_seconds{{cause="end"}} -
oneloop_longest_stall_seconds{{cause="many_steps"}} -
oneloop_longest_stall_seconds{{cause="other"}} -
oneloop_longest_stall_seconds{{cause="poll"}} -
"#,
        version = env!("CARGO_PKG_VERSION"),
    )
}

#[test]
fn a_session_is_counted_to_the_byte_and_the_operators_own_requests_are_not() {
    for model in available(&MODELS) {
        let root = files();
        let server = launch(root.path(), model).start();
        let head = "HEAD /small HTTP/1.1\r\nHost: a\r\n\r\n";
        let requests = get("/small") + head + &get("/nothing");
        let answers = exchange(&server, &requests);
        let refusal = exchange(&server, "no HTTP\r\n\r\n");
        let mut idle = Client::of(&server);
        idle.send(get("/small"));
        let idle_answer = idle.read_response();
        wait_for(&server, "oneloop_connections{state=\"closing\"}", 0);
        wait_for(&server, "oneloop_connections{state=\"reading\"}", 1);
        let response = ask(&server, "/metrics");
        let content_type = Some("text/plain; version=0.0.4; charset=utf-8");
        assert_eq!(response.field("Content-Type"), content_type);
        let text = String::from_utf8(response.body).unwrap();
        let idle_bytes = idle_answer.head.len() + "\r\n\r\n".len() + idle_answer.body.len();
        let sent = answers.len() + refusal.len() + idle_bytes;
        let received = requests.len() + "no HTTP\r\n\r\n".len() + get("/small").len();
        let bodies = body_bytes(&refusal) + 2 * 10 + last_body_bytes(&answers);
        assert_eq!(without_times(&text), expected(received, sent, bodies));
        let count = value(&text, "oneloop_iteration_seconds_count");
        assert!(count > 5, "{count} iterations");
        let unbounded = "oneloop_iteration_seconds_bucket{le=\"+Inf\"}";
        assert_eq!(value(&text, unbounded), count);
    }
}

/// The bytes behind the first empty line.
fn body_bytes(response: &[u8]) -> usize {
    let end = response.windows(4).position(|four| four == b"\r\n\r\n");
    response.len() - end.expect("a head") - 4
}

/// The bytes behind the last empty line, of a body without one.
fn last_body_bytes(responses: &[u8]) -> usize {
    let end = responses.windows(4).rposition(|four| four == b"\r\n\r\n");
    responses.len() - end.expect("a head") - 4
}

/// The exit code and the output of `promtool check KIND`, which reads `text`.
fn promtool(kind: &str, text: &str) -> (Option<i32>, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut command = Command::new("promtool");
    command.args(["check", kind]);
    match kind {
        "metrics" => command.stdin(file.reopen().unwrap()),
        _ => command.arg(file.path()),
    };
    let output = command.output().unwrap();
    let messages = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(messages).unwrap())
}

#[test]
fn promtool_accepts_the_metrics() {
    if !has("promtool") {
        return;
    }
    let root = files();
    let server = launch(root.path(), "reactor").start();
    exchange(&server, &get("/small"));
    assert_eq!(
        promtool("metrics", &metrics(&server)),
        (Some(0), String::new())
    );
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn prometheus_understands_the_alerts_and_the_configuration_of_the_document() {
    if !has("promtool") {
        return;
    }
    let document = document();
    let mut blocks = document.split("```yaml\n").skip(1).map(|rest| {
        let (block, _) = rest.split_once("```").unwrap();
        block
    });
    let configuration = blocks.next().unwrap().replace("\n  ", "\n");
    let (code, messages) = promtool("config", configuration.trim_start());
    assert_eq!(code, Some(0), "{messages}");
    let (code, messages) = promtool("rules", blocks.next().unwrap());
    assert_eq!(code, Some(0), "{messages}");
    assert!(messages.contains("7 rules found"), "{messages}");
}

#[test]
fn the_document_has_every_metric_and_no_other() {
    let root = files();
    let server = launch(root.path(), "reactor").start();
    let text = metrics(&server);
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let served: Vec<_> = types.map(|line| line.split(' ').next().unwrap()).collect();
    let document = document();
    let rows = document.lines().filter_map(|line| {
        let name = line.strip_prefix("| `")?.split('`').next()?;
        (!name.starts_with('/')).then_some(name)
    });
    assert_eq!(rows.collect::<Vec<_>>(), served);
    for name in document.split(|c: char| !c.is_ascii_lowercase() && c != '_') {
        let name = name.trim_end_matches("_bucket").trim_end_matches("_sum");
        let is_metric = name.starts_with("oneloop_");
        assert!(!is_metric || served.contains(&name), "{name} is no metric");
    }
}

#[test]
fn a_draining_server_is_not_ready_and_answers_the_operator_until_the_last_response_is_sent() {
    for model in available(&MODELS) {
        let root = files();
        let mut server = launch(root.path(), model).with("--grace 600").start();
        let check = |path: &str| {
            let response = ask(&server, path);
            (response.status(), String::from_utf8(response.body).unwrap())
        };
        assert_eq!(check("/health"), (200, "ok\n".to_owned()));
        assert_eq!(check("/ready"), (200, "ready\n".to_owned()));
        let mut download = Client::with_request(&server, get("/large"));
        assert!(download.read_head().starts_with("HTTP/1.1 200 "));
        server.signal(Signal::TERM);
        eventually("the server is draining", || check("/ready").0 == 503);
        let why = "draining: the server stops, and only answers the requests that it has\n";
        assert_eq!(check("/ready"), (503, why.to_owned()));
        eventually("the site's listener is closed", || {
            TcpStream::connect(server.address()).is_err()
        });
        assert_eq!(check("/health"), (200, "ok\n".to_owned()));
        let text = metrics(&server);
        assert_eq!(value(&text, "oneloop_draining"), 1);
        assert_eq!(
            value(&text, "oneloop_connections{state=\"writing_body\"}"),
            1
        );
        let (body, _) = download.read_to_end();
        assert_eq!(body.len() as u64, LARGE);
        drop(download);
        assert_eq!(server.wait().code(), Some(0));
        assert!(TcpStream::connect(server.admin()).is_err());
    }
}

#[test]
fn curl_reads_the_metrics_at_a_unix_socket_that_is_there_until_the_end() {
    if !has("curl") {
        return;
    }
    let root = files();
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("admin");
    let options = format!("--admin unix:{} --grace 600", socket.display());
    let public = format!("--bind unix:{}", place.path().join("public").display());
    let launch = Launch::of(root.path()).with(&options).with(&public);
    let mut server = launch.without_port().start();
    let curl = |path: &str| {
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "20", "--unix-socket"])
            .arg(&socket)
            .arg(format!("http://localhost{path}"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(curl("/ready"), "ready\n");
    let mut download = Client::at(&place.path().join("public"));
    download.send(get("/large"));
    assert!(download.read_head().starts_with("HTTP/1.1 200 "));
    server.signal(Signal::TERM);
    eventually("the server is draining", || {
        curl("/ready").starts_with("draining")
    });
    eventually("the socket of the site is removed", || {
        !place.path().join("public").exists()
    });
    assert!(curl("/metrics").contains("\noneloop_draining 1\n"));
    drop(download);
    assert_eq!(server.wait().code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn the_statuses_and_bytes_are_those_of_the_access_log() {
    for model in available(&MODELS) {
        let root = files();
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("log");
        let options = format!("--log-format json --log-file {}", log.display());
        let mut server = launch(root.path(), model).with(&options).start();
        mixed_load(&server);
        wait_until_closed(&server);
        let text = metrics(&server);
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));

        let lines = std::fs::read_to_string(&log).unwrap();
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let (mut statuses, mut bytes) = (BTreeMap::new(), 0);
        for line in lines {
            *statuses
                .entry(line["status"].as_u64().unwrap())
                .or_insert(0) += 1;
            bytes += line["bytes"].as_u64().unwrap();
        }
        assert_eq!(
            Vec::from_iter(statuses.keys().copied()),
            [200, 206, 304, 400, 404, 405, 416]
        );
        for (status, count) in statuses {
            let sample = format!("oneloop_requests_total{{status=\"{status}\"}}");
            assert_eq!(value(&text, &sample), count, "{sample}");
        }
        assert_eq!(value(&text, "oneloop_response_body_bytes_total"), bytes);
    }
}

/// Many responses of all kinds, and downloads that the client breaks off.
fn mixed_load(server: &Server) {
    let with =
        |path: &str, field: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
    let requests = [
        get("/small"),
        get("/nothing"),
        get("/"),
        with("/small", "Range: bytes=2-4"),
        with("/small", "Range: bytes=0-1,5-6"),
        with("/small", "Range: bytes=99-"),
        with("/small", "If-None-Match: *"),
        "HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        with("/large", "Range: bytes=0-999999"),
    ];
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let requests = &requests;
            scope.spawn(move || {
                for round in 0..5 {
                    let keep = 1 + (thread + round) % requests.len();
                    exchange(server, &requests[..keep].concat());
                    exchange(server, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
                    exchange(server, &(get("/small") + "no HTTP\r\n\r\n"));
                    let mut broken_off = Client::with_request(server, get("/large"));
                    broken_off.read_head();
                }
                exchange(server, &requests.concat());
            });
        }
    });
}

#[test]
fn each_kind_of_timeout_is_counted() {
    for model in available(&MODELS) {
        let root = files();
        let options = "--idle-timeout 2 --header-timeout 2 --send-timeout 2 --linger-timeout 2";
        let server = launch(root.path(), model).with(options).start();
        let _idle = Client::of(&server);
        let _partial = Client::with_request(&server, "GET /small HTTP/1.1\r\nHo");
        let _unread = Client::with_request(&server, get("/large"));
        let mut open = Client::with_request(&server, "no HTTP\r\n\r\n");
        assert_eq!(open.read_response().status(), 400);
        for kind in ["idle", "header", "send"] {
            wait_for(
                &server,
                &format!("oneloop_timeouts_total{{kind=\"{kind}\"}}"),
                1,
            );
        }
        // The one with the partial request, which was answered with 408, lingers as well.
        wait_for(&server, "oneloop_timeouts_total{kind=\"linger\"}", 2);
        wait_for(&server, "oneloop_requests_total{status=\"408\"}", 1);
    }
}

#[test]
fn pauses_of_accepting_and_evictions_are_counted() {
    let root = files();
    let server = launch(root.path(), "reactor")
        .with("--max-connections 1")
        .start();
    let mut first = Client::of(&server);
    wait_for(&server, "oneloop_connections_accepted_total", 1);
    let second = Client::with_request(&server, get("/small"));
    eventually(
        "accepting is paused: the first one is not idle for long",
        || value(&metrics(&server), "oneloop_accept_pauses_total") > 0,
    );
    wait_for(&server, "oneloop_evictions_total", 1);
    first.expect_end();
    drop(second);
}

#[test]
fn the_site_has_none_of_these_paths_and_only_get_and_head_are_allowed() {
    for model in available(&MODELS) {
        let root = files();
        let server = launch(root.path(), model).start();
        for path in ["/metrics", "/health", "/ready"] {
            let mut client = Client::with_request(&server, get(path));
            assert_eq!(client.read_response().status(), 404, "{path}");
            for (method, status) in [("POST", 405), ("OPTIONS", 405)] {
                let mut client = Client::to(server.admin());
                client.send(format!(
                    "{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                ));
                assert_eq!(client.read_response().status(), status, "{method} {path}");
            }
        }
        assert_eq!(ask(&server, "/small").status(), 404);
    }
}
