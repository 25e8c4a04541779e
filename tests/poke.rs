//! The tools of the feature `study`, run as a user runs them.
#![cfg(feature = "study")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

/// A server on a free port that gives each of the next `count` connections to `serve`, and returns
/// what that returned.
fn server<T: Send + 'static>(
    count: usize,
    serve: impl Fn(TcpStream) -> T + Send + 'static,
) -> (String, thread::JoinHandle<Vec<T>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = move || {
        let streams = listener.incoming().take(count);
        streams.map(|stream| serve(stream.unwrap())).collect()
    };
    (address, thread::spawn(served))
}

fn poke(address: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.args(["poke", "--to", address]).args(arguments);
    command.output().unwrap()
}

/// What it printed, without the times and the port.
fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let without_time = text.lines().map(|line| match line.split_once(" ms  ") {
        Some((time, rest)) if time.trim().parse::<f64>().is_ok() => rest,
        _ => line.trim_start(),
    });
    let without_port = without_time.map(|line| match line.split_once("from 127.0.0.1:") {
        Some((before, _)) => format!("{before}from 127.0.0.1"),
        None => line.to_owned(),
    });
    without_port.collect()
}

/// Reads until the client has closed its direction.
fn read_all(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_script_is_sent_with_its_pauses_and_both_directions_are_printed() {
    let (address, served) = server(1, |mut stream| {
        let mut begin = [0; 8];
        stream.read_exact(&mut begin).unwrap();
        let began = Instant::now();
        let mut rest = [0; 8];
        stream.read_exact(&mut rest).unwrap();
        let pause = began.elapsed();
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .unwrap();
        (begin, rest, pause)
    });
    let output = poke(&address, &["GET / HT", "200ms", r"TP/1.1\r\n"]);
    let expected = [
        "connected from 127.0.0.1",
        "sent 8 bytes",
        "GET / HT",
        "sent 8 bytes",
        r"TP/1.1\r\n",
        "received 27 bytes",
        r"HTTP/1.1 204 No Content\r\n",
        r"\r\n",
        "closed by the server (FIN received)",
    ];
    assert_eq!(lines(&output), expected);
    assert_eq!(output.status.code(), Some(0));
    let [(begin, rest, pause)] = served.join().unwrap()[..] else {
        panic!("one connection");
    };
    assert_eq!((&begin, &rest), (b"GET / HT", b"TP/1.1\r\n"));
    // Both ends have seen it; the server may have been late for the first part.
    assert!(pause >= Duration::from_millis(20), "{pause:?}");
}

#[test]
fn split_cuts_the_text_into_short_writes() {
    let (address, served) = server(1, read_all);
    let output = poke(&address, &["--split", "3", "--half-close", "abcdefg"]);
    let expected = [
        "connected from 127.0.0.1",
        "sent 3 bytes",
        "abc",
        "sent 3 bytes",
        "def",
        "sent 1 byte",
        "g",
        "closed our direction (FIN sent)",
        "closed by the server (FIN received)",
    ];
    assert_eq!(lines(&output), expected);
    assert_eq!(served.join().unwrap(), [b"abcdefg".to_vec()]);
}

#[test]
fn rst_resets_the_connection_after_the_script() {
    let (address, served) = server(1, |mut stream| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(|error| error.kind())
    });
    let output = poke(&address, &["--rst", "abc", "100ms"]);
    let expected = [
        "connected from 127.0.0.1",
        "sent 3 bytes",
        "abc",
        "reset by poke (RST sent)",
    ];
    assert_eq!(lines(&output), expected);
    let reset = Err(std::io::ErrorKind::ConnectionReset);
    assert_eq!(served.join().unwrap(), [reset]);
}

#[test]
fn many_connections_do_the_same_and_are_counted() {
    let (address, served) = server(20, |mut stream| {
        stream.write_all(b"hello").unwrap();
        let mut sent = [0; 2];
        stream.read_exact(&mut sent).unwrap();
        sent
    });
    let output = poke(&address, &["--connections", "20", "hi"]);
    let printed = lines(&output);
    let expected =
        "of 20 connections: 20 connected, 20 answered, 20 closed by the server, 0 failed";
    assert_eq!(printed.last().map(String::as_str), Some(expected));
    let all = "20 of 20 are connected";
    assert_eq!(printed.iter().filter(|line| *line == all).count(), 1);
    assert_eq!(served.join().unwrap(), [*b"hi"; 20]);
}

