//! Room `bench`: what is kept of a run, which is everything. This is the JSON file.
//!
//! A [`Run`] has arms (what is compared), cells (under what load) and samples (one fresh server
//! process each: an arm in a cell in a round). Whatever a sample has measured is a number with a
//! name, which [`METRICS`](super::metrics::METRICS) explains. Statistics are not kept: they are
//! computed from the samples, so a report can be made again from an old file.

use super::load::Bucket;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The form of the file. A change that an older program would misread gets a new number.
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
    /// How much was asked for.
    pub preset: Preset,
    /// When it began, seconds since 1970 UTC.
    pub started: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What everything that was drawn came from.
    pub seed: u64,
    /// The machine.
    pub environment: Environment,
    /// What was compared. The first is the reference, and the second, if it is a control, the same
    /// program once more.
    pub arms: Vec<Arm>,
    /// The loads.
    pub cells: Vec<Cell>,
    /// In the order in which they were taken.
    pub samples: Vec<Sample>,
    /// What is wrong with the run as a whole, as sentences.
    pub problems: Vec<String>,
    /// What a reader should know of the run, as sentences: what was left out, and why.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// How much was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// A minute and a half: indicative, no verdicts.
    Quick,
    /// What is done if nothing else is said.
    #[default]
    Standard,
    /// An hour.
    Full,
}

/// The machine, its system and its mood.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Facts, by name (`processor`, `cores`, `kernel`, `virtualization`, `memory`,
    /// `net.core.somaxconn`, `descriptors`, `mitigations`, `steal`, ...), in words.
    pub facts: BTreeMap<String, String>,
    /// What may spoil the figures, as sentences.
    pub warnings: Vec<String>,
}

/// Something that is compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Short, and the only one of its name: `reactor`, `reactor'`, `thread`, `nginx`.
    pub name: String,
    /// What it is.
    pub kind: ArmKind,
    /// How it is started, with `{port}` and `{root}`; empty for a target.
    pub command: Vec<String>,
}

/// What an arm is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmKind {
    /// One of our models.
    #[default]
    Model,
    /// The reference once more, to see what chance alone does.
    Control,
    /// A program that somebody else has written, started as we are told.
    Server,
    /// A server that is already running.
    Target,
}

/// A load under which arms are compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The only one of its name: `keepalive c=64`.
    pub name: String,
    /// The workload: `keepalive`.
    pub workload: String,
    /// What varies within a workload, by name (`c`, `depth`, `rate`), for plots.
    pub parameters: BTreeMap<String, f64>,
    /// In words: `closed loop, 64 connections, server on one processor`.
    pub description: String,
    /// Whether server and generator each had a processor of their own.
    pub pinned: bool,
    /// The name of the metric that is compared.
    pub primary_metric: String,
    /// How to see something like it with another tool, if there is one that can.
    pub reproduce: Option<String>,
}

/// What one fresh server process has shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Which arm, by its place in [`Run::arms`].
    pub arm: usize,
    /// Which cell, by its place in [`Run::cells`].
    pub cell: usize,
    /// Which round, from 0. Samples of a round are compared with each other.
    pub round: u32,
    /// What the sample is for. Only those that are measured are compared.
    #[serde(default)]
    pub pass: Pass,
    /// When the measurement began, seconds since the run did.
    pub at: f64,
    /// What was measured, by the names of [`METRICS`](super::metrics::METRICS), those of a second
    /// group with its name before them (`canary.p99`). Memory with so many silent connections has
    /// their number there: `at_500.memory`. What could not be measured is not there.
    pub metrics: BTreeMap<String, f64>,
    /// System calls for each request, by name; only from a pass of its own.
    pub syscalls: BTreeMap<String, f64>,
    /// Histograms (ns, V2-deflate, base64), by name: `response`, `service`, `first_byte`,
    /// `send_lag`; those of a second group have its name before them: `canary.response`.
    pub histograms: BTreeMap<String, String>,
    /// A row for each tenth of a second, by group.
    pub time_series: BTreeMap<String, Vec<Bucket>>,
    /// Errors by group and kind: `main.reset`.
    pub errors: BTreeMap<String, u64>,
    /// What limits the number: `server processor 100 %`.
    pub limiter: String,
    /// Why it must not be believed, as sentences; empty for a sample that counts.
    pub invalid: Vec<String>,
    /// What a reader should know, as sentences.
    pub notes: Vec<String>,
}

/// What a sample is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// To be compared.
    #[default]
    Measured,
    /// Before the rounds: how many requests a second can it answer? Rates are taken from that.
    Capacity,
    /// After the rounds: which system calls does a request take? Under strace(1), and so slow.
    Syscalls,
}
