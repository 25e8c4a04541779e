//! How lines leave the process while the loop goes on. Part of `access_log`; imports `format`,
//! `queue` and `limits`.
//!
//! A write to a pipe that nobody reads, or to a disk that hangs, does not return. So the loop
//! never writes: it renders the lines of a turn, and once a turn moves them into a bounded
//! queue, from which a thread writes.
//!
//! ```text
//! entry() -> turn --hand_over()--> queue --take()--> batch --write()--> sink
//!            loop                                    thread
//! ```
//!
//! Standard output is not made non-blocking instead, because that flag belongs to the open
//! file, which the shell and its other children share.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use super::format::{Entry, Format, Renderer};
use super::queue::{Shared, line_start};
use crate::limits::Limits;

/// How long the thread lets lines gather after a write. A line that follows a quiet moment is
/// written at once; under load there are many lines in a write, and the thread wakes 200 times
/// a second, or when the queue is half full.
const GATHER: Duration = Duration::from_millis(5);

/// How long the thread waits after a write failed before it tries again.
const RETRY: Duration = Duration::from_secs(1);

/// A turn may answer more than the buffer holds. Its lines are handed over before its end when
/// they take this part of the buffer, so that they, too, are bounded.
const TURN_PART: usize = 16;

/// Where lines go.
pub enum Sink {
    /// Standard output, past the buffer of [`std::io::Stdout`]: batches are written whole.
    Stdout,
    /// A file: appended to, created when it is missing (mode 0640: it tells who asked for
    /// what). [`AccessLog::reopen`] opens the path anew.
    File(PathBuf),
    /// Anything that takes bytes. It is not flushed, and may block.
    Writer(Box<dyn Write + Send>),
}

/// The loop's end of the access log. No method waits for the sink but [`AccessLog::close`],
/// and that one only as long as it is told to.
///
/// Its thread does not survive a `fork`: a child makes its own.
pub struct AccessLog {
    renderer: Renderer,
    /// Lines not yet handed over. Whole lines only, as everywhere below.
    turn: Vec<u8>,
    shared: Arc<Shared>,
    /// Nothing is ever sent: the channel breaks when the thread ends.
    ended: Receiver<()>,
}

impl AccessLog {
    /// Opens the sink and starts the thread that writes to it. At most
    /// [`Limits::log_buffer`] bytes wait while as many are written.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or the system gives no thread or descriptor.
    pub fn new(sink: Sink, format: Format, limits: &Limits) -> io::Result<Self> {
        let (output, path): (Box<dyn Write + Send>, _) = match sink {
            Sink::Stdout => (Box::new(stdout()?), None),
            Sink::File(path) => (Box::new(open(&path)?), Some(path)),
            Sink::Writer(output) => (output, None),
        };
        let shared = Arc::new(Shared::new(limits.log_buffer));
        let (alive, ended) = mpsc::channel();
        let writer = Writer {
            shared: Arc::clone(&shared),
            format,
            output,
            path,
            batch: Vec::with_capacity(limits.log_buffer),
            failing: false,
            _alive: alive,
        };
        thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer.run())?;
        Ok(Self {
            renderer: Renderer::new(format, limits.log_field),
            turn: Vec::new(),
            shared,
            ended,
        })
    }

    /// Renders the line of one request. It leaves with the next [`AccessLog::hand_over`].
    pub fn entry(&mut self, entry: &Entry) {
        self.renderer.write_line(entry, &mut self.turn);
        if self.turn.len() > self.shared.capacity / TURN_PART {
            self.hand_over();
        }
    }

    /// Gives the lines rendered so far to the thread: once a turn. Lines that find no room
    /// are dropped and counted. Makes no system call unless the thread sleeps.
    pub fn hand_over(&mut self) {
        if !self.turn.is_empty() {
            self.shared.put(&self.turn);
            self.turn.clear();
        }
    }

    /// Makes the thread open the path of its file anew before it writes again, as after a
    /// rotation. When that fails, the old file stays in use and a warning says so. Does nothing
    /// for other sinks.
    pub fn reopen(&self) {
        self.shared.reopen();
    }

    /// How many lines were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped()
    }

    /// Writes what is left, but waits no longer than `wait`: a full pipe must not hang the
    /// exit. Returns whether the thread has ended; if not, it is left behind in its write.
    pub fn close(mut self, wait: Duration) -> bool {
        self.leave();
        self.ended.recv_timeout(wait) != Err(RecvTimeoutError::Timeout)
    }

    fn leave(&mut self) {
        self.hand_over();
        self.shared.close();
    }
}

