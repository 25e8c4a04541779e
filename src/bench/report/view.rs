//! Room `bench`: what all parts of a report need to know of a run.

use crate::bench::analysis::{Analysis, CellAnalysis, Row};
use crate::bench::record::{Cell, Pass, Run, Sample};
use crate::bench::table::format;

/// Colours that are not those of a model, for other servers.
const OTHERS: usize = 3;

/// A run, and what it says.
#[derive(Clone, Copy)]
pub struct View<'r> {
    /// The run.
    pub run: &'r Run,
    /// What it says.
    pub analysis: &'r Analysis,
}

/// A cell of it.
#[derive(Clone, Copy)]
pub struct CellView<'r> {
    /// All of it.
    pub view: View<'r>,
    /// The cell.
    pub cell: &'r Cell,
    /// What is said of it.
    pub said: &'r CellAnalysis,
}

impl<'r> View<'r> {
    /// The name of an arm.
    pub fn arm(&self, arm: usize) -> &'r str {
        self.run.arms.get(arm).map_or("?", |arm| arm.name.as_str())
    }

    /// The class that gives an arm its colour.
    pub fn class(&self, arm: usize) -> String {
        let name = self.arm(arm).trim_end_matches('\'');
        let known = [
            "reactor",
            "coroutine",
            "thread",
            "pool",
            "process",
            "sequential",
        ];
        match known.contains(&name) {
            true => format!("c-{name}"),
            false => format!("c-other{}", arm % OTHERS),
        }
    }

    /// Whether an arm is the reference once more.
    pub fn is_control(&self, arm: usize) -> bool {
        self.arm(arm).ends_with('\'')
    }

    /// The cells, with what is said of each.
    pub fn cells(&self) -> impl Iterator<Item = CellView<'r>> {
        let view = *self;
        let said = self.analysis.cells.iter();
        said.filter_map(move |said| {
            Some(CellView {
                view,
                cell: view.run.cells.get(said.cell)?,
                said,
            })
        })
    }
}

impl<'r> CellView<'r> {
    /// The rows, the best of the headline first.
    pub fn ranked(&self) -> Vec<&'r Row> {
        use crate::bench::metrics::{Better, metric_named};
        let better = metric_named(&self.cell.headline).map(|metric| metric.better);
        let value = |row: &&Row| row.medians.get(&self.cell.headline).copied();
        let mut rows: Vec<&Row> = self.said.rows.iter().collect();
        rows.sort_by(|a, b| match (value(a), value(b)) {
            (Some(a), Some(b)) if better == Some(Better::Higher) => b.total_cmp(&a),
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        rows
    }

    /// The samples of an arm that are to be compared, in the order in which they were taken.
    pub fn samples(&self, arm: usize) -> impl Iterator<Item = &'r Sample> {
        let cell = self.said.cell;
        let samples = self.view.run.samples.iter();
        samples.filter(move |one| one.cell == cell && one.arm == arm && one.pass == Pass::Measured)
    }

    /// Those of them that count.
    pub fn valid(&self, arm: usize) -> impl Iterator<Item = &'r Sample> {
        self.samples(arm).filter(|sample| sample.invalid.is_empty())
    }

    /// A median of a row, as text.
    pub fn shown(&self, row: &Row, metric: &str) -> Option<String> {
        let value = row.medians.get(metric)?;
        Some(format::value(metric, *value))
    }
}
