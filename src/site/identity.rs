//! The identity of a file: which file it is, in which state, and whether it may change without its
//! times showing it.

use crate::clock::Now;
use crate::http::date::HttpDate;
use rustix::fs::Stat;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 1990-01-01, in seconds since 1970. Earlier times were set by tools: 0 and 1 (Nix, OCI images),
/// 1980-01-01 (zip), 1985-10-26 (npm), and times before 1970.
const FIRST_PLAUSIBLE: i64 = 631_152_000;

/// A time as the file system stores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileTime {
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

impl FileTime {
    fn of(time: SystemTime) -> Self {
        let whole = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self {
                seconds: whole(since.as_secs()),
                nanoseconds: since.subsec_nanos(),
            },
            // Rounded down to a whole second.
            Err(error) => Self {
                seconds: -1 - whole(error.duration().as_secs()),
                nanoseconds: 0,
            },
        }
    }

    pub(super) fn nanoseconds(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds)
    }

    /// How long the clock that wrote it may show the same time. Kernels tick every 1 to 10 ms; a
    /// time without a fraction may be from a file system that stores seconds, or pairs of them
    /// (FAT).
    fn tick(self) -> Duration {
        match self.nanoseconds {
            0 => Duration::from_secs(2),
            _ => Duration::from_millis(20),
        }
    }

    /// Whether a later change may still get the same time: its tick may not be over at `now`.
    pub(super) fn is_recent(self, now: Now) -> bool {
        let age = Self::of(now.wall).nanoseconds() - self.nanoseconds();
        (0..self.tick().as_nanos() as i128).contains(&age)
    }

    fn is_plausible(self) -> bool {
        self.seconds >= FIRST_PLAUSIBLE
    }

    /// `None` before 1970 and from the year 10000 on.
    pub(super) fn date(self) -> Option<HttpDate> {
        let since = Duration::new(u64::try_from(self.seconds).ok()?, self.nanoseconds);
        HttpDate::from_system_time(UNIX_EPOCH.checked_add(since)?)
    }
}

/// Which file it is and in which state. If two are equal and not racy, the bytes are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) modified: FileTime,
    /// When the inode changed (st_ctime): no program can set it.
    pub(super) changed: FileTime,
}

