//! Requests and responses, in every model.

use crate::client::{Client, get};
use crate::peer::{Https, MODELS, close_notify, connect};
use crate::process::{available, eventually, site};
use rustls::HandshakeKind;
use std::fs;
use std::io::{Read, Write};
use std::sync::Arc;
use std::thread::{scope, sleep};
use std::time::Duration;

/// Bytes without a pattern of 16 KiB.
fn body(length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|at| ((at * 31) >> 7) as u8)
        .collect()
}

/// Without the times, which may differ between two responses.
fn without_dates(bytes: &[u8]) -> Vec<u8> {
    let text = bytes.split_inclusive(|byte| *byte == b'\n');
    text.filter(|line| !line.starts_with(b"Date: "))
        .collect::<Vec<_>>()
        .concat()
}

/// Fails if `send` reports bytes before the socket has taken them, or a part of a record twice.
#[test]
fn every_response_through_tls_has_the_bytes_of_a_plain_one() {
    let big = body(300_000);
    let root = site(&[
        ("small", b"hello"),
        ("big", &big),
        ("empty", b""),
        ("d/x", b"y"),
    ]);
    let requests = [
        get("/small").repeat(40),
        get("/big") + &get("/small") + &get("/empty"),
        get("/d/") + &get("/d") + &get("/nothing"),
        "GET /big HTTP/1.1\r\nHost: a\r\nRange: bytes=16383-200000\r\n\r\n".to_owned(),
        "HEAD /big HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /big HTTP/1.0\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
        "EHLO a\r\n".to_owned(),
        "GET /small HTTP/1.1\r\nHo".to_owned(),
    ];
    // Files that have just changed have other validators.
    sleep(Duration::from_millis(1100));
    scope(|scope| {
        for model in available(&MODELS) {
            let (root, requests) = (&root, &requests);
            scope.spawn(move || {
                let options = format!("--model {model} --tls-bind 127.0.0.1:0");
                let https = Https::start(root.path(), &options);
                for request in requests {
                    let mut plain = Client::with_request(&https.server, request);
                    plain.finish_sending();
                    let (expected, _) = plain.read_to_end();
                    drop(plain);
                    let mut client = https.connect();
                    client.send(request);
                    close_notify(&mut client);
                    // The end is a close_notify, or this would fail.
                    let (received, _) = client.read_to_end();
                    let (expected, received) = (without_dates(&expected), without_dates(&received));
                    assert!(
                        expected == received,
                        "{model}, {request}: {} bytes and {}",
                        expected.len(),
                        received.len()
                    );
                }
            });
        }
    });
}

/// The bytes of a request arrive in records of one byte, and several records in one packet.
#[test]
fn a_header_of_the_proxy_protocol_comes_before_the_handshake() {
    let root = site(&[("small", b"hello")]);
    for model in available(&MODELS) {
        let log = root.path().join(".log");
        let args = format!("--model {model} --proxy-protocol all --log-file");
        let https = Https::start(root.path(), &format!("{args} {}", log.display()));
        let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x02\xc0\0\x02\x09\0\x01\0\x02";
        for header in [&b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\n"[..], v2] {
            let mut client = https.connect_after(header);
            for _ in 0..2 {
                client.send(get("/small"));
                assert_eq!(client.read_response().body, b"hello", "{model}");
            }
        }
        let clients = || {
            let lines = fs::read_to_string(&log).unwrap_or_default();
            let clients = lines
                .lines()
                .map(|line| line.split(' ').next().unwrap().to_owned());
            clients.collect::<Vec<_>>()
        };
        eventually("four lines in the log", || clients().len() == 4);
        let mut clients = clients();
        clients.sort();
        let expected = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"];
        assert_eq!(clients, expected, "{model}");
        fs::remove_file(&log).unwrap();
    }
}

#[test]
fn a_request_in_many_records_is_one_request() {
    let root = site(&[("small", b"hello")]);
    for model in available(&MODELS) {
        let https = Https::start(root.path(), &format!("--model {model}"));
        let mut client = https.connect();
        for _ in 0..2 {
            let stream = client.stream();
            for byte in get("/small").bytes() {
                stream.conn.writer().write_all(&[byte]).unwrap();
            }
            stream.flush().unwrap();
            assert_eq!(client.read_response().body, b"hello", "{model}");
        }
    }
}

/// While a client reads nothing, what the server holds of the response is one record.
#[test]
fn a_slow_reader_gets_every_byte_and_costs_no_memory() {
    const LENGTH: usize = 64 << 20;
    let big = body(LENGTH);
    let root = site(&[("big", &big), ("small", b"hello")]);
    for model in ["reactor", "thread"] {
        let https = Https::start(root.path(), &format!("--model {model}"));
        let mut other = https.connect();
        other.fetch("/small");
        let before = https.server.memory();
        let mut client = https.connect();
        client.send(get("/big"));
        let head = client.read_head();
        assert!(
            head.contains(&format!("Content-Length: {LENGTH}")),
            "{head}"
        );
        let mut received = Vec::with_capacity(LENGTH);
        let mut buf = vec![0; 1 << 20];
        let mut most = 0;
        while received.len() < LENGTH {
            let length = client.read(&mut buf).unwrap();
            received.extend_from_slice(&buf[..length]);
            if received.len() % (4 << 20) < length {
                sleep(Duration::from_millis(5));
                most = most.max(https.server.memory());
                assert_eq!(other.fetch("/small").body, b"hello");
            }
        }
        assert!(received == big, "{model}: other bytes");
        let grown = most.saturating_sub(before);
        assert!(grown < 2 << 20, "{model}: {grown} bytes more");
        // The connection goes on.
        assert_eq!(client.fetch("/small").body, b"hello");
    }
}

