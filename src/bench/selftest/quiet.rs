//! Room `bench`: has anybody else used the machine meanwhile?

use super::stage::number;
use crate::bench::procfs::Usage;
use crate::clock::Now;
use std::time::{Duration, Instant};

/// How long is looked before it is said that all is quiet.
const LOOK: Duration = Duration::from_millis(250);
/// How long is waited for that.
const PATIENCE: Duration = Duration::from_secs(30);
/// What others may use of a quiet machine, percent.
const QUIET: f64 = 4.0;

/// What the machine has done so far.
pub struct Watch {
    account: Option<Usage>,
    at: Instant,
}

impl Watch {
    /// From now on.
    pub fn new() -> Self {
        Self {
            account: Usage::of(std::process::id()),
            at: Now::read().instant,
        }
    }

    /// What others, and the host, have had of the machine since, percent. `None` where that cannot
    /// be asked.
    pub fn others(&self) -> Option<f64> {
        let (before, after) = (self.account?, Usage::of(std::process::id())?);
        let time = Now::read().instant.saturating_duration_since(self.at);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let whole = time.as_secs_f64() * number(processors as u64) * 1e9;
        let machine = after.machine.saturating_sub(before.machine);
        let ours = after.cpu_time.saturating_sub(before.cpu_time);
        let stolen = after.steal.saturating_sub(before.steal);
        (whole > 0.0).then(|| 100.0 * number(machine.saturating_sub(ours) + stolen) / whole)
    }
}

/// Waits until nobody else is at work, or no longer.
pub fn wait() {
    let began = Now::read().instant;
    loop {
        let watch = Watch::new();
        std::thread::sleep(LOOK);
        let waited = Now::read().instant.saturating_duration_since(began);
        if waited > PATIENCE || watch.others().is_none_or(|others| others < QUIET) {
            return;
        }
    }
}
