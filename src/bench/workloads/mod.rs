//! Room `bench`: which loads are there, and what does each of them tell apart?
//!
//! A [`Workload`] is a question, its [`Shape`]s are the cells in which the question is asked: the
//! groups of connections, and what is done beside them. The tables are in [`capacity`] (as fast as
//! it can), [`waiting`] (at a rate, with an eye on the time) and [`silent`] (who says little and
//! stays).

pub mod capacity;
pub mod pages;
pub mod silent;
pub mod waiting;

use super::load::{Group, Page};
use super::record::Preset;
use std::collections::BTreeMap;

/// A question, and how it is asked.
#[derive(Debug)]
pub struct Workload {
    /// On the command line and in the file.
    pub name: &'static str,
    /// What it tells apart, in a sentence.
    pub separates: &'static str,
    /// Options with which our models are started for it.
    pub options: &'static [&'static str],
    /// Who can be asked.
    pub audience: Audience,
    /// What is odd about its samples, and right.
    pub traits: Traits,
    /// How much longer than the others it is measured.
    pub span: f64,
    /// Seconds of warm-up beyond the usual: until all connections stand.
    pub settle: f64,
    /// Its cells.
    pub shapes: fn(&Choice) -> Vec<Shape>,
}

/// Who can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever has one small page.
    Everybody,
    /// Whoever serves our directory, and whose process is known.
    Started,
    /// Our models, which have an option for it.
    Models,
}

/// What is odd about the samples of a workload, and right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Some may get no answer because others hold all units; that is the result, not an error.
    pub captures: bool,
    /// The client cuts answers off, so it has seen less than the server has sent.
    pub cuts: bool,
    /// The server is stopped for a while, or runs on purpose beyond what it can do.
    pub overloads: bool,
    /// Descriptors are counted before and after.
    pub leaks: bool,
    /// Its files are pushed out of memory again and again.
    pub cold: bool,
}

impl Traits {
    /// Nothing odd.
    pub const NONE: Self = Self {
        captures: false,
        cuts: false,
        overloads: false,
        leaks: false,
        cold: false,
    };
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// How much.
    pub preset: Preset,
    /// Numbers of connections, if they were named.
    pub connections: Vec<u32>,
}

impl Choice {
    /// The numbers that were named, or those of the preset.
    fn numbers(&self, quick: &[u32], standard: &[u32], full: &[u32]) -> Vec<u32> {
        if !self.connections.is_empty() {
            return self.connections.clone();
        }
        match self.preset {
            Preset::Quick => quick.to_vec(),
            Preset::Standard => standard.to_vec(),
            Preset::Full => full.to_vec(),
        }
    }
}

/// A cell to be: what is done to a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The only one of its name.
    pub name: String,
    /// What varies, by name.
    pub parameters: BTreeMap<String, f64>,
    /// In words.
    pub description: String,
    /// The metric that is compared.
    pub headline: &'static str,
    /// What another tool would do, without the address: `wrk -t1 -c64`.
    pub reproduce: Option<String>,
    /// Who asks for what. Rates that depend on what the servers can do are set by [`Pace`].
    pub groups: Vec<Group>,
    /// Where the rate of the first group comes from.
    pub pace: Pace,
    /// Before the measurement the first group has so many connections, one number after the other,
    /// all in the same process: for the slope of its memory.
    pub levels: Vec<u32>,
    /// The server is stopped at that part of the measurement, for so many nanoseconds.
    pub stall: Option<(f64, u64)>,
    /// Whether a server that knows one connection at a time can take part.
    pub one_at_a_time: bool,
}

/// Where the rate of an open loop comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// It is as it stands.
    Fixed,
    /// A part of what the slowest of all can do.
    OfSlowest(f64),
    /// A part of what the server itself can do.
    OfOwn(f64),
}

impl Shape {
    fn new(name: String, headline: &'static str, description: String) -> Self {
        Self {
            name,
            parameters: BTreeMap::new(),
            description,
            headline,
            reproduce: None,
            groups: Vec::new(),
            pace: Pace::Fixed,
            levels: Vec::new(),
            stall: None,
            one_at_a_time: false,
        }
    }

    fn with(mut self, parameter: &str, value: f64) -> Self {
        self.parameters.insert(parameter.to_owned(), value);
        self
    }

    fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    fn reproduced_by(mut self, command: String) -> Self {
        self.reproduce = Some(command);
        self
    }

    fn alone(mut self, one_at_a_time: bool) -> Self {
        self.one_at_a_time = one_at_a_time;
        self
    }

    /// All connections that are open at once.
    pub fn connections(&self) -> u32 {
        self.groups.iter().map(|group| group.connections).sum()
    }

