//! The steps of a run: preflight, capacities, rounds, system calls.

use super::context::{RunContext, RunError};
use super::progress::Progress;
use super::sample::{self, SampleSpec, Taken};
use super::{files, preflight, syscalls};
use crate::bench::plan::{Plan, PlannedSample};
use crate::bench::record::{ArmKind, Pass, Run, Sample};
use crate::bench::workloads::{CellSpec, RateSource, Workload, probe};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// A run in progress.
#[derive(Debug)]
pub struct Runner {
    /// What to do.
    pub plan: Plan,
    /// What the samples share.
    pub context: RunContext,
    /// The results so far.
    pub run: Run,
    progress: Progress,
    /// The capacity of each arm, requests per second.
    capacities: BTreeMap<usize, f64>,
}

impl Runner {
    /// A run that has not started.
    pub fn new(plan: Plan, context: RunContext, run: Run) -> Self {
        Self {
            progress: Progress::new(plan.total_time()),
            capacities: BTreeMap::new(),
            plan,
            context,
            run,
        }
    }

    /// Starts each server once, and checks its response.
    ///
    /// # Errors
    /// A check fails; the user has interrupted the run.
    pub fn preflight(&mut self) -> Result<(), RunError> {
        for arm in 0..self.plan.arms.len() {
            let spec = self.probe(0, arm);
            if let Some(spec) = spec.filter(|spec| spec.arm_spec.arm.kind != ArmKind::Control) {
                preflight::check(&mut self.context, &spec)?;
            }
        }
        Ok(())
    }

    /// Takes all samples, and writes the run after each round.
    ///
    /// # Errors
    /// The file cannot be written; the user has interrupted the run.
    pub fn take_all(&mut self, folder: &Path) -> Result<(), RunError> {
        self.measure_capacities()?;
        let mut round = 0;
        for step in self.plan.order() {
            if step.round != round {
                round = step.round;
                self.run.seconds = self.context.seconds();
                files::write(folder, &self.run)?;
            }
            self.step(step)?;
        }
        self.count_syscalls()
    }

    /// Ends the run.
    pub fn finish(mut self) -> Run {
        self.progress.finish();
        self.run.seconds = self.context.seconds();
        self.run
    }

    fn step(&mut self, step: PlannedSample) -> Result<(), RunError> {
        let what = self.title(step.cell, step.arm);
        let round = format!("round {} of {}", step.round + 1, self.plan.rounds);
        self.progress
            .show(&self.context, &format!("{round}: {what}"));
        let taken = self.take(step.cell, step.arm)?;
        for miscount in taken.miscounts {
            let place = format!("{what}, round {}", step.round + 1);
            self.run.problems.push(format!("{place}: {miscount}"));
        }
        self.run.samples.push(Sample {
            arm: step.arm,
            cell: step.cell,
            round: step.round,
            ..taken.sample
        });
        self.progress
            .done(self.plan.sample_time(step.cell, step.arm));
        Ok(())
    }

    fn take(&mut self, cell: usize, arm: usize) -> Result<Taken, RunError> {
        let mut taken = Taken::default();
        let Some(spec) = self.spec(cell, arm) else {
            return Ok(taken);
        };
        if spec.cell_spec.rate_source != RateSource::Fixed && spec.capacity.0 <= 0.0 {
            let reason = "the capacity of the servers, which decides the rate, was not measured";
            taken.sample.invalid.push(reason.to_owned());
            return Ok(taken);
        }
        sample::take(&mut self.context, &spec)
    }

    fn title(&self, cell: usize, arm: usize) -> String {
        let cell = self.plan.cells.get(cell);
        let arm = self.plan.arms.get(arm);
        format!(
            "{}: {}",
            cell.map_or("", |(_, cell_spec)| &cell_spec.name),
            arm.map_or("", |arm_spec| &arm_spec.arm.name)
        )
    }

