//! A cache of lookups for one iteration of the loop.
//!
//! It contains what may not be cached for longer: files that are too large to be kept open, racy
//! files, and names that do not exist. Many requests for one file in one iteration open it once.

use super::representation::SiteFile;
use crate::clock::Now;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// The lookups of one iteration.
#[derive(Debug, Default)]
pub(super) struct IterationCache {
    /// Results of earlier iterations stay in the table and are ignored: a name that is missing in
    /// one iteration is mostly missing in the next, and its key need not be allocated again. The
    /// table is small (`Limits::max_iteration_cache_entries`): keys chosen to collide do no harm.
    known: HashMap<Box<[u8]>, Lookup, RandomState>,
    /// The iteration of the latest lookup.
    latest: Option<Instant>,
    /// Some of the results are files.
    has_files: bool,
}

#[derive(Debug)]
struct Lookup {
    iteration: Instant,
    /// `None`: the name does not exist.
    file: Option<Arc<SiteFile>>,
}

impl IterationCache {
    /// What `key` stands for: `None` if it was not looked up in this iteration, `Some(None)` if it
    /// does not exist.
    pub(super) fn get(&self, key: &[u8], now: Now) -> Option<Option<Arc<SiteFile>>> {
        let lookup = self.known.get(key)?;
        (lookup.iteration == now.instant).then(|| lookup.file.clone())
    }

    /// Stores a lookup until the iteration ends, unless there are `limit` already.
    pub(super) fn put(&mut self, key: &[u8], file: Option<&Arc<SiteFile>>, now: Now, limit: usize) {
        let lookup = Lookup {
            iteration: now.instant,
            file: file.cloned(),
        };
        if self.latest.replace(now.instant) != Some(now.instant) && self.known.len() >= limit {
            self.known.clear();
        }
        let is_full = self.known.len() >= limit;
        match self.known.get_mut(key) {
            Some(known) => *known = lookup,
            None if is_full => return,
            None => {
                self.known.insert(key.into(), lookup);
            }
        }
        self.has_files |= file.is_some();
    }

    /// Drops the files, when the iteration ends or descriptors are needed. Returns whether there
    /// were any.
    pub(super) fn end(&mut self) -> bool {
        let had_files = std::mem::take(&mut self.has_files);
        if had_files {
            self.known.retain(|_, lookup| lookup.file.is_none());
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
    fn a_lookup_is_valid_in_its_iteration_only() {
        let (mut cache, now) = (IterationCache::default(), Now::read());
        assert!(cache.get(b"a", now).is_none());
        cache.put(b"a", None, now, 1);
        assert!(matches!(cache.get(b"a", now), Some(None)));
        let later = after(now, 1);
        assert!(cache.get(b"a", later).is_none());
        cache.put(b"a", None, later, 1);
        assert!(cache.get(b"a", later).is_some());
    }

    #[test]
    fn the_number_of_lookups_is_limited() {
        let (mut cache, now) = (IterationCache::default(), Now::read());
        let later = after(now, 1);
        for (at, keys) in [(now, ["a", "b", "c"]), (later, ["d", "e", "f"])] {
            for key in keys {
                cache.put(key.as_bytes(), None, at, 2);
            }
            assert!(cache.known.len() <= 2);
        }
        assert!(
            cache.get(b"e", later).is_some(),
            "lookups of earlier iterations are replaced"
        );
        assert!(cache.get(b"f", later).is_none());
    }
}
