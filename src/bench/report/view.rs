//! Room `bench`: what all parts of a report need to know of a run.

use crate::bench::analysis::{Analysis, CellAnalysis, Row};
use crate::bench::metrics::Better;
use crate::bench::record::{ArmKind, Cell, Pass, Run, Sample};
use crate::bench::report::numbers;
use crate::bench::report::svg::{Look, Shape};
use crate::bench::table::format;

/// The models, each with its sign.
const MODELS: [(&str, Shape); 6] = [
    ("reactor", Shape::Disc),
    ("coroutine", Shape::Diamond),
    ("thread", Shape::Up),
    ("pool", Shape::Square),
    ("process", Shape::Down),
    ("sequential", Shape::Plus),
];
/// Colours that are not those of a model, for other servers.
const OTHERS: usize = 3;
/// Characters of a name beside a plot.
const NAME: usize = 11;

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

    /// How an arm looks. The models have each their own colour and sign; other servers share three
    /// colours and two signs, and are told apart by both.
    pub fn look(&self, arm: usize) -> Look {
        let name = self.arm(arm);
        let known = MODELS.iter().find(|(known, _)| {
            let control = self.is_control(arm);
            *known == name || control && name.strip_suffix('\'') == Some(*known)
        });
        let (class, shape) = match known {
            Some((known, shape)) => (format!("c-{known}"), *shape),
            None if arm.is_multiple_of(2) => (format!("c-other{}", arm % OTHERS), Shape::Times),
            None => (format!("c-other{}", arm % OTHERS), Shape::Bar),
        };
        Look {
            class,
            shape,
            hollow: self.is_control(arm),
            name: format::cut(name, NAME),
        }
    }

    /// Whether an arm is the reference once more.
    pub fn is_control(&self, arm: usize) -> bool {
        let kind = self.run.arms.get(arm).map(|arm| arm.kind);
        kind == Some(ArmKind::Control)
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
    /// The rows, the best of the primary metric first.
    pub fn ranked(&self) -> Vec<&'r Row> {
        let better = numbers::better(&self.cell.primary_metric);
        let value = |row: &&Row| row.medians.get(&self.cell.primary_metric).copied();
        let mut rows: Vec<&Row> = self.said.rows.iter().collect();
        rows.sort_by(|a, b| match (value(a), value(b)) {
            (Some(a), Some(b)) if better == Better::Higher => b.total_cmp(&a),
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        rows
    }

    /// How the arm of a row looks.
    pub fn look(&self, row: &Row) -> Look {
        self.view.look(row.arm)
    }

    /// The place of its section on the page.
    pub fn anchor(&self) -> String {
        format!("cell-{}", self.said.cell)
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
        Some(numbers::value(metric, *value))
    }
}
