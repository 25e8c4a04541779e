//! Writes a trace to a file or to standard output, in a thread of its own: the loop never waits for
//! it.

use super::record::{Record, What};
use super::{Format, json, text};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::thread;
use std::time::Duration;

/// Records that may wait to be written: about 4 MB.
const QUEUE: usize = 32 * 1024;
/// Bytes of one write, about.
const BATCH: usize = 64 * 1024;
/// How long a stopping server waits until the last records are written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Where records go. Dropping it writes what waits.
#[derive(Debug)]
pub struct Output {
    sender: Option<SyncSender<Record>>,
    /// Carries no message: it is disconnected when the thread has ended.
    ended: Receiver<()>,
    /// Records that did not fit into the queue since the last one that did.
    dropped: u64,
}

impl Output {
    /// Creates the file, or empties it; `-` is standard output.
    ///
    /// # Errors
    /// The file cannot be created, or the system gives no thread.
    pub fn open(path: &Path, format: Format) -> io::Result<Self> {
        let file = match path.to_str() {
            Some("-") => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            _ => create(path)?,
        };
        let (sender, records) = mpsc::sync_channel(QUEUE);
        let (alive, ended) = mpsc::channel();
        let thread = thread::Builder::new().name("trace".into());
        thread.spawn(move || {
            if let Err(error) = write_all(&records, format, file) {
                log::warn!("the trace ends here, as it cannot be written: {error}");
            }
            drop(alive);
        })?;
        Ok(Self {
            sender: Some(sender),
            ended,
            dropped: 0,
        })
    }

    /// Adds a record. If the queue is full it is dropped, and the next one that fits says so.
    pub fn put(&mut self, record: Record) {
        let Some(sender) = &self.sender else {
            return;
        };
        if self.dropped > 0 {
            let missing = Record {
                connection: None,
                what: What::Dropped {
                    count: self.dropped,
                },
                ..record
            };
            if sender.try_send(missing).is_ok() {
                self.dropped = 0;
            }
        }
        match sender.try_send(record) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.dropped += 1,
            Err(TrySendError::Disconnected(_)) => self.sender = None,
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.sender = None;
        if self.ended.recv_timeout(FLUSH_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            log::warn!("the trace is not complete: its reader is stuck");
        }
    }
}

/// Creates or empties a file, or opens a FIFO, which must have a reader: without one, the open
/// would wait (fifo(7)).
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path)?;
    // The thread waits for the reader.
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Writes records until the sender is gone: in batches, and at once when no other record waits.
fn write_all(records: &Receiver<Record>, format: Format, mut file: File) -> io::Result<()> {
    let mut batch = format.begin().as_bytes().to_vec();
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
        let Some(record) = record else {
            batch.extend_from_slice(format.end().as_bytes());
            return file.write_all(&batch);
        };
        format.write(&record, &mut batch);
        if batch.len() >= BATCH {
            file.write_all(&batch)?;
            batch.clear();
        }
    }
}

impl Format {
    fn begin(self) -> &'static str {
        match self {
            Self::Text => text::HEADER,
            Self::Json => "",
            Self::Perfetto => json::PERFETTO_BEGIN,
        }
    }

    fn write(self, record: &Record, out: &mut Vec<u8>) {
        match self {
            Self::Text => text::write(record, out),
            Self::Json => json::write(record, out),
            Self::Perfetto => json::write_perfetto(record, out),
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Text | Self::Json => "",
            Self::Perfetto => json::PERFETTO_END,
        }
    }
}
