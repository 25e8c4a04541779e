//! What has the server said of versions: which entity-tags and dates has it given out, and for
//! which bytes? Whoever comes back with one must be able to trust it.

use super::Place;
use super::ask::{Condition, SiteAsk};
use super::judge::{Case, Found};
use super::tree::Tree;
use crate::asks::Ask;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the server has said of versions: its promises.
#[derive(Debug, Default)]
pub struct Book {
    /// When an entity-tag of a target was first given out, and which files it stands for.
    tags: BTreeMap<(&'static str, String), (Duration, Vec<Found>)>,
    /// The same of dates, which hold only among those who ask in the same way.
    dates: BTreeMap<(&'static str, Option<&'static str>, String), Vec<Found>>,
}

/// What an earlier answer has said of a version, by its validator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Promise {
    /// It has the same bytes, as far as that validator can tell.
    pub has_these_bytes: bool,
    /// It is the same version.
    pub is_this_one: bool,
}

impl Book {
    /// Remembers what a response has promised.
    ///
    /// # Errors
    /// It had promised something else before.
    pub fn learn(&mut self, case: &Case<'_>, found: &[Found], tree: &Tree) -> Result<(), String> {
        let (Ask::Site(ask), false) = (case.ask, found.is_empty()) else {
            return Ok(());
        };
        if let Some(modified) = case.head.field("last-modified") {
            let key = (ask.target, ask.codings, modified.to_owned());
            let given = self.dates.entry(key).or_default();
            given.extend(
                found
                    .iter()
                    .filter(|it| !given.contains(it))
                    .copied()
                    .collect::<Vec<_>>(),
            );
        }
        if let Some(tag) = case.head.field("etag") {
            let key = (ask.target, tag.to_owned());
            let Some((wall, given)) = self.tags.get_mut(&key) else {
                self.tags.insert(key, (case.window.wall, found.to_vec()));
                return Ok(());
            };
            let bytes = |it: &Found| tree.version(it.version).bytes.clone();
            let is_same = |a: &Found| {
                let explains = |b: &Found| bytes(a) == bytes(b) || are_twins(tree, a, b);
                found.iter().any(explains)
            };
            if given.iter().any(is_same) {
                given.retain(is_same);
            } else if tag.starts_with("W/") && *wall == case.window.wall {
                // Of one turn: nobody can come back with it within that, and later it is another.
                given.extend(found);
            } else {
                return Err("the same entity-tag for other bytes".into());
            }
        }
        Ok(())
    }

    /// One of the validators that the server has given out for what `ask` asks for.
    pub fn validator(&self, ask: &SiteAsk) -> Option<&str> {
        let condition = ask.condition?;
        let choose = |known: Vec<_>| match known.len() {
            0 => None,
            count => Some(known[(ask.pick % count as u64) as usize]),
        };
        match condition.is_date() {
            true => {
                let key = |key: &&(&str, Option<&str>, String)| {
                    (key.0, key.1) == (ask.target, ask.codings)
                };
                choose(
                    self.dates
                        .keys()
                        .filter(key)
                        .map(|key| key.2.as_str())
                        .collect(),
                )
            }
            false => {
                let is_it = |key: &&(&str, String)| key.0 == ask.target;
                choose(
                    self.tags
                        .keys()
                        .filter(is_it)
                        .map(|key| key.1.as_str())
                        .collect(),
                )
            }
        }
    }
}

impl Case<'_> {
    /// What the validator in the request says of this version.
    pub fn promise(&self, ask: &SiteAsk, found: &Found, place: &Place) -> Promise {
        let Some(condition) = ask.condition else {
            return Promise::default();
        };
        let (tree, book) = (&place.tree, &place.book);
        let this = tree.version(found.version);
        if condition.is_date() {
            let key = (ask.target, ask.codings, self.validator.to_owned());
            let given = book.dates.get(&key).map_or(&[][..], Vec::as_slice);
            let is_same = |it: &Found| tree.version(it.version).bytes == this.bytes;
            // A date says nothing of another coding, whose file may well have the same; and with
            // "since" nothing of a file that was set back.
            let is_since = condition == Condition::ModifiedSince;
            let excuses = |it: &Found| {
                let is_older = this.dated < tree.version(it.version).dated;
                it.coding != found.coding || is_since && is_older || have_one_date(tree, it, found)
            };
            return Promise {
                has_these_bytes: given.iter().any(|it| is_same(it) || excuses(it)),
                is_this_one: given == [*found],
            };
        }
        let known = |tag: &str| book.tags.get(&(ask.target, tag.to_owned()));
        let weakened = self.validator.strip_prefix("W/");
        let given = known(self.validator).or_else(|| known(weakened?));
        let given = given.map_or(&[][..], |(_, files)| files);
        let is_weak = weakened.is_some();
        let is_same =
            |it: &Found| tree.version(it.version).bytes == this.bytes || are_twins(tree, it, found);
        let may_be_weak = condition == Condition::NoneMatch;
        Promise {
            has_these_bytes: (may_be_weak || !is_weak) && given.iter().any(is_same),
            is_this_one: !is_weak && given == [*found],
        }
    }
}

/// Whether no entity-tag can tell them apart: two files as long as each other, written at the same
/// moment, and too large to be read whole. A name that moves from one to the other keeps its tag.
fn are_twins(tree: &Tree, one: &Found, other: &Found) -> bool {
    let (first, second) = (tree.version(one.version), tree.version(other.version));
    one.inode != other.inode
        && !tree.is_in_memory(one.version)
        && first.modified == second.modified
        && first.bytes.len() == second.bytes.len()
}

/// Whether a date cannot tell them apart, and the server could not have known: they are of one
/// second, but not one file that was written twice in it.
fn have_one_date(tree: &Tree, one: &Found, other: &Found) -> bool {
    let (first, second) = (tree.version(one.version), tree.version(other.version));
    let is_written_twice = one.inode == other.inode && !first.is_set && !second.is_set;
    first.dated.as_secs() == second.dated.as_secs() && !is_written_twice
}

impl Condition {
    pub fn is_for_ranges(self) -> bool {
        matches!(self, Self::RangeTag | Self::RangeDate)
    }
}
