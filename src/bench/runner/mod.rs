//! Runs a benchmark, from the command line to the files: starts each server once, measures the
//! capacities from which rates follow, and takes the samples of all rounds.
//!
//! - `process`: starts and stops servers, and runs the load generator
//! - `sample`: takes one sample; `judge`: whether it is valid
//! - `environment`: facts about the machine, and warnings

mod environment;
pub mod judge;
pub mod process;
mod sample;

use super::output::{self, Form, report};
use super::plan::{Plan, PlannedSample};
use super::stats::{PAIRS, float};
use super::types::{Behavior, Cell, Pass, REFERENCE, Run, SCHEMA, Sample};
use super::workloads::{self, CellSpec};
use super::{RunOptions, platform, print_to_stdout};
use crate::clock::Now;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The exit code of an invalid command line.
pub const USAGE: u8 = 2;
/// The exit code after Ctrl-C, as in a shell (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;
/// The file with all measurements.
const RUN: &str = "run.json";
/// Attempts at a valid measurement of a capacity.
const PROBES: usize = 3;
/// The connections with which it is measured.
const PROBE_CONNECTIONS: u32 = 64;
/// Seconds between two lines of progress without a terminal.
const LINE_INTERVAL: f64 = 15.0;

/// What all samples of a run share: the directory to serve, the CPUs, the clock, and whether the
/// user has interrupted the run.
#[derive(Debug)]
pub struct RunContext {
    /// This program, which is both server and generator.
    pub program: String,
    /// The CPUs of server and generator, if each is pinned to one.
    pub cpus: Option<Cpus>,
    /// The number of CPUs that this process may use.
    pub cpu_count: usize,
    /// For the seeds of the loads.
    random: fastrand::Rng,
    folder: PathBuf,
    started: Instant,
    interrupted: Arc<AtomicBool>,
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

impl<T: Into<String>> From<T> for RunError {
    fn from(reason: T) -> Self {
        Self::Failed(reason.into())
    }
}

impl RunContext {
    /// Writes the files to serve into a new folder, and pins this process to the CPU of the
    /// generator, if there are at least two CPUs.
    pub fn new(seed: u64) -> Result<Self, String> {
        let program = std::env::current_exe()
            .map_err(|error| format!("cannot find the path of this program: {error}"))?;
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, interrupted.clone())
                .map_err(|error| format!("cannot install a signal handler: {error}"))?;
        }
        // Before this process is pinned to one.
        let cpu_count = std::thread::available_parallelism().map_or(1, usize::from);
        let cpus = choose(&platform::cpus(None));
        let folder = std::env::temp_dir().join(new_name());
        let context = Self {
            program: program.display().to_string(),
            cpus: cpus.filter(|cpus| platform::pin_to(&[cpus.generator]).is_ok()),
            cpu_count,
            random: fastrand::Rng::with_seed(seed),
            folder,
            started: Now::read().instant,
            interrupted,
        };
        let created = fs::create_dir(&context.folder);
        created
            .and_then(|()| workloads::write(&context.root()))
            .map_err(|error| {
                let folder = context.folder.display();
                format!("cannot write into {folder}: {error} (set TMPDIR to use another place)")
            })?;
        Ok(context)
    }

    /// Number of CPUs on which server and generator run.
    fn used_cpus(&self) -> usize {
        self.cpus.map_or(self.cpu_count, |_| 2)
    }

    /// The directory to serve.
    fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// A new path in the folder of the run.
    fn file(&self) -> PathBuf {
        self.folder.join(new_name())
    }

    /// A new file without a name, to read it, and for a process to write to it.
    fn scratch(&self) -> Result<(File, Stdio), String> {
        let path = self.file();
        let created = || {
            let mut options = File::options();
            let file = options
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)?;
            fs::remove_file(&path)?;
            let writer = file.try_clone()?;
            Ok((file, Stdio::from(writer)))
        };
        created().map_err(|error: io::Error| format!("cannot create {}: {error}", path.display()))
    }

    /// Seconds since the run started.
    fn seconds(&self) -> f64 {
        let since = Now::read().instant.saturating_duration_since(self.started);
        since.as_secs_f64()
    }

    /// Whether the user has interrupted the run.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// A free port, below the usual ephemeral ports: a client that connects to such a port before
    /// the server listens may connect to itself (a simultaneous open, RFC 9293, section 3.5).
    fn free_port() -> Result<u16, String> {
        let mut ports = std::iter::repeat_with(|| fastrand::u16(10_000..32_768)).take(200);
        let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
        let free = ports.find(is_free);
        free.ok_or("no free port on 127.0.0.1 from 10000 to 32767".to_owned())
    }

    /// One of many loopback addresses, so that a sample does not use ports that the sample before
    /// left in TIME_WAIT. `None` where there is only one.
    pub fn source() -> Option<Ipv4Addr> {
        let address = Ipv4Addr::new(127, 0, fastrand::u8(..), fastrand::u8(2..252));
        platform::MANY_LOOPBACKS.then_some(address)
    }
}

