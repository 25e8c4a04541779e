//! Statistics of a few noisy numbers. docs/bench/statistics.md says why these methods were chosen.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use std::f64::consts::FRAC_2_PI;

/// The fewest pairs for an interval: five of five have the same sign by chance once in 16.
pub const PAIRS: usize = 6;
/// The probability outside of an interval, on both sides together.
const OUTSIDE: f64 = 0.05;

/// The median. NaN is ignored; `None` without numbers.
pub fn median(values: &[f64]) -> Option<f64> {
    let numbers = values.iter().copied().filter(|value| !value.is_nan());
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    let low = *sorted.get(sorted.len().checked_sub(1)? / 2)?;
    let high = *sorted.get(sorted.len() / 2)?;
    // The midpoint of two infinities is no number.
    Some(if low == high { low } else { low.midpoint(high) })
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

/// The number of values as a float.
pub fn count<T>(values: &[T]) -> f64 {
    float(values.len() as u64)
}

/// A count as a float.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and ns of a run are far below 2^53"
)]
pub fn float(count: u64) -> f64 {
    count as f64
}

/// An estimate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    /// The estimate of Hodges and Lehmann.
    pub middle: f64,
    pub high: f64,
    /// The number of values.
    pub values: usize,
}

impl Interval {
    /// Whether there are too few values for 95 %: then it is from the least to the greatest.
    pub fn is_range(&self) -> bool {
        self.values < PAIRS
    }

    /// The interval of ratios, from that of their logarithms.
    fn exp(self) -> Self {
        Self {
            low: self.low.exp(),
            middle: self.middle.exp(),
            high: self.high.exp(),
            ..self
        }
    }

    /// This ratio, divided by an independent one: the half-widths of their logarithms add as the
    /// root of the sum of their squares.
    pub fn over(&self, other: &Self) -> Self {
        let width = |one: f64, end: f64| (one / end).ln();
        let middle = (self.middle / other.middle).ln();
        let down = width(self.middle, self.low).hypot(width(other.high, other.middle));
        let up = width(self.high, self.middle).hypot(width(other.middle, other.low));
        let logarithms = Self {
            low: middle - down,
            middle,
            high: middle + up,
            values: self.values.min(other.values),
        };
        logarithms.exp()
    }
}

/// The interval of ratios. `None` without ratios.
pub fn interval_of_ratios(ratios: &[f64]) -> Option<Interval> {
    let logarithms: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
    interval(&logarithms).map(Interval::exp)
}

/// The estimate of the median of `differences`, with the interval of Wilcoxon's signed ranks. The
/// *Walsh averages* are the means of all pairs of rounds, including each round with itself. Their
/// median is the estimate (Hodges and Lehmann 1963), which one outlier does not change much. The
/// interval cuts off as many sorted averages at each end as the exact distribution of signed ranks
/// allows for 5 %, with interpolation between two of them. The only assumption is that without a
/// difference both signs are equally likely.
///
/// Values that are not finite are ignored. `None` without values; with fewer than [`PAIRS`] the
/// interval is the whole range.
pub fn interval(differences: &[f64]) -> Option<Interval> {
    let finite = differences.iter().copied().filter(|one| one.is_finite());
    let values: Vec<f64> = finite.collect();
    let mut walsh = Vec::new();
    for (index, first) in values.iter().enumerate() {
        let rest = values.iter().skip(index);
        walsh.extend(rest.map(|second| first.midpoint(*second)));
    }
    walsh.sort_by(f64::total_cmp);
    let middle = median(&walsh)?;
    let (place, part) = cut(values.len());
    Some(Interval {
        low: between(walsh.iter().skip(place), part)?,
        middle,
        high: between(walsh.iter().rev().skip(place), part)?,
        values: values.len(),
    })
}

/// Where the interval begins in the sorted means: after this number of them, a part of the way to
/// the next. There the probability outside is [`OUTSIDE`]. With too few pairs, at the first.
fn cut(pairs: usize) -> (usize, f64) {
    let mut outside = 0.0;
    for (place, share) in shares(pairs).into_iter().enumerate() {
        let with_this = outside + 2.0 * share;
        if with_this > OUTSIDE {
            let part = (OUTSIDE - outside) / (with_this - outside);
            return place.checked_sub(1).map_or((0, 0.0), |last| (last, part));
        }
        outside = with_this;
    }
    (0, 0.0)
}

