//! Deadlines by key: which is the earliest, and which have passed.
//!
//! One rule holds: **entries may fire early, never late**.
//!
//! A busy connection moves its deadline with every run, nearly always to a later time, and hardly
//! any deadline is reached. So an entry is only a lower bound. A deadline that moves later leaves
//! its entry as it is, which costs one comparison. The entry then fires early, and the caller,
//! which knows the real deadline, schedules it again: once per timeout instead of once per run.
//! Only a deadline that moves *earlier* changes its entry at once.
//!
//! The structure is an indexed binary heap: a heap of entries, and for each key the index of its
//! entry, so that an entry can be moved or removed without a search. The alternatives:
//!
//! - A timer wheel rounds deadlines to its tick, and must search empty slots to find the earliest
//!   one, which every poll asks for.
//! - A `BTreeMap` by deadline allocates and frees nodes as entries move, and finds the entry of a
//!   key only by its old deadline, which would have to be stored.
//! - A queue for each timeout is sorted by itself, but not all timeouts are constant: the time that
//!   a response may take grows with its size.
//! - A plain heap that keeps outdated entries grows with what peers do, not with their number.

use std::time::Instant;

/// Deadlines by key, at most one for each. Keys are small numbers that are reused, like those of a
/// slab. The memory is about 28 bytes for each key up to the largest, and is kept when entries are
/// removed.
#[derive(Clone, Debug, Default)]
pub struct Timers {
    /// No entry is earlier than its parent, at `(index - 1) / 2`. So the first is the earliest.
    heap: Vec<Entry>,
    /// The index of each key's entry in the heap, or [`ABSENT`].
    indices: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    deadline: Instant,
    key: usize,
}

/// The index of an entry that does not exist. Four bytes are enough: a process cannot have that
/// many descriptors.
const ABSENT: u32 = u32::MAX;

impl Timers {
    /// Makes an empty set, which holds no memory.
    pub const fn new() -> Self {
        Self {
            heap: Vec::new(),
            indices: Vec::new(),
        }
    }

    /// How many keys have an entry.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no key has an entry.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Makes `key` fire at `deadline` or earlier. An entry that is early enough stays as it is; a
    /// later one moves forward, O(log n).
    pub fn schedule(&mut self, key: usize, deadline: Instant) {
        let Some(index) = self.index(key) else {
            return self.insert(key, deadline);
        };
        if let Some(entry) = self.heap.get_mut(index)
            && deadline < entry.deadline
        {
            entry.deadline = deadline;
            self.sift_up(index);
        }
    }

    /// Removes the entry of `key`, if there is one. O(log n).
    pub fn remove(&mut self, key: usize) {
        let Some(index) = self.index(key) else {
            return;
        };
        self.set_index(key, ABSENT);
        self.heap.swap_remove(index);
        // The last entry fills the gap. It comes from another branch of the tree, so it may belong
        // further up or further down. At most one of the two calls moves it.
        if let Some(filler) = self.heap.get(index) {
            self.set_index(filler.key, index as u32);
            self.sift_up(index);
            self.sift_down(index);
        }
    }