/// A name that no other run has.
fn new_name() -> String {
    format!("oneloop-bench-{:016x}", fastrand::u64(..))
}

impl Drop for RunContext {
    fn drop(&mut self) {
        // If this fails, the folder stays in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
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
    let context = RunContext::new(plan.seed)?;
    let mut runner = Runner::new(plan, context);
    runner.run.environment = environment::inspect(&runner.context, descriptors);
    runner.announce();
    match runner.preflight(REFERENCE) {
        Ok(()) => {}
        Err(RunError::Failed(reason)) => return Err(reason.into()),
        Err(RunError::Interrupted) => return Ok(ExitCode::from(INTERRUPTED)),
    }
    let started = Now::read().wall;
    let since = started.duration_since(UNIX_EPOCH);
    runner.run.started = since.map_or(0, |since| since.as_secs());
    let folder = create_output(asked.output.as_deref(), started)?;
    let ended = runner.take_all(&folder);
    runner.show("");
    runner.conclude(ended, &folder)
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
    let path = named.map_or(unnamed, Path::to_owned);
    let place = path.display();
    fs::create_dir_all(&path)
        .map_err(|error| format!("cannot create {place}: {error} (use --output)"))?;
    if path.join(RUN).exists() {
        let what = "contains a run already: name another directory (--output)";
        return Err(format!("{place} {what}"));
    }
    Ok(path)
}

/// A run in progress.
#[derive(Debug)]
struct Runner {
    plan: Plan,
    context: RunContext,
    run: Run,
    /// The number of samples of the plan.
    total: u64,
    last_line: f64,
}

impl Runner {
    /// A run that has not started.
    fn new(plan: Plan, context: RunContext) -> Self {
        let pinned = context.cpus.is_some();
        let place = match pinned {
            true => "on one processor",
            false => "on all processors",
        };
        let cells = plan.cells.iter().map(|cell| Cell {
            name: cell.name.clone(),
            workload: cell.workload.name.to_owned(),
            description: format!("{}, server {place}", cell.description),
            pinned,
            primary_metric: cell.primary_metric.to_owned(),
        });
        // Without the path of the program, which is private.
        let command = ["oneloop".to_owned()].into_iter();
        let run = Run {
            schema: SCHEMA,
            program: format!("oneloop {}", env!("CARGO_PKG_VERSION")),
            command: command.chain(std::env::args().skip(1)).collect(),
            seed: plan.seed,
            arms: plan.arms.iter().map(|one| one.arm.clone()).collect(),
            cells: cells.collect(),
            notes: plan.notes.clone(),
            ..Run::default()
        };
        Self {
            total: 0,
            last_line: -LINE_INTERVAL,
            plan,
            context,
            run,
        }
    }

    /// Prints the plan and the warnings.
    fn announce(&self) {
        for warning in &self.run.environment.warnings {
            say(&format!("warning: {warning}"));
        }
        for note in &self.run.notes {
            say(&format!("note: {note}"));
        }
        say(&format!(
            "{} cells x {} servers x {} rounds, about {:.1} minutes; seed {}",
            self.plan.cells.len(),
            self.plan.arms.len(),
            self.plan.rounds,
            self.plan.total_time() / 60.0,
            self.plan.seed
        ));
        if (self.plan.rounds as usize) < PAIRS {
            say("with fewer than 6 rounds the results are indicative: there are no verdicts");
        }
    }

