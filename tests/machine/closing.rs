//! Half-closes, lingering, resets and errors.

use crate::memory_transport::{Call, Input, Space};
use crate::{GET, LAST, LAST_GET, OK, TestServer, get, head};
use oneloop::probe::EventFlags;
use std::io::ErrorKind;

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n";

#[test]
fn a_peer_that_closes_its_direction_after_its_request_is_answered_first() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file"));
    peer.script_sends([Space::Some(7000), Space::Nothing]);
    peer.closes();
    server.run();
    while peer.unblock() && !peer.is_closed() {
        server.scheduler.mark_ready(0, EventFlags::default);
        server.run();
    }
    let response = [
        head(crate::handler::FILE).into_bytes(),
        crate::handler::content(),
    ]
    .concat();
    assert_eq!(peer.take_received(), response);
    assert!(peer.is_closed() && !peer.is_reset());
}

#[test]
fn a_peer_that_closes_within_a_request_gets_no_response() {
    let mut server = TestServer::new();
    let peer = server.connect("GET /small HTTP/1.1\r\nHo");
    peer.closes();
    server.run();
    assert_eq!(peer.take_received(), b"");
    assert!(peer.is_closed() && !peer.is_reset());
}

#[test]
fn all_requests_that_came_before_the_end_are_answered() {
    let mut server = TestServer::with(|limits| limits.requests_per_iteration = 2);
    let peer = server.connect(GET.repeat(5));
    peer.closes();
    server.run();
    assert_eq!(peer.take_received_text(), OK.repeat(5));
    assert!(peer.is_closed());
}

#[test]
fn after_the_last_response_the_server_shuts_down_and_waits_for_the_peer_to_close() {
    let mut server = TestServer::new();
    let peer = server.connect(LAST_GET);
    server.run();
    assert_eq!(peer.take_received_text(), LAST);
    assert!(peer.is_shut() && !peer.is_closed());
    peer.sends(GET);
    server.run();
    assert_eq!(peer.take_received(), b"", "what comes now is not answered");
    peer.closes();
    server.run();
    assert!(peer.is_closed() && !peer.is_reset());
}

#[test]
fn a_peer_that_announced_its_last_request_is_closed_without_lingering() {
    for words in [LAST_GET, "GET /small HTTP/1.0\r\n\r\n"] {
        let mut server = TestServer::new();
        let peer = server.connect(words);
        peer.sends_no_more();
        server.run();
        assert_eq!(peer.take_received_text(), LAST);
        assert!(peer.is_closed() && !peer.is_reset() && !peer.is_shut());
    }
}

#[test]
fn a_peer_that_sends_more_is_closed_with_lingering() {
    let body = "POST /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\n";
    for words in [&(LAST_GET.to_owned() + "G"), body, "GET\r\n\r\n"] {
        let mut server = TestServer::new();
        let peer = server.connect(words);
        peer.sends_no_more();
        server.run();
        assert!(peer.is_shut() && !peer.is_closed(), "{words}");
    }
    let mut server = TestServer::new();
    let peer = server.connect(LAST_GET);
    peer.sends_no_more();
    peer.script_inputs([Input::Nothing, Input::Bytes(GET.into())]);
    server.run();
    assert!(peer.is_shut(), "something lies unread");
}

#[test]
fn input_after_the_last_response_is_discarded_up_to_a_limit() {
    let mut server = TestServer::with(|limits| limits.max_linger_bytes = 100_000);
    let peer = server.connect(POST);
    server.run();
    peer.sends([0; 60_000]);
    server.run();
    assert!(!peer.is_closed());
    peer.sends([0; 40_000]);
    server.run();
    assert!(!peer.is_closed(), "the limit itself is allowed");
    peer.sends([0; 1]);
    server.run();
    assert!(peer.is_closed() && !peer.is_reset());
}

#[test]
fn discarded_input_is_read_in_large_pieces() {
    // All but the last byte of a head leaves the connection with a buffer of its own, which then
    // grows to 256 bytes. All of them but one are filled.
    let (most, last) = POST.split_at(POST.len() - 1);
    let behind = "x".repeat(256 - POST.len() - 1);
    let mut server = TestServer::new();
    let peer = server.connect(most);
    server.run();
    peer.sends(last.to_owned() + &behind);
    peer.sends([0; 100_000]);
    peer.take_calls();
    server.run();
    let receives = (peer.take_calls().into_iter())
        .filter(|call| matches!(call, Call::Receive(_)))
        .count();
    assert!(receives < 1000, "{receives} receives for 100,000 bytes");
}

#[test]
fn an_error_ends_the_connection_in_every_state() {
    let reading = |words: &str| {
        let mut server = TestServer::new();
        let peer = server.connect(words);
        peer.script_inputs([Input::Error(ErrorKind::ConnectionReset)]);
        server.run();
        peer
    };
    assert!(reading("").is_closed());
    assert!(reading("GET").is_closed());
    assert!(reading(POST).is_closed(), "lingering");
    for path in ["/small", "/file", "/stream"] {
        for sent in 1..4 {
            let mut server = TestServer::new();
            let peer = server.connect(get(path));
            let script_sends = (1..sent).map(|_| Space::Some(30));
            peer.script_sends(script_sends.chain([Space::Error(ErrorKind::BrokenPipe)]));
            server.run();
            assert!(peer.is_closed(), "{path} after {sent}");
        }
    }
}

#[test]
fn an_interrupted_call_is_made_again() {
    let mut server = TestServer::new();
    let peer = server.connect("");
    peer.script_inputs([
        Input::Error(ErrorKind::Interrupted),
        Input::Bytes(GET.into()),
    ]);
    peer.script_sends([
        Space::Error(ErrorKind::Interrupted),
        Space::Some(3),
        Space::Error(ErrorKind::Interrupted),
        Space::All,
    ]);
    server.run();
    assert_eq!(peer.take_received_text(), OK);
}

#[test]
fn a_send_of_zero_bytes_is_an_error() {
    let mut server = TestServer::new();
    let peer = server.connect(GET);
    peer.script_sends([Space::Some(0)]);
    server.run();
    assert!(peer.is_closed());
}
