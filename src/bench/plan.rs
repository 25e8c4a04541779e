//! The plan of a run: which servers, which samples, in which order, and how long it takes.

use super::RunOptions;
use super::types::{Arm, ArmKind, Preset};
use super::workloads::{self, CellSpec, Selection, WORKLOADS, Workload};
use std::collections::BTreeMap;
use std::time::Duration;

/// The models that a run may have; whether a run has them whose command line names none (one of
/// each kind); and the most connections that the benchmark opens. More processes or stacks would
/// exhaust the memory of a small machine; `select` has 1024 descriptors, a fifth of them for files.
const MODELS: &[(&str, bool, u32)] = &[
    ("reactor", true, u32::MAX),
    ("level", true, u32::MAX),
    ("uring", true, u32::MAX),
    ("coroutine", true, u32::MAX),
    ("thread", true, 12_000),
    ("pool", true, u32::MAX),
    ("process", true, 2000),
    ("sequential", true, u32::MAX),
    ("prefork", false, u32::MAX),
    ("thread-reuse", false, 12_000),
    ("reactors", false, u32::MAX),
    ("poll", false, u32::MAX),
    ("select", false, 800),
];
/// The model with which the others are compared.
const REFERENCE: &str = "reactor";

/// The time to start and stop a server and a generator, in seconds.
const START_AND_STOP: f64 = 0.15;
/// The time to open a connection, if it is a process, in seconds.
const CONNECT: f64 = 0.2e-3;
/// The longest wait for outstanding responses, in seconds; and if some clients may never get one.
const DRAIN: f64 = 2.0;
const SHORT_DRAIN: f64 = 0.3;
/// The longest extra warm-up for a server whose connections are slow to open, in seconds.
const MAX_EXTRA: f64 = 2.0;
/// The exact distribution of ranks, from which an interval follows, takes the cube of the rounds.
pub const MAX_ROUNDS: i64 = 200;
/// The measurement of a memory step.
pub const MEMORY_STEP: Duration = Duration::from_millis(50);

/// An arm, and how to start it.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmSpec {
    /// Its record in `run.json`.
    pub arm: Arm,
    /// Our program, with this model; otherwise the command of the arm is started.
    pub model: Option<String>,
    /// Whether the run goes on without it if it does not start here: `uring` in a container.
    pub is_optional: bool,
    /// Whether it takes part only in cells that need one connection at a time.
    pub single_connection: bool,
    /// The most connections that the benchmark opens.
    pub max_connections: u32,
}

/// The plan of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub preset: Preset,
    /// The reference first, then its control.
    pub arms: Vec<ArmSpec>,
    pub cells: Vec<(&'static Workload, CellSpec)>,
    pub rounds: u32,
    /// The usual warm-up and measurement of a sample, in seconds.
    pub times: (f64, f64),
    /// The seed of the random order and arrivals.
    pub seed: u64,
    /// Which arms are excluded from which cells, and why.
    pub notes: Vec<String>,
}

/// A sample of the plan: the indices in [`Plan::cells`] and [`Plan::arms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedSample {
    pub round: u32,
    pub cell: usize,
    pub arm: usize,
}

