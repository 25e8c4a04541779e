//! A run as text: what limits the result, the answer, a table for each cell, and the details.

use super::format::{bar, control, cut, estimate, heading, plain, value};
use super::terminal::Terminal;
use super::view;
use crate::bench::analysis::summary::{answers, doubts, invalid, limits, noise};
use crate::bench::analysis::{Analysis, CellAnalysis, Row, Verdict, limiter_kind};
use crate::bench::metrics::metric_named;
use crate::bench::record::{Cell, Run};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Color, ContentArrangement, Table};
use std::collections::BTreeSet;
use std::io::{self, Write};

/// The longest name of an arm in a table.
const NAME: usize = 11;
/// The most reasons of invalid samples.
const MAX_REASONS: usize = 20;

/// Prints a run.
///
/// # Errors
/// If `to` cannot be written to.
pub fn print(
    run: &Run,
    analysis: &Analysis,
    to: &mut dyn Write,
    terminal: Terminal,
) -> io::Result<()> {
    for doubt in doubts(run, analysis) {
        terminal.item(to, "! ", &plain(&doubt))?;
    }
    let answers = answers(run, analysis);
    if !answers.is_empty() {
        terminal.heading(to, "Results")?;
        for answer in &answers {
            let name = run.cells.get(answer.cell).map_or("?", |cell| &cell.name);
            let text = format!("{name}, {}: {}", answer.metric, answer.result);
            terminal.item(to, "- ", &plain(&text))?;
        }
        terminal.item(to, "", &plain(&noise(run, analysis).unwrap_or_default()))?;
    }
    let mut columns = BTreeSet::new();
    for one in &analysis.cells {
        if let Some(cell) = run.cells.get(one.cell) {
            writeln!(to)?;
            columns.extend(print_cell(run, one, cell, to, terminal)?);
        }
    }
    legend(&columns, to, terminal)?;
    list(to, terminal, "Problems", &run.problems)?;
    list(to, terminal, "Warnings", &run.environment.warnings)?;
    invalid_samples(run, to, terminal)?;
    list(to, terminal, "Notes", &run.notes)?;
    list(to, terminal, "What this cannot tell", &limits(run))
}

/// Prints the table of a cell. Returns its columns.
fn print_cell(
    run: &Run,
    of: &CellAnalysis,
    cell: &Cell,
    to: &mut dyn Write,
    terminal: Terminal,
) -> io::Result<Vec<&'static str>> {
    terminal.heading(to, &cut(&title(of, cell), terminal.width))?;
    terminal.item(to, "", &plain(&cell.description))?;
    let mut columns = view::columns(cell, of);
    let mut table = table(run, cell, of, terminal, &columns);
    while !columns.is_empty() && width(&table) > terminal.width {
        columns.pop();
        table = self::table(run, cell, of, terminal, &columns);
    }
    print_table(&table, to)?;
    let limiters = limiters(run, of);
    if !limiters.is_empty() {
        terminal.item(to, "limited by: ", &plain(&limiters))?;
    }
    Ok(columns)
}

/// `keepalive c=64  8 rounds  A'/A 1.004 [0.991,1.017] ok`
fn title(of: &CellAnalysis, cell: &Cell) -> String {
    let rounds = of.rows.iter().map(|row| row.valid + row.invalid).max();
    let rounds = rounds.unwrap_or(0);
    let s = if rounds == 1 { "" } else { "s" };
    let control = of.control.map_or_else(String::new, |ratio| {
        let verdict = match (ratio.has_interval(), of.proven) {
            (_, false) => " UNPROVEN",
            (true, true) => " ok",
            (false, true) => "",
        };
        format!("  A'/A {}{verdict}", control(&ratio))
    });
    format!("{}  {rounds} round{s}{control}", plain(&cell.name))
}

