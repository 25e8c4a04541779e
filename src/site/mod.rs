//! Serving a directory tree: a request -> a file -> a [`Response`]. Imports `http`, no connection
//! and no socket.
//!
//! [`Site::respond`] does, in this order:
//!
//! 1. Check the method and the expectation.
//! 2. Decode the path of the target. Apply redirects and rewrites. Hidden names do not exist.
//! 3. Open what it names beneath the root: a file, a directory or nothing.
//! 4. Serve a directory by its index file, a redirect to its slash, or a listing.
//! 5. Prefer a sibling that contains the file in a content coding that the client accepts; without
//!    one, compress the file if that is configured.
//! 6. Evaluate the preconditions of the request, in the order of RFC 9110 13.2.2.
//! 7. Send the whole file, or the requested ranges of it.
//! 8. If nothing was found: with `--spa`, answer a navigation with the index of ROOT; else send
//!    404.html, or a 404 of the server's.

pub mod body_memory;
mod charset;
mod common_headers;
mod compressed_cache;
mod compression;
mod content;
mod content_fields;
mod encoder;
mod error_responses;
mod file_cache;
mod files;
mod identity;
mod iteration_cache;
pub mod listing;
mod navigation;
mod open_errors;
mod options;
pub mod path;
mod protection;
mod representation;
pub mod root;
mod routing;
pub mod rules;
mod sites;
pub mod types;

pub use options::{Protected, SiteOptions};
pub use sites::{Hosts, Sites};

use crate::clock::Now;
use crate::http::conditional::{ConditionOutcome, evaluate};
use crate::http::date::HttpDate;
use crate::http::fields::FieldLines;
use crate::http::negotiate::{Coding, acceptable, preferred};
use crate::http::payload::Payload;
use crate::http::range::{Ranges, unsatisfied};
use crate::http::request::{Method, Refusal, Request, Target};
use crate::http::response::Response;
use crate::http::status::Status;
use crate::limits::Limits;
use body_memory::BodyMemory;
use common_headers::CommonHeaders;
use compression::Compression;
use error_responses::ErrorResponses;
use files::{Files, Found};
use listing::{Format, Query};
use path::{MalformedPath, SitePath};
use representation::{Representation, SiteFile, Version};
use root::Root;
use routing::{Form, Route, Routing};
use rules::Rules;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The site's own page for a 404.
const NOT_FOUND_PAGE: &[u8] = b"404.html";

/// A directory tree that is served.
#[derive(Debug)]
pub struct Site {
    files: Files,
    errors: ErrorResponses,
    common_headers: CommonHeaders,
    options: SiteOptions,
    /// `None`: every path leads to the file that it names.
    routing: Option<Routing>,
    limits: Arc<Limits>,
    /// What listings hold that are being produced.
    memory: BodyMemory,
    /// `None`: files are sent as they are.
    compression: Option<Compression>,
    /// The buffer into which paths are decoded.
    name: Vec<u8>,
}

/// What the sites of a server have in common, whichever thread answers for them: the bounds on the
/// memory of listings and of compression, and the compressed files. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedMemory {
    listings: BodyMemory,
    compression: Compression,
}

impl SharedMemory {
    /// Holds nothing yet.
    pub fn new(limits: &Arc<Limits>) -> Self {
        Self {
            listings: BodyMemory::new(limits.max_listing_bytes),
            compression: Compression::new(limits.clone()),
        }
    }
}

impl Site {
    /// Serves the directory `root`.
    ///
    /// # Errors
    /// The directory cannot be opened.
    pub fn new(root: &Path, options: SiteOptions, limits: Arc<Limits>) -> io::Result<Self> {
        let SharedMemory {
            listings,
            compression,
        } = SharedMemory::new(&limits);
        let common_headers = CommonHeaders::new(&options);
        let root = Root::new(root, options.follow_symlinks)?;
        let root = Arc::new(root.following_symlink(options.only.as_deref()));
        let rules = (!options.rules.is_empty()).then(|| {
            let (rules, index) = (options.rules.clone(), options.index.clone());
            Arc::new(Rules::new(rules, index, options.clean_urls))
        });
        let files = Files::new(
            root,
            common_headers.content.clone(),
            options.types.clone(),
            limits.clone(),
        );
        Ok(Self {
            files: files.with_rules(rules.clone()),
            routing: Routing::new(&options, rules),
            errors: ErrorResponses::new(&common_headers.other, options.cors.is_some()),
            common_headers,
            compression: options.compress.then_some(compression),
            options,
            memory: listings,
            limits,
            name: Vec::new(),
        })
    }

