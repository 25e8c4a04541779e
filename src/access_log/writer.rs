//! Writing the access log without blocking the loop.
//!
//! A write to a pipe without a reader, or to a disk that hangs, does not return. So the loop never
//! writes: it renders lines, and moves those of an iteration into a bounded queue, from which a
//! thread writes.
//!
//! ```text
//! log_request() -> lines --flush_to_queue()--> queue --take()--> batch --write()--> sink
//!                  loop                                          thread
//! ```
//!
//! Standard output is not made non-blocking instead, because that flag belongs to the open file,
//! which the shell and its other children share.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;

use super::format::{LogEntry, LogFormat, Renderer};
use super::queue::{LineQueue, line_start};
use crate::clock::Now;
use crate::limits::Limits;

/// How long the thread waits for more lines after a write. A single line is written at once; under
/// load there are many lines in a write, and the thread wakes 200 times a second, or when the queue
/// is half full.
const GATHER: Duration = Duration::from_millis(5);

/// How long the thread waits after a write failed before it tries again.
const RETRY: Duration = Duration::from_secs(1);

/// How long a warning is not repeated.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// The lines of an iteration are queued early when they take this fraction of the queue, so
/// that they are bounded, too.
const EARLY_FRACTION: usize = 16;

/// Where lines go.
pub enum Sink {
    /// Standard output, without the buffer of [`std::io::Stdout`].
    Stdout,
    /// Standard error.
    Stderr,
    /// A file: appended to, and created if it is missing (mode 0640: it contains addresses).
    /// [`AccessLog::reopen`] opens the path again.
    File(PathBuf),
    /// For tests: any writer. It is not flushed, and may block.
    Writer(Box<dyn Write + Send>),
}

impl Sink {
    /// The sink that `--log-file` names: `-` is standard output. The devices of the standard
    /// streams are not opened by name, which fails if the stream is a socket (of the journal) or
    /// belongs to another user.
    pub fn named(path: &Path) -> Self {
        match path.to_str() {
            Some("-" | "/dev/stdout") => Self::Stdout,
            Some("/dev/stderr") => Self::Stderr,
            _ => Self::File(path.to_owned()),
        }
    }

    /// Whether it has a path that can be opened again.
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::Stderr => f.write_str("standard error"),
            Self::File(path) => path.display().fmt(f),
            Self::Writer(_) => f.write_str("its writer"),
        }
    }
}

/// The access log, as the loop uses it. Only [`AccessLog::close`] waits for the sink, for a limited
/// time.
///
/// The thread does not survive a `fork`: a child makes a log of its own.
pub struct AccessLog {
    renderer: Renderer,
    /// Whole lines that are not yet queued.
    lines: Vec<u8>,
    queue: Arc<LineQueue>,
    /// The writer, until the thread is started. It is shared with the closure of a thread that may
    /// not start, and the thread takes it out.
    unstarted: Option<Arc<Mutex<Option<LogWriter>>>>,
    /// Nothing is sent: the channel is disconnected when the thread ends. `None`: the queue is that
    /// of another log, which closes it.
    ended: Option<Receiver<()>>,
    /// The thread, when it has been started.
    thread: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Opens the sink and starts the thread that writes to it. At most
    /// [`Limits::max_log_buffer_bytes`] bytes wait while as many are written. If the thread cannot
    /// be started, logs a warning, and lines wait until [`AccessLog::reopen`] or
    /// [`AccessLog::close`].
    ///
    /// # Errors
    /// The file cannot be opened, or there is no descriptor.
    pub fn new(sink: Sink, format: LogFormat, limits: &Limits) -> io::Result<Self> {
        let name = sink.to_string();
        let (output, file): (Box<dyn Write + Send>, _) = match sink {
            Sink::Stdout => (Box::new(duplicate(io::stdout().as_fd())?), None),
            Sink::Stderr => (Box::new(duplicate(io::stderr().as_fd())?), None),
            Sink::Writer(output) => (output, None),
            Sink::File(path) => {
                let file = open(&path)?;
                let identity = identity(&file)?;
                (Box::new(file), Some((path, identity)))
            }
        };
        let queue = Arc::new(LineQueue::new(limits.max_log_buffer_bytes));
        let (alive, ended) = mpsc::channel();
        let writer = LogWriter {
            queue: Arc::clone(&queue),
            format,
            output,
            name,
            file,
            batch: Vec::with_capacity(limits.max_log_buffer_bytes),
            failing: false,
            failure_warned_at: None,
            dropped_warned: 0,
            dropped_warned_at: None,
            _alive: alive,
        };
        let mut log = Self {
            renderer: Renderer::new(format, limits.max_log_field_bytes),
            lines: Vec::new(),
            queue,
            unstarted: Some(Arc::new(Mutex::new(Some(writer)))),
            ended: Some(ended),
            thread: None,
        };
        log.start_or_warn();
        Ok(log)
    }

