//! The access log: readers that are slow or gone, rotation, and errors.

use crate::client::{Client, get};
use crate::process::{Launch, TIME_LIMIT, eventually, has, site, skipped};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::Signal;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

/// 20,000 lines are more than the pipe and both buffers hold. Fails if the
/// loop writes the log: it hangs at the first full pipe.
#[test]
fn a_log_without_a_reader_stops_no_request_and_later_reports_how_many_lines_are_missing() {
    let root = site(&[("small", b"small")]);
    let mut server = Launch::of(&root).stdout(Stdio::piped()).start();
    let mut client = Client::of(&server);
    let agent = "a".repeat(200);
    let request = format!("GET /small HTTP/1.1\r\nHost: test\r\nUser-Agent: {agent}\r\n\r\n");
    for _ in 0..1000 {
        client.send(request.repeat(20));
        for _ in 0..20 {
            assert_eq!(client.read_response().body, b"small");
        }
    }

    let (sender, receiver) = mpsc::channel();
    let stdout = server.stdout();
    thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        for line in lines.filter(|line| line.starts_with("# ")) {
            let _ = sender.send(line);
        }
    });
    let line = receiver
        .recv_timeout(TIME_LIMIT)
        .expect("the log says nothing");
    let dropped = line
        .strip_prefix("# oneloop: lines dropped: ")
        .expect(&line);
    let dropped: u64 = dropped.parse().unwrap();
    assert!((1..20_000).contains(&dropped), "{dropped}");
}

/// The pipe holds 64 KiB, and each connection logs at least two lines. Fails if messages are
/// written in the loop.
#[test]
fn a_full_pipe_as_standard_error_does_not_stop_the_server() {
    let root = site(&[]);
    let directory = tempfile::tempdir().unwrap();
    let (path, socket) = (fifo(&directory), directory.path().join("socket"));
    let _reader = OpenOptions::new().read(true).write(true).open(&path);
    let launch = Launch::of(&root).with("-q -v").without_port();
    let bind = format!("--bind=unix:{}", socket.display());
    let redirect = format!("exec 2>'{}'", path.display());
    let _server = launch.arg(bind).run_before(&redirect).spawn();
    eventually("it listens", || UnixStream::connect(&socket).is_ok());
    for round in 0..2000 {
        let mut client = Client::at(&socket);
        client.send("GET /missing HTTP/1.0\r\n\r\n");
        assert_eq!(client.read_response().status(), 404, "round {round}");
        client.expect_end();
    }
}

/// Fails if there is no warning, or one for each connection.
#[test]
fn tls_at_the_plain_port_is_refused_at_once_and_logged_once() {
    let root = site(&[]);
    let server = Launch::of(&root).start();
    for _ in 0..3 {
        let mut client = Client::of(&server);
        client.send(b"\x16\x03\x01");
        assert_eq!(client.read_response().status(), 400);
    }
    let warning = "TLS arrived at a port that speaks plain HTTP";
    eventually("a warning", || server.diagnostics().contains(warning));
    let messages = server.diagnostics();
    assert_eq!(messages.matches(warning).count(), 1, "{messages}");
}

/// Fails if an error of the log ends the server.
#[test]
fn a_reader_of_the_log_that_closes_does_not_end_the_server() {
    let root = site(&[("small", b"small")]);
    for before in ["trap - PIPE", "trap '' PIPE"] {
        let mut server = Launch::of(&root)
            .run_before(before)
            .stdout(Stdio::piped())
            .start();
        let mut head = Command::new("head")
            .arg("-1")
            .stdin(server.stdout())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut client = Client::of(&server);
        assert_eq!(client.fetch("/small").status(), 200);
        eventually("head has read a line", || {
            head.try_wait().unwrap().is_some()
        });
        for _ in 0..100 {
            assert_eq!(client.fetch("/small").status(), 200);
        }
        eventually("it says that nothing reads the log", || {
            server.diagnostics().contains("(nothing reads it)")
        });
        assert!(server.is_alive());
        drop(client);
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
        eventually("it reports the lost lines", || {
            server.diagnostics().contains(" lines were dropped")
        });
    }
}

