//! A handler for `/burn`, which uses processor time before it answers. The benchmark compares the
//! models with it: a loop with one thread serves no other connection meanwhile.

use crate::clock::{Now, processor_time};
use crate::handler::{Handler, Wrapper};
use crate::http::fields::FieldLines;
use crate::http::payload::Payload;
use crate::http::request::{Refusal, Request, Target};
use crate::http::response::Response;
use crate::http::status::Status;
use std::sync::Arc;
use std::time::Duration;

/// Steps of work between two readings of the clock.
const STEPS: u32 = 10_000;

/// A handler that answers `/burn` itself, and hands every other request to the inner handler.
#[derive(Clone, Debug)]
pub struct Burning<H> {
    handler: H,
    time: Duration,
    headers: Arc<FieldLines>,
    page: Arc<[u8]>,
}

impl<H> Burning<H> {
    /// Puts `/burn`, which takes `time` of processor time, before `handler`.
    pub fn new(handler: H, time: Duration) -> Self {
        let mut headers = FieldLines::new();
        headers.push("Content-Type", "text/plain; charset=utf-8");
        headers.push("Cache-Control", "no-store");
        Self {
            handler,
            time,
            headers: Arc::new(headers),
            page: Arc::from(&b"burnt\n"[..]),
        }
    }

    /// The inner handler.
    pub fn into_inner(self) -> H {
        self.handler
    }
}

impl<H: Handler> Wrapper for Burning<H> {
    type Inner = H;

    fn with_inner<R>(&mut self, call: impl FnOnce(&mut H) -> R) -> R {
        call(&mut self.handler)
    }

    fn respond(
        &mut self,
        state: &mut H::State,
        request: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        let is_ours =
            |request: &Request<'_>| matches!(request.target, Target::Path { path: b"/burn", .. });
        if !request.as_ref().is_ok_and(is_ours) {
            return self.handler.respond(state, request, now);
        }
        burn(self.time);
        let payload = Payload::Bytes(self.page.clone(), None);
        let response = Response::new(Status::Ok, self.headers.clone()).with(payload);
        self.handler.log_request(state, &request, &response, now);
        response
    }
}

/// Uses `time` of this thread's processor time.
fn burn(time: Duration) {
    let begun = processor_time();
    while processor_time().saturating_sub(begun) < time {
        // Some microseconds of work, so that reading the clock is not most of it.
        for number in 0..STEPS {
            std::hint::black_box(number);
        }
    }
}
