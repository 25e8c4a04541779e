//! The bounded queue of lines between the loop and the thread that writes the log.
//!
//! One mutex, held only to move bytes in memory and never during a system call that may wait. There
//! are two buffers, which are allocated once and swapped.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The queue.
pub(super) struct LineQueue {
    /// The most bytes that may wait.
    pub(super) capacity: usize,
    state: Mutex<QueueState>,
    /// The thread waits for it.
    wake: Condvar,
}

struct QueueState {
    waiting: Vec<u8>,
    /// A line did not fit behind those that wait.
    full: bool,
    /// Lines dropped since the start.
    dropped: u64,
    /// `put` has returned that lines are dropped.
    has_warned: bool,
    /// The thread sleeps until this many bytes wait; `None` while it is awake. To notify is a
    /// system call even if no thread sleeps.
    wake_at: Option<usize>,
    reopen: bool,
    closed: bool,
    /// The thread has ended: lines are dropped.
    abandoned: bool,
}

/// What the thread does besides writing its batch.
pub(super) struct Commands {
    pub(super) reopen: bool,
    /// Lines dropped since the start. Those that were not reported before came after the batch.
    pub(super) dropped: u64,
}

impl LineQueue {
    pub(super) fn new(capacity: usize) -> Self {
        let state = QueueState {
            waiting: Vec::with_capacity(capacity),
            full: false,
            dropped: 0,
            has_warned: false,
            wake_at: None,
            reopen: false,
            closed: false,
            abandoned: false,
        };
        Self {
            capacity,
            state: Mutex::new(state),
            wake: Condvar::new(),
        }
    }

    /// The state is consistent after every statement, so a panic of the other thread does not end
    /// logging.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes as many of the whole `lines` as fit, counts the others, and wakes the thread if enough
    /// bytes wait. Returns whether to warn that lines are dropped: the thread may be blocked.
    pub(super) fn put(&self, lines: &[u8]) -> bool {
        let mut queue = self.lock();
        let is_dropping = queue.put(lines, self.capacity);
        let warn = is_dropping && !mem::replace(&mut queue.has_warned, true);
        let waiting = queue.waiting.len();
        let wake = queue.wake_at.take_if(|bytes| waiting >= *bytes).is_some();
        drop(queue);
        if wake {
            self.wake.notify_one();
        }
        warn
    }

    /// Lines dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Makes the thread open the path of the file again.
    pub(super) fn reopen(&self) {
        self.command(|queue| queue.reopen = true);
    }

    /// Closes the queue: no more lines come.
    pub(super) fn close(&self) {
        self.command(|queue| queue.closed = true);
    }

    /// Gives a command and wakes the thread.
    fn command(&self, change: impl FnOnce(&mut QueueState)) {
        change(&mut self.lock());
        self.wake.notify_one();
    }

    /// For the thread: sleeps until there is something to do, then swaps the waiting lines with
    /// `batch`, which is empty. `None` if the queue is closed and empty.
    pub(super) fn take(&self, batch: &mut Vec<u8>) -> Option<Commands> {
        let mut queue = self.lock();
        while queue.waiting.is_empty() && !queue.full && !queue.reopen {
            if queue.closed {
                return None;
            }
            queue.wake_at = Some(0);
            queue = self
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
            queue.wake_at = None;
        }
        mem::swap(&mut queue.waiting, batch);
        queue.full = false;
        Some(Commands {
            reopen: mem::take(&mut queue.reopen),
            dropped: queue.dropped,
        })
    }

    /// For the thread: waits for more lines for `time`, or until the queue is half full.
    pub(super) fn gather(&self, time: Duration) {
        let half = self.capacity / 2;
        let mut queue = self.lock();
        queue.wake_at = Some(half);
        let gathering =
            |queue: &mut QueueState| !queue.has_commands() && queue.waiting.len() < half;
        self.wait(queue, time, gathering).wake_at = None;
    }

    /// For the thread: waits for `time`, or until there are commands. Returns whether the queue is
    /// closed.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let queue = self.lock();
        self.wait(queue, time, |queue| !queue.has_commands()).closed
    }

    fn wait<'q>(
        &self,
        queue: MutexGuard<'q, QueueState>,
        time: Duration,
        condition: impl FnMut(&mut QueueState) -> bool,
    ) -> MutexGuard<'q, QueueState> {
        let woken = self.wake.wait_timeout_while(queue, time, condition);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    /// For the thread: whether `reopen` was called since the last `take` or `take_reopen`.
    pub(super) fn take_reopen(&self) -> bool {
        mem::take(&mut self.lock().reopen)
    }

    /// Makes `put` warn again when the next line is dropped.
    pub(super) fn rearm_warning(&self) {
        self.lock().has_warned = false;
    }

    /// For the thread, when it ends: drops `unwritten`, the waiting lines and all that follow.
    /// Returns the number of lines dropped since the start.
    pub(super) fn abandon(&self, unwritten: &[u8]) -> u64 {
        let mut queue = self.lock();
        queue.dropped += count_lines(unwritten) + count_lines(&queue.waiting);
        queue.waiting = Vec::new();
        queue.abandoned = true;
        queue.dropped
    }
}

impl QueueState {
    /// Whether the thread must do something at once.
    fn has_commands(&self) -> bool {
        self.closed || self.reopen
    }

