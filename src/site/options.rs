//! Room `site`: what its owner can choose.

use super::types::Types;
use crate::http::fields::FieldLines;

/// How a site is to be served.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names of the files that stand for their directory, best first.
    pub index: Vec<Vec<u8>>,
    /// Show directories that have none of them.
    pub listing: bool,
    /// Serve names that begin with a dot.
    pub hidden: bool,
    /// Follow symlinks that leave the root.
    pub follow_symlinks: bool,
    /// Where nothing is found, answer a browser's navigation with the root's index.
    pub spa: bool,
    /// The only name that is served: the root is a file.
    pub only: Option<Vec<u8>>,
    /// The origin that may read responses from a script (CORS).
    pub cors: Option<String>,
    /// Which file has which media type.
    pub types: Types,
    /// Field lines for responses; some of them only for those with content.
    pub lines: FieldLines,
}
