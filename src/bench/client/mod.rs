//! Room `bench`: who puts the server under load? A process of its own, with a loop of its own.
//!
//! - `play`: the loop. `talk`: what a connection does when something has come, or is due
//! - `window`: where the measurement begins and ends
//! - `line`: one connection. `client_group`: what those of a group share
//! - `slow`: those who send or read slowly on purpose
//! - `reply`, `schedule`, `tally`: what is known without any I/O: where an answer ends, when a
//!   request is due, what has been seen
//! - `stall`: the server is stopped for a while

mod connection;
mod event_loop;
mod group;
mod handlers;
mod parser;
mod recorder;
mod schedule;
mod slow;
mod stall;
mod window;

use super::load::{Behavior, Group, Load, Outcome};
use super::platform;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::error::Error;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Bytes of a load that are read at most.
const LONGEST_LOAD: u64 = 64 * 1024 * 1024;
/// Connections at most.
const MOST: usize = 1_000_000;
/// Groups at most; each has its histograms.
const MOST_GROUPS: usize = 1000;
/// Requests on their way at once on a connection at most.
const DEEPEST: u32 = 1000;
/// Requests a second of an open loop at most: each takes some time even if it is only dropped, and
/// who falls behind by that would never catch up.
const FASTEST: f64 = 2e6;
/// The longest warm-up, measurement and drain, ns: a day.
const LONGEST: u64 = 86_400_000_000_000;

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
    // Whichever it is: a server that it has stopped must go on.
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, stopped.clone())?;
    }
    let mut problems = Vec::new();
    if let Some(processor) = load.processor
        && let Err(error) = platform::stay_on(&[processor])
    {
        problems.push(format!("cannot stay on processor {processor}: {error}"));
    }
    let mut outcome = event_loop::Play::new(load, stopped)?.play()?;
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
    if load.groups.len() > MOST_GROUPS {
        return Err(format!(
            "{} groups: at most {MOST_GROUPS} are possible",
            load.groups.len()
        ));
    }
    if load.measure == 0 {
        return Err("nothing is measured in no time".to_owned());
    }
    if [load.warm_up, load.measure, load.drain]
        .iter()
        .any(|time| *time > LONGEST)
    {
        return Err("warm-up, measurement and drain may take a day each, not more".to_owned());
    }
    match (load.stall, load.server) {
        (Some(_), None) => return Err("a stall, and no process to stop".to_owned()),
        (Some((at, time)), _) if at.saturating_add(time) > load.measure => {
            return Err("the stall does not end within the measurement".to_owned());
        }
        _ => {}
    }
    // 0 and negative numbers are whole groups of processes (kill(2)).
    let own = [1, std::process::id()];
    if let Some(server) = load.server
        && (own.contains(&server) || !i32::try_from(server).is_ok_and(|pid| pid > 0))
    {
        return Err(format!("process {server} is no server to measure"));
    }
    if let Some(source) = load.source
        && !connection::are_both_loopback(source, load.target.ip())
    {
        return Err(format!(
            "{source} and {} are not both loopback addresses",
            load.target
        ));
    }
    load.groups.iter().try_for_each(check_group)
}

fn check_group(group: &Group) -> Result<(), String> {
    let name = &group.name;
    let (rate, fastest, asks) = match group.behavior {
        Behavior::Closed { depth } if !(1..=DEEPEST).contains(&depth) => {
            return Err(format!(
                "{name}: a depth of {depth}: 1 to {DEEPEST} are possible"
            ));
        }
        Behavior::Short { resets, .. } if resets > 100 => {
            return Err(format!("{name}: {resets} of a hundred are too many"));
        }
        Behavior::Closed { .. } | Behavior::Short { .. } => (1.0, 1.0, true),
        Behavior::Open { rate, .. } => (rate, FASTEST, true),
        Behavior::SlowRead { rate, .. } => (rate, 1e9, true),
        Behavior::Drip { rate } => (rate, 1e9, false),
        Behavior::Silent => (1.0, 1.0, false),
    };
    if !(rate > 1e-3 && rate <= fastest) {
        return Err(format!("{name}: {rate} a second is no rate"));
    }
    if asks && group.pages.is_empty() {
        return Err(format!("{name}: no page to ask for"));
    }
    match group.pages.iter().find(|page| !is_target(&page.path)) {
        Some(page) => Err(format!("{:?} is no path for a request line", page.path)),
        None => Ok(()),
    }
}

/// Whether it can stand in a request line as it is.
fn is_target(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())
}
