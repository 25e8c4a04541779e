//! The plan of a run: which servers, which samples, in which order, and how long it takes.

use super::RunOptions;
use super::types::{Arm, ArmKind, Preset};
use super::workloads::{self, CellSpec, Selection, WORKLOADS, Workload};
use std::time::Duration;

/// The models that a run may have.
pub const MODELS: &[&str] = &[
    REFERENCE,
    "uring",
    "coroutine",
    "thread",
    "pool",
    "process",
    "prefork",
    "thread-reuse",
    "reactors",
    SEQUENTIAL,
    "level",
    "poll",
    "select",
];
/// The models of a run whose command line names none: one of each kind.
const USUAL: &[&str] = &[
    REFERENCE,
    "level",
    "uring",
    "coroutine",
    "thread",
    "pool",
    "process",
    SEQUENTIAL,
];
/// The model with which the others are compared.
const REFERENCE: &str = "reactor";
/// The model that serves one connection at a time.
const SEQUENTIAL: &str = "sequential";

/// The time to start and stop a server and a generator, in seconds.
const START_AND_STOP: f64 = 0.15;
/// The time to open a connection, if it is a process, in seconds.
const CONNECT: f64 = 0.2e-3;
/// The longest wait for outstanding responses, in seconds; and if some clients may never get one.
const DRAIN: f64 = 2.0;
const SHORT_DRAIN: f64 = 0.3;
/// The longest extra warm-up for a server whose connections are slow to open, in seconds.
const MAX_EXTRA: f64 = 2.0;
const MAX_ROUNDS: u32 = 1000;
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
    /// Whether server and generator are pinned to different CPUs.
    pub pinned: bool,
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
            (_, true) => (Preset::Full, (8, 1.0)),
            _ => (Preset::Standard, (8, 0.75)),
        };
        let rounds = asked.rounds.unwrap_or(usual.0);
        if !(1..=MAX_ROUNDS).contains(&rounds) {
            return Err(format!(
                "--rounds {rounds}: from 1 to {MAX_ROUNDS} are possible"
            ));
        }
        // The standard deviation of a ratio (two virtual CPUs, 8 connections, an idle machine) was
        // 4 % with samples of 0.3 seconds and 2 % with samples of 1.5 seconds: a part is constant
        // per process, a part decreases with time. Start and warm-up take time too, so samples of
        // 0.5 to 1 second make about equally good use of the same minutes.
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
            rounds,
            times: ((measure / 4.0).clamp(0.05, 1.0), measure),
            seed: asked.seed.unwrap_or(seed),
            pinned: !asked.unpinned,
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
                let present = arms.into_iter().filter(|arm| self.takes_part(cell, *arm));
                steps.extend(present.map(|arm| PlannedSample { round, cell, arm }));
            }
        }
        steps
    }

    fn takes_part(&self, cell: usize, arm: usize) -> bool {
        let both = self.cells.get(cell).zip(self.arms.get(arm));
        both.is_some_and(|((workload, cell), arm)| exclusion(workload, cell, arm).is_none())
    }

    /// The arms whose capacity is measured first: those in a cell whose rate depends on it.
    pub fn capacity_arms(&self) -> Vec<usize> {
        let is_paced = |cell: &usize| {
            let cell = self.cells.get(*cell);
            cell.is_some_and(|(_, cell)| cell.share_of_slowest.is_some())
        };
        let paced: Vec<usize> = (0..self.cells.len()).filter(is_paced).collect();
        let needs = |arm: &usize| paced.iter().any(|cell| self.takes_part(*cell, *arm));
        (0..self.arms.len()).filter(needs).collect()
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
            Some("process") => (0.25e-3 * connections * connections).min(measure * 2.0),
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
        let starting = |connections: u32| START_AND_STOP / 2.0 + f64::from(connections) * CONNECT;
        let steps = cell.1.memory_steps.iter();
        let connecting: f64 = steps.clone().map(|step| starting(*step)).sum();
        let connecting = connecting + START_AND_STOP / 2.0 + starting(cell.1.connections());
        let step = self.memory_warm_up(cell.0) + MEMORY_STEP;
        let steps = step * u32::try_from(steps.len()).unwrap_or(0);
        warm_up + measure + steps + Duration::from_secs_f64(connecting)
    }

    /// The estimated time of the run.
    pub fn total_time(&self) -> Duration {
        let rounds: Duration = self
            .order()
            .into_iter()
            .map(|step| self.sample_time(step))
            .sum();
        rounds + self.capacity_time() * u32::try_from(self.capacity_arms().len()).unwrap_or(0)
    }

    /// The estimated time to measure the capacity of one server.
    pub fn capacity_time(&self) -> Duration {
        Duration::from_secs_f64(self.times.0 + self.times.1 + START_AND_STOP)
    }

    fn exclusions(&self) -> Vec<String> {
        let mut notes: Vec<(String, Vec<&str>)> = Vec::new();
        for arm in &self.arms {
            for (workload, cell) in &self.cells {
                let Some(reason) = exclusion(workload, cell, arm) else {
                    continue;
                };
                let note = format!("{} takes no part where {reason}", arm.arm.name);
                match notes.iter_mut().find(|(known, _)| *known == note) {
                    Some((_, names)) => names.push(&cell.name),
                    None => notes.push((note, vec![&cell.name])),
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
    if asked.conns.contains(&0) {
        return Err("--conns 0: at least 1 connection is needed".to_owned());
    }
    let names = if names.is_empty() {
        workloads::of_preset(preset)
    } else {
        names
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
    let named: Vec<&str> = asked.models.iter().map(|name| name.trim()).collect();
    if let Some(unknown) = named.iter().find(|name| !MODELS.contains(name)) {
        return Err(format!(
            "there is no model `{unknown}`; there are {}",
            MODELS.join(", ")
        ));
    }
    let mut names: Vec<&str> = Vec::new();
    for name in if named.is_empty() { USUAL } else { &named } {
        if !names.contains(name) {
            names.push(name);
        }
    }
    if let Some(at) = names.iter().position(|name| *name == REFERENCE) {
        names.swap(0, at);
    }
    let models = names.iter().map(|name| model(name, named.is_empty()));
    let mut arms: Vec<ArmSpec> = models.collect();
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

fn model(name: &str, usual: bool) -> ArmSpec {
    let command = ["oneloop", "-q", "-p", "{port}", "--model", name, "{root}"];
    ArmSpec {
        arm: Arm {
            name: name.to_owned(),
            kind: ArmKind::Model,
            command: command.map(str::to_owned).to_vec(),
        },
        model: Some(name.to_owned()),
        is_optional: usual && name != REFERENCE,
        single_connection: usual && name == SEQUENTIAL,
        // More processes or stacks would exhaust the memory of a small machine.
        max_connections: match name {
            "process" => 2000,
            "thread" | "thread-reuse" => 12_000,
            // Of 1024 descriptors, a fifth is for files.
            "select" => 800,
            _ => u32::MAX,
        },
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
        plan(args)
            .arms
            .into_iter()
            .map(|one| one.arm.name)
            .collect()
    }

    #[test]
    fn the_reactor_is_first_and_its_control_second() {
        assert_eq!(
            names(&["--models", "thread,reactor,thread"]),
            ["reactor", "reactor'", "thread"]
        );
        assert_eq!(names(&["--models", "pool"]), ["pool", "pool'"]);
        assert_eq!(names(&["--models", "level"]), ["level", "level'"]);
        assert_eq!(names(&[])[..3], ["reactor", "reactor'", "level"]);
        let two = [
            "--models",
            "pool",
            "--server",
            "a {port}",
            "--server",
            "/x/a {port} x",
        ];
        assert_eq!(names(&two), ["pool", "pool'", "a", "a-2"]);
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
        let plan = plan(&["--models", "reactor,thread,pool", "--rounds", "4"]);
        let steps = plan.order();
        assert_eq!(steps.len(), 4 * plan.cells.len() * 4);
        assert_eq!(steps.iter().collect::<BTreeSet<_>>().len(), steps.len());
        let mut orders = BTreeSet::new();
        for block in steps.chunks(4) {
            let places: BTreeSet<_> = block.iter().map(|step| (step.round, step.cell)).collect();
            assert_eq!(places.len(), 1);
            orders.insert(block.iter().map(|step| step.arm).collect::<Vec<_>>());
        }
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
        let usual = plan(&["keepalive", "--conns", "1,64"]);
        let sequential = names(&[]).iter().position(|name| name == "sequential");
        let steps = usual
            .order()
            .into_iter()
            .filter(|step| Some(step.arm) == sequential);
        assert_eq!(
            steps.map(|step| step.cell).collect::<BTreeSet<_>>(),
            BTreeSet::from([0])
        );
        let note = "sequential takes no part where more than one connection at a time is needed: \
                    keepalive c=64";
        assert_eq!(usual.notes, [note]);
        assert_eq!(
            plan(&["keepalive", "--models", "sequential"]).notes,
            [""; 0]
        );
        let burn = plan(&["burn", "--models", "pool", "--server", "a {port}"]);
        assert_eq!(
            burn.notes,
            ["a takes no part where an option of our models is needed: burn 20ms"]
        );
    }

    #[test]
    fn an_impossible_option_is_an_error_that_lists_the_choices() {
        let error_of = |args: &[&str]| Plan::of(&asked(args), 7).unwrap_err();
        let error = error_of(&["keepalife"]);
        assert!(error.starts_with("there is no workload `keepalife`; there are keepalive, short"));
        assert!(error_of(&["--models", "x"]).ends_with(&MODELS.join(", ")));
        assert!(error_of(&["--rounds", "0"]).contains("from 1 to"));
        assert!(error_of(&["--seconds", "NaN"]).contains("from 0.05"));
        assert!(error_of(&["--conns", "0"]).contains("connection"));
        let nothing = ["idle", "--conns", "3000", "--models", "process"];
        assert!(error_of(&nothing).contains("there is nothing to measure"));
    }

    #[test]
    fn a_preset_takes_about_as_long_as_it_says() {
        let minutes = |args: &[&str]| plan(args).total_time().as_secs_f64() / 60.0;
        let (quick, standard, full) = (minutes(&["--quick"]), minutes(&[]), minutes(&["--full"]));
        assert!((1.6..2.4).contains(&quick), "{quick}");
        assert!((9.5..12.5).contains(&standard), "{standard}");
        assert!((60.0..90.0).contains(&full), "{full}");
    }
}
