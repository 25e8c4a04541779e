//! Room `bench`: what will be done, in which order, and how long will it take?

use super::arguments;
use super::arms::{self, ArmSpec, Start};
use super::record::{ArmKind, Preset};
use super::workloads::{self, CellSpec, Eligible, RateSource, Selection, Workload};
use std::time::Duration;

/// All that will be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How much.
    pub preset: Preset,
    /// Who takes part.
    pub arms: Vec<ArmSpec>,
    /// The cells, each with its workload.
    pub cells: Vec<(&'static Workload, CellSpec)>,
    /// Rounds.
    pub rounds: u32,
    /// How long a sample takes.
    pub times: Times,
    /// What everything that is drawn comes from.
    pub seed: u64,
    /// Whether server and generator are to have a processor each.
    pub pinned: bool,
    /// Whether system calls are counted at the end.
    pub calls: bool,
    /// Who does not take part where, and why.
    pub notes: Vec<String>,
}

/// How long the parts of a sample take, in a workload without wishes of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// Before the measurement, seconds.
    pub warm_up: f64,
    /// The measurement, seconds.
    pub measure: f64,
}

/// One sample to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Step {
    /// The round.
    pub round: u32,
    /// The cell, by its place in [`Plan::cells`].
    pub cell: usize,
    /// Who, by the place in [`Plan::arms`].
    pub arm: usize,
}

/// What starting and stopping a server and a generator takes beside the load, seconds.
const AROUND: f64 = 0.15;
/// How long requests that are under way may take to be answered, seconds.
pub const DRAIN: f64 = 2.0;
/// The same where somebody may never get an answer.
const SHORT_DRAIN: f64 = 0.3;
/// With fewer rounds there is no verdict: five of five in one direction happen by chance alone
/// once in sixteen times.
pub const ROUNDS_FOR_A_VERDICT: u32 = 6;
/// The longest that is waited for a server that is slow to start, seconds.
const MOST_EXTRA: f64 = 2.0;
/// The most rounds: a run of a weekend.
const MOST_ROUNDS: u32 = 10_000;

impl Plan {
    /// What was asked for, filled up from its preset. `seed` is taken if none was named.
    ///
    /// # Errors
    /// With a sentence for the user, naming the choices.
    pub fn of(asked: &arguments::Plan, seed: u64) -> Result<Self, String> {
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
        plan.notes = plan.absences();
        if plan.cells.is_empty() || plan.order().is_empty() {
            return Err("with these models and workloads nothing is left to measure".to_owned());
        }
        Ok(plan)
    }

