//! The simulated kernel: clock, network, files and poller. Time passes when the loop waits, and a
//! few microseconds in every iteration.

use crate::checker::{StallRecord, micros};
use crate::connection::{Edge, SimConnection};
use crate::faults::{Call, CallId, CallResult};
use crate::matcher::Matcher;
use crate::random::Random;
use crate::requests::{FILE, FILES};
use crate::response_checker::ResponseChecker;
use crate::run::HORIZON;
use crate::scenario::{Micros, Poller, Scenario, Stall};
use crate::site::kernel::{site_of, timed};
use crate::site::{Reader, SharedSite};
use oneloop::clock::Now;
use oneloop::limits::Limits;
use oneloop::signals::Action;
use rustix::io::Errno;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Fri, 01 Jan 2100 00:00:00 GMT.
///
/// The 999 ns: a microsecond is nearly over, so a time a few nanoseconds later is in the past.
const WALL: Duration = Duration::new(4_102_444_800, 999);

/// How long an iteration takes, at least and at most.
const ITERATION_TIME: (usize, usize) = (1, 40);

/// The kernel, shared by all parts of the simulation.
pub type SharedKernel = Rc<RefCell<Kernel>>;

pub struct Kernel {
    pub scenario: Scenario,
    pub now: Micros,
    began: Instant,
    pub connections: Vec<SimConnection>,
    pub listeners: Vec<ListeningSocket>,
    /// The result of the latest accept.
    pub last_accept: Option<AcceptResult>,
    pub accept_calls: u32,
    /// Calls to accept before this iteration.
    pub accept_calls_before: u32,
    pub is_listening: bool,
    /// A connection was accepted or closed in this iteration.
    pub has_moved: bool,
    timeline: BinaryHeap<Reverse<(Micros, TimedEvent)>>,
    /// Connections with readiness to announce, oldest first.
    edges: VecDeque<usize>,
    /// Tokens whose sockets were closed in the latest iteration.
    stale: Vec<usize>,
    /// Connections with a call since the latest poll.
    touched: Vec<usize>,
    signals: Vec<Action>,
    /// A notification of the handler is to be announced.
    is_handler_notified: bool,
    /// When the server got the signal to stop, and whether it got it twice.
    pub stopped_at: Option<Micros>,
    pub stopped_twice: bool,
    /// Stalls: when the server did not look at its sockets, and those still to come.
    pub stalled: StallRecord,
    stalls: VecDeque<(Micros, Micros, Stall)>,
    /// The latest poll was interrupted.
    pub is_interrupted: bool,
    random: Random,
    /// The length of each file.
    pub files: [u64; FILES],
    /// The descriptors by which the server names them.
    pub file_descriptors: Vec<RawFd>,
    /// The files of the real site.
    pub site: Option<SharedSite>,
    /// How many more descriptors the process may open.
    pub descriptors: usize,
    /// Rules that were broken.
    pub violations: Vec<String>,
    pub trace: Option<Vec<String>>,
    pub syscalls: u64,
}

/// A listening socket.
#[derive(Debug, Default)]
pub struct ListeningSocket {
    /// Connections that wait to be accepted.
    pub pending: VecDeque<usize>,
    /// An event is to be announced.
    pub edge: bool,
    seen_empty: bool,
    /// Connections accepted at other listeners while some waited here and the server knew of them.
    pub passed_over: usize,
}

/// The result of accept(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptResult {
    /// A connection.
    Accepted,
    NoneWaiting,
    /// A connection waits, but no descriptor is left.
    NoDescriptor,
    /// An injected error.
    Error(Errno),
}

/// An event that happens at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TimedEvent {
    Connects(usize),
    RunsScript(usize),
    Reads(usize),
    Stop,
    HandlerReady,
    Shrinks(usize, u64),
    Changes(usize),
}

/// An event that the poll returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Listener(usize),
    Token(usize, Edge),
    Signal(Action),
    Handler,
}

