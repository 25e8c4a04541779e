//! Room `site`: what is said when there is no file to send?

use super::errors::is_passing;
use super::files::Found;
use super::path::{self, SitePath};
use super::{Site, is_html, ranges};
use crate::clock::Now;
use crate::http::fields::FieldLines;
use crate::http::request::{Request, Target};
use crate::http::response::Response;
use crate::http::status::Status;
use std::io;
use std::sync::Arc;

/// What is allowed here.
const ALLOW: &str = "GET, HEAD, OPTIONS";

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
        if self.options.spa && is_navigation(request) {
            for index in self.options.index.clone() {
                match self.files.find(SitePath::of_name(&index), now) {
                    Ok(Found::File(opened)) => {
                        let mut response = self.file(request, opened, &mut index.clone(), now);
                        // Others get a 404 at this address.
                        response.fields.push("Vary", "Accept");
                        return response;
                    }
                    Ok(Found::Directory | Found::Nothing) => {}
                    Ok(Found::Denied) => break,
                    Err(error) => return self.trouble(&error, request),
                }
            }
        }
        self.not_found(request, now)
    }

    /// The site's own page for what is not found, or the server's.
    pub(super) fn not_found(&mut self, request: &Request<'_>, now: Now) -> Response {
        if self.options.only.is_none() {
            let own = self.files.find(SitePath::of_name(b"404.html"), now);
            if let Ok(Found::File(opened)) = own {
                let mut lines = FieldLines::clone(&self.preset);
                lines.push_display("Content-Type", &opened.content_type);
                if self.options.spa {
                    lines.push("Vary", "Accept");
                }
                let mut response = ranges::whole(&opened, Status::NOT_FOUND);
                response.about = Arc::new(lines);
                return response;
            }
        }
        self.page(Status::NOT_FOUND, request)
    }

    pub(super) fn options(&self) -> Response {
        let mut response = Response::new(Status::NO_CONTENT, self.preset.clone());
        response.fields.push("Allow", ALLOW);
        if self.options.cors.is_some() {
            response.fields.push("Access-Control-Allow-Methods", ALLOW);
            response.fields.push("Access-Control-Allow-Headers", "*");
            response.fields.push("Access-Control-Max-Age", "86400");
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

/// What a browser asks for when its user follows a link: a page, by a name that does not look
/// like a file's. A missing script or image stays missing.
fn is_navigation(request: &Request<'_>) -> bool {
    let Target::Path { path, .. } = request.target else {
        return false;
    };
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    is_html(request) && !last.contains(&b'.')
}
