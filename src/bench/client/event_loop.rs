//! The generator's event loop: one thread, one poll, all connections; like the server.
//!
//! Its phases: it connects, warms up, measures, and drains, in which it sends no new requests and
//! waits for outstanding responses.

use super::connection::{ClientGroup, Connection, rotated};
use super::recorder::Times;
use super::tls;
use crate::bench::platform;
use crate::bench::procfs::Usage;
use crate::bench::types::{Behavior, Fault, Load, Outcome};
use crate::clock::Now;
use mio::{Events, Poll, Token};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Limit for connects in progress before the warm-up, so that no listen queue overflows.
const MAX_CONNECTING: u32 = 100;
/// Limit for the connect phase, ns.
const CONNECT_TIMEOUT: u64 = 15_000_000_000;
/// This long before a request is due the loop stops sleeping, ns: a poll timeout is in whole
/// milliseconds.
const SPIN: u64 = 2_000_000;
/// Time between two lines on the terminal, ns.
const LIVE_INTERVAL: u64 = 1_000_000_000;
/// Bytes of one read: many small responses, or a part of a large one.
const READ_SIZE: usize = 256 * 1024;

/// The phase of the run, with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Connecting(u64),
    /// Load that is not measured.
    WarmUp(u64),
    /// Load that is measured.
    Measuring(u64),
    /// Waits for outstanding responses.
    Draining(u64),
}

impl Phase {
    fn end(self) -> u64 {
        match self {
            Self::Connecting(end)
            | Self::WarmUp(end)
            | Self::Measuring(end)
            | Self::Draining(end) => end,
        }
    }
}

/// What was used until a moment.
#[derive(Clone, Copy, Debug)]
struct Account {
    /// CPU time of the generator, ns.
    generator: u64,
    server: Option<Usage>,
}

/// A running load.
pub struct EventLoop<'l> {
    load: &'l Load,
    poll: Poll,
    pub(super) connections: Vec<Connection>,
    pub(super) groups: Vec<ClientGroup>,
    /// When a connection needs attention: time, index, and its `started`.
    pub(super) timers: BinaryHeap<Reverse<(u64, usize, u64)>>,
    pub(super) random: fastrand::Rng,
    pub(super) phase: Phase,
    /// Connects in progress.
    pub(super) connecting: u32,
    pub(super) buffer: Vec<u8>,
    lag: Times,
    /// Connections that were started in the connect phase.
    started: usize,
    /// Connects of the whole run.
    attempts: u64,
    origin: Instant,
    /// How long the clock was paused, ns.
    paused: u64,
    stop: Arc<AtomicBool>,
    /// The accounts at the beginning and at the end of the measurement.
    accounts: (Option<Account>, Option<Account>),
    /// When the measurement began; afterwards how long it was.
    measured: u64,
    problems: Vec<String>,
    tls: Option<tls::Config>,
    /// When the next line is shown, and the responses in the line before.
    live: Option<(u64, u64)>,
}

impl<'l> EventLoop<'l> {
    /// For a valid load. `stop` ends the run early.
    pub fn new(
        load: &'l Load,
        stop: Arc<AtomicBool>,
        is_live: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let tls = load.http.as_ref().and_then(|http| http.tls.as_ref());
        let mut connections = Vec::new();
        let mut groups = Vec::new();
        for (index, group) in load.groups.iter().enumerate() {
            let seed = load.seed.wrapping_add(index as u64);
            groups.push(ClientGroup::new(group, load, seed));
            let numbers = 0..group.connections as usize;
            connections.extend(numbers.map(|number| Connection::new(index, number)));
        }
        Ok(Self {
            load,
            poll: Poll::new()?,
            connections,
            groups,
            timers: BinaryHeap::new(),
            random: fastrand::Rng::with_seed(load.seed),
            phase: Phase::Connecting(CONNECT_TIMEOUT),
            connecting: 0,
            buffer: vec![0; READ_SIZE],
            lag: Times::new(),
            started: 0,
            attempts: 0,
            origin: Now::read().instant,
            paused: 0,
            stop,
            accounts: (None, None),
            measured: 0,
            problems: Vec::new(),
            tls: tls.map(tls::config).transpose()?,
            live: is_live.then_some((0, 0)),
        })
    }

