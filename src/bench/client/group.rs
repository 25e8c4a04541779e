//! What the connections of a client group share: the request, the schedule of an open loop with the
//! requests that wait, and the statistics.

use super::recorder::Recorder;
use crate::bench::types::{Arrivals, Behavior, Group, Load};
use fastrand::Rng;
use std::collections::VecDeque;

/// A group of a load.
pub struct ClientGroup {
    /// What its connections do.
    pub behavior: Behavior,
    pub recorder: Recorder,
    /// The bytes of a request.
    pub request: Vec<u8>,
    /// Due times of the requests that wait for an idle connection.
    pub waiting: VecDeque<u64>,
    /// The connections of an open loop that have been idle; some may have been closed since.
    pub idle: VecDeque<usize>,
    /// When requests are due, in an open loop.
    schedule: Option<Schedule>,
    /// When the schedule started, ns since the generator's start.
    origin: u64,
    /// When the next request is due, ns since the generator's start.
    pub next_due: u64,
}

impl ClientGroup {
    pub fn new(group: &Group, load: &Load, seed: u64) -> Self {
        let schedule = match group.behavior {
            Behavior::Open { rate, arrivals, .. } => Some(Schedule::new(rate, arrivals, seed)),
            _ => None,
        };
        let path = group.page.as_ref().map_or("", |page| &page.path);
        let host = match (&load.http, load.target.address()) {
            (Some(http), _) => http.host.clone(),
            (None, address) => address.map_or_else(String::new, |address| address.to_string()),
        };
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
        for field in load.http.iter().flat_map(|http| &http.headers) {
            request.push_str(field);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        Self {
            behavior: group.behavior,
            recorder: Recorder::new(group),
            request: request.into_bytes(),
            waiting: VecDeque::new(),
            idle: VecDeque::new(),
            schedule,
            origin: 0,
            next_due: u64::MAX,
        }
    }

    /// Whether each request has a connection of its own.
    pub fn is_short(&self) -> bool {
        self.behavior == Behavior::Short
    }

    /// Starts the schedule.
    pub fn start(&mut self, now: u64) {
        if let Some(schedule) = &mut self.schedule {
            self.origin = now;
            self.next_due = now + schedule.due();
        }
    }

    /// Takes the next request that is due by `now` from the schedule.
    pub fn take_due(&mut self, now: u64) -> Option<u64> {
        let due = Some(self.next_due).filter(|due| *due <= now)?;
        self.next_due = self.origin + self.schedule.as_mut()?.due();
        self.recorder.due(due);
        Some(due)
    }

    /// Queues or drops a request for which no connection is idle.
    pub fn wait(&mut self, due: u64) {
        match self.behavior {
            Behavior::Open { max_waiting, .. } if self.waiting.len() < max_waiting as usize => {
                self.waiting.push_back(due);
            }
            _ => self.recorder.dropped(due),
        }
    }
}

/// An endless sequence of due times, ns since the start of the schedule.
#[derive(Debug)]
struct Schedule {
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
    fn new(rate: f64, arrivals: Arrivals, seed: u64) -> Self {
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
    fn due(&mut self) -> u64 {
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
    use crate::bench::stats::{mean, variance};

    /// The counts per second of a Poisson process have the rate as mean and as variance.
    #[test]
    fn a_poisson_process_has_its_mean_and_variance() {
        let mut schedule = Schedule::new(100.0, Arrivals::Poisson, 3);
        let mut counts = vec![0.0; 2000];
        while let Some(count) = counts.get_mut((schedule.due() / 1_000_000_000) as usize) {
            *count += 1.0;
        }
        let (mean, variance) = (mean(&counts).unwrap(), variance(&counts).unwrap());
        assert!((mean - 100.0).abs() < 1.0, "{mean}");
        assert!((variance - 100.0).abs() < 10.0, "{variance}");
    }
}
