//! What the loop and the log's thread share: a bounded queue of whole lines, and orders. Part
//! of `access_log`; imports nothing.
//!
//! One mutex, held only to move bytes in memory and never across a system call that can wait.
//! Both buffers are allocated once, and the two ends swap them.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the loop and the thread have in common.
pub(super) struct Shared {
    /// Most bytes that may wait.
    pub(super) capacity: usize,
    queue: Mutex<Queue>,
    /// Only the thread waits on it.
    wake: Condvar,
}

struct Queue {
    waiting: Vec<u8>,
    /// A line found no room after those that wait.
    full: bool,
    /// Lines dropped since the start.
    dropped: u64,
    /// The loop has been told to warn that lines are dropped.
    has_warned: bool,
    /// The thread sleeps until that many bytes wait. A wake-up is a system call even when
    /// nobody sleeps, so none is made while the thread is awake: `None`.
    wake_at: Option<usize>,
    reopen: bool,
    closed: bool,
    /// The thread has ended, and nobody will ever write what is put in.
    abandoned: bool,
}

/// What the thread is to do besides writing its batch.
pub(super) struct Orders {
    pub(super) reopen: bool,
    /// Lines dropped since the start, all of them after those in the batch, or said before.
    pub(super) dropped: u64,
}

impl Shared {
    pub(super) fn new(capacity: usize) -> Self {
        let queue = Queue {
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
            queue: Mutex::new(queue),
            wake: Condvar::new(),
        }
    }

    /// The queue is consistent between any two statements that change it, so a panic
    /// elsewhere is no reason to stop logging.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes as many of the whole `lines` as there is room for, counts the others, and wakes
    /// the thread if it sleeps and wants to be woken. Returns whether to warn that lines are
    /// dropped: the thread, which counts them, may be stuck.
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

    /// The file's path is to be opened anew.
    pub(super) fn reopen(&self) {
        self.order(|queue| queue.reopen = true);
    }

    /// Nothing more will be put in.
    pub(super) fn close(&self) {
        self.order(|queue| queue.closed = true);
    }

    /// Changes the orders and cuts short whatever rest the thread takes.
    fn order(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut self.lock());
        self.wake.notify_one();
    }

    /// The thread's: sleeps until there is something to do, then takes all that waits in
    /// exchange for `batch`, which is empty. `None` when the log is closed and all is written.
    pub(super) fn take(&self, batch: &mut Vec<u8>) -> Option<Orders> {
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
        Some(Orders {
            reopen: mem::take(&mut queue.reopen),
            dropped: queue.dropped,
        })
    }

    /// The thread's: lets lines gather for that long, but no longer than until
    /// the queue is half full.
    pub(super) fn gather(&self, time: Duration) {
        let half = self.capacity / 2;
        let mut queue = self.lock();
        queue.wake_at = Some(half);
        let gathering = |queue: &mut Queue| !queue.has_orders() && queue.waiting.len() < half;
        self.rest(queue, time, gathering).wake_at = None;
    }

    /// The thread's: does nothing for that long, whatever waits. Returns whether the log is
    /// closed.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let queue = self.lock();
        self.rest(queue, time, |queue| !queue.has_orders()).closed
    }

    fn rest<'q>(
        &self,
        queue: MutexGuard<'q, Queue>,
        time: Duration,
        condition: impl FnMut(&mut Queue) -> bool,
    ) -> MutexGuard<'q, Queue> {
        let woken = self.wake.wait_timeout_while(queue, time, condition);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The thread's: whether a reopening was ordered since the last time this was asked.
    pub(super) fn take_reopen(&self) -> bool {
        mem::take(&mut self.lock().reopen)
    }

    /// The next line that is dropped calls for another warning.
    pub(super) fn rearm_warning(&self) {
        self.lock().has_warned = false;
    }

    /// The thread's last act: `unwritten`, all that waits and all that is still to come is
    /// dropped. Returns how many lines were dropped since the start.
    pub(super) fn abandon(&self, unwritten: &[u8]) -> u64 {
        let mut queue = self.lock();
        queue.dropped += count_lines(unwritten) + count_lines(&queue.waiting);
        queue.waiting = Vec::new();
        queue.abandoned = true;
        queue.dropped
    }
}

impl Queue {
    /// There is something that no rest may put off.
    fn has_orders(&self) -> bool {
        self.closed || self.reopen
    }

    /// Takes as many of the lines as there is room for. After the first that is dropped, all
    /// are, until the thread has taken what waits: so the line that says how many are missing
    /// stands exactly where they are missing. Returns whether any was dropped.
    fn put(&mut self, lines: &[u8], capacity: usize) -> bool {
        let room = if self.full || self.abandoned {
            0
        } else {
            capacity.saturating_sub(self.waiting.len())
        };
        let (kept, lost) = split_after_line(lines, room);
        self.waiting.extend_from_slice(kept);
        if !lost.is_empty() {
            self.full = true;
            self.dropped += count_lines(lost);
        }
        !lost.is_empty()
    }
}

