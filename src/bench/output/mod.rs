//! The output of a run: text for the terminal or a pull request, what changed between two runs, and
//! a report as one HTML file.
//!
//! - here: numbers as text, how an arm looks, the table of a cell, and the text
//! - `summary`: the result in sentences
//! - [`report`]: the report. `charts`: its charts

mod charts;
pub mod report;
mod summary;

use super::analysis::{CellAnalysis, Row, Verdict, analyse};
use super::metrics::{Unit, group_of, metric_named, unit_of};
use super::stats::Interval;
use super::types::{Cell, REFERENCE, Run};
use super::workloads::{self, USUAL_COLUMNS};
use charts::escaped;
use rustix::termios::tcgetwinsize;
use std::io::{self, IsTerminal};
use summary::{answer, details, doubts, limiters, noise, phrase};

/// A value of a metric with three digits: `84.1k`, `1.95 ms`, `9.55 MiB`.
pub(super) fn value(metric: &str, value: f64) -> String {
    match unit_of(metric) {
        Unit::Time => scaled(value, [" µs", " ms", " s"]),
        Unit::Memory => format!("{} MiB", thousands(value / 1024.0)),
        _ => thousands(value),
    }
}

/// The title of a metric with its client group, and the unit if [`value`] does not write it:
/// `mice p99`.
fn heading(metric: &str) -> String {
    let unit = match unit_of(metric) {
        Unit::CpuMicros => ", µs",
        Unit::Percent => ", %",
        _ => "",
    };
    match (group_of(metric), metric_named(metric)) {
        (Some(group), Some(known)) => format!("{group} {}{unit}", known.title),
        (None, Some(known)) => format!("{}{unit}", known.title),
        (_, None) => printable(metric),
    }
}

/// Three digits, and `k` for thousands or `M` for millions.
pub(super) fn thousands(value: f64) -> String {
    scaled(value, ["", "k", "M"])
}

/// Three digits, and one of the units, each a thousand times the one before.
fn scaled(value: f64, [one, thousand, million]: [&str; 3]) -> String {
    match value.abs() {
        small if small < 999.5 => digits(value) + one,
        large if large < 999_500.0 => digits(value / 1e3) + thousand,
        larger if larger < 999.5e9 => digits(value / 1e6) + million,
        _ => format!("{value:.1e}{one}"),
    }
}

/// Three digits, or all digits before the point if there are more.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn ratio(ratio: f64) -> String {
    match ratio {
        huge if huge >= 9999.5 => ">9999".to_owned(),
        tiny if tiny < 0.0005 => "0".to_owned(),
        small if small < 0.1 => format!("{small:.3}"),
        ratio => digits(ratio),
    }
}

/// A ratio with its interval: `0.86 [0.83,0.89]`. With too few pairs for an interval, the smallest
/// and the largest ratio: `0.86 (0.83-0.89)`.
fn estimate(found: &Interval) -> String {
    let (middle, low, high) = (ratio(found.middle), ratio(found.low), ratio(found.high));
    match (found.is_range(), found.values) {
        (false, _) => format!("{middle} [{low},{high}]"),
        (true, 1) => middle,
        (true, _) => format!("{middle} ({low}-{high})"),
    }
}

/// The text without control characters, which a terminal would interpret.
fn printable(text: &str) -> String {
    text.replace(char::is_control, " ").trim().to_owned()
}

/// The text, cut to `width` columns.
fn cut(text: &str, width: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= width {
        return text;
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}

/// The symbol of each model.
const SYMBOLS: [(&str, char); 10] = [
    ("reactor", '●'),
    ("uring", '★'),
    ("coroutine", '◆'),
    ("thread", '▲'),
    ("pool", '■'),
    ("process", '▼'),
    ("sequential", '+'),
    ("level", '◇'),
    ("poll", '△'),
    ("select", '□'),
];
/// The symbol of the control.
const CONTROL: char = '○';
/// The number of colours for other arms.
const OTHER_COLORS: usize = 3;
/// The longest name of an arm in a table or a chart.
const NAME: usize = 12;

/// How an arm looks in each chart and table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Style {
    /// The class of its colour.
    class: String,
    /// Its symbol, so that arms differ without colours too.
    symbol: char,
    /// Its name, short enough for a chart.
    name: String,
}

