//! The analysis of a run: ratios, intervals and verdicts.
//!
//! An [`Analysis`] is computed from a [`Run`] and never stored; the table, the report and
//! `compare` use it. In each cell, each arm is compared with the reference in pairs: the ratio of
//! the [primary metric](super::types::Cell::primary_metric) within a round. So a slow drift of the
//! machine is in both and cancels.
//!
//! The reference runs twice in each round. The ratio of its two samples, A and A', differs from 1
//! by chance, or by a fault of the measurement. The spread is the *noise floor*: no smaller
//! difference is reported. If the ratio differs from 1 by more than chance allows, the cell or the
//! run is unproven. docs/bench/statistics.md explains the computation.

pub mod summary;

use super::metrics::{Better, better_of, comparatives};
use super::stats::{
    Interval, PAIRS, count, distance, half_width, interval, mean, median, p_value, variance,
};
use super::types::{ArmKind, Pass, Run, Sample};
use std::collections::BTreeMap;

/// The index of the arm with which all others are compared.
pub const REFERENCE: usize = 0;
/// The index of its control, if there is one.
const CONTROL: usize = 1;
/// The largest ratio. A ratio to 0 or of 0 is this or its inverse.
const MAX_RATIO: f64 = 1e6;
/// The lowest noise floor: the memory layout of a program makes as much difference (Mytkowicz et
/// al., ASPLOS 2009).
const MIN_NOISE_FLOOR: f64 = 0.025;
/// A control that differs by less is not a problem.
const NEGLIGIBLE: f64 = 0.01;
/// The probability that a good run has an unproven cell.
const FALSE_CELL: f64 = 0.02;
/// The probability that a good run is unproven as a whole, and its quantile of the normal
/// distribution.
const FALSE_RUN: (f64, f64) = (0.01, 2.576);
/// The most standard errors that one cell contributes to the sum over the run.
const MAX_DISTANCE: f64 = 3.0;

/// A ratio to the reference, with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate of the median.
    pub median: f64,
    /// The lower end of the 95 % interval, or the smallest ratio if there are too few pairs.
    pub low: f64,
    /// The upper end of the 95 % interval, or the largest ratio.
    pub high: f64,
    /// The number of rounds in which both samples are valid.
    pub pairs: usize,
}

impl Estimate {
    /// From an interval of logarithms.
    fn new(found: Interval, pairs: usize) -> Self {
        let (median, low, high) = (found.middle.exp(), found.low.exp(), found.high.exp());
        Self {
            median,
            low,
            high,
            pairs,
        }
    }

    /// From the ratios of all rounds. `None` without ratios.
    fn of(ratios: &ByRound) -> Option<Self> {
        Some(Self::new(interval(&logarithms(ratios))?, ratios.len()))
    }

    /// This ratio, divided by that of another run. The two intervals are independent, so the
    /// half-widths add as the root of the sum of their squares.
    pub fn over(&self, before: &Self) -> Self {
        let ln = |ratio: f64| ratio.ln();
        let middle = ln(self.median) - ln(before.median);
        let down = (ln(self.median) - ln(self.low)).hypot(ln(before.high) - ln(before.median));
        let up = (ln(self.high) - ln(self.median)).hypot(ln(before.median) - ln(before.low));
        let found = Interval {
            low: middle - down,
            middle,
            high: middle + up,
        };
        Self::new(found, self.pairs.min(before.pairs))
    }

