//! A cache of files beyond one iteration of the loop. Each is compared with the file system in
//! every iteration, and read or opened again when its lifetime is over.

use super::identity::Identity;
use super::representation::SiteFile;
use crate::clock::Now;
use foldhash::fast::RandomState;
use rustix::fs::Stat;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Files by name. When it is full, the second-chance algorithm evicts the oldest of those that were
/// not requested again.
#[derive(Debug)]
pub(super) struct FileCache {
    /// Foldhash resists chosen keys less well than the standard hasher. But clients do not choose
    /// these: they are names of files that exist.
    files: HashMap<Box<[u8]>, CacheEntry, RandomState>,
    order: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// The earliest time at which the lifetime of a file may be over.
    due: Option<Instant>,
    max_files: usize,
    max_bytes: usize,
    /// How long a file stays in the cache.
    lifetime: Duration,
}

#[derive(Debug)]
struct CacheEntry {
    /// The state that the file was last seen in.
    identity: Identity,
    /// When it was first seen in it.
    first_seen: Now,
    /// When it was opened.
    opened_at: Instant,
    /// The iteration in which it was last compared with the file system.
    checked: Instant,
    /// Requested since it was last considered for eviction.
    is_used: bool,
    /// `None`: only the state is known.
    file: Option<Arc<SiteFile>>,
}

impl FileCache {
    /// An empty cache for `max_files` files with `max_bytes` bytes together, each for `lifetime`.
    pub(super) fn new(max_files: usize, max_bytes: usize, lifetime: Duration) -> Self {
        Self {
            files: HashMap::default(),
            order: VecDeque::new(),
            bytes: 0,
            due: None,
            max_files,
            max_bytes,
            lifetime,
        }
    }

    /// The file `key`, if it is cached and still the same in this iteration. `identify` asks the
    /// file system; it is called at most once in an iteration.
    pub(super) fn get(
        &mut self,
        key: &[u8],
        now: Now,
        identify: impl FnOnce() -> Option<Stat>,
    ) -> Option<Arc<SiteFile>> {
        let known = self.files.get_mut(key)?;
        let file = known.file.as_ref()?;
        if known.checked != now.instant {
            if known.opened_at + self.lifetime <= now.instant
                || identify().map(|stat| Identity::of(&stat)) != Some(file.open().identity)
            {
                // It keeps its place in the order, as it is put back at once.
                known.drop_file(&mut self.bytes);
                return None;
            }
            known.checked = now.instant;
        }
        known.is_used = true;
        Some(file.clone())
    }

    /// Caches a file.
    pub(super) fn put(&mut self, key: &[u8], file: &Arc<SiteFile>, now: Now) {
        let due = now.instant + self.lifetime;
        self.due.get_or_insert(due);
        let known = self.entry(key, file.open().identity, now);
        let size = file.size() as usize;
        known.opened_at = now.instant;
        known.checked = now.instant;
        let previous = known.file.replace(file.clone());
        self.bytes += size;
        self.bytes -= previous.map_or(0, |previous| previous.size() as usize);
        self.evict();
    }

    /// When the file `key` was first seen in this state: now, if the state is new.
    pub(super) fn first_seen(&mut self, key: &[u8], identity: Identity, now: Now) -> Now {
        let first_seen = self.entry(key, identity, now).first_seen;
        self.evict();
        first_seen
    }

    /// When there is something to [`expire`](Self::expire).
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// Drops the files whose lifetime is over.
    pub(super) fn expire(&mut self, now: Now) {
        if self.due.is_none_or(|due| due > now.instant) {
            return;
        }
        self.due = None;
        for known in self.files.values_mut().filter(|known| known.file.is_some()) {
            let due = known.opened_at + self.lifetime;
            if due <= now.instant {
                known.drop_file(&mut self.bytes);
            } else {
                self.due = Some(self.due.map_or(due, |earliest| earliest.min(due)));
            }
        }
    }

    /// Drops everything. Returns whether there were files.
    pub(super) fn clear(&mut self) -> bool {
        let had_files = self.files.values().any(|known| known.file.is_some());
        *self = Self::new(self.max_files, self.max_bytes, self.lifetime);
        had_files
    }

