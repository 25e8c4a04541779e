//! Room `bench`: what happens in a run, from the command line to the files?
//!
//! - [`lab`]: what do all samples share?
//! - [`environment`]: on which machine is it?
//! - [`server`]: how does a fresh server come to run, and end?
//! - [`generate`]: how is a load given to a generator?
//! - [`sample`]: how is one sample taken?
//! - [`measures`]: which numbers does an outcome hold?
//! - [`validity`]: may a sample be believed?
//! - [`calls`]: which system calls does a request take?
//! - [`progress`]: how far is it?
//! - [`files`]: where do the files go?

pub mod calls;
pub mod environment;
pub mod files;
pub mod generate;
pub mod lab;
pub mod measures;
pub mod progress;
pub mod sample;
pub mod server;
pub mod validity;

use super::arguments;
use super::contenders::Start;
use super::plan::{Plan, ROUNDS_FOR_A_VERDICT};
use super::record::{Cell, Environment, Pass, Run, SCHEMA, Sample};
use super::workloads::{Pace, Shape, Workload, capacity, pages};
use crate::clock::Now;
use lab::{Lab, Trouble};
use progress::{Progress, say};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sample::Order;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
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
    let all = plan.cells.iter().flat_map(|(_, shape)| &shape.groups);
    let probe = pages::small();
    let pages = all.flat_map(|group| &group.pages).chain([&probe]);
    let lab = Lab::open(plan.seed, plan.pinned, pages)?;
    let started = Now::read().wall;
    let started = started
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let folder = files::folder(asked.output.as_deref(), started)?;
    let environment = environment::look(lab.processors, descriptors);
    announce(&plan, &environment);
    let run = Run {
        schema: SCHEMA,
        program: format!("oneloop {}", env!("CARGO_PKG_VERSION")),
        command: std::env::args().collect(),
        preset: plan.preset,
        started,
        seed: plan.seed,
        environment,
        arms: plan.contenders.iter().map(|one| one.arm.clone()).collect(),
        cells: plan
            .cells
            .iter()
            .map(|(workload, shape)| cell(workload, shape, lab.processors.is_some()))
            .collect(),
        notes: plan.notes.clone(),
        ..Run::default()
    };
    let progress = Progress::new(plan.estimate());
    let mut going = Going {
        capacities: BTreeMap::new(),
        plan,
        lab,
        run,
        progress,
        folder,
    };
    let ended = going.go();
    going.progress.finish();
    going.conclude(ended)
}

/// A run that is going on.
struct Going {
    plan: Plan,
    lab: Lab,
    run: Run,
    progress: Progress,
    folder: PathBuf,
    /// What each contender can do, requests a second.
    capacities: BTreeMap<usize, f64>,
}

impl Going {
    fn go(&mut self) -> Result<(), Trouble> {
        self.find_capacities()?;
        let mut round = 0;
        for step in self.plan.order() {
            if step.round != round {
                round = step.round;
                self.write()?;
            }
            let Some(what) = self.title(step.cell, step.arm) else {
                continue;
            };
            let of = format!("round {} of {}", step.round + 1, self.plan.rounds);
            self.progress.at(&self.lab, &format!("{of}: {what}"));
            let taken = self.take(step.cell, step.arm)?;
            let sample = Sample {
                arm: step.arm,
                cell: step.cell,
                round: step.round,
                ..taken.sample
            };
            let broken = taken.broken.into_iter();
            let sentences = broken.map(|why| format!("{what}, round {}: {why}", step.round + 1));
            self.run.problems.extend(sentences);
            self.run.samples.push(sample);
            self.progress.done(self.plan.cost(step.cell));
        }
        self.count_calls()
    }

    fn title(&self, cell: usize, arm: usize) -> Option<String> {
        let (_, shape) = self.plan.cells.get(cell)?;
        let contender = self.plan.contenders.get(arm)?;
        Some(format!("{}: {}", shape.name, contender.arm.name))
    }

    fn take(&mut self, cell: usize, arm: usize) -> Result<sample::Taken, Trouble> {
        let capacity = self.capacity(arm);
        let plan = &self.plan;
        let (Some((workload, shape)), Some(contender)) =
            (plan.cells.get(cell), plan.contenders.get(arm))
        else {
            return Ok(sample::Taken::default());
        };
        if shape.pace != Pace::Fixed && capacity.0 <= 0.0 {
            let mut taken = sample::Taken::default();
            let why = "nobody's capacity is known, from which the rate would follow";
            taken.sample.invalid.push(why.to_owned());
            return Ok(taken);
        }
        let (warm_up, measure) = plan.times_of(workload);
        let order = Order {
            contender,
            workload,
            shape,
            warm_up,
            measure,
            drain: plan.drain_of(workload),
            capacity,
        };
        sample::take(&mut self.lab, &order)
    }

    /// What the slowest can do, and this one.
    fn capacity(&self, arm: usize) -> (f64, f64) {
        let slowest = self.capacities.values().copied().reduce(f64::min);
        let slowest = slowest.unwrap_or(0.0);
        let own = self.capacities.get(&arm).copied();
        (slowest, own.unwrap_or(slowest))
    }