impl Plan {
    /// The plan for a command line, with defaults of its preset. `seed` is the default seed.
    pub fn of(asked: &RunOptions, seed: u64) -> Result<Self, String> {
        let (preset, usual) = match (asked.quick, asked.full) {
            (true, _) => (Preset::Quick, (3, 0.5)),
            (_, true) => (Preset::Full, (24, 0.25)),
            _ => (Preset::Standard, (24, 0.25)),
        };
        // Many short samples show more than a few long ones. On a virtual machine with two CPUs the
        // cost of a request changed by up to 20 % every few seconds, of which a longer sample has
        // no smaller share. But the servers of a round of short samples run within few seconds, so
        // they have the same share of it.
        let measure = asked.seconds.unwrap_or(usual.1);
        if !(0.05..=3600.0).contains(&measure) {
            return Err(format!(
                "--seconds {measure}: from 0.05 to 3600 are possible"
            ));
        }
        let mut plan = Self {
            preset,
            arms: arms(asked)?,
            cells: cells(asked, preset)?,
            rounds: asked.rounds.unwrap_or(usual.0),
            times: ((measure / 4.0).clamp(0.05, 1.0), measure),
            seed: asked.seed.unwrap_or(seed),
            notes: Vec::new(),
        };
        plan.notes = plan.exclusions();
        if plan.order().is_empty() {
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
                let takes_part = |arm: &usize| {
                    let both = self.cells.get(cell).zip(self.arms.get(*arm));
                    both.is_some_and(|(cell, arm)| exclusion(cell.0, &cell.1, arm).is_none())
                };
                let present = arms.into_iter().filter(takes_part);
                steps.extend(present.map(|arm| PlannedSample { round, cell, arm }));
            }
        }
        steps
    }

    /// The arms whose capacity is measured first: those in a cell whose rate depends on it.
    pub fn capacity_arms(&self) -> Vec<usize> {
        let is_paced = |cell: &CellSpec| cell.share_of_slowest.is_some();
        let mut paced = self.cells.iter().filter(|(_, cell)| is_paced(cell));
        let Some((workload, cell)) = paced.next() else {
            return Vec::new();
        };
        let arms = self.arms.iter().enumerate();
        let present = arms.filter(|(_, arm)| exclusion(workload, cell, arm).is_none());
        present.map(|(index, _)| index).collect()
    }

    /// The warm-up and the measurement of an arm in a cell.
    ///
    /// A server that forks is slow to start: its parent gets the same share of the CPU as each busy
    /// process, and needs half a millisecond of it for the next fork. So the time grows with the
    /// square of the connections.
    pub fn times_of(
        &self,
        (workload, cell): &(&Workload, CellSpec),
        arm: &ArmSpec,
    ) -> (Duration, Duration) {
        let (warm_up, measure) = self.times;
        let connections = f64::from(cell.connections());
        let slow_start = match arm.model.as_deref() {
            Some("process") => 0.25e-3 * connections * connections,
            _ => 0.0,
        };
        let warm_up = warm_up + workload.extra_warm_up.min(measure) + slow_start.min(MAX_EXTRA);
        let measure = measure * workload.duration_factor;
        (
            Duration::from_secs_f64(warm_up),
            Duration::from_secs_f64(measure),
        )
    }

    /// The warm-up of a memory step, until its connections are open.
    pub fn memory_warm_up(&self, workload: &Workload) -> Duration {
        Duration::from_secs_f64(0.05 + workload.extra_warm_up.min(self.times.1))
    }

    /// The longest wait for outstanding responses.
    pub fn drain_time(&self, workload: &Workload) -> Duration {
        let drain = if workload.traits.may_starve {
            SHORT_DRAIN
        } else {
            DRAIN
        };
        Duration::from_secs_f64(drain)
    }

    /// The estimated time of a sample.
    pub fn sample_time(&self, step: PlannedSample) -> Duration {
        let Some((cell, arm)) = self.cells.get(step.cell).zip(self.arms.get(step.arm)) else {
            return Duration::ZERO;
        };
        let (warm_up, measure) = self.times_of(cell, arm);
        let steps = &cell.1.memory_steps;
        let connections = steps.iter().sum::<u32>() + cell.1.connections();
        let connecting = Duration::from_secs_f64(START_AND_STOP + f64::from(connections) * CONNECT);
        let start = Duration::from_secs_f64(START_AND_STOP / 2.0);
        let step = start + self.memory_warm_up(cell.0) + MEMORY_STEP;
        warm_up + measure + connecting + step * u32::try_from(steps.len()).unwrap_or(0)
    }

    /// The estimated time of the run.
    pub fn total_time(&self) -> Duration {
        let samples = self.order().into_iter();
        let rounds: Duration = samples.map(|step| self.sample_time(step)).sum();
        rounds + self.capacity_time() * u32::try_from(self.capacity_arms().len()).unwrap_or(0)
    }

    /// The estimated time to measure the capacity of one server.
    pub fn capacity_time(&self) -> Duration {
        Duration::from_secs_f64(self.times.0 + self.times.1 + START_AND_STOP)
    }

    fn exclusions(&self) -> Vec<String> {
        let mut notes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for arm in &self.arms {
            for (workload, cell) in &self.cells {
                if let Some(reason) = exclusion(workload, cell, arm) {
                    let note = format!("{} takes no part where {reason}", arm.arm.name);
                    notes.entry(note).or_default().push(&cell.name);
                }
            }
        }
        let note = |(note, names): (String, Vec<&str>)| format!("{note}: {}", names.join(", "));
        notes.into_iter().map(note).collect()
    }
}

/// Why an arm is excluded from a cell. `None` if it takes part.
fn exclusion(workload: &Workload, cell: &CellSpec, arm: &ArmSpec) -> Option<&'static str> {
    if workload.models_only && arm.model.is_none() {
        return Some("an option of our models is needed");
    }
    if arm.single_connection && !cell.single_connection {
        return Some("more than one connection at a time is needed");
    }
    let too_many = cell.connections() > arm.max_connections;
    too_many.then_some("a small machine cannot hold the connections")
}

