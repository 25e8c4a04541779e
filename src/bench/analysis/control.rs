//! Room `bench`: what does chance alone do here, and can the run be believed?
//!
//! The reference runs twice in each round. Whatever ratio its two samples have is chance, or a
//! fault of the measurement. From that come a *band*, within which no difference is told, and a
//! doubt: where the two differ more than chance makes them, nothing else is believed.

use super::pairs::Rounds;
use crate::bench::stats::{count, interval, mean, student, variance};
use std::collections::BTreeMap;

/// Differences up to this are not told, however surely they were measured: how a program happens to
/// lie in memory makes as much (Mytkowicz et al., ASPLOS 2009).
const LEAST: f64 = 0.025;
/// A control that is no farther off does no harm.
const HARMLESS: f64 = 0.01;
/// How often a run in which all is well has a cell that is called unproven.
const FALSE_CELL: f64 = 0.02;
/// How often a run in which all is well is called unproven as a whole.
const FALSE_RUN: f64 = 0.01;
/// Of the normal curve: 95 % are within.
const NORMAL: f64 = 1.96;
/// The same for 99 %, as [`FALSE_RUN`] wants it.
const NORMAL_RUN: f64 = 2.576;

/// In standard errors: a cell that is farther off speaks for itself, and not for the others.
const FARTHEST: f64 = 3.0;

/// What the control shows in a cell: the logarithms of its ratios.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Control {
    /// Of each round.
    pub differences: Vec<f64>,
    /// What was measured.
    pub metric: String,
}

impl Control {
    /// From the ratios of a cell.
    pub fn of(ratios: &Rounds, metric: &str) -> Self {
        Self {
            differences: ratios.values().map(|ratio| ratio.ln()).collect(),
            metric: metric.to_owned(),
        }
    }

    /// Whether there are enough rounds to say anything.
    pub fn is_sure(&self) -> bool {
        self.differences.len() >= interval::PAIRS
    }

    fn is_harmless(&self) -> bool {
        mean(&self.differences).is_none_or(|mean| mean.abs() <= HARMLESS.ln_1p())
    }

    /// How often chance alone takes the control so far from 1, if it can be said.
    fn chance(&self) -> Option<f64> {
        let chance = student::chance(
            student::distance(&self.differences)?,
            self.differences.len(),
        );
        chance.filter(|_| self.is_sure())
    }
}

/// By how much chance alone moves a ratio in each cell: 0.03 is 3 %. How the control spreads there
/// and how it spreads in all cells with the same metric count alike, for eight rounds are few. A
/// control that lies farther off has that as its band.
pub fn bands(controls: &[Control]) -> Vec<f64> {
    let mut pooled: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for control in controls {
        let variances = pooled.entry(&control.metric).or_default();
        variances.extend(variance(&control.differences));
    }
    let band = |control: &Control| {
        let own = variance(&control.differences);
        let all = pooled
            .get(control.metric.as_str())
            .and_then(|all| mean(all));
        let (Some(own), Some(all)) = (own, all) else {
            return LEAST;
        };
        let error = (f64::midpoint(own, all) / count(&control.differences)).sqrt();
        let found = interval::of(&control.differences).map_or(0.0, |found| found.middle.abs());
        (NORMAL * error).max(found).exp_m1().max(LEAST)
    };
    controls.iter().map(band).collect()
}

/// Which cells are proven: the control is where chance may take it, with as many cells as there are
/// (Holm 1979). A cell without enough rounds is, for it claims nothing.
pub fn proven(controls: &[Control]) -> Vec<bool> {
    let chances: Vec<Option<f64>> = controls.iter().map(Control::chance).collect();
    let mut order: Vec<(usize, f64)> = chances
        .iter()
        .enumerate()
        .filter_map(|(index, chance)| Some((index, (*chance)?)))
        .collect();
    order.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let mut proven = vec![true; controls.len()];
    let all = count(&order);
    for (rank, (index, chance)) in (0_u32..).zip(order) {
        if chance * (all - f64::from(rank)) > FALSE_CELL {
            break;
        }
        if let (Some(cell), Some(control)) = (proven.get_mut(index), controls.get(index)) {
            *cell = control.is_harmless();
        }
    }
    proven
}

