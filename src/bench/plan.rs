//! The plan of a run: which servers, which samples, in which order, and how long it takes.

use super::RunOptions;
use super::types::{Arm, ArmKind};
use super::workloads::{self, CellSpec, Preset, Selection, WORKLOADS};
use std::collections::BTreeMap;

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
/// The longest extra warm-up for a server whose connections are slow to open, in seconds.
const MAX_EXTRA: f64 = 2.0;
/// The exact distribution of ranks, from which an interval follows, takes the cube of the rounds.
pub const MAX_ROUNDS: i64 = 200;

/// An arm, and how to start it.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmSpec {
    /// Its record in `run.json`.
    pub arm: Arm,
    /// The model of our program; `None` for the server of a user.
    pub model: Option<&'static str>,
    /// Whether the command line does not name it. Then the run goes on without it if it does not
    /// start here: `uring` in a container.
    pub is_default: bool,
    /// The most connections that the benchmark opens.
    max_connections: u32,
}

/// The plan of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The reference first, then its control.
    pub arms: Vec<ArmSpec>,
    pub cells: Vec<CellSpec>,
    pub rounds: u32,
    /// The usual warm-up and measurement of a sample, in seconds.
    times: (f64, f64),
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
        let (preset, rounds, usual) = match (asked.quick, asked.full) {
            (true, _) => (Preset::Quick, 3, 0.5),
            (_, true) => (Preset::Full, 24, 0.25),
            _ => (Preset::Standard, 24, 0.25),
        };
        // Many short samples show more than a few long ones. On a virtual machine with two CPUs the
        // cost of a request changed by up to 20 % every few seconds, of which a longer sample has
        // no smaller share. But the servers of a round of short samples run within few seconds, so
        // they have the same share of it.
        let measure = asked.seconds.unwrap_or(usual);
        if !(0.05..=3600.0).contains(&measure) {
            return Err(format!(
                "--seconds {measure}: from 0.05 to 3600 are possible"
            ));
        }
        let mut plan = Self {
            arms: arms(asked)?,
            cells: cells(asked, preset)?,
            rounds: asked.rounds.unwrap_or(rounds),
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
                let mut arms = self.arms_in(cell);
                random.shuffle(&mut arms);
                let step = |arm| PlannedSample { round, cell, arm };
                steps.extend(arms.into_iter().map(step));
            }
        }
        steps
    }

    /// The arms that take part in a cell.
    pub fn arms_in(&self, cell: usize) -> Vec<usize> {
        let Some(cell) = self.cells.get(cell) else {
            return Vec::new();
        };
        let arms = self.arms.iter().enumerate();
        let present = arms.filter(|(_, arm)| exclusion(cell, arm).is_none());
        present.map(|(index, _)| index).collect()
    }

    /// The warm-up and the measurement of an arm in a cell, in seconds.
    ///
    /// A server that forks is slow to start: its parent gets the same share of the CPU as each busy
    /// process, and needs half a millisecond of it for the next fork. So the time grows with the
    /// square of the connections.
    pub fn times_of(&self, cell: &CellSpec, arm: &ArmSpec) -> (f64, f64) {
        let (warm_up, measure) = self.times;
        let connections = f64::from(cell.connections());
        let slow_start = match arm.model {
            Some("process") => 0.25e-3 * connections * connections,
            _ => 0.0,
        };
        let extra = cell.workload.extra_warm_up.min(measure) + slow_start.min(MAX_EXTRA);
        (warm_up + extra, measure * cell.workload.duration_factor)
    }

    /// The estimated time of the run, in seconds.
    pub fn total_time(&self) -> f64 {
        let steps = self.order().into_iter();
        let time_of = |step: PlannedSample| -> Option<f64> {
            let (cell, arm) = (self.cells.get(step.cell)?, self.arms.get(step.arm)?);
            let (warm_up, measure) = self.times_of(cell, arm);
            let base = if cell.has_base() { warm_up } else { 0.0 };
            let connecting = START_AND_STOP + f64::from(cell.connections()) * CONNECT;
            Some(base + warm_up + measure + connecting)
        };
        steps.filter_map(time_of).sum()
    }

    fn exclusions(&self) -> Vec<String> {
        let mut notes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for arm in &self.arms {
            for cell in &self.cells {
                if let Some(reason) = exclusion(cell, arm) {
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
fn exclusion(cell: &CellSpec, arm: &ArmSpec) -> Option<&'static str> {
    if cell.workload.models_only && arm.model.is_none() {
        return Some("an option of our models is needed");
    }
    if arm.is_default && arm.model == Some("sequential") && !cell.allows_sequential() {
        return Some("more than one connection at a time is needed");
    }
    let too_many = cell.connections() > arm.max_connections;
    too_many.then_some("a small machine cannot hold the connections")
}

fn cells(asked: &RunOptions, preset: Preset) -> Result<Vec<CellSpec>, String> {
    let names: Vec<&str> = asked.workloads.iter().map(String::as_str).collect();
    if let Some(unknown) = names.iter().find(|name| workloads::named(name).is_none()) {
        let known: Vec<&str> = WORKLOADS.iter().map(|one| one.name).collect();
        let known = known.join(", ");
        return Err(format!(
            "there is no workload `{unknown}`; there are {known}"
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
    Ok(workloads::cells(&names, &selection))
}

/// The arms of a run: the reference first, then its control.
fn arms(asked: &RunOptions) -> Result<Vec<ArmSpec>, String> {
    let mut names: Vec<&str> = asked.models.iter().map(String::as_str).collect();
    if names.is_empty() {
        let usual = MODELS.iter().filter(|(_, is_usual, _)| *is_usual);
        names.extend(usual.map(|(name, ..)| *name));
    }
    if let Some(at) = names.iter().position(|name| *name == REFERENCE) {
        names.swap(0, at);
    }
    let mut arms: Vec<ArmSpec> = Vec::new();
    for name in names {
        if arms.iter().all(|one| one.arm.name != name) {
            arms.extend(model(name, asked.models.is_empty()));
        }
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

fn model(name: &str, is_default: bool) -> Option<ArmSpec> {
    let (model, _, max_connections) = *MODELS.iter().find(|(known, ..)| *known == name)?;
    let command = "oneloop -q -b 127.0.0.1 -p {port} {root} --model".split(' ');
    Some(ArmSpec {
        arm: Arm {
            name: name.to_owned(),
            kind: ArmKind::Model,
            command: command.chain([name]).map(str::to_owned).collect(),
        },
        model: Some(model),
        is_default,
        max_connections,
    })
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
        is_default: false,
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
        let minutes = |args: &[&str]| plan(args).total_time() / 60.0;
        let found = [&["--quick"][..], &[], &["--full"]].map(minutes);
        let [quick, standard, full] = found;
        assert!((1.6..2.4).contains(&quick), "{found:?}");
        assert!((15.0..20.0).contains(&standard), "{found:?}");
        assert!((60.0..80.0).contains(&full), "{found:?}");
    }
}
