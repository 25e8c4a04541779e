//! The plan of a run: which samples, in which order, and how long it takes.

use super::arguments;
use super::arms::{self, ArmSpec, Start};
use super::record::{ArmKind, Preset};
use super::workloads::{self, CellSpec, Eligible, RateSource, Selection, Workload};
use std::time::Duration;

/// The plan of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The preset.
    pub preset: Preset,
    /// The arms.
    pub arms: Vec<ArmSpec>,
    /// The cells, each with its workload.
    pub cells: Vec<(&'static Workload, CellSpec)>,
    /// The number of rounds.
    pub rounds: u32,
    /// The durations of a sample.
    pub times: Times,
    /// The seed of the random order and arrivals.
    pub seed: u64,
    /// Whether server and generator are pinned to different CPUs.
    pub pinned: bool,
    /// Whether system calls are counted after the rounds.
    pub calls: bool,
    /// Which arms are excluded from which cells, and why.
    pub notes: Vec<String>,
}

/// The usual durations of the parts of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// The warm-up in seconds.
    pub warm_up: f64,
    /// The measurement in seconds.
    pub measure: f64,
}

/// A sample of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlannedSample {
    /// The round.
    pub round: u32,
    /// The index in [`Plan::cells`].
    pub cell: usize,
    /// The index in [`Plan::arms`].
    pub arm: usize,
}

/// The time to start and stop a server and a generator, in seconds.
const START_AND_STOP: f64 = 0.15;
/// The longest wait for outstanding responses, in seconds.
pub const DRAIN: f64 = 2.0;
/// The same if some clients may never get a response.
const SHORT_DRAIN: f64 = 0.3;
/// The fewest rounds for a verdict: five of five differ to one side by chance once in 16.
pub const ROUNDS_FOR_A_VERDICT: u32 = 6;
/// The longest extra warm-up for a server whose connections are slow to open, in seconds.
const MAX_EXTRA: f64 = 2.0;
/// The most rounds: a run of a weekend.
const MAX_ROUNDS: u32 = 10_000;

impl Plan {
    /// The plan for a command line, with defaults of its preset. `seed` is the default seed.
    ///
    /// # Errors
    /// With a sentence for the user that lists the choices.
    pub fn of(asked: &arguments::RunOptions, seed: u64) -> Result<Self, String> {
        let preset = match (asked.quick, asked.full) {
            (true, _) => Preset::Quick,
            (_, true) => Preset::Full,
            _ => Preset::Standard,
        };
        let mut plan = Self {
            preset,
            arms: arms::of(asked)?,
            cells: cells(asked, preset)?,
            rounds: rounds(asked, preset)?,
            times: times(asked, preset)?,
            seed: asked.seed.unwrap_or(seed),
            pinned: !asked.unpinned,
            calls: preset != Preset::Quick,
            notes: Vec::new(),
        };
        plan.notes = plan.exclusions();
        if plan.cells.is_empty() || plan.order().is_empty() {
            return Err("with these models and workloads there is nothing to measure".to_owned());
        }
        Ok(plan)
    }

    /// All samples in their order. Each round has the cells in random order, and each cell its arms
    /// in random order, one after the other, so that a change of the machine affects all of them.
    pub fn order(&self) -> Vec<PlannedSample> {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut steps = Vec::new();
        for round in 0..self.rounds {
            let mut cells: Vec<usize> = (0..self.cells.len()).collect();
            random.shuffle(&mut cells);
            for cell in cells {
                let mut arms: Vec<usize> = (0..self.arms.len()).collect();
                random.shuffle(&mut arms);
                let present = arms.into_iter().filter(|arm| self.takes_part(cell, *arm));
                steps.extend(present.map(|arm| PlannedSample { round, cell, arm }));
            }
        }
        steps
    }

    fn takes_part(&self, cell: usize, arm: usize) -> bool {
        let (Some((workload, cell_spec)), Some(arm_spec)) =
            (self.cells.get(cell), self.arms.get(arm))
        else {
            return false;
        };
        exclusion(workload, cell_spec, arm_spec).is_none()
    }

    /// Whether rates depend on the capacity of the servers, which is then measured first.
    pub fn needs_capacity(&self) -> bool {
        self.cells
            .iter()
            .any(|(_, cell_spec)| cell_spec.rate_source != RateSource::Fixed)
    }

