//! Readers of the log that are slow, gone, or moved.

use crate::client::{Client, get};
use crate::process::{Launch, PATIENCE, eventually, site};
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

/// 20,000 lines are more than the pipe and both buffers hold. Red with a log that writes
/// in the loop: it hangs at the first full pipe.
#[test]
fn a_log_that_nobody_reads_stops_nobody_and_says_later_what_is_missing() {
    let root = site(&[("small", b"small")]);
    let mut server = Launch::of(&root).stdout(Stdio::piped()).start();
    let mut client = Client::of(&server);
    let agent = "a".repeat(200);
    let request = format!("GET /small HTTP/1.1\r\nHost: test\r\nUser-Agent: {agent}\r\n\r\n");
    for _ in 0..1000 {
        client.send(request.repeat(20));
        for _ in 0..20 {
            assert_eq!(client.answer().body, b"small");
        }
    }

    let (tell, told) = mpsc::channel();
    let stdout = server.stdout();
    thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        for line in lines.filter(|line| line.starts_with("# ")) {
            let _ = tell.send(line);
        }
    });
    let line = told.recv_timeout(PATIENCE).expect("the log says nothing");
    let dropped = line
        .strip_prefix("# oneloop: lines dropped: ")
        .expect(&line);
    let dropped: u64 = dropped.parse().unwrap();
    assert!((1..20_000).contains(&dropped), "{dropped}");
}

/// Red with a log whose error ends the server.
#[test]
fn a_reader_of_the_log_that_has_seen_enough_does_not_end_the_server() {
    let root = site(&[("small", b"small")]);
    for before in ["trap - PIPE", "trap '' PIPE"] {
        let mut server = Launch::of(&root)
            .after(before)
            .stdout(Stdio::piped())
            .start();
        let mut head = Command::new("head")
            .arg("-1")
            .stdin(server.stdout())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut client = Client::of(&server);
        assert_eq!(client.ask("/small").status(), 200);
        eventually("head has read a line", || {
            head.try_wait().unwrap().is_some()
        });
        for _ in 0..100 {
            assert_eq!(client.ask("/small").status(), 200);
        }
        eventually("it says that the log ends", || {
            server.diagnostics().contains("access log: it ends here")
        });
        assert!(server.is_alive());
        drop(client);
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
    }
}

/// As logrotate does it. Red with a SIGHUP that is ignored.
#[test]
fn after_a_rename_and_sighup_lines_go_to_a_new_file() {
    let root = site(&[("first", b"1"), ("second", b"2")]);
    let place = tempfile::tempdir().unwrap();
    let (path, old) = (place.path().join("log"), place.path().join("log.1"));
    let server = Launch::of(&root).arg("--log-file").arg(&path).start();
    let mut client = Client::of(&server);
    let lines = |path| fs::read_to_string(path).unwrap_or_default();
    client.ask("/first");
    eventually("it is logged", || lines(&path).contains("GET /first "));
    fs::rename(&path, &old).unwrap();
    client.ask("/first");
    eventually("it is logged where the file is now", || {
        lines(&old).matches("GET /first ").count() == 2
    });
    assert!(!path.exists());
    server.signal(Signal::HUP);
    eventually("there is a new file", || path.exists());
    client.ask("/second");
    eventually("it is logged", || lines(&path).contains("GET /second "));
    assert_eq!(lines(&path).lines().count(), 1);
    assert_eq!(lines(&old).lines().count(), 2);
}

/// What it does to a program by default is to end it.
#[test]
fn sighup_without_a_log_file_ends_nothing() {
    let root = site(&[("small", b"small")]);
    for args in ["", "--log-file /dev/null"] {
        let mut server = Launch::of(&root).with(args).start();
        let mut client = Client::of(&server);
        for _ in 0..3 {
            server.signal(Signal::HUP);
            assert_eq!(client.ask("/small").status(), 200);
        }
        assert!(server.is_alive());
    }
}

/// Lines that were handed over before the end are written before the end. Red with a log
/// that is dropped without being closed.
#[test]
fn the_last_answers_are_in_the_log_when_the_server_has_ended() {
    let root = site(&[("small", b"small")]);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("log");
    let mut server = Launch::of(&root).arg("--log-file").arg(&path).start();
    let mut client = Client::saying(&server, get("/small").repeat(500));
    for _ in 0..500 {
        assert_eq!(client.answer().status(), 200);
    }
    server.signal(Signal::TERM);
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
    let lines = fs::read_to_string(&path).unwrap();
    assert_eq!(lines.matches("GET /small HTTP/1.1\" 200").count(), 500);
}
