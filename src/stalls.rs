//! Stalls: times in which the loop does not look at its sockets.
//!
//! A slow disk, a slow handler, SIGSTOP or a suspended machine stall the loop. Meanwhile a peer
//! cannot move its deadline: the loop reads nothing from it and sends nothing to it. So the clock
//! of the deadlines stands still during a stall.
//!
//! Imports nothing of the crate, and reads no clock.

use std::time::{Duration, Instant};

/// The result of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollOutcome {
    /// Events.
    Events,
    /// No events within the timeout.
    Nothing,
    /// Interrupted by a signal (EINTR), such as SIGCONT after SIGSTOP (signal(7)).
    Interrupted,
}

/// Measures stalls, for a loop that alternates between work and polls.
#[derive(Debug)]
pub struct Stalls {
    /// A step that is longer than this is a stall. The time beyond it does not count.
    longest: Duration,
    latest: Option<Instant>,
}

impl Stalls {
    /// Begins to measure. `longest` is the longest step that is not a stall.
    pub fn new(longest: Duration) -> Self {
        Self {
            longest,
            latest: None,
        }
    }

    /// The loop has worked since the last poll, and polls now. Returns how much of that time was a
    /// stall.
    pub fn worked(&mut self, now: Instant) -> Duration {
        self.step(now).saturating_sub(self.longest)
    }

    /// The poll has returned. Waiting for peers is not a stall, however long it takes. But during a
    /// poll that was interrupted, or that returned later than its timeout, the process may have
    /// been stopped. A late poll without events has waited for its timeout before that. This time
    /// counts, except for the longest step: the peers may still need it. Returns how much of the
    /// time was a stall.
    pub fn polled(
        &mut self,
        now: Instant,
        timeout: Option<Duration>,
        outcome: PollOutcome,
    ) -> Duration {
        let longest = self.longest;
        let step = self.step(now);
        let is_late = timeout.is_some_and(|timeout| step > timeout + longest);
        let counted = match outcome {
            PollOutcome::Interrupted => longest,
            PollOutcome::Events if is_late => longest,
            PollOutcome::Nothing if is_late => timeout
                .unwrap_or_default()
                .saturating_sub(longest)
                .max(longest),
            PollOutcome::Events | PollOutcome::Nothing => step,
        };
        step.saturating_sub(counted)
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
    fn only_the_time_beyond_the_longest_step_is_a_stall() {
        let mut now = crate::clock::Now::read().instant;
        let mut stalls = Stalls::new(SECOND);
        let mut after = |seconds: u32| {
            now += SECOND * seconds;
            now
        };
        assert_eq!(stalls.worked(after(0)), Duration::ZERO, "it begins");
        assert_eq!(
            stalls.polled(after(50), None, PollOutcome::Nothing),
            Duration::ZERO
        );
        assert_eq!(stalls.worked(after(1)), Duration::ZERO);
        assert_eq!(
            stalls.polled(after(9), Some(SECOND * 9), PollOutcome::Nothing),
            Duration::ZERO
        );
        assert_eq!(stalls.worked(after(7)), SECOND * 6, "slow work");
        assert_eq!(
            stalls.polled(after(0), Some(SECOND), PollOutcome::Nothing),
            Duration::ZERO
        );
        assert_eq!(stalls.worked(after(0)), Duration::ZERO);
        let late = stalls.polled(after(20), Some(SECOND), PollOutcome::Nothing);
        assert_eq!(late, SECOND * 19);
        let later = stalls.polled(after(20), Some(SECOND * 9), PollOutcome::Nothing);
        assert_eq!(later, SECOND * 12, "8 of the 9 are over");
        let busy = stalls.polled(after(20), Some(SECOND * 9), PollOutcome::Events);
        assert_eq!(busy, SECOND * 19);
        let stopped = stalls.polled(after(20), Some(SECOND * 9), PollOutcome::Interrupted);
        assert_eq!(stopped, SECOND * 19);
    }
}
