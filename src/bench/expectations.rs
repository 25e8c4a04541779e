//! Room `bench`: what is each model expected to show, and why?
//!
//! The answers are in expectations.toml, which is part of the program. A measurement that is
//! not as expected is a surprise, and a reason that explains a place in the ranking is printed
//! beside it.

use super::record::Cell;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

/// The file.
const TEXT: &str = include_str!("expectations.toml");

/// What is expected of some arms in some cells, and why.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// In which workload.
    pub workload: String,
    /// Of whom.
    pub arms: Vec<String>,
    /// Only in cells whose parameters are in these ranges.
    #[serde(default, rename = "where")]
    pub place: BTreeMap<String, Range>,
    /// Of which metric; the cell's headline if none is named.
    pub metric: Option<String>,
    /// Where the ratio to the reactor should lie.
    pub ratio: Option<Range>,
    /// Where the number itself should lie.
    pub value: Option<Range>,
    /// In one or two sentences.
    pub why: String,
}

/// From one number to another, both within.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(from = "(f64, f64)")]
pub struct Range {
    least: f64,
    most: f64,
}

impl From<(f64, f64)> for Range {
    fn from((least, most): (f64, f64)) -> Self {
        Self { least, most }
    }
}

impl Range {
    /// The lower end.
    pub fn least(self) -> f64 {
        self.least
    }

    /// The upper end.
    pub fn most(self) -> f64 {
        self.most
    }

    fn holds(self, value: f64) -> bool {
        (self.least()..=self.most()).contains(&value)
    }
}

impl Expectation {
    /// Whether a ratio from `low` to `high` is what the reason explains: it is not outside, and not
    /// surely on the other side of 1 than most of the range.
    pub fn explains(&self, low: f64, high: f64) -> bool {
        let Some(range) = self.ratio else {
            return true;
        };
        let within = high >= range.least() && low <= range.most();
        let upwards = range.most().ln() + range.least().max(f64::MIN_POSITIVE).ln();
        let against = if upwards > 0.0 { high < 1.0 } else { low > 1.0 };
        within && !against
    }
}

impl fmt::Display for Range {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least() > 0.0, self.most().is_finite()) {
            (true, true) => write!(out, "{} to {}", self.least(), self.most()),
            (true, false) => write!(out, "{} or more", self.least()),
            (false, true) => write!(out, "at most {}", self.most()),
            (false, false) => write!(out, "anything"),
        }
    }
}

/// All, in the order of the file.
pub fn all() -> &'static [Expectation] {
    static ALL: OnceLock<Vec<Expectation>> = OnceLock::new();
    // That the file can be read is tested; it is a part of the program.
    ALL.get_or_init(|| parse(TEXT).unwrap_or_default())
}

fn parse(text: &str) -> Result<Vec<Expectation>, toml::de::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        expectation: Vec<Expectation>,
    }
    toml::from_str::<File>(text).map(|file| file.expectation)
}

/// Those of a workload.
pub fn of_workload(workload: &str) -> impl Iterator<Item = &'static Expectation> {
    let workload = workload.to_owned();
    all().iter().filter(move |one| one.workload == workload)
}

/// Those that are about an arm in a cell.
pub fn matching(cell: &Cell, arm: &str) -> impl Iterator<Item = &'static Expectation> {
    let (parameters, arm) = (cell.parameters.clone(), arm.to_owned());
    of_workload(&cell.workload).filter(move |one| {
        let mut place = one.place.iter();
        let is_there = |name: &str, range: &Range| {
            let value = parameters.get(name);
            value.is_some_and(|value| range.holds(*value))
        };
        one.arms.contains(&arm) && place.all(|(name, range)| is_there(name, range))
    })
}

