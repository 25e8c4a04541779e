//! The models with their own ways of waiting, each against the program as it is installed: how they
//! stop, whom they let in, and that nobody suffers for another.
//!
//! What they answer is the business of tests/conformance, which plays every row to each of them.
#![cfg(target_os = "linux")]

#[path = "../kernel/client.rs"]
#[allow(dead_code, reason = "the tests of the kernel use the rest")]
mod client;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;

mod measuring;

use client::{Client, get};
use process::{Launch, Server, eventually, site};
use rustix::process::Signal;
use tempfile::TempDir;

/// Those that hold many connections at once.
const MANY: [&str; 4] = ["thread", "process", "coroutine", "pool"];

const ALL: [&str; 5] = ["sequential", "thread", "process", "coroutine", "pool"];

/// And the product.
const EVERY: [&str; 6] = [
    "sequential",
    "thread",
    "process",
    "coroutine",
    "pool",
    "reactor",
];

fn small() -> TempDir {
    site(&[("small", b"small")])
}

fn start(root: &TempDir, model: &str, options: &str) -> Server {
    let launch = Launch::of(root).with(&format!("--model {model}"));
    launch.with(options).start()
}

/// Asks, and has the answer.
#[track_caller]
fn served(client: &mut Client) {
    let answer = client.ask("/small");
    assert_eq!((answer.status(), &*answer.body), (200, &b"small"[..]));
}

/// Its children, zombies included.
fn children(server: &Server) -> usize {
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let text = std::fs::read_to_string(path).unwrap();
    text.split_whitespace().count()
}

/// The grace is longer than the patience of any wait here, so it ends only because all is done. Red
/// without `wake_if_idle`, and without the repeated signal if the first was forgotten.
#[test]
fn sigterm_ends_idle_connections_and_the_server() {
    let root = small();
    for model in ALL {
        let mut server = start(&root, model, "--grace 600");
        let mut clients: Vec<_> = match model {
            "sequential" => vec![Client::of(&server)],
            _ => (0..20).map(|_| Client::of(&server)).collect(),
        };
        clients.iter_mut().for_each(served);
        server.signal(Signal::TERM);
        clients.iter_mut().for_each(Client::expect_end);
        assert_eq!(server.wait().code(), Some(0), "{model}");
    }
}

/// Red with a drain that closes whoever is not sending.
#[test]
fn a_request_that_has_begun_is_answered_after_sigterm_and_then_the_connection_closes() {
    let root = small();
    for model in ALL {
        let mut server = start(&root, model, "--grace 600 --linger-timeout 0.3");
        let mut client = Client::of(&server);
        served(&mut client);
        client.send("GET /small HTTP/1.1\r\nHo");
        // The server has read it before the signal comes, or reads it then: both must do.
        server.signal(Signal::TERM);
        std::thread::sleep(std::time::Duration::from_millis(50));
        client.send("st: test\r\n\r\n");
        let answer = client.answer();
        assert_eq!(answer.body, b"small", "{model}");
        assert_eq!(answer.field("Connection"), Some("close"), "{model}");
        client.expect_end();
        assert_eq!(server.wait().code(), Some(0), "{model}");
    }
}

/// Red without `cut` in the drivers: the grace is ten minutes.
#[test]
fn a_second_signal_ends_the_server_at_once() {
    let root = small();
    for model in ALL {
        let mut server = start(&root, model, "--grace 600 --header-timeout 600");
        let mut client = Client::of(&server);
        served(&mut client);
        client.send("GET /small HTTP/1.1\r\nHo");
        std::thread::sleep(std::time::Duration::from_millis(50));
        server.signal(Signal::TERM);
        // Two that come together count as one, so it is said until it is heard.
        eventually(model, || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            server.signal(Signal::TERM);
            !server.is_alive()
        });
        assert_eq!(server.wait().code(), Some(0), "{model}");
    }
}

