//! A run as text: what limits the result, the answer, a table for each cell, and the details; and
//! what changed between two runs.

use super::table::{Column, Entry, Form, Table};
use super::{NAME, cut, estimate, heading, plain, style};
use crate::bench::analysis::summary::{answers, details, doubts, noise};
use crate::bench::analysis::{Analysis, CellAnalysis, Row, Verdict, analyse};
use crate::bench::types::{Cell, Run};
use rustix::termios::tcgetwinsize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};

/// The widths that are used. A narrower terminal breaks the lines itself.
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=160;
/// The width if nothing says another.
const DEFAULT_WIDTH: usize = 80;

/// Text for a terminal, or for the page of a pull request.
#[derive(Debug)]
pub(in crate::bench) struct Text {
    form: Form,
    text: String,
}

impl Text {
    fn new(form: Form) -> Self {
        let text = String::new();
        Self { form, text }
    }

    /// In Markdown.
    pub(in crate::bench) fn markdown() -> Self {
        Self::new(Form::Markdown)
    }

    /// For standard output, with colours if it is a terminal and nothing forbids them
    /// (<https://no-color.org>).
    pub(in crate::bench) fn stdout() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let color = io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb;
        let columns = std::env::var("COLUMNS").ok();
        let columns = columns.and_then(|columns| columns.parse().ok());
        let window = tcgetwinsize(io::stdout()).ok();
        let window = window
            .map(|size| usize::from(size.ws_col))
            .filter(|width| *width > 0);
        let width = window.or(columns).unwrap_or(DEFAULT_WIDTH);
        Self::new(Form::Terminal(
            width.clamp(*WIDTHS.start(), *WIDTHS.end()),
            color,
        ))
    }

    /// The text after [`print`](Self::print) or [`compare`](Self::compare).
    pub(in crate::bench) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    fn line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    /// A heading after an empty line, in bold if possible.
    fn heading(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.line("");
        }
        match self.form {
            Form::Terminal(width, true) => {
                self.line(&format!("\x1b[1m{}\x1b[0m", cut(text, width)))
            }
            Form::Terminal(width, false) => self.line(&cut(text, width)),
            Form::Markdown => self.line(&format!("### {}\n", plain(text))),
        }
    }

    /// A sentence after a bullet. Lines after the first are indented like the first.
    fn item(&mut self, bullet: &str, text: &str) {
        let indent = bullet.chars().count();
        let width = match self.form {
            Form::Terminal(width, _) => width - indent,
            Form::Markdown => usize::MAX,
        };
        for (index, line) in wrap(&plain(text), width).iter().enumerate() {
            let before = if index == 0 { bullet } else { "" };
            self.line(&format!("{before:indent$}{line}"));
        }
    }

    /// A table. In Markdown an empty line is before and after it.
    fn table(&mut self, table: &Table) {
        let around = if self.form == Form::Markdown {
            "\n"
        } else {
            ""
        };
        self.text += &format!("{around}{}{around}", table.text(self.form));
    }

    /// Prints a run.
    pub(in crate::bench) fn print(&mut self, run: &Run, analysis: &Analysis) {
        for doubt in doubts(run, analysis) {
            self.item("! ", &doubt);
        }
        let answers = answers(run, analysis);
        if !answers.is_empty() {
            self.heading("Results");
            for answer in &answers {
                let name = run.cells.get(answer.cell).map_or("?", |cell| &cell.name);
                self.item(
                    "- ",
                    &format!("{name}, {}: {}", answer.metric, answer.result),
                );
            }
            self.item("", &noise(run, analysis).unwrap_or_default());
        }
        let mut meanings = BTreeSet::new();
        for (cell, of) in run.cells.iter().zip(&analysis.cells) {
            self.heading(&title(of, cell));
            self.item("", &cell.description);
            let table = Table::of_cell(run, cell, of);
            self.table(&table);
            meanings.extend(table.columns.iter().filter_map(Column::legend));
            let limiters = limiters(run, of);
            if !limiters.is_empty() {
                self.item("limited by: ", &limiters);
            }
        }
        if !meanings.is_empty() {
            self.heading("Columns");
            let meanings: Vec<String> = meanings.into_iter().collect();
            self.item("", &format!("{}.", meanings.join("; ")));
            let brackets = "(a-b): the smallest and the largest ratio of all rounds, if they are \
                            too few for an interval. (a): no sample is valid.";
            self.item("", brackets);
        }
        for (heading, sentences) in details(run) {
            self.heading(heading);
            for sentence in sentences {
                self.item("- ", &sentence);
            }
        }
    }

    /// Compares two runs. Returns whether an arm got worse.
    ///
    /// The reference may have changed because the program changed or because the machine did; two
    /// runs cannot tell which. So the word of an arm is about the change of its ratio to the
    /// reference of the same run.
    pub(in crate::bench) fn compare(&mut self, before: &Run, after: &Run) -> bool {
        let (old, new) = (analyse(before), analyse(after));
        if old.unproven || new.unproven {
            self.item(
                "! ",
                "UNPROVEN: in one of the runs the reference and its control differ by \
                more than chance allows, so no difference is reported.",
            );
        }
        let mut is_worse = false;
        for (cell, of_old) in before.cells.iter().zip(&old.cells) {
            let mut cells = after.cells.iter().zip(&new.cells);
            let is_same = |other: &Cell| {
                (&other.name, &other.primary_metric) == (&cell.name, &cell.primary_metric)
            };
            let Some((_, of_new)) = cells.find(|(other, _)| is_same(other)) else {
                continue;
            };
            let metric = cell.primary_metric.as_str();
            let mut table = Table::new(vec![
                Column::text(""),
                Column::text("difference"),
                Column::number("change [95 %]"),
                Column::number(format!("{}: before", heading(metric))),
                Column::number("after"),
            ]);
            let proven = !old.unproven && !new.unproven && of_old.proven && of_new.proven;
            let floor = of_old.noise_floor.ln_1p().hypot(of_new.noise_floor.ln_1p());
            for row in &of_old.rows {
                let mut rows = of_new.rows.iter();
                let is_same = |now: &&Row| after.name(now.arm) == before.name(row.arm);
                let Some(now) = rows.find(is_same) else {
                    continue;
                };
                let change = now
                    .ratio
                    .zip(row.ratio)
                    .map(|(now, before)| now.over(&before));
                let verdict = change.map_or(Verdict::Reference, |change| {
                    Verdict::of(&change, metric, floor, proven)
                });
                is_worse |= verdict == Verdict::Worse;
                table.row(
                    style(before, row.arm),
                    vec![
                        Entry::verdict(verdict, metric),
                        Entry::of(change.as_ref().map_or_else(String::new, estimate)),
                        Entry::metric(metric, row.medians.get(metric).copied()),
                        Entry::metric(metric, now.medians.get(metric).copied()),
                    ],
                );
            }
            self.heading(&cell.name);
            self.table(&table);
        }
        is_worse
    }
}