    /// Nanoseconds since the start, without the pauses of the clock.
    pub(super) fn now(&self) -> u64 {
        let since = Now::read().instant.saturating_duration_since(self.origin);
        let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        since.saturating_sub(self.paused)
    }

    /// Runs the load.
    pub fn run(mut self) -> io::Result<Outcome> {
        let mut events = Events::with_capacity(1024);
        while !self.stop.load(Ordering::Relaxed) {
            let now = self.now();
            if self.update_phase(now) {
                break;
            }
            self.show_live(now);
            self.fire_timers(now);
            self.release(now);
            let timeout = self.poll_timeout(self.now());
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            for event in &events {
                if self.stop.load(Ordering::Relaxed) {
                    break;
                }
                self.on_event(event.token().0, event);
            }
        }
        Ok(self.finish())
    }

    /// Shows a line on the terminal every second.
    fn show_live(&mut self, now: u64) {
        let (Some((at, before)), Some(group)) = (self.live, self.groups.first()) else {
            return;
        };
        if now >= at {
            let (responses, errors, times) = group.recorder.live();
            let [p50, p99] = [0.5, 0.99].map(|part| times.at(part) / 1000);
            // A closed terminal is not an error of the load.
            let _ = write!(
                io::stderr(),
                "\r\x1b[K{} s  {} req/s  p50 {p50} us  p99 {p99} us  {errors} errors",
                now / LIVE_INTERVAL,
                responses - before
            );
            self.live = Some((now + LIVE_INTERVAL, responses));
        }
    }

    /// Enters the next phase when it is time. Returns whether the run is over.
    fn update_phase(&mut self, now: u64) -> bool {
        match self.phase {
            Phase::Connecting(end) => {
                self.connect_more(now);
                let is_done = self.started == self.connections.len() && self.connecting == 0;
                if is_done || now >= end {
                    self.phase = Phase::WarmUp(now + self.load.warm_up);
                    if self.load.warm_up == 0 {
                        // Even the first requests are measured.
                        self.begin_measuring();
                    }
                    self.begin_all(self.now());
                }
            }
            Phase::WarmUp(end) if now >= end => self.begin_measuring(),
            Phase::Measuring(end) if now >= end => {
                self.begin_draining(now, end);
                return self.is_drained();
            }
            Phase::Draining(end) => return now >= end || self.is_drained(),
            Phase::WarmUp(_) | Phase::Measuring(_) => {}
        }
        false
    }

    fn connect_more(&mut self, now: u64) {
        while self.connecting < MAX_CONNECTING && self.started < self.connections.len() {
            let index = self.started;
            self.started += 1;
            if self.group_of(index).is_some_and(|group| !group.is_short()) {
                self.connect(index, now);
            }
        }
    }

    fn begin_all(&mut self, now: u64) {
        for group in &mut self.groups {
            if let Some(schedule) = &mut group.schedule {
                group.origin = now;
                group.next_due = now + schedule.due();
            }
        }
        for index in 0..self.connections.len() {
            match self.group_of(index).is_some_and(ClientGroup::is_short) {
                true => self.connect(index, now),
                false => self.begin(index, now),
            }
        }
    }

    fn begin_measuring(&mut self) {
        let account = self.account();
        if let (Some(server), None) = (self.load.server, &account.server) {
            let problem = format!("cannot read the resource usage of process {server}");
            self.report(problem);
        }
        self.accounts.0 = Some(account);
        let now = self.now();
        let window = now..now + self.load.measure;
        for (index, group) in self.groups.iter_mut().enumerate() {
            let is_counted =
                |one: &&Connection| one.group == index && (group.is_short() || one.is_open());
            let open = self.connections.iter().filter(is_counted).count();
            let open = u32::try_from(open).unwrap_or(u32::MAX);
            group.recorder.begin(window.clone(), open);
        }
        self.phase = Phase::Measuring(window.end);
        self.measured = now;
    }