/// The style of an arm. Each model has its own colour and symbol, and the control the colour of its
/// model. Other arms share three colours.
fn style(run: &Run, arm: usize) -> Style {
    let name = run.name(arm);
    let is_control = run.control() == Some(arm);
    let model = name.trim_end_matches('\'');
    let known = SYMBOLS.iter().find(|(known, _)| *known == model);
    let (class, symbol) = match known {
        Some((_, symbol)) => (format!("c-{model}"), *symbol),
        None => (format!("c-other{}", arm % OTHER_COLORS), '×'),
    };
    Style {
        class,
        symbol: if is_control { CONTROL } else { symbol },
        name: cut(name, NAME),
    }
}

/// The narrowest and the widest terminal. A narrower one breaks the lines itself.
const WIDTHS: (usize, usize) = (60, 160);
/// The width if nothing says another.
const DEFAULT_WIDTH: usize = 80;

/// How text is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    width: usize,
    has_colors: bool,
    is_markdown: bool,
}

impl Form {
    /// For the page of a pull request.
    pub(super) const MARKDOWN: Self = Self {
        width: usize::MAX,
        has_colors: false,
        is_markdown: true,
    };

    /// For standard output, with colours if it is a terminal and nothing forbids them
    /// (<https://no-color.org>).
    pub(super) fn stdout() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let window = tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
        let width = Some(window).filter(|width| *width > 0).or_else(columns);
        let width = width.unwrap_or(DEFAULT_WIDTH);
        Self {
            width: width.clamp(WIDTHS.0, WIDTHS.1),
            has_colors: io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb,
            is_markdown: false,
        }
    }
}

/// A run as text: what limits the result, the answer, a table for each cell, and the details.
pub(super) fn show(run: &Run, form: Form) -> String {
    let analysis = analyse(run);
    let mut text = Text(form, String::new());
    text.items("! ", &doubts(run, &analysis));
    let mut answers = Vec::new();
    for (cell, of) in run.cells.iter().zip(&analysis.cells) {
        let (name, metric) = (&cell.name, cell.primary_metric.as_str());
        let answer = answer(run, of, metric);
        if !answer.is_empty() {
            answers.push(format!("{name}, {}: {answer}", phrase(metric)));
        }
    }
    if !answers.is_empty() {
        text.heading("Results");
    }
    text.items("- ", &answers);
    text.item("", &noise(run, &analysis));
    for (cell, of) in run.cells.iter().zip(&analysis.cells) {
        text.heading(&title(of, cell));
        text.item("", &cell.description);
        text.table(&Table::of_cell(run, cell, of));
        text.item("limited by: ", &limiters(run, of));
    }
    for (heading, sentences) in details(run, &analysis) {
        text.heading(heading);
        text.items("- ", &sentences);
    }
    text.1
}

/// What changed between two runs, and whether an arm got worse.
///
/// The reference may have changed because the program changed or because the machine did; two runs
/// cannot tell which. So the word of an arm is about the change of its ratio to the reference of
/// the same run.
pub(super) fn compare(before: &Run, after: &Run, form: Form) -> (String, bool) {
    let (old, new) = (analyse(before), analyse(after));
    let mut text = Text(form, String::new());
    text.items("! before: ", &doubts(before, &old));
    text.items("! after: ", &doubts(after, &new));
    let mut is_worse = false;
    for (cell, of_old) in before.cells.iter().zip(&old.cells) {
        let metric = cell.primary_metric.as_str();
        let mut cells = after.cells.iter().zip(&new.cells);
        let is_same = |other: &Cell| other.name == cell.name && other.primary_metric == metric;
        let Some((_, of_new)) = cells.find(|(other, _)| is_same(other)) else {
            continue;
        };
        let before_title = format!("{}: before", heading(metric));
        let mut table = Table::new("change [95 %]", vec![before_title, "after".to_owned()]);
        let proven = !old.unproven && !new.unproven && of_old.proven && of_new.proven;
        let floor = of_old.noise_floor.ln_1p().hypot(of_new.noise_floor.ln_1p());
        for row in &of_old.rows {
            let mut rows = of_new.rows.iter();
            let Some(now) = rows.find(|now| after.name(now.arm) == before.name(row.arm)) else {
                continue;
            };
            let ratios = now.ratio.zip(row.ratio);
            let change = ratios.map(|(now, before)| now.over(&before));
            let verdict = change.map_or(Verdict::Reference, |change| {
                Verdict::of(&change, metric, floor, proven)
            });
            is_worse |= verdict == Verdict::Worse;
            let medians = [row, now].map(|row| median(row, metric));
            table.row(style(before, row.arm), (verdict, metric), change, medians);
        }
        text.heading(&cell.name);
        text.table(&table);
    }
    (text.1, is_worse)
}

