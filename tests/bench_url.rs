//! `oneloop bench URL`, against servers whose answer is known.
#![cfg(feature = "bench")]

// Other tests use more of it.
#[cfg(feature = "tls")]
#[allow(dead_code)]
#[path = "support/certificate.rs"]
mod certificate;
#[allow(dead_code)]
#[path = "support/process.rs"]
mod process;

use oneloop::bench::selftest::server::{Policy, ServerCounters};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn bench(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.arg("bench").args(args).stdin(Stdio::null());
    command
}

/// The result as JSON, and the exit code.
fn measured(url: &str, args: &[&str]) -> (Value, i32) {
    let output = bench(&[&[url, "--json", "-c", "2", "-d", "300ms"], args].concat()).output();
    let output = output.unwrap();
    let json = serde_json::from_slice(&output.stdout);
    (
        json.unwrap_or_else(|_| panic!("{}", text(&output))),
        output.status.code().unwrap(),
    )
}

fn text(output: &Output) -> String {
    let all = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// A server with a known answer.
struct Known {
    process: Child,
    stdout: BufReader<ChildStdout>,
    url: String,
}

impl Known {
    fn start(policy: &Policy) -> Self {
        let policy = serde_json::to_string(policy).unwrap();
        let mut command = bench(&["known-answer-server", &policy]);
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut port = String::new();
        stdout.read_line(&mut port).unwrap();
        let url = format!("http://{}:{}/", Ipv4Addr::LOCALHOST, port.trim());
        Self {
            process,
            stdout,
            url,
        }
    }

    fn stop(mut self) -> ServerCounters {
        drop(self.process.stdin.take());
        let counters = serde_json::from_reader(self.stdout).unwrap();
        assert!(self.process.wait().unwrap().success());
        counters
    }
}

/// What must be found for a response: statuses, errors, and whether the server closes each time.
type Expected = (&'static [&'static str], &'static [&'static str], bool);

#[test]
fn each_response_is_counted_for_what_it_is() {
    const OK: Expected = (&["200"], &[], false);
    const CLOSES: Expected = (&["200"], &[], true);
    let table: [(&str, bool, Expected); 16] = [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            false,
            OK,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
            true,
            CLOSES,
        ),
        ("HTTP/1.0 200 OK\r\n\r\nhello", true, CLOSES),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            true,
            CLOSES,
        ),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
            false,
            OK,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", true, CLOSES),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
            false,
            OK,
        ),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            false,
            (&["103", "200"], &[], false),
        ),
        (
            "HTTP/1.1 204 No Content\r\n\r\n",
            false,
            (&["204"], &[], false),
        ),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            false,
            (&["304"], &[], false),
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
            false,
            (&["302"], &[], false),
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            false,
            (&["404"], &["status"], false),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
            true,
            (&[], &["truncated"], false),
        ),
        ("220 ready\r\n\r\n", false, (&[], &["malformed"], false)),
        (
            "HTTP/1.1 099 N\r\nContent-Length: 0\r\n\r\n",
            false,
            (&["99"], &["status"], false),
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            false,
            (&["101"], &["status"], true),
        ),
    ];
    for (response, closes, (statuses, errors, always)) in table {
        let server = Known::start(&Policy::Canned(response.to_owned(), closes));
        let (found, code) = measured(&server.url, &[]);
        let counted = server.stop();
        let keys = |name: &str| {
            found[name]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(keys("statuses"), statuses, "{response}: {found}");
        assert_eq!(keys("errors"), errors, "{response}: {found}");
        assert_eq!(code, i32::from(!errors.is_empty()), "{response}");
        let note = "the server closed the connection after each response";
        let notes = found["notes"].as_array().unwrap();
        assert_eq!(
            notes.iter().any(|one| one == note),
            always,
            "{response}: {found}"
        );
        if errors.is_empty() {
            assert!(found["responses"].as_u64() > Some(0), "{found}");
            assert_eq!(
                found["totals"]["responses"], counted.totals.responses,
                "{response}"
            );
            // The server also counts the one that found its address.
            let made = found["totals"]["connections"].as_u64().unwrap() + 1;
            assert_eq!(made, counted.totals.connections, "{response}");
            for status in statuses {
                assert_eq!(
                    found["statuses"][status], found["responses"],
                    "{response}: {found}"
                );
            }
        }
    }
}

