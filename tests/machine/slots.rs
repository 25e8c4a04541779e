//! Who is freed when, and who makes room for others.

use crate::wire::{Arrival, Call, Take};
use crate::{GET, House, LAST, LAST_GET, OK, get, seconds};
use oneloop::limits::Limits;
use std::io::ErrorKind;

#[test]
fn a_slot_is_freed_by_reaping_and_by_nothing_else() {
    let mut house = House::new();
    let peer = house.connect("");
    peer.closes();
    house.scheduler.run(&mut house.handler, house.now);
    assert_eq!(house.scheduler.len(), 1);
    assert!(!peer.is_closed());
    house.connect("");
    assert_eq!(house.keys(), [0, 1], "the key is still taken");
    assert_eq!(house.reap(), 1);
    assert_eq!((house.released, house.scheduler.len()), (1, 1));
    assert!(peer.is_closed());
    house.connect("");
    assert_eq!(house.keys(), [0, 1, 0]);
    assert_eq!(house.reap(), 0);
}

#[test]
fn who_is_still_here_when_his_first_turn_is_over_is_registered_and_once() {
    let mut house = House::new();
    let (stays, leaves, waits) = (
        house.connect(GET),
        house.connect(LAST_GET),
        house.connect(""),
    );
    leaves.says_no_more();
    house.scheduler.run(&mut house.handler, house.now);
    let mut registered = Vec::new();
    house.scheduler.register(|_, key| {
        registered.push(key);
        Ok(())
    });
    assert_eq!(registered, [2, 0]);
    house.reap();
    assert_eq!((leaves.reads(), leaves.is_closed()), (LAST.into(), true));
    assert!(!stays.is_closed() && !waits.is_closed());
    house.scheduler.run(&mut house.handler, house.now);
    house.scheduler.register(|_, key| panic!("{key} again"));
}

#[test]
fn who_cannot_be_registered_is_lost_and_no_other() {
    let mut house = House::new();
    let (lost, other) = (house.connect(""), house.connect(""));
    house.scheduler.run(&mut house.handler, house.now);
    house.scheduler.register(|_, key| match key {
        0 => Err(ErrorKind::OutOfMemory.into()),
        _ => Ok(()),
    });
    house.run();
    assert!(lost.is_closed() && !other.is_closed());
    other.sends(GET);
    house.run();
    assert_eq!(other.reads(), OK);
}

#[test]
fn who_cannot_be_registered_is_freed_although_everybody_is_cut_before_his_next_turn() {
    let mut house = House::new();
    let (lost, other) = (house.connect(""), house.connect(""));
    house.scheduler.run(&mut house.handler, house.now);
    house.scheduler.register(|_, key| match key {
        0 => Err(ErrorKind::OutOfMemory.into()),
        _ => Ok(()),
    });
    assert_eq!(house.scheduler.abort_all(), 1, "one has ended already");
    assert_eq!((house.reap(), house.scheduler.len()), (2, 0));
    assert!(lost.is_closed() && other.is_closed());
}

#[test]
fn an_event_for_a_slot_that_ended_in_the_same_turn_is_ignored() {
    let mut house = House::new();
    let peer = house.connect(GET);
    peer.arrives([Arrival::Error(ErrorKind::ConnectionReset)]);
    house.scheduler.run(&mut house.handler, house.now);
    assert_eq!(peer.reads(), OK);
    assert!(
        house.scheduler.mark_ready(0).is_some(),
        "the slot is still there"
    );
    peer.calls();
    house.scheduler.run(&mut house.handler, house.now);
    assert_eq!(peer.calls(), [], "but nothing is done with it");
    house.reap();
    assert_eq!(house.released, 1, "and it is handed back once");
}

#[test]
fn an_event_for_a_slot_that_is_gone_or_never_was_is_ignored() {
    let mut house = House::new();
    house.connect("").closes();
    house.run();
    assert!(house.scheduler.mark_ready(0).is_none());
    assert!(house.scheduler.mark_ready(usize::MAX - 1).is_none());
    assert!(!house.is_busy());
    house.run();
}