    /// The arms whose capacity is measured: those in a cell whose rate depends on it.
    pub fn capacity_arms(&self) -> Vec<usize> {
        let needs = |arm: &usize| {
            let mut cells = self.cells.iter().enumerate();
            cells.any(|(cell, (_, cell_spec))| {
                cell_spec.rate_source != RateSource::Fixed && self.takes_part(cell, *arm)
            })
        };
        (0..self.arms.len()).filter(needs).collect()
    }

    /// The cells and arms whose system calls are counted: each model, in the cells that measure the
    /// cost of a request or a connection.
    pub fn syscall_passes(&self) -> Vec<(usize, usize)> {
        if !self.calls {
            return Vec::new();
        }
        let cells = self.cells.iter().enumerate();
        let cells = cells.filter(|(_, (workload, _))| {
            matches!(workload.name, "keepalive" | "short" | "pipeline")
        });
        let arms = |cell: usize| {
            let models = self.arms.iter().enumerate();
            let models = models.filter(|(_, one)| one.arm.kind == ArmKind::Model);
            models.map(move |(arm, _)| (cell, arm))
        };
        cells
            .flat_map(|(cell, _)| arms(cell))
            .filter(|(cell, arm)| self.takes_part(*cell, *arm))
            .collect()
    }

    /// The warm-up and the measurement of a workload.
    pub fn times_of(&self, workload: &Workload) -> (Duration, Duration) {
        let extra_warm_up = workload.extra_warm_up.min(self.times.measure);
        (
            Duration::from_secs_f64(self.times.warm_up + extra_warm_up),
            Duration::from_secs_f64(self.times.measure * workload.duration_factor),
        )
    }

    /// The warm-up of a memory step, until its connections are open.
    pub fn memory_warm_up(&self, workload: &Workload) -> Duration {
        Duration::from_secs_f64(0.05 + workload.extra_warm_up.min(self.times.measure))
    }

    /// The extra warm-up of an arm whose connections are slow to open.
    ///
    /// The parent of busy processes gets the same share of the CPU as each of them, and needs half
    /// a millisecond of it for the next fork. So the time grows with the square of the connections.
    pub fn slow_start(&self, cell_spec: &CellSpec, arm_spec: &ArmSpec) -> Duration {
        let most = MAX_EXTRA.min(self.times.measure * 2.0);
        let connections = f64::from(cell_spec.connections());
        let extra = (0.25e-3 * connections * connections).min(most);
        let extra = if arm_spec.is_slow_to_start {
            extra
        } else {
            0.0
        };
        Duration::from_secs_f64(extra)
    }

    /// The longest wait for outstanding responses.
    pub fn drain_time(&self, workload: &Workload) -> Duration {
        let seconds = if workload.traits.may_starve {
            SHORT_DRAIN
        } else {
            DRAIN
        };
        Duration::from_secs_f64(seconds)
    }

    /// The estimated time of a sample.
    pub fn sample_time(&self, cell: usize, arm: usize) -> Duration {
        let (Some((workload, cell_spec)), Some(arm_spec)) =
            (self.cells.get(cell), self.arms.get(arm))
        else {
            return Duration::ZERO;
        };
        let (warm_up, measure) = self.times_of(workload);
        // A connection takes up to 0.2 ms to open, if it is a process.
        let connecting = f64::from(cell_spec.connections()) * 0.2e-3;
        let once = warm_up + Duration::from_secs_f64(START_AND_STOP + connecting);
        let steps = cell_spec.memory_steps.iter().map(|connections| {
            let connecting = f64::from(*connections) * 0.2e-3;
            self.memory_warm_up(workload)
                + MEMORY_STEP
                + Duration::from_secs_f64(START_AND_STOP / 2.0 + connecting)
        });
        let steps: Duration = steps.sum();
        once + measure + steps + self.slow_start(cell_spec, arm_spec)
    }

    /// The estimated time of the run.
    pub fn total_time(&self) -> Duration {
        let rounds: Duration = self
            .order()
            .iter()
            .map(|step| self.sample_time(step.cell, step.arm))
            .sum();
        let probe = self.capacity_time() * u32::try_from(self.capacity_arms().len()).unwrap_or(0);
        let probe = if self.needs_capacity() {
            probe
        } else {
            Duration::ZERO
        };
        let counted = u32::try_from(self.syscall_passes().len()).unwrap_or(0);
        rounds + probe + self.syscall_time() * counted
    }

    /// The estimated time to measure the capacity of one server.
    pub fn capacity_time(&self) -> Duration {
        Duration::from_secs_f64(self.times.warm_up + self.times.measure + START_AND_STOP)
    }

