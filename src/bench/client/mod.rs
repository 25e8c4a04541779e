//! The load generator: a process of its own, with its own event loop.
//!
//! - `event_loop`: the loop, its phases, and the measurement window
//! - `handlers`: what a connection does on an event or a timer
//! - `connection`: one connection; `group`: what the connections of a group share
//! - `parser`, `schedule`, `recorder`: without I/O: where a response ends, when a request is due,
//!   the statistics
//! - `stall`: stops the server for a while

mod connection;
mod event_loop;
mod group;
mod handlers;
pub(super) mod parser;
pub(super) mod recorder;
mod schedule;
mod stall;

use super::load::{Behavior, Group, Load, Outcome};
use super::platform;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::error::Error;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Limit for the bytes of a load.
const MAX_LOAD: u64 = 64 * 1024 * 1024;
/// Limit for the connections of all groups.
const MAX_CONNECTIONS: usize = 1_000_000;
/// Limit for the groups; each has its histograms.
const MAX_GROUPS: usize = 1000;
/// Limit for the outstanding requests of a connection.
const MAX_DEPTH: u32 = 1000;
/// Limit for the rate of an open loop, requests per second. A dropped request takes time, too: a
/// generator that is late because of it never catches up.
const MAX_RATE: f64 = 2e6;
/// Limit for warm-up, measurement and drain, ns: a day.
const MAX_TIME: u64 = 86_400_000_000_000;

/// Reads a load from standard input, runs it, and writes the outcome to standard output.
///
/// # Errors
/// The load is not valid; a system call of the poll fails.
pub fn generate() -> Result<ExitCode, Box<dyn Error>> {
    let mut text = String::new();
    io::stdin().take(MAX_LOAD).read_to_string(&mut text)?;
    let load = serde_json::from_str(&text).map_err(|error| {
        format!("not a load: {error} (expected JSON on standard input, see src/bench/load.rs)")
    })?;
    let outcome = run(&load)?;
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, &outcome)?;
    stdout.write_all(b"\n")?;
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn run(load: &Load) -> Result<Outcome, Box<dyn Error>> {
    check(load)?;
    let stop = Arc::new(AtomicBool::new(false));
    // Handled, so that a server that is stopped continues.
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let mut problems = Vec::new();
    if let Some(cpu) = load.cpu
        && let Err(error) = platform::pin_to(&[cpu])
    {
        problems.push(format!("cannot pin the generator to CPU {cpu}: {error}"));
    }
    let mut outcome = event_loop::EventLoop::new(load, stop)?.run()?;
    outcome.problems.extend(problems);
    Ok(outcome)
}

/// Whether a load is valid.
fn check(load: &Load) -> Result<(), String> {
    let connections: usize = load.groups.iter().map(|one| one.connections as usize).sum();
    if !(1..=MAX_CONNECTIONS).contains(&connections) {
        return Err(format!(
            "{connections} connections: must be 1 to {MAX_CONNECTIONS}"
        ));
    }
    if load.groups.len() > MAX_GROUPS {
        let groups = load.groups.len();
        return Err(format!("{groups} groups: must be at most {MAX_GROUPS}"));
    }
    if load.measure == 0 {
        return Err("the measurement must take longer than 0".to_owned());
    }
    let times = [load.warm_up, load.measure, load.drain];
    if times.iter().any(|time| *time > MAX_TIME) {
        return Err("warm-up, measurement and drain must each be at most a day".to_owned());
    }
    match (load.stall, load.server) {
        (Some(_), None) => return Err("a stall needs the process ID of the server".to_owned()),
        (Some((at, time)), _) if at.saturating_add(time) > load.measure => {
            return Err("the stall must end within the measurement".to_owned());
        }
        _ => {}
    }
    // 0 and negative numbers address process groups (kill(2)).
    let reserved = [1, std::process::id()];
    if let Some(server) = load.server
        && (reserved.contains(&server) || !i32::try_from(server).is_ok_and(|pid| pid > 0))
    {
        return Err(format!("process {server} cannot be a server"));
    }
    if let Some(source) = load.source
        && !connection::are_both_loopback(source, load.target.ip())
    {
        let target = load.target;
        return Err(format!(
            "source {source} and target {target} must both be loopback addresses"
        ));
    }
    load.groups.iter().try_for_each(check_group)
}

fn check_group(group: &Group) -> Result<(), String> {
    let name = &group.name;
    let (rate, max_rate, has_requests) = match group.behavior {
        Behavior::Closed { depth } if !(1..=MAX_DEPTH).contains(&depth) => {
            return Err(format!("{name}: depth {depth}: must be 1 to {MAX_DEPTH}"));
        }
        Behavior::Short { resets, .. } if resets > 100 => {
            return Err(format!("{name}: {resets} % resets: must be at most 100"));
        }
        Behavior::Closed { .. } | Behavior::Short { .. } => (1.0, 1.0, true),
        Behavior::Open { rate, .. } => (rate, MAX_RATE, true),
        Behavior::SlowRead { rate, .. } => (rate, 1e9, true),
        Behavior::Drip { rate } => (rate, 1e9, false),
        Behavior::Silent => (1.0, 1.0, false),
    };
    if !(rate > 1e-3 && rate <= max_rate) {
        return Err(format!(
            "{name}: rate {rate}: must be above 0.001 and at most {max_rate}"
        ));
    }
    if has_requests && group.pages.is_empty() {
        return Err(format!("{name}: there is no page to request"));
    }
    match group.pages.iter().find(|page| !is_target(&page.path)) {
        Some(page) => Err(format!("{:?} cannot be in a request line", page.path)),
        None => Ok(()),
    }
}

/// Whether the path can be in a request line as it is.
fn is_target(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())
}
