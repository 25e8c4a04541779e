//! The files that are remembered, each compared with the file system in every turn, and read or
//! opened again when some seconds have passed.

use super::files::Opened;
use super::identity::Identity;
use crate::clock::Now;
use foldhash::fast::RandomState;
use rustix::fs::Stat;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Files by name, oldest first; what is asked for again outlives what is not.
#[derive(Debug)]
pub(super) struct Memory {
    /// Foldhash resists chosen keys less well than the standard hasher. But only who writes to the
    /// site chooses these: they are names of files that exist.
    files: HashMap<Box<[u8]>, Remembered, RandomState>,
    order: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// No file is forgotten for its age before.
    due: Option<Instant>,
    most_files: usize,
    most_bytes: usize,
    /// How long a file is good for.
    lifetime: Duration,
}

#[derive(Debug)]
struct Remembered {
    /// The state that the file was last seen in.
    identity: Identity,
    /// When it was first seen in it.
    first_seen: Now,
    /// When it was opened.
    opened_at: Instant,
    /// The turn in which it was last compared with the file system.
    checked: Instant,
    /// Asked for since it was last looked at for eviction.
    is_used: bool,
    /// `None`: only its state is known.
    file: Option<Arc<Opened>>,
}

impl Memory {
    /// For `most_files` with `most_bytes` together, each for `lifetime`.
    pub(super) fn new(most_files: usize, most_bytes: usize, lifetime: Duration) -> Self {
        Self {
            files: HashMap::default(),
            order: VecDeque::new(),
            bytes: 0,
            due: None,
            most_files,
            most_bytes,
            lifetime,
        }
    }

    /// The file `key`, if it is known and still the same in this turn. `identify` asks the file
    /// system, and is called at most once a turn.
    pub(super) fn get(
        &mut self,
        key: &[u8],
        now: Now,
        identify: impl FnOnce() -> Option<Stat>,
    ) -> Option<Arc<Opened>> {
        let known = self.files.get_mut(key)?;
        let opened = known.file.as_ref()?;
        if known.checked != now.instant {
            if known.opened_at + self.lifetime <= now.instant
                || identify().map(|stat| Identity::of(&stat)) != Some(opened.identity)
            {
                // Its place in the order stays, as it will be back at once.
                known.forget(&mut self.bytes);
                return None;
            }
            known.checked = now.instant;
        }
        known.is_used = true;
        Some(opened.clone())
    }

    /// Remembers a file.
    pub(super) fn put(&mut self, key: &[u8], opened: &Arc<Opened>, now: Now) {
        let due = now.instant + self.lifetime;
        self.due.get_or_insert(due);
        let known = self.know(key, opened.identity, now);
        let size = opened.size as usize;
        known.opened_at = now.instant;
        known.checked = now.instant;
        let previous = known.file.replace(opened.clone());
        self.bytes += size;
        self.bytes -= previous.map_or(0, |previous| previous.size as usize);
        self.make_room();
    }

    /// When the file `key` was first seen in this state, as far as is known: now, if it was not.
    pub(super) fn first_seen(&mut self, key: &[u8], identity: Identity, now: Now) -> Now {
        let first_seen = self.know(key, identity, now).first_seen;
        self.make_room();
        first_seen
    }

    /// When there is something to [`expire`](Self::expire).
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// Forgets the files that are known for too long.
    pub(super) fn expire(&mut self, now: Now) {
        if self.due.is_none_or(|due| due > now.instant) {
            return;
        }
        self.due = None;
        for known in self.files.values_mut().filter(|known| known.file.is_some()) {
            let due = known.opened_at + self.lifetime;
            if due <= now.instant {
                known.forget(&mut self.bytes);
            } else {
                self.due = Some(self.due.map_or(due, |earliest| earliest.min(due)));
            }
        }
    }

