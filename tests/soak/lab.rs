//! What all customers share: the server's address, what is asked there, what is counted, and what
//! went wrong.

use crate::chance::Chance;
use crate::changing::Changing;
use crate::line::Line;
use crate::questions::{Kind, Question};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// From the first byte of a head to its last (`--header-timeout`).
pub const HEADER: Duration = Duration::from_secs(2);
/// Without a byte of an answer being taken (`--send-timeout`).
pub const SEND: Duration = Duration::from_secs(5);
/// From the last answer to the close (`--linger-timeout`).
pub const LINGER: Duration = Duration::from_secs(2);

/// The server from its customers' side.
#[derive(Debug)]
pub struct Lab {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it serves.
    pub root: PathBuf,
    /// Everything that can be asked of files that stay as they are.
    pub questions: Vec<Question>,
    /// The files that do not.
    pub changing: Vec<Changing>,
    /// What happened so far.
    pub tally: Tally,
    is_over: AtomicBool,
    complaints: Mutex<Vec<String>>,
}

/// Counters.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answers that were heard whole and were right.
    pub answers: AtomicU64,
    /// Connections made.
    pub connections: AtomicU64,
    /// Connections that a customer has reset.
    pub resets: AtomicU64,
    /// Downloads that a customer has left in the middle.
    pub left: AtomicU64,
    /// Downloads that the server had to abort, and did.
    pub aborted: AtomicU64,
    /// Bytes received.
    pub bytes: AtomicU64,
    /// Listings that were refused with 503, as so many were on their way.
    pub busy: AtomicU64,
    /// Deadlines that a customer has missed without meaning to: the machine was too busy.
    pub late: AtomicU64,
}

impl Lab {
    /// Before the storm.
    pub fn new(
        address: SocketAddr,
        root: PathBuf,
        questions: Vec<Question>,
        changing: Vec<Changing>,
    ) -> Self {
        Self {
            address,
            root,
            questions,
            changing,
            tally: Tally::default(),
            is_over: AtomicBool::new(false),
            complaints: Mutex::default(),
        }
    }

    /// The question that has this request line.
    pub fn question(&self, path: &str) -> &Question {
        let line = format!("GET {path} HTTP/1.1\r\nHost: soak\r\n\r\n");
        let mut questions = self.questions.iter();
        let found = questions.find(|question| question.request == line);
        found.expect("a question about each file")
    }

    /// The questions of one kind.
    pub fn questions(&self, kind: Kind) -> Vec<&Question> {
        let questions = self.questions.iter();
        questions.filter(|question| question.kind == kind).collect()
    }

    /// Any question of one kind.
    pub fn any(&self, kind: Kind, chance: &mut Chance) -> &Question {
        let questions = self.questions(kind);
        chance.pick::<&Question>(&questions)
    }

    /// Whether to stop.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Stops everybody.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Something was wrong: that ends it.
    pub fn complain(&self, what: String) {
        self.complaints.lock().unwrap().push(what);
        self.end();
    }

    /// Everything that was wrong.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    /// Whether the server may have cut this connection, as it has been open for longer than the
    /// server waits; which customers who mean to be in time manage to be, on most machines.
    pub fn is_late(&self, line: &Line, limit: Duration) -> bool {
        let is_late = line.opened.elapsed() >= limit;
        if is_late {
            count(&self.tally.late, 1);
        }
        is_late
    }
}

/// Adds to a counter.
pub fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Reads one.
pub fn counted(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
