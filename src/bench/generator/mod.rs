//! Room `bench`: who puts the server under load? A process of its own, with a loop of its own.
//!
//! - `play`: the loop. `talk`: what a connection does when something has come, or is due
//! - `line`: one connection. `squad`: what those of a group share
//! - `slow`: those who send or read slowly on purpose
//! - `reply`, `schedule`, `tally`: what is known without any I/O: where an answer ends, when a
//!   request is due, what has been seen
//! - `stall`: the server is stopped for a while

mod line;
mod play;
mod reply;
mod schedule;
mod slow;
mod squad;
mod stall;
mod talk;
mod tally;

use super::load::{Conduct, Load, Outcome};
use super::platform;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::error::Error;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Bytes of a load that are read at most.
const LONGEST_LOAD: u64 = 64 * 1024 * 1024;
/// Connections at most.
const MOST: usize = 1_000_000;

/// Reads a load from standard input, plays it, and writes what came of it to standard output.
///
/// # Errors
/// The load is none, or makes no sense; the system refuses a poll.
pub fn generate() -> Result<ExitCode, Box<dyn Error>> {
    let mut text = String::new();
    io::stdin().take(LONGEST_LOAD).read_to_string(&mut text)?;
    let load = serde_json::from_str(&text).map_err(|error| {
        format!("this is no load: {error} (a load is JSON on standard input, src/bench/load.rs)")
    })?;
    let outcome = play(&load)?;
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, &outcome)?;
    stdout.write_all(b"\n")?;
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn play(load: &Load) -> Result<Outcome, Box<dyn Error>> {
    check(load)?;
    let stopped = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stopped.clone())?;
    }
    let mut problems = Vec::new();
    if let Some(processor) = load.processor
        && let Err(error) = platform::stay_on(&[processor])
    {
        problems.push(format!("cannot stay on processor {processor}: {error}"));
    }
    let mut outcome = play::Play::new(load, stopped)?.play()?;
    outcome.problems.extend(problems);
    Ok(outcome)
}

/// Whether a load makes sense.
fn check(load: &Load) -> Result<(), String> {
    let connections: usize = load.groups.iter().map(|one| one.connections as usize).sum();
    if connections == 0 || connections > MOST {
        return Err(format!(
            "{connections} connections: 1 to {MOST} are possible"
        ));
    }
    if load.measure == 0 {
        return Err("nothing is measured in no time".to_owned());
    }
    if let Some(source) = load.source
        && !line::are_both_loopback(source, load.target.ip())
    {
        return Err(format!(
            "{source} and {} are not both loopback addresses",
            load.target
        ));
    }
    for group in &load.groups {
        let (rate, asks) = match group.conduct {
            Conduct::Closed { depth: 0 } => return Err(format!("{}: a depth of 0", group.name)),
            Conduct::Closed { .. } | Conduct::Short { .. } => (1.0, true),
            Conduct::Open { rate, .. } | Conduct::SlowRead { rate, .. } => (rate, true),
            Conduct::Drip { rate } => (rate, false),
            Conduct::Silent => (1.0, false),
        };
        if !(rate > 1e-3 && rate < 1e9) {
            return Err(format!("{}: {rate} a second is no rate", group.name));
        }
        if asks && group.pages.is_empty() {
            return Err(format!("{}: no page to ask for", group.name));
        }
        let bad = group.pages.iter().find(|page| !is_target(&page.path));
        if let Some(page) = bad {
            return Err(format!("{:?} is no path for a request line", page.path));
        }
    }
    Ok(())
}

/// Whether it can stand in a request line as it is.
fn is_target(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())
}
