//! Bodies: files, parts and streams, and what happens when they cannot be completed.

use crate::handler::{FILE, PARTS, content};
use crate::memory_transport::{Call, Space};
use crate::{GET, OK, TestServer, get, head};
use oneloop::connection::{CloseReason, Counts};
use oneloop::probe::EventFlags;
use std::io;

#[test]
fn the_head_has_the_length_of_a_file_and_the_bytes_are_sent_from_the_file() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file"));
    server.run();
    let header = head(FILE);
    assert_eq!(
        peer.take_received(),
        [header.as_bytes(), &content()].concat()
    );
    let calls = peer.take_calls();
    let sends = calls
        .iter()
        .filter(|call| !matches!(call, Call::Receive(_)));
    assert!(sends.eq(&[Call::Send(header.len(), true), Call::SendFile(FILE)]));
}

#[test]
fn a_short_count_of_a_file_is_not_a_full_socket() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file"));
    peer.script_sends([Space::All, Space::Some(10), Space::Some(5_000)]);
    server.run();
    let response = [head(FILE).as_bytes(), &content()].concat();
    assert_eq!(peer.take_received(), response, "without a single event");
}

#[test]
fn a_file_that_has_shrunk_aborts_the_connection() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file") + GET);
    peer.script_sends([Space::Some(40_000), Space::Nothing]);
    server.run();
    server.handler.truncate(50_000);
    while peer.unblock() {
        server.scheduler.mark_ready(0, EventFlags::default);
        server.run();
    }
    assert_eq!(
        peer.take_received(),
        [head(FILE).as_bytes(), &content()[..50_000]].concat(),
        "what was there, and no other response behind it"
    );
    assert!(peer.is_closed() && peer.is_reset());
    assert_eq!(server.handler.answered, [(0, 200)]);
    assert_eq!(server.handler.sent, []);
    let counts = Counts {
        body_bytes: 50_000,
        latest_body: 50_000,
    };
    assert_eq!(server.handler.closed, [(0, counts)]);
}

#[test]
fn a_file_that_has_grown_is_sent_with_the_length_in_the_head() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file"));
    peer.script_sends([Space::Some(40_000), Space::Nothing]);
    server.run();
    server.handler.truncate(200_000);
    peer.script_sends([Space::All]);
    server.run();
    assert_eq!(
        peer.take_received(),
        [head(FILE).as_bytes(), &content()].concat()
    );
    peer.sends(GET);
    server.run();
    assert_eq!(peer.take_received_text(), OK);
}

#[test]
fn parts_are_sent_in_order_and_their_heads_count_towards_the_length() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/parts"));
    server.run();
    assert_eq!(peer.take_received_text(), head(PARTS.len()) + PARTS);
    assert_eq!(server.handler.sent, [(0, PARTS.len() as u64)]);
}

#[test]
fn a_stream_is_sent_in_chunks_to_an_http_1_1_client() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/stream") + GET);
    server.run();
    let slice = "00000005\r\nslice\r\n";
    assert_eq!(
        peer.take_received_text(),
        format!(
            "HTTP/1.1 200 OK\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\n\
             Transfer-Encoding: chunked\r\n\r\n{slice}{slice}{slice}0\r\n\r\n{OK}"
        )
    );
    assert_eq!(server.handler.sent, [(0, 15), (0, 5)]);
}

#[test]
fn a_stream_to_an_http_1_0_client_ends_with_the_connection() {
    let mut server = TestServer::new();
    let peer = server.connect("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    server.run();
    assert_eq!(
        peer.take_received_text(),
        "HTTP/1.1 200 OK\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\n\
         Connection: close\r\n\r\nsliceslicesliceslice"
            .strip_suffix("slice")
            .unwrap()
    );
    assert!(peer.is_shut() && !peer.is_reset());
}

#[test]
fn a_stream_without_bytes_is_an_empty_body() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/slow"));
    server.run();
    assert!(
        peer.take_received_text()
            .ends_with("chunked\r\n\r\n0\r\n\r\n")
    );
}

/// A half-close is no reason to end it. Without the report only a send shows the reset, and the
/// slices may be empty for long.
#[test]
fn no_slice_is_produced_for_a_connection_that_was_reset() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/slow"));
    server.iterate();
    peer.closes();
    server.iterate();
    assert!(!peer.is_closed());
    peer.resets();
    server.iterate();
    assert!(peer.is_closed());
    let reset = CloseReason::SendError(io::ErrorKind::ConnectionReset);
    assert_eq!(server.handler.reasons, [reset]);
    assert!(!server.is_busy());
}

#[test]
fn a_stream_that_fails_is_reset() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/broken"));
    server.run();
    assert!(peer.take_received_text().ends_with("00000004\r\nlost\r\n"));
    assert!(peer.is_closed() && peer.is_reset());
}

#[test]
fn a_head_request_gets_the_header_without_the_body() {
    for (path, length) in [
        ("/small", "Content-Length: 5".to_owned()),
        ("/file", "Content-Length: 100000".to_owned()),
        ("/parts", format!("Content-Length: {}", PARTS.len())),
        ("/stream", "Transfer-Encoding: chunked".to_owned()),
    ] {
        let mut server = TestServer::new();
        let peer = server.connect(get(path).replace("GET", "HEAD") + GET);
        server.run();
        let header = "HTTP/1.1 200 OK\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\n";
        assert_eq!(
            peer.take_received_text(),
            format!("{header}{length}\r\n\r\n{OK}")
        );
    }
}

#[test]
fn a_body_is_reported_when_its_last_byte_is_sent() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file"));
    peer.script_sends([Space::Some(60_000), Space::Nothing]);
    server.run();
    assert_eq!(server.handler.sent, []);
    peer.script_sends([Space::All]);
    server.run();
    assert_eq!(server.handler.sent, [(0, FILE as u64)]);
}

/// A body in memory counts when it is in the write buffer; what is never sent is subtracted at the
/// end.
#[test]
fn the_counts_of_a_connection_leave_out_the_bodies_that_were_never_sent() {
    let gone = Space::Error(std::io::ErrorKind::BrokenPipe);
    let stream = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                  Transfer-Encoding: chunked\r\n\r\n";
    let table: [(String, Vec<Space>, u64); 8] = [
        (GET.to_owned(), vec![Space::All], 5),
        (GET.to_owned(), vec![gone], 0),
        (GET.to_owned(), vec![Space::Some(OK.len() - 2), gone], 3),
        (GET.to_owned(), vec![Space::Some(1), gone], 0),
        (GET.repeat(10), vec![gone], 0),
        (get("/file"), vec![Space::All, Space::Some(10), gone], 10),
        (
            get("/stream"),
            vec![Space::Some(stream.len()), Space::Some(12), gone],
            2,
        ),
        (
            get("/stream"),
            vec![Space::Some(stream.len()), Space::Some(15), gone],
            5,
        ),
    ];
    for (request, script_sends, body_bytes) in table {
        let mut server = TestServer::new();
        let peer = server.connect(&request);
        peer.script_sends(script_sends.clone());
        server.run();
        peer.closes();
        server.run();
        let counted: Vec<_> = (server.handler.closed.iter())
            .map(|(_, counts)| counts.body_bytes)
            .collect();
        assert_eq!(counted, [body_bytes], "{request:?} {script_sends:?}");
    }
}
