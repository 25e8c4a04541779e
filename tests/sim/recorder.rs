//! A probe that checks the calls that it gets, with the table of docs/states.md: each
//! connection is accepted once and closed once, its transitions follow each other and are in the
//! table, and its steps belong to its state.

use crate::transitions::{DOCUMENT, rows, split};
use oneloop::clock::Now;
use oneloop::connection::{CloseReason, Counts, StateName, StepName};
use oneloop::handler::ListenerInfo;
use oneloop::probe::{Cause, EventFlags, Origin, Probe, StepResult};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::LazyLock;
use std::thread::LocalKey;
use std::time::{Duration, Instant};

/// The rows of the table: state, call, next state, next step.
static TABLE: LazyLock<Vec<[String; 4]>> = LazyLock::new(|| {
    let document = std::fs::read_to_string(DOCUMENT).expect("docs/states.md");
    let rows = rows(split(&document).1).into_iter();
    rows.map(|row| row.map(String::from)).collect()
});

thread_local! {
    /// Transitions and steps that were found in the table.
    static TRANSITIONS: RefCell<Vec<(StateName, &'static str, StateName)>> = RefCell::default();
    static STEPS: RefCell<Vec<(StateName, StepName)>> = RefCell::default();
}

/// How long each step takes by the recorder's clock.
const STEP: Duration = Duration::from_micros(1);

/// What was recorded, shared by the loop and its test.
#[derive(Clone)]
pub struct Recorder(Rc<RefCell<Records>>);

struct Records {
    open: BTreeMap<u64, Recorded>,
    /// How many connections were accepted.
    accepted: u64,
    /// The loop does not poll.
    is_iterating: bool,
    clock: Instant,
    violations: Vec<String>,
}

/// A connection.
struct Recorded {
    state: StateName,
    /// Its latest step, until something else is recorded of it.
    latest: Option<(StepName, StepResult)>,
}

impl Recorder {
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(Records {
            open: BTreeMap::new(),
            accepted: 0,
            is_iterating: false,
            clock: Now::read().instant,
            violations: Vec::new(),
        })))
    }

    /// The rules that were broken, if the loop has ended now.
    pub fn violations(&self) -> Vec<String> {
        let records = self.0.borrow();
        let open = records.open.keys();
        let open = open.map(|id| format!("connection {id} was never closed"));
        records.violations.iter().cloned().chain(open).collect()
    }
}

impl Records {
    fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violations
                .push(format!("calls of the probe: {}", what()));
        }
    }

    /// Records a call about this connection.
    fn with(&mut self, id: u64, what: &str, record: impl FnOnce(&mut Self, &mut Recorded)) {
        let is_iterating = self.is_iterating;
        self.check(is_iterating, || {
            format!("{what} of connection {id} while the loop polls")
        });
        match self.open.remove(&id) {
            None => self.check(false, || {
                format!("{what} of connection {id}, which is not open")
            }),
            Some(mut recorded) => {
                record(self, &mut recorded);
                self.open.insert(id, recorded);
            }
        }
    }
}

/// Whether the table has this transition.
fn is_transition(from: StateName, call: &'static str, to: StateName) -> bool {
    is_in_table(&TRANSITIONS, (from, call, to), || {
        let (from, to) = (word(from), word(to));
        Box::new(move |[state, what, next, _]| {
            begins(state, &from) && begins(what, call) && *next == to
        })
    })
}

/// Whether a connection in this state may take this step.
fn is_step(state: StateName, step: StepName) -> bool {
    is_in_table(&STEPS, (state, step), || {
        let (state, step) = (word(state), format!("{step:?}"));
        Box::new(move |[_, _, next, its_step]| *next == state && begins(its_step, &step))
    })
}

/// Whether `find` finds a row of the table. Caches what was found.
fn is_in_table<T: PartialEq>(
    found: &'static LocalKey<RefCell<Vec<T>>>,
    what: T,
    find: impl FnOnce() -> Box<dyn Fn(&[String; 4]) -> bool>,
) -> bool {
    if found.with_borrow(|found| found.contains(&what)) {
        return true;
    }
    let is_found = TABLE.iter().any(find());
    if is_found {
        found.with_borrow_mut(|found| found.push(what));
    }
    is_found
}