    /// The time of the earliest entry. `None` without entries.
    pub fn earliest(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.deadline)
    }

    /// Removes and returns one key whose entry is at `now` or before, the earliest first.
    ///
    /// Its real deadline may be later: then the caller schedules the key again. If that is after
    /// `now`, a loop over `pop_expired(now)` returns each key once.
    pub fn pop_expired(&mut self, now: Instant) -> Option<usize> {
        let first = self.heap.first().filter(|entry| entry.deadline <= now)?;
        let key = first.key;
        self.remove(key);
        Some(key)
    }

    /// Where the entry of `key` stands in the heap.
    fn index(&self, key: usize) -> Option<usize> {
        let index = *self.indices.get(key)?;
        (index != ABSENT).then_some(index as usize)
    }

    /// Adds the entry of a key that has none.
    fn insert(&mut self, key: usize, deadline: Instant) {
        if self.indices.len() <= key {
            self.indices.resize(key + 1, ABSENT);
        }
        let index = self.heap.len();
        self.heap.push(Entry { deadline, key });
        self.set_index(key, index as u32);
        self.sift_up(index);
    }

    /// Moves an entry up until its parent is not later.
    fn sift_up(&mut self, mut index: usize) {
        while index > 0 {
            let parent = (index - 1) / 2;
            if !self.is_earlier(index, parent) {
                return;
            }
            self.swap(index, parent);
            index = parent;
        }
    }

    /// Moves an entry down until neither child is earlier.
    fn sift_down(&mut self, mut index: usize) {
        loop {
            let (left, right) = (2 * index + 1, 2 * index + 2);
            let child = if self.is_earlier(right, left) {
                right
            } else {
                left
            };
            if !self.is_earlier(child, index) {
                return;
            }
            self.swap(index, child);
            index = child;
        }
    }

    /// Whether there are entries at both indices, and the one at `a` is the earlier.
    fn is_earlier(&self, a: usize, b: usize) -> bool {
        match (self.heap.get(a), self.heap.get(b)) {
            (Some(a), Some(b)) => a.deadline < b.deadline,
            _ => false,
        }
    }

    /// Swaps the entries at two indices.
    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        for index in [a, b] {
            if let Some(entry) = self.heap.get(index) {
                self.set_index(entry.key, index as u32);
            }
        }
    }

    fn set_index(&mut self, key: usize, index: u32) {
        match self.indices.get_mut(key) {
            Some(slot) => *slot = index,
            None => debug_assert!(false, "`insert` has made an entry for each key"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    impl Timers {
        /// Whether the heap and the indices agree and every parent is at least as early as its
        /// children.
        fn is_consistent(&self) -> bool {
            let every_index_is_right = (self.heap.iter().enumerate())
                .all(|(index, entry)| self.index(entry.key) == Some(index));
            let no_other_key_is = self.heap.len()
                == (self.indices.iter())
                    .filter(|&&index| index != ABSENT)
                    .count();
            let parents_come_first =
                (1..self.heap.len()).all(|index| !self.is_earlier(index, (index - 1) / 2));
            every_index_is_right && no_other_key_is && parents_come_first
        }
    }

    /// Instants cannot be written down, only measured from another one.
    fn origin() -> Instant {
        crate::clock::Now::read().instant
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// All keys that are due, in the order in which they fire.
    fn drain(timers: &mut Timers, now: Instant) -> Vec<usize> {
        std::iter::from_fn(|| timers.pop_expired(now)).collect()
    }

    #[test]
    fn without_entries_nothing_comes_next_and_nothing_expires() {
        let mut timers = Timers::new();
        assert!(timers.is_empty());
        assert_eq!(timers.earliest(), None);
        assert_eq!(timers.pop_expired(origin()), None);
        timers.remove(7);
        assert!(timers.is_consistent());
    }

    #[test]
    fn keys_fire_in_the_order_of_their_deadlines_and_not_before() {
        let start = origin();
        let mut timers = Timers::new();
        for (key, after) in [(0, 5), (1, 2), (2, 9), (3, 1), (4, 7)] {
            timers.schedule(key, start + seconds(after));
        }
        assert_eq!(timers.earliest(), Some(start + seconds(1)));
        assert_eq!(drain(&mut timers, start), Vec::<usize>::new());
        assert_eq!(drain(&mut timers, start + seconds(5)), [3, 1, 0]);
        assert_eq!(timers.earliest(), Some(start + seconds(7)));
        assert_eq!(drain(&mut timers, start + seconds(60)), [4, 2]);
    }

    #[test]
    fn an_entry_is_due_at_its_very_instant() {
        let start = origin();
        let mut timers = Timers::new();
        timers.schedule(0, start);
        assert_eq!(timers.pop_expired(start), Some(0));
    }

    #[test]
    fn an_earlier_deadline_moves_the_entry_at_once() {
        let start = origin();
        let mut timers = Timers::new();
        timers.schedule(0, start + seconds(5));
        timers.schedule(1, start + seconds(9));
        timers.schedule(1, start + seconds(1));
        assert_eq!(timers.earliest(), Some(start + seconds(1)));
        assert_eq!(timers.len(), 2, "a key has one entry");
        assert_eq!(drain(&mut timers, start + seconds(60)), [1, 0]);
    }

    #[test]
    fn a_later_deadline_leaves_the_entry_to_fire_early() {
        let start = origin();
        let mut timers = Timers::new();
        timers.schedule(0, start + seconds(1));
        timers.schedule(0, start + seconds(5));
        assert_eq!(timers.earliest(), Some(start + seconds(1)));
        assert_eq!(timers.pop_expired(start + seconds(1)), Some(0));
        timers.schedule(0, start + seconds(5));
        assert_eq!(timers.pop_expired(start + seconds(4)), None);
        assert_eq!(timers.pop_expired(start + seconds(5)), Some(0));
    }

    #[test]
    fn the_entry_that_fills_a_gap_rises_when_it_came_from_an_earlier_branch() {
        let start = origin();
        let mut timers = Timers::new();
        //          1
        //     50        2
        //   60  70    3   4      Removing 60 puts 4 below 50.
        for (key, after) in [1, 50, 2, 60, 70, 3, 4].into_iter().enumerate() {
            timers.schedule(key, start + seconds(after));
        }
        timers.remove(3);
        assert!(timers.is_consistent());
        assert_eq!(drain(&mut timers, start + seconds(90)), [0, 2, 5, 6, 1, 4]);
    }

    #[test]
    fn memory_stays_for_the_keys_that_come_after() {
        let start = origin();
        let mut timers = Timers::new();
        let mut held = Vec::new();
        for _ in 0..3 {
            (0..1000).for_each(|key| timers.schedule(key, start + seconds(key as u64 % 7)));
            held.push((timers.heap.capacity(), timers.indices.capacity()));
            (0..1000).for_each(|key| timers.remove(key));
            assert!(timers.is_empty() && timers.is_consistent());
        }
        assert_eq!(held, [held[0]; 3]);
    }

    #[test]
    fn a_key_takes_as_many_bytes_as_the_documentation_says() {
        assert_eq!(size_of::<Entry>() + size_of::<u32>(), 28);
    }

    #[test]
    fn the_check_of_consistency_sees_damage() {
        let start = origin();
        let mut timers = Timers::new();
        (0..3).for_each(|key| timers.schedule(key, start + seconds(key as u64)));
        assert!(timers.is_consistent());

        let mut disordered = timers.clone();
        disordered.swap(0, 2);
        assert!(!disordered.is_consistent(), "a parent later than its child");
        let mut inconsistent = timers.clone();
        inconsistent.heap.swap(1, 2);
        assert!(
            !inconsistent.is_consistent(),
            "indices that point to other keys"
        );
        timers.indices.push(0);
        assert!(!timers.is_consistent(), "two keys in one index");
    }

    #[derive(Clone, Copy, Debug)]
    enum Operation {
        Schedule { key: usize, after: u64 },
        Remove { key: usize },
        Expire { after: u64, budget: usize },
    }

    /// Few keys and few instants, so that operations meet each other and deadlines coincide.
    fn operations() -> impl Strategy<Value = Vec<Operation>> {
        let operation = prop_oneof![
            4 => (0..24_usize, 0..40_u64)
                .prop_map(|(key, after)| Operation::Schedule { key, after }),
            1 => (0..24_usize).prop_map(|key| Operation::Remove { key }),
            1 => (0..12_u64, 0..6_usize)
                .prop_map(|(after, budget)| Operation::Expire { after, budget }),
        ];
        prop::collection::vec(operation, 0..200)
    }

    proptest! {
        #[test]
        fn timers_behave_like_a_sorted_map_of_entries(operations in operations()) {
            let mut now = origin();
            let mut timers = Timers::new();
            let mut entries: BTreeMap<usize, Instant> = BTreeMap::new();
            for operation in operations {
                match operation {
                    Operation::Schedule { key, after } => {
                        let deadline = now + seconds(after);
                        timers.schedule(key, deadline);
                        let entry = entries.entry(key).or_insert(deadline);
                        *entry = deadline.min(*entry);
                    }
                    Operation::Remove { key } => {
                        timers.remove(key);
                        entries.remove(&key);
                    }
                    Operation::Expire { after, budget } => {
                        now += seconds(after);
                        for _ in 0..budget {
                            let due = entries.values().min().copied().filter(|&first| first <= now);
                            let fired = timers.pop_expired(now).map(|key| entries.remove(&key));
                            prop_assert_eq!(fired, due.map(Some));
                        }
                    }
                }
                prop_assert!(timers.is_consistent());
                prop_assert_eq!(timers.len(), entries.len());
                prop_assert_eq!(timers.earliest(), entries.values().min().copied());
            }
        }

        /// A caller that schedules whenever its deadline moves, and again when its entry was early,
        /// gets no key late.
        #[test]
        fn every_deadline_fires_in_the_iteration_in_which_it_passes(operations in operations()) {
            let mut now = origin();
            let mut timers = Timers::new();
            let mut deadlines: BTreeMap<usize, Instant> = BTreeMap::new();
            for operation in operations {
                match operation {
                    Operation::Schedule { key, after } => {
                        // Not due already: an iteration handles what is due before time goes on.
                        deadlines.insert(key, now + seconds(after + 1));
                        timers.schedule(key, now + seconds(after + 1));
                    }
                    Operation::Remove { key } => {
                        deadlines.remove(&key);
                        timers.remove(key);
                    }
                    Operation::Expire { after, .. } => {
                        now += seconds(after);
                        while let Some(key) = timers.pop_expired(now) {
                            match deadlines.get(&key) {
                                Some(&deadline) if deadline > now => timers.schedule(key, deadline),
                                due => {
                                    prop_assert!(due.is_some(), "an entry without an owner");
                                    deadlines.remove(&key);
                                }
                            }
                            prop_assert!(timers.is_consistent());
                        }
                        prop_assert!(deadlines.values().all(|&deadline| deadline > now), "late");
                    }
                }
                prop_assert_eq!(timers.len(), deadlines.len());
                prop_assert!(timers.earliest() <= deadlines.values().min().copied());
            }
        }
    }
}
