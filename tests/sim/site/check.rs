//! Checks a response of the site: a state of the files between the beginning of the iteration and
//! the response must explain it.

use super::body::Body;
use super::reader::Head;
use super::request::{Condition, SiteRequest};
use super::tree::{NameState, Tree};
use super::validators::ValidatorMatch;
use super::{SiteModel, Window, listing, parts};
use crate::requests::{Method, SimRequest};
use std::time::{Duration, UNIX_EPOCH};

/// A response with everything that is known about it.
pub struct Case<'c> {
    pub request: &'c SimRequest,
    pub validator: &'c str,
    pub window: Window,
    pub head: &'c Head,
    pub body: &'c Body,
    /// If false, the connection was closed within the response.
    pub is_whole: bool,
}

/// A file that may have been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub inode: usize,
    pub version: usize,
    pub coding: Option<&'static str>,
}

/// Everything that a target may refer to.
#[derive(Debug, Default)]
struct Candidates {
    files: Vec<Found>,
    redirect: bool,
    listing: Option<&'static str>,
    nothing: bool,
}

/// After this time the timestamp of a file is exact.
const RACY_TIME: Duration = Duration::from_secs(4);

impl Case<'_> {
    /// The files that explain the response.
    ///
    /// # Errors
    /// Nothing explains it.
    pub fn check(&self, site: &SiteModel) -> Result<Vec<Found>, String> {
        self.check_date()?;
        let (status, request) = match self.request {
            SimRequest::Garbage => return self.is_refused(400),
            SimRequest::LongLine(_) => return self.is_refused(414),
            SimRequest::LongHead(_) => return self.is_refused(431),
            SimRequest::Unfinished => return self.is_refused(408),
            SimRequest::Page { .. } => return Err("not a request to the site".into()),
            SimRequest::Site(request) if matches!(request.method, Method::Post(_)) => {
                return self.is_refused(405);
            }
            SimRequest::Site(request) => (self.head.status, request),
        };
        let states = self.states(request, &site.tree);
        let is_listing = states.listing.is_some();
        match (status, states.listing) {
            (301, _) if states.redirect => self.check_redirect(request),
            (404, _) if states.nothing => self.check_not_found(&site.tree),
            (503, Some(_)) if self.window.is_busy => Ok(Vec::new()),
            (412, Some(_)) if request.condition == Some(Condition::Match) => Ok(Vec::new()),
            (200, Some(name)) if self.head.field("etag").is_none() && !self.window.is_busy => {
                listing::check(self, request, name, &site.tree).map(|()| Vec::new())
            }
            (200 | 206 | 304 | 412 | 416, _) if !states.files.is_empty() => {
                let is_sure =
                    states.files.len() == 1 && !(states.redirect || is_listing || states.nothing);
                self.check_file(request, &states.files, is_sure, site)
            }
            _ => Err(format!("{status}, but it is {states:?}")),
        }
    }

    fn is_refused(&self, status: u16) -> Result<Vec<Found>, String> {
        match self.head.status == status {
            true => Ok(Vec::new()),
            false => Err(format!("{} instead of {status}", self.head.status)),
        }
    }

    fn check_date(&self) -> Result<(), String> {
        let right = date(self.window.wall);
        match self.head.field("date") == Some(&right) {
            true => Ok(()),
            false => Err(format!("not the date of {right}")),
        }
    }

    fn states(&self, request: &SiteRequest, tree: &Tree) -> Candidates {
        let path = request.target.split('?').next().unwrap_or_default();
        let (path, slash) = match path[1..].strip_suffix('/') {
            Some(path) => (path, true),
            None => (&path[1..], false),
        };
        let all = |name: &str| tree.states(name, self.window.from, self.window.to);
        let mut states = Candidates::default();
        if path.starts_with('.') {
            states.nothing = true;
        } else if slash {
            let index = format!("{path}/index.html");
            let found = all(&index);
            states.nothing = found.contains(&NameState::Denied);
            if found
                .iter()
                .any(|it| matches!(it, NameState::Directory | NameState::Nothing))
            {
                for state in all(path) {
                    match state {
                        NameState::Directory => states.listing = Some(target_directory(path)),
                        _ => states.nothing = true,
                    }
                }
            }
            states.files = self.representations(request, &index, &found, tree);
        } else {
            let found = all(path);
            let is_nothing = |it: &NameState| matches!(it, NameState::Nothing | NameState::Denied);
            states.nothing = found.iter().any(is_nothing);
            states.redirect = found.contains(&NameState::Directory);
            states.files = self.representations(request, path, &found, tree);
        }
        states
    }

    /// The file and the encoded siblings that may be sent for it.
    fn representations(
        &self,
        request: &SiteRequest,
        name: &str,
        found: &[NameState],
        tree: &Tree,
    ) -> Vec<Found> {
        let files = |states: &[NameState], coding| -> Vec<Found> {
            let file = |state: &NameState| match *state {
                NameState::File { inode, version } => Some(Found {
                    inode,
                    version,
                    coding,
                }),
                _ => None,
            };
            states.iter().filter_map(file).collect()
        };
        let plain = files(found, None);
        let mut all = Vec::new();
        if name.ends_with(".txt") || name.ends_with(".html") {
            let second = |found: &Found| tree.version(found.version).modified.as_secs();
            for coding in request.codings.unwrap_or_default().split(", ") {
                let (coding, suffix) = match coding {
                    "br" => ("br", ".br"),
                    "gzip" => ("gzip", ".gz"),
                    _ => continue,
                };
                let (from, to) = (self.window.from, self.window.to);
                let states = tree.states(&format!("{name}{suffix}"), from, to);
                let siblings = files(&states, Some(coding));
                let counts = |sibling: &Found| plain.iter().any(|it| second(sibling) >= second(it));
                all.extend(siblings.iter().copied().filter(counts));
                let oldest = siblings.iter().map(second).min();
                let is_certain = siblings.len() == states.len()
                    && plain.iter().all(|it| oldest >= Some(second(it)));
                if is_certain {
                    return if plain.is_empty() { plain } else { all };
                }
            }
        }
        all.extend(plain);
        all
    }

    fn check_redirect(&self, request: &SiteRequest) -> Result<Vec<Found>, String> {
        let last = request.target.rsplit('/').next().unwrap_or_default();
        match self.head.field("location") == Some(&format!("./{last}/")) {
            true => Ok(Vec::new()),
            false => Err("a wrong Location".into()),
        }
    }

    /// The page 404.html of the site, or the server's own.
    fn check_not_found(&self, tree: &Tree) -> Result<Vec<Found>, String> {
        let is_own = |state: &NameState| match *state {
            NameState::File { inode, version } => {
                let bytes = &tree.version(version).bytes;
                self.has_length(bytes.len()) && self.body.holds(0, bytes, inode, 0)
            }
            _ => {
                let page = b"404 Not Found: there is nothing at this address\n";
                self.has_length(page.len()) && self.body.holds(0, page, usize::MAX, 0)
            }
        };
        let own = tree.states("404.html", self.window.from, self.window.to);
        match own.iter().any(is_own) {
            true => Ok(Vec::new()),
            false => Err(format!("a 404 page that is none of {own:?}")),
        }
    }

    fn check_file(
        &self,
        request: &SiteRequest,
        files: &[Found],
        is_sure: bool,
        site: &SiteModel,
    ) -> Result<Vec<Found>, String> {
        let explain = |found: &&Found| self.explain(request, found, is_sure, site);
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
                Err(format!("none of {} versions: {reasons:?}", files.len()))
            }
        }
    }

    /// Whether this version was sent. `is_sure`: no other one is possible.
    fn explain(
        &self,
        request: &SiteRequest,
        found: &Found,
        is_sure: bool,
        site: &SiteModel,
    ) -> Result<(), String> {
        let version = site.tree.version(found.version);
        let size = version.bytes.len();
        let matched = self.matched(request, found, site);
        self.check_condition(request, &matched, is_sure)?;
        let ranges = request.ranges.filter(|_| request.method == Method::Get);
        let wanted = ranges.and_then(|ranges| parts::wanted(ranges, size as u64));
        let is_conditional = request.condition.is_some_and(|it| it.is_for_ranges());
        let must = wanted.is_some() && (!is_conditional || is_sure && matched.is_this_one);
        match (self.head.status, &wanted) {
            (200, _) if must => return Err("the whole file, but a range was requested".into()),
            (200, _) if !self.has_length(size) => return Err(format!("it has {size} bytes")),
            (200, _) if !self.body.holds(0, &version.bytes, found.inode, 0) => {
                return Err("other bytes".into());
            }
            (206 | 416, None) => return Err("a range, but the whole file was requested".into()),
            (206 | 416, _) if is_conditional && !matched.has_these_bytes => {
                return Err("a range of another version".into());
            }
            (206, Some(wanted)) => parts::check(self, wanted, version, found.inode)?,
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
        if is_weak && site.tree.is_in_memory(found.version) {
            return Err("a weak entity-tag, although the file is in memory".into());
        }
        match self.head.status {
            200 | 206 | 304 => self.check_fields(request, found, version.dated),
            _ => Ok(()),
        }
    }

    /// Checks the status against the condition of the request.
    fn check_condition(
        &self,
        request: &SiteRequest,
        matched: &ValidatorMatch,
        is_sure: bool,
    ) -> Result<(), String> {
        let status = self.head.status;
        match (request.condition, status) {
            (Some(Condition::NoneMatch | Condition::ModifiedSince), 304) => {
                match matched.has_these_bytes {
                    true => Ok(()),
                    false => Err("304, but it was modified".into()),
                }
            }
            (Some(Condition::Match), 412) if is_sure && matched.is_this_one => {
                Err("412, but the entity-tag matches".into())
            }
            (Some(Condition::Match), 412) => Ok(()),
            (_, 304 | 412) => Err("the request had no such condition".into()),
            (Some(Condition::NoneMatch | Condition::ModifiedSince), _)
                if is_sure && matched.is_this_one =>
            {
                Err("it was not modified, but the status is not 304".into())
            }
            (Some(Condition::Match), _) if !matched.has_these_bytes => {
                Err("the entity-tag does not match, but the status is not 412".into())
            }
            _ => Ok(()),
        }
    }

    fn check_fields(
        &self,
        request: &SiteRequest,
        found: &Found,
        dated: Duration,
    ) -> Result<(), String> {
        let path = request.target.split('?').next().unwrap_or_default();
        let right = match path.rsplit('.').next() {
            _ if path.ends_with('/') => "text/html; charset=utf-8",
            Some("txt") => "text/plain; charset=utf-8",
            Some("html") => "text/html; charset=utf-8",
            Some("gz") => "application/gzip",
            _ => "application/octet-stream",
        };
        if self.head.status == 304 {
            return self.check_not_modified();
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
        let value = self.head.field("last-modified");
        let is_old_enough = dated + RACY_TIME < self.window.wall;
        if value.is_some_and(|value| value != date(dated)) {
            return Err("a wrong Last-Modified".into());
        }
        match is_old_enough && (tag.starts_with("W/") || value.is_none()) {
            true => Err("no strong validator, although the file has not changed for long".into()),
            false => Ok(()),
        }
    }

    /// A 304 has what a cache needs to choose and refresh what it stored (RFC 9110 15.4.5).
    fn check_not_modified(&self) -> Result<(), String> {
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

    /// Whether Content-Length is `length`, and the body is not longer.
    pub fn has_length(&self, length: usize) -> bool {
        let is_right = self.head.field("content-length") == Some(&length.to_string());
        is_right && self.body.bytes.len() <= length
    }
}

fn target_directory(path: &str) -> &'static str {
    let known = super::tree::DIRECTORIES.into_iter();
    known.clone().find(|name| *name == path).unwrap_or_default()
}

/// A time as an HTTP date.
fn date(since_1970: Duration) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + since_1970)
}