/// The text in lines of at most `width` columns, broken between words if possible.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        let used = line.chars().count();
        if used > 0 && used + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
        }
        while word.len() > width {
            let rest = word.split_off(width);
            lines.push(word.into_iter().collect());
            word = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word);
    }
    lines.extend(Some(line).filter(|line| !line.is_empty()));
    lines
}

/// `keepalive c=64  8 rounds  A'/A 1.00 [0.99,1.02] ok`
fn title(of: &CellAnalysis, cell: &Cell) -> String {
    let rounds = of
        .rows
        .iter()
        .map(|row| row.samples.len())
        .max()
        .unwrap_or(0);
    let s = if rounds == 1 { "" } else { "s" };
    let control = of.control.map_or_else(String::new, |ratio| {
        let verdict = match (ratio.is_range(), of.proven) {
            (_, false) => " UNPROVEN",
            (false, true) => " ok",
            (true, true) => "",
        };
        format!("  A'/A {}{verdict}", estimate(&ratio))
    });
    format!("{}  {rounds} round{s}{control}", cell.name)
}

/// What limits the arms: `server processor (reactor, thread); generator (pool)`.
pub(super) fn limiters(run: &Run, of: &CellAnalysis) -> String {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in of.rows.iter().filter(|row| !row.limiter().is_empty()) {
        let name = cut(run.name(row.arm), 2 * NAME);
        groups.entry(row.limiter()).or_default().push(name);
    }
    if groups.len() == 1 {
        return groups.into_keys().collect();
    }
    let text = |(kind, names): (&str, Vec<String>)| format!("{kind} ({})", names.join(", "));
    groups.into_iter().map(text).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::simulation::plain;

    fn printed(run: &Run, form: Form) -> String {
        let mut text = Text::new(form);
        text.print(run, &analyse(run));
        text.text
    }

    const PLAIN: Form = Form::Terminal(80, false);

    fn widest(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap()
    }

    #[test]
    fn a_run_begins_with_the_answer_and_has_a_table_for_each_cell() {
        let run = plain([1.0, 1.0, 0.86, 1.3], 8);
        let expected = "\
Results
- keepalive c=64, correct responses per second: reactor is better than thread
  (1.16 times). process (1.30 times) is better than reactor.
Differences up to 2.5 % are noise: the reference differs from itself by as much.

keepalive c=64  8 rounds  A'/A 1.00 [0.99,1.01] ok
closed loop, 64 connections, 1 KiB
          difference  to reactor [95 %]  req/s      p99  CPU/req, µs  ctxsw/req
reactor                                  77.6k  1.93 ms         12.9       0.11
reactor'  none shown   1.00 [0.99,1.01]  76.9k  1.95 ms         13.0       0.11
thread    slower       0.86 [0.85,0.87]  66.5k  2.26 ms         15.0       0.98
process   faster       1.30 [1.28,1.32]  99.6k  1.51 ms         10.0       0.98
limited by: server processor
";
        let text = printed(&run, PLAIN);
        assert!(text.starts_with(expected), "{text}");
        let expected = "\n### keepalive c=64  8 rounds  A'/A 1.00 [0.99,1.01] ok

closed loop, 64 connections, 1 KiB

|          | difference | to reactor [95 %] | req/s |     p99 | CPU/req, µs | ctxsw/req | samples |
|---|---|--:|--:|--:|--:|--:|--:|
";
        let markdown = printed(&run, Form::Markdown);
        assert!(markdown.contains(expected), "{markdown}");
        assert!(
            markdown.contains("|\n\nlimited by: server processor\n"),
            "{markdown}"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_only_one_with_colours_gets_escape_sequences() {
        let run = plain([1.0, 1.0, 0.86, 1.5], 8);
        for width in [60, 80, 120] {
            let text = printed(&run, Form::Terminal(width, false));
            assert!(
                widest(&text) <= width && !text.contains('\x1b'),
                "{width}: {text}"
            );
        }
        assert!(printed(&run, Form::Terminal(80, true)).contains("\x1b[31mslower"));
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
        let text = printed(&run, PLAIN);
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
        let text = printed(&run, Form::Terminal(100, false));
        for expected in [
            "The server of thread did not stop.",
            "sequential takes no part.",
            "The governor is powersave.",
            "steal was 4.1 % (8 samples: keepalive c=64 thread 8x)",
            "thread    no result                      (66.",
            "0 of 8",
            "loopback",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert!(printed(&Run::default(), PLAIN).contains("There is nothing to compare"));
    }

    /// The verdicts on control, thread and process, and whether one got worse.
    fn compared(before: &Run, after: &Run) -> (Vec<String>, bool) {
        let mut text = Text::new(PLAIN);
        let is_worse = text.compare(before, after);
        let text = text.text;
        let lines = text
            .lines()
            .skip_while(|line| !line.starts_with("reactor'"));
        let word = |line: &str| line[10..].split("  ").next().unwrap().to_owned();
        (lines.map(word).collect(), is_worse)
    }

    #[test]
    fn a_slower_model_is_slower_and_the_others_and_a_slower_machine_are_not() {
        let before = plain([1.0, 1.0, 0.86, 0.9], 8);
        let slower = plain([1.0, 1.0, 0.77, 0.9], 8);
        let machine = plain([0.8, 0.8, 0.86 * 0.8, 0.9 * 0.8], 8);
        let doubtful = plain([1.0, 1.3, 0.5, 0.9], 8);
        // Both runs have a noise floor of 2.5 %, so that of their difference is 3.5 %.
        let with = |thread: f64| plain([1.0, 1.0, thread, 1.0], 20);
        let none = "none shown";
        let table = [
            (&before, &slower, [none, "slower", none], true),
            (&slower, &before, [none, "faster", none], false),
            (&before, &machine, [none; 3], false),
            (&before, &doubtful, ["unproven"; 3], false),
            (&before, &plain([1.0; 4], 5), ["indicative"; 3], false),
            (&with(1.0), &with(0.97), [none; 3], false),
            (&with(1.0), &with(0.95), [none, "slower", none], true),
        ];
        for (before, after, words, is_worse) in table {
            assert_eq!(
                compared(before, after),
                (words.map(str::to_owned).to_vec(), is_worse)
            );
        }
        let mut other = slower;
        other.cells[0].primary_metric = "cpu".to_owned();
        assert_eq!(compared(&before, &other), (Vec::new(), false));
    }
}
