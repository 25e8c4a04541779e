//! A watchdog for FIFOs: a server that opens one would block, and the test with it. A thread then
//! opens the other end.

use super::SiteModel;
use super::file_change::FileChange;
use super::tree::NAMES;
use rustix::fs::{Mode, OFlags, open};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// A run that takes longer hangs.
const TIMEOUT: Duration = Duration::from_secs(10);
/// After the first time: while shrinking, other runs hang, too.
const SHORT_TIMEOUT: Duration = Duration::from_millis(20);

static WAS_NEEDED: AtomicBool = AtomicBool::new(false);

/// While it exists, no open of a FIFO beneath the root blocks for ever.
pub struct FifoWatchdog {
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<bool>>,
}

impl FifoWatchdog {
    pub fn start(site: &SiteModel) -> Self {
        let (over, is_over) = channel();
        let mut changes = site.files.changes.iter().map(|(_, change)| change);
        let may_hang = changes.any(|it| matches!(it, FileChange::Fifo(_)));
        let root = site.tree.root();
        Self {
            over: Some(over),
            thread: may_hang.then(|| std::thread::spawn(move || watch(&root, &is_over))),
        }
    }

    /// Ends the watchdog. Returns whether an open was blocked.
    pub fn was_needed(mut self) -> bool {
        drop(self.over.take());
        let thread = self.thread.take();
        thread.is_some_and(|thread| thread.join().unwrap_or_default())
    }
}

fn watch(root: &Path, is_over: &Receiver<()>) -> bool {
    let mut was_needed = false;
    let time_limit = || match WAS_NEEDED.load(Ordering::Relaxed) {
        true => SHORT_TIMEOUT,
        false => TIMEOUT,
    };
    while is_over.recv_timeout(time_limit()) == Err(RecvTimeoutError::Timeout) {
        for name in NAMES {
            let path = root.join(name);
            let is_fifo = std::fs::metadata(&path).is_ok_and(|it| it.file_type().is_fifo());
            // This fails unless a reader waits.
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            was_needed |= is_fifo && open(&path, flags, Mode::empty()).is_ok();
        }
        WAS_NEEDED.fetch_or(was_needed, Ordering::Relaxed);
    }
    was_needed
}
