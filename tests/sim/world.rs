//! Everything that is not the server: the clock, the network, the files, and the poller that tells
//! of it. Time passes only when the loop sleeps, and a very little in every turn.

use crate::asks::{FILE, FILES};
use crate::chance::Chance;
use crate::faults::{Answer, Call, Place};
use crate::line::{Edge, Line};
use crate::matcher::Matcher;
use crate::oracle::{Away, micros};
use crate::plan::{Micros, Plan, Poller, Stall};
use crate::proofreader::Proofreader;
use crate::run::HORIZON;
use crate::site::world::{place_of, timed};
use crate::site::{Reader, SharedPlace};
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
/// Each microsecond is nearly over, so that a time a few nanoseconds after it lies in the past.
const WALL: Duration = Duration::new(4_102_444_800, 999);

/// What a turn takes, at least and at most.
const TURN: (usize, usize) = (1, 40);

/// The world, as all that live in it share it.
pub type Shared = Rc<RefCell<World>>;

pub struct World {
    pub plan: Plan,
    pub now: Micros,
    began: Instant,
    pub lines: Vec<Line>,
    pub doors: Vec<Entrance>,
    /// What came of the latest accept.
    pub door_said: Option<Said>,
    pub door_calls: u32,
    /// Calls to accept before this turn.
    pub door_calls_before: u32,
    pub door_open: bool,
    /// Somebody has been taken out of the backlog in this turn, or closed.
    pub has_moved: bool,
    agenda: BinaryHeap<Reverse<(Micros, Due)>>,
    /// Lines with an edge, in the order in which it came.
    edges: VecDeque<usize>,
    /// Tokens whose sockets were closed in the latest turn.
    stale: Vec<usize>,
    /// Lines that a call was made for since the latest poll.
    stirred: Vec<usize>,
    demands: Vec<Action>,
    /// When the server was told to stop, and whether once more.
    pub stopped_at: Option<Micros>,
    pub stopped_twice: bool,
    /// When the server did not look at its sockets, and for how long; and those to come.
    pub away: Away,
    stalls: VecDeque<(Micros, Micros, Stall)>,
    /// The latest poll was interrupted.
    pub is_interrupted: bool,
    chance: Chance,
    /// How long each file is.
    pub files: [u64; FILES],
    /// Their descriptors, by which the server names them.
    pub file_descriptors: Vec<RawFd>,
    /// The real ones.
    pub place: Option<SharedPlace>,
    /// How many more descriptors the process may open.
    pub descriptors: usize,
    /// Rules that were broken.
    pub broken: Vec<String>,
    pub trace: Option<Vec<String>>,
    pub syscalls: u64,
}

/// A listening socket.
#[derive(Debug, Default)]
pub struct Entrance {
    /// Lines that wait to be accepted.
    pub waiting: VecDeque<usize>,
    /// The server has been told of them, or knows better.
    pub edge: bool,
    seen_empty: bool,
    /// How many were accepted at others while somebody waited here, and the server had been told.
    pub passed_over: usize,
}

/// What accept(2) answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Here is one.
    Someone,
    Nobody,
    /// There is no descriptor for whoever waits.
    NoDescriptor,
    /// An error that was made up.
    Error(Errno),
}

/// What happens by itself at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Connects(usize),
    Acts(usize),
    Takes(usize),
    Stop,
    Shrinks(usize, u64),
    Changes(usize),
}

/// What a poll returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Door(usize),
    Token(usize, Edge),
    Signal(Action),
}

