//! [`Probe`]: observes the loop and its connections, and changes nothing.
//!
//! Engine, scheduler and pump have the probe as a type parameter. It is `()` by default: then the
//! calls are empty, and the compiler removes them with what prepares them.
//!
//! A connection has an id: 0, 1, 2 in the order in which the loop accepts. An id is never used
//! again, unlike the key of a slot.

use crate::clock::Now;
use crate::connection::{CloseReason, Connection, Counts, StateName, StepName};
use crate::handler::Listener;
use crate::http::request::{Refusal, Request};
use crate::http::status::Status;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Observes a loop. The calls come in the order of what they report. Methods that a probe does not
/// define do nothing.
pub trait Probe {
    /// Whether there is anything to report to. `false` for `()` only.
    const ACTIVE: bool = true;

    /// The time, to measure how long a step takes: read before and after each one. `None`: steps
    /// are not timed, and no clock is read for them.
    fn clock(&mut self) -> Option<Instant> {
        None
    }

    /// The iteration is over. The loop polls next, for at most `timeout`.
    fn on_iteration_end(&mut self, _now: Now, _timeout: Option<Duration>) {}

    /// The poll has returned this number of events, and the next iteration begins at `now`.
    fn on_iteration_begin(&mut self, _now: Now, _events: usize) {}

    /// A connection was accepted. It begins in `state`.
    fn on_accept(&mut self, _id: u64, _origin: Origin, _state: StateName) {}

    /// An event arrived for the connection: it will run in this iteration.
    fn on_event(&mut self, _id: u64) {}

    /// A request head was parsed, or is refused. Called within the step that answers it, before its
    /// [`Probe::on_step`].
    fn on_request(&mut self, _id: u64, _request: &Result<Request<'_>, Refusal<'_>>) {}

    /// The pump took a step. `time` is how long it took, by [`Probe::clock`].
    fn on_step(&mut self, _id: u64, _step: StepName, _result: StepResult, _time: Option<Duration>) {
    }

    /// The connection has another state than before. If a step is the cause, this follows its
    /// [`Probe::on_step`].
    fn on_transition(&mut self, _id: u64, _from: StateName, _to: StateName, _cause: Cause) {}

    /// The connection has ended, and its socket closes now. The last call with this id.
    fn on_close(&mut self, _id: u64, _reason: CloseReason, _counts: Counts) {}
}

impl Probe for () {
    const ACTIVE: bool = false;
}

/// Where a connection came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The listener that accepted it.
    pub listener: Listener,
    /// The address of the peer; `None` on a unix socket.
    pub peer: Option<IpAddr>,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepResult {
    /// This many bytes were received, sent or dropped. 0 received or dropped: the peer has closed
    /// its direction. 0 sent of a file: the file has shrunk.
    Bytes(usize),
    /// The handler has answered with this status.
    Answered(Status),
    /// The step is done, and has no more to tell.
    Done,
    /// The step was not tried: the budget of this iteration is used up.
    OutOfBudget,
    /// A half-close that was left out: the peer expects no more, so the socket is closed at once.
    LeftOut,
    /// No system call was made: the transport knows that it would block. The connection waits for
    /// an event.
    NotReady,
    /// The operation failed. `WouldBlock`: the connection waits for an event.
    Failed(io::ErrorKind),
}

/// What a transition of a connection's state follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The result of this step.
    Step(StepName),
    /// Its deadline has passed.
    Deadline,
    /// It was idle, and closed to accept another connection.
    Eviction,
    /// The grace period is over, or a second signal stops the server at once.
    Abort,
    /// Handling it panicked.
    Panic,
    /// The poll cannot watch its socket.
    Registration,
}

/// The state of a connection of which the probe knows. `()` knows none, and costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct KnownState(Option<StateName>);

impl KnownState {
    /// The probe knows the state that `connection` is in.
    pub fn of<P: Probe>(connection: &Connection) -> Self {
        Self(P::ACTIVE.then(|| connection.state_name()))
    }

    /// Reports to `probe` that the connection `id` is in another state now, if it is.
    pub fn update<P: Probe>(
        &mut self,
        connection: &Connection,
        probe: &mut P,
        id: u64,
        cause: Cause,
    ) {
        if P::ACTIVE {
            let to = connection.state_name();
            if let Some(from) = self.0.replace(to)
                && from != to
            {
                probe.on_transition(id, from, to, cause);
            }
        }
    }
}
