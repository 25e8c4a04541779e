//! Expected values in closed form, each with its derivation. No I/O.

use crate::bench::stats::{mean, variance};

/// The response time at quantile `q` of an open loop, if the server stalls once for `stall` ns in a
/// measurement of `time` ns. Requests are due at `rate` per second, the server can serve
/// `capacity`.
///
/// A request that is due t after the beginning of the stall has `rate * t` requests before it,
/// which take `rate * t / capacity` after the stall, so its response time is
/// `stall - t * (capacity - rate) / capacity`. This is longer than x for
/// `t < (stall - x) * capacity / (capacity - rate)`, a share of `t / time` of all requests. With
/// `1 - q` for this share, x is as below. It is 0 if the stall does not reach the quantile.
pub fn stalled(q: f64, stall: f64, time: f64, rate: f64, capacity: f64) -> f64 {
    (stall - (1.0 - q) * time * (capacity - rate) / capacity).max(0.0)
}

/// The tolerance for the number of events of a Poisson process: five standard deviations, each the
/// root of the mean. By chance this is exceeded once in two million times.
pub fn poisson_tolerance(mean: f64) -> f64 {
    5.0 * mean.sqrt()
}

/// The index of dispersion, variance / mean, of counts in bins: 1 for a Poisson process, 0 for a
/// constant rate. `None` without counts.
pub fn dispersion(counts: &[f64]) -> Option<f64> {
    let (mean, variance) = (mean(counts)?, variance(counts)?);
    (mean > 0.0).then(|| variance / mean)
}

/// The tolerance for the index of dispersion of this many bins: five standard deviations of
/// `sqrt(2 / (n - 1))` (the variance of a sample variance).
pub fn dispersion_tolerance(bins: f64) -> f64 {
    5.0 * (2.0 / (bins - 1.0)).sqrt()
}

/// Counts events in bins of `width`, up to the last whole bin before `end`.
pub fn bins(events: &[u64], width: u64, end: u64) -> Vec<f64> {
    let number = usize::try_from(end / width.max(1)).unwrap_or(0);
    let mut counts = vec![0.0; number];
    for event in events {
        let bin = usize::try_from(event / width.max(1)).ok();
        if let Some(count) = bin.and_then(|bin| counts.get_mut(bin)) {
            *count += 1.0;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: f64 = 1e6;

    #[test]
    fn a_stall_of_200_ms_in_10_s_has_the_known_quantiles() {
        let of = |q| stalled(q, 200.0 * MS, 10_000.0 * MS, 1000.0, 1e12) / MS;
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-3, "{found}");
        near(of(0.99), 100.0);
        near(of(0.999), 190.0);
        near(of(0.5), 0.0);
    }

    #[test]
    fn the_closed_form_agrees_with_a_simulated_queue() {
        let (stall, time, rate, capacity) = (200.0, 2000.0, 1000.0, 5000.0);
        let (mut free, mut response_times) = (0.0_f64, Vec::new());
        for number in 0..2000 {
            let due = f64::from(number) * 1000.0 / rate;
            let mut begin = due.max(free);
            if (500.0..500.0 + stall).contains(&begin) {
                begin = 500.0 + stall;
            }
            free = begin + 1000.0 / capacity;
            response_times.push(free - due);
        }
        response_times.sort_by(f64::total_cmp);
        for (q, rank) in [(0.99, 1979), (0.95, 1899), (0.999, 1997)] {
            let expected = stalled(q, stall, time, rate, capacity);
            let found = response_times[rank];
            assert!((found - expected).abs() < 1.0, "{q}: {found} {expected}");
        }
    }

    #[test]
    fn a_constant_rate_has_no_dispersion() {
        let events: Vec<u64> = (0..1000).collect();
        assert_eq!(dispersion(&bins(&events, 10, 1000)), Some(0.0));
        assert_eq!(bins(&[0, 5, 9, 10, 29, 30], 10, 30), [3.0, 1.0, 1.0]);
        assert_eq!(dispersion(&[]), None);
    }
}
