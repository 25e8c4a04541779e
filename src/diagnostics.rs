//! Messages of the server on standard error, by log and simple_logger.
//!
//! Standard error may be a pipe without a reader, and a write to it never returns then. So a thread
//! writes instead of the loop. Messages that do not fit into its queue are dropped and counted. The
//! thread does not survive a `fork`.

use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// The most messages that may wait: some 100 KB.
const QUEUE_LENGTH: usize = 1024;

/// How long [`finish`] waits for a reader of standard error.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Starts logging: warnings and errors; with `verbose` 1 debug messages, with 2 those of mio, too.
pub fn start(verbose: u8) {
    let level = level(verbose);
    let (queue, messages) = sync_channel(QUEUE_LENGTH);
    let dropped = Arc::new(AtomicU64::new(0));
    let writer = MessageWriter {
        logger: SimpleLogger::new().with_level(level),
        messages,
        dropped: dropped.clone(),
    };
    let writer = thread::Builder::new()
        .name("diagnostics".into())
        .spawn(move || writer.run());
    match writer {
        Ok(_) => install(Box::new(QueueLogger { queue, dropped }), level),
        Err(error) => {
            start_without_thread(verbose);
            log::warn!(
                "cannot start the thread that writes messages: {error}; the server writes \
                 them itself, and waits when the reader of standard error does not take them"
            );
        }
    }
}

/// Starts logging for a process that forks: without a thread, so each message waits for its reader.
pub fn start_without_thread(verbose: u8) {
    let level = level(verbose);
    let logger = DirectLogger(SimpleLogger::new().with_level(level));
    install(Box::new(logger), level);
}

fn install(logger: Box<dyn Log>, level: LevelFilter) {
    // Fails if another logger is installed, which stays.
    if log::set_boxed_logger(logger).is_ok() {
        log::set_max_level(level);
    }
}

fn level(verbose: u8) -> LevelFilter {
    match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    }
}

/// Waits until all messages are written, but at most half a second.
pub fn finish() {
    log::logger().flush();
}

/// Writes in the thread that logs.
struct DirectLogger(SimpleLogger);

impl Log for DirectLogger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // It panics when standard error is gone; see below.
        let _ = catch_unwind(AssertUnwindSafe(|| self.0.log(record)));
    }

    fn flush(&self) {}
}

/// Queues messages; never waits.
struct QueueLogger {
    queue: SyncSender<Message>,
    /// Messages dropped since the thread last checked.
    dropped: Arc<AtomicU64>,
}

enum Message {
    Text {
        level: Level,
        target: String,
        text: String,
    },
    /// Confirm when everything before this is written.
    Flush(SyncSender<()>),
}

impl Log for QueueLogger {
    // The macros check the maximum level, and simple_logger that of the message.
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let message = Message::Text {
            level: record.level(),
            target: record.target().to_owned(),
            text: record.args().to_string(),
        };
        if self.queue.try_send(message).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {
        let (written, is_written) = sync_channel(1);
        if self.queue.try_send(Message::Flush(written)).is_ok() {
            let _ = is_written.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

/// Writes messages, in a thread of its own.
struct MessageWriter {
    logger: SimpleLogger,
    messages: Receiver<Message>,
    dropped: Arc<AtomicU64>,
}

impl MessageWriter {
    fn run(self) {
        for message in &self.messages {
            match message {
                Message::Text {
                    level,
                    target,
                    text,
                } => self.write(level, &target, &text),
                Message::Flush(written) => {
                    let _ = written.try_send(());
                }
            }
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                let text =
                    format!("{dropped} messages were dropped: standard error was not read in time");
                self.write(Level::Warn, module_path!(), &text);
            }
        }
    }

    /// simple_logger writes with `eprintln!`, which panics when standard error is closed. The
    /// server goes on without it.
    fn write(&self, level: Level, target: &str, text: &str) {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let args = format_args!("{text}");
            let record = Record::builder()
                .level(level)
                .target(target)
                .args(args)
                .build();
            self.logger.log(&record);
        }));
    }
}