/// Whether a cell is this word, or begins with it.
fn begins(cell: &str, word: &str) -> bool {
    let rest = cell.strip_prefix(word);
    rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// A state as the table has it, with one kind of error.
fn word(state: StateName) -> String {
    match state {
        StateName::Closed(CloseReason::SocketError(_)) => "Closed(SocketError)".into(),
        StateName::Closed(CloseReason::SendError(_)) => "Closed(SendError(ConnectionReset))".into(),
        other => format!("{other:?}"),
    }
}

/// The call of the table that a cause stands for.
fn call_of(cause: Cause, result: Option<StepResult>) -> &'static str {
    match (cause, result) {
        (Cause::Step(_), Some(StepResult::Failed(_))) | (Cause::Registration, _) => "on_error",
        (Cause::Step(StepName::Receive | StepName::Discard), Some(StepResult::Bytes(0))) => {
            "on_peer_closed"
        }
        (Cause::Step(StepName::Handshake), _) => "on_handshake",
        (Cause::Step(StepName::Receive), _) => "on_received",
        (Cause::Step(StepName::Respond), Some(StepResult::Postponed)) => "postpone",
        (Cause::Step(StepName::Respond), _) => "respond",
        (Cause::Step(StepName::Send), _) => "on_sent",
        (Cause::Step(StepName::SendFile), _) => "on_file_sent",
        (Cause::Step(StepName::Produce), _) => "produce",
        (Cause::Step(StepName::Shutdown), _) => "on_shutdown_skipped",
        (Cause::Step(StepName::Discard), _) => "on_discarded",
        (Cause::Step(StepName::End), _) => "an end, which changes nothing",
        (Cause::Deadline, _) => "on_deadline",
        (Cause::Eviction, _) => "end (Evicted)",
        (Cause::Stop | Cause::Abort, _) => "abort",
        (Cause::Panic, _) => "a panic",
    }
}

impl Probe for Recorder {
    fn clock(&mut self) -> Option<Instant> {
        let records = &mut *self.0.borrow_mut();
        records.clock += STEP;
        Some(records.clock)
    }

    fn on_poll_begin(&mut self, _: Now, _: Option<Duration>) {
        self.0.borrow_mut().is_iterating = false;
    }

    fn on_poll_end(&mut self, _: Now, _: usize) {
        let records = &mut *self.0.borrow_mut();
        let was_iterating = std::mem::replace(&mut records.is_iterating, true);
        records.check(!was_iterating, || "an iteration within another".into());
    }

    fn on_accept(&mut self, id: u64, _: Origin, state: StateName) {
        let records = &mut *self.0.borrow_mut();
        let expected = records.accepted;
        records.accepted += 1;
        let is_iterating = records.is_iterating;
        records.check(is_iterating && id == expected, || {
            format!("connection {id} was accepted after {expected} others")
        });
        records.open.insert(
            id,
            Recorded {
                state,
                latest: None,
            },
        );
    }

    fn on_event(&mut self, id: u64, _: EventFlags) {
        let records = &mut *self.0.borrow_mut();
        records.with(id, "an event", |_, recorded| recorded.latest = None);
    }

    fn on_step(&mut self, id: u64, step: StepName, result: StepResult, time: Option<Duration>) {
        let records = &mut *self.0.borrow_mut();
        records.with(id, "a step", |records, recorded| {
            let state = recorded.state;
            records.check(is_step(state, step), || format!("{step:?} in {state:?}"));
            records.check(time == Some(STEP), || format!("{step:?} took {time:?}"));
            recorded.latest = Some((step, result));
        });
    }

