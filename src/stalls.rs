//! How long was the loop away from its sockets?
//!
//! A slow disk, a slow handler, SIGSTOP or a suspended machine keep the loop from looking at its
//! sockets. Meanwhile a peer cannot move its deadline: what it sends is not read, and it is given
//! nothing to take. So the clock of the deadlines stands still for as long as the loop is away.
//!
//! A leaf: it imports nothing of ours and reads no clock.

use std::time::{Duration, Instant};

/// Tells waiting from being away, for a loop that works and polls in turn.
#[derive(Debug)]
pub struct Stalls {
    /// Longer than this without a look at the sockets is a stall; the rest of it is not counted.
    longest: Duration,
    latest: Option<Instant>,
}

impl Stalls {
    /// The loop begins. With a quarter of the shortest timeout as `longest`, no deadline passes
    /// before the loop has looked four times.
    pub fn new(longest: Duration) -> Self {
        Self {
            longest,
            latest: None,
        }
    }

    /// The loop has worked since the last poll, and polls now. Returns by how much that was too
    /// long.
    pub fn worked(&mut self, now: Instant) -> Duration {
        self.step(now).saturating_sub(self.longest)
    }

    /// The poll came back. Waiting for peers is no stall, however long it takes. But a poll that
    /// was interrupted may have been stopped (SIGCONT interrupts epoll_wait(2), signal(7)), and one
    /// that is later than its timeout was. Returns by how much that was too long.
    pub fn polled(
        &mut self,
        now: Instant,
        timeout: Option<Duration>,
        is_interrupted: bool,
    ) -> Duration {
        let longest = self.longest;
        let step = self.step(now);
        let is_late = timeout.is_some_and(|timeout| step > timeout + longest);
        match is_interrupted || is_late {
            true => step.saturating_sub(longest),
            false => Duration::ZERO,
        }
    }

    fn step(&mut self, now: Instant) -> Duration {
        let latest = self.latest.replace(now);
        latest.map_or(Duration::ZERO, |latest| {
            now.saturating_duration_since(latest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_what_is_beyond_the_longest_step_is_a_stall() {
        let mut now = crate::clock::Now::read().instant;
        let mut stalls = Stalls::new(SECOND);
        let mut after = |seconds: u32| {
            now += SECOND * seconds;
            now
        };
        assert_eq!(stalls.worked(after(0)), Duration::ZERO, "it begins");
        assert_eq!(stalls.polled(after(50), None, false), Duration::ZERO);
        assert_eq!(stalls.worked(after(1)), Duration::ZERO);
        assert_eq!(
            stalls.polled(after(9), Some(SECOND * 9), false),
            Duration::ZERO
        );
        assert_eq!(stalls.worked(after(7)), SECOND * 6, "slow work");
        assert_eq!(stalls.polled(after(0), Some(SECOND), false), Duration::ZERO);
        assert_eq!(stalls.worked(after(0)), Duration::ZERO);
        assert_eq!(
            stalls.polled(after(20), Some(SECOND), false),
            SECOND * 19,
            "too late"
        );
        assert_eq!(stalls.polled(after(20), None, true), SECOND * 19, "stopped");
    }
}