    /// The site, with `memory` in place of its own.
    #[must_use]
    pub fn sharing(mut self, memory: SharedMemory) -> Self {
        self.memory = memory.listings;
        self.compression = self.compression.map(|_| memory.compression);
        self
    }

    /// Answers a request.
    pub fn respond(&mut self, request: &Request<'_>, now: Now) -> Response {
        match self.routing {
            // The usual site: its response is not moved once more.
            None => self.dispatch(request, now),
            Some(_) => self.respond_with_rules(request, now),
        }
    }

    #[inline(never)]
    fn respond_with_rules(&mut self, request: &Request<'_>, now: Now) -> Response {
        let mut response = self.dispatch(request, now);
        self.complete(&mut response, request, now);
        response
    }

    /// What rules and error pages add to a response that sends no file.
    fn complete(&mut self, response: &mut Response, request: &Request<'_>, now: Now) {
        use Status::{NotModified, Ok as Okay, PartialContent};
        let (Some(routing), false) = (
            &self.routing,
            matches!(response.status, Okay | PartialContent | NotModified),
        ) else {
            return;
        };
        let mut headers = FieldLines::clone(&response.shared_fields);
        if let (Target::Path { path, .. }, Some(rules)) = (request.target, routing.rules())
            && let Some(path) = routing.path_of(path)
        {
            rules::set(&mut headers, &rules.of_response(&path));
        }
        if let Some(page) = routing.error_page(response.status)
            && self.may_send_error(request, response.status, page)
            && let Ok(Found::File(file)) = self.files.find(SitePath::of_name(page), now)
        {
            headers.retain(|name| !name.eq_ignore_ascii_case(b"Content-Type"));
            headers.push_metadata_display("Content-Type", &file.content_type);
            response.payload = file.whole(response.status).payload;
        }
        response.shared_fields = Arc::new(headers);
    }

    fn dispatch(&mut self, request: &Request<'_>, now: Now) -> Response {
        if request.expects_unknown {
            return self.errors.page(Status::ExpectationFailed, request);
        }
        match (request.method, request.target) {
            (Method::Options, _) => self.errors.options(),
            (Method::Known | Method::Connect, _) => self.errors.method_not_allowed(request),
            (Method::Unknown, _) => self.errors.page(Status::NotImplemented, request),
            (Method::Get | Method::Head, Target::Path { path, query }) => {
                // The buffer is taken, because the name in it is used while `self` is borrowed.
                let mut name = std::mem::take(&mut self.name);
                let response = self.get(request, path, query, &mut name, now);
                self.name = name;
                response
            }
            (Method::Get | Method::Head, _) => self.errors.page(Status::BadRequest, request),
        }
    }

    /// The number of the realm whose users may send this request; `None`: no password is needed.
    /// Only GET and HEAD answer with something of the site.
    pub fn realm_of(&self, request: &Request<'_>) -> Option<usize> {
        let (false, Method::Get | Method::Head, Target::Path { path, query }) = (
            self.options.protected.is_empty(),
            request.method,
            request.target,
        ) else {
            return None;
        };
        let mut names = Vec::new();
        let mut name = Vec::new();
        // A path that is no name counts as far as it is decoded, one that is not beneath the base
        // path as the root: both lead to errors.
        let form = SitePath::decode(path, &mut name).map(Form::of);
        if let (Some(routing), Ok(mut form)) = (&self.routing, form) {
            let path = routing.path_of(path).unwrap_or_default();
            let path = path.strip_prefix(b"/").unwrap_or(&path);
            names.push(path.strip_suffix(b"/").unwrap_or(path).to_vec());
            let route = routing.route(&mut name, &mut form, query);
            if !matches!(route, Ok(Route::Name)) {
                name.clear();
            }
        }
        names.push(name);
        protection::realm_of(&self.options, &names)
    }

    /// See [`Sites::unauthorized`].
    fn unauthorized(&mut self, request: &Request<'_>, challenge: &str, now: Now) -> Response {
        let mut response = self.errors.page(Status::Unauthorized, request);
        response.headers.push("WWW-Authenticate", challenge);
        self.complete(&mut response, request, now);
        response
    }

