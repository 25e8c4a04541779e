//! Room `bench`: the generator's loop. One thread, one poll, every connection; as the server does.
//!
//! It gathers its connections, warms up, measures, and drains: nothing new is asked, and what is
//! owed may still come.

use super::connection::{Line, beside};
use super::group::ClientGroup;
use super::recorder::Times;
use super::stall::Stall;
use crate::bench::load::{Behavior, Fault, Load, Outcome};
use crate::bench::procfs::Account;
use crate::clock::Now;
use mio::{Events, Poll, Token};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Connections that may be on their way at once in the beginning: no listen queue overflows.
const AT_ONCE: u32 = 100;
/// How long the connections may take to be made, ns.
const GATHERING: u64 = 15_000_000_000;
/// How far ahead of a due time the loop stops sleeping, ns: the poll knows milliseconds only.
const SPIN: u64 = 2_000_000;
/// What is received at once. Small answers are many to a read, large ones few reads.
const BUFFER: usize = 256 * 1024;

/// Which part of its life the generator is in, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Connections are made.
    Gathering(u64),
    /// Load that is not measured.
    Warming(u64),
    /// Load that is.
    Measuring(u64),
    /// What is owed may still come.
    Draining(u64),
}

/// A load on its way.
pub struct Play<'l> {
    pub(super) load: &'l Load,
    pub(super) poll: Poll,
    pub(super) lines: Vec<Line>,
    pub(super) squads: Vec<ClientGroup>,
    /// When somebody is to be looked after, who, and on which connection of his (by its beginning).
    pub(super) timers: BinaryHeap<Reverse<(u64, usize, u64)>>,
    pub(super) random: fastrand::Rng,
    pub(super) phase: Phase,
    pub(super) connecting: u32,
    pub(super) buffer: Vec<u8>,
    pub(super) lag: Times,
    gathered: usize,
    turn: u64,
    origin: Instant,
    /// How long its clock has stood still, ns.
    pub(super) stood: u64,
    pub(super) stall: Stall,
    stopped: Arc<AtomicBool>,
    pub(super) accounts: Option<(Account, Account)>,
    pub(super) own: (Account, Account),
    pub(super) measured: u64,
    problems: Vec<String>,
}

impl<'l> Play<'l> {
    /// Of a load that makes sense. `stopped` ends it early.
    ///
    /// # Errors
    /// Those of epoll_create(2).
    pub fn new(load: &'l Load, stopped: Arc<AtomicBool>) -> io::Result<Self> {
        let mut lines = Vec::new();
        let mut squads = Vec::new();
        for (number, group) in load.groups.iter().enumerate() {
            let seed = load.seed.wrapping_add(number as u64);
            squads.push(ClientGroup::new(group, load.target, seed));
            lines.extend((0..group.connections as usize).map(|one| Line::new(number, one)));
        }
        Ok(Self {
            load,
            poll: Poll::new()?,
            lines,
            squads,
            timers: BinaryHeap::new(),
            random: fastrand::Rng::with_seed(load.seed),
            phase: Phase::Gathering(GATHERING),
            connecting: 0,
            buffer: vec![0; BUFFER],
            lag: Times::new(),
            gathered: 0,
            turn: 0,
            origin: Now::read().instant,
            stood: 0,
            stall: Stall::new(load.server, load.stall),
            stopped,
            accounts: None,
            own: Default::default(),
            measured: 0,
            problems: Vec::new(),
        })
    }

    /// Nanoseconds since the beginning, but for those in which the accounts were read.
    pub(super) fn now(&self) -> u64 {
        let since = Now::read().instant.saturating_duration_since(self.origin);
        let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        since.saturating_sub(self.stood)
    }