    /// Whether there are enough pairs for an interval.
    pub fn has_interval(&self) -> bool {
        self.pairs >= PAIRS
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
    let ratios = cells.map(|(index, cell)| pairs.control_ratios(index, &cell.primary_metric));
    let controls: Vec<ByRound> = ratios.collect();
    let values: Vec<Vec<f64>> = controls.iter().map(logarithms).collect();
    let metrics = run.cells.iter().map(|cell| cell.primary_metric.as_str());
    let directed: Vec<(f64, &[f64])> = metrics
        .map(direction)
        .zip(values.iter().map(Vec::as_slice))
        .collect();
    let proven = proven(&values);
    let unproven = is_unproven(&directed, &proven);
    let cells = controls.iter().zip(&values).zip(proven).enumerate();
    let cells = cells.map(|(index, ((control, values), proven))| {
        let mut analysis = CellAnalysis {
            cell: index,
            control: Estimate::of(control),
            noise_floor: noise_floor(values),
            proven,
            rows: Vec::new(),
        };
        let metric = run.cells.get(index).map_or("", |cell| &cell.primary_metric);
        let arms = 0..run.arms.len();
        let rows = arms.filter_map(|arm| row(&pairs, &analysis, metric, arm));
        analysis.rows = rows.collect();
        analysis
    });
    Analysis {
        cells: cells.collect(),
        unproven,
    }
}

fn row(pairs: &Pairs, of: &CellAnalysis, metric: &str, arm: usize) -> Option<Row> {
    let samples = pairs.samples(of.cell, arm);
    if samples.is_empty() {
        return None;
    }
    let is_valid = |sample: &&&Sample| sample.invalid.is_empty();
    let valid: Vec<&Sample> = samples.iter().filter(is_valid).copied().collect();
    let values = samples.iter().filter_map(|one| one.metrics.get(metric));
    let values: Vec<f64> = values.copied().collect();
    let is_reference = arm == REFERENCE;
    let ratios = match is_reference {
        true => ByRound::new(),
        false => pairs.ratios(of.cell, arm, metric),
    };
    let ratio = Estimate::of(&ratios);
    let verdict = match ratio {
        _ if pairs.values(of.cell, arm, metric).is_empty() => Verdict::Missing,
        _ if is_reference => Verdict::NoDifference,
        None => Verdict::Missing,
        Some(ratio) if Some(arm) == pairs.control() => match (ratio.has_interval(), of.proven) {
            (false, _) => Verdict::Indicative,
            (true, true) => Verdict::NoDifference,
            (true, false) => Verdict::Unproven,
        },
        Some(_) if !of.control.is_some_and(|one| one.has_interval()) => Verdict::Indicative,
        Some(ratio) => ratio.verdict(metric, of.noise_floor.ln_1p(), of.proven),
    };
    Some(Row {
        arm,
        ratio,
        verdict,
        medians: medians(&valid),
        ratios: ratios.into_iter().collect(),
        valid: valid.len(),
        invalid: samples.len() - valid.len(),
        invalid_median: median(&values).filter(|_| valid.is_empty()),
        limiter: limiter(&valid),
    })
}

fn medians(valid: &[&Sample]) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, value) in valid.iter().flat_map(|sample| &sample.metrics) {
        if value.is_finite() {
            all.entry(name).or_default().push(*value);
        }
    }
    let medians = all.into_iter();
    medians
        .filter_map(|(name, values)| Some((name.to_owned(), median(&values)?)))
        .collect()
}

/// The limiter of most samples. The number in brackets differs between samples, so the first
/// limiter of its kind is returned.
fn limiter(valid: &[&Sample]) -> String {
    let mut kinds: Vec<(&str, u32)> = Vec::new();
    for sample in valid.iter().filter(|sample| !sample.limiter.is_empty()) {
        let kind = limiter_kind(&sample.limiter);
        match kinds
            .iter_mut()
            .find(|(known, _)| limiter_kind(known) == kind)
        {
            Some((_, count)) => *count += 1,
            None => kinds.push((&sample.limiter, 1)),
        }
    }
    let most = kinds.into_iter().rev().max_by_key(|(_, count)| *count);
    most.map_or_else(String::new, |(limiter, _)| limiter.to_owned())
}

/// A limiter without the number in brackets.
pub fn limiter_kind(limiter: &str) -> &str {
    limiter.split(" (").next().unwrap_or(limiter)
}

/// Values by round.
type ByRound = BTreeMap<u32, f64>;

fn logarithms(ratios: &ByRound) -> Vec<f64> {
    ratios.values().map(|ratio| ratio.ln()).collect()
}

/// The measured samples of a run by cell and arm. Samples of unknown cells and arms are ignored.
struct Pairs<'a> {
    run: &'a Run,
    samples: BTreeMap<(usize, usize), Vec<&'a Sample>>,
}

impl<'a> Pairs<'a> {
    fn of(run: &'a Run) -> Self {
        let mut samples: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for sample in run.samples.iter().filter(|one| one.pass == Pass::Measured) {
            if sample.arm < run.arms.len() && sample.cell < run.cells.len() {
                samples
                    .entry((sample.cell, sample.arm))
                    .or_default()
                    .push(sample);
            }
        }
        Self { run, samples }
    }

