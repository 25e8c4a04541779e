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

#[cfg(test)]
pub mod simulation;

use super::metrics::{Better, better_of, comparatives};
use super::stats::{
    Interval, PAIRS, count, distance, half_width, interval, interval_of_ratios, mean, median,
    p_value, variance,
};
use super::types::{REFERENCE, Run, Sample};
use std::collections::BTreeMap;

/// The largest ratio. A ratio to 0 or of 0 is this or its inverse.
const MAX_RATIO: f64 = 1e6;
/// The lowest noise floor: the memory layout of a program makes as much difference (Mytkowicz et
/// al., ASPLOS 2009).
const MIN_NOISE_FLOOR: f64 = 0.025;
/// A control that differs by less is not a problem.
const NEGLIGIBLE: f64 = 0.01;
/// The probability that a good run has an unproven cell.
const FALSE_CELL: f64 = 0.02;
/// The quantile of the normal distribution for the probability that a good run is unproven as a
/// whole, which is 1 %.
const FALSE_RUN: f64 = 2.576;
/// The most standard errors that one cell contributes to the sum over the run.
const MAX_DISTANCE: f64 = 3.0;

/// The result for an arm in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the reference.
    Reference,
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
    /// The verdict on a ratio of a metric, if `noise_floor` is the logarithm of the largest ratio
    /// that is noise.
    pub fn of(ratio: &Interval, metric: &str, noise_floor: f64, proven: bool) -> Self {
        match side(ratio, metric) {
            _ if ratio.is_range() || better_of(metric) == Better::Neither => Self::Indicative,
            _ if !proven => Self::Unproven,
            Some(verdict) if ratio.middle.ln().abs() > noise_floor => verdict,
            _ => Self::NoDifference,
        }
    }

    /// The word, which depends on the metric.
    pub fn word(self, metric: &str) -> &'static str {
        let (better, worse) = comparatives(metric);
        match self {
            Self::Reference => "",
            Self::Better => better,
            Self::Worse => worse,
            Self::NoDifference => "none shown",
            Self::Indicative => "indicative",
            Self::Unproven => "unproven",
            Self::Missing => "no result",
        }
    }
}

/// Better or worse, if 1 is outside of the interval and the metric rates a server.
pub fn side(ratio: &Interval, metric: &str) -> Option<Verdict> {
    let excludes_one = ratio.low > 1.0 || ratio.high < 1.0;
    match better_of(metric) {
        Better::Neither => None,
        _ if !excludes_one => None,
        better if (ratio.middle > 1.0) == (better == Better::Higher) => Some(Verdict::Better),
        _ => Some(Verdict::Worse),
    }
}

/// The analysis of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Analysis<'r> {
    /// The cells, in the order of the run.
    pub cells: Vec<CellAnalysis<'r>>,
    /// Whether the control differs from the reference over the whole run.
    pub unproven: bool,
}

/// The analysis of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellAnalysis<'r> {
    /// Control / reference.
    pub control: Option<Interval>,
    /// The noise floor: a difference up to this share has no verdict. 0.03 is 3 %.
    pub noise_floor: f64,
    /// Whether the control agrees with the reference.
    pub proven: bool,
    /// A row for each arm that has samples, in the order of the run.
    pub rows: Vec<Row<'r>>,
}

/// The analysis of an arm in a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<'r> {
    /// The index in [`Run::arms`].
    pub arm: usize,
    /// The measured samples, with the invalid ones.
    pub samples: Vec<&'r Sample>,
    /// Arm / reference of the primary metric. `None` for the reference, and without a pair.
    pub ratio: Option<Interval>,
    /// The verdict.
    pub verdict: Verdict,
    /// The ratio of each round with a pair.
    pub ratios: Vec<f64>,
}

impl<'r> Row<'r> {
    /// The valid samples.
    pub fn valid(&self) -> impl Iterator<Item = &'r Sample> {
        let samples = self.samples.iter().copied();
        samples.filter(|sample| sample.invalid.is_empty())
    }

    /// The median of a metric over the valid samples; over all, if no sample is valid.
    pub fn median(&self, metric: &str) -> Option<f64> {
        let has_valid = self.valid().next().is_some();
        let samples = self.samples.iter();
        let counted = samples.filter(|sample| sample.invalid.is_empty() || !has_valid);
        let values = counted.filter_map(|sample| sample.metrics.get(metric).copied());
        median(&values.filter(|value| value.is_finite()).collect::<Vec<_>>())
    }

    /// What limits most of the valid samples, without the number in brackets; empty if nothing.
    pub fn limiter(&self) -> &'r str {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for sample in self.valid() {
            let kind = sample.limiter.split(" (").next().unwrap_or_default();
            *counts.entry(kind).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map_or("", |(limiter, _)| limiter)
    }
}

