//! [`Probe`]: observes the loop and its connections, and changes nothing.
//!
//! Pump, scheduler, engine and the other models have the probe as a type parameter. With `()` the
//! calls are empty, and the compiler removes them with what prepares them.
//!
//! A connection has an id: 0, 1, 2 in the order in which the server accepts. An id is never used
//! again, unlike the key of a slot.
//!
//! A model with several threads or processes has a clone of the probe in each of them. One clone
//! sees all of a connection.

use crate::clock::Now;
use crate::connection::{CloseReason, Connection, Counts, StateName, StepName};
use crate::handler::ListenerInfo;
use crate::http::request::{Refusal, Request};
use crate::http::status::Status;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Observes connections, and the loop if there is one. The calls for a connection come in the order
/// of what they report. Methods that a probe does not
/// define do nothing.
pub trait Probe {
    /// Whether there is anything to report to. `false` for `()` only.
    const ACTIVE: bool = true;

    /// The time, to measure how long a step takes: read before and after each one. `None`: steps
    /// are not timed, and no clock is read for them.
    fn clock(&mut self) -> Option<Instant> {
        None
    }

    /// The work of the iteration is done. The loop polls now, for at most `timeout`.
    fn on_poll_begin(&mut self, _now: Now, _timeout: Option<Duration>) {}

    /// The poll has returned this number of events. What follows happens at `now`.
    fn on_poll_end(&mut self, _now: Now, _events: usize) {}

    /// A connection was accepted, and is served from here on. It begins in `state`.
    fn on_accept(&mut self, _id: u64, _origin: Origin, _state: StateName) {}

    /// An event arrived for the connection: it will run in this iteration. Only the reactor and the
    /// coroutines have events.
    fn on_event(&mut self, _id: u64, _flags: EventFlags) {}

    /// The socket of the connection was registered with the poll (epoll_ctl(2), kevent(2)). Only
    /// the reactor and the coroutines have a poll.
    fn on_register(&mut self, _id: u64) {}

    /// A thread of a blocking model has read from the socket of the connection, and mostly slept in
    /// that read. `time` is how long it took, by [`Probe::clock`]. The steps that receive get their
    /// bytes from it.
    fn on_wait(&mut self, _id: u64, _result: StepResult, _time: Option<Duration>) {}

    /// A request head was parsed, or is refused. Called within the step that answers it, before its
    /// [`Probe::on_step`].
    fn on_request(&mut self, _id: u64, _request: &Result<Request<'_>, Refusal<'_>>) {}

    /// The response was rendered, within the step that answers: `rendered` is its head, and what of
    /// its body is in memory behind it. `length` is that of the whole body; `None` if that is known
    /// only when it has been made.
    fn on_response(&mut self, _id: u64, _rendered: &[u8], _length: Option<u64>) {}

    /// The pump took a step. `time` is how long it took, by [`Probe::clock`].
    fn on_step(&mut self, _id: u64, _step: StepName, _result: StepResult, _time: Option<Duration>) {
    }

    /// The connection has another state than before. If a step is the cause, this follows its
    /// [`Probe::on_step`].
    fn on_transition(&mut self, _id: u64, _from: StateName, _to: StateName, _cause: Cause) {}

    /// The connection has run, and is open. `received` are the bytes after the latest request: as a
    /// rule none, or a part of a head. It expires after `left` if nothing happens.
    /// Only the reactor reports it.
    fn on_run_end(&mut self, _id: u64, _received: &[u8], _left: Duration) {}

    /// The connection has ended, and its socket closes now. The last call with this id.
    fn on_close(&mut self, _id: u64, _reason: CloseReason, _counts: Counts) {}

    /// Public connections wait, and none is accepted for a moment: the limit of connections is
    /// reached, or the system has no descriptor.
    fn on_accept_pause(&mut self) {}

    /// The server stops: it goes on with the requests that it has, and then ends.
    fn on_drain(&mut self) {}

    /// This process was forked from the one that has made the probe. Threads
    /// that the probe has started do not exist here.
    fn on_fork(&mut self) {}

