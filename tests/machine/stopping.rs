//! Stopping: idle connections close, responses are finished, and the grace period ends.

use crate::memory_transport::Space;
use crate::{GET, LAST, OK, TestServer, get, seconds};
use oneloop::probe::EventFlags;

#[test]
fn an_idle_connection_closes_without_a_response() {
    let mut server = TestServer::new();
    let (new, used) = (server.connect(""), server.connect(GET));
    server.run();
    assert_eq!(used.take_received_text(), OK);
    server.wait(seconds(1));
    server.scheduler.drain();
    server.run();
    for peer in [new, used] {
        assert!(peer.is_closed() && !peer.is_reset());
        assert_eq!(peer.take_received(), b"");
    }
    assert!(server.scheduler.is_empty());
}

#[test]
fn a_connection_that_was_just_answered_has_a_second_for_another_request_which_is_the_last() {
    let mut server = TestServer::new();
    let (sends, silent) = (server.connect(GET), server.connect(GET));
    server.run();
    assert_eq!(sends.take_received_text(), OK);
    server.scheduler.drain();
    server.run();
    server.wait(seconds(1) / 2);
    assert!(!sends.is_shut() && !sends.is_closed() && !silent.is_closed());
    sends.sends(GET);
    server.run();
    assert_eq!(sends.take_received_text(), LAST);
    assert!(sends.is_shut());
    sends.closes();
    server.wait(seconds(1) / 2);
    for peer in [sends, silent] {
        assert!(peer.is_closed() && !peer.is_reset());
    }
    assert!(server.scheduler.is_empty());
}

#[test]
fn a_recheck_does_not_change_the_deadline_of_an_idle_connection() {
    let mut server = TestServer::new();
    let peer = server.connect(GET);
    server.run();
    server.scheduler.drain();
    for _ in 0..3 {
        server.run();
        server.wait(seconds(1) / 4);
        server.scheduler.mark_ready(0, EventFlags::default);
        assert!(!peer.is_closed());
    }
    server.wait(seconds(1) / 4);
    assert!(peer.is_closed());
}

#[test]
fn an_unread_request_is_answered() {
    let mut server = TestServer::new();
    let peer = server.connect("");
    server.run();
    peer.sends(GET);
    server.scheduler.drain();
    server.run();
    assert_eq!(peer.take_received_text(), LAST);
    assert!(peer.is_shut());
}

#[test]
fn a_response_in_progress_is_finished_and_then_the_connection_closes() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file") + GET);
    peer.script_sends([Space::Some(60_000), Space::Nothing]);
    server.run();
    server.scheduler.drain();
    server.run();
    assert!(!peer.is_closed());
    let before = peer.take_received();
    peer.script_sends([Space::All]);
    server.run();
    let after = peer.take_received();
    // The header of this response is sent already; the response to the next request says `close`.
    let rest = crate::head(crate::handler::FILE).len() + crate::handler::FILE - before.len();
    assert_eq!(after[rest..], *LAST.as_bytes());
    assert!(peer.is_shut());
}

#[test]
fn of_several_pipelined_requests_only_the_first_is_answered() {
    let mut server = TestServer::new();
    let peer = server.connect("");
    server.run();
    server.scheduler.drain();
    peer.sends(GET.repeat(5));
    server.run();
    assert_eq!(peer.take_received_text(), LAST);
    assert_eq!(server.handler.answered, [(0, 200)]);
    peer.closes();
    server.run();
    assert!(peer.is_closed() && !peer.is_reset());
}

#[test]
fn a_partial_request_is_awaited_and_its_response_is_the_last() {
    let mut server = TestServer::new();
    let peer = server.connect(&GET[..10]);
    server.run();
    server.scheduler.drain();
    server.run();
    assert!(!peer.is_closed());
    peer.sends(&GET[10..]);
    server.run();
    assert_eq!(peer.take_received_text(), LAST);
}

#[test]
fn a_connection_that_becomes_idle_while_stopping_closes() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/file"));
    peer.script_sends([Space::Some(60_000), Space::Nothing]);
    server.run();
    server.scheduler.drain();
    server.run();
    peer.script_sends([Space::All]);
    server.run();
    assert!(!peer.is_closed());
    server.wait(seconds(1));
    assert!(peer.is_closed() && !peer.is_reset());
    assert!(server.scheduler.is_empty());
}

#[test]
fn after_the_grace_period_only_unfinished_responses_are_reset() {
    let mut server = TestServer::new();
    let half = server.connect(&GET[..10]);
    let stuck = server.connect(get("/file"));
    stuck.script_sends([Space::Some(60_000), Space::Nothing]);
    let answered = server.connect("");
    server.run();
    server.scheduler.drain();
    answered.sends(GET);
    server.run();
    assert_eq!(answered.take_received_text(), LAST);
    server.now.instant += seconds(1);
    server.scheduler.abort_all();
    assert_eq!(server.reap(), 3);
    assert!(stuck.is_closed() && stuck.is_reset());
    assert!(half.is_closed() && !half.is_reset());
    assert!(
        answered.is_closed() && !answered.is_reset(),
        "a reset could still take the response from the peer"
    );
    assert!(server.scheduler.is_empty());
}

#[test]
fn a_response_that_failed_in_the_last_iteration_is_reset() {
    let mut server = TestServer::new();
    let peer = server.connect(get("/broken"));
    server.iterate();
    server.scheduler.run(&mut server.handler, server.now);
    server.scheduler.abort_all();
    server.reap();
    assert!(peer.is_closed() && peer.is_reset());
}

#[test]
fn a_request_within_the_grace_period_is_answered_without_an_event() {
    let mut server = TestServer::new();
    let peer = server.connect(&GET[..10]);
    server.run();
    server.scheduler.drain();
    server.run();
    peer.sends(&GET[10..]);
    assert!(
        peer.take_event(),
        "the event is discarded: the server is not notified"
    );
    server.scheduler.recheck_all();
    server.scheduler.run(&mut server.handler, server.now);
    server.scheduler.abort_all();
    server.reap();
    assert_eq!(peer.take_received_text(), LAST);
    assert!(peer.is_closed() && !peer.is_reset());
}
