//! Room `bench`: which loads are there, and what does each of them tell apart?
//!
//! A [`Workload`] has one or more [`CellSpec`]s: groups of connections, and what is done beside
//! them. The tables are in [`capacity`] (closed loops), [`waiting`] (at a rate) and [`silent`]
//! (idle and slow clients).

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
    pub purpose: &'static str,
    /// Options with which our models are started for it.
    pub options: &'static [&'static str],
    /// Who can be asked.
    pub eligible: Eligible,
    /// What is odd about its samples, and right.
    pub traits: WorkloadTraits,
    /// How much longer than the others it is measured.
    pub duration_factor: f64,
    /// Seconds of warm-up beyond the usual: until all connections stand.
    pub extra_warm_up: f64,
    /// Its cells.
    pub cell_specs: fn(&Selection) -> Vec<CellSpec>,
}

/// Who can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eligible {
    /// Whoever has one small page.
    All,
    /// Whoever serves our directory, and whose process is known.
    Launched,
    /// Our models, which have an option for it.
    Models,
}

/// What is odd about the samples of a workload, and right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkloadTraits {
    /// Some may get no answer because others hold all units; that is the result, not an error.
    pub may_starve: bool,
    /// The client cuts answers off, so it has seen less than the server has sent.
    pub client_aborts: bool,
    /// The server is stopped for a while, or runs on purpose beyond what it can do.
    pub overloads: bool,
    /// Descriptors are counted before and after.
    pub counts_descriptors: bool,
    /// Its files are pushed out of memory again and again.
    pub cold_cache: bool,
}

impl WorkloadTraits {
    /// Nothing odd.
    pub const NONE: Self = Self {
        may_starve: false,
        client_aborts: false,
        overloads: false,
        counts_descriptors: false,
        cold_cache: false,
    };
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// How much.
    pub preset: Preset,
    /// Numbers of connections, if they were named.
    pub connections: Vec<u32>,
}

impl Selection {
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
pub struct CellSpec {
    /// The only one of its name.
    pub name: String,
    /// What varies, by name.
    pub parameters: BTreeMap<String, f64>,
    /// In words.
    pub description: String,
    /// The metric that is compared.
    pub primary_metric: &'static str,
    /// What another tool would do, without the address: `wrk -t1 -c64`.
    pub reproduce: Option<String>,
    /// Who asks for what. Rates that depend on what the servers can do are set by [`RateSource`].
    pub groups: Vec<Group>,
    /// Where the rate of the first group comes from.
    pub rate_source: RateSource,
    /// Before the measurement the first group has so many connections, one number after the other,
    /// all in the same process: for the slope of its memory.
    pub memory_steps: Vec<u32>,
    /// The server is stopped at that part of the measurement, for so many nanoseconds.
    pub stall: Option<(f64, u64)>,
    /// Whether a server that knows one connection at a time can take part.
    pub single_connection: bool,
}

/// Where the rate of an open loop comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateSource {
    /// It is as it stands.
    Fixed,
    /// A part of what the slowest of all can do.
    ShareOfSlowest(f64),
    /// A part of what the server itself can do.
    ShareOfOwn(f64),
}

impl CellSpec {
    fn new(name: String, primary_metric: &'static str, description: String) -> Self {
        Self {
            name,
            parameters: BTreeMap::new(),
            description,
            primary_metric,
            reproduce: None,
            groups: Vec::new(),
            rate_source: RateSource::Fixed,
            memory_steps: Vec::new(),
            stall: None,
            single_connection: false,
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

    fn alone(mut self, single_connection: bool) -> Self {
        self.single_connection = single_connection;
        self
    }

    /// All connections that are open at once.
    pub fn connections(&self) -> u32 {
        self.groups.iter().map(|group| group.connections).sum()
    }

    /// The same for a server that has one page, which is not ours.
    pub fn asking_for(&self, page: &Page) -> Self {
        let mut cell_spec = self.clone();
        for group in &mut cell_spec.groups {
            if !group.pages.is_empty() {
                group.pages = vec![page.clone()];
            }
        }
        cell_spec
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

    fn every_cell_spec() -> Vec<(&'static Workload, CellSpec)> {
        let presets = [Preset::Quick, Preset::Standard, Preset::Full];
        let choices = presets.map(|preset| Selection {
            preset,
            connections: Vec::new(),
        });
        all()
            .into_iter()
            .flat_map(|workload| {
                let cell_specs = choices
                    .iter()
                    .flat_map(|selection| (workload.cell_specs)(selection));
                cell_specs
                    .map(move |cell_spec| (workload, cell_spec))
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
        for (workload, cell_spec) in every_cell_spec() {
            let metric = metric_named(cell_spec.primary_metric);
            assert!(
                metric.is_some(),
                "{}: {}",
                cell_spec.name,
                cell_spec.primary_metric
            );
            if let Some((group, _)) = cell_spec.primary_metric.split_once('.') {
                let later = cell_spec.groups.iter().skip(1);
                assert!(
                    later.clone().any(|one| one.name == group),
                    "{}",
                    cell_spec.name
                );
            }
            assert!(
                cell_spec.name.starts_with(workload.name),
                "{}",
                cell_spec.name
            );
            assert!(!cell_spec.groups.is_empty(), "{}", cell_spec.name);
        }
    }

    #[test]
    fn the_documentation_lists_each_workload_with_its_primary_metric() {
        let document = include_str!("../../../docs/bench.md");
        for (workload, cell_spec) in every_cell_spec() {
            let row = format!("| {} | ", workload.name);
            let row = document.lines().find(|line| line.starts_with(&row));
            let metric = format!("`{}`", cell_spec.primary_metric);
            assert!(
                row.is_some_and(|row| row.contains(&metric)),
                "{}",
                cell_spec.name
            );
        }
    }

    #[test]
    fn cells_of_a_run_have_names_of_their_own() {
        for preset in [Preset::Quick, Preset::Standard, Preset::Full] {
            let selection = Selection {
                preset,
                connections: Vec::new(),
            };
            let names: Vec<_> = all()
                .iter()
                .flat_map(|workload| (workload.cell_specs)(&selection))
                .map(|cell_spec| cell_spec.name)
                .collect();
            let different: BTreeSet<_> = names.iter().collect();
            assert_eq!(different.len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn a_rate_that_depends_on_the_servers_is_that_of_an_open_first_group() {
        for (_, cell_spec) in every_cell_spec() {
            let open = matches!(
                cell_spec.groups.first().map(|group| group.behavior),
                Some(Behavior::Open { .. })
            );
            assert!(
                cell_spec.rate_source == RateSource::Fixed || open,
                "{}",
                cell_spec.name
            );
        }
    }

    #[test]
    fn connections_that_are_named_replace_those_of_the_preset() {
        let selection = Selection {
            preset: Preset::Standard,
            connections: vec![3, 5],
        };
        let keepalive = all()
            .into_iter()
            .find(|one| one.name == "keepalive")
            .unwrap();
        let names: Vec<_> = (keepalive.cell_specs)(&selection)
            .into_iter()
            .map(|cell_spec| cell_spec.name)
            .collect();
        assert_eq!(names, ["keepalive c=3", "keepalive c=5"]);
    }
}