/// As logrotate does it. Fails if SIGHUP is ignored.
#[test]
fn after_a_rename_and_sighup_lines_go_to_a_new_file() {
    let root = site(&[("first", b"1"), ("second", b"2")]);
    let directory = tempfile::tempdir().unwrap();
    let (path, old) = (directory.path().join("log"), directory.path().join("log.1"));
    let server = Launch::of(&root).arg("--log-file").arg(&path).start();
    let mut client = Client::of(&server);
    let lines = |path| fs::read_to_string(path).unwrap_or_default();
    client.fetch("/first");
    eventually("it is logged", || lines(&path).contains("GET /first "));
    fs::rename(&path, &old).unwrap();
    client.fetch("/first");
    eventually("it is logged where the file is now", || {
        lines(&old).matches("GET /first ").count() == 2
    });
    assert!(!path.exists());
    server.signal(Signal::HUP);
    eventually("there is a new file", || path.exists());
    client.fetch("/second");
    eventually("it is logged", || lines(&path).contains("GET /second "));
    assert_eq!(lines(&path).lines().count(), 1);
    assert_eq!(lines(&old).lines().count(), 2);
}

/// The shell opens the FIFO, so the server has only the descriptor. Fails if EPIPE ends the log.
#[test]
fn a_new_reader_of_a_fifo_on_standard_output_gets_the_next_lines() {
    let root = site(&[("small", b"small")]);
    let directory = tempfile::tempdir().unwrap();
    let path = fifo(&directory);
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let open = || {
        OpenOptions::new()
            .read(true)
            .custom_flags(nonblocking)
            .open(&path)
    };
    let reader = open().unwrap();
    let writer = OpenOptions::new().write(true).open(&path).unwrap();
    let server = Launch::of(&root).stdout(writer).start();
    let mut client = Client::of(&server);
    drop(reader);
    client.fetch("/small?without-reader");
    eventually("it says that nothing reads the log", || {
        server.diagnostics().contains("(nothing reads it)")
    });
    let mut reader = open().unwrap();
    client.fetch("/small?with-reader");
    let mut lines = String::new();
    eventually("both lines are read", || {
        // Without a writer, reading an empty FIFO fails with WouldBlock.
        let _ = reader.read_to_string(&mut lines);
        lines.contains("?without-reader ") && lines.contains("?with-reader ")
    });
}

fn fifo(directory: &tempfile::TempDir) -> PathBuf {
    let path = directory.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    path
}

/// Fails if open(2) waits for the reader: then the server does not start, or does not respond.
#[test]
fn a_log_file_that_is_a_fifo_without_a_reader_blocks_no_request() {
    let root = site(&[("small", b"small")]);
    let directory = tempfile::tempdir().unwrap();
    let path = fifo(&directory);
    for model in ["reactor", "process", "prefork"] {
        let launch = Launch::of(&root).with("--model").arg(model);
        let mut server = launch.arg("--log-file").arg(&path).start();
        for _ in 0..3 {
            assert_eq!(Client::of(&server).fetch("/small").status(), 200, "{model}");
        }
        server.signal(Signal::USR1);
        assert_eq!(Client::of(&server).fetch("/small").status(), 200, "{model}");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{model}");
    }
}

/// Fails if SIGXFSZ has its default action, which ends the server.
#[test]
fn a_log_at_the_file_size_limit_is_reported_once_and_goes_on_in_the_next_file() {
    let root = site(&[("small", b"small")]);
    let directory = tempfile::tempdir().unwrap();
    let (path, old) = (directory.path().join("log"), directory.path().join("log.1"));
    // In units of 512 bytes.
    let launch = Launch::of(&root).run_before("ulimit -f 2");
    let server = launch.arg("--log-file").arg(&path).start();
    let mut client = Client::of(&server);
    for number in 0..15 {
        assert_eq!(client.fetch(&format!("/small?{number}")).status(), 200);
    }
    eventually("the limit is reached", || {
        server.diagnostics().contains("File too large")
    });
    fs::rename(&path, &old).unwrap();
    server.signal(Signal::USR1);
    let lines = |path| fs::read_to_string(path).unwrap_or_default();
    eventually("the last line is written", || lines(&path).contains("?14 "));
    // The line that was cut at the limit is complete in the next file.
    let old = lines(&old);
    let whole = old.rfind('\n').map_or("", |end| &old[..=end]);
    let all = whole.to_owned() + &lines(&path);
    assert_eq!(all.lines().count(), 15, "{all}");
    assert_eq!(server.diagnostics().matches("File too large").count(), 1);
}

