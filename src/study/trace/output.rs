//! Writes a trace to a file or to standard output, in a thread of its own: a thread that serves
//! connections never waits for it.

use super::record::{Record, RecordKind};
use super::{Format, json, text};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Records that may wait to be written: some megabytes.
const QUEUE: usize = 32 * 1024;
/// Bytes of one write, at most, unless a line is longer. The kernel does not mix the bytes of two
/// such writes to a pipe (pipe(7), PIPE_BUF), so several processes may write whole lines to one.
const BATCH: usize = 4096;
/// How long a stopping server waits until the last records are written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The queue of records. Clones share it.
#[derive(Clone, Debug)]
pub struct Output(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    sender: Option<SyncSender<Record>>,
    /// Carries no message: it is disconnected when the thread has ended.
    ended: Option<Receiver<()>>,
    /// Records that did not fit into the queue since the last one that did.
    dropped: u64,
}

impl Output {
    /// Starts the thread that writes: `begin`, the records, and `end` when it is
    /// [finished](Self::finish).
    ///
    /// # Errors
    /// A thread cannot be created.
    pub fn start(
        file: File,
        format: Format,
        begin: &'static str,
        end: &'static str,
    ) -> io::Result<Self> {
        let (sender, records) = mpsc::sync_channel(QUEUE);
        let (alive, ended) = mpsc::channel();
        let thread = thread::Builder::new().name("trace".into());
        thread.spawn(move || {
            if let Err(error) = write_all(&records, format, begin, end, file) {
                log::warn!("the trace ends here, as it cannot be written: {error}");
            }
            drop(alive);
        })?;
        Ok(Self(Arc::new(Mutex::new(Queue {
            sender: Some(sender),
            ended: Some(ended),
            dropped: 0,
        }))))
    }

    /// Without a thread: records are dropped.
    pub fn closed() -> Self {
        Self(Arc::new(Mutex::new(Queue {
            sender: None,
            ended: None,
            dropped: 0,
        })))
    }

    /// Adds a record. If the queue is full it is dropped, and the next one that fits says so.
    pub fn put(&self, record: Record) {
        let queue = &mut *self.lock();
        let Some(sender) = &queue.sender else {
            return;
        };
        if queue.dropped > 0 {
            let missing = Record {
                connection: None,
                what: RecordKind::Dropped {
                    count: queue.dropped,
                },
                ..record
            };
            if sender.try_send(missing).is_ok() {
                queue.dropped = 0;
            }
        }
        match sender.try_send(record) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => queue.dropped += 1,
            Err(TrySendError::Disconnected(_)) => queue.sender = None,
        }
    }

    /// Waits until all is written, for a limited time. Later records are dropped.
    pub fn finish(&self) {
        let ended = {
            let mut queue = self.lock();
            queue.sender = None;
            queue.ended.take()
        };
        let has_ended = ended.map(|ended| ended.recv_timeout(FLUSH_TIMEOUT));
        if has_ended == Some(Err(RecvTimeoutError::Timeout)) {
            log::warn!("the trace is not complete: its reader is stuck");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the file, which is emptied if it exists; `-` is standard output.
///
/// # Errors
/// The file cannot be created.
pub fn open(path: &Path) -> io::Result<File> {
    match path.to_str() {
        Some("-") => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
        _ => create(path),
    }
}

/// Creates or empties a file, or opens a FIFO, which must have a reader: without one, the open
/// would wait (fifo(7)).
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    // Several processes may write. Each write is appended.
    options.custom_flags((OFlags::NONBLOCK | OFlags::APPEND).bits().cast_signed());
    let file = options.open(path)?;
    // The thread waits for the reader.
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Writes records until the sender is gone: in batches of whole lines, and at once when no other
/// record waits.
fn write_all(
    records: &Receiver<Record>,
    format: Format,
    begin: &str,
    end: &str,
    mut file: File,
) -> io::Result<()> {
    let (mut batch, mut line) = (begin.as_bytes().to_vec(), Vec::new());
    loop {
        let record = match records.try_recv() {
            Ok(record) => Some(record),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                file.write_all(&batch)?;
                batch.clear();
                records.recv().ok()
            }
        };
        match &record {
            Some(record) => format.write(record, &mut line),
            None => line.extend_from_slice(end.as_bytes()),
        }
        if batch.len() + line.len() > BATCH {
            file.write_all(&batch)?;
            batch.clear();
        }
        batch.append(&mut line);
        if record.is_none() {
            return file.write_all(&batch);
        }
    }
}

impl Format {
    /// What comes before the records of a model with or without a loop.
    pub fn begin(self, has_loop: bool) -> &'static str {
        match (self, has_loop) {
            (Self::Text, true) => text::HEADER,
            (Self::Text, false) => text::THREADS_HEADER,
            (Self::Json, _) => "",
            (Self::Perfetto, true) => json::PERFETTO_BEGIN,
            (Self::Perfetto, false) => json::PERFETTO_THREADS_BEGIN,
        }
    }

    fn write(self, record: &Record, out: &mut Vec<u8>) {
        match self {
            Self::Text => text::write(record, out),
            Self::Json => json::write(record, out),
            Self::Perfetto => json::write_perfetto(record, out),
        }
    }

    /// What comes after the last record.
    pub fn end(self) -> &'static str {
        match self {
            Self::Text | Self::Json => "",
            Self::Perfetto => json::PERFETTO_END,
        }
    }
}
