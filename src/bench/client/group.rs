//! What the connections of a client group share: requests, schedule, statistics.

use super::parser::Response;
use super::recorder::{Recorder, Request};
use super::schedule::Schedule;
use crate::bench::load::{Behavior, Closer, Group, Page};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// The bytes of one body in this many are compared.
const CHECK_INTERVAL: u64 = 64;
/// Bodies up to this length are all compared: it costs less than receiving them.
const ALWAYS_CHECKED: u64 = 64;

/// A client group.
pub struct ClientGroup {
    /// What its connections do.
    pub behavior: Behavior,
    /// Its statistics.
    pub recorder: Recorder,
    /// When requests are due, in an open loop.
    pub schedule: Option<Schedule>,
    /// When the schedule started, ns since the generator's start.
    pub origin: u64,
    /// When the next request is due, ns since the generator's start.
    pub next_due: u64,
    /// Due times of the requests that wait for an idle connection.
    pub waiting: VecDeque<u64>,
    /// Idle connections.
    pub idle: VecDeque<usize>,
    pages: Vec<Page>,
    requests: Vec<Vec<u8>>,
    responses: u64,
}

impl ClientGroup {
    /// A group for the server at `target`.
    pub fn new(group: &Group, target: SocketAddr, seed: u64) -> Self {
        let schedule = match group.behavior {
            Behavior::Open { rate, arrivals, .. } => Some(Schedule::new(rate, arrivals, seed)),
            _ => None,
        };
        let close = match group.behavior {
            Behavior::Short {
                closer: Closer::Server,
                ..
            } => "Connection: close\r\n",
            _ => "",
        };
        let request = |page: &Page| {
            let path = &page.path;
            format!("GET {path} HTTP/1.1\r\nHost: {target}\r\n{close}\r\n").into_bytes()
        };
        Self {
            behavior: group.behavior,
            recorder: Recorder::new(&group.name, group.connections, schedule.is_some()),
            schedule,
            origin: 0,
            next_due: u64::MAX,
            waiting: VecDeque::new(),
            idle: VecDeque::new(),
            pages: group.pages.clone(),
            requests: group.pages.iter().map(request).collect(),
            responses: 0,
        }
    }

    /// The bytes of request number `number`; the pages are requested in a cycle.
    pub fn request(&self, number: usize) -> Option<&[u8]> {
        let index = number.checked_rem(self.requests.len())?;
        self.requests.get(index).map(Vec::as_slice)
    }

    fn page(&self, number: usize) -> Option<&Page> {
        self.pages.get(number.checked_rem(self.pages.len())?)
    }

    /// Whether the bytes of the next body, the response to request number `number`, are compared.
    pub fn checks_next_body(&mut self, number: usize) -> bool {
        self.responses += 1;
        let length = self.page(number).and_then(|page| page.length);
        self.responses % CHECK_INTERVAL == 1
            || length.is_some_and(|length| length <= ALWAYS_CHECKED)
    }

    /// Records a response on the connection with this number.
    pub fn on_response(
        &mut self,
        connection: usize,
        request: &Request,
        response: Response,
        now: u64,
    ) {
        let index = request.number.checked_rem(self.pages.len()).unwrap_or(0);
        if let Some(page) = self.pages.get(index) {
            self.recorder
                .response(connection, request, response, page, now);
        }
    }

    /// Whether each request has a connection of its own.
    pub fn is_short(&self) -> bool {
        matches!(self.behavior, Behavior::Short { .. })
    }

    /// The size of the receive buffer, if it is not the default.
    pub fn receive_buffer(&self) -> Option<usize> {
        match self.behavior {
            Behavior::SlowRead { buffer, .. } => usize::try_from(buffer).ok(),
            _ => None,
        }
    }
}