/// Analyses a run. Samples of unknown cells and arms are ignored.
pub fn analyse(run: &Run) -> Analysis<'_> {
    let mut cells = Vec::new();
    for (index, cell) in run.cells.iter().enumerate() {
        let arm = |arm| move |sample: &&Sample| (sample.cell, sample.arm) == (index, arm);
        let arms = (0..run.arms.len()).map(|index| run.measured().filter(arm(index)).collect());
        cells.push(CellSamples {
            metric: &cell.primary_metric,
            control: run.control(),
            arms: arms.collect(),
        });
    }
    let controls: Vec<Vec<f64>> = cells.iter().map(CellSamples::control).collect();
    let proven = proven(&controls);
    let mut analysis = Analysis {
        cells: Vec::new(),
        unproven: is_unproven(&controls, &proven),
    };
    for ((cell, control), proven) in cells.iter().zip(&controls).zip(proven) {
        analysis.cells.push(cell.analyse(control, proven));
    }
    analysis
}

/// The samples of a cell, for ratios of its primary metric.
struct CellSamples<'r> {
    metric: &'r str,
    control: Option<usize>,
    /// The measured samples of each arm.
    arms: Vec<Vec<&'r Sample>>,
}

impl<'r> CellSamples<'r> {
    /// The values of the metric in the valid samples of an arm, by round.
    fn values(&self, arm: usize) -> BTreeMap<u32, f64> {
        let samples = self.arms.get(arm).into_iter().flatten();
        let valid = samples.filter(|sample| sample.invalid.is_empty());
        let value = |one: &&Sample| match one.metrics.get(self.metric) {
            Some(value @ 0.0..=f64::MAX) => Some((one.round, *value)),
            _ => None,
        };
        valid.filter_map(value).collect()
    }

    /// Arm / reference of each round that has both. The reference of a round is the geometric mean
    /// of the reference and its control, or the valid one of them. The control itself is compared
    /// with the reference alone. 0 / 0 is 1, and all other ratios are between a millionth and a
    /// million.
    fn ratios(&self, arm: usize) -> Vec<f64> {
        let mut reference = self.values(REFERENCE);
        if let Some(control) = self.control.filter(|control| *control != arm) {
            for (round, value) in self.values(control) {
                let first = reference.entry(round).or_insert(value);
                *first = first.sqrt() * value.sqrt();
            }
        }
        let values = self.values(arm).into_iter();
        let pairs = values.filter_map(|(round, value)| Some((value, *reference.get(&round)?)));
        let ratio = |(value, reference): (f64, f64)| match value == reference {
            true => 1.0,
            false => (value / reference).clamp(1.0 / MAX_RATIO, MAX_RATIO),
        };
        pairs.map(ratio).collect()
    }

    /// The logarithms of control / reference of each round that has both, above 0 if the control is
    /// better: so that one that is better in all cells is better in the sum.
    fn control(&self) -> Vec<f64> {
        let ratios = self.control.map(|control| self.ratios(control));
        let ratios = ratios.into_iter().flatten();
        let direction = direction(self.metric);
        ratios.map(|ratio| direction * ratio.ln()).collect()
    }

