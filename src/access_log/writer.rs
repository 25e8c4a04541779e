//! How lines leave the process while the loop goes on. Part of `access_log`; imports `format`,
//! `queue`, `clock` and `limits`.
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

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;

use super::format::{Entry, Format, Renderer};
use super::queue::{Shared, line_start};
use crate::clock::Now;
use crate::limits::Limits;

/// How long the thread lets lines gather after a write. A line that follows a quiet moment is
/// written at once; under load there are many lines in a write, and the thread wakes 200 times
/// a second, or when the queue is half full.
const GATHER: Duration = Duration::from_millis(5);

/// How long the thread waits after a write failed before it tries again.
const RETRY: Duration = Duration::from_secs(1);

/// A warning is given once in this time.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// A turn may answer more than the buffer holds. Its lines are handed over before its end when
/// they take this part of the buffer, so that they, too, are bounded.
const TURN_PART: usize = 16;

/// Where lines go.
pub enum Sink {
    /// Standard output, past the buffer of [`std::io::Stdout`]: batches are written whole.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file: appended to, created when it is missing (mode 0640: it tells who asked for
    /// what). [`AccessLog::reopen`] opens the path anew.
    File(PathBuf),
    /// Anything that takes bytes. It is not flushed, and may block.
    Writer(Box<dyn Write + Send>),
}

impl Sink {
    /// What `--log-file` names: `-` is standard output. The devices of the standard streams are
    /// not opened by their names, which fails when the stream is a socket (the journal's) or
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

/// The loop's end of the access log. No method waits for the sink but [`AccessLog::close`],
/// and that one only as long as it is told to.
///
/// Its thread does not survive a `fork`: a child makes its own.
pub struct AccessLog {
    renderer: Renderer,
    /// Lines not yet handed over. Whole lines only, as everywhere below.
    turn: Vec<u8>,
    shared: Arc<Shared>,
    /// The thread's end, until the system gives a thread.
    unstarted: Option<Arc<Mutex<Option<Writer>>>>,
    /// Nothing is ever sent: the channel breaks when the thread ends.
    ended: Receiver<()>,
}

impl AccessLog {
    /// Opens the sink and starts the thread that writes to it. At most
    /// [`Limits::log_buffer`] bytes wait while as many are written. If the system gives no
    /// thread, a warning says so, and lines wait until [`AccessLog::reopen`] or the end.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or the system gives no descriptor.
    pub fn new(sink: Sink, format: Format, limits: &Limits) -> io::Result<Self> {
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
        let shared = Arc::new(Shared::new(limits.log_buffer));
        let (alive, ended) = mpsc::channel();
        let writer = Writer {
            shared: Arc::clone(&shared),
            format,
            output,
            name,
            file,
            batch: Vec::with_capacity(limits.log_buffer),
            failing: false,
            failure_said_at: None,
            dropped_said: 0,
            dropped_said_at: None,
            _alive: alive,
        };
        let mut log = Self {
            renderer: Renderer::new(format, limits.log_field),
            turn: Vec::new(),
            shared,
            unstarted: Some(Arc::new(Mutex::new(Some(writer)))),
            ended,
        };
        log.start_or_warn();
        Ok(log)
    }

    /// Starts the thread, unless it has been started.
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
        thread.spawn(run)?;
        self.unstarted = None;
        Ok(())
    }

