//! The only loop that moves bytes: asks a connection for its next step, does it on a transport and
//! reports the result, until there is a reason to stop.
//!
//! All models but `fixed` use it. They differ in what they do when it returns.

use crate::clock::Now;
use crate::connection::{CloseReason, Connection, ResponseContext, Step, StepName};
use crate::handler::Handler;
use crate::http::payload::FileRange;
use crate::limits::Limits;
use crate::probe::{Cause, Probe, ReportedState, StepResult};
use crate::transport::{Handshake, Transport};
use crate::warnings::{Printable, RateLimited, name_of};
use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// A connection with its socket and its handler's state, as every driver keeps them.
#[derive(Debug)]
pub struct Session<T, S> {
    /// Never that of another connection. The probe knows the connection by it.
    pub id: u64,
    /// The protocol.
    pub connection: Connection,
    /// The socket.
    pub transport: T,
    /// The handler's state of the connection.
    pub handler_state: S,
}

impl<T: Transport, S> Session<T, S> {
    /// Makes the session of a connection that was just accepted.
    // Inlined, the session is made where it is stored: a copy less for each connection.
    #[inline]
    pub fn new(id: u64, transport: T, handler_state: S, limits: Arc<Limits>, now: Instant) -> Self {
        let connection = match transport.needs_handshake() {
            true => Connection::before_handshake(limits, now),
            false => Connection::new(limits, now),
        };
        Self {
            id,
            connection,
            transport,
            handler_state,
        }
    }

    /// Changes the state of the connection outside of [`pump`], and reports that to `probe`.
    pub fn change<P: Probe>(
        &mut self,
        probe: &mut P,
        cause: Cause,
        change: impl FnOnce(&mut Connection),
    ) {
        let mut reported_state = ReportedState::of::<P>(&self.connection);
        change(&mut self.connection);
        reported_state.update(&self.connection, probe, self.id, cause);
    }

    /// The deadline has passed at `now`. `draining`: the server is stopping, and has moved the
    /// deadline if there is no request.
    pub fn on_deadline<P: Probe>(&mut self, probe: &mut P, now: Instant, draining: bool) {
        if draining && self.connection.has_no_request() {
            self.abort(probe, Cause::Stop);
        } else {
            self.change(probe, Cause::Deadline, |connection| {
                connection.on_deadline(now);
            });
        }
    }

    /// Ends the connection in any state, because the server is stopping.
    pub fn abort<P: Probe>(&mut self, probe: &mut P, cause: Cause) {
        self.change(probe, cause, |connection| {
            connection.abort();
        });
    }

    /// Reports the end of the connection to the probe and the handler. Returns the transport, which
    /// the driver closes.
    pub fn close<H: Handler<State = S>, P: Probe>(
        mut self,
        reason: CloseReason,
        handler: &mut H,
        probe: &mut P,
        now: Now,
    ) -> T {
        probe.on_close(self.id, reason, self.connection.counts());
        if reason.is_reset() {
            self.transport.reset_on_close();
        } else {
            // If the socket would block now, nothing waits for it any more.
            let _ = self.transport.close_notify();
        }
        handler.on_close(self.handler_state, reason, self.connection.counts(), now);
        self.transport
    }
}

/// Why the pump stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PumpOutcome {
    /// The socket would block, in either direction: any readiness is a reason to try again.
    Blocked,
    /// The handler is not ready to answer: its [`notifier`](Handler::notifier) tells when the
    /// driver must call again.
    Waiting,
    /// The budget is used up, or a call was interrupted (EINTR). No event will come: the driver
    /// must call again by itself.
    Yielded,
    /// The connection has ended; the driver closes its socket.
    Ended(CloseReason),
}

/// What one call of [`pump`] may use, and what it needs to know.
#[derive(Debug)]
pub struct PumpContext<'c, P = ()> {
    /// The time of the iteration.
    pub now: Now,
    /// The same time by the clock of the deadlines, which stands still in a stall.
    pub deadline_now: Instant,
    /// The value of the Date field at that time.
    pub date: &'c [u8; 29],
    /// The server is stopping.
    pub draining: bool,
    /// The limits, among them the budget of one call.
    pub limits: &'c Limits,
    /// The driver's buffers.
    pub buffers: &'c mut SharedBuffers,
    /// What observes the connection.
    pub probe: &'c mut P,
}

impl<P> PumpContext<'_, P> {
    fn response_context(&self, budget: &Budget) -> ResponseContext<'_> {
        ResponseContext {
            date: self.date,
            draining: self.draining,
            may_coalesce: budget.requests > 0,
        }
    }
}

