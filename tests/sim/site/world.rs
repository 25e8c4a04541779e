//! What the world does for the site: files change at their time or in the middle of a turn, and
//! peers fill in the validators that they know.

use super::ask::{self, Condition};
use super::{Place, SharedPlace, When};
use crate::plan::{Micros, Plan};
use crate::world::World;
use std::cell::RefMut;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// The files of a plan, before anything has happened.
pub fn place_of(plan: &Plan, wall: Duration) -> Option<SharedPlace> {
    let files = plan.site.as_ref()?;
    let limits = plan.limits.limits(plan.connections);
    Some(Place::new(files, wall, plan.peers.len(), &limits))
}

/// The changes that come at a time, by their place in the plan.
pub fn timed(plan: &Plan) -> Vec<(Micros, usize)> {
    let changes = plan.site.iter().flat_map(|files| &files.changes);
    let timed = changes
        .enumerate()
        .filter_map(|(nth, (when, _))| match when {
            When::Time(at) => Some((*at, nth)),
            _ => None,
        });
    timed.collect()
}

/// Descriptors that lead into the directory.
pub fn descriptors_within(base: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return 0;
    };
    let leads = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    leads.filter(|path| path.starts_with(base)).count()
}

impl World {
    fn place(&self) -> Option<RefMut<'_, Place>> {
        self.place.as_ref().map(|place| place.borrow_mut())
    }

    /// A change of the plan comes to pass.
    pub fn change(&mut self, nth: usize) {
        let wall = self.read_clock().wall.duration_since(UNIX_EPOCH);
        let Some(files) = &self.plan.site else { return };
        let (_, happening) = files.changes[nth];
        if let Some(mut place) = self.place() {
            place.happen(happening, wall.expect("after 1970"));
        }
        self.say(|| format!("{happening:?}"));
    }

    /// A system call is about to be made.
    pub fn change_before_call(&mut self) {
        while let Some(nth) = self.place().and_then(|mut place| place.next_within()) {
            self.change(nth);
        }
    }

    /// The loop is about to sleep.
    pub fn change_before_poll(&mut self) {
        while let Some(nth) = self.place().and_then(|mut place| place.next_between()) {
            self.change(nth);
        }
    }

    pub fn begin_turn_of_place(&mut self) {
        if let Some(mut place) = self.place() {
            place.begin_turn();
        }
    }

    /// Which of the site's files this is, and how long.
    pub fn site_file(&self, file: &File) -> Option<(usize, u64)> {
        let number = file.metadata().ok()?.ino();
        let place = self.place()?;
        let (inode, bytes) = place.tree.inode(number)?;
        Some((inode, bytes.len() as u64))
    }

    /// What a peer has not begun to say yet, it says with what is known by now.
    pub fn fill_in(&mut self, id: usize) {
        if let Some(place) = self.place.clone() {
            let Place { book, said, .. } = &mut *place.borrow_mut();
            self.lines[id].fill_in(|nth, ask, slot| {
                let unknown = ask.condition.map_or("", Condition::unknown);
                let mut validator = book.validator(ask).unwrap_or(unknown).to_owned();
                // Somebody between may have made it a weak one, as caches that compress do.
                if validator.starts_with('"') && ask.pick % 8 == 7 {
                    validator.insert_str(0, "W/");
                }
                ask::fill(slot, &validator);
                said[id].insert(nth, validator);
            });
        }
    }
}