/// Red with a wait that forgets to look at the deadline.
#[test]
fn a_head_that_comes_too_slowly_is_answered_with_408() {
    let root = small();
    for model in ALL {
        let server = start(&root, model, "--header-timeout 0.2");
        let mut client = Client::saying(&server, "GET /small HTTP/1.1\r\nHo");
        assert_eq!(client.answer().status(), 408, "{model}");
    }
}

/// Red with `wait_for_room` returning at once.
#[test]
fn at_the_cap_the_next_client_waits_until_one_leaves() {
    let root = small();
    for model in ["thread", "process", "coroutine"] {
        let server = start(&root, model, "--max-connections 2");
        let mut first = Client::of(&server);
        let mut second = Client::of(&server);
        served(&mut first);
        served(&mut second);
        let mut third = Client::saying(&server, get("/small"));
        assert!(third.hears_nothing(), "{model}");
        drop(first);
        assert_eq!(third.answer().body, b"small", "{model}");
        served(&mut second);
    }
}

/// Red with `reap` left out: the zombies stay.
#[test]
fn a_child_that_has_ended_does_not_stay_a_zombie() {
    let root = small();
    let server = start(&root, "process", "");
    for _ in 0..10 {
        served(&mut Client::of(&server));
    }
    let mut here = Client::of(&server);
    served(&mut here);
    eventually("one child is left", || children(&server) == 1);
    drop(here);
    eventually("no child is left", || children(&server) == 0);
}

/// Red when the parent keeps its copy of the socket: then the close of the child is none.
#[test]
fn a_killed_child_ends_its_own_connection_and_no_other() {
    let root = small();
    let mut server = start(&root, "process", "");
    let mut first = Client::of(&server);
    served(&mut first);
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let child = std::fs::read_to_string(path).unwrap();
    let mut second = Client::of(&server);
    served(&mut second);
    let child = rustix::process::Pid::from_raw(child.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(child, Signal::KILL).unwrap();
    first.expect_end();
    served(&mut second);
    assert!(server.is_alive());
}

/// Red with one more worker than said, which would serve the last client at once.
#[test]
fn a_pool_of_two_is_kept_by_two_silent_clients_until_their_timeout() {
    let root = small();
    let server = start(
        &root,
        "pool",
        "--workers 2 --idle-timeout 1 --no-defer-accept",
    );
    let mut silent = [Client::of(&server), Client::of(&server)];
    let mut third = Client::saying(&server, get("/small"));
    assert!(third.hears_nothing());
    silent.iter_mut().for_each(Client::expect_end);
    assert_eq!(third.answer().body, b"small");
}

#[test]
fn two_hundred_clients_stay_and_ask_again() {
    let root = small();
    for model in MANY {
        let server = start(&root, model, "");
        let mut clients: Vec<_> = (0..200).map(|_| Client::of(&server)).collect();
        for _ in 0..2 {
            clients.iter_mut().for_each(served);
        }
        // One that breaks off in the middle of a request hurts no other.
        clients[0].send("GET /small HTTP/1.1\r\n");
        drop(clients.remove(0));
        clients.iter_mut().for_each(served);
    }
}

#[test]
fn sighup_opens_the_log_anew_in_every_model() {
    let root = small();
    for model in ALL {
        let logs = tempfile::tempdir().unwrap();
        let (log, old) = (logs.path().join("log"), logs.path().join("old"));
        let launch = Launch::of(&root).with(&format!("--model {model}"));
        let server = launch.arg("--log-file").arg(&log).start();
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        served(&mut Client::of(&server));
        eventually("a line is written", || text(&log).lines().count() == 1);
        std::fs::rename(&log, &old).unwrap();
        server.signal(Signal::HUP);
        eventually("a line is in the new file", || {
            served(&mut Client::of(&server));
            text(&log).lines().count() > 0
        });
    }
}

#[test]
fn what_does_not_fit_together_is_a_wrong_command_line() {
    let root = small();
    let (status, said) = Launch::of(&root).with("--workers 3").fail();
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("add --model pool"), "{said}");
}
