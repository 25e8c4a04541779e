//! Room `site`: what is said when there is no file to send?

use super::errors::is_passing;
use super::files::Found;
use super::path::{self, SitePath};
use super::{Site, is_html, ranges};
use crate::clock::Now;
use crate::http::fields::FieldLines;
use crate::http::negotiate::accepts_anything;
use crate::http::request::{Request, Target};
use crate::http::response::Response;
use crate::http::status::Status;
use std::io;
use std::sync::Arc;

/// What is allowed here.
const ALLOW: &str = "GET, HEAD, OPTIONS";

/// What scripts of other origins may do, unless the owner says otherwise.
const PREFLIGHT: [(&str, &str); 3] = [
    ("Access-Control-Allow-Methods", ALLOW),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Max-Age", "86400"),
];

impl Site {
    /// To the same address with a slash. Relative from `relative_from` of its name on, so that it
    /// holds behind any proxy and can name no other host; where a client may resolve a relative
    /// one differently, the whole path.
    pub(super) fn redirect(
        &self,
        request: &Request<'_>,
        name: &[u8],
        relative_from: Option<usize>,
        query: Option<&[u8]>,
    ) -> Response {
        let rest = relative_from.and_then(|from| name.get(from..));
        let mut location = if rest.is_some() { "./" } else { "/" }.to_owned();
        for segment in rest.unwrap_or(name).split(|&byte| byte == b'/') {
            location += &format!("{}/", path::encode(segment));
        }
        let mut location = location.into_bytes();
        if let Some(query) = query {
            location.push(b'?');
            location.extend_from_slice(query);
        }
        let mut response = self.page(Status::MOVED_PERMANENTLY, request);
        response.fields.push("Location", location);
        response
    }

    /// There is no such file: still, an application may have a page for it, or the site.
    pub(super) fn nothing(&mut self, request: &Request<'_>, now: Now) -> Response {
        if !self.options.spa {
            return self.not_found(request, now);
        }
        let mut response = match is_navigation(request) {
            true => self.application(request, now),
            false => self.not_found(request, now),
        };
        let mut lines = FieldLines::clone(&response.about);
        for name in ["Accept", SEC_FETCH_DEST, SEC_FETCH_MODE] {
            lines.push_vary(name);
        }
        response.about = Arc::new(lines);
        response
    }

    /// The page of an application that routes itself.
    fn application(&mut self, request: &Request<'_>, now: Now) -> Response {
        let pages = match &self.options.only {
            Some(only) => vec![only.clone()],
            None => self.options.index.clone(),
        };
        for mut page in pages {
            match self.files.find(SitePath::of_name(&page), now) {
                Ok(Found::File(opened)) => return self.file(request, opened, &mut page, now),
                Ok(Found::Directory | Found::Nothing) => {}
                Ok(Found::Denied) => break,
                Err(error) => return self.trouble(&error, request),
            }
        }
        self.not_found(request, now)
    }

    /// The site's own page for what is not found, or the server's.
    pub(super) fn not_found(&mut self, request: &Request<'_>, now: Now) -> Response {
        if self.options.only.is_none() {
            let own = self.files.find(SitePath::of_name(b"404.html"), now);
            if let Ok(Found::File(opened)) = own {
                let mut lines = FieldLines::clone(&self.preset.other);
                lines.push_metadata_display("Content-Type", &opened.content_type);
                let mut response = ranges::whole(&opened, Status::NOT_FOUND);
                response.about = Arc::new(lines);
                return response;
            }
        }
        self.page(Status::NOT_FOUND, request)
    }

    pub(super) fn options(&self) -> Response {
        let mut response = Response::new(Status::NO_CONTENT, self.preset.other.clone());
        response.fields.push("Allow", ALLOW);
        if self.options.cors.is_some() {
            for (name, value) in PREFLIGHT {
                if !self.preset.other.has(name) {
                    response.fields.push(name, value);
                }
            }
        }
        response
    }

    pub(super) fn not_allowed(&self, request: &Request<'_>) -> Response {
        let mut response = self.page(Status::METHOD_NOT_ALLOWED, request);
        response.fields.push("Allow", ALLOW);
        response
    }

    /// The system could not say what there is. Never a 404: a cache would believe it.
    pub(super) fn trouble(&self, error: &io::Error, request: &Request<'_>) -> Response {
        if is_passing(error) {
            log::debug!("answering 503: {error}");
            return self.busy(request);
        }
        self.page(Status::INTERNAL_ERROR, request)
    }

    pub(super) fn busy(&self, request: &Request<'_>) -> Response {
        let mut response = self.page(Status::UNAVAILABLE, request);
        response.fields.push("Retry-After", "1");
        response
    }

    pub(super) fn page(&self, status: Status, request: &Request<'_>) -> Response {
        self.pages.page(status, None, is_html(request))
    }
}

/// What a navigation is told by, beside Accept (W3C Fetch Metadata Request Headers). Browsers send
/// both to https and to localhost, and neither to other hosts.
const SEC_FETCH_DEST: &str = "Sec-Fetch-Dest";
const SEC_FETCH_MODE: &str = "Sec-Fetch-Mode";

/// Whether the request is for a page, as of a browser whose user follows a link, and not for a
/// script, an image or data: those stay missing, as a page in their place breaks whatever asked for
/// it. Where the request does not say what it is for, a last part with a dot is the name of a file.
fn is_navigation(request: &Request<'_>) -> bool {
    let names_html = is_html(request);
    let is = |value: &[u8], known: &[&str]| {
        let mut known = known.iter();
        known.any(|known| value.eq_ignore_ascii_case(known.as_bytes()))
    };
    if let Some(destination) = request.fields.only(SEC_FETCH_DEST) {
        let is_page = is(destination, &["document", "frame", "iframe", "fencedframe"]);
        // A script that fetches a page to show it says so.
        return is_page || names_html && is(destination, &["empty"]);
    }
    let mode = request.fields.only(SEC_FETCH_MODE);
    if names_html || mode.is_some_and(|mode| is(mode, &["navigate"])) {
        return true;
    }
    let Target::Path { path, .. } = request.target else {
        return false;
    };
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    accepts_anything(request.fields) && !last.contains(&b'.')
}