/// Tells the thread to write what is left, and does not wait for it. A server that wants its
/// last lines calls [`AccessLog::close`].
impl Drop for AccessLog {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The thread's end.
struct Writer {
    shared: Arc<Shared>,
    format: Format,
    output: Box<dyn Write + Send>,
    /// Of a file; other sinks cannot be reopened.
    path: Option<PathBuf>,
    batch: Vec<u8>,
    /// The last write failed, and a warning has said so.
    failing: bool,
    /// Dropped when the thread ends, however it ends.
    _alive: Sender<()>,
}

/// The sink will not take another byte, or the server will not wait for it any longer.
struct GivenUp;

impl Writer {
    fn run(mut self) {
        let mut told = 0;
        while let Some(orders) = self.shared.take(&mut self.batch) {
            if orders.reopen {
                self.reopen();
            }
            if self.write_batch().is_err() {
                return self.shared.abandon(&self.batch);
            }
            if orders.dropped > told {
                if self.write_dropped(orders.dropped - told).is_err() {
                    return self.shared.abandon(&[]);
                }
                told = orders.dropped;
            }
            self.shared.gather(GATHER);
        }
    }

    /// Writes the batch and leaves it empty. What a failed write left is tried again: so the
    /// file still has whole lines when a full disk has room again, and meanwhile new lines
    /// find the queue full, as with a slow reader. Giving up leaves what was not written.
    fn write_batch(&mut self) -> Result<(), GivenUp> {
        let mut written = 0;
        let mut closing = false;
        while let Some(rest) = self.batch.get(written..).filter(|rest| !rest.is_empty()) {
            let error = match self.output.write(rest) {
                Ok(0) => ErrorKind::WriteZero.into(),
                Ok(count) => {
                    written += count;
                    self.succeeded();
                    continue;
                }
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Interrupted => continue,
                // Another process made the open file non-blocking. Nothing is wrong with it.
                ErrorKind::WouldBlock => {
                    thread::sleep(GATHER);
                    continue;
                }
                _ => {}
            }
            if self.failed(&error).is_err() || closing {
                self.batch.drain(..written);
                return Err(GivenUp);
            }
            // Closing cuts the pause short and grants one more attempt.
            closing = self.shared.pause(RETRY);
            if self.shared.take_reopen() && self.reopen() {
                written = line_start(&self.batch, written);
            }
        }
        self.batch.clear();
        Ok(())
    }

    /// Says in the log, and to whoever watches the diagnostics, that lines are missing.
    fn write_dropped(&mut self, count: u64) -> Result<(), GivenUp> {
        self.format.write_dropped(count, &mut self.batch);
        self.write_batch()?;
        log::warn!("access log: lines dropped because they could not be written: {count}");
        Ok(())
    }

    /// Returns whether a new file is in use.
    fn reopen(&mut self) -> bool {
        let Some(path) = &self.path else { return false };
        match open(path) {
            Ok(file) => self.output = Box::new(file),
            Err(error) => {
                log::warn!("access log: {} stays as it was: {error}", path.display());
                return false;
            }
        }
        true
    }

    /// One warning for a row of failures. A pipe without a reader never gets another, unless
    /// it has a path.
    fn failed(&mut self, error: &io::Error) -> Result<(), GivenUp> {
        if self.path.is_none() && error.kind() == ErrorKind::BrokenPipe {
            log::warn!("access log: it ends here, nobody reads it any more: {error}");
            return Err(GivenUp);
        }
        if !self.failing {
            log::warn!("access log: {error}, trying again every {RETRY:?}");
            self.failing = true;
        }
        Ok(())
    }

    fn succeeded(&mut self) {
        if self.failing {
            log::info!("access log: it is written again");
            self.failing = false;
        }
    }
}

/// A second descriptor of standard output. [`std::io::Stdout`] would keep a part of what a
/// short write left in a buffer of its own.
fn stdout() -> io::Result<File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::super::format::Peer;
    use super::*;
    use std::collections::VecDeque;
    use std::fs;
    use std::io::Read;
    use std::sync::mpsc::SyncSender;
    use std::time::UNIX_EPOCH;

    /// So long that only a test that hangs waits for it.
    const LONG: Duration = Duration::from_secs(60);

    fn limits(log_buffer: usize) -> Limits {
        Limits {
            log_buffer,
            ..Limits::default()
        }
    }

    fn log_to(output: impl Write + Send + 'static, log_buffer: usize) -> AccessLog {
        let sink = Sink::Writer(Box::new(output));
        AccessLog::new(sink, Format::Common, &limits(log_buffer)).unwrap()
    }

    /// An entry that can be told from the others by its number, and its line.
    fn add(log: &mut AccessLog, number: u64) {
        log.entry(&Entry {
            peer: Peer::Unix,
            wall: UNIX_EPOCH,
            request_line: Some(b"GET / HTTP/1.1"),
            host: None,
            status: 200,
            body_sent: number,
            referer: None,
            user_agent: None,
            duration: None,
        });
    }