    /// See [`Sites::busy`].
    fn busy(&mut self, request: &Request<'_>, now: Now) -> Response {
        let mut response = self.errors.unavailable(request);
        self.complete(&mut response, request, now);
        response
    }

    /// Ends an iteration of the loop: closes files that are neither cached nor being sent.
    pub fn end_iteration(&mut self, now: Now) {
        self.files.end_iteration(now);
    }

    /// When [`end_iteration`](Self::end_iteration) is due, even without a request.
    pub fn next_due(&self) -> Option<Instant> {
        self.files.next_due()
    }

    /// Empties the caches, and closes files that are not being sent.
    pub fn forget_files(&mut self) {
        self.files.forget();
        if let Some(compression) = &self.compression {
            compression.forget();
        }
    }

    /// Answers a request for a host that no site has (RFC 9110 15.5.20).
    fn misdirected(&self, request: &Request<'_>) -> Response {
        self.errors.page(Status::MisdirectedRequest, request)
    }

    /// Answers a request that cannot be parsed.
    pub fn refuse(&self, refusal: &Refusal<'_>) -> Response {
        self.errors.refusal(refusal.status, refusal.why)
    }

    fn get(
        &mut self,
        request: &Request<'_>,
        path: &[u8],
        query: Option<&[u8]>,
        name: &mut Vec<u8>,
        now: Now,
    ) -> Response {
        let mut form = match SitePath::decode(path, name) {
            Ok(path) => Form::of(path),
            Err(MalformedPath(why)) => return self.errors.bad_request(why, request),
        };
        if self.routing.is_some()
            && let Some(response) = self.routed(request, query, name, &mut form, now)
        {
            return response;
        }
        if !self.options.hidden && SitePath::of_name(name).is_hidden() {
            return self.serve_missing(request, now);
        }
        if self.options.only.is_some() {
            return self.only_file(request, name, form.has_slash, now);
        }
        if form.has_slash {
            return self.directory(request, query, name, now);
        }
        match self.files.find(SitePath::of_name(name), now) {
            Ok(Found::File(file)) => self.file(request, file, name, now),
            Ok(Found::Directory) => match self.page_without_suffix(request, name, now) {
                Some(response) => response,
                None if form.is_rewritten => {
                    self.rewritten_directory(request, path, query, name, now)
                }
                None => self.redirect_to_slash(request, name, form.relative_from, query),
            },
            Ok(Found::Denied) => self.not_found_page(request, now),
            Ok(Found::Nothing) => match self.page_without_suffix(request, name, now) {
                Some(response) => response,
                None => self.serve_missing(request, now),
            },
            Err(error) => self.errors.failure(&error, request),
        }
    }

    /// A site of a single file, which is at `/` and at its name.
    fn only_file(
        &mut self,
        request: &Request<'_>,
        name: &mut Vec<u8>,
        has_slash: bool,
        now: Now,
    ) -> Response {
        if name.is_empty() {
            name.extend(self.options.only.iter().flatten());
        } else if has_slash || Some(&*name) != self.options.only.as_ref() {
            return self.serve_missing(request, now);
        }
        match self.files.find(SitePath::of_name(name), now) {
            Ok(Found::File(file)) => self.file(request, file, name, now),
            Ok(Found::Denied) => self.not_found_page(request, now),
            Ok(Found::Nothing | Found::Directory) => self.serve_missing(request, now),
            Err(error) => self.errors.failure(&error, request),
        }
    }

    /// The response to a path that leads to no name: a redirect, or an error. A rewrite replaces
    /// the name.
    fn routed(
        &mut self,
        request: &Request<'_>,
        query: Option<&[u8]>,
        name: &mut Vec<u8>,
        form: &mut Form,
        now: Now,
    ) -> Option<Response> {
        let routing = self.routing.as_ref()?;
        match routing.route(name, form, query) {
            Ok(Route::Name) => None,
            Ok(Route::Base) => {
                let from = form.relative_from;
                Some(self.errors.redirect(request, name, from, query))
            }
            Ok(Route::Outside) => Some(self.not_found_page(request, now)),
            Ok(Route::Redirect(status, location)) => {
                Some(self.errors.redirect_to(status, location, request))
            }
            Err(MalformedPath(why)) => Some(self.errors.bad_request(why, request)),
        }
    }

