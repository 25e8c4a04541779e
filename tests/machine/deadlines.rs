//! How long who may take.

use crate::wire::{Call, Peer, Take};
use crate::{GET, OK, TestServer, get, seconds};
use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);
const TIMEOUT: &str = "HTTP/1.1 408 Request Timeout\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\n\
                       Content-Length: 0\r\nConnection: close\r\n\r\n";

#[test]
fn a_head_has_its_time_from_its_first_byte_and_no_later_byte_gives_it_more() {
    let mut server = TestServer::new();
    let peer = server.connect("");
    server.wait(seconds(50));
    for byte in GET.bytes().take(20) {
        assert_eq!(peer.reads(), "");
        peer.sends([byte]);
        server.run();
        server.wait(seconds(1));
    }
    assert_eq!(peer.reads(), TIMEOUT);
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
    assert_eq!((whole.reads(), split.reads()), Default::default());
}

#[test]
fn a_head_that_is_whole_in_time_is_answered() {
    let mut server = TestServer::new();
    let peer = server.connect("GET /small HTTP/1.1\r\n");
    server.run();
    server.wait(seconds(20) - MILLISECOND);
    assert_eq!(peer.reads(), "");
    peer.sends("Host: a\r\n\r\n");
    server.run();
    assert_eq!(peer.reads(), OK);
}

#[test]
fn the_next_head_has_a_time_of_its_own() {
    let mut server = TestServer::new();
    let peer = server.connect("");
    for _ in 0..3 {
        peer.sends(&GET[..9]);
        server.run();
        server.wait(seconds(19));
        peer.sends(&GET[9..]);
        server.run();
        assert_eq!(peer.reads(), OK);
    }
}

#[test]
fn a_head_that_began_beside_the_one_before_has_its_time_from_that_ones_end() {
    let mut server = TestServer::new();
    let peer = server.connect(format!("{GET}GET"));
    server.run();
    assert_eq!(peer.reads(), OK);
    server.wait(seconds(20) - MILLISECOND);
    assert_eq!(peer.reads(), "");
    server.wait(MILLISECOND);
    assert_eq!(peer.reads(), TIMEOUT);
}

#[test]
fn an_idle_connection_is_closed_without_a_word_before_and_between_requests() {
    let mut server = TestServer::new();
    let (silent, regular) = (server.connect(""), server.connect(""));
    server.wait(seconds(30));
    regular.sends(GET);
    server.run();
    server.wait(seconds(30) - MILLISECOND);
    assert!(!silent.is_closed());
    server.wait(MILLISECOND);
    assert!(silent.is_closed() && !silent.is_aborted());
    assert_eq!(silent.hears(), b"");
    server.wait(seconds(30) - MILLISECOND);
    assert!(!regular.is_closed());
    server.wait(MILLISECOND);
    assert!(regular.is_closed() && !regular.is_aborted());
    assert_eq!(regular.reads(), OK);
    assert!(server.scheduler.is_empty());
}

#[test]
fn a_peer_that_takes_nothing_of_a_response_is_reset() {
    let mut server = TestServer::new();
    let peer = server.connect(GET);
    peer.takes([Take::Nothing]);
    server.run();
    server.wait(seconds(60) - MILLISECOND);
    assert!(!peer.is_closed());
    server.wait(MILLISECOND);
    assert!(peer.is_closed() && peer.is_aborted());
}

#[test]
fn a_peer_that_stops_in_the_middle_of_a_file_is_reset() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file"));
    peer.takes([Take::Some(30_000), Take::Nothing]);
    server.run();
    server.wait(seconds(59));
    assert!(peer.wake());
    server.scheduler.mark_ready(0);
    server.run();
    server.wait(seconds(59));
    assert!(!peer.is_closed(), "every byte taken moves the deadline");
    server.wait(seconds(1));
    assert!(peer.is_closed() && peer.is_aborted());
}

/// Whether one who takes so many bytes each second gets so far, or is reset.
fn survives(rate: usize, time: u64) -> bool {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file"));
    peer.takes([Take::Some(rate), Take::Nothing]);
    server.run();
    for _ in 0..time {
        server.wait(seconds(1));
        if peer.is_closed() {
            assert!(peer.is_aborted());
            return false;
        }
        assert!(peer.wake());
        server.scheduler.mark_ready(0);
        server.run();
    }
    true
}

#[test]
fn a_peer_that_takes_too_little_is_reset_and_one_that_takes_enough_is_not() {
    assert!(survives(257, 300));
    assert!(!survives(200, 300), "60 seconds, and 200/256 of each later");
    assert!(!survives(1, 70), "a byte a second");
    assert!(survives(1, 59), "what is less than the timeout is forgiven");
}

#[test]
fn a_peer_that_goes_on_sending_is_left_after_a_total_of_time() {
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
    assert!(peer.is_closed() && !peer.is_aborted());
}

