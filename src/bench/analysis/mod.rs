//! Room `bench`: what does a run say, and how sure is it?
//!
//! An [`Analysis`] is computed from a [`Run`] and never kept: the table, the report, `compare` and
//! `check` all read this one. Per cell, each arm is compared with the reference in pairs: the ratio
//! of the primary metric ([`Cell::primary_metric`]) within a round, so that a slow drift of the
//! machine is in both and falls out.
//!
//! - [`pairs`]: which samples are compared?
//! - `control`: what does chance alone do, and can the run be believed?
//! - `words`: which words may be used?
//! - `remarks`: what should a reader know of the run as a whole?
//!
//! [`Cell::primary_metric`]: super::record::Cell::primary_metric

mod control;
pub mod pairs;
mod remarks;
mod words;

use super::metrics::{Better, metric_named};
use super::record::{Cell, Run, Sample};
use super::stats::median;
use control::Control;
use pairs::{Pairs, Rounds};
use std::collections::BTreeMap;

pub use remarks::limits;

/// A ratio to the reference, and where the truth may lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The middle.
    pub median: f64,
    /// The lower end of the 95 % interval; the least ratio if there are too few pairs for one
    /// ([`PAIRS`](super::stats::interval::PAIRS)).
    pub low: f64,
    /// The upper end; the greatest ratio if there are too few pairs for an interval.
    pub high: f64,
    /// From how many rounds in which both samples count.
    pub pairs: usize,
}

/// What may be said of an arm in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Surely better than the reference, by more than chance does to the control.
    Better,
    /// Surely worse.
    Worse,
    /// Either equal, or not measured well enough to tell.
    NoDifference,
    /// Too few pairs for any verdict.
    Indicative,
    /// The control differs from the reference, so nothing else can be believed here.
    Unproven,
    /// No sample counts, or the metric is not there.
    Missing,
}

/// What a run says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Analysis {
    /// In the order of the run's cells; those whose number is out of the run's are left out.
    pub cells: Vec<CellAnalysis>,
    /// The control differs from the reference over the run as a whole.
    pub unproven: bool,
    /// What a reader should know of the run as a whole, as sentences.
    pub remarks: Vec<String>,
}

/// What is said of a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CellAnalysis {
    /// Its place in [`Run::cells`].
    pub cell: usize,
    /// Control / reference.
    pub control: Option<Estimate>,
    /// The share by which chance alone moves a ratio here: 0.02 is 2 %. An effect that is not
    /// larger has no verdict.
    pub band: f64,
    /// The control agrees with the reference.
    pub proven: bool,
    /// One for each arm that has samples here, in the order of the run's arms.
    pub rows: Vec<Row>,
}

/// What is said of an arm in a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its place in [`Run::arms`].
    pub arm: usize,
    /// Arm / reference, of the primary metric. `None` for the reference itself, and where there
    /// is no pair.
    pub ratio: Option<Estimate>,
    /// What may be said.
    pub verdict: Verdict,
    /// The median of each metric over the samples that count.
    pub medians: BTreeMap<String, f64>,
    /// The ratio of each round that counts.
    pub ratios: Vec<(u32, f64)>,
    /// Samples that count.
    pub samples: usize,
    /// Samples that do not.
    pub invalid: usize,
    /// What limits the number, of most samples.
    pub limiter: String,
}

/// Says what a run says.
pub fn analyse(run: &Run) -> Analysis {
    let pairs = Pairs::of(run);
    let controls: Vec<Control> = run
        .cells
        .iter()
        .enumerate()
        .map(|(index, cell)| {
            let ratios = pairs.control_ratios(index, &cell.primary_metric);
            Control::of(&ratios, &cell.primary_metric)
        })
        .collect();
    let proven = control::proven(&controls);
    let mut analysis = Analysis {
        unproven: control::is_unproven(&controls, &proven),
        ..Analysis::default()
    };
    let bands = control::bands(&controls).into_iter();
    for (index, ((cell, band), proven)) in run.cells.iter().zip(bands).zip(proven).enumerate() {
        let trust = Trust {
            band,
            proven,
            sure: controls.get(index).is_some_and(Control::is_sure),
        };
        let arms = 0..run.arms.len();
        let rows = arms.filter_map(|arm| row(&pairs, (index, cell), arm, trust));
        let rows: Vec<Row> = rows.collect();
        analysis.cells.push(CellAnalysis {
            cell: index,
            control: pairs::estimate(&pairs.control_ratios(index, &cell.primary_metric)),
            band,
            proven,
            rows,
        });
    }
    analysis.remarks = remarks::of(run, &analysis);
    analysis
}

