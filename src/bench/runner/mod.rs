//! Runs a benchmark, from the command line to the files: starts each server once, measures the
//! capacities from which rates follow, and takes the samples of all rounds.
//!
//! - `process`: starts and stops servers, and runs the load generator
//! - `sample`: takes one sample; `derive`: computes its metrics; `judge`: whether it is valid
//! - `environment`: facts about the machine, and warnings

pub mod derive;
mod environment;
pub mod judge;
pub mod process;
mod sample;

use super::output::{self, Form, report};
use super::plan::{Plan, PlannedSample};
use super::stats::PAIRS;
use super::types::{ArmKind, Cell, Environment, Page, Pass, Run, SCHEMA, Sample};
use super::workloads::{self, CellSpec, probe};
use super::{RunOptions, platform, print_to_stdout};
use crate::clock::Now;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sample::SampleSpec;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The exit code of an invalid command line.
pub const USAGE: u8 = 2;
/// The exit code after Ctrl-C, as in a shell (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;
/// The file with all measurements.
const RUN: &str = "run.json";
/// Writing the file of a run takes at most one part in this many of the time.
const WRITING_SHARE: u32 = 50;
/// Attempts at a valid measurement of a capacity.
const PROBES: u32 = 3;
/// Seconds between two lines of progress without a terminal.
const LINE_INTERVAL: f64 = 15.0;

/// What all samples of a run share: the directory to serve, the CPUs, the clock, and whether the
/// user has interrupted the run.
#[derive(Debug)]
pub struct RunContext {
    /// This program, which is both server and generator.
    pub program: PathBuf,
    /// The CPUs of server and generator, if each is pinned to one.
    pub cpus: Option<Cpus>,
    /// The number of CPUs that this process may use.
    pub cpu_count: usize,
    /// For all random numbers except the order of the samples.
    pub random: fastrand::Rng,
    folder: PathBuf,
    started: Instant,
    interrupted: Arc<AtomicBool>,
    serial: std::cell::Cell<u32>,
}

/// The CPUs of server and generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus {
    pub server: usize,
    /// Also that of this process.
    pub generator: usize,
}

/// Why a step of a run has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunError {
    /// A sentence without its end.
    Failed(String),
    /// The user has interrupted the run.
    Interrupted,
}

impl From<String> for RunError {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// A path in the folder of the run. The file is removed when this is dropped.
#[derive(Debug)]
pub struct ScratchFile(PathBuf);

impl Deref for ScratchFile {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        // It may not exist; the folder is removed in the end.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl RunContext {
    /// Writes the files of `pages` into a new folder; with `pinned`, pins this process to the CPU
    /// of the generator, if there are at least two CPUs.
    pub fn new<'a>(
        seed: u64,
        pinned: bool,
        pages: impl Iterator<Item = &'a Page>,
    ) -> Result<Self, String> {
        let program = std::env::current_exe()
            .map_err(|error| format!("cannot find the path of this program: {error}"))?;
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, interrupted.clone())
                .map_err(|error| format!("cannot install a signal handler: {error}"))?;
        }
        let mut context = Self {
            program,
            cpus: None,
            // Before this process is pinned to one.
            cpu_count: std::thread::available_parallelism().map_or(1, usize::from),
            random: fastrand::Rng::with_seed(seed),
            folder: std::env::temp_dir(),
            started: Now::read().instant,
            interrupted,
            serial: std::cell::Cell::new(0),
        };
        let created = create_folder(&context.folder);
        context.folder = created.map_err(|error| {
            let parent = context.folder.display();
            format!("cannot create a folder in {parent}: {error} (set TMPDIR to use another place)")
        })?;
        let root = context.root();
        let written = std::fs::create_dir(&root).and_then(|()| workloads::write(&root, pages));
        written.map_err(|error| format!("cannot write {}: {error}", root.display()))?;
        let cpus = pinned.then(|| choose(&platform::cpus(None))).flatten();
        context.cpus = cpus.filter(|cpus| platform::pin_to(&[cpus.generator]).is_ok());
        Ok(context)
    }

    /// Number of CPUs on which server and generator run.
    pub fn used_cpus(&self) -> usize {
        self.cpus.map_or(self.cpu_count, |_| 2)
    }

    /// The directory to serve.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// A new path in the folder of the run.
    pub fn file(&self, extension: &str) -> ScratchFile {
        self.serial.set(self.serial.get().wrapping_add(1));
        let name = format!("{}.{extension}", self.serial.get());
        ScratchFile(self.folder.join(name))
    }

    /// Seconds since the run started.
    pub fn seconds(&self) -> f64 {
        let since = Now::read().instant.saturating_duration_since(self.started);
        since.as_secs_f64()
    }

    /// Whether the user has interrupted the run.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Sleeps, unless the user has interrupted the run.
    pub fn sleep(&self, time: Duration) -> Result<(), RunError> {
        if self.is_interrupted() {
            return Err(RunError::Interrupted);
        }
        std::thread::sleep(time);
        Ok(())
    }

    /// A free port, outside of the range of ephemeral ports: a client that connects to such a port
    /// before the server listens may connect to itself (a simultaneous open, RFC 9293, section
    /// 3.5).
    pub fn free_port(&mut self) -> Result<u16, String> {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        let first = range
            .ok()
            .and_then(|text| text.split_whitespace().next()?.parse().ok());
        let end = first.unwrap_or(32_768_u16).max(10_100);
        for _ in 0..200 {
            let port = self.random.u16(10_000..end);
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
        Err(format!("no free port on 127.0.0.1 from 10000 to {end}"))
    }

    /// A loopback address that was not used recently, so that a sample does not use ports that the
    /// sample before left in TIME_WAIT. `None` where there is only one.
    pub fn source(&self) -> Option<Ipv4Addr> {
        let serial = self.serial.get();
        let octet = |number: u32| u8::try_from(number).unwrap_or(2);
        let address = Ipv4Addr::new(127, 0, octet(serial / 250 % 250), octet(2 + serial % 250));
        platform::MANY_LOOPBACKS.then_some(address)
    }
}

