//! The generator's event loop: one thread, one poll, all connections; like the server.
//!
//! Its phases: it connects, warms up, measures, and drains, in which it sends no new requests and
//! waits for outstanding responses.

use super::connection::{ClientGroup, Connection, rotated};
use super::recorder::Times;
use super::tls;
use crate::bench::platform;
use crate::bench::procfs::{Usage, process_tree};
use crate::bench::types::{Behavior, Fault, Load, Outcome};
use crate::clock::Now;
use mio::{Events, Poll, Token};
use rustix::process::{Pid, Signal, kill_process};
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
    stall: Stall,
    stop: Arc<AtomicBool>,
    usage: Option<(Usage, Usage)>,
    generator: (Usage, Usage),
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
            groups.push(ClientGroup::new(
                group,
                &load.target,
                load.http.as_ref(),
                seed,
            ));
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
            stall: Stall::new(load.server, load.stall),
            stop,
            usage: None,
            generator: Default::default(),
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
            self.stall.update(now);
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

    /// The CPUs of the generator and of the server: what others do on the rest does not matter.
    fn cpus(&self) -> Vec<usize> {
        let mut cpus = platform::cpus(None);
        cpus.extend(platform::cpus(self.load.server));
        cpus.sort_unstable();
        cpus.dedup();
        cpus
    }

    fn begin_measuring(&mut self) {
        self.with_clock_paused(|this| {
            let cpus = this.cpus();
            let generator = Usage::of(std::process::id(), &cpus).unwrap_or_default();
            let server = this.load.server.and_then(|server| Usage::of(server, &cpus));
            let server = server.map(|server| server.with_machine_of(&generator));
            this.usage = server.map(|server| (server, Usage::default()));
            this.generator.0 = generator;
        });
        if let (Some(server), None) = (self.load.server, &self.usage) {
            self.report(format!(
                "cannot read the resource usage of process {server}"
            ));
        }
        let now = self.now();
        let window = now..now + self.load.measure;
        for (index, group) in self.groups.iter_mut().enumerate() {
            let members = self.connections.iter().filter(|one| one.group == index);
            let open = match group.is_short() {
                true => members.count(),
                false => members.filter(|one| one.is_open()).count(),
            };
            let open = u32::try_from(open).unwrap_or(u32::MAX);
            group.recorder.begin(window.clone(), open);
        }
        self.stall.begin(now);
        self.phase = Phase::Measuring(window.end);
        self.measured = now;
    }

    /// Ends the measurement, which was due at `end`.
    fn begin_draining(&mut self, now: u64, end: u64) {
        self.release(end);
        self.with_clock_paused(|this| {
            let cpus = this.cpus();
            let generator = Usage::of(std::process::id(), &cpus).unwrap_or_default();
            if let (Some(server), Some((_, after))) = (this.load.server, &mut this.usage) {
                let server = Usage::of(server, &cpus).unwrap_or_default();
                *after = server.with_machine_of(&generator);
            }
            this.generator.1 = generator;
        });
        self.measured = end.saturating_sub(self.measured);
        for group in &mut self.groups {
            group.next_due = u64::MAX;
        }
        self.phase = Phase::Draining(now + self.load.drain);
    }

    /// Does slow work while the clock is paused, so that no request is due meanwhile. Reading the
    /// usage of a server with thousands of threads takes half a second, which would be in the
    /// response times of no other server. Response times of requests that are outstanding
    /// meanwhile may be too short by this time.
    fn with_clock_paused(&mut self, work: impl FnOnce(&mut Self)) {
        let before = self.now();
        work(self);
        self.paused += self.now().saturating_sub(before);
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
            Some(Behavior::SlowRead { .. } | Behavior::Drip { .. } | Behavior::Silent) | None => {
                false
            }
            Some(Behavior::Short { .. }) => connection.is_busy(),
            Some(_) => !connection.outstanding.is_empty(),
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
        let times = [Some(self.phase.end()), timer, self.stall.next(), live];
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
        self.stall.end();
        if self.live.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        if !matches!(self.phase, Phase::Draining(_)) {
            self.report("a signal ended the generator early".to_owned());
            let is_measuring = matches!(self.phase, Phase::Measuring(_));
            let begin = if is_measuring { self.measured } else { now };
            self.measured = now.saturating_sub(begin);
            self.usage = None;
            self.generator = Default::default();
        }
        if let (Some(server), Some((_, after))) = (self.load.server, &mut self.usage) {
            // With the connections still open, and after the last response: this takes long.
            after.add_memory(server);
        }
        for connection in &self.connections {
            let is_due = self.is_due(connection);
            if let Some(group) = self.groups.get_mut(connection.group).filter(|_| is_due) {
                if !connection.is_open() {
                    group.recorder.fault(Fault::Connect);
                }
                for request in &connection.outstanding {
                    group.recorder.missing(request.due, now);
                }
            }
        }
        for group in &mut self.groups {
            for due in std::mem::take(&mut group.waiting) {
                group.recorder.missing(due, now);
            }
        }
        let (before, after) = self.generator;
        let groups = self.groups.into_iter();
        Outcome {
            measured: self.measured,
            groups: groups.map(|group| group.recorder.finish()).collect(),
            generator_time: after.cpu_time.saturating_sub(before.cpu_time),
            usage: self.usage,
            send_lag: self.lag.encode(),
            problems: self.problems,
        }
    }
}

/// A planned stall. It stops all processes of the server: in a forking server the parent serves
/// nothing. When it is dropped, the server continues.
pub struct Stall {
    server: Option<u32>,
    /// The stopped processes, parents first.
    stopped: Vec<u32>,
    /// Time after the beginning of the measurement, and length, ns.
    planned: Option<(u64, u64)>,
    /// Beginning and end, ns since the generator's start.
    at: Option<(u64, u64)>,
}

