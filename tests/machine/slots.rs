//! Slots: when they are freed, registration, and eviction.

use crate::memory_transport::{Call, Input, Space};
use crate::{GET, LAST, LAST_GET, OK, TestServer, get, seconds};
use oneloop::limits::Limits;
use oneloop::probe::EventFlags;
use std::io::ErrorKind;

#[test]
fn slots_are_freed_only_by_reap() {
    let mut server = TestServer::new();
    let peer = server.connect("");
    peer.closes();
    server.scheduler.run(&mut server.handler, server.now);
    assert_eq!(server.scheduler.len(), 1);
    assert!(!peer.is_closed());
    server.connect("");
    assert_eq!(server.keys(), [0, 1], "the key is still taken");
    assert_eq!(server.reap(), 1);
    assert_eq!((server.released, server.scheduler.len()), (1, 1));
    assert!(peer.is_closed());
    server.connect("");
    assert_eq!(server.keys(), [0, 1, 0]);
    assert_eq!(server.reap(), 0);
}

#[test]
fn a_connection_that_stays_open_after_its_first_run_is_registered_once() {
    let mut server = TestServer::new();
    let (stays, closes, silent) = (
        server.connect(GET),
        server.connect(LAST_GET),
        server.connect(""),
    );
    closes.sends_no_more();
    server.scheduler.run(&mut server.handler, server.now);
    let mut registered = Vec::new();
    server.scheduler.register(|_, key| {
        registered.push(key);
        Ok(())
    });
    assert_eq!(registered, [2, 0]);
    server.reap();
    assert_eq!(
        (closes.take_received_text(), closes.is_closed()),
        (LAST.into(), true)
    );
    assert!(!stays.is_closed() && !silent.is_closed());
    server.scheduler.run(&mut server.handler, server.now);
    server.scheduler.register(|_, key| panic!("{key} again"));
}

#[test]
fn a_failed_registration_ends_one_connection_and_no_other() {
    let mut server = TestServer::new();
    let (lost, other) = (server.connect(""), server.connect(""));
    server.scheduler.run(&mut server.handler, server.now);
    server.scheduler.register(|_, key| match key {
        0 => Err(ErrorKind::OutOfMemory.into()),
        _ => Ok(()),
    });
    server.run();
    assert!(lost.is_closed() && !other.is_closed());
    other.sends(GET);
    server.run();
    assert_eq!(other.take_received_text(), OK);
}

#[test]
fn a_connection_that_could_not_be_registered_is_freed_when_all_are_aborted() {
    let mut server = TestServer::new();
    let (lost, other) = (server.connect(""), server.connect(""));
    server.scheduler.run(&mut server.handler, server.now);
    server.scheduler.register(|_, key| match key {
        0 => Err(ErrorKind::OutOfMemory.into()),
        _ => Ok(()),
    });
    assert_eq!(server.scheduler.abort_all(), 1, "one has ended already");
    assert_eq!((server.reap(), server.scheduler.len()), (2, 0));
    assert!(lost.is_closed() && other.is_closed());
}

#[test]
fn an_event_for_a_slot_that_ended_in_the_same_iteration_is_ignored() {
    let mut server = TestServer::new();
    let peer = server.connect(GET);
    peer.script_inputs([Input::Error(ErrorKind::ConnectionReset)]);
    server.scheduler.run(&mut server.handler, server.now);
    assert_eq!(peer.take_received_text(), OK);
    assert!(
        server
            .scheduler
            .mark_ready(0, EventFlags::default)
            .is_some(),
        "the slot is still there"
    );
    peer.take_calls();
    server.scheduler.run(&mut server.handler, server.now);
    assert_eq!(peer.take_calls(), [], "but no call is made");
    server.reap();
    assert_eq!(server.released, 1, "its socket is released once");
}

#[test]
fn an_event_for_a_slot_that_is_free_is_ignored() {
    let mut server = TestServer::new();
    server.connect("").closes();
    server.run();
    assert!(
        server
            .scheduler
            .mark_ready(0, EventFlags::default)
            .is_none()
    );
    assert!(
        server
            .scheduler
            .mark_ready(usize::MAX - 1, EventFlags::default)
            .is_none()
    );
    assert!(!server.is_busy());
    server.run();
}

