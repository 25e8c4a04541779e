//! Room `bench`: what can be said of a few numbers that are never twice the same?
//!
//! - here: the middle of them, and how evenly something is shared
//! - [`interval`]: where may the truth lie, if there are only eight?
//! - [`student`]: could chance alone have done this?
//! - [`histogram`]: how long did requests take, over several samples?
//!
//! Which way of doing it was chosen, and what it was measured to be worth, is in
//! docs/bench/statistics.md.

pub mod histogram;
pub mod interval;
pub mod student;

/// The middle one in order, or the mean of the two in the middle. What is not a number is left
/// out; `None` if nothing is left.
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let low = sorted.get(sorted.len().checked_sub(1)? / 2)?;
    let high = sorted.get(sorted.len() / 2)?;
    Some(middle(*low, *high))
}

/// The mean of the logarithms, as a number again. `None` if there is none, or one is not above 0.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || !values.iter().all(|value| *value > 0.0) {
        return None;
    }
    let logarithms = values.iter().map(|value| value.ln());
    Some((logarithms.sum::<f64>() / count(values)).exp())
}

/// The mean. `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / count(values))
}

/// The variance of what the values were drawn from. `None` of fewer than two.
pub fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (values.len() > 1).then(|| squares.sum::<f64>() / (count(values) - 1.0))
}

/// Jain's index: 1 if all have the same, 1/n if one has everything (Jain, Chiu and Hawe 1984,
/// DEC-TR-301). `None` if nobody has anything.
pub fn fairness(shares: &[f64]) -> Option<f64> {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    (squares > 0.0).then(|| sum * sum / (count(shares) * squares))
}

/// In order, without what is not a number.
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let numbers = values.iter().copied().filter(|value| !value.is_nan());
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The mean of two, which does not overflow.
fn middle(low: f64, high: f64) -> f64 {
    if low == high {
        low
    } else {
        low / 2.0 + high / 2.0
    }
}

/// How many there are. Exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 samples")]
pub(crate) fn count<T>(values: &[T]) -> f64 {
    values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_what_is_a_number() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[f64::NAN]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, f64::NAN, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[f64::INFINITY; 2]), Some(f64::INFINITY));
        assert_eq!(median(&[f64::MAX; 2]), Some(f64::MAX));
    }

    #[test]
    fn twice_as_much_and_half_as_much_are_together_as_much() {
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
    fn fairness_is_one_for_equals_and_a_share_for_one_who_has_everything() {
        assert_eq!(fairness(&[5.0; 64]), Some(1.0));
        assert_eq!(fairness(&[0.0, 8.0, 0.0, 0.0]), Some(0.25));
        assert_eq!(fairness(&[0.0; 4]), None);
        assert_eq!(fairness(&[]), None);
    }
}