    /// The same for a server that has one page, which is not ours.
    pub fn asking_for(&self, page: &Page) -> Self {
        let mut shape = self.clone();
        for group in &mut shape.groups {
            if !group.pages.is_empty() {
                group.pages = vec![page.clone()];
            }
        }
        shape
    }
}

/// All workloads, in the order in which they are explained.
pub fn all() -> Vec<&'static Workload> {
    [capacity::TABLE, waiting::TABLE, silent::TABLE]
        .iter()
        .flat_map(|table| table.iter())
        .collect()
}

/// Those of a preset.
pub fn of_preset(preset: Preset) -> &'static [&'static str] {
    match preset {
        Preset::Quick => &["keepalive", "short", "mixed", "idle"],
        Preset::Standard => &["keepalive", "latency", "short", "mixed", "burn", "idle"],
        Preset::Full => &[
            "keepalive",
            "short",
            "pipeline",
            "large",
            "churn",
            "latency",
            "overload",
            "sweep",
            "mixed",
            "burn",
            "coldfile",
            "stall",
            "idle",
            "slowloris",
            "slowread",
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::Behavior;
    use crate::bench::metrics::metric_named;
    use std::collections::BTreeSet;

    fn every_shape() -> Vec<(&'static Workload, Shape)> {
        let presets = [Preset::Quick, Preset::Standard, Preset::Full];
        let choices = presets.map(|preset| Choice {
            preset,
            connections: Vec::new(),
        });
        all()
            .into_iter()
            .flat_map(|workload| {
                let shapes = choices.iter().flat_map(|choice| (workload.shapes)(choice));
                shapes
                    .map(move |shape| (workload, shape))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn every_workload_of_a_preset_is_in_the_table_and_the_full_one_has_them_all() {
        let known: BTreeSet<_> = all().iter().map(|workload| workload.name).collect();
        let of = |preset| of_preset(preset).iter().copied().collect::<BTreeSet<_>>();
        assert!(of(Preset::Quick).is_subset(&of(Preset::Standard)));
        assert!(of(Preset::Standard).is_subset(&known));
        assert_eq!(of(Preset::Full), known);
    }

    #[test]
    fn every_cell_compares_a_metric_that_is_explained_and_belongs_to_a_group_of_its_own() {
        for (workload, shape) in every_shape() {
            let metric = metric_named(shape.headline);
            assert!(metric.is_some(), "{}: {}", shape.name, shape.headline);
            if let Some((group, _)) = shape.headline.split_once('.') {
                let later = shape.groups.iter().skip(1);
                assert!(later.clone().any(|one| one.name == group), "{}", shape.name);
            }
            assert!(shape.name.starts_with(workload.name), "{}", shape.name);
            assert!(!shape.groups.is_empty(), "{}", shape.name);
        }
    }

    #[test]
    fn the_documentation_lists_each_workload_with_its_primary_metric() {
        let document = include_str!("../../../docs/bench.md");
        for (workload, shape) in every_shape() {
            let row = format!("| {} | ", workload.name);
            let row = document.lines().find(|line| line.starts_with(&row));
            let metric = format!("`{}`", shape.headline);
            assert!(
                row.is_some_and(|row| row.contains(&metric)),
                "{}",
                shape.name
            );
        }
    }

    #[test]
    fn cells_of_a_run_have_names_of_their_own() {
        for preset in [Preset::Quick, Preset::Standard, Preset::Full] {
            let choice = Choice {
                preset,
                connections: Vec::new(),
            };
            let names: Vec<_> = all()
                .iter()
                .flat_map(|workload| (workload.shapes)(&choice))
                .map(|shape| shape.name)
                .collect();
            let different: BTreeSet<_> = names.iter().collect();
            assert_eq!(different.len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn a_rate_that_depends_on_the_servers_is_that_of_an_open_first_group() {
        for (_, shape) in every_shape() {
            let open = matches!(
                shape.groups.first().map(|group| group.behavior),
                Some(Behavior::Open { .. })
            );
            assert!(shape.pace == Pace::Fixed || open, "{}", shape.name);
        }
    }

    #[test]
    fn connections_that_are_named_replace_those_of_the_preset() {
        let choice = Choice {
            preset: Preset::Standard,
            connections: vec![3, 5],
        };
        let keepalive = all()
            .into_iter()
            .find(|one| one.name == "keepalive")
            .unwrap();
        let names: Vec<_> = (keepalive.shapes)(&choice)
            .into_iter()
            .map(|shape| shape.name)
            .collect();
        assert_eq!(names, ["keepalive c=3", "keepalive c=5"]);
    }
}
