//! What the server says about itself: log and simple_logger, on standard error.
//!
//! Standard error may be a pipe that nobody reads, and a write to it then never returns. So the
//! loop does not write: a thread does, and what finds no room in its queue is dropped and
//! counted. The thread does not survive a `fork`.

use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Messages that may wait: some 100 KB. A thousand are more than anybody reads at once.
const WAITING: usize = 1024;

/// How long [`finish`] waits for a reader of standard error.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Starts it: warnings and errors, with `verbose` 1 what happens, with 2 what mio does, too.
pub fn start(verbose: u8) {
    let level = level(verbose);
    let (queue, messages) = sync_channel(WAITING);
    let dropped = Arc::new(AtomicU64::new(0));
    let writer = Writer {
        logger: SimpleLogger::new().with_level(level),
        messages,
        dropped: dropped.clone(),
    };
    let writer = thread::Builder::new()
        .name("diagnostics".into())
        .spawn(move || writer.run());
    match writer {
        Ok(_) => install(Box::new(Queue { queue, dropped }), level),
        Err(error) => {
            start_without_thread(verbose);
            log::warn!(
                "the system refuses the thread that writes messages: {error}; the server writes \
                 them itself, and waits when the reader of standard error does not take them"
            );
        }
    }
}

/// Starts it for a process that forks: without a thread, so each message waits for its reader.
pub fn start_without_thread(verbose: u8) {
    let level = level(verbose);
    let logger = Plain(SimpleLogger::new().with_level(level));
    install(Box::new(logger), level);
}

fn install(logger: Box<dyn Log>, level: LevelFilter) {
    // It fails if another logger is installed: then that one stays.
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

/// Waits until everything said so far is written, but not long.
pub fn finish() {
    log::logger().flush();
}

/// Speaks and writes at once.
struct Plain(SimpleLogger);

impl Log for Plain {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // It panics when standard error is gone; see below.
        let _ = catch_unwind(AssertUnwindSafe(|| self.0.log(record)));
    }

    fn flush(&self) {}
}

/// The side that speaks; it never waits.
struct Queue {
    queue: SyncSender<Message>,
    /// Messages that found no room since the thread last looked.
    dropped: Arc<AtomicU64>,
}

enum Message {
    Say {
        level: Level,
        target: String,
        text: String,
    },
    /// Answer when everything before this is written.
    Flush(SyncSender<()>),
}

impl Log for Queue {
    // The level is looked at by the macros (the maximum) and by simple_logger.
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let message = Message::Say {
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
            let _ = is_written.recv_timeout(LAST_WORDS);
        }
    }
}

/// The side that writes, in a thread of its own.
struct Writer {
    logger: SimpleLogger,
    messages: Receiver<Message>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    fn run(self) {
        for message in &self.messages {
            match message {
                Message::Say {
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
                let text = format!("{dropped} messages were dropped: nobody read them in time");
                self.write(Level::Warn, module_path!(), &text);
            }
        }
    }

    /// simple_logger writes with `eprintln!`, which panics when standard error is gone. A server
    /// that nobody listens to goes on serving.
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
