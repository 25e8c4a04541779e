//! Runs a scenario: the loop of the reactor, with the simulated kernel in place of the poll.

use crate::faults::{Call, CallId};
use crate::handler::SimHandler;
use crate::kernel::{Event, Kernel, SharedKernel};
use crate::recorder::Recorder;
use crate::scenario::{Micros, SECOND, Scenario};
use crate::site::fifo_watchdog::FifoWatchdog;
use crate::site::handler::RecordingHandler;
use crate::site::kernel::descriptors_within;
use crate::sockets::{SimListener, SimSocket, SimSockets};
use oneloop::deadline_clock;
use oneloop::event_loop::engine::Engine;
use oneloop::handler::Handler;
use oneloop::limits::Limits;
use oneloop::probe::EventFlags;
use oneloop::signals::Action;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

/// The result of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The first broken rule; empty if there is none.
    pub violations: Vec<String>,
    pub trace: Vec<String>,
    /// For each peer: bytes sent to it, and complete responses.
    pub sent_to_peers: Vec<(u64, usize)>,
    pub iterations: u64,
    pub syscalls: u64,
    /// Calls for each connection, by kind; and calls of accept.
    pub calls: Vec<[u32; 6]>,
    pub accepts: u32,
    pub simulated: Micros,
}

impl Outcome {
    /// Every call of the run.
    pub fn call_ids(&self) -> Vec<CallId> {
        let connections = self.calls.iter().enumerate().flat_map(|(id, calls)| {
            let of = move |call: Call| (0..calls[call as usize]).map(move |n| (id, call, n));
            CONNECTION_CALLS.into_iter().flat_map(of)
        });
        let accepts = (0..self.accepts).map(|number| (0, Call::Accept, number));
        connections.chain(accepts).collect()
    }
}

/// The calls that belong to a connection.
const CONNECTION_CALLS: [Call; 5] = [
    Call::Receive,
    Call::Send,
    Call::SendFile,
    Call::Shutdown,
    Call::Register,
];

/// Every scenario is over by then: a connection that is still open would stay so.
pub const HORIZON: Micros = 150 * SECOND;
const MAX_ITERATIONS: u64 = 1_000_000;

thread_local! {
    /// The server's error messages: an error that it handled is still a defect.
    static ERRORS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// The message of a panic in the server.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

struct ErrorCollector;

impl log::Log for ErrorCollector {
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

fn collect_errors() {
    if log::set_logger(&ErrorCollector).is_ok() {
        log::set_max_level(log::LevelFilter::Error);
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| match IS_WATCHED.get() {
            true => PANIC.set(Some(panic.to_string())),
            false => print(panic),
        }));
    }
}

/// Returns the message if the server panics: a broken rule like others, which is shrunk and
/// reported.
fn catch_panic(run: impl FnOnce()) -> Option<String> {
    IS_WATCHED.set(true);
    let done = panic::catch_unwind(AssertUnwindSafe(run));
    IS_WATCHED.set(false);
    done.err().and(PANIC.take())
}

/// Runs a scenario. With `traced`, records every call.
pub fn run(scenario: &Scenario, traced: bool) -> Outcome {
    collect_errors();
    let kernel = Kernel::new(scenario.clone(), traced);
    let limits = Arc::new(kernel.borrow().limits());
    let site = kernel.borrow().site.clone();
    match site {
        None => {
            let handler = SimHandler::new(kernel.clone());
            let files = handler.files.clone();
            let open_files = move || files.iter().map(Arc::strong_count).sum();
            run_with(&kernel, handler, limits, open_files, 0)
        }
        Some(site) => {
            let base = site.borrow().tree.base().to_owned();
            let watchdog = FifoWatchdog::start(&site.borrow());
            let handler = RecordingHandler::new(kernel.clone(), site, limits.clone());
            let kept = limits.max_open_file_cache_entries;
            let open_files = || descriptors_within(&base);
            let mut outcome = run_with(&kernel, handler, limits, open_files, kept);
            if watchdog.was_needed() {
                outcome
                    .violations
                    .insert(0, "the loop waited for a FIFO".into());
            }
            outcome
        }
    }
}

/// Runs a scenario with this handler. `open_files` counts open files. `kept` of them may be open at
/// the end.
fn run_with<H: Handler>(
    kernel: &SharedKernel,
    handler: H,
    limits: Arc<Limits>,
    open_files: impl Fn() -> usize,
    kept: usize,
) -> Outcome {
    let listeners = 0..kernel.borrow().listeners.len();
    let listeners = listeners.map(|listener| SimListener(kernel.clone(), listener));
    let listeners = listeners.collect::<Vec<_>>();
    let recorder = Recorder::new();
    let engine = Engine::new(listeners, handler, limits.clone(), recorder.clone());
    let users_before = open_files();
    let mut simulation = Simulation {
        engine,
        sockets: SimSockets(kernel.clone()),
        limits,
        iterations: 0,
        idle_iterations: 0,
        is_stopping: false,
    };
    if let Some(panic) = catch_panic(|| simulation.run(kernel)) {
        kernel
            .borrow_mut()
            .report_violation(format!("panicked: {panic}"));
    }
    let iterations = simulation.iterations;
    let timeout = simulation
        .engine
        .scheduler()
        .poll_timeout(kernel.borrow().read_clock());
    let left = simulation.engine.scheduler().len();
    let is_file_open = open_files() > users_before + kept;
    drop(simulation);
    let mut kernel = kernel.borrow_mut();
    if kernel.violations.is_empty() {
        if left > 0 || timeout.is_some() {
            kernel.report_violation(format!("{left} slots at the end, timeout: {timeout:?}"));
        }
        if is_file_open {
            kernel.report_violation("a file is still open at the end".into());
        }
        kernel.check_all_responses();
        for violation in recorder.violations() {
            kernel.report_violation(violation);
        }
    }
    let sent_to_peers = |connection: &crate::connection::SimConnection| {
        (connection.checker.total(), connection.checker.done())
    };
    Outcome {
        violations: kernel.violations.drain(..).take(1).collect(),
        trace: kernel.trace.take().unwrap_or_default(),
        sent_to_peers: kernel.connections.iter().map(sent_to_peers).collect(),
        iterations,
        syscalls: kernel.syscalls,
        calls: kernel
            .connections
            .iter()
            .map(|connection| connection.calls)
            .collect(),
        accepts: kernel.accept_calls,
        simulated: kernel.now,
    }
}