impl Drop for RunContext {
    fn drop(&mut self) {
        // If this fails, the folder stays in the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The server gets the last CPU, the generator the first: most interrupts go to the first, and the
/// CPU time of the generator is not compared.
fn choose(cpus: &[usize]) -> Option<Cpus> {
    match *cpus {
        [generator, .., server] => Some(Cpus { server, generator }),
        _ => None,
    }
}

/// Creates a new folder (mkdir(2) fails if it exists).
fn create_folder(parent: &Path) -> io::Result<PathBuf> {
    let mut number = std::process::id();
    loop {
        let folder = parent.join(format!("oneloop-bench-{number}"));
        match std::fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number = number.wrapping_add(100_003);
            }
            created => return created.map(|()| folder),
        }
    }
}

/// Runs a benchmark, writes its files, and prints its table.
pub fn run(asked: &RunOptions) -> Result<ExitCode, Box<dyn Error>> {
    let plan = match Plan::of(asked, fastrand::u64(..1_000_000_000)) {
        Ok(plan) => plan,
        Err(error) => {
            say(&format!("oneloop bench: {error}"));
            return Ok(ExitCode::from(USAGE));
        }
    };
    let descriptors = raise_descriptors();
    let groups = plan.cells.iter().flat_map(|(_, cell)| &cell.groups);
    let probe = workloads::small();
    let pages = groups.flat_map(|group| &group.page).chain([&probe]);
    let context = RunContext::new(plan.seed, true, pages)?;
    let environment = environment::inspect(&context, descriptors);
    announce(&plan, &environment);
    let mut runner = Runner::new(plan, context);
    match runner.preflight() {
        Ok(()) => {}
        Err(RunError::Failed(reason)) => return Err(reason.into()),
        Err(RunError::Interrupted) => return Ok(ExitCode::from(INTERRUPTED)),
    }
    let started = Now::read().wall;
    let folder = create_output(asked.output.as_deref(), started)?;
    runner.run.environment = environment;
    runner.run.started = started
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let ended = runner.take_all(&folder);
    let whole = runner.plan.order().len();
    runner.show("");
    runner.run.seconds = runner.context.seconds();
    conclude(runner.run, ended, whole, &folder)
}

