//! A cache of files that were compressed while they were sent.

use super::body_memory::{BodyMemory, Reservation};
use super::identity::Identity;
use crate::http::etag::ETag;
use foldhash::fast::RandomState;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Bytes that an entry takes besides its content: its key twice, and its place in the tables.
const ENTRY_BYTES: usize = 512;

/// Compressed files. Clones share one cache: a body that is being produced puts its result there
/// when it ends, in whichever thread that is. When it is full, the second-chance algorithm evicts
/// the oldest of those that were not requested again.
#[derive(Clone, Debug)]
pub(super) struct CompressedCache {
    entries: Arc<Mutex<Entries>>,
    max_bytes: usize,
    /// Counts what is still being sent when the cache drops it.
    memory: BodyMemory,
}

/// The state of the file, and the tag of its content in the coding.
pub(super) type Key = (Identity, ETag);

#[derive(Debug, Default)]
struct Entries {
    /// Foldhash resists chosen keys less well than the standard hasher. But clients do not choose
    /// these.
    known: HashMap<Key, CacheEntry, RandomState>,
    order: VecDeque<Key>,
    bytes: usize,
}

#[derive(Debug)]
struct CacheEntry {
    /// `None`: the compressed file is no smaller than the file.
    file: Option<Arc<CompressedFile>>,
    /// Requested since it was last considered for eviction.
    is_used: bool,
}

/// A compressed file that is cached, being sent, or both.
#[derive(Debug)]
pub(super) struct CompressedFile {
    pub(super) bytes: Arc<[u8]>,
    memory: BodyMemory,
    /// Counts the bytes from the time when they are no longer cached.
    uncached: OnceLock<Reservation>,
}

impl CompressedCache {
    /// An empty cache for `max_bytes` bytes. What is still being sent when the cache drops it
    /// counts as part of `memory`.
    pub(super) fn new(max_bytes: usize, memory: BodyMemory) -> Self {
        Self {
            entries: Arc::default(),
            max_bytes,
            memory,
        }
    }

    /// Bytes of the largest content that is cached: a few large files do not evict all others.
    pub(super) fn max_entry_bytes(&self) -> usize {
        self.max_bytes / 4
    }

    /// The compressed file; `Some(None)` if it is no smaller than the file.
    pub(super) fn get(&self, key: &Key) -> Option<Option<Arc<CompressedFile>>> {
        let mut entries = self.lock();
        let entry = entries.known.get_mut(key)?;
        entry.is_used = true;
        Some(entry.file.clone())
    }

    /// Caches a compressed file, or that it is no smaller than the file.
    pub(super) fn put(&self, key: Key, bytes: Option<Arc<[u8]>>) {
        let mut entries = self.lock();
        let file = |bytes| CompressedFile {
            bytes,
            memory: self.memory.clone(),
            uncached: OnceLock::new(),
        };
        let entry = CacheEntry {
            file: bytes.map(|bytes| Arc::new(file(bytes))),
            is_used: false,
        };
        entries.bytes += entry.size();
        match entries.known.insert(key, entry) {
            Some(previous) => entries.bytes -= previous.size(),
            None => entries.order.push_back(key),
        }
        while entries.bytes > self.max_bytes {
            entries.evict_one();
        }
    }

