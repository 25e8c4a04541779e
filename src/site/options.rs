//! The options of a site.

use super::types::Types;
use crate::http::fields::FieldLines;

/// How a site is served.
#[derive(Clone, Debug)]
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
}
