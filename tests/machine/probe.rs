//! What the scheduler and the pump report to a probe, and in which order.

use crate::handler::Pages;
use crate::memory_transport::{MemoryTransport, Peer, pair};
use crate::{GET, get, seconds};
use oneloop::clock::Now;
use oneloop::connection::{CloseReason, Counts, StateName, StepName};
use oneloop::event_loop::scheduler::Scheduler;
use oneloop::handler::{Handler, ListenerInfo};
use oneloop::http::fields::FieldLines;
use oneloop::http::payload::{Payload, Produce, Progress};
use oneloop::http::request::{Refusal, Request};
use oneloop::http::response::Response;
use oneloop::http::status::Status;
use oneloop::limits::Limits;
use oneloop::probe::{Cause, EventFlags, Origin, Probe, StepResult};
use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Records each call as a line.
#[derive(Clone, Default)]
struct RecordingProbe(Rc<RefCell<Vec<String>>>);

impl RecordingProbe {
    fn write(&self, line: String) {
        self.0.borrow_mut().push(line);
    }

    /// The lines since the latest call.
    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

impl Probe for RecordingProbe {
    fn on_accept(&mut self, id: u64, origin: Origin, state: StateName) {
        self.write(format!(
            "{id} accepted at {}: {state:?}",
            origin.listener.id
        ));
    }

    fn on_event(&mut self, id: u64, _: EventFlags) {
        self.write(format!("{id} event"));
    }

    fn on_step(&mut self, id: u64, step: StepName, result: StepResult, time: Option<Duration>) {
        assert_eq!(time, None, "no clock");
        self.write(format!("{id} {step:?}: {result:?}"));
    }

    fn on_transition(&mut self, id: u64, from: StateName, to: StateName, cause: Cause) {
        self.write(format!("{id} {from:?} -> {to:?}, {cause:?}"));
    }

    fn on_close(&mut self, id: u64, reason: CloseReason, counts: Counts) {
        self.write(format!(
            "{id} closed: {reason:?}, {} bytes",
            counts.body_bytes
        ));
    }
}

/// A scheduler with a recording.
struct Observed<H: Handler> {
    scheduler: Scheduler<MemoryTransport, H::State, RecordingProbe>,
    handler: H,
    now: Now,
    recording: RecordingProbe,
}

impl<H: Handler> Observed<H> {
    fn new(handler: H) -> Self {
        let recording = RecordingProbe::default();
        let limits = Limits {
            requests_per_iteration: 1,
            ..Limits::default()
        };
        Self {
            scheduler: Scheduler::new(Arc::new(limits), recording.clone()),
            handler,
            now: Now::read(),
            recording,
        }
    }

    /// A peer connects and sends this. Returns its key, too.
    fn connect(&mut self, bytes: &str) -> (usize, Peer) {
        let (transport, peer) = pair();
        if !bytes.is_empty() {
            peer.sends(bytes);
        }
        let listener = ListenerInfo::public(0);
        let state = self.handler.on_connect(listener, None);
        let origin = Origin {
            listener,
            peer: None,
        };
        let key = self.scheduler.add(&origin, transport, state, self.now);
        (key, peer)
    }

