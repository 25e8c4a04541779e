//! Runs a benchmark, from the command line to the files.
//!
//! - `run_context`: what all samples share
//! - `run`: the steps of a run: preflight, capacities, rounds, system calls
//! - `environment`: facts about the machine, and warnings
//! - `process`: starts and stops a server
//! - `generate`: runs the load generator
//! - `sample`: takes one sample
//! - `derive`: computes the metrics of an outcome
//! - `validity`: decides whether a sample is valid
//! - `syscalls`: counts the system calls per response
//! - `preflight`: checks that each server starts and serves the page
//! - `progress`: the progress bar
//! - `files`: the files of a run

pub mod derive;
pub mod environment;
pub mod files;
pub mod generate;
pub mod preflight;
pub mod process;
pub mod progress;
pub mod run;
pub mod run_context;
pub mod sample;
pub mod syscalls;
pub mod validity;

use super::analysis::analyse;
use super::arguments;
use super::arms::Start;
use super::plan::{Plan, ROUNDS_FOR_A_VERDICT};
use super::record::{Cell, Environment, Pass, Run, SCHEMA};
use super::report;
use super::table::{self, Terminal};
use super::told;
use super::workloads::{CellSpec, Workload, pages};
use crate::clock::Now;
use progress::say;
use run::Runner;
use run_context::{RunContext, Trouble};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

/// The exit code of a command line that is wrong.
const USAGE: u8 = 2;
/// The exit code of a run that Ctrl-C has ended, as a shell shows it (128 + SIGINT).
const INTERRUPTED: u8 = 130;

/// Runs what was asked for, and writes it down.
///
/// # Errors
/// With a sentence for the user.
pub fn run(asked: &arguments::Plan) -> Result<ExitCode, Box<dyn Error>> {
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
    let lab = RunContext::open(plan.seed, plan.pinned, pages)?;
    let environment = environment::look(&lab, descriptors);
    announce(&plan, &environment);
    let mut going = Runner::new(plan, lab, Run::default());
    match going.check() {
        Ok(()) => {}
        Err(Trouble::Failed(why)) => return Err(why.into()),
        Err(Trouble::Interrupted) => return Ok(ExitCode::from(INTERRUPTED)),
    }
    let started = Now::read().wall.duration_since(UNIX_EPOCH);
    let started = started.map_or(0, |since| since.as_secs());
    let folder = files::folder(asked.output.as_deref(), started)?;
    let pinned = going.lab.processors.is_some();
    let cells = going.plan.cells.iter();
    going.run = Run {
        schema: SCHEMA,
        program: format!("oneloop {}", env!("CARGO_PKG_VERSION")),
        // Where the program lies is nobody's business.
        command: ["oneloop".to_owned()]
            .into_iter()
            .chain(std::env::args().skip(1))
            .collect(),
        preset: going.plan.preset,
        started,
        seed: going.plan.seed,
        environment,
        arms: (going.plan.arms.iter())
            .map(|one| one.arm.clone())
            .collect(),
        cells: cells
            .map(|(workload, cell_spec)| cell(workload, cell_spec, pinned))
            .collect(),
        notes: going.plan.notes.clone(),
        ..Run::default()
    };
    let ended = going.go(&folder);
    let whole = going.plan.order().len();
    conclude(going.over(), ended, whole, &folder)
}

/// Writes what there is, says where it is, and how it went.
fn conclude(
    mut run: Run,
    ended: Result<(), Trouble>,
    whole: usize,
    folder: &Path,
) -> Result<ExitCode, Box<dyn Error>> {
    let measured = || run.samples.iter().filter(|one| one.pass == Pass::Measured);
    let taken = measured().count();
    let believed = measured().filter(|one| one.invalid.is_empty()).count();
    match &ended {
        Ok(()) if believed == 0 => run
            .problems
            .push("no sample can be believed; the reasons stand in the file".to_owned()),
        Ok(()) => {}
        Err(Trouble::Interrupted) => run.problems.push(format!(
            "the run was interrupted after {taken} of {whole} samples"
        )),
        Err(Trouble::Failed(why)) => run.problems.push(why.clone()),
    }
    files::write(folder, &run)?;
    report(&run, folder)?;
    Ok(match ended {
        Err(Trouble::Interrupted) => ExitCode::from(INTERRUPTED),
        _ if run.problems.is_empty() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// What a reader of the run gets to see: its table, and where its files are.
fn report(run: &Run, folder: &Path) -> Result<(), Box<dyn Error>> {
    let terminal = Terminal::stdout();
    let analysis = analyse(run);
    let page = folder.join(report::REPORT);
    files::put(&page, report::html(run, &analysis).as_bytes())?;
    told(|to| table::print(run, &analysis, to, terminal.width, terminal.color))?;
    say(&format!(
        "{} samples in {:.0} seconds: {}; to be read in a browser: {}",
        run.samples.len(),
        run.seconds,
        folder.join(files::RUN).display(),
        page.display()
    ));
    Ok(())
}

/// Says what will be done, and what may spoil it.
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
        say("note: a server that runs already stays on the processors that it has");
    }
    say(&format!(
        "{} cells x {} servers x {} rounds, about {}; seed {}",
        plan.cells.len(),
        plan.arms.len(),
        plan.rounds,
        spoken(plan.estimate()),
        plan.seed
    ));
    if plan.rounds < ROUNDS_FOR_A_VERDICT {
        say("with fewer than 6 rounds the figures are indicative: there will be no verdicts");
    }
}

fn spoken(time: Duration) -> String {
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

/// Raises the soft limit of descriptors to the hard one; servers and generators inherit it.
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
