//! Deadlines: header, idle, send and linger timeouts, and the minimum rate.

use crate::memory_transport::{Call, Peer, Space};
use crate::{GET, OK, TestServer, get, seconds};
use oneloop::probe::EventFlags;
use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);
const TIMEOUT: &str = "HTTP/1.1 408 Request Timeout\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\n\
                       Content-Length: 0\r\nConnection: close\r\n\r\n";

#[test]
fn the_header_timeout_starts_with_the_first_byte_and_later_bytes_do_not_extend_it() {
    let mut server = TestServer::new();
    let peer = server.connect("");
    server.wait(seconds(50));
    for byte in GET.bytes().take(20) {
        assert_eq!(peer.take_received_text(), "");
        peer.sends([byte]);
        server.run();
        server.wait(seconds(1));
    }
    assert_eq!(peer.take_received_text(), TIMEOUT);
    assert!(peer.is_shut());
}

#[test]
fn an_empty_line_before_a_request_begins_no_head_however_it_is_split() {
    let mut server = TestServer::new();
    let (whole, split) = (server.connect("\r\n"), server.connect("\r"));
    server.run();
    split.sends("\n");
    server.run();
    for _ in 0..2 {
        assert!(!whole.is_closed() && !split.is_closed());
        server.wait(seconds(30) - MILLISECOND);
    }
    server.wait(seconds(1));
    assert!(whole.is_closed() && split.is_closed());
    assert_eq!(
        (whole.take_received_text(), split.take_received_text()),
        Default::default()
    );
}

#[test]
fn a_head_that_is_complete_in_time_is_answered() {
    let mut server = TestServer::new();
    let peer = server.connect("GET /small HTTP/1.1\r\n");
    server.run();
    server.wait(seconds(20) - MILLISECOND);
    assert_eq!(peer.take_received_text(), "");
    peer.sends("Host: a\r\n\r\n");
    server.run();
    assert_eq!(peer.take_received_text(), OK);
}

#[test]
fn the_next_head_has_a_header_timeout_of_its_own() {
    let mut server = TestServer::new();
    let peer = server.connect("");
    for _ in 0..3 {
        peer.sends(&GET[..9]);
        server.run();
        server.wait(seconds(19));
        peer.sends(&GET[9..]);
        server.run();
        assert_eq!(peer.take_received_text(), OK);
    }
}

#[test]
fn the_header_timeout_of_a_pipelined_head_starts_when_the_response_before_it_is_sent() {
    let mut server = TestServer::new();
    let peer = server.connect(format!("{GET}GET"));
    server.run();
    assert_eq!(peer.take_received_text(), OK);
    server.wait(seconds(20) - MILLISECOND);
    assert_eq!(peer.take_received_text(), "");
    server.wait(MILLISECOND);
    assert_eq!(peer.take_received_text(), TIMEOUT);
}

#[test]
fn an_idle_connection_is_closed_without_a_response_before_and_between_requests() {
    let mut server = TestServer::new();
    let (silent, regular) = (server.connect(""), server.connect(""));
    server.wait(seconds(30));
    regular.sends(GET);
    server.run();
    server.wait(seconds(30) - MILLISECOND);
    assert!(!silent.is_closed());
    server.wait(MILLISECOND);
    assert!(silent.is_closed() && !silent.is_reset());
    assert_eq!(silent.take_received(), b"");
    server.wait(seconds(30) - MILLISECOND);
    assert!(!regular.is_closed());
    server.wait(MILLISECOND);
    assert!(regular.is_closed() && !regular.is_reset());
    assert_eq!(regular.take_received_text(), OK);
    assert!(server.scheduler.is_empty());
}

#[test]
fn a_peer_that_reads_nothing_of_a_response_is_reset() {
    let mut server = TestServer::new();
    let peer = server.connect(GET);
    peer.script_sends([Space::Nothing]);
    server.run();
    server.wait(seconds(60) - MILLISECOND);
    assert!(!peer.is_closed());
    server.wait(MILLISECOND);
    assert!(peer.is_closed() && peer.is_reset());
}