#[test]
fn the_next_peer_in_a_slot_inherits_nothing() {
    let mut house = House::new();
    let first = house.connect("GET /small HT");
    house.run();
    house.wait(seconds(15));
    first.closes();
    house.run();
    let second = house.connect(GET);
    assert_eq!(house.scheduler.len(), 1);
    house.run();
    assert_eq!(second.reads(), OK);
    house.wait(seconds(59));
    assert!(!second.is_closed(), "its deadline is its own");
}

#[test]
fn whoever_yields_is_runnable_and_the_loop_does_not_rest_until_he_is_not() {
    let mut house = House::with(|limits| limits.written_per_iteration = 7);
    house.connect(get("/file"));
    house.connect(GET);
    house.connect("");
    for _ in 0..100 {
        house.turn();
        assert!(house.is_busy());
    }
    house.run();
    assert_eq!(house.scheduler.poll_timeout(house.now), Some(seconds(60)));
}

#[test]
fn a_defect_ends_one_connection_and_no_other() {
    let mut house = House::new();
    let (before, unlucky, after) = (
        house.connect(GET),
        house.connect(GET.to_owned() + &get("/defect") + GET),
        house.connect(get("/file")),
    );
    house.run();
    assert!(unlucky.is_closed() && unlucky.is_aborted());
    assert_eq!(unlucky.hears(), b"");
    assert_eq!(before.reads(), OK);
    assert_eq!(after.hears().len(), crate::head(100_000).len() + 100_000);
    before.calls();
    before.sends(GET.repeat(2));
    house.run();
    assert_eq!(before.reads(), OK.repeat(2));
    let room = Limits::default().read_per_iteration;
    assert_eq!(
        before.calls().first(),
        Some(&Call::Receive(room)),
        "with buffers as large as before"
    );
    assert_eq!(house.scheduler.len(), 2);
}

#[test]
fn the_one_who_has_been_idle_longest_makes_room() {
    let mut house = House::new();
    let peers: Vec<_> = (0..4)
        .map(|_| {
            let peer = house.connect("");
            house.wait(seconds(2));
            peer
        })
        .collect();
    // The first one has just been served, so the second is the one.
    peers[0].sends(GET);
    house.run();
    house.wait(seconds(2));
    assert_eq!(house.evict(), 1);
    assert_eq!(house.reap(), 1);
    let closed: Vec<_> = peers.iter().map(|peer| peer.is_closed()).collect();
    assert_eq!(closed, [false, true, false, false]);
    assert!(!peers[1].is_aborted());
}

#[test]
fn the_young_and_the_busy_do_not_make_room() {
    let mut house = House::new();
    let sending = house.connect(get("/file"));
    sending.takes([Take::Some(50_000), Take::Nothing]);
    let asking = house.connect("GET /");
    let lingering = house.connect("GET /small HTTP/1.0\r\n\r\n");
    house.run();
    house.wait(seconds(5));
    let young = house.connect("");
    house.run();
    house.now.instant += seconds(1) / 2;
    assert_eq!(house.evict(), 0);
    house.run();
    for peer in [&sending, &asking, &lingering, &young] {
        assert!(!peer.is_closed());
    }
    house.now.instant += seconds(1) / 2;
    assert_eq!(house.evict(), 1);
    house.run();
    assert!(young.is_closed());
}

#[test]
fn one_whose_request_has_just_been_announced_does_not_make_room() {
    let mut house = House::new();
    let peer = house.connect("");
    house.wait(seconds(5));
    peer.sends(GET);
    house.note();
    assert_eq!(house.evict(), 0);
    house.run();
    assert_eq!(peer.reads(), OK);
}

#[test]
fn one_whose_request_lies_unread_does_not_make_room_although_no_event_has_told_of_it() {
    let mut house = House::new();
    let (asks, silent) = (house.connect(""), house.connect(""));
    house.wait(seconds(5));
    asks.sends(GET);
    assert!(asks.has_news(), "taken for told");
    assert_eq!(house.evict(), 1);
    house.run();
    assert_eq!(asks.reads(), OK);
    assert!(silent.is_closed() && !asks.is_closed());
}

#[test]
fn more_make_room_where_there_are_many() {
    let mut house = House::new();
    (0..2048).for_each(|_| drop(house.connect("")));
    house.run();
    house.wait(seconds(5));
    assert_eq!(house.evict(), 3);
    house.run();
    assert_eq!(house.scheduler.len(), 2045);
}