    fn on_transition(&mut self, id: u64, from: StateName, to: StateName, cause: Cause) {
        let records = &mut *self.0.borrow_mut();
        records.with(id, "a transition", |records, recorded| {
            let state = std::mem::replace(&mut recorded.state, to);
            records.check(from == state, || {
                format!("connection {id} left {from:?}, but was in {state:?}")
            });
            let latest = recorded.latest.take();
            if let Cause::Step(step) = cause {
                let is_latest = latest.is_some_and(|(latest, _)| latest == step);
                records.check(is_latest, || {
                    format!("{step:?} is a cause after {latest:?}")
                });
            }
            let call = call_of(cause, latest.map(|(_, result)| result));
            records.check(is_transition(from, call, to), || {
                format!("{from:?}, {call}: {to:?}, which is not in docs/states.md")
            });
        });
    }

    fn on_close(&mut self, id: u64, reason: CloseReason, _: Counts) {
        let records = &mut *self.0.borrow_mut();
        records.with(id, "the close", |records, recorded| {
            let state = recorded.state;
            records.check(state == StateName::Closed(reason), || {
                format!("connection {id} closed for {reason:?} in {state:?}")
            });
        });
        records.open.remove(&id);
    }
}

/// A recorder in an iteration, with one connection.
fn recorder() -> (Recorder, u64) {
    let mut recorder = Recorder::new();
    recorder.on_poll_end(Now::read(), 0);
    let origin = Origin {
        listener: ListenerInfo::public(0),
        peer: None,
    };
    recorder.on_accept(0, origin, StateName::Reading);
    (recorder, 0)
}

type MakeRecords = fn(&mut Recorder);

const END_OF_STREAM: (StepName, StepResult) = (StepName::Receive, StepResult::Bytes(0));
const CLOSED: StateName = StateName::Closed(CloseReason::PeerClosed);

#[test]
fn records_of_a_connection_that_closes_break_no_rule() {
    let (mut recorder, id) = recorder();
    assert_eq!(recorder.violations(), ["connection 0 was never closed"]);
    recorder.on_event(id, EventFlags::default());
    recorder.on_step(id, END_OF_STREAM.0, END_OF_STREAM.1, Some(STEP));
    let cause = Cause::Step(END_OF_STREAM.0);
    recorder.on_transition(id, StateName::Reading, CLOSED, cause);
    recorder.on_close(id, CloseReason::PeerClosed, Counts::default());
    assert_eq!(recorder.violations(), [""; 0]);
    recorder.on_event(id, EventFlags::default());
    assert_eq!(recorder.violations().len(), 1, "after the close");
}

#[test]
fn records_that_contradict_each_other_or_the_table_break_a_rule() {
    let wrong: [(&str, MakeRecords); 7] = [
        ("while the loop polls", |recorder| {
            recorder.on_poll_begin(Now::read(), None);
            recorder.on_event(0, EventFlags::default());
        }),
        ("of connection 1, which is not open", |recorder| {
            recorder.on_event(1, EventFlags::default());
        }),
        ("Send in Reading", |recorder| {
            recorder.on_step(0, StepName::Send, StepResult::Bytes(1), Some(STEP));
        }),
        ("Receive took None", |recorder| {
            recorder.on_step(0, StepName::Receive, StepResult::Bytes(1), None);
        }),
        ("closed for PeerClosed in Reading", |recorder| {
            recorder.on_close(0, CloseReason::PeerClosed, Counts::default());
        }),
        ("Receive is a cause after None", |recorder| {
            let cause = Cause::Step(StepName::Receive);
            recorder.on_transition(0, StateName::Reading, CLOSED, cause);
        }),
        ("left Closing, but was in Reading", |recorder| {
            recorder.on_transition(0, StateName::Closing, CLOSED, Cause::Abort);
        }),
    ];
    for (expected, tell) in wrong {
        let (mut recorder, _) = recorder();
        tell(&mut recorder);
        let violations = recorder.violations().join("\n");
        assert!(violations.contains(expected), "{expected}: {violations}");
    }
    let (mut recorder, id) = recorder();
    recorder.on_transition(id, StateName::Reading, CLOSED, Cause::Eviction);
    assert!(recorder.violations()[0].contains("not in docs/states.md"));
}