#[test]
fn a_peer_that_stops_in_the_middle_of_a_file_is_reset() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file"));
    peer.script_sends([Space::Some(30_000), Space::Nothing]);
    server.run();
    server.wait(seconds(59));
    assert!(peer.unblock());
    server.scheduler.mark_ready(0, EventFlags::default);
    server.run();
    server.wait(seconds(59));
    assert!(!peer.is_closed(), "every byte taken moves the deadline");
    server.wait(seconds(1));
    assert!(peer.is_closed() && peer.is_reset());
}

/// Whether a peer that reads `rate` bytes a second gets this far before it is reset.
fn is_served(rate: usize, time: u64) -> bool {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file"));
    peer.script_sends([Space::Some(rate), Space::Nothing]);
    server.run();
    for _ in 0..time {
        server.wait(seconds(1));
        if peer.is_closed() {
            assert!(peer.is_reset());
            return false;
        }
        assert!(peer.unblock());
        server.scheduler.mark_ready(0, EventFlags::default);
        server.run();
    }
    true
}

#[test]
fn a_peer_below_the_minimum_rate_is_reset_and_one_above_is_not() {
    assert!(is_served(257, 300));
    assert!(
        !is_served(200, 300),
        "60 seconds, and 200/256 of each later"
    );
    assert!(!is_served(1, 70), "a byte a second");
    assert!(
        is_served(1, 59),
        "the rate is checked only after the timeout"
    );
}

#[test]
fn a_peer_that_goes_on_sending_is_closed_after_the_linger_timeout() {
    let mut server = TestServer::new();
    let peer = server.connect("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n");
    server.run();
    assert!(peer.is_shut());
    for _ in 0..9 {
        server.wait(seconds(1));
        peer.sends("more");
        server.run();
    }
    server.wait(seconds(1) - MILLISECOND);
    assert!(!peer.is_closed());
    server.wait(MILLISECOND);
    assert!(peer.is_closed() && !peer.is_reset());
}

/// The loop continues after this time, in which the peer did something without an event.
fn wait_without_event(server: &mut TestServer, peer: &Peer, after: Duration) {
    assert!(
        peer.take_event(),
        "the event is discarded: the server is not notified"
    );
    server.wait(after);
}

#[test]
fn input_is_read_before_any_deadline_is_applied() {
    let mut server = TestServer::new();
    let (idle, head, other) = (
        server.connect(""),
        server.connect(&GET[..9]),
        server.connect(""),
    );
    server.run();
    idle.sends(GET);
    head.sends(&GET[9..]);
    other.sends(&GET[..9]);
    server.peers.iter().for_each(|(_, peer)| {
        assert!(
            peer.take_event(),
            "the event is discarded: the server is not notified"
        )
    });
    server.wait(seconds(100));
    assert_eq!(
        (idle.take_received_text(), head.take_received_text()),
        (OK.into(), OK.into())
    );
    other.sends(&GET[9..]);
    wait_without_event(&mut server, &other, seconds(20));
    assert_eq!(
        other.take_received_text(),
        OK,
        "the header timeout began when the first bytes were read"
    );
}

#[test]
fn output_is_sent_before_the_deadline_is_applied() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file"));
    peer.script_sends([Space::Some(1000), Space::Some(40_000), Space::Nothing]);
    server.run();
    peer.script_sends([Space::Some(100), Space::Nothing]);
    wait_without_event(&mut server, &peer, seconds(61));
    assert!(!peer.is_closed());
    server.wait(seconds(60));
    assert!(peer.is_closed() && peer.is_reset());
}