/// Fails if a missing thread is an error, or if the message blames the file.
#[test]
fn a_server_without_threads_serves_and_names_the_cause() {
    if !rustix::process::geteuid().is_root() || !has("prlimit") {
        return skipped("only root can become a user without other processes");
    }
    let program = Path::new(env!("CARGO_BIN_EXE_oneloop"));
    let others = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o001;
    if program.ancestors().any(|path| others(path) == 0) {
        return skipped("another user could not run the program where it lies");
    }
    let root = site(&[("small", b"small")]);
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let limit = "prlimit --nproc=1:1 --pid $$";
    let launch = Launch::of(&root).with("--log-file /dev/null");
    let mut server = launch.run_before(limit).user(54_321).start();
    let mut client = Client::of(&server);
    assert_eq!(client.fetch("/small").status(), 200);
    let messages = server.diagnostics();
    for thread in [
        "the thread that writes messages",
        "the thread that writes it",
    ] {
        assert!(
            messages.contains(&format!("cannot start {thread}: ")),
            "{messages}"
        );
    }
    assert!(!messages.contains("/dev/null"), "{messages}");
    server.signal(Signal::TERM);
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
    eventually("it reports the lost lines", || {
        server
            .diagnostics()
            .contains(" lines are lost for want of a thread")
    });
}

/// Fails if a file of that name is created.
#[test]
fn a_log_file_called_minus_is_standard_output() {
    let root = site(&[("small", b"small")]);
    let directory = tempfile::tempdir().unwrap();
    let stdout = directory.path().join("stdout");
    let launch = Launch::of(&root).stdout(fs::File::create(&stdout).unwrap());
    let server = launch.with("--log-file -").start();
    assert_eq!(Client::of(&server).fetch("/small").status(), 200);
    eventually("it is logged", || {
        fs::read_to_string(&stdout).unwrap().contains("GET /small ")
    });
    assert!(!Path::new("-").exists());
}

/// A message without a time is useless in a server that has run for weeks.
#[test]
fn each_message_begins_with_its_time_and_its_level() {
    let root = site(&[("small", b"small")]);
    for model in ["reactor", "process", "prefork"] {
        let launch = Launch::of(&root).with("-v --model").arg(model);
        let mut server = launch.start();
        server.signal(Signal::TERM);
        server.wait();
        eventually("it says that it stops", || {
            server.diagnostics().contains("received SIGTERM")
        });
        let messages = server.diagnostics();
        let line = messages
            .lines()
            .find(|line| line.contains("received SIGTERM"));
        let mut words = line.unwrap().split_whitespace();
        let time = words.next().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z'), "{messages}");
        assert_eq!(words.next(), Some("INFO"), "{messages}");
    }
}

/// Lines queued before the end are written before the end. Fails if the log is dropped without
/// closing.
#[test]
fn the_last_responses_are_in_the_log_when_the_server_has_ended() {
    let root = site(&[("small", b"small")]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut server = Launch::of(&root).arg("--log-file").arg(&path).start();
    let mut client = Client::with_request(&server, get("/small").repeat(500));
    for _ in 0..500 {
        assert_eq!(client.read_response().status(), 200);
    }
    server.signal(Signal::TERM);
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
    let lines = fs::read_to_string(&path).unwrap();
    assert_eq!(lines.matches("GET /small HTTP/1.1\" 200").count(), 500);
}