fn table(run: &Run, cell: &Cell, of: &CellAnalysis, terminal: Terminal, columns: &[&str]) -> Table {
    let name = |arm: usize| run.arms.get(arm).map_or("", |arm| arm.name.as_str());
    let mut header = vec![
        left(""),
        left(heading(&cell.primary_metric)),
        left(format!("to {} [95 %]", cut(name(0), NAME))),
        left("difference"),
    ];
    header.extend(columns.iter().map(|name| right(heading(name))));
    let primary = |row: &Row| row.medians.get(&cell.primary_metric).copied();
    let largest = of.rows.iter().filter_map(primary).fold(0.0, f64::max);
    let texts = of.rows.iter().filter_map(primary);
    let texts = texts.map(|number| value(&cell.primary_metric, number).chars().count());
    let digits = texts.max().unwrap_or(1);
    let rows = of.rows.iter().map(|row| {
        let number = match (primary(row), row.invalid_median) {
            (Some(number), _) => {
                let text = value(&cell.primary_metric, number);
                with_bar(number / largest, &text, digits, terminal)
            }
            (None, Some(number)) => format!("({})", value(&cell.primary_metric, number)),
            (None, None) => "-".to_owned(),
        };
        let mut line = vec![
            left(cut(name(row.arm), NAME)),
            left(number),
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

fn with_bar(share: f64, text: &str, digits: usize, terminal: Terminal) -> String {
    let width = match terminal.width {
        wide if wide >= 100 => 14,
        usual if usual >= 80 => 8,
        _ => return text.to_owned(),
    };
    let bar = bar(share, width);
    format!("{bar:0$} {text:>digits$}", usize::from(width))
}

/// A table without lines.
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

/// Prints a table without blanks at the ends of lines.
///
/// # Errors
/// If `to` cannot be written to.
pub fn print_table(table: &Table, to: &mut dyn Write) -> io::Result<()> {
    for line in table.lines() {
        writeln!(to, "{}", line.trim_end())?;
    }
    Ok(())
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
        verdict => verdict.word(&cell.primary_metric),
    };
    let color = match verdict {
        Verdict::Better => Some(Color::Green),
        Verdict::Worse => Some(Color::Red),
        Verdict::Unproven | Verdict::Missing => Some(Color::Yellow),
        Verdict::NoDifference | Verdict::Indicative => None,
    };
    match color.filter(|_| terminal.color) {
        Some(color) => left(word).fg(color),
        None => left(word),
    }
}

/// A cell that is aligned to the left.
pub fn left(content: impl Into<String>) -> comfy_table::Cell {
    comfy_table::Cell::new_owned(content.into())
}

/// A cell that is aligned to the right.
pub fn right(content: impl Into<String>) -> comfy_table::Cell {
    left(content).set_alignment(CellAlignment::Right)
}

fn width(table: &Table) -> usize {
    let widths = table.lines().map(|line| visible(line.trim_end()));
    widths.max().unwrap_or(0)
}

/// The columns of a line without its escape sequences.
fn visible(line: &str) -> usize {
    let mut in_escape = false;
    let mut columns = 0;
    for c in line.chars() {
        match (in_escape, c) {
            (false, '\x1b') => in_escape = true,
            (false, _) => columns += 1,
            (true, 'm') => in_escape = false,
            (true, _) => {}
        }
    }
    columns
}

/// `server processor 100 % (reactor, thread); generator (pool)`
fn limiters(run: &Run, of: &CellAnalysis) -> String {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for row in of.rows.iter().filter(|row| !row.limiter.is_empty()) {
        let kind = limiter_kind(&row.limiter);
        let name = run.arms.get(row.arm).map_or("", |arm| arm.name.as_str());
        let name = cut(name, 2 * NAME);
        match groups.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, names)) => names.push(name),
            None => groups.push((kind, vec![name])),
        }
    }
    match groups.as_slice() {
        [(limiter, _)] => (*limiter).to_owned(),
        groups => {
            let text =
                |(kind, names): &(&str, Vec<String>)| format!("{kind} ({})", names.join(", "));
            groups.iter().map(text).collect::<Vec<_>>().join("; ")
        }
    }
}

/// What the columns mean.
fn legend(columns: &BTreeSet<&str>, to: &mut dyn Write, terminal: Terminal) -> io::Result<()> {
    let of = |name: &&str| metric_named(name).filter(|metric| !metric.title.starts_with('p'));
    let metrics = columns.iter().filter_map(of);
    let texts: BTreeSet<String> = metrics
        .map(|metric| format!("{}: {}", metric.title, metric.meaning))
        .collect();
    if texts.is_empty() {
        return Ok(());
    }
    writeln!(to)?;
    let texts: Vec<String> = texts.into_iter().collect();
    terminal.item(to, "", &format!("{}.", texts.join("; ")))?;
    let brackets = "(a-b): the smallest and the largest ratio of all rounds, if they are too few \
                    for an interval. (a): no sample is valid.";
    terminal.item(to, "", brackets)
}

fn list(to: &mut dyn Write, terminal: Terminal, heading: &str, items: &[String]) -> io::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(to)?;
    terminal.heading(to, heading)?;
    for item in items {
        terminal.item(to, "- ", &plain(item))?;
    }
    Ok(())
}

