//! Takes one sample: starts a server, puts it under load, stops it, and judges the result.

use super::context::{RunContext, RunError};
use super::derive::{self, Metrics};
use super::process::Server;
use super::process::generate;
use super::validity::{self, Tally};
use crate::bench::arms::{ArmSpec, Start};
use crate::bench::load::{Behavior, Load, Outcome, Page};
use crate::bench::plan::MEMORY_STEP;
use crate::bench::platform;
use crate::bench::record::Sample;
use crate::bench::workloads::{CellSpec, RateSource, Workload, pages};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to measure.
#[derive(Clone, Debug)]
pub struct SampleSpec {
    /// The arm.
    pub arm_spec: ArmSpec,
    /// The workload.
    pub workload: &'static Workload,
    /// The cell of the workload.
    pub cell_spec: CellSpec,
    /// Time under load before the measurement.
    pub warm_up: Duration,
    /// Length of the measurement.
    pub measure: Duration,
    /// Limit for the outstanding responses after it.
    pub drain: Duration,
    /// Time under load before the measurement of a level.
    pub level: Duration,
    /// The capacity of the slowest arm, and of this one, requests per second.
    pub capacity: (f64, f64),
}

/// A sample, and its miscounts.
#[derive(Debug, Default)]
pub struct Taken {
    /// The sample.
    pub sample: Sample,
    /// How the counts of client and server differ, as sentences.
    pub miscounts: Vec<String>,
}

/// Takes a sample. A failure makes it invalid.
///
/// # Errors
/// The user has interrupted the run.
pub fn take(context: &mut RunContext, spec: &SampleSpec) -> Result<Taken, RunError> {
    let mut taken = Taken::default();
    match attempt(context, spec, &mut taken) {
        Ok(()) => {}
        Err(RunError::Failed(reason)) => taken.sample.invalid.push(reason),
        Err(RunError::Interrupted) => return Err(RunError::Interrupted),
    }
    Ok(taken)
}

fn attempt(context: &mut RunContext, spec: &SampleSpec, taken: &mut Taken) -> Result<(), RunError> {
    let tally = matches!(spec.arm_spec.start, Start::Model(_)).then(|| context.file("tally"));
    let server = start(context, spec, tally.as_deref(), &[])?;
    let address = address(spec, server.as_ref());
    let process = server.as_ref().map(Server::id);
    let mut levels = Vec::new();
    for connections in &spec.cell_spec.memory_steps {
        let load = level(context, spec, address, process, *connections);
        let outcome = generate(context, &load, || {})?;
        levels.push((*connections, outcome));
    }
    let load = load(context, spec, address, process);
    let before = process
        .filter(|_| spec.workload.traits.counts_descriptors)
        .map(descriptors);
    let cold = if spec.workload.traits.cold_cache {
        Cold::of(context)?
    } else {
        Cold::default()
    };
    taken.sample.at = context.seconds() + spec.warm_up.as_secs_f64();
    let outcome = generate(context, &load, || cold.drop_cached())?;
    let mut metrics = derive::metrics(&load, &outcome, context.cpu_count);
    if let (Some(process), Some(before)) = (process, before) {
        let leaked = leaked_descriptors(context, process, before)?;
        metrics.insert("leaked_descriptors".to_owned(), leaked);
    }
    let connections = load.groups.first().map_or(0, |group| group.connections);
    add_slope(&mut metrics, &levels, (connections, &outcome));
    if let (Some(stall), Some(seen)) = (load.stall, outcome.groups.first())
        && let Some(time) = derive::recovery(seen, stall)
    {
        metrics.insert("recovery".to_owned(), time);
    }
    let stopped = server.map_or(Ok(()), |server| server.stop(context));
    let tally = tally.map(|path| read_tally(&path)).transpose();
    let traits = spec.workload.traits;
    let all = add_totals(&outcome, &levels);
    let counted = tally.as_ref().ok().copied().flatten();
    let compared = (spec.cell_spec.primary_metric, traits);
    let judgement = validity::judge(&load, &all, &metrics, compared, counted);
    let sample = &mut taken.sample;
    sample.limiter = derive::limiter(&load, &metrics, context.cpus.is_some());
    sample.invalid.extend(stopped.err());
    sample.invalid.extend(tally.err());
    sample.invalid.extend(judgement.invalid);
    sample.notes.extend(judgement.notes);
    taken.miscounts = judgement.miscounts;
    sample.metrics = metrics;
    record(sample, outcome);
    Ok(())
}

