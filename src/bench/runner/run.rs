//! Room `bench`: what is done in a run, one after the other? The check, what each server can do,
//! the rounds, the system calls.

use super::progress::Progress;
use super::run_context::{RunContext, Trouble};
use super::sample::{self, Order, Taken};
use super::{files, preflight, syscalls};
use crate::bench::arms::ArmSpec;
use crate::bench::plan::{Plan, Step};
use crate::bench::record::{ArmKind, Pass, Run, Sample};
use crate::bench::workloads::{CellSpec, RateSource, Workload, capacity};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// A run that is going on.
#[derive(Debug)]
pub struct Runner {
    /// What is to be done.
    pub plan: Plan,
    /// Where.
    pub lab: RunContext,
    /// What has come of it so far.
    pub run: Run,
    progress: Progress,
    /// What each arm can do, requests a second.
    capacities: BTreeMap<usize, f64>,
}

impl Runner {
    /// One that has not begun.
    pub fn new(plan: Plan, lab: RunContext, run: Run) -> Self {
        Self {
            progress: Progress::new(plan.estimate()),
            capacities: BTreeMap::new(),
            plan,
            lab,
            run,
        }
    }

    /// Starts everybody once, and looks whether the answer is right.
    ///
    /// # Errors
    /// If it is not; if the user wants to stop.
    pub fn check(&mut self) -> Result<(), Trouble> {
        for arm in 0..self.plan.arms.len() {
            let Some((_, cell_spec)) = self.plan.cells.first() else {
                continue;
            };
            let cell_spec = probing(cell_spec);
            let Some((order, lab)) = self.order(0, arm, &cell_spec) else {
                continue;
            };
            if order.arm_spec.arm.kind != ArmKind::Control {
                preflight::check(lab, &order)?;
            }
        }
        Ok(())
    }

    /// Takes all samples, and writes what there is after each round.
    ///
    /// # Errors
    /// If nothing can be written; if the user wants to stop.
    pub fn go(&mut self, folder: &Path) -> Result<(), Trouble> {
        self.find_capacities()?;
        let mut round = 0;
        for step in self.plan.order() {
            if step.round != round {
                round = step.round;
                self.run.seconds = self.lab.seconds();
                files::write(folder, &self.run)?;
            }
            self.step(step)?;
        }
        self.count_calls()
    }

    /// The run as it is, when nothing more is done.
    pub fn over(mut self) -> Run {
        self.progress.finish();
        self.run.seconds = self.lab.seconds();
        self.run
    }

    fn step(&mut self, step: Step) -> Result<(), Trouble> {
        let what = self.title(step.cell, step.arm);
        let round = format!("round {} of {}", step.round + 1, self.plan.rounds);
        self.progress.at(&self.lab, &format!("{round}: {what}"));
        let taken = self.take(step.cell, step.arm)?;
        for why in taken.broken {
            let place = format!("{what}, round {}", step.round + 1);
            self.run.problems.push(format!("{place}: {why}"));
        }
        self.run.samples.push(Sample {
            arm: step.arm,
            cell: step.cell,
            round: step.round,
            ..taken.sample
        });
        self.progress.done(self.plan.cost(step.cell, step.arm));
        Ok(())
    }

