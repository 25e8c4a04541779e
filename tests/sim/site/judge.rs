//! Is a response one that some state of the files explains? A state from the beginning of the turn
//! to the answer, no older and no later one.

use super::ask::{Condition, SiteAsk};
use super::body::Body;
use super::book::Promise;
use super::reader::Head;
use super::tree::{Meaning, Tree};
use super::{Place, Window, listing, parts};
use crate::asks::{Ask, Method};
use std::time::{Duration, UNIX_EPOCH};

/// A response, and all that is known of how it came about.
pub struct Case<'c> {
    pub ask: &'c Ask,
    pub validator: &'c str,
    pub window: Window,
    pub head: &'c Head,
    pub body: &'c Body,
    /// If not, the connection ended before it did.
    pub is_whole: bool,
}

/// A file that may be the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub inode: usize,
    pub version: usize,
    pub coding: Option<&'static str>,
}

/// All that a target may stand for.
#[derive(Debug, Default)]
struct Meanings {
    files: Vec<Found>,
    redirect: bool,
    listing: Option<&'static str>,
    nothing: bool,
}

/// A file's time is long past by then: nothing is uncertain about it any more.
const SETTLED: Duration = Duration::from_secs(4);

impl Case<'_> {
    /// The files that explain the response.
    ///
    /// # Errors
    /// Nothing explains it.
    pub fn judge(&self, place: &Place) -> Result<Vec<Found>, String> {
        self.judge_date()?;
        let (status, ask) = match self.ask {
            Ask::Garbage => return self.is_refused(400),
            Ask::LongLine(_) => return self.is_refused(414),
            Ask::LongHead(_) => return self.is_refused(431),
            Ask::Unfinished => return self.is_refused(408),
            Ask::Page { .. } => return Err("not a question for a site".into()),
            Ask::Site(ask) if matches!(ask.method, Method::Post(_)) => return self.is_refused(405),
            Ask::Site(ask) => (self.head.status, ask),
        };
        let meanings = self.meanings(ask, &place.tree);
        let is_listing = meanings.listing.is_some();
        match (status, meanings.listing) {
            (301, _) if meanings.redirect => self.judge_redirect(ask),
            (404, _) if meanings.nothing => self.judge_nothing(&place.tree),
            (503, Some(_)) if self.window.is_busy => Ok(Vec::new()),
            (412, Some(_)) if ask.condition == Some(Condition::Match) => Ok(Vec::new()),
            (200, Some(name)) if self.head.field("etag").is_none() && !self.window.is_busy => {
                listing::judge(self, ask, name, &place.tree).map(|()| Vec::new())
            }
            (200 | 206 | 304 | 412 | 416, _) if !meanings.files.is_empty() => {
                let is_sure = meanings.files.len() == 1
                    && !(meanings.redirect || is_listing || meanings.nothing);
                self.judge_file(ask, &meanings.files, is_sure, place)
            }
            _ => Err(format!("{status}, but it is {meanings:?}")),
        }
    }

    fn is_refused(&self, status: u16) -> Result<Vec<Found>, String> {
        match self.head.status == status {
            true => Ok(Vec::new()),
            false => Err(format!("{} instead of {status}", self.head.status)),
        }
    }

    fn judge_date(&self) -> Result<(), String> {
        let right = date(self.window.wall);
        match self.head.field("date") == Some(&right) {
            true => Ok(()),
            false => Err(format!("not the date of {right}")),
        }
    }

    fn meanings(&self, ask: &SiteAsk, tree: &Tree) -> Meanings {
        let path = ask.target.split('?').next().unwrap_or_default();
        let (path, slash) = match path[1..].strip_suffix('/') {
            Some(path) => (path, true),
            None => (&path[1..], false),
        };
        let all = |name: &str| tree.meanings(name, self.window.from, self.window.to);
        let mut meanings = Meanings::default();
        if path.starts_with('.') {
            meanings.nothing = true;
        } else if slash {
            let index = format!("{path}/index.html");
            let found = all(&index);
            meanings.nothing = found.contains(&Meaning::Denied);
            if found
                .iter()
                .any(|it| matches!(it, Meaning::Directory | Meaning::Nothing))
            {
                for meaning in all(path) {
                    match meaning {
                        Meaning::Directory => meanings.listing = Some(target_directory(path)),
                        _ => meanings.nothing = true,
                    }
                }
            }
            meanings.files = self.representations(ask, &index, &found, tree);
        } else {
            let found = all(path);
            let is_nothing = |it: &Meaning| matches!(it, Meaning::Nothing | Meaning::Denied);
            meanings.nothing = found.iter().any(is_nothing);
            meanings.redirect = found.contains(&Meaning::Directory);
            meanings.files = self.representations(ask, path, &found, tree);
        }
        meanings
    }

    /// The file itself, and the encoded siblings that may stand for it.
    fn representations(
        &self,
        ask: &SiteAsk,
        name: &str,
        found: &[Meaning],
        tree: &Tree,
    ) -> Vec<Found> {
        let files = |meanings: &[Meaning], coding| -> Vec<Found> {
            let file = |meaning: &Meaning| match *meaning {
                Meaning::File { inode, version } => Some(Found {
                    inode,
                    version,
                    coding,
                }),
                _ => None,
            };
            meanings.iter().filter_map(file).collect()
        };
        let plain = files(found, None);
        let mut all = Vec::new();
        if name.ends_with(".txt") || name.ends_with(".html") {
            let second = |found: &Found| tree.version(found.version).modified.as_secs();
            for coding in ask.codings.unwrap_or_default().split(", ") {
                let (coding, suffix) = match coding {
                    "br" => ("br", ".br"),
                    "gzip" => ("gzip", ".gz"),
                    _ => continue,
                };
                let (from, to) = (self.window.from, self.window.to);
                let meanings = tree.meanings(&format!("{name}{suffix}"), from, to);
                let siblings = files(&meanings, Some(coding));
                let counts = |sibling: &Found| plain.iter().any(|it| second(sibling) >= second(it));
                all.extend(siblings.iter().copied().filter(counts));
                let oldest = siblings.iter().map(second).min();
                let is_certain = siblings.len() == meanings.len()
                    && plain.iter().all(|it| oldest >= Some(second(it)));
                if is_certain {
                    return if plain.is_empty() { plain } else { all };
                }
            }
        }
        all.extend(plain);
        all
    }

    fn judge_redirect(&self, ask: &SiteAsk) -> Result<Vec<Found>, String> {
        let last = ask.target.rsplit('/').next().unwrap_or_default();
        match self.head.field("location") == Some(&format!("./{last}/")) {
            true => Ok(Vec::new()),
            false => Err("leads elsewhere".into()),
        }
    }

    /// The site's own page, or the server's.
    fn judge_nothing(&self, tree: &Tree) -> Result<Vec<Found>, String> {
        let is_own = |meaning: &Meaning| match *meaning {
            Meaning::File { inode, version } => {
                let bytes = &tree.version(version).bytes;
                self.has_length(bytes.len()) && self.body.holds(0, bytes, inode, 0)
            }
            _ => {
                let page = b"404 Not Found: there is nothing at this address\n";
                self.has_length(page.len()) && self.body.holds(0, page, usize::MAX, 0)
            }
        };
        let own = tree.meanings("404.html", self.window.from, self.window.to);
        match own.iter().any(is_own) {
            true => Ok(Vec::new()),
            false => Err(format!(
                "a page for what is not there that is none of {own:?}"
            )),
        }
    }

    fn judge_file(
        &self,
        ask: &SiteAsk,
        files: &[Found],
        is_sure: bool,
        place: &Place,
    ) -> Result<Vec<Found>, String> {
        let explain = |found: &&Found| self.explain(ask, found, is_sure, place);
        let explaining: Vec<Found> = files
            .iter()
            .filter(|f| explain(f).is_ok())
            .copied()
            .collect();
        match (explaining.is_empty(), files) {
            (false, _) => Ok(explaining),
            (true, [only]) => explain(&only).map(|()| Vec::new()),
            (true, _) => {
                let reasons: Vec<_> = files.iter().map(|f| explain(&f)).collect();
                Err(format!("neither of {} versions: {reasons:?}", files.len()))
            }
        }
    }

    /// Whether this version is what was sent. `is_sure`: there is no other that it could be.
    fn explain(
        &self,
        ask: &SiteAsk,
        found: &Found,
        is_sure: bool,
        place: &Place,
    ) -> Result<(), String> {
        let version = place.tree.version(found.version);
        let size = version.bytes.len();
        let promise = self.promise(ask, found, place);
        self.judge_condition(ask, &promise, is_sure)?;
        let ranges = ask.ranges.filter(|_| ask.method == Method::Get);
        let wanted = ranges.and_then(|ranges| parts::wanted(ranges, size as u64));
        let is_conditional = ask.condition.is_some_and(|it| it.is_for_ranges());
        let must = wanted.is_some() && (!is_conditional || is_sure && promise.is_this_one);
        match (self.head.status, &wanted) {
            (200, _) if must => return Err("all of it, but a part was asked for".into()),
            (200, _) if !self.has_length(size) => return Err(format!("it has {size} bytes")),
            (200, _) if !self.body.holds(0, &version.bytes, found.inode, 0) => {
                return Err("other bytes".into());
            }
            (206 | 416, None) => return Err("a part, but all of it was asked for".into()),
            (206 | 416, _) if is_conditional && !promise.has_these_bytes => {
                return Err("a part of another version".into());
            }
            (206, Some(wanted)) => parts::judge(self, wanted, version, found.inode)?,
            (416, Some(wanted)) => {
                let right = format!("bytes */{size}");
                if !wanted.is_empty() || self.head.field("content-range") != Some(&right) {
                    return Err(format!("there are {size} bytes"));
                }
            }
            _ => {}
        }
        let is_weak = self
            .head
            .field("etag")
            .is_some_and(|tag| tag.starts_with("W/"));
        if is_weak && place.tree.is_in_memory(found.version) {
            return Err("a weak entity-tag of bytes that are known".into());
        }
        match self.head.status {
            200 | 206 | 304 => self.judge_fields(ask, found, version.dated),
            _ => Ok(()),
        }
    }

    /// What a condition allows and demands.
    fn judge_condition(
        &self,
        ask: &SiteAsk,
        promise: &Promise,
        is_sure: bool,
    ) -> Result<(), String> {
        let status = self.head.status;
        match (ask.condition, status) {
            (Some(Condition::NoneMatch | Condition::ModifiedSince), 304) => {
                match promise.has_these_bytes {
                    true => Ok(()),
                    false => Err("not modified, but it is".into()),
                }
            }
            (Some(Condition::Match), 412) if is_sure && promise.is_this_one => {
                Err("it is what was asked for".into())
            }
            (Some(Condition::Match), 412) => Ok(()),
            (_, 304 | 412) => Err("nobody asked for that".into()),
            (Some(Condition::NoneMatch | Condition::ModifiedSince), _)
                if is_sure && promise.is_this_one =>
            {
                Err("it is not modified".into())
            }
            (Some(Condition::Match), _) if !promise.has_these_bytes => {
                Err("it is not what was asked for".into())
            }
            _ => Ok(()),
        }
    }

    fn judge_fields(&self, ask: &SiteAsk, found: &Found, dated: Duration) -> Result<(), String> {
        let path = ask.target.split('?').next().unwrap_or_default();
        let right = match path.rsplit('.').next() {
            _ if path.ends_with('/') => "text/html; charset=utf-8",
            Some("txt") => "text/plain; charset=utf-8",
            Some("html") => "text/html; charset=utf-8",
            Some("gz") => "application/gzip",
            _ => "application/octet-stream",
        };
        if self.head.status == 304 {
            return self.judge_not_modified();
        }
        let content_type = self.head.field("content-type").unwrap_or_default();
        let is_multipart = content_type.starts_with("multipart/byteranges");
        if content_type != right && !(self.head.status == 206 && is_multipart) {
            return Err(format!("not {right}"));
        }
        if self.head.field("content-encoding") != found.coding {
            return Err(format!("its coding is {:?}", found.coding));
        }
        let tag = self.head.field("etag").ok_or("no entity-tag")?;
        let said = self.head.field("last-modified");
        let is_settled = dated + SETTLED < self.window.wall;
        if said.is_some_and(|said| said != date(dated)) {
            return Err("modified at another time".into());
        }
        match is_settled && (tag.starts_with("W/") || said.is_none()) {
            true => Err("nothing to hold on to, although it has not changed for long".into()),
            false => Ok(()),
        }
    }

    /// A 304 has what a cache needs to choose and refresh what it stored (RFC 9110 15.4.5).
    fn judge_not_modified(&self) -> Result<(), String> {
        const OTHERS: [&str; 4] = [
            "content-type",
            "content-encoding",
            "last-modified",
            "accept-ranges",
        ];
        self.head.field("etag").ok_or("no entity-tag")?;
        match OTHERS
            .into_iter()
            .find(|name| self.head.field(name).is_some())
        {
            Some(name) => Err(format!("304 with {name}")),
            None => Ok(()),
        }
    }

    /// Whether the response has a body of this length, and all of it if it is whole.
    pub fn has_length(&self, length: usize) -> bool {
        let is_said = self.head.field("content-length") == Some(&length.to_string());
        is_said && self.body.bytes.len() <= length
    }
}

fn target_directory(path: &str) -> &'static str {
    let known = super::tree::DIRECTORIES.into_iter();
    known.clone().find(|name| *name == path).unwrap_or_default()
}

/// As header fields have it.
fn date(since_1970: Duration) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + since_1970)
}