    /// Runs the runnable connections and frees those that have ended. Returns what the probe
    /// recorded.
    fn run_phases(&mut self) -> Vec<String> {
        self.scheduler.run(&mut self.handler, self.now);
        self.scheduler.register(|_, _| Ok(()));
        self.scheduler.reap(&mut self.handler, self.now, drop);
        self.recording.take()
    }
}

#[test]
fn a_probe_gets_each_step_and_each_transition_with_its_cause() {
    let mut server = Observed::new(Pages::default());
    let (key, peer) = server.connect(&(GET.to_owned() + GET));
    let head = GET.len();
    let response = crate::OK.len();
    let first = [
        "0 accepted at 0: Reading".to_owned(),
        format!("0 Receive: Bytes({})", 2 * head),
        "0 Reading -> Parsing, Step(Receive)".into(),
        "0 Respond: Answered(Ok)".into(),
        "0 Parsing -> WritingHeader, Step(Respond)".into(),
        format!("0 Send: Bytes({response})"),
        "0 WritingHeader -> Parsing, Step(Send)".into(),
        "0 Respond: OutOfBudget".into(),
    ];
    assert_eq!(server.run_phases(), first);
    let second = [
        "0 Respond: Answered(Ok)".to_owned(),
        "0 Parsing -> WritingHeader, Step(Respond)".into(),
        format!("0 Send: Bytes({response})"),
        "0 WritingHeader -> Reading, Step(Send)".into(),
        "0 Receive: NotReady".into(),
    ];
    assert_eq!(server.run_phases(), second);
    peer.closes();
    assert!(
        server
            .scheduler
            .mark_ready(key, EventFlags::default)
            .is_some()
    );
    let last = [
        "0 event",
        "0 Receive: Bytes(0)",
        "0 Reading -> Closed(PeerClosed), Step(Receive)",
        "0 End: Done",
        "0 closed: PeerClosed, 10 bytes",
    ];
    assert_eq!(server.run_phases(), last);
    assert!(
        server
            .scheduler
            .mark_ready(key, EventFlags::default)
            .is_none()
    );
    assert_eq!(server.run_phases(), [""; 0], "the slot is free");
}

#[test]
fn an_id_is_never_used_again_although_the_key_is() {
    let mut server = Observed::new(Pages::default());
    let (first, peer) = server.connect("");
    peer.closes();
    server.run_phases();
    let (second, _peer) = server.connect("");
    assert_eq!(first, second);
    assert_eq!(server.run_phases()[0], "1 accepted at 0: Reading");
}

/// The transitions that the scheduler makes.
#[test]
fn a_transition_outside_of_the_pump_is_reported_with_its_cause() {
    let closed = |lines: Vec<String>| -> Vec<String> {
        let is_transition = |line: &String| line.contains("-> Closed");
        lines.into_iter().filter(is_transition).collect()
    };
    let mut server = Observed::new(Pages::default());
    let _evicted = server.connect("");
    server.run_phases();
    server.now.instant += seconds(2);
    server.scheduler.evict(&mut server.handler, server.now);
    let expected = ["0 Reading -> Closed(Evicted), Eviction"];
    assert_eq!(closed(server.run_phases()), expected);

    let _lost = server.connect("");
    server.scheduler.run(&mut server.handler, server.now);
    let refused = || io::Error::from(io::ErrorKind::OutOfMemory);
    server.scheduler.register(|_, _| Err(refused()));
    let expected = ["1 Reading -> Closed(SocketError(OutOfMemory)), Registration"];
    assert_eq!(closed(server.run_phases()), expected);

    let _late = server.connect("");
    server.run_phases();
    server.now.instant += Limits::default().idle_timeout;
    let expected = ["2 Reading -> Closed(IdleTimeout), Deadline"];
    assert_eq!(closed(server.run_phases()), expected);

    let _aborted = server.connect("");
    server.run_phases();
    server.scheduler.abort_all();
    let expected = ["3 Reading -> Closed(Stopping), Abort"];
    assert_eq!(closed(server.run_phases()), expected);

    let _idle = server.connect("");
    server.run_phases();
    server.scheduler.drain();
    server.now.instant += Limits::default().min_idle_time;
    let expected = ["4 Reading -> Closed(Stopping), Stop"];
    assert_eq!(closed(server.run_phases()), expected);
}

/// A handler whose response has a body that panics.
struct PanicsInBody;

#[derive(Debug)]
struct PanickingBody;

impl Produce for PanickingBody {
    fn produce(&mut self, _: &mut Vec<u8>) -> io::Result<Progress> {
        panic!("a panic that the scheduler catches");
    }
}

impl Handler for PanicsInBody {
    type State = ();

    fn on_connect(&mut self, _: ListenerInfo, _: Option<IpAddr>) {}

    fn respond(&mut self, _: &mut (), _: Result<Request<'_>, Refusal<'_>>, _: Now) -> Response {
        let response = Response::new(Status::Ok, Arc::new(FieldLines::new()));
        response.with(Payload::Stream(Box::new(PanickingBody)))
    }
}

/// The panic leaves the connection without a state.
#[test]
fn a_panic_is_reported_as_a_transition_from_the_latest_reported_state() {
    let mut server = Observed::new(PanicsInBody);
    let _peer = server.connect(&get("/"));
    let lines = server.run_phases();
    let expected = [
        "0 WritingHeader -> WritingBody, Step(Send)",
        "0 WritingBody -> Closed(Panicked), Panic",
        "0 closed: Panicked, 0 bytes",
    ];
    assert_eq!(lines[lines.len() - 3..], expected);
}
