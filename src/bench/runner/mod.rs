//! Runs a benchmark, from the command line to the files.
//!
//! - `context`: what all samples share
//! - `run`: the steps of a run: preflight, capacities, rounds, system calls
//! - `environment`: facts about the machine, and warnings
//! - `process`: starts and stops servers, and runs the load generator
//! - `sample`: takes one sample
//! - `derive`: computes the metrics of an outcome
//! - `validity`: decides whether a sample is valid
//! - `syscalls`: counts the system calls per response
//! - `preflight`: checks that each server starts and serves the page
//! - `progress`: the progress bar
//! - `files`: the files of a run

pub mod context;
pub mod derive;
pub mod environment;
pub mod files;
pub mod preflight;
pub mod process;
pub mod progress;
pub mod run;
pub mod sample;
pub mod syscalls;
pub mod validity;

use super::analysis::analyse;
use super::arguments;
use super::arms::Start;
use super::output::report;
use super::output::terminal::Terminal;
use super::output::text;
use super::plan::{Plan, ROUNDS_FOR_A_VERDICT};
use super::print_to_stdout;
use super::record::{Cell, Environment, Pass, Run, SCHEMA};
use super::workloads::{CellSpec, Workload, pages};
use crate::clock::Now;
use context::{RunContext, RunError};
use progress::say;
use run::Runner;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

/// The exit code of an invalid command line.
const USAGE: u8 = 2;
/// The exit code after Ctrl-C, as in a shell (128 + SIGINT).
const INTERRUPTED: u8 = 130;

/// Runs a benchmark, writes its files, and prints its table.
///
/// # Errors
/// A sentence for the user.
pub fn run(asked: &arguments::RunOptions) -> Result<ExitCode, Box<dyn Error>> {
    let plan = match Plan::of(asked, fastrand::u64(..1_000_000_000)) {
        Ok(plan) => plan,
        Err(error) => {
            say(&format!("oneloop bench: {error}"));
            return Ok(ExitCode::from(USAGE));
        }
    };
    let descriptors = raise_descriptors();
    let all = plan
        .cells
        .iter()
        .flat_map(|(_, cell_spec)| &cell_spec.groups);
    let probe = pages::small();
    let pages = all.flat_map(|group| &group.pages).chain([&probe]);
    let context = RunContext::new(plan.seed, plan.pinned, pages)?;
    let environment = environment::inspect(&context, descriptors);
    announce(&plan, &environment);
    let mut runner = Runner::new(plan, context, Run::default());
    match runner.preflight() {
        Ok(()) => {}
        Err(RunError::Failed(reason)) => return Err(reason.into()),
        Err(RunError::Interrupted) => return Ok(ExitCode::from(INTERRUPTED)),
    }
    let started = Now::read().wall.duration_since(UNIX_EPOCH);
    let started = started.map_or(0, |since| since.as_secs());
    let folder = files::folder(asked.output.as_deref(), started)?;
    let pinned = runner.context.cpus.is_some();
    let cells = runner.plan.cells.iter();
    runner.run = Run {
        schema: SCHEMA,
        program: format!("oneloop {}", env!("CARGO_PKG_VERSION")),
        // Without the path of the program, which is private.
        command: ["oneloop".to_owned()]
            .into_iter()
            .chain(std::env::args().skip(1))
            .collect(),
        preset: runner.plan.preset,
        started,
        seed: runner.plan.seed,
        environment,
        arms: (runner.plan.arms.iter())
            .map(|one| one.arm.clone())
            .collect(),
        cells: cells
            .map(|(workload, cell_spec)| cell(workload, cell_spec, pinned))
            .collect(),
        notes: runner.plan.notes.clone(),
        ..Run::default()
    };
    let ended = runner.take_all(&folder);
    let whole = runner.plan.order().len();
    conclude(runner.finish(), ended, whole, &folder)
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
    let valid = measured().filter(|one| one.invalid.is_empty()).count();
    match &ended {
        Ok(()) if valid == 0 => run
            .problems
            .push("no sample is valid; the reasons are in the file".to_owned()),
        Ok(()) => {}
        Err(RunError::Interrupted) => run.problems.push(format!(
            "the run was interrupted after {taken} of {whole} samples"
        )),
        Err(RunError::Failed(reason)) => run.problems.push(reason.clone()),
    }
    files::write(folder, &run)?;
    report(&run, folder)?;
    Ok(match ended {
        Err(RunError::Interrupted) => ExitCode::from(INTERRUPTED),
        _ if run.problems.is_empty() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Writes the report, prints the table, and names the files.
fn report(run: &Run, folder: &Path) -> Result<(), Box<dyn Error>> {
    let analysis = analyse(run);
    let page = folder.join(report::REPORT);
    files::put(&page, report::html(run, &analysis).as_bytes())?;
    print_to_stdout(|to| text::print(run, &analysis, to, Terminal::stdout()))?;
    say(&format!(
        "{} samples in {:.0} seconds: {}; report for a browser: {}",
        run.samples.len(),
        run.seconds,
        folder.join(files::RUN).display(),
        page.display()
    ));
    Ok(())
}

/// Prints the plan and the warnings.
fn announce(plan: &Plan, environment: &Environment) {
    for warning in &environment.warnings {
        say(&format!("warning: {warning}"));
    }
    for note in &plan.notes {
        say(&format!("note: {note}"));
    }
    let targets = plan.arms.iter();
    let targets = targets.filter(|one| matches!(one.start, Start::Running(_)));
    if targets.count() > 0 && plan.pinned && plan.cells.len() > 1 {
        say("note: a server that is already running is not pinned");
    }
    say(&format!(
        "{} cells x {} servers x {} rounds, about {}; seed {}",
        plan.cells.len(),
        plan.arms.len(),
        plan.rounds,
        in_words(plan.total_time()),
        plan.seed
    ));
    if plan.rounds < ROUNDS_FOR_A_VERDICT {
        say("with fewer than 6 rounds the results are indicative: there are no verdicts");
    }
}

fn in_words(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 100.0 {
        format!("{seconds:.0} seconds")
    } else {
        format!("{:.0} minutes", seconds / 60.0)
    }
}

fn cell(workload: &Workload, cell_spec: &CellSpec, pinned: bool) -> Cell {
    let place = if pinned {
        "server on one processor"
    } else {
        "server on all processors"
    };
    Cell {
        name: cell_spec.name.clone(),
        workload: workload.name.to_owned(),
        parameters: cell_spec.parameters.clone(),
        description: format!("{}, {place}", cell_spec.description),
        pinned,
        primary_metric: cell_spec.primary_metric.to_owned(),
        reproduce: cell_spec
            .reproduce
            .as_ref()
            .map(|command| format!("{command} http://127.0.0.1:PORT/1k.html")),
    }
}

/// Raises the soft limit for descriptors to the hard limit; servers and generators inherit it.
fn raise_descriptors() -> Option<u64> {
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
