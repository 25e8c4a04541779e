//! The loop of the simulation: the reactor's, with a made-up world in place of the poll.

use crate::faults::{Call, Place};
use crate::handler::Pages;
use crate::plan::{Micros, Plan, SECOND};
use crate::site::handler::Watched;
use crate::site::rescue::Rescue;
use crate::site::world::descriptors_within;
use crate::sockets::{Door, House, Wire};
use crate::world::{Event, Shared, World};
use oneloop::handler::Handler;
use oneloop::limits::Limits;
use oneloop::reactor::engine::Engine;
use oneloop::signals::Action;
use oneloop::stalls;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

/// How a run went.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The first rules that were broken; none if all is well.
    pub broken: Vec<String>,
    pub trace: Vec<String>,
    /// What each peer was sent: how many bytes, and how many whole replies.
    pub heard: Vec<(u64, usize)>,
    pub turns: u64,
    pub syscalls: u64,
    /// Calls made for each line, of each kind; and to accept.
    pub calls: Vec<[u32; 6]>,
    pub accepts: u32,
    pub simulated: Micros,
}

impl Outcome {
    /// Every call that was made.
    pub fn places(&self) -> Vec<Place> {
        let lines = self.calls.iter().enumerate().flat_map(|(id, calls)| {
            let of = move |call: Call| (0..calls[call as usize]).map(move |n| (id, call, n));
            OF_A_LINE.into_iter().flat_map(of)
        });
        let accepts = (0..self.accepts).map(|number| (0, Call::Accept, number));
        lines.chain(accepts).collect()
    }
}

/// The calls that are made for one connection.
const OF_A_LINE: [Call; 5] = [
    Call::Receive,
    Call::Send,
    Call::SendFile,
    Call::Shutdown,
    Call::Register,
];

/// Nothing that is planned takes longer, so whoever is open then never ends.
pub const HORIZON: Micros = 150 * SECOND;
const MOST_TURNS: u64 = 1_000_000;

