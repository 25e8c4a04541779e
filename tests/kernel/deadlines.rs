//! Deadlines: clients that are slow or silent. Only "not too early" is measured, since the machine
//! may be busy.

use crate::client::{Client, get};
use crate::process::{Launch, eventually, site};
use std::io::ErrorKind;
use std::thread::sleep;
use std::time::{Duration, Instant};

const HALF: Duration = Duration::from_millis(500);
const BIT: Duration = Duration::from_millis(20);

/// Fails with the deadline set anew by every byte that is received.
#[test]
fn a_head_that_arrives_slowly_times_out_with_408() {
    let root = site(&[]);
    let server = Launch::of(&root).with("--header-timeout 0.5").start();
    let mut client = Client::of(&server);
    let begun = Instant::now();
    client.send("GET / HTTP/1.1\r\nX: ");
    eventually("the server has had enough", || {
        sleep(BIT);
        // The response stays unread: what is sent after it is discarded, not reset.
        client.send("x");
        !client.has_received_nothing()
    });
    assert!(begun.elapsed() >= HALF);
    let answer = client.answer();
    assert_eq!(answer.status(), 408);
    assert_eq!(answer.field("Connection"), Some("close"));
    client.expect_end();
}

/// Between requests a connection is idle; from the first byte of a head it is not.
#[test]
fn the_header_timeout_of_a_second_request_starts_with_its_first_byte() {
    let root = site(&[("small", b"small")]);
    let server = Launch::of(&root).with("--header-timeout 0.5").start();
    let mut client = Client::of(&server);
    assert_eq!(client.ask("/small").status(), 200);
    sleep(HALF + BIT);
    assert_eq!(client.ask("/small").status(), 200, "idle is not slow");
    let begun = Instant::now();
    client.send("G");
    assert_eq!(client.answer().status(), 408);
    assert!(begun.elapsed() >= HALF);
}

/// There was no request, so there is no response: a client could take a 408 for the response to a
/// request that crosses it. Fails with a 408 for idle connections.
#[test]
fn an_idle_connection_is_closed_without_a_response() {
    let root = site(&[("small", b"small")]);
    let server = Launch::of(&root).with("--idle-timeout 0.5").start();
    let begun = Instant::now();
    let (mut silent, mut kept) = (Client::of(&server), Client::of(&server));
    sleep(HALF / 2);
    let asked = Instant::now();
    assert_eq!(kept.ask("/small").status(), 200);
    silent.expect_end();
    assert!(begun.elapsed() >= HALF);
    kept.expect_end();
    assert!(asked.elapsed() >= HALF, "its time begins with its answer");
}

/// Only a client that reads nothing is reset: the file is larger than any socket buffer, and its
/// transfer takes much longer than the timeout. Fails with a send deadline that progress does not
/// move.
#[test]
fn a_reader_that_is_slow_but_steady_is_served() {
    let root = site(&[]);
    let length = 24 * 1024 * 1024;
    let large = std::fs::File::create(root.path().join("large")).unwrap();
    large.set_len(length).unwrap();
    let server = Launch::of(&root).with("--send-timeout 0.5").start();
    let mut client = Client::with_request(&server, get("/large"));
    client.head();
    let begun = Instant::now();
    let mut buf = vec![0; 512 * 1024];
    let mut taken = 0;
    while taken < length {
        taken += client.read(&mut buf).unwrap() as u64;
        sleep(BIT);
    }
    assert_eq!(taken, length);
    assert!(begun.elapsed() > HALF, "too fast to show anything");
}

/// Fails with `min_send_rate` of 0.
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
    client.head();
    let mut buf = vec![0; 256 * 1024];
    let error = loop {
        match client.read(&mut buf) {
            Ok(0) => panic!("a short response has a regular end"),
            Ok(_) => sleep(BIT),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
