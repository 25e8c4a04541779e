//! The analysis of a run: ratios, intervals and verdicts.
//!
//! An [`Analysis`] is computed from a [`Run`] and never stored; the table, the report, `compare`
//! and `check` use it. In each cell, each arm is compared with the reference in pairs: the ratio of
//! the [primary metric](super::record::Cell::primary_metric) within a round. So a slow drift of the
//! machine is in both and cancels. docs/bench/statistics.md explains the computation.
//!
//! - [`pairs`]: the samples that are compared
//! - `control`: the noise floor, and whether the control agrees with the reference
//! - [`summary`]: the result in sentences

mod control;
pub mod pairs;
pub mod summary;

use super::metrics::{Better, better_of, comparatives};
use super::record::{Cell, Run, Sample};
use super::stats::{interval, median};
use control::Control;
use pairs::{ByRound, Pairs};
use std::collections::BTreeMap;

/// A ratio to the reference, with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate of the median.
    pub median: f64,
    /// The lower end of the 95 % interval, or the smallest ratio if there are fewer than
    /// [`PAIRS`](interval::PAIRS) pairs.
    pub low: f64,
    /// The upper end of the 95 % interval, or the largest ratio.
    pub high: f64,
    /// The number of rounds in which both samples are valid.
    pub pairs: usize,
}

impl Estimate {
    /// From logarithms of ratios. `None` without ratios.
    fn from_logarithms(logarithms: &[f64]) -> Option<Self> {
        Some(Self::from_interval(
            interval::of(logarithms)?,
            logarithms.len(),
        ))
    }

    /// From an interval of logarithms.
    pub fn from_interval(found: interval::Interval, pairs: usize) -> Self {
        Self {
            median: found.middle.exp(),
            low: found.low.exp(),
            high: found.high.exp(),
            pairs,
        }
    }

    /// Whether there are enough pairs for an interval.
    pub fn has_interval(&self) -> bool {
        self.pairs >= interval::PAIRS
    }

    /// Whether 1 is outside of the interval.
    pub fn excludes_one(&self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }

    /// The verdict on this ratio of a metric, if `noise_floor` is the logarithm of the largest
    /// ratio that is noise.
    pub fn verdict(&self, metric: &str, noise_floor: f64, proven: bool) -> Verdict {
        let better = better_of(metric);
        if !self.has_interval() || better == Better::Neither {
            Verdict::Indicative
        } else if !proven {
            Verdict::Unproven
        } else if !self.excludes_one() || self.median.ln().abs() <= noise_floor {
            Verdict::NoDifference
        } else if (self.median > 1.0) == (better == Better::Higher) {
            Verdict::Better
        } else {
            Verdict::Worse
        }
    }
}

/// The result for an arm in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Better than the reference: the interval excludes 1, and the difference is above the noise
    /// floor.
    Better,
    /// Worse than the reference, in the same sense.
    Worse,
    /// No difference was shown. It may be too small for this number of rounds.
    NoDifference,
    /// Too few pairs for a verdict.
    Indicative,
    /// The control differs from the reference, so no difference is reported.
    Unproven,
    /// There is no valid sample with the metric.
    Missing,
}

impl Verdict {
    /// The word, which depends on the metric.
    pub fn word(self, metric: &str) -> &'static str {
        let (better, worse) = comparatives(metric);
        match self {
            Self::Better => better,
            Self::Worse => worse,
            Self::NoDifference => "none shown",
            Self::Indicative => "indicative",
            Self::Unproven => "unproven",
            Self::Missing => "no result",
        }
    }

    /// Whether it is a difference.
    pub fn is_difference(self) -> bool {
        matches!(self, Self::Better | Self::Worse)
    }
}

/// The analysis of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Analysis {
    /// The cells, in the order of the run.
    pub cells: Vec<CellAnalysis>,
    /// Whether the control differs from the reference over the whole run.
    pub unproven: bool,
}

/// The analysis of a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CellAnalysis {
    /// The index in [`Run::cells`].
    pub cell: usize,
    /// Control / reference.
    pub control: Option<Estimate>,
    /// The noise floor: a difference up to this share has no verdict. 0.03 is 3 %.
    pub noise_floor: f64,
    /// Whether the control agrees with the reference.
    pub proven: bool,
    /// A row for each arm that has samples, in the order of the run.
    pub rows: Vec<Row>,
}

