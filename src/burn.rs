//! A handler that computes: what a loop that serves everybody cannot bear.
//!
//! Put before whoever answers, it keeps `/burn` for itself: it uses up processor time in the thread
//! that answers, and only then says that it has. A static server has no such address, but those who
//! compare ways of waiting need one. Imports `pump`, `http` and `clock`.

use crate::clock::{Now, processor_time};
use crate::http::fields::FieldLines;
use crate::http::payload::Payload;
use crate::http::request::{Refusal, Request, Target};
use crate::http::response::Response;
use crate::http::status::Status;
use crate::pump::Service;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Steps of work between two looks at the clock.
const SPELL: u32 = 10_000;

/// A service with a slow handler before it.
#[derive(Clone, Debug)]
pub struct Burning<S> {
    service: S,
    time: Duration,
    about: Arc<FieldLines>,
    page: Arc<[u8]>,
}

impl<S> Burning<S> {
    /// `service`, with `/burn` taking so much processor time.
    pub fn new(service: S, time: Duration) -> Self {
        let mut about = FieldLines::new();
        about.push("Content-Type", "text/plain; charset=utf-8");
        about.push("Cache-Control", "no-store");
        Self {
            service,
            time,
            about: Arc::new(about),
            page: Arc::from(&b"burnt\n"[..]),
        }
    }

    /// The service alone.
    pub fn into_inner(self) -> S {
        self.service
    }
}

impl<S: Service> Service for Burning<S> {
    type Guest = S::Guest;

    fn welcome(&mut self, peer: Option<IpAddr>) -> S::Guest {
        self.service.welcome(peer)
    }

    fn respond(
        &mut self,
        guest: &mut S::Guest,
        asked: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        let is_ours =
            |asked: &Request<'_>| matches!(asked.target, Target::Path { path: b"/burn", .. });
        if !asked.as_ref().is_ok_and(is_ours) {
            return self.service.respond(guest, asked, now);
        }
        burn(self.time);
        let payload = Payload::Bytes(self.page.clone(), None);
        let response = Response::new(Status::OK, self.about.clone()).with(payload);
        self.service.note(guest, &asked, &response, now);
        response
    }

    fn note(
        &mut self,
        guest: &mut S::Guest,
        asked: &Result<Request<'_>, Refusal<'_>>,
        response: &Response,
        now: Now,
    ) {
        self.service.note(guest, asked, response, now);
    }

    fn delivered(&mut self, guest: &mut S::Guest, body_sent: u64, now: Now) {
        self.service.delivered(guest, body_sent, now);
    }

    fn lost(&mut self, bytes: u64) {
        self.service.lost(bytes);
    }

    fn turn_ended(&mut self, now: Now) {
        self.service.turn_ended(now);
    }

    fn next_due(&self) -> Option<Instant> {
        self.service.next_due()
    }

    fn reopen_logs(&mut self) {
        self.service.reopen_logs();
    }
}

/// Works, and does not sleep: what else the machine has to do does not count.
fn burn(time: Duration) {
    let begun = processor_time();
    while processor_time().saturating_sub(begun) < time {
        // Some microseconds, so that asking for the time is not most of the work.
        for number in 0..SPELL {
            std::hint::black_box(number);
        }
    }
}
