//! Rate-limited warnings, for those that requests can cause.
//!
//! A [`RateLimited`] logs each text at most once a minute, and a limited number of different texts.
//! It counts those it suppresses, and reports the count with the first warning of a later minute.

use crate::clock::Now;
use std::fmt::{self, Write};
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a text is not repeated.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// The most different texts in one interval.
const MAX_TEXTS: usize = 20;

/// Logs warnings of one kind. A `static` for each kind, so that one kind does not suppress another.
/// After a fork, each process has its own.
#[derive(Debug)]
pub struct RateLimited(Mutex<Recent>);

/// What was logged in the current interval.
#[derive(Debug)]
struct Recent {
    since: Option<Instant>,
    /// Hashes of the texts.
    written: Vec<u64>,
    suppressed: u64,
}

impl RateLimited {
    /// Nothing is logged yet.
    #[allow(
        clippy::new_without_default,
        reason = "a static cannot be initialised with Default"
    )]
    pub const fn new() -> Self {
        Self(Mutex::new(Recent {
            since: None,
            written: Vec::new(),
            suppressed: 0,
        }))
    }

    /// Logs `text` as a warning, unless it or enough others were logged in this interval.
    pub fn warn(&self, text: fmt::Arguments<'_>) {
        let mut hash = Hash(DefaultHasher::new());
        // Hashing does not fail. If formatting fails, the hash is that of a part.
        let _ = hash.write_fmt(text);
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = recent.admit(hash.0.finish(), Now::read().instant);
        drop(recent);
        match admitted {
            None => {}
            Some(0) => log::warn!("{text}"),
            Some(count) => log::warn!("{text} ({count} such warnings were suppressed before)"),
        }
    }
}

impl Recent {
    /// `None` if a text is suppressed; else how many were suppressed in the interval before, if it
    /// is the first of this one.
    fn admit(&mut self, text: u64, now: Instant) -> Option<u64> {
        let is_over = |since| now.saturating_duration_since(since) >= WARN_INTERVAL;
        if self.since.is_none_or(is_over) {
            self.since = Some(now);
            self.written.clear();
            self.written.push(text);
            return Some(std::mem::take(&mut self.suppressed));
        }
        if self.written.len() >= MAX_TEXTS || self.written.contains(&text) {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.written.push(text);
        Some(0)
    }
}

/// Hashes formatted text without storing it.
struct Hash(DefaultHasher);

impl Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// The bytes of a name as text on one line: control characters are escaped, and bytes that are not
/// UTF-8 are replaced. Clients choose names, so they must not control a terminal.
#[derive(Debug)]
pub struct Printable<'n>(pub &'n [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(self.0);
        for character in text.chars() {
            match character {
                '\'' | '"' => f.write_char(character)?,
                _ => write!(f, "{}", character.escape_debug())?,
            }
        }
        Ok(())
    }
}

/// The current name of an open file (proc(5)), or the number of its descriptor.
pub fn name_of(file: &File) -> PathBuf {
    let link = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    std::fs::read_link(&link).unwrap_or(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recent() -> Recent {
        RateLimited::new().0.into_inner().unwrap()
    }

    #[test]
    fn a_text_is_logged_once_in_an_interval() {
        let (mut recent, start) = (recent(), Instant::now());
        assert_eq!(recent.admit(1, start), Some(0));
        for second in [0, 1, 59] {
            let now = start + Duration::from_secs(second);
            assert_eq!(recent.admit(1, now), None, "{second}");
        }
        assert_eq!(recent.admit(2, start), Some(0), "another text");
        assert_eq!(
            recent.admit(1, start + WARN_INTERVAL),
            Some(3),
            "the next period"
        );
        assert_eq!(recent.admit(2, start + WARN_INTERVAL), Some(0));
    }

    #[test]
    fn an_interval_has_a_limited_number_of_texts() {
        let (mut recent, start) = (recent(), Instant::now());
        let admitted = (0..1000).filter(|text| recent.admit(*text, start).is_some());
        assert_eq!(admitted.count(), MAX_TEXTS);
        assert_eq!(
            recent.admit(0, start + WARN_INTERVAL),
            Some(1000 - MAX_TEXTS as u64)
        );
        assert_eq!(recent.written.len(), 1);
    }

    #[test]
    fn a_name_is_one_line_of_text() {
        let name = b"a\n\x1b[31m\xff\xc3\xbc'\"".as_slice();
        assert_eq!(
            Printable(name).to_string(),
            "a\\n\\u{1b}[31m\u{fffd}\u{fc}'\""
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_open_file_has_its_current_name() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().canonicalize().unwrap();
        let file = File::create(place.join("old")).unwrap();
        std::fs::rename(place.join("old"), place.join("new")).unwrap();
        assert_eq!(name_of(&file), place.join("new"));
    }
}
