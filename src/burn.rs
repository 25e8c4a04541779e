//! Room `burn`: what does it cost when an answer has to be computed?
//!
//! With `--burn MILLISECONDS` the address `/burn` is answered after so much processor time: a
//! handler as slow as one wants. Nobody else is served by its thread meanwhile, which is where a
//! single thread loses.

use crate::clock;
use crate::http::fields::FieldLines;
use crate::http::payload::Payload;
use crate::http::request::{Request, Target};
use crate::http::response::Response;
use crate::http::status::Status;
use std::sync::Arc;
use std::time::Duration;

/// The address that burns.
const PATH: &[u8] = b"/burn";

/// A handler that computes.
#[derive(Debug)]
pub struct Burn {
    long: Duration,
    lines: Arc<FieldLines>,
    body: Arc<[u8]>,
}

impl Burn {
    /// One that takes so long.
    pub fn new(long: Duration) -> Self {
        let mut lines = FieldLines::new();
        lines.push("Content-Type", "text/plain; charset=utf-8");
        lines.push("Cache-Control", "no-store");
        let body = format!("burnt {} ms\n", long.as_millis());
        Self {
            long,
            lines: Arc::new(lines),
            body: body.into_bytes().into(),
        }
    }

    /// Computes, and answers; if it was asked.
    pub fn answer(&self, request: &Request<'_>) -> Option<Response> {
        let Target::Path { path: PATH, .. } = request.target else {
            return None;
        };
        let begun = clock::thread_time();
        while clock::thread_time().saturating_sub(begun) < self.long {
            std::hint::spin_loop();
        }
        let payload = Payload::Bytes(self.body.clone(), None);
        Some(Response::new(Status::OK, self.lines.clone()).with(payload))
    }
}