/// How far a cell can be believed.
#[derive(Clone, Copy)]
struct Trust {
    band: f64,
    proven: bool,
    /// The control has enough rounds.
    sure: bool,
}

fn row(pairs: &Pairs, (index, cell): (usize, &Cell), arm: usize, trust: Trust) -> Option<Row> {
    let samples = pairs.samples(index, arm);
    if samples.is_empty() {
        return None;
    }
    let counts = |sample: &&&Sample| sample.invalid.is_empty();
    let valid: Vec<&Sample> = samples.iter().filter(counts).copied().collect();
    let is_reference = arm == pairs::REFERENCE;
    let ratios = match is_reference {
        true => Rounds::new(),
        false => pairs.ratios(index, arm, &cell.primary_metric),
    };
    let ratio = pairs::estimate(&ratios);
    let has_result = !pairs.values(index, arm, &cell.primary_metric).is_empty();
    let verdict = match ratio {
        _ if !has_result => Verdict::Missing,
        _ if is_reference => Verdict::NoDifference,
        None => Verdict::Missing,
        Some(ratio) if Some(arm) == pairs.control() => of_the_control(ratio, trust),
        Some(ratio) => verdict(ratio, trust, &cell.primary_metric),
    };
    Some(Row {
        arm,
        ratio,
        verdict,
        medians: medians(&valid, pairs.calls(index, arm)),
        ratios: ratios.into_iter().collect(),
        samples: valid.len(),
        invalid: samples.len() - valid.len(),
        limiter: limiter(&valid),
    })
}

fn verdict(ratio: Estimate, trust: Trust, metric: &str) -> Verdict {
    let better = metric_named(metric).map_or(Better::Neither, |metric| metric.better);
    if !ratio.is_sure() || !trust.sure || better == Better::Neither {
        return Verdict::Indicative;
    }
    if !trust.proven {
        return Verdict::Unproven;
    }
    if !ratio.excludes_one() || ratio.median.ln().abs() <= trust.band.ln_1p() {
        return Verdict::NoDifference;
    }
    if (ratio.median > 1.0) == (better == Better::Higher) {
        Verdict::Better
    } else {
        Verdict::Worse
    }
}

fn of_the_control(ratio: Estimate, trust: Trust) -> Verdict {
    if !ratio.is_sure() {
        Verdict::Indicative
    } else if trust.proven {
        Verdict::NoDifference
    } else {
        Verdict::Unproven
    }
}

/// The middle of each metric; system calls are from the pass in which they are counted.
fn medians(valid: &[&Sample], calls: &[&Sample]) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let counted = calls.iter().flat_map(|sample| &sample.metrics);
    let counted = counted.filter(|(name, _)| name.as_str() == CALLS);
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

/// The metric that is measured in a pass of its own.
const CALLS: &str = "syscalls";