    /// Ends the measurement, which was due at `end`.
    fn begin_draining(&mut self, now: u64, end: u64) {
        self.release(end);
        self.accounts.1 = Some(self.account());
        self.measured = end.saturating_sub(self.measured);
        for group in &mut self.groups {
            group.next_due = u64::MAX;
        }
        self.phase = Phase::Draining(now + self.load.drain);
    }

    /// Reads what generator and server have used, while the clock is paused, so that no request is
    /// due meanwhile. For a server with thousands of threads this takes half a second, which would
    /// be in the response times of no other server. Response times of requests that are outstanding
    /// meanwhile may be too short by this time.
    fn account(&mut self) -> Account {
        let before = self.now();
        // Those of the generator and of the server: what others do on the rest does not matter.
        let mut cpus = platform::cpus(None);
        cpus.extend(platform::cpus(self.load.server));
        cpus.sort_unstable();
        cpus.dedup();
        let account = Account {
            generator: platform::cpu_time(std::process::id()).unwrap_or(0),
            server: self.load.server.and_then(|server| Usage::of(server, &cpus)),
        };
        self.paused += self.now().saturating_sub(before);
        account
    }

    /// Whether no response is outstanding any more.
    fn is_drained(&self) -> bool {
        let has_waiting = |group: &ClientGroup| !group.waiting.is_empty();
        !self.groups.iter().any(has_waiting) && !self.connections.iter().any(|one| self.is_due(one))
    }

    /// Whether a response is outstanding that the drain waits for.
    fn is_due(&self, connection: &Connection) -> bool {
        let group = self.groups.get(connection.group);
        match group.map(|group| group.behavior) {
            Some(Behavior::SlowRead { .. } | Behavior::Silent) | None => false,
            Some(Behavior::Short { .. }) => connection.is_busy(),
            Some(_) => connection.outstanding.is_some(),
        }
    }

    /// Sends, queues or drops the requests of open loops that are due by `now`.
    fn release(&mut self, now: u64) {
        for index in 0..self.groups.len() {
            while let Some(due) = self.take_due(index, now) {
                self.enqueue(index, due);
            }
        }
    }

    /// Takes the next request that is due by `now` from the schedule of a group.
    fn take_due(&mut self, index: usize, now: u64) -> Option<u64> {
        let group = self.groups.get_mut(index)?;
        let due = group.next_due;
        if due > now || due == u64::MAX {
            return None;
        }
        group.next_due = group.origin + group.schedule.as_mut()?.due();
        group.recorder.due(due);
        Some(due)
    }

    fn enqueue(&mut self, index: usize, due: u64) {
        let Some(group) = self.groups.get_mut(index) else {
            return;
        };
        let Behavior::Open { max_waiting, .. } = group.behavior else {
            return;
        };
        if group.waiting.len() >= max_waiting as usize {
            group.recorder.dropped(due);
            return;
        }
        group.waiting.push_back(due);
        let counts = group.waiting.len() == 1 && group.recorder.is_in_window(due);
        let now = self.now();
        if self.send_waiting(index, now) && counts {
            self.lag.record(now.saturating_sub(due));
        }
    }

    fn poll_timeout(&self, now: u64) -> Duration {
        let timer = self.timers.peek().map(|Reverse((at, _, _))| *at);
        let live = self.live.map(|(at, _)| at);
        let times = [Some(self.phase.end()), timer, live];
        let wake = times.into_iter().flatten().min().unwrap_or(now);
        let gap = wake.saturating_sub(now);
        let due = self.groups.iter().map(|group| group.next_due).min();
        let due = due.unwrap_or(u64::MAX);
        if due.saturating_sub(now) < gap + SPIN {
            let gap = due.saturating_sub(now).saturating_sub(SPIN);
            // Whole milliseconds: the poll rounds up.
            return Duration::from_millis(gap / 1_000_000);
        }
        Duration::from_nanos(gap)
    }

