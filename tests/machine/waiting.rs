//! A handler that is not ready to answer `/late`: its connection waits, and is asked for again.

use crate::{GET, OK, TestServer, get, head, seconds};
use oneloop::limits::Limits;

fn late() -> String {
    get("/late")
}

fn late_response() -> String {
    head(0)
}

impl TestServer {
    /// The handler can answer, and tells the driver so.
    fn notify(&mut self) {
        self.handler.is_late_ready = true;
        self.scheduler.wake_waiting();
    }
}

#[test]
fn a_connection_waits_for_the_handler_without_spinning_and_without_delaying_others() {
    let mut server = TestServer::new();
    let peer = server.connect(late());
    server.run();
    assert!(server.scheduler.has_waiting());
    let other = server.connect(GET);
    server.run();
    assert_eq!(other.take_received_text(), OK);
    assert_eq!(peer.take_received_text(), "");
    assert_eq!(server.handler.asked, 1);
    server.notify();
    server.run();
    assert_eq!(peer.take_received_text(), late_response());
    assert!(!server.scheduler.has_waiting());
    peer.sends(GET);
    server.run();
    assert_eq!(peer.take_received_text(), OK);
}

#[test]
fn events_and_notifications_for_others_only_ask_again() {
    let mut server = TestServer::new();
    let peer = server.connect(late());
    server.run();
    peer.sends(&GET[..10]);
    server.run();
    peer.sends(&GET[10..]);
    server.run();
    server.scheduler.wake_waiting();
    server.run();
    assert_eq!(server.handler.asked, 4);
    assert!(server.scheduler.has_waiting());
    assert_eq!(peer.take_received_text(), "");
    server.notify();
    server.run();
    assert_eq!(peer.take_received_text(), late_response() + OK);
}

#[test]
fn responses_before_it_are_sent_at_once() {
    let mut server = TestServer::new();
    let peer = server.connect(GET.repeat(2) + &late() + GET);
    server.run();
    assert_eq!(peer.take_received_text(), OK.repeat(2));
    server.notify();
    server.run();
    assert_eq!(peer.take_received_text(), late_response() + OK);
    let sent = [(0, 5), (0, 5), (0, 0), (0, 5)];
    assert_eq!(server.handler.sent, sent);
}

#[test]
fn a_request_that_cannot_be_answered_in_time_gets_503() {
    let mut server = TestServer::new();
    let peer = server.connect(late());
    server.run();
    let timeout = Limits::default().handler_timeout;
    server.wait(timeout - seconds(2));
    assert_eq!(peer.take_received_text(), "");
    // Asking again does not extend the time.
    server.scheduler.wake_waiting();
    server.wait(seconds(1));
    assert_eq!(peer.take_received_text(), "");
    server.wait(seconds(1));
    let response = peer.take_received_text();
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    assert!(response.contains("\r\nConnection: close\r\n"));
    assert!(peer.is_shut() && !peer.is_reset());
    server.notify();
    peer.closes();
    server.run();
    assert!(server.scheduler.is_empty());
}

/// The last byte of the head came a second before its deadline.
#[test]
fn the_wait_has_a_time_of_its_own_whatever_the_head_left_of_its_own() {
    let mut server = TestServer::new();
    let late = late();
    let (start, end) = late.split_at(10);
    let peer = server.connect(start);
    server.run();
    let limits = Limits::default();
    server.wait(limits.header_timeout - seconds(1));
    peer.sends(end);
    server.run();
    server.wait(limits.handler_timeout - seconds(1));
    assert_eq!(peer.take_received_text(), "");
    server.notify();
    server.run();
    assert_eq!(peer.take_received_text(), late_response());
}

#[test]
fn a_server_that_stops_answers_it_or_ends_it_when_the_grace_period_is_over() {
    let mut server = TestServer::new();
    let [first, second] = [(); 2].map(|()| server.connect(late()));
    server.run();
    server.scheduler.drain();
    server.run();
    assert!(!first.is_closed());
    server.notify();
    server.run();
    let response = first.take_received_text();
    assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
    assert_eq!(response, second.take_received_text());

    let mut server = TestServer::new();
    let peer = server.connect(late());
    server.run();
    assert_eq!(server.scheduler.abort_all(), 1);
    assert_eq!(server.reap(), 1);
    assert!(peer.is_closed() && !peer.is_reset());
    server.scheduler.wake_waiting();
    assert!(!server.is_busy(), "its slot is free");
}
