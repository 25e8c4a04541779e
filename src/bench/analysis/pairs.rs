//! The pairs of samples that are compared: those of a cell in the same round.

use super::Estimate;
use crate::bench::record::{ArmKind, Pass, Run, Sample};
use crate::bench::stats::geometric_mean;
use std::collections::BTreeMap;

/// The index of the arm with which all others are compared.
pub const REFERENCE: usize = 0;
/// The index of its control, if there is one.
const CONTROL: usize = 1;
/// The largest ratio. A ratio to 0 or of 0 is this or its inverse.
const MAX_RATIO: f64 = 1e6;

/// The samples of a run by cell and arm. Samples of unknown cells and arms are ignored.
pub struct Pairs<'a> {
    run: &'a Run,
    measured: BTreeMap<(usize, usize), Vec<&'a Sample>>,
    syscalls: BTreeMap<(usize, usize), Vec<&'a Sample>>,
}

/// Values by round.
pub type ByRound = BTreeMap<u32, f64>;

impl<'a> Pairs<'a> {
    /// Groups the samples.
    pub fn of(run: &'a Run) -> Self {
        let mut pairs = Self {
            run,
            measured: BTreeMap::new(),
            syscalls: BTreeMap::new(),
        };
        for sample in &run.samples {
            if sample.arm >= run.arms.len() || sample.cell >= run.cells.len() {
                continue;
            }
            let key = (sample.cell, sample.arm);
            match sample.pass {
                Pass::Measured => pairs.measured.entry(key).or_default().push(sample),
                Pass::Syscalls => pairs.syscalls.entry(key).or_default().push(sample),
                Pass::Capacity => {}
            }
        }
        pairs
    }

    /// The samples of an arm in a cell, including the invalid ones.
    pub fn samples(&self, cell: usize, arm: usize) -> &[&'a Sample] {
        self.measured.get(&(cell, arm)).map_or(&[], Vec::as_slice)
    }

    /// The samples of the pass that counts system calls.
    pub fn syscalls(&self, cell: usize, arm: usize) -> &[&'a Sample] {
        self.syscalls.get(&(cell, arm)).map_or(&[], Vec::as_slice)
    }

    /// The index of the control, if the run has one.
    pub fn control(&self) -> Option<usize> {
        let arm = self.run.arms.get(CONTROL)?;
        (arm.kind == ArmKind::Control).then_some(CONTROL)
    }

    /// The values of a metric in the valid samples of an arm in a cell.
    pub fn values(&self, cell: usize, arm: usize, metric: &str) -> ByRound {
        let mut values = ByRound::new();
        let samples = self.samples(cell, arm).iter();
        for sample in samples.filter(|sample| sample.invalid.is_empty()) {
            if let Some(value) = value(sample, metric) {
                values.entry(sample.round).or_insert(value);
            }
        }
        values
    }

    /// Control / reference of each round that has both.
    pub fn control_ratios(&self, cell: usize, metric: &str) -> ByRound {
        let Some(control) = self.control() else {
            return ByRound::new();
        };
        let reference = self.values(cell, REFERENCE, metric);
        ratios(&self.values(cell, control, metric), &reference)
    }

    /// Arm / reference of each round that has both. The reference of a round is the geometric mean
    /// of the reference and its control, or the valid one of them. The control itself is compared
    /// with the reference alone.
    pub fn ratios(&self, cell: usize, arm: usize, metric: &str) -> ByRound {
        if Some(arm) == self.control() {
            return self.control_ratios(cell, metric);
        }
        let mut reference = self.values(cell, REFERENCE, metric);
        if let Some(control) = self.control() {
            for (round, value) in self.values(cell, control, metric) {
                let first = reference.entry(round).or_insert(value);
                // The mean of 0 and something is 0.
                *first = geometric_mean(&[*first, value]).unwrap_or(0.0);
            }
        }
        ratios(&self.values(cell, arm, metric), &reference)
    }
}

/// A metric of a sample, if it can be compared.
fn value(sample: &Sample, metric: &str) -> Option<f64> {
    let value = *sample.metrics.get(metric)?;
    (value.is_finite() && value >= 0.0).then_some(value)
}

fn ratios(values: &ByRound, reference: &ByRound) -> ByRound {
    let pair = |(round, value): (&u32, &f64)| Some((*round, ratio(*value, *reference.get(round)?)));
    values.iter().filter_map(pair).collect()
}

/// 0 / 0 is 1. All other ratios are between a millionth and a million.
fn ratio(value: f64, reference: f64) -> f64 {
    if value == reference {
        1.0
    } else {
        (value / reference).clamp(1.0 / MAX_RATIO, MAX_RATIO)
    }
}

/// The estimate from the ratios of all rounds. `None` without ratios.
pub fn estimate(ratios: &ByRound) -> Option<Estimate> {
    let logarithms: Vec<f64> = ratios.values().map(|ratio| ratio.ln()).collect();
    Estimate::from_logarithms(&logarithms)
}