/// The buffers that a driver lends to the connection that runs.
#[derive(Debug)]
pub struct SharedBuffers {
    receive: Box<[u8]>,
    send: Vec<u8>,
    copy: Vec<u8>,
}

/// Bytes that are copied at once where sendfile is not used.
const COPY_BUFFER: usize = 64 * 1024;

impl SharedBuffers {
    /// Makes buffers of the sizes that `limits` name.
    pub fn new(limits: &Limits) -> Self {
        // The longest allowed head, and one byte that shows that it is longer.
        let receive = limits
            .read_bytes_per_iteration
            .max(limits.max_head_bytes + 1);
        Self::receiving(receive, limits)
    }

    /// The same, for a transport that never receives more than `receive` bytes at once.
    pub fn receiving(receive: usize, limits: &Limits) -> Self {
        // Gathered responses, the body that exceeds their limit, and a few headers.
        let send = limits.max_coalesced_bytes + limits.max_inline_body_bytes + 4096;
        Self {
            receive: vec![0; receive].into(),
            send: Vec::with_capacity(send),
            copy: Vec::new(),
        }
    }

    /// Where a file is copied if it cannot be sent directly. Allocated when a file is sent.
    fn copy(&mut self) -> &mut [u8] {
        if self.copy.is_empty() {
            self.copy = vec![0; COPY_BUFFER];
        }
        &mut self.copy
    }
}

/// Moves bytes between a session's connection and its transport until the socket would block, the
/// budget is used up, or the connection has ended.
pub fn pump<T: Transport, H: Handler, P: Probe>(
    session: &mut Session<T, H::State>,
    handler: &mut H,
    context: &mut PumpContext<'_, P>,
) -> PumpOutcome {
    let mut reported_state = ReportedState::of::<P>(&session.connection);
    pump_from(&mut reported_state, session, handler, context)
}

/// The loop of [`pump`]. `reported_state` is the caller's, so that it survives a panic.
fn pump_from<T: Transport, H: Handler, P: Probe>(
    reported_state: &mut ReportedState,
    session: &mut Session<T, H::State>,
    handler: &mut H,
    context: &mut PumpContext<'_, P>,
) -> PumpOutcome {
    session
        .connection
        .borrow_from(&mut context.buffers.receive, &mut context.buffers.send);
    let mut budget = Budget::of(context.limits);
    let outcome = loop {
        let began = context.probe.clock();
        let (step, result, stop) = do_step(session, handler, context, &mut budget);
        let ended = context.probe.clock();
        let time = ended.zip(began).map(|(ended, began)| ended - began);
        context.probe.on_step(session.id, step, result, time);
        let cause = Cause::Step(step);
        reported_state.update(&session.connection, context.probe, session.id, cause);
        if let Some(outcome) = stop {
            break outcome;
        }
    };
    session
        .connection
        .give_back_to(&mut context.buffers.receive, &mut context.buffers.send);
    outcome
}

/// Like [`pump`], but a panic (a bug in oneloop) ends only this connection. The buffers that it had
/// borrowed are replaced.
pub fn pump_guarded<T: Transport, H: Handler, P: Probe>(
    session: &mut Session<T, H::State>,
    handler: &mut H,
    context: &mut PumpContext<'_, P>,
) -> PumpOutcome {
    let mut reported_state = ReportedState::of::<P>(&session.connection);
    let pumped = catch_unwind(AssertUnwindSafe(|| {
        pump_from(&mut reported_state, session, handler, context)
    }));
    pumped.unwrap_or_else(|_| {
        log::error!("a panic, a bug in oneloop, closed one connection; please report it");
        *context.buffers = SharedBuffers::new(context.limits);
        session.connection.end(CloseReason::Panicked);
        reported_state.update(&session.connection, context.probe, session.id, Cause::Panic);
        PumpOutcome::Ended(CloseReason::Panicked)
    })
}

