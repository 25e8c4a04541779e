//! A transport with its own protocol ([`Records`]), as TLS would be.

use crate::memory_transport::{Call, Input, MemoryTransport, Peer, Space, pair};
use crate::records::{CLOSE, DATA, FLIGHT, HANDSHAKE, Opened, RECORD, Records, open, seal};
use crate::{GET, LAST, LAST_GET, OK, TestServer, get, seconds};
use oneloop::connection::CloseReason::{self, *};
use oneloop::connection::StateName::{self, Handshaking, Reading, WritingHeader};
use oneloop::probe::EventFlags;
use std::io::ErrorKind::UnexpectedEof;
use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);

type LayeredServer = TestServer<Records<MemoryTransport>>;

fn server() -> LayeredServer {
    TestServer::of_transports(|_| {})
}

/// A peer connects, with a handshake of this many round trips, and sends these bytes at once.
fn connect(server: &mut LayeredServer, rounds: usize, bytes: impl AsRef<[u8]>) -> Peer {
    let (memory_transport, peer) = pair();
    if !bytes.as_ref().is_empty() {
        peer.sends(bytes);
    }
    server.add(Records::new(memory_transport, rounds), peer)
}

/// The peer's part of a handshake.
fn flights(rounds: usize) -> Vec<u8> {
    seal(HANDSHAKE, b"hello").repeat(rounds)
}

/// Text as records of 7 bytes at most, so that a request takes several.
fn data(text: impl AsRef<[u8]>) -> Vec<u8> {
    let records = text.as_ref().chunks(7).map(|chunk| seal(DATA, chunk));
    records.collect::<Vec<_>>().concat()
}

fn opened(flights: usize, plaintext: impl AsRef<[u8]>, is_closed: bool) -> Opened {
    Opened {
        flights,
        plaintext: plaintext.as_ref().to_vec(),
        is_closed,
    }
}

/// Sends events until the operation that blocked has no further result in the script.
fn run_until_blocked(server: &mut LayeredServer, peer: &Peer) {
    server.run();
    while !peer.is_closed() && peer.unblock() {
        server
            .scheduler
            .mark_ready(server.peers[0].0, EventFlags::default);
        server.run();
    }
}

#[test]
fn every_response_through_records_has_the_bytes_of_a_plain_one() {
    let requests = [
        GET.repeat(3),
        get("/file") + GET,
        get("/parts") + &get("/many-parts"),
        get("/stream") + &get("/long"),
        "GET /stream HTTP/1.0\r\n\r\n".into(),
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".into(),
        "GET\r\n\r\n".into(),
        get("/small") + LAST_GET,
    ];
    let script_sends = [
        vec![Space::All],
        vec![Space::Some(7), Space::Nothing],
        vec![Space::Nothing, Space::Some(150), Space::Some(1)],
    ];
    for request in requests {
        let mut plain = TestServer::new();
        let peer = plain.connect(&request);
        plain.run();
        let (response, is_shut) = (peer.take_received(), peer.is_shut());
        for script_sends in &script_sends {
            let mut layered = server();
            let peer = connect(&mut layered, 1, [flights(1), data(&request)].concat());
            peer.script_sends(script_sends.clone());
            run_until_blocked(&mut layered, &peer);
            assert_eq!(open(&peer.take_received()), opened(1, &response, is_shut));
            assert_eq!(peer.is_shut(), is_shut);
        }
    }
}

/// The state of the only connection.
fn state(server: &LayeredServer) -> StateName {
    let (_, connection) = server.scheduler.connections().next().unwrap();
    connection.state_name()
}

#[test]
fn a_handshake_goes_on_when_the_socket_is_ready_in_either_direction() {
    let mut server = server();
    let peer = connect(&mut server, 2, "");
    peer.script_sends([Space::Some(30), Space::Nothing]);
    server.run();
    assert_eq!(peer.take_received(), b"", "the peer begins");
    peer.sends(flights(1));
    server.run();
    let mut received = peer.take_received();
    assert_eq!(received, seal(HANDSHAKE, FLIGHT)[..30]);
    // The socket is readable, but the handshake waits to send.
    peer.sends([flights(1), data(GET)].concat());
    server.run();
    assert_eq!(
        (peer.take_received().len(), state(&server)),
        (0, Handshaking)
    );
    // It is writable.
    peer.script_sends([Space::All]);
    server.run();
    received.extend(peer.take_received());
    assert_eq!(open(&received), opened(2, OK, false));
    assert_eq!(state(&server), Reading);
}

