//! Deadlines: clients that are slow or silent. Only "not too early" is measured, since the machine
//! may be busy.

use crate::client::{Client, get};
use crate::process::{Launch, eventually, site};
use std::io::ErrorKind;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Each timeout of these tests.
const TIMEOUT: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(20);

/// Fails if every byte that is received sets the deadline again.
#[test]
fn a_head_that_arrives_slowly_times_out_with_408() {
    let root = site(&[]);
    let server = Launch::of(&root).with("--header-timeout 0.5").start();
    let mut client = Client::of(&server);
    let begun = Instant::now();
    client.send("GET / HTTP/1.1\r\nX: ");
    eventually("the header timeout is over", || {
        sleep(PAUSE);
        // The response stays unread: what is sent after it is discarded, not reset.
        client.send("x");
        !client.has_received_nothing()
    });
    assert!(begun.elapsed() >= TIMEOUT);
    let response = client.read_response();
    assert_eq!(response.status(), 408);
    assert_eq!(response.field("Connection"), Some("close"));
    client.expect_end();
}

/// Between requests a connection is idle; from the first byte of a head it is not.
#[test]
fn the_header_timeout_of_a_second_request_starts_with_its_first_byte() {
    let root = site(&[("small", b"small")]);
    let server = Launch::of(&root).with("--header-timeout 0.5").start();
    let mut client = Client::of(&server);
    assert_eq!(client.fetch("/small").status(), 200);
    sleep(TIMEOUT + PAUSE);
    assert_eq!(
        client.fetch("/small").status(),
        200,
        "the header timeout does not apply to an idle connection"
    );
    let begun = Instant::now();
    client.send("G");
    assert_eq!(client.read_response().status(), 408);
    assert!(begun.elapsed() >= TIMEOUT);
}

/// There was no request, so there is no response: a client could take a 408 for the response to a
/// request that crosses it. Fails if an idle connection gets a 408.
#[test]
fn an_idle_connection_is_closed_without_a_response() {
    let root = site(&[("small", b"small")]);
    let server = Launch::of(&root).with("--idle-timeout 0.5").start();
    let begun = Instant::now();
    let (mut silent, mut kept) = (Client::of(&server), Client::of(&server));
    sleep(TIMEOUT / 2);
    let requested = Instant::now();
    assert_eq!(kept.fetch("/small").status(), 200);
    silent.expect_end();
    assert!(begun.elapsed() >= TIMEOUT);
    kept.expect_end();
    assert!(
        requested.elapsed() >= TIMEOUT,
        "the timeout begins with the response"
    );
}

/// Only a client that reads nothing is reset: the file is larger than any socket buffer, and its
/// transfer takes much longer than the timeout. Fails if progress does not move the
/// send deadline.
#[test]
fn a_reader_that_is_slow_but_steady_is_served() {
    let root = site(&[]);
    let length = 24 * 1024 * 1024;
    let large = std::fs::File::create(root.path().join("large")).unwrap();
    large.set_len(length).unwrap();
    let server = Launch::of(&root).with("--send-timeout 0.5").start();
    let mut client = Client::with_request(&server, get("/large"));
    client.read_head();
    let begun = Instant::now();
    let mut buf = vec![0; 512 * 1024];
    let mut taken = 0;
    while taken < length {
        taken += client.read(&mut buf).unwrap() as u64;
        sleep(PAUSE);
    }
    assert_eq!(taken, length);
    assert!(begun.elapsed() > TIMEOUT, "too fast to show anything");
}

/// Fails if `min_send_rate` is 0.
#[test]
fn a_reader_below_the_minimum_rate_is_reset_although_it_never_stops() {
    let root = site(&[]);
    let large = std::fs::File::create(root.path().join("large")).unwrap();
    large.set_len(1 << 30).unwrap();
    // More than a gigabyte a second: no client is fast enough.
    let server = Launch::of(&root)
        .with("--send-timeout 0.5 --min-send-rate 2000000000")
        .start();
    let mut client = Client::with_request(&server, get("/large"));
    client.read_head();
    let mut buf = vec![0; 256 * 1024];
    let error = loop {
        match client.read(&mut buf) {
            Ok(0) => panic!("a short response has a regular end"),
            Ok(_) => sleep(PAUSE),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