    /// The estimated time to count the system calls of one server.
    pub fn syscall_time(&self) -> Duration {
        Duration::from_secs_f64(self.times.warm_up + self.times.measure + 0.8)
    }

    fn exclusions(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for arm_spec in &self.arms {
            let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
            for (workload, cell_spec) in &self.cells {
                let Some(reason) = exclusion(workload, cell_spec, arm_spec) else {
                    continue;
                };
                match reasons.iter_mut().find(|(known, _)| *known == reason) {
                    Some((_, names)) => names.push(&cell_spec.name),
                    None => reasons.push((reason, vec![&cell_spec.name])),
                }
            }
            for (reason, names) in reasons {
                notes.push(format!(
                    "{} takes no part in {}: {reason}",
                    arm_spec.arm.name,
                    names.join(", ")
                ));
            }
        }
        notes
    }
}

/// The measurement of a memory step.
pub const MEMORY_STEP: Duration = Duration::from_millis(50);

/// Why an arm is excluded from a cell. `None` if it takes part.
fn exclusion(
    workload: &Workload,
    cell_spec: &CellSpec,
    arm_spec: &ArmSpec,
) -> Option<&'static str> {
    let may = match (&arm_spec.start, workload.eligible) {
        (Start::Model(_), _) | (_, Eligible::All) => true,
        (Start::Command(_), eligible) => eligible == Eligible::Launched,
        (Start::Running(_), _) => false,
    };
    if !may {
        return Some("it needs files or options that only a server that the benchmark starts has");
    }
    if arm_spec.single_connection && !cell_spec.single_connection {
        return Some("it serves one connection at a time");
    }
    (cell_spec.connections() > arm_spec.max_connections)
        .then_some("it cannot hold this number of connections on a small machine")
}

fn cells(
    asked: &arguments::RunOptions,
    preset: Preset,
) -> Result<Vec<(&'static Workload, CellSpec)>, String> {
    let all = workloads::WORKLOADS;
    let names: Vec<&str> = asked.workloads.iter().map(String::as_str).collect();
    if let Some(unknown) = (names.iter()).find(|name| !all.iter().any(|one| one.name == **name)) {
        let known: Vec<_> = all.iter().map(|one| one.name).collect();
        return Err(format!(
            "there is no workload `{unknown}`; there are {}",
            known.join(", ")
        ));
    }
    if asked.conns.contains(&0) {
        return Err("--conns 0: at least 1 connection is needed".to_owned());
    }
    let names = if names.is_empty() {
        workloads::of_preset(preset)
    } else {
        &names
    };
    let selection = Selection {
        preset,
        connections: asked.conns.clone(),
    };
    Ok(all
        .iter()
        .filter(|workload| names.contains(&workload.name))
        .flat_map(|workload| {
            let cell_specs = (workload.cell_specs)(&selection).into_iter();
            cell_specs.map(move |cell_spec| (workload, cell_spec))
        })
        .collect())
}

fn rounds(asked: &arguments::RunOptions, preset: Preset) -> Result<u32, String> {
    let usual = match preset {
        Preset::Quick => 3,
        Preset::Standard | Preset::Full => 8,
    };
    match asked.rounds {
        Some(rounds) if !(1..=MAX_ROUNDS).contains(&rounds) => Err(format!(
            "--rounds {rounds}: from 1 to {MAX_ROUNDS} are possible"
        )),
        rounds => Ok(rounds.unwrap_or(usual)),
    }
}