/// Text in a form.
struct Text(Form, String);

impl Text {
    /// A heading after an empty line, in bold if possible.
    fn heading(&mut self, text: &str) {
        let (before, after) = match self.0 {
            form if form.is_markdown => ("### ", "\n"),
            form if form.has_colors => ("\x1b[1m", "\x1b[0m"),
            _ => ("", ""),
        };
        let empty = if self.1.is_empty() { "" } else { "\n" };
        self.1 += &format!("{empty}{before}{}{after}\n", cut(text, self.0.width));
    }

    /// A sentence after a bullet; nothing if it is empty. Lines after the first are indented like
    /// the first.
    fn item(&mut self, bullet: &str, text: &str) {
        let (text, indent) = (printable(text), bullet.chars().count());
        for (index, line) in wrap(&text, self.0.width - indent).iter().enumerate() {
            let before = if index == 0 { bullet } else { "" };
            self.1 += &format!("{before:indent$}{line}\n");
        }
    }

    fn items(&mut self, bullet: &str, sentences: &[String]) {
        for sentence in sentences {
            self.item(bullet, sentence);
        }
    }

    /// A table. In Markdown an empty line is before and after it.
    fn table(&mut self, table: &Table) {
        let around = if self.0.is_markdown { "\n" } else { "" };
        self.1 += &format!("{around}{}{around}", table.text(self.0));
    }
}

/// The text in lines of at most `width` columns, broken between words if possible.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word: Vec<char> = word.chars().collect();
        for part in word.chunks(width) {
            match lines.last_mut() {
                Some(line) if line.chars().count() + part.len() < width => {
                    line.push(' ');
                    line.extend(part);
                }
                _ => lines.push(part.iter().collect()),
            }
        }
    }
    lines
}

/// `keepalive c=64  8 rounds  A'/A 1.00 [0.99,1.02] ok`
fn title(of: &CellAnalysis, cell: &Cell) -> String {
    let rounds = of.rows.iter().map(|row| row.samples.len()).max();
    let mut title = match rounds.unwrap_or(0) {
        1 => format!("{}  1 round", cell.name),
        many => format!("{}  {many} rounds", cell.name),
    };
    if let Some(ratio) = of.control {
        title += &format!("  A'/A {}", estimate(&ratio));
        title += match (ratio.is_range(), of.proven) {
            (_, false) => " UNPROVEN",
            (false, true) => " ok",
            (true, true) => "",
        };
    }
    title
}

/// The columns of a table that are text: arm and verdict.
const TEXTS: usize = 2;
/// The columns that are shown on the narrowest terminal: these, ratio and primary metric.
const ESSENTIAL: usize = 4;