    /// With clean URLs: `about.html` for `about`.
    fn page_without_suffix(
        &mut self,
        request: &Request<'_>,
        name: &mut Vec<u8>,
        now: Now,
    ) -> Option<Response> {
        if !self.routing.as_ref()?.clean_urls {
            return None;
        }
        let length = name.len();
        name.extend_from_slice(b".html");
        match self.files.find(SitePath::of_name(name), now) {
            Ok(Found::File(file)) => Some(self.file(request, file, name, now)),
            Ok(Found::Denied) => Some(self.not_found_page(request, now)),
            Ok(Found::Directory | Found::Nothing) => {
                name.truncate(length);
                None
            }
            Err(error) => Some(self.errors.failure(&error, request)),
        }
    }

    /// A directory that a rewrite leads to, without a slash at its end. The redirect is to the
    /// path that was requested; one that has its slash needs none, nor one that leads elsewhere
    /// with it.
    #[cold]
    fn rewritten_directory(
        &mut self,
        request: &Request<'_>,
        path: &[u8],
        query: Option<&[u8]>,
        name: &mut Vec<u8>,
        now: Now,
    ) -> Response {
        let mut requested = Vec::new();
        let form = SitePath::decode(path, &mut requested).map(Form::of);
        let leads_here = |routing: &Routing| routing.rewrites_slash(&requested);
        match form {
            Ok(form) if !form.has_slash && self.routing.as_ref().is_some_and(leads_here) => self
                .errors
                .redirect(request, &requested, form.relative_from, query),
            _ => self.directory(request, query, name, now),
        }
    }

    /// The redirect to a directory's own address.
    fn redirect_to_slash(
        &self,
        request: &Request<'_>,
        name: &[u8],
        relative_from: Option<usize>,
        query: Option<&[u8]>,
    ) -> Response {
        let base = self.routing.as_ref().map_or(&[][..], Routing::base);
        if base.is_empty() || relative_from.is_some() {
            return self.errors.redirect(request, name, relative_from, query);
        }
        let name = [base, b"/", name].concat();
        self.errors.redirect(request, &name, None, query)
    }

    /// An address that ends with a slash. The index files are looked up first: one that is cached
    /// saves opening the directory. An index file that exists but is denied ends the search: the
    /// next one or a listing must not replace it.
    fn directory(
        &mut self,
        request: &Request<'_>,
        query: Option<&[u8]>,
        name: &mut Vec<u8>,
        now: Now,
    ) -> Response {
        let length = name.len();
        let mut index = 0;
        while let Some(file_name) = self.options.index.get(index) {
            index += 1;
            if length > 0 {
                name.push(b'/');
            }
            name.extend_from_slice(file_name);
            match self.files.find(SitePath::of_name(name), now) {
                Ok(Found::File(file)) => return self.file(request, file, name, now),
                Ok(Found::Directory | Found::Nothing) => name.truncate(length),
                Ok(Found::Denied) => return self.not_found_page(request, now),
                Err(error) => return self.errors.failure(&error, request),
            }
        }
        if !self.options.listing {
            return self.serve_missing(request, now);
        }
        match self.files.open_directory(SitePath::of_name(name), now) {
            Ok(Ok(directory)) => self.listing(request, directory, query, name, now),
            Ok(Err(Found::Denied)) => self.not_found_page(request, now),
            Ok(Err(_)) => self.serve_missing(request, now),
            Err(error) => self.errors.failure(&error, request),
        }
    }