    fn line(number: u64) -> String {
        format!("unix: - - [01/Jan/1970:00:00:00 +0000] \"GET / HTTP/1.1\" 200 {number}\n")
    }

    #[track_caller]
    fn eventually(condition: impl Fn() -> bool) {
        for _ in 0..LONG.as_millis() {
            if condition() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("it never happened");
    }

    /// Takes its answers to writes from a list, then accepts everything. Tells of each write
    /// after it was answered.
    struct Scripted {
        answers: VecDeque<Result<usize, ErrorKind>>,
        taken: SyncSender<Vec<u8>>,
        failures: Sender<()>,
    }

    impl Scripted {
        fn new(
            answers: impl Into<VecDeque<Result<usize, ErrorKind>>>,
        ) -> (Self, Receiver<Vec<u8>>, Receiver<()>) {
            let (taken, output) = mpsc::sync_channel(1000);
            let (failures, failed) = mpsc::channel();
            let answers = answers.into();
            let scripted = Self {
                answers,
                taken,
                failures,
            };
            (scripted, output, failed)
        }
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.answers.pop_front().unwrap_or(Ok(bytes.len())) {
                Ok(count) => {
                    let count = count.min(bytes.len());
                    self.taken.send(bytes[..count].to_vec()).unwrap();
                    Ok(count)
                }
                Err(kind) => {
                    _ = self.failures.send(());
                    Err(kind.into())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn text(output: &Receiver<Vec<u8>>) -> String {
        String::from_utf8(output.iter().collect::<Vec<_>>().concat()).unwrap()
    }

    #[test]
    fn a_lone_line_appears_without_another() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut log = log_to(writer, 1000);
        for number in 0..3 {
            add(&mut log, number);
            log.hand_over();
            let mut found = vec![0; line(number).len()];
            reader.read_exact(&mut found).unwrap();
            assert_eq!(found, line(number).as_bytes());
        }
        assert!(log.close(LONG));
    }

    #[test]
    fn lines_leave_in_order_and_closing_writes_the_last() {
        let interrupted = Err(ErrorKind::Interrupted);
        let (scripted, output, _) =
            Scripted::new([Ok(1), Ok(7), interrupted, interrupted, interrupted]);
        let mut log = log_to(scripted, 100_000);
        for number in 0..100 {
            add(&mut log, number);
            if number % 7 == 0 {
                log.hand_over();
            }
        }
        assert_eq!(log.dropped(), 0);
        assert!(log.close(LONG));
        assert_eq!(text(&output), (0..100).map(line).collect::<String>());
    }

    #[test]
    fn a_pipe_that_nobody_reads_costs_lines_and_never_a_wait() {
        const LINES: u64 = 100_000;
        const BUFFER: usize = 64 * 1024;
        let (mut reader, writer) = io::pipe().unwrap();
        let mut log = log_to(writer, BUFFER);
        // One turn: its lines are bounded, too.
        for number in 0..LINES {
            add(&mut log, number);
        }
        assert!(log.turn.capacity() <= BUFFER);
        log.hand_over();
        let dropped = log.dropped();
        assert!(dropped > 0);

        let reading = thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text).unwrap()
        });
        assert!(log.close(LONG));
        let text = reading.join().unwrap();

        let mut next = 0;
        let mut missing = 0;
        for found in text.split_inclusive('\n') {
            if let Some(count) = found.strip_prefix("# oneloop: lines dropped: ") {
                let count: u64 = count.trim_end().parse().unwrap();
                missing += count;
                next += count;
            } else {
                assert_eq!(found, line(next));
                next += 1;
            }
        }
        assert_eq!((next, missing), (LINES, dropped));
    }

    #[test]
    fn closing_leaves_a_stuck_write_behind() {
        let (reader, writer) = io::pipe().unwrap();
        let mut log = log_to(writer, 1024 * 1024);
        // More than any pipe holds.
        for number in 0..10_000 {
            add(&mut log, number);
        }
        let shared = Arc::clone(&log.shared);
        assert!(!log.close(Duration::from_millis(20)));
        drop(reader);
        eventually(|| Arc::strong_count(&shared) == 1);
    }

