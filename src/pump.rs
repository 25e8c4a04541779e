//! The only loop that moves bytes: asks a connection for its next step, does it on a
//! transport, and reports what came of it, until there is a reason to stop.
//!
//! It is the same for every way of waiting. What differs between servers is what they do when
//! it returns.

use crate::clock::Now;
use crate::connection::{CloseReason, Connection, Step, Terms};
use crate::handler::Handler;
use crate::http::payload::FileRange;
use crate::limits::Limits;
use crate::transport::Transport;
use crate::warnings::{Limited, Name, name_of};
use std::fmt::Display;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// One peer, as every driver keeps it.
#[derive(Debug)]
pub struct Client<T, S> {
    /// The protocol's side.
    pub connection: Connection,
    /// The network's side.
    pub transport: T,
    /// What the handler keeps of the peer.
    pub state: S,
}

impl<T: Transport, S> Client<T, S> {
    /// Reports the end of the connection to the handler. Returns the transport, which the driver
    /// closes.
    pub fn close<H: Handler<State = S>>(
        mut self,
        reason: CloseReason,
        handler: &mut H,
        now: Now,
    ) -> T {
        if reason.aborts() {
            self.transport.abort();
        }
        handler.on_close(self.state, reason, self.connection.counts(), now);
        self.transport
    }
}

/// Why the pump stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The socket would block. Which direction is not said: any readiness is a reason to
    /// try again.
    Blocked,
    /// The budget is used up. No event will tell: the driver has to come back by itself.
    Yielded,
    /// The connection is over; its socket is to be closed.
    Ended(CloseReason),
}

/// What one visit to a client may use, and what it needs to know.
#[derive(Debug)]
pub struct Visit<'v> {
    /// The time, one for the whole turn.
    pub now: Now,
    /// The same by the clock of the connection's deadlines.
    pub time: Instant,
    /// The Date field's value at that time.
    pub date: &'v [u8; 29],
    /// The server is stopping.
    pub draining: bool,
    /// The budget.
    pub limits: &'v Limits,
    /// Buffers on loan.
    pub loan: &'v mut Loan,
}

/// The buffers that a driver lends to whichever connection it serves.
#[derive(Debug)]
pub struct Loan {
    receive: Box<[u8]>,
    send: Vec<u8>,
    copy: Vec<u8>,
}

/// Bytes that a file travels in where sendfile is not used.
const COPY: usize = 64 * 1024;

impl Loan {
    /// Buffers of the sizes that `limits` name.
    pub fn new(limits: &Limits) -> Self {
        // A head of every allowed length fits, and one byte that shows it is longer.
        let receive = limits.read_per_iteration.max(limits.head + 1);
        // Room for what is gathered, the body that oversteps it, and a few headers.
        let send = limits.write_coalescing_limit + limits.inline_body_limit + 4096;
        Self {
            receive: vec![0; receive].into(),
            send: Vec::with_capacity(send),
            copy: vec![0; COPY],
        }
    }
}

/// Moves bytes between a client's connection and its transport until the socket would block, the
/// budget is used up, or the connection has ended.
pub fn pump<T: Transport, H: Handler>(
    client: &mut Client<T, H::State>,
    handler: &mut H,
    visit: &mut Visit<'_>,
) -> Pause {
    client
        .connection
        .borrow_from(&mut visit.loan.receive, &mut visit.loan.send);
    let mut budget = Budget::of(visit.limits);
    let pause = loop {
        if let Some(pause) = take_step(client, handler, visit, &mut budget) {
            break pause;
        }
    };
    client
        .connection
        .give_back_to(&mut visit.loan.receive, &mut visit.loan.send);
    pause
}

/// The same for a driver of many: a defect of ours that panics costs one connection, not all of
/// them. The buffers it had are made anew.
pub fn pump_guarded<T: Transport, H: Handler>(
    client: &mut Client<T, H::State>,
    handler: &mut H,
    visit: &mut Visit<'_>,
) -> Pause {
    catch_unwind(AssertUnwindSafe(|| pump(client, handler, visit))).unwrap_or_else(|_| {
        log::error!("a defect of oneloop's ended one connection; please report it");
        *visit.loan = Loan::new(visit.limits);
        client.connection.end(CloseReason::Cut);
        Pause::Ended(CloseReason::Cut)
    })
}