impl Kernel {
    pub fn new(scenario: Scenario, traced: bool) -> SharedKernel {
        let site = site_of(&scenario, WALL);
        let connection = |(id, peer): (usize, &crate::scenario::Peer)| {
            let checker: Box<dyn ResponseChecker> = match &site {
                None => Box::new(Matcher::new(&peer.requests)),
                Some(site) => Box::new(Reader::new(site.clone(), id, &peer.requests)),
            };
            SimConnection::new(
                peer.clone(),
                checker,
                scenario.receive_buffer,
                scenario.send_buffer,
            )
        };
        let mut kernel = Self {
            now: 0,
            began: Instant::now(),
            connections: scenario.peers.iter().enumerate().map(connection).collect(),
            listeners: (0..scenario.listeners)
                .map(|_| ListeningSocket::default())
                .collect(),
            last_accept: None,
            accept_calls: 0,
            accept_calls_before: 0,
            is_listening: true,
            has_moved: false,
            timeline: BinaryHeap::new(),
            edges: VecDeque::new(),
            stale: Vec::new(),
            touched: Vec::new(),
            signals: Vec::new(),
            is_handler_notified: false,
            stopped_at: None,
            stopped_twice: false,
            stalled: StallRecord::new(&scenario),
            stalls: scenario.stalls.clone().into(),
            is_interrupted: false,
            random: Scenario::draw(scenario.peers.len() as u64, 1),
            files: [FILE; FILES],
            file_descriptors: Vec::new(),
            site,
            descriptors: scenario.descriptors,
            violations: Vec::new(),
            trace: traced.then(Vec::new),
            syscalls: 0,
            scenario,
        };
        for id in 0..kernel.connections.len() {
            kernel.schedule_at(kernel.scenario.peers[id].connects, TimedEvent::Connects(id));
        }
        for at in kernel.scenario.stops.clone() {
            kernel.schedule_at(at, TimedEvent::Stop);
        }
        for (file, at, length) in kernel.scenario.shrinks.clone() {
            kernel.schedule_at(at, TimedEvent::Shrinks(file, length));
        }
        for (at, nth) in timed(&kernel.scenario) {
            kernel.schedule_at(at, TimedEvent::Changes(nth));
        }
        Rc::new(RefCell::new(kernel))
    }

    /// The time as the server reads it.
    pub fn read_clock(&self) -> Now {
        Now {
            instant: self.began + Duration::from_micros(self.now),
            wall: match self.site {
                // The expected responses of the small handler have a fixed Date.
                None => UNIX_EPOCH + WALL,
                Some(_) => UNIX_EPOCH + WALL + Duration::from_micros(self.now),
            },
        }
    }

