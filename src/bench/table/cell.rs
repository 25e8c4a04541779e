//! Room `bench`: the table of a cell. Who did how much, how sure is the difference, and what of the
//! rest matters in this workload?

use super::Terminal;
use super::columns::{columns, heading, meanings};
use super::format::{bar, cut, estimate, finely, plain, value};
use crate::bench::analysis::{Analysis, CellAnalysis, Row, Verdict};
use crate::bench::record::{Cell, Run};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Color, ContentArrangement, Table};
use std::io::{self, Write};

/// Columns of a name.
const NAME: usize = 11;

/// Prints a cell.
///
/// # Errors
/// If `to` cannot be written to.
pub fn print(
    run: &Run,
    analysis: &CellAnalysis,
    to: &mut dyn Write,
    terminal: Terminal,
) -> io::Result<()> {
    let Some(cell) = run.cells.get(analysis.cell) else {
        return Ok(());
    };
    terminal.heading(to, &cut(&title(analysis, cell), terminal.width))?;
    terminal.item(to, "", &plain(&cell.description))?;
    let table = table(
        run,
        cell,
        analysis,
        terminal,
        &shown(run, cell, analysis, terminal),
    );
    for line in table.lines() {
        writeln!(to, "{}", line.trim_end())?;
    }
    limiters(run, analysis, to, terminal)
}

fn title(analysis: &CellAnalysis, cell: &Cell) -> String {
    let rounds = analysis.rows.iter().map(|row| row.samples + row.invalid);
    let rounds = rounds.max().unwrap_or(0);
    let s = if rounds == 1 { "" } else { "s" };
    let control = match analysis.control {
        None => String::new(),
        Some(control) => {
            let verdict = match (control.is_sure(), analysis.proven) {
                (_, false) => " UNPROVEN",
                (true, true) => " ok",
                (false, true) => "",
            };
            format!("  A'/A {}{verdict}", finely(&control))
        }
    };
    format!("{}  {rounds} round{s}{control}", plain(&cell.name))
}

/// The columns for which there is room.
fn shown(run: &Run, cell: &Cell, analysis: &CellAnalysis, terminal: Terminal) -> Vec<&'static str> {
    let mut all = columns(cell, analysis);
    while !all.is_empty() && width(&table(run, cell, analysis, terminal, &all)) > terminal.width {
        all.pop();
    }
    all
}

fn table(
    run: &Run,
    cell: &Cell,
    analysis: &CellAnalysis,
    terminal: Terminal,
    columns: &[&str],
) -> Table {
    let reference = run.arms.first().map_or("", |arm| arm.name.as_str());
    let compared = format!("to {} [95 %]", cut(reference, NAME));
    let mut header = vec![
        text(""),
        text(heading(&cell.primary_metric)),
        text(compared),
        text("difference"),
    ];
    header.extend(columns.iter().map(|name| right(heading(name))));
    let primary_metric = |row: &Row| row.medians.get(&cell.primary_metric).copied();
    let largest = analysis
        .rows
        .iter()
        .filter_map(primary_metric)
        .fold(0.0, f64::max);
    let numbers = analysis.rows.iter().filter_map(primary_metric);
    let numbers = numbers.map(|number| value(&cell.primary_metric, number).chars().count());
    let digits = numbers.max().unwrap_or(1);
    let rows = analysis.rows.iter().map(|row| {
        let name = run.arms.get(row.arm).map_or("", |arm| arm.name.as_str());
        let mut line = vec![
            text(cut(name, NAME)),
            text(amount(
                primary_metric(row),
                largest,
                cell,
                (terminal, digits),
            )),
            right(row.ratio.as_ref().map_or_else(String::new, estimate)),
            verdict(row.verdict, row.ratio.is_some(), cell, terminal),
        ];
        line.extend(columns.iter().map(|name| {
            let number = row.medians.get(*name);
            right(number.map_or_else(|| "-".to_owned(), |number| value(name, *number)))
        }));
        line
    });
    table_of(header, rows, terminal)
}

/// A table without rules.
pub fn table_of(
    header: Vec<comfy_table::Cell>,
    rows: impl Iterator<Item = Vec<comfy_table::Cell>>,
    terminal: Terminal,
) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    if terminal.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == 0 { 1 } else { 2 }));
    }
    table
}

/// A bar and its number.
fn amount(
    number: Option<f64>,
    largest: f64,
    cell: &Cell,
    (terminal, digits): (Terminal, usize),
) -> String {
    let Some(number) = number else {
        return "-".to_owned();
    };
    let told = value(&cell.primary_metric, number);
    let room = match terminal.width {
        wide if wide >= 100 => 14,
        usual if usual >= 80 => 8,
        _ => 0,
    };
    let bar = bar(number / largest, room);
    let bar = format!("{bar:room$}");
    if room == 0 {
        told
    } else {
        format!("{bar} {told:>digits$}")
    }
}