#[test]
fn each_part_of_a_handshake_takes_an_iteration_and_others_run_in_between() {
    let mut server = server();
    let peer = connect(&mut server, 5, [flights(5), data(GET)].concat());
    for part in 1..5 {
        let other = connect(&mut server, 0, data(GET));
        server.iterate();
        assert_eq!(open(&other.take_received()), opened(0, OK, false));
        assert_eq!(
            open(&peer.take_received()),
            opened(1, "", false),
            "part {part}"
        );
        assert!(server.is_busy(), "no event will come");
    }
    server.iterate();
    assert_eq!(open(&peer.take_received()), opened(1, OK, false));
}

#[test]
fn a_peer_that_closes_within_the_handshake_gets_no_response() {
    for bytes in [vec![], flights(1), seal(HANDSHAKE, b"hello")[..4].to_vec()] {
        let mut server = server();
        let peer = connect(&mut server, 2, &bytes);
        peer.closes();
        server.run();
        let answered = usize::from(bytes == flights(1));
        assert_eq!(open(&peer.take_received()), opened(answered, "", false));
        assert!(peer.is_closed() && !peer.is_reset() && !peer.is_shut());
        assert!(server.handler.answered.is_empty());
        assert_eq!(server.handler.reasons, [SocketError(UnexpectedEof)]);
    }
}

#[test]
fn a_handshake_has_the_header_timeout_in_total_and_ends_without_a_408() {
    let mut server = server();
    let (slow, silent) = (connect(&mut server, 2, ""), connect(&mut server, 2, ""));
    for byte in flights(2).into_iter().take(9) {
        slow.sends([byte]);
        server.run();
        server.wait(seconds(2));
    }
    server.wait(seconds(2) - MILLISECOND);
    assert!(!slow.is_closed() && !silent.is_closed());
    server.wait(MILLISECOND);
    assert_eq!(open(&slow.take_received()), opened(1, "", false));
    assert_eq!(open(&silent.take_received()), opened(0, "", false));
    for peer in [slow, silent] {
        assert!(peer.is_closed() && !peer.is_reset());
    }
    assert!(server.handler.answered.is_empty());
    assert_eq!(server.handler.reasons, [HandshakeTimeout; 2]);
}

#[test]
fn a_handshake_that_cannot_send_has_the_same_timeout() {
    let mut server = server();
    let peer = connect(&mut server, 1, flights(1));
    peer.script_sends([Space::Nothing]);
    server.wait(seconds(20) - MILLISECOND);
    assert!(!peer.is_closed());
    server.wait(MILLISECOND);
    assert!(peer.is_closed() && !peer.is_reset());
}

#[test]
fn a_handshake_that_was_completed_in_time_is_read_before_its_deadline_is_applied() {
    let mut server = server();
    let peer = connect(&mut server, 1, "");
    server.run();
    peer.sends([flights(1), data(GET)].concat());
    assert!(
        peer.take_event(),
        "the event is discarded: the server is not notified"
    );
    server.wait(seconds(20));
    assert_eq!(open(&peer.take_received()), opened(1, OK, false));
}

#[test]
fn after_the_handshake_the_first_request_has_the_idle_timeout() {
    let mut server = server();
    let peer = connect(&mut server, 1, "");
    server.wait(seconds(19));
    peer.sends(flights(1));
    server.run();
    server.wait(seconds(60) - MILLISECOND);
    assert!(!peer.is_closed());
    server.wait(MILLISECOND);
    assert_eq!(open(&peer.take_received()), opened(1, "", true));
    assert!(peer.is_closed() && !peer.is_reset());
}

/// Clients that connect and send nothing cannot occupy the server where it has a handshake.
#[test]
fn of_idle_connections_and_handshakes_the_oldest_is_evicted() {
    let mut server = server();
    let silent = connect(&mut server, 1, "");
    server.wait(seconds(1) - MILLISECOND);
    assert_eq!(server.evict(), 0);
    server.wait(MILLISECOND);
    let idle = connect(&mut server, 1, flights(1));
    server.run();
    server.wait(seconds(2));
    let new = connect(&mut server, 1, "");
    server.run();
    assert_eq!(server.evict(), 1);
    server.reap();
    assert!(silent.is_closed() && !silent.is_reset() && !idle.is_closed());
    assert_eq!((server.evict(), server.reap()), (1, 1));
    assert_eq!(open(&idle.take_received()), opened(1, "", true));
    assert!(idle.is_closed() && !idle.is_reset());
    assert_eq!(server.evict(), 0);
    assert!(!new.is_closed());
    assert_eq!(server.handler.reasons, [Evicted; 2]);
}