    fn start_or_warn(&mut self) {
        if let Err(error) = self.start() {
            log::warn!(
                "access log: the system refuses the thread that writes it: {error}{}; serving \
                 without: lines wait in memory, SIGUSR1 tries again",
                hint(&error)
            );
        }
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
            if self.shared.put(&self.turn) {
                log::warn!("access log: lines are dropped, as it cannot be written fast enough");
            }
            self.turn.clear();
        }
    }

    /// Makes the thread open the path of its file anew before it writes again, as after a
    /// rotation. When that fails, the old file stays in use and a warning says so. For other
    /// sinks it only starts the thread, if the system had refused it.
    pub fn reopen(&mut self) {
        self.start_or_warn();
        self.shared.reopen();
    }

    /// How many lines were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped()
    }

    /// Writes what is left, but waits no longer than `wait`: a full pipe must not hang the
    /// exit. Returns whether the thread has ended; if not, it is left behind in its write, and a
    /// warning says so.
    pub fn close(mut self, wait: Duration) -> bool {
        self.hand_over();
        if let Err(error) = self.start() {
            let lines = self.shared.abandon(&[]);
            if lines > 0 {
                log::warn!("access log: {lines} lines are lost for want of a thread: {error}");
            }
        }
        self.leave();
        let has_ended = self.ended.recv_timeout(wait) != Err(RecvTimeoutError::Timeout);
        if !has_ended {
            log::warn!("access log: its reader is stuck; its last lines are lost");
        }
        has_ended
    }

    fn leave(&mut self) {
        self.hand_over();
        self.unstarted = None;
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
    /// What messages call the sink.
    name: String,
    /// Of a file its path and its identity; other sinks cannot be reopened.
    file: Option<(PathBuf, Identity)>,
    batch: Vec<u8>,
    /// The last write failed.
    failing: bool,
    failure_said_at: Option<Instant>,
    /// Dropped lines of which a warning has told.
    dropped_said: u64,
    dropped_said_at: Option<Instant>,
    /// Dropped when the thread ends, however it ends.
    _alive: Sender<()>,
}

/// The sink takes no byte, and the server will not wait for it any longer.
struct GivenUp;

impl Writer {
    fn run(mut self) {
        if self.write_until_closed().is_err() {
            log::debug!("access log {}: given up", self.name);
        }
        let dropped = self.shared.abandon(&self.batch);
        self.warn_dropped(dropped);
    }

    fn write_until_closed(&mut self) -> Result<(), GivenUp> {
        let mut dropped = 0;
        while let Some(orders) = self.shared.take(&mut self.batch) {
            if orders.reopen {
                self.reopen();
            }
            self.write_batch()?;
            if orders.dropped > dropped {
                let count = orders.dropped - dropped;
                dropped = orders.dropped;
                self.format.write_dropped(count, &mut self.batch);
                if let Err(given_up) = self.write_batch() {
                    // It is no request's line.
                    self.batch.clear();
                    return Err(given_up);
                }
                if is_due(self.dropped_said_at) {
                    self.warn_dropped(dropped);
                }
            }
            self.shared.gather(GATHER);
        }
        Ok(())
    }

    /// Writes the batch and leaves it empty. What a failed write left is tried again: so the
    /// file still has whole lines when a full disk has room again, a new reader of a FIFO gets
    /// what the last one did not, and meanwhile new lines find the queue full, as with a slow
    /// reader. Giving up leaves what was not written.
    fn write_batch(&mut self) -> Result<(), GivenUp> {
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
                // Another process made the open file non-blocking. Nothing is wrong with it.
                ErrorKind::WouldBlock => {
                    if self.shared.pause(refusal_pause) {
                        thread::sleep(GATHER);
                    }
                    refusal_pause = RETRY.min(refusal_pause * 2);
                }
                _ => {
                    self.failed(&error);
                    if closing {
                        self.batch.drain(..written);
                        return Err(GivenUp);
                    }
                    // Closing cuts the pause short and grants one more attempt.
                    closing = self.shared.pause(RETRY);
                }
            }
            if self.shared.take_reopen() && self.reopen() {
                written = line_start(&self.batch, written);
            }
        }
        self.batch.clear();
        Ok(())
    }

    /// Says how many lines were dropped since the last time.
    fn warn_dropped(&mut self, dropped: u64) {
        let count = dropped.saturating_sub(self.dropped_said);
        if count > 0 {
            let name = &self.name;
            log::warn!("access log {name}: {count} lines were dropped, as it did not take them");
            self.dropped_said = dropped;
            self.dropped_said_at = Some(Now::read().instant);
            self.shared.rearm_warning();
        }
    }

    /// Returns whether another file is in use.
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

    /// One warning for a row of failures, and one in [`WARN_INTERVAL`].
    fn failed(&mut self, error: &io::Error) {
        if !self.failing && is_due(self.failure_said_at) {
            self.failure_said_at = Some(Now::read().instant);
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

fn is_due(said_at: Option<Instant>) -> bool {
    let now = Now::read().instant;
    said_at.is_none_or(|at| now.saturating_duration_since(at) >= WARN_INTERVAL)
}

/// What to do about an error whose text does not say it.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::BrokenPipe => " (nothing reads it)",
        ErrorKind::FileTooLarge => " (rotate it, or raise the limit: ulimit -f)",
        // Of a thread.
        ErrorKind::WouldBlock => " (raise the limit: ulimit -u, TasksMax=, pids.max)",
        _ => "",
    }
}

