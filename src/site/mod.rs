//! A name -> a file -> a [`Response`]. Knows http; knows no connection and no socket.
//!
//! [`Site::answer`] is the room's whole story; it reads from top to bottom:
//!
//! 1. the method is one for reading, the expectation one we meet;
//! 2. the target's path is decoded, and is not hidden;
//! 3. what it names is opened beneath the root: a file, a directory or nothing;
//! 4. a directory is its index file, a redirect to its slash, or a listing;
//! 5. a file may have an encoded sibling that the client prefers;
//! 6. the request's conditions are evaluated, in the order of RFC 9110 13.2.2;
//! 7. the whole file leaves, or the ranges of it that were asked for;
//! 8. nothing may still be an application's page, or the site's own 404.

pub mod content;
mod encoding;
mod errors;
pub mod files;
mod identity;
mod lines;
pub mod listing;
mod memory;
mod options;
pub mod pages;
pub mod path;
mod ranges;
mod replies;
pub mod root;
mod turn;
pub mod types;

pub use options::Options;

use crate::clock::Now;
use crate::http::conditional::{Validators, Verdict, evaluate};
use crate::http::date::HttpDate;
use crate::http::fields::FieldLines;
use crate::http::negotiate::{Coding, acceptable, prefers_gzip, prefers_html};
use crate::http::payload::Payload;
use crate::http::range::{Ranges, unsatisfied};
use crate::http::request::{Method, Refusal, Request, Target};
use crate::http::response::Response;
use crate::http::status::Status;
use crate::limits::Limits;
use files::{Files, Found, Opened};
use lines::Preset;
use listing::Form;
use pages::Pages;
use path::{Malformed, SitePath};
use root::Root;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// One directory tree, served.
#[derive(Debug)]
pub struct Site {
    files: Files,
    pages: Pages,
    preset: Preset,
    options: Options,
    limits: Arc<Limits>,
    /// What the listings of large directories hold.
    listings: listing::Held,
    /// Where paths are decoded; lent to one request after the other.
    name: Vec<u8>,
}

impl Site {
    /// The site in the directory `root`.
    ///
    /// # Errors
    /// The directory cannot be opened.
    pub fn new(root: &Path, options: Options, limits: Arc<Limits>) -> io::Result<Self> {
        let preset = Preset::new(&options);
        let root = Root::new(root, options.follow_symlinks)?;
        let root = Arc::new(root.following(options.only.as_deref()));
        Ok(Self {
            files: Files::new(
                root,
                preset.content.clone(),
                options.types.clone(),
                limits.clone(),
            ),
            pages: Pages::new(&preset.other),
            preset,
            options,
            limits,
            listings: listing::Held::default(),
            name: Vec::new(),
        })
    }

    /// Answers one request.
    pub fn answer(&mut self, request: &Request<'_>, now: Now) -> Response {
        if request.expects_unknown {
            return self.page(Status::EXPECTATION_FAILED, request);
        }
        match (request.method, request.target) {
            (Method::Options, _) => self.options(),
            (Method::Known | Method::Connect, _) => self.not_allowed(request),
            (Method::Unknown, _) => self.page(Status::NOT_IMPLEMENTED, request),
            (Method::Get | Method::Head, Target::Path { path, query }) => {
                // The buffer is taken, so that what is decoded into it can be looked up in `self`.
                let mut name = std::mem::take(&mut self.name);
                let response = self.get(request, path, query, &mut name, now);
                self.name = name;
                response
            }
            (Method::Get | Method::Head, _) => self.page(Status::BAD_REQUEST, request),
        }
    }

    /// Everyone who could be served in this turn has been.
    pub fn end_iteration(&mut self, now: Now) {
        self.files.end_iteration(now);
    }

    /// When [`end_iteration`](Self::end_iteration) is to be called even if nobody is served.
    pub fn next_due(&self) -> Option<Instant> {
        self.files.next_due()
    }

    /// Forgets what is remembered of files, and closes those that are kept open.
    pub fn forget_files(&mut self) {
        self.files.forget();
    }

    /// Answers what is no request.
    pub fn refuse(&self, refusal: &Refusal<'_>) -> Response {
        self.pages.refusal(refusal.status, refusal.why)
    }

    fn get(
        &mut self,
        request: &Request<'_>,
        path: &[u8],
        query: Option<&[u8]>,
        name: &mut Vec<u8>,
        now: Now,
    ) -> Response {
        let path = match SitePath::decode(path, name) {
            Ok(path) => path,
            Err(Malformed(why)) => {
                return self
                    .pages
                    .page(Status::BAD_REQUEST, Some(why), is_html(request));
            }
        };
        if path.is_hidden() && !self.options.hidden {
            return self.nothing(request, now);
        }
        let (is_root, has_slash) = (path.name().is_empty(), path.has_slash());
        let relative_from = path.relative_from();
        if let Some(only) = &self.options.only {
            if !is_root && path.name() != only {
                return self.nothing(request, now);
            }
            name.clear();
            name.extend_from_slice(only);
        } else if has_slash {
            return self.directory(request, query, name, now);
        }
        match self.files.find(SitePath::of_name(name), now) {
            Ok(Found::File(opened)) if is_root || !has_slash => {
                self.file(request, opened, name, now)
            }
            Ok(Found::Directory) if self.options.only.is_none() => {
                self.redirect(request, name, relative_from, query)
            }
            Ok(Found::Denied) => self.not_found(request, now),
            Ok(Found::File(_) | Found::Directory | Found::Nothing) => self.nothing(request, now),
            Err(error) => self.trouble(&error, request),
        }
    }

