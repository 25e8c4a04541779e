//! [`Now::read`], the function that reads the clocks. The event loop calls it before and after each
//! poll and passes the time on; threads of their own read it themselves.
//!
//! Deadlines use the monotonic clock, which cannot be set. The Date field, logs and the age of
//! files use the wall clock, which may jump: differences of it are checked.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant, SystemTime};

/// One reading of both clocks. A driver takes one after each poll and uses it until the next poll,
/// so that two equal values mean the same iteration. (The reading before the poll is only for the
/// timeout of the poll and the clock of the deadlines.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time: for deadlines.
    pub instant: Instant,
    /// Wall clock time: for header fields, logs and the age of files.
    pub wall: SystemTime,
}

impl Now {
    /// Reads both clocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "one of the functions that read a clock"
    )]
    pub fn read() -> Self {
        Self {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// Reads only the monotonic clock, to measure how long a step takes.
    #[expect(
        clippy::disallowed_methods,
        reason = "one of the functions that read a clock"
    )]
    pub fn monotonic() -> Instant {
        Instant::now()
    }
}

/// The processor time that this thread has used.
pub fn processor_time() -> Duration {
    duration(ClockId::ThreadCPUTime)
}

/// The time of the monotonic clock, which begins at an arbitrary moment, often the system's start.
pub fn monotonic_time() -> Duration {
    duration(ClockId::Monotonic)
}

fn duration(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}
