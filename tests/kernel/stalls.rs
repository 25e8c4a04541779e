//! Stalls: the server is stopped (SIGSTOP) until a deadline has passed, while its clients were in
//! time. Input comes before deadlines, and their clock stands still in a stall.

use crate::client::{Client, get};
use crate::process::{Launch, Server, site};
use rustix::process::Signal;
use std::thread::sleep;
use std::time::Duration;

const MODELS: [&str; 4] = ["reactor", "coroutine", "thread", "pool"];

const MIB: usize = 1024 * 1024;

fn start(root: &tempfile::TempDir, model: &str, options: &str) -> Server {
    Launch::of(root)
        .with(&format!("--model {model} --no-defer-accept {options}"))
        .start()
}

/// Lets time pass in which the server does not run, and `work` is done.
fn stopped<T>(server: &Server, time: Duration, work: impl FnOnce() -> T) -> T {
    server.freeze();
    sleep(time);
    let done = work();
    server.thaw();
    done
}

/// Fails with deadlines that are judged before anything is read.
#[test]
fn a_request_that_arrived_in_time_is_answered_however_late_it_is_read() {
    let root = site(&[("small", b"small")]);
    for model in MODELS {
        let server = start(&root, model, "--idle-timeout 2 --header-timeout 2");
        let (mut new, mut kept) = (Client::of(&server), Client::of(&server));
        assert_eq!(kept.ask("/small").status(), 200);
        let mut slow = Client::with_request(&server, "GET /small HTTP/1.1\r\nHo");
        assert!(slow.has_received_nothing());
        stopped(&server, Duration::from_millis(2500), || {
            new.send(get("/small"));
            kept.send(get("/small"));
            slow.send("st: test\r\n\r\n");
        });
        for client in [&mut new, &mut kept, &mut slow] {
            assert_eq!(client.answer().body, b"small", "{model}");
        }
        // And an idle connection ends all the same.
        for client in [&mut new, &mut kept, &mut slow] {
            client.expect_end();
        }
    }
}

/// Fails with a clock of deadlines that goes on.
#[test]
fn a_partial_request_keeps_its_time_across_a_stall() {
    let root = site(&[("small", b"small")]);
    for model in MODELS {
        let server = start(&root, model, "--header-timeout 4");
        let mut slow = Client::with_request(&server, "GET /small HTTP/1.1\r\nHo");
        assert!(slow.has_received_nothing());
        stopped(&server, Duration::from_secs(5), || {});
        assert!(slow.has_received_nothing(), "{model}: not a 408");
        slow.send("st: test\r\n\r\n");
        assert_eq!(slow.answer().body, b"small", "{model}");
    }
}

/// It took all that there was, and at more than the least rate. Fails with a rate over all the
/// time.
#[test]
fn a_download_goes_on_after_a_stall() {
    let root = site(&[]);
    let length = 48 * MIB;
    let large = std::fs::File::create(root.path().join("large")).unwrap();
    large.set_len(length as u64).unwrap();
    for model in MODELS {
        let options = "--send-timeout 1 --min-send-rate 16777216";
        let server = start(&root, model, options);
        let mut client = Client::with_request(&server, get("/large"));
        client.head();
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

/// The client could not send on, as the window was full. Fails with a linger deadline that has
/// passed.
#[test]
fn an_uploading_client_gets_its_response_although_the_server_stalls() {
    let root = site(&[]);
    for model in MODELS {
        let server = start(&root, model, "--linger-timeout 4");
        let head = format!(
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
            10 * MIB
        );
        let mut client = Client::with_request(&server, head);
        client.send(vec![b'x'; 1000]);
        assert!(!client.has_received_nothing(), "the answer is there");
        stopped(&server, Duration::from_secs(5), || {});
        client.send(vec![b'x'; 10 * MIB - 1000]);
        assert_eq!(client.answer().status(), 405, "{model}");
        client.expect_end();
    }
}

/// Fails if connections are aborted before each of them has run once more.
#[test]
fn a_request_that_arrived_within_the_grace_period_is_answered() {
    let root = site(&[("small", b"small")]);
    for model in MODELS {
        let mut server = start(&root, model, "--grace 1");
        let mut slow = Client::with_request(&server, "GET /small HTTP/1.1\r\nHo");
        assert!(slow.has_received_nothing());
        server.signal(Signal::TERM);
        assert!(slow.has_received_nothing());
        stopped(&server, Duration::from_millis(1500), || {
            slow.send("st: test\r\n\r\n");
        });
        let answer = slow.answer();
        assert_eq!(answer.body, b"small", "{model}");
        assert_eq!(answer.field("Connection"), Some("close"));
        assert_eq!(server.wait().code(), Some(0));
    }
}