thread_local! {
    /// What the server logged as errors: a defect that it caught is still a defect.
    static ERRORS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// The server runs, and what it panics with is kept here.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

struct Ears;

impl log::Log for Ears {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() == log::Level::Error
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            ERRORS.with_borrow_mut(|errors| errors.push(record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

fn listen_to_the_log() {
    if log::set_logger(&Ears).is_ok() {
        log::set_max_level(log::LevelFilter::Error);
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panic| match IS_WATCHED.get() {
            true => PANIC.set(Some(panic.to_string())),
            false => tell(panic),
        }));
    }
}

/// What the server panics with, if it does: a broken rule like others, to be shrunk and shown.
fn catch_panic(run: impl FnOnce()) -> Option<String> {
    IS_WATCHED.set(true);
    let done = panic::catch_unwind(AssertUnwindSafe(run));
    IS_WATCHED.set(false);
    done.err().and(PANIC.take())
}

/// Carries out a plan. With `traced`, remembers every call.
pub fn run(plan: &Plan, traced: bool) -> Outcome {
    listen_to_the_log();
    let world = World::new(plan.clone(), traced);
    let limits = Arc::new(world.borrow().limits());
    let place = world.borrow().place.clone();
    match place {
        None => {
            let handler = Pages::new(world.clone());
            let files = handler.files.clone();
            let users = move || files.iter().map(Arc::strong_count).sum();
            carry_out(&world, handler, limits, users, 0)
        }
        Some(place) => {
            let base = place.borrow().tree.base().to_owned();
            let rescue = Rescue::stand_by(&place.borrow());
            let handler = Watched::new(world.clone(), place, limits.clone());
            let kept = limits.open_file_cache_entries;
            let users = || descriptors_within(&base);
            let mut outcome = carry_out(&world, handler, limits, users, kept);
            if rescue.was_needed() {
                outcome
                    .broken
                    .insert(0, "the loop waited for a FIFO".into());
            }
            outcome
        }
    }
}

/// Lets a handler serve the world. `users` counts those who have a file open,
/// and at the end `kept` of them may.
fn carry_out<H: Handler>(
    world: &Shared,
    handler: H,
    limits: Arc<Limits>,
    users: impl Fn() -> usize,
    kept: usize,
) -> Outcome {
    let doors = 0..world.borrow().doors.len();
    let doors = doors.map(|door| Door(world.clone(), door));
    let engine = Engine::new(doors.collect::<Vec<_>>(), handler, limits.clone());
    let users_before = users();
    let mut simulation = Simulation {
        engine,
        house: House(world.clone()),
        limits,
        turns: 0,
        idle_turns: 0,
        is_stopping: false,
    };
    if let Some(panic) = catch_panic(|| simulation.run(world)) {
        world.borrow_mut().accuse(format!("panicked: {panic}"));
    }
    let turns = simulation.turns;
    let rest = simulation
        .engine
        .scheduler()
        .poll_timeout(world.borrow().read_clock());
    let left = simulation.engine.scheduler().len();
    let is_file_open = users() > users_before + kept;
    drop(simulation);
    let mut world = world.borrow_mut();
    if world.broken.is_empty() {
        if left > 0 || rest.is_some() {
            world.accuse(format!("{left} slots at the end, rest: {rest:?}"));
        }
        if is_file_open {
            world.accuse("a file is still open at the end".into());
        }
        world.judge_all();
    }
    let heard = |line: &crate::line::Line| (line.matcher.total(), line.matcher.done());
    Outcome {
        broken: world.broken.drain(..).take(1).collect(),
        trace: world.trace.take().unwrap_or_default(),
        heard: world.lines.iter().map(heard).collect(),
        turns,
        syscalls: world.syscalls,
        calls: world.lines.iter().map(|line| line.calls).collect(),
        accepts: world.door_calls,
        simulated: world.now,
    }
}

struct Simulation<H: Handler> {
    engine: Engine<Door, Wire, H>,
    house: House,
    limits: Arc<Limits>,
    turns: u64,
    /// Turns in a row in which nothing happened although the loop did not sleep.
    idle_turns: usize,
    is_stopping: bool,
}

impl<H: Handler> Simulation<H> {
    /// Until the server has stopped, or a rule was broken.
    fn run(&mut self, world: &Shared) {
        while world.borrow().broken.is_empty() {
            self.turns += 1;
            world.borrow_mut().stall();
            let now = world.borrow().read_clock();
            let rest = self.engine.begin_poll(now);
            if rest != Some(Duration::ZERO) {
                world.borrow_mut().check_sleep(rest, &self.limits);
            }
            let events = world.borrow_mut().poll(rest);
            let now = world.borrow().read_clock();
            let outcome = match world.borrow().is_interrupted {
                true => stalls::PollOutcome::Interrupted,
                false if events.is_empty() => stalls::PollOutcome::Nothing,
                false => stalls::PollOutcome::Events,
            };
            self.engine.end_poll(now, rest, outcome);
            if self.turn(world, &events) {
                return;
            }
            self.watch_for_spinning(world, rest, &events);
            self.stop_in_the_end(world);
        }
    }

    /// One turn, as in the reactor. Returns whether it was the last.
    fn turn(&mut self, world: &Shared, events: &[Event]) -> bool {
        let now = world.borrow().read_clock();
        for event in events {
            match event {
                Event::Door(door) => self.engine.mark_listener_ready(*door),
                Event::Token(token, edge) => {
                    if let Some(wire) = self.engine.mark_ready(*token) {
                        wire.note(*edge);
                    }
                }
                Event::Signal(_) => {}
            }
        }
        for event in events {
            if let Event::Signal(demand) = event {
                self.is_stopping = true;
                if self
                    .engine
                    .handle_signal(*demand, now, &mut self.house)
                    .is_break()
                {
                    return true;
                }
            }
        }
        world.borrow_mut().begin_turn(&self.limits);
        let flow = self.engine.run_iteration(now, &mut self.house);
        let moved = world.borrow_mut().end_turn(&self.limits);
        for (token, connection) in self.engine.scheduler().connections() {
            let (is_idle, kept) = (connection.is_idle(), connection.kept());
            world
                .borrow_mut()
                .check_memory(token, is_idle, kept, &self.limits);
        }
        for error in ERRORS.take() {
            let panic = PANIC.take().unwrap_or_default();
            world
                .borrow_mut()
                .accuse(format!("logged as an error: {error} {panic}"));
        }
        self.idle_turns = if moved { 0 } else { self.idle_turns + 1 };
        match flow {
            Ok(flow) => flow.is_break(),
            Err(error) => {
                world
                    .borrow_mut()
                    .accuse(format!("the loop gave up: {error}"));
                true
            }
        }
    }

    fn watch_for_spinning(&mut self, world: &Shared, rest: Option<Duration>, events: &[Event]) {
        if rest != Some(Duration::ZERO) || !events.is_empty() {
            self.idle_turns = 0;
        }
        let mut world = world.borrow_mut();
        // Timers whose connections have moved on cost a turn's work, too, and so do doors: each at
        // most once.
        if self.idle_turns > 2 + self.engine.scheduler().len() + world.doors.len() {
            world.accuse("the loop spins: it neither sleeps nor does anything".into());
        }
        let has_slept = !world.is_interrupted;
        if has_slept && rest.is_none() && events.is_empty() && self.is_stopping {
            world.accuse("the server was told to stop, and sleeps for ever".into());
        }
        if self.turns > MOST_TURNS {
            world.accuse("the loop never ends".into());
        }
    }

    /// When nothing will happen any more, the server is told to stop; and must.
    fn stop_in_the_end(&mut self, world: &Shared) {
        let mut world = world.borrow_mut();
        let horizon = HORIZON + world.away.total();
        if world.now > horizon + SECOND * 60 {
            world.accuse("the server was told to stop and did not".into());
        }
        if !self.is_stopping && (world.is_over() || world.now > horizon) {
            world.demand(Action::Stop);
        }
    }
}
