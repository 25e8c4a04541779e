//! How long was the loop away from its sockets?
//!
//! A slow disk, a slow handler, SIGSTOP or a suspended machine keep the loop from looking at its
//! sockets. Meanwhile a peer cannot move its deadline: what it sends is not read, and it is given
//! nothing to take. So the clock of the deadlines stands still for as long as the loop is away.
//!
//! A leaf: it imports nothing of ours and reads no clock.

use std::time::{Duration, Instant};

/// What a poll came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollOutcome {
    /// Events.
    Events,
    /// No event within the timeout.
    Nothing,
    /// A signal (EINTR). SIGCONT after SIGSTOP is one, for epoll_wait(2) and its like (signal(7)).
    Interrupted,
}

/// Tells waiting from being away, for a loop that works and polls in turn.
#[derive(Debug)]
pub struct Stalls {
    /// Longer than this without a look at the sockets is a stall; the rest of it is not counted.
    longest: Duration,
    latest: Option<Instant>,
}

impl Stalls {
    /// The loop begins.
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
    /// was interrupted, or that is later than its timeout, may have been stopped all the time. One
    /// that is late without an event has waited first: of what it was to wait for, the longest step
    /// is left to the peers. Returns by how much that was too long.
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
    fn only_what_is_beyond_the_longest_step_is_a_stall() {
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
