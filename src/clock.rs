//! The only place that reads a clock. Everything else is handed a [`Now`].
//!
//! Two clocks, never mixed: deadlines use the monotonic one, which no administrator
//! and no NTP daemon can move; what a person or a protocol reads (Date, logs, the age
//! of a file) uses the wall clock, which may jump and is never subtracted unchecked.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant, SystemTime};

/// One reading of both clocks. A driver takes one per turn, so two equal values mean
/// "the same turn", and everything done in a turn happens at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time: for deadlines.
    pub instant: Instant,
    /// Calendar time: for header fields, logs and the age of files.
    pub wall: SystemTime,
}

impl Now {
    /// Reads both clocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "the only function that reads them"
    )]
    pub fn read() -> Self {
        Self {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }
}

/// The processor time that this thread has used.
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}
