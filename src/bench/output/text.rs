//! A run as text: what limits the result, the answer, a table for each cell, and the details; and
//! what changed between two runs.

use super::{Terminal, columns, control, cut, estimate, heading, plain, value};
use crate::bench::analysis::summary::{answers, doubts, invalid, limits, noise};
use crate::bench::analysis::{
    Analysis, CellAnalysis, Estimate, Row, Verdict, analyse, limiter_kind,
};
use crate::bench::metrics::metric_named;
use crate::bench::types::{Cell, Run};
use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{CellAlignment, Color, ContentArrangement, Table};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

/// The longest name of an arm in a table.
const NAME: usize = 11;
/// The most reasons of invalid samples.
const MAX_REASONS: usize = 20;

/// Prints a run.
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
    let mut columns = columns(cell, of);
    let width = |columns: &[&str]| {
        let terminal = Terminal {
            color: false,
            ..terminal
        };
        let plain = table(run, cell, of, terminal, columns);
        plain
            .lines()
            .map(|line| line.trim_end().chars().count())
            .max()
    };
    while !columns.is_empty() && width(&columns) > Some(terminal.width) {
        columns.pop();
    }
    // In Markdown the next line would be a row of the table.
    let around = if terminal.markdown { "\n" } else { "" };
    write!(to, "{around}")?;
    print_table(&table(run, cell, of, terminal, &columns), to)?;
    write!(to, "{around}")?;
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
        right(heading(&cell.primary_metric)),
        left(format!("to {} [95 %]", cut(name(0), NAME))),
        left("difference"),
    ];
    header.extend(columns.iter().map(|name| right(heading(name))));
    let primary = |row: &Row| row.medians.get(&cell.primary_metric).copied();
    let rows = of.rows.iter().map(|row| {
        let number = match (primary(row), row.invalid_median) {
            (Some(number), _) => value(&cell.primary_metric, number),
            (None, Some(number)) => format!("({})", value(&cell.primary_metric, number)),
            (None, None) => "-".to_owned(),
        };
        let mut line = vec![
            left(cut(name(row.arm), NAME)),
            right(number),
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

/// A table without lines, or one in Markdown.
fn table_of(
    header: Vec<comfy_table::Cell>,
    rows: impl Iterator<Item = Vec<comfy_table::Cell>>,
    terminal: Terminal,
) -> Table {
    let mut table = Table::new();
    table.load_style(match terminal.markdown {
        true => ASCII_MARKDOWN,
        false => NOTHING,
    });
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
    if !terminal.markdown {
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if index == 0 { 1 } else { 2 }));
        }
    }
    table
}

/// Prints a table without blanks at the ends of lines.
fn print_table(table: &Table, to: &mut dyn Write) -> io::Result<()> {
    for line in table.lines() {
        writeln!(to, "{}", line.trim_end())?;
    }
    Ok(())
}