    /// The sample of an arm in a cell.
    fn spec(&self, cell: usize, arm: usize) -> Option<SampleSpec> {
        let plan = &self.plan;
        let (workload, cell_spec) = plan.cells.get(cell)?;
        let arm_spec = plan.arms.get(arm)?;
        let (warm_up, measure) = plan.times_of(workload);
        Some(SampleSpec {
            arm_spec: arm_spec.clone(),
            workload,
            cell_spec: cell_spec.clone(),
            warm_up: warm_up + plan.slow_start(cell_spec, arm_spec),
            measure,
            drain: plan.drain_time(workload),
            level: plan.memory_warm_up(workload),
            capacity: self.capacity(arm),
        })
    }

    /// The sample that measures the capacity of an arm.
    fn probe(&self, cell: usize, arm: usize) -> Option<SampleSpec> {
        let spec = self.spec(cell, arm)?;
        Some(SampleSpec {
            cell_spec: CellSpec {
                groups: vec![probe()],
                rate_source: RateSource::Fixed,
                memory_steps: Vec::new(),
                stall: None,
                ..spec.cell_spec
            },
            measure: Duration::from_secs_f64(self.plan.times.measure),
            ..spec
        })
    }

    /// The capacity of the slowest arm, and of this one.
    fn capacity(&self, arm: usize) -> (f64, f64) {
        let slowest = self.capacities.values().copied().reduce(f64::min);
        let slowest = slowest.unwrap_or(0.0);
        let own = self.capacities.get(&arm).copied();
        (slowest, own.unwrap_or(slowest))
    }

    /// Measures the capacity of each server, if rates depend on it.
    fn measure_capacities(&mut self) -> Result<(), RunError> {
        let paced =
            |(_, cell_spec): &(&Workload, CellSpec)| cell_spec.rate_source != RateSource::Fixed;
        let Some(cell) = self.plan.cells.iter().position(paced) else {
            return Ok(());
        };
        for arm in self.plan.capacity_arms() {
            let name = self.title(cell, arm);
            let what = format!("measuring the capacity: {name}");
            self.progress.show(&self.context, &what);
            let Some(spec) = self.probe(cell, arm) else {
                continue;
            };
            let mut sample = sample::take(&mut self.context, &spec)?.sample;
            (sample.arm, sample.cell, sample.pass) = (arm, cell, Pass::Capacity);
            let throughput = sample.metrics.get("throughput").copied();
            // The file gets the capacity only.
            sample.metrics.clear();
            sample.histograms.clear();
            sample.time_series.clear();
            sample.errors.clear();
            if let Some(capacity) = throughput.filter(|capacity| *capacity > 0.0) {
                self.capacities.insert(arm, capacity);
                sample.metrics.insert("capacity".to_owned(), capacity);
            }
            self.run.samples.push(sample);
            self.progress.done(self.plan.capacity_time());
        }
        self.describe_rates();
        Ok(())
    }

    /// Adds the common rate to the description of its cells.
    fn describe_rates(&mut self) {
        let (slowest, _) = self.capacity(usize::MAX);
        for (cell, (_, cell_spec)) in self.run.cells.iter_mut().zip(&self.plan.cells) {
            if let RateSource::ShareOfSlowest(part) = cell_spec.rate_source {
                let rate = part * slowest;
                cell.parameters.insert("rate".to_owned(), rate.round());
                let words = format!(" ({rate:.0} requests per second)");
                cell.description.push_str(&words);
            }
        }
    }

    fn count_syscalls(&mut self) -> Result<(), RunError> {
        let counted = self.plan.syscall_passes();
        if !counted.is_empty() && !syscalls::has_strace() {
            self.run.notes.push(
                "system calls were not counted: strace is not installed (apt install strace)"
                    .to_owned(),
            );
            return Ok(());
        }
        for (cell, arm) in counted {
            let what = format!("counting system calls: {}", self.title(cell, arm));
            self.progress.show(&self.context, &what);
            let Some(spec) = self.spec(cell, arm) else {
                continue;
            };
            let sample = syscalls::count(&mut self.context, &spec)?;
            self.run.samples.push(Sample {
                arm,
                cell,
                ..sample
            });
            self.progress.done(self.plan.syscall_time());
        }
        Ok(())
    }
}
