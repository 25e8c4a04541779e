//! Aborted connections: a reset tells the client that the response is incomplete.

use crate::client::{Client, StreamEnd, get};
use crate::process::{Launch, Server, available, eventually, site};
use crate::{EVERY, assert_served};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const LARGE: usize = 50 * 1024 * 1024;

fn large() -> TempDir {
    let root = site(&[("small", b"small")]);
    let large = std::fs::File::create(root.path().join("large")).unwrap();
    large.set_len(LARGE as u64).unwrap();
    root
}

fn start(root: &TempDir, model: &str, options: &str) -> Server {
    let launch = Launch::of(root).with(&format!("--model {model}"));
    launch.with(options).start()
}

/// A client that has read the head of a large file, and reads no more for now.
#[track_caller]
fn reading(server: &Server) -> Client {
    let mut client = Client::with_request(server, get("/large"));
    assert!(client.read_head().starts_with("HTTP/1.1 200 "));
    client
}

#[track_caller]
fn assert_reset(client: &mut Client, model: &str) {
    let (bytes, end) = client.read_to_end();
    assert!(bytes.len() < LARGE, "{model}");
    assert_eq!(end, StreamEnd::Reset, "{model}");
}

/// Fails if draining sets no timer, and if the server ends before its threads have.
#[test]
fn a_slow_reader_is_reset_when_the_grace_period_is_over() {
    let root = large();
    for model in available(&EVERY) {
        let mut server = start(&root, model, "--grace 0.4");
        let count = if model == "sequential" { 1 } else { 8 };
        let mut slow: Vec<_> = (0..count).map(|_| reading(&server)).collect();
        // Time to sleep in a send.
        std::thread::sleep(Duration::from_millis(100));
        let begun = Instant::now();
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{model}");
        let elapsed = begun.elapsed();
        assert!(elapsed >= Duration::from_millis(400), "{model}");
        assert!(elapsed < Duration::from_secs(5), "{model}: {elapsed:?}");
        slow.iter_mut().for_each(|slow| assert_reset(slow, model));
    }
}

/// A FIN would look like the end of the body. Fails if `wake` shuts down both directions: a client
/// that reads all the time gets a FIN before the reset.
#[test]
fn a_fast_reader_that_is_aborted_sees_a_reset_and_no_end_of_stream() {
    let root = large();
    for model in available(&EVERY) {
        for _ in 0..5 {
            let mut server = start(&root, model, "--grace 0");
            let mut fast = reading(&server);
            let reader = std::thread::spawn(move || fast.read_to_end());
            std::thread::sleep(Duration::from_millis(5));
            server.signal(Signal::TERM);
            let (bytes, end) = reader.join().unwrap();
            let is_whole = bytes.len() == LARGE;
            assert!(
                is_whole || end == StreamEnd::Reset,
                "{model}: {}",
                bytes.len()
            );
            assert_eq!(server.wait().code(), Some(0), "{model}");
        }
    }
}

/// Fails if `CloseReason::is_reset` returns false.
#[test]
fn a_peer_that_reads_nothing_is_reset_and_the_server_goes_on() {
    let root = large();
    for model in available(&EVERY) {
        let server = start(&root, model, "--send-timeout 0.4");
        let mut client = reading(&server);
        std::thread::sleep(Duration::from_millis(1500));
        assert_reset(&mut client, model);
        assert_served(&mut Client::of(&server));
    }
}

/// Fails if the body ends where the file does.
#[test]
fn a_file_that_shrinks_while_it_is_sent_ends_with_a_reset() {
    for model in available(&EVERY) {
        let root = large();
        let server = start(&root, model, "");
        let mut client = reading(&server);
        let path = root.path().join("large");
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_len(1024 * 1024).unwrap();
        assert_reset(&mut client, model);
        eventually("the server goes on", || {
            assert_served(&mut Client::of(&server));
            true
        });
    }
}