/// The word of a verdict: nothing for the reference, which has no ratio.
pub fn verdict(
    verdict: Verdict,
    has_ratio: bool,
    cell: &Cell,
    terminal: Terminal,
) -> comfy_table::Cell {
    let word = match verdict {
        Verdict::NoDifference if !has_ratio => "",
        Verdict::NoDifference => "none shown",
        verdict => verdict.word(&cell.primary_metric),
    };
    let color = match verdict {
        Verdict::Better => Some(Color::Green),
        Verdict::Worse => Some(Color::Red),
        Verdict::Unproven | Verdict::Missing => Some(Color::Yellow),
        Verdict::NoDifference | Verdict::Indicative => None,
    };
    let cell = text(word);
    match color.filter(|_| terminal.color) {
        Some(color) => cell.fg(color),
        None => cell,
    }
}

/// A cell, aligned to the left.
pub fn text(content: impl Into<String>) -> comfy_table::Cell {
    comfy_table::Cell::new_owned(content.into())
}

/// A cell, aligned to the right.
pub fn right(content: impl Into<String>) -> comfy_table::Cell {
    text(content).set_alignment(CellAlignment::Right)
}

fn width(table: &Table) -> usize {
    let lines = table.lines();
    let visible = |line: String| visible(line.trim_end());
    lines.map(visible).max().unwrap_or(0)
}

/// Columns without those of escape sequences.
fn visible(line: &str) -> usize {
    let mut within = false;
    let mut columns = 0;
    for c in line.chars() {
        match (within, c) {
            (false, '\x1b') => within = true,
            (false, _) => columns += 1,
            (true, 'm') => within = false,
            (true, _) => {}
        }
    }
    columns
}

/// What limits the numbers, of each arm the same or not.
fn limiters(
    run: &Run,
    analysis: &CellAnalysis,
    to: &mut dyn Write,
    terminal: Terminal,
) -> io::Result<()> {
    let named = analysis.rows.iter().filter(|row| !row.limiter.is_empty());
    // What stands in brackets is another number for each.
    let kind = |row: &'_ Row| row.limiter.split(" (").next().unwrap_or("").to_owned();
    let kinds: Vec<(String, String)> = named.map(|row| (kind(row), name(run, row))).collect();
    let groups = grouped(
        kinds
            .iter()
            .map(|(kind, name)| (kind.as_str(), name.clone())),
    );
    let told: Vec<String> = match groups.as_slice() {
        [] => return Ok(()),
        [(limiter, _)] => vec![plain(limiter)],
        several => several
            .iter()
            .map(|(limiter, names)| format!("{} ({})", plain(limiter), names.join(", ")))
            .collect(),
    };
    terminal.item(to, "limit: ", &told.join("; "))
}

fn name(run: &Run, row: &Row) -> String {
    let name = run.arms.get(row.arm).map_or("", |arm| arm.name.as_str());
    cut(name, 24)
}

/// Names by what they have in common, in the order in which it comes first.
fn grouped<'a>(all: impl Iterator<Item = (&'a str, String)>) -> Vec<(&'a str, Vec<String>)> {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for (key, name) in all {
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, names)) => names.push(name),
            None => groups.push((key, vec![name])),
        }
    }
    groups
}

/// What the short headings and the words mean.
///
/// # Errors
/// If `to` cannot be written to.
pub fn legend(
    run: &Run,
    analysis: &Analysis,
    to: &mut dyn Write,
    terminal: Terminal,
) -> io::Result<()> {
    if analysis.cells.is_empty() {
        return Ok(());
    }
    let rows = || analysis.cells.iter().flat_map(|cell| &cell.rows);
    let of = |one: &CellAnalysis| {
        let cell = run.cells.get(one.cell);
        cell.map_or_else(Vec::new, |cell| shown(run, cell, one, terminal))
    };
    let columns: Vec<&str> = analysis.cells.iter().flat_map(of).collect();
    let words = meanings(&columns);
    writeln!(to)?;
    if !words.is_empty() {
        terminal.item(to, "", &format!("{}.", words.join("; ")))?;
    }
    if rows().any(|row| row.verdict == Verdict::NoDifference && row.ratio.is_some()) {
        let told = "none shown: either there is none, or it is too small to be told from chance \
                    in so many rounds.";
        terminal.item(to, "", told)?;
    }
    if rows().any(|row| row.verdict == Verdict::Indicative) {
        let told = "In round brackets: the least and the greatest of the rounds, which is no \
                    interval.";
        terminal.item(to, "", told)?;
    }
    Ok(())
}
