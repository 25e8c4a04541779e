//! The load generator: a process of its own, with its own event loop.
//!
//! - `event_loop`: the loop, its phases, and the measurement window
//! - `io`: what a connection does on an event or a timer
//! - `connection`: one connection, and what those of a group share
//! - `parser`, `recorder`: without I/O: where a response ends; when a request is due, and the
//!   statistics

mod connection;
mod event_loop;
mod io;
mod parser;
pub(super) mod recorder;
mod tls;

use super::platform;
use super::types::{Behavior, Group, Load, Outcome};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::error::Error;
use std::io::{Read, Write, stdin, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Limit for the connections of all groups.
const MAX_CONNECTIONS: usize = 1_000_000;
/// Limit for the rate of an open loop, requests per second. A dropped request takes time, too: a
/// generator that is late because of it never catches up.
const MAX_RATE: f64 = 2e6;
/// Limit for warm-up, measurement and drain, ns: a day.
const MAX_TIME: u64 = 86_400_000_000_000;

/// Reads a load from standard input, runs it, and writes the outcome to standard output.
pub fn generate() -> Result<ExitCode, Box<dyn Error>> {
    let mut text = String::new();
    stdin().read_to_string(&mut text)?;
    let load = serde_json::from_str(&text).map_err(|error| {
        format!("not a load: {error} (expected JSON on standard input, see src/bench/types.rs)")
    })?;
    let outcome = run(&load, false)?;
    let mut stdout = stdout().lock();
    serde_json::to_writer(&mut stdout, &outcome)?;
    stdout.write_all(b"\n")?;
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a load; with `is_live`, a line on the terminal shows its progress.
pub fn run(load: &Load, is_live: bool) -> Result<Outcome, Box<dyn Error>> {
    check(load)?;
    let stop = Arc::new(AtomicBool::new(false));
    // The load then ends, and there is an outcome.
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let mut problems = Vec::new();
    if let Some(cpu) = load.cpu
        && let Err(error) = platform::pin_to(&[cpu])
    {
        problems.push(format!("cannot pin the generator to CPU {cpu}: {error}"));
    }
    let mut outcome = event_loop::EventLoop::new(load, stop, is_live)?.run()?;
    outcome.problems.extend(problems);
    Ok(outcome)
}

/// Whether a load is valid.
pub fn check(load: &Load) -> Result<(), String> {
    let tls = load.http.as_ref().and_then(|http| http.tls.as_ref());
    tls.map(tls::config).transpose()?;
    let connections: usize = load.groups.iter().map(|one| one.connections as usize).sum();
    let longest = load.warm_up.max(load.measure).max(load.drain);
    let rules = [
        (
            (1..=MAX_CONNECTIONS).contains(&connections),
            "there must be 1 to 1000000 connections",
        ),
        (load.measure > 0, "the measurement must take longer than 0"),
        (
            longest <= MAX_TIME,
            "warm-up, measurement and drain must each be at most a day",
        ),
    ];
    let of_groups = load.groups.iter().flat_map(rules_of);
    match rules.into_iter().chain(of_groups).find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(rule.to_owned()),
        None => Ok(()),
    }
}

fn rules_of(group: &Group) -> [(bool, &'static str); 3] {
    let (rate, max_rate) = match group.behavior {
        Behavior::Open { rate, .. } => (rate, MAX_RATE),
        Behavior::SlowRead { rate, .. } => (rate, 1e9),
        Behavior::Closed | Behavior::Short { .. } | Behavior::Silent => (1.0, 1.0),
    };
    let is_mute = group.behavior == Behavior::Silent;
    let is_target =
        |path: &str| path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    [
        (
            rate > 1e-3 && rate <= max_rate,
            "the rate must be above 0.001 and at most 2e6",
        ),
        (
            is_mute || !group.pages.is_empty(),
            "there is no page to request",
        ),
        (
            group.pages.iter().all(|page| is_target(&page.path)),
            "a path cannot be in a request line",
        ),
    ]
}
