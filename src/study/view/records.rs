//! What the latest iteration did with public connections, record by record as in a trace, while
//! they are held.

use crate::study::trace::{Place, Record, RecordKind, write_json};
use std::time::Duration;

/// Records that are kept of an iteration.
const KEPT: usize = 400;

/// The records of the latest iteration with work for a public connection.
#[derive(Debug, Default)]
pub struct Records {
    /// Since the end of that iteration.
    next: Vec<Record>,
    latest: Vec<Record>,
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
        if self.next.len() == KEPT {
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
        self.latest = std::mem::take(&mut self.next);
        let dropped = std::mem::take(&mut self.dropped);
        if let Some(last) = self.latest.last().filter(|_| dropped > 0) {
            let what = RecordKind::Dropped { count: dropped };
            self.latest.push(Record {
                connection: None,
                what,
                ..last.clone()
            });
        }
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The records as lines of JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for record in &self.latest {
            write_json(record, &mut out);
        }
        out
    }
}
