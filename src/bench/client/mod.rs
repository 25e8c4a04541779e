//! The load generator: a process of its own, with its own event loop. Like the server, it has one
//! thread and one poll for all connections.
//!
//! Its phases: it connects, warms up, measures, and drains, in which it sends no new requests and
//! waits for outstanding responses.
//!
//! - here: the event loop, its phases, and the measurement window
//! - `connection`: what a connection does on an event or a timer
//! - `group`: what the connections of a group share
//! - `parser`, `recorder`: without I/O: where a response ends; the statistics
//! - `tls`: connections over TLS

mod connection;
mod group;
mod parser;
pub(super) mod recorder;
mod tls;

use super::platform;
use super::procfs::Usage;
use super::types::{Behavior, Fault, Group, Load, Outcome};
use crate::clock::Now;
use connection::Connection;
use group::ClientGroup;
use mio::{Events, Poll, Registry};
use recorder::Times;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::io::{self, Read, Write, stderr, stdin, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Limit for the connections of all groups.
const MAX_CONNECTIONS: usize = 1_000_000;
/// Limit for the rate of an open loop, requests per second. A dropped request takes time, too: a
/// generator that is late because of it never catches up.
const MAX_RATE: f64 = 2e6;
/// Limit for warm-up, measurement and drain, ns: a day.
const MAX_TIME: u64 = 86_400_000_000_000;

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

/// Reads a load from standard input, runs it, and writes the outcome to standard output.
pub fn generate() -> Result<ExitCode, Box<dyn Error>> {
    let mut text = String::new();
    stdin().read_to_string(&mut text)?;
    let load = serde_json::from_str(&text).map_err(|error| {
        format!("not a load: {error} (expected JSON on standard input, see src/bench/types.rs)")
    })?;
    let outcome = run(&load, false)?;
    let mut stdout = stdout().lock();
    serde_json::to_writer(&mut stdout, &outcome)?;
    stdout.write_all(b"\n")?;
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a load; with `is_live`, a line on the terminal shows its progress.
pub fn run(load: &Load, is_live: bool) -> Result<Outcome, Box<dyn Error>> {
    check(load)?;
    let stop = Arc::new(AtomicBool::new(false));
    // The load then ends, and there is an outcome.
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let mut event_loop = EventLoop::new(load, stop, is_live)?;
    if let Some(cpu) = load.cpu
        && let Err(error) = platform::pin_to(&[cpu])
    {
        let problem = format!("cannot pin the generator to CPU {cpu}: {error}");
        event_loop.shared.report(problem);
    }
    Ok(event_loop.run()?)
}

/// Whether a load is valid.
pub fn check(load: &Load) -> Result<(), String> {
    let tls = load.http.as_ref().and_then(|http| http.tls.as_ref());
    tls.map(tls::config).transpose()?;
    let connections: usize = load.groups.iter().map(|one| one.connections as usize).sum();
    let longest = load.warm_up.max(load.measure).max(load.drain);
    let number = (1..=MAX_CONNECTIONS).contains(&connections);
    require(number, "there must be 1 to 1000000 connections")?;
    require(load.measure > 0, "the measurement must take longer than 0")?;
    let rule = "warm-up, measurement and drain must each be at most a day";
    require(longest <= MAX_TIME, rule)?;
    load.groups.iter().try_for_each(check_group)
}

fn check_group(group: &Group) -> Result<(), String> {
    let (rate, max_rate) = match group.behavior {
        Behavior::Open { rate, .. } => (rate, MAX_RATE),
        Behavior::SlowRead { rate, .. } => (rate, 1e9),
        Behavior::Closed | Behavior::Short | Behavior::Silent => (1.0, 1.0),
    };
    let rule = "the rate must be above 0.001 and at most 2e6";
    require(rate > 1e-3 && rate <= max_rate, rule)?;
    let path = match &group.page {
        Some(page) => page.path.as_str(),
        None => {
            return require(
                group.behavior == Behavior::Silent,
                "there is no page to request",
            );
        }
    };
    let is_target = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    require(is_target, "a path cannot be in a request line")
}

fn require(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}

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

/// What the connections of all groups share.
struct Shared {
    load: Load,
    tls: Option<tls::Config>,
    registry: Registry,
    /// When a connection needs attention: time, index, and its `started`.
    timers: BinaryHeap<Reverse<(u64, usize, u64)>>,
    random: fastrand::Rng,
    phase: Phase,
    /// Connects in progress.
    connecting: u32,
    /// Connects of the whole run.
    attempts: u64,
    buffer: Vec<u8>,
    outcome: Outcome,
    origin: Instant,
    /// How long the clock was paused, ns.
    paused: u64,
    /// Nanoseconds since the start, without the pauses of the clock, when it was read last.
    now: u64,
}

impl Shared {
    fn read_clock(&mut self) -> u64 {
        let since = Now::read().instant.saturating_duration_since(self.origin);
        let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.now = since.saturating_sub(self.paused);
        self.now
    }

    /// Adds a problem to the outcome, once.
    fn report(&mut self, problem: String) {
        let problems = &mut self.outcome.problems;
        if problems.len() < 10 && !problems.contains(&problem) {
            problems.push(problem);
        }
    }
}

/// What was used until a moment: CPU time of the generator, ns, and what the server has used.
type Account = (u64, Option<Usage>);

/// A running load.
struct EventLoop {
    poll: Poll,
    connections: Vec<Connection>,
    groups: Vec<ClientGroup>,
    shared: Shared,
    lag: Times,
    /// Connections that were started in the connect phase.
    started: usize,
    stop: Arc<AtomicBool>,
    /// When the measurement began, and the account.
    begun: Option<(u64, Account)>,
    /// When the next line is shown, and the responses in the line before.
    live: Option<(u64, u64)>,
}

impl EventLoop {
    /// For a valid load. `stop` ends the run early.
    fn new(load: &Load, stop: Arc<AtomicBool>, is_live: bool) -> Result<Self, Box<dyn Error>> {
        let tls = load.http.as_ref().and_then(|http| http.tls.as_ref());
        let mut connections = Vec::new();
        let mut groups = Vec::new();
        for (index, group) in load.groups.iter().enumerate() {
            let seed = load.seed.wrapping_add(index as u64);
            groups.push(ClientGroup::new(group, load, seed));
            for number in 0..group.connections as usize {
                connections.push(Connection::new(connections.len(), index, number));
            }
        }
        let poll = Poll::new()?;
        Ok(Self {
            shared: Shared {
                load: load.clone(),
                tls: tls.map(tls::config).transpose()?,
                registry: poll.registry().try_clone()?,
                timers: BinaryHeap::new(),
                random: fastrand::Rng::with_seed(load.seed),
                phase: Phase::Connecting(CONNECT_TIMEOUT),
                connecting: 0,
                attempts: 0,
                buffer: vec![0; READ_SIZE],
                outcome: Outcome::default(),
                origin: Now::read().instant,
                paused: 0,
                now: 0,
            },
            poll,
            connections,
            groups,
            lag: Times::new(),
            started: 0,
            stop,
            begun: None,
            live: is_live.then_some((0, 0)),
        })
    }

    /// Runs the load.
    fn run(mut self) -> io::Result<Outcome> {
        let mut events = Events::with_capacity(1024);
        while !self.stop.load(Ordering::Relaxed) {
            let now = self.shared.read_clock();
            if self.update_phase(now) {
                break;
            }
            self.show_live(now);
            self.fire_timers(now);
            self.release(now);
            let timeout = self.poll_timeout();
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            for event in &events {
                if self.stop.load(Ordering::Relaxed) {
                    break;
                }
                self.shared.read_clock();
                self.with(event.token().0, |connection, group, shared| {
                    connection.on_event(group, shared, event);
                });
            }
        }
        Ok(self.finish())
    }

    /// Calls a method of a connection.
    fn with(
        &mut self,
        index: usize,
        method: impl FnOnce(&mut Connection, &mut ClientGroup, &mut Shared),
    ) {
        if let Some(connection) = self.connections.get_mut(index)
            && let Some(group) = self.groups.get_mut(connection.group)
        {
            method(connection, group, &mut self.shared);
        }
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
                stderr(),
                "\r\x1b[K{} s  {} req/s  p50 {p50} us  p99 {p99} us  {errors} errors",
                now / LIVE_INTERVAL,
                responses - before
            );
            self.live = Some((now + LIVE_INTERVAL, responses));
        }
    }

    /// Enters the next phase when it is time. Returns whether the run is over.
    fn update_phase(&mut self, now: u64) -> bool {
        match self.shared.phase {
            Phase::Connecting(end) => {
                self.connect_more();
                let is_done = self.started == self.connections.len() && self.shared.connecting == 0;
                if is_done || now >= end {
                    self.shared.phase = Phase::WarmUp(now + self.shared.load.warm_up);
                    if self.shared.load.warm_up == 0 {
                        // Even the first requests are measured.
                        self.begin_measuring();
                    }
                    self.begin_all();
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

    fn connect_more(&mut self) {
        while self.shared.connecting < MAX_CONNECTING && self.started < self.connections.len() {
            self.with(self.started, |connection, group, shared| {
                if !group.is_short() {
                    connection.connect(group, shared);
                }
            });
            self.started += 1;
        }
    }

    fn begin_all(&mut self) {
        let now = self.shared.read_clock();
        for group in &mut self.groups {
            group.start(now);
        }
        for index in 0..self.connections.len() {
            self.with(index, |connection, group, shared| match group.is_short() {
                true => connection.connect(group, shared),
                false => connection.begin(group, shared),
            });
        }
    }

    fn begin_measuring(&mut self) {
        let account = self.account();
        let now = self.shared.now;
        self.begun = Some((now, account));
        let window = now..now + self.shared.load.measure;
        for (index, group) in self.groups.iter_mut().enumerate() {
            let is_counted =
                |one: &&Connection| one.group == index && (group.is_short() || one.is_open);
            let open = self.connections.iter().filter(is_counted).count();
            let open = u32::try_from(open).unwrap_or(u32::MAX);
            group.recorder.begin(window.clone(), open);
        }
        self.shared.phase = Phase::Measuring(window.end);
    }

    /// Ends the measurement, which was due at `end`.
    fn begin_draining(&mut self, now: u64, end: u64) {
        self.release(end);
        let (generator, server) = self.account();
        if let Some((begun, before)) = self.begun {
            let outcome = &mut self.shared.outcome;
            outcome.measured = end.saturating_sub(begun);
            outcome.generator_time = generator.saturating_sub(before.0);
            outcome.usage = before.1.zip(server);
        }
        for group in &mut self.groups {
            group.next_due = u64::MAX;
        }
        self.shared.phase = Phase::Draining(now + self.shared.load.drain);
    }

    /// Reads what generator and server have used, while the clock is paused, so that no request is
    /// due meanwhile. For a server with thousands of threads this takes half a second, which would
    /// be in the response times of no other server. Response times of requests that are outstanding
    /// meanwhile may be too short by this time.
    fn account(&mut self) -> Account {
        let before = self.shared.read_clock();
        let server = self.shared.load.server;
        // Those of the generator and of the server: what others do on the rest does not matter.
        let mut cpus = platform::cpus(None);
        cpus.extend(platform::cpus(server));
        cpus.sort_unstable();
        cpus.dedup();
        let generator = platform::cpu_time(std::process::id()).unwrap_or(0);
        let server = server.and_then(|server| Usage::of(server, &cpus));
        self.shared.paused += self.shared.read_clock().saturating_sub(before);
        self.shared.read_clock();
        (generator, server)
    }

    /// Whether no response is outstanding any more.
    fn is_drained(&self) -> bool {
        let awaits = |one: &Connection| {
            let group = self.groups.get(one.group);
            group.is_some_and(|group| one.is_awaited(group))
        };
        self.groups.iter().all(|group| group.waiting.is_empty())
            && !self.connections.iter().any(awaits)
    }

    /// Sends, queues or drops the requests of open loops that are due by `now`.
    fn release(&mut self, now: u64) {
        for group in &mut self.groups {
            while let Some(due) = group.take_due(now) {
                let mut idle = std::iter::from_fn(|| group.idle.pop_front());
                let connections = &mut self.connections;
                let mut can_send = |index: &usize| {
                    connections
                        .get_mut(*index)
                        .is_some_and(Connection::leave_idle)
                };
                let index = idle.find(&mut can_send);
                let Some(connection) = index.and_then(|index| self.connections.get_mut(index))
                else {
                    group.wait(due);
                    continue;
                };
                let now = self.shared.read_clock();
                connection.send(group, due, now);
                if group.recorder.is_in_window(due) {
                    self.lag.record(now.saturating_sub(due));
                }
            }
        }
    }

    /// Handles the timers that are due.
    fn fire_timers(&mut self, now: u64) {
        while let Some(Reverse((at, index, started))) = self.shared.timers.peek().copied()
            && at <= now
        {
            self.shared.timers.pop();
            self.with(index, |connection, group, shared| {
                // Otherwise the timer belongs to an earlier connection.
                if connection.started == started {
                    connection.on_timer(group, shared);
                }
            });
        }
    }

    fn poll_timeout(&mut self) -> Duration {
        let now = self.shared.read_clock();
        let timer = self.shared.timers.peek().map(|Reverse((at, _, _))| *at);
        let live = self.live.map(|(at, _)| at);
        let times = [Some(self.shared.phase.end()), timer, live];
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

    fn finish(mut self) -> Outcome {
        let now = self.shared.read_clock();
        if self.live.is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
        let shared = &mut self.shared;
        let is_early = !matches!(shared.phase, Phase::Draining(_));
        if is_early {
            shared.report("a signal ended the generator early".to_owned());
            let begun = self.begun.map_or(now, |(begun, _)| begun);
            shared.outcome.measured = now.saturating_sub(begun);
            for group in &mut self.groups {
                group.recorder.end(now);
            }
        }
        if let (Some((_, after)), Some(server)) = (&mut shared.outcome.usage, shared.load.server) {
            // With the connections still open, and after the last response: this takes long.
            after.add_memory(server);
        }
        for connection in &self.connections {
            let group = self.groups.get_mut(connection.group);
            // The responses that are outstanding when a signal comes are not late.
            if let Some(group) = group.filter(|group| !is_early && connection.is_awaited(group)) {
                if !connection.is_open {
                    group.recorder.fault(Fault::Connect);
                }
                if let Some(request) = &connection.outstanding {
                    group.recorder.missing(request.due, now);
                }
            }
        }
        for group in self.groups.iter_mut().filter(|_| !is_early) {
            for due in std::mem::take(&mut group.waiting) {
                group.recorder.missing(due, now);
            }
        }
        let groups = self.groups.into_iter();
        Outcome {
            groups: groups.map(|group| group.recorder.finish()).collect(),
            send_lag: self.lag.encode(),
            ..self.shared.outcome
        }
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
        let (before, start) = (event_loop.shared.read_clock(), Now::read().instant);
        let (generator, _) = event_loop.account();
        let passed = event_loop.shared.read_clock() - before;
        let real = Now::read().instant - start;
        assert!(generator > 0 || !cfg!(target_os = "linux"));
        assert!(event_loop.shared.paused > 0);
        assert!(Duration::from_nanos(passed) < real, "{passed} {real:?}");
    }
}
