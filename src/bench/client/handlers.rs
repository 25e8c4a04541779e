//! Room `bench`: what a connection of the generator does when something has come, or is due.

use super::connection::{Got, Line, State};
use super::event_loop::{Phase, Play};
use super::group::ClientGroup;
use super::recorder::Request;
use super::slow::PACE;
use crate::bench::load::{Behavior, Closer, Fault};
use crate::bench::platform;
use mio::event::Event;
use std::cmp::Reverse;
use std::io;

/// The longest pause after an attempt that has failed, ns; the first is a thousandth of it.
const PAUSE: u64 = 512_000_000;
/// Attempts in the beginning; who has failed so often comes back when all have begun.
const ATTEMPTS: u32 = 4;

impl Play<'_> {
    /// Something has come for a connection.
    pub(super) fn ready(&mut self, index: usize, event: &Event) {
        let now = self.now();
        let Some(line) = self.lines.get_mut(index) else {
            return;
        };
        if line.state == State::Connecting {
            match line.is_connected() {
                Ok(Some(())) => self.connected(index, now),
                Ok(None) => return,
                Err(error) => {
                    self.connecting -= 1;
                    return self.unconnected(index, now, &error);
                }
            }
        } else if event.is_writable() {
            line.flush();
        }
        let has_come = event.is_readable() || event.is_read_closed() || event.is_error();
        if has_come || !platform::SHORT_MEANS_EMPTY {
            let paced = self.squad_of(index).map(|squad| squad.behavior);
            if !matches!(paced, Some(Behavior::SlowRead { .. })) {
                self.read(index, event.is_read_closed());
            }
        }
    }

    fn connected(&mut self, index: usize, now: u64) {
        self.connecting -= 1;
        let Some(line) = self.lines.get_mut(index) else {
            return;
        };
        line.state = State::Open;
        if let Some(squad) = self.squads.get_mut(line.group) {
            squad.tally.connected(now);
        }
        if !matches!(self.phase, Phase::Gathering(_)) {
            self.begin(index, now);
        }
    }

    /// A connection was not made. It is tried again, later each time.
    pub(super) fn unconnected(&mut self, index: usize, now: u64, error: &io::Error) {
        self.tell(format!("a connection was not made: {error}"));
        self.fault(index, Fault::Connect, now);
        self.part(index, now, true);
    }

    fn fault(&mut self, index: usize, fault: Fault, now: u64) {
        let group = self.lines.get(index).map(|line| line.group);
        if let Some(squad) = group.and_then(|group| self.squads.get_mut(group)) {
            squad.tally.fault(fault, now);
        }
    }

    /// Ends a connection; there will be another, unless it is late and nobody waits for one.
    fn part(&mut self, index: usize, now: u64, failed: bool) {
        let Some(line) = self.lines.get_mut(index) else {
            return;
        };
        line.close();
        line.failures = if failed { line.failures + 1 } else { 0 };
        // The pause begins now; timers of the connection that has ended are nobody's.
        line.begun = now;
        let failures = line.failures;
        let again = match self.phase {
            Phase::Gathering(_) => failures < ATTEMPTS,
            Phase::Warming(_) | Phase::Measuring(_) => true,
            Phase::Draining(_) => self.is_waited_for(index),
        };
        if !again {
            return;
        }
        let pause = match failures {
            0 => 0,
            failures => PAUSE >> (10 - failures.min(10)),
        };
        self.timers.push(Reverse((now + pause, index, now)));
    }

    /// Whether requests that were due in time wait for a connection like this one.
    fn is_waited_for(&self, index: usize) -> bool {
        let squad = self.squad_of(index);
        squad.is_some_and(|squad| !squad.waiting.is_empty())
    }

    /// Begins what is done on a connection that stands; or makes it, if it does not.
    pub(super) fn begin(&mut self, index: usize, now: u64) {
        let Some(line) = self.lines.get_mut(index) else {
            return;
        };
        match line.state {
            State::Connecting => return,
            State::Apart => return self.part(index, now, false),
            State::Open => {}
        }
        let (group, begun) = (line.group, line.begun);
        let Some(squad) = self.squads.get_mut(group) else {
            return;
        };
        match squad.behavior {
            Behavior::Closed { depth } => {
                for _ in 0..depth {
                    ask(line, squad, now, now);
                }
                line.flush();
            }
            Behavior::Open { .. } => self.rejoin(index, group, now),
            Behavior::Short { resets, .. } => {
                line.resets = resets > 0 && self.random.u32(0..100) < resets;
                ask(line, squad, begun, now);
                line.flush();
                if line.resets {
                    line.reset();
                    self.part(index, now, false);
                }
            }
            Behavior::Silent => {}
            Behavior::Drip { .. } => {
                line.page = 0;
                let spread = self.random.u64(..=PACE);
                self.timers.push(Reverse((now + spread, index, begun)));
            }
            Behavior::SlowRead { .. } => {
                ask(line, squad, now, now);
                line.flush();
                // Many who read at the same moment would hold up all others.
                let spread = self.random.u64(..=PACE);
                self.timers.push(Reverse((now + spread, index, begun)));
            }
        }
    }

    /// A connection of an open loop has nothing to do: perhaps somebody waits for one.
    fn rejoin(&mut self, index: usize, group: usize, now: u64) {
        if let (Some(squad), Some(line)) = (self.squads.get_mut(group), self.lines.get_mut(index)) {
            // Who has ended while he was free still stands there.
            if !std::mem::replace(&mut line.is_free, true) {
                squad.free.push_back(index);
            }
        }
        self.send_waiting(group, now);
    }

    /// Sends what waits on connections that are free. Returns whether something was sent.
    pub(super) fn send_waiting(&mut self, group: usize, now: u64) -> bool {
        let Some(squad) = self.squads.get_mut(group) else {
            return false;
        };
        let mut has_sent = false;
        while let Some(due) = squad.waiting.front().copied() {
            let Some(index) = squad.free.pop_front() else {
                break;
            };
            let Some(line) = self.lines.get_mut(index) else {
                continue;
            };
            line.is_free = false;
            // Those that have ended meanwhile come back when they are connected again.
            if line.state == State::Open && line.owed.is_empty() {
                squad.waiting.pop_front();
                ask(line, squad, due, now);
                line.flush();
                has_sent = true;
            }
        }
        has_sent
    }

    /// Reads all that has come. `closed`: the end is known to have come, too.
    fn read(&mut self, index: usize, closed: bool) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(line) = self.lines.get_mut(index) {
            let got = line.receive(&mut buffer);
            let now = self.now();
            let goes_on = match got {
                Got::Bytes(length) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    // A read that was not filled has emptied the socket.
                    let may_be_more = length == buffer.len() || !platform::SHORT_MEANS_EMPTY;
                    self.take(index, bytes, now) && (closed || may_be_more)
                }
                Got::Nothing => false,
                Got::End | Got::Failed => {
                    self.ended(index, got == Got::Failed, now);
                    false
                }
            };
            if !goes_on {
                break;
            }
        }
        self.buffer = buffer;
    }

    /// Takes received bytes. Returns whether the connection is still the same.
    pub(super) fn take(&mut self, index: usize, mut bytes: &[u8], now: u64) -> bool {
        let Some(line) = self.lines.get_mut(index) else {
            return false;
        };
        let Some(squad) = self.squads.get_mut(line.group) else {
            return false;
        };
        let before = line.reader.body_bytes;
        let mut answers = 0;
        let mut fault = None;
        let mut closes = false;
        while !bytes.is_empty() && fault.is_none() {
            let Some(front) = line.owed.front_mut() else {
                fault = Some(Fault::Unasked);
                break;
            };
            if front.first.is_none() {
                front.first = Some(now);
                line.reader.checks = squad.checks_next(front.page);
            }
            match line.reader.feed(&mut bytes) {
                Ok(Some(answer)) => {
                    let request = line.owed.pop_front().unwrap_or_default();
                    squad.answered(line.number, &request, answer, now);
                    answers += 1;
                    closes |= answer.closes;
                }
                Ok(None) => {}
                Err(_) => fault = Some(Fault::Malformed),
            }
        }
        squad.tally.whole().body_bytes += line.reader.body_bytes - before;
        if let Some(fault) = fault {
            self.fault(index, fault, now);
            self.part(index, now, true);
            return false;
        }
        answers == 0 || self.go_on(index, answers, closes, now)
    }

    /// So many answers have come: what is done next? Returns whether the connection is the same.
    fn go_on(&mut self, index: usize, answers: u32, closes: bool, now: u64) -> bool {
        let is_draining = matches!(self.phase, Phase::Draining(_));
        let Some(line) = self.lines.get_mut(index) else {
            return false;
        };
        let group = line.group;
        let Some(squad) = self.squads.get_mut(group) else {
            return false;
        };
        line.failures = 0;
        line.has_answered = true;
        if let Behavior::Short { closer, .. } = squad.behavior {
            // Who has said that he closes is waited for.
            let waits = closer == Closer::Server && closes;
            if !waits {
                self.part(index, now, false);
            }
            return waits;
        }
        if closes {
            // As it was announced; what was asked after that is asked anew elsewhere.
            self.part(index, now, false);
            return false;
        }
        match squad.behavior {
            Behavior::Closed { .. } if !is_draining => {
                for _ in 0..answers {
                    ask(line, squad, now, now);
                }
                line.flush();
            }
            Behavior::Open { .. } if line.owed.is_empty() => self.rejoin(index, group, now),
            Behavior::SlowRead { .. } if !is_draining => {
                ask(line, squad, now, now);
                line.flush();
            }
            _ => {}
        }
        true
    }

    /// The stream has ended.
    pub(super) fn ended(&mut self, index: usize, failed: bool, now: u64) {
        let Some(line) = self.lines.get_mut(index) else {
            return;
        };
        let Some(squad) = self.squads.get_mut(line.group) else {
            return;
        };
        if !failed && let Some(answer) = line.reader.end() {
            let request = line.owed.pop_front().unwrap_or_default();
            squad.answered(line.number, &request, answer, now);
            line.has_answered = true;
        }
        // Who is sent away at once, again and again, does not come back at once.
        let in_vain = !line.has_answered;
        let mut lost = false;
        for request in std::mem::take(&mut line.owed) {
            let has_begun = request.first.is_some();
            let fault = match failed {
                true if !lost => Fault::Reset,
                false if has_begun => Fault::Truncated,
                _ => Fault::Closed,
            };
            squad.tally.fault(fault, now);
            lost = true;
        }
        // Who has asked for nothing may be sent away; but not those who came to stay.
        if !lost && (failed && !squad.is_short() || squad.behavior == Behavior::Silent) {
            lost = true;
            let fault = if failed { Fault::Reset } else { Fault::Closed };
            squad.tally.fault(fault, now);
        }
        self.part(index, now, lost || in_vain);
    }

    /// Does what timers are due for.
    pub(super) fn fire(&mut self, now: u64) {
        while let Some(Reverse((at, index, begun))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            let Some(line) = self.lines.get(index) else {
                continue;
            };
            // Another connection has been made since.
            if line.begun != begun {
                continue;
            }
            match (line.state, self.squad_of(index).map(|squad| squad.behavior)) {
                (State::Apart, _) => {
                    let is_late = matches!(self.phase, Phase::Draining(_));
                    if !is_late || self.is_waited_for(index) {
                        self.connect(index, now);
                    }
                }
                (State::Open, Some(Behavior::Drip { rate })) => self.drip(index, rate, now),
                (State::Open, Some(Behavior::SlowRead { rate, .. })) => self.sip(index, rate, now),
                _ => {}
            }
        }
    }
}

/// Puts a request in line to be sent.
fn ask(line: &mut Line, squad: &mut ClientGroup, due: u64, now: u64) {
    let number = line.page;
    line.page += 1;
    let Some((_, text)) = squad.page(number) else {
        return;
    };
    line.unsent.extend_from_slice(text);
    line.owed.push_back(Request {
        page: number,
        due,
        sent: now,
        first: None,
    });
    squad.tally.whole().requests += 1;
}
