//! The part of `oneloop bench selftest` that looks at no clock: the real generator, on servers whose
//! counts are known exactly. It holds on any machine, however busy. What depends on time is only in
//! `oneloop bench selftest` itself.
#![cfg(feature = "bench")]

use oneloop::bench::selftest::server::{Manner, Oracle, ServerCounters};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

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
fn what_is_counted_is_what_has_happened() {
    let output = output(&["selftest", "--quick", "counts"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    for name in ["faults", "connections", "shares", "dropped", "short"] {
        assert!(said.contains(&format!("PASS  counts: {name}")), "{said}");
    }
    assert!(said.contains(" 0 failed, 0 skipped."), "{said}");
}

#[test]
fn a_name_that_no_test_has_is_answered_with_those_there_are() {
    let output = output(&["selftest", "nonsense"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("counts: faults\n  counts: connections"));
}

#[test]
fn what_is_no_oracle_is_told() {
    let zero = r#"{"manner":{"two_point":{"every":0,"late":1}},"size":1,"log":false}"#;
    for (words, part) in [("{}", "this is no oracle"), (zero, "is not possible")] {
        let output = output(&["known-answer-server", words]);
        assert!(!output.status.success());
        assert!(
            text(&output.stderr).contains(part),
            "{}",
            text(&output.stderr)
        );
    }
}

fn oracle(manner: Manner) -> (Child, BufReader<ChildStdout>, TcpStream) {
    let oracle = Oracle {
        manner,
        processor: None,
        size: 6,
        log: true,
    };
    let mut child = bench(&[
        "known-answer-server",
        &serde_json::to_string(&oracle).unwrap(),
    ])
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let port: u16 = line.trim().parse().unwrap();
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    (child, stdout, client)
}

fn ledger(mut stdout: BufReader<ChildStdout>) -> ServerCounters {
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// By a client that is not ours: however the requests are cut, the oracle counts them.
#[test]
fn an_oracle_counts_what_it_was_asked_and_what_it_has_answered() {
    let (mut child, stdout, mut client) = oracle(Manner::Quota { each: vec![2] });
    for piece in [
        "GET / HT",
        "TP/1.1\r\n\r",
        "\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGET",
    ] {
        client.write_all(piece.as_bytes()).unwrap();
    }
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nright ";
    let mut found = vec![0; 2 * answer.len()];
    client.read_exact(&mut found).unwrap();
    assert_eq!(text(&found), text(&[*answer, *answer].concat()));
    // So that it has seen the third.
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut found).unwrap(), 0);
    drop(child.stdin.take());
    let ledger = ledger(stdout);
    let counts = (ledger.connections, ledger.requests, ledger.answers);
    assert_eq!(counts, (1, 3, 2));
    assert_eq!((ledger.body_bytes, ledger.shares), (12, vec![2]));
    assert_eq!(ledger.arrivals.len(), 3);
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_oracle_ends_when_it_is_told_to() {
    let (mut child, stdout, _client) = oracle(Manner::Null);
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    assert_eq!(ledger(stdout).answers, 0);
    assert!(child.wait().unwrap().success());
}