/// Does one step; `None` to go on with the next.
fn take_step<T: Transport, H: Handler>(
    client: &mut Client<T, H::State>,
    handler: &mut H,
    visit: &mut Visit<'_>,
    budget: &mut Budget,
) -> Option<Pause> {
    let Client {
        connection,
        transport,
        state,
    } = client;
    let now = visit.time;
    let was_sending = connection.is_sending_body();
    let step = connection.step();
    if budget.is_spent_for(&step) {
        return Some(Pause::Yielded);
    }
    let done = match step {
        Step::Receive(room) => receive(transport, room, budget).map(|length| match length {
            0 => connection.peer_closed(),
            _ => connection.received(length, now),
        }),
        Step::Respond(request) => {
            budget.requests -= 1;
            let response = handler.respond(state, request, visit.now);
            let join = budget.requests > 0;
            let terms = Terms {
                date: visit.date,
                draining: visit.draining,
                join,
            };
            connection.respond(response, terms, now);
            if !connection.is_sending_body() {
                handler.on_response_sent(state, connection.counts().latest_body, visit.now);
            }
            return None;
        }
        Step::Send { bytes, more } => {
            send(transport, bytes, more, budget).map(|length| connection.sent(length, now))
        }
        Step::SendFile(range) => send_file(transport, range, &mut visit.loan.copy, budget)
            .map(|length| connection.file_sent(length as u64, now)),
        Step::Produce => {
            budget.slices -= 1;
            connection.produce(now);
            Ok(())
        }
        Step::Shutdown { unless_drained } => say_farewell(connection, transport, unless_drained),
        Step::Discard(room) => receive(transport, room, budget).map(|length| match length {
            0 => connection.peer_closed(),
            _ => connection.discarded(length),
        }),
        Step::End(ending) => return Some(Pause::Ended(ending)),
    };
    match done.map_err(|error| error.kind()) {
        Ok(()) => {
            let has_sent = was_sending && !connection.is_sending_body();
            if has_sent && connection.close_reason().is_none() {
                handler.on_response_sent(state, connection.counts().latest_body, visit.now);
            }
        }
        Err(io::ErrorKind::WouldBlock) => return Some(Pause::Blocked),
        Err(io::ErrorKind::Interrupted) => {}
        Err(kind) => connection.failed(kind),
    }
    None
}

/// What is left of a visit's budget. Each part is spent by the steps that use it.
struct Budget {
    read: usize,
    written: usize,
    sends: usize,
    requests: usize,
    slices: usize,
}

impl Budget {
    fn of(limits: &Limits) -> Self {
        Self {
            read: limits.read_per_iteration,
            written: limits.written_per_iteration,
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
            Step::Produce => self.slices == 0,
            Step::Shutdown { .. } | Step::End(_) => false,
        }
    }
}

fn receive<T: Transport>(
    transport: &mut T,
    room: &mut [u8],
    budget: &mut Budget,
) -> io::Result<usize> {
    let most = room.len().min(budget.read);
    let length = transport.receive(room.get_mut(..most).unwrap_or_default())?;
    budget.read -= length;
    Ok(length)
}

/// Bytes in memory are bounded elsewhere and leave whole: a budget that cut them would only
/// cost another call.
fn send<T: Transport>(
    transport: &mut T,
    bytes: &[u8],
    more: bool,
    budget: &mut Budget,
) -> io::Result<usize> {
    budget.sends -= 1;
    let length = transport.send(bytes, more)?;
    if length == 0 {
        return Err(io::ErrorKind::WriteZero.into());
    }
    budget.written = budget.written.saturating_sub(length);
    Ok(length)
}

fn say_farewell<T: Transport>(
    connection: &mut Connection,
    transport: &mut T,
    unless_drained: bool,
) -> io::Result<()> {
    if unless_drained && transport.is_drained() {
        connection.left();
        return Ok(());
    }
    transport.shutdown()?;
    connection.shut_down();
    Ok(())
}

fn send_file<T: Transport>(
    transport: &mut T,
    range: &FileRange,
    copy: &mut [u8],
    budget: &mut Budget,
) -> io::Result<usize> {
    budget.sends -= 1;
    let most = range.left().min(budget.written as u64);
    let sent = transport.send_file(range.file(), range.offset(), most, copy);
    match &sent {
        Ok(0) => report(range, &"the file was truncated while it was sent"),
        Err(error) if is_of_the_file(error) => report(range, error),
        _ => {}
    }
    let length = sent?;
    budget.written -= length;
    Ok(length)
}

/// Warns that a response was cut off for want of the bytes of its file.
fn report(range: &FileRange, why: &dyn Display) {
    static CUT_OFF: Limited = Limited::new();
    let (name, offset) = (name_of(range.file()), range.offset());
    let name = Name(name.as_os_str().as_bytes());
    CUT_OFF.warn(format_args!(
        "a response was cut off at byte {offset} of {name}: {why}"
    ));
}

/// Whether an error of sending from a file is none of the socket (send(2)).
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