    /// The process that was forked ends. The last call.
    fn on_exit(&mut self) {}
}

impl Probe for () {
    const ACTIVE: bool = false;
}

/// Passes the calls on to both of two probes.
macro_rules! pass_on {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        impl<A: Probe, B: Probe> Probe for (A, B) {
            fn clock(&mut self) -> Option<Instant> {
                let (first, second) = (self.0.clock(), self.1.clock());
                first.or(second)
            }

            $(fn $method(&mut self, $($argument: $type),*) {
                self.0.$method($($argument),*);
                self.1.$method($($argument),*);
            })*
        }
    };
}

// Every method of `Probe` but `clock`. One that is missing here is lost in a pair of probes.
pass_on! {
    on_poll_begin(now: Now, timeout: Option<Duration>);
    on_poll_end(now: Now, events: usize);
    on_accept(id: u64, origin: Origin, state: StateName);
    on_event(id: u64, flags: EventFlags);
    on_register(id: u64);
    on_wait(id: u64, result: StepResult, time: Option<Duration>);
    on_request(id: u64, request: &Result<Request<'_>, Refusal<'_>>);
    on_response(id: u64, rendered: &[u8], length: Option<u64>);
    on_step(id: u64, step: StepName, result: StepResult, time: Option<Duration>);
    on_transition(id: u64, from: StateName, to: StateName, cause: Cause);
    on_run_end(id: u64, received: &[u8], left: Duration);
    on_close(id: u64, reason: CloseReason, counts: Counts);
    on_accept_pause();
    on_drain();
    on_fork();
    on_exit();
}

/// What an event says about a socket (epoll_ctl(2), kevent(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventFlags {
    /// There may be bytes to receive.
    pub is_readable: bool,
    /// It may take bytes.
    pub is_writable: bool,
    /// The peer has closed its direction, or the connection is gone.
    pub is_read_closed: bool,
    /// Our direction is closed, or the connection is gone.
    pub is_write_closed: bool,
    /// Urgent data (tcp(7)).
    pub is_urgent: bool,
    /// An error is pending.
    pub is_error: bool,
}

/// Where a connection came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The listener that accepted it.
    pub listener: ListenerInfo,
    /// The address of the peer; `None` on a unix socket.
    pub peer: Option<SocketAddr>,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepResult {
    /// This many bytes were received, sent or dropped. 0 received or dropped: the peer has closed
    /// its direction. 0 sent of a file: the file has shrunk.
    Bytes(usize),
    /// The handler has answered with this status.
    Answered(Status),
    /// The handler is not ready to answer. Earlier responses are sent first.
    Postponed,
    /// The step is done, and has no more to tell.
    Done,
    /// The step was not tried: the budget of this iteration is used up.
    OutOfBudget,
    /// A half-close that was left out: the peer expects no more, so the socket is closed at once.
    Skipped,
    /// No system call was made: the transport knows that it would block. The connection waits for
    /// an event.
    NotReady,
    /// The operation failed. `WouldBlock`: the connection waits for an event.
    Failed(io::ErrorKind),
}

impl StepResult {
    /// The result of a system call that was made.
    pub fn of(result: Result<usize, io::ErrorKind>) -> Self {
        result.map_or_else(Self::Failed, Self::Bytes)
    }
}

/// Does `operation`, and measures how long it takes if `probe` wants to know.
pub fn timed<P: Probe, R>(probe: &mut P, operation: impl FnOnce() -> R) -> (R, Option<Duration>) {
    let began = probe.clock();
    let result = operation();
    let ended = probe.clock();
    (result, ended.zip(began).map(|(ended, began)| ended - began))
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
    /// The server is stopping, and it had no request.
    Stop,
    /// The grace period is over, or a second signal stops the server at once.
    Abort,
    /// Handling it panicked.
    Panic,
    /// The poll cannot watch its socket.
    Registration,
}

/// The state of a connection that was last reported to the probe. With `()` there is none, and it
/// costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct ReportedState(Option<StateName>);

impl ReportedState {
    /// The state that `connection` is in has been reported.
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
