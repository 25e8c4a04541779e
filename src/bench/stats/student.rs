//! Room `bench`: could chance alone have moved the mean so far from zero?
//!
//! For the control, of which there is one in each cell: a rank test of eight rounds cannot be surer
//! than 1 in 128, which is not sure enough where twenty cells are asked.

use super::{count, mean, variance};
use std::f64::consts::FRAC_2_PI;

/// How far the mean is from zero, in standard errors. Infinite if all are the same and not zero,
/// `None` of fewer than two.
pub fn distance(values: &[f64]) -> Option<f64> {
    let (mean, variance) = (mean(values)?, variance(values)?);
    if mean == 0.0 {
        return Some(0.0);
    }
    let distance = mean / (variance / count(values)).sqrt();
    (!distance.is_nan()).then_some(distance)
}

/// How often chance alone moves the mean of so many values so many standard errors away, to either
/// side, if they are drawn from a normal curve round zero (Student 1908). `None` if `distance` is
/// not a number or there are fewer than two.
pub fn chance(distance: f64, values: usize) -> Option<f64> {
    let freedom = u32::try_from(values.checked_sub(1)?).ok()?;
    if distance.is_nan() || freedom == 0 {
        return None;
    }
    let inside = if freedom > 1000 {
        // Indistinguishable from the normal curve, of which 1000 degrees are a good stand-in.
        inside(distance.abs(), 1000)
    } else {
        inside(distance.abs(), freedom)
    };
    Some((1.0 - inside).clamp(0.0, 1.0))
}

/// The share that lies within `distance`, for whole degrees of freedom: a finite sum (Abramowitz
/// and Stegun 26.7.3 and 26.7.4).
fn inside(distance: f64, freedom: u32) -> f64 {
    let angle = (distance / f64::from(freedom).sqrt()).atan();
    let (sine, square) = (angle.sin(), angle.cos().powi(2));
    let odd = freedom % 2 == 1;
    let mut term = if odd { angle.cos() } else { 1.0 };
    let mut sum = if odd && freedom == 1 { 0.0 } else { term };
    let mut step = if odd { 2.0 } else { 1.0 };
    while step + 2.0 < f64::from(freedom) {
        term *= square * step / (step + 1.0);
        sum += term;
        step += 2.0;
    }
    if odd {
        FRAC_2_PI * (angle + sine * sum)
    } else {
        sine * sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The critical values of Student's t at 5 %, both sides.
    #[test]
    fn a_chance_is_that_of_the_tables() {
        let table = [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (4, 2.776),
            (5, 2.571),
            (7, 2.365),
            (10, 2.228),
            (30, 2.042),
            (1000, 1.962),
        ];
        for (freedom, distance) in table {
            let found = chance(distance, freedom + 1).unwrap();
            assert!((found - 0.05).abs() < 1e-4, "{freedom}: {found}");
        }
    }

    #[test]
    fn a_chance_is_of_both_sides() {
        let found = chance(-4.785, 8).unwrap();
        assert!((found - 0.002).abs() < 1e-5, "{found}");
        assert_eq!(chance(0.0, 8), Some(1.0));
        assert!(chance(f64::INFINITY, 8).unwrap() < 1e-12);
        assert_eq!(chance(1.0, 1), None);
        assert_eq!(chance(1.0, 0), None);
        assert_eq!(chance(f64::NAN, 8), None);
    }

    #[test]
    fn the_distance_is_in_standard_errors() {
        assert_eq!(distance(&[1.0, 3.0]), Some(2.0));
        assert_eq!(distance(&[2.0, 2.0]), Some(f64::INFINITY));
        assert_eq!(distance(&[0.0, 0.0]), Some(0.0));
        assert_eq!(distance(&[1.0]), None);
    }
}
