//! A graceful stop: no accepted connection loses its response, and no client can keep the server
//! running.

use crate::client::{Client, StreamEnd, get};
use crate::process::{Launch, Server, TIME_LIMIT, available, eventually, site};
use rustix::process::Signal;
use std::net::TcpStream;
use std::time::{Duration, Instant};

const LARGE: u64 = 50 * 1024 * 1024;

fn large_site() -> tempfile::TempDir {
    let root = site(&[("small", b"small")]);
    let large = std::fs::File::create(root.path().join("large")).unwrap();
    large.set_len(LARGE).unwrap();
    root
}

/// Waits until the server has handled the signal and accepts no more connections.
#[track_caller]
fn wait_until_not_listening(server: &Server) {
    let address = server.address();
    eventually("no connection is accepted any more", || {
        TcpStream::connect_timeout(&address, TIME_LIMIT).is_err()
    });
}

/// The grace period is longer than any wait here, so the server ends because all responses are
/// sent. Fails if `Scheduler::drain` closes connections in the middle of a request or a response,
/// and if it waits for idle ones.
#[test]
fn sigterm_lets_responses_finish_and_does_not_wait_for_idle_connections() {
    let root = large_site();
    let mut server = Launch::of(&root)
        .with("--grace 600 --linger-timeout 0.5 --no-defer-accept")
        .start();
    let mut idle = Client::of(&server);
    assert_eq!(idle.fetch("/small").status(), 200);
    let mut silent = Client::of(&server);
    let mut slow = Client::with_request(&server, "GET /small HTTP/1.1\r\nHo");
    let mut reading = Client::with_request(&server, get("/large"));
    let head = reading.read_head();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut lingering = Client::with_request(
        &server,
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n",
    );
    assert_eq!(lingering.read_response().status(), 405);

    server.signal(Signal::TERM);
    idle.expect_end();
    silent.expect_end();
    wait_until_not_listening(&server);
    assert!(server.is_alive(), "a client is still being served");

    slow.send("st: test\r\n\r\n");
    let response = slow.read_response();
    assert_eq!(response.body, b"small");
    assert_eq!(response.field("Connection"), Some("close"));
    slow.expect_end();

    let mut body = vec![1; LARGE as usize];
    let mut taken = 0;
    while taken < body.len() {
        match reading.read(&mut body[taken..]).unwrap() {
            0 => panic!("the body ends after {taken} bytes"),
            length => taken += length,
        }
    }
    assert!(body.iter().all(|&byte| byte == 0), "other bytes");
    reading.expect_end();

    assert_eq!(server.wait().code(), Some(0));
    let messages = server.diagnostics();
    assert!(!messages.contains("grace period is over"), "{messages}");
}

/// For its client, a connection in the queue of the listening socket is open, and closing that
/// socket resets it. Fails if the server accepts only for one iteration after the signal.
#[test]
fn a_request_sent_before_sigterm_is_answered() {
    let root = large_site();
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Launch::of(&root).with("--grace 600").start();
        server.freeze();
        let mut clients: Vec<_> = (0..200)
            .map(|_| Client::with_request(&server, get("/small")))
            .collect();
        server.signal(signal);
        server.thaw();
        for client in &mut clients {
            assert_eq!(client.read_response().body, b"small");
            client.expect_end();
        }
        drop(clients);
        assert_eq!(server.wait().code(), Some(0));
    }
}

/// Only recv(2) tells an idle connection from one whose request has just arrived. Fails if
/// `Scheduler::drain` closes idle connections without this check. (Whether the response says
/// `Connection: close` depends on which thread gets the signal; that it is the last does not.)
#[test]
fn a_request_on_an_idle_connection_just_before_sigterm_is_answered() {
    let root = large_site();
    let mut server = Launch::of(&root).with("--grace 600").start();
    let mut client = Client::of(&server);
    assert_eq!(client.fetch("/small").status(), 200);
    server.freeze();
    client.send(get("/small"));
    server.signal(Signal::TERM);
    server.thaw();
    assert_eq!(client.read_response().body, b"small");
    client.expect_end();
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
}

