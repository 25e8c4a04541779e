//! Responses on the listener of the operator.

use crate::http::fields::FieldLines;
use crate::http::payload::{Payload, Produce, Progress};
use crate::http::response::Response;
use crate::http::status::Status;
use std::io;
use std::sync::Arc;

/// The media type of sentences.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// Bodies up to this size are sent from memory at once.
const AT_ONCE: usize = 16 * 1024;

/// Bytes of a larger body that are sent in one iteration.
const SLICE: usize = 64 * 1024;

/// A response that no cache stores, and that a browser shows to no other site.
pub fn respond(status: Status, content_type: &str, body: Vec<u8>) -> Response {
    respond_with(FieldLines::new(), status, content_type, body)
}

/// A 405: only `methods` are allowed.
pub fn not_allowed(methods: &str) -> Response {
    let mut headers = FieldLines::new();
    headers.push("Allow", methods);
    let why = format!("only {methods}\n");
    respond_with(headers, Status::MethodNotAllowed, TEXT, why.into())
}

fn respond_with(
    mut headers: FieldLines,
    status: Status,
    content_type: &str,
    body: Vec<u8>,
) -> Response {
    headers.push("Content-Type", content_type);
    headers.push("Cache-Control", "no-store");
    headers.push("X-Content-Type-Options", "nosniff");
    headers.push("Cross-Origin-Resource-Policy", "same-origin");
    headers.push("Cross-Origin-Opener-Policy", "same-origin");
    headers.push(
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; \
         connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; \
         form-action 'none'",
    );
    let payload = match body.len() <= AT_ONCE {
        true => Payload::Bytes(body.into(), None),
        false => Payload::Stream(Box::new(Slices { body, sent: 0 })),
    };
    Response::new(status, Arc::new(headers)).with(payload)
}

/// A body in memory that is sent in slices, so that the public connections run in between.
#[derive(Debug)]
struct Slices {
    body: Vec<u8>,
    sent: usize,
}

impl Produce for Slices {
    fn produce(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        let (_, unsent) = self.body.split_at(self.sent);
        let slice = unsent.get(..SLICE).unwrap_or(unsent);
        out.extend_from_slice(slice);
        self.sent += slice.len();
        Ok(match self.sent == self.body.len() {
            true => Progress::Done,
            false => Progress::More,
        })
    }
}
