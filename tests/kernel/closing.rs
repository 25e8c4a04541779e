//! Closing: lingering, half-closes and resets.

use crate::client::{Client, StreamEnd, get};
use crate::process::{Launch, eventually, site};
use std::time::{Duration, Instant};

const MIB: usize = 1024 * 1024;

/// A request that announces `length` bytes.
fn upload(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n")
}

/// A reset discards what is unread in the client's socket, and closing a socket with unread bytes
/// sends a reset. Fails if the connection closes without lingering, or after the half-close without
/// reading on.
#[test]
fn a_client_that_uploads_10_mib_before_it_reads_gets_the_whole_405() {
    let root = site(&[]);
    let server = Launch::of(&root).start();
    let body = vec![b'x'; 10 * MIB];
    for run in 0..40 {
        let mut client = Client::with_request(&server, upload(body.len()));
        client.send(&body);
        let response = client.read_response();
        assert_eq!(response.status(), 405, "run {run}");
        assert_eq!(response.field("Allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(response.field("Connection"), Some("close"));
        client.expect_end();
    }
}

/// Fails if the linger timeout is an hour.
#[test]
fn a_peer_that_stays_after_the_last_response_is_closed_after_the_linger_timeout() {
    let root = site(&[]);
    let server = Launch::of(&root).with("--linger-timeout 0.5").start();
    let before = server.descriptors();
    let begun = Instant::now();
    let mut client = Client::with_request(&server, upload(10 * MIB));
    assert_eq!(client.read_response().status(), 405);
    client.expect_end();
    assert_eq!(server.descriptors(), before + 1, "it lingers");
    eventually("the slot is free", || server.descriptors() == before);
    assert!(begun.elapsed() >= Duration::from_millis(500));
}

/// The timeout is a total. Fails if every discarded byte extends the deadline.
#[test]
fn a_peer_that_sends_slowly_after_the_last_response_is_closed_after_the_linger_timeout() {
    let root = site(&[]);
    let server = Launch::of(&root).with("--linger-timeout 0.5").start();
    let mut client = Client::with_request(&server, upload(10 * MIB));
    assert_eq!(client.read_response().status(), 405);
    eventually("the server refuses further bytes", || {
        std::thread::sleep(Duration::from_millis(20));
        client.try_send("x").is_err()
    });
}

/// Fails if `max_linger_bytes` is 1 TiB, and if it is 1 MiB.
#[test]
fn a_client_that_goes_on_sending_after_the_last_response_is_closed_after_64_mib() {
    let root = site(&[]);
    let server = Launch::of(&root).with("--linger-timeout 60").start();
    let mut client = Client::with_request(&server, upload(1024 * MIB));
    assert_eq!(client.read_response().status(), 405);
    let chunk = vec![b'x'; MIB];
    let mut taken = 0;
    while let Ok(length) = client.try_send(&chunk) {
        taken += length;
        assert!(taken < 256 * MIB, "nothing stops it");
    }
    assert!(taken > 63 * MIB, "only {taken} bytes were taken");
}

/// A half-close is not an abort. Fails if the transport takes the FIN of the client for the
/// end of both directions.
#[test]
fn a_client_that_half_closes_after_its_request_gets_all_of_50_mib() {
    let root = site(&[]);
    let body: Vec<u8> = (0..50 * MIB).map(|at| (at % 251) as u8).collect();
    std::fs::write(root.path().join("large"), &body).unwrap();
    let server = Launch::of(&root).start();
    let mut client = Client::with_request(&server, get("/large"));
    client.finish_sending();
    let response = client.read_response();
    assert_eq!(response.status(), 200);
    assert!(response.body == body, "other bytes");
    client.expect_end();
}

/// A site with 3000 files, whose listing takes dozens of slices, and a request for it.
fn listing() -> (tempfile::TempDir, &'static str) {
    let root = site(&[]);
    for number in 0..3000 {
        std::fs::write(root.path().join(number.to_string()), "").unwrap();
    }
    let request = "GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n";
    (root, request)
}

#[test]
fn a_client_that_half_closes_after_its_request_gets_the_whole_listing() {
    let (root, request) = listing();
    let server = Launch::of(&root).start();
    let mut client = Client::with_request(&server, request);
    client.finish_sending();
    let (received, end) = client.read_to_end();
    assert!(received.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(received.ends_with(b"\r\n0\r\n\r\n"), "{end:?}");
}

/// The first bytes of the response cause a reset. Fails if only a send shows it: a compressed
/// listing has many slices before its next send.
#[cfg(feature = "study")]
#[test]
fn a_listing_is_produced_no_further_when_its_client_has_left() {
    let (root, request) = listing();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("trace");
    let server = Launch::of(&root).with("--trace").arg(&file).start();
    server.freeze();
    drop(Client::with_request(&server, request));
    server.thaw();
    let trace = || std::fs::read_to_string(&file).unwrap();
    eventually("the connection is closed", || {
        trace().contains("SendError(ConnectionReset)")
    });
    let trace = trace();
    let (_, rest) = trace.split_once("write closed").expect("a reset");
    let slices = rest.lines().filter(|line| line.contains("produce   done"));
    assert_eq!(slices.count(), 0, "{trace}");
}

/// Request and FIN in one packet, before the server has accepted.
#[test]
fn a_peer_that_half_closes_before_it_is_accepted_is_answered() {
    let root = site(&[("small", b"small")]);
    let server = Launch::of(&root).start();
    server.freeze();
    let mut client = Client::with_request(&server, get("/small").repeat(3));
    client.finish_sending();
    server.thaw();
    for _ in 0..3 {
        assert_eq!(client.read_response().body, b"small");
    }
    client.expect_end();
}

/// A write to a reset socket raises SIGPIPE. Whether it kills is inherited from the parent process.
#[test]
fn a_reset_during_a_download_affects_no_other_connection() {
    let root = site(&[("small", b"small")]);
    let large = std::fs::File::create(root.path().join("large")).unwrap();
    large.set_len(50 * MIB as u64).unwrap();
    for before in ["trap - PIPE", "trap '' PIPE"] {
        let mut server = Launch::of(&root).run_before(before).start();
        let descriptors = server.descriptors();
        for run in 0..20 {
            let mut client = Client::with_request(&server, get("/large"));
            client.read_head();
            // Some in the middle of a response, some while the server waits for a full socket.
            std::thread::sleep(Duration::from_millis(run));
            client.reset();
        }
        assert_eq!(Client::of(&server).fetch("/small").body, b"small");
        eventually("all its descriptors are closed", || {
            server.descriptors() == descriptors
        });
        assert!(server.is_alive());
    }
}

/// Fails if `reap` keeps the sockets of connections that have ended.
#[test]
fn no_descriptor_and_no_socket_is_left_after_clients_have_disconnected() {
    let root = site(&[("small", b"small")]);
    let server = Launch::of(&root).start();
    let before = server.descriptors();
    let partial = "GET /small HT";
    for how in 0..200 {
        let mut client = Client::of(&server);
        match how % 4 {
            0 => {}
            1 => assert_eq!(client.fetch("/small").status(), 200),
            2 => client.send(partial),
            _ => client.send(get("/small")),
        }
        if how % 8 < 4 {
            client.reset();
        }
    }
    // Both at once: a connection that is not accepted yet has no descriptor.
    let port = server.address().port();
    eventually("all descriptors and sockets are closed", || {
        server.descriptors() == before && close_wait(port) == 0
    });
}

/// The number of sockets with this local port in CLOSE_WAIT.
fn close_wait(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    let rows = table
        .lines()
        .skip(1)
        .map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[1].ends_with(&port) && row[3] == "08")
        .count()
}

/// An incomplete response must not end like a complete one: see `CloseReason::is_reset`.
#[test]
fn a_response_cut_short_ends_with_a_reset() {
    let root = site(&[]);
    let large = std::fs::File::create(root.path().join("large")).unwrap();
    large.set_len(50 * MIB as u64).unwrap();
    let server = Launch::of(&root).with("--send-timeout 0.5").start();
    let before = server.descriptors();
    let begun = Instant::now();
    let mut client = Client::with_request(&server, get("/large"));
    client.read_head();
    eventually("the send timeout is over", || {
        server.descriptors() == before
    });
    assert!(begun.elapsed() >= Duration::from_millis(500));
    let (bytes, end) = client.read_to_end();
    assert!(bytes.len() < 50 * MIB);
    assert_eq!(end, StreamEnd::Reset);
}
