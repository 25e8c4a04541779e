//! Text formats that are not those of HTTP: JSON strings, and dates of log lines and listings.

pub mod civil_time;
pub mod json;

use std::fmt::Arguments;
use std::io::Write;

/// Appends formatted text.
pub fn put(out: &mut Vec<u8>, text: Arguments<'_>) {
    let written = out.write_fmt(text);
    assert!(written.is_ok(), "writing to a vector does not fail");
}