fn cells(asked: &RunOptions, preset: Preset) -> Result<Vec<(&'static Workload, CellSpec)>, String> {
    let names: Vec<&str> = asked.workloads.iter().map(String::as_str).collect();
    let known: Vec<&str> = WORKLOADS.iter().map(|one| one.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return Err(format!(
            "there is no workload `{unknown}`; there are {}",
            known.join(", ")
        ));
    }
    let for_url = [
        asked.connections.is_some() || asked.duration.is_some() || asked.rate.is_some(),
        asked.json || asked.insecure || asked.ca.is_some() || !asked.header.is_empty(),
    ];
    if for_url.contains(&true) {
        let options = "-c, -d, -H, --rate, --json, --ca and --insecure";
        return Err(format!(
            "{options} are for one URL: oneloop bench http://HOST/"
        ));
    }
    let names = match names.is_empty() {
        true => workloads::of_preset(preset),
        false => names,
    };
    let selection = Selection {
        preset,
        connections: asked.conns.clone(),
    };
    let chosen = WORKLOADS
        .iter()
        .filter(|workload| names.contains(&workload.name));
    let cells = chosen.flat_map(|workload| {
        let cells = (workload.cell_specs)(&selection).into_iter();
        cells.map(move |cell| (workload, cell))
    });
    Ok(cells.collect())
}

/// The arms of a run: the reference first, then its control.
fn arms(asked: &RunOptions) -> Result<Vec<ArmSpec>, String> {
    let usual = MODELS.iter().filter(|(_, is_usual, _)| *is_usual);
    let named: Vec<&str> = match asked.models.is_empty() {
        true => usual.map(|(name, ..)| *name).collect(),
        false => asked.models.iter().map(String::as_str).collect(),
    };
    let mut arms: Vec<ArmSpec> = Vec::new();
    for name in named {
        let arm = model(name, asked.models.is_empty());
        if !arms.contains(&arm) {
            arms.push(arm);
        }
    }
    if let Some(at) = arms.iter().position(|one| one.arm.name == REFERENCE) {
        arms.swap(0, at);
    }
    if let Some(mut control) = arms.first().cloned() {
        control.arm.name.push('\'');
        control.arm.kind = ArmKind::Control;
        arms.insert(1, control);
    }
    for text in &asked.server {
        let mut server = command(text)?;
        let name = server.arm.name.clone();
        let mut number = 2;
        while arms.iter().any(|one| one.arm.name == server.arm.name) {
            server.arm.name = format!("{name}-{number}");
            number += 1;
        }
        arms.push(server);
    }
    Ok(arms)
}

/// The names of all models.
pub fn model_names() -> Vec<&'static str> {
    MODELS.iter().map(|(name, ..)| *name).collect()
}

fn model(name: &str, is_usual: bool) -> ArmSpec {
    let mut models = MODELS.iter();
    let known = models.find(|(known, ..)| *known == name);
    let command = ["oneloop", "-q", "-p", "{port}", "--model", name, "{root}"];
    ArmSpec {
        arm: Arm {
            name: name.to_owned(),
            kind: ArmKind::Model,
            command: command.map(str::to_owned).to_vec(),
        },
        model: Some(name.to_owned()),
        is_optional: is_usual && name != REFERENCE,
        single_connection: is_usual && name == "sequential",
        max_connections: known.map_or(u32::MAX, |(.., most)| *most),
    }
}