/// The kernel keeps a connection back until it sends (TCP_DEFER_ACCEPT), so the server goes on
/// accepting for that long. Fails if the listening socket is closed at once.
#[test]
fn a_request_after_sigterm_on_a_connection_from_before_is_answered() {
    let root = large_site();
    for model in available(&["reactor", "coroutine", "uring", "level"]) {
        let mut server = Launch::of(&root)
            .with(&format!("--grace 600 --model {model}"))
            .start();
        let (mut late, mut silent) = (Client::of(&server), Client::of(&server));
        server.signal(Signal::TERM);
        assert!(late.has_received_nothing());
        late.send(get("/small"));
        let response = late.read_response();
        assert_eq!(response.body, b"small", "{model}");
        assert_eq!(response.field("Connection"), Some("close"));
        late.expect_end();
        silent.expect_end();
        drop(late);
        assert_eq!(server.wait().code(), Some(0));
    }
}

/// A request may be on its way when the server stops. Fails if idle connections are closed at once,
/// and if the server closes only its direction.
#[test]
fn a_connection_that_was_just_answered_may_send_one_more_request_while_the_server_stops() {
    let root = large_site();
    for model in available(&["reactor", "coroutine", "uring", "level"]) {
        let mut server = Launch::of(&root)
            .with(&format!("--grace 600 --no-defer-accept --model {model}"))
            .start();
        let mut client = Client::of(&server);
        assert_eq!(client.fetch("/small").status(), 200);
        server.signal(Signal::TERM);
        assert!(client.has_received_nothing());
        let response = client.fetch("/small");
        assert_eq!(response.body, b"small", "{model}");
        assert_eq!(response.field("Connection"), Some("close"));
        client.expect_end();
        drop(client);
        assert_eq!(server.wait().code(), Some(0));
    }
}

/// Fails if `abort_all` does nothing.
#[test]
fn connections_are_aborted_when_the_grace_period_is_over() {
    let root = large_site();
    let mut server = Launch::of(&root).with("--grace 0.5").start();
    let slow = Client::with_request(&server, "GET /small HTTP/1.1\r\n");
    let mut reading = Client::with_request(&server, get("/large"));
    reading.read_head();
    assert!(slow.has_received_nothing());
    let begun = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(begun.elapsed() >= Duration::from_millis(500));
    let (bytes, end) = reading.read_to_end();
    assert!((bytes.len() as u64) < LARGE);
    assert_eq!(end, StreamEnd::Reset, "an incomplete response");
}

/// Fails if a second signal only sets the deadline again.
#[test]
fn a_second_signal_stops_the_server_at_once() {
    let root = large_site();
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Launch::of(&root).with("--grace 600").start();
        let slow = Client::with_request(&server, "GET /small HTTP/1.1\r\n");
        assert!(slow.has_received_nothing());
        server.signal(signal);
        wait_until_not_listening(&server);
        assert!(server.is_alive(), "it waits for the slow client");
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
    }
}

/// Fails if the response is not logged, or twice.
#[test]
fn a_response_that_a_second_signal_aborts_is_logged() {
    let root = large_site();
    let log = root.path().join("log");
    let launch = Launch::of(&root).with("--grace 600 --log-file");
    let mut server = launch.arg(&log).start();
    let mut client = Client::with_request(&server, "GET /large HTTP/1.0\r\n\r\n");
    client.read(&mut [0]).unwrap();
    server.signal(Signal::TERM);
    wait_until_not_listening(&server);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let log = std::fs::read_to_string(log).unwrap();
    let lines = log.matches("\"GET /large HTTP/1.0\" 200 ").count();
    assert_eq!(lines, 1, "{log}");
}

#[test]
fn without_connections_the_server_stops_at_once() {
    let root = large_site();
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Launch::of(&root).with("--grace 600").start();
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
    }
}