    /// A log for another thread, whose lines the thread of this one writes: lines of several logs
    /// do not mix. To be closed before this one.
    #[must_use]
    pub fn sharing(&self) -> Self {
        Self {
            renderer: self.renderer.clone(),
            lines: Vec::new(),
            queue: Arc::clone(&self.queue),
            unstarted: None,
            ended: None,
            thread: None,
        }
    }

    /// Starts the thread, if it is not running.
    fn start(&mut self) -> io::Result<()> {
        let Some(writer) = self.unstarted.clone() else {
            return Ok(());
        };
        let run = move || {
            let writer = writer.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(writer) = writer {
                writer.run();
            }
        };
        let thread = thread::Builder::new().name("access-log".into());
        self.thread = Some(thread.spawn(run)?);
        self.unstarted = None;
        Ok(())
    }

    fn start_or_warn(&mut self) {
        if let Err(error) = self.start() {
            log::warn!(
                "access log: cannot start the thread that writes it: {error}{}; serving \
                 without: lines wait in memory, SIGUSR1 tries again",
                hint(&error)
            );
        }
    }

    /// Renders the line of a request. The next [`AccessLog::flush_to_queue`] queues it.
    pub fn log_request(&mut self, entry: &LogEntry) {
        self.renderer.write_line(entry, &mut self.lines);
        if self.lines.len() > self.queue.capacity / EARLY_FRACTION {
            self.flush_to_queue();
        }
    }

    /// Moves the rendered lines to the thread: once in an iteration. Lines that do not fit into the
    /// queue are dropped and counted. Makes no system call unless the thread sleeps.
    pub fn flush_to_queue(&mut self) {
        if !self.lines.is_empty() {
            if self.queue.put(&self.lines) {
                log::warn!("access log: lines are dropped, as it cannot be written fast enough");
            }
            self.lines.clear();
        }
    }

    /// Makes the thread open the path of its file again before the next write, as after a rotation.
    /// If that fails, logs a warning and keeps the old file. For other sinks it only starts the
    /// thread, if it is not running.
    pub fn reopen(&mut self) {
        self.start_or_warn();
        self.queue.reopen();
    }

    /// Returns a function that returns the number of lines dropped since the start.
    pub fn dropped(&self) -> impl Fn() -> u64 + use<> {
        let queue = Arc::clone(&self.queue);
        move || queue.dropped()
    }

    /// Writes what is left, but waits at most `wait`: a full pipe must not block the exit. Returns
    /// whether the thread has ended; if not, logs a warning.
    pub fn close(mut self, wait: Duration) -> bool {
        self.flush_to_queue();
        if let Err(error) = self.start() {
            let lines = self.queue.abandon(&[]);
            if lines > 0 {
                log::warn!("access log: {lines} lines are lost for want of a thread: {error}");
            }
        }
        self.close_queue();
        let Some(ended) = self.ended.take() else {
            return true;
        };
        let has_ended = ended.recv_timeout(wait) != Err(RecvTimeoutError::Timeout);
        if !has_ended {
            log::warn!("access log: nothing reads it; its last lines are lost");
        } else if let Some(thread) = self.thread.take() {
            // A process that forks next must not have even the rest of a thread: the child would
            // find locks of the standard library locked for ever.
            drop(thread.join());
        }
        has_ended
    }

    fn close_queue(&mut self) {
        self.flush_to_queue();
        self.unstarted = None;
        if self.ended.is_some() {
            self.queue.close();
        }
    }
}

/// Makes the thread write what is left, without waiting. To wait, call [`AccessLog::close`].
impl Drop for AccessLog {
    fn drop(&mut self) {
        self.close_queue();
    }
}