struct Simulation<H: Handler> {
    engine: Engine<SimListener, SimSocket, H, Recorder>,
    sockets: SimSockets,
    limits: Arc<Limits>,
    iterations: u64,
    /// Consecutive iterations without progress in which the loop did not wait.
    idle_iterations: usize,
    is_stopping: bool,
}

impl<H: Handler> Simulation<H> {
    /// Runs until the server has stopped or a rule is broken.
    fn run(&mut self, kernel: &SharedKernel) {
        while kernel.borrow().violations.is_empty() {
            self.iterations += 1;
            kernel.borrow_mut().stall();
            let now = kernel.borrow().read_clock();
            let timeout = self.engine.begin_poll(now);
            if timeout != Some(Duration::ZERO) {
                kernel.borrow_mut().check_sleep(timeout, &self.limits);
            }
            let events = kernel.borrow_mut().poll(timeout);
            let now = kernel.borrow().read_clock();
            let outcome = match kernel.borrow().is_interrupted {
                true => deadline_clock::PollOutcome::Interrupted,
                false if events.is_empty() => deadline_clock::PollOutcome::Nothing,
                false => deadline_clock::PollOutcome::Events,
            };
            self.engine.end_poll(now, timeout, outcome, events.len());
            if self.iteration(kernel, &events) {
                return;
            }
            self.watch_for_spinning(kernel, timeout, &events);
            self.stop_at_end(kernel);
        }
    }

    /// One iteration, as in the reactor. Returns whether it was the last.
    fn iteration(&mut self, kernel: &SharedKernel, events: &[Event]) -> bool {
        let now = kernel.borrow().read_clock();
        for event in events {
            match event {
                Event::Handler => self.engine.mark_handler_ready(),
                Event::Listener(listener) => self.engine.mark_listener_ready(*listener),
                Event::Token(token, edge) => {
                    if let Some(socket) = self.engine.mark_ready(*token, EventFlags::default) {
                        socket.on_event(*edge);
                    }
                }
                Event::Signal(_) => {}
            }
        }
        for event in events {
            if let Event::Signal(action) = event {
                self.is_stopping = true;
                if self
                    .engine
                    .handle_signal(*action, now, &mut self.sockets)
                    .is_break()
                {
                    return true;
                }
            }
        }
        kernel.borrow_mut().begin_iteration(&self.limits);
        let flow = self.engine.run_phases(now, &mut self.sockets);
        let moved = kernel.borrow_mut().end_iteration(&self.limits);
        for (token, connection) in self.engine.scheduler().connections() {
            let (is_idle, kept) = (connection.is_idle(), connection.kept());
            kernel
                .borrow_mut()
                .check_memory(token, is_idle, kept, &self.limits);
        }
        for error in ERRORS.take() {
            let panic = PANIC.take().unwrap_or_default();
            kernel
                .borrow_mut()
                .report_violation(format!("logged as an error: {error} {panic}"));
        }
        self.idle_iterations = if moved { 0 } else { self.idle_iterations + 1 };
        match flow {
            Ok(flow) => flow.is_break(),
            Err(error) => {
                kernel
                    .borrow_mut()
                    .report_violation(format!("the loop failed: {error}"));
                true
            }
        }
    }

    fn watch_for_spinning(
        &mut self,
        kernel: &SharedKernel,
        timeout: Option<Duration>,
        events: &[Event],
    ) {
        if timeout != Some(Duration::ZERO) || !events.is_empty() {
            self.idle_iterations = 0;
        }
        let mut kernel = kernel.borrow_mut();
        // A timer whose deadline has moved on costs an iteration, and so does a listener: each at
        // most once.
        if self.idle_iterations > 2 + self.engine.scheduler().len() + kernel.listeners.len() {
            kernel.report_violation("the loop spins: it neither waits nor makes progress".into());
        }
        let has_slept = !kernel.is_interrupted;
        if has_slept && timeout.is_none() && events.is_empty() && self.is_stopping {
            kernel.report_violation("the server got the signal to stop, and waits for ever".into());
        }
        if self.iterations > MAX_ITERATIONS {
            kernel.report_violation("the loop never ends".into());
        }
    }

    /// When nothing more will happen, the server gets the signal to stop, and must stop.
    fn stop_at_end(&mut self, kernel: &SharedKernel) {
        let mut kernel = kernel.borrow_mut();
        let horizon = HORIZON + kernel.stalled.total();
        if kernel.now > horizon + SECOND * 60 {
            kernel.report_violation("the server got the signal to stop and did not stop".into());
        }
        if !self.is_stopping && (kernel.is_over() || kernel.now > horizon) {
            kernel.send_signal(Action::Stop);
        }
    }
}