#[test]
fn a_handshake_that_goes_on_is_not_evicted() {
    let mut server = server();
    let peer = connect(&mut server, 2, "");
    server.wait(seconds(15));
    peer.sends(&flights(2)[..flights(1).len()]);
    assert!(peer.take_event(), "the server is not notified");
    assert_eq!(server.evict(), 0);
    server.run();
    assert_eq!(server.evict(), 1);
}

#[test]
fn while_the_server_stops_a_handshake_has_a_second_and_its_first_request_is_the_last() {
    let mut server = server();
    let (sends, silent) = (connect(&mut server, 1, ""), connect(&mut server, 1, ""));
    server.run();
    server.scheduler.drain();
    server.run();
    server.wait(seconds(1) - MILLISECOND);
    sends.sends(flights(1));
    server.run();
    server.wait(seconds(1) - MILLISECOND);
    assert!(silent.is_closed() && !sends.is_closed());
    sends.sends(data(GET));
    server.run();
    assert_eq!(open(&sends.take_received()), opened(1, LAST, true));
    assert_eq!(silent.take_received(), b"");
}

#[test]
fn when_the_server_stops_at_once_a_handshake_is_closed_without_a_reset() {
    let mut server = server();
    let peer = connect(&mut server, 2, flights(1));
    server.run();
    assert_eq!(server.scheduler.abort_all(), 1);
    server.reap();
    assert_eq!(open(&peer.take_received()), opened(1, "", false));
    assert!(peer.is_closed() && !peer.is_reset());
    assert_eq!(server.handler.reasons, [Stopping]);
}

#[test]
fn bytes_inside_the_transport_are_read_without_an_event() {
    for most in [1, 5, 64 * 1024] {
        let mut server: LayeredServer = TestServer::of_transports(|limits| {
            limits.read_bytes_per_iteration = most;
        });
        // All records arrive in one receive of the socket.
        let peer = connect(&mut server, 0, data(GET.repeat(4)));
        server.run();
        assert_eq!(open(&peer.take_received()), opened(0, OK.repeat(4), false));
        let receives = (peer.take_calls().into_iter())
            .filter(|call| matches!(call, Call::Receive(_)))
            .count();
        // With enough space, each record but the last of a request leaves a head incomplete.
        assert_eq!(receives, 2, "the second one would block");
    }
}

#[test]
fn a_response_is_not_sent_before_the_socket_has_taken_its_last_record() {
    let mut server = server();
    let peer = connect(&mut server, 0, data(GET));
    // All but the last byte of the second record.
    peer.script_sends([
        Space::All,
        Space::Some(OK.len() - RECORD + 1),
        Space::Nothing,
    ]);
    server.run();
    let mut received = peer.take_received();
    assert_eq!(received.len(), OK.len() + 2 * 2 - 1);
    // The next request has arrived.
    peer.sends(data(GET));
    server.run();
    server.wait(seconds(59));
    assert_eq!((state(&server), server.evict()), (WritingHeader, 0));
    server.scheduler.drain();
    server.wait(seconds(1) - MILLISECOND);
    assert!(!peer.is_closed() && !peer.is_shut());
    peer.script_sends([Space::All]);
    server.run();
    received.extend(peer.take_received());
    assert_eq!(open(&received), opened(0, OK.to_owned() + LAST, true));
    assert!(peer.is_shut());
}

#[test]
fn a_body_counts_as_sent_when_the_socket_has_taken_its_last_record() {
    for (path, length) in [("/file", 100_000), ("/stream", 15)] {
        let mut server = server();
        let peer = connect(&mut server, 0, data(get(path)));
        peer.script_sends([Space::Some(1), Space::Nothing]);
        server.run();
        assert_eq!(server.handler.sent, []);
        run_until_blocked(&mut server, &peer);
        assert_eq!(server.handler.sent, [(0, length)], "{path}");
    }
}