/// What the thread owns.
struct LogWriter {
    queue: Arc<LineQueue>,
    format: LogFormat,
    output: Box<dyn Write + Send>,
    /// The name of the sink in messages.
    name: String,
    /// Path and identity of a file; other sinks cannot be reopened.
    file: Option<(PathBuf, FileId)>,
    batch: Vec<u8>,
    /// The last write failed.
    failing: bool,
    failure_warned_at: Option<Instant>,
    /// Dropped lines that were reported in a warning.
    dropped_warned: u64,
    dropped_warned_at: Option<Instant>,
    /// Dropped when the thread ends, however it ends.
    _alive: Sender<()>,
}

/// The log is closed, and the last attempt to write failed.
struct FailedAtClose;

impl LogWriter {
    fn run(mut self) {
        if self.write_until_closed().is_err() {
            log::debug!("access log {}: given up", self.name);
        }
        let dropped = self.queue.abandon(&self.batch);
        self.warn_dropped(dropped);
    }

    fn write_until_closed(&mut self) -> Result<(), FailedAtClose> {
        let mut dropped = 0;
        while let Some(commands) = self.queue.take(&mut self.batch) {
            if commands.reopen {
                self.reopen();
            }
            self.write_batch()?;
            if commands.dropped > dropped {
                let count = commands.dropped - dropped;
                dropped = commands.dropped;
                self.format.write_dropped(count, &mut self.batch);
                if let Err(failed) = self.write_batch() {
                    // It is not the line of a request.
                    self.batch.clear();
                    return Err(failed);
                }
                if is_due(self.dropped_warned_at) {
                    self.warn_dropped(dropped);
                }
            }
            self.queue.gather(GATHER);
        }
        Ok(())
    }

    /// Writes the batch and empties it. A failed write is repeated with what is left: so lines in a
    /// file are whole when a full disk has space again, and a new reader of a FIFO gets what the
    /// last one did not. Meanwhile the queue fills, as with a slow reader. With
    /// [`FailedAtClose`], the batch is what was not written.
    fn write_batch(&mut self) -> Result<(), FailedAtClose> {
        let mut written = 0;
        let mut closing = false;
        let mut refusal_pause = GATHER;
        while let Some(rest) = self.batch.get(written..).filter(|rest| !rest.is_empty()) {
            let error = match self.output.write(rest) {
                Ok(0) => ErrorKind::WriteZero.into(),
                Ok(count) => {
                    written += count;
                    refusal_pause = GATHER;
                    self.succeeded();
                    continue;
                }
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Interrupted => continue,
                // Another process has made the open file non-blocking.
                ErrorKind::WouldBlock => {
                    if self.queue.pause(refusal_pause) {
                        thread::sleep(GATHER);
                    }
                    refusal_pause = RETRY.min(refusal_pause * 2);
                }
                _ => {
                    self.failed(&error);
                    if closing {
                        self.batch.drain(..written);
                        return Err(FailedAtClose);
                    }
                    // Closing ends the pause; there is one more attempt.
                    closing = self.queue.pause(RETRY);
                }
            }
            if self.queue.take_reopen() && self.reopen() {
                written = line_start(&self.batch, written);
            }
        }
        self.batch.clear();
        Ok(())
    }

    /// Warns how many lines were dropped since the last warning.
    fn warn_dropped(&mut self, dropped: u64) {
        let count = dropped.saturating_sub(self.dropped_warned);
        if count > 0 {
            let name = &self.name;
            log::warn!(
                "access log {name}: {count} lines were dropped, as writing is too slow or fails"
            );
            self.dropped_warned = dropped;
            self.dropped_warned_at = Some(Now::read().instant);
            self.queue.rearm_warning();
        }
    }

    /// Opens the path again. Returns whether it is another file.
    fn reopen(&mut self) -> bool {
        let Some((path, old)) = &mut self.file else {
            return false;
        };
        let opened = open(path).and_then(|file| Ok((identity(&file)?, file)));
        match opened {
            Ok((new, file)) => {
                self.output = Box::new(file);
                std::mem::replace(old, new) != new
            }
            Err(error) => {
                let path = path.display();
                log::warn!("access log: cannot reopen {path}: {error}; the old file stays in use");
                false
            }
        }
    }

    /// Warns once for consecutive failures, and at most once in [`WARN_INTERVAL`].
    fn failed(&mut self, error: &io::Error) {
        if !self.failing && is_due(self.failure_warned_at) {
            self.failure_warned_at = Some(Now::read().instant);
            log::warn!(
                "access log {}: {error}{}; trying again every {RETRY:?}, lines wait in memory",
                self.name,
                hint(error)
            );
        }
        self.failing = true;
    }

