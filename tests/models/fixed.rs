//! The model `fixed`: its responses, and clients that send slowly, reset or do not read.

use crate::client::{Client, StreamEnd, get};
use crate::process::{Launch, Server, eventually, site};
use rustix::process::Signal;
use std::fs;
use std::time::{Duration, Instant};

const PAGE: &[u8] = b"<!doctype html>\n<title>fixed</title>\n";

const RESPONSE: &str = "HTTP/1.1 200 OK\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Content-Length: 37\r\n\
    Connection: close\r\n\r\n\
    <!doctype html>\n<title>fixed</title>\n";

fn fixed(options: &str) -> (tempfile::TempDir, Server) {
    let root = site(&[("index.html", PAGE)]);
    let launch = Launch::of(&root).with("--model fixed").with(options);
    let server = launch.start();
    (root, server)
}

/// The same with a page that is larger than any socket buffer.
fn fixed_large(options: &str) -> (tempfile::TempDir, Server) {
    let root = site(&[]);
    let large = fs::File::create(root.path().join("index.html")).unwrap();
    large.set_len(50 * 1024 * 1024).unwrap();
    let launch = Launch::of(&root).with("--model fixed").with(options);
    let server = launch.start();
    (root, server)
}

#[track_caller]
fn assert_answered(mut client: Client) {
    let (bytes, end) = client.read_to_end();
    assert_eq!(String::from_utf8_lossy(&bytes), RESPONSE);
    assert_eq!(end, StreamEnd::Closed);
}

/// In one piece or in several, and with or without a body. Fails if the server closes without
/// reading what the client still sends.
#[test]
fn every_request_is_answered_with_the_page_and_the_connection_closes() {
    let (_root, server) = fixed("");
    assert_answered(Client::with_request(&server, get("/")));
    assert_answered(Client::with_request(&server, get("/missing")));
    assert_answered(Client::with_request(&server, "anything at all\r\n\r\n"));
    let mut slow = Client::with_request(&server, "GET / HTTP/1.1\r\nHost: test\r");
    assert!(slow.has_received_nothing());
    slow.send("\n\r");
    assert!(slow.has_received_nothing());
    slow.send("\n");
    assert_answered(slow);
    for _ in 0..10 {
        let mut upload = Client::with_request(&server, "POST / HTTP/1.1\r\n\r\n");
        upload.send(vec![b'x'; 10 * 1024 * 1024]);
        assert_answered(upload);
    }
}

/// Fails if no index is searched for, and if ROOT has priority over the option.
#[test]
fn the_page_is_the_option_or_the_root_or_its_index_or_a_notice_that_there_is_none() {
    let root = site(&[
        ("index.html", b"index"),
        ("other.txt", b"other"),
        ("deep/x", b""),
    ]);
    let of = |launch: Launch| {
        let server = launch.with("--model fixed").start();
        let response = Client::of(&server).fetch("/");
        let content_type = response.field("Content-Type").unwrap().to_owned();
        (String::from_utf8(response.body).unwrap(), content_type)
    };
    let (html, text) = ("text/html; charset=utf-8", "text/plain; charset=utf-8");
    let is = |body: &str, content_type: &str| (body.to_owned(), content_type.to_owned());
    let other = root.path().join("other.txt");
    assert_eq!(of(Launch::of(&root)), is("index", html));
    assert_eq!(of(Launch::of(&other)), is("other", text));
    let launch = Launch::of(&root).arg("--page").arg(&other);
    assert_eq!(of(launch), is("other", text));
    let launch = Launch::of(&root).with("--index none,other.txt");
    assert_eq!(of(launch), is("other", text));
    let none = "<!doctype html>\n<title>oneloop</title>\n\
                <p>This directory has no index.html; --page names another file.\n";
    assert_eq!(of(Launch::of(root.path().join("deep"))), is(none, html));
}

/// Fails if the page is read at the first request.
#[test]
fn a_page_that_cannot_be_read_is_an_error_at_the_start() {
    let root = site(&[("deep/x", b"")]);
    fs::create_dir(root.path().join("index.html")).unwrap();
    let (status, messages) = Launch::of(&root).with("--model fixed").expect_failure();
    assert_eq!(status.code(), Some(1));
    assert!(messages.contains("cannot read the page "), "{messages}");
    assert!(
        messages.contains("index.html: not a regular file"),
        "{messages}"
    );
    for (page, reason) in [
        ("missing", "no such directory or file"),
        ("deep", "is a directory"),
    ] {
        let launch = Launch::of(&root).with("--model fixed --page");
        let (status, messages) = launch.arg(root.path().join(page)).expect_failure();
        assert_eq!(status.code(), Some(1));
        assert!(
            messages.contains("cannot serve ") && messages.contains(reason),
            "{messages}"
        );
    }
}