    fn take(&mut self, cell: usize, arm: usize) -> Result<Taken, Trouble> {
        let Some((_, cell_spec)) = self.plan.cells.get(cell) else {
            return Ok(Taken::default());
        };
        let cell_spec = cell_spec.clone();
        let Some((order, lab)) = self.order(cell, arm, &cell_spec) else {
            return Ok(Taken::default());
        };
        if cell_spec.rate_source != RateSource::Fixed && order.capacity.0 <= 0.0 {
            let why = "it is not known what the servers can do, from which the rate would follow";
            let mut taken = Taken::default();
            taken.sample.invalid.push(why.to_owned());
            return Ok(taken);
        }
        sample::take(lab, &order)
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

    /// What is to be done in a cell by an arm, and where.
    fn order<'a>(
        &'a mut self,
        cell: usize,
        arm: usize,
        cell_spec: &'a CellSpec,
    ) -> Option<(Order<'a>, &'a mut RunContext)> {
        let capacity = self.capacity(arm);
        let plan = &self.plan;
        let (workload, _): &(&Workload, CellSpec) = plan.cells.get(cell)?;
        let arm_spec: &ArmSpec = plan.arms.get(arm)?;
        let (warm_up, measure) = plan.times_of(workload);
        let order = Order {
            arm_spec,
            workload,
            cell_spec,
            warm_up: warm_up + plan.extra_of(cell_spec, arm_spec),
            measure,
            drain: plan.drain_of(workload),
            level: plan.level_of(workload),
            capacity,
        };
        Some((order, &mut self.lab))
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
        let paced =
            |(_, cell_spec): &(&Workload, CellSpec)| cell_spec.rate_source != RateSource::Fixed;
        let Some(cell) = self.plan.cells.iter().position(paced) else {
            return Ok(());
        };
        for arm in self.plan.paced() {
            let name = self.title(cell, arm);
            let what = format!("how much can it do? {name}");
            self.progress.at(&self.lab, &what);
            let Some((_, cell_spec)) = self.plan.cells.get(cell) else {
                continue;
            };
            let cell_spec = probing(cell_spec);
            let times = self.plan.times;
            let Some((order, lab)) = self.order(cell, arm, &cell_spec) else {
                continue;
            };
            let order = Order {
                measure: Duration::from_secs_f64(times.measure),
                ..order
            };
            let Sample {
                metrics,
                at,
                invalid,
                notes,
                limiter,
                ..
            } = sample::take(lab, &order)?.sample;
            let found = metrics.get("throughput").copied().unwrap_or(0.0);
            let mut kept = Sample {
                arm,
                cell,
                pass: Pass::Capacity,
                at,
                invalid,
                notes,
                limiter,
                ..Sample::default()
            };
            if found > 0.0 {
                self.capacities.insert(arm, found);
                kept.metrics.insert("capacity".to_owned(), found);
            }
            self.run.samples.push(kept);
            self.progress.done(self.plan.probe_cost());
        }
        self.name_rates();
        Ok(())
    }

    /// A common rate is known now, and belongs into the description of its cells.
    fn name_rates(&mut self) {
        let (slowest, _) = self.capacity(usize::MAX);
        for (cell, (_, cell_spec)) in self.run.cells.iter_mut().zip(&self.plan.cells) {
            if let RateSource::ShareOfSlowest(part) = cell_spec.rate_source {
                let rate = part * slowest;
                cell.parameters.insert("rate".to_owned(), rate.round());
                let words = format!(" ({rate:.0} requests a second)");
                cell.description.push_str(&words);
            }
        }
    }

    fn count_calls(&mut self) -> Result<(), Trouble> {
        let counted = self.plan.counted();
        if !counted.is_empty() && !syscalls::can_be_counted() {
            self.run.notes.push(
                "system calls were not counted: strace is not installed (apt install strace)"
                    .to_owned(),
            );
            return Ok(());
        }
        for (cell, arm) in counted {
            let what = format!("counting system calls: {}", self.title(cell, arm));
            self.progress.at(&self.lab, &what);
            let Some((_, cell_spec)) = self.plan.cells.get(cell) else {
                continue;
            };
            let cell_spec = cell_spec.clone();
            let Some((order, lab)) = self.order(cell, arm, &cell_spec) else {
                continue;
            };
            let sample = syscalls::count(lab, &order)?;
            self.run.samples.push(Sample {
                arm,
                cell,
                ..sample
            });
            self.progress.done(self.plan.count_cost());
        }
        Ok(())
    }
}

/// The same, with the load by which it is found out what a server can do.
fn probing(cell_spec: &CellSpec) -> CellSpec {
    CellSpec {
        groups: vec![capacity::probe()],
        rate_source: RateSource::Fixed,
        memory_steps: Vec::new(),
        stall: None,
        ..cell_spec.clone()
    }
}
