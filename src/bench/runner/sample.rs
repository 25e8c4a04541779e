//! Room `bench`: how is one sample taken? A fresh server, a load, the end, and what was counted.

use super::derive::{self, Metrics};
use super::generate::play;
use super::process::Server;
use super::run_context::{RunContext, Trouble};
use super::validity::{self, Tally};
use crate::bench::arms::{ArmSpec, Start};
use crate::bench::load::{Behavior, Load, Outcome, Page};
use crate::bench::plan::LEVEL;
use crate::bench::platform;
use crate::bench::record::Sample;
use crate::bench::workloads::{CellSpec, RateSource, Workload, pages};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Of whom.
    pub arm_spec: &'a ArmSpec,
    /// Under which load.
    pub workload: &'a Workload,
    /// In which cell.
    pub cell_spec: &'a CellSpec,
    /// Before the measurement.
    pub warm_up: Duration,
    /// The measurement.
    pub measure: Duration,
    /// After it.
    pub drain: Duration,
    /// Before the measurement of a level.
    pub level: Duration,
    /// What the slowest of all can do, and the server itself, requests a second.
    pub capacity: (f64, f64),
}

/// A sample, and what must not happen at all.
#[derive(Debug, Default)]
pub struct Taken {
    /// The sample.
    pub sample: Sample,
    /// Client and server have counted differently: sentences.
    pub broken: Vec<String>,
}

/// Takes a sample. What fails makes it invalid; only the user can end the run.
///
/// # Errors
/// If the user wants to stop.
pub fn take(lab: &mut RunContext, order: &Order) -> Result<Taken, Trouble> {
    let mut taken = Taken::default();
    match attempt(lab, order, &mut taken) {
        Ok(()) => {}
        Err(Trouble::Failed(why)) => taken.sample.invalid.push(why),
        Err(Trouble::Interrupted) => return Err(Trouble::Interrupted),
    }
    Ok(taken)
}

fn attempt(lab: &mut RunContext, order: &Order, taken: &mut Taken) -> Result<(), Trouble> {
    let tally = matches!(order.arm_spec.start, Start::Model(_)).then(|| lab.file("tally"));
    let server = start(lab, order, tally.as_deref(), &[])?;
    let address = address(order, server.as_ref());
    let process = server.as_ref().map(Server::process);
    let mut levels = Vec::new();
    for connections in &order.cell_spec.memory_steps {
        let load = level(lab, order, address, process, *connections);
        let outcome = play(lab, &load, || {})?;
        levels.push((*connections, outcome));
    }
    let load = load(lab, order, address, process);
    let before = process
        .filter(|_| order.workload.traits.counts_descriptors)
        .map(descriptors);
    let cold = if order.workload.traits.cold_cache {
        Cold::of(lab)?
    } else {
        Cold::default()
    };
    taken.sample.at = lab.seconds() + order.warm_up.as_secs_f64();
    let outcome = play(lab, &load, || cold.forget())?;
    let mut metrics = derive::of(&load, &outcome, lab.cores);
    if let (Some(process), Some(before)) = (process, before) {
        let leaked = settled(lab, process, before)?;
        metrics.insert("leaked_descriptors".to_owned(), leaked);
    }
    let connections = load.groups.first().map_or(0, |group| group.connections);
    add_slope(&mut metrics, &levels, (connections, &outcome));
    if let (Some(stall), Some(seen)) = (load.stall, outcome.groups.first())
        && let Some(time) = derive::recovery(seen, stall)
    {
        metrics.insert("recovery".to_owned(), time);
    }
    let stopped = server.map_or(Ok(()), |server| server.stop(lab));
    let tally = tally.map(|path| count(&path)).transpose();
    let traits = order.workload.traits;
    let answered = add_whole(&outcome, &levels);
    let counted = tally.as_ref().ok().copied().flatten();
    let compared = (order.cell_spec.primary_metric, traits);
    let judgement = validity::judge(&load, &answered, &metrics, compared, counted);
    let sample = &mut taken.sample;
    sample.limiter = derive::limiter(&load, &metrics, lab.processors.is_some());
    sample.invalid.extend(stopped.err());
    sample.invalid.extend(tally.err());
    sample.invalid.extend(judgement.invalid);
    sample.notes.extend(judgement.notes);
    taken.broken = judgement.broken;
    sample.metrics = metrics;
    keep(sample, outcome);
    Ok(())
}