    /// Forgets all of them. Returns whether there were any.
    pub(super) fn clear(&mut self) -> bool {
        let had_files = self.files.values().any(|known| known.file.is_some());
        *self = Self::new(self.most_files, self.most_bytes, self.lifetime);
        had_files
    }

    /// What is known of `key`, which is in this state now.
    fn know(&mut self, key: &[u8], identity: Identity, now: Now) -> &mut Remembered {
        if !self.files.contains_key(key) {
            self.order.push_back(key.into());
        }
        let new = Remembered {
            identity,
            first_seen: now,
            opened_at: now.instant,
            checked: now.instant,
            is_used: false,
            file: None,
        };
        let known = self.files.entry(key.into()).or_insert(new);
        if known.identity != identity {
            known.forget(&mut self.bytes);
            (known.identity, known.first_seen) = (identity, now);
        }
        known
    }

    fn make_room(&mut self) {
        while self.files.len() > self.most_files || self.bytes > self.most_bytes {
            if !self.evict_one() {
                break;
            }
        }
    }

    /// Second chance: who was used since the last look goes to the end of the line.
    fn evict_one(&mut self) -> bool {
        while let Some(key) = self.order.pop_front() {
            match self.files.get_mut(&key) {
                Some(known) if known.is_used => {
                    known.is_used = false;
                    self.order.push_back(key);
                }
                Some(known) => {
                    known.forget(&mut self.bytes);
                    self.files.remove(&key);
                    return true;
                }
                None => {}
            }
        }
        false
    }
}

