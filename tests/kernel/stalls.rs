//! Stalls: the server is stopped (SIGSTOP) until a deadline has passed, while its clients were in
//! time. The server reads input before it checks deadlines, and
//! a stall does not count as time of a client.

use crate::client::{Client, get};
use crate::process::{Launch, Server, available, site};
use rustix::process::Signal;
use std::thread::sleep;
use std::time::Duration;

const MODELS: [&str; 6] = ["reactor", "coroutine", "uring", "level", "thread", "pool"];

const MIB: usize = 1024 * 1024;

fn start(root: &tempfile::TempDir, model: &str, options: &str) -> Server {
    Launch::of(root)
        .with(&format!("--model {model} --no-defer-accept {options}"))
        .start()
}

/// Stops the server for `time`, and calls `work` before it continues.
fn stopped<T>(server: &Server, time: Duration, work: impl FnOnce() -> T) -> T {
    server.freeze();
    sleep(time);
    let done = work();
    server.thaw();
    done
}

/// Fails if deadlines are checked before anything is read.
#[test]
fn a_request_that_arrived_in_time_is_answered_even_if_it_is_read_after_its_deadline() {
    let root = site(&[("small", b"small")]);
    for model in available(&MODELS) {
        let server = start(&root, model, "--idle-timeout 2 --header-timeout 2");
        let (mut new, mut kept) = (Client::of(&server), Client::of(&server));
        assert_eq!(kept.fetch("/small").status(), 200);
        let mut slow = Client::with_request(&server, "GET /small HTTP/1.1\r\nHo");
        assert!(slow.has_received_nothing());
        stopped(&server, Duration::from_millis(2500), || {
            new.send(get("/small"));
            kept.send(get("/small"));
            slow.send("st: test\r\n\r\n");
        });
        for client in [&mut new, &mut kept, &mut slow] {
            assert_eq!(client.read_response().body, b"small", "{model}");
        }
        // The idle timeout still ends them.
        for client in [&mut new, &mut kept, &mut slow] {
            client.expect_end();
        }
    }
}

/// Fails if a stall counts as time of the client.
#[test]
fn a_stall_does_not_count_for_the_header_timeout() {
    let root = site(&[("small", b"small")]);
    for model in available(&MODELS) {
        let server = start(&root, model, "--header-timeout 4");
        let mut slow = Client::with_request(&server, "GET /small HTTP/1.1\r\nHo");
        assert!(slow.has_received_nothing());
        stopped(&server, Duration::from_secs(5), || {});
        assert!(slow.has_received_nothing(), "{model}: not a 408");
        slow.send("st: test\r\n\r\n");
        assert_eq!(slow.read_response().body, b"small", "{model}");
    }
}

/// SIGCONT interrupts the wait before its timeout. Fails if that counts as waiting. (It does not
/// interrupt poll(2), which mio may be built to use: signal(7).)
#[test]
fn nor_does_a_stall_that_is_shorter_than_the_timeout() {
    let root = site(&[("small", b"small")]);
    let check = |model: &str| {
        let server = start(&root, model, "--header-timeout 4");
        let mut slow = Client::with_request(&server, "GET /small HTTP/1.1\r\nHo");
        assert!(slow.has_received_nothing());
        stopped(&server, Duration::from_secs(3), || {});
        sleep(Duration::from_millis(1500));
        assert!(slow.has_received_nothing(), "{model}: not a 408");
        slow.send("st: test\r\n\r\n");
        assert_eq!(slow.read_response().body, b"small", "{model}");
    };
    let polls = |model: &str| ["reactor", "coroutine"].contains(&model);
    std::thread::scope(|scope| {
        for model in available(&MODELS) {
            if !(cfg!(mio_unsupported_force_poll_poll) && polls(model)) {
                scope.spawn(|| check(model));
            }
        }
    });
}

/// The client takes all that the server sends, faster than the minimum rate. Fails if the rate
/// includes the time of the stall.
#[test]
fn a_download_goes_on_after_a_stall() {
    let root = site(&[]);
    let length = 48 * MIB;
    let large = std::fs::File::create(root.path().join("large")).unwrap();
    large.set_len(length as u64).unwrap();
    for model in available(&MODELS) {
        let options = "--send-timeout 1 --min-send-rate 16777216";
        let server = start(&root, model, options);
        let mut client = Client::with_request(&server, get("/large"));
        client.read_head();
        let mut buf = vec![0; 256 * 1024];
        let mut taken = 0;
        stopped(&server, Duration::from_secs(2), || {
            while !client.has_received_nothing() {
                taken += client.read(&mut buf).unwrap();
            }
        });
        while taken < length {
            match client.read(&mut buf).unwrap() {
                0 => panic!("{model}: the body ends after {taken} bytes"),
                some => taken += some,
            }
        }
    }
}

/// The client could not go on sending, as the receive window was full. Fails if the linger timeout
/// includes the time of the stall.
#[test]
fn an_uploading_client_gets_its_response_although_the_server_stalls() {
    let root = site(&[]);
    for model in available(&MODELS) {
        let server = start(&root, model, "--linger-timeout 4");
        let head = format!(
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
            10 * MIB
        );
        let mut client = Client::with_request(&server, head);
        client.send(vec![b'x'; 1000]);
        assert!(!client.has_received_nothing(), "no response");
        stopped(&server, Duration::from_secs(5), || {});
        client.send(vec![b'x'; 10 * MIB - 1000]);
        assert_eq!(client.read_response().status(), 405, "{model}");
        client.expect_end();
    }
}

/// Fails if connections are aborted before each of them has run once more.
#[test]
fn a_request_that_arrived_within_the_grace_period_is_answered() {
    let root = site(&[("small", b"small")]);
    for model in available(&MODELS) {
        let mut server = start(&root, model, "--grace 1");
        let mut slow = Client::with_request(&server, "GET /small HTTP/1.1\r\nHo");
        assert!(slow.has_received_nothing());
        server.signal(Signal::TERM);
        assert!(slow.has_received_nothing());
        stopped(&server, Duration::from_millis(1500), || {
            slow.send("st: test\r\n\r\n");
        });
        let response = slow.read_response();
        assert_eq!(response.body, b"small", "{model}");
        assert_eq!(response.field("Connection"), Some("close"));
        assert_eq!(server.wait().code(), Some(0));
    }
}
