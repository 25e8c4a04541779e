//! Budgets: no connection holds up the others, and one that used up its budget runs again.

use crate::handler::{FILE, PARTS};
use crate::memory_transport::Call;
use crate::{GET, OK, TestServer, get, head};
use oneloop::probe::EventFlags;

#[test]
fn a_fast_reader_shares_the_loop() {
    let mut server = TestServer::with(|limits| limits.written_bytes_per_iteration = 10_000);
    let greedy = server.connect(get("/file"));
    let modest = server.connect("");
    for iteration in 0..5 {
        modest.sends(GET);
        server.iterate();
        assert_eq!(modest.take_received_text(), OK, "iteration {iteration}");
        assert!(server.is_busy(), "no event will come for the greedy one");
    }
    let sent = greedy.take_received().len();
    assert_eq!(sent, 5 * 10_000, "the header counts as well");
    server.run();
    assert_eq!(greedy.take_received().len(), head(FILE).len() + FILE - sent);
}

#[test]
fn a_body_of_many_small_parts_shares_the_loop() {
    let mut server = TestServer::with(|limits| limits.sends_per_iteration = 10);
    let parts = server.connect(get("/many-parts"));
    let modest = server.connect("");
    // The header and the head of the first part are one call; each byte and each further head are
    // one, and so is the end.
    for iteration in 0..20 {
        modest.sends(GET);
        server.iterate();
        assert_eq!(modest.take_received_text(), OK, "iteration {iteration}");
        assert!(server.is_busy(), "no event will come for the parts");
        assert!(
            !parts.take_received_text().ends_with("\r\n--b--\r\n"),
            "iteration {iteration}"
        );
    }
    server.iterate();
    assert!(parts.take_received_text().ends_with("\r\n--b--\r\n"));
}

#[test]
fn a_fast_sender_shares_the_loop() {
    let mut server = TestServer::with(|limits| limits.read_bytes_per_iteration = 1000);
    let flood = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n".to_owned();
    let greedy = server.connect(flood + &"x".repeat(10_000));
    let modest = server.connect("");
    for iteration in 0..10 {
        modest.sends(GET);
        server.iterate();
        assert_eq!(modest.take_received_text(), OK, "iteration {iteration}");
        assert!(server.is_busy(), "no event will come for the greedy one");
    }
    server.run();
    greedy.closes();
    server.run();
    assert!(greedy.is_closed(), "all of it was read");
}

#[test]
fn no_iteration_receives_more_than_its_budget() {
    let mut server = TestServer::with(|limits| limits.read_bytes_per_iteration = 100);
    let peer = server.connect("x".repeat(1000));
    for _ in 0..10 {
        peer.take_calls();
        server.iterate();
        let calls = peer.take_calls();
        let capacity: usize = (calls.iter())
            .map(|call| match call {
                Call::Receive(length) => *length,
                _ => 0,
            })
            .sum();
        assert_eq!(capacity, 100, "{calls:?}");
    }
}

#[test]
fn a_stream_makes_one_slice_per_iteration() {
    let mut server = TestServer::new();
    let stream = server.connect(get("/slow"));
    let modest = server.connect("");
    for iteration in 0..99 {
        modest.sends(GET);
        server.iterate();
        assert_eq!(modest.take_received_text(), OK, "iteration {iteration}");
        assert!(
            server.is_busy(),
            "an empty slice sends nothing, and no event comes"
        );
    }
    assert!(!stream.take_received_text().ends_with("0\r\n\r\n"));
    server.iterate();
    assert!(stream.take_received_text().ends_with("0\r\n\r\n"));
}

#[test]
fn each_connection_runs_once_before_any_runs_again() {
    let mut server = TestServer::with(|limits| limits.requests_per_iteration = 1);
    for _ in 0..5 {
        server.connect(GET.repeat(3));
    }
    for _ in 0..3 {
        server.iterate();
        let mut served: Vec<_> = server
            .handler
            .answered
            .drain(..)
            .map(|(state, _)| state)
            .collect();
        served.sort_unstable();
        assert_eq!(served, [0, 1, 2, 3, 4]);
    }
    server.run();
    assert_eq!(server.handler.answered, []);
}

#[test]
fn with_the_smallest_budgets_everything_is_sent() {
    let mut server = TestServer::with(|limits| {
        limits.read_bytes_per_iteration = 1;
        limits.written_bytes_per_iteration = 1;
        limits.sends_per_iteration = 1;
        limits.requests_per_iteration = 1;
    });
    let peer = server.connect([GET, &get("/parts"), GET].concat());
    server.run();
    let parts = head(PARTS.len()) + PARTS;
    assert_eq!(peer.take_received_text(), [OK, &parts, OK].concat());
}

#[test]
fn many_events_for_one_connection_run_it_once() {
    let mut server = TestServer::with(|limits| limits.requests_per_iteration = 1);
    let peer = server.connect(GET.repeat(3));
    for _ in 0..10 {
        let _ = server.scheduler.mark_ready(0, EventFlags::default);
    }
    server.iterate();
    assert_eq!(peer.take_received_text(), OK);
}