    pub fn log(&mut self, what: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>10} us  {}", now, what()));
        }
    }

    /// Sends a signal to the server.
    pub fn send_signal(&mut self, action: Action) {
        self.signals.push(action);
    }

    /// The number and the length of a file.
    pub fn file(&self, file: &File) -> (usize, u64) {
        if self.site.is_some() {
            return self.site_file(file).expect("one of the site's files");
        }
        let is_it = |&one: &RawFd| one == file.as_raw_fd();
        let file = self.file_descriptors.iter().position(is_it);
        file.map_or((FILES, 0), |file| (file, self.files[file]))
    }

    /// Records that a rule was broken.
    pub fn report_violation(&mut self, what: String) {
        self.log(|| format!("BROKEN: {what}"));
        self.violations.push(what);
    }

    /// The handler got the number of the listener that accepted the connection.
    pub fn check_listener(&mut self, id: usize, listener: usize) {
        if self.connections[id].listener != listener {
            self.report_violation(format!(
                "connection {id}: the handler got listener {listener}"
            ));
        }
    }

    /// Nothing more happens unless the server does something.
    pub fn is_over(&self) -> bool {
        let is_anyone_waiting = self
            .listeners
            .iter()
            .any(|listener| !listener.pending.is_empty());
        self.timeline.is_empty()
            && !is_anyone_waiting
            && self.connections.iter().all(|l| !l.is_open())
    }

    pub fn limits(&self) -> Limits {
        self.scenario.limits.limits(self.scenario.connections)
    }

    /// The result of this call.
    pub fn result(&mut self, id: usize, call: Call) -> CallResult {
        self.syscalls += 1;
        let calls = &mut self.connections[id].calls[call as usize];
        let site: CallId = (id, call, *calls);
        *calls += 1;
        match self.scenario.faults.result(site) {
            // After a stall, everything that was sent has arrived.
            CallResult::OneByte | CallResult::Half | CallResult::WouldBlock
                if self.stalled.is_just_over(self.now) =>
            {
                CallResult::All
            }
            result => result,
        }
    }

    /// The same for accept(2), which belongs to no connection.
    pub fn accept_result(&mut self) -> CallResult {
        self.syscalls += 1;
        self.accept_calls += 1;
        self.scenario
            .faults
            .result((0, Call::Accept, self.accept_calls - 1))
    }

    /// Takes the next connection from the backlog.
    pub fn pop_pending(&mut self, listener: usize) -> Option<usize> {
        let next = self.listeners[listener].pending.pop_front();
        self.listeners[listener].seen_empty = next.is_none();
        self.has_moved |= next.is_some();
        next
    }

    /// A connection waits to be accepted, and no event will announce it.
    pub fn has_unannounced_pending(&self) -> bool {
        let is_silent = |listener: &ListeningSocket| !listener.pending.is_empty() && !listener.edge;
        self.is_listening && self.listeners.iter().any(is_silent)
    }

    /// Records that a call was made: its effects are computed at the next poll.
    pub fn touch(&mut self, id: usize) {
        if !std::mem::replace(&mut self.connections[id].is_touched, true) {
            self.touched.push(id);
        }
    }

    /// A socket was closed: its token may be used again.
    pub fn forget_token(&mut self, id: usize) {
        self.stale.extend(self.connections[id].token);
        self.connections[id].edge = Edge::default();
    }

    /// Whether the handler is ready to answer the next request of this connection. If it has not
    /// begun to work on it, it begins.
    pub fn is_handler_ready(&mut self, id: usize) -> bool {
        let Some(work) = self.scenario.work else {
            return true;
        };
        let now = self.now;
        match self.connections[id].ready_at {
            Some(at) if at <= now => {
                self.connections[id].ready_at = None;
                true
            }
            Some(_) => false,
            None => {
                self.log(|| format!("connection {id}: the handler works"));
                self.connections[id].ready_at = Some(now + work);
                self.schedule_at(now + work, TimedEvent::HandlerReady);
                false
            }
        }
    }

    /// Whether the handler will notify the loop.
    pub fn will_notify(&self) -> bool {
        let mut timeline = self.timeline.iter();
        let is_planned =
            |Reverse((_, due)): &Reverse<(Micros, TimedEvent)>| *due == TimedEvent::HandlerReady;
        self.is_handler_notified || timeline.any(is_planned)
    }

    fn schedule_at(&mut self, at: Micros, due: TimedEvent) {
        self.timeline.push(Reverse((at, due)));
    }

    fn queue_edge(&mut self, id: usize) {
        let connection = &mut self.connections[id];
        if connection.is_open()
            && connection.edge.is_any()
            && !std::mem::replace(&mut connection.is_queued, true)
        {
            self.edges.push_back(id);
        }
    }

    // The poll.

    /// Waits for events, at most for `timeout`.
    pub fn poll(&mut self, timeout: Option<Duration>) -> Vec<Event> {
        self.finish_calls();
        self.change_before_poll();
        let began = self.now;
        self.is_interrupted = false;
        if let Some(length) = self.due_stall(Stall::Stopped) {
            self.advance(length);
            self.stalled.add(began, self.now - began);
            self.stalled.span(began, self.now);
            self.is_interrupted = true;
            return Vec::new();
        }
        // The kernel rounds timeouts up to a millisecond.
        let wake =
            timeout.map(|timeout| self.now + (timeout.as_micros() as u64).next_multiple_of(1000));
        self.run_due_events();
        while !self.has_events() {
            let next = self.timeline.peek().map(|Reverse((at, _))| *at);
            let Some(until) = next.into_iter().chain(wake).min() else {
                break;
            };
            // A slow reader may take hours to read what was sent long ago.
            let is_late = self.now > HORIZON + self.stalled.total();
            let is_over = wake.is_none() && self.stopped_at.is_none() && is_late;
            if wake.is_some_and(|wake| wake <= self.now) || is_over {
                break;
            }
            self.now = self.now.max(until);
            self.run_due_events();
        }
        if let Some(length) = self.due_stall(Stall::Late) {
            self.stalled.span(self.now, self.now + length);
            self.advance(length);
            let events = self.events();
            if let Some(timeout) = timeout {
                let (length, is_empty) = (self.now - began, events.is_empty());
                self.stalled
                    .add_late(began, length, micros(timeout), is_empty);
            }
            return events;
        }
        let events = self.events();
        self.now += self.random.between(ITERATION_TIME.0, ITERATION_TIME.1) as u64;
        events
    }

    /// If a stall of this kind is due, the server is busy and does not poll.
    pub fn stall(&mut self) {
        if let Some(length) = self.due_stall(Stall::Busy) {
            self.finish_calls();
            self.stalled.add(self.now, length);
            self.stalled.span(self.now, self.now + length);
            self.advance(length);
        }
    }

    fn due_stall(&mut self, why: Stall) -> Option<Micros> {
        let now = self.now;
        let next = self.stalls.front().copied();
        let (_, length, _) = next.filter(|(at, _, its)| *at <= now && *its == why)?;
        self.stalls.pop_front();
        self.log(|| format!("a stall of {length} us: {why:?}"));
        Some(length)
    }

    /// Time passes; only the peers act.
    fn advance(&mut self, length: Micros) {
        let end = self.now + length;
        while let Some(Reverse((at, _))) = self.timeline.peek()
            && *at <= end
        {
            self.now = self.now.max(*at);
            self.run_due_events();
        }
        self.now = end;
    }

    /// Computes the effects of the calls of the latest iteration.
    fn finish_calls(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let connection = &mut self.connections[id];
            connection.is_touched = false;
            connection.reveal();
            self.schedule_read(id, 0);
            self.run_script(id);
        }
    }

    fn schedule_read(&mut self, id: usize, at_least: Micros) {
        let connection = &mut self.connections[id];
        if let Some((_, every)) = connection.peer.read_rate()
            && connection.in_flight() > 0
            && !(connection.closed && connection.resets_on_close)
            && !std::mem::replace(&mut connection.is_read_scheduled, true)
        {
            self.schedule_at(self.now + every.max(at_least), TimedEvent::Reads(id));
        }
    }

    fn has_events(&self) -> bool {
        self.listeners.iter().any(|listener| listener.edge)
            || !self.edges.is_empty()
            || !self.signals.is_empty()
            || self.is_handler_notified
    }

    /// Runs all events that are due.
    fn run_due_events(&mut self) {
        while let Some(Reverse((at, due))) = self.timeline.peek().copied()
            && at <= self.now
        {
            self.timeline.pop();
            match due {
                TimedEvent::Connects(id) => {
                    self.log(|| format!("peer {id} connects"));
                    self.connect(id);
                    self.run_script(id);
                }
                TimedEvent::RunsScript(id) => self.run_script(id),
                TimedEvent::Reads(id) => self.peer_reads(id),
                TimedEvent::Stop => self.signals.push(Action::Stop),
                TimedEvent::HandlerReady => self.is_handler_notified = true,
                TimedEvent::Changes(nth) => self.change(nth),
                TimedEvent::Shrinks(file, length) => {
                    self.files[file] = self.files[file].min(length)
                }
            }
        }
    }

    fn connect(&mut self, id: usize) {
        let count = self.listeners.len() as u64;
        // Three of four connect to the first listener.
        let seed = self.connections[id].peer.seed;
        let nth = match seed % 4 {
            0 => (seed / 4 % count) as usize,
            _ => 0,
        };
        self.connections[id].listener = nth;
        let listener = &mut self.listeners[nth];
        listener.pending.push_back(id);
        let is_suppressed = self.scenario.poller == Poller::Minimal && !listener.seen_empty;
        listener.edge |= !is_suppressed && self.is_listening;
        self.check_refusal(id);
    }

    fn run_script(&mut self, id: usize) {
        let before = self
            .trace
            .is_some()
            .then(|| self.connections[id].progress_text());
        self.fill_in(id);
        let resumes = self.connections[id].run_script(self.now);
        if let Some(before) = before {
            let progress_text = self.connections[id].progress_text();
            if progress_text != before {
                self.log(|| format!("peer {id}: {progress_text}"));
            }
        }
        if let Some(at) = resumes {
            self.schedule_at(at, TimedEvent::RunsScript(id));
        }
        self.queue_edge(id);
    }

    fn peer_reads(&mut self, id: usize) {
        let connection = &mut self.connections[id];
        connection.is_read_scheduled = false;
        if let Some((most, _)) = connection.peer.read_rate()
            && connection.read(most)
        {
            self.schedule_read(id, 1);
            self.run_script(id);
        }
    }

    fn events(&mut self) -> Vec<Event> {
        for _ in 0..self.signals.len() {
            self.stopped_twice = self.stopped_at.is_some();
            self.stopped_at.get_or_insert(self.now);
        }
        let mut events: Vec<Event> = self.signals.drain(..).map(Event::Signal).collect();
        if std::mem::take(&mut self.is_handler_notified) {
            events.push(Event::Handler);
        }
        for (nth, listener) in self.listeners.iter_mut().enumerate() {
            if std::mem::take(&mut listener.edge) {
                listener.seen_empty = false;
                events.push(Event::Listener(nth));
            }
        }
        let most = match self.scenario.poller {
            Poller::OneAtATime => usize::from(events.is_empty()).min(self.edges.len()),
            _ => self.edges.len(),
        };
        for id in self.edges.drain(..most).collect::<Vec<_>>() {
            let connection = &mut self.connections[id];
            connection.is_queued = false;
            let edge = std::mem::take(&mut connection.edge);
            if let (true, Some(token)) = (connection.is_open(), connection.token) {
                events.push(Event::Token(token, edge));
            }
        }
        self.apply_poller(&mut events);
        events
    }

    /// Changes the minimal events into those of the selected poller.
    fn apply_poller(&mut self, events: &mut Vec<Event>) {
        let all = Edge {
            readable: true,
            writable: true,
            read_until_blocked: true,
        };
        let stale = std::mem::take(&mut self.stale);
        match self.scenario.poller {
            Poller::Minimal | Poller::OneAtATime => {}
            Poller::Spurious if self.connections.is_empty() => {}
            Poller::Spurious => {
                for _ in 0..self.random.below(3) {
                    let id = self.random.below(self.connections.len());
                    if let (true, Some(token)) =
                        (self.connections[id].is_open(), self.connections[id].token)
                    {
                        events.push(Event::Token(token, all));
                    }
                }
                for event in events.iter_mut() {
                    if let Event::Token(_, edge) = event {
                        *edge = all;
                    }
                }
                events.extend(
                    events
                        .clone()
                        .iter()
                        .filter(|e| !matches!(e, Event::Signal(_))),
                );
            }
            Poller::Kqueue => {
                let split = |event: Event| match event {
                    Event::Token(token, edge) => {
                        let write = Edge {
                            writable: true,
                            ..Edge::default()
                        };
                        let read = Edge {
                            writable: false,
                            ..edge
                        };
                        let both = [(edge.writable, write), (read.is_any(), read)];
                        let reported = both.into_iter().filter(|(is_reported, _)| *is_reported);
                        reported
                            .map(|(_, edge)| Event::Token(token, edge))
                            .collect()
                    }
                    other => vec![other],
                };
                *events = std::mem::take(events).into_iter().flat_map(split).collect();
                for at in (1..events.len()).rev() {
                    events.swap(at, self.random.below(at + 1));
                }
            }
            Poller::Stale => {
                events.extend(stale.into_iter().map(|token| Event::Token(token, all)));
            }
        }
    }
}