impl Identity {
    #[allow(clippy::unnecessary_cast, reason = "the widths differ between systems")]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size.max(0).cast_unsigned(),
            modified: FileTime {
                seconds: stat.st_mtime as i64,
                nanoseconds: stat.st_mtime_nsec as u32,
            },
            changed: FileTime {
                seconds: stat.st_ctime as i64,
                nanoseconds: stat.st_ctime_nsec as u32,
            },
        }
    }

    /// Whether the clock of the file system is ahead of this system's, as that of a file server may
    /// be. A time of modification in the future does not show it: programs set those.
    pub(super) fn is_ahead(&self, now: Now) -> bool {
        self.changed > FileTime::of(now.wall)
    }

    /// Whether the file may change again without its identity showing it: the clock that wrote its
    /// times may still show the same time. If that clock is ahead, its times cannot be compared
    /// with `now`; but it has ticked if the file was `first_seen` in this state a tick ago.
    pub(super) fn is_racy(&self, first_seen: Now, now: Now) -> bool {
        let seen_for = now.instant.saturating_duration_since(first_seen.instant);
        let tick = self.changed.tick().max(self.modified.tick());
        self.modified.is_recent(now)
            || self.changed.is_recent(now)
            || self.is_ahead(now) && seen_for < tick
    }

    /// Whether a program has set the time of modification, or may have: archives, images and
    /// reproducible builds have whole seconds, and often the same for every version. Then it does
    /// not distinguish two versions of one size.
    pub(super) fn is_normalised(&self) -> bool {
        self.modified.nanoseconds == 0 || !self.modified.is_plausible()
    }

    /// Whether the time of change is a real one. Read-only images and some network file systems
    /// have none, and show that of modification.
    pub(super) fn has_change_time(&self) -> bool {
        self.changed.is_plausible()
    }

    /// When the bytes last changed, never later than `now` (RFC 9110 8.8.2.1): the time of
    /// modification; if that is implausible, the time at which the inode changed, which is not
    /// earlier; and if the clock of the file system is ahead, the time at which the file was first
    /// seen. `None`: unknown.
    pub(super) fn last_change(&self, first_seen: Now, now: Now) -> Option<FileTime> {
        let wall = FileTime::of(now.wall);
        let times = [self.modified, self.changed].into_iter();
        let mut times = times.filter(|time| time.is_plausible()).peekable();
        times.peek()?;
        let past = times.find(|time| *time <= wall);
        Some(past.unwrap_or_else(|| FileTime::of(first_seen.wall)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Expected::*;

    /// Sunday, 2023-11-26, half past a second.
    const NOW: f64 = 1_701_000_000.5;

    #[derive(Debug, PartialEq)]
    enum Expected {
        Racy,
        Old,
    }

    fn moment(seconds: f64) -> FileTime {
        FileTime {
            seconds: seconds.floor() as i64,
            nanoseconds: ((seconds - seconds.floor()) * 1e9).round() as u32,
        }
    }

    fn at(seconds: f64) -> Now {
        Now {
            wall: UNIX_EPOCH + Duration::from_secs_f64(seconds),
            instant: Now::read().instant,
        }
    }

    /// Of a file with these times, asked for at `NOW` and first seen this long before: whether it
    /// is racy, and when its bytes last changed.
    fn judge(modified: f64, changed: f64, seen_for: f64) -> (Expected, Option<f64>) {
        let first_seen = at(NOW - seen_for);
        let now = Now {
            instant: first_seen.instant + Duration::from_secs_f64(seen_for),
            ..at(NOW)
        };
        let identity = Identity {
            modified: moment(modified),
            changed: moment(changed),
            ..Identity::default()
        };
        let is_racy = identity.is_racy(first_seen, now);
        let last_change = identity.last_change(first_seen, now);
        let last_change = last_change.map(|it| (it.nanoseconds() as f64 / 1e7).round() / 100.0);
        (if is_racy { Racy } else { Old }, last_change)
    }

    #[test]
    fn a_file_is_racy_while_the_clock_of_its_file_system_may_show_the_same() {
        let hours = 9.0 * 3600.0;
        let old = NOW - 1000.25;
        for (what, modified, changed, seen_for, expected, last_change) in [
            ("long ago", old, old, 0.0, Old, Some(old)),
            (
                "just written",
                NOW - 0.01,
                NOW - 0.01,
                0.0,
                Racy,
                Some(NOW - 0.01),
            ),
            (
                "a tick later",
                NOW - 0.03,
                NOW - 0.03,
                0.0,
                Old,
                Some(NOW - 0.03),
            ),
            (
                "whole seconds",
                NOW - 1.5,
                NOW - 1.5,
                0.0,
                Racy,
                Some(NOW - 1.5),
            ),
            ("and over", NOW - 2.5, NOW - 2.5, 0.0, Old, Some(NOW - 2.5)),
            ("renamed just now", old, NOW - 0.01, 0.0, Racy, Some(old)),
            (
                "no change time",
                NOW - 0.01,
                old,
                0.0,
                Racy,
                Some(NOW - 0.01),
            ),
            ("dated ahead", NOW + hours, old, 0.0, Old, Some(old)),
            (
                "dated ahead just now",
                NOW + hours,
                NOW - 0.01,
                0.0,
                Racy,
                Some(NOW - 0.01),
            ),
            (
                "a clock ahead",
                NOW + hours,
                NOW + hours,
                0.0,
                Racy,
                Some(NOW),
            ),
            (
                "seen for a tick",
                NOW + hours,
                NOW + hours,
                0.03,
                Old,
                Some(NOW - 0.03),
            ),
            (
                "whole, for a second",
                NOW + 9.5,
                NOW + 9.5,
                1.0,
                Racy,
                Some(NOW - 1.0),
            ),
            (
                "whole, for two",
                NOW + 9.5,
                NOW + 9.5,
                2.5,
                Old,
                Some(NOW - 2.5),
            ),
            ("normalised", 1.0, old, 0.0, Old, Some(old)),
            ("before 1970", -0.5, old, 0.0, Old, Some(old)),
            (
                "normalised, a clock ahead",
                1.0,
                NOW + 9.0,
                60.0,
                Old,
                Some(NOW - 60.0),
            ),
            ("an image's", 0.0, 0.0, 0.0, Old, None),
        ] {
            let last_change = last_change.map(|it: f64| (it * 100.0).round() / 100.0);
            let judged = judge(modified, changed, seen_for);
            assert_eq!(judged, (expected, last_change), "{what}");
        }
    }

    #[test]
    fn whole_seconds_and_times_before_the_web_may_be_those_of_every_version() {
        for (modified, is_normalised) in [
            (0.0, true),
            (1.0, true),
            (-0.5, true),
            (315_532_800.25, true),
            (NOW.floor(), true),
            (NOW, false),
        ] {
            let modified = moment(modified);
            let identity = Identity {
                modified,
                ..Identity::default()
            };
            assert_eq!(identity.is_normalised(), is_normalised, "{modified:?}");
        }
    }

    #[test]
    fn our_own_clock_may_stand_before_1970() {
        let before = |nanoseconds| UNIX_EPOCH - Duration::from_nanos(nanoseconds);
        let seconds = |time| FileTime::of(time).seconds;
        assert_eq!(seconds(before(1)), -1);
        assert_eq!(seconds(before(1_500_000_000)), -2);
        assert_eq!(seconds(UNIX_EPOCH), 0);
    }
}
