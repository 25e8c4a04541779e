//! The part of the simulated kernel for the real site: files change at a time or in the middle of
//! an iteration, and peers send validators that they have received.

use super::request::{self, Condition};
use super::{SharedSite, SiteModel, When};
use crate::kernel::Kernel;
use crate::scenario::{Micros, Scenario};
use std::cell::RefMut;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// The files of a scenario before the first change.
pub fn site_of(scenario: &Scenario, wall: Duration) -> Option<SharedSite> {
    let files = scenario.site.as_ref()?;
    let limits = scenario.limits.limits(scenario.connections);
    Some(SiteModel::new(files, wall, scenario.peers.len(), &limits))
}

/// The changes with a fixed time: the time and the index.
pub fn timed(scenario: &Scenario) -> Vec<(Micros, usize)> {
    let changes = scenario.site.iter().flat_map(|files| &files.changes);
    let timed = changes
        .enumerate()
        .filter_map(|(nth, (when, _))| match when {
            When::Time(at) => Some((*at, nth)),
            _ => None,
        });
    timed.collect()
}

/// Open descriptors of files in the directory.
pub fn descriptors_within(base: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return 0;
    };
    let leads = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    leads.filter(|path| path.starts_with(base)).count()
}

impl Kernel {
    fn site(&self) -> Option<RefMut<'_, SiteModel>> {
        self.site.as_ref().map(|site| site.borrow_mut())
    }

    /// Applies a change of the scenario.
    pub fn change(&mut self, nth: usize) {
        let wall = self.read_clock().wall.duration_since(UNIX_EPOCH);
        let Some(files) = &self.scenario.site else {
            return;
        };
        let (_, change) = files.changes[nth];
        if let Some(mut site) = self.site() {
            site.apply(change, wall.expect("after 1970"));
        }
        self.log(|| format!("{change:?}"));
    }

    /// Called before each system call.
    pub fn change_before_call(&mut self) {
        while let Some(nth) = self.site().and_then(|mut site| site.next_within()) {
            self.change(nth);
        }
    }

    /// Called before the poll.
    pub fn change_before_poll(&mut self) {
        while let Some(nth) = self.site().and_then(|mut site| site.next_between()) {
            self.change(nth);
        }
    }

    pub fn begin_site_iteration(&mut self) {
        if let Some(mut site) = self.site() {
            site.begin_iteration();
        }
    }

    /// The number and the length of a file of the site.
    pub fn site_file(&self, file: &File) -> Option<(usize, u64)> {
        let number = file.metadata().ok()?.ino();
        let site = self.site()?;
        let (inode, bytes) = site.tree.inode(number)?;
        Some((inode, bytes.len() as u64))
    }

    /// Replaces placeholders by validators in requests that are not sent yet.
    pub fn fill_in(&mut self, id: usize) {
        if let Some(site) = self.site.clone() {
            let SiteModel {
                validators,
                sent_validators,
                ..
            } = &mut *site.borrow_mut();
            self.connections[id].fill_in(|nth, request, slot| {
                let unknown = request.condition.map_or("", Condition::unknown);
                let mut validator = validators.validator(request).unwrap_or(unknown).to_owned();
                // Caches that compress make validators weak.
                if validator.starts_with('"') && request.pick % 8 == 7 {
                    validator.insert_str(0, "W/");
                }
                request::fill(slot, &validator);
                sent_validators[id].insert(nth, validator);
            });
        }
    }
}