/// A text that a terminal may print, and how it is meant: `good`, `bad`, `mild` (doubtful), or
/// `invalid` (of invalid samples).
type Entry = (String, &'static str);

/// A table with a row for each arm: built once, and written as text, as Markdown or as HTML.
struct Table {
    /// The class of the arm, and its entries. The first row has the titles.
    rows: Vec<(String, Vec<Entry>)>,
}

impl Table {
    fn new(ratio: &str, others: Vec<String>) -> Self {
        let titles = ["", "difference", ratio].map(str::to_owned);
        let titles = titles.into_iter().chain(others);
        let titles = titles.map(|title| (title, "")).collect();
        let rows = vec![(String::new(), titles)];
        Self { rows }
    }

    /// Adds the row of an arm: its name, the verdict on a metric, the ratio, and other entries.
    fn row(
        &mut self,
        style: Style,
        (verdict, metric): (Verdict, &str),
        ratio: Option<Interval>,
        others: impl IntoIterator<Item = Entry>,
    ) {
        let class = match verdict {
            Verdict::Better => "good",
            Verdict::Worse => "bad",
            Verdict::Unproven | Verdict::Missing => "mild",
            Verdict::Reference | Verdict::NoDifference | Verdict::Indicative => "",
        };
        let ratio = ratio.as_ref().map_or_else(String::new, estimate);
        let word = verdict.word(metric).to_owned();
        let mut entries = vec![(style.name, ""), (word, class), (ratio, "")];
        entries.extend(others);
        self.rows.push((style.class, entries));
    }

    /// The table of a cell.
    fn of_cell(run: &Run, cell: &Cell, of: &CellAnalysis) -> Self {
        let metrics = columns(cell, of);
        let mut titles: Vec<String> = metrics.iter().map(|metric| heading(metric)).collect();
        titles.push("samples".to_owned());
        let ratio = format!("to {} [95 %]", cut(run.name(REFERENCE), NAME));
        let mut table = Self::new(&ratio, titles);
        for row in &of.rows {
            let (valid, all) = (row.valid().count(), row.samples.len());
            let samples = match valid == all {
                true => all.to_string(),
                false => format!("{valid} of {all}"),
            };
            let medians = metrics.iter().map(|metric| median(row, metric));
            let others = medians.chain([(samples, "")]);
            let verdict = (row.verdict, cell.primary_metric.as_str());
            table.row(style(run, row.arm), verdict, row.ratio, others);
        }
        table
    }

    /// As text, with as many columns as the terminal has place for.
    fn text(&self, form: Form) -> String {
        let mut widths = Vec::new();
        for (_, entries) in &self.rows {
            widths.resize(entries.len(), 0);
            for (width, (text, _)) in widths.iter_mut().zip(entries) {
                *width = text.chars().count().max(*width);
            }
        }
        let sum = |widths: &[usize]| widths.iter().map(|width| width + 2).sum::<usize>() - 2;
        while widths.len() > ESSENTIAL && sum(&widths) > form.width {
            widths.pop();
        }
        let numbers = "--:|".repeat(widths.len().saturating_sub(TEXTS));
        let mut rule = format!("|{}{numbers}\n", "---|".repeat(TEXTS));
        let mut page = String::new();
        for (_, entries) in &self.rows {
            let mut places = Vec::new();
            for (column, ((text, class), width)) in entries.iter().zip(&widths).enumerate() {
                let text = match column < TEXTS {
                    true => format!("{text:<width$}"),
                    false => format!("{text:>width$}"),
                };
                places.push(colored(text, class, form.has_colors));
            }
            page += &match form.is_markdown {
                true => format!("| {} |\n{}", places.join(" | "), std::mem::take(&mut rule)),
                false => format!("{}\n", places.join("  ").trim_end()),
            };
        }
        page
    }

    /// As HTML.
    fn html(&self) -> String {
        let mut page = String::from("<div class=\"scroll\" tabindex=\"0\"><table>\n");
        for (number, (class, entries)) in self.rows.iter().enumerate() {
            page += &format!("<tr class=\"{class}\">");
            for (column, (text, class)) in entries.iter().enumerate() {
                let tag = if number == 0 || column == 0 {
                    "th"
                } else {
                    "td"
                };
                page += &format!("<{tag} class=\"{class}\">{}</{tag}>", escaped(text));
            }
            page += "</tr>\n";
        }
        page + "</table></div>\n"
    }
}

/// The metrics in the table of a cell: the primary one, and those of its workload that an arm has.
fn columns<'c>(cell: &'c Cell, of: &CellAnalysis) -> Vec<&'c str> {
    let primary = cell.primary_metric.as_str();
    let known = workloads::named(&cell.workload).map_or(USUAL_COLUMNS, |known| known.columns);
    let mut columns = vec![primary];
    for name in known.iter().filter(|name| **name != primary) {
        if of.rows.iter().any(|row| row.median(name).is_some()) {
            columns.push(name);
        }
    }
    columns
}