    /// The entry of `key`, whose state is `identity` now.
    fn entry(&mut self, key: &[u8], identity: Identity, now: Now) -> &mut CacheEntry {
        if !self.files.contains_key(key) {
            self.order.push_back(key.into());
        }
        let new = CacheEntry {
            identity,
            first_seen: now,
            opened_at: now.instant,
            checked: now.instant,
            is_used: false,
            file: None,
        };
        let known = self.files.entry(key.into()).or_insert(new);
        if known.identity != identity {
            known.drop_file(&mut self.bytes);
            (known.identity, known.first_seen) = (identity, now);
        }
        known
    }

    fn evict(&mut self) {
        while self.files.len() > self.max_files || self.bytes > self.max_bytes {
            if !self.evict_one() {
                break;
            }
        }
    }

    /// Evicts the first entry in order that was not used; the used ones before it go to the end.
    fn evict_one(&mut self) -> bool {
        while let Some(key) = self.order.pop_front() {
            match self.files.get_mut(&key) {
                Some(known) if known.is_used => {
                    known.is_used = false;
                    self.order.push_back(key);
                }
                Some(known) => {
                    known.drop_file(&mut self.bytes);
                    self.files.remove(&key);
                    return true;
                }
                None => {}
            }
        }
        false
    }
}

impl CacheEntry {
    /// Drops the file, and keeps its state.
    fn drop_file(&mut self, bytes: &mut usize) {
        if let Some(file) = self.file.take() {
            *bytes -= file.size() as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::{Files, Found};
    use super::super::path::SitePath;
    use super::super::root::Root;
    use super::super::types::Types;
    use super::*;
    use crate::limits::Limits;
    use std::fs;

    fn file_in(place: &tempfile::TempDir, now: Now) -> Arc<SiteFile> {
        fs::write(place.path().join("a"), "hello").unwrap();
        let root = Arc::new(Root::new(place.path(), false).unwrap());
        let limits = Arc::new(Limits::default());
        let mut files = Files::new(root, Arc::default(), Types::default(), limits);
        match files.find(SitePath::of_name(b"a"), now) {
            Ok(Found::File(file)) => file,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_is_due_until_its_lifetime_is_over() {
        let place = tempfile::tempdir().unwrap();
        let now = Now::read();
        let later = |milliseconds| Now {
            instant: now.instant + Duration::from_millis(milliseconds),
            ..now
        };
        let file = file_in(&place, now);
        let mut cache = FileCache::new(10, 1000, Duration::from_secs(1));
        let due = |cache: &FileCache| {
            let due = cache.next_due()?;
            Some(due.duration_since(now.instant).as_millis())
        };
        assert_eq!(due(&cache), None);
        cache.put(b"a", &file, now);
        cache.put(b"b", &file, later(300));
        cache.put(b"a", &file, later(500));
        assert_eq!(due(&cache), Some(1000), "the time of the first `put` stays");
        cache.expire(later(999));
        assert_eq!(cache.bytes, 10);
        cache.expire(later(1000));
        assert_eq!(due(&cache), Some(1300));
        cache.expire(later(1300));
        assert_eq!((due(&cache), cache.bytes), (Some(1500), 5));
        cache.expire(later(1500));
        assert_eq!((due(&cache), cache.bytes), (None, 0));
        assert_eq!(Arc::strong_count(&file), 1);
    }

    #[test]
    fn a_state_keeps_the_time_at_which_it_was_first_seen() {
        let place = tempfile::tempdir().unwrap();
        let now = Now::read();
        let later = |milliseconds| Now {
            instant: now.instant + Duration::from_millis(milliseconds),
            ..now
        };
        let file = file_in(&place, now);
        let other = Identity {
            size: 6,
            ..file.open().identity
        };
        let mut cache = FileCache::new(1, 1000, Duration::from_secs(1));
        assert_eq!(cache.first_seen(b"a", file.open().identity, now), now);
        assert_eq!(cache.first_seen(b"a", file.open().identity, later(1)), now);
        cache.put(b"a", &file, later(2));
        cache.expire(later(2000));
        assert_eq!(
            cache.first_seen(b"a", file.open().identity, later(2000)),
            now
        );
        assert_eq!(cache.first_seen(b"a", other, later(2001)), later(2001));
        // One more than the cache holds.
        assert_eq!(cache.first_seen(b"b", other, now), now);
        assert_eq!((cache.files.len(), cache.order.len()), (1, 1));
    }
}
