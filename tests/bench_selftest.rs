//! The checks of `oneloop bench selftest` that depend on no clock, and so hold on a busy machine:
//! the load generator against servers whose counts are known exactly.
#![cfg(feature = "bench")]

use oneloop::bench::selftest::server::{Policy, ServerCounters};
use oneloop::bench::types::Totals;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::process::{Command, Output, Stdio};

fn bench(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.arg("bench").args(args);
    command
}

fn output(args: &[&str]) -> Output {
    bench(args).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_generator_counts_what_the_servers_count() {
    let output = output(&["selftest", "--quick", "counts"]);
    let stdout = text(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", text(&output.stderr));
    for name in ["faults", "connections", "shares", "dropped"] {
        let line = format!("PASS  counts: {name}");
        assert!(stdout.contains(&line), "{stdout}");
    }
    assert!(stdout.contains(" 0 failed."), "{stdout}");
}

#[test]
fn a_filter_that_matches_no_check_is_an_error_with_the_names() {
    let output = output(&["selftest", "nonsense"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("counts: faults\n  counts: connections"));
}

/// With a client that is not the generator, which splits its requests.
#[test]
fn a_known_answer_server_counts_requests_and_responses_and_prints_them_when_stdin_ends() {
    let policy = serde_json::to_string(&Policy::Quota(vec![2])).unwrap();
    let mut server = bench(&["known-answer-server", &policy])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let port: u16 = line.trim().parse().unwrap();
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nright right ";
    let mut found = vec![0; response.len()];
    for pieces in [
        ["GET / HT", "TP/1.1\r\n\r", "\n"],
        ["GET / HTTP/1.1\r\n\r\n", "", ""],
    ] {
        for piece in pieces {
            client.write_all(piece.as_bytes()).unwrap();
        }
        client.read_exact(&mut found).unwrap();
        assert_eq!(text(&found), text(response));
    }
    client.write_all(b"GET / HTTP/1.1\r\n\r\nGET").unwrap();
    // When the connection is closed, the server has read the third request.
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut found).unwrap(), 0);
    drop(server.stdin.take());
    let counters: ServerCounters = serde_json::from_reader(stdout).unwrap();
    let totals = Totals {
        connections: 1,
        requests: 3,
        responses: 2,
        body_bytes: 24,
    };
    assert_eq!(counters.totals, totals);
    assert_eq!(counters.arrivals.len(), 3);
    assert!(server.wait().unwrap().success());
}