/// Why an arm stands where it stands in a workload, in any of its cells; the first reason there is.
pub fn explanation(workload: &str, arm: &str) -> Option<&'static str> {
    let mut ours = of_workload(workload).filter(|one| one.arms.iter().any(|name| name == arm));
    ours.next().map(|one| one.why.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::contenders::MODELS;
    use crate::bench::metrics::metric_named;
    use crate::bench::record::Preset;
    use crate::bench::workloads::{self, Choice};
    use std::collections::BTreeSet;

    fn cell(workload: &str, parameters: &[(&str, f64)]) -> Cell {
        Cell {
            workload: workload.to_owned(),
            parameters: parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
            ..Cell::default()
        }
    }

    #[test]
    fn the_file_can_be_read() {
        parse(TEXT).unwrap();
    }

    #[test]
    fn every_workload_model_parameter_and_metric_exists() {
        for one in all() {
            let told = format!("{one:?}");
            let workload = workloads::all()
                .into_iter()
                .find(|known| known.name == one.workload);
            let workload = workload.unwrap_or_else(|| panic!("{told}"));
            assert!(
                one.arms.iter().all(|arm| MODELS.contains(&arm.as_str())),
                "{told}"
            );
            let full = Choice {
                preset: Preset::Full,
                connections: Vec::new(),
            };
            for shape in (workload.shapes)(&full) {
                assert!(
                    one.place
                        .keys()
                        .all(|name| shape.parameters.contains_key(name)),
                    "{told}"
                );
            }
            let metric = one.metric.as_deref().unwrap_or("p99");
            assert!(metric_named(metric).is_some(), "{told}");
            let ranges = one.place.values().chain(&one.ratio).chain(&one.value);
            assert!(
                ranges
                    .into_iter()
                    .all(|range| range.least() <= range.most()),
                "{told}"
            );
        }
    }

    #[test]
    fn every_reason_is_a_sentence_or_a_few() {
        for one in all() {
            assert!((40..330).contains(&one.why.len()), "{}", one.why);
            assert!(
                one.why.ends_with('.') && !one.why.contains("  "),
                "{}",
                one.why
            );
            assert!(one.why.starts_with(char::is_uppercase), "{}", one.why);
        }
    }

    #[test]
    fn every_model_is_explained_in_every_workload_it_takes_part_in() {
        let explained: BTreeSet<(&str, &str)> = all()
            .iter()
            .flat_map(|one| {
                one.arms
                    .iter()
                    .map(|arm| (one.workload.as_str(), arm.as_str()))
            })
            .collect();
        let mut missing = Vec::new();
        for workload in workloads::all() {
            let everybody = ["thread", "process", "pool", "coroutine"];
            let full = Choice {
                preset: Preset::Full,
                connections: Vec::new(),
            };
            let alone = (workload.shapes)(&full)
                .iter()
                .any(|shape| shape.one_at_a_time);
            let alone = alone.then_some("sequential");
            for model in everybody.into_iter().chain(alone) {
                if !explained.contains(&(workload.name, model)) {
                    missing.push((workload.name, model));
                }
            }
        }
        assert_eq!(missing, []);
    }

    #[test]
    fn an_expectation_holds_where_its_parameters_do() {
        let count = |c: f64| matching(&cell("keepalive", &[("c", c)]), "sequential").count();
        assert_eq!((count(1.0), count(64.0)), (1, 0));
        assert_eq!(matching(&cell("keepalive", &[]), "sequential").count(), 0);
        assert_eq!(matching(&cell("nonsense", &[]), "thread").count(), 0);
    }

    #[test]
    fn an_arm_has_a_reason_and_a_stranger_none() {
        assert!(explanation("burn", "thread").is_some());
        assert_eq!(explanation("burn", "nginx"), None);
    }

    #[test]
    fn a_reason_explains_only_what_it_expects() {
        let expectation = |least, most| Expectation {
            workload: String::new(),
            arms: Vec::new(),
            place: BTreeMap::new(),
            metric: None,
            ratio: Some((least, most).into()),
            value: None,
            why: String::new(),
        };
        let slower = expectation(0.5, 1.05);
        assert!(slower.explains(0.85, 0.9) && slower.explains(0.99, 1.03));
        assert!(!slower.explains(1.01, 1.03), "on the other side");
        assert!(!slower.explains(0.1, 0.2), "outside");
        let faster = expectation(0.95, 1.5);
        assert!(faster.explains(1.1, 1.2) && !faster.explains(0.96, 0.98));
        assert!(expectation(0.0, f64::INFINITY).explains(0.5, 2.0));
    }

    #[test]
    fn ranges_are_told_in_words() {
        let told = |low, high| Range::from((low, high)).to_string();
        assert_eq!(told(0.6, 1.02), "0.6 to 1.02");
        assert_eq!(told(3.0, f64::INFINITY), "3 or more");
        assert_eq!(told(0.0, 5.0), "at most 5");
        assert_eq!(told(0.0, f64::INFINITY), "anything");
    }
}