/// The number that is a part of the way from the first to the second.
fn between<'v>(mut values: impl Iterator<Item = &'v f64>, part: f64) -> Option<f64> {
    let first = values.next()?;
    let second = values.next().unwrap_or(first);
    Some(first + (second - first) * part)
}

/// The distribution of the sum of the positive ranks 1 to `pairs` if all signs are equally likely:
/// the probability of 0, 1, 2, ...
fn shares(pairs: usize) -> Vec<f64> {
    let mut shares = vec![1.0];
    for rank in 1..=pairs {
        let none = vec![0.0; rank];
        let (without, with) = ([&*shares, &*none].concat(), [&*none, &*shares].concat());
        let both = without.into_iter().zip(with);
        shares = both.map(|(a, b)| (a + b) / 2.0).collect();
    }
    shares
}

/// Student's t of a mean of 0: the distance of the mean from zero in standard errors. Infinite if
/// all values are the same and not zero; `None` for fewer than two values.
pub fn distance(values: &[f64]) -> Option<f64> {
    let (mean, variance) = (mean(values)?, variance(values)?);
    if mean == 0.0 {
        return Some(0.0);
    }
    let distance = mean / (variance / count(values)).sqrt();
    (!distance.is_nan()).then_some(distance)
}

/// The two-sided p-value of a distance of the mean of this many values (Student 1908). `None` for
/// fewer than two values. It is for the control: a rank test of eight rounds has a p-value of at
/// least 1 in 128, which is too much for twenty cells.
pub fn p_value(distance: f64, values: usize) -> Option<f64> {
    let freedom = u32::try_from(values.checked_sub(1)?).ok()?;
    (freedom > 0).then(|| (1.0 - inside(distance.abs(), freedom)).clamp(0.0, 1.0))
}

/// The probability of a distance of at most `distance`: a finite sum for whole degrees of freedom
/// (Abramowitz and Stegun 26.7.3 and 26.7.4).
fn inside(distance: f64, freedom: u32) -> f64 {
    let angle = (distance / f64::from(freedom).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let odd = freedom % 2;
    let (mut sum, mut term) = (0.0, cosine.powf(f64::from(odd)));
    for step in (2 + odd..=freedom).step_by(2) {
        sum += term;
        term *= cosine.powi(2) * f64::from(step - 1) / f64::from(step);
    }
    match odd {
        1 => FRAC_2_PI * (angle + sine * sum),
        _ => sine * sum,
    }
}

/// Half of the 95 % interval of a mean of this many values, in standard errors.
pub fn half_width(values: usize) -> Option<f64> {
    let (mut low, mut high) = (1.0, 13.0);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        match p_value(middle, values)? > OUTSIDE {
            true => low = middle,
            false => high = middle,
        }
    }
    Some(high)
}

/// Decodes a histogram of times: V2, deflated, base64.
pub fn decode(text: &str) -> Result<Histogram<u64>, String> {
    let packed = STANDARD.decode(text);
    let packed = packed.map_err(|error| format!("it is not base64 ({error})"))?;
    let decoded = Deserializer::new().deserialize(&mut packed.as_slice());
    decoded.map_err(|error| format!("it is not a histogram ({error})"))
}

