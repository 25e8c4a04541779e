//! The control: the reference runs twice in each round.
//!
//! The ratio of its two samples differs from 1 by chance, or by a fault of the measurement. The
//! spread is the *noise floor*: no smaller difference is reported. If the ratio differs from 1 by
//! more than chance allows, the cell or the run is unproven.

use super::pairs::ByRound;
use crate::bench::metrics::{Better, better_of};
use crate::bench::stats::{count, interval, mean, student, variance};
use std::collections::BTreeMap;

/// The lowest noise floor: the memory layout of a program makes as much difference (Mytkowicz et
/// al., ASPLOS 2009).
const MIN_NOISE_FLOOR: f64 = 0.025;
/// A control that differs by less is not a problem.
const NEGLIGIBLE: f64 = 0.01;
/// The probability that a good run has an unproven cell.
const FALSE_CELL: f64 = 0.02;
/// The probability that a good run is unproven as a whole.
const FALSE_RUN: f64 = 0.01;
/// The quantile of the normal distribution for 95 %, two-sided.
const NORMAL: f64 = 1.96;
/// The same for 99 %, which is [`FALSE_RUN`].
const NORMAL_RUN: f64 = 2.576;
/// The most standard errors that one cell contributes to the sum over the run.
const MAX_DISTANCE: f64 = 3.0;

/// The control of a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Control {
    /// The logarithm of control / reference of each round.
    pub differences: Vec<f64>,
    /// The metric.
    pub metric: String,
}

impl Control {
    /// From the ratios of a cell.
    pub fn of(ratios: &ByRound, metric: &str) -> Self {
        Self {
            differences: ratios.values().map(|ratio| ratio.ln()).collect(),
            metric: metric.to_owned(),
        }
    }

    /// Whether there are enough rounds.
    pub fn has_interval(&self) -> bool {
        self.differences.len() >= interval::PAIRS
    }

    /// 1 if more is better, and -1 if less is better: so that a control that is better in all cells
    /// is better in the sum.
    fn direction(&self) -> f64 {
        match better_of(&self.metric) {
            Better::Lower => -1.0,
            Better::Higher | Better::Neither => 1.0,
        }
    }

    fn is_negligible(&self) -> bool {
        mean(&self.differences).is_none_or(|mean| mean.abs() <= NEGLIGIBLE.ln_1p())
    }

    /// The p-value of Student's t-test of a mean of 0. `None` with too few rounds.
    fn p_value(&self) -> Option<f64> {
        let p_value = student::p_value(
            student::distance(&self.differences)?,
            self.differences.len(),
        );
        p_value.filter(|_| self.has_interval())
    }
}

/// The noise floor of each cell: 0.03 is 3 %. It is 1.96 standard errors of the control, and at
/// least the difference of the control itself. Eight rounds say little about a variance, so the
/// variance is the mean of the cell's own and that of all cells with the same metric.
pub fn noise_floors(controls: &[Control]) -> Vec<f64> {
    let mut pooled: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for control in controls {
        let variances = pooled.entry(&control.metric).or_default();
        variances.extend(variance(&control.differences));
    }
    let floor = |control: &Control| {
        let own = variance(&control.differences);
        let all = pooled
            .get(control.metric.as_str())
            .and_then(|all| mean(all));
        let (Some(own), Some(all)) = (own, all) else {
            return MIN_NOISE_FLOOR;
        };
        let error = (f64::midpoint(own, all) / count(&control.differences)).sqrt();
        let found = interval::of(&control.differences).map_or(0.0, |found| found.middle.abs());
        (NORMAL * error).max(found).exp_m1().max(MIN_NOISE_FLOOR)
    };
    controls.iter().map(floor).collect()
}

/// Which cells are proven: their control differs by no more than chance allows, corrected for the
/// number of cells (Holm 1979). A cell with too few rounds has no verdicts, so it counts as proven.
pub fn proven(controls: &[Control]) -> Vec<bool> {
    let p_values: Vec<Option<f64>> = controls.iter().map(Control::p_value).collect();
    let mut order: Vec<(usize, f64)> = p_values
        .iter()
        .enumerate()
        .filter_map(|(index, p_value)| Some((index, (*p_value)?)))
        .collect();
    order.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let mut proven = vec![true; controls.len()];
    let all = count(&order);
    for (rank, (index, p_value)) in (0_u32..).zip(order) {
        if p_value * (all - f64::from(rank)) > FALSE_CELL {
            break;
        }
        if let (Some(cell), Some(control)) = (proven.get_mut(index), controls.get(index)) {
            *cell = control.is_negligible();
        }
    }
    proven
}

