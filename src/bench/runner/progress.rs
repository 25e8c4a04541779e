//! Room `bench`: how far is it, and what is being done? On standard error: a bar if that is a
//! terminal, else a line now and then.

use super::run_context::RunContext;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Seconds between two lines where there is no terminal.
const BETWEEN: f64 = 15.0;

/// How far it is. Its unit is the thousandth of a second of the estimate.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    whole: Duration,
    done: Duration,
    said: f64,
}

impl Progress {
    /// Of something that takes about so long.
    pub fn new(whole: Duration) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| bar(whole));
        Self {
            bar,
            whole,
            done: Duration::ZERO,
            said: -BETWEEN,
        }
    }

    /// Says what is being done now.
    pub fn at(&mut self, lab: &RunContext, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None if lab.seconds() - self.said >= BETWEEN => {
                self.said = lab.seconds();
                say(&format!("{:3.0} %  {what}", self.percent()));
            }
            None => {}
        }
    }

    /// What was being done is done; it was reckoned to take so long.
    pub fn done(&mut self, cost: Duration) {
        self.done += cost;
        if let Some(bar) = &self.bar {
            bar.set_position(milliseconds(self.done));
        }
    }

    /// Says something that stays.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn percent(&self) -> f64 {
        100.0 * self.done.as_secs_f64() / self.whole.as_secs_f64().max(1e-3)
    }
}

fn bar(whole: Duration) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(
        Some(milliseconds(whole)),
        // Drawing takes the generator's processor: a few times a second must do.
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
    // With nobody left to read it there is nothing more to do.
    let _ = writeln!(std::io::stderr(), "{text}");
}
