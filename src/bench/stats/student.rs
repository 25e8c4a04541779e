//! Student's t-test of a mean of zero (Student 1908).
//!
//! It is for the control. A rank test of eight rounds has a p-value of at least 1 in 128, which is
//! too much for twenty cells.

use super::{count, mean, variance};
use std::f64::consts::FRAC_2_PI;

/// The distance of the mean from zero in standard errors. Infinite if all values are the same and
/// not zero; `None` for fewer than two values.
pub fn distance(values: &[f64]) -> Option<f64> {
    let (mean, variance) = (mean(values)?, variance(values)?);
    if mean == 0.0 {
        return Some(0.0);
    }
    let distance = mean / (variance / count(values)).sqrt();
    (!distance.is_nan()).then_some(distance)
}

/// The two-sided p-value of a distance of the mean of this many values. `None` if `distance` is not
/// a number, and for fewer than two values.
pub fn p_value(distance: f64, values: usize) -> Option<f64> {
    let freedom = u32::try_from(values.checked_sub(1)?).ok()?;
    if distance.is_nan() || freedom == 0 {
        return None;
    }
    let inside = if freedom > 1000 {
        // More degrees make no difference, and the sum has a term for each.
        inside(distance.abs(), 1000)
    } else {
        inside(distance.abs(), freedom)
    };
    Some((1.0 - inside).clamp(0.0, 1.0))
}

/// The probability of a distance of at most `distance`: a finite sum for whole degrees of freedom
/// (Abramowitz and Stegun 26.7.3 and 26.7.4).
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
    fn a_p_value_is_that_of_the_tables() {
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
            let found = p_value(distance, freedom + 1).unwrap();
            assert!((found - 0.05).abs() < 1e-4, "{freedom}: {found}");
        }
    }

    #[test]
    fn a_p_value_is_two_sided() {
        let found = p_value(-4.785, 8).unwrap();
        assert!((found - 0.002).abs() < 1e-5, "{found}");
        assert_eq!(p_value(0.0, 8), Some(1.0));
        assert!(p_value(f64::INFINITY, 8).unwrap() < 1e-12);
        assert_eq!(p_value(1.0, 1), None);
        assert_eq!(p_value(1.0, 0), None);
        assert_eq!(p_value(f64::NAN, 8), None);
    }

    #[test]
    fn the_distance_is_in_standard_errors() {
        assert_eq!(distance(&[1.0, 3.0]), Some(2.0));
        assert_eq!(distance(&[2.0, 2.0]), Some(f64::INFINITY));
        assert_eq!(distance(&[0.0, 0.0]), Some(0.0));
        assert_eq!(distance(&[1.0]), None);
    }
}
