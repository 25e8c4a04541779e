//! Progress on standard error: a bar if it is a terminal, otherwise a line now and then.

use super::context::RunContext;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Seconds between two lines without a terminal.
const LINE_INTERVAL: f64 = 15.0;

/// The progress, in time of the estimate.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    total: Duration,
    done: Duration,
    last_line: f64,
}

impl Progress {
    /// Of a run with this estimate.
    pub fn new(total: Duration) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| bar(total));
        Self {
            bar,
            total,
            done: Duration::ZERO,
            last_line: -LINE_INTERVAL,
        }
    }

    /// Shows the current step.
    pub fn show(&mut self, context: &RunContext, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None if context.seconds() - self.last_line >= LINE_INTERVAL => {
                self.last_line = context.seconds();
                say(&format!("{:3.0} %  {what}", self.percent()));
            }
            None => {}
        }
    }

    /// Adds a finished step, with its estimate.
    pub fn done(&mut self, cost: Duration) {
        self.done += cost;
        if let Some(bar) = &self.bar {
            bar.set_position(milliseconds(self.done));
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn percent(&self) -> f64 {
        100.0 * self.done.as_secs_f64() / self.total.as_secs_f64().max(1e-3)
    }
}

fn bar(total: Duration) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(
        Some(milliseconds(total)),
        // Drawing uses the CPU of the generator.
        ProgressDrawTarget::stderr_with_hz(4),
    );
    if let Ok(style) =
        ProgressStyle::with_template("{bar:28} {percent:>3} %  {eta} left  {wide_msg}")
    {
        bar.set_style(style);
    }
    bar
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Writes a line to standard error.
pub fn say(text: &str) {
    // A closed standard error is not an error of the run.
    let _ = writeln!(std::io::stderr(), "{text}");
}