    fn analyse(&self, control: &[f64], proven: bool) -> CellAnalysis<'r> {
        let control_ratios = self.control.map(|control| self.ratios(control));
        let mut analysis = CellAnalysis {
            control: control_ratios.and_then(|ratios| interval_of_ratios(&ratios)),
            noise_floor: noise_floor(control),
            proven,
            rows: Vec::new(),
        };
        for (arm, samples) in self.arms.iter().enumerate() {
            if !samples.is_empty() {
                let row = self.row(&analysis, arm, samples);
                analysis.rows.push(row);
            }
        }
        analysis
    }

    fn row(&self, of: &CellAnalysis, arm: usize, samples: &[&'r Sample]) -> Row<'r> {
        let ratios = match arm {
            REFERENCE => Vec::new(),
            arm => self.ratios(arm),
        };
        let ratio = interval_of_ratios(&ratios);
        let is_control = Some(arm) == self.control;
        let verdict = match ratio {
            _ if self.values(arm).is_empty() => Verdict::Missing,
            _ if arm == REFERENCE => Verdict::Reference,
            None => Verdict::Missing,
            Some(_) if of.control.is_none_or(|one| one.is_range()) => Verdict::Indicative,
            // `proven` knows whether it differs.
            Some(_) if is_control && of.proven => Verdict::NoDifference,
            Some(ratio) => Verdict::of(&ratio, self.metric, of.noise_floor.ln_1p(), of.proven),
        };
        Row {
            arm,
            samples: samples.to_vec(),
            ratio,
            verdict,
            ratios,
        }
    }
}

/// 1 if more of a metric is better, and -1 if less is better.
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

/// The noise floor of a cell, from the logarithms of its control: half of Student's 95 %
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
    let p_values = (0..).zip(controls);
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

/// Whether the run as a whole is unproven: all controls together differ to one side, or more than a
/// third of the cells are unproven. (A single cell is unproven before its sum is.)
fn is_unproven(controls: &[Vec<f64>], proven: &[bool]) -> bool {
    let enough = controls.iter().filter(|control| control.len() >= PAIRS);
    let failed = proven.iter().filter(|proven| !**proven).count();
    if failed > 0 && failed * 3 > enough.clone().count() {
        return true;
    }
    let (mut sum, mut spread, mut means) = (0.0, 0.0, Vec::new());
    for control in enough {
        if let (Some(distance), Some(mean)) = (distance(control), mean(control)) {
            let freedom = count(control) - 1.0;
            sum += distance.clamp(-MAX_DISTANCE, MAX_DISTANCE);
            spread += freedom / (freedom - 2.0);
            means.push(mean);
        }
    }
    sum.abs() > FALSE_RUN * spread.sqrt() && !is_negligible(&means)
}

#[cfg(test)]
mod tests {
    use super::simulation::{add, plain, run};
    use super::*;

    fn rows(run: &Run) -> Vec<Row<'_>> {
        analyse(run).cells.swap_remove(0).rows
    }

    /// The verdicts on the control and on the two other arms.
    fn verdicts(run: &Run) -> Vec<Verdict> {
        rows(run)[1..].iter().map(|row| row.verdict).collect()
    }

    /// A run whose samples are changed.
    fn changed(mut run: Run, change: impl Fn(&mut Sample)) -> Run {
        run.samples.iter_mut().for_each(change);
        run
    }

    fn set(sample: &mut Sample, value: f64) {
        sample.metrics.insert("throughput".to_owned(), value);
    }

    #[test]
    fn each_arm_has_a_verdict() {
        use Verdict::{Better, Indicative, Missing, NoDifference, Unproven, Worse};
        let of_metric = |metric: &str| {
            let mut run = plain([1.0, 1.0, 0.86, 1.3], 8);
            run.cells[0].primary_metric = metric.to_owned();
            run
        };
        let mut without_control = plain([1.0, 1.25, 0.86, 1.0], 8);
        without_control.arms[1].kind = crate::bench::types::ArmKind::Model;
        let nothing_served = changed(plain([1.0; 4], 8), |sample| match sample.arm {
            2 => set(sample, 0.0),
            3 => drop(sample.metrics.remove("throughput")),
            _ => {}
        });
        // The noise floor is low, but the interval of the arm includes 1.
        let varies = changed(plain([1.0; 4], 8), |sample| {
            let factor = if sample.round < 6 { 1.15 } else { 0.85 };
            if sample.arm == 2 {
                set(sample, sample.metrics["throughput"] * factor);
            }
        });
        let cases = [
            (of_metric("throughput"), [NoDifference, Worse, Better]),
            (of_metric("cpu"), [NoDifference, Worse, Better]),
            (of_metric("little"), [Missing; 3]),
            (plain([1.0, 1.0, 1.01, 0.99], 8), [NoDifference; 3]),
            (plain([1.0, 1.25, 0.86, 1.0], 8), [Unproven; 3]),
            (without_control, [Indicative; 3]),
            (nothing_served, [NoDifference, Worse, Missing]),
            (varies, [NoDifference; 3]),
        ];
        for (run, expected) in cases {
            assert_eq!(verdicts(&run), expected);
        }
    }

    #[test]
    fn with_five_rounds_there_is_never_a_verdict() {
        let with = |rounds| verdicts(&plain([1.0, 1.0, 0.1, 5.0], rounds));
        assert_eq!(with(5), [Verdict::Indicative; 3]);
        assert_eq!(with(6)[1..], [Verdict::Worse, Verdict::Better]);
    }

    #[test]
    fn a_machine_that_becomes_slower_changes_no_ratio() {
        let run = plain([1.0, 1.0, 0.86, 1.0], 8);
        let ratio = rows(&run)[2].ratio.unwrap();
        assert!(ratio.low > 0.84 && ratio.high < 0.88, "{ratio:?}");
        assert!((ratio.middle - 0.86).abs() < 0.01, "{ratio:?}");
    }

    #[test]
    fn an_invalid_sample_removes_its_pair_and_its_control_replaces_an_invalid_reference() {
        let run = changed(plain([1.0, 1.0, 0.86, 1.0], 8), |sample| {
            if sample.arm == 2 && sample.round < 3 || sample.arm == 0 && sample.round == 7 {
                sample.invalid.push("steal was 4 %".to_owned());
                set(sample, 1.0);
            }
        });
        let rows = rows(&run);
        let pairs: Vec<usize> = rows.iter().map(|row| row.ratios.len()).collect();
        assert_eq!(pairs, [0, 7, 5, 8]);
        assert_eq!((rows[2].valid().count(), rows[2].samples.len()), (5, 8));
        assert_eq!(rows[2].verdict, Verdict::Indicative);
    }

    #[test]
    fn the_reference_of_a_round_is_the_geometric_mean_of_both() {
        let mut run = run(&[("keepalive c=1", "throughput")]);
        for (arm, value) in [(0, 100.0), (1, 400.0), (2, 100.0)] {
            add(&mut run, (0, arm, 0), &[("throughput", value)]);
        }
        let rows = rows(&run);
        assert_eq!((rows[1].ratios[0], rows[2].ratios[0]), (4.0, 0.5));
    }

    #[test]
    fn samples_of_other_passes_and_of_unknown_cells_and_arms_are_ignored() {
        let few = plain([1.0, 1.0, 0.86, 1.0], 8);
        let mut run = few.clone();
        for place in [(9, 0, 0), (0, 9, 0), (0, 2, 0)] {
            add(&mut run, place, &[("throughput", 1.0)]);
        }
        run.samples.last_mut().unwrap().pass = crate::bench::types::Pass::Capacity;
        assert_eq!(analyse(&run), analyse(&few));
        assert_eq!(rows(&few)[2].limiter(), "server processor");
        assert_eq!(analyse(&Run::default()), Analysis::default());
    }

    /// Eight rounds around `middle` with a standard deviation of about 2 %.
    fn control(middle: f64) -> Vec<f64> {
        let rounds = [-0.03, -0.02, -0.01, 0.0, 0.0, 0.01, 0.02, 0.03];
        rounds.iter().map(|one| one + middle).collect()
    }

    /// The proven cells, and whether the run is unproven.
    fn judged(controls: &[Vec<f64>]) -> (Vec<bool>, bool) {
        let proven = proven(controls);
        let unproven = is_unproven(controls, &proven);
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
            let cells = [("keepalive", "throughput"), ("latency", "p99")].repeat(6);
            let mut run = run(&cells);
            for (cell, (_, metric)) in cells.iter().enumerate() {
                let middle = if *metric == "p99" { latency } else { 0.012 };
                for (round, value) in (0..).zip(control(middle)) {
                    add(&mut run, (cell, 0, round), &[(metric, 1.0)]);
                    add(&mut run, (cell, 1, round), &[(metric, value.exp())]);
                }
            }
            analyse(&run).unproven
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
        let floors = |factor: f64| {
            let mut run = run(&[("mixed a=1", "mice.p99"), ("burn a=1", "mice.p99")]);
            for round in 0..8 {
                let spread = if round % 2 == 0 { factor } else { 1.0 / factor };
                let values = [(0, 0, 5.0), (0, 1, 5.0 * spread), (1, 0, 5.0), (1, 1, 5.1)];
                for (cell, arm, value) in values {
                    add(&mut run, (cell, arm, round), &[("mice.p99", value)]);
                }
            }
            let cells = analyse(&run).cells;
            [cells[0].noise_floor, cells[1].noise_floor]
        };
        let (quiet, loud) = (floors(1.01), floors(3.0));
        assert_eq!(quiet[1], loud[1]);
        assert!(loud[0] > 1.0, "{loud:?}");
    }
}