/// Whether the run as a whole cannot be believed: all controls together lean to one side, or more
/// than a third of the cells are unproven.
pub fn is_unproven(controls: &[Control], proven: &[bool]) -> bool {
    let sure: Vec<&Control> = controls.iter().filter(|one| one.is_sure()).collect();
    let failed = proven.iter().filter(|proven| !**proven).count();
    if failed > 0 && failed * 3 > sure.len() {
        return true;
    }
    let (mut sum, mut spread, mut means) = (0.0, 0.0, Vec::new());
    for control in sure {
        let Some(distance) = student::distance(&control.differences) else {
            continue;
        };
        let freedom = count(&control.differences) - 1.0;
        sum += distance.clamp(-FARTHEST, FARTHEST);
        spread += freedom / (freedom - 2.0);
        means.extend(mean(&control.differences));
    }
    let leans = match means.len() {
        0 => false,
        // Of one, the curve is known exactly.
        1 => controls
            .iter()
            .filter_map(Control::chance)
            .any(|chance| chance < FALSE_RUN),
        _ => sum.abs() > NORMAL_RUN * spread.sqrt(),
    };
    leans && mean(&means).is_some_and(|mean| mean.abs() > HARMLESS.ln_1p())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight rounds round `middle`, which spread by about 2 %.
    fn control(middle: f64) -> Control {
        let rounds = [-0.03, -0.02, -0.01, 0.0, 0.0, 0.01, 0.02, 0.03];
        Control {
            differences: rounds.iter().map(|one| one + middle).collect(),
            metric: "throughput".to_owned(),
        }
    }

    #[test]
    fn a_control_that_chance_explains_proves_its_cell() {
        let controls = [control(0.0), control(0.01), control(-0.015)];
        assert_eq!(proven(&controls), [true; 3]);
        assert!(!is_unproven(&controls, &[true; 3]));
    }

    #[test]
    fn a_control_that_is_far_off_fails_its_cell_and_no_other() {
        let controls = [control(0.0), control(0.1), control(0.0), control(0.0)];
        let found = proven(&controls);
        assert_eq!(found, [true, false, true, true]);
        assert!(!is_unproven(&controls, &found));
    }

    /// 2.8 % are four errors of the mean: by chance in 5 of 1000, with twenty cells in one of ten.
    #[test]
    fn one_of_twenty_may_be_off_by_what_one_alone_may_not() {
        let mut controls = vec![control(0.028)];
        assert_eq!(proven(&controls), [false]);
        controls.resize(20, control(0.0));
        assert_eq!(proven(&controls), [true; 20]);
    }

    #[test]
    fn many_that_lean_a_little_fail_the_run_though_each_is_proven() {
        let controls = vec![control(0.012); 12];
        let found = proven(&controls);
        assert_eq!(found, [true; 12]);
        assert!(is_unproven(&controls, &found));
        let both_ways: Vec<Control> = (0..12)
            .map(|n| control(if n % 2 == 0 { 0.012 } else { -0.012 }))
            .collect();
        assert!(!is_unproven(&both_ways, &found));
    }

    #[test]
    fn a_third_of_the_cells_fails_the_run() {
        let controls = [control(0.2), control(-0.2), control(0.0), control(0.0)];
        let found = proven(&controls);
        assert_eq!(found, [false, false, true, true]);
        assert!(is_unproven(&controls, &found));
    }

    #[test]
    fn what_is_surely_a_little_off_does_no_harm() {
        let exact = Control {
            differences: vec![0.004; 8],
            metric: "memory_slope".to_owned(),
        };
        assert_eq!(proven(std::slice::from_ref(&exact)), [true]);
        assert!(!is_unproven(&[exact.clone(), exact], &[true; 2]));
    }

    #[test]
    fn five_rounds_doubt_nothing() {
        let mut few = control(0.5);
        few.differences.truncate(5);
        assert_eq!(proven(std::slice::from_ref(&few)), [true]);
        assert!(!is_unproven(&[few], &[true]));
    }

    #[test]
    fn the_band_is_what_the_control_does_and_at_least_a_few_percent() {
        // Variance 0.028 / 7 of each: the error is 0.0200 / sqrt(8).
        let calm = bands(&[control(0.0)])[0];
        let told = (1.96_f64 * (0.0028 / 7.0 / 8.0_f64).sqrt()).exp_m1();
        assert_eq!(calm, LEAST, "{told} is less");
        let mut wild = control(0.0);
        for one in &mut wild.differences {
            *one *= 4.0;
        }
        assert!((bands(&[wild.clone()])[0] - (told.ln_1p() * 4.0).exp_m1()).abs() < 1e-12);
        // Half of what it has itself, half of what all have.
        let both = bands(&[wild.clone(), control(0.0)]);
        assert!(both[0] < bands(&[wild])[0] && both[1] > LEAST, "{both:?}");
    }

    #[test]
    fn a_control_that_lies_off_has_that_as_its_band() {
        let band = bands(&[control(0.08)])[0];
        assert!((band - 0.08_f64.exp_m1()).abs() < 1e-12);
    }

    #[test]
    fn without_a_control_the_band_is_the_least() {
        assert_eq!(bands(&[Control::default()]), [LEAST]);
    }
}