/// A server of the user: `nginx=nginx -p {root} ...`, or the command without a name. A shell splits
/// the command, and becomes the server.
fn command(text: &str) -> Result<ArmSpec, String> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let (name, text) = match text.split_once('=') {
        Some((name, rest)) if !name.is_empty() && name.chars().all(in_name) => (name, rest),
        _ => {
            let program = text.split_whitespace().next().unwrap_or_default();
            (program.rsplit('/').next().unwrap_or(program), text)
        }
    };
    if !text.contains("{port}") {
        return Err(format!(
            "--server '{text}' does not say where {{port}} goes: the server must listen on \
             127.0.0.1:{{port}}"
        ));
    }
    let command = ["sh".to_owned(), "-c".to_owned(), format!("exec {text}")];
    Ok(ArmSpec {
        arm: Arm {
            name: name.to_owned(),
            kind: ArmKind::Server,
            command: command.to_vec(),
        },
        model: None,
        is_optional: false,
        single_connection: false,
        max_connections: u32::MAX,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Arguments;
    use clap::Parser;
    use std::collections::BTreeSet;

    fn asked(args: &[&str]) -> RunOptions {
        Arguments::try_parse_from(["bench"].iter().chain(args))
            .unwrap()
            .run
    }

    fn plan(args: &[&str]) -> Plan {
        Plan::of(&asked(args), 7).unwrap()
    }

    fn names(args: &[&str]) -> Vec<String> {
        let arms = plan(args).arms.into_iter();
        arms.map(|one| one.arm.name).collect()
    }

    #[test]
    fn the_reactor_is_first_and_its_control_second() {
        let table: [(&[&str], &[&str]); 4] = [
            (
                &["--models", "thread,reactor,thread"],
                &["reactor", "reactor'", "thread"],
            ),
            (&["--models", "pool"], &["pool", "pool'"]),
            (&["--models", "level"], &["level", "level'"]),
            (
                &[
                    "--models",
                    "pool",
                    "--server",
                    "a {port}",
                    "--server",
                    "/x/a {port} x",
                ],
                &["pool", "pool'", "a", "a-2"],
            ),
        ];
        for (args, expected) in table {
            assert_eq!(names(args), expected);
        }
        assert_eq!(names(&[])[..3], ["reactor", "reactor'", "level"]);
    }

    #[test]
    fn a_server_may_have_a_name_before_its_command() {
        let server =
            |text: &str| command(text).map(|one| (one.arm.name, one.arm.command[2].clone()));
        let text = "/usr/sbin/nginx -p {root} -g 'listen {port};'";
        let expected = |name: &str| Ok((name.to_owned(), format!("exec {text}")));
        assert_eq!(server(text), expected("nginx"));
        assert_eq!(server(&format!("plain={text}")), expected("plain"));
        assert_eq!(server("caddy --listen=:{port}").unwrap().0, "caddy");
        assert!(server("nginx").unwrap_err().contains("{port}"));
    }

    #[test]
    fn the_arms_of_a_cell_follow_each_other_in_random_order_and_each_is_there_once() {
        let args = ["--models", "reactor,thread,pool", "--rounds", "4", "--seed"];
        let order = |seed| plan(&[&args[..], &[seed]].concat()).order();
        let steps = order("1");
        assert_eq!(steps.iter().collect::<BTreeSet<_>>().len(), steps.len());
        let mut orders = BTreeSet::new();
        for block in steps.chunks(4) {
            let places: BTreeSet<_> = block.iter().map(|step| (step.round, step.cell)).collect();
            assert_eq!((places.len(), block.len()), (1, 4));
            orders.insert(block.iter().map(|step| step.arm).collect::<Vec<_>>());
        }
        assert!(orders.len() > 5, "{orders:?}");
        assert!(steps == order("1") && steps != order("2"));
    }

    #[test]
    fn an_arm_is_measured_only_in_cells_that_it_can_serve() {
        let usual = plan(&["keepalive", "--conns", "1,64"]);
        let is_sequential = |arm: usize| usual.arms[arm].arm.name == "sequential";
        let mut steps = usual
            .order()
            .into_iter()
            .filter(|step| is_sequential(step.arm));
        assert!(steps.all(|step| step.cell == 0));
        let note = "sequential takes no part where more than one connection at a time is needed: \
                    keepalive c=64";
        assert_eq!(usual.notes, [note]);
        let named = plan(&["keepalive", "--models", "sequential"]);
        assert_eq!(named.notes, [""; 0]);
        let burn = plan(&["burn", "--models", "pool", "--server", "a {port}"]);
        let note = "a takes no part where an option of our models is needed: burn 20ms";
        assert_eq!(burn.notes, [note]);
    }

    #[test]
    fn an_impossible_option_is_an_error_that_lists_the_choices() {
        let error_of = |args: &[&str]| Plan::of(&asked(args), 7).unwrap_err();
        let unknown = error_of(&["keepalife"]);
        assert!(unknown.contains("no workload `keepalife`; there are keepalive, short"));
        assert!(error_of(&["--seconds", "NaN"]).contains("from 0.05"));
        let nothing = ["idle", "--conns", "3000", "--models", "process"];
        assert!(error_of(&nothing).contains("there is nothing to measure"));
        for args in [["--models", "x"], ["--rounds", "0"], ["--conns", "0"]] {
            assert!(Arguments::try_parse_from(["bench"].iter().chain(&args)).is_err());
        }
    }

    #[test]
    fn a_preset_takes_about_as_long_as_it_says() {
        let minutes = |args: &[&str]| plan(args).total_time().as_secs_f64() / 60.0;
        let found = [&["--quick"][..], &[], &["--full"]].map(minutes);
        let [quick, standard, full] = found;
        assert!((1.6..2.4).contains(&quick), "{found:?}");
        assert!((15.0..20.0).contains(&standard), "{found:?}");
        assert!((60.0..80.0).contains(&full), "{found:?}");
    }
}