/// The loop comes back after this time, in which the peer did something that no event tells of.
fn come_back(server: &mut TestServer, peer: &Peer, after: Duration) {
    assert!(peer.has_news(), "taken for told");
    server.wait(after);
}

#[test]
fn what_has_arrived_comes_before_every_deadline() {
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
    server
        .peers
        .iter()
        .for_each(|(_, peer)| assert!(peer.has_news(), "taken for told"));
    server.wait(seconds(100));
    assert_eq!((idle.reads(), head.reads()), (OK.into(), OK.into()));
    other.sends(&GET[9..]);
    come_back(&mut server, &other, seconds(20));
    assert_eq!(
        other.reads(),
        OK,
        "its time began when its first bytes were seen"
    );
}

#[test]
fn what_the_peer_takes_comes_before_its_deadline() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file"));
    peer.takes([Take::Some(1000), Take::Some(40_000), Take::Nothing]);
    server.run();
    peer.takes([Take::Some(100), Take::Nothing]);
    come_back(&mut server, &peer, seconds(61));
    assert!(!peer.is_closed());
    server.wait(seconds(60));
    assert!(peer.is_closed() && peer.is_aborted());
}

#[test]
fn what_is_still_to_be_dropped_comes_before_the_deadline() {
    let mut server = TestServer::with(|limits| limits.read_per_iteration = 10);
    let peer = server.connect("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n");
    server.run();
    assert!(peer.is_shut());
    peer.sends([b'x'; 95]);
    peer.closes();
    come_back(&mut server, &peer, seconds(11));
    assert!(peer.is_closed() && !peer.is_aborted());
    let drops = peer.calls().into_iter().rev();
    let drops = drops.take_while(|call| *call != Call::Shutdown).count();
    assert!(drops > 9, "nothing lies unread: {drops} receives");
}

#[test]
fn no_time_runs_while_the_loop_does_not_look() {
    let mut server = TestServer::new();
    let head = server.connect("GET");
    let slow = server.connect(get("/file"));
    slow.takes([Take::Some(1000), Take::Nothing]);
    let linger = server.connect("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n");
    let idle = server.connect("");
    server.run();
    server.wait(seconds(5));
    server.scheduler.stalled(seconds(1000));
    server.wait(seconds(1000));
    for peer in [&head, &slow, &linger, &idle] {
        assert!(!peer.is_closed());
    }
    assert_eq!(server.scheduler.poll_timeout(server.now), Some(seconds(5)));
    server.wait(seconds(5));
    assert!(linger.is_closed());
    server.wait(seconds(10));
    assert_eq!(head.reads(), TIMEOUT);
    server.wait(seconds(40));
    assert!(slow.is_closed() && slow.is_aborted() && idle.is_closed());
}

#[test]
fn the_loop_rests_until_the_next_deadline_and_not_beyond() {
    let mut server = TestServer::new();
    assert_eq!(server.scheduler.poll_timeout(server.now), None);
    server.connect("");
    assert_eq!(
        server.scheduler.poll_timeout(server.now),
        Some(seconds(0)),
        "somebody to look at"
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
fn a_thousand_that_fell_silent_together_are_closed_a_few_each_turn_without_a_pause() {
    let mut server = TestServer::with(|limits| limits.expiries_per_iteration = 100);
    (0..1000).for_each(|_| drop(server.connect("")));
    server.run();
    server.now.instant += seconds(60);
    for left in (0..10).rev() {
        assert!(server.is_busy(), "the rest are due as well");
        server.turn();
        assert_eq!(server.scheduler.len(), left * 100);
    }
    assert_eq!(server.released, 1000);
    assert_eq!(server.scheduler.poll_timeout(server.now), None);
}

/// What a peer hears that takes a slice whenever so much time has passed, up to 20 of them, and
/// whether it was reset.
fn takes_slices(every: Duration) -> (String, bool) {
    let mut server = TestServer::new();
    let peer = server.connect(get("/long"));
    peer.takes([Take::All, Take::Nothing]);
    server.run();
    for _ in 0..20 {
        server.wait(every);
        if peer.is_closed() {
            break;
        }
        assert!(peer.wake());
        server.scheduler.mark_ready(0);
        server.run();
    }
    (peer.reads(), peer.is_aborted())
}

/// Each slice is taken before its time is over. Red with a pace that each slice begins anew.
#[test]
fn a_stream_has_one_pace_and_not_one_for_each_slice() {
    let (heard, is_reset) = takes_slices(seconds(50));
    assert!(is_reset && heard.matches("slice").count() < 3, "{heard}");
    let (heard, is_reset) = takes_slices(MILLISECOND * 50);
    assert!(!is_reset && heard.matches("slice").count() == 20, "{heard}");
}
