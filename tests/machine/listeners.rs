//! Listeners: order, budget and errors of accept(2), and pauses.

use crate::seconds;
use oneloop::clock::Now;
use oneloop::limits::Limits;
use oneloop::listen::accept::{
    Accept, AcceptFailure, AcceptOutcome, Listeners, classify_accept_error,
};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// A listening socket with scripted results of accept(2).
#[derive(Debug, Default)]
struct FakeListener(VecDeque<Result<u32, Errno>>);

impl Accept for FakeListener {
    type Stream = u32;

    fn accept(&mut self) -> io::Result<u32> {
        let next = self.0.pop_front().unwrap_or(Err(Errno::AGAIN));
        next.map_err(io::Error::from)
    }
}

fn listener(waiting: impl IntoIterator<Item = Result<u32, Errno>>) -> FakeListener {
    FakeListener(waiting.into_iter().collect())
}

fn with_connections(count: u32) -> FakeListener {
    listener((0..count).map(Ok))
}

/// Calls accept once, with this many free slots.
fn accept(
    listeners: &mut Listeners<FakeListener>,
    slots: usize,
    now: Now,
) -> (Vec<u32>, AcceptOutcome) {
    let mut accepted = Vec::new();
    let outcome = listeners.accept(slots, &Limits::default(), now, |_, connection| {
        accepted.push(connection);
        Ok(())
    });
    (accepted, outcome)
}

#[test]
fn every_error_of_accept_has_its_action() {
    let table = [
        (
            AcceptFailure::NoneWaiting,
            vec![Errno::AGAIN, Errno::WOULDBLOCK],
        ),
        (
            AcceptFailure::NoResources,
            vec![Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM],
        ),
        (
            AcceptFailure::Fatal,
            vec![Errno::BADF, Errno::INVAL, Errno::NOTSOCK, Errno::FAULT],
        ),
        (
            AcceptFailure::ConnectionLost,
            vec![
                Errno::INTR,
                Errno::CONNABORTED,
                Errno::PROTO,
                Errno::PERM,
                Errno::NETDOWN,
                Errno::NETUNREACH,
                Errno::HOSTUNREACH,
                Errno::HOSTDOWN,
                Errno::NOPROTOOPT,
                Errno::OPNOTSUPP,
                Errno::TIMEDOUT,
                Errno::CONNRESET,
            ],
        ),
    ];
    for (expected, errors) in table {
        for error in errors {
            assert_eq!(classify_accept_error(&error.into()), expected, "{error:?}");
        }
    }
    assert_eq!(
        classify_accept_error(&io::ErrorKind::WouldBlock.into()),
        AcceptFailure::NoneWaiting,
        "without a number, too"
    );
}

#[test]
fn five_hundred_connections_announced_by_one_event_are_accepted_within_the_budget_of_each_iteration()
 {
    let now = Now::read();
    let mut listeners = Listeners::new([with_connections(0)]);
    accept(&mut listeners, 1000, now);
    assert_eq!(listeners.poll_timeout(now), None, "no connection waits");

    let mut listeners = Listeners::new([with_connections(500)]);
    listeners.mark_ready(0);
    let mut all = Vec::new();
    while listeners.poll_timeout(now) == Some(Duration::ZERO) {
        let (accepted, outcome) = accept(&mut listeners, 1000, now);
        assert!(matches!(outcome, AcceptOutcome::Done));
        assert!(accepted.len() <= Limits::default().accepts_per_iteration);
        all.extend(accepted);
    }
    assert_eq!(all, (0..500).collect::<Vec<_>>());
    assert_eq!(listeners.poll_timeout(now), None);
}

#[test]
fn a_listener_with_many_waiting_connections_takes_only_its_part_of_the_budget() {
    let now = Now::read();
    let most = Limits::default().accepts_per_iteration as u32;
    // The connections of the second listener have numbers from here.
    let second = 1000 * most;
    for (at_first, at_second) in [(10 * most, most / 2), (most / 2, 10 * most)] {
        let waiting = (0..at_second).map(|number| Ok(second + number));
        let mut listeners = Listeners::new([with_connections(at_first), listener(waiting)]);
        let (accepted, _) = accept(&mut listeners, 10_000, now);
        let of_the_first = accepted.iter().filter(|number| **number < second).count();
        assert_eq!(accepted.len(), most as usize);
        assert_eq!(
            of_the_first,
            most as usize / 2,
            "{at_first} and {at_second}"
        );
    }
}

#[test]
fn with_a_budget_of_one_the_listeners_accept_in_turn() {
    let now = Now::read();
    let limits = Limits {
        accepts_per_iteration: 1,
        ..Limits::default()
    };
    let mut listeners = Listeners::new([
        with_connections(9),
        listener([Ok(70), Ok(71)]),
        listener([Ok(80)]),
    ]);
    let mut accepted = Vec::new();
    for _ in 0..6 {
        listeners.accept(99, &limits, now, |_, connection| {
            accepted.push(connection);
            Ok(())
        });
    }
    assert_eq!(accepted, [0, 70, 80, 1, 71]);
    for _ in 0..3 {
        listeners.accept(99, &limits, now, |_, connection| {
            accepted.push(connection);
            Ok(())
        });
    }
    assert_eq!(accepted, [0, 70, 80, 1, 71, 2, 3]);
}

