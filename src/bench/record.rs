//! The contents of `run.json`.
//!
//! A [`Run`] has arms (what is compared), cells (under which load) and samples (one fresh server
//! process each: an arm in a cell in a round). The measurements of a sample are numbers with names,
//! which [`METRICS`](super::metrics::METRICS) explains. Statistics are not stored; they are
//! computed from the samples, so a report can be written again from an old file.

use super::load::Bucket;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the format. A change that an older program would misread gets a new number.
pub const SCHEMA: u32 = 2;

/// One run of the benchmark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `oneloop 0.1.0`.
    pub program: String,
    /// The command line.
    pub command: Vec<String>,
    /// The preset.
    pub preset: Preset,
    /// The start, in seconds since 1970-01-01 UTC.
    pub started: u64,
    /// The duration in seconds.
    pub seconds: f64,
    /// The seed of the random order and arrivals.
    pub seed: u64,
    /// The machine.
    pub environment: Environment,
    /// The arms. The first is the reference. The second may be its control: the same program again.
    pub arms: Vec<Arm>,
    /// The cells.
    pub cells: Vec<Cell>,
    /// The samples, in the order in which they were taken.
    pub samples: Vec<Sample>,
    /// Problems with the whole run, as sentences.
    pub problems: Vec<String>,
    /// Notes on the run, as sentences: what was left out, and why.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The size of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// About 90 seconds, without verdicts.
    Quick,
    /// The default.
    #[default]
    Standard,
    /// All workloads, about an hour.
    Full,
}

/// The machine, its system and its mood.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Facts, by name (`processor`, `cores`, `kernel`, `virtualization`, `memory`,
    /// `net.core.somaxconn`, `descriptors`, `mitigations`, `steal`, ...), in words.
    pub facts: BTreeMap<String, String>,
    /// What may disturb the measurement, as sentences.
    pub warnings: Vec<String>,
}

/// A server that is compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// A short, unique name: `reactor`, `reactor'`, `thread`, `nginx`.
    pub name: String,
    /// Its kind.
    pub kind: ArmKind,
    /// The command that starts it, with `{port}` and `{root}`; empty for a target.
    pub command: Vec<String>,
}

/// The kind of an arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmKind {
    /// One of our models.
    #[default]
    Model,
    /// The reference again, to measure the noise.
    Control,
    /// Another program, started with a command of the user.
    Server,
    /// A server that is already running.
    Target,
}

/// A load under which arms are compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// A unique name: `keepalive c=64`.
    pub name: String,
    /// The workload: `keepalive`.
    pub workload: String,
    /// The parameters that differ within a workload, by name (`c`, `depth`, `rate`).
    pub parameters: BTreeMap<String, f64>,
    /// A description: `closed loop, 64 connections, server on one processor`.
    pub description: String,
    /// Whether server and generator were pinned to different CPUs.
    pub pinned: bool,
    /// The name of the metric that is compared.
    pub primary_metric: String,
    /// A command of another tool for a similar load.
    pub reproduce: Option<String>,
}

/// The measurements of one fresh server process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The index in [`Run::arms`].
    pub arm: usize,
    /// The index in [`Run::cells`].
    pub cell: usize,
    /// The round, from 0. Samples of a round are compared with each other.
    pub round: u32,
    /// The purpose. Only measured samples are compared.
    #[serde(default)]
    pub pass: Pass,
    /// The start of the measurement, in seconds since the start of the run.
    pub at: f64,
    /// The measurements, by the names of [`METRICS`](super::metrics::METRICS). A metric of a second
    /// group has the name of the group before it (`canary.p99`), and memory at a number of silent
    /// connections has that number (`at_500.memory`). What could not be measured is absent.
    pub metrics: BTreeMap<String, f64>,
    /// System calls per request, by name; only in the pass that counts them.
    pub syscalls: BTreeMap<String, f64>,
    /// Histograms (ns, V2-deflate, base64), by name: `response`, `service`, `first_byte`,
    /// `send_lag`; those of a second group have its name before them: `canary.response`.
    pub histograms: BTreeMap<String, String>,
    /// A bucket for each tenth of a second, by group.
    pub time_series: BTreeMap<String, Vec<Bucket>>,
    /// Errors by group and kind: `main.reset`.
    pub errors: BTreeMap<String, u64>,
    /// What limits the result: `server processor 100 %`.
    pub limiter: String,
    /// Why the sample is invalid, as sentences; empty for a valid sample.
    pub invalid: Vec<String>,
    /// Notes, as sentences.
    pub notes: Vec<String>,
}

/// The purpose of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// It is compared.
    #[default]
    Measured,
    /// Before the rounds: it measures the capacity, from which the rates of open loops follow.
    Capacity,
    /// After the rounds: it counts system calls under strace(1), which makes it slow.
    Syscalls,
}
