//! The fuzz targets: functions that take any bytes and panic if the server handles them wrongly.
//!
//! Each compares the server with a reference that shares no code with it: another crate if there is
//! one, else a simple program written from the RFC. libFuzzer (`fuzz_targets/`) and `cargo test
//! --test fuzz` (`main.rs`) use them. Inputs are text if possible, so that a finding can be read
//! and edited.

pub mod accept;
pub mod coding;
pub mod conditional;
pub mod date;
pub mod head;
pub mod host;
pub mod listing;
pub mod log;
mod opinion;
pub mod path;
pub mod range;
mod responses;
mod site;
pub mod stream;

/// The name and the function of a target.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const ALL: [Target; 11] = [
    ("accept", accept::check),
    ("coding", coding::check),
    ("conditional", conditional::check),
    ("date", date::check),
    ("head", head::check),
    ("host", host::check),
    ("listing", listing::check),
    ("log", log::check),
    ("path", path::check),
    ("range", range::check),
    ("stream", stream::check),
];

/// The first line of an input, which has its parameters, and the rest.
fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n');
    let end = end.unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or_default())
}

/// Field lines with this `name`, one for each line of `values`; `None` if a value has a byte that
/// no valid head has.
fn lines_of(name: &str, values: &[u8]) -> Option<Vec<u8>> {
    let mut lines = Vec::new();
    for value in values.split(|&byte| byte == b'\n') {
        if !opinion::is_value(value) {
            return None;
        }
        lines.extend_from_slice(name.as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value);
        lines.extend_from_slice(b"\r\n");
    }
    Some(lines)
}

/// Without spaces and tabs at either end.
fn strip(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