/// The analysis of an arm in a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The index in [`Run::arms`].
    pub arm: usize,
    /// Arm / reference of the primary metric. `None` for the reference, and without a pair.
    pub ratio: Option<Estimate>,
    /// The verdict.
    pub verdict: Verdict,
    /// The median of each metric over the valid samples.
    pub medians: BTreeMap<String, f64>,
    /// The ratio of each round with a pair.
    pub ratios: Vec<(u32, f64)>,
    /// The number of valid samples.
    pub valid: usize,
    /// The number of invalid samples.
    pub invalid: usize,
    /// The median of the primary metric over the invalid samples, if no sample is valid.
    pub invalid_median: Option<f64>,
    /// The limiter of most samples.
    pub limiter: String,
}

/// Analyses a run.
pub fn analyse(run: &Run) -> Analysis {
    let pairs = Pairs::of(run);
    let cells = run.cells.iter().enumerate();
    let controls: Vec<Control> = cells
        .map(|(index, cell)| {
            let ratios = pairs.control_ratios(index, &cell.primary_metric);
            Control::of(&ratios, &cell.primary_metric)
        })
        .collect();
    let proven = control::proven(&controls);
    let unproven = control::is_unproven(&controls, &proven);
    let floors = control::noise_floors(&controls).into_iter();
    let mut cells = Vec::new();
    for (index, ((control, noise_floor), proven)) in
        controls.iter().zip(floors).zip(proven).enumerate()
    {
        let mut analysis = CellAnalysis {
            cell: index,
            control: Estimate::from_logarithms(&control.differences),
            noise_floor,
            proven,
            rows: Vec::new(),
        };
        let arms = 0..run.arms.len();
        let rows = arms.filter_map(|arm| row(&pairs, &analysis, run.cells.get(index)?, arm));
        analysis.rows = rows.collect();
        cells.push(analysis);
    }
    Analysis { cells, unproven }
}

fn row(pairs: &Pairs, of: &CellAnalysis, cell: &Cell, arm: usize) -> Option<Row> {
    let metric = cell.primary_metric.as_str();
    let samples = pairs.samples(of.cell, arm);
    if samples.is_empty() {
        return None;
    }
    let is_valid = |sample: &&&Sample| sample.invalid.is_empty();
    let valid: Vec<&Sample> = samples.iter().filter(is_valid).copied().collect();
    let values = samples.iter().filter_map(|one| one.metrics.get(metric));
    let invalid: Vec<f64> = values.copied().collect();
    let is_reference = arm == pairs::REFERENCE;
    let ratios = match is_reference {
        true => ByRound::new(),
        false => pairs.ratios(of.cell, arm, metric),
    };
    let ratio = pairs::estimate(&ratios);
    let verdict = match ratio {
        _ if pairs.values(of.cell, arm, metric).is_empty() => Verdict::Missing,
        _ if is_reference => Verdict::NoDifference,
        None => Verdict::Missing,
        Some(ratio) if Some(arm) == pairs.control() => control_verdict(ratio, of.proven),
        Some(_) if !of.control.is_some_and(|one| one.has_interval()) => Verdict::Indicative,
        Some(ratio) => ratio.verdict(metric, of.noise_floor.ln_1p(), of.proven),
    };
    Some(Row {
        arm,
        ratio,
        verdict,
        medians: medians(&valid, pairs.syscalls(of.cell, arm)),
        ratios: ratios.into_iter().collect(),
        valid: valid.len(),
        invalid: samples.len() - valid.len(),
        invalid_median: median(&invalid).filter(|_| valid.is_empty()),
        limiter: limiter(&valid),
    })
}

fn control_verdict(ratio: Estimate, proven: bool) -> Verdict {
    match (ratio.has_interval(), proven) {
        (false, _) => Verdict::Indicative,
        (true, true) => Verdict::NoDifference,
        (true, false) => Verdict::Unproven,
    }
}

/// The metric that a separate pass measures.
const SYSCALLS: &str = "syscalls";

/// The median of each metric. [`SYSCALLS`] is from the pass that counts system calls.
fn medians(valid: &[&Sample], syscalls: &[&Sample]) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let counted = syscalls.iter().flat_map(|sample| &sample.metrics);
    let counted = counted.filter(|(name, _)| name.as_str() == SYSCALLS);
    let measured = valid.iter().flat_map(|sample| &sample.metrics);
    for (name, value) in measured.chain(counted) {
        if value.is_finite() {
            all.entry(name.clone()).or_default().push(*value);
        }
    }
    all.into_iter()
        .filter_map(|(name, values)| Some((name, median(&values)?)))
        .collect()
}