    /// Plays it to its end.
    ///
    /// # Errors
    /// Those of epoll_wait(2).
    pub fn play(mut self) -> io::Result<Outcome> {
        let mut events = Events::with_capacity(1024);
        while !self.stopped.load(Ordering::Relaxed) {
            let now = self.now();
            self.stall.look(now);
            if self.turn_phase(now) {
                break;
            }
            self.fire(now);
            self.release(now);
            let rest = self.rest(self.now());
            match self.poll.poll(&mut events, Some(rest)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            for event in &events {
                self.ready(event.token().0, event);
            }
        }
        Ok(self.finish())
    }

    /// Goes on to the next phase when it is time. Returns whether all is over.
    fn turn_phase(&mut self, now: u64) -> bool {
        match self.phase {
            Phase::Gathering(until) => {
                self.gather(now);
                if self.gathered == self.lines.len() && self.connecting == 0 || now >= until {
                    self.phase = Phase::Warming(now + self.load.warm_up);
                    self.begin_all(now);
                    // Without a warm-up even the first answers are in the measurement.
                    return self.turn_phase(now);
                }
            }
            Phase::Warming(until) if now >= until => self.begin_measuring(),
            Phase::Measuring(until) if now >= until => self.begin_draining(now, until),
            Phase::Draining(until) => return now >= until || self.is_drained(),
            Phase::Warming(_) | Phase::Measuring(_) => {}
        }
        false
    }

    /// Begins to connect, so many at a time.
    fn gather(&mut self, now: u64) {
        while self.connecting < AT_ONCE && self.gathered < self.lines.len() {
            let index = self.gathered;
            self.gathered += 1;
            if self.squad_of(index).is_some_and(|squad| !squad.is_short()) {
                self.connect(index, now);
            }
        }
    }

    fn begin_all(&mut self, now: u64) {
        for squad in &mut self.squads {
            if let Some(schedule) = &mut squad.schedule {
                squad.origin = now;
                squad.next_due = now + schedule.due();
            }
        }
        for index in 0..self.lines.len() {
            match self.squad_of(index).is_some_and(ClientGroup::is_short) {
                true => self.connect(index, now),
                false => self.begin(index, now),
            }
        }
    }

    /// Whether nothing is owed any more.
    fn is_drained(&self) -> bool {
        let waits = |squad: &ClientGroup| !squad.waiting.is_empty();
        !self.squads.iter().any(waits) && !self.lines.iter().any(|line| self.is_owed(line))
    }

    /// Whether somebody waits for an answer on it, and means to have it.
    fn is_owed(&self, line: &Line) -> bool {
        let squad = self.squads.get(line.group);
        match squad.map(|squad| squad.behavior) {
            Some(Behavior::SlowRead { .. } | Behavior::Drip { .. } | Behavior::Silent) | None => {
                false
            }
            Some(Behavior::Short { .. }) => line.is_under_way(),
            Some(_) => !line.owed.is_empty(),
        }
    }

    /// Releases the requests of open loops that are due by `now`.
    pub(super) fn release(&mut self, now: u64) {
        for number in 0..self.squads.len() {
            while let Some(due) = self.next_due(number, now) {
                self.owe(number, due);
            }
        }
    }

    /// The next request that is due by `now`, and counts it.
    fn next_due(&mut self, number: usize, now: u64) -> Option<u64> {
        let squad = self.squads.get_mut(number)?;
        let due = squad.next_due;
        if due > now || due == u64::MAX {
            return None;
        }
        squad.next_due = squad.origin + squad.schedule.as_mut()?.due();
        squad.tally.due(due);
        Some(due)
    }

    fn owe(&mut self, number: usize, due: u64) {
        let Some(squad) = self.squads.get_mut(number) else {
            return;
        };
        let Behavior::Open { most_waiting, .. } = squad.behavior else {
            return;
        };
        if squad.waiting.len() >= most_waiting as usize {
            squad.tally.dropped(due);
            return;
        }
        squad.waiting.push_back(due);
        let is_prompt = squad.waiting.len() == 1;
        let now = self.now();
        let has_sent = self.send_waiting(number, now);
        let counts = has_sent && is_prompt && self.is_measured(number, due);
        if counts {
            self.lag.record(now.saturating_sub(due));
        }
    }

    fn is_measured(&self, number: usize, due: u64) -> bool {
        let squad = self.squads.get(number);
        squad.is_some_and(|squad| squad.tally.is_in_window(due))
    }

    /// How long the poll may sleep.
    fn rest(&self, now: u64) -> Duration {
        let phase = match self.phase {
            Phase::Gathering(until)
            | Phase::Warming(until)
            | Phase::Measuring(until)
            | Phase::Draining(until) => until,
        };
        let timer = self.timers.peek().map(|Reverse((at, _, _))| *at);
        let sleep = [Some(phase), timer, self.stall.next()];
        let sleep = sleep.into_iter().flatten().min().unwrap_or(phase);
        let due = self.squads.iter().map(|squad| squad.next_due).min();
        let due = due.unwrap_or(u64::MAX);
        let gap = sleep.saturating_sub(now);
        if due.saturating_sub(now) < gap + SPIN {
            let gap = due.saturating_sub(now).saturating_sub(SPIN);
            // Whole milliseconds: the poll would round a part up.
            return Duration::from_millis(gap / 1_000_000);
        }
        Duration::from_nanos(gap)
    }

    /// Begins to connect.
    pub(super) fn connect(&mut self, index: usize, now: u64) {
        self.turn += 1;
        let source = self.load.source.map(|source| beside(source, self.turn));
        let buffer = self.squad_of(index).and_then(ClientGroup::buffer);
        let Some(line) = self.lines.get_mut(index) else {
            return;
        };
        line.begun = now;
        let (registry, target) = (self.poll.registry(), self.load.target);
        match line.connect(registry, Token(index), target, source, buffer) {
            Ok(()) => self.connecting += 1,
            Err(error) => self.unconnected(index, now, &error),
        }
    }

    pub(super) fn squad_of(&self, index: usize) -> Option<&ClientGroup> {
        self.squads.get(self.lines.get(index)?.group)
    }

    /// Says once what kept a connection from being made.
    pub(super) fn tell(&mut self, problem: String) {
        if self.problems.len() < 10 && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn finish(mut self) -> Outcome {
        let now = self.now();
        self.stall.end();
        if !matches!(self.phase, Phase::Draining(_)) {
            self.tell("a signal ended it before its time".to_owned());
            let begun = matches!(self.phase, Phase::Measuring(_));
            let begin = if begun { self.measured } else { now };
            self.measured = now.saturating_sub(begin);
            self.accounts = None;
            self.own = Default::default();
        }
        if let (Some(server), Some((_, after))) = (self.load.server, &mut self.accounts) {
            // With the connections still there, and after the last answer: it takes its time.
            after.add_memory(server);
        }
        for line in &self.lines {
            let is_owed = self.is_owed(line);
            if let Some(squad) = self.squads.get_mut(line.group).filter(|_| is_owed) {
                if !line.is_open() {
                    squad.tally.fault(Fault::Connect, now);
                }
                for request in &line.owed {
                    squad.tally.missing(request, now);
                }
            }
        }
        for squad in &mut self.squads {
            for due in std::mem::take(&mut squad.waiting) {
                squad
                    .tally
                    .missing(&super::recorder::Request::due_at(due), now);
            }
        }
        let (before, after) = self.own;
        Outcome {
            measured: self.measured,
            groups: self
                .squads
                .into_iter()
                .map(|squad| squad.tally.finish())
                .collect(),
            generator: after.split_since(&before),
            accounts: self.accounts,
            send_lag: self.lag.encode(),
            problems: self.problems,
        }
    }
}