/// What limits most samples. What stands in brackets is another number in each, so the first of
/// its kind is taken.
fn limiter(valid: &[&Sample]) -> String {
    let mut kinds: Vec<(&str, &str, u32)> = Vec::new();
    for sample in valid.iter().filter(|sample| !sample.limiter.is_empty()) {
        let kind = sample.limiter.split(" (").next().unwrap_or("");
        match kinds.iter_mut().find(|(known, _, _)| *known == kind) {
            Some((_, _, count)) => *count += 1,
            None => kinds.push((kind, &sample.limiter, 1)),
        }
    }
    let most = kinds.into_iter().rev().max_by_key(|(_, _, count)| *count);
    most.map_or_else(String::new, |(_, limiter, _)| limiter.to_owned())
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
    fn a_slower_arm_is_slower_and_an_equal_one_shows_no_difference() {
        use Verdict::{Better, NoDifference, Worse};
        let found = verdicts(&plain([1.0, 1.0, 0.86, 1.3], 8));
        assert_eq!(found, [NoDifference, NoDifference, Worse, Better]);
        let found = verdicts(&plain([1.0, 1.0, 1.01, 0.99], 8));
        assert_eq!(found, [NoDifference; 4]);
    }

    #[test]
    fn less_is_better_where_the_metric_says_so() {
        let mut run = plain([1.0, 1.0, 0.8, 1.3], 8);
        run.cells[0].primary_metric = "cpu".to_owned();
        let found = verdicts(&run);
        assert_eq!(found[2..], [Verdict::Worse, Verdict::Better]);
        run.cells[0].primary_metric = "little".to_owned();
        assert_eq!(verdicts(&run)[2], Verdict::Missing);
    }

    #[test]
    fn a_machine_that_gets_slower_moves_no_ratio() {
        let analysis = analyse(&plain([1.0, 1.0, 0.86, 1.0], 8));
        let ratio = rows(&analysis)[2].ratio.unwrap();
        assert!(ratio.low > 0.84 && ratio.high < 0.88, "{ratio:?}");
        assert!((ratio.median - 0.86).abs() < 0.01, "{ratio:?}");
        assert_eq!(ratio.pairs, 8);
        let control = analysis.cells[0].control.unwrap();
        assert!(!control.excludes_one(), "{control:?}");
    }

    /// The reference is calm, so the band is narrow: it is the arm's own spread that forbids it.
    #[test]
    fn an_arm_that_is_now_much_faster_and_now_much_slower_gets_no_word() {
        let mut run = plain([1.0, 1.0, 1.0, 1.0], 8);
        for sample in run.samples.iter_mut().filter(|one| one.arm == 2) {
            let wild = if sample.round < 6 { 1.15 } else { 0.85 };
            if let Some(value) = sample.metrics.get_mut("throughput") {
                *value *= wild;
            }
        }
        let analysis = analyse(&run);
        let row = &rows(&analysis)[2];
        let ratio = row.ratio.unwrap();
        assert!(ratio.median > 1.03 && ratio.low < 1.0, "{ratio:?}");
        assert!(analysis.cells[0].band < 0.03);
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
    fn invalid_samples_take_their_pair_with_them() {
        let mut run = plain([1.0, 1.0, 0.86, 1.0], 8);
        for sample in run
            .samples
            .iter_mut()
            .filter(|one| one.arm == 2 && one.round < 3)
        {
            sample
                .invalid
                .push("the machine was stolen from (4 %)".to_owned());
            sample.metrics.insert("throughput".to_owned(), 1.0);
        }
        let analysis = analyse(&run);
        let row = &rows(&analysis)[2];
        assert_eq!(
            (row.samples, row.invalid, row.verdict),
            (5, 3, Verdict::Indicative)
        );
        let rounds: Vec<u32> = row.ratios.iter().map(|(round, _)| *round).collect();
        assert_eq!(rounds, [3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_reference_that_does_not_count_is_replaced_by_its_control() {
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
        assert_eq!(pairs.ratios(0, 1, "throughput"), Rounds::from([(0, 4.0)]));
    }

    #[test]
    fn a_control_that_differs_leaves_nothing_to_be_believed() {
        let run = plain([1.0, 1.25, 0.86, 1.0], 8);
        let analysis = analyse(&run);
        assert!(analysis.unproven && !analysis.cells[0].proven);
        assert_eq!(verdicts(&run)[1..], [Verdict::Unproven; 3]);
        assert!(
            analysis.remarks[0].starts_with("UNPROVEN"),
            "{:?}",
            analysis.remarks
        );
    }

    #[test]
    fn without_a_control_there_is_no_verdict() {
        let mut run = plain([1.0, 1.0, 0.86, 1.0], 8);
        run.arms[1].kind = ArmKind::Model;
        assert_eq!(verdicts(&run)[2], Verdict::Indicative);
    }

    #[test]
    fn who_serves_nobody_is_worse_and_not_missing() {
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
    fn only_measured_samples_are_compared_and_calls_are_from_their_own_pass() {
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
        assert_eq!(row.samples, 8);
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
    fn samples_of_cells_and_arms_that_do_not_exist_are_left_out() {
        let mut run = plain([1.0, 1.0, 0.86, 1.0], 8);
        let before = analyse(&run);
        add(&mut run, (9, 0, 0), &[("throughput", 1.0)]);
        add(&mut run, (0, 9, 0), &[("throughput", 1.0)]);
        assert_eq!(analyse(&run), before);
    }

    #[test]
    fn a_run_without_anything_says_so() {
        let analysis = analyse(&Run::default());
        assert_eq!(analysis.cells, []);
        assert!(!analysis.unproven);
        assert_eq!(analysis.remarks.len(), 2, "{:?}", analysis.remarks);
    }

    #[test]
    fn noise_is_about_a_percent() {
        assert!((0..100).all(|n| (noise(n, n) - 1.0).abs() < 0.0126));
    }
}