    /// The samples of an arm in a cell, including the invalid ones.
    fn samples(&self, cell: usize, arm: usize) -> &[&'a Sample] {
        self.samples.get(&(cell, arm)).map_or(&[], Vec::as_slice)
    }

    /// The index of the control, if the run has one.
    fn control(&self) -> Option<usize> {
        let arm = self.run.arms.get(CONTROL)?;
        (arm.kind == ArmKind::Control).then_some(CONTROL)
    }

    /// The values of a metric in the valid samples of an arm in a cell.
    fn values(&self, cell: usize, arm: usize, metric: &str) -> ByRound {
        let samples = self.samples(cell, arm).iter();
        let valid = samples.filter(|sample| sample.invalid.is_empty());
        let values = valid.filter_map(|one| Some((one.round, *one.metrics.get(metric)?)));
        values
            .filter(|(_, value)| value.is_finite() && *value >= 0.0)
            .collect()
    }

    /// Control / reference of each round that has both.
    fn control_ratios(&self, cell: usize, metric: &str) -> ByRound {
        let Some(control) = self.control() else {
            return ByRound::new();
        };
        let reference = self.values(cell, REFERENCE, metric);
        ratios(&self.values(cell, control, metric), &reference)
    }

    /// Arm / reference of each round that has both. The reference of a round is the geometric mean
    /// of the reference and its control, or the valid one of them. The control itself is compared
    /// with the reference alone.
    fn ratios(&self, cell: usize, arm: usize, metric: &str) -> ByRound {
        if Some(arm) == self.control() {
            return self.control_ratios(cell, metric);
        }
        let mut reference = self.values(cell, REFERENCE, metric);
        if let Some(control) = self.control() {
            for (round, value) in self.values(cell, control, metric) {
                let first = reference.entry(round).or_insert(value);
                *first = first.sqrt() * value.sqrt();
            }
        }
        ratios(&self.values(cell, arm, metric), &reference)
    }
}

/// 0 / 0 is 1. All other ratios are between a millionth and a million.
fn ratios(values: &ByRound, reference: &ByRound) -> ByRound {
    let ratio = |value: f64, reference: f64| match value == reference {
        true => 1.0,
        false => (value / reference).clamp(1.0 / MAX_RATIO, MAX_RATIO),
    };
    let pair = |(round, value): (&u32, &f64)| Some((*round, ratio(*value, *reference.get(round)?)));
    values.iter().filter_map(pair).collect()
}

/// 1 if more of a metric is better, and -1 if less is better: so that a control that is better in
/// all cells is better in the sum.
fn direction(metric: &str) -> f64 {
    match better_of(metric) {
        Better::Lower => -1.0,
        Better::Higher | Better::Neither => 1.0,
    }
}

fn is_negligible(control: &[f64]) -> bool {
    mean(control).is_none_or(|mean| mean.abs() <= NEGLIGIBLE.ln_1p())
}

/// The p-value of Student's t-test of a mean of 0. `None` with too few rounds.
fn chance(control: &[f64]) -> Option<f64> {
    let p_value = p_value(distance(control)?, control.len());
    p_value.filter(|_| control.len() >= PAIRS)
}

/// The noise floor of a cell, from the logarithms of control / reference: half of Student's 95 %
/// interval, and at least the difference of the control itself. Each cell has its own: unlike
/// workloads have unlike noise, even of the same metric.
fn noise_floor(control: &[f64]) -> f64 {
    let (Some(variance), Some(width)) = (variance(control), half_width(control.len())) else {
        return MIN_NOISE_FLOOR;
    };
    let error = (variance / count(control)).sqrt();
    let found = interval(control).map_or(0.0, |found| found.middle.abs());
    (width * error).max(found).exp_m1().max(MIN_NOISE_FLOOR)
}

/// Which cells are proven: their control differs by no more than chance allows, corrected for the
/// number of cells (Holm 1979). A cell with too few rounds has no verdicts, so it counts as proven.
fn proven(controls: &[Vec<f64>]) -> Vec<bool> {
    let p_values = controls.iter().enumerate();
    let mut order: Vec<(usize, f64)> = p_values
        .filter_map(|(index, control)| Some((index, chance(control)?)))
        .collect();
    order.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let mut proven = vec![true; controls.len()];
    let all = count(&order);
    for (rank, (index, p_value)) in (0_u32..).zip(order) {
        if p_value * (all - f64::from(rank)) > FALSE_CELL {
            break;
        }
        if let (Some(cell), Some(control)) = (proven.get_mut(index), controls.get(index)) {
            *cell = is_negligible(control);
        }
    }
    proven
}

