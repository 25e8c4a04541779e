//! Room `bench`: which samples are compared with which? Those of a cell, in the same round.

use super::Estimate;
use crate::bench::record::{ArmKind, Pass, Run, Sample};
use crate::bench::stats::{geometric_mean, interval};
use std::collections::BTreeMap;

/// The place of the arm that all others are compared with.
pub const REFERENCE: usize = 0;
/// The place of its control, if there is one.
const CONTROL: usize = 1;
/// A ratio to nothing, or of nothing, is at most that far from 1.
const FAR: f64 = 1e6;

/// The samples of a run by cell and arm. Those of cells and arms that do not exist are in none.
pub struct Pairs<'a> {
    run: &'a Run,
    measured: BTreeMap<(usize, usize), Vec<&'a Sample>>,
    calls: BTreeMap<(usize, usize), Vec<&'a Sample>>,
}

/// A value for each round in which there is one.
pub type Rounds = BTreeMap<u32, f64>;

impl<'a> Pairs<'a> {
    /// Puts the samples in order.
    pub fn of(run: &'a Run) -> Self {
        let mut pairs = Self {
            run,
            measured: BTreeMap::new(),
            calls: BTreeMap::new(),
        };
        for sample in &run.samples {
            if sample.arm >= run.arms.len() || sample.cell >= run.cells.len() {
                continue;
            }
            let place = (sample.cell, sample.arm);
            match sample.pass {
                Pass::Measured => pairs.measured.entry(place).or_default().push(sample),
                Pass::Syscalls => pairs.calls.entry(place).or_default().push(sample),
                Pass::Capacity => {}
            }
        }
        pairs
    }

    /// The samples of an arm in a cell, also those that do not count.
    pub fn samples(&self, cell: usize, arm: usize) -> &[&'a Sample] {
        self.measured.get(&(cell, arm)).map_or(&[], Vec::as_slice)
    }

    /// Those from the pass in which system calls are counted.
    pub fn calls(&self, cell: usize, arm: usize) -> &[&'a Sample] {
        self.calls.get(&(cell, arm)).map_or(&[], Vec::as_slice)
    }

    /// The place of the control, if the run has one.
    pub fn control(&self) -> Option<usize> {
        let arm = self.run.arms.get(CONTROL)?;
        (arm.kind == ArmKind::Control).then_some(CONTROL)
    }

    /// A metric of an arm in a cell, of samples that count.
    pub fn values(&self, cell: usize, arm: usize, metric: &str) -> Rounds {
        let mut rounds = Rounds::new();
        let samples = self.samples(cell, arm).iter();
        for sample in samples.filter(|sample| sample.invalid.is_empty()) {
            if let Some(value) = value(sample, metric) {
                rounds.entry(sample.round).or_insert(value);
            }
        }
        rounds
    }

    /// Control / reference, of each round that has both.
    pub fn control_ratios(&self, cell: usize, metric: &str) -> Rounds {
        let Some(control) = self.control() else {
            return Rounds::new();
        };
        let reference = self.values(cell, REFERENCE, metric);
        ratios(&self.values(cell, control, metric), &reference)
    }

    /// Arm / reference, of each round that has both. The reference of a round is the geometric mean
    /// of itself and its control, or the one of them that counts; but for the control, which is
    /// compared with the reference itself.
    pub fn ratios(&self, cell: usize, arm: usize, metric: &str) -> Rounds {
        if Some(arm) == self.control() {
            return self.control_ratios(cell, metric);
        }
        let mut reference = self.values(cell, REFERENCE, metric);
        if let Some(control) = self.control() {
            for (round, value) in self.values(cell, control, metric) {
                let first = reference.entry(round).or_insert(value);
                *first = geometric_mean(&[*first, value]).unwrap_or(0.0);
            }
        }
        ratios(&self.values(cell, arm, metric), &reference)
    }
}

/// A metric of a sample, if it is one that can be compared.
fn value(sample: &Sample, metric: &str) -> Option<f64> {
    let value = *sample.metrics.get(metric)?;
    (value.is_finite() && value >= 0.0).then_some(value)
}

fn ratios(values: &Rounds, reference: &Rounds) -> Rounds {
    let pair = |(round, value): (&u32, &f64)| Some((*round, ratio(*value, *reference.get(round)?)));
    values.iter().filter_map(pair).collect()
}

/// Nothing to nothing is 1, and all others are between a millionth and a million.
fn ratio(value: f64, reference: f64) -> f64 {
    if value == reference {
        1.0
    } else {
        (value / reference).clamp(1.0 / FAR, FAR)
    }
}

/// The middle of some ratios and where it may truly lie. `None` of nothing.
pub fn estimate(ratios: &Rounds) -> Option<Estimate> {
    let logarithms: Vec<f64> = ratios.values().map(|ratio| ratio.ln()).collect();
    let found = interval::of(&logarithms)?;
    Some(Estimate {
        median: found.middle.exp(),
        low: found.low.exp(),
        high: found.high.exp(),
        pairs: logarithms.len(),
    })
}

impl Estimate {
    /// Whether there are enough pairs for an interval.
    pub fn is_sure(&self) -> bool {
        self.pairs >= interval::PAIRS
    }

    /// Whether 1 lies outside.
    pub fn excludes_one(&self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }
}