/// Fails if reading waits for a socket that takes nothing (rustls issue 2556), or if writing does.
#[test]
fn a_client_that_sends_and_does_not_read_loses_no_byte() {
    let big = body(8 << 20);
    let root = site(&[("big", &big)]);
    for model in available(&MODELS) {
        let https = Https::start(root.path(), &format!("--model {model}"));
        let mut client = https.connect();
        // The requests do not fit into the sockets while no response is read.
        let requests = get("/big").repeat(4);
        client.send(&requests);
        let stream = client.stream();
        stream.conn.refresh_traffic_keys().unwrap();
        stream.flush().unwrap();
        sleep(Duration::from_millis(50));
        for _ in 0..4 {
            assert!(client.read_response().body == big, "{model}: other bytes");
        }
    }
}

/// In the models process and prefork, a child does not accept what another one has issued.
#[test]
fn a_session_is_resumed_in_every_model_of_one_process() {
    let root = site(&[("small", b"hello")]);
    let has_one_process = |model: &&str| !["process", "prefork"].contains(model);
    for model in available(&MODELS).into_iter().filter(has_one_process) {
        let https = Https::start(root.path(), &format!("--model {model}"));
        let config = Arc::new(https.certificate.client());
        let kinds = [
            HandshakeKind::Full,
            HandshakeKind::Resumed,
            HandshakeKind::Resumed,
        ];
        for kind in kinds {
            let mut client = connect(https.address(), &config, "localhost").unwrap();
            // The tickets come before the response.
            assert_eq!(client.fetch("/small").body, b"hello");
            assert_eq!(client.stream().conn.handshake_kind(), Some(kind), "{model}");
        }
    }
}

#[test]
fn the_protocol_is_http_1_1_and_a_client_that_wants_another_is_refused() {
    let root = site(&[("small", b"hello")]);
    let https = Https::start(root.path(), "");
    let table: [(&[&str], Option<&[u8]>); 3] = [
        (&["h2", "http/1.1"], Some(b"http/1.1")),
        (&[], None),
        (&["http/1.1"], Some(b"http/1.1")),
    ];
    let offering = |names: &[&str]| {
        let mut config = https.certificate.client();
        config.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        connect(https.address(), &Arc::new(config), "localhost")
    };
    for (offered, chosen) in table {
        let mut client = offering(offered).unwrap();
        assert_eq!(client.stream().conn.alpn_protocol(), chosen);
        assert_eq!(client.fetch("/small").body, b"hello");
    }
    let error = offering(&["h2"]).unwrap_err();
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "{error}"
    );
}

/// Each KeyUpdate is a record without plaintext, so each costs a receive.
#[test]
fn keys_may_be_updated_at_any_time() {
    let root = site(&[("small", b"hello")]);
    for model in available(&MODELS) {
        let https = Https::start(root.path(), &format!("--model {model}"));
        let mut client = https.connect();
        for count in [1, 20, 1] {
            let stream = client.stream();
            for _ in 0..count {
                stream.conn.refresh_traffic_keys().unwrap();
                stream.flush().unwrap();
            }
            assert_eq!(client.fetch("/small").body, b"hello", "{model}");
        }
    }
}

/// Fails if the processing of records that bring nothing has no bound.
#[test]
fn a_flood_of_key_updates_is_refused() {
    let root = site(&[("small", b"hello")]);
    let https = Https::start(root.path(), "");
    let mut client = https.connect();
    let stream = client.stream();
    let sent = (0..100).try_for_each(|_| {
        stream.conn.refresh_traffic_keys().unwrap();
        stream.flush()
    });
    let mut received = Vec::new();
    assert!(sent.is_err() || client.stream().read_to_end(&mut received).is_err());
    assert_eq!(https.connect().fetch("/small").body, b"hello");
}

/// A connection that is idle has a session, and no buffer but that of rustls for a record.
#[test]
fn idle_connections_cost_little_memory() {
    let root = site(&[("small", b"hello")]);
    let https = Https::start(root.path(), "");
    let open = |count: usize| {
        let open = || {
            let mut client = https.connect();
            client.fetch("/small");
            client
        };
        (0..count).map(|_| open()).collect::<Vec<_>>()
    };
    let first = open(50);
    let before = https.server.memory();
    let clients = open(400);
    let each = https.server.memory().saturating_sub(before) / 400;
    assert!(each < 16 * 1024, "{each} bytes for each idle connection");
    let descriptors = https.server.descriptors();
    drop((first, clients));
    eventually("the connections are closed", || {
        https.server.descriptors() + 440 < descriptors
    });
}
