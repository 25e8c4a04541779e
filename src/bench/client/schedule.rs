//! When the requests of an open loop are due. No clock, no I/O.

use crate::bench::load::Arrivals;
use fastrand::Rng;

/// An endless sequence of due times, ns since the start of the schedule.
#[derive(Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    /// Mean time between two requests, ns.
    interval: f64,
    /// Requests so far.
    count: u64,
    /// The last due time.
    at: f64,
    random: Rng,
}

impl Schedule {
    /// `rate`: requests per second, above 0.
    pub fn new(rate: f64, arrivals: Arrivals, seed: u64) -> Self {
        Self {
            arrivals,
            interval: 1e9 / rate,
            count: 0,
            at: 0.0,
            random: Rng::with_seed(seed),
        }
    }

    /// The next due time.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "positive, and far below 2^53 ns, a hundred days"
    )]
    pub fn due(&mut self) -> u64 {
        self.count += 1;
        self.at = match self.arrivals {
            // A product, not a sum, so that rounding errors do not add up.
            Arrivals::Constant => self.count as f64 * self.interval,
            // The intervals of a Poisson process are exponential; 1 - u is never 0.
            Arrivals::Poisson => self.at - (1.0 - self.random.f64()).ln() * self.interval,
        };
        self.at as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_rate_has_equal_intervals() {
        let mut schedule = Schedule::new(1000.0, Arrivals::Constant, 1);
        let due: Vec<u64> = (0..4).map(|_| schedule.due()).collect();
        assert_eq!(due, [1_000_000, 2_000_000, 3_000_000, 4_000_000]);
    }

    #[test]
    fn the_same_seed_gives_the_same_times() {
        let draw = |seed| {
            let mut schedule = Schedule::new(50.0, Arrivals::Poisson, seed);
            (0..100).map(|_| schedule.due()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    /// The counts per second of a Poisson process have the rate as mean and as variance.
    #[test]
    fn a_poisson_process_has_its_mean_and_variance() {
        let mut schedule = Schedule::new(100.0, Arrivals::Poisson, 3);
        let mut counts = vec![0_i32; 2000];
        loop {
            let second = usize::try_from(schedule.due() / 1_000_000_000).unwrap();
            match counts.get_mut(second) {
                Some(count) => *count += 1,
                None => break,
            }
        }
        let mean = f64::from(counts.iter().sum::<i32>()) / 2000.0;
        let squares = counts
            .iter()
            .map(|count| (f64::from(*count) - mean).powi(2));
        let variance = squares.sum::<f64>() / 2000.0;
        assert!((mean - 100.0).abs() < 1.0, "{mean}");
        assert!((variance - 100.0).abs() < 10.0, "{variance}");
    }
}
