//! Half-closes, early ends, and clients that stall or do not speak TLS.

use crate::client::{StreamEnd, get};
use crate::peer::{Https, MODELS, close_notify};
use crate::process::{available, site};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The alert close_notify in a record that is not encrypted (RFC 8446 6.1).
const PLAIN_CLOSE_NOTIFY: &[u8] = &[21, 3, 3, 0, 2, 1, 0];

/// The first message of a client.
fn client_hello(https: &Https) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let config = Arc::new(https.certificate.client());
    let mut session = ClientConnection::new(config, name).unwrap();
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn after_its_close_notify_a_client_gets_the_whole_response_and_ours() {
    let big = vec![7; 4 << 20];
    let root = site(&[("big", &big)]);
    for model in available(&MODELS) {
        for closes_socket in [false, true] {
            let https = Https::start(root.path(), &format!("--model {model}"));
            let mut client = https.connect();
            client.send(get("/big"));
            close_notify(&mut client);
            if closes_socket {
                client.stream().sock.shutdown(Shutdown::Write).unwrap();
            }
            assert!(client.read_response().body == big, "{model}");
            client.expect_end();
        }
    }
}

/// A client that closes the socket without close_notify: an answer that it may still read is sent,
/// and no request is taken for whole that is not.
#[test]
fn a_truncated_end_is_no_end_of_a_request() {
    let root = site(&[("small", b"hello")]);
    for model in available(&MODELS) {
        let https = Https::start(root.path(), &format!("--model {model} --log-file -"));
        let mut client = https.connect();
        client.send(get("/small"));
        client.stream().sock.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read_response().body, b"hello", "{model}");
        client.expect_end();
        let mut client = https.connect();
        client.send("GET /small HTTP/1.1\r\nHost: a\r\n");
        client.stream().sock.shutdown(Shutdown::Write).unwrap();
        client.expect_end();
    }
}

#[test]
fn a_client_that_is_gone_costs_no_other_client_anything() {
    let big = vec![7; 4 << 20];
    let root = site(&[("big", &big), ("small", b"hello")]);
    for model in available(&MODELS) {
        let https = Https::start(root.path(), &format!("--model {model}"));
        for part in [1, 100, 1 << 20] {
            let mut client = https.connect();
            client.send(get("/big"));
            let mut buf = vec![0; part];
            client.read(&mut buf).unwrap();
            // With unread bytes this is a reset.
            drop(client);
        }
        assert_eq!(https.connect().fetch("/small").body, b"hello", "{model}");
    }
}

/// Fails if the idle timeout counts, which is a minute, and if a byte a moment moves the deadline.
#[test]
fn a_handshake_that_stalls_ends_at_its_deadline() {
    let root = site(&[("small", b"hello")]);
    for model in available(&["reactor", "coroutine", "uring", "level", "thread"]) {
        let https = Https::start(
            root.path(),
            &format!("--model {model} --header-timeout 0.5"),
        );
        let hello = client_hello(&https);
        let begun = Instant::now();
        let mut silent = https.connect_plain();
        silent.send(&hello[..1]);
        let mut slow = https.connect_plain();
        let mut sent = 0;
        while slow.try_send(&hello[sent..=sent]).is_ok() && begun.elapsed().as_secs() < 10 {
            sent += 1;
            sleep(Duration::from_millis(20));
        }
        assert!(sent < hello.len() / 2, "{model}: {sent} bytes");
        assert_eq!(silent.read_to_end().0, b"", "{model}");
        assert_eq!(https.connect().fetch("/small").body, b"hello");
    }
}

/// RUSTSEC-2024-0336: a loop that only waits for the end of the handshake does not end.
#[test]
fn a_close_notify_in_a_handshake_ends_it() {
    let root = site(&[("small", b"hello")]);
    for model in available(&MODELS) {
        let https = Https::start(root.path(), &format!("--model {model}"));
        let mut client = https.connect_plain();
        client.send([&client_hello(&https), PLAIN_CLOSE_NOTIFY].concat());
        client.finish_sending();
        let before = https.server.cpu_time();
        client.read_to_end();
        sleep(Duration::from_millis(100));
        let used = https.server.cpu_time() - before;
        assert!(used < Duration::from_millis(80), "{model}: {used:?}");
        assert_eq!(https.connect().fetch("/small").body, b"hello");
    }
}

/// Records that are no handshake, bytes that are no record, and a record that is not encrypted.
#[test]
fn bytes_that_are_not_tls_get_an_alert_and_close_only_their_connection() {
    let root = site(&[("small", b"hello")]);
    for model in available(&MODELS) {
        let https = Https::start(root.path(), &format!("--model {model}"));
        let garbage = [
            &[22, 3, 1, 0, 4, 1, 0, 0, 0][..],
            &[23, 3, 3, 0, 1, 0],
            &[22, 3, 1, 255, 255],
        ];
        for bytes in garbage {
            let mut client = https.connect_plain();
            client.send(bytes);
            client.finish_sending();
            let (received, _) = client.read_to_end();
            assert_eq!(
                received.first(),
                Some(&21),
                "{model}: {bytes:?}: {received:?}"
            );
        }
        let mut client = https.connect();
        assert_eq!(client.fetch("/small").body, b"hello");
        client.stream().sock.write_all(&[23, 3, 3, 0, 20]).unwrap();
        client.stream().sock.write_all(&[0; 20]).unwrap();
        let mut received = Vec::new();
        let error = client.stream().read_to_end(&mut received).unwrap_err();
        assert!(
            error.to_string().contains("BadRecordMac"),
            "{model}: {error}"
        );
    }
}

#[test]
fn plain_http_on_the_port_gets_a_400_that_says_what_to_do() {
    let root = site(&[("small", b"hello")]);
    for model in available(&MODELS) {
        let https = Https::start(root.path(), &format!("--model {model}"));
        let mut client = https.connect_plain();
        client.send(get("/small"));
        let (received, end) = client.read_to_end();
        assert_eq!(
            String::from_utf8_lossy(&received),
            "HTTP/1.1 400 Bad Request\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 56\r\n\
             Connection: close\r\n\r\n\
             This port speaks HTTPS: use https:// instead of http://\n"
        );
        assert_eq!(end, StreamEnd::Closed, "{model}");
    }
}

/// A graceful stop: a response that is being sent is finished, and a silent handshake holds nothing
/// up. Fails if a thread in a handshake is not woken.
#[test]
fn a_stop_finishes_responses_and_does_not_wait_for_a_handshake() {
    let big = vec![7; 16 << 20];
    let root = site(&[("big", &big)]);
    for model in available(&[
        "reactor",
        "coroutine",
        "uring",
        "level",
        "process",
        "thread",
        "pool",
    ]) {
        let mut https = Https::start(root.path(), &format!("--model {model} --grace 15"));
        let hello = client_hello(&https);
        let mut silent = https.connect_plain();
        silent.send(&hello[..5]);
        let mut client = https.connect();
        client.send(get("/big"));
        client.read_head();
        let begun = Instant::now();
        https.server.signal(rustix::process::Signal::TERM);
        let (body, end) = client.read_to_end();
        assert!(
            body == big && end == StreamEnd::Closed,
            "{model}: {}",
            body.len()
        );
        drop(client);
        assert!(https.server.wait().success());
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{model}: {:?}",
            begun.elapsed()
        );
    }
}
