//! The server stops: who is idle goes, who is being answered is answered, and then it is over.

use crate::wire::Take;
use crate::{GET, LAST, OK, TestServer, get, seconds};

#[test]
fn an_idle_connection_closes_and_no_word_is_said() {
    let mut server = TestServer::new();
    let (new, used) = (server.connect(""), server.connect(GET));
    server.run();
    assert_eq!(used.reads(), OK);
    server.wait(seconds(1));
    server.scheduler.drain();
    server.run();
    for peer in [new, used] {
        assert!(peer.is_closed() && !peer.is_aborted());
        assert_eq!(peer.hears(), b"");
    }
    assert!(server.scheduler.is_empty());
}

#[test]
fn a_connection_that_was_just_answered_has_a_second_for_another_request_which_is_the_last() {
    let mut server = TestServer::new();
    let (asks, stays) = (server.connect(GET), server.connect(GET));
    server.run();
    assert_eq!(asks.reads(), OK);
    server.scheduler.drain();
    server.run();
    server.wait(seconds(1) / 2);
    assert!(!asks.is_shut() && !asks.is_closed() && !stays.is_closed());
    asks.sends(GET);
    server.run();
    assert_eq!(asks.reads(), LAST);
    assert!(asks.is_shut());
    asks.closes();
    server.wait(seconds(1) / 2);
    for peer in [asks, stays] {
        assert!(peer.is_closed() && !peer.is_aborted());
    }
    assert!(server.scheduler.is_empty());
}

#[test]
fn a_second_look_gives_an_idle_connection_no_more_time_and_no_less() {
    let mut server = TestServer::new();
    let peer = server.connect(GET);
    server.run();
    server.scheduler.drain();
    for _ in 0..3 {
        server.run();
        server.wait(seconds(1) / 4);
        server.scheduler.mark_ready(0);
        assert!(!peer.is_closed());
    }
    server.wait(seconds(1) / 4);
    assert!(peer.is_closed());
}

#[test]
fn a_request_that_has_arrived_is_answered_even_if_nobody_had_looked_yet() {
    let mut server = TestServer::new();
    let peer = server.connect("");
    server.run();
    peer.sends(GET);
    server.scheduler.drain();
    server.run();
    assert_eq!(peer.reads(), LAST);
    assert!(peer.is_shut());
}

#[test]
fn a_response_on_its_way_is_finished_and_then_the_connection_closes() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file") + GET);
    peer.takes([Take::Some(60_000), Take::Nothing]);
    server.run();
    server.scheduler.drain();
    server.run();
    assert!(!peer.is_closed());
    let before = peer.hears();
    peer.takes([Take::All]);
    server.run();
    let after = peer.hears();
    // The header said keep-alive and is gone; the request behind it is told that it is the last.
    let rest = crate::head(crate::handler::FILE).len() + crate::handler::FILE - before.len();
    assert_eq!(after[rest..], *LAST.as_bytes());
    assert!(peer.is_shut());
}

#[test]
fn the_response_to_the_first_of_many_is_the_last_and_the_others_are_not_answered() {
    let mut server = TestServer::new();
    let peer = server.connect("");
    server.run();
    server.scheduler.drain();
    peer.sends(GET.repeat(5));
    server.run();
    assert_eq!(peer.reads(), LAST);
    assert_eq!(server.handler.answered, [(0, 200)]);
    peer.closes();
    server.run();
    assert!(peer.is_closed() && !peer.is_aborted());
}

#[test]
fn a_request_on_its_way_is_awaited_and_answered_last() {
    let mut server = TestServer::new();
    let peer = server.connect(&GET[..10]);
    server.run();
    server.scheduler.drain();
    server.run();
    assert!(!peer.is_closed());
    peer.sends(&GET[10..]);
    server.run();
    assert_eq!(peer.reads(), LAST);
}

#[test]
fn a_connection_that_becomes_idle_while_stopping_closes() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file"));
    peer.takes([Take::Some(60_000), Take::Nothing]);
    server.run();
    server.scheduler.drain();
    server.run();
    peer.takes([Take::All]);
    server.run();
    assert!(!peer.is_closed());
    server.wait(seconds(1));
    assert!(peer.is_closed() && !peer.is_aborted());
    assert!(server.scheduler.is_empty());
}

#[test]
fn when_time_is_up_only_unfinished_responses_are_reset() {
    let mut server = TestServer::new();
    let half = server.connect(&GET[..10]);
    let stuck = server.connect(get("/file"));
    stuck.takes([Take::Some(60_000), Take::Nothing]);
    let answered = server.connect("");
    server.run();
    server.scheduler.drain();
    answered.sends(GET);
    server.run();
    assert_eq!(answered.reads(), LAST);
    server.now.instant += seconds(1);
    server.scheduler.abort_all();
    assert_eq!(server.reap(), 3);
    assert!(stuck.is_closed() && stuck.is_aborted());
    assert!(half.is_closed() && !half.is_aborted());
    assert!(
        answered.is_closed() && !answered.is_aborted(),
        "a reset could still take the response from the peer"
    );
    assert!(server.scheduler.is_empty());
}

#[test]
fn a_response_that_broke_in_the_last_turn_is_still_reset() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/broken"));
    server.turn();
    server.scheduler.run(&mut server.handler, server.now);
    server.scheduler.abort_all();
    server.reap();
    assert!(peer.is_closed() && peer.is_aborted());
}

#[test]
fn what_arrived_before_the_grace_was_over_is_answered_although_no_event_told_of_it() {
    let mut server = TestServer::new();
    let peer = server.connect(&GET[..10]);
    server.run();
    server.scheduler.drain();
    server.run();
    peer.sends(&GET[10..]);
    assert!(peer.has_news(), "taken for told");
    server.scheduler.recheck_all();
    server.scheduler.run(&mut server.handler, server.now);
    server.scheduler.abort_all();
    server.reap();
    assert_eq!(peer.reads(), LAST);
    assert!(peer.is_closed() && !peer.is_aborted());
}