/// Adds histograms bucket by bucket. `None` without histograms, and if one cannot be decoded.
pub fn merged<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<Histogram<u64>> {
    let mut all: Option<Histogram<u64>> = None;
    for text in texts {
        let one = decode(text).ok()?;
        match &mut all {
            Some(all) => all.add(&one).ok()?,
            None => all = Some(one),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::client::recorder::Times;

    #[test]
    fn the_median_ignores_nan_and_fairness_is_1_for_equal_shares_and_1_of_n_for_a_single_one() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[4.0, 1.0, f64::NAN, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[f64::INFINITY; 2]), Some(f64::INFINITY));
        assert_eq!(fairness(&[5.0; 64]), Some(1.0));
        assert_eq!(fairness(&[0.0, 8.0, 0.0, 0.0]), Some(0.25));
        assert_eq!(fairness(&[0.0; 4]), None);
    }

    fn close(found: Option<Interval>, low: f64, middle: f64, high: f64) {
        let found = found.unwrap();
        for (found, expected) in [(found.low, low), (found.middle, middle), (found.high, high)] {
            assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
        }
    }

    #[test]
    fn the_distribution_of_ranks_is_that_of_the_tables() {
        let eight = shares(8);
        let at_most = |sum: usize| eight[..=sum].iter().sum::<f64>();
        let found = [3, 4, 36].map(at_most);
        assert_eq!(found, [5.0 / 256.0, 7.0 / 256.0, 1.0]);
    }

    #[test]
    fn the_interval_leaves_out_as_many_means_as_the_ranks_allow() {
        // Of six the outermost means are 1/64 + 1/64, the next 2/64 more: 0.05 is 0.6 of the way.
        let six = interval(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        close(six, 1.0 + 0.5 * 0.6, 3.5, 6.0 - 0.5 * 0.6);
        // In order: 0, 0.5, 1, 1 | 1.5, ... and from above 64, 48, 40, 36 | 34, ...
        let eight = interval(&[0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]);
        let part = (0.05 - 10.0 / 256.0) / (4.0 / 256.0);
        close(eight, 1.0 + 0.5 * part, 9.5, 36.0 - 2.0 * part);
    }

    #[test]
    fn with_fewer_than_six_values_the_interval_is_the_range() {
        // Means: 1 2 3 4 5 7.
        close(interval(&[3.0, 1.0, 7.0]), 1.0, 3.5, 7.0);
        assert_eq!(interval(&[f64::NAN, f64::INFINITY]), None);
    }

    /// The critical values of Student's t at 5 %, both sides.
    #[test]
    fn p_values_are_those_of_the_tables() {
        let table = [(1, 12.706), (2, 4.303), (3, 3.182), (7, 2.365), (30, 2.042)];
        for (freedom, distance) in table {
            let found = p_value(-distance, freedom + 1).unwrap();
            assert!((found - 0.05).abs() < 1e-4, "{freedom}: {found}");
            let width = half_width(freedom + 1).unwrap();
            assert!((width - distance).abs() < 1e-3, "{freedom}: {width}");
        }
        assert_eq!((p_value(0.0, 8), p_value(1.0, 1)), (Some(1.0), None));
    }

    #[test]
    fn the_half_widths_of_two_ratios_add_as_the_root_of_the_sum_of_their_squares() {
        let one = |middle: f64, width: f64| Interval {
            low: middle / width.exp(),
            middle,
            high: middle * width.exp(),
            values: 8,
        };
        let change = one(0.9, 0.03).over(&one(0.6, 0.04));
        let width = 0.05_f64.exp();
        close(Some(change), 1.5 / width, 1.5, 1.5 * width);
    }

    #[test]
    fn the_distance_is_in_standard_errors() {
        assert_eq!(distance(&[1.0, 3.0]), Some(2.0));
        assert_eq!(distance(&[2.0, 2.0]), Some(f64::INFINITY));
        assert_eq!((distance(&[0.0, 0.0]), distance(&[1.0])), (Some(0.0), None));
    }

    #[test]
    fn a_sum_of_histograms_has_the_values_of_all() {
        let encoded = |times: &[u64]| {
            let mut histogram = Times::new();
            times.iter().for_each(|time| histogram.record(*time));
            histogram.encode()
        };
        let (fast, slow) = (encoded(&[1000; 99]), encoded(&[5_000_000_000]));
        let all = merged([fast.as_str(), slow.as_str()]).unwrap();
        assert_eq!(all.len(), 100);
        assert!(all.equivalent(all.max(), 5_000_000_000));
        assert!(all.equivalent(all.value_at_quantile(0.99), 1000));
        assert!(merged([]).is_none() && merged(["?"]).is_none());
    }
}