    /// An address that ends with a slash. The index files are asked for first: one that is
    /// remembered saves opening the directory. One that is there but denied ends the search: its
    /// owner wants neither the next one nor a listing in its place.
    fn directory(
        &mut self,
        request: &Request<'_>,
        query: Option<&[u8]>,
        name: &mut Vec<u8>,
        now: Now,
    ) -> Response {
        let length = name.len();
        for index in 0..self.options.index.len() {
            if length > 0 {
                name.push(b'/');
            }
            name.extend_from_slice(self.options.index.get(index).map_or(b"", Vec::as_slice));
            match self.files.find(SitePath::of_name(name), now) {
                Ok(Found::File(opened)) => return self.file(request, opened, name, now),
                Ok(Found::Directory | Found::Nothing) => name.truncate(length),
                Ok(Found::Denied) => return self.not_found(request, now),
                Err(error) => return self.trouble(&error, request),
            }
        }
        if !self.options.listing {
            return self.nothing(request, now);
        }
        match self.files.open_directory(SitePath::of_name(name), now) {
            Ok(Ok(directory)) => self.listing(request, directory, query, name, now),
            Ok(Err(Found::Denied)) => self.not_found(request, now),
            Ok(Err(_)) => self.nothing(request, now),
            Err(error) => self.trouble(&error, request),
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
        let form = listing::Query::parse(query).form();
        let mut lines = FieldLines::clone(&self.preset.content);
        if form == Form::Style {
            lines.push_metadata("Content-Type", "text/css; charset=utf-8");
            lines.push_default("Cache-Control", "max-age=31536000, immutable");
            let style = Payload::Bytes(listing::STYLE.as_bytes().into(), None);
            return Response::new(Status::OK, Arc::new(lines)).with(style);
        }
        let links_style = lines.has("Content-Security-Policy");
        let gzip = !request.manners.old && request.mentions.codings && prefers_gzip(request.fields);
        match form {
            Form::Json => lines.push_metadata("Content-Type", "application/json"),
            _ => lines.push_metadata("Content-Type", "text/html; charset=utf-8"),
        }
        if form == Form::Page && !links_style {
            lines.push("Content-Security-Policy", listing::csp());
        }
        if gzip {
            lines.push_metadata("Content-Encoding", "gzip");
        }
        // A directory has no validator: it is asked for anew each time.
        lines.push_default("Cache-Control", "no-cache");
        lines.push_vary("Accept-Encoding");
        let lines = Arc::new(lines);
        let now = HttpDate::nearest(now.wall);
        match evaluate(request.fields, Validators::default(), now) {
            Verdict::PreconditionFailed => return self.page(Status::PRECONDITION_FAILED, request),
            // Only `If-None-Match: *` gets here.
            Verdict::NotModified => return Response::new(Status::NOT_MODIFIED, lines),
            Verdict::Proceed { .. } => {}
        }
        let (root, path) = (self.files.root().clone(), SitePath::of_name(name));
        let options = listing::Options {
            hidden: self.options.hidden,
            entries: self.limits.listing_entries,
            slice: self.limits.listing_slice,
            held: self.listings.clone(),
            most_held: self.limits.listing_bytes,
            gzip,
            links_style,
        };
        match listing::open(directory, root, path, query, options) {
            Ok(listing) => {
                Response::new(Status::OK, lines).with(Payload::Stream(Box::new(listing)))
            }
            Err(error) => self.trouble(&error, request),
        }
    }

    /// A file, or the encoded sibling of it that the client prefers.
    fn file(
        &mut self,
        request: &Request<'_>,
        opened: Arc<Opened>,
        name: &mut Vec<u8>,
        now: Now,
    ) -> Response {
        if request.mentions.codings && opened.is_compressible {
            for coding in acceptable(request.fields).iter() {
                if coding == Coding::Identity {
                    break;
                }
                match self.files.find_sibling(name, &opened, coding, now) {
                    Ok(Some(sibling)) => return self.conditional(request, &sibling, now),
                    Ok(None) => {}
                    Err(error) => return self.trouble(&error, request),
                }
            }
        }
        self.conditional(request, &opened, now)
    }

    fn conditional(&self, request: &Request<'_>, opened: &Opened, now: Now) -> Response {
        let validators = Validators {
            etag: Some(&opened.etag),
            modified: opened.modified,
        };
        let verdict = match request.mentions.conditions {
            true => evaluate(request.fields, validators, HttpDate::nearest(now.wall)),
            false => Verdict::Proceed { ranges: true },
        };
        match verdict {
            Verdict::PreconditionFailed => self.page(Status::PRECONDITION_FAILED, request),
            Verdict::NotModified => Response::new(Status::NOT_MODIFIED, opened.lines.clone()),
            Verdict::Proceed { ranges: true }
                if request.mentions.range && request.method == Method::Get =>
            {
                self.ranges(request, opened)
            }
            Verdict::Proceed { .. } => ranges::whole(opened, Status::OK),
        }
    }

    fn ranges(&self, request: &Request<'_>, opened: &Opened) -> Response {
        match crate::http::range::ranges(request.fields, opened.size) {
            Ranges::Whole => ranges::whole(opened, Status::OK),
            Ranges::One(range) => ranges::one(opened, range, self.limits.inline_body_limit),
            Ranges::Several(several) => ranges::several(opened, several),
            Ranges::Unsatisfiable => {
                let mut response = self.page(Status::RANGE_NOT_SATISFIABLE, request);
                response
                    .fields
                    .push("Content-Range", unsatisfied(opened.size));
                response
            }
        }
    }
}

fn is_html(request: &Request<'_>) -> bool {
    prefers_html(request.fields)
}