#[test]
fn bytes_that_the_transport_holds_have_the_send_timeout_and_are_reset_with_the_connection() {
    for request in [GET.to_owned(), get("/file"), get("/stream")] {
        let mut server = server();
        let peer = connect(&mut server, 0, data(&request));
        peer.script_sends([Space::Some(50), Space::Nothing]);
        server.run();
        server.wait(seconds(60) - MILLISECOND);
        assert!(!peer.is_closed());
        peer.script_sends([Space::Nothing]);
        server.wait(MILLISECOND);
        assert!(peer.is_closed() && peer.is_reset());
        assert_eq!(
            peer.take_received().len(),
            50,
            "nothing is sent before a reset"
        );
        assert_eq!(server.handler.reasons, [SendTimeout]);
    }
}

#[test]
fn an_incomplete_response_ends_with_a_reset_and_without_an_end_of_the_transport() {
    let (mut plain, mut layered) = (TestServer::new(), server());
    let expected = plain.connect(get("/broken"));
    let peer = connect(&mut layered, 0, data(get("/broken")));
    plain.run();
    layered.run();
    assert_eq!(
        open(&peer.take_received()),
        opened(0, expected.take_received(), false)
    );
    assert!(peer.is_closed() && peer.is_reset());
}

/// The calls of send and shutdown.
fn sends(peer: &Peer) -> Vec<Call> {
    let mut calls = peer.take_calls();
    calls.retain(|call| !matches!(call, Call::Receive(_)));
    calls
}

/// What the socket takes: the two records of `LAST`, and nothing behind them.
fn space_for_last() -> [Space; 3] {
    let second = LAST.len() - RECORD + 2;
    [Space::All, Space::Some(second), Space::Nothing]
}

#[test]
fn the_end_of_the_transport_is_sent_before_our_direction_is_closed() {
    let mut server = server();
    let peer = connect(&mut server, 0, data(LAST_GET));
    peer.script_sends(space_for_last());
    server.run();
    let mut received = peer.take_received();
    assert_eq!(open(&received), opened(0, LAST, false));
    assert!(!peer.is_shut() && peer.is_blocked());
    sends(&peer);
    peer.script_sends([Space::All]);
    server.run();
    assert_eq!(sends(&peer), [Call::Send(2, false), Call::Shutdown]);
    received.extend(peer.take_received());
    assert_eq!(open(&received), opened(0, LAST, true));
    assert!(peer.is_shut() && !peer.is_closed());
    peer.sends(seal(CLOSE, b""));
    server.run();
    assert!(peer.is_closed() && !peer.is_reset());
    assert_eq!(sends(&peer), [], "the end is sent once");
    assert_eq!(server.handler.reasons, [Completed]);
}

#[test]
fn an_end_that_the_socket_does_not_take_has_the_linger_timeout() {
    let mut server = server();
    let peer = connect(&mut server, 0, data(LAST_GET));
    peer.script_sends(space_for_last());
    server.run();
    server.wait(seconds(10) - MILLISECOND);
    assert!(!peer.is_closed() && !peer.is_shut());
    server.wait(MILLISECOND);
    assert!(peer.is_closed() && !peer.is_reset());
    assert_eq!(open(&peer.take_received()), opened(0, LAST, false));
}

#[test]
fn the_end_of_the_transport_is_sent_even_without_a_half_close() {
    let mut server = server();
    let peer = connect(&mut server, 0, data(LAST_GET));
    peer.sends_no_more();
    server.run();
    assert_eq!(open(&peer.take_received()), opened(0, LAST, true));
    assert!(peer.is_closed() && !peer.is_shut());
}

#[test]
fn bytes_inside_the_transport_count_as_unread() {
    let mut server = server();
    let peer = connect(&mut server, 0, data(LAST_GET.to_owned() + GET));
    peer.sends_no_more();
    server.run();
    assert_eq!(open(&peer.take_received()), opened(0, LAST, true));
    assert!(peer.is_shut() && !peer.is_closed(), "it lingers");
}

#[test]
fn an_end_of_the_socket_without_an_end_of_the_transport_is_an_error_if_the_transport_says_so() {
    let ends: [(_, CloseReason); 2] = [
        (seal(CLOSE, b""), PeerClosed),
        (vec![], SocketError(UnexpectedEof)),
    ];
    for (end, reason) in ends {
        let mut server = server();
        let peer = connect(&mut server, 0, [data(GET), end].concat());
        peer.script_inputs([Input::End]);
        server.run();
        assert_eq!(open(&peer.take_received()), opened(0, OK, true));
        assert!(peer.is_closed() && !peer.is_reset());
        assert_eq!(server.handler.reasons, [reason]);
    }
}
