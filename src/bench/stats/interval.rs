//! Confidence intervals of few rounds.
//!
//! The interval of Wilcoxon's signed ranks. The *Walsh averages* are the means of all pairs of
//! rounds, including each round with itself. Their median is the estimate of Hodges and Lehmann
//! (1963), which one outlier does not change much. The interval cuts off as many sorted averages at
//! each end as the exact distribution of signed ranks allows for 5 %, with interpolation between
//! two of them. The only assumption is that without a difference both signs are equally likely.
//!
//! The bootstrap of a median is too narrow here: with eight rounds its 95 % interval contained the
//! true value in 91 of 100 simulated cases. See docs/bench/statistics.md.

use super::{count, median, sorted};

/// The fewest pairs for an interval: five of five have the same sign by chance once in 16.
pub const PAIRS: usize = 6;
/// From this number of pairs on, the normal approximation is used.
const NORMAL_PAIRS: usize = 50;
/// The same for two unpaired samples.
const NORMAL_UNPAIRED: usize = 20;
/// The most values that are combined with each other, which takes the square of the number. More
/// values are first averaged in groups of neighbours.
const MAX_VALUES: usize = 1000;
/// The probability outside of the interval, on both sides together.
const OUTSIDE: f64 = 0.05;
/// The quantile of the normal distribution for 2.5 % on each side.
const NORMAL: f64 = 1.959_963_984_540_054;

/// An estimate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The estimate of Hodges and Lehmann.
    pub middle: f64,
    /// The upper end.
    pub high: f64,
}

/// The estimate of the median of `differences`, with its interval. Values that are not finite are
/// ignored. `None` without values; with fewer than [`PAIRS`] the interval is the whole range.
pub fn of(differences: &[f64]) -> Option<Interval> {
    let finite = differences.iter().copied().filter(|one| one.is_finite());
    let differences = thinned(finite.collect());
    let walsh = walsh(&differences);
    let middle = median(&walsh)?;
    let (low, high) = match differences.len() {
        few if few < PAIRS => (*walsh.first()?, *walsh.last()?),
        pairs => {
            let cut = cut(pairs);
            let upper = count(&walsh) - 1.0 - cut;
            (at(&walsh, cut)?, at(&walsh, upper)?)
        }
    };
    Some(Interval { low, middle, high })
}

/// The shift from `before` to `after`, which are not paired: the median of all differences between
/// a value of one and a value of the other, with the interval of Mann and Whitney's ranks (Hodges
/// and Lehmann 1963). `None` if one is empty; with fewer than [`PAIRS`] values in one the interval
/// is the whole range.
pub fn between(before: &[f64], after: &[f64]) -> Option<Interval> {
    let finite = |values: &[f64]| {
        let finite = values.iter().copied().filter(|one| one.is_finite());
        thinned(finite.collect())
    };
    let (before, after) = (finite(before), finite(after));
    let differences = before
        .iter()
        .flat_map(|first| after.iter().map(move |second| second - first));
    let differences = sorted(&differences.collect::<Vec<_>>());
    let middle = median(&differences)?;
    let sizes = (before.len(), after.len());
    let cut = match sizes {
        (first, second) if first.min(second) < PAIRS => 0.0,
        (first, second) if first.max(second) >= NORMAL_UNPAIRED => {
            let (m, n) = (count(&before), count(&after));
            let deviation = (m * n * (m + n + 1.0) / 12.0).sqrt();
            (m * n / 2.0 - NORMAL * deviation - 0.5).max(0.0)
        }
        (first, second) => cut_of(shares_between(first, second).into_iter()),
    };
    let cut = cut.max(0.0);
    Some(Interval {
        low: at(&differences, cut)?,
        middle,
        high: at(&differences, count(&differences) - 1.0 - cut)?,
    })
}

