//! The live view of `--admin`: a page that shows the loop and each of its connections.
//!
//! [`View`] is a [`Probe`] that keeps a table of the connections. It is also the
//! [`Pages`](crate::admin::Pages) that serve the page and the table to admin connections: its
//! clones share the table. The page polls it: an answer has the cells that changed since the latest
//! one.
//!
//! While no page asks, the table has the state of each connection and its counts, but no times of
//! steps, no records, and the heads and transitions of unfinished requests only.

mod exchanges;
mod hold;
mod life;
mod pulse;
mod records;
mod routes;
mod table;

use crate::clock::Now;
use crate::connection::{CloseReason, Counts, StateName, StepName};
use crate::http::request::{Refusal, Request};
use crate::probe::{Cause, EventFlags, Origin, Probe, StepResult};
use crate::study::trace::{RecordKind, request_line};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use table::Table;

/// Keeps the table up to date, and serves it.
#[derive(Clone, Debug)]
pub struct View(Rc<RefCell<Table>>);

impl View {
    /// A view of a loop that begins now.
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(Table::new(Now::read()))))
    }
}

impl Default for View {
    fn default() -> Self {
        Self::new()
    }
}

impl Probe for View {
    fn clock(&mut self) -> Option<Instant> {
        let mut table = self.0.borrow_mut();
        if !table.is_watched() {
            return None;
        }
        let now = Now::monotonic();
        table.set_time(now);
        Some(now)
    }

    fn on_poll_begin(&mut self, now: Now, timeout: Option<Duration>) {
        self.0.borrow_mut().on_poll_begin(now.instant, timeout);
    }

    fn on_poll_end(&mut self, now: Now, events: usize) {
        self.0.borrow_mut().on_poll_end(now.instant, events);
    }

    fn on_accept(&mut self, id: u64, origin: Origin, state: StateName) {
        let mut table = self.0.borrow_mut();
        table.on_accept(id, origin, state);
        table.record(id, |_| RecordKind::Accept { origin, state });
    }

    fn on_event(&mut self, id: u64, flags: EventFlags) {
        let mut table = self.0.borrow_mut();
        table.on_event(id);
        table.record(id, |_| RecordKind::Event { flags });
    }

    fn on_register(&mut self, id: u64) {
        self.0.borrow_mut().record(id, |_| RecordKind::Register);
    }

    fn on_request(&mut self, id: u64, request: &Result<Request<'_>, Refusal<'_>>) {
        let mut table = self.0.borrow_mut();
        table.on_request(id, request);
        table.record(id, |_| RecordKind::Request {
            line: request_line(request),
        });
    }

    fn on_response(&mut self, id: u64, rendered: &[u8], length: Option<u64>) {
        self.0.borrow_mut().on_response(id, rendered, length);
    }

    fn on_step(&mut self, id: u64, step: StepName, result: StepResult, time: Option<Duration>) {
        let took = time.unwrap_or_default();
        let mut table = self.0.borrow_mut();
        table.on_step(id, step, result, took);
        // It only reports that the connection has ended, as on_close does.
        if step != StepName::End {
            table.record(id, |state| RecordKind::Step {
                state,
                step,
                result,
                took,
            });
        }
    }

    fn on_transition(&mut self, id: u64, from: StateName, to: StateName, cause: Cause) {
        let mut table = self.0.borrow_mut();
        table.on_transition(id, from, to, cause);
        table.record(id, |_| RecordKind::Transition { from, to, cause });
    }

    fn on_run_end(&mut self, id: u64, received: &[u8], left: Duration) {
        self.0.borrow_mut().on_run_end(id, received, left);
    }

    fn on_close(&mut self, id: u64, reason: CloseReason, counts: Counts) {
        let mut table = self.0.borrow_mut();
        table.record(id, |_| RecordKind::Close { reason, counts });
        table.on_close(id);
    }
}
