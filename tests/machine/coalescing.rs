//! Write coalescing: small responses are sent together, in order, up to a limit.

use crate::handler::PARTS;
use crate::memory_transport::{Call, Peer, Space};
use crate::{GET, OK, TestServer, get, head};

/// The lengths of the sends from memory.
fn sends(peer: &Peer) -> Vec<usize> {
    let sizes = peer.take_calls().into_iter().filter_map(|call| match call {
        Call::Send(length, _) => Some(length),
        _ => None,
    });
    sizes.collect()
}

#[test]
fn responses_to_pipelined_requests_are_sent_together() {
    let mut server = TestServer::new();
    let peer = server.connect(GET.repeat(10));
    server.run();
    assert_eq!(peer.take_received_text(), OK.repeat(10));
    assert_eq!(sends(&peer), [10 * OK.len()]);
}

#[test]
fn a_response_does_not_wait_for_an_incomplete_request() {
    let mut server = TestServer::new();
    let peer = server.connect(GET.to_owned() + &GET[..10]);
    server.run();
    assert_eq!(peer.take_received_text(), OK);
    peer.sends(&GET[10..]);
    server.run();
    assert_eq!(peer.take_received_text(), OK);
}

#[test]
fn responses_are_collected_until_they_exceed_the_limit() {
    let mut server = TestServer::with(|limits| limits.max_coalesced_bytes = 2500);
    let peer = server.connect(get("/1000").repeat(7));
    server.run();
    let one = head(1000).len() + 1000;
    assert!(2 * one < 2500 && 3 * one > 2500);
    assert_eq!(sends(&peer), [3 * one, 3 * one, one]);
}

#[test]
fn requests_beyond_the_budget_are_answered_in_the_next_iteration_without_an_event() {
    let mut server = TestServer::with(|limits| limits.requests_per_iteration = 4);
    let peer = server.connect(GET.repeat(10));
    server.iterate();
    assert_eq!(peer.take_received_text(), OK.repeat(4));
    assert!(server.is_busy());
    server.iterate();
    assert_eq!(peer.take_received_text(), OK.repeat(4));
    server.run();
    assert_eq!(peer.take_received_text(), OK.repeat(2));
    assert_eq!(sends(&peer), [4 * OK.len(), 4 * OK.len(), 2 * OK.len()]);
}

#[test]
fn a_body_that_is_not_in_memory_is_sent_before_the_next_response() {
    let mut server = TestServer::new();
    let peer = server.connect([GET, &get("/parts"), GET, &get("/stream"), GET].concat());
    server.run();
    let stream = "HTTP/1.1 200 OK\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\n\
                  Transfer-Encoding: chunked\r\n\r\n00000005\r\nslice\r\n00000005\r\nslice\r\n\
                  00000005\r\nslice\r\n0\r\n\r\n";
    let parts = head(PARTS.len()) + PARTS;
    assert_eq!(
        peer.take_received_text(),
        [OK, &parts, OK, stream, OK].concat()
    );
}

#[test]
fn a_head_response_and_the_next_response_are_sent_in_order() {
    let mut server = TestServer::new();
    let peer = server.connect(GET.replace("GET", "HEAD") + GET);
    server.run();
    assert_eq!(peer.take_received_text(), head(5) + OK);
}

#[test]
fn unsent_bytes_are_sent_first() {
    let mut server = TestServer::new();
    let peer = server.connect(GET.repeat(3));
    peer.script_sends([Space::Some(100), Space::Nothing]);
    server.run();
    peer.sends(GET);
    server.run();
    peer.script_sends([Space::All]);
    server.run();
    assert_eq!(peer.take_received_text(), OK.repeat(4));
}

#[test]
fn nothing_is_read_while_a_response_is_unsent() {
    let mut server = TestServer::new();
    let peer = server.connect(GET);
    peer.script_sends([Space::Nothing]);
    server.run();
    peer.take_calls();
    peer.sends(GET.repeat(100));
    server.run();
    assert_eq!(
        peer.take_calls(),
        [],
        "the peer reads before it asks for more"
    );
}

#[test]
fn a_request_that_ends_the_connection_is_the_last_one_answered() {
    let close = GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let mut server = TestServer::new();
    let peer = server.connect([GET, &close, GET].concat());
    server.run();
    assert_eq!(peer.take_received_text(), OK.to_owned() + crate::LAST);
    assert_eq!(server.handler.answered.len(), 2);
}