    fn succeeded(&mut self) {
        if self.failing {
            log::info!("access log {}: it is written again", self.name);
            self.failing = false;
        }
    }
}

fn is_due(warned_at: Option<Instant>) -> bool {
    let now = Now::read().instant;
    warned_at.is_none_or(|at| now.saturating_duration_since(at) >= WARN_INTERVAL)
}

/// What to do about an error, if its text does not say it.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::BrokenPipe => " (nothing reads it)",
        ErrorKind::FileTooLarge => " (rotate it, or raise the limit: ulimit -f)",
        // From starting a thread.
        ErrorKind::WouldBlock => " (raise the limit: ulimit -u, TasksMax=, pids.max)",
        _ => "",
    }
}

/// A second descriptor of a standard stream. [`std::io::Stdout`] would buffer what a short write
/// leaves.
fn duplicate(stream: BorrowedFd<'_>) -> io::Result<File> {
    Ok(stream.try_clone_to_owned()?.into())
}

/// Device and inode.
type FileId = (u64, u64);

fn identity(file: &File) -> io::Result<FileId> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Opens without waiting, even a FIFO without a reader or a serial line without a carrier. Writes
/// may wait: the thread makes them.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options
        .append(true)
        .mode(0o640)
        .custom_flags(flags.bits().cast_signed());
    let mut opened = options.open(path);
    // O_CREAT only if it is missing: with it, Linux refuses FIFOs of other users in /tmp
    // (proc_sys_fs(5), protected_fifos).
    if let Err(error) = &opened
        && error.kind() == ErrorKind::NotFound
    {
        opened = options.create(true).open(path);
    }
    let file = match opened {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) => {
            if !fs::metadata(path)?.file_type().is_fifo() {
                let what = "a socket, or a device that is not there; name a file, a FIFO or -";
                return Err(io::Error::new(error.kind(), format!("{error}: {what}")));
            }
            // A FIFO without a reader (fifo(7)): give it one while it is opened.
            let mut reading = OpenOptions::new();
            reading.read(true).custom_flags(flags.bits().cast_signed());
            let _reader = reading.open(path)?;
            options.open(path)?
        }
        opened => opened?,
    };
    fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
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

    fn limits(max_log_buffer_bytes: usize) -> Limits {
        Limits {
            max_log_buffer_bytes,
            ..Limits::default()
        }
    }

    fn log_to(output: impl Write + Send + 'static, max_log_buffer_bytes: usize) -> AccessLog {
        let sink = Sink::Writer(Box::new(output));
        AccessLog::new(sink, LogFormat::Common, &limits(max_log_buffer_bytes)).unwrap()
    }

    /// An entry with a number, and its line.
    fn add(log: &mut AccessLog, number: u64) {
        log.log_request(&LogEntry {
            peer: Peer::Unix,
            wall: UNIX_EPOCH,
            request_line: b"GET / HTTP/1.1",
            host: None,
            status: 200,
            body_sent: number,
            referer: None,
            user_agent: None,
            user: None,
            duration: Duration::ZERO,
        });
    }

    fn line(number: u64) -> String {
        format!("127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] \"GET / HTTP/1.1\" 200 {number}\n")
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
    fn a_single_line_is_written_without_another() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut log = log_to(writer, 1000);
        for number in 0..3 {
            add(&mut log, number);
            log.flush_to_queue();
            let mut found = vec![0; line(number).len()];
            reader.read_exact(&mut found).unwrap();
            assert_eq!(found, line(number).as_bytes());
        }
        assert!(log.close(LONG));
    }

    #[test]
    fn lines_are_written_in_order_and_closing_writes_the_last() {
        let interrupted = Err(ErrorKind::Interrupted);
        let (scripted, output, _) =
            Scripted::new([Ok(1), Ok(7), interrupted, interrupted, interrupted]);
        let mut log = log_to(scripted, 100_000);
        for number in 0..100 {
            add(&mut log, number);
            if number % 7 == 0 {
                log.flush_to_queue();
            }
        }
        assert_eq!(log.dropped()(), 0);
        assert!(log.close(LONG));
        assert_eq!(text(&output), (0..100).map(line).collect::<String>());
    }

    /// Fails if `sharing` makes a queue of its own, and if its end closes that of the first log.
    #[test]
    fn lines_of_logs_that_share_a_queue_are_whole_and_the_first_log_closes_it() {
        let (scripted, output, _) = Scripted::new([]);
        let mut first = log_to(scripted, 100_000);
        let mut second = first.sharing();
        add(&mut second, 0);
        assert!(second.close(LONG));
        let mut third = first.sharing();
        add(&mut third, 1);
        drop(third);
        add(&mut first, 2);
        assert!(first.close(LONG));
        assert_eq!(text(&output), (0..3).map(line).collect::<String>());
    }

    #[test]
    fn a_pipe_without_a_reader_drops_lines_and_never_blocks() {
        const LINES: u64 = 100_000;
        const BUFFER: usize = 64 * 1024;
        let (mut reader, writer) = io::pipe().unwrap();
        let mut log = log_to(writer, BUFFER);
        // The lines of one iteration are bounded, too.
        for number in 0..LINES {
            add(&mut log, number);
        }
        assert!(log.lines.capacity() <= BUFFER);
        log.flush_to_queue();
        let dropped = log.dropped()();
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
    fn closing_does_not_wait_for_a_blocked_write() {
        let (reader, writer) = io::pipe().unwrap();
        let mut log = log_to(writer, 1024 * 1024);
        // More than any pipe holds.
        for number in 0..10_000 {
            add(&mut log, number);
        }
        let queue = Arc::clone(&log.queue);
        assert!(!log.close(Duration::from_millis(20)));
        drop(reader);
        eventually(|| Arc::strong_count(&queue) == 1);
    }

    #[test]
    fn without_a_reader_lines_wait_and_those_left_at_the_end_are_counted() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut log = log_to(writer, 100_000);
        for number in 0..10 {
            add(&mut log, number);
        }
        log.flush_to_queue();
        log.reopen();
        assert_eq!(log.dropped()(), 0);
        let queue = Arc::clone(&log.queue);
        assert!(log.close(LONG));
        assert_eq!(queue.dropped(), 10);
    }

    /// Opened in a thread, so that a test fails and does not hang where it would wait.
    fn fifo_log(path: &Path) -> AccessLog {
        mkfifo(path);
        let path = path.to_owned();
        let (sender, opened) = mpsc::channel();
        thread::spawn(move || {
            let log = AccessLog::new(Sink::File(path), LogFormat::Common, &Limits::default());
            sender.send(log).unwrap();
        });
        opened.recv_timeout(LONG).unwrap().unwrap()
    }

    fn mkfifo(path: &Path) {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    }

    #[test]
    fn a_fifo_is_opened_without_a_reader_and_each_next_reader_gets_the_next_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        let mut log = fifo_log(&path);
        for number in 0..3 {
            // The one before is gone when this line is written.
            add(&mut log, number);
            log.flush_to_queue();
            let mut reader = File::open(&path).unwrap();
            let mut found = vec![0; line(number).len()];
            reader.read_exact(&mut found).unwrap();
            assert_eq!(found, line(number).as_bytes());
            log.reopen();
        }
        let queue = Arc::clone(&log.queue);
        assert!(log.close(LONG));
        assert_eq!(queue.dropped(), 0);
    }

    #[test]
    fn a_file_that_is_reopened_gets_no_byte_twice() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let (scripted, output, _) = Scripted::new([Ok(9), Err(ErrorKind::StorageFull)]);
        let queue = Arc::new(LineQueue::new(0));
        let file = open(&path).unwrap();
        let mut writer = LogWriter {
            file: Some((path.clone(), identity(&file).unwrap())),
            ..writer(&queue, scripted, line(1))
        };
        queue.reopen();
        assert!(writer.write_batch().is_ok());
        assert_eq!(text(&output) + &fs::read_to_string(&path).unwrap(), line(1));
    }

    fn writer(
        queue: &Arc<LineQueue>,
        output: impl Write + Send + 'static,
        batch: String,
    ) -> LogWriter {
        LogWriter {
            queue: Arc::clone(queue),
            format: LogFormat::Common,
            output: Box::new(output),
            name: "test".into(),
            file: None,
            batch: batch.into(),
            failing: false,
            failure_warned_at: None,
            dropped_warned: 0,
            dropped_warned_at: None,
            _alive: mpsc::channel().0,
        }
    }

    #[test]
    fn names_of_standard_streams_are_not_files() {
        for (name, shown, is_file) in [
            ("-", "standard output", false),
            ("/dev/stdout", "standard output", false),
            ("/dev/stderr", "standard error", false),
            ("./-", "./-", true),
            ("/dev/null", "/dev/null", true),
        ] {
            let sink = Sink::named(Path::new(name));
            assert_eq!(
                (sink.to_string().as_str(), sink.is_file()),
                (shown, is_file)
            );
        }
    }

    #[test]
    fn a_socket_cannot_be_a_log_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let error = open(&path).unwrap_err().to_string();
        assert!(error.contains("name a file, a FIFO or -"), "{error}");
    }

    #[test]
    fn lines_are_whole_when_a_full_disk_has_space_again() {
        let full = Err(ErrorKind::StorageFull);
        let (scripted, output, failed) = Scripted::new([Ok(10), full]);
        let mut log = log_to(scripted, 1000);
        add(&mut log, 1);
        log.flush_to_queue();
        failed.recv_timeout(LONG).unwrap();
        add(&mut log, 2);
        assert!(log.close(LONG));
        assert_eq!(text(&output), line(1) + &line(2));
    }

    #[test]
    fn a_line_that_a_full_disk_cut_is_whole_in_the_next_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let first = line(1).len();
        let (scripted, output, _) = Scripted::new([Ok(first + 9), Err(ErrorKind::StorageFull)]);
        let queue = Arc::new(LineQueue::new(0));
        let mut writer = LogWriter {
            file: Some((path.clone(), (0, 0))),
            ..writer(&queue, scripted, line(1) + &line(2) + &line(3))
        };
        queue.reopen();
        assert!(writer.write_batch().is_ok());
        assert_eq!(text(&output), line(1) + &line(2)[..9]);
        assert_eq!(fs::read_to_string(&path).unwrap(), line(2) + &line(3));
        assert!(writer.batch.is_empty());
    }

    #[test]
    fn a_disk_that_stays_full_does_not_block_the_end() {
        let mut answers = VecDeque::from([Err(ErrorKind::StorageFull); 1000]);
        answers.push_front(Ok(line(1).len() + 5));
        let (scripted, output, failed) = Scripted::new(answers);
        let mut log = log_to(scripted, 10_000);
        add(&mut log, 1);
        add(&mut log, 2);
        add(&mut log, 3);
        log.flush_to_queue();
        failed.recv_timeout(LONG).unwrap();
        let queue = Arc::clone(&log.queue);
        assert!(log.close(LONG));
        assert_eq!(text(&output), line(1) + &line(2)[..5]);
        assert_eq!(failed.iter().count(), 1, "one more attempt is made");
        assert_eq!(queue.dropped(), 2, "half a line is a lost line");
    }

    #[test]
    fn a_write_that_would_block_is_repeated() {
        let refused = Err(ErrorKind::WouldBlock);
        let (scripted, output, _) = Scripted::new([refused, refused, refused, Ok(5), refused]);
        let mut log = log_to(scripted, 1000);
        add(&mut log, 1);
        assert!(log.close(LONG));
        assert_eq!(text(&output), line(1));
    }

    #[test]
    fn dropped_lines_in_json_are_an_object() {
        let (scripted, output, _) = Scripted::new([]);
        let sink = Sink::Writer(Box::new(scripted));
        let mut log = AccessLog::new(sink, LogFormat::Json, &limits(10)).unwrap();
        add(&mut log, 1);
        assert!(log.close(LONG));
        assert_eq!(text(&output), "{\"dropped\":1}\n");
    }

    #[test]
    fn after_a_rotation_a_new_file_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let rotated = directory.path().join("access.log.1");
        fs::write(&path, "before\n").unwrap();
        let file = Sink::File(path.clone());
        let mut log = AccessLog::new(file, LogFormat::Common, &Limits::default()).unwrap();

        add(&mut log, 1);
        log.flush_to_queue();
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
    fn reopening_needs_no_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let file = Sink::File(path.clone());
        let mut log = AccessLog::new(file, LogFormat::Common, &Limits::default()).unwrap();
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
        let mut log = AccessLog::new(file, LogFormat::Common, &Limits::default()).unwrap();
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
        let error = AccessLog::new(sink, LogFormat::Common, &Limits::default()).err();
        assert_eq!(error.unwrap().kind(), ErrorKind::IsADirectory);
    }
}