/// The longest beginning of `lines` that has at most `room` bytes and ends with a line, and
/// what follows it.
fn split_after_line(lines: &[u8], room: usize) -> (&[u8], &[u8]) {
    if lines.len() <= room {
        return (lines, &[]);
    }
    let end = line_start(lines, room);
    lines.split_at_checked(end).unwrap_or((lines, &[]))
}

/// Where the line begins that the byte at `at` belongs to.
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

    fn waiting(shared: &Shared) -> String {
        String::from_utf8(shared.lock().waiting.clone()).unwrap()
    }

    #[test]
    fn only_whole_lines_are_kept_and_the_others_are_counted() {
        for (room, kept, dropped) in [
            (0, "", 3),
            (2, "", 3),
            (3, "aa\n", 2),
            (4, "aa\n", 2),
            (6, "aa\nbb\n", 1),
            (8, "aa\nbb\n", 1),
            (9, "aa\nbb\ncc\n", 0),
            (10, "aa\nbb\ncc\n", 0),
        ] {
            let shared = Shared::new(room);
            shared.put(b"aa\nbb\ncc\n");
            assert_eq!(waiting(&shared), kept, "room for {room}");
            assert_eq!(shared.dropped(), dropped, "room for {room}");
        }
    }

    #[test]
    fn memory_does_not_grow_while_nobody_reads() {
        let shared = Shared::new(1000);
        for _ in 0..1000 {
            shared.put(b"one\ntwo\nthree\n");
        }
        assert_eq!(shared.lock().waiting.capacity(), 1000);
        assert_eq!(shared.lock().waiting.len(), 998);
        assert_eq!(shared.dropped(), 3000 - 214);
    }

    #[test]
    fn after_a_dropped_line_no_shorter_one_slips_in() {
        let shared = Shared::new(8);
        shared.put(b"first\n");
        shared.put(b"too long\n");
        shared.put(b"x\n");
        assert_eq!(waiting(&shared), "first\n");
        assert_eq!(shared.dropped(), 2);

        let mut batch = Vec::new();
        let orders = shared.take(&mut batch).unwrap();
        assert_eq!(
            (batch.as_slice(), orders.dropped),
            (b"first\n".as_slice(), 2)
        );
        shared.put(b"x\n");
        assert_eq!(waiting(&shared), "x\n");
        assert_eq!(shared.dropped(), 2);
    }

    #[test]
    fn a_line_longer_than_the_buffer_wakes_the_thread_to_say_so() {
        let shared = Shared::new(4);
        shared.put(b"longer\n");
        let orders = shared.take(&mut Vec::new()).unwrap();
        assert_eq!(orders.dropped, 1);
    }

    #[test]
    fn a_line_wakes_a_thread_that_sleeps() {
        let shared = Shared::new(100);
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                let mut batch = Vec::new();
                shared.take(&mut batch).map(|_| batch)
            });
            while shared.lock().wake_at.is_none() {
                thread::yield_now();
            }
            shared.put(b"line\n");
            assert_eq!(sleeper.join().unwrap().unwrap(), b"line\n");
        });
        assert_eq!(shared.lock().wake_at, None, "nobody sleeps now");
    }

    #[test]
    fn lines_gather_until_the_queue_is_half_full() {
        let shared = Shared::new(100);
        thread::scope(|scope| {
            // So long that only a test that hangs waits for it.
            scope.spawn(|| shared.gather(Duration::from_secs(3600)));
            while shared.lock().wake_at.is_none() {
                thread::yield_now();
            }
            shared.put(&[b'\n'; 49]);
            assert_eq!(shared.lock().wake_at, Some(50), "too few to be woken for");
            shared.put(b"\n");
        });
    }

    #[test]
    fn what_waits_is_taken_before_the_end() {
        let shared = Shared::new(100);
        shared.put(b"last\n");
        shared.close();
        let mut batch = Vec::new();
        assert!(shared.take(&mut batch).is_some());
        assert_eq!(batch, b"last\n");
        batch.clear();
        assert!(shared.take(&mut batch).is_none());
    }

    #[test]
    fn what_an_ended_thread_leaves_is_counted_and_so_is_all_that_follows() {
        let shared = Shared::new(100);
        shared.put(b"waiting\nwaiting\n");
        shared.abandon(b"half\nwhole\n");
        assert_eq!(shared.dropped(), 4);
        shared.put(b"later\n");
        assert_eq!(shared.dropped(), 5);
        assert_eq!(waiting(&shared), "");
    }
}