/// Whether the run as a whole is unproven: all controls together differ to one side, or more than a
/// third of the cells are unproven.
pub fn is_unproven(controls: &[Control], proven: &[bool]) -> bool {
    let controlled: Vec<&Control> = controls.iter().filter(|one| one.has_interval()).collect();
    let failed = proven.iter().filter(|proven| !**proven).count();
    if failed > 0 && failed * 3 > controlled.len() {
        return true;
    }
    let (mut sum, mut spread, mut means) = (0.0, 0.0, Vec::new());
    for control in controlled {
        let Some(distance) = student::distance(&control.differences) else {
            continue;
        };
        let freedom = count(&control.differences) - 1.0;
        let direction = control.direction();
        sum += direction * distance.clamp(-MAX_DISTANCE, MAX_DISTANCE);
        spread += freedom / (freedom - 2.0);
        means.extend(mean(&control.differences).map(|mean| direction * mean));
    }
    let is_one_sided = match means.len() {
        0 => false,
        // The distribution of a single one is known exactly.
        1 => controls
            .iter()
            .filter_map(Control::p_value)
            .any(|p_value| p_value < FALSE_RUN),
        _ => sum.abs() > NORMAL_RUN * spread.sqrt(),
    };
    is_one_sided && mean(&means).is_some_and(|mean| mean.abs() > NEGLIGIBLE.ln_1p())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight rounds around `middle` with a standard deviation of about 2 %.
    fn control(middle: f64) -> Control {
        let rounds = [-0.03, -0.02, -0.01, 0.0, 0.0, 0.01, 0.02, 0.03];
        Control {
            differences: rounds.iter().map(|one| one + middle).collect(),
            metric: "throughput".to_owned(),
        }
    }

    #[test]
    fn a_control_within_chance_proves_its_cell() {
        let controls = [control(0.0), control(0.01), control(-0.015)];
        assert_eq!(proven(&controls), [true; 3]);
        assert!(!is_unproven(&controls, &[true; 3]));
    }

    #[test]
    fn a_control_that_differs_makes_only_its_cell_unproven() {
        let controls = [control(0.0), control(0.1), control(0.0), control(0.0)];
        let found = proven(&controls);
        assert_eq!(found, [true, false, true, true]);
        assert!(!is_unproven(&controls, &found));
    }

    /// 2.8 % are four standard errors of the mean: p = 0.005, and 0.1 with twenty cells.
    #[test]
    fn one_of_twenty_controls_may_differ_more_than_a_single_one() {
        let mut controls = vec![control(0.028)];
        assert_eq!(proven(&controls), [false]);
        controls.resize(20, control(0.0));
        assert_eq!(proven(&controls), [true; 20]);
    }

    #[test]
    fn many_controls_that_differ_a_little_to_one_side_make_the_run_unproven() {
        let controls = vec![control(0.012); 12];
        let found = proven(&controls);
        assert_eq!(found, [true; 12]);
        assert!(is_unproven(&controls, &found));
        let both_ways: Vec<Control> = (0..12)
            .map(|n| control(if n % 2 == 0 { 0.012 } else { -0.012 }))
            .collect();
        assert!(!is_unproven(&both_ways, &found));
    }

    /// 1.2 % more throughput and 1.2 % less latency are the same side.
    #[test]
    fn controls_that_are_better_by_different_metrics_add_up() {
        let by = |metric: &str, middle: f64| Control {
            metric: metric.to_owned(),
            ..control(middle)
        };
        let controls = |latency: f64| -> Vec<Control> {
            let cells = (0..12).map(|n| match n % 2 {
                0 => by("throughput", 0.012),
                _ => by("p99", latency),
            });
            cells.collect()
        };
        assert!(is_unproven(&controls(-0.012), &[true; 12]));
        assert!(!is_unproven(&controls(0.012), &[true; 12]));
    }

    #[test]
    fn a_third_of_the_cells_makes_the_run_unproven() {
        let controls = [control(0.2), control(-0.2), control(0.0), control(0.0)];
        let found = proven(&controls);
        assert_eq!(found, [false, false, true, true]);
        assert!(is_unproven(&controls, &found));
    }

    #[test]
    fn a_small_exact_difference_is_negligible() {
        let exact = Control {
            differences: vec![0.004; 8],
            metric: "memory_slope".to_owned(),
        };
        assert_eq!(proven(std::slice::from_ref(&exact)), [true]);
        assert!(!is_unproven(&[exact.clone(), exact], &[true; 2]));
    }

    #[test]
    fn five_rounds_leave_a_cell_proven() {
        let mut few = control(0.5);
        few.differences.truncate(5);
        assert_eq!(proven(std::slice::from_ref(&few)), [true]);
        assert!(!is_unproven(&[few], &[true]));
    }

    #[test]
    fn the_noise_floor_is_the_spread_of_the_control_and_at_least_2_5_percent() {
        // Variance 0.028 / 7 of each: the error is 0.0200 / sqrt(8).
        let quiet = noise_floors(&[control(0.0)])[0];
        let expected = (1.96_f64 * (0.0028 / 7.0 / 8.0_f64).sqrt()).exp_m1();
        assert_eq!(quiet, MIN_NOISE_FLOOR, "{expected} is less");
        let mut noisy = control(0.0);
        for one in &mut noisy.differences {
            *one *= 4.0;
        }
        assert!(
            (noise_floors(&[noisy.clone()])[0] - (expected.ln_1p() * 4.0).exp_m1()).abs() < 1e-12
        );
        // The variance of a cell is half its own and half that of all cells.
        let both = noise_floors(&[noisy.clone(), control(0.0)]);
        assert!(
            both[0] < noise_floors(&[noisy])[0] && both[1] > MIN_NOISE_FLOOR,
            "{both:?}"
        );
    }

    #[test]
    fn the_noise_floor_is_at_least_the_difference_of_the_control() {
        let floor = noise_floors(&[control(0.08)])[0];
        assert!((floor - 0.08_f64.exp_m1()).abs() < 1e-12);
    }

    #[test]
    fn without_a_control_the_noise_floor_is_the_lowest() {
        assert_eq!(noise_floors(&[Control::default()]), [MIN_NOISE_FLOOR]);
    }
}
