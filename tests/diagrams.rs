//! `oneloop diagram`, and the diagrams in docs/, which are drawn from traces recorded here.
//!
//! ```text
//! cargo test --test diagrams                  are the diagrams those of their traces?
//! UPDATE_DOCS=1 cargo test --test diagrams    record the traces and draw the diagrams anew
//! ```
#![cfg(all(feature = "study", not(mio_unsupported_force_poll_poll)))]
#![allow(dead_code, reason = "a module that other tests use as well")]

#[path = "support/process.rs"]
mod process;

use process::{Launch, TIME_LIMIT, available, eventually, site};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

/// The models whose diagrams are in docs/, with what the diagram shows.
const MODELS: [(&str, &str); 8] = [
    (
        "sequential",
        "one client at a time, and the first one is slow",
    ),
    (
        "process",
        "a process for each client, the first of which is slow",
    ),
    (
        "thread",
        "a thread for each client, the first of which is slow",
    ),
    (
        "pool",
        "a fixed number of threads, and the first of three clients is slow",
    ),
    (
        "coroutine",
        "a coroutine for each client, the first of which is slow",
    ),
    (
        "uring",
        "one thread whose operations the kernel carries out, and the first of three clients is slow",
    ),
    (
        "level",
        "one thread without edges, and the first of three clients is slow",
    ),
    (
        "reactor",
        "one thread, and the first of three clients is slow",
    ),
];

/// How long the slow client pauses in the middle of its request.
const PAUSE: Duration = Duration::from_millis(500);

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn updates() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some()
}

fn diagram(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.arg("diagram").args(args).output().unwrap()
}

/// Sends the parts of a request with a pause between them, and reads to the end of the connection.
fn request(mut stream: TcpStream, parts: &[&str]) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            thread::sleep(PAUSE);
        }
        stream.write_all(part.as_bytes()).unwrap();
    }
    stream.set_read_timeout(Some(TIME_LIMIT)).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

/// The trace of three clients: the first pauses in its request, the others come meanwhile.
fn session(model: &str) -> String {
    let root = site(&[("page", b"0123456789")]);
    let trace = root.path().join("trace");
    let launch = Launch::of(root.path()).arg("--trace").arg(&trace);
    let options = format!("--trace-format json --no-defer-accept --model {model}");
    let mut server = launch.with(&options).start();
    let connect = || TcpStream::connect(server.address()).unwrap();
    let parts = [
        "GET /page HT",
        "TP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ];
    let first = connect();
    let slow = thread::spawn(move || request(first, &parts));
    eventually("the server has received half a request", || {
        fs::read_to_string(&trace).is_ok_and(|trace| trace.contains("\"bytes\":12,"))
    });
    let others: Vec<_> = (0..2)
        .map(|_| {
            let (stream, whole) = (connect(), parts.concat());
            thread::spawn(move || request(stream, &[&whole]))
        })
        .collect();
    others.into_iter().for_each(|other| other.join().unwrap());
    slow.join().unwrap();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    fs::read_to_string(trace).unwrap()
}

/// The connections in the order in which they are closed.
fn order_of_closes(trace: &str) -> Vec<u64> {
    let records = trace
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let closes = records.filter(|record| record["call"] == "close");
    closes
        .map(|record| record["connection"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_slow_client_delays_the_others_only_where_one_connection_is_served_at_a_time() {
    for model in available(&MODELS.map(|(model, _)| model)) {
        let trace = session(model);
        let closes = order_of_closes(&trace);
        let is_delayed = matches!(model, "fixed" | "sequential");
        let expected = if is_delayed { 0 } else { 2 };
        let first = closes.iter().position(|id| *id == 0);
        assert_eq!(first, Some(expected), "{model}: {closes:?}");
        if updates() {
            fs::write(here(&format!("docs/diagrams/{model}.jsonl")), trace).unwrap();
        }
    }
}

#[test]
fn the_diagrams_in_the_documents_are_drawn_from_their_traces() {
    for (model, what) in MODELS {
        let trace = here(&format!("docs/diagrams/{model}.jsonl"));
        let title = format!("{model}: {what}");
        let output = diagram(&[trace.to_str().unwrap(), "--title", &title]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let path = here(&format!("docs/diagrams/{model}.svg"));
        if updates() {
            fs::write(&path, &output.stdout).unwrap();
        }
        let kept = fs::read(&path).unwrap_or_default();
        assert!(
            kept == output.stdout,
            "docs/diagrams/{model}.svg is not the diagram of {model}.jsonl; if the new one is right: \
             UPDATE_DOCS=1 cargo test --test diagrams"
        );
    }
}

#[test]
fn a_trace_that_cannot_be_drawn_is_an_error_with_its_name() {
    let root = site(&[("text", b"#  time us\n")]);
    let path = root.path().join("text");
    let output = diagram(&[path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    let expected = format!(
        "oneloop: {}: line 1 is not a record of --trace-format json: ",
        path.display()
    );
    assert!(message.starts_with(&expected), "{message}");
    let output = diagram(&["/nowhere/trace"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        message,
        "oneloop: /nowhere/trace: No such file or directory (os error 2)\n"
    );
}