/// The distribution of Mann and Whitney's U for `first` and `second` values: the probability of 0,
/// 1, 2, ... pairs in which the value of the first is larger. The recursion is over the largest
/// value, which is larger than all values of the other sample.
fn shares_between(first: usize, second: usize) -> Vec<f64> {
    let all = first * second + 1;
    // By number of second values, for the first values so far.
    let mut rows: Vec<Vec<f64>> = (0..=second).map(|_| vec![1.0]).collect();
    for m in 1..=first {
        let mut next: Vec<Vec<f64>> = vec![vec![1.0]];
        for n in 1..=second {
            let (larger, smaller) = (rows.get(n), next.last());
            let part = f64::from(u32::try_from(m).unwrap_or(u32::MAX))
                / f64::from(u32::try_from(m + n).unwrap_or(u32::MAX));
            let share = |place: usize| {
                let wins = place.checked_sub(n).and_then(|place| larger?.get(place));
                let loses = smaller.and_then(|row| row.get(place));
                part * wins.unwrap_or(&0.0) + (1.0 - part) * loses.unwrap_or(&0.0)
            };
            let row = (0..=m * n).map(share).collect();
            next.push(row);
        }
        rows = next;
    }
    let mut shares = rows.pop().unwrap_or_default();
    shares.resize(all, 0.0);
    shares
}

/// The sorted means of all pairs, including each value with itself.
fn walsh(values: &[f64]) -> Vec<f64> {
    let mean = |first: &f64, second: &f64| first / 2.0 + second / 2.0;
    let pairs = values.iter().enumerate().flat_map(|(index, first)| {
        let rest = values.iter().skip(index);
        rest.map(move |second| mean(first, second))
    });
    sorted(&pairs.collect::<Vec<_>>())
}

/// The index of the lower end of the interval in the sorted means, between two of them.
fn cut(pairs: usize) -> f64 {
    if pairs >= NORMAL_PAIRS {
        cut_of_many(pairs)
    } else {
        counted(pairs)
    }
}

/// The same by the exact distribution.
fn counted(pairs: usize) -> f64 {
    cut_of(shares(pairs).into_iter())
}

/// The index at which the probability outside is [`OUTSIDE`].
fn cut_of(shares: impl Iterator<Item = f64>) -> f64 {
    let mut outside = 0.0;
    for (place, share) in (0_u32..).zip(shares) {
        let with_this = outside + 2.0 * share;
        if with_this > OUTSIDE {
            return f64::from(place) - 1.0 + (OUTSIDE - outside) / (with_this - outside);
        }
        outside = with_this;
    }
    0.0
}

/// The same by the normal approximation.
fn cut_of_many(pairs: usize) -> f64 {
    let n = f64::from(u32::try_from(pairs).unwrap_or(u32::MAX));
    let mean = n * (n + 1.0) / 4.0;
    let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
    (mean - NORMAL * deviation - 0.5).max(0.0)
}

/// The distribution of the sum of the positive ranks 1 to `pairs` if all signs are equally likely:
/// the probability of 0, 1, 2, ...
fn shares(pairs: usize) -> Vec<f64> {
    let mut shares = vec![1.0];
    for rank in 1..=pairs {
        let without = shares.iter().copied().chain(std::iter::repeat_n(0.0, rank));
        let with = std::iter::repeat_n(0.0, rank).chain(shares.iter().copied());
        shares = without.zip(with).map(|(a, b)| (a + b) / 2.0).collect();
    }
    shares
}

/// The value at an index, interpolated.
fn at(sorted: &[f64], place: f64) -> Option<f64> {
    let place = place.clamp(0.0, (count(sorted) - 1.0).max(0.0));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the slice"
    )]
    let index = place.floor() as usize;
    let (low, high) = (sorted.get(index)?, sorted.get(index + 1));
    let part = place - place.floor();
    Some(high.map_or(*low, |high| low + (high - low) * part))
}

