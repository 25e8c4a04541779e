//! Room `bench`: what must be found? The closed forms, each with its derivation. No I/O.

/// The response time at quantile `q` of an open loop whose server stops once, for `stall` ns, in a
/// measurement of `time` ns. Requests come at `rate` a second, the server can do `capacity`.
///
/// A request that comes at t after the stall has begun finds `rate * t` before it, which take
/// `rate * t / capacity` when the server goes on, so it waits
/// `stall - t * (capacity - rate) / capacity`. Longer than x waits who comes before
/// `t = (stall - x) * capacity / (capacity - rate)`: those are `t / time` of all. With `1 - q` for
/// that share, x is what stands below. It is 0 for those whom the stall does not reach.
pub fn stalled(q: f64, stall: f64, time: f64, rate: f64, capacity: f64) -> f64 {
    (stall - (1.0 - q) * time * (capacity - rate) / capacity).max(0.0)
}

/// How far the number of events of a Poisson process may be from its mean: five standard
/// deviations, of which each is the root of the mean. Chance alone is further once in two million.
pub fn poisson_spread(mean: f64) -> f64 {
    5.0 * mean.sqrt()
}

/// Variance over mean of counts in bins, which is 1 for a Poisson process and 0 for a clock.
/// `None` without bins or without counts.
pub fn dispersion(counts: &[f64]) -> Option<f64> {
    let mean = super::super::stats::mean(counts)?;
    let variance = super::super::stats::variance(counts)?;
    (mean > 0.0).then(|| variance / mean)
}

/// How far that may be from 1 for so many bins: five standard deviations of `sqrt(2 / (n - 1))`
/// (the variance of a sample variance).
pub fn dispersion_spread(bins: f64) -> f64 {
    5.0 * (2.0 / (bins - 1.0)).sqrt()
}

/// Events in bins of `width`, from the first whole one to the last whole one before `end`.
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
    fn the_closed_form_is_the_one_that_is_known() {
        let of = |q| stalled(q, 200.0 * MS, 10_000.0 * MS, 1000.0, 1e12) / MS;
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-3, "{found}");
        near(of(0.99), 100.0);
        near(of(0.999), 190.0);
        near(of(0.5), 0.0);
    }

    /// The same from a queue that is simulated request by request.
    #[test]
    fn the_closed_form_is_what_a_queue_does() {
        let (stall, time, rate, capacity) = (200.0, 2000.0, 1000.0, 5000.0);
        let (mut free, mut waits) = (0.0_f64, Vec::new());
        for number in 0..2000 {
            let came = f64::from(number) * 1000.0 / rate;
            let mut begins = came.max(free);
            if (500.0..500.0 + stall).contains(&begins) {
                begins = 500.0 + stall;
            }
            free = begins + 1000.0 / capacity;
            waits.push(free - came);
        }
        waits.sort_by(f64::total_cmp);
        for (q, place) in [(0.99, 1979), (0.95, 1899), (0.999, 1997)] {
            let truth = stalled(q, stall, time, rate, capacity);
            assert!(
                (waits[place] - truth).abs() < 1.0,
                "{q}: {} {truth}",
                waits[place]
            );
        }
    }

    #[test]
    fn a_clock_has_no_dispersion() {
        let events: Vec<u64> = (0..1000).collect();
        assert_eq!(dispersion(&bins(&events, 10, 1000)), Some(0.0));
        assert_eq!(bins(&[0, 5, 9, 10, 29, 30], 10, 30), [3.0, 1.0, 1.0]);
        assert_eq!(dispersion(&[]), None);
    }
}