/// The durations of a sample. The standard deviation of a ratio (two virtual CPUs, 8 connections,
/// an idle machine) was 4 % with samples of 0.3 seconds and 2 % with samples of 1.5 seconds: a part
/// is constant per process, a part decreases with time. Start and warm-up take time too, so samples
/// of 0.5 to 1 second make about equally good use of the same minutes. With 2.5 %, eight rounds
/// have a standard error of 1.2 %. On a host whose speed changes within seconds it is three times
/// as much, and the intervals show it.
fn times(asked: &arguments::RunOptions, preset: Preset) -> Result<Times, String> {
    let usual = match preset {
        Preset::Quick => 0.5,
        Preset::Standard => 0.75,
        Preset::Full => 1.0,
    };
    let measure = asked.seconds.unwrap_or(usual);
    if !(0.05..=3600.0).contains(&measure) {
        return Err(format!(
            "--seconds {measure}: from 0.05 to 3600 are possible"
        ));
    }
    Ok(Times {
        warm_up: (measure / 4.0).clamp(0.05, 1.0),
        measure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::arguments::Arguments;
    use clap::Parser;
    use std::collections::BTreeSet;

    fn asked(args: &[&str]) -> arguments::RunOptions {
        Arguments::try_parse_from(["bench"].iter().chain(args))
            .unwrap()
            .run
    }

    fn plan(args: &[&str]) -> Plan {
        Plan::of(&asked(args), 7).unwrap()
    }

    #[test]
    fn every_arm_is_in_every_cell_of_every_round_once() {
        let plan = plan(&["--models", "reactor,thread", "--rounds", "3"]);
        let steps = plan.order();
        let different: BTreeSet<_> = steps.iter().collect();
        assert_eq!(steps.len(), 3 * plan.cells.len() * 3);
        assert_eq!(different.len(), steps.len());
    }

    #[test]
    fn the_arms_of_a_cell_follow_each_other_in_random_order() {
        let plan = plan(&["--models", "reactor,thread,pool", "--rounds", "4"]);
        let steps = plan.order();
        let blocks: Vec<_> = steps.chunks(4).collect();
        for block in &blocks {
            let places: BTreeSet<_> = block.iter().map(|step| (step.round, step.cell)).collect();
            assert_eq!(places.len(), 1);
        }
        let arms = |block: &&[PlannedSample]| block.iter().map(|step| step.arm).collect::<Vec<_>>();
        let orders: BTreeSet<_> = blocks.iter().map(arms).collect();
        assert!(orders.len() > 5, "{orders:?}");
    }

    #[test]
    fn a_seed_makes_the_order() {
        let order = |seed: &str| plan(&["--seed", seed]).order();
        assert_eq!(order("1"), order("1"));
        assert_ne!(order("1"), order("2"));
        assert_eq!(plan(&[]).seed, 7);
    }

    #[test]
    fn a_server_of_one_connection_at_a_time_is_measured_only_where_that_is_enough() {
        let plan = plan(&["keepalive", "--conns", "1,64"]);
        let sequential = plan
            .arms
            .iter()
            .position(|one| one.arm.name == "sequential");
        let cells: BTreeSet<_> = plan
            .order()
            .iter()
            .filter(|step| Some(step.arm) == sequential)
            .map(|step| step.cell)
            .collect();
        assert_eq!(cells, BTreeSet::from([0]));
        let note = "sequential takes no part in keepalive c=64: it serves one connection at a time";
        assert_eq!(plan.notes, [note]);
    }

    #[test]
    fn a_server_that_runs_already_gets_only_what_has_one_small_page() {
        let args = ["keepalive", "idle", "--target", "http://127.0.0.1:1/"];
        let plan = plan(&[&args[..], &["--models", "pool", "--rounds", "1"]].concat());
        let target = plan.arms.len() - 1;
        let steps = plan.order();
        let cells = steps.iter().filter(|step| step.arm == target);
        let names: BTreeSet<_> = cells.map(|step| plan.cells[step.cell].0.name).collect();
        assert_eq!(names, BTreeSet::from(["keepalive"]));
    }

    #[test]
    fn an_impossible_option_is_an_error_that_lists_the_choices() {
        let error_of = |args: &[&str]| Plan::of(&asked(args), 7).unwrap_err();
        let error = error_of(&["keepalife"]);
        assert!(error.starts_with("there is no workload `keepalife`; there are keepalive, short"));
        assert!(error_of(&["--models", "x"]).contains("reactor"));
        assert!(error_of(&["--rounds", "0"]).contains("from 1 to"));
        assert!(error_of(&["--seconds", "0"]).contains("from 0.05"));
        assert!(error_of(&["--seconds", "NaN"]).contains("from 0.05"));
        assert!(error_of(&["--conns", "0"]).contains("connection"));
        let nothing = ["idle", "--conns", "3000", "--models", "process"];
        assert!(error_of(&nothing).contains("there is nothing to measure"));
    }

    #[test]
    fn a_preset_takes_about_as_long_as_it_says() {
        let minutes = |args: &[&str]| plan(args).total_time().as_secs_f64() / 60.0;
        let (quick, standard, full) = (minutes(&["--quick"]), minutes(&[]), minutes(&["--full"]));
        assert!((1.2..1.8).contains(&quick), "{quick}");
        assert!((6.5..9.5).contains(&standard), "{standard}");
        assert!((45.0..75.0).contains(&full), "{full}");
    }
}