/// Starts the server of an arm, unless it is already running. `wrapper` is the command under which
/// it runs.
///
/// # Errors
/// It does not start.
pub fn start(
    context: &mut RunContext,
    spec: &SampleSpec,
    tally: Option<&Path>,
    wrapper: &[String],
) -> Result<Option<Server>, RunError> {
    let port = context.free_port()?;
    let root = context.root().display().to_string();
    let mut words = wrapper.to_vec();
    match &spec.arm_spec.start {
        Start::Running(_) => return Ok(None),
        Start::Command(command) => words.extend(command.iter().map(|word| {
            word.replace("{port}", &port.to_string())
                .replace("{root}", &root)
        })),
        Start::Model(name) => {
            words.push(context.program.display().to_string());
            words.extend(model_options(spec, name));
            words.extend(["-p".to_owned(), port.to_string()]);
            if let Some(path) = tally {
                words.extend(["--tally".to_owned(), path.display().to_string()]);
            }
            words.push(root);
        }
    }
    let is_model = matches!(spec.arm_spec.start, Start::Model(_));
    Ok(Some(Server::start(context, &words, port, is_model)?))
}

/// The options of a model, without port and root.
fn model_options(spec: &SampleSpec, name: &str) -> Vec<String> {
    let mut words: Vec<String> = ["-q", "-b", "127.0.0.1", "--model", name]
        .map(str::to_owned)
        .to_vec();
    words.extend(spec.workload.options.iter().map(|word| (*word).to_owned()));
    // Some models have a lower default limit for connections.
    let connections = spec.cell_spec.connections().saturating_add(64);
    if connections > 400 {
        words.extend(["--max-connections".to_owned(), connections.to_string()]);
    }
    words
}

/// The address of the server.
pub fn address(spec: &SampleSpec, server: Option<&Server>) -> SocketAddr {
    match (&spec.arm_spec.start, server) {
        (Start::Running(url), _) => url.address,
        (_, Some(server)) => server.address,
        (_, None) => SocketAddr::from(([127, 0, 0, 1], 0)),
    }
}

/// The load on a server at that address.
pub fn load(
    context: &mut RunContext,
    spec: &SampleSpec,
    target: SocketAddr,
    server: Option<u32>,
) -> Load {
    let mut cell_spec = spec.cell_spec.clone();
    if let Start::Running(url) = &spec.arm_spec.start {
        cell_spec = cell_spec.asking_for(&Page {
            path: url.path.clone(),
            status: 200,
            length: None,
            hash: None,
        });
    }
    let (slowest, own) = spec.capacity;
    let rate = match cell_spec.rate_source {
        RateSource::Fixed => None,
        RateSource::ShareOfSlowest(part) => Some(part * slowest),
        RateSource::ShareOfOwn(part) => Some(part * own),
    };
    if let (Some(rate), Some(group)) = (rate, cell_spec.groups.first_mut())
        && let Behavior::Open { rate: of_group, .. } = &mut group.behavior
    {
        *of_group = rate;
    }
    let measure = nanoseconds(spec.measure);
    let stall = cell_spec.stall.map(|(part, time)| {
        // At a boundary of the buckets of the time series.
        let at = (spec.measure.as_secs_f64() * part * 10.0).round() / 10.0;
        (nanoseconds(Duration::from_secs_f64(at)), time)
    });
    Load {
        target,
        source: context
            .source()
            .filter(|_| target.ip().is_loopback() && target.is_ipv4()),
        server,
        cpu: context.cpus.map(|cpus| cpus.generator),
        seed: context.random.u64(..),
        warm_up: nanoseconds(spec.warm_up),
        measure,
        drain: nanoseconds(spec.drain),
        stall,
        groups: cell_spec.groups,
    }
}

