//! A listing as JSON, for programs.
//!
//! ```json
//! {"path":"/a/","entries":[
//! {"name":"b","type":"file","size":123,"modified":"2026-11-22T15:42:28Z","href":"b"}
//! ],"omitted":0}
//! ```
//! Bytes of a name that are not UTF-8 are replaced in `name`, and exact in `href`. The size of a
//! directory is null. `omitted` counts entries beyond the limit.

use super::query::View;
use super::sorted_entries::{EntryCounts, Row};
use super::text;
use crate::http::date::HttpDate;
use crate::text::civil_time::CivilTime;
use crate::text::json::put_json_utf8;
use std::io::{self, Write};

/// Appends what comes before the entries.
pub(super) fn put_head(view: &View, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(b"{\"path\":\"/");
    put_json_utf8(&view.path, out);
    if !view.path.is_empty() {
        out.push(b'/');
    }
    out.write_all(b"\",\"entries\":[")
}

/// Appends one entry.
pub(super) fn put_row(row: &Row, is_first: bool, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(if is_first { b"\n" } else { b",\n" });
    out.extend_from_slice(b"{\"name\":\"");
    put_json_utf8(row.name(), out);
    match row.is_directory {
        true => write!(out, "\",\"type\":\"directory\",\"size\":null")?,
        false => write!(out, "\",\"type\":\"file\",\"size\":{}", row.size)?,
    }
    out.extend_from_slice(b",\"modified\":\"");
    CivilTime::of(HttpDate::nearest_to_seconds(row.modified)).put_rfc3339(out);
    out.extend_from_slice(b"Z\",\"href\":\"");
    text::put_href(row.name(), row.is_directory, out)?;
    out.write_all(b"\"}")
}

/// Appends what comes after the entries.
pub(super) fn put_tail(counts: EntryCounts, out: &mut Vec<u8>) -> io::Result<()> {
    writeln!(out, "\n],\"omitted\":{}}}", counts.omitted)
}