#[test]
fn a_connection_beyond_the_limit_does_not_hold_up_the_other_listeners() {
    let now = Now::read();
    let mut listeners = Listeners::new([with_connections(9), listener([Ok(70), Ok(71)])]);
    let mut all = Vec::new();
    for _ in 0..4 {
        let (accepted, outcome) = accept(&mut listeners, 1, now);
        assert!(matches!(outcome, AcceptOutcome::Full));
        all.extend(accepted);
    }
    assert_eq!(all, [0, 70, 1, 71]);
}

#[test]
fn an_event_makes_an_empty_listener_ready() {
    let now = Now::read();
    let mut listeners = Listeners::new([with_connections(0), listener([Err(Errno::AGAIN), Ok(7)])]);
    assert_eq!(accept(&mut listeners, 9, now).0, [0; 0]);
    assert_eq!(listeners.poll_timeout(now), None);
    assert_eq!(accept(&mut listeners, 9, now).0, [0; 0]);
    listeners.mark_ready(1);
    listeners.mark_ready(99);
    assert_eq!(accept(&mut listeners, 9, now).0, [7]);
}

#[test]
fn a_connection_lost_in_the_queue_does_not_end_accepting() {
    let now = Now::read();
    let lost = [
        Err(Errno::CONNABORTED),
        Ok(1),
        Err(Errno::PERM),
        Err(Errno::INTR),
        Ok(2),
    ];
    let mut listeners = Listeners::new([listener(lost)]);
    assert_eq!(accept(&mut listeners, 9, now).0, [1, 2]);
}

#[test]
fn lost_connections_count_against_the_budget_of_an_iteration() {
    let now = Now::read();
    let endless = (0..1000).map(|_| Err(Errno::CONNABORTED));
    let mut listeners = Listeners::new([listener(endless)]);
    for _ in 0..1000_usize.div_ceil(Limits::default().accepts_per_iteration) {
        assert_eq!(listeners.poll_timeout(now), Some(Duration::ZERO));
        accept(&mut listeners, 9, now);
    }
    assert_eq!(listeners.poll_timeout(now), None);
}

#[test]
fn a_listener_whose_connections_are_all_lost_is_reported_as_failing() {
    let now = Now::read();
    let most = Limits::default().accepts_per_iteration;
    let lost = |count| (0..count).map(|_| Err(Errno::PERM));
    let failing = |listener| {
        let outcome = accept(&mut Listeners::new([listener]), 9, now).1;
        matches!(outcome, AcceptOutcome::Failing(error) if error.raw_os_error() == Some(1))
    };
    assert!(failing(listener(lost(most))));
    assert!(!failing(listener(lost(most - 1).chain([Ok(1)]))));
}

#[test]
fn accepting_pauses_when_no_descriptor_is_left() {
    let now = Now::read();
    let mut listeners = Listeners::new([listener([Ok(1), Err(Errno::MFILE), Ok(2)])]);
    let (accepted, outcome) = accept(&mut listeners, 9, now);
    assert_eq!(accepted, [1]);
    assert!(matches!(outcome, AcceptOutcome::Exhausted(_)));
    listeners.pause(now.instant + seconds(1));
    assert_eq!(listeners.poll_timeout(now), Some(seconds(1)));
    let soon = Now {
        instant: now.instant + seconds(1) - Duration::from_millis(1),
        ..now
    };
    assert_eq!(accept(&mut listeners, 9, soon).0, [0; 0]);
    let later = Now {
        instant: now.instant + seconds(1),
        ..now
    };
    assert_eq!(listeners.poll_timeout(later), Some(Duration::ZERO));
    assert_eq!(accept(&mut listeners, 9, later).0, [2], "without an event");
}

#[test]
fn accepting_goes_on_when_a_connection_ends() {
    let now = Now::read();
    let mut listeners = Listeners::new([listener([Err(Errno::NFILE), Ok(2)])]);
    accept(&mut listeners, 9, now);
    listeners.pause(now.instant + seconds(1));
    assert_eq!(accept(&mut listeners, 9, now).0, [0; 0]);
    listeners.resume();
    assert_eq!(listeners.poll_timeout(now), Some(Duration::ZERO));
    assert_eq!(accept(&mut listeners, 9, now).0, [2]);
}

#[test]
fn no_more_connections_are_accepted_than_slots_are_free() {
    let now = Now::read();
    let mut listeners = Listeners::new([with_connections(5)]);
    let (accepted, outcome) = accept(&mut listeners, 3, now);
    assert_eq!(accepted, [0, 1, 2]);
    assert!(matches!(outcome, AcceptOutcome::Full));
    assert!(matches!(
        accept(&mut listeners, 0, now).1,
        AcceptOutcome::Full
    ));
    assert_eq!(accept(&mut listeners, 3, now).0, [3, 4]);
}

#[test]
fn a_broken_listening_socket_ends_the_server() {
    let now = Now::read();
    let mut listeners = Listeners::new([listener([Err(Errno::BADF)])]);
    let outcome = accept(&mut listeners, 9, now).1;
    assert!(matches!(outcome, AcceptOutcome::Broken(_)));
}

#[test]
fn closed_listeners_accept_nothing() {
    let now = Now::read();
    let mut listeners = Listeners::new([with_connections(5), with_connections(5)]);
    assert_eq!(listeners.len(), 2);
    assert_eq!(listeners.close().len(), 2);
    assert!(listeners.is_empty());
    assert_eq!(accept(&mut listeners, 9, now).0, [0; 0]);
    assert_eq!(listeners.poll_timeout(now), None);
}
