//! Room `site`: what was looked up in this turn, shared by all who ask for it in this turn.
//!
//! Here are the answers that may not outlive their turn: files that are too large to be kept open;
//! files so young that they may change unnoticed; and names that stand for nothing. However many
//! clients ask for one file at once, it is opened once.

use super::files::Opened;
use crate::clock::Now;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// The answers of one turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Answers of earlier turns stand among them, which count for nothing: what is missing in one
    /// turn is mostly missing in the next, and its place is kept.
    /// `Limits::iteration_cache_entries` bounds them, so keys that were chosen to collide do no
    /// harm.
    known: HashMap<Box<[u8]>, Answer, RandomState>,
    /// The turn of the latest answer.
    latest: Option<Instant>,
    /// Some of the answers are files.
    has_files: bool,
}

#[derive(Debug)]
struct Answer {
    /// When it was given.
    turn: Instant,
    /// `None`: there is nothing.
    opened: Option<Arc<Opened>>,
}

impl Turn {
    /// What `key` stands for; `Some(None)` is "nothing", and `None` that nobody has looked yet.
    pub(super) fn get(&self, key: &[u8], now: Now) -> Option<Option<Arc<Opened>>> {
        let answer = self.known.get(key)?;
        (answer.turn == now.instant).then(|| answer.opened.clone())
    }

    /// Shares an answer with whoever asks for the same until the turn is over. With `most` of them
    /// there already, it is not shared.
    pub(super) fn put(&mut self, key: &[u8], opened: Option<&Arc<Opened>>, now: Now, most: usize) {
        let answer = Answer {
            turn: now.instant,
            opened: opened.cloned(),
        };
        if self.latest.replace(now.instant) != Some(now.instant) && self.known.len() >= most {
            self.known.clear();
        }
        let is_full = self.known.len() >= most;
        match self.known.get_mut(key) {
            Some(known) => *known = answer,
            None if is_full => return,
            None => {
                self.known.insert(key.into(), answer);
            }
        }
        self.has_files |= opened.is_some();
    }

    /// The turn is over, or descriptors are needed: closes the files that nobody is sending.
    /// Returns whether there were any.
    pub(super) fn end(&mut self) -> bool {
        let had_files = std::mem::take(&mut self.has_files);
        if had_files {
            self.known.retain(|_, answer| answer.opened.is_none());
        }
        had_files
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn after(now: Now, nanoseconds: u64) -> Now {
        Now {
            instant: now.instant + Duration::from_nanos(nanoseconds),
            ..now
        }
    }

    #[test]
    fn an_answer_is_good_for_its_turn_and_no_longer() {
        let (mut turn, now) = (Turn::default(), Now::read());
        assert!(turn.get(b"a", now).is_none());
        turn.put(b"a", None, now, 1);
        assert!(matches!(turn.get(b"a", now), Some(None)));
        let later = after(now, 1);
        assert!(turn.get(b"a", later).is_none());
        turn.put(b"a", None, later, 1);
        assert!(turn.get(b"a", later).is_some());
    }

    #[test]
    fn no_more_is_shared_than_the_limit_says() {
        let (mut turn, now) = (Turn::default(), Now::read());
        let later = after(now, 1);
        for (at, keys) in [(now, ["a", "b", "c"]), (later, ["d", "e", "f"])] {
            for key in keys {
                turn.put(key.as_bytes(), None, at, 2);
            }
            assert!(turn.known.len() <= 2);
        }
        assert!(
            turn.get(b"e", later).is_some(),
            "the earlier ones made room"
        );
        assert!(turn.get(b"f", later).is_none());
    }
}