    /// Finds out what each server can do, if rates depend on that.
    fn find_capacities(&mut self) -> Result<(), Trouble> {
        let Some(cell) = (self.plan.cells.iter()).position(|(_, shape)| shape.pace != Pace::Fixed)
        else {
            return Ok(());
        };
        for arm in self.plan.paced() {
            let Some(contender) = self.plan.contenders.get(arm) else {
                continue;
            };
            let name = contender.arm.name.clone();
            self.progress
                .at(&self.lab, &format!("how much can {name} do?"));
            let Some((workload, shape)) = self.plan.cells.get(cell) else {
                continue;
            };
            let shape = Shape {
                groups: vec![capacity::probe()],
                pace: Pace::Fixed,
                ..shape.clone()
            };
            let order = Order {
                contender,
                workload,
                shape: &shape,
                warm_up: Duration::from_secs_f64(self.plan.times.warm_up),
                measure: Duration::from_secs_f64(self.plan.times.measure),
                drain: self.plan.drain_of(workload),
                capacity: (0.0, 0.0),
            };
            let taken = sample::take(&mut self.lab, &order)?;
            let found = taken.sample.metrics.get("throughput").copied();
            if let Some(found) = found.filter(|found| *found > 0.0) {
                self.capacities.insert(arm, found);
            } else {
                let why = taken.sample.invalid.join("; ");
                self.run
                    .notes
                    .push(format!("what {name} can do is not known: {why}"));
            }
            self.run.samples.push(Sample {
                arm,
                cell,
                pass: Pass::Capacity,
                metrics: found
                    .map(|found| ("capacity".to_owned(), found))
                    .into_iter()
                    .collect(),
                at: taken.sample.at,
                invalid: taken.sample.invalid,
                notes: taken.sample.notes,
                limiter: taken.sample.limiter,
                ..Sample::default()
            });
            self.progress.done(self.plan.probe_cost());
        }
        self.name_rates();
        Ok(())
    }

    /// A common rate is known now, and belongs into the description of its cells.
    fn name_rates(&mut self) {
        let (slowest, _) = self.capacity(usize::MAX);
        for (cell, (_, shape)) in self.run.cells.iter_mut().zip(&self.plan.cells) {
            if let Pace::OfSlowest(part) = shape.pace {
                let rate = part * slowest;
                cell.parameters.insert("rate".to_owned(), rate.round());
                let words = format!(" ({rate:.0} requests a second)");
                cell.description.push_str(&words);
            }
        }
    }

    fn count_calls(&mut self) -> Result<(), Trouble> {
        let counted = self.plan.counted();
        if counted.is_empty() {
            return Ok(());
        }
        if !calls::can_be_counted() {
            self.run.notes.push(
                "system calls were not counted: strace is not installed (apt install strace)"
                    .to_owned(),
            );
            return Ok(());
        }
        for (cell, arm) in counted {
            let Some(what) = self.title(cell, arm) else {
                continue;
            };
            self.progress
                .at(&self.lab, &format!("counting system calls: {what}"));
            let (Some((workload, shape)), Some(contender)) =
                (self.plan.cells.get(cell), self.plan.contenders.get(arm))
            else {
                continue;
            };
            let order = Order {
                contender,
                workload,
                shape,
                warm_up: Duration::from_secs_f64(self.plan.times.warm_up),
                measure: Duration::from_secs_f64(self.plan.times.measure),
                drain: self.plan.drain_of(workload),
                capacity: (0.0, 0.0),
            };
            let sample = calls::count(&mut self.lab, &order)?;
            self.run.samples.push(Sample {
                arm,
                cell,
                ..sample
            });
            self.progress.done(self.plan.count_cost());
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Trouble> {
        self.run.seconds = self.lab.seconds();
        Ok(files::write(&self.folder, &self.run)?)
    }

    /// Writes what there is, says where it is, and how it went.
    fn conclude(mut self, ended: Result<(), Trouble>) -> Result<ExitCode, Box<dyn Error>> {
        match &ended {
            Ok(()) => {}
            Err(Trouble::Interrupted) => {
                let all = self.plan.order().len();
                let taken = self.run.samples.iter();
                let taken = taken.filter(|one| one.pass == Pass::Measured).count();
                self.run.problems.push(format!(
                    "the run was interrupted after {taken} of {all} samples"
                ));
            }
            Err(Trouble::Failed(why)) => self.run.problems.push(why.clone()),
        }
        self.run.seconds = self.lab.seconds();
        files::write(&self.folder, &self.run)?;
        report(&self.run, &self.folder)?;
        Ok(match ended {
            Err(Trouble::Interrupted) => ExitCode::from(INTERRUPTED),
            _ if self.run.problems.is_empty() => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }
}

/// What a reader of the run gets to see.
fn report(run: &Run, folder: &Path) -> Result<(), Box<dyn Error>> {
    for problem in &run.problems {
        say(&format!("problem: {problem}"));
    }
    let measured = || run.samples.iter().filter(|one| one.pass == Pass::Measured);
    let invalid = measured().filter(|one| !one.invalid.is_empty()).count();
    say(&format!(
        "{} samples, {invalid} of them left out, in {:.0} seconds: {}",
        measured().count(),
        run.seconds,
        folder.join(files::RUN).display()
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
    let targets = plan.contenders.iter();
    let targets = targets.filter(|one| matches!(one.start, Start::Running(_)));
    if targets.count() > 0 && plan.pinned && plan.cells.len() > 1 {
        say("note: a server that runs already stays on the processors that it has");
    }
    say(&format!(
        "{} cells x {} servers x {} rounds, about {}; seed {}",
        plan.cells.len(),
        plan.contenders.len(),
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

fn cell(workload: &Workload, shape: &Shape, pinned: bool) -> Cell {
    let place = if pinned {
        "server on one processor"
    } else {
        "server on all processors"
    };
    Cell {
        name: shape.name.clone(),
        workload: workload.name.to_owned(),
        parameters: shape.parameters.clone(),
        description: format!("{}, {place}", shape.description),
        pinned,
        headline: shape.headline.to_owned(),
        reproduce: shape
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
