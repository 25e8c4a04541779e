//! Room `bench`: what does a run say, and how sure is it?
//!
//! An [`Analysis`] is computed from a [`Run`] and never kept: the table, the report, `compare` and
//! `check` all read this one. Per cell, each arm is compared with the reference in pairs: the ratio
//! of the headline metric ([`Cell::headline`]) within a round, so that a slow drift of the machine
//! is in both and falls out.
//!
//! [`Cell::headline`]: super::record::Cell::headline

use super::record::Run;
use std::collections::BTreeMap;

/// A ratio to the reference, and where the truth may lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The middle.
    pub median: f64,
    /// The lower end of the 95 % interval; the least ratio if there are too few pairs for one
    /// ([`PAIRS`](super::statistics::interval::PAIRS)).
    pub low: f64,
    /// The upper end; the greatest ratio if there are too few pairs for an interval.
    pub high: f64,
    /// From how many rounds in which both samples count.
    pub pairs: usize,
}

/// What may be said of an arm in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Surely better than the reference, by more than chance does to the control.
    Better,
    /// Surely worse.
    Worse,
    /// Either equal, or not measured well enough to tell.
    NoDifference,
    /// Too few pairs for any verdict.
    Indicative,
    /// The control differs from the reference, so nothing else can be believed here.
    Unproven,
    /// No sample counts, or the metric is not there.
    Missing,
}

/// What a run says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Analysis {
    /// In the order of the run's cells; those whose number is out of the run's are left out.
    pub cells: Vec<CellAnalysis>,
    /// What is not as expected.
    pub surprises: Vec<Surprise>,
    /// The control differs from the reference over the run as a whole.
    pub unproven: bool,
    /// What a reader should know of the run as a whole, as sentences.
    pub remarks: Vec<String>,
}

/// What is said of a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CellAnalysis {
    /// Its place in [`Run::cells`].
    pub cell: usize,
    /// Control / reference.
    pub control: Option<Estimate>,
    /// The share by which chance alone moves a ratio here: 0.02 is 2 %. An effect that is not
    /// larger has no verdict.
    pub band: f64,
    /// The control agrees with the reference.
    pub proven: bool,
    /// One for each arm that has samples here, in the order of the run's arms.
    pub rows: Vec<Row>,
}

/// What is said of an arm in a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its place in [`Run::arms`].
    pub arm: usize,
    /// Arm / reference, of the headline metric. `None` for the reference itself, and where there
    /// is no pair.
    pub ratio: Option<Estimate>,
    /// What may be said.
    pub verdict: Verdict,
    /// The median of each metric over the samples that count.
    pub medians: BTreeMap<String, f64>,
    /// The ratio of each round that counts.
    pub ratios: Vec<(u32, f64)>,
    /// Samples that count.
    pub samples: usize,
    /// Samples that do not.
    pub invalid: usize,
    /// What limits the number, of most samples.
    pub limiter: String,
    /// What explains the row's place, as sentences.
    pub why: Vec<String>,
}

/// What is not as expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Surprise {
    /// Its place in [`Run::cells`].
    pub cell: usize,
    /// Its place in [`Run::arms`].
    pub arm: usize,
    /// As a sentence.
    pub expected: String,
    /// As a sentence.
    pub found: String,
    /// Why the other was expected, as a sentence.
    pub why: String,
}

/// Says what a run says.
pub fn analyse(_run: &Run) -> Analysis {
    Analysis::default()
}

impl Verdict {
    /// The word, which depends on what was measured.
    pub fn word(self, _metric: &str) -> &'static str {
        ""
    }
}