/// The word of a verdict: nothing for the reference, which has no ratio.
fn verdict(
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
fn left(content: impl Into<String>) -> comfy_table::Cell {
    comfy_table::Cell::new_owned(content.into())
}

/// A cell that is aligned to the right.
fn right(content: impl Into<String>) -> comfy_table::Cell {
    left(content).set_alignment(CellAlignment::Right)
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
    let mut items = invalid(run);
    if items.len() > MAX_REASONS {
        let others = items.split_off(MAX_REASONS).len();
        items.push(format!("and {others} other reasons; run.json has all"));
    }
    list(to, terminal, "Invalid samples", &items)
}

/// Facts of the machine that make two runs hard to compare if they differ.
const FACTS: [&str; 3] = ["processor", "cores", "kernel"];

/// Prints two runs side by side. The exit code is 1 if an arm got worse.
///
/// The reference may have changed because the program changed or because the machine did; two runs
/// cannot tell which. So the word of an arm is about the change of its ratio to the reference of
/// the same run. The noise floor is that of both runs: the root of the sum of the squares.
pub fn compare(
    before: &Run,
    after: &Run,
    to: &mut dyn Write,
    terminal: Terminal,
) -> io::Result<ExitCode> {
    let (old, new) = (analyse(before), analyse(after));
    let fact = |run: &Run, name: &str| run.environment.facts.get(name).cloned().unwrap_or_default();
    for name in FACTS
        .into_iter()
        .filter(|name| fact(before, name) != fact(after, name))
    {
        let text = format!(
            "{name}: {} before, {} after",
            fact(before, name),
            fact(after, name)
        );
        terminal.item(to, "! ", &plain(&text))?;
    }
    for (name, analysis) in [("before", &old), ("after", &new)] {
        if analysis.unproven {
            let text = format!(
                "UNPROVEN: in the run {name} the reference and its control differ by more than \
                 chance allows, so no difference is reported."
            );
            terminal.item(to, "! ", &text)?;
        }
    }
    let mut is_worse = false;
    for (one, cell) in old.cells.iter().zip(&before.cells) {
        let is_same = |other: &Cell| {
            (&other.name, &other.primary_metric) == (&cell.name, &cell.primary_metric)
        };
        let other = after.cells.iter().position(is_same);
        let Some(other) = other.and_then(|index| new.cells.get(index)) else {
            continue;
        };
        let proven = !old.unproven && !new.unproven && one.proven && other.proven;
        let change = Change {
            cell,
            runs: (before, after),
            of: (one, other),
            proven,
        };
        let lines = one.rows.iter().filter_map(|row| change.line(row, terminal));
        let (worse, lines): (Vec<bool>, Vec<_>) = lines.unzip();
        is_worse |= worse.contains(&true);
        writeln!(to)?;
        terminal.heading(to, &cut(&cell.name, terminal.width))?;
        let mut header = vec![left(heading(&cell.primary_metric))];
        header.extend(["before", "after", "change [95 %]"].map(right));
        header.push(left("difference"));
        print_table(&table_of(header, lines.into_iter(), terminal), to)?;
    }
    writeln!(to)?;
    let note = "change: how the ratio to the reference changed, so a faster or slower machine does \
                not count. For a closer comparison of two programs run them side by side: oneloop \
                bench --server 'before=/path/to/oneloop -q -p {port} {root}'.";
    terminal.item(to, "", note)?;
    Ok(ExitCode::from(u8::from(is_worse)))
}

/// A cell of two runs, before and after.
struct Change<'r> {
    cell: &'r Cell,
    runs: (&'r Run, &'r Run),
    of: (&'r CellAnalysis, &'r CellAnalysis),
    proven: bool,
}