/// A short load with this many connections in the first group.
fn level(
    context: &mut RunContext,
    spec: &SampleSpec,
    target: SocketAddr,
    server: Option<u32>,
    connections: u32,
) -> Load {
    let mut load = load(context, spec, target, server);
    load.warm_up = nanoseconds(spec.level);
    load.measure = nanoseconds(MEMORY_STEP);
    if let Some(group) = load.groups.first_mut() {
        group.connections = connections;
    }
    load.groups.retain(|group| group.connections > 0);
    load
}

fn add_slope(metrics: &mut Metrics, levels: &[(u32, Outcome)], last: (u32, &Outcome)) {
    if levels.is_empty() {
        return;
    }
    let all = levels.iter().map(|(number, outcome)| (*number, outcome));
    let points: Vec<(u32, f64)> = all
        .chain([last])
        .filter_map(|(number, outcome)| Some((number, derive::memory(outcome)?)))
        .collect();
    for (number, memory) in &points {
        metrics.insert(format!("at_{number}.memory"), *memory);
    }
    if let Some(slope) = derive::slope(&points) {
        metrics.insert("memory_slope".to_owned(), slope);
    }
}

/// The outcome with the totals of the levels added: the server counts over its whole life.
fn add_totals(outcome: &Outcome, levels: &[(u32, Outcome)]) -> Outcome {
    let mut sum = outcome.clone();
    for seen in levels.iter().flat_map(|(_, outcome)| &outcome.groups) {
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

fn record(sample: &mut Sample, outcome: Outcome) {
    for (place, seen) in outcome.groups.into_iter().enumerate() {
        let prefix = match place {
            0 => String::new(),
            _ => format!("{}.", seen.name),
        };
        let histograms = [
            ("response", seen.response_time),
            ("service", seen.service_time),
            ("first_byte", seen.first_byte),
        ];
        for (name, text) in histograms {
            if !text.is_empty() {
                sample.histograms.insert(format!("{prefix}{name}"), text);
            }
        }
        for (fault, number) in &seen.errors {
            let kind = serde_json::to_value(fault).ok();
            let kind = kind
                .as_ref()
                .and_then(|kind| kind.as_str())
                .unwrap_or("other");
            sample
                .errors
                .insert(format!("{}.{kind}", seen.name), *number);
        }
        if !seen.time_series.is_empty() {
            sample.time_series.insert(seen.name, seen.time_series);
        }
    }
    if !outcome.send_lag.is_empty() {
        sample
            .histograms
            .insert("send_lag".to_owned(), outcome.send_lag);
    }
}

/// Reads the counts that the server has written.
fn read_tally(path: &Path) -> Result<Tally, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the tally of the server: {error}"))?;
    Tally::parse(&text)
}

/// The number of open descriptors of a process; 0 without /proc.
fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

/// How many more descriptors are open than before. The process gets a second to close them.
fn leaked_descriptors(context: &RunContext, process: u32, before: usize) -> Result<f64, RunError> {
    let more = || descriptors(process).saturating_sub(before);
    for _ in 0..100 {
        if more() == 0 {
            break;
        }
        context.sleep(Duration::from_millis(10))?;
    }
    Ok(f64::from(u32::try_from(more()).unwrap_or(u32::MAX)))
}

/// Files whose cached pages are dropped again and again.
#[derive(Default)]
struct Cold {
    files: Vec<File>,
}

impl Cold {
    fn of(context: &RunContext) -> Result<Self, RunError> {
        let paths: Vec<PathBuf> = pages::cold()
            .iter()
            .map(|page| context.root().join(page.path.trim_start_matches('/')))
            .collect();
        let files = paths.iter().map(File::open).collect::<Result<_, _>>();
        let cold = Self {
            files: files.map_err(|error| format!("cannot open a cold file: {error}"))?,
        };
        cold.drop_cached();
        Ok(cold)
    }

    fn drop_cached(&self) {
        for file in &self.files {
            // Pages that are being sent stay until the next time.
            let _ = platform::drop_cached(file);
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