    fn listing(
        &self,
        request: &Request<'_>,
        directory: File,
        query: Option<&[u8]>,
        name: &[u8],
        now: Now,
    ) -> Response {
        let query = Query::parse(query);
        let mut headers = FieldLines::clone(&self.common_headers.content);
        if let Some(rules) = self.routing.as_ref().and_then(Routing::rules) {
            let path = match name {
                [] => b"/".to_vec(),
                name => [b"/", name, b"/"].concat(),
            };
            rules::set(&mut headers, &rules.of_response(&path));
        }
        if query.format() == Format::Style {
            headers.push_metadata("Content-Type", "text/css; charset=utf-8");
            headers.push_default("Cache-Control", "max-age=31536000, immutable");
            let style = Payload::Bytes(listing::STYLE.as_bytes().into(), None);
            return Response::new(Status::Ok, Arc::new(headers)).with(style);
        }
        let links_style = headers.has("Content-Security-Policy");
        let content_type = match query.format() {
            Format::Json => "application/json",
            _ => "text/html; charset=utf-8",
        };
        if query.format() == Format::Page && !links_style {
            headers.push("Content-Security-Policy", listing::csp());
        }
        // A listing has no validator: a cache has to ask for it each time.
        headers.push_default("Cache-Control", "no-cache");
        let coding = match request.present.accept_encoding && !request.delivery.http10 {
            true => preferred(request.fields, self.listing_codings()),
            false => Coding::Identity,
        };
        let version = Version::default();
        let representation =
            Representation::new(headers, &content_type, coding, true, version, directory);
        if let Err(response) = self.check_conditions(request, &representation, now) {
            return response;
        }
        let (root, path) = (self.files.root().clone(), SitePath::of_name(name));
        let options = listing::ListingOptions {
            hidden: self.options.hidden,
            entries: self.limits.max_listing_entries,
            slice: self.limits.listing_slice_entries,
            memory: self.memory.clone(),
            coding,
            links_style,
        };
        match listing::open(representation.body, root, path, query, options) {
            Ok(listing) => Response::new(Status::Ok, representation.headers)
                .with(Payload::Stream(Box::new(listing))),
            Err(error) => self.errors.failure(&error, request),
        }
    }

