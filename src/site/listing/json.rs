//! Part of `site::listing`: a directory as JSON, for programs.
//!
//! ```json
//! {"path":"/a/","entries":[
//! {"name":"b","type":"file","size":123,"modified":"2026-11-22T15:42:28Z","href":"b"}
//! ],"omitted":0}
//! ```
//! What is no UTF-8 in a name is replaced in `name`, and exact in `href`. The size of a
//! directory is null. `omitted` counts what is beyond the limit. Imports nothing of ours but
//! the listing's other parts.

use super::View;
use super::shelf::{Counts, Row};
use super::text::{self, Moment};
use std::io::{self, Write};

/// Appends what stands before the entries.
pub(super) fn put_head(view: &View, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(b"{\"path\":\"/");
    text::put_json(&view.path, out)?;
    if !view.path.is_empty() {
        out.push(b'/');
    }
    out.write_all(b"\",\"entries\":[")
}

/// Appends one entry.
pub(super) fn put_row(row: &Row, is_first: bool, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(if is_first { b"\n" } else { b",\n" });
    out.extend_from_slice(b"{\"name\":\"");
    text::put_json(row.name(), out)?;
    match row.is_directory {
        true => write!(out, "\",\"type\":\"directory\",\"size\":null")?,
        false => write!(out, "\",\"type\":\"file\",\"size\":{}", row.size)?,
    }
    let Moment {
        day,
        minute,
        second,
    } = Moment::at(row.modified);
    write!(
        out,
        ",\"modified\":\"{day}T{minute}:{second}Z\",\"href\":\""
    )?;
    text::put_href(row.name(), row.is_directory, out)?;
    out.write_all(b"\"}")
}

/// Appends what stands behind the entries.
pub(super) fn put_tail(counts: Counts, out: &mut Vec<u8>) -> io::Result<()> {
    writeln!(out, "\n],\"omitted\":{}}}", counts.omitted)
}
