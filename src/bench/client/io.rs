//! I/O handlers: what a connection does on an event or a timer.

use super::connection::{ClientGroup, Connection, Received, State};
use super::event_loop::{EventLoop, Phase};
use super::recorder::Request;
use crate::bench::platform;
use crate::bench::types::{Behavior, Closer, Fault};
use mio::event::Event;
use std::cmp::Reverse;
use std::io;

/// The longest pause before a new attempt to connect, ns; the first is a 512th of it.
const MAX_BACKOFF: u64 = 512_000_000;
/// Attempts in the connect phase; a connection that failed this often is tried again in the
/// warm-up.
const CONNECT_ATTEMPTS: u32 = 4;
/// Time between two portions of a slow reader, ns.
const PORTION_INTERVAL: u64 = 20_000_000;
/// The longest portion, bytes: reading it takes some 10 us.
const MAX_PORTION: f64 = 65_536.0;
/// The time after which no read of a connection follows another in a turn of the event loop, ns: a
/// server that sends faster than this program parses must not keep it from its other work.
const MAX_READ_TIME: u64 = 1_000_000;

impl EventLoop<'_> {
    /// Handles an event of a connection.
    pub(super) fn on_event(&mut self, index: usize, event: &Event) {
        let now = self.now();
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        if connection.state == State::Connecting {
            match connection.is_connected() {
                Ok(Some(())) => self.on_connect(index, now),
                Ok(None) => return,
                Err(error) => {
                    self.connecting -= 1;
                    return self.on_connect_error(index, now, &error);
                }
            }
        } else if event.is_writable() {
            connection.flush();
        }
        let is_readable = event.is_readable() || event.is_read_closed() || event.is_error();
        if is_readable || !platform::SHORT_READ_MEANS_EMPTY {
            let behavior = self.group_of(index).map(|group| group.behavior);
            if !matches!(behavior, Some(Behavior::SlowRead { .. })) {
                self.read(index, event.is_read_closed(), now);
            }
        }
    }

    fn on_connect(&mut self, index: usize, now: u64) {
        self.connecting -= 1;
        let Some((connection, group)) = self.parts(index) else {
            return;
        };
        connection.state = State::Open;
        group.recorder.connected(now);
        if !matches!(self.phase, Phase::Connecting(_)) {
            self.begin(index, now);
        }
    }

    /// Records a failed connect, and tries again after a pause.
    pub(super) fn on_connect_error(&mut self, index: usize, now: u64, error: &io::Error) {
        self.report(format!("connect: {error}"));
        self.fault(index, Fault::Connect);
        self.close(index, now, true);
    }

    fn fault(&mut self, index: usize, fault: Fault) {
        if let Some((_, group)) = self.parts(index) {
            group.recorder.fault(fault);
        }
    }

    /// Closes a connection, and makes a new one, except during the drain if no request waits for
    /// one. After failures it waits longer each time.
    fn close(&mut self, index: usize, now: u64, failed: bool) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        connection.close();
        connection.failures = if failed { connection.failures + 1 } else { 0 };
        // This also disarms the timers of the closed connection.
        connection.started = now;
        let failures = connection.failures;
        let reconnects = match self.phase {
            Phase::Connecting(_) => failures < CONNECT_ATTEMPTS,
            Phase::WarmUp(_) | Phase::Measuring(_) => true,
            Phase::Draining(_) => self.is_needed(index),
        };
        if reconnects {
            let pause = match failures {
                0 => 0,
                failures => MAX_BACKOFF >> (10 - failures.min(10)),
            };
            self.timers.push(Reverse((now + pause, index, now)));
        }
    }

    /// Whether requests wait for an idle connection of this group.
    fn is_needed(&self, index: usize) -> bool {
        let group = self.group_of(index);
        group.is_some_and(|group| !group.waiting.is_empty())
    }

    /// Starts the behavior of a connection that is open; makes a connection that is closed.
    pub(super) fn begin(&mut self, index: usize, now: u64) {
        let spread = self.random.u64(..=PORTION_INTERVAL);
        let Some((connection, group)) = self.parts(index) else {
            return;
        };
        match connection.state {
            State::Connecting => return,
            State::Closed => return self.close(index, now, false),
            State::Open => {}
        }
        let started = connection.started;
        match group.behavior {
            Behavior::Closed => send_request(connection, group, now, now),
            Behavior::Open { .. } => self.on_idle(index, now),
            Behavior::Short { .. } => send_request(connection, group, started, now),
            Behavior::Silent => {}
            Behavior::SlowRead { .. } => {
                send_request(connection, group, now, now);
                // Spread out: many reads at the same moment would delay all other connections.
                self.timers.push(Reverse((now + spread, index, started)));
            }
        }
    }

    /// A connection of an open loop is idle: it sends a waiting request, if there is one.
    fn on_idle(&mut self, index: usize, now: u64) {
        let Some((connection, group)) = self.parts(index) else {
            return;
        };
        // A connection that was closed while idle is still in the list.
        if !std::mem::replace(&mut connection.is_idle, true) {
            group.idle.push_back(index);
        }
        let group = connection.group;
        self.send_waiting(group, now);
    }

    /// Sends waiting requests on idle connections. Returns whether a request was sent.
    pub(super) fn send_waiting(&mut self, group: usize, now: u64) -> bool {
        let Some(group) = self.groups.get_mut(group) else {
            return false;
        };
        let mut has_sent = false;
        while let Some(due) = group.waiting.front().copied() {
            let Some(index) = group.idle.pop_front() else {
                break;
            };
            let Some(connection) = self.connections.get_mut(index) else {
                continue;
            };
            connection.is_idle = false;
            // A closed connection returns to the list when it is connected again.
            if connection.state == State::Open && connection.outstanding.is_none() {
                group.waiting.pop_front();
                send_request(connection, group, due, now);
                has_sent = true;
            }
        }
        has_sent
    }

    /// Reads what there is, or a part of it, and the rest in the next turn. `closed`: the event
    /// also reported the end of the stream. `since`: when this began.
    fn read(&mut self, index: usize, closed: bool, since: u64) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(connection) = self.connections.get_mut(index) {
            let started = connection.started;
            let received = connection.receive(&mut buffer);
            let is_tls = connection.is_tls();
            let now = self.now();
            let goes_on = match received {
                Received::Bytes(length) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    let may_be_more =
                        length == buffer.len() || !platform::SHORT_READ_MEANS_EMPTY || is_tls;
                    self.on_bytes(index, bytes, now) && (closed || may_be_more)
                }
                Received::WouldBlock => false,
                Received::End | Received::Failed => {
                    self.on_end(index, received == Received::Failed, now);
                    false
                }
            };
            if !goes_on {
                break;
            }
            let now = self.now();
            if now > since + MAX_READ_TIME {
                self.timers.push(Reverse((now, index, started)));
                break;
            }
        }
        self.buffer = buffer;
    }

    /// Handles received bytes. Returns whether the connection is still open.
    fn on_bytes(&mut self, index: usize, mut bytes: &[u8], now: u64) -> bool {
        let Some((connection, group)) = self.parts(index) else {
            return false;
        };
        let Some(mut request) = connection.outstanding else {
            return self.fail(index, Fault::Unsolicited, now);
        };
        if !request.has_response {
            request.has_response = true;
            connection.parser.hashes_body = group.checks_next_body(request.number);
        }
        let before = connection.parser.body_bytes;
        let fed = connection.parser.feed(&mut bytes);
        group.recorder.totals().body_bytes += connection.parser.body_bytes - before;
        for status in connection.parser.interim.drain(..) {
            group.recorder.status(status, now);
        }
        let complete = matches!(fed, Ok(Some(_)));
        connection.outstanding = (!complete).then_some(request);
        match fed {
            Err(_) => self.fail(index, Fault::Malformed, now),
            Ok(None) => true,
            Ok(Some(response)) => {
                group.on_response(connection.number, &request, response, now);
                match bytes.is_empty() {
                    true => self.on_response(index, response.closes, now),
                    false => self.fail(index, Fault::Unsolicited, now),
                }
            }
        }
    }

    /// Closes a connection with a wrong response. Returns that it is no longer open.
    fn fail(&mut self, index: usize, fault: Fault, now: u64) -> bool {
        self.fault(index, fault);
        self.close(index, now, true);
        false
    }

    /// Continues after a complete response. Returns whether the connection is still open.
    fn on_response(&mut self, index: usize, closes: bool, now: u64) -> bool {
        let is_draining = matches!(self.phase, Phase::Draining(_));
        let Some((connection, group)) = self.parts(index) else {
            return false;
        };
        connection.failures = 0;
        connection.has_response = true;
        if let Behavior::Short { closer, .. } = group.behavior {
            // If the server is to close, the client waits for the end of the stream.
            let waits = closer == Closer::Server && closes;
            if !waits {
                self.close(index, now, false);
            }
            return waits;
        }
        if closes {
            // Announced by the server.
            self.close(index, now, false);
            return false;
        }
        match group.behavior {
            Behavior::Closed | Behavior::SlowRead { .. } if !is_draining => {
                send_request(connection, group, now, now);
            }
            Behavior::Open { .. } => self.on_idle(index, now),
            _ => {}
        }
        true
    }

    /// Handles the end of the stream.
    fn on_end(&mut self, index: usize, failed: bool, now: u64) {
        if let Some(problem) = self
            .connections
            .get_mut(index)
            .and_then(|one| one.problem.take())
        {
            self.report(problem);
        }
        let Some((connection, group)) = self.parts(index) else {
            return;
        };
        if !failed && let Some(response) = connection.parser.end() {
            let request = connection.outstanding.take().unwrap_or_default();
            group.on_response(connection.number, &request, response, now);
            connection.has_response = true;
        }
        // A server that closes without a response is not reconnected to at once.
        let is_futile = !connection.has_response;
        // The server may close an idle connection, but not a silent one, which is there to stay.
        let is_lost = failed && !group.is_short() || group.behavior == Behavior::Silent;
        let fault = match connection.outstanding {
            Some(_) if failed => Some(Fault::Reset),
            Some(request) if request.has_response => Some(Fault::Truncated),
            Some(_) => Some(Fault::Closed),
            None if is_lost && failed => Some(Fault::Reset),
            None => is_lost.then_some(Fault::Closed),
        };
        if let Some(fault) = fault {
            group.recorder.fault(fault);
        }
        self.close(index, now, fault.is_some() || is_futile);
    }

    /// Handles the timers that are due.
    pub(super) fn fire_timers(&mut self, now: u64) {
        while let Some(Reverse((at, index, started))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            let Some((connection, group)) = self.parts(index) else {
                continue;
            };
            // The timer belongs to an earlier connection.
            if connection.started != started {
                continue;
            }
            match (connection.state, group.behavior) {
                (State::Closed, _) => {
                    let is_draining = matches!(self.phase, Phase::Draining(_));
                    if !is_draining || self.is_needed(index) {
                        self.connect(index, now);
                    }
                }
                (State::Open, Behavior::SlowRead { rate, .. }) => {
                    self.read_slowly(index, rate, now);
                }
                (State::Open, _) => self.read(index, true, now),
                (State::Connecting, _) => {}
            }
        }
    }

    /// Reads a portion.
    fn read_slowly(&mut self, index: usize, rate: f64, now: u64) {
        let (mut left, pause) = portion(rate);
        let Some(started) = self.connections.get(index).map(|one| one.started) else {
            return;
        };
        self.timers.push(Reverse((now + pause, index, started)));
        let mut buffer = std::mem::take(&mut self.buffer);
        // One read may return less than the portion.
        while left > 0 {
            let most = left.min(buffer.len());
            let (Some(connection), Some(part)) =
                (self.connections.get_mut(index), buffer.get_mut(..most))
            else {
                break;
            };
            match connection.receive(part) {
                Received::Bytes(length) => {
                    left = left.saturating_sub(length.max(1));
                    self.on_bytes(index, part.get(..length).unwrap_or_default(), now);
                }
                Received::WouldBlock => break,
                end @ (Received::End | Received::Failed) => {
                    self.on_end(index, end == Received::Failed, now);
                    break;
                }
            }
        }
        self.buffer = buffer;
    }
}

/// Sends the next request of a connection.
fn send_request(connection: &mut Connection, group: &mut ClientGroup, due: u64, now: u64) {
    let number = connection.next;
    connection.next += 1;
    let Some(bytes) = group.request(number) else {
        return;
    };
    connection.unsent.extend_from_slice(bytes);
    connection.outstanding = Some(Request {
        number,
        due,
        sent: now,
        has_response: false,
    });
    connection.flush();
    group.recorder.totals().requests += 1;
}

/// The length of a portion and the time until the next, for this many bytes per second.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rate is positive, and a float saturates"
)]
fn portion(rate: f64) -> (usize, u64) {
    let length = (rate * PORTION_INTERVAL as f64 / 1e9)
        .ceil()
        .clamp(1.0, MAX_PORTION);
    (length as usize, (length / rate * 1e9) as u64)
}
