//! The model `fixed`: its responses, and clients that send slowly, reset or do not read.

use crate::client::{Client, StreamEnd, get};
use crate::process::{Launch, Server, eventually, site};
use rustix::process::Signal;
use std::fs;
use std::time::{Duration, Instant};

const PAGE: &[u8] = b"<!doctype html>\n<title>fixed</title>\n";

const ANSWER: &str = "HTTP/1.1 200 OK\r\n\
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

/// One whose page does not fit into any socket.
fn fixed_large(options: &str) -> (tempfile::TempDir, Server) {
    let root = site(&[]);
    let large = fs::File::create(root.path().join("index.html")).unwrap();
    large.set_len(50 * 1024 * 1024).unwrap();
    let launch = Launch::of(&root).with("--model fixed").with(options);
    let server = launch.start();
    (root, server)
}

#[track_caller]
fn answered(mut client: Client) {
    let (bytes, end) = client.rest();
    assert_eq!(String::from_utf8_lossy(&bytes), ANSWER);
    assert_eq!(end, StreamEnd::Closed);
}

/// Whatever is asked, in however many pieces, and whether or not a body follows. Fails with a close
/// that does not read what the peer still sends.
#[test]
fn every_request_is_answered_with_the_page_and_the_connection_closes() {
    let (_root, server) = fixed("");
    answered(Client::with_request(&server, get("/")));
    answered(Client::with_request(&server, get("/missing")));
    answered(Client::with_request(&server, "anything at all\r\n\r\n"));
    let mut slow = Client::with_request(&server, "GET / HTTP/1.1\r\nHost: test\r");
    assert!(slow.has_received_nothing());
    slow.send("\n\r");
    assert!(slow.has_received_nothing());
    slow.send("\n");
    answered(slow);
    for _ in 0..10 {
        let mut upload = Client::with_request(&server, "POST / HTTP/1.1\r\n\r\n");
        upload.send(vec![b'x'; 10 * 1024 * 1024]);
        answered(upload);
    }
}

/// Fails with an index that is not looked for, and with ROOT winning over the option.
#[test]
fn the_page_is_the_option_or_the_root_or_its_index_or_a_notice_that_there_is_none() {
    let root = site(&[
        ("index.html", b"index"),
        ("other.txt", b"other"),
        ("deep/x", b""),
    ]);
    let of = |launch: Launch| {
        let server = launch.with("--model fixed").start();
        let answer = Client::of(&server).ask("/");
        let content_type = answer.field("Content-Type").unwrap().to_owned();
        (String::from_utf8(answer.body).unwrap(), content_type)
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
    let (status, said) = Launch::of(&root).with("--model fixed").fail();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("cannot read the page "), "{said}");
    assert!(said.contains("index.html: not a regular file"), "{said}");
    for (page, reason) in [
        ("missing", "no such directory or file"),
        ("deep", "is a directory"),
    ] {
        let launch = Launch::of(&root).with("--model fixed --page");
        let (status, said) = launch.arg(root.path().join(page)).fail();
        assert_eq!(status.code(), Some(1));
        assert!(
            said.contains("cannot serve ") && said.contains(reason),
            "{said}"
        );
    }
}

#[test]
fn a_page_without_its_model_and_options_without_effect_are_usage_errors() {
    let root = site(&[("index.html", PAGE)]);
    for (options, advice) in [
        ("--page index.html", "add --model fixed"),
        (
            "--model fixed --spa",
            "--spa has no effect in the model fixed",
        ),
        ("--model fixed --tally x", "--tally has no effect"),
    ] {
        let (status, said) = Launch::of(&root).with(options).fail();
        assert_eq!(status.code(), Some(2), "{options}");
        assert!(said.contains(advice), "{said}");
    }
}

/// Fails with a deadline that each byte moves.
#[test]
fn a_client_that_trickles_or_sends_nothing_times_out_and_the_next_is_served() {
    let (_root, server) = fixed("--header-timeout 0.4 --no-defer-accept");
    let mut silent = Client::of(&server);
    let next = Client::with_request(&server, get("/"));
    silent.expect_end();
    answered(next);
    let begun = Instant::now();
    let mut trickling = Client::of(&server);
    eventually("the server has had enough", || {
        std::thread::sleep(Duration::from_millis(50));
        trickling.try_send("x").is_err()
    });
    assert!(begun.elapsed() >= Duration::from_millis(400));
    answered(Client::with_request(&server, get("/")));
}

/// Fails without the limit: it reads until the memory is full, or the header timeout.
#[test]
fn a_head_without_an_end_closes_the_connection() {
    let (_root, server) = fixed("--header-timeout 600");
    let mut endless = Client::of(&server);
    eventually("the server has had enough", || {
        endless.try_send(vec![b'x'; 10_000]).is_err()
    });
    answered(Client::with_request(&server, get("/")));
}

/// Fails without the deadline of `write_all`, and without its reset.
#[test]
fn a_client_that_reads_nothing_is_reset_in_time() {
    let (_root, server) = fixed_large("--send-timeout 0.4");
    let begun = Instant::now();
    let mut deaf = Client::with_request(&server, get("/"));
    let mut next = Client::with_request(&server, get("/"));
    assert!(next.head().starts_with("HTTP/1.1 200 OK"));
    assert!(begun.elapsed() >= Duration::from_millis(400));
    assert_eq!(deaf.rest().1, StreamEnd::Reset);
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
                client.head();
            }
        }
        client.reset();
    }
    assert!(
        Client::with_request(&server, get("/"))
            .head()
            .contains(" 200 ")
    );
    assert!(server.is_alive());
}

/// The grace is longer than the patience of any wait here. Fails without the shutdown that wakes an
/// idle read, and with a queue that is left alone.
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
    waiting.into_iter().for_each(answered);
    assert_eq!(server.wait().code(), Some(0));
}

/// Fails if `write_all` does not check `is_aborting`.
#[test]
fn a_slow_reader_is_reset_after_the_grace_period() {
    let (_root, mut server) = fixed_large("--grace 0.3");
    let mut slow = Client::with_request(&server, get("/"));
    slow.head();
    let begun = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(slow.rest().1, StreamEnd::Reset);
}
