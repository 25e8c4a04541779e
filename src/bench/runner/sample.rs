//! Takes one sample: starts a server, puts it under load, stops it, and judges the result.

use super::judge::{self, Tally};
use super::process::{Process, generate, serve};
use super::{RunContext, RunError};
use crate::bench::metrics;
use crate::bench::plan::ArmSpec;
use crate::bench::types::{Load, Outcome, Sample};
use crate::bench::workloads::CellSpec;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// The measurement of a check before the run, and of a process without the first group of its load,
/// in seconds.
const SHORT: f64 = 0.05;
/// The longest wait for outstanding responses, in seconds; and if some clients may never get one.
const DRAIN: f64 = 2.0;
const SHORT_DRAIN: f64 = 0.3;

/// Takes a sample with this warm-up and measurement (in seconds), and returns it with its
/// miscounts: how the counts of client and server differ, as sentences. A failure makes it invalid;
/// the only error is that the user has interrupted the run.
pub fn take(
    context: &mut RunContext,
    arm: &ArmSpec,
    cell: &CellSpec,
    times: (f64, f64),
) -> Result<(Sample, Vec<String>), RunError> {
    match attempt(context, arm, cell, times) {
        Err(RunError::Failed(reason)) => {
            let sample = Sample {
                invalid: vec![reason],
                ..Sample::default()
            };
            Ok((sample, Vec::new()))
        }
        taken => taken,
    }
}

/// Starts the server, asks for the small page on one connection, and stops it.
pub fn check(context: &mut RunContext, arm: &ArmSpec, cell: &CellSpec) -> Result<(), RunError> {
    let cell = cell.probe(1);
    let (server, address) = start(context, arm, &cell, None)?;
    let load = load(context, &cell, (0.0, SHORT), (&server, address));
    let outcome = generate(context, &load)?;
    server.stop(arm.model.is_some())?;
    for seen in &outcome.groups {
        let responses = seen.totals.responses;
        if !seen.errors.is_empty() || responses == 0 {
            return Err(RunError::Failed(format!(
                "{address} does not serve the directory {{root}}: of the requests for a page of \
                 it {responses} had a complete response; {}",
                judge::in_words(&seen.errors)
            )));
        }
    }
    Ok(())
}

fn attempt(
    context: &mut RunContext,
    arm: &ArmSpec,
    cell: &CellSpec,
    times: (f64, f64),
) -> Result<(Sample, Vec<String>), RunError> {
    let tally = arm.model.map(|_| context.file());
    let (server, address) = start(context, arm, cell, tally.as_deref())?;
    let whole = load(context, cell, times, (&server, address));
    let mut loads: Vec<(Load, Outcome)> = Vec::new();
    if cell.has_base() {
        let base = Load {
            measure: nanoseconds(SHORT),
            groups: whole.groups.iter().skip(1).cloned().collect(),
            ..whole.clone()
        };
        let outcome = generate(context, &base)?;
        loads.push((base, outcome));
    }
    let at = context.seconds() + times.0;
    let outcome = generate(context, &whole)?;
    let stopped = server.stop(arm.model.is_some());
    let mut metrics = metrics::of_outcome(&whole, &outcome, context.used_cpus());
    let limiter = metrics::limiter(&whole, &outcome, &metrics);
    let mut histograms = BTreeMap::new();
    for (place, seen) in outcome.groups.iter().enumerate() {
        if !seen.response_time.is_empty() {
            let name = metrics::prefix(place, &seen.name) + "response";
            histograms.insert(name, seen.response_time.clone());
        }
    }
    loads.push((whole, outcome));
    let slope = metrics::memory_slope(&loads);
    metrics.extend(slope.map(|slope| ("memory_slope".to_owned(), slope)));
    let mut invalid = judge::judge(cell, &loads, &metrics);
    let mut miscounts = Vec::new();
    if let Some(path) = tally {
        match read_tally(&path) {
            Ok(tally) => miscounts = judge::miscounts(cell.workload, &loads, tally),
            Err(why) => invalid.push(why),
        }
    }
    invalid.extend(miscounts.iter().cloned());
    invalid.extend(stopped.err());
    let sample = Sample {
        at,
        metrics,
        histograms,
        limiter,
        invalid,
        ..Sample::default()
    };
    Ok((sample, miscounts))
}

/// Starts the server of an arm.
fn start(
    context: &RunContext,
    arm: &ArmSpec,
    cell: &CellSpec,
    tally: Option<&Path>,
) -> Result<(Process, SocketAddr), RunError> {
    let port = RunContext::free_port()?;
    let root = context.root().display().to_string();
    let fill = |word: &String| {
        word.replace("{port}", &port.to_string())
            .replace("{root}", &root)
    };
    let mut words: Vec<String> = arm.arm.command.iter().map(fill).collect();
    if let (Some(program), Some(_)) = (words.first_mut(), arm.model) {
        program.clone_from(&context.program);
        words.extend(cell.workload.options.iter().map(|word| (*word).to_owned()));
        // Some models have a lower default limit for connections.
        let connections = cell.connections().saturating_add(64);
        if connections > 400 {
            words.extend(["--max-connections".to_owned(), connections.to_string()]);
        }
    }
    if let Some(path) = tally {
        words.extend(["--tally".to_owned(), path.display().to_string()]);
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Ok((serve(context, &words, address)?, address))
}

fn load(
    context: &mut RunContext,
    cell: &CellSpec,
    (warm_up, measure): (f64, f64),
    (server, address): (&Process, SocketAddr),
) -> Load {
    let drain = match cell.workload.may_starve {
        true => SHORT_DRAIN,
        false => DRAIN,
    };
    Load {
        source: RunContext::source(),
        server: Some(server.id()),
        cpu: context.cpus.map(|cpus| cpus.generator),
        seed: context.random.u64(..),
        warm_up: nanoseconds(warm_up),
        drain: nanoseconds(drain),
        groups: cell.groups.clone(),
        ..Load::new(address, nanoseconds(measure))
    }
}

/// Reads the counts that the server has written.
fn read_tally(path: &Path) -> Result<Tally, String> {
    let text = std::fs::read_to_string(path);
    Tally::parse(&text.map_err(|error| format!("cannot read the tally of the server: {error}"))?)
}

fn nanoseconds(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds).as_nanos()).unwrap_or(u64::MAX)
}
