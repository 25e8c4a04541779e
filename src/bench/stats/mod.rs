//! Statistics of a few noisy numbers. docs/bench/statistics.md says why these methods were chosen.
//!
//! - here: median, means, variance, Jain's index
//! - [`interval`]: confidence intervals of few rounds
//! - [`student`]: Student's t-test
//! - [`histogram`]: histograms of response times

pub mod histogram;
pub mod interval;
pub mod student;

/// The median. NaN is ignored; `None` without numbers.
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let low = sorted.get(sorted.len().checked_sub(1)? / 2)?;
    let high = sorted.get(sorted.len() / 2)?;
    Some(middle(*low, *high))
}

/// The geometric mean. `None` without numbers, and if one is not above 0.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || !values.iter().all(|value| *value > 0.0) {
        return None;
    }
    let logarithms = values.iter().map(|value| value.ln());
    Some((logarithms.sum::<f64>() / count(values)).exp())
}

/// The mean. `None` without numbers.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / count(values))
}

/// The sample variance. `None` for fewer than two numbers.
pub fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (values.len() > 1).then(|| squares.sum::<f64>() / (count(values) - 1.0))
}

/// Jain's fairness index: 1 if all shares are equal, 1/n if one has everything (Jain, Chiu and Hawe
/// 1984, DEC-TR-301). `None` if the sum is 0.
pub fn fairness(shares: &[f64]) -> Option<f64> {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    (squares > 0.0).then(|| sum * sum / (count(shares) * squares))
}

/// The sorted numbers without NaN.
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let numbers = values.iter().copied().filter(|value| !value.is_nan());
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The mean of two numbers, without overflow.
fn middle(low: f64, high: f64) -> f64 {
    if low == high {
        low
    } else {
        low / 2.0 + high / 2.0
    }
}

/// The number of values as a float.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) fn count<T>(values: &[T]) -> f64 {
    values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_nan() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[f64::NAN]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, f64::NAN, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[f64::INFINITY; 2]), Some(f64::INFINITY));
        assert_eq!(median(&[f64::MAX; 2]), Some(f64::MAX));
    }

    #[test]
    fn the_geometric_mean_of_2_and_one_half_is_1() {
        assert_eq!(geometric_mean(&[2.0, 0.5]), Some(1.0));
        assert_eq!(geometric_mean(&[]), None);
        assert_eq!(geometric_mean(&[1.0, 0.0]), None);
        assert_eq!(geometric_mean(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn the_variance_is_that_of_a_sample() {
        assert_eq!(variance(&[1.0, 2.0, 3.0, 4.0]), Some(5.0 / 3.0));
        assert_eq!(variance(&[1.0]), None);
    }

    #[test]
    fn fairness_is_1_for_equal_shares_and_1_of_n_for_a_single_one() {
        assert_eq!(fairness(&[5.0; 64]), Some(1.0));
        assert_eq!(fairness(&[0.0, 8.0, 0.0, 0.0]), Some(0.25));
        assert_eq!(fairness(&[0.0; 4]), None);
        assert_eq!(fairness(&[]), None);
    }
}
