//! Room `bench`: what has changed from one run to another?
//!
//! Two runs are two days of a machine. That the reference has moved may be the program or the day,
//! and nothing in the two files can tell which; so the words are for what an arm does *to the
//! reference of its own run*, which the day moves with it. Noise is each run's own: what its
//! control does, and how its rounds spread. What is not the same in both (machine, seed, preset,
//! commands) is said first: see [`differences`].

pub mod differences;

use super::analysis::{Analysis, CellAnalysis, Estimate, Row, Verdict, analyse};
use super::metrics::{Better, metric_named};
use super::record::{Cell, Run};
use super::statistics::interval;
use super::table::Paper;
use super::table::columns::heading;
use super::table::format::{cut, estimate, plain, value};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Color, ContentArrangement, Table};
use std::io::{self, Write};

/// What has become of an arm in a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The arm's name.
    pub arm: String,
    /// The middle before, and after.
    pub medians: (f64, f64),
    /// After / before.
    pub change: Estimate,
    /// The same of the ratios to the reference of the own run; not of the reference.
    pub to_reference: Option<Estimate>,
    /// What may be said.
    pub verdict: Verdict,
}

/// Prints what has changed.
///
/// # Errors
/// If `to` cannot be written to.
pub fn print(before: &Run, after: &Run, to: &mut dyn Write, paper: Paper) -> io::Result<()> {
    let analyses = (analyse(before), analyse(after));
    differences::print(before, after, to, paper)?;
    for (name, analysis) in [("before", &analyses.0), ("after", &analyses.1)] {
        if analysis.unproven {
            writeln!(to)?;
            let told = format!(
                "UNPROVEN: in the run {name} the reference and its control differ by more than \
                 chance makes them. Believe no difference."
            );
            paper.item(to, "! ", &told)?;
        }
    }
    for (index, cell) in before.cells.iter().enumerate() {
        let Some(other) = after.cells.iter().position(|one| one.name == cell.name) else {
            continue;
        };
        let found = of_cell((before, &analyses.0, index), (after, &analyses.1, other));
        if !found.is_empty() {
            writeln!(to)?;
            paper.heading(to, &cut(&cell.name, paper.width))?;
            table(cell, &found, to, paper)?;
        }
    }
    writeln!(to)?;
    let told = "to reference: how much more the arm has changed than the reference of its own run. \
                That the reference itself has moved may be the program or the day. To compare two \
                programs, let them run side by side: oneloop bench --server \
                'before=/path/to/oneloop -q -p {port} {root}'.";
    paper.item(to, "", told)
}

/// A run, what it says, and which of its cells.
type Side<'a> = (&'a Run, &'a Analysis, usize);

/// What has become of each arm that is in both.
pub fn of_cell(before: Side, after: Side) -> Vec<Change> {
    let rows = |(run, analysis, index): Side| -> Option<(CellAnalysis, Cell)> {
        let cell = analysis.cells.iter().find(|one| one.cell == index)?;
        Some((cell.clone(), run.cells.get(index)?.clone()))
    };
    let (Some((first, cell)), Some((second, other))) = (rows(before), rows(after)) else {
        return Vec::new();
    };
    if cell.headline != other.headline {
        return Vec::new();
    }
    let band = first.band.max(second.band);
    let proven = first.proven && second.proven && !before.1.unproven && !after.1.unproven;
    let name = |run: &Run, row: &Row| run.arms.get(row.arm).map(|arm| arm.name.clone());
    let mut changes = Vec::new();
    for row in &first.rows {
        let arm = name(before.0, row);
        let Some(same) = second.rows.iter().find(|one| name(after.0, one) == arm) else {
            continue;
        };
        let medians = (
            row.medians.get(&cell.headline),
            same.medians.get(&cell.headline),
        );
        let (Some(arm), (Some(old), Some(new))) = (arm, medians) else {
            continue;
        };
        let logarithms = |run: &Run, row: &Row, index| values(run, index, row.arm, &cell.headline);
        let change = between(
            &logarithms(before.0, row, before.2),
            &logarithms(after.0, same, after.2),
        );
        let ratios =
            |row: &Row| -> Vec<f64> { row.ratios.iter().map(|(_, one)| one.ln()).collect() };
        let to_reference = between(&ratios(row), &ratios(same));
        let Some(change) = change else {
            continue;
        };
        changes.push(Change {
            arm,
            medians: (*old, *new),
            change,
            to_reference,
            verdict: verdict(to_reference, &cell.headline, band, proven),
        });
    }
    changes
}

/// The logarithms of what an arm has in the rounds that count.
fn values(run: &Run, cell: usize, arm: usize, metric: &str) -> Vec<f64> {
    let pairs = super::analysis::pairs::Pairs::of(run);
    let values = pairs.values(cell, arm, metric).into_values();
    values
        .map(|value| value.max(f64::MIN_POSITIVE).ln())
        .collect()
}

fn between(before: &[f64], after: &[f64]) -> Option<Estimate> {
    let found = interval::between(before, after)?;
    Some(Estimate {
        median: found.middle.exp(),
        low: found.low.exp(),
        high: found.high.exp(),
        pairs: before.len().min(after.len()),
    })
}