#[test]
fn a_page_without_its_model_and_options_without_effect_are_usage_errors() {
    let root = site(&[("index.html", PAGE)]);
    for (options, advice) in [
        ("--page index.html", "set --model to fixed"),
        (
            "--model fixed --spa",
            "--spa has no effect in the model fixed",
        ),
        ("--model fixed --tally x", "--tally has no effect"),
    ] {
        let (status, messages) = Launch::of(&root).with(options).expect_failure();
        assert_eq!(status.code(), Some(2), "{options}");
        assert!(messages.contains(advice), "{messages}");
    }
}

/// Fails if each byte moves the deadline.
#[test]
fn a_client_that_sends_slowly_or_nothing_times_out_and_the_next_is_served() {
    let (_root, server) = fixed("--header-timeout 0.4 --no-defer-accept");
    let mut silent = Client::of(&server);
    let next = Client::with_request(&server, get("/"));
    silent.expect_end();
    assert_answered(next);
    let begun = Instant::now();
    let mut slow = Client::of(&server);
    eventually("the header timeout is over", || {
        std::thread::sleep(Duration::from_millis(50));
        slow.try_send("x").is_err()
    });
    assert!(begun.elapsed() >= Duration::from_millis(400));
    assert_answered(Client::with_request(&server, get("/")));
}

/// Fails if there is no limit: the server reads until the memory is full, or the timeout is over.
#[test]
fn a_head_without_an_end_closes_the_connection() {
    let (_root, server) = fixed("--header-timeout 600");
    let mut endless = Client::of(&server);
    eventually("the limit is reached", || {
        endless.try_send(vec![b'x'; 10_000]).is_err()
    });
    assert_answered(Client::with_request(&server, get("/")));
}

/// Fails if `write_all` has no deadline, and if it does not reset.
#[test]
fn a_client_that_reads_nothing_is_reset_in_time() {
    let (_root, server) = fixed_large("--send-timeout 0.4");
    let begun = Instant::now();
    let mut reads_nothing = Client::with_request(&server, get("/"));
    let mut next = Client::with_request(&server, get("/"));
    assert!(next.read_head().starts_with("HTTP/1.1 200 OK"));
    assert!(begun.elapsed() >= Duration::from_millis(400));
    assert_eq!(reads_nothing.read_to_end().1, StreamEnd::Reset);
}

#[test]
fn a_reset_ends_its_own_connection_only() {
    let (_root, mut server) = fixed_large("--no-defer-accept");
    for how in 0..30 {
        let mut client = Client::of(&server);
        match how % 3 {
            0 => {}
            1 => client.send("GET / HT"),
            _ => {
                client.send(get("/"));
                client.read_head();
            }
        }
        client.reset();
    }
    assert!(
        Client::with_request(&server, get("/"))
            .read_head()
            .contains(" 200 ")
    );
    assert!(server.is_alive());
}

/// The grace period is longer than any wait here. Fails if no shutdown(2) wakes a read that waits,
/// and if the connections in the queue are not accepted.
#[test]
fn sigterm_serves_waiting_connections_and_does_not_wait_for_silent_ones() {
    let (_root, mut server) = fixed("--grace 600 --header-timeout 600 --no-defer-accept");
    let mut silent = Client::of(&server);
    let waiting: Vec<_> = (0..5)
        .map(|_| Client::with_request(&server, get("/")))
        .collect();
    assert!(silent.has_received_nothing());
    server.signal(Signal::TERM);
    silent.expect_end();
    waiting.into_iter().for_each(assert_answered);
    assert_eq!(server.wait().code(), Some(0));
}

/// Fails if `write_all` does not check `is_aborting`.
#[test]
fn a_slow_reader_is_reset_after_the_grace_period() {
    let (_root, mut server) = fixed_large("--grace 0.3");
    let mut slow = Client::with_request(&server, get("/"));
    slow.read_head();
    let begun = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(slow.read_to_end().1, StreamEnd::Reset);
}