/// Means of groups of neighbours, if there are more than [`MAX_VALUES`] values.
fn thinned(values: Vec<f64>) -> Vec<f64> {
    if values.len() <= MAX_VALUES {
        return values;
    }
    let together = values.len().div_ceil(MAX_VALUES);
    let groups = values.chunks(together);
    groups
        .map(|group| group.iter().sum::<f64>() / count(group))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        assert_eq!(at_most(3), 5.0 / 256.0);
        assert_eq!(at_most(4), 7.0 / 256.0);
        assert_eq!(eight.iter().sum::<f64>(), 1.0);
        assert_eq!(eight.len(), 37);
        assert_eq!(shares(6)[0], 1.0 / 64.0);
    }

    /// Of six the outermost means are 1/64 + 1/64, the next 2/64 more: 0.05 is 0.6 of the way.
    #[test]
    fn the_interval_of_six_begins_between_the_two_least_means() {
        let found = of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        close(found, 1.0 + 0.5 * 0.6, 3.5, 6.0 - 0.5 * 0.6);
    }

    #[test]
    fn the_interval_of_eight_leaves_nearly_four_means_at_each_end() {
        let values = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
        let part = (0.05 - 10.0 / 256.0) / (4.0 / 256.0);
        // In order: 0, 0.5, 1, 1 | 1.5, ... and from above 64, 48, 40, 36 | 34, ...
        close(of(&values), 1.0 + 0.5 * part, 9.5, 36.0 - 2.0 * part);
    }

    #[test]
    fn with_fewer_than_six_values_the_interval_is_the_range() {
        // Means: 1 2 3 4 5 7.
        close(of(&[3.0, 1.0, 7.0]), 1.0, 3.5, 7.0);
        close(of(&[5.0]), 5.0, 5.0, 5.0);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[f64::NAN, f64::INFINITY]), None);
    }

    #[test]
    fn one_outlier_hardly_changes_the_estimate() {
        let quiet = of(&[0.01, -0.01, 0.02, -0.02, 0.0, 0.01, -0.01, 0.0]).unwrap();
        let outlier = of(&[0.01, -0.01, 0.02, -0.02, 0.0, 0.01, -0.01, -9.0]).unwrap();
        assert!((quiet.middle - outlier.middle).abs() < 0.01, "{outlier:?}");
    }

    #[test]
    fn the_normal_approximation_agrees_with_the_exact_distribution() {
        let (counted, curve) = (counted(NORMAL_PAIRS), cut_of_many(NORMAL_PAIRS));
        assert!((counted - curve).abs() < 1.0, "{counted} {curve}");
    }

    #[test]
    fn the_distribution_of_u_is_that_of_the_tables() {
        // Of 3 and 2 there are ten orders: 0 to 6 wins in 1 1 2 2 2 1 1 of them.
        let expected = [0.1, 0.1, 0.2, 0.2, 0.2, 0.1, 0.1];
        for (found, expected) in shares_between(3, 2).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        // The critical value of 8 and 8 at 5 % of both sides is 13: 13 of 64 or fewer wins.
        let eight = shares_between(8, 8);
        let at_most = |wins: usize| 2.0 * eight[..=wins].iter().sum::<f64>();
        assert!(at_most(13) <= 0.05 && at_most(14) > 0.05);
        assert!((eight.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_shift_between_two_samples_is_found() {
        let before = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let after = before.map(|value| value + 100.0);
        let found = between(&before, &after).unwrap();
        assert_eq!(found.middle, 100.0);
        assert!(found.low > 96.0 && found.low < 98.0, "{found:?}");
        assert!((found.low + found.high - 200.0).abs() < 1e-9, "{found:?}");
        assert_eq!(between(&[], &after), None);
        let few = between(&before[..2], &after).unwrap();
        assert_eq!((few.low, few.high), (99.0, 107.0));
        let many: Vec<f64> = (0..60).map(f64::from).collect();
        let found = between(&many, &many).unwrap();
        assert!(
            found.low < 0.0 && found.high > 0.0 && found.high < 10.0,
            "{found:?}"
        );
    }

    #[test]
    fn many_rounds_are_averaged_in_groups() {
        let many: Vec<f64> = (0..10_000).map(|n| f64::from(n % 7)).collect();
        let found = of(&many).unwrap();
        assert!(found.low <= 3.0 && found.high >= 3.0 && found.high - found.low < 0.2);
    }

    proptest! {
        #[test]
        fn the_estimate_is_in_the_interval_and_both_shift_with_the_values(
            values in prop::collection::vec(-10.0_f64..10.0, 1..40),
            shift in -5.0_f64..5.0,
        ) {
            let found = of(&values).unwrap();
            prop_assert!(found.low <= found.middle && found.middle <= found.high);
            let moved: Vec<f64> = values.iter().map(|value| value + shift).collect();
            let moved = of(&moved).unwrap();
            prop_assert!((moved.low - found.low - shift).abs() < 1e-9);
            let turned: Vec<f64> = values.iter().map(|value| -value).collect();
            let turned = of(&turned).unwrap();
            prop_assert!((turned.low + found.high).abs() < 1e-9);
        }

        #[test]
        fn no_value_causes_a_panic(values in prop::collection::vec(any::<f64>(), 0..60)) {
            of(&values);
        }
    }
}