    #[test]
    fn without_a_reader_lines_are_counted_and_nothing_else_happens() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut log = log_to(writer, 100_000);
        for number in 0..10 {
            add(&mut log, number);
        }
        log.hand_over();
        eventually(|| log.dropped() == 10);
        add(&mut log, 10);
        log.hand_over();
        assert_eq!(log.dropped(), 11);
        log.reopen();
        assert!(log.close(LONG));
    }

    #[test]
    fn a_full_disk_cuts_no_line_when_it_has_room_again() {
        let full = Err(ErrorKind::StorageFull);
        let (scripted, output, failed) = Scripted::new([Ok(10), full]);
        let mut log = log_to(scripted, 1000);
        add(&mut log, 1);
        log.hand_over();
        failed.recv_timeout(LONG).unwrap();
        add(&mut log, 2);
        assert!(log.close(LONG));
        assert_eq!(text(&output), line(1) + &line(2));
    }

    #[test]
    fn a_line_that_a_full_disk_cut_stands_whole_in_the_next_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let first = line(1).len();
        let (scripted, output, _) = Scripted::new([Ok(first + 9), Err(ErrorKind::StorageFull)]);
        let shared = Arc::new(Shared::new(0));
        let mut writer = Writer {
            shared: Arc::clone(&shared),
            format: Format::Common,
            output: Box::new(scripted),
            path: Some(path.clone()),
            batch: (line(1) + &line(2) + &line(3)).into(),
            failing: false,
            _alive: mpsc::channel().0,
        };
        shared.reopen();
        assert!(writer.write_batch().is_ok());
        assert_eq!(text(&output), line(1) + &line(2)[..9]);
        assert_eq!(fs::read_to_string(&path).unwrap(), line(2) + &line(3));
        assert!(writer.batch.is_empty());
    }

    #[test]
    fn a_disk_that_stays_full_does_not_hold_up_the_end() {
        let mut answers = VecDeque::from([Err(ErrorKind::StorageFull); 1000]);
        answers.push_front(Ok(line(1).len() + 5));
        let (scripted, output, failed) = Scripted::new(answers);
        let mut log = log_to(scripted, 10_000);
        add(&mut log, 1);
        add(&mut log, 2);
        add(&mut log, 3);
        log.hand_over();
        failed.recv_timeout(LONG).unwrap();
        let shared = Arc::clone(&log.shared);
        assert!(log.close(LONG));
        assert_eq!(text(&output), line(1) + &line(2)[..5]);
        assert_eq!(failed.iter().count(), 1, "one more attempt is made");
        assert_eq!(shared.dropped(), 2, "half a line is a lost line");
    }

    #[test]
    fn a_sink_that_would_block_is_asked_again() {
        let refused = Err(ErrorKind::WouldBlock);
        let (scripted, output, _) = Scripted::new([refused, refused, refused, Ok(5), refused]);
        let mut log = log_to(scripted, 1000);
        add(&mut log, 1);
        assert!(log.close(LONG));
        assert_eq!(text(&output), line(1));
    }

    #[test]
    fn a_gap_in_json_is_an_object() {
        let (scripted, output, _) = Scripted::new([]);
        let sink = Sink::Writer(Box::new(scripted));
        let mut log = AccessLog::new(sink, Format::Json, &limits(10)).unwrap();
        add(&mut log, 1);
        assert!(log.close(LONG));
        assert_eq!(text(&output), "{\"dropped\":1}\n");
    }

    #[test]
    fn a_rotated_file_is_left_and_a_new_one_begun() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let rotated = directory.path().join("access.log.1");
        fs::write(&path, "before\n").unwrap();
        let file = Sink::File(path.clone());
        let mut log = AccessLog::new(file, Format::Common, &Limits::default()).unwrap();

        add(&mut log, 1);
        log.hand_over();
        let before = format!("before\n{}", line(1));
        eventually(|| fs::read_to_string(&path).unwrap() == before);
        fs::rename(&path, &rotated).unwrap();
        log.reopen();
        add(&mut log, 2);
        assert!(log.close(LONG));

        assert_eq!(fs::read_to_string(&rotated).unwrap(), before);
        assert_eq!(fs::read_to_string(&path).unwrap(), line(2));
    }

    #[test]
    fn a_reopening_needs_no_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let file = Sink::File(path.clone());
        let log = AccessLog::new(file, Format::Common, &Limits::default()).unwrap();
        fs::remove_file(&path).unwrap();
        log.reopen();
        eventually(|| path.exists());
    }

    #[test]
    fn when_reopening_fails_the_old_file_stays_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let rotated = directory.path().join("access.log.1");
        let file = Sink::File(path.clone());
        let mut log = AccessLog::new(file, Format::Common, &Limits::default()).unwrap();
        fs::rename(&path, &rotated).unwrap();
        fs::create_dir(&path).unwrap();
        log.reopen();
        add(&mut log, 1);
        assert!(log.close(LONG));
        assert_eq!(fs::read_to_string(&rotated).unwrap(), line(1));
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let sink = Sink::File(directory.path().to_owned());
        let error = AccessLog::new(sink, Format::Common, &Limits::default()).err();
        assert_eq!(error.unwrap().kind(), ErrorKind::IsADirectory);
    }
}