#[test]
fn the_next_connection_in_a_slot_has_no_state_of_the_one_before() {
    let mut server = TestServer::new();
    let first = server.connect("GET /small HT");
    server.run();
    server.wait(seconds(15));
    first.closes();
    server.run();
    let second = server.connect(GET);
    assert_eq!(server.scheduler.len(), 1);
    server.run();
    assert_eq!(second.take_received_text(), OK);
    server.wait(seconds(59));
    assert!(!second.is_closed(), "it has its own deadline");
}

#[test]
fn the_loop_does_not_wait_while_a_connection_has_yielded() {
    let mut server = TestServer::with(|limits| limits.written_bytes_per_iteration = 7);
    server.connect(get("/file"));
    server.connect(GET);
    server.connect("");
    for _ in 0..100 {
        server.iterate();
        assert!(server.is_busy());
    }
    server.run();
    assert_eq!(server.scheduler.poll_timeout(server.now), Some(seconds(60)));
}

#[test]
fn a_panic_in_the_handler_ends_one_connection_and_no_other() {
    let mut server = TestServer::new();
    let (before, panics, after) = (
        server.connect(GET),
        server.connect(GET.to_owned() + &get("/panic") + GET),
        server.connect(get("/file")),
    );
    server.run();
    assert!(panics.is_closed() && panics.is_reset());
    assert_eq!(panics.take_received(), b"");
    assert_eq!(before.take_received_text(), OK);
    assert_eq!(
        after.take_received().len(),
        crate::head(100_000).len() + 100_000
    );
    before.take_calls();
    before.sends(GET.repeat(2));
    server.run();
    assert_eq!(before.take_received_text(), OK.repeat(2));
    let capacity = Limits::default().read_bytes_per_iteration;
    assert_eq!(
        before.take_calls().first(),
        Some(&Call::Receive(capacity)),
        "with buffers as large as before"
    );
    assert_eq!(server.scheduler.len(), 2);
}

#[test]
fn the_connection_that_is_idle_longest_is_evicted() {
    let mut server = TestServer::new();
    let peers: Vec<_> = (0..4)
        .map(|_| {
            let peer = server.connect("");
            server.wait(seconds(2));
            peer
        })
        .collect();
    // The first has just been served, so the second is idle longest.
    peers[0].sends(GET);
    server.run();
    server.wait(seconds(2));
    assert_eq!(server.evict(), 1);
    assert_eq!(server.reap(), 1);
    let closed: Vec<_> = peers.iter().map(|peer| peer.is_closed()).collect();
    assert_eq!(closed, [false, true, false, false]);
    assert!(!peers[1].is_reset());
}

#[test]
fn busy_and_recently_idle_connections_are_not_evicted() {
    let mut server = TestServer::new();
    let sending = server.connect(get("/file"));
    sending.script_sends([Space::Some(50_000), Space::Nothing]);
    let partial = server.connect("GET /");
    let lingering = server.connect("GET /small HTTP/1.0\r\n\r\n");
    server.run();
    server.wait(seconds(5));
    let new = server.connect("");
    server.run();
    server.now.instant += seconds(1) / 2;
    assert_eq!(server.evict(), 0);
    server.run();
    for peer in [&sending, &partial, &lingering, &new] {
        assert!(!peer.is_closed());
    }
    server.now.instant += seconds(1) / 2;
    assert_eq!(server.evict(), 1);
    server.run();
    assert!(new.is_closed());
}

#[test]
fn a_connection_with_an_event_is_not_evicted() {
    let mut server = TestServer::new();
    let peer = server.connect("");
    server.wait(seconds(5));
    peer.sends(GET);
    server.mark_events();
    assert_eq!(server.evict(), 0);
    server.run();
    assert_eq!(peer.take_received_text(), OK);
}

#[test]
fn a_connection_with_an_unread_request_is_not_evicted_even_without_an_event() {
    let mut server = TestServer::new();
    let (sends, silent) = (server.connect(""), server.connect(""));
    server.wait(seconds(5));
    sends.sends(GET);
    assert!(
        sends.take_event(),
        "the event is discarded: the server is not notified"
    );
    assert_eq!(server.evict(), 1);
    server.run();
    assert_eq!(sends.take_received_text(), OK);
    assert!(silent.is_closed() && !sends.is_closed());
}

#[test]
fn the_number_of_evicted_connections_grows_with_the_number_of_connections() {
    let mut server = TestServer::new();
    (0..2048).for_each(|_| drop(server.connect("")));
    server.run();
    server.wait(seconds(5));
    assert_eq!(server.evict(), 3);
    server.run();
    assert_eq!(server.scheduler.len(), 2045);
}
