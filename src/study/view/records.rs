//! What the loop did with public connections, record by record as in a trace, while a page shows
//! the view.

use crate::study::trace::{Place, Record, RecordKind, write_json};
use std::collections::VecDeque;
use std::time::Duration;

/// Records that are kept of an iteration.
const OF_ITERATION: usize = 400;

/// Records that are kept: about a thousand requests.
const KEPT: usize = 10_000;

/// The records of the latest iterations with work for a public connection.
#[derive(Debug, Default)]
pub struct Records {
    /// Since the end of the latest one.
    next: Vec<Record>,
    kept: VecDeque<Record>,
    /// How many of them are of the latest iteration.
    latest: usize,
    /// Records that were too many.
    dropped: u64,
}

impl Records {
    /// Adds a record. `connection` is `None` for what the loop does.
    pub fn push(
        &mut self,
        time: Duration,
        iteration: u64,
        connection: Option<u64>,
        what: RecordKind,
    ) {
        if self.next.len() == OF_ITERATION {
            self.dropped += 1;
            return;
        }
        self.next.push(Record {
            time,
            place: Place::Iteration(iteration),
            connection,
            what,
        });
    }

    /// The iteration is over; `has_worked`: it had work for a public connection. Of one without,
    /// the events stay: a later iteration runs what they are about.
    pub fn end_iteration(&mut self, has_worked: bool) {
        if !has_worked {
            self.next.retain(|record| record.connection.is_some());
            return;
        }
        let dropped = std::mem::take(&mut self.dropped);
        if let Some(last) = self.next.last().filter(|_| dropped > 0) {
            let what = RecordKind::Dropped { count: dropped };
            self.next.push(Record {
                connection: None,
                what,
                ..last.clone()
            });
        }
        self.latest = self.next.len();
        self.kept.extend(self.next.drain(..));
        self.kept.drain(..self.kept.len().saturating_sub(KEPT));
    }

    /// No iteration counts as the latest one, until one ends.
    pub fn forget_iteration(&mut self) {
        self.latest = 0;
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The records of the latest iteration, as lines of JSON.
    pub fn iteration_to_json(&self) -> Vec<u8> {
        to_json(self.kept.iter().skip(self.kept.len() - self.latest))
    }

    /// All records, as lines of JSON.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self.kept.iter())
    }
}

fn to_json<'r>(records: impl Iterator<Item = &'r Record>) -> Vec<u8> {
    let mut out = Vec::new();
    records.for_each(|record| write_json(record, &mut out));
    out
}