impl Remembered {
    /// Forgets the file, but not the state that it was in.
    fn forget(&mut self, bytes: &mut usize) {
        if let Some(file) = self.file.take() {
            *bytes -= file.size as usize;
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
    use crate::http::fields::FieldLines;
    use crate::limits::Limits;
    use std::fs::{self, FileTimes};
    use std::time::{Duration, SystemTime};

    /// Whether a file, modified at a fraction of a second to come, has its date after each of these
    /// milliseconds. All of them lie in the future, so that the inode's own change lies behind.
    fn dates(fraction: u64, after: [u64; 3]) -> [bool; 3] {
        let place = tempfile::tempdir().unwrap();
        let name = place.path().join("a.txt");
        fs::write(&name, "hello").unwrap();
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let second = Duration::from_secs(since.unwrap().as_secs() + 10);
        let written = SystemTime::UNIX_EPOCH + second + Duration::from_millis(fraction);
        let file = fs::File::options().append(true).open(&name).unwrap();
        file.set_times(FileTimes::new().set_modified(written))
            .unwrap();
        let root = Arc::new(Root::new(place.path(), false).unwrap());
        let preset = Arc::new(FieldLines::new());
        let mut files = Files::new(root, preset, Types::default(), Arc::new(Limits::default()));
        after.map(|after| {
            let now = Now {
                instant: Now::read().instant,
                wall: written + Duration::from_millis(after),
            };
            match files.find(SitePath::of_name(b"a.txt"), now) {
                Ok(Found::File(opened)) => match opened.modified {
                    Some(date) => date.seconds() == second.as_secs(),
                    None => false,
                },
                other => panic!("{other:?}"),
            }
        })
    }

    #[test]
    fn a_file_has_its_date_once_its_second_is_over() {
        assert_eq!(dates(400, [100, 500, 700]), [false, false, true]);
    }

    /// FAT keeps even seconds: what it calls noon may have been written a second later, and be
    /// written again.
    #[test]
    fn a_file_without_a_fraction_of_a_second_has_its_date_a_second_later() {
        assert_eq!(dates(0, [500, 1500, 2500]), [false, false, true]);
    }

    /// A site with one file, and what it remembers of it after each of these milliseconds since the
    /// first look: whether the same bytes are served from memory, or the file was read again.
    fn is_remembered(bytes: usize, after: [u64; 4]) -> [bool; 4] {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("a.txt"), vec![b'a'; bytes]).unwrap();
        let root = Arc::new(Root::new(place.path(), false).unwrap());
        let limits = Arc::new(Limits::default());
        let mut files = Files::new(root, Arc::default(), Types::default(), limits);
        let start = Now {
            wall: SystemTime::now() + Duration::from_secs(60),
            ..Now::read()
        };
        let mut find = |after: u64| {
            let now = Now {
                instant: start.instant + Duration::from_millis(after),
                wall: start.wall + Duration::from_millis(after),
            };
            match files.find(SitePath::of_name(b"a.txt"), now) {
                Ok(Found::File(opened)) => opened,
                other => panic!("{other:?}"),
            }
        };
        let mut previous = find(0);
        after.map(|after| {
            let found = find(after);
            Arc::ptr_eq(&std::mem::replace(&mut previous, found.clone()), &found)
        })
    }

    /// Its state would not show a change through mmap(2).
    #[test]
    fn nothing_is_remembered_for_longer_than_its_lifetime() {
        for bytes in [5, 50_000] {
            let remembered = is_remembered(bytes, [1, 4999, 5000, 9999]);
            assert_eq!(remembered, [true, true, false, true], "{bytes} bytes");
        }
    }

    fn opened_in(place: &tempfile::TempDir, now: Now) -> Arc<Opened> {
        fs::write(place.path().join("a"), "hello").unwrap();
        let root = Arc::new(Root::new(place.path(), false).unwrap());
        let limits = Arc::new(Limits::default());
        let mut files = Files::new(root, Arc::default(), Types::default(), limits);
        match files.find(SitePath::of_name(b"a"), now) {
            Ok(Found::File(opened)) => opened,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn there_is_something_to_forget_until_all_is_forgotten() {
        let place = tempfile::tempdir().unwrap();
        let now = Now::read();
        let later = |milliseconds| Now {
            instant: now.instant + Duration::from_millis(milliseconds),
            ..now
        };
        let opened = opened_in(&place, now);
        let mut memory = Memory::new(10, 1000, Duration::from_secs(1));
        let due = |memory: &Memory| {
            let due = memory.next_due()?;
            Some(due.duration_since(now.instant).as_millis())
        };
        assert_eq!(due(&memory), None);
        memory.put(b"a", &opened, now);
        memory.put(b"b", &opened, later(300));
        memory.put(b"a", &opened, later(500));
        assert_eq!(due(&memory), Some(1000), "earlier than need be");
        memory.expire(later(999));
        assert_eq!(memory.bytes, 10);
        memory.expire(later(1000));
        assert_eq!(due(&memory), Some(1300));
        memory.expire(later(1300));
        assert_eq!((due(&memory), memory.bytes), (Some(1500), 5));
        memory.expire(later(1500));
        assert_eq!((due(&memory), memory.bytes), (None, 0));
        assert_eq!(Arc::strong_count(&opened), 1);
    }

    #[test]
    fn a_state_is_known_since_it_was_first_seen() {
        let place = tempfile::tempdir().unwrap();
        let now = Now::read();
        let later = |milliseconds| Now {
            instant: now.instant + Duration::from_millis(milliseconds),
            ..now
        };
        let opened = opened_in(&place, now);
        let other = Identity {
            size: 6,
            ..opened.identity
        };
        let mut memory = Memory::new(1, 1000, Duration::from_secs(1));
        assert_eq!(memory.first_seen(b"a", opened.identity, now), now);
        assert_eq!(memory.first_seen(b"a", opened.identity, later(1)), now);
        memory.put(b"a", &opened, later(2));
        memory.expire(later(2000));
        assert_eq!(memory.first_seen(b"a", opened.identity, later(2000)), now);
        assert_eq!(memory.first_seen(b"a", other, later(2001)), later(2001));
        // One more than there is room for.
        assert_eq!(memory.first_seen(b"b", other, now), now);
        assert_eq!((memory.files.len(), memory.order.len()), (1, 1));
    }
}
