//! In place of `br_zstd.rs` without the feature `compress`: there is only gzip.

use super::Encode;
use crate::http::negotiate::Coding;
use std::io;

/// See `br_zstd.rs`.
pub const CODINGS: &[Coding] = &[Coding::Gzip];

/// See `br_zstd.rs`.
pub(super) fn encoder(_: Coding, _: Option<u64>) -> io::Result<Box<dyn Encode>> {
    Err(io::ErrorKind::Unsupported.into())
}
