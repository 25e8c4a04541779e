//! Room `site`: which file is it, in which state, and may it change without showing it?

use crate::http::date::HttpDate;
use rustix::fs::Stat;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment as the file system keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

impl Moment {
    pub(super) fn nanoseconds(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds)
    }

    /// Whether the clock that wrote it may still show the same. Kernels tick every 1 to 10 ms; a
    /// moment without a fraction may come from a file system that counts seconds, or pairs of
    /// them (FAT). A moment in the future is young until it has passed.
    pub(super) fn is_young(self, wall: SystemTime) -> bool {
        let tick = match self.nanoseconds {
            0 => Duration::from_secs(2),
            _ => Duration::from_millis(20),
        };
        let now = match wall.duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_nanos() as i128,
            Err(before) => -(before.duration().as_nanos() as i128),
        };
        now - self.nanoseconds() < tick.as_nanos() as i128
    }

    /// `None` before 1970, which HTTP dates can say but nobody means.
    pub(super) fn date(self) -> Option<HttpDate> {
        let since = Duration::new(u64::try_from(self.seconds).ok()?, self.nanoseconds);
        HttpDate::from_system_time(UNIX_EPOCH.checked_add(since)?)
    }
}

/// Which file it is and in which state: two equal ones mean the same bytes, once not young.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) modified: Moment,
    /// When the inode changed (st_ctime): nobody can set it back.
    pub(super) changed: Moment,
}

impl Identity {
    #[allow(clippy::unnecessary_cast, reason = "the widths differ between systems")]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: Moment {
                seconds: stat.st_mtime as i64,
                nanoseconds: stat.st_mtime_nsec as u32,
            },
            changed: Moment {
                seconds: stat.st_ctime as i64,
                nanoseconds: stat.st_ctime_nsec as u32,
            },
        }
    }

    pub(super) fn is_young(&self, wall: SystemTime) -> bool {
        self.modified.is_young(wall) || self.changed.is_young(wall)
    }
}