impl World {
    pub fn new(plan: Plan, traced: bool) -> Shared {
        let place = place_of(&plan, WALL);
        let line = |(id, peer): (usize, &crate::plan::Peer)| {
            let matcher: Box<dyn Proofreader> = match &place {
                None => Box::new(Matcher::new(&peer.asks)),
                Some(place) => Box::new(Reader::new(place.clone(), id, &peer.asks)),
            };
            Line::new(peer.clone(), matcher, plan.receive_buffer, plan.send_buffer)
        };
        let mut world = Self {
            now: 0,
            began: Instant::now(),
            lines: plan.peers.iter().enumerate().map(line).collect(),
            doors: (0..plan.doors).map(|_| Entrance::default()).collect(),
            door_said: None,
            door_calls: 0,
            door_calls_before: 0,
            door_open: true,
            has_moved: false,
            agenda: BinaryHeap::new(),
            edges: VecDeque::new(),
            stale: Vec::new(),
            stirred: Vec::new(),
            demands: Vec::new(),
            stopped_at: None,
            stopped_twice: false,
            away: Away::new(&plan),
            stalls: plan.stalls.clone().into(),
            is_interrupted: false,
            chance: Plan::draw(plan.peers.len() as u64, 1),
            files: [FILE; FILES],
            file_descriptors: Vec::new(),
            place,
            descriptors: plan.descriptors,
            broken: Vec::new(),
            trace: traced.then(Vec::new),
            syscalls: 0,
            plan,
        };
        for id in 0..world.lines.len() {
            world.plan_for(world.plan.peers[id].connects, Due::Connects(id));
        }
        for at in world.plan.stops.clone() {
            world.plan_for(at, Due::Stop);
        }
        for (file, at, length) in world.plan.shrinks.clone() {
            world.plan_for(at, Due::Shrinks(file, length));
        }
        for (at, nth) in timed(&world.plan) {
            world.plan_for(at, Due::Changes(nth));
        }
        Rc::new(RefCell::new(world))
    }

    /// The time as the server reads it.
    pub fn read_clock(&self) -> Now {
        Now {
            instant: self.began + Duration::from_micros(self.now),
            wall: match self.place {
                // What the made-up handler says of the time is known beforehand.
                None => UNIX_EPOCH + WALL,
                Some(_) => UNIX_EPOCH + WALL + Duration::from_micros(self.now),
            },
        }
    }

