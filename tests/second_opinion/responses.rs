//! Parsing the responses of a server, as far as they are compared.

use crate::head::{Head, find};

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Whether the connection stays open.
    pub open: bool,
    /// Whether `100 Continue` came before it.
    pub interim: bool,
    /// Whether it has no header, as in HTTP/0.9.
    pub bare: bool,
    /// The content, if it identifies the file.
    pub content: Vec<u8>,
}

/// Parses everything that a server sent for `stream` on one connection.
pub fn parse(stream: &[u8], mut bytes: &[u8]) -> Vec<Response> {
    let mut responses = Vec::new();
    let mut interim = false;
    let mut heads = Head::all(stream);
    while !bytes.is_empty() {
        let is_head = !interim && heads.next().is_some_and(|head| head.method() == b"HEAD");
        let (response, rest) = parse_one(bytes, is_head);
        bytes = rest;
        if response.status == 100 {
            interim = true;
        } else {
            let interim = std::mem::take(&mut interim);
            responses.push(Response {
                interim,
                ..response
            });
        }
    }
    let closed = responses.iter().position(|response| !response.open);
    assert!(
        closed.is_none_or(|at| at + 1 == responses.len()),
        "a response after the last one: {responses:?}"
    );
    responses
}

fn parse_one(bytes: &[u8], is_head: bool) -> (Response, &[u8]) {
    let Some(status) = status_of(bytes) else {
        return (bare(bytes), b"");
    };
    let end = find(bytes, b"\r\n\r\n").expect("a header ends with an empty line") + 4;
    let (header, rest) = bytes.split_at(end);
    let header = String::from_utf8_lossy(header).to_ascii_lowercase();
    let field = |name: &str| {
        let mut lines = header.split("\r\n");
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let open = field("connection") != Some("close");
    // No file and no page begins like a response: if one is next, there is no body before it.
    let is_bodiless = status_of(rest).is_some() || (is_head && open);
    let length = match field("content-length") {
        Some(length) if !is_bodiless => length.parse().unwrap(),
        _ => 0,
    };
    let (content, rest) = rest.split_at(length.min(rest.len()));
    let response = Response {
        status,
        open,
        interim: false,
        bare: false,
        content: if status == 200 {
            content.to_vec()
        } else {
            Vec::new()
        },
    };
    (response, rest)
}

/// The status, if this is the start of a response.
fn status_of(bytes: &[u8]) -> Option<u16> {
    let rest = bytes.strip_prefix(b"HTTP/1.1 ")?;
    str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

/// A body without a header: a file, or a page whose title begins with a status.
fn bare(bytes: &[u8]) -> Response {
    let title = b"<html>\r\n<head><title>";
    let status = bytes
        .strip_prefix(title)
        .and_then(|rest| str::from_utf8(rest.get(..3)?).ok()?.parse().ok());
    Response {
        status: status.unwrap_or(200),
        open: false,
        interim: false,
        bare: true,
        content: if status.is_none() {
            bytes.to_vec()
        } else {
            Vec::new()
        },
    }
}