    /// Starts each server once and asks it for the small page, so that a mistake in a command is
    /// reported at once. Goes on without a model that was not named.
    fn preflight(&mut self, first: usize) -> Result<(), RunError> {
        let mut arm = first;
        while let (Some(one), Some(cell)) = (self.plan.arms.get(arm), self.plan.cells.first()) {
            match sample::check(&mut self.context, one, cell) {
                Err(RunError::Failed(reason)) if one.is_default && arm != REFERENCE => {
                    self.leave_out(arm, &reason);
                }
                Err(RunError::Failed(reason)) => {
                    return Err(RunError::Failed(format!("{}: {reason}", one.arm.name)));
                }
                checked => {
                    checked?;
                    // The control is the same program.
                    arm += if arm == REFERENCE { 2 } else { 1 };
                }
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, arm: usize, reason: &str) {
        self.plan.arms.remove(arm);
        let name = self.run.arms.remove(arm).name;
        let note = format!("{name} is left out: {reason}");
        say(&format!("note: {note}"));
        self.run.notes.push(note);
    }

    /// Takes all samples. Writes the run after a round if it has grown by a tenth since it was last
    /// written, so that all writes together are at most about ten times the run.
    fn take_all(&mut self, folder: &Path) -> Result<(), RunError> {
        let order = self.plan.order();
        self.total = order.len() as u64;
        self.measure_capacities()?;
        let mut written = 0;
        for round in order.chunk_by(|one, next| one.round == next.round) {
            for step in round {
                self.step(*step)?;
            }
            let samples = self.run.samples.len();
            if samples * 10 >= written * 11 {
                self.write(folder)?;
                written = samples;
            }
        }
        Ok(())
    }

    fn step(&mut self, step: PlannedSample) -> Result<(), RunError> {
        let Some(cell) = self.plan.cells.get(step.cell).cloned() else {
            return Ok(());
        };
        let (mut sample, mut miscounts) = (Sample::default(), Vec::new());
        if cell.share_of_slowest.is_some() && self.slowest().is_none() {
            let reason = "the capacity of the servers, which decides the rate, was not measured";
            sample.invalid.push(reason.to_owned());
        } else {
            let what = format!("round {} of {}", step.round + 1, self.plan.rounds);
            (sample, miscounts) = self.take(&what, &cell, step.arm)?;
        }
        let (name, number) = (self.run.name(step.arm).to_owned(), step.round + 1);
        for miscount in miscounts {
            let problem = format!("{}: {name}, round {number}: {miscount}", cell.name);
            self.run.problems.push(problem);
        }
        (sample.arm, sample.cell, sample.round) = (step.arm, step.cell, step.round);
        self.run.samples.push(sample);
        Ok(())
    }

    /// Takes a sample of an arm, and returns it with its miscounts.
    fn take(
        &mut self,
        what: &str,
        cell: &CellSpec,
        arm: usize,
    ) -> Result<(Sample, Vec<String>), RunError> {
        self.show(&format!("{what}: {}: {}", cell.name, self.run.name(arm)));
        let arm = self.plan.arms.get(arm).ok_or("there is no such arm")?;
        let times = self.plan.times_of(cell, arm);
        sample::take(&mut self.context, arm, cell, times)
    }

    /// Shows the current step on standard error: in place on a terminal, otherwise now and then.
    fn show(&mut self, what: &str) {
        let done = float(self.run.measured().count() as u64) / float(self.total.max(1));
        let percent = 100.0 * done;
        if io::stderr().is_terminal() {
            let left = (1.0 - done) * self.plan.total_time() / 60.0;
            let line = format!("{percent:3.0} %  {left:.1} min left  {what:.60}");
            let line = if what.is_empty() { "" } else { &line };
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
        } else if !what.is_empty() && self.context.seconds() - self.last_line >= LINE_INTERVAL {
            self.last_line = self.context.seconds();
            say(&format!("{percent:3.0} %  {what}"));
        }
    }

    /// The capacity of the slowest arm, requests per second.
    fn slowest(&self) -> Option<f64> {
        let samples = self.run.samples.iter();
        let valid = samples.filter(|one| one.pass == Pass::Capacity && one.invalid.is_empty());
        let capacities = valid.filter_map(|one| one.metrics.get("throughput").copied());
        capacities.filter(|one| *one > 0.0).reduce(f64::min)
    }

    /// Measures the capacity of each server, if rates depend on it, until a sample is valid.
    fn measure_capacities(&mut self) -> Result<(), RunError> {
        let mut cells = self.plan.cells.iter();
        let Some(cell) = cells.position(|cell| cell.share_of_slowest.is_some()) else {
            return Ok(());
        };
        let probes = self.plan.cells.get(cell);
        let probes = vec![probes.map(|cell| cell.probe(PROBE_CONNECTIONS)); PROBES];
        for arm in self.plan.arms_in(cell) {
            for probe in probes.iter().flatten() {
                let (mut sample, _) = self.take("measuring the capacity", probe, arm)?;
                let is_valid = sample.invalid.is_empty();
                (sample.arm, sample.cell, sample.pass) = (arm, cell, Pass::Capacity);
                self.run.samples.push(sample);
                if is_valid {
                    break;
                }
            }
        }
        let slowest = self.slowest().unwrap_or(0.0);
        for (cell, spec) in self.run.cells.iter_mut().zip(&mut self.plan.cells) {
            if let (Some(share), Some(group)) = (spec.share_of_slowest, spec.groups.first_mut())
                && let Behavior::Open { rate, .. } = &mut group.behavior
            {
                *rate = share * slowest;
                cell.description += &format!(" ({rate:.0} requests per second)");
            }
        }
        Ok(())
    }

    /// Replaces the file of the run; there is a complete file at any time.
    fn write(&mut self, folder: &Path) -> Result<(), String> {
        self.run.seconds = self.context.seconds();
        let (path, new) = (folder.join(RUN), folder.join("run.json.new"));
        let written = || -> io::Result<()> {
            let mut file = io::BufWriter::new(File::create(&new)?);
            serde_json::to_writer(&mut file, &self.run)?;
            file.write_all(b"\n")?;
            file.into_inner().map_err(|error| error.into_error())?;
            fs::rename(&new, &path)
        };
        written().map_err(|error| format!("cannot write {}: {error}", path.display()))
    }

    /// Writes the run, prints its table, and decides the exit code.
    fn conclude(
        &mut self,
        ended: Result<(), RunError>,
        folder: &Path,
    ) -> Result<ExitCode, Box<dyn Error>> {
        let taken = self.run.measured().count();
        let has_valid = self.run.measured().any(|one| one.invalid.is_empty());
        let is_interrupted = ended == Err(RunError::Interrupted);
        self.run.problems.extend(match ended {
            Ok(()) if has_valid => None,
            Ok(()) => Some("no sample is valid; the reasons are in the file".to_owned()),
            Err(RunError::Failed(reason)) => Some(reason),
            Err(RunError::Interrupted) => {
                let all = self.total;
                Some(format!(
                    "the run was interrupted after {taken} of {all} samples"
                ))
            }
        });
        self.write(folder)?;
        let run = &self.run;
        let page = folder.join(report::REPORT);
        fs::write(&page, report::html(run))
            .map_err(|error| format!("cannot write {}: {error}", page.display()))?;
        print_to_stdout(&output::show(run, Form::stdout()), true)?;
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Arguments;
    use clap::Parser;

    #[test]
    fn server_and_generator_have_different_cpus_or_none() {
        assert_eq!([choose(&[]), choose(&[3])], [None, None]);
        let cpus = |server, generator| Some(Cpus { server, generator });
        assert_eq!(
            [choose(&[0, 1]), choose(&[2, 5, 7])],
            [cpus(1, 0), cpus(7, 2)]
        );
    }

    /// A run whose servers end before they listen, as does a model that the system does not have.
    fn runner(args: &[&str]) -> Runner {
        let args = ["bench", "keepalive"].iter().chain(args);
        let asked = Arguments::try_parse_from(args).unwrap();
        let mut context = RunContext::new(1).unwrap();
        context.program = "/bin/false".into();
        Runner::new(Plan::of(&asked.run, 1).unwrap(), context)
    }

    #[test]
    fn a_default_model_that_does_not_start_is_left_out_and_one_that_was_named_is_an_error() {
        let failure = |runner: &mut Runner| match runner.preflight(REFERENCE) {
            Err(RunError::Failed(reason)) => reason,
            other => panic!("it has not failed: {other:?}"),
        };
        let mut usual = runner(&[]);
        // Without the reference there is no run.
        assert!(failure(&mut usual).starts_with("reactor: the server ended"));
        // As if the reference had started.
        usual.preflight(2).unwrap();
        let names: Vec<_> = usual.run.arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names, ["reactor", "reactor'"]);
        assert_eq!(usual.plan.arms.len(), 2);
        let note = usual.run.notes.last().unwrap();
        assert!(
            note.starts_with("sequential is left out: the server ended"),
            "{note}"
        );
        let named = failure(&mut runner(&["--models", "uring"]));
        assert!(named.starts_with("uring: "), "{named}");
    }
}