    /// Takes as many of the lines as fit. After the first dropped line, all are dropped until the
    /// thread takes what waits: so the line that reports them is exactly where they are missing.
    /// Returns whether any was dropped.
    fn put(&mut self, lines: &[u8], capacity: usize) -> bool {
        let free = if self.full || self.abandoned {
            0
        } else {
            capacity.saturating_sub(self.waiting.len())
        };
        let (kept, lost) = split_after_line(lines, free);
        self.waiting.extend_from_slice(kept);
        if !lost.is_empty() {
            self.full = true;
            self.dropped += count_lines(lost);
        }
        !lost.is_empty()
    }
}

/// Splits `lines` after the last line that ends within `max` bytes.
fn split_after_line(lines: &[u8], max: usize) -> (&[u8], &[u8]) {
    match lines.len() <= max {
        true => (lines, &[]),
        false => lines.split_at(line_start(lines, max)),
    }
}

/// The start of the line that contains the offset `at`.
pub(super) fn line_start(lines: &[u8], at: usize) -> usize {
    let mut before = lines.iter().take(at);
    before
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |end| end + 1)
}

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn waiting(lines: &LineQueue) -> String {
        String::from_utf8(lines.lock().waiting.clone()).unwrap()
    }

    #[test]
    fn only_whole_lines_are_kept_and_the_others_are_counted() {
        for (capacity, kept, dropped) in [
            (0, "", 3),
            (2, "", 3),
            (3, "aa\n", 2),
            (4, "aa\n", 2),
            (6, "aa\nbb\n", 1),
            (8, "aa\nbb\n", 1),
            (9, "aa\nbb\ncc\n", 0),
            (10, "aa\nbb\ncc\n", 0),
        ] {
            let lines = LineQueue::new(capacity);
            lines.put(b"aa\nbb\ncc\n");
            assert_eq!(waiting(&lines), kept, "capacity {capacity}");
            assert_eq!(lines.dropped(), dropped, "capacity {capacity}");
        }
    }

    #[test]
    fn memory_does_not_grow_without_a_reader() {
        let lines = LineQueue::new(1000);
        for _ in 0..1000 {
            lines.put(b"one\ntwo\nthree\n");
        }
        assert_eq!(lines.lock().waiting.capacity(), 1000);
        assert_eq!(lines.lock().waiting.len(), 998);
        assert_eq!(lines.dropped(), 3000 - 214);
    }

    #[test]
    fn after_a_dropped_line_shorter_ones_are_dropped_too() {
        let lines = LineQueue::new(8);
        lines.put(b"first\n");
        lines.put(b"too long\n");
        lines.put(b"x\n");
        assert_eq!(waiting(&lines), "first\n");
        assert_eq!(lines.dropped(), 2);

        let mut batch = Vec::new();
        let commands = lines.take(&mut batch).unwrap();
        assert_eq!(
            (batch.as_slice(), commands.dropped),
            (b"first\n".as_slice(), 2)
        );
        lines.put(b"x\n");
        assert_eq!(waiting(&lines), "x\n");
        assert_eq!(lines.dropped(), 2);
    }

    #[test]
    fn a_line_longer_than_the_queue_wakes_the_thread_to_report_it() {
        let lines = LineQueue::new(4);
        lines.put(b"longer\n");
        let commands = lines.take(&mut Vec::new()).unwrap();
        assert_eq!(commands.dropped, 1);
    }

    #[test]
    fn a_line_wakes_a_thread_that_sleeps() {
        let lines = LineQueue::new(100);
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                let mut batch = Vec::new();
                lines.take(&mut batch).map(|_| batch)
            });
            while lines.lock().wake_at.is_none() {
                thread::yield_now();
            }
            lines.put(b"line\n");
            assert_eq!(sleeper.join().unwrap().unwrap(), b"line\n");
        });
        assert_eq!(lines.lock().wake_at, None, "the thread is awake");
    }

    #[test]
    fn lines_gather_until_the_queue_is_half_full() {
        let lines = LineQueue::new(100);
        thread::scope(|scope| {
            // So long that only a test that hangs waits for it.
            scope.spawn(|| lines.gather(Duration::from_secs(3600)));
            while lines.lock().wake_at.is_none() {
                thread::yield_now();
            }
            lines.put(&[b'\n'; 49]);
            assert_eq!(lines.lock().wake_at, Some(50), "too few to be woken for");
            lines.put(b"\n");
        });
    }

    #[test]
    fn waiting_lines_are_taken_before_the_end() {
        let lines = LineQueue::new(100);
        lines.put(b"last\n");
        lines.close();
        let mut batch = Vec::new();
        assert!(lines.take(&mut batch).is_some());
        assert_eq!(batch, b"last\n");
        batch.clear();
        assert!(lines.take(&mut batch).is_none());
    }

    #[test]
    fn lines_that_an_ended_thread_leaves_and_later_ones_are_counted_as_dropped() {
        let lines = LineQueue::new(100);
        lines.put(b"waiting\nwaiting\n");
        lines.abandon(b"half\nwhole\n");
        assert_eq!(lines.dropped(), 4);
        lines.put(b"later\n");
        assert_eq!(lines.dropped(), 5);
        assert_eq!(waiting(&lines), "");
    }
}
