//! What is known of the credentials that clients have sent: a bounded number, for a bounded time.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Names a realm, a user and a password: a hash with a key that this process alone has.
pub type Key = [u8; 32];

/// How long a result counts.
pub const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// The keys of credentials with one result, and when that was found out.
#[derive(Debug)]
pub struct Memory {
    max_keys: usize,
    entries: HashMap<Key, Instant>,
    /// The keys of `entries` in the order in which they came.
    order: VecDeque<Key>,
}

impl Memory {
    /// Remembers at most `max_keys` keys.
    pub fn new(max_keys: usize) -> Self {
        Self {
            max_keys,
            entries: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Whether `key` was added within the lifetime.
    pub fn has(&self, key: &Key, now: Instant) -> bool {
        let found = self.entries.get(key);
        found.is_some_and(|&at| now.saturating_duration_since(at) < LIFETIME)
    }

    /// Adds a key, perhaps in place of the oldest one.
    pub fn add(&mut self, key: Key, now: Instant) {
        if self.entries.insert(key, now).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > self.max_keys
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    #[test]
    fn a_key_is_remembered_for_its_lifetime_unless_newer_ones_displace_it() {
        let start = Now::read().instant;
        let mut memory = Memory::new(2);
        let [a, b, c] = [[1; 32], [2; 32], [3; 32]];
        memory.add(a, start);
        memory.add(b, start);
        assert!(memory.has(&a, start + LIFETIME - Duration::from_millis(1)));
        assert!(!memory.has(&a, start + LIFETIME));
        memory.add(a, start + LIFETIME);
        assert!(memory.has(&a, start + LIFETIME));
        memory.add(c, start);
        assert_eq!(
            [&a, &b, &c].map(|key| memory.has(key, start)),
            [false, true, true]
        );
        assert_eq!((memory.entries.len(), memory.order.len()), (2, 2));
    }
}
