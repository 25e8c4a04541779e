//! Accepting: the order, errors of accept(2), a stop, and a missing thread.

use crate::client::{Client, get};
use crate::process::{Launch, available, eventually, has, skipped};
use crate::{EVERY, PREFORK, REACTORS, assert_served, sleeps, small};
use rustix::process::Signal;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::Duration;

/// A request after which the server closes, with a mark for the log.
fn last(mark: &str) -> String {
    format!("GET /small?{mark} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
}

/// One at a time, so that the log has the order in which they were accepted. Fails if
/// accepting always begins with the first socket: then the log has the other one last.
#[test]
fn many_connections_at_one_socket_do_not_hold_up_another() {
    let root = small();
    for options in [
        "sequential",
        "pool --workers 1",
        "process --max-connections 1",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (log, socket) = (
            directory.path().join("log"),
            directory.path().join("socket"),
        );
        let launch = Launch::of(&root).with(&format!("--model {options} -b 127.0.0.1"));
        let launch = launch.arg("-b").arg(format!("unix:{}", socket.display()));
        let server = launch.stdout(File::create(&log).unwrap()).start();
        server.freeze();
        let mut clients: Vec<_> = (0..40)
            .map(|_| Client::with_request(&server, last("many")))
            .collect();
        let mut other = Client::at(&socket);
        other.send(last("other"));
        server.thaw();
        assert_eq!(other.read_response().body, b"small", "{options}");
        for client in &mut clients {
            assert_eq!(client.read_response().body, b"small", "{options}");
        }
        let lines = || fs::read_to_string(&log).unwrap();
        eventually("all are logged", || lines().lines().count() == 41);
        let at = lines().lines().position(|line| line.contains("?other"));
        assert!(at.is_some_and(|at| at < 4), "{options}: {at:?}");
    }
}

/// Fails if the process model ends with its last child: connections in the queue are then reset.
#[test]
fn requests_on_connections_that_wait_in_the_queue_at_sigterm_are_answered() {
    let root = small();
    for model in available(&EVERY) {
        let mut server = Launch::of(&root).with(&format!("--model {model}")).start();
        server.freeze();
        let clients: Vec<_> = (0..5)
            .map(|_| Client::with_request(&server, get("/small")))
            .collect();
        server.signal(Signal::TERM);
        server.thaw();
        for mut client in clients {
            assert_eq!(client.read_response().body, b"small", "{model}");
            client.expect_end();
        }
        assert_eq!(server.wait().code(), Some(0), "{model}");
    }
}

/// Fails if a child keeps the parent's signal pipe: each signal to the child wakes the parent,
/// which sends the next one, 10,000 times a second.
#[test]
fn a_parent_that_stops_does_not_keep_its_children_awake() {
    let root = small();
    let options = "--model process --header-timeout 600 --grace 600";
    let mut server = Launch::of(&root).with(options).start();
    let mut client = Client::of(&server);
    assert_served(&mut client);
    client.send("GET /small HTTP/1.1\r\nHo");
    sleep(Duration::from_millis(50));
    server.signal(Signal::TERM);
    let before = sleeps(server.pid());
    sleep(Duration::from_secs(1));
    let count = sleeps(server.pid()) - before;
    assert!(count < 100, "the parent woke {count} times in a second");
    client.send("st: test\r\n\r\n");
    assert_eq!(client.read_response().body, b"small");
    client.expect_end();
    assert_eq!(server.wait().code(), Some(0));
}

/// As under a filter of system calls. Fails if accepting does not pause.
#[test]
fn accept_that_always_fails_is_tried_with_pauses_and_the_server_can_be_stopped() {
    if !has("strace") {
        return;
    }
    let root = small();
    // The ring accepts without a system call.
    let models = EVERY.into_iter().filter(|model| *model != "uring");
    for model in models.chain(["fixed"]) {
        let directory = tempfile::tempdir().unwrap();
        let trace = directory.path().join("trace");
        let inject = format!(
            "exec strace -D -f -q -e signal=none -e trace=accept4 \
             -e inject=accept4:error=EPERM -o '{}' \"$0\" \"$@\"",
            trace.display()
        );
        let launch = Launch::of(&root).with(&format!("--model {model}"));
        // Each process has a warning of its own, and each loop a pause.
        let launch = match model {
            PREFORK | REACTORS => launch.with("--workers 1"),
            _ => launch,
        };
        let mut server = launch.run_before(&inject).start();
        let _client = Client::with_request(&server, get("/small"));
        eventually("a warning", || {
            server.diagnostics().contains("Operation not permitted")
        });
        let calls = || fs::read_to_string(&trace).unwrap().lines().count();
        let before = calls();
        sleep(Duration::from_secs(1));
        let count = calls() - before;
        // The reactor tries 64 times before each pause of 100 ms.
        assert!(count < 1000, "{model}: {count} calls in a second");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{model}");
        let messages = server.diagnostics();
        let warnings = messages.matches("Operation not permitted").count();
        assert_eq!(warnings, 1, "{model} repeats the warning: {messages}");
    }
}

/// A user of no other process, so that a limit on processes counts those of this test alone.
const USER: u32 = 54_321;

/// Fails if the pool warns only at its end, and if the model with a thread for each connection
/// closes a connection for which there is no thread.
#[test]
fn a_server_that_gets_too_few_threads_warns_and_serves_with_those_it_has() {
    if !rustix::process::geteuid().is_root() {
        return skipped("only root can start a server as another user");
    }
    if !has("prlimit") {
        return;
    }
    let root = small();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    for (options, warning) in [
        ("pool --workers 50", "of 50 threads:"),
        ("thread", "no thread for a connection"),
        ("thread-reuse", "no thread for a connection"),
    ] {
        let launch = Launch::of(&root).with(&format!("--model {options}"));
        let limit = "exec prlimit --nproc=10 \"$0\" \"$@\"";
        let mut server = launch.user(USER).run_before(limit).start();
        let mut clients: Vec<_> = (0..20)
            .map(|_| Client::with_request(&server, last("x")))
            .collect();
        for client in &mut clients {
            assert_eq!(client.read_response().body, b"small", "{options}");
        }
        let mut silent: Vec<_> = (0..12)
            .map(|_| Client::with_request(&server, "GET /small HTTP/1.1\r\n"))
            .collect();
        eventually("a warning", || server.diagnostics().contains(warning));
        silent.truncate(2);
        assert_served(&mut Client::of(&server));
        drop(silent);
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{options}");
    }
}

/// A browser keeps one connection, opens more and sends nothing on one of them. Fails if the
/// sequential model waits for a connection without a request.
#[test]
fn sequential_does_not_wait_for_an_idle_connection_while_others_wait() {
    let root = small();
    let options = "--model sequential --idle-timeout 600 --no-defer-accept";
    let server = Launch::of(&root).with(options).start();
    let mut kept = Client::of(&server);
    assert_served(&mut kept);
    // No other client waits, so it stays open.
    assert_served(&mut kept);
    let mut silent = Client::of(&server);
    let mut third = Client::with_request(&server, get("/small"));
    let mut fourth = Client::with_request(&server, get("/small"));
    kept.expect_end();
    silent.expect_end();
    let response = third.read_response();
    assert_eq!(response.body, b"small");
    assert_eq!(response.field("Connection"), Some("close"));
    third.expect_end();
    drop(third);
    assert_eq!(fourth.read_response().body, b"small");
    assert_served(&mut fourth);
}
