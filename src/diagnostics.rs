//! What the server says about itself: log and simple_logger, on standard error.

use log::{LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Starts it: warnings and errors, with `verbose` 1 what happens, with 2 each step of it.
pub fn start(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    let logger = Unstoppable(SimpleLogger::new().with_level(level));
    // It fails only if somebody else has started one: then that one speaks.
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(level);
    }
}

/// simple_logger writes with `eprintln!`, which panics when standard error is gone. A server
/// that nobody listens to goes on serving.
struct Unstoppable(SimpleLogger);

impl Log for Unstoppable {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let _ = catch_unwind(AssertUnwindSafe(|| self.0.log(record)));
    }

    fn flush(&self) {}
}
