//! Opening a FIFO waits for its other end, and a server that does so would hang this test along
//! with itself. So somebody stands by with that other end.

use super::Place;
use super::happening::Happening;
use super::tree::NAMES;
use rustix::fs::{Mode, OFlags, open};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// No run takes so long, even on a busy machine, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// When one has, others will: it is being shrunk.
const IMPATIENCE: Duration = Duration::from_millis(20);

static WAS_NEEDED: AtomicBool = AtomicBool::new(false);

/// While it lives, nobody waits for a FIFO beneath the root for ever.
pub struct Rescue {
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<bool>>,
}

impl Rescue {
    pub fn stand_by(place: &Place) -> Self {
        let (over, is_over) = channel();
        let mut happenings = place.files.changes.iter().map(|(_, happening)| happening);
        let may_hang = happenings.any(|it| matches!(it, Happening::Fifo(_)));
        let root = place.tree.root();
        Self {
            over: Some(over),
            thread: may_hang.then(|| std::thread::spawn(move || watch(&root, &is_over))),
        }
    }

    /// The run is over. Returns whether somebody had to be rescued.
    pub fn was_needed(mut self) -> bool {
        drop(self.over.take());
        let thread = self.thread.take();
        thread.is_some_and(|thread| thread.join().unwrap_or_default())
    }
}

fn watch(root: &Path, is_over: &Receiver<()>) -> bool {
    let mut was_needed = false;
    let patience = || match WAS_NEEDED.load(Ordering::Relaxed) {
        true => IMPATIENCE,
        false => PATIENCE,
    };
    while is_over.recv_timeout(patience()) == Err(RecvTimeoutError::Timeout) {
        for name in NAMES {
            let path = root.join(name);
            let is_fifo = std::fs::metadata(&path).is_ok_and(|it| it.file_type().is_fifo());
            // Without a reader who waits, this fails.
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            was_needed |= is_fifo && open(&path, flags, Mode::empty()).is_ok();
        }
        WAS_NEEDED.fetch_or(was_needed, Ordering::Relaxed);
    }
    was_needed
}
