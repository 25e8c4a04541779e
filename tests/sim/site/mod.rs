//! The real site in the simulation: its files lie in a real directory and change between turns, in
//! the middle of them, and while they are sent.
//!
//! - `happening`: what becomes of files. `draw`: which plan belongs to a seed; `ask`: what is asked for.
//! - `tree`: the directory, and what each of its names stood for at which time.
//! - `handler`: the server's own, watched; `reader`: its responses, taken apart as they leave.
//! - `judge`: is a response one that some state of the files explains? With `parts` for ranges,
//!   `listing` for directories, and a `book` of what the server has promised.
//! - `runs`: the tests. `rescue`: for the day on which the server waits for a FIFO.

pub mod ask;
mod body;
mod book;
pub mod draw;
pub mod handler;
pub mod happening;
mod judge;
mod listing;
mod parts;
mod reader;
pub mod rescue;
mod runs;
pub mod tree;
pub mod world;

use crate::plan::Micros;
use book::Book;
use happening::{Age, Happening};
use oneloop::limits::Limits;
pub use reader::Reader;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tree::Tree;

/// What a plan says of the files.
#[derive(Clone, Debug)]
pub struct Files {
    pub seed: u64,
    /// How finely the file system keeps times.
    pub tick: Duration,
    /// Lengths that files may have.
    pub sizes: Vec<usize>,
    /// Symlinks may lead out of the root.
    pub follows: bool,
    pub changes: Vec<(When, Happening)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Time(Micros),
    /// Between turns, after so many answers.
    Answers(u64),
    /// So many calls after so many answers: mostly in the middle of a turn.
    Calls {
        answers: u64,
        calls: u64,
    },
}

/// All that is known of the files and of what was said of them.
#[derive(Debug)]
pub struct Place {
    pub tree: Tree,
    files: Files,
    book: Book,
    /// Changes that wait for an answer: after how many, and which it is; the next one last.
    between: Vec<(u64, usize)>,
    /// The same for the middle of a turn: after how many answers, and then calls.
    within: Vec<(u64, u64, usize)>,
    answers: u64,
    /// How many changes there had been when the turn began.
    turn_from: usize,
    /// What each line's next responses may go by.
    windows: Vec<VecDeque<Window>>,
    /// Which validator each line's requests were said with.
    said: Vec<BTreeMap<usize, String>>,
    /// One share for each compressed listing on its way, and ours.
    listings: Arc<()>,
    /// So many of them at once leave no memory for another listing.
    most_listings: usize,
}

/// What the server could see of the files when it answered: it may go by any state from the
/// beginning of the turn to the answer.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Counted in changes.
    from: usize,
    to: usize,
    pub wall: Duration,
    /// The listings on their way hold all the memory that is allowed.
    is_busy: bool,
}

pub type SharedPlace = Rc<RefCell<Place>>;

impl Place {
    pub fn new(files: &Files, wall: Duration, lines: usize, limits: &Limits) -> SharedPlace {
        let (mut between, mut within) = (Vec::new(), Vec::new());
        for (nth, (when, _)) in files.changes.iter().enumerate() {
            match *when {
                When::Time(_) => {}
                When::Answers(answers) => between.push((answers, nth)),
                When::Calls { answers, calls } => within.push((answers, calls, nth)),
            }
        }
        between.sort_unstable_by_key(|&of| Reverse(of));
        within.sort_unstable_by_key(|&of| Reverse(of));
        Rc::new(RefCell::new(Self {
            between,
            within,
            answers: 0,
            tree: Tree::new(files, wall, limits.inline_body_limit),
            files: files.clone(),
            book: Book::default(),
            turn_from: 0,
            windows: vec![VecDeque::new(); lines],
            said: vec![BTreeMap::new(); lines],
            listings: Arc::default(),
            // Only encoders take so much that a few are too many, and only large listings count.
            most_listings: match limits.listing_slice > tree::NAMES.len() + 2 {
                true => usize::MAX,
                false => limits.listing_bytes.div_ceil(384 * 1024),
            },
        }))
    }

    pub fn begin_turn(&mut self) {
        self.turn_from = self.tree.changes();
    }

    /// The server is about to answer on a line.
    fn answers(&mut self, id: usize, wall: Duration) {
        self.answers += 1;
        let is_busy = Arc::strong_count(&self.listings) > self.most_listings;
        self.windows[id].push_back(Window {
            from: self.turn_from,
            to: self.tree.changes(),
            wall,
            is_busy,
        });
    }

    /// The change that is due between turns.
    fn next_between(&mut self) -> Option<usize> {
        let next = self.between.pop_if(|(answers, _)| *answers <= self.answers);
        next.map(|(_, nth)| nth)
    }

    /// The change that is due before a call.
    fn next_within(&mut self) -> Option<usize> {
        let (answers, calls, nth) = self.within.last_mut()?;
        if *answers > self.answers {
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

    fn happen(&mut self, happening: Happening, wall: Duration) {
        let time = self.time(happening, wall);
        self.tree.happen(happening, time);
    }

    /// The time that a file gets.
    fn time(&self, happening: Happening, wall: Duration) -> Duration {
        let count = self.tree.changes() as u64;
        let odd = Duration::from_nanos(1_000_000 + count);
        let older = wall - Duration::from_secs(1_000_000 + 1000 * count) + odd;
        match happening.age() {
            Age::Now => {
                let tick = self.files.tick.as_nanos();
                Duration::from_nanos((wall.as_nanos() / tick * tick) as u64)
            }
            Age::Older => older,
            Age::Beside => match (self.tree.modified(happening.name()), happening) {
                (None, _) => older,
                // With another length that is enough to tell two versions apart.
                (Some(before), Happening::Resized(..)) => before,
                (Some(before), _) => {
                    let micros = Duration::from_micros(before.as_micros() as u64);
                    micros + Duration::from_nanos(1 + count)
                }
            },
            Age::Ahead => wall + Duration::from_secs(200_000 + 1000 * count) + odd,
        }
    }
}
