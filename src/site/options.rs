//! The options of a site.

use super::rules::Rule;
use super::types::Types;
use crate::http::fields::FieldLines;
use crate::http::status::Status;

/// How a site is served.
#[derive(Clone, Debug, Default)]
pub struct SiteOptions {
    /// Names of index files; the first that exists is served for its directory.
    pub index: Vec<Vec<u8>>,
    /// List directories without an index file.
    pub listing: bool,
    /// Serve names that begin with a dot.
    pub hidden: bool,
    /// Follow symlinks that lead out of the root.
    pub follow_symlinks: bool,
    /// Answer a browser's navigation with the index file of the root if the path does not exist.
    pub spa: bool,
    /// The only file that is served.
    pub only: Option<Vec<u8>>,
    /// The origin that may read responses from a script (CORS).
    pub cors: Option<String>,
    /// The media types of files.
    pub types: Types,
    /// Headers of responses; some of them only of those with content.
    pub headers: FieldLines,
    /// What applies to some paths only.
    pub rules: Vec<Rule>,
    /// Serve `about.html` at `/about`, too.
    pub clean_urls: bool,
    /// Compress files while they are sent.
    pub compress: bool,
    /// The path beneath which the site is, without a slash at either end; empty: the whole host.
    pub base: Vec<u8>,
    /// Names of files that are the bodies of errors.
    pub error_pages: Vec<(Status, Vec<u8>)>,
    /// Paths that only some users may request.
    pub protected: Vec<Protected>,
}

/// A path, and the number of the realm of everything at and below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    /// A name beneath the root, without a slash at either end; empty: everything.
    pub name: Vec<u8>,
    /// `None`: no password is needed, whatever holds for the paths above it.
    pub realm: Option<usize>,
}