impl Change<'_> {
    /// The line of an arm that both runs have, and whether it got worse.
    fn line(&self, row: &Row, terminal: Terminal) -> Option<(bool, Vec<comfy_table::Cell>)> {
        let metric = self.cell.primary_metric.as_str();
        let name = |run: &Run, row: &Row| run.arms.get(row.arm).map(|arm| arm.name.clone());
        let arm = name(self.runs.0, row)?;
        let is_same = |now: &&Row| name(self.runs.1, now).as_ref() == Some(&arm);
        let now = self.of.1.rows.iter().find(is_same)?;
        let ratios = now.ratio.zip(row.ratio);
        let change = ratios.map(|(now, before)| now.over(&before));
        let floor = |of: &CellAnalysis| of.noise_floor.ln_1p();
        let floor = floor(self.of.0).hypot(floor(self.of.1));
        let result = change.map_or(Verdict::NoDifference, |change: Estimate| {
            change.verdict(metric, floor, self.proven)
        });
        let median = |row: &Row| Some(right(value(metric, *row.medians.get(metric)?)));
        let line = vec![
            left(cut(&arm, NAME)),
            median(row)?,
            median(now)?,
            right(change.as_ref().map_or_else(String::new, estimate)),
            verdict(result, change.is_some(), self.cell, terminal),
        ];
        Some((result == Verdict::Worse, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            "         req/s  to reactor [95 %]  difference      p99  CPU/req, µs  ctxsw/req",
            "reactor  77.6k                                 1.93 ms         12.9       0.11",
            "reactor' 76.9k   1.00 [0.99,1.01]  none shown  1.95 ms         13.0       0.11",
            "thread   66.5k   0.86 [0.85,0.87]  slower      2.26 ms         15.0       0.98",
            "process  99.6k   1.30 [1.28,1.32]  faster      1.51 ms         10.0       0.98",
            "limited by: server processor 100 %",
        ];
        assert_eq!(lines[start..start + table.len()], table, "{text}");
    }

    #[test]
    fn in_markdown_a_cell_is_a_heading_and_a_table_with_all_columns() {
        let run = plain([1.0, 1.0, 0.86, 1.3], 8);
        let mut text = Vec::new();
        print(&run, &analyse(&run), &mut text, Terminal::markdown()).unwrap();
        let text = String::from_utf8(text).unwrap();
        let expected = "\n### keepalive c=64  8 rounds  A'/A 1.005 [0.991,1.005] ok\n\n\
            closed loop, 64 connections, 1 KiB\n\n\
            |          | req/s | to reactor [95 %] | difference |     p99 | CPU/req, µs |";
        assert!(text.contains(expected), "{text}");
        let after = "\n\nlimited by: server processor 100 %\n";
        assert!(text.contains(after), "{text}");
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

    fn text(print: impl Fn(&mut dyn Write, Terminal) -> io::Result<ExitCode>) -> (String, bool) {
        let mut bytes = Vec::new();
        let code = print(&mut bytes, Terminal::new(80, false)).unwrap();
        (String::from_utf8(bytes).unwrap(), code == ExitCode::SUCCESS)
    }

    /// The last words of the lines of the arms, and whether nothing got worse.
    fn compared(before: &Run, after: &Run) -> (Vec<String>, bool) {
        let (text, is_good) = text(|to, terminal| compare(before, after, to, terminal));
        assert!(widest(&text) <= 80, "{text}");
        let word = |line: &str| line.rsplit("  ").next().unwrap_or_default().to_owned();
        let arms = ["reactor'", "thread", "process"];
        let lines = arms.map(|arm| text.lines().find(|line| line.starts_with(arm)));
        (lines.into_iter().flatten().map(word).collect(), is_good)
    }

    #[test]
    fn a_slower_model_is_slower_and_the_others_and_a_slower_machine_are_not() {
        let before = plain([1.0, 1.0, 0.86, 0.9], 8);
        let slower = plain([1.0, 1.0, 0.77, 0.9], 8);
        let words = |words: [&str; 3]| words.map(str::to_owned).to_vec();
        let one = words(["none shown", "slower", "none shown"]);
        assert_eq!(compared(&before, &slower), (one, false));
        let other = words(["none shown", "faster", "none shown"]);
        assert_eq!(compared(&slower, &before), (other, true));
        let machine = plain([0.8, 0.8, 0.86 * 0.8, 0.9 * 0.8], 8);
        assert_eq!(compared(&before, &machine).0, words(["none shown"; 3]));
        let doubtful = plain([1.0, 1.3, 0.5, 0.9], 8);
        assert_eq!(compared(&before, &doubtful), (words(["unproven"; 3]), true));
        assert_eq!(
            compared(&before, &plain([1.0; 4], 5)),
            (words(["indicative"; 3]), true)
        );
        let mut other = slower;
        other.cells[0].primary_metric = "cpu".to_owned();
        assert_eq!(compared(&before, &other), (Vec::new(), true));
    }

    /// Both runs have a noise floor of 2.5 %, so that of their difference is 3.5 %.
    #[test]
    fn the_noise_floors_of_both_runs_add_up() {
        let verdict =
            |change: f64| compared(&plain([1.0; 4], 20), &plain([1.0, 1.0, change, 1.0], 20)).0;
        assert_eq!(verdict(0.97)[1], "none shown");
        assert_eq!(verdict(0.95)[1], "slower");
    }

    #[test]
    fn another_machine_causes_a_warning() {
        let with = |kernel: &str| {
            let mut run = plain([1.0; 4], 1);
            run.environment
                .facts
                .insert("kernel".to_owned(), kernel.to_owned());
            run
        };
        let (text, _) = text(|to, terminal| compare(&with("6.1"), &with("6.18"), to, terminal));
        assert!(
            text.starts_with("! kernel: 6.1 before, 6.18 after\n"),
            "{text}"
        );
    }
}
