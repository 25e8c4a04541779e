//! Takes one sample: starts a server, puts it under load, stops it, and judges the result.

use super::derive::{self, Metrics};
use super::judge::{self, Tally};
use super::process::{Server, generate};
use super::{RunContext, RunError};
use crate::bench::plan::{ArmSpec, MEMORY_STEP};
use crate::bench::types::{Behavior, Load, Outcome, Sample};
use crate::bench::workloads::{CellSpec, Workload};
use std::path::Path;
use std::time::Duration;

/// The measurement of a check before the run.
const CHECK: Duration = Duration::from_millis(20);

/// What to measure.
#[derive(Clone, Debug)]
pub struct SampleSpec {
    pub arm_spec: ArmSpec,
    pub workload: &'static Workload,
    pub cell_spec: CellSpec,
    /// Time under load before the measurement.
    pub warm_up: Duration,
    pub measure: Duration,
    /// Limit for the outstanding responses after it.
    pub drain: Duration,
    /// Time under load before the measurement of a memory step.
    pub step_warm_up: Duration,
    /// The capacity of the slowest arm, requests per second.
    pub slowest: f64,
}

/// Takes a sample, and returns it with its miscounts: how the counts of client and server differ,
/// as sentences. A failure makes it invalid; the only error is that the user has interrupted the
/// run.
pub fn take(
    context: &mut RunContext,
    spec: &SampleSpec,
) -> Result<(Sample, Vec<String>), RunError> {
    match attempt(context, spec) {
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

/// Starts the server, asks for the first page on one connection, and stops it.
pub fn check(context: &mut RunContext, mut spec: SampleSpec) -> Result<(), RunError> {
    (spec.warm_up, spec.measure) = (Duration::ZERO, CHECK);
    for group in &mut spec.cell_spec.groups {
        group.connections = 1;
    }
    let server = start(context, &spec, None)?;
    let address = server.address;
    let load = load(context, &spec, &server);
    let outcome = generate(context, &load)?;
    server.stop()?;
    for (group, seen) in load.groups.iter().zip(&outcome.groups) {
        if !seen.errors.is_empty() || seen.totals.responses == 0 {
            let path = group.page.as_ref().map_or("", |page| &page.path);
            return Err(RunError::Failed(format!(
                "GET {path} on {address}: {} responses were complete; {} (the server must serve \
                 the directory {{root}})",
                seen.totals.responses,
                judge::in_words(&seen.errors)
            )));
        }
    }
    Ok(())
}

fn attempt(context: &mut RunContext, spec: &SampleSpec) -> Result<(Sample, Vec<String>), RunError> {
    let tally = spec.arm_spec.model.is_some().then(|| context.file("tally"));
    let server = start(context, spec, tally.as_deref())?;
    let mut steps = Vec::new();
    for connections in &spec.cell_spec.memory_steps {
        let load = memory_step(context, spec, &server, *connections);
        steps.push((*connections, generate(context, &load)?));
    }
    let load = load(context, spec, &server);
    let at = context.seconds() + spec.warm_up.as_secs_f64();
    let outcome = generate(context, &load)?;
    let stopped = server.stop();
    let tally = tally.map(|path| read_tally(&path)).transpose();
    let mut metrics = derive::metrics(&load, &outcome, context.used_cpus());
    let connections = load.groups.first().map_or(0, |group| group.connections);
    add_slope(&mut metrics, &steps, (connections, &outcome));
    let judgement = judge::judge(
        &load,
        &add_totals(&outcome, &steps),
        &metrics,
        (spec.cell_spec.primary_metric, spec.workload.traits),
        tally.as_ref().ok().copied().flatten(),
    );
    let mut sample = Sample {
        at,
        limiter: derive::limiter(&load, &outcome, &metrics, context.cpus.is_some()),
        metrics,
        invalid: judgement.invalid,
        notes: judgement.notes,
        ..Sample::default()
    };
    sample.invalid.extend(stopped.err());
    sample.invalid.extend(tally.err());
    record(&mut sample, outcome);
    Ok((sample, judgement.miscounts))
}

/// Starts the server of an arm.
fn start(
    context: &mut RunContext,
    spec: &SampleSpec,
    tally: Option<&Path>,
) -> Result<Server, RunError> {
    let port = context.free_port()?;
    let root = context.root().display().to_string();
    let fill = |word: &String| {
        word.replace("{port}", &port.to_string())
            .replace("{root}", &root)
    };
    let Some(model) = &spec.arm_spec.model else {
        let words: Vec<String> = spec.arm_spec.arm.command.iter().map(fill).collect();
        return Server::start(context, &words, port, false);
    };
    let mut words = vec![context.program.display().to_string()];
    words.extend(["-q", "-b", "127.0.0.1", "--model", model, "-p"].map(str::to_owned));
    words.push(port.to_string());
    words.extend(spec.workload.options.iter().map(|word| (*word).to_owned()));
    // Some models have a lower default limit for connections.
    let connections = spec.cell_spec.connections().saturating_add(64);
    if connections > 400 {
        words.extend(["--max-connections".to_owned(), connections.to_string()]);
    }
    if let Some(path) = tally {
        words.extend(["--tally".to_owned(), path.display().to_string()]);
    }
    words.push(root);
    Server::start(context, &words, port, true)
}

fn load(context: &mut RunContext, spec: &SampleSpec, server: &Server) -> Load {
    let mut groups = spec.cell_spec.groups.clone();
    if let (Some(share), Some(group)) = (spec.cell_spec.share_of_slowest, groups.first_mut())
        && let Behavior::Open { rate, .. } = &mut group.behavior
    {
        *rate = share * spec.slowest;
    }
    Load {
        source: context.source(),
        server: Some(server.id()),
        cpu: context.cpus.map(|cpus| cpus.generator),
        seed: context.random.u64(..),
        warm_up: nanoseconds(spec.warm_up),
        drain: nanoseconds(spec.drain),
        groups,
        ..Load::new(server.address, nanoseconds(spec.measure))
    }
}

/// A short load with this many connections in the first group.
fn memory_step(
    context: &mut RunContext,
    spec: &SampleSpec,
    server: &Server,
    connections: u32,
) -> Load {
    let mut load = load(context, spec, server);
    load.warm_up = nanoseconds(spec.step_warm_up);
    load.measure = nanoseconds(MEMORY_STEP);
    if let Some(group) = load.groups.first_mut() {
        group.connections = connections;
    }
    load.groups.retain(|group| group.connections > 0);
    load
}

/// Adds the memory at each number of connections, and its slope.
fn add_slope(metrics: &mut Metrics, steps: &[(u32, Outcome)], last: (u32, &Outcome)) {
    if steps.is_empty() {
        return;
    }
    let steps = steps.iter().map(|(number, outcome)| (*number, outcome));
    let all = steps.chain([last]);
    let points = all.filter_map(|(number, outcome)| Some((number, derive::memory(outcome)?)));
    let points: Vec<(u32, f64)> = points.collect();
    for (number, memory) in &points {
        metrics.insert(format!("at_{number}.memory"), *memory);
    }
    if let Some(slope) = derive::slope(&points) {
        metrics.insert("memory_slope".to_owned(), slope);
    }
}

/// The outcome with the totals of the steps added: the server counts over its whole life.
fn add_totals(outcome: &Outcome, steps: &[(u32, Outcome)]) -> Outcome {
    let mut sum = outcome.clone();
    for seen in steps.iter().flat_map(|(_, outcome)| &outcome.groups) {
        let Some(same) = sum.groups.iter_mut().find(|one| one.name == seen.name) else {
            continue;
        };
        same.totals.requests += seen.totals.requests;
        same.totals.responses += seen.totals.responses;
        same.totals.body_bytes += seen.totals.body_bytes;
        same.totals.connections += seen.totals.connections;
        for (fault, number) in &seen.errors {
            *same.errors.entry(*fault).or_default() += number;
        }
    }
    sum
}

/// Adds the response times and errors of an outcome.
fn record(sample: &mut Sample, outcome: Outcome) {
    for (place, seen) in outcome.groups.into_iter().enumerate() {
        let prefix = derive::prefix(place, &seen.name);
        for (fault, number) in &seen.errors {
            let name = format!("{}.{}", seen.name, fault.name());
            sample.errors.insert(name, *number);
        }
        let times = (format!("{prefix}response"), seen.response_time);
        sample.histograms.extend([times]);
    }
    sample.histograms.retain(|_, text| !text.is_empty());
}

/// Reads the counts that the server has written.
fn read_tally(path: &Path) -> Result<Tally, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the tally of the server: {error}"))?;
    Tally::parse(&text)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
