//! `oneloop bench compare`: what changed between two runs.
//!
//! The reference may have changed because the program changed or because the machine did; two runs
//! cannot tell which. So the word of an arm is about the change of its ratio to the reference of
//! the same run. The noise floor is that of both runs: the root of the sum of the squares.

use super::analysis::{Analysis, CellAnalysis, Estimate, Row, Verdict, analyse};
use super::output::format::{cut, estimate, heading, plain, value};
use super::output::terminal::Terminal;
use super::output::text::{left, print_table, right, table_of, verdict};
use super::record::{Cell, Run};
use super::stats::interval;
use std::io::{self, Write};
use std::process::ExitCode;

/// Facts of the machine that make two runs hard to compare if they differ.
const FACTS: [&str; 3] = ["processor", "cores", "kernel"];

/// An arm that is in both runs, in one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its name.
    pub arm: String,
    /// The medians of the primary metric, before and after.
    pub medians: (f64, f64),
    /// The ratio to the reference after, divided by that before. `None` for the reference.
    pub ratio: Option<Estimate>,
    /// The result of the comparison.
    pub verdict: Verdict,
}

/// Prints the changes. The exit code is 1 if an arm got worse.
///
/// # Errors
/// If `to` cannot be written to.
pub fn print(
    before: &Run,
    after: &Run,
    to: &mut dyn Write,
    terminal: Terminal,
) -> io::Result<ExitCode> {
    let analyses = (analyse(before), analyse(after));
    for warning in warnings((before, &analyses.0), (after, &analyses.1)) {
        terminal.item(to, "! ", &plain(&warning))?;
    }
    let mut is_worse = false;
    for (cell, changes) in changes((before, &analyses.0), (after, &analyses.1)) {
        is_worse |= changes.iter().any(|one| one.verdict == Verdict::Worse);
        writeln!(to)?;
        terminal.heading(to, &cut(&cell.name, terminal.width))?;
        table(cell, &changes, to, terminal)?;
    }
    writeln!(to)?;
    let note = "change: how the ratio to the reference changed, so a faster or slower machine \
                does not count. For a closer comparison of two programs run them side by side: \
                oneloop bench --server 'before=/path/to/oneloop -q -p {port} {root}'.";
    terminal.item(to, "", note)?;
    Ok(if is_worse {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Why the runs cannot be compared well, as sentences.
fn warnings(before: Side, after: Side) -> Vec<String> {
    let mut warnings = Vec::new();
    let reference = |run: &Run| run.arms.first().map_or("", |arm| &arm.name).to_owned();
    if reference(before.0) != reference(after.0) {
        warnings.push("The runs have different references.".to_owned());
    }
    let fact = |run: &Run, name: &str| run.environment.facts.get(name).cloned();
    for name in FACTS {
        if let (Some(old), Some(new)) = (fact(before.0, name), fact(after.0, name))
            && old != new
        {
            warnings.push(format!("{name}: {old} before, {new} after"));
        }
    }
    for (name, analysis) in [("before", before.1), ("after", after.1)] {
        if analysis.unproven {
            warnings.push(format!(
                "UNPROVEN: in the run {name} the reference and its control differ by more than \
                 chance allows, so no difference is reported."
            ));
        }
    }
    warnings
}

/// A run and its analysis.
type Side<'a> = (&'a Run, &'a Analysis);

/// The changes in each cell that both runs have, with the same primary metric.
pub fn changes<'a>(before: Side<'a>, after: Side<'a>) -> Vec<(&'a Cell, Vec<Change>)> {
    let named = |(run, analysis): Side<'a>| {
        let cells = analysis.cells.iter();
        cells.filter_map(move |one| Some((run.cells.get(one.cell)?, one)))
    };
    let mut all = Vec::new();
    for (cell, old) in named(before) {
        let is_same =
            |other: &Cell| other.name == cell.name && other.primary_metric == cell.primary_metric;
        let Some((_, new)) = named(after).find(|(other, _)| is_same(other)) else {
            continue;
        };
        let proven = !before.1.unproven && !after.1.unproven && old.proven && new.proven;
        let changes = of_cell(cell, (before.0, old), (after.0, new), proven);
        if !changes.is_empty() {
            all.push((cell, changes));
        }
    }
    all
}

fn of_cell(
    cell: &Cell,
    before: (&Run, &CellAnalysis),
    after: (&Run, &CellAnalysis),
    proven: bool,
) -> Vec<Change> {
    let floor = before
        .1
        .noise_floor
        .ln_1p()
        .hypot(after.1.noise_floor.ln_1p());
    let name = |run: &Run, row: &Row| run.arms.get(row.arm).map(|arm| arm.name.clone());
    let change = |old: &Row| {
        let arm = name(before.0, old)?;
        let mut rows = after.1.rows.iter();
        let new = rows.find(|row| name(after.0, row).as_ref() == Some(&arm))?;
        let medians = (
            *old.medians.get(&cell.primary_metric)?,
            *new.medians.get(&cell.primary_metric)?,
        );
        let ratio = between(old, new);
        let verdict = ratio.map_or(Verdict::NoDifference, |ratio| {
            ratio.verdict(&cell.primary_metric, floor, proven)
        });
        Some(Change {
            arm,
            medians,
            ratio,
            verdict,
        })
    };
    before.1.rows.iter().filter_map(change).collect()
}

/// The change of the ratio to the reference.
fn between(before: &Row, after: &Row) -> Option<Estimate> {
    let logarithms = |row: &Row| -> Vec<f64> {
        let ratios = row.ratios.iter();
        ratios.map(|(_, ratio)| ratio.ln()).collect()
    };
    let (before, after) = (logarithms(before), logarithms(after));
    let pairs = before.len().min(after.len());
    Some(Estimate::from_interval(
        interval::between(&before, &after)?,
        pairs,
    ))
}

fn table(
    cell: &Cell,
    changes: &[Change],
    to: &mut dyn Write,
    terminal: Terminal,
) -> io::Result<()> {
    let headings = ["before", "after", "change [95 %]"].map(right);
    let mut header = vec![left(heading(&cell.primary_metric))];
    header.extend(headings);
    header.push(left("difference"));
    let rows = changes.iter().map(|change| {
        vec![
            left(cut(&change.arm, 11)),
            right(value(&cell.primary_metric, change.medians.0)),
            right(value(&cell.primary_metric, change.medians.1)),
            right(change.ratio.as_ref().map_or_else(String::new, estimate)),
            verdict(change.verdict, change.ratio.is_some(), cell, terminal),
        ]
    });
    let table = table_of(header, rows, terminal);
    print_table(&table, to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::sample_runs::plain;

    fn printed(before: &Run, after: &Run) -> (String, bool) {
        let mut bytes = Vec::new();
        let code = print(before, after, &mut bytes, Terminal::new(80, false)).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        (text, code == ExitCode::SUCCESS)
    }

    fn found(before: &Run, after: &Run) -> Vec<Change> {
        let (first, second) = (analyse(before), analyse(after));
        let mut all = changes((before, &first), (after, &second));
        all.pop().map_or_else(Vec::new, |(_, changes)| changes)
    }

    fn verdicts(before: &Run, after: &Run) -> Vec<Verdict> {
        let changes = found(before, after);
        changes.iter().map(|change| change.verdict).collect()
    }

    #[test]
    fn a_slower_model_is_slower_and_the_others_are_unchanged() {
        use Verdict::{NoDifference, Worse};
        let before = plain([1.0, 1.0, 0.86, 0.9], 8);
        let after = plain([1.0, 1.0, 0.77, 0.9], 8);
        assert_eq!(
            verdicts(&before, &after),
            [NoDifference, NoDifference, Worse, NoDifference]
        );
        let ratio = found(&before, &after)[2].ratio.unwrap();
        assert!((ratio.median - 0.77 / 0.86).abs() < 0.01, "{ratio:?}");
        assert!(!printed(&before, &after).1);
        assert!(printed(&after, &before).1);
    }

    #[test]
    fn a_slower_machine_changes_no_ratio() {
        let before = plain([1.0, 1.0, 0.86, 0.9], 8);
        let after = plain([0.8, 0.8, 0.86 * 0.8, 0.9 * 0.8], 8);
        assert_eq!(verdicts(&before, &after), [Verdict::NoDifference; 4]);
        let found = found(&before, &after);
        let (old, new) = found[0].medians;
        assert!((new / old - 0.8).abs() < 0.01);
        assert_eq!(found[0].ratio, None);
    }

    /// Both runs have a noise floor of 2.5 %, so that of their difference is 3.5 %.
    #[test]
    fn the_noise_floors_of_both_runs_add_up() {
        let before = plain([1.0, 1.0, 1.0, 1.0], 20);
        let after = |change: f64| plain([1.0, 1.0, change, 1.0], 20);
        let verdict = |change: f64| {
            let found = found(&before, &after(change));
            assert!(found[2].ratio.unwrap().excludes_one());
            found[2].verdict
        };
        assert_eq!(verdict(0.97), Verdict::NoDifference);
        assert_eq!(verdict(0.95), Verdict::Worse);
    }

    #[test]
    fn an_unproven_or_a_short_run_has_no_verdict() {
        let before = plain([1.0, 1.0, 0.86, 0.9], 8);
        let doubtful = plain([1.0, 1.3, 0.5, 0.9], 8);
        assert_eq!(verdicts(&before, &doubtful)[2], Verdict::Unproven);
        let (text, is_good) = printed(&before, &doubtful);
        assert!(text.contains("UNPROVEN: in the run after") && is_good);
        let short = plain([1.0, 1.0, 0.5, 0.9], 5);
        assert_eq!(verdicts(&before, &short)[2], Verdict::Indicative);
    }

    #[test]
    fn the_table_has_at_most_80_columns() {
        let before = plain([1.0, 1.0, 0.86, 0.9], 8);
        let (text, _) = printed(&before, &plain([1.0, 1.0, 0.77, 0.9], 8));
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line("thread ").ends_with("slower"), "{text}");
        assert!(line("process ").ends_with("none shown"), "{text}");
    }

    #[test]
    fn cells_with_another_primary_metric_are_not_compared() {
        let before = plain([1.0; 4], 8);
        let mut after = plain([1.0; 4], 8);
        after.cells[0].primary_metric = "cpu".to_owned();
        assert_eq!(found(&before, &after), []);
    }

    #[test]
    fn another_machine_and_another_reference_cause_warnings() {
        let with = |kernel: &str| {
            let mut run = plain([1.0; 4], 1);
            let facts = &mut run.environment.facts;
            facts.insert("kernel".to_owned(), kernel.to_owned());
            run
        };
        let (before, mut after) = (with("6.1"), with("6.18"));
        assert!(
            printed(&before, &after)
                .0
                .starts_with("! kernel: 6.1 before, 6.18 after\n")
        );
        after.arms[0].name = "pool".to_owned();
        assert!(
            printed(&before, &after)
                .0
                .starts_with("! The runs have different references.")
        );
    }
}
