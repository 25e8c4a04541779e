//! Room `bench`: what do the connections of one group share? Requests, schedule, and count.

use super::recorder::Tally;
use super::schedule::Schedule;
use crate::bench::load::{Behavior, Closer, Group, Page};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// One body of so many is compared; all are counted.
const CHECKED: u64 = 64;
/// Bodies of at most so many bytes are all compared: that is less work than to receive them.
const SHORT: u64 = 64;

/// A group at work.
pub struct ClientGroup {
    /// What its connections do.
    pub behavior: Behavior,
    /// What it has seen.
    pub tally: Tally,
    /// When requests are due, in an open loop.
    pub schedule: Option<Schedule>,
    /// When the schedule began, ns since the generator did.
    pub origin: u64,
    /// When the next request is due, ns since the generator began.
    pub next_due: u64,
    /// Requests that are due and have no connection, by when they were.
    pub waiting: VecDeque<u64>,
    /// Connections that have nothing to do.
    pub free: VecDeque<usize>,
    pages: Vec<Page>,
    texts: Vec<Vec<u8>>,
    checks: u64,
}

impl ClientGroup {
    /// Of a group for the server at `target`.
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
        let text = |page: &Page| {
            let path = &page.path;
            format!("GET {path} HTTP/1.1\r\nHost: {target}\r\n{close}\r\n").into_bytes()
        };
        Self {
            behavior: group.behavior,
            tally: Tally::new(&group.name, group.connections, schedule.is_some()),
            schedule,
            origin: 0,
            next_due: u64::MAX,
            waiting: VecDeque::new(),
            free: VecDeque::new(),
            pages: group.pages.clone(),
            texts: group.pages.iter().map(text).collect(),
            checks: 0,
        }
    }

    /// The page with that number, counted round and round, and its request.
    pub fn page(&self, number: usize) -> Option<(&Page, &[u8])> {
        let at = number.checked_rem(self.pages.len())?;
        Some((self.pages.get(at)?, self.texts.get(at)?))
    }

    /// Whether the next body is to be compared, which answers the request for the page with that
    /// number.
    pub fn checks_next(&mut self, number: usize) -> bool {
        self.checks += 1;
        let length = self.page(number).and_then(|(page, _)| page.length);
        self.checks % CHECKED == 1 || length.is_some_and(|length| length <= SHORT)
    }

    /// Counts an answer on the connection with that number.
    pub fn answered(
        &mut self,
        connection: usize,
        request: &super::recorder::Request,
        answer: super::parser::Answer,
        now: u64,
    ) {
        let at = request.page.checked_rem(self.pages.len()).unwrap_or(0);
        if let Some(page) = self.pages.get(at) {
            self.tally.answered(connection, request, answer, page, now);
        }
    }

    /// Whether each request has a connection of its own.
    pub fn is_short(&self) -> bool {
        matches!(self.behavior, Behavior::Short { .. })
    }

    /// The receive buffer of its connections, if it is not the system's.
    pub fn buffer(&self) -> Option<usize> {
        match self.behavior {
            Behavior::SlowRead { buffer, .. } => usize::try_from(buffer).ok(),
            _ => None,
        }
    }
}