/// Whether the run as a whole is unproven: all controls together, each with its direction, differ
/// to one side, or more than a third of the cells are unproven.
fn is_unproven(controls: &[(f64, &[f64])], proven: &[bool]) -> bool {
    let enough = controls
        .iter()
        .filter(|(_, control)| control.len() >= PAIRS);
    let failed = proven.iter().filter(|proven| !**proven).count();
    if failed > 0 && failed * 3 > enough.clone().count() {
        return true;
    }
    let (mut sum, mut spread, mut means) = (0.0, 0.0, Vec::new());
    for (direction, control) in enough {
        let Some(distance) = distance(control) else {
            continue;
        };
        let freedom = count(control) - 1.0;
        sum += direction * distance.clamp(-MAX_DISTANCE, MAX_DISTANCE);
        spread += freedom / (freedom - 2.0);
        means.extend(mean(control).map(|mean| direction * mean));
    }
    let is_one_sided = match means.len() {
        0 => false,
        // The distribution of a single one is known exactly.
        1 => {
            let p_values = controls.iter().filter_map(|(_, control)| chance(control));
            p_values
                .reduce(f64::min)
                .is_some_and(|p_value| p_value < FALSE_RUN.0)
        }
        _ => sum.abs() > FALSE_RUN.1 * spread.sqrt(),
    };
    is_one_sided && !is_negligible(&[mean(&means).unwrap_or(0.0)])
}