#[test]
fn input_is_discarded_before_the_linger_deadline_is_applied() {
    let mut server = TestServer::with(|limits| limits.read_bytes_per_iteration = 10);
    let peer = server.connect("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n");
    server.run();
    assert!(peer.is_shut());
    peer.sends([b'x'; 95]);
    peer.closes();
    wait_without_event(&mut server, &peer, seconds(11));
    assert!(peer.is_closed() && !peer.is_reset());
    let receives = peer.take_calls().into_iter().rev();
    let receives = receives.take_while(|call| *call != Call::Shutdown).count();
    assert!(receives > 9, "unread bytes after {receives} receives");
}

#[test]
fn a_stall_does_not_count_for_any_deadline() {
    let mut server = TestServer::new();
    let head = server.connect("GET");
    let slow = server.connect(get("/file"));
    slow.script_sends([Space::Some(1000), Space::Nothing]);
    let linger = server.connect("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n");
    let idle = server.connect("");
    server.run();
    server.wait(seconds(5));
    server.scheduler.deadline_clock().add_stall(seconds(1000));
    server.wait(seconds(1000));
    for peer in [&head, &slow, &linger, &idle] {
        assert!(!peer.is_closed());
    }
    assert_eq!(server.scheduler.poll_timeout(server.now), Some(seconds(5)));
    server.wait(seconds(5));
    assert!(linger.is_closed());
    server.wait(seconds(10));
    assert_eq!(head.take_received_text(), TIMEOUT);
    server.wait(seconds(40));
    assert!(slow.is_closed() && slow.is_reset() && idle.is_closed());
}

#[test]
fn the_loop_waits_until_the_next_deadline_and_no_longer() {
    let mut server = TestServer::new();
    assert_eq!(server.scheduler.poll_timeout(server.now), None);
    server.connect("");
    assert_eq!(
        server.scheduler.poll_timeout(server.now),
        Some(seconds(0)),
        "a connection to run"
    );
    server.run();
    assert_eq!(server.scheduler.poll_timeout(server.now), Some(seconds(60)));
    server.wait(seconds(15));
    server.connect("GET");
    server.run();
    assert_eq!(server.scheduler.poll_timeout(server.now), Some(seconds(20)));
    server.wait(seconds(19));
    assert_eq!(server.scheduler.poll_timeout(server.now), Some(seconds(1)));
}

#[test]
fn a_thousand_deadlines_at_once_are_spread_over_iterations_without_waiting() {
    let mut server = TestServer::with(|limits| limits.expiries_per_iteration = 100);
    (0..1000).for_each(|_| drop(server.connect("")));
    server.run();
    server.now.instant += seconds(60);
    for left in (0..10).rev() {
        assert!(server.is_busy(), "the rest are due as well");
        server.iterate();
        assert_eq!(server.scheduler.len(), left * 100);
    }
    assert_eq!(server.released, 1000);
    assert_eq!(server.scheduler.poll_timeout(server.now), None);
}

/// The output to a peer that reads up to 20 slices, one per interval, and whether it was reset.
fn takes_slices(every: Duration) -> (String, bool) {
    let mut server = TestServer::new();
    let peer = server.connect(get("/long"));
    peer.script_sends([Space::All, Space::Nothing]);
    server.run();
    for _ in 0..20 {
        server.wait(every);
        if peer.is_closed() {
            break;
        }
        assert!(peer.unblock());
        server.scheduler.mark_ready(0, EventFlags::default);
        server.run();
    }
    (peer.take_received_text(), peer.is_reset())
}

/// Each slice is read before its own deadline. Fails if each slice begins a new deadline.
#[test]
fn the_minimum_rate_applies_to_a_whole_stream() {
    let (received, is_reset) = takes_slices(seconds(50));
    assert!(
        is_reset && received.matches("slice").count() < 3,
        "{received}"
    );
    let (received, is_reset) = takes_slices(MILLISECOND * 50);
    assert!(
        !is_reset && received.matches("slice").count() == 20,
        "{received}"
    );
}