#[test]
fn a_server_that_sends_nothing_is_disconnected_after_the_hold_time() {
    let (address, served) = server(1, read_all);
    let began = Instant::now();
    let output = poke(&address, &["--hold", "300ms", "abc"]);
    assert!(began.elapsed() >= Duration::from_millis(300));
    let expected = [
        "connected from 127.0.0.1",
        "sent 3 bytes",
        "abc",
        "closed by poke",
    ];
    assert_eq!(lines(&output), expected);
    assert_eq!(served.join().unwrap(), [b"abc".to_vec()]);
}

#[test]
fn a_read_rate_makes_the_server_wait() {
    const BODY: usize = 40_000;
    let (address, served) = server(1, |mut stream| {
        stream.write_all(&[b'x'; BODY]).unwrap();
    });
    let began = Instant::now();
    let output = poke(&address, &["--read-rate", "50000", "--show", "1"]);
    // The last read has no pause after it.
    let least = Duration::from_millis(700);
    assert!(began.elapsed() >= least, "{:?}", began.elapsed());
    served.join().unwrap();
    let printed = lines(&output);
    let received = printed.iter().filter_map(|line| {
        let number = line.strip_prefix("received ")?.split(' ').next()?;
        number.parse::<usize>().ok()
    });
    let received: Vec<usize> = received.collect();
    assert_eq!(received.iter().sum::<usize>(), BODY);
    assert!(
        received.iter().all(|length| *length <= 1000),
        "{received:?}"
    );
}

#[test]
fn a_refused_connection_is_a_failure_with_its_reason() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let output = poke(&address, &["abc"]);
    assert_eq!(
        lines(&output),
        [format!(
            "not connected to {address}: Connection refused (os error 111)"
        )]
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_url_is_an_error_that_names_the_option_for_the_server() {
    let output = poke("127.0.0.1:1", &["http://127.0.0.1:1"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("the server is --to HOST:PORT"), "{error}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn an_address_without_a_port_is_an_error_that_says_what_to_write() {
    let output = poke("localhost", &["abc"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        error,
        "oneloop: --to localhost: invalid socket address; write HOST:PORT\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// As in `oneloop ... | head`, when head has ended.
#[test]
fn a_subcommand_whose_reader_is_gone_ends_without_a_message() {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace.json");
    let record = r#"{"us":1,"connection":0,"call":"accept"}"#;
    std::fs::write(&trace, format!("{record}\n")).unwrap();
    let trace = trace.to_str().unwrap();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = free.local_addr().unwrap().to_string();
    let commands: [&[&str]; 6] = [
        &["lab"],
        &["lab", "hint", "1"],
        &["diagram", trace],
        &["syscalls", "--model", "fixed"],
        &["poke", "--to", &address, "x"],
        &["--man"],
    ];
    for arguments in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        let output = command.args(arguments).stdout(writer).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
}

#[test]
fn a_diagram_in_a_file_is_named_on_standard_error() {
    let directory = tempfile::tempdir().unwrap();
    let [trace, svg] = ["trace.json", "a.svg"].map(|name| directory.path().join(name));
    std::fs::write(&trace, r#"{"us":1,"connection":0,"call":"accept"}"#).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.arg("diagram").arg(&trace).arg("--output").arg(&svg);
    let output = command.output().unwrap();
    let expected = format!("wrote {}\n", svg.display());
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    assert!(std::fs::read_to_string(svg).unwrap().starts_with("<svg"));
}

#[test]
fn a_tls_handshake_that_fails_is_a_failure_with_its_reason() {
    let (address, served) = server(1, |mut stream| {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n").unwrap();
        // The first byte of a record with a handshake.
        read_all(stream).first().copied()
    });
    let output = poke(&address, &["--tls", "x"]);
    let expected = [
        "connected from 127.0.0.1",
        "failed: received corrupt message of type InvalidContentType",
    ];
    assert_eq!(lines(&output), expected);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(served.join().unwrap(), [Some(22)]);
}

#[test]
fn a_name_for_tls_that_is_no_name_is_an_error() {
    let output = poke("127.0.0.1:1", &["--tls=a b", "x"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        error,
        "oneloop: --tls=a b: write a DNS name or an IP address\n"
    );
    assert_eq!(output.status.code(), Some(1));
}
