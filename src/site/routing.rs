//! Where a request leads before a file is looked up: the base path, redirects and rewrites.
//!
//! A site without any of these, the usual one, has no [`Routing`], and pays nothing for it.

use super::options::SiteOptions;
use super::path::{MalformedPath, SitePath, escape};
use super::rules::{Action, Rules};
use crate::http::status::Status;
use std::sync::Arc;

/// What a site does besides serving the file that a path names.
#[derive(Debug)]
pub(super) struct Routing {
    base: Vec<u8>,
    rules: Option<Arc<Rules>>,
    error_pages: Vec<(Status, Vec<u8>)>,
    pub(super) clean_urls: bool,
}

/// How a path was written, apart from its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// See [`SitePath::has_slash`].
    pub(super) has_slash: bool,
    /// See [`SitePath::relative_from`].
    pub(super) relative_from: Option<usize>,
    /// Whether a rule has replaced the path that was requested.
    pub(super) is_rewritten: bool,
}

/// Where a path leads.
#[derive(Debug)]
pub(super) enum Route {
    /// To the name, which may be another one than before.
    Name,
    /// To the base path, which lacks its slash.
    Base,
    /// To nothing: it is not beneath the base path.
    Outside,
    /// To this reference.
    Redirect(Status, Vec<u8>),
}

impl Form {
    pub(super) fn of(path: SitePath<'_>) -> Self {
        Self {
            has_slash: path.has_slash(),
            relative_from: path.relative_from(),
            is_rewritten: false,
        }
    }
}

impl Routing {
    /// `None`: there is nothing to route.
    pub(super) fn new(options: &SiteOptions, rules: Option<Arc<Rules>>) -> Option<Self> {
        let is_needed = rules.is_some()
            || options.clean_urls
            || !options.base.is_empty()
            || !options.error_pages.is_empty();
        is_needed.then(|| Self {
            base: options.base.clone(),
            rules,
            error_pages: options.error_pages.clone(),
            clean_urls: options.clean_urls,
        })
    }

    /// The base path without its slashes.
    pub(super) fn base(&self) -> &[u8] {
        &self.base
    }

    /// The rules.
    pub(super) fn rules(&self) -> Option<&Rules> {
        self.rules.as_deref()
    }

    /// The file that is the body of a response with `status`.
    pub(super) fn error_page(&self, status: Status) -> Option<&[u8]> {
        let mut pages = self.error_pages.iter();
        pages.find_map(|(known, name)| (*known == status).then_some(&**name))
    }

    /// Where the name leads that was decoded from a path. A rewrite replaces it.
    ///
    /// # Errors
    /// A rewrite leads to what is no path.
    pub(super) fn route(
        &self,
        name: &mut Vec<u8>,
        form: &mut Form,
        query: Option<&[u8]>,
    ) -> Result<Route, MalformedPath> {
        if !self.base.is_empty() {
            match name.strip_prefix(&*self.base) {
                Some([]) if !form.has_slash => return Ok(Route::Base),
                Some([] | [b'/', ..]) => {
                    let length = (self.base.len() + 1).min(name.len());
                    name.drain(..length);
                    // A reference that begins inside the base path is not relative to the site.
                    let from = form.relative_from;
                    form.relative_from = from.and_then(|from| from.checked_sub(length));
                }
                _ => return Ok(Route::Outside),
            }
        }
        let path = address(name, form.has_slash);
        let Some((action, reference)) = self.rules().and_then(|rules| rules.action(&path)) else {
            return Ok(Route::Name);
        };
        match action {
            Action::Redirect(status, target) => {
                let mut location = Vec::new();
                if target.is_local() && !self.base.is_empty() {
                    location.push(b'/');
                    location.extend_from_slice(&self.base);
                }
                let fragment = reference.find('#').unwrap_or(reference.len());
                let (reference, fragment) = reference.split_at(fragment);
                location.extend_from_slice(reference.as_bytes());
                if let (Some(query), false) = (query, target.has_query()) {
                    location.push(b'?');
                    location.extend_from_slice(escape(query).as_bytes());
                }
                location.extend_from_slice(fragment.as_bytes());
                Ok(Route::Redirect(*status, location))
            }
            Action::Rewrite(_) => {
                let has_slash = SitePath::decode(reference.as_bytes(), name)?.has_slash();
                *form = Form {
                    has_slash,
                    relative_from: None,
                    is_rewritten: true,
                };
                Ok(Route::Name)
            }
        }
    }

    /// Whether a requested name is rewritten with a slash at its end, too.
    pub(super) fn rewrites_slash(&self, requested: &[u8]) -> bool {
        let name = requested.strip_prefix(&*self.base).unwrap_or(requested);
        let path = address(name.strip_prefix(b"/").unwrap_or(name), true);
        let action = self.rules().and_then(|rules| rules.action(&path));
        matches!(action, Some((Action::Rewrite(_), _)))
    }

    /// The path that rules are compared with: beneath the base path. `None`: it is not beneath it.
    pub(super) fn path_of(&self, raw: &[u8]) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        let path = SitePath::decode(raw, &mut name).ok()?;
        let has_slash = path.has_slash();
        let rest = name.strip_prefix(&*self.base)?;
        match rest {
            [b'/', rest @ ..] => Some(address(rest, has_slash)),
            rest if rest.is_empty() || self.base.is_empty() => Some(address(rest, has_slash)),
            _ => None,
        }
    }
}

/// A name as a path: with a slash before it, and perhaps one behind it.
fn address(name: &[u8], has_slash: bool) -> Vec<u8> {
    let mut path = vec![b'/'];
    path.extend_from_slice(name);
    if has_slash && !name.is_empty() {
        path.push(b'/');
    }
    path
}