/// The limiter of most samples. The number in brackets differs between samples, so the first
/// limiter of its kind is returned.
fn limiter(valid: &[&Sample]) -> String {
    let mut kinds: Vec<(&str, &str, u32)> = Vec::new();
    for sample in valid.iter().filter(|sample| !sample.limiter.is_empty()) {
        let kind = limiter_kind(&sample.limiter);
        match kinds.iter_mut().find(|(known, _, _)| *known == kind) {
            Some((_, _, count)) => *count += 1,
            None => kinds.push((kind, &sample.limiter, 1)),
        }
    }
    let most = kinds.into_iter().rev().max_by_key(|(_, _, count)| *count);
    most.map_or_else(String::new, |(_, limiter, _)| limiter.to_owned())
}

/// A limiter without the number in brackets.
pub fn limiter_kind(limiter: &str) -> &str {
    limiter.split(" (").next().unwrap_or(limiter)
}

#[cfg(test)]
pub mod sample_runs;
#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    use super::sample_runs::{add, noise, plain, run};
    use super::*;
    use crate::bench::record::{ArmKind, Pass};

    fn rows(analysis: &Analysis) -> &[Row] {
        &analysis.cells[0].rows
    }

    fn verdicts(run: &Run) -> Vec<Verdict> {
        let analysis = analyse(run);
        rows(&analysis).iter().map(|row| row.verdict).collect()
    }

    #[test]
    fn a_slower_arm_is_slower_and_an_equal_arm_shows_no_difference() {
        use Verdict::{Better, NoDifference, Worse};
        let found = verdicts(&plain([1.0, 1.0, 0.86, 1.3], 8));
        assert_eq!(found, [NoDifference, NoDifference, Worse, Better]);
        let found = verdicts(&plain([1.0, 1.0, 1.01, 0.99], 8));
        assert_eq!(found, [NoDifference; 4]);
    }

    #[test]
    fn less_is_better_if_the_metric_says_so() {
        let mut run = plain([1.0, 1.0, 0.8, 1.3], 8);
        run.cells[0].primary_metric = "cpu".to_owned();
        let found = verdicts(&run);
        assert_eq!(found[2..], [Verdict::Worse, Verdict::Better]);
        run.cells[0].primary_metric = "little".to_owned();
        assert_eq!(verdicts(&run)[2], Verdict::Missing);
    }

    #[test]
    fn a_machine_that_becomes_slower_changes_no_ratio() {
        let analysis = analyse(&plain([1.0, 1.0, 0.86, 1.0], 8));
        let ratio = rows(&analysis)[2].ratio.unwrap();
        assert!(ratio.low > 0.84 && ratio.high < 0.88, "{ratio:?}");
        assert!((ratio.median - 0.86).abs() < 0.01, "{ratio:?}");
        assert_eq!(ratio.pairs, 8);
        let control = analysis.cells[0].control.unwrap();
        assert!(!control.excludes_one(), "{control:?}");
    }

    /// The noise floor is low, but the interval of the arm includes 1.
    #[test]
    fn an_arm_that_varies_much_has_no_difference() {
        let mut run = plain([1.0, 1.0, 1.0, 1.0], 8);
        for sample in run.samples.iter_mut().filter(|one| one.arm == 2) {
            let factor = if sample.round < 6 { 1.15 } else { 0.85 };
            if let Some(value) = sample.metrics.get_mut("throughput") {
                *value *= factor;
            }
        }
        let analysis = analyse(&run);
        let row = &rows(&analysis)[2];
        let ratio = row.ratio.unwrap();
        assert!(ratio.median > 1.03 && ratio.low < 1.0, "{ratio:?}");
        assert!(analysis.cells[0].noise_floor < 0.03);
        assert_eq!(row.verdict, Verdict::NoDifference);
    }

    #[test]
    fn with_five_rounds_there_is_never_a_verdict() {
        let found = verdicts(&plain([1.0, 1.0, 0.1, 5.0], 5));
        assert_eq!(found[2..], [Verdict::Indicative; 2]);
        let six = verdicts(&plain([1.0, 1.0, 0.1, 5.0], 6));
        assert_eq!(six[2..], [Verdict::Worse, Verdict::Better]);
    }

    #[test]
    fn an_invalid_sample_removes_its_pair() {
        let mut run = plain([1.0, 1.0, 0.86, 1.0], 8);
        for sample in run
            .samples
            .iter_mut()
            .filter(|one| one.arm == 2 && one.round < 3)
        {
            sample.invalid.push("steal was 4 %".to_owned());
            sample.metrics.insert("throughput".to_owned(), 1.0);
        }
        let analysis = analyse(&run);
        let row = &rows(&analysis)[2];
        assert_eq!(
            (row.valid, row.invalid, row.verdict),
            (5, 3, Verdict::Indicative)
        );
        let rounds: Vec<u32> = row.ratios.iter().map(|(round, _)| *round).collect();
        assert_eq!(rounds, [3, 4, 5, 6, 7]);
    }

    #[test]
    fn an_invalid_reference_is_replaced_by_its_control() {
        let mut run = plain([1.0, 1.0, 0.5, 1.0], 6);
        for sample in run
            .samples
            .iter_mut()
            .filter(|one| one.arm == 0 && one.round == 0)
        {
            sample.invalid.push("errors".to_owned());
        }
        let pairs = Pairs::of(&run);
        assert_eq!(pairs.ratios(0, 2, "throughput").len(), 6);
        assert_eq!(pairs.control_ratios(0, "throughput").len(), 5);
    }

    #[test]
    fn the_reference_of_a_round_is_the_geometric_mean_of_both() {
        let mut run = run(&[("keepalive c=1", "throughput")]);
        for (arm, value) in [(0, 100.0), (1, 400.0), (2, 100.0)] {
            add(&mut run, (0, arm, 0), &[("throughput", value)]);
        }
        let pairs = Pairs::of(&run);
        let ratio = pairs.ratios(0, 2, "throughput")[&0];
        assert!((ratio - 0.5).abs() < 1e-12, "{ratio}");
        assert_eq!(pairs.ratios(0, 1, "throughput"), ByRound::from([(0, 4.0)]));
    }

    #[test]
    fn a_control_that_differs_makes_all_verdicts_unproven() {
        let run = plain([1.0, 1.25, 0.86, 1.0], 8);
        let analysis = analyse(&run);
        assert!(analysis.unproven && !analysis.cells[0].proven);
        assert_eq!(verdicts(&run)[1..], [Verdict::Unproven; 3]);
    }

    #[test]
    fn without_a_control_there_is_no_verdict() {
        let mut run = plain([1.0, 1.0, 0.86, 1.0], 8);
        run.arms[1].kind = ArmKind::Model;
        assert_eq!(verdicts(&run)[2], Verdict::Indicative);
    }

    #[test]
    fn an_arm_without_throughput_is_worse_and_not_missing() {
        let mut run = plain([1.0, 1.0, 1.0, 1.0], 8);
        for sample in run.samples.iter_mut().filter(|one| one.arm == 2) {
            sample.metrics.insert("throughput".to_owned(), 0.0);
        }
        for sample in run.samples.iter_mut().filter(|one| one.arm == 3) {
            sample.metrics.remove("throughput");
        }
        assert_eq!(verdicts(&run)[2..], [Verdict::Worse, Verdict::Missing]);
    }

    #[test]
    fn only_measured_samples_are_compared_and_syscalls_are_from_their_own_pass() {
        let mut run = plain([1.0, 1.0, 0.86, 1.0], 8);
        for pass in [Pass::Syscalls, Pass::Capacity] {
            add(
                &mut run,
                (0, 2, 0),
                &[("throughput", 3.0), ("syscalls", 2.5)],
            );
            run.samples.last_mut().unwrap().pass = pass;
        }
        let analysis = analyse(&run);
        let row = &rows(&analysis)[2];
        assert_eq!(row.valid, 8);
        assert_eq!(row.medians.get("syscalls"), Some(&2.5));
        assert!(row.medians["throughput"] > 1000.0);
    }

    #[test]
    fn a_row_has_the_limiter_of_most_samples() {
        let mut run = plain([1.0, 1.0, 0.86, 1.0], 8);
        run.samples[2].limiter = "generator".to_owned();
        let analysis = analyse(&run);
        let row = &rows(&analysis)[2];
        assert_eq!(row.limiter, "server processor 100 %");
    }

    #[test]
    fn the_word_depends_on_the_metric() {
        assert_eq!(Verdict::Worse.word("throughput"), "slower");
        assert_eq!(Verdict::Better.word("memory_slope"), "less memory");
        assert_eq!(Verdict::NoDifference.word("p99"), "none shown");
    }

    #[test]
    fn samples_of_unknown_cells_and_arms_are_ignored() {
        let mut run = plain([1.0, 1.0, 0.86, 1.0], 8);
        let before = analyse(&run);
        add(&mut run, (9, 0, 0), &[("throughput", 1.0)]);
        add(&mut run, (0, 9, 0), &[("throughput", 1.0)]);
        assert_eq!(analyse(&run), before);
    }

    #[test]
    fn an_empty_run_has_no_cells() {
        let analysis = analyse(&Run::default());
        assert_eq!(analysis.cells, []);
        assert!(!analysis.unproven);
    }

    #[test]
    fn noise_is_about_a_percent() {
        assert!((0..100).all(|n| (noise(n, n) - 1.0).abs() < 0.0126));
    }
}