fn verdict(to_reference: Option<Estimate>, metric: &str, band: f64, proven: bool) -> Verdict {
    let better = metric_named(metric).map_or(Better::Neither, |metric| metric.better);
    match to_reference {
        None => Verdict::NoDifference,
        Some(change) if !change.is_sure() || better == Better::Neither => Verdict::Indicative,
        Some(_) if !proven => Verdict::Unproven,
        Some(change) if !change.excludes_one() => Verdict::NoDifference,
        Some(change) if change.median.ln().abs() <= band.ln_1p() => Verdict::NoDifference,
        Some(change) if (change.median > 1.0) == (better == Better::Higher) => Verdict::Better,
        Some(_) => Verdict::Worse,
    }
}

fn table(cell: &Cell, changes: &[Change], to: &mut dyn Write, paper: Paper) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    if paper.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let title = heading(&cell.headline);
    let text = |content: String| comfy_table::Cell::new_owned(content);
    let right = |content: String| text(content).set_alignment(CellAlignment::Right);
    let heads = [
        "",
        "before",
        "after",
        "change [95 %]",
        "to reference",
        "difference",
    ];
    let mut header: Vec<_> = heads.iter().map(|head| right((*head).to_owned())).collect();
    if let Some(first) = header.first_mut() {
        *first = text(title);
    }
    if let Some(last) = header.last_mut() {
        *last = text("difference".to_owned());
    }
    table.set_header(header);
    for change in changes {
        let word = match change.verdict {
            Verdict::NoDifference if change.to_reference.is_none() => "",
            Verdict::NoDifference => "none shown",
            verdict => verdict.word(&cell.headline),
        };
        let color = match change.verdict {
            Verdict::Better => Some(Color::Green),
            Verdict::Worse => Some(Color::Red),
            _ => None,
        };
        let word = text(word.to_owned());
        table.add_row(vec![
            text(cut(&change.arm, 11)),
            right(value(&cell.headline, change.medians.0)),
            right(value(&cell.headline, change.medians.1)),
            right(estimate(&change.change)),
            right(
                change
                    .to_reference
                    .as_ref()
                    .map_or_else(String::new, estimate),
            ),
            color
                .filter(|_| paper.color)
                .map_or(word.clone(), |color| word.fg(color)),
        ]);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == 0 { 1 } else { 2 }));
    }
    for line in table.lines() {
        writeln!(to, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Both, in a line each.
fn named(run: &Run) -> String {
    let rounds = run.samples.iter().map(|sample| u64::from(sample.round) + 1);
    let rounds = rounds.max().unwrap_or(0);
    let command = plain(&run.command.join(" "));
    let samples = run.samples.len();
    format!(
        "{}, {rounds} rounds, {samples} samples: {command}",
        plain(&run.program)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::sample_runs::plain;

    fn printed(before: &Run, after: &Run) -> String {
        let mut bytes = Vec::new();
        print(before, after, &mut bytes, Paper::new(80, false)).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn changes(before: &Run, after: &Run) -> Vec<Change> {
        let (first, second) = (analyse(before), analyse(after));
        of_cell((before, &first, 0), (after, &second, 0))
    }

    fn verdicts(before: &Run, after: &Run) -> Vec<Verdict> {
        changes(before, after)
            .iter()
            .map(|change| change.verdict)
            .collect()
    }

    #[test]
    fn a_model_that_became_slower_is_slower_and_the_others_are_not() {
        use Verdict::{NoDifference, Worse};
        let before = plain([1.0, 1.0, 0.86, 0.9], 8);
        let after = plain([1.0, 1.0, 0.77, 0.9], 8);
        assert_eq!(
            verdicts(&before, &after),
            [NoDifference, NoDifference, Worse, NoDifference]
        );
        let found = changes(&before, &after);
        assert!(
            (found[2].change.median - 0.77 / 0.86).abs() < 0.01,
            "{found:?}"
        );
    }

    #[test]
    fn a_slower_day_moves_everybody_and_gets_no_word() {
        let before = plain([1.0, 1.0, 0.86, 0.9], 8);
        let after = plain([0.8, 0.8, 0.86 * 0.8, 0.9 * 0.8], 8);
        assert_eq!(verdicts(&before, &after), [Verdict::NoDifference; 4]);
        let found = changes(&before, &after);
        assert!((found[0].change.median - 0.8).abs() < 0.01);
        assert_eq!(found[0].to_reference, None);
    }

    #[test]
    fn a_run_that_is_unproven_or_short_gives_no_word() {
        let before = plain([1.0, 1.0, 0.86, 0.9], 8);
        let doubtful = plain([1.0, 1.3, 0.5, 0.9], 8);
        assert_eq!(verdicts(&before, &doubtful)[2], Verdict::Unproven);
        assert!(printed(&before, &doubtful).contains("UNPROVEN: in the run after"));
        let short = plain([1.0, 1.0, 0.5, 0.9], 5);
        assert_eq!(verdicts(&before, &short)[2], Verdict::Indicative);
    }

    #[test]
    fn the_table_is_of_eighty_columns() {
        let before = plain([1.0, 1.0, 0.86, 0.9], 8);
        let text = printed(&before, &plain([1.0, 1.0, 0.77, 0.9], 8));
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        let row = text
            .lines()
            .find(|line| line.starts_with("thread "))
            .unwrap();
        assert!(row.ends_with("slower"), "{row}");
        let word = text
            .lines()
            .find(|line| line.starts_with("process "))
            .unwrap();
        assert!(word.ends_with("none shown"), "{word}");
    }

    #[test]
    fn what_was_compared_by_another_metric_is_not_compared() {
        let before = plain([1.0; 4], 8);
        let mut after = plain([1.0; 4], 8);
        after.cells[0].headline = "cpu".to_owned();
        assert_eq!(changes(&before, &after), []);
    }
}