/// Does one step. Returns its result, and why the pump stops; `None` if the next step may follow.
fn do_step<T: Transport, H: Handler, P: Probe>(
    session: &mut Session<T, H::State>,
    handler: &mut H,
    context: &mut PumpContext<'_, P>,
    budget: &mut Budget,
) -> (StepName, StepResult, Option<PumpOutcome>) {
    let (connection, transport) = (&mut session.connection, &mut session.transport);
    let handler_state = &mut session.handler_state;
    let deadline_now = context.deadline_now;
    let was_sending = connection.is_sending_body();
    let step = connection.step();
    let name = step.name();
    if budget.is_spent_for(&step) {
        return (name, StepResult::OutOfBudget, Some(PumpOutcome::Yielded));
    }
    let done = match step {
        Step::Handshake => {
            let on_client = |client| handler.on_client(handler_state, client);
            shake_hands(connection, transport, on_client, budget, deadline_now)
        }
        Step::Receive(buffer) => receive(transport, buffer, budget)
            .inspect(|&length| match length {
                0 => connection.on_peer_closed(),
                _ => connection.on_received(length, deadline_now),
            })
            .map(StepResult::Bytes),
        Step::Respond(request) if !handler.is_ready(handler_state, &request, context.now) => {
            return postpone(connection, deadline_now);
        }
        Step::Respond(request) => {
            budget.requests -= 1;
            context.probe.on_request(session.id, &request);
            let response = handler.respond(handler_state, request, context.now);
            let status = response.status;
            let before = P::ACTIVE.then(|| (connection.unsent().len(), response.payload.length()));
            connection.respond(response, context.response_context(budget), deadline_now);
            report_response(session.id, connection, before, context);
            if !connection.is_sending_body() {
                handler.on_body_taken(handler_state, connection.counts().latest_body, context.now);
            }
            return (name, StepResult::Answered(status), None);
        }
        Step::Send { bytes, more } => send(transport, bytes, more, budget)
            .inspect(|&length| connection.on_sent(length, deadline_now))
            .map(StepResult::Bytes),
        Step::SendFile(range) => send_file(transport, range, context.buffers.copy(), budget)
            .inspect(|&length| connection.on_file_sent(length as u64, deadline_now))
            .map(StepResult::Bytes),
        Step::Produce => produce(connection, transport, budget, deadline_now),
        Step::Shutdown { may_skip } => shut_down(connection, transport, may_skip),
        Step::Discard(buffer) => receive(transport, buffer, budget)
            .inspect(|&length| match length {
                0 => connection.on_peer_closed(),
                _ => connection.on_discarded(length),
            })
            .map(StepResult::Bytes),
        Step::End(reason) => return (name, StepResult::Done, Some(PumpOutcome::Ended(reason))),
    };
    let has_sent = done.is_ok() && was_sending && !connection.is_sending_body();
    if has_sent && connection.close_reason().is_none() {
        handler.on_body_taken(handler_state, connection.counts().latest_body, context.now);
    }
    let stop = match done.as_ref().map_err(io::Error::kind) {
        Ok(_) => None,
        Err(io::ErrorKind::Interrupted) => Some(PumpOutcome::Yielded),
        Err(io::ErrorKind::WouldBlock) => Some(PumpOutcome::Blocked),
        Err(kind) => {
            connection.on_error(kind);
            None
        }
    };
    (name, done.unwrap_or_else(|error| result_of(&error)), stop)
}

/// The handler is not ready. Returns what [`do_step`] does.
#[cold]
fn postpone(
    connection: &mut Connection,
    now: Instant,
) -> (StepName, StepResult, Option<PumpOutcome>) {
    let has_unsent = connection.postpone(now);
    let stop = (!has_unsent).then_some(PumpOutcome::Waiting);
    (StepName::Respond, StepResult::Postponed, stop)
}

/// Reports a response to the probe. `before`: how many bytes waited to be sent before it was
/// rendered behind them, and the length of its payload; `None` without a probe.
fn report_response<P: Probe>(
    id: u64,
    connection: &Connection,
    before: Option<(usize, Option<u64>)>,
    context: &mut PumpContext<'_, P>,
) {
    let Some((unsent, length)) = before else {
        return;
    };
    let (_, rendered) = connection.unsent().split_at(unsent);
    let length = match connection.is_sending_body() {
        true => length,
        // A response to HEAD has no body, whatever its length.
        false => Some(connection.counts().latest_body),
    };
    context.probe.on_response(id, rendered, length);
}

/// The result of a step that failed. `WouldBlock` without an errno: the transport made no call.
fn result_of(error: &io::Error) -> StepResult {
    match error.kind() {
        io::ErrorKind::WouldBlock if error.raw_os_error().is_none() => StepResult::NotReady,
        kind => StepResult::Failed(kind),
    }
}

/// What is left of the budget of one call. Each part is used up by certain steps.
struct Budget {
    read: usize,
    written: usize,
    sends: usize,
    requests: usize,
    /// Slices of a body, or parts of a handshake.
    slices: usize,
}