/// Starts the server of an order, if it is one that is started. `before` are the words of a program
/// under which it is to run.
///
/// # Errors
/// If it does not come to listen.
pub fn start(
    lab: &mut RunContext,
    order: &Order,
    tally: Option<&Path>,
    before: &[String],
) -> Result<Option<Server>, Trouble> {
    let port = lab.free_port()?;
    let root = lab.root().display().to_string();
    let mut words = before.to_vec();
    match &order.arm_spec.start {
        Start::Running(_) => return Ok(None),
        Start::Command(command) => words.extend(command.iter().map(|word| {
            word.replace("{port}", &port.to_string())
                .replace("{root}", &root)
        })),
        Start::Model(name) => {
            words.push(lab.program.display().to_string());
            words.extend(model_options(order, name));
            words.extend(["-p".to_owned(), port.to_string()]);
            if let Some(path) = tally {
                words.extend(["--tally".to_owned(), path.display().to_string()]);
            }
            words.push(root);
        }
    }
    let server = Server::start(lab, &words, port)?;
    let is_ours = matches!(order.arm_spec.start, Start::Model(_));
    Ok(Some(if is_ours { server.ours() } else { server }))
}

/// How one of our models is started for an order, port and root aside.
fn model_options(order: &Order, name: &str) -> Vec<String> {
    let mut words: Vec<String> = ["-q", "-b", "127.0.0.1", "--model", name]
        .map(str::to_owned)
        .to_vec();
    words.extend(order.workload.options.iter().map(|word| (*word).to_owned()));
    // Threads and processes have a cap of their own, which is not what is asked here.
    let connections = order.cell_spec.connections().saturating_add(64);
    if connections > 400 {
        words.extend(["--max-connections".to_owned(), connections.to_string()]);
    }
    words
}

/// Where the server of an order listens.
pub fn address(order: &Order, server: Option<&Server>) -> SocketAddr {
    match (&order.arm_spec.start, server) {
        (Start::Running(url), _) => url.address,
        (_, Some(server)) => server.address,
        (_, None) => SocketAddr::from(([127, 0, 0, 1], 0)),
    }
}

/// The load of an order on a server at that address.
pub fn load(lab: &mut RunContext, order: &Order, target: SocketAddr, server: Option<u32>) -> Load {
    let mut cell_spec = order.cell_spec.clone();
    if let Start::Running(url) = &order.arm_spec.start {
        cell_spec = cell_spec.asking_for(&Page {
            path: url.path.clone(),
            status: 200,
            length: None,
            hash: None,
        });
    }
    let (slowest, own) = order.capacity;
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
    let measure = nanoseconds(order.measure);
    let stall = cell_spec.stall.map(|(part, time)| {
        // At a time that is a multiple of the slices of the course.
        let at = (order.measure.as_secs_f64() * part * 10.0).round() / 10.0;
        (nanoseconds(Duration::from_secs_f64(at)), time)
    });
    Load {
        target,
        source: lab
            .source()
            .filter(|_| target.ip().is_loopback() && target.is_ipv4()),
        server,
        cpu: lab.processors.map(|processors| processors.generator),
        seed: lab.random.u64(..),
        warm_up: nanoseconds(order.warm_up),
        measure,
        drain: nanoseconds(order.drain),
        stall,
        groups: cell_spec.groups,
    }
}

/// A short load on the way to many connections, with so many of the first group.
fn level(
    lab: &mut RunContext,
    order: &Order,
    target: SocketAddr,
    server: Option<u32>,
    connections: u32,
) -> Load {
    let mut load = load(lab, order, target, server);
    load.warm_up = nanoseconds(order.level);
    load.measure = nanoseconds(LEVEL);
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

/// The outcome, with what was counted on the way to it: the server's count is over its whole life.
fn add_whole(outcome: &Outcome, levels: &[(u32, Outcome)]) -> Outcome {
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

fn keep(sample: &mut Sample, outcome: Outcome) {
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

/// What the server has counted; its file is not needed any more.
fn count(path: &Path) -> Result<Tally, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the server left no count ({error})"))?;
    let _ = std::fs::remove_file(path);
    Tally::of(&text)
}

/// The descriptors of a process; 0 where that cannot be seen.
fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

/// How many descriptors more than before are open, once it has had time to close them.
fn settled(lab: &RunContext, process: u32, before: usize) -> Result<f64, Trouble> {
    let more = || descriptors(process).saturating_sub(before);
    for _ in 0..100 {
        if more() == 0 {
            break;
        }
        lab.rest(Duration::from_millis(10))?;
    }
    Ok(f64::from(u32::try_from(more()).unwrap_or(u32::MAX)))
}

/// Files that are pushed out of memory again and again.
#[derive(Default)]
struct Cold {
    files: Vec<File>,
}

impl Cold {
    fn of(lab: &RunContext) -> Result<Self, Trouble> {
        let paths: Vec<PathBuf> = pages::cold()
            .iter()
            .map(|page| lab.root().join(page.path.trim_start_matches('/')))
            .collect();
        let files = paths.iter().map(File::open).collect::<Result<_, _>>();
        let cold = Self {
            files: files.map_err(|error| format!("cannot open a cold file: {error}"))?,
        };
        cold.forget();
        Ok(cold)
    }

    fn forget(&self) {
        for file in &self.files {
            // Pages that are being sent stay; the next time they go.
            let _ = platform::drop_cached(file);
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
