//! Holds the public connections, so that a person can follow the loop: pause, single steps and slow
//! motion.

use std::time::{Duration, Instant};

/// How long the connections stay held after the latest snapshot. A page that was closed must not
/// leave a server that answers no client.
const ABANDONED: Duration = Duration::from_secs(5);

/// The longest time between two iterations in slow motion: shorter than [`ABANDONED`].
const SLOWEST: Duration = Duration::from_secs(3);

/// Which iterations run public connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// All.
    #[default]
    Run,
    /// So many more that have work for a public connection, and then none.
    Hold { steps: u32 },
    /// One that has work, and the next one after this time.
    Slow(Duration),
}

/// What holds the public connections.
#[derive(Debug, Default)]
pub struct Hold {
    pace: Pace,
    /// In slow motion: when the next iteration may run public connections.
    next: Option<Instant>,
    /// When the page that asks for snapshots counts as closed.
    until: Option<Instant>,
}

impl Hold {
    /// The pace.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Sets the pace.
    pub fn set(&mut self, pace: Pace, now: Instant) {
        self.pace = match pace {
            Pace::Slow(time) => Pace::Slow(time.min(SLOWEST)),
            other => other,
        };
        self.next = None;
        self.keep_alive(now);
    }

    /// Holds from now on, except for one more iteration.
    pub fn step(&mut self, now: Instant) {
        let before = match self.pace {
            Pace::Hold { steps } => steps,
            Pace::Run | Pace::Slow(_) => 0,
        };
        let steps = before.saturating_add(1);
        self.set(Pace::Hold { steps }, now);
    }

    /// A page asks for a snapshot.
    pub fn keep_alive(&mut self, now: Instant) {
        self.until = Some(now + ABANDONED);
    }

    /// Whether a page asks for snapshots at `now`.
    pub fn is_watched(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Whether public connections are held at `now`.
    pub fn holds(&self, now: Instant) -> bool {
        self.is_watched(now)
            && match self.pace {
                Pace::Run => false,
                Pace::Hold { steps } => steps == 0,
                Pace::Slow(_) => self.next.is_some_and(|next| now < next),
            }
    }

    /// The iteration is over; `has_worked`: it had work for a public connection. Returns when the
    /// loop must look at this again.
    pub fn end_iteration(&mut self, now: Instant, has_worked: bool) -> Option<Instant> {
        let until = self.until.filter(|_| self.pace != Pace::Run)?;
        if until <= now {
            log::warn!("no page shows the view any more; the public connections go on");
            *self = Self::default();
            return None;
        }
        match &mut self.pace {
            Pace::Hold { steps } if has_worked => *steps = steps.saturating_sub(1),
            Pace::Slow(time) if has_worked => self.next = Some(now + *time),
            _ => {}
        }
        let next = self.next.filter(|next| now < *next);
        Some(next.map_or(until, |next| next.min(until)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn begin() -> (Hold, Instant) {
        let now = crate::clock::Now::read().instant;
        (Hold::default(), now)
    }

    #[test]
    fn a_step_lets_one_iteration_through_that_has_work() {
        let (mut hold, now) = begin();
        assert!(!hold.holds(now));
        hold.set(Pace::Hold { steps: 0 }, now);
        assert!(hold.holds(now));
        hold.step(now);
        hold.step(now);
        hold.end_iteration(now, false);
        assert_eq!(hold.pace(), Pace::Hold { steps: 2 });
        hold.end_iteration(now, true);
        assert!(!hold.holds(now));
        hold.end_iteration(now, true);
        assert!(hold.holds(now));
    }

    #[test]
    fn slow_motion_holds_after_each_iteration_that_has_work() {
        let (mut hold, now) = begin();
        hold.set(Pace::Slow(SECOND), now);
        assert!(!hold.holds(now));
        assert_eq!(hold.end_iteration(now, true), Some(now + SECOND));
        assert!(hold.holds(now + SECOND / 2));
        assert!(!hold.holds(now + SECOND));
        let due = hold.end_iteration(now + SECOND, false);
        assert_eq!(due, Some(now + ABANDONED), "it waits for an event");
    }

    #[test]
    fn nothing_is_held_five_seconds_after_the_latest_snapshot() {
        let (mut hold, now) = begin();
        hold.set(Pace::Hold { steps: 0 }, now);
        hold.keep_alive(now + SECOND);
        let late = now + SECOND + ABANDONED;
        assert!(hold.holds(late - SECOND / 10));
        assert_eq!(hold.end_iteration(now + SECOND, false), Some(late));
        assert!(!hold.holds(late));
        assert_eq!(hold.end_iteration(late, false), None);
        assert_eq!(hold.pace(), Pace::Run);
    }
}
