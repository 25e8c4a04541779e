//! Room `site`: the files that are remembered, each checked anew in every turn.

use super::files::Opened;
use super::identity::Identity;
use crate::clock::Now;
use foldhash::fast::RandomState;
use rustix::fs::Stat;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// Files by name, oldest first; what is asked for again outlives what is not.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Foldhash resists chosen keys less well than the standard hasher. But only who writes to the
    /// site chooses these: they are names of files that exist.
    files: HashMap<Box<[u8]>, Remembered, RandomState>,
    order: VecDeque<Box<[u8]>>,
    bytes: usize,
}

#[derive(Debug)]
struct Remembered {
    /// The turn in which it was last compared with the file system.
    checked: Instant,
    /// Asked for since it was last looked at for eviction.
    is_used: bool,
    /// `None`: it is not what it was, and is about to be read again.
    file: Option<Arc<Opened>>,
}

impl Memory {
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
            if identify().map(|stat| Identity::of(&stat)) != Some(opened.identity) {
                self.forget_bytes(key);
                return None;
            }
            known.checked = now.instant;
        }
        known.is_used = true;
        Some(opened.clone())
    }

    /// Remembers a file, among `most_files` with `most_bytes` together.
    pub(super) fn put(
        &mut self,
        key: &[u8],
        opened: &Arc<Opened>,
        now: Now,
        most_files: usize,
        most_bytes: usize,
    ) {
        let remembered = Remembered {
            checked: now.instant,
            is_used: false,
            file: Some(opened.clone()),
        };
        self.bytes += remembered.size();
        match self.files.get_mut(key) {
            Some(known) => {
                self.bytes -= known.size();
                *known = remembered;
            }
            None => {
                self.order.push_back(key.into());
                self.files.insert(key.into(), remembered);
            }
        }
        while self.files.len() > most_files || self.bytes > most_bytes {
            if !self.evict_one() {
                break;
            }
        }
    }

    /// Forgets all of them. Returns whether there were any.
    pub(super) fn clear(&mut self) -> bool {
        let had_files = !self.files.is_empty();
        *self = Self::default();
        had_files
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
                    self.bytes -= known.size();
                    self.files.remove(&key);
                    return true;
                }
                None => {}
            }
        }
        false
    }

    /// The file is not what it was; its place in the order stays, as it will be back at once.
    fn forget_bytes(&mut self, key: &[u8]) {
        if let Some(known) = self.files.get_mut(key) {
            self.bytes -= known.size();
            known.file = None;
        }
    }
}

impl Remembered {
    fn size(&self) -> usize {
        self.file.as_ref().map_or(0, |opened| opened.size as usize)
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
}
