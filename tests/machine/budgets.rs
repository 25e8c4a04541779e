//! Nobody keeps the loop for himself, and nobody who stopped for others is forgotten.

use crate::handler::{FILE, PARTS};
use crate::wire::Call;
use crate::{GET, OK, TestServer, get, head};

#[test]
fn a_reader_who_takes_everything_shares_the_loop() {
    let mut server = TestServer::with(|limits| limits.written_per_iteration = 10_000);
    let greedy = server.connect(get("/file"));
    let modest = server.connect("");
    for turn in 0..5 {
        modest.sends(GET);
        server.turn();
        assert_eq!(modest.reads(), OK, "turn {turn}");
        assert!(server.is_busy(), "no event will come for the greedy one");
    }
    let sent = greedy.hears().len();
    assert_eq!(sent, 5 * 10_000, "the header counts as well");
    server.run();
    assert_eq!(greedy.hears().len(), head(FILE).len() + FILE - sent);
}

#[test]
fn a_body_of_many_small_parts_shares_the_loop() {
    let mut server = TestServer::with(|limits| limits.sends_per_iteration = 10);
    let parts = server.connect(get("/many-parts"));
    let modest = server.connect("");
    // The header and the head of the first part are one call; each byte and each further head are
    // one, and so is the end.
    for turn in 0..20 {
        modest.sends(GET);
        server.turn();
        assert_eq!(modest.reads(), OK, "turn {turn}");
        assert!(server.is_busy(), "no event will come for the parts");
        assert!(!parts.reads().ends_with("\r\n--b--\r\n"), "turn {turn}");
    }
    server.turn();
    assert!(parts.reads().ends_with("\r\n--b--\r\n"));
}

#[test]
fn a_sender_who_never_pauses_shares_the_loop() {
    let mut server = TestServer::with(|limits| limits.read_per_iteration = 1000);
    let flood = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n".to_owned();
    let greedy = server.connect(flood + &"x".repeat(10_000));
    let modest = server.connect("");
    for turn in 0..10 {
        modest.sends(GET);
        server.turn();
        assert_eq!(modest.reads(), OK, "turn {turn}");
        assert!(server.is_busy(), "no event will come for the greedy one");
    }
    server.run();
    greedy.closes();
    server.run();
    assert!(greedy.is_closed(), "all of it was read");
}

#[test]
fn no_visit_receives_more_than_its_budget() {
    let mut server = TestServer::with(|limits| limits.read_per_iteration = 100);
    let peer = server.connect("x".repeat(1000));
    for _ in 0..10 {
        peer.calls();
        server.turn();
        let calls = peer.calls();
        let room: usize = (calls.iter())
            .map(|call| match call {
                Call::Receive(room) => *room,
                _ => 0,
            })
            .sum();
        assert_eq!(room, 100, "{calls:?}");
    }
}

#[test]
fn a_stream_makes_one_slice_a_turn() {
    let mut server = TestServer::new();
    let stream = server.connect(get("/slow"));
    let modest = server.connect("");
    for turn in 0..99 {
        modest.sends(GET);
        server.turn();
        assert_eq!(modest.reads(), OK, "turn {turn}");
        assert!(
            server.is_busy(),
            "an empty slice sends nothing, and no event comes"
        );
    }
    assert!(!stream.reads().ends_with("0\r\n\r\n"));
    server.turn();
    assert!(stream.reads().ends_with("0\r\n\r\n"));
}

#[test]
fn everybody_is_served_once_before_anybody_is_served_again() {
    let mut server = TestServer::with(|limits| limits.requests_per_iteration = 1);
    for _ in 0..5 {
        server.connect(GET.repeat(3));
    }
    for _ in 0..3 {
        server.turn();
        let mut served: Vec<_> = server
            .handler
            .answered
            .drain(..)
            .map(|(who, _)| who)
            .collect();
        served.sort_unstable();
        assert_eq!(served, [0, 1, 2, 3, 4]);
    }
    server.run();
    assert_eq!(server.handler.answered, []);
}

#[test]
fn with_the_least_budget_everything_is_sent_all_the_same() {
    let mut server = TestServer::with(|limits| {
        limits.read_per_iteration = 1;
        limits.written_per_iteration = 1;
        limits.sends_per_iteration = 1;
        limits.requests_per_iteration = 1;
    });
    let peer = server.connect([GET, &get("/parts"), GET].concat());
    server.run();
    let parts = head(PARTS.len()) + PARTS;
    assert_eq!(peer.reads(), [OK, &parts, OK].concat());
}

#[test]
fn many_events_for_one_connection_serve_it_once() {
    let mut server = TestServer::with(|limits| limits.requests_per_iteration = 1);
    let peer = server.connect(GET.repeat(3));
    for _ in 0..10 {
        let _ = server.scheduler.mark_ready(0);
    }
    server.turn();
    assert_eq!(peer.reads(), OK);
}