    /// Every sample in its order: in each round the cells in an order of their own, and in each
    /// cell the arms, next to each other so that whatever the machine does hits them alike.
    pub fn order(&self) -> Vec<Step> {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut steps = Vec::new();
        for round in 0..self.rounds {
            let mut cells: Vec<usize> = (0..self.cells.len()).collect();
            random.shuffle(&mut cells);
            for cell in cells {
                let mut arms: Vec<usize> = (0..self.arms.len()).collect();
                random.shuffle(&mut arms);
                let present = arms.into_iter().filter(|arm| self.takes_part(cell, *arm));
                steps.extend(present.map(|arm| Step { round, cell, arm }));
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
        absence(workload, cell_spec, arm_spec).is_none()
    }

    /// Whether rates depend on what the servers can do, which then must be found out first.
    pub fn needs_capacity(&self) -> bool {
        self.cells
            .iter()
            .any(|(_, cell_spec)| cell_spec.rate_source != RateSource::Fixed)
    }

    /// Whose capacity is found out: who takes part in a cell that needs it.
    pub fn paced(&self) -> Vec<usize> {
        let needs = |arm: &usize| {
            let mut cells = self.cells.iter().enumerate();
            cells.any(|(cell, (_, cell_spec))| {
                cell_spec.rate_source != RateSource::Fixed && self.takes_part(cell, *arm)
            })
        };
        (0..self.arms.len()).filter(needs).collect()
    }

    /// For whom system calls are counted, and where: once for each model in the cells in which a
    /// request or a connection is what is paid for.
    pub fn counted(&self) -> Vec<(usize, usize)> {
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

    /// How long the load of a sample lasts: before the measurement, and the measurement.
    pub fn times_of(&self, workload: &Workload) -> (Duration, Duration) {
        let extra_warm_up = workload.extra_warm_up.min(self.times.measure);
        (
            Duration::from_secs_f64(self.times.warm_up + extra_warm_up),
            Duration::from_secs_f64(self.times.measure * workload.duration_factor),
        )
    }

    /// The warm-up of a step on the way to many silent connections: until they stand.
    pub fn level_of(&self, workload: &Workload) -> Duration {
        Duration::from_secs_f64(0.05 + workload.extra_warm_up.min(self.times.measure))
    }

    /// What an arm needs before it can be measured, beyond the warm-up of all.
    ///
    /// The parent of processes that are busy gets its share of the processor as one of them, and
    /// takes half a millisecond of it for the next. So with each it becomes slower, and in the end
    /// it is the square of the connections that counts.
    pub fn extra_of(&self, cell_spec: &CellSpec, arm_spec: &ArmSpec) -> Duration {
        let most = MOST_EXTRA.min(self.times.measure * 2.0);
        let connections = f64::from(cell_spec.connections());
        let extra = (0.25e-3 * connections * connections).min(most);
        let extra = if arm_spec.is_slow_to_start {
            extra
        } else {
            0.0
        };
        Duration::from_secs_f64(extra)
    }

    /// How long requests that are under way may take to be answered.
    pub fn drain_of(&self, workload: &Workload) -> Duration {
        let seconds = if workload.traits.may_starve {
            SHORT_DRAIN
        } else {
            DRAIN
        };
        Duration::from_secs_f64(seconds)
    }

    /// About how long a sample takes, all in all.
    pub fn cost(&self, cell: usize, arm: usize) -> Duration {
        let (Some((workload, cell_spec)), Some(arm_spec)) =
            (self.cells.get(cell), self.arms.get(arm))
        else {
            return Duration::ZERO;
        };
        let (warm_up, measure) = self.times_of(workload);
        // Whoever says little must first be there: a process each takes part of a millisecond.
        let connecting = f64::from(cell_spec.connections()) * 0.2e-3;
        let once = warm_up + Duration::from_secs_f64(AROUND + connecting);
        let levels = cell_spec.memory_steps.iter().map(|connections| {
            let connecting = f64::from(*connections) * 0.2e-3;
            self.level_of(workload) + LEVEL + Duration::from_secs_f64(AROUND / 2.0 + connecting)
        });
        let levels: Duration = levels.sum();
        once + measure + levels + self.extra_of(cell_spec, arm_spec)
    }

    /// About how long everything takes.
    pub fn estimate(&self) -> Duration {
        let rounds: Duration = self
            .order()
            .iter()
            .map(|step| self.cost(step.cell, step.arm))
            .sum();
        let probe = self.probe_cost() * u32::try_from(self.paced().len()).unwrap_or(0);
        let probe = if self.needs_capacity() {
            probe
        } else {
            Duration::ZERO
        };
        let counted = u32::try_from(self.counted().len()).unwrap_or(0);
        rounds + probe + self.count_cost() * counted
    }

    /// About how long it takes to find out what one server can do.
    pub fn probe_cost(&self) -> Duration {
        Duration::from_secs_f64(self.times.warm_up + self.times.measure + AROUND)
    }

    /// About how long it takes to count the system calls of one server.
    pub fn count_cost(&self) -> Duration {
        Duration::from_secs_f64(self.times.warm_up + self.times.measure + 0.8)
    }

    fn absences(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for arm_spec in &self.arms {
            let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
            for (workload, cell_spec) in &self.cells {
                let Some(reason) = absence(workload, cell_spec, arm_spec) else {
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

/// How long one step on the way to many silent connections is measured.
pub const LEVEL: Duration = Duration::from_millis(50);

/// Why an arm does not take part in a cell, if it does not.
fn absence(workload: &Workload, cell_spec: &CellSpec, arm_spec: &ArmSpec) -> Option<&'static str> {
    let may = match (&arm_spec.start, workload.eligible) {
        (Start::Model(_), _) | (_, Eligible::All) => true,
        (Start::Command(_), eligible) => eligible == Eligible::Launched,
        (Start::Running(_), _) => false,
    };
    if !may {
        return Some("it needs files, options or an account that only a server of the run has");
    }
    if arm_spec.single_connection && !cell_spec.single_connection {
        return Some("it serves one connection at a time");
    }
    (cell_spec.connections() > arm_spec.max_connections)
        .then_some("so many connections are more than the machine can give it")
}

fn cells(
    asked: &arguments::Plan,
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
        return Err("--conns 0: there must be a connection, or nothing is asked".to_owned());
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

fn rounds(asked: &arguments::Plan, preset: Preset) -> Result<u32, String> {
    let usual = match preset {
        Preset::Quick => 3,
        Preset::Standard | Preset::Full => 8,
    };
    match asked.rounds {
        Some(rounds) if !(1..=MOST_ROUNDS).contains(&rounds) => Err(format!(
            "--rounds {rounds}: from 1 to {MOST_ROUNDS} are possible"
        )),
        rounds => Ok(rounds.unwrap_or(usual)),
    }
}

/// How long a sample takes. The noise of a ratio (two virtual processors, 8 connections, nobody
/// else at work) was 4 % in samples of 0.3 seconds, and 2 % in those of 1.5: part of it comes with
/// each process, part of it goes with time. Starting and warming up take their part as well, so
/// that the same minutes are worth about the same from 0.5 to 1 second. With 2.5 %, eight rounds
/// leave an error of 1.2 % of the middle. Where the host gives the machine now more and now less,
/// for seconds at a time, it is three times as much, and the intervals say so.
fn times(asked: &arguments::Plan, preset: Preset) -> Result<Times, String> {
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

    fn asked(args: &[&str]) -> arguments::Plan {
        Arguments::try_parse_from(["bench"].iter().chain(args))
            .unwrap()
            .plan
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
    fn the_arms_of_a_cell_stand_next_to_each_other_and_not_always_in_the_same_order() {
        let plan = plan(&["--models", "reactor,thread,pool", "--rounds", "4"]);
        let steps = plan.order();
        let blocks: Vec<_> = steps.chunks(4).collect();
        for block in &blocks {
            let places: BTreeSet<_> = block.iter().map(|step| (step.round, step.cell)).collect();
            assert_eq!(places.len(), 1);
        }
        let arms = |block: &&[Step]| block.iter().map(|step| step.arm).collect::<Vec<_>>();
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
    fn who_knows_one_connection_at_a_time_is_asked_only_where_that_is_enough() {
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
    fn what_is_unknown_or_impossible_is_answered_with_the_choices() {
        let told = |args: &[&str]| Plan::of(&asked(args), 7).unwrap_err();
        let error = told(&["keepalife"]);
        assert!(error.starts_with("there is no workload `keepalife`; there are keepalive, short"));
        assert!(told(&["--models", "x"]).contains("reactor"));
        assert!(told(&["--rounds", "0"]).contains("from 1 to"));
        assert!(told(&["--seconds", "0"]).contains("from 0.05"));
        assert!(told(&["--seconds", "NaN"]).contains("from 0.05"));
        assert!(told(&["--conns", "0"]).contains("connection"));
        let nothing = ["idle", "--conns", "3000", "--models", "process"];
        assert!(told(&nothing).contains("nothing is left"));
    }

    #[test]
    fn a_preset_takes_about_as_long_as_it_says() {
        let minutes = |args: &[&str]| plan(args).estimate().as_secs_f64() / 60.0;
        let (quick, standard, full) = (minutes(&["--quick"]), minutes(&[]), minutes(&["--full"]));
        assert!((1.2..1.8).contains(&quick), "{quick}");
        assert!((6.5..9.5).contains(&standard), "{standard}");
        assert!((45.0..75.0).contains(&full), "{full}");
    }
}