/// The median of a metric, in brackets if no sample is valid.
fn median(row: &Row, metric: &str) -> Entry {
    match row.median(metric).map(|median| value(metric, median)) {
        None => ("-".to_owned(), ""),
        Some(text) if row.valid().next().is_none() => (format!("({text})"), "invalid"),
        Some(text) => (text, ""),
    }
}

/// The text in the colour of its class, if the terminal has colours.
fn colored(text: String, class: &str, has_colors: bool) -> String {
    let color = match class {
        "good" if has_colors => 32,
        "bad" if has_colors => 31,
        "mild" if has_colors => 33,
        _ => return text,
    };
    format!("\x1b[{color}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::simulation::plain;

    #[test]
    fn a_value_has_three_digits_and_its_unit() {
        let table = [
            ("throughput", 84_123.0, "84.1k"),
            ("throughput", 999.7, "1.00k"),
            ("throughput", 2.5e12, "2.5e12"),
            ("p99", 1950.0, "1.95 ms"),
            ("canary.p99", 85.3, "85.3 µs"),
            ("max", 2_100_000.0, "2.10 s"),
            ("memory", 2048.0, "2.00 MiB"),
            ("nonsense", 5.0, "5.00"),
        ];
        for (metric, number, text) in table {
            assert_eq!(value(metric, number), text);
        }
        let headings = ["cpu", "mice.p99", "canary.achieved", "what.ever"].map(heading);
        let expected = ["CPU/req, µs", "mice p99", "canary answered, %", "what.ever"];
        assert_eq!(headings, expected);
    }

    #[test]
    fn an_interval_has_square_brackets_and_a_range_has_round_ones() {
        let table = [
            (0.86, 0.83, 0.894, 8, "0.86 [0.83,0.89]"),
            (0.86, 0.83, 0.89, 3, "0.86 (0.83-0.89)"),
            (0.86, 0.86, 0.86, 1, "0.86"),
            (1e6, 120.0, 1e6, 8, ">9999 [120,>9999]"),
            (0.0123, 1e-6, 0.05, 8, "0.012 [0,0.050]"),
        ];
        for (middle, low, high, values, text) in table {
            let found = Interval {
                low,
                middle,
                high,
                values,
            };
            assert_eq!(estimate(&found), text);
        }
    }

    const PLAIN: Form = terminal(80);

    const fn terminal(width: usize) -> Form {
        Form {
            width,
            has_colors: false,
            is_markdown: false,
        }
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
        let text = show(&run, PLAIN);
        assert!(text.starts_with(expected), "{text}");
        let expected = "\n### keepalive c=64  8 rounds  A'/A 1.00 [0.99,1.01] ok

closed loop, 64 connections, 1 KiB

|          | difference | to reactor [95 %] | req/s |     p99 | CPU/req, µs | ctxsw/req | samples |
|---|---|--:|--:|--:|--:|--:|--:|
";
        let markdown = show(&run, Form::MARKDOWN);
        assert!(markdown.contains(expected), "{markdown}");
        assert!(markdown.contains("|\n\nlimited by: server processor\n"));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_only_one_with_colours_gets_escape_sequences() {
        let run = plain([1.0, 1.0, 0.86, 1.5], 8);
        for width in [60, 80, 120] {
            let text = show(&run, terminal(width));
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width) && !text.contains('\x1b'), "{text}");
        }
        let has_colors = true;
        let text = show(
            &run,
            Form {
                has_colors,
                ..PLAIN
            },
        );
        assert!(text.contains("\x1b[31mslower"), "{text}");
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
        let text = show(&run, PLAIN);
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
        let text = show(&run, terminal(100));
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
        assert!(show(&Run::default(), PLAIN).contains("There is nothing to compare"));
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
            let (text, found) = compare(before, after, PLAIN);
            let lines = text
                .lines()
                .skip_while(|line| !line.starts_with("reactor'"));
            let verdicts = lines.filter_map(|line| line[10..].split("  ").next());
            let verdicts: Vec<&str> = verdicts.collect();
            assert_eq!(
                (verdicts.as_slice(), found),
                (&words[..], is_worse),
                "{text}"
            );
        }
        let mut other = slower;
        other.cells[0].primary_metric = "cpu".to_owned();
        assert_eq!(compare(&before, &other, PLAIN), (String::new(), false));
    }
}
