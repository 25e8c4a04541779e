//! The validators (entity-tags and dates) that the server has sent, and the bytes they stand for. A
//! later request with one of them must get a correct response.

use super::SiteModel;
use super::check::{Case, Found};
use super::request::{Condition, SiteRequest};
use super::tree::Tree;
use crate::requests::SimRequest;
use std::collections::BTreeMap;
use std::time::Duration;

/// The validators that the server has sent.
#[derive(Debug, Default)]
pub struct IssuedValidators {
    /// For each target and entity-tag: when it was first sent, and the files it stands for.
    tags: BTreeMap<(&'static str, String), (Duration, Vec<Found>)>,
    /// The same for dates, for each target and Accept-Encoding.
    dates: BTreeMap<(&'static str, Option<&'static str>, String), Vec<Found>>,
}

/// How a version relates to the validator of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValidatorMatch {
    /// It has the same bytes, as far as this validator can tell.
    pub has_these_bytes: bool,
    /// It is the same version.
    pub is_this_one: bool,
}

impl IssuedValidators {
    /// Records the validators of a response.
    ///
    /// # Errors
    /// The validator was sent before for other bytes.
    pub fn learn(&mut self, case: &Case<'_>, found: &[Found], tree: &Tree) -> Result<(), String> {
        let (SimRequest::Site(request), false) = (case.request, found.is_empty()) else {
            return Ok(());
        };
        if let Some(modified) = case.head.field("last-modified") {
            let key = (request.target, request.codings, modified.to_owned());
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
            let key = (request.target, tag.to_owned());
            let Some((wall, given)) = self.tags.get_mut(&key) else {
                self.tags.insert(key, (case.window.wall, found.to_vec()));
                return Ok(());
            };
            let bytes = |it: &Found| tree.version(it.version).bytes.clone();
            let is_same = |a: &Found| {
                let explains =
                    |b: &Found| bytes(a) == bytes(b) || are_indistinguishable(tree, a, b);
                found.iter().any(explains)
            };
            if given.iter().any(is_same) {
                given.retain(is_same);
            } else if tag.starts_with("W/") && *wall == case.window.wall {
                // Within one iteration no client can use it, and later the tag is another one.
                given.extend(found);
            } else {
                return Err("the same entity-tag for other bytes".into());
            }
        }
        Ok(())
    }

    /// A validator that the server has sent for this target.
    pub fn validator(&self, request: &SiteRequest) -> Option<&str> {
        let condition = request.condition?;
        let choose = |known: Vec<_>| match known.len() {
            0 => None,
            count => Some(known[(request.pick % count as u64) as usize]),
        };
        match condition.is_date() {
            true => {
                let key = |key: &&(&str, Option<&str>, String)| {
                    (key.0, key.1) == (request.target, request.codings)
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
                let is_it = |key: &&(&str, String)| key.0 == request.target;
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
    /// Compares the validator of the request with this version.
    pub fn matched(
        &self,
        request: &SiteRequest,
        found: &Found,
        site: &SiteModel,
    ) -> ValidatorMatch {
        let Some(condition) = request.condition else {
            return ValidatorMatch::default();
        };
        let (tree, validators) = (&site.tree, &site.validators);
        let this = tree.version(found.version);
        if condition.is_date() {
            let key = (request.target, request.codings, self.validator.to_owned());
            let given = validators.dates.get(&key).map_or(&[][..], Vec::as_slice);
            let is_same = |it: &Found| tree.version(it.version).bytes == this.bytes;
            // A date cannot tell codings apart, since their files may have the same one; and
            // "since" cannot detect a file with an older date.
            let is_since = condition == Condition::ModifiedSince;
            let excuses = |it: &Found| {
                let is_older = this.dated < tree.version(it.version).dated;
                it.coding != found.coding || is_since && is_older || have_one_date(tree, it, found)
            };
            return ValidatorMatch {
                has_these_bytes: given.iter().any(|it| is_same(it) || excuses(it)),
                is_this_one: given == [*found],
            };
        }
        let known = |tag: &str| validators.tags.get(&(request.target, tag.to_owned()));
        let weakened = self.validator.strip_prefix("W/");
        let given = known(self.validator).or_else(|| known(weakened?));
        let given = given.map_or(&[][..], |(_, files)| files);
        let is_weak = weakened.is_some();
        let is_same = |it: &Found| {
            tree.version(it.version).bytes == this.bytes || are_indistinguishable(tree, it, found)
        };
        let may_be_weak = condition == Condition::NoneMatch;
        ValidatorMatch {
            has_these_bytes: (may_be_weak || !is_weak) && given.iter().any(is_same),
            is_this_one: !is_weak && given == [*found],
        }
    }
}

/// Whether no entity-tag can tell them apart: two files of the same length and timestamp, too large
/// to be read completely. A name that moves from one to the other keeps its tag.
fn are_indistinguishable(tree: &Tree, one: &Found, other: &Found) -> bool {
    let (first, second) = (tree.version(one.version), tree.version(other.version));
    one.inode != other.inode
        && !tree.is_in_memory(one.version)
        && first.modified == second.modified
        && first.bytes.len() == second.bytes.len()
}

/// Whether a date cannot tell them apart, and the server could not know: both are of the same
/// second, but not one file that was written twice.
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
