//! The only loop that moves bytes: asks a connection for its next step, does it on a
//! transport, and reports what came of it, until there is a reason to stop.
//!
//! It is the same for every way of waiting. What differs between servers is what they do when
//! it returns.

use crate::clock::Now;
use crate::connection::{Connection, Ending, Step, Terms};
use crate::http::request::{Refusal, Request};
use crate::http::response::Response;
use crate::limits::Limits;
use crate::transport::Transport;
use std::io;
use std::net::IpAddr;

/// One peer, as every driver keeps it.
#[derive(Debug)]
pub struct Client<T, G> {
    /// The protocol's side.
    pub connection: Connection,
    /// The network's side.
    pub transport: T,
    /// What the service keeps of the peer.
    pub guest: G,
}

/// Who answers. Site and connection meet nowhere else.
pub trait Service {
    /// What is to be remembered of a peer between requests.
    type Guest;

    /// A peer has connected; `None` stands for one on a unix socket.
    fn welcome(&mut self, peer: Option<IpAddr>) -> Self::Guest;

    /// Answers one request, or refuses what is none.
    fn respond(
        &mut self,
        guest: &mut Self::Guest,
        asked: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response;

    /// The response's body has been handed over: this many bytes of it. Not called when the
    /// connection ends before that; then its driver calls it.
    fn delivered(&mut self, guest: &mut Self::Guest, body_sent: u64, now: Now);

    /// Everyone who could be served has been: time for what is done once for all of them.
    fn turn_ended(&mut self) {}

    /// Log files may have been renamed: open them anew.
    fn reopen_logs(&mut self) {}
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
    Ended(Ending),
}

/// What one visit to a client may use, and what it needs to know.
#[derive(Debug)]
pub struct Visit<'v> {
    /// The time, one for the whole turn.
    pub now: Now,
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
        let receive = limits.read_per_turn.max(limits.head + 1);
        // Room for what is gathered, the body that oversteps it, and a few headers.
        let send = limits.coalesced + limits.riding_body + 4096;
        Self {
            receive: vec![0; receive].into(),
            send: Vec::with_capacity(send),
            copy: vec![0; COPY],
        }
    }
}

/// Moves bytes between a client's connection and its transport until the socket would block, the
/// budget is used up, or the connection has ended.
pub fn pump<T: Transport, S: Service>(
    client: &mut Client<T, S::Guest>,
    service: &mut S,
    visit: &mut Visit<'_>,
) -> Pause {
    client
        .connection
        .borrow_from(&mut visit.loan.receive, &mut visit.loan.send);
    let mut budget = Budget::of(visit.limits);
    let pause = loop {
        if let Some(pause) = take_step(client, service, visit, &mut budget) {
            break pause;
        }
    };
    client
        .connection
        .give_back_to(&mut visit.loan.receive, &mut visit.loan.send);
    pause
}

/// What is left of a visit's budget. Each part is spent by the steps that use it.
struct Budget {
    read: usize,
    written: usize,
    requests: usize,
    slices: usize,
}

impl Budget {
    fn of(limits: &Limits) -> Self {
        Self {
            read: limits.read_per_turn,
            written: limits.written_per_turn,
            requests: limits.requests_per_turn,
            slices: 1,
        }
    }
}

/// Does one step; `None` to go on with the next.
fn take_step<T: Transport, S: Service>(
    client: &mut Client<T, S::Guest>,
    service: &mut S,
    visit: &mut Visit<'_>,
    budget: &mut Budget,
) -> Option<Pause> {
    let Client {
        connection,
        transport,
        guest,
    } = client;
    let now = visit.now.instant;
    let was_sending = connection.is_sending_body();
    let done = match connection.step() {
        Step::Receive(_) | Step::Discard(_) if budget.read == 0 => return Some(Pause::Yielded),
        Step::Respond(_) if budget.requests == 0 => return Some(Pause::Yielded),
        Step::Send { .. } | Step::SendFile(_) if budget.written == 0 => {
            return Some(Pause::Yielded);
        }
        Step::Produce if budget.slices == 0 => return Some(Pause::Yielded),

        Step::Receive(room) => transport.receive(within(room, budget.read)).map(|length| {
            budget.read -= length;
            match length {
                0 => connection.peer_closed(),
                _ => connection.received(length, now),
            }
        }),
        Step::Respond(asked) => {
            budget.requests -= 1;
            let response = service.respond(guest, asked, visit.now);
            let join = budget.requests > 0;
            let terms = Terms {
                date: visit.date,
                draining: visit.draining,
                join,
            };
            connection.respond(response, terms, now);
            if !connection.is_sending_body() {
                service.delivered(guest, connection.body_sent(), visit.now);
            }
            return None;
        }
        Step::Send { bytes, more } => {
            send(transport, bytes, more, budget).map(|length| connection.sent(length, now))
        }
        Step::SendFile(stretch) => {
            let length = stretch.left().min(budget.written as u64);
            transport
                .send_file(
                    stretch.file(),
                    stretch.offset(),
                    length,
                    &mut visit.loan.copy,
                )
                .map(|length| {
                    budget.written = budget.written.saturating_sub(length);
                    connection.file_sent(length as u64, now);
                })
        }
        Step::Produce => {
            budget.slices -= 1;
            connection.produce(now);
            Ok(())
        }
        Step::Shutdown => transport.shutdown().map(|()| connection.shut_down()),
        Step::Discard(room) => transport.receive(within(room, budget.read)).map(|length| {
            budget.read -= length;
            match length {
                0 => connection.peer_closed(),
                _ => connection.discarded(length),
            }
        }),
        Step::End(ending) => return Some(Pause::Ended(ending)),
    };
    if let Err(error) = done {
        match error.kind() {
            io::ErrorKind::WouldBlock => return Some(Pause::Blocked),
            io::ErrorKind::Interrupted => {}
            kind => connection.failed(kind),
        }
    } else if was_sending && !connection.is_sending_body() && connection.ending().is_none() {
        service.delivered(guest, connection.body_sent(), visit.now);
    }
    None
}

fn send<T: Transport>(
    transport: &mut T,
    bytes: &[u8],
    more: bool,
    budget: &mut Budget,
) -> io::Result<usize> {
    // What is in memory is bounded elsewhere and leaves whole: a budget that cut it would
    // only cost another call.
    match transport.send(bytes, more)? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        length => {
            budget.written = budget.written.saturating_sub(length);
            Ok(length)
        }
    }
}

fn within(room: &mut [u8], most: usize) -> &mut [u8] {
    let length = room.len().min(most);
    room.get_mut(..length).unwrap_or_default()
}
