//! `--admin`: the live view, a page that shows the loop and each of its connections.
//!
//! [`View`] is a [`Probe`] that keeps a table of the connections, and
//! [`Routes`] is the handler that serves the page and the table to admin connections. They share
//! the table. The page polls it: an answer has the cells that changed since the latest one.

mod exchanges;
mod life;
mod pulse;
mod routes;
mod table;

pub use routes::{Routes, RoutesState};

use crate::clock::Now;
use crate::connection::{CloseReason, Counts, StateName, StepName};
use crate::http::request::{Refusal, Request};
use crate::probe::{Cause, EventFlags, Origin, Probe, StepResult};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use table::Table;

/// Keeps the table up to date.
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
        let now = Now::monotonic();
        self.0.borrow_mut().set_time(now);
        Some(now)
    }

    fn on_iteration_end(&mut self, now: Now, _: Option<Duration>) {
        self.0.borrow_mut().on_iteration_end(now.instant);
    }

    fn on_iteration_begin(&mut self, now: Now, events: usize) {
        self.0.borrow_mut().on_iteration_begin(now.instant, events);
    }

    fn on_accept(&mut self, id: u64, origin: Origin, state: StateName) {
        self.0.borrow_mut().on_accept(id, origin, state);
    }

    fn on_event(&mut self, id: u64, _: EventFlags) {
        self.0.borrow_mut().on_event(id);
    }

    fn on_request(&mut self, id: u64, request: &Result<Request<'_>, Refusal<'_>>) {
        self.0.borrow_mut().on_request(id, request);
    }

    fn on_response(&mut self, id: u64, rendered: &[u8], length: Option<u64>) {
        self.0.borrow_mut().on_response(id, rendered, length);
    }

    fn on_step(&mut self, id: u64, step: StepName, result: StepResult, time: Option<Duration>) {
        let time = time.unwrap_or_default();
        self.0.borrow_mut().on_step(id, step, result, time);
    }

    fn on_transition(&mut self, id: u64, from: StateName, to: StateName, cause: Cause) {
        self.0.borrow_mut().on_transition(id, from, to, cause);
    }

    fn on_run_end(&mut self, id: u64, left: Duration) {
        self.0.borrow_mut().on_run_end(id, left);
    }

    fn on_close(&mut self, id: u64, _: CloseReason, _: Counts) {
        self.0.borrow_mut().on_close(id);
    }
}