/// A second descriptor of a standard stream. [`std::io::Stdout`] would keep a part of what a
/// short write left in a buffer of its own.
fn duplicate(stream: BorrowedFd<'_>) -> io::Result<File> {
    Ok(stream.try_clone_to_owned()?.into())
}

/// Device and inode.
type Identity = (u64, u64);

fn identity(file: &File) -> io::Result<Identity> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Opens without waiting, whatever the path names: a FIFO has no reader perhaps, a serial line no
/// carrier. The thread, which may wait, writes as to any file.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options
        .append(true)
        .mode(0o640)
        .custom_flags(flags.bits().cast_signed());
    let mut opened = options.open(path);
    // O_CREAT only then: with it, Linux refuses FIFOs of other users in /tmp (proc_sys_fs(5),
    // protected_fifos).
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
            // A FIFO without a reader (fifo(7)). For a moment it has one.
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
    fn without_a_reader_lines_wait_and_what_is_left_at_the_end_is_counted() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut log = log_to(writer, 100_000);
        for number in 0..10 {
            add(&mut log, number);
        }
        log.hand_over();
        log.reopen();
        assert_eq!(log.dropped(), 0);
        let shared = Arc::clone(&log.shared);
        assert!(log.close(LONG));
        assert_eq!(shared.dropped(), 10);
    }

    /// Opened in a thread, so that a test fails and does not hang where it would wait.
    fn fifo_log(path: &Path) -> AccessLog {
        mkfifo(path);
        let path = path.to_owned();
        let (sender, opened) = mpsc::channel();
        thread::spawn(move || {
            let log = AccessLog::new(Sink::File(path), Format::Common, &Limits::default());
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
            log.hand_over();
            let mut reader = File::open(&path).unwrap();
            let mut found = vec![0; line(number).len()];
            reader.read_exact(&mut found).unwrap();
            assert_eq!(found, line(number).as_bytes());
            log.reopen();
        }
        let shared = Arc::clone(&log.shared);
        assert!(log.close(LONG));
        assert_eq!(shared.dropped(), 0);
    }

    #[test]
    fn a_file_that_is_reopened_under_its_name_gets_no_byte_twice() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let (scripted, output, _) = Scripted::new([Ok(9), Err(ErrorKind::StorageFull)]);
        let shared = Arc::new(Shared::new(0));
        let file = open(&path).unwrap();
        let mut writer = Writer {
            file: Some((path.clone(), identity(&file).unwrap())),
            ..writer(&shared, scripted, line(1))
        };
        shared.reopen();
        assert!(writer.write_batch().is_ok());
        assert_eq!(text(&output) + &fs::read_to_string(&path).unwrap(), line(1));
    }

    fn writer(shared: &Arc<Shared>, output: impl Write + Send + 'static, batch: String) -> Writer {
        Writer {
            shared: Arc::clone(shared),
            format: Format::Common,
            output: Box::new(output),
            name: "test".into(),
            file: None,
            batch: batch.into(),
            failing: false,
            failure_said_at: None,
            dropped_said: 0,
            dropped_said_at: None,
            _alive: mpsc::channel().0,
        }
    }

    #[test]
    fn what_a_log_file_may_be_called() {
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
            file: Some((path.clone(), (0, 0))),
            ..writer(&shared, scripted, line(1) + &line(2) + &line(3))
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
        let mut log = AccessLog::new(file, Format::Common, &Limits::default()).unwrap();
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