#[cfg(test)]
pub mod sample_runs;
#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    use super::sample_runs::{add, plain, run};
    use super::*;

    fn rows(run: &Run) -> Vec<Row> {
        analyse(run).cells.swap_remove(0).rows
    }

    fn verdicts(run: &Run) -> Vec<Verdict> {
        rows(run).iter().map(|row| row.verdict).collect()
    }

    /// A run whose samples are changed by arm and round.
    fn changed(mut run: Run, change: impl Fn(&mut Sample)) -> Run {
        run.samples.iter_mut().for_each(change);
        run
    }

    fn set(sample: &mut Sample, value: f64) {
        sample.metrics.insert("throughput".to_owned(), value);
    }

    #[test]
    fn a_slower_arm_is_slower_and_an_equal_arm_shows_no_difference() {
        use Verdict::{Better, NoDifference, Worse};
        let found = verdicts(&plain([1.0, 1.0, 0.86, 1.3], 8));
        assert_eq!(found, [NoDifference, NoDifference, Worse, Better]);
        assert_eq!(
            verdicts(&plain([1.0, 1.0, 1.01, 0.99], 8)),
            [NoDifference; 4]
        );
    }

    #[test]
    fn less_is_better_if_the_metric_says_so() {
        let mut run = plain([1.0, 1.0, 0.8, 1.3], 8);
        run.cells[0].primary_metric = "cpu".to_owned();
        assert_eq!(verdicts(&run)[2..], [Verdict::Worse, Verdict::Better]);
        run.cells[0].primary_metric = "little".to_owned();
        assert_eq!(verdicts(&run)[2], Verdict::Missing);
    }

    #[test]
    fn a_machine_that_becomes_slower_changes_no_ratio() {
        let ratio = rows(&plain([1.0, 1.0, 0.86, 1.0], 8))[2].ratio.unwrap();
        assert!(
            ratio.low > 0.84 && ratio.high < 0.88 && ratio.pairs == 8,
            "{ratio:?}"
        );
        assert!((ratio.median - 0.86).abs() < 0.01, "{ratio:?}");
    }

    /// The noise floor is low, but the interval of the arm includes 1.
    #[test]
    fn an_arm_that_varies_much_has_no_difference() {
        let run = changed(plain([1.0; 4], 8), |sample| {
            let factor = if sample.round < 6 { 1.15 } else { 0.85 };
            if sample.arm == 2 {
                set(sample, sample.metrics["throughput"] * factor);
            }
        });
        let row = &rows(&run)[2];
        let ratio = row.ratio.unwrap();
        assert!(ratio.median > 1.03 && ratio.low < 1.0, "{ratio:?}");
        assert_eq!(row.verdict, Verdict::NoDifference);
    }

    #[test]
    fn with_five_rounds_there_is_never_a_verdict() {
        let with = |rounds| verdicts(&plain([1.0, 1.0, 0.1, 5.0], rounds));
        assert_eq!(with(5)[2..], [Verdict::Indicative; 2]);
        assert_eq!(with(6)[2..], [Verdict::Worse, Verdict::Better]);
    }

    #[test]
    fn an_invalid_sample_removes_its_pair() {
        let run = changed(plain([1.0, 1.0, 0.86, 1.0], 8), |sample| {
            if sample.arm == 2 && sample.round < 3 {
                sample.invalid.push("steal was 4 %".to_owned());
                set(sample, 1.0);
            }
        });
        let row = &rows(&run)[2];
        let counts = (row.valid, row.invalid, row.verdict);
        assert_eq!(counts, (5, 3, Verdict::Indicative));
        assert!(row.ratios.iter().map(|(round, _)| *round).eq(3..8));
    }

    #[test]
    fn an_invalid_reference_is_replaced_by_its_control() {
        let run = changed(plain([1.0, 1.0, 0.5, 1.0], 6), |sample| {
            if sample.arm == 0 && sample.round == 0 {
                sample.invalid.push("errors".to_owned());
            }
        });
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
        assert_eq!(pairs.ratios(0, 2, "throughput"), ByRound::from([(0, 0.5)]));
        assert_eq!(pairs.ratios(0, 1, "throughput"), ByRound::from([(0, 4.0)]));
    }

    #[test]
    fn a_control_that_differs_makes_all_verdicts_unproven_and_without_one_there_is_none() {
        let mut run = plain([1.0, 1.25, 0.86, 1.0], 8);
        let analysis = analyse(&run);
        assert!(analysis.unproven && !analysis.cells[0].proven);
        assert_eq!(verdicts(&run)[1..], [Verdict::Unproven; 3]);
        run.arms[1].kind = ArmKind::Model;
        assert_eq!(verdicts(&run)[2], Verdict::Indicative);
    }

    #[test]
    fn an_arm_without_throughput_is_worse_and_not_missing() {
        let run = changed(plain([1.0; 4], 8), |sample| match sample.arm {
            2 => set(sample, 0.0),
            3 => drop(sample.metrics.remove("throughput")),
            _ => {}
        });
        assert_eq!(verdicts(&run)[2..], [Verdict::Worse, Verdict::Missing]);
    }

    #[test]
    fn samples_of_other_passes_and_of_unknown_cells_and_arms_are_ignored() {
        let mut run = plain([1.0, 1.0, 0.86, 1.0], 8);
        let before = analyse(&run);
        assert_eq!(before.cells[0].rows[2].limiter, "server processor 100 %");
        for place in [(9, 0, 0), (0, 9, 0), (0, 2, 0)] {
            add(&mut run, place, &[("throughput", 1.0)]);
        }
        run.samples.last_mut().unwrap().pass = Pass::Capacity;
        assert_eq!(analyse(&run), before);
        assert_eq!(analyse(&Run::default()), Analysis::default());
    }

    /// Eight rounds around `middle` with a standard deviation of about 2 %.
    fn control(middle: f64) -> Vec<f64> {
        let rounds = [-0.03, -0.02, -0.01, 0.0, 0.0, 0.01, 0.02, 0.03];
        rounds.iter().map(|one| one + middle).collect()
    }

    /// The proven cells, and whether the run is unproven, if more is better.
    fn judged(controls: &[Vec<f64>]) -> (Vec<bool>, bool) {
        let proven = proven(controls);
        let directed: Vec<_> = controls.iter().map(|one| (1.0, one.as_slice())).collect();
        let unproven = is_unproven(&directed, &proven);
        (proven, unproven)
    }

    #[test]
    fn a_control_that_differs_makes_its_cell_unproven_and_a_third_of_the_cells_the_run() {
        let controls =
            |middles: &[f64]| middles.iter().map(|one| control(*one)).collect::<Vec<_>>();
        assert_eq!(
            judged(&controls(&[0.0, 0.01, -0.015])),
            (vec![true; 3], false)
        );
        let one = judged(&controls(&[0.0, 0.1, 0.0, 0.0]));
        assert_eq!(one, (vec![true, false, true, true], false));
        let two = judged(&controls(&[0.2, -0.2, 0.0, 0.0]));
        assert_eq!(two, (vec![false, false, true, true], true));
        // Five rounds, and a small exact difference, prove nothing.
        assert_eq!(judged(&[control(0.5)[..5].to_vec()]), (vec![true], false));
        assert_eq!(
            judged(&[vec![0.004; 8], vec![0.004; 8]]),
            (vec![true; 2], false)
        );
    }

    /// 2.8 % are four standard errors of the mean: p = 0.005, and 0.1 with twenty cells.
    #[test]
    fn one_of_twenty_controls_may_differ_more_than_a_single_one() {
        let mut controls = vec![control(0.028)];
        assert_eq!(proven(&controls), [false]);
        controls.resize(20, control(0.0));
        assert_eq!(proven(&controls), [true; 20]);
    }

    /// 1.2 % more throughput and 1.2 % less latency are the same side.
    #[test]
    fn many_controls_that_differ_a_little_to_one_side_make_the_run_unproven() {
        let unproven = |latency: f64| {
            let (more, less) = (control(0.012), control(latency));
            let of = |n: usize| match n % 2 {
                0 => (direction("throughput"), more.as_slice()),
                _ => (direction("p99"), less.as_slice()),
            };
            is_unproven(&(0..12).map(of).collect::<Vec<_>>(), &[true; 12])
        };
        assert!(unproven(-0.012) && !unproven(0.012));
    }

    #[test]
    fn the_noise_floor_is_that_of_the_cell_and_at_least_its_difference_and_2_5_percent() {
        assert_eq!(noise_floor(&[]), MIN_NOISE_FLOOR);
        assert_eq!(noise_floor(&control(0.0)), MIN_NOISE_FLOOR);
        // Variance 0.0028 / 7, times 16; Student's t of seven degrees of freedom is 2.365.
        let noisy: Vec<f64> = control(0.0).iter().map(|one| one * 4.0).collect();
        let expected = (2.365_f64 * 4.0 * (0.0028 / 7.0 / 8.0_f64).sqrt()).exp_m1();
        assert!((noise_floor(&noisy) - expected).abs() < 1e-4);
        assert!((noise_floor(&control(0.08)) - 0.08_f64.exp_m1()).abs() < 1e-12);
    }

    /// `mixed` and `burn` both have `mice.p99`, and unlike noise.
    #[test]
    fn the_noise_of_one_cell_does_not_change_the_floor_of_another() {
        let noisy = |factor: f64| {
            let mut run = run(&[("mixed a=1", "mice.p99"), ("burn a=1", "mice.p99")]);
            for round in 0..8 {
                let spread = if round % 2 == 0 { factor } else { 1.0 / factor };
                for (place, value) in [
                    ((0, 0), 5.0),
                    ((0, 1), 5.0 * spread),
                    ((1, 0), 5.0),
                    ((1, 1), 5.1),
                ] {
                    add(&mut run, (place.0, place.1, round), &[("mice.p99", value)]);
                }
            }
            analyse(&run)
                .cells
                .iter()
                .map(|cell| cell.noise_floor)
                .collect::<Vec<_>>()
        };
        let (quiet, loud) = (noisy(1.01), noisy(3.0));
        assert_eq!(quiet[1], loud[1]);
        assert!(loud[0] > 1.0, "{loud:?}");
    }

    #[test]
    fn the_half_widths_of_two_runs_add_as_the_root_of_the_sum_of_their_squares() {
        let one = |median: f64, width: f64| {
            let (low, high) = (median / width.exp(), median * width.exp());
            Estimate {
                median,
                low,
                high,
                pairs: 8,
            }
        };
        let change = one(0.9, 0.03).over(&one(0.6, 0.04));
        assert!(
            (change.median - 1.5).abs() < 1e-9 && change.pairs == 8,
            "{change:?}"
        );
        assert!(
            (change.high - 1.5 * 0.05_f64.exp()).abs() < 1e-9,
            "{change:?}"
        );
        assert!(
            (change.low - 1.5 * (-0.05_f64).exp()).abs() < 1e-9,
            "{change:?}"
        );
    }
}