fn invalid_samples(run: &Run, to: &mut dyn Write, terminal: Terminal) -> io::Result<()> {
    let groups = invalid(run);
    let mut items: Vec<String> = groups.iter().map(|group| group.sentence(run)).collect();
    if items.len() > MAX_REASONS {
        let others = items.split_off(MAX_REASONS).len();
        items.push(format!("and {others} other reasons; run.json has all"));
    }
    list(to, terminal, "Invalid samples", &items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::analyse;
    use crate::bench::analysis::sample_runs::plain;

    fn printed(run: &Run, width: usize, color: bool) -> String {
        let mut bytes = Vec::new();
        let terminal = Terminal::new(width, color);
        print(run, &analyse(run), &mut bytes, terminal).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn widest(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap()
    }

    #[test]
    fn a_run_begins_with_the_answer() {
        let text = printed(&plain([1.0, 1.0, 0.86, 1.3], 8), 80, false);
        let expected = "Results\n\
            - keepalive c=64, correct responses per second: reactor is better than thread\n  \
            (1.16 times). process (1.30 times) is better than reactor.\n\
            Differences up to 2.5 % are noise: the reference differs from itself by as\nmuch.\n";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn the_table_of_a_cell_has_80_columns() {
        let text = printed(&plain([1.0, 1.0, 0.86, 1.3], 8), 80, false);
        let lines: Vec<&str> = text.lines().collect();
        let start = lines
            .iter()
            .position(|line| line.starts_with("keep"))
            .unwrap();
        let table = [
            "keepalive c=64  8 rounds  A'/A 1.005 [0.991,1.005] ok",
            "closed loop, 64 connections, 1 KiB",
            "         req/s           to reactor [95 %]  difference      p99  CPU/req, µs",
            "reactor  ██████▎  77.6k                                 1.93 ms         12.9",
            "reactor' ██████▏  76.9k   1.00 [0.99,1.01]  none shown  1.95 ms         13.0",
            "thread   █████▍   66.5k   0.86 [0.85,0.87]  slower      2.26 ms         15.0",
            "process  ████████ 99.6k   1.30 [1.28,1.32]  faster      1.51 ms         10.0",
            "limited by: server processor 100 %",
        ];
        assert_eq!(lines[start..start + table.len()], table, "{text}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [60, 80, 100, 120] {
            let text = printed(&plain([1.0, 1.0, 0.86, 1.5], 8), width, false);
            assert!(widest(&text) <= width, "{width}: {text}");
        }
        assert!(widest(&printed(&plain([1.0; 4], 8), 0, false)) <= 60);
    }

    #[test]
    fn only_a_terminal_with_colours_gets_escape_sequences() {
        let run = plain([1.0, 1.0, 0.86, 1.5], 8);
        assert!(!printed(&run, 80, false).contains('\x1b'));
        assert!(printed(&run, 80, true).contains('\x1b'));
    }

    #[test]
    fn a_name_cannot_write_to_the_terminal() {
        let mut run = plain([1.0, 1.0, 0.86, 1.5], 8);
        run.arms[2].name = "\x1b[2Jevil\n".to_owned();
        run.cells[0].name = "\x07cell".to_owned();
        run.cells[0].description = "\x1b]0;x\x07".to_owned();
        run.problems = vec!["\x1b[31mred".to_owned()];
        run.samples[3].invalid = vec!["\x1b[1m".to_owned()];
        run.samples[5].limiter = "\x1b[1m".to_owned();
        let text = printed(&run, 80, false);
        assert!(!text.contains(['\x1b', '\x07']), "{text}");
    }

    #[test]
    fn problems_warnings_notes_and_invalid_samples_are_printed() {
        let mut run = plain([1.0, 1.0, 0.86, 1.5], 8);
        run.problems = vec!["The server of thread did not stop.".to_owned()];
        run.notes = vec!["sequential takes no part.".to_owned()];
        run.environment.warnings = vec!["The governor is powersave.".to_owned()];
        for sample in run.samples.iter_mut().filter(|one| one.arm == 2) {
            sample.invalid = vec!["steal was 4.1 %".to_owned()];
        }
        let text = printed(&run, 100, false);
        for expected in [
            "The server of thread did not stop.",
            "sequential takes no part.",
            "The governor is powersave.",
            "steal was 4.1 % (8 samples: keepalive c=64 thread 1 2 3 4 5 6 7 8)",
            "thread   (66.",
            "loopback",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }

    #[test]
    fn an_empty_run_is_short() {
        let text = printed(&Run::default(), 80, false);
        assert!(
            text.contains("There is nothing to compare in this run."),
            "{text}"
        );
    }
}