impl Stall {
    /// A stall of the process `server`; `planned` counts from the beginning of the measurement.
    pub fn new(server: Option<u32>, planned: Option<(u64, u64)>) -> Self {
        Self {
            server,
            stopped: Vec::new(),
            planned,
            at: None,
        }
    }

    /// The measurement begins.
    pub fn begin(&mut self, now: u64) {
        let planned = self.planned.take();
        self.at = planned.map(|(after, long)| (now + after, now + after + long));
    }

    /// When [`update`](Self::update) is due next.
    pub fn next(&self) -> Option<u64> {
        let (begin, end) = self.at?;
        Some(if self.is_stopped() { end } else { begin })
    }

    /// Stops the server or lets it continue, if that is due.
    pub fn update(&mut self, now: u64) {
        let Some((begin, end)) = self.at else {
            return;
        };
        if self.is_stopped() && now >= end {
            self.end();
        } else if !self.is_stopped() && now >= begin {
            self.stop();
        }
    }

    /// Lets the server continue; there are no more stalls.
    pub fn end(&mut self) {
        self.at = None;
        // Children first, so that a parent does not see them stopped.
        for pid in std::mem::take(&mut self.stopped).into_iter().rev() {
            send(pid, Signal::CONT);
        }
    }

    fn is_stopped(&self) -> bool {
        !self.stopped.is_empty()
    }

    /// Repeats until there is no new process: one may be forked while the others are stopped.
    fn stop(&mut self) {
        let Some(server) = self.server else {
            return;
        };
        loop {
            let tree = process_tree(server).into_iter();
            let new: Vec<u32> = tree.filter(|pid| !self.stopped.contains(pid)).collect();
            if new.is_empty() {
                break;
            }
            for pid in new {
                send(pid, Signal::STOP);
                self.stopped.push(pid);
            }
        }
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.end();
    }
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The process may have ended; its connections then fail.
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::types::{Group, Target};
    use std::net::{SocketAddr, TcpListener};
    use std::process::{Child, Command};

    /// One connection that sends nothing.
    fn silent(target: SocketAddr, drain: u64) -> Load {
        Load {
            target: Target::Tcp(target),
            source: None,
            server: None,
            cpu: None,
            seed: 1,
            warm_up: 0,
            measure: 1,
            drain,
            stall: None,
            http: None,
            groups: vec![Group {
                name: "main".to_owned(),
                connections: 1,
                behavior: Behavior::Silent,
                pages: Vec::new(),
            }],
        }
    }

    #[test]
    fn the_drain_ends_at_once_if_no_response_is_outstanding() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let load = silent(listener.local_addr().unwrap(), 60_000_000_000);
        let start = Now::read().instant;
        let event_loop = EventLoop::new(&load, Default::default(), false).unwrap();
        event_loop.run().unwrap();
        assert!(Now::read().instant - start < Duration::from_secs(60));
    }

    #[test]
    fn the_clock_does_not_advance_while_it_is_paused() {
        let load = silent(([127, 0, 0, 1], 9).into(), 0);
        let start = Now::read().instant;
        let mut event_loop = EventLoop::new(&load, Default::default(), false).unwrap();
        let work = Duration::from_millis(20);
        event_loop.with_clock_paused(|_| std::thread::sleep(work));
        let (now, real) = (event_loop.now(), Now::read().instant - start);
        assert!(Duration::from_nanos(event_loop.paused) >= work);
        assert!(Duration::from_nanos(now) <= real - work, "{now} {real:?}");
    }

    /// Whether each process of the tree is stopped (proc_pid_stat(5)).
    fn stopped(server: u32) -> Vec<bool> {
        let state = |pid: u32| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = text.rsplit_once(')').map(|(_, rest)| rest.trim_start());
            state.is_some_and(|state| state.starts_with('T'))
        };
        process_tree(server).into_iter().map(state).collect()
    }

    /// Waits until the processes are in these states: a signal takes time.
    fn reach(server: u32, wanted: &[bool]) -> bool {
        (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            stopped(server) == wanted
        })
    }

    fn shell_with_a_child() -> Child {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 60 & wait"]).spawn().unwrap()
    }

    #[test]
    fn all_processes_of_a_server_are_stopped_and_all_continue() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let mut shell = shell_with_a_child();
        let server = shell.id();
        let started = reach(server, &[false, false]);
        let mut stall = Stall::new(Some(server), Some((5, 10)));
        stall.update(100);
        stall.begin(100);
        let before = stall.next();
        stall.update(104);
        let not_yet = stopped(server);
        stall.update(105);
        let during = (stall.next(), reach(server, &[true, true]));
        stall.update(115);
        let after = (stall.next(), reach(server, &[false, false]));
        for pid in process_tree(server).into_iter().rev() {
            send(pid, Signal::KILL);
        }
        shell.wait().unwrap();
        assert!(started);
        assert_eq!((before, not_yet), (Some(105), vec![false, false]));
        assert_eq!((during, after), ((Some(115), true), (None, true)));
    }

    #[test]
    fn a_dropped_stall_lets_the_server_continue() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let mut server = Command::new("sleep").arg("60").spawn().unwrap();
        let mut stall = Stall::new(Some(server.id()), Some((0, u64::MAX / 2)));
        stall.begin(1);
        stall.update(1);
        let during = reach(server.id(), &[true]);
        drop(stall);
        let after = reach(server.id(), &[false]);
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(during && after, "{during} {after}");
    }
}