impl Budget {
    fn of(limits: &Limits) -> Self {
        Self {
            read: limits.read_bytes_per_iteration,
            written: limits.written_bytes_per_iteration,
            sends: limits.sends_per_iteration,
            requests: limits.requests_per_iteration,
            slices: 1,
        }
    }

    fn is_spent_for(&self, step: &Step<'_>) -> bool {
        match step {
            Step::Receive(_) | Step::Discard(_) => self.read == 0,
            Step::Respond(_) => self.requests == 0,
            Step::Send { .. } | Step::SendFile(_) => self.written == 0 || self.sends == 0,
            Step::Produce | Step::Handshake => self.slices == 0,
            Step::Shutdown { .. } | Step::End(_) => false,
        }
    }
}

/// `on_client` gets the client that a proxy names.
fn shake_hands<T: Transport>(
    connection: &mut Connection,
    transport: &mut T,
    on_client: impl FnOnce(IpAddr),
    budget: &mut Budget,
    deadline_now: Instant,
) -> io::Result<StepResult> {
    let done = transport.handshake()?;
    match done {
        Handshake::Client(client) => on_client(client),
        Handshake::Unfinished | Handshake::Complete => budget.slices -= 1,
    }
    if done == Handshake::Complete {
        connection.on_handshake(deadline_now);
    }
    Ok(StepResult::Done)
}

fn receive<T: Transport>(
    transport: &mut T,
    buffer: &mut [u8],
    budget: &mut Budget,
) -> io::Result<usize> {
    let max_received = buffer.len().min(budget.read);
    assert!(
        max_received > 0,
        "a receive of nothing would look like the end"
    );
    let length = transport.receive(buffer.split_at_mut(max_received).0)?;
    budget.read -= length;
    Ok(length)
}

/// Sends bytes in memory, whose number is bounded elsewhere. The budget does not cut them, which
/// would only cost another call.
fn send<T: Transport>(
    transport: &mut T,
    bytes: &[u8],
    more: bool,
    budget: &mut Budget,
) -> io::Result<usize> {
    assert!(!bytes.is_empty(), "a send of nothing");
    budget.sends -= 1;
    let length = transport.send(bytes, more)?;
    if length == 0 {
        return Err(io::ErrorKind::WriteZero.into());
    }
    budget.written = budget.written.saturating_sub(length);
    Ok(length)
}

fn produce<T: Transport>(
    connection: &mut Connection,
    transport: &T,
    budget: &mut Budget,
    now: Instant,
) -> io::Result<StepResult> {
    if transport.is_send_closed() {
        // The slices of a compressed body may be many before the next send.
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    budget.slices -= 1;
    connection.produce(now);
    Ok(StepResult::Done)
}

fn shut_down<T: Transport>(
    connection: &mut Connection,
    transport: &mut T,
    may_skip: bool,
) -> io::Result<StepResult> {
    transport.close_notify()?;
    if may_skip && transport.is_known_empty() {
        connection.on_shutdown_skipped();
        return Ok(StepResult::Skipped);
    }
    transport.shutdown()?;
    connection.on_shutdown();
    Ok(StepResult::Done)
}

fn send_file<T: Transport>(
    transport: &mut T,
    range: &FileRange,
    copy: &mut [u8],
    budget: &mut Budget,
) -> io::Result<usize> {
    budget.sends -= 1;
    let max_sent = range.left().min(budget.written as u64);
    let sent = transport.send_file(range.file(), range.offset(), max_sent, copy);
    match &sent {
        Ok(0) => warn_of_cut_off(range, &"the file was truncated while it was sent"),
        Err(error) if is_of_the_file(error) => warn_of_cut_off(range, error),
        _ => {}
    }
    let length = sent?;
    budget.written -= length;
    Ok(length)
}

/// Warns that a response was cut off because its file has too few bytes or cannot be read.
fn warn_of_cut_off(range: &FileRange, why: &dyn Display) {
    static CUT_OFF: RateLimited = RateLimited::new();
    let (name, offset) = (name_of(range.file()), range.offset());
    let name = Printable(name.as_os_str().as_bytes());
    CUT_OFF.warn(format_args!(
        "a response was cut off at byte {offset} of {name}: {why}"
    ));
}

/// Whether an error of sending from a file comes from the file, not from the socket (send(2)).
fn is_of_the_file(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    !matches!(
        error.kind(),
        WouldBlock
            | Interrupted
            | BrokenPipe
            | ConnectionReset
            | ConnectionAborted
            | ConnectionRefused
            | NotConnected
            | TimedOut
            | HostUnreachable
            | NetworkUnreachable
            | NetworkDown
    )
}