    /// Drops everything.
    pub(super) fn clear(&self) {
        *self.lock() = Entries::default();
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Evicts the first entry in order that was not used; the used ones before it go to the end.
    fn evict_one(&mut self) {
        while let Some(key) = self.order.pop_front() {
            match self.known.get_mut(&key) {
                Some(entry) if entry.is_used => {
                    entry.is_used = false;
                    self.order.push_back(key);
                }
                _ => {
                    let evicted = self.known.remove(&key);
                    self.bytes -= evicted.map_or(0, |entry| entry.size());
                    return;
                }
            }
        }
        assert!(self.bytes == 0, "an empty cache holds nothing");
    }
}

impl CacheEntry {
    fn size(&self) -> usize {
        self.file.as_ref().map_or(0, |file| file.bytes.len()) + ENTRY_BYTES
    }
}

impl Drop for CacheEntry {
    /// From now on, its bytes are held only by the responses that send them.
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            (file.uncached).get_or_init(|| file.memory.hold(file.bytes.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::negotiate::Coding;

    fn key(hash: u64, coding: Coding) -> Key {
        (Identity::default(), ETag::of_content(hash, coding))
    }

    fn bytes(length: usize) -> Option<Arc<[u8]>> {
        Some(vec![b'x'; length].into())
    }

    fn cache_of(max_bytes: usize) -> CompressedCache {
        CompressedCache::new(max_bytes, BodyMemory::new(usize::MAX))
    }

    fn cached(cache: &CompressedCache, key: &Key) -> Option<Option<Arc<[u8]>>> {
        let found = cache.get(key)?;
        Some(found.map(|file| file.bytes.clone()))
    }

    #[test]
    fn what_is_dropped_while_it_is_sent_counts_until_it_was_sent() {
        let keys = [key(1, Coding::Gzip), key(2, Coding::Gzip)];
        type Drop = fn(&CompressedCache, &[Key; 2]);
        // It is used, so the first time the other is evicted.
        let evict: Drop = |cache, keys| (0..2).for_each(|_| cache.put(keys[1], bytes(2500)));
        let replace: Drop = |cache, keys| cache.put(keys[0], bytes(1000));
        let clear: Drop = |cache, _| cache.clear();
        for drop_first in [evict, replace, clear] {
            let cache = cache_of(2500 + ENTRY_BYTES);
            let held = || cache.memory.held();
            cache.put(keys[0], bytes(1000));
            let sent = [cache.get(&keys[0]), cache.get(&keys[0])];
            assert_eq!(held(), 0, "the cache counts it");
            drop_first(&cache, &keys);
            let [one, two] = sent;
            drop(one);
            assert_eq!(held(), 1000, "once, although two send it");
            drop(two);
            assert_eq!(held(), 0);
        }
    }

    #[test]
    fn each_file_and_each_coding_has_its_own_entry() {
        let cache = cache_of(100_000);
        let keys = [
            key(1, Coding::Gzip),
            key(1, Coding::Brotli),
            key(2, Coding::Gzip),
        ];
        for (length, key) in keys.into_iter().enumerate() {
            assert!(cache.get(&key).is_none());
            cache.put(key, bytes(length));
        }
        for (length, key) in keys.into_iter().enumerate() {
            assert_eq!(cached(&cache, &key), Some(bytes(length)));
        }
        cache.put(keys[0], None);
        assert_eq!(cached(&cache, &keys[0]), Some(None));
        cache.clear();
        assert_eq!(cached(&cache, &keys[1]), None);
        assert_eq!(cache.lock().bytes, 0);
    }

    #[test]
    fn its_bytes_have_a_bound_and_what_was_used_stays() {
        let cache = cache_of(10 * (1000 + ENTRY_BYTES));
        let used = key(0, Coding::Gzip);
        for hash in 0..100 {
            cache.put(key(hash, Coding::Gzip), bytes(1000));
            assert!(cache.get(&used).is_some());
            let entries = cache.lock();
            assert!(entries.bytes <= cache.max_bytes);
            assert_eq!(entries.bytes, entries.known.len() * (1000 + ENTRY_BYTES));
            assert_eq!(entries.known.len(), entries.order.len());
        }
        assert_eq!(cache.lock().known.len(), 10);
        assert!(cache.get(&key(1, Coding::Gzip)).is_none());
        assert!(cache.get(&key(99, Coding::Gzip)).is_some());
        // Replaced, not added.
        cache.put(used, bytes(500));
        assert_eq!(cache.lock().bytes, cache.max_bytes - 500);
    }

    #[test]
    fn a_cache_without_space_caches_nothing() {
        let cache = cache_of(0);
        cache.put(key(1, Coding::Gzip), bytes(10));
        assert!(cache.get(&key(1, Coding::Gzip)).is_none());
        assert_eq!(cache.lock().bytes, 0);
    }
}