    /// Starts to connect.
    pub(super) fn connect(&mut self, index: usize, now: u64) {
        self.attempts += 1;
        let source = self.load.source;
        let source = source.map(|source| rotated(source, self.attempts));
        let buffer = self.group_of(index).and_then(ClientGroup::receive_buffer);
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        connection.started = now;
        let (place, target) = ((self.poll.registry(), Token(index)), &self.load.target);
        match connection.connect(place, target, source, buffer, self.tls.as_ref()) {
            Ok(()) => self.connecting += 1,
            Err(error) => self.on_connect_error(index, now, &error),
        }
    }

    pub(super) fn group_of(&self, index: usize) -> Option<&ClientGroup> {
        self.groups.get(self.connections.get(index)?.group)
    }

    pub(super) fn parts(&mut self, index: usize) -> Option<(&mut Connection, &mut ClientGroup)> {
        let connection = self.connections.get_mut(index)?;
        let group = self.groups.get_mut(connection.group)?;
        Some((connection, group))
    }

    /// Adds a problem to the outcome, once.
    pub(super) fn report(&mut self, problem: String) {
        if self.problems.len() < 10 && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn finish(mut self) -> Outcome {
        let now = self.now();
        if self.live.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        if !matches!(self.phase, Phase::Draining(_)) {
            self.report("a signal ended the generator early".to_owned());
            let is_measuring = matches!(self.phase, Phase::Measuring(_));
            let begin = if is_measuring { self.measured } else { now };
            self.measured = now.saturating_sub(begin);
            self.accounts = (None, None);
        }
        let (generator_time, usage) = self.used();
        for connection in &self.connections {
            let is_due = self.is_due(connection);
            if let Some(group) = self.groups.get_mut(connection.group).filter(|_| is_due) {
                if !connection.is_open() {
                    group.recorder.fault(Fault::Connect);
                }
                if let Some(request) = &connection.outstanding {
                    group.recorder.missing(request.due, now);
                }
            }
        }
        for group in &mut self.groups {
            for due in std::mem::take(&mut group.waiting) {
                group.recorder.missing(due, now);
            }
        }
        let groups = self.groups.into_iter();
        Outcome {
            measured: self.measured,
            groups: groups.map(|group| group.recorder.finish()).collect(),
            generator_time,
            usage,
            send_lag: self.lag.encode(),
            problems: self.problems,
        }
    }

    /// The CPU time of the generator in the measurement, and the accounts of the server.
    fn used(&self) -> (u64, Option<(Usage, Usage)>) {
        let (Some(before), Some(after)) = self.accounts else {
            return (0, None);
        };
        let mut usage = before.server.zip(after.server);
        if let (Some((_, after)), Some(server)) = (&mut usage, self.load.server) {
            // With the connections still open, and after the last response: this takes long.
            after.add_memory(server);
        }
        (after.generator.saturating_sub(before.generator), usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn the_clock_stands_still_while_the_accounts_are_read() {
        let mut load = Load::new(SocketAddr::from(([127, 0, 0, 1], 9)), 1);
        load.server = Some(std::process::id());
        let mut event_loop = EventLoop::new(&load, Default::default(), false).unwrap();
        let (before, start) = (event_loop.now(), Now::read().instant);
        let account = event_loop.account();
        let (passed, real) = (event_loop.now() - before, Now::read().instant - start);
        assert!(account.generator > 0 || !cfg!(target_os = "linux"));
        assert!(event_loop.paused > 0);
        assert!(Duration::from_nanos(passed) < real, "{passed} {real:?}");
    }
}
