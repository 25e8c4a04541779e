//! A run with its analysis, as the outputs need them: names, styles, columns, order of rows.

use super::format::cut;
use super::svg::{Style, Symbol};
use crate::bench::analysis::{Analysis, CellAnalysis, Row};
use crate::bench::metrics::{Better, better_of};
use crate::bench::record::{ArmKind, Cell, Pass, Run, Sample};
use crate::bench::workloads::{self, USUAL_COLUMNS};

/// The symbol of each model.
const MODELS: [(&str, Symbol); 6] = [
    ("reactor", Symbol::Disc),
    ("coroutine", Symbol::Diamond),
    ("thread", Symbol::Up),
    ("pool", Symbol::Square),
    ("process", Symbol::Down),
    ("sequential", Symbol::Plus),
];
/// The number of colours for servers that are not models.
const OTHER_COLORS: usize = 3;
/// The longest name of an arm in a chart.
const NAME: usize = 11;

/// The columns of a cell beside the primary metric: those of its workload that an arm has.
pub fn columns(cell: &Cell, of: &CellAnalysis) -> Vec<&'static str> {
    let columns = workloads::named(&cell.workload).map_or(USUAL_COLUMNS, |known| known.columns);
    let is_measured = |name: &&&str| of.rows.iter().any(|row| row.medians.contains_key(**name));
    let others = columns.iter().filter(|name| **name != cell.primary_metric);
    others.filter(is_measured).copied().collect()
}

/// A run and its analysis.
#[derive(Clone, Copy)]
pub struct View<'r> {
    /// The run.
    pub run: &'r Run,
    /// Its analysis.
    pub analysis: &'r Analysis,
}

/// A cell of a run.
#[derive(Clone, Copy)]
pub struct CellView<'r> {
    /// The run.
    pub view: View<'r>,
    /// The cell.
    pub cell: &'r Cell,
    /// Its analysis.
    pub analysis: &'r CellAnalysis,
}

impl<'r> View<'r> {
    /// The name of an arm.
    pub fn name(&self, arm: usize) -> &'r str {
        self.run.arms.get(arm).map_or("?", |arm| arm.name.as_str())
    }

    /// The style of an arm. Each model has its own colour and symbol. Other servers share three
    /// colours and two symbols.
    pub fn style(&self, arm: usize) -> Style {
        let name = self.name(arm);
        let is_control = self.is_control(arm);
        let known = MODELS.iter().find(|(known, _)| {
            *known == name || is_control && name.strip_suffix('\'') == Some(*known)
        });
        let other = format!("c-other{}", arm % OTHER_COLORS);
        let (class, symbol) = match known {
            Some((known, symbol)) => (format!("c-{known}"), *symbol),
            None if arm.is_multiple_of(2) => (other, Symbol::Times),
            None => (other, Symbol::Bar),
        };
        Style {
            class,
            symbol,
            hollow: is_control,
            name: cut(name, NAME),
        }
    }

    /// Whether an arm is the control.
    pub fn is_control(&self, arm: usize) -> bool {
        let kind = self.run.arms.get(arm).map(|arm| arm.kind);
        kind == Some(ArmKind::Control)
    }

    /// The cells.
    pub fn cells(&self) -> impl Iterator<Item = CellView<'r>> {
        let view = *self;
        let analyses = self.analysis.cells.iter();
        analyses.filter_map(move |analysis| {
            Some(CellView {
                view,
                cell: view.run.cells.get(analysis.cell)?,
                analysis,
            })
        })
    }
}

impl<'r> CellView<'r> {
    /// The rows, the best value of the primary metric first.
    pub fn ranked(&self) -> Vec<&'r Row> {
        let better = better_of(&self.cell.primary_metric);
        let value = |row: &&Row| row.medians.get(&self.cell.primary_metric).copied();
        let mut rows: Vec<&Row> = self.analysis.rows.iter().collect();
        rows.sort_by(|a, b| match (value(a), value(b)) {
            (Some(a), Some(b)) if better == Better::Higher => b.total_cmp(&a),
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        rows
    }

    /// The id of its section in the page.
    pub fn anchor(&self) -> String {
        format!("cell-{}", self.analysis.cell)
    }

    /// The measured samples of an arm, in the order in which they were taken.
    pub fn samples(&self, arm: usize) -> impl Iterator<Item = &'r Sample> {
        let cell = self.analysis.cell;
        let samples = self.view.run.samples.iter();
        samples.filter(move |one| one.cell == cell && one.arm == arm && one.pass == Pass::Measured)
    }

    /// The valid samples of an arm.
    pub fn valid(&self, arm: usize) -> impl Iterator<Item = &'r Sample> {
        self.samples(arm).filter(|sample| sample.invalid.is_empty())
    }
}