/// Writes the run, prints its table, and decides the exit code.
fn conclude(
    mut run: Run,
    ended: Result<(), RunError>,
    whole: usize,
    folder: &Path,
) -> Result<ExitCode, Box<dyn Error>> {
    let measured = || run.samples.iter().filter(|one| one.pass == Pass::Measured);
    let taken = measured().count();
    let is_interrupted = ended == Err(RunError::Interrupted);
    match ended {
        Ok(()) if !measured().any(|one| one.invalid.is_empty()) => {
            run.problems
                .push("no sample is valid; the reasons are in the file".to_owned());
        }
        Ok(()) => {}
        Err(RunError::Interrupted) => {
            let problem = format!("the run was interrupted after {taken} of {whole} samples");
            run.problems.push(problem);
        }
        Err(RunError::Failed(reason)) => run.problems.push(reason),
    }
    write_run(folder, &run)?;
    let page = folder.join(report::REPORT);
    std::fs::write(&page, report::html(&run))
        .map_err(|error| format!("cannot write {}: {error}", page.display()))?;
    print_to_stdout(&output::show(&run, Form::stdout()), true)?;
    say(&format!(
        "{} samples in {:.0} seconds: {}; report for a browser: {}",
        run.samples.len(),
        run.seconds,
        folder.join(RUN).display(),
        page.display()
    ));
    Ok(match is_interrupted {
        true => ExitCode::from(INTERRUPTED),
        false if run.problems.is_empty() => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Prints the plan and the warnings.
fn announce(plan: &Plan, environment: &Environment) {
    for warning in &environment.warnings {
        say(&format!("warning: {warning}"));
    }
    for note in &plan.notes {
        say(&format!("note: {note}"));
    }
    say(&format!(
        "{} cells x {} servers x {} rounds, about {:.1} minutes; seed {}",
        plan.cells.len(),
        plan.arms.len(),
        plan.rounds,
        plan.total_time().as_secs_f64() / 60.0,
        plan.seed
    ));
    if (plan.rounds as usize) < PAIRS {
        say("with fewer than 6 rounds the results are indicative: there are no verdicts");
    }
}

/// Writes a line to standard error. That it is closed is not an error of the run.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Raises the soft limit for descriptors to the hard limit; servers and generators inherit it.
pub fn raise_descriptors() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// Creates the directory of a run: the named one, or one in the current directory with the time
/// (UTC) in its name. It must not contain a run.
fn create_output(named: Option<&Path>, now: SystemTime) -> Result<PathBuf, String> {
    let date = httpdate::fmt_http_date(now);
    // Sun, 06 Nov 1994 08:49:37 GMT
    let date = date.get(5..25).unwrap_or_default().replace([' ', ':'], "-");
    let unnamed = PathBuf::from(format!("oneloop-bench-{date}"));
    let path = named.unwrap_or(&unnamed);
    std::fs::create_dir_all(path)
        .map_err(|error| format!("cannot create {}: {error} (use --output)", path.display()))?;
    match path.join(RUN).exists() {
        true => Err(format!(
            "{} contains a run already: name another directory (--output)",
            path.display()
        )),
        false => Ok(path.to_owned()),
    }
}

/// Replaces the file of a run; there is a complete file at any time.
fn write_run(folder: &Path, run: &Run) -> Result<(), String> {
    let path = folder.join(RUN);
    let new = folder.join("run.json.new");
    let written = || -> io::Result<()> {
        let mut file = io::BufWriter::new(std::fs::File::create(&new)?);
        serde_json::to_writer(&mut file, run)?;
        file.write_all(b"\n")?;
        file.into_inner().map_err(|error| error.into_error())?;
        std::fs::rename(&new, &path)
    };
    written().map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// A run in progress.
#[derive(Debug)]
struct Runner {
    plan: Plan,
    context: RunContext,
    run: Run,
    /// The capacities of the arms, requests per second.
    capacities: Vec<f64>,
    /// The estimate of the whole run, and of what is done.
    progress: (Duration, Duration),
    last_line: f64,
}

impl Runner {
    /// A run that has not started.
    fn new(plan: Plan, context: RunContext) -> Self {
        let pinned = context.cpus.is_some();
        let place = if pinned {
            "on one processor"
        } else {
            "on all processors"
        };
        let cells = plan.cells.iter().map(|(workload, cell)| Cell {
            name: cell.name.clone(),
            workload: workload.name.to_owned(),
            description: format!("{}, server {place}", cell.description),
            pinned,
            primary_metric: cell.primary_metric.to_owned(),
        });
        let run = Run {
            schema: SCHEMA,
            program: format!("oneloop {}", env!("CARGO_PKG_VERSION")),
            // Without the path of the program, which is private.
            command: ["oneloop".to_owned()]
                .into_iter()
                .chain(std::env::args().skip(1))
                .collect(),
            preset: plan.preset,
            seed: plan.seed,
            arms: plan.arms.iter().map(|one| one.arm.clone()).collect(),
            cells: cells.collect(),
            notes: plan.notes.clone(),
            ..Run::default()
        };
        Self {
            progress: (plan.total_time(), Duration::ZERO),
            capacities: Vec::new(),
            last_line: -LINE_INTERVAL,
            plan,
            context,
            run,
        }
    }

    /// Starts each server once and asks it for the small page, so that a mistake in a command is
    /// reported at once.
    fn preflight(&mut self) -> Result<(), RunError> {
        let mut arm = 0;
        while let Some(one) = self.plan.arms.get(arm).cloned() {
            let is_control = one.arm.kind == ArmKind::Control;
            let spec = self.probe(0, arm).filter(|_| !is_control);
            match spec.map_or(Ok(()), |spec| sample::check(&mut self.context, spec)) {
                Err(RunError::Failed(reason)) if one.is_optional => {
                    self.leave_out(arm, &reason);
                    continue;
                }
                Err(RunError::Failed(reason)) => {
                    return Err(RunError::Failed(format!("{}: {reason}", one.arm.name)));
                }
                checked => checked?,
            }
            arm += 1;
        }
        Ok(())
    }

    /// Goes on without an arm.
    fn leave_out(&mut self, arm: usize, reason: &str) {
        let left_out = self.plan.arms.remove(arm).arm;
        self.run.arms.remove(arm);
        let note = format!("{} is left out: {reason}", left_out.name);
        say(&format!("note: {note}"));
        self.run.notes.push(note);
        self.progress.0 = self.plan.total_time();
    }

    /// Takes all samples, and writes the run after rounds, but not so often that it takes long.
    fn take_all(&mut self, folder: &Path) -> Result<(), RunError> {
        self.measure_capacities()?;
        let mut round = 0;
        let mut next_write = Now::read().instant;
        for step in self.plan.order() {
            let now = Now::read().instant;
            if step.round != round && now >= next_write {
                self.run.seconds = self.context.seconds();
                write_run(folder, &self.run)?;
                let end = Now::read().instant;
                next_write = end + (end - now) * WRITING_SHARE;
            }
            round = step.round;
            self.step(step)?;
        }
        Ok(())
    }

    fn step(&mut self, step: PlannedSample) -> Result<(), RunError> {
        let PlannedSample { round, cell, arm } = step;
        let what = self.title(cell, arm);
        let rounds = self.plan.rounds;
        self.show(&format!("round {} of {rounds}: {what}", round + 1));
        let Some(spec) = self.spec(cell, arm) else {
            return Ok(());
        };
        let mut sample = Sample::default();
        if spec.cell_spec.share_of_slowest.is_some() && spec.slowest <= 0.0 {
            let reason = "the capacity of the servers, which decides the rate, was not measured";
            sample.invalid.push(reason.to_owned());
        } else {
            let miscounts;
            (sample, miscounts) = sample::take(&mut self.context, &spec)?;
            let problem = |miscount| format!("{what}, round {}: {miscount}", round + 1);
            self.run.problems.extend(miscounts.into_iter().map(problem));
        }
        (sample.arm, sample.cell, sample.round) = (arm, cell, round);
        self.run.samples.push(sample);
        self.progress.1 += self.plan.sample_time(step);
        Ok(())
    }

    fn title(&self, cell: usize, arm: usize) -> String {
        let cell = self.plan.cells.get(cell).map_or("", |(_, cell)| &cell.name);
        let arm = self.plan.arms.get(arm).map_or("", |arm| &arm.arm.name);
        format!("{cell}: {arm}")
    }

    /// Shows the current step on standard error: in place on a terminal, otherwise now and then.
    fn show(&mut self, what: &str) {
        let (total, done) = (self.progress.0.as_secs_f64(), self.progress.1.as_secs_f64());
        let percent = 100.0 * done / total.max(1e-3);
        if io::stderr().is_terminal() {
            let left = (total - done).max(0.0) / 60.0;
            let line = format!("{percent:3.0} %  {left:.1} min left  {what:.60}");
            let line = if what.is_empty() { "" } else { &line };
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
        } else if !what.is_empty() && self.context.seconds() - self.last_line >= LINE_INTERVAL {
            self.last_line = self.context.seconds();
            say(&format!("{percent:3.0} %  {what}"));
        }
    }

    fn spec(&self, cell: usize, arm: usize) -> Option<SampleSpec> {
        let place = self.plan.cells.get(cell)?;
        let arm_spec = self.plan.arms.get(arm)?;
        let (warm_up, measure) = self.plan.times_of(place, arm_spec);
        let (workload, cell_spec) = place;
        Some(SampleSpec {
            arm_spec: arm_spec.clone(),
            workload,
            cell_spec: cell_spec.clone(),
            warm_up,
            measure,
            drain: self.plan.drain_time(workload),
            step_warm_up: self.plan.memory_warm_up(workload),
            slowest: self.slowest(),
        })
    }

    /// The sample that measures the capacity of an arm.
    fn probe(&self, cell: usize, arm: usize) -> Option<SampleSpec> {
        let spec = self.spec(cell, arm)?;
        let cell_spec = CellSpec {
            groups: vec![probe()],
            share_of_slowest: None,
            memory_steps: Vec::new(),
            ..spec.cell_spec
        };
        let measure = Duration::from_secs_f64(self.plan.times.1);
        Some(SampleSpec {
            cell_spec,
            measure,
            ..spec
        })
    }

    /// The capacity of the slowest arm; 0 if none was measured.
    fn slowest(&self) -> f64 {
        let capacities = self.capacities.iter().copied();
        capacities.reduce(f64::min).unwrap_or(0.0)
    }

    /// Measures the capacity of each server, if rates depend on it, until a sample is valid.
    fn measure_capacities(&mut self) -> Result<(), RunError> {
        let is_paced = |cell: &CellSpec| cell.share_of_slowest.is_some();
        let Some(cell) = self.plan.cells.iter().position(|(_, cell)| is_paced(cell)) else {
            return Ok(());
        };
        for arm in self.plan.capacity_arms() {
            self.show(&format!(
                "measuring the capacity: {}",
                self.title(cell, arm)
            ));
            for _ in 0..PROBES {
                let Some(spec) = self.probe(cell, arm) else {
                    break;
                };
                let (taken, _) = sample::take(&mut self.context, &spec)?;
                let capacity = taken.metrics.get("throughput").copied();
                let capacity = capacity.filter(|one| *one > 0.0 && taken.invalid.is_empty());
                // The file gets the capacity only.
                self.run.samples.push(Sample {
                    arm,
                    cell,
                    pass: Pass::Capacity,
                    at: taken.at,
                    metrics: capacity
                        .map(|one| ("capacity".to_owned(), one))
                        .into_iter()
                        .collect(),
                    invalid: taken.invalid,
                    ..Sample::default()
                });
                if let Some(capacity) = capacity {
                    self.capacities.push(capacity);
                    break;
                }
            }
            self.progress.1 += self.plan.capacity_time();
        }
        let slowest = self.slowest();
        for (cell, (_, cell_spec)) in self.run.cells.iter_mut().zip(&self.plan.cells) {
            if let Some(share) = cell_spec.share_of_slowest {
                let rate = (share * slowest).round();
                cell.description += &format!(" ({rate} requests per second)");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_generator_have_different_cpus_or_none() {
        assert_eq!([choose(&[]), choose(&[3])], [None, None]);
        let cpus = |server, generator| Some(Cpus { server, generator });
        assert_eq!(
            [choose(&[0, 1]), choose(&[2, 5, 7])],
            [cpus(1, 0), cpus(7, 2)]
        );
    }

    fn runner(args: &[&str]) -> Runner {
        let args = ["bench"].iter().chain(args);
        let asked = <super::super::Arguments as clap::Parser>::try_parse_from(args).unwrap();
        let context = RunContext::new(1, false, std::iter::empty()).unwrap();
        Runner::new(Plan::of(&asked.run, 1).unwrap(), context)
    }

    /// `/bin/false` ends before it listens, as a server does whose model the system does not have.
    #[test]
    fn a_usual_model_that_does_not_start_is_left_out_and_one_that_was_named_is_an_error() {
        let mut usual = runner(&["keepalive"]);
        let is_uring = |arm: &crate::bench::plan::ArmSpec| arm.arm.name == "uring";
        let uring = usual.plan.arms.iter().position(is_uring).unwrap();
        assert!(usual.plan.arms[uring].is_optional && !usual.plan.arms[0].is_optional);
        usual.leave_out(uring, "it is forbidden here");
        assert!(!usual.plan.arms.iter().any(is_uring));
        assert_eq!(usual.run.arms.len(), usual.plan.arms.len());
        let note = "uring is left out: it is forbidden here";
        assert_eq!(usual.run.notes.last().unwrap(), note);
        let mut named = runner(&["keepalive", "--models", "uring"]);
        named.context.program = "/bin/false".into();
        let Err(RunError::Failed(reason)) = named.preflight() else {
            panic!("it has not failed");
        };
        assert!(reason.starts_with("uring: "), "{reason}");
    }
}
