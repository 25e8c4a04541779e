//! Who is freed when, and who makes room for others.

use crate::wire::{Arrival, Call, Take};
use crate::{GET, LAST, LAST_GET, OK, TestServer, get, seconds};
use oneloop::limits::Limits;
use std::io::ErrorKind;

#[test]
fn a_slot_is_freed_by_reaping_and_by_nothing_else() {
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
fn who_is_still_here_when_his_first_turn_is_over_is_registered_and_once() {
    let mut server = TestServer::new();
    let (stays, leaves, waits) = (
        server.connect(GET),
        server.connect(LAST_GET),
        server.connect(""),
    );
    leaves.says_no_more();
    server.scheduler.run(&mut server.handler, server.now);
    let mut registered = Vec::new();
    server.scheduler.register(|_, key| {
        registered.push(key);
        Ok(())
    });
    assert_eq!(registered, [2, 0]);
    server.reap();
    assert_eq!((leaves.reads(), leaves.is_closed()), (LAST.into(), true));
    assert!(!stays.is_closed() && !waits.is_closed());
    server.scheduler.run(&mut server.handler, server.now);
    server.scheduler.register(|_, key| panic!("{key} again"));
}

#[test]
fn who_cannot_be_registered_is_lost_and_no_other() {
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
    assert_eq!(other.reads(), OK);
}

#[test]
fn who_cannot_be_registered_is_freed_although_everybody_is_cut_before_his_next_turn() {
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
fn an_event_for_a_slot_that_ended_in_the_same_turn_is_ignored() {
    let mut server = TestServer::new();
    let peer = server.connect(GET);
    peer.arrives([Arrival::Error(ErrorKind::ConnectionReset)]);
    server.scheduler.run(&mut server.handler, server.now);
    assert_eq!(peer.reads(), OK);
    assert!(
        server.scheduler.mark_ready(0).is_some(),
        "the slot is still there"
    );
    peer.calls();
    server.scheduler.run(&mut server.handler, server.now);
    assert_eq!(peer.calls(), [], "but nothing is done with it");
    server.reap();
    assert_eq!(server.released, 1, "and it is handed back once");
}

#[test]
fn an_event_for_a_slot_that_is_gone_or_never_was_is_ignored() {
    let mut server = TestServer::new();
    server.connect("").closes();
    server.run();
    assert!(server.scheduler.mark_ready(0).is_none());
    assert!(server.scheduler.mark_ready(usize::MAX - 1).is_none());
    assert!(!server.is_busy());
    server.run();
}

#[test]
fn the_next_peer_in_a_slot_inherits_nothing() {
    let mut server = TestServer::new();
    let first = server.connect("GET /small HT");
    server.run();
    server.wait(seconds(15));
    first.closes();
    server.run();
    let second = server.connect(GET);
    assert_eq!(server.scheduler.len(), 1);
    server.run();
    assert_eq!(second.reads(), OK);
    server.wait(seconds(59));
    assert!(!second.is_closed(), "its deadline is its own");
}

#[test]
fn whoever_yields_is_runnable_and_the_loop_does_not_rest_until_he_is_not() {
    let mut server = TestServer::with(|limits| limits.written_per_iteration = 7);
    server.connect(get("/file"));
    server.connect(GET);
    server.connect("");
    for _ in 0..100 {
        server.turn();
        assert!(server.is_busy());
    }
    server.run();
    assert_eq!(server.scheduler.poll_timeout(server.now), Some(seconds(60)));
}

#[test]
fn a_defect_ends_one_connection_and_no_other() {
    let mut server = TestServer::new();
    let (before, unlucky, after) = (
        server.connect(GET),
        server.connect(GET.to_owned() + &get("/defect") + GET),
        server.connect(get("/file")),
    );
    server.run();
    assert!(unlucky.is_closed() && unlucky.is_aborted());
    assert_eq!(unlucky.hears(), b"");
    assert_eq!(before.reads(), OK);
    assert_eq!(after.hears().len(), crate::head(100_000).len() + 100_000);
    before.calls();
    before.sends(GET.repeat(2));
    server.run();
    assert_eq!(before.reads(), OK.repeat(2));
    let room = Limits::default().read_per_iteration;
    assert_eq!(
        before.calls().first(),
        Some(&Call::Receive(room)),
        "with buffers as large as before"
    );
    assert_eq!(server.scheduler.len(), 2);
}

#[test]
fn the_one_who_has_been_idle_longest_makes_room() {
    let mut server = TestServer::new();
    let peers: Vec<_> = (0..4)
        .map(|_| {
            let peer = server.connect("");
            server.wait(seconds(2));
            peer
        })
        .collect();
    // The first one has just been served, so the second is the one.
    peers[0].sends(GET);
    server.run();
    server.wait(seconds(2));
    assert_eq!(server.evict(), 1);
    assert_eq!(server.reap(), 1);
    let closed: Vec<_> = peers.iter().map(|peer| peer.is_closed()).collect();
    assert_eq!(closed, [false, true, false, false]);
    assert!(!peers[1].is_aborted());
}

#[test]
fn the_young_and_the_busy_do_not_make_room() {
    let mut server = TestServer::new();
    let sending = server.connect(get("/file"));
    sending.takes([Take::Some(50_000), Take::Nothing]);
    let asking = server.connect("GET /");
    let lingering = server.connect("GET /small HTTP/1.0\r\n\r\n");
    server.run();
    server.wait(seconds(5));
    let young = server.connect("");
    server.run();
    server.now.instant += seconds(1) / 2;
    assert_eq!(server.evict(), 0);
    server.run();
    for peer in [&sending, &asking, &lingering, &young] {
        assert!(!peer.is_closed());
    }
    server.now.instant += seconds(1) / 2;
    assert_eq!(server.evict(), 1);
    server.run();
    assert!(young.is_closed());
}

#[test]
fn one_whose_request_has_just_been_announced_does_not_make_room() {
    let mut server = TestServer::new();
    let peer = server.connect("");
    server.wait(seconds(5));
    peer.sends(GET);
    server.note();
    assert_eq!(server.evict(), 0);
    server.run();
    assert_eq!(peer.reads(), OK);
}

#[test]
fn one_whose_request_lies_unread_does_not_make_room_although_no_event_has_told_of_it() {
    let mut server = TestServer::new();
    let (asks, silent) = (server.connect(""), server.connect(""));
    server.wait(seconds(5));
    asks.sends(GET);
    assert!(asks.has_news(), "taken for told");
    assert_eq!(server.evict(), 1);
    server.run();
    assert_eq!(asks.reads(), OK);
    assert!(silent.is_closed() && !asks.is_closed());
}

#[test]
fn more_make_room_where_there_are_many() {
    let mut server = TestServer::new();
    (0..2048).for_each(|_| drop(server.connect("")));
    server.run();
    server.wait(seconds(5));
    assert_eq!(server.evict(), 3);
    server.run();
    assert_eq!(server.scheduler.len(), 2045);
}