    /// The codings of listings. gzip takes the least memory.
    fn listing_codings(&self) -> &'static [Coding] {
        match self.compression.is_some() && !self.memory.is_half_full() {
            true => encoder::CODINGS,
            false => &[Coding::Gzip],
        }
    }

    /// A file, or the sibling with the coding that the client prefers, or the file compressed.
    fn file(
        &mut self,
        request: &Request<'_>,
        file: Arc<SiteFile>,
        name: &mut Vec<u8>,
        now: Now,
    ) -> Response {
        if !self.may_send(request, name) {
            return self.errors.page(Status::NotFound, request);
        }
        if request.present.accept_encoding && file.is_compressible {
            for coding in acceptable(request.fields).iter() {
                if coding == Coding::Identity {
                    break;
                }
                match self.files.find_sibling(name, &file, coding, now) {
                    Ok(Some(sibling)) => return self.selected(request, &sibling, now),
                    Ok(None) => {}
                    Err(error) => return self.errors.failure(&error, request),
                }
            }
            if let Some(response) = self.compressed(request, &file, now) {
                return response;
            }
        }
        self.selected(request, &file, now)
    }

    /// Whether the users of the request's realm are those of the file `name`. An index file may be
    /// protected for others than its directory is.
    #[inline]
    fn may_send(&self, request: &Request<'_>, name: &[u8]) -> bool {
        self.options.protected.is_empty() || self.may_send_protected(request, name)
    }

    #[cold]
    fn may_send_protected(&self, request: &Request<'_>, name: &[u8]) -> bool {
        match protection::realm_of_name(&self.options, name) {
            None => true,
            realm => realm == self.realm_of(request),
        }
    }

    /// Whether the file `page` may be the body of an error. The one for 401 is meant for clients
    /// without the password. A 503 may come before the password is checked.
    #[cold]
    fn may_send_error(&self, request: &Request<'_>, status: Status, page: &[u8]) -> bool {
        match status {
            Status::Unauthorized => true,
            Status::ServiceUnavailable => protection::realm_of_name(&self.options, page).is_none(),
            _ => self.may_send(request, page),
        }
    }

    /// The file, compressed while it is sent or cached; `None` if it is sent as it is, because a
    /// range of it is requested, for example. The ranges of a compressed file are unknown. But the
    /// preconditions come first, and are those of what is sent without a Range (RFC 9110 14.2).
    fn compressed(
        &self,
        request: &Request<'_>,
        file: &Arc<SiteFile>,
        now: Now,
    ) -> Option<Response> {
        let compression = self.compression.as_ref()?;
        let representation = compression.represent(request, file)?;
        if let Err(response) = self.check_conditions(request, &representation, now) {
            return Some(response);
        }
        let is_ignored = requested_ranges(request, file) == Ranges::Whole;
        if !is_ignored && (self.check_conditions(request, &file.representation, now)).is_ok() {
            return None;
        }
        Some(Response::new(Status::Ok, representation.headers).with(representation.body))
    }

    /// The selected file, if the conditions allow it, or the requested ranges of it.
    fn selected(&self, request: &Request<'_>, file: &SiteFile, now: Now) -> Response {
        // Most requests have neither preconditions nor a range.
        let ranges_apply = match request.present.conditions {
            true => match self.check_conditions(request, &file.representation, now) {
                Ok(ranges_apply) => ranges_apply,
                Err(response) => return response,
            },
            false => true,
        };
        if !ranges_apply || !request.present.range {
            return file.whole(Status::Ok);
        }
        match requested_ranges(request, file) {
            Ranges::Whole => file.whole(Status::Ok),
            Ranges::One(range) => file.range(range, self.limits.max_inline_body_bytes),
            Ranges::Several(several) => file.ranges(several),
            Ranges::Unsatisfiable => {
                let mut response = self.errors.page(Status::RangeNotSatisfiable, request);
                let content_range = unsatisfied(file.size());
                response.headers.push("Content-Range", content_range);
                response
            }
        }
    }

    /// Evaluates the preconditions of the request. Returns whether its Range applies, or the 304 or
    /// 412 that answers it.
    fn check_conditions<B>(
        &self,
        request: &Request<'_>,
        representation: &Representation<B>,
        now: Now,
    ) -> Result<bool, Response> {
        if !request.present.conditions {
            return Ok(true);
        }
        let now = HttpDate::nearest(now.wall);
        match evaluate(request.fields, representation.validators(), now) {
            ConditionOutcome::Proceed { ranges } => Ok(ranges),
            ConditionOutcome::NotModified => Err(Response::new(
                Status::NotModified,
                representation.headers.clone(),
            )),
            ConditionOutcome::PreconditionFailed => {
                Err(self.errors.page(Status::PreconditionFailed, request))
            }
        }
    }

    /// The path does not exist: the page of an application, or a 404.
    fn serve_missing(&mut self, request: &Request<'_>, now: Now) -> Response {
        if !self.options.spa {
            return self.not_found_page(request, now);
        }
        let is_navigation = match request.target {
            Target::Path { path, .. } => navigation::is_navigation(request.fields, path),
            Target::Asterisk | Target::Authority => false,
        };
        let mut response = match is_navigation {
            true => self.application(request, now),
            false => self.not_found_page(request, now),
        };
        let mut headers = FieldLines::clone(&response.shared_fields);
        for name in navigation::NAVIGATION_FIELDS {
            headers.push_vary(name);
        }
        response.shared_fields = Arc::new(headers);
        response
    }

    /// The page of an application that does its own routing in the browser.
    fn application(&mut self, request: &Request<'_>, now: Now) -> Response {
        let pages = match &self.options.only {
            Some(only) => vec![only.clone()],
            None => self.options.index.clone(),
        };
        for mut page in pages {
            match self.files.find(SitePath::of_name(&page), now) {
                Ok(Found::File(file)) => return self.file(request, file, &mut page, now),
                Ok(Found::Directory | Found::Nothing) => {}
                Ok(Found::Denied) => break,
                Err(error) => return self.errors.failure(&error, request),
            }
        }
        self.not_found_page(request, now)
    }

    /// A 404 with the site's own page, `404.html`, or the server's.
    fn not_found_page(&mut self, request: &Request<'_>, now: Now) -> Response {
        if self.options.only.is_none() && self.may_send(request, NOT_FOUND_PAGE) {
            let own = self.files.find(SitePath::of_name(NOT_FOUND_PAGE), now);
            if let Ok(Found::File(file)) = own {
                let mut headers = FieldLines::clone(&self.common_headers.other);
                headers.push_metadata_display("Content-Type", &file.content_type);
                let mut response = file.whole(Status::NotFound);
                response.shared_fields = Arc::new(headers);
                return response;
            }
        }
        self.errors.page(Status::NotFound, request)
    }
}

/// The ranges of a file that the request is for.
fn requested_ranges(request: &Request<'_>, file: &SiteFile) -> Ranges {
    match request.present.range && request.method == Method::Get {
        true => crate::http::range::ranges(request.fields, file.size()),
        false => Ranges::Whole,
    }
}
