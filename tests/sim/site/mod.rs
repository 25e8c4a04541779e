//! The real site in the simulation. Its files are in a real directory and change between
//! iterations, in the middle of one, and while they are sent.
//!
//! - `file_change`: the changes of files. `generator`: scenarios. `request`: requests.
//! - `tree`: the directory, and its state after each change.
//! - `handler`: the server's own, with recording. `reader`: parses responses as they are sent.
//! - `check`: does a state of the files explain the response? With `parts` for ranges, `listing`
//!   for directories, `validators` for entity-tags and dates.
//! - `runs`: the tests. `fifo_watchdog`: ends an open of a FIFO that blocks.

mod body;
mod check;
pub mod fifo_watchdog;
pub mod file_change;
pub mod generator;
pub mod handler;
pub mod kernel;
mod listing;
mod parts;
mod reader;
pub mod request;
mod runs;
pub mod tree;
mod validators;

use crate::scenario::Micros;
use file_change::{Age, FileChange};
use oneloop::limits::Limits;
pub use reader::Reader;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tree::Tree;
use validators::IssuedValidators;

/// The files in a scenario.
#[derive(Clone, Debug)]
pub struct Files {
    pub seed: u64,
    /// The resolution of timestamps.
    pub tick: Duration,
    /// The lengths of files.
    pub sizes: Vec<usize>,
    /// Whether symlinks may lead out of the root.
    pub follows: bool,
    pub changes: Vec<(When, FileChange)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Time(Micros),
    /// Between iterations, after this many responses.
    Responses(u64),
    /// This many calls after this many responses: mostly in the middle of an iteration.
    Calls {
        responses: u64,
        calls: u64,
    },
}

/// The state of the files, and what the server has sent about them.
#[derive(Debug)]
pub struct SiteModel {
    pub tree: Tree,
    files: Files,
    validators: IssuedValidators,
    /// Changes that wait for a response: number of responses, index. The next one is last.
    between: Vec<(u64, usize)>,
    /// Changes in the middle of an iteration: number of responses, calls after them, index.
    within: Vec<(u64, u64, usize)>,
    responses: u64,
    /// The number of changes when the iteration began.
    iteration_start: usize,
    /// For each connection: the states that its next responses may show.
    windows: Vec<VecDeque<Window>>,
    /// For each connection: the validators in its requests.
    sent_validators: Vec<BTreeMap<usize, String>>,
    /// Counts compressed listings: each holds a clone.
    listings: Arc<()>,
    /// With this many at once, no memory is left for another listing.
    most_listings: usize,
}

/// The states of the files that a response may show: those from the beginning of the iteration to
/// the response.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// As numbers of changes.
    from: usize,
    to: usize,
    pub wall: Duration,
    /// The listings in progress hold all the memory that is allowed.
    is_busy: bool,
}

pub type SharedSite = Rc<RefCell<SiteModel>>;

impl SiteModel {
    pub fn new(files: &Files, wall: Duration, connections: usize, limits: &Limits) -> SharedSite {
        let (mut between, mut within) = (Vec::new(), Vec::new());
        for (nth, (when, _)) in files.changes.iter().enumerate() {
            match *when {
                When::Time(_) => {}
                When::Responses(responses) => between.push((responses, nth)),
                When::Calls { responses, calls } => within.push((responses, calls, nth)),
            }
        }
        between.sort_unstable_by_key(|&of| Reverse(of));
        within.sort_unstable_by_key(|&of| Reverse(of));
        Rc::new(RefCell::new(Self {
            between,
            within,
            responses: 0,
            tree: Tree::new(files, wall, limits.max_inline_body_bytes),
            files: files.clone(),
            validators: IssuedValidators::default(),
            iteration_start: 0,
            windows: vec![VecDeque::new(); connections],
            sent_validators: vec![BTreeMap::new(); connections],
            listings: Arc::default(),
            // Only compressed listings need much memory, and only large ones count.
            most_listings: match limits.listing_slice_entries > tree::NAMES.len() + 2 {
                true => usize::MAX,
                false => limits.max_listing_bytes.div_ceil(384 * 1024),
            },
        }))
    }

    pub fn begin_iteration(&mut self) {
        self.iteration_start = self.tree.changes();
    }

    /// The server is about to respond on a connection.
    fn begin_response(&mut self, id: usize, wall: Duration) {
        self.responses += 1;
        let is_busy = Arc::strong_count(&self.listings) > self.most_listings;
        self.windows[id].push_back(Window {
            from: self.iteration_start,
            to: self.tree.changes(),
            wall,
            is_busy,
        });
    }

    /// The change that is due between iterations.
    fn next_between(&mut self) -> Option<usize> {
        let next = self
            .between
            .pop_if(|(responses, _)| *responses <= self.responses);
        next.map(|(_, nth)| nth)
    }

    /// The change that is due before a call.
    fn next_within(&mut self) -> Option<usize> {
        let (responses, calls, nth) = self.within.last_mut()?;
        if *responses > self.responses {
            return None;
        }
        if *calls > 0 {
            *calls -= 1;
            return None;
        }
        let nth = *nth;
        self.within.pop();
        Some(nth)
    }

    fn apply(&mut self, change: FileChange, wall: Duration) {
        let time = self.time(change, wall);
        self.tree.apply(change, time);
    }

    /// The timestamp for a file.
    fn time(&self, change: FileChange, wall: Duration) -> Duration {
        let count = self.tree.changes() as u64;
        let odd = Duration::from_nanos(1_000_000 + count);
        let older = wall - Duration::from_secs(1_000_000 + 1000 * count) + odd;
        match change.age() {
            Age::Now => {
                let tick = self.files.tick.as_nanos();
                Duration::from_nanos((wall.as_nanos() / tick * tick) as u64)
            }
            Age::Older => older,
            Age::Beside => match (self.tree.modified(change.name()), change) {
                (None, _) => older,
                // With another length the versions differ.
                (Some(before), FileChange::Resized(..)) => before,
                (Some(before), _) => {
                    let micros = Duration::from_micros(before.as_micros() as u64);
                    micros + Duration::from_nanos(1 + count)
                }
            },
            Age::Ahead => wall + Duration::from_secs(200_000 + 1000 * count) + odd,
        }
    }
}
