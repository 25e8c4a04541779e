//! The clock of the deadlines: the real clock without the stalls, in which the loop does not look
//! at its sockets.
//!
//! A slow disk, a slow handler, SIGSTOP or a suspended machine stall the loop. Meanwhile a peer
//! cannot move its deadline: the loop reads nothing from it and sends nothing to it. So the clock
//! of the deadlines stands still during a stall.

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

/// The clock of the deadlines, for a loop that alternates between work and polls: the real clock
/// without the stalls.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineClock {
    /// Work that takes longer is a stall from then on.
    longest_work: Duration,
    /// The same for a poll in which the process was stopped.
    longest_poll: Duration,
    /// When the latest work or poll ended.
    latest: Option<Instant>,
    /// How far it is behind the real clock: the sum of all stalls.
    behind: Duration,
}

impl DeadlineClock {
    /// Shows the real time. The arguments are the longest work and the longest poll that are no
    /// stalls.
    pub fn new(longest_work: Duration, longest_poll: Duration) -> Self {
        Self {
            longest_work,
            longest_poll,
            latest: None,
            behind: Duration::ZERO,
        }
    }

    /// What it shows at the real time `now`.
    pub fn at(&self, now: Instant) -> Instant {
        now - self.behind
    }

    /// The real time at which it will show `deadline`, if there is no other stall.
    pub fn real_time(&self, deadline: Instant) -> Instant {
        deadline + self.behind
    }

    /// It stands still for this long.
    pub fn add_stall(&mut self, time: Duration) {
        self.behind += time;
    }

    /// The loop has worked since the last poll, and polls now.
    pub fn on_poll_begin(&mut self, now: Instant) {
        let elapsed = self.elapsed(now);
        self.add_stall(elapsed.saturating_sub(self.longest_work));
    }

    /// The poll has returned. Waiting for peers is not a stall, however long it takes. But during a
    /// poll that was interrupted, or that returned later than its timeout, the process may have
    /// been stopped. A late poll without events has waited for its timeout before that. This time
    /// counts, except for the longest poll: the peers may still need it.
    pub fn on_poll_end(&mut self, now: Instant, timeout: Option<Duration>, outcome: PollOutcome) {
        let longest = self.longest_poll;
        let elapsed = self.elapsed(now);
        let late = timeout.filter(|timeout| elapsed > *timeout + longest);
        let counted = match (outcome, late) {
            (PollOutcome::Interrupted, _) | (PollOutcome::Events, Some(_)) => longest,
            (PollOutcome::Nothing, Some(timeout)) => timeout.saturating_sub(longest).max(longest),
            (PollOutcome::Events | PollOutcome::Nothing, None) => elapsed,
        };
        self.add_stall(elapsed.saturating_sub(counted));
    }

    /// The connections were held since the latest call: it stands still for all of that time.
    pub fn on_held(&mut self, now: Instant) {
        let elapsed = self.elapsed(now);
        self.add_stall(elapsed);
    }

    fn elapsed(&mut self, now: Instant) -> Duration {
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
    fn the_clock_stands_still_beyond_the_longest_work_and_the_longest_poll() {
        let mut now = crate::clock::Now::read().instant;
        let mut clock = DeadlineClock::new(SECOND, SECOND);
        clock.on_poll_begin(now);
        // The seconds of a poll, of the work after it, and of both that are a stall.
        let mut check = |poll: u32, timeout: Option<u32>, outcome, work: u32, stall: u32| {
            let before = clock.at(now);
            now += SECOND * poll;
            clock.on_poll_end(now, timeout.map(|timeout| SECOND * timeout), outcome);
            now += SECOND * work;
            clock.on_poll_begin(now);
            assert_eq!(clock.at(now) - before, SECOND * (poll + work - stall));
        };
        check(50, None, PollOutcome::Nothing, 1, 0);
        check(9, Some(9), PollOutcome::Nothing, 7, 6);
        check(0, Some(1), PollOutcome::Nothing, 0, 0);
        check(20, Some(1), PollOutcome::Nothing, 0, 19);
        // 8 of the 9 seconds are over: the last one may still be needed.
        check(20, Some(9), PollOutcome::Nothing, 0, 12);
        check(20, Some(9), PollOutcome::Events, 0, 19);
        check(20, Some(9), PollOutcome::Interrupted, 0, 19);
    }
}