/// The reads of one connection would otherwise never end.
#[test]
fn a_server_that_sends_faster_than_it_is_read_does_not_prolong_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10_000);
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let has_request = matches!(client.read(&mut [0; 1000]), Ok(1..));
            while has_request && client.write_all(interim.as_bytes()).is_ok() {}
        }
    });
    let mut command = bench(&[&url, "--json", "-c", "1", "-d", "100ms"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let limit = Instant::now() + Duration::from_secs(40);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > limit {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let found: Value = serde_json::from_reader(child.stdout.take().unwrap()).unwrap();
    assert_eq!(found["errors"]["missing"], 1, "{found}");
}

#[test]
fn a_pause_of_the_server_and_a_rate_are_reported() {
    let server = Known::start(&Policy::Stall(300_000_000..700_000_000, 10_000));
    let (found, code) = measured(&server.url, &["-d", "1s", "--rate", "500"]);
    assert_eq!((code, found["due"].as_u64()), (0, Some(500)), "{found}");
    let silence = found["silence_ms"].as_u64().unwrap();
    assert!((399..=900).contains(&silence), "{found}");
    let pause = format!("no correct response came for {silence} ms");
    assert!(
        found["notes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|note| *note == pause),
        "{found}"
    );
    // Of 500 requests 200 were due while the server paused: one waited for nearly all of it.
    assert!(
        found["response_time_us"]["max"].as_f64() > Some(380_000.0),
        "{found}"
    );
    server.stop();
}

#[test]
fn the_output_for_people_names_rate_times_statuses_errors_and_connections() {
    let server = Known::start(&Policy::Faulty);
    let output = bench(&[&server.url, "-c", "3", "-d", "500ms"])
        .output()
        .unwrap();
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in [
        ": 3 connections, 0.5 seconds, closed loop",
        "per second",
        "p50 ",
        "max ",
        " of 200, ",
        " of 404",
        "responses were truncated",
        "3 of 3 made",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\x1b'), "not on a terminal: {text}");
    server.stop();
}

#[test]
fn a_request_has_the_authority_of_the_url_and_the_given_fields_on_a_unix_socket_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let received = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut bytes = [0; 1000];
        let length = client.read(&mut bytes).unwrap();
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        while client.write_all(response).is_ok() && matches!(client.read(&mut [0; 1000]), Ok(1..)) {
        }
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    });
    let url = format!("unix:{}:/a?b", path.display());
    let (found, code) = measured(
        &url,
        &["-c", "1", "-H", "X-One: 1", "-H", "Host: example.com"],
    );
    assert_eq!(code, 0, "{found}");
    let request = received.join().unwrap();
    assert_eq!(
        request,
        "GET /a?b HTTP/1.1\r\nHost: example.com\r\nX-One: 1\r\n\r\n"
    );
}

#[test]
fn what_cannot_be_measured_is_an_error_with_a_sentence() {
    const ONE: &str = "http://127.0.0.1:1/";
    let cases: [(&[&str], i32, &str); 18] = [
        (
            &["http://127.0.0.1:1/"],
            1,
            "no address of 127.0.0.1 can be reached: 127.0.0.1:1: ",
        ),
        (&["ftp://127.0.0.1/"], 2, "it must begin with http://"),
        (
            &["http://127.0.0.1/", "-H", "no colon"],
            2,
            "it must be NAME: VALUE",
        ),
        (&["http://127.0.0.1/", "-d", "3x"], 2, "the unit is none of"),
        (
            &["keepalive", "-c", "3"],
            2,
            "-c, -d, -H, --rate, --json, --ca and --insecure are for one URL",
        ),
        (&["--json", "keepalive"], 2, "are for one URL"),
        (
            &["http://127.0.0.1/", "--models", "pool"],
            2,
            "the options of a comparison have no meaning for one server",
        ),
        (&["unix:/nonexistent", "-d", "50ms"], 1, "0 of 64 made"),
        (
            &[ONE, "-c", "0"],
            2,
            "there must be 1 to 1000000 connections",
        ),
        (&[ONE, "--rate", "0"], 2, "the rate must be above 0.001"),
        (&[ONE, "--rate", "99999999999"], 2, "and at most 2e6"),
        (&["http://[::1"], 2, "no IPv6 address in brackets"),
        (
            &["https://127.0.0.1:1/", "--ca", "/nonexistent"],
            2,
            "/nonexistent",
        ),
        (&[ONE, "--insecure"], 2, "--ca and --insecure are for https"),
        (&[ONE, "--quick"], 2, "have no meaning for one server"),
        (&[ONE, "keepalive"], 2, "a URL stands alone"),
        (&["keepalive", ONE], 2, "a URL stands alone"),
        (&[ONE, "-H", "a(b: c"], 2, "it must be NAME: VALUE"),
    ];
    for (args, code, words) in cases {
        let output = bench(args).output().unwrap();
        let text = text(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(words), "{args:?}: {text}");
    }
}

#[cfg(feature = "tls")]
mod https {
    use super::{bench, measured, process, text};
    use crate::certificate::TestCertificate;
    use process::Launch;

    #[test]
    fn a_certificate_is_checked_unless_the_option_says_no() {
        let root = process::site(&[("index.html", &[b'x'; 100_000])]);
        let certificate = TestCertificate::write(root.path(), "server", &["localhost"]);
        let server = Launch::of(root.path())
            .arg("--tls-cert")
            .arg(certificate.certificate())
            .arg("--tls-key")
            .arg(certificate.key())
            .start();
        let url = format!("https://localhost:{}/", server.address_of("https").port());
        let ca = certificate.certificate().display().to_string();
        for trusted in [&["--ca", ca.as_str()][..], &["--insecure"]] {
            let (found, code) = measured(&url, trusted);
            assert_eq!(code, 0, "{trusted:?}: {found}");
            let bytes = found["responses"].as_u64().unwrap() * 100_000;
            assert_eq!(found["body_bytes"], bytes, "{found}");
            assert!(bytes > 0, "{found}");
        }
        let other = TestCertificate::write(root.path(), "other", &["localhost"]);
        let other = other.certificate().display().to_string();
        let args = [&url, "--ca", &other, "-c", "1", "-d", "100ms"];
        let output = bench(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = text(&output);
        assert!(text.contains("TLS: invalid peer certificate"), "{text}");
    }
}

/// cargo test --release --test bench_url -- --ignored
#[test]
#[ignore = "needs wrk, an optimized build and a quiet machine"]
fn the_rate_agrees_with_that_of_wrk_within_5_percent() {
    if !process::has("wrk") {
        return process::skipped("wrk is not installed");
    }
    // Half the rate of wrk, so that both clients wait for the server.
    let server = Known::start(&Policy::Stall(0..0, 20_000));
    let ours = || {
        let (found, _) = measured(&server.url, &["-c", "8", "-d", "1s"]);
        found["requests_per_second"].as_f64().unwrap()
    };
    let wrk = || {
        let output = Command::new("wrk")
            .args(["-t1", "-c8", "-d1s", &server.url])
            .output();
        let output = text(&output.unwrap());
        let line = output
            .lines()
            .find_map(|line| line.strip_prefix("Requests/sec:"));
        line.and_then(|rate| rate.trim().parse::<f64>().ok())
            .expect(&output)
    };
    // A B B A, so that changes of the machine affect both.
    let rounds = (0..4).flat_map(|_| {
        let (a, b) = (ours(), wrk());
        let (d, c) = (wrk(), ours());
        [a / b, c / d]
    });
    let mut ratios: Vec<f64> = rounds.collect();
    ratios.sort_by(f64::total_cmp);
    let middle = (ratios[3] + ratios[4]) / 2.0;
    assert!((0.95..=1.05).contains(&middle), "{ratios:?}");
    server.stop();
}