    pub fn say(&mut self, what: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>10} us  {}", now, what()));
        }
    }

    /// A signal is sent to the server.
    pub fn demand(&mut self, demand: Action) {
        self.demands.push(demand);
    }

    /// Which file this is, and how long.
    pub fn file(&self, file: &File) -> (usize, u64) {
        if self.place.is_some() {
            return self.site_file(file).expect("one of the site's files");
        }
        let is_it = |&one: &RawFd| one == file.as_raw_fd();
        let file = self.file_descriptors.iter().position(is_it);
        file.map_or((FILES, 0), |file| (file, self.files[file]))
    }

    /// A rule was broken.
    pub fn accuse(&mut self, what: String) {
        self.say(|| format!("BROKEN: {what}"));
        self.broken.push(what);
    }

    /// Nobody will do anything any more unless the server does.
    pub fn is_over(&self) -> bool {
        let is_anyone_waiting = self.doors.iter().any(|door| !door.waiting.is_empty());
        self.agenda.is_empty() && !is_anyone_waiting && self.lines.iter().all(|l| !l.is_open())
    }

    pub fn limits(&self) -> Limits {
        self.plan.limits.limits(self.plan.connections)
    }

    /// What the kernel answers to this call.
    pub fn answer(&mut self, id: usize, call: Call) -> Answer {
        self.syscalls += 1;
        let calls = &mut self.lines[id].calls[call as usize];
        let place: Place = (id, call, *calls);
        *calls += 1;
        match self.plan.faults.answer(place) {
            // What was on its way has arrived while the server was away.
            Answer::One | Answer::Half | Answer::Later if self.away.is_just_over(self.now) => {
                Answer::All
            }
            answer => answer,
        }
    }

    /// The same for accept(2), which is nobody's call.
    pub fn door_answer(&mut self) -> Answer {
        self.syscalls += 1;
        self.door_calls += 1;
        self.plan
            .faults
            .answer((0, Call::Accept, self.door_calls - 1))
    }

    /// Takes the next connection out of the backlog.
    pub fn next_waiting(&mut self, door: usize) -> Option<usize> {
        let next = self.doors[door].waiting.pop_front();
        self.doors[door].seen_empty = next.is_none();
        self.has_moved |= next.is_some();
        next
    }

    /// Somebody waits, and no event will tell of him.
    pub fn is_waited_for_in_silence(&self) -> bool {
        let is_silent = |door: &Entrance| !door.waiting.is_empty() && !door.edge;
        self.door_open && self.doors.iter().any(is_silent)
    }

    /// A call was made for a line: by the next poll its peer may have something to take.
    pub fn stir(&mut self, id: usize) {
        if !std::mem::replace(&mut self.lines[id].is_stirred, true) {
            self.stirred.push(id);
        }
    }

    /// A connection's socket was closed: its token may be given to another.
    pub fn forget_token(&mut self, id: usize) {
        self.stale.extend(self.lines[id].token);
        self.lines[id].edge = Edge::default();
    }

    fn plan_for(&mut self, at: Micros, due: Due) {
        self.agenda.push(Reverse((at, due)));
    }

    fn collect_edge(&mut self, id: usize) {
        let line = &mut self.lines[id];
        if line.is_open() && line.edge.is_any() && !std::mem::replace(&mut line.is_listed, true) {
            self.edges.push_back(id);
        }
    }

    // The poll.

    /// Sleeps until there is something to tell, at most for `rest`.
    pub fn poll(&mut self, rest: Option<Duration>) -> Vec<Event> {
        self.settle();
        self.change_before_poll();
        let began = self.now;
        self.is_interrupted = false;
        if let Some(length) = self.due_stall(Stall::Stopped) {
            self.pass(length);
            self.away.add(began, self.now - began);
            self.away.span(began, self.now);
            self.is_interrupted = true;
            return Vec::new();
        }
        // As the kernel does, it rounds up to a millisecond.
        let wake = rest.map(|rest| self.now + (rest.as_micros() as u64).next_multiple_of(1000));
        self.happen();
        while !self.has_news() {
            let next = self.agenda.peek().map(|Reverse((at, _))| *at);
            let Some(until) = next.into_iter().chain(wake).min() else {
                break;
            };
            // A peer may go on taking for hours what was sent to it long ago.
            let is_late = self.now > HORIZON + self.away.total();
            let is_over = wake.is_none() && self.stopped_at.is_none() && is_late;
            if wake.is_some_and(|wake| wake <= self.now) || is_over {
                break;
            }
            self.now = self.now.max(until);
            self.happen();
        }
        if let Some(length) = self.due_stall(Stall::Late) {
            self.away.span(self.now, self.now + length);
            self.pass(length);
            let events = self.events();
            if let Some(rest) = rest {
                let (length, is_empty) = (self.now - began, events.is_empty());
                self.away.add_late(began, length, micros(rest), is_empty);
            }
            return events;
        }
        let events = self.events();
        self.now += self.chance.between(TURN.0, TURN.1) as u64;
        events
    }

    /// The server works on, if it is to, and does not poll yet.
    pub fn stall(&mut self) {
        if let Some(length) = self.due_stall(Stall::Works) {
            self.settle();
            self.away.add(self.now, length);
            self.away.span(self.now, self.now + length);
            self.pass(length);
        }
    }

    fn due_stall(&mut self, why: Stall) -> Option<Micros> {
        let now = self.now;
        let next = self.stalls.front().copied();
        let (_, length, _) = next.filter(|(at, _, its)| *at <= now && *its == why)?;
        self.stalls.pop_front();
        self.say(|| format!("the server is away for {length} us: {why:?}"));
        Some(length)
    }

    /// Time passes, and only the peers do something.
    fn pass(&mut self, length: Micros) {
        let end = self.now + length;
        while let Some(Reverse((at, _))) = self.agenda.peek()
            && *at <= end
        {
            self.now = self.now.max(*at);
            self.happen();
        }
        self.now = end;
    }

    /// What follows from the calls of the latest turn.
    fn settle(&mut self) {
        for id in std::mem::take(&mut self.stirred) {
            let line = &mut self.lines[id];
            line.is_stirred = false;
            line.reveal();
            self.plan_to_take(id, 0);
            self.act(id);
        }
    }

    fn plan_to_take(&mut self, id: usize, at_least: Micros) {
        let line = &mut self.lines[id];
        if let Some((_, every)) = line.peer.appetite()
            && line.untaken() > 0
            && !(line.closed && line.aborted)
            && !std::mem::replace(&mut line.is_to_take, true)
        {
            self.plan_for(self.now + every.max(at_least), Due::Takes(id));
        }
    }

    fn has_news(&self) -> bool {
        self.doors.iter().any(|door| door.edge)
            || !self.edges.is_empty()
            || !self.demands.is_empty()
    }

    /// All that is due.
    fn happen(&mut self) {
        while let Some(Reverse((at, due))) = self.agenda.peek().copied()
            && at <= self.now
        {
            self.agenda.pop();
            match due {
                Due::Connects(id) => {
                    self.say(|| format!("peer {id} connects"));
                    self.connect(id);
                    self.act(id);
                }
                Due::Acts(id) => self.act(id),
                Due::Takes(id) => self.take(id),
                Due::Stop => self.demands.push(Action::Stop),
                Due::Changes(nth) => self.change(nth),
                Due::Shrinks(file, length) => self.files[file] = self.files[file].min(length),
            }
        }
    }

    fn connect(&mut self, id: usize) {
        let count = self.doors.len() as u64;
        // Most come to the first.
        let seed = self.lines[id].peer.seed;
        let nth = match seed % 4 {
            0 => (seed / 4 % count) as usize,
            _ => 0,
        };
        let door = &mut self.doors[nth];
        door.waiting.push_back(id);
        let is_told = self.plan.poller == Poller::Miser && !door.seen_empty;
        door.edge |= !is_told && self.door_open;
        self.judge_refusal(id);
    }

    fn act(&mut self, id: usize) {
        let before = self.trace.is_some().then(|| self.lines[id].did());
        self.fill_in(id);
        let resumes = self.lines[id].follow_script(self.now);
        if let Some(before) = before {
            let did = self.lines[id].did();
            if did != before {
                self.say(|| format!("peer {id}: {did}"));
            }
        }
        if let Some(at) = resumes {
            self.plan_for(at, Due::Acts(id));
        }
        self.collect_edge(id);
    }

    fn take(&mut self, id: usize) {
        let line = &mut self.lines[id];
        line.is_to_take = false;
        if let Some((most, _)) = line.peer.appetite()
            && line.take(most)
        {
            self.plan_to_take(id, 1);
            self.act(id);
        }
    }

    fn events(&mut self) -> Vec<Event> {
        for _ in 0..self.demands.len() {
            self.stopped_twice = self.stopped_at.is_some();
            self.stopped_at.get_or_insert(self.now);
        }
        let mut events: Vec<Event> = self.demands.drain(..).map(Event::Signal).collect();
        for (nth, door) in self.doors.iter_mut().enumerate() {
            if std::mem::take(&mut door.edge) {
                door.seen_empty = false;
                events.push(Event::Door(nth));
            }
        }
        let most = match self.plan.poller {
            Poller::Tiny => usize::from(events.is_empty()).min(self.edges.len()),
            _ => self.edges.len(),
        };
        for id in self.edges.drain(..most).collect::<Vec<_>>() {
            let line = &mut self.lines[id];
            line.is_listed = false;
            let edge = std::mem::take(&mut line.edge);
            if let (true, Some(token)) = (line.is_open(), line.token) {
                events.push(Event::Token(token, edge));
            }
        }
        self.distort(&mut events);
        events
    }

    /// What the other pollers make of the miser's events.
    fn distort(&mut self, events: &mut Vec<Event>) {
        let all = Edge {
            readable: true,
            writable: true,
            read_until_blocked: true,
        };
        let stale = std::mem::take(&mut self.stale);
        match self.plan.poller {
            Poller::Miser | Poller::Tiny => {}
            Poller::Generous if self.lines.is_empty() => {}
            Poller::Generous => {
                for _ in 0..self.chance.below(3) {
                    let id = self.chance.below(self.lines.len());
                    if let (true, Some(token)) = (self.lines[id].is_open(), self.lines[id].token) {
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
                        let told = both.into_iter().filter(|(is_told, _)| *is_told);
                        told.map(|(_, edge)| Event::Token(token, edge)).collect()
                    }
                    other => vec![other],
                };
                *events = std::mem::take(events).into_iter().flat_map(split).collect();
                for at in (1..events.len()).rev() {
                    events.swap(at, self.chance.below(at + 1));
                }
            }
            Poller::Stale => {
                events.extend(stale.into_iter().map(|token| Event::Token(token, all)));
            }
        }
    }
}
