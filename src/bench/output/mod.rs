//! The output of a run: text for the terminal or a pull request, what changed between two runs, and
//! a report as one HTML file.
//!
//! - here: numbers as text, how an arm looks, the table of a cell, and the text
//! - [`report`]: the report. `charts`: its charts

mod charts;
pub mod report;

use super::analysis::summary::{answer, details, doubts, noise, phrase};
use super::analysis::{Analysis, CellAnalysis, Row, Verdict, analyse};
use super::metrics::{Unit, group_of, metric_named, unit_of};
use super::stats::Interval;
use super::types::{Cell, REFERENCE, Run};
use super::workloads::{self, USUAL_COLUMNS};
use charts::escaped;
use rustix::termios::tcgetwinsize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};

/// A value of a metric with three digits: `84.1k`, `1.95 ms`, `9.55 MiB`.
pub(super) fn value(metric: &str, value: f64) -> String {
    match unit_of(metric) {
        Unit::Time => time(value),
        Unit::Memory => format!("{} MiB", thousands(value / 1024.0)),
        _ => thousands(value),
    }
}

/// The title of a metric, with its client group: `mice p99`.
fn title(metric: &str) -> String {
    let title = metric_named(metric).map(|metric| metric.title);
    match (group_of(metric), title) {
        (Some(group), Some(title)) => format!("{group} {title}"),
        (None, Some(title)) => title.to_owned(),
        (_, None) => metric.to_owned(),
    }
}

/// The title, and the unit if [`value`] does not write it.
fn heading(metric: &str) -> String {
    let unit = match unit_of(metric) {
        Unit::CpuMicros => ", µs",
        Unit::Percent => ", %",
        _ => "",
    };
    title(metric) + unit
}

/// Microseconds as `85.3 µs`, `1.95 ms` or `2.10 s`.
fn time(value: f64) -> String {
    scaled(value, [" µs", " ms", " s"])
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
fn plain(text: &str) -> String {
    text.replace(char::is_control, " ").trim().to_owned()
}

/// The text, cut to `width` columns.
fn cut(text: &str, width: usize) -> String {
    let text = plain(text);
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
/// The number of colours for other arms.
const OTHER_COLORS: usize = 3;
/// The longest name of an arm in a table or a chart.
const NAME: usize = 11;

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
        symbol: if is_control { '○' } else { symbol },
        name: cut(name, NAME),
    }
}

/// The widths that are used. A narrower terminal breaks the lines itself.
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=160;
/// The width if nothing says another.
const DEFAULT_WIDTH: usize = 80;
/// The columns of a table that are text: arm and verdict.
const TEXTS: usize = 2;
/// The columns that are shown on the narrowest terminal: these, ratio and primary metric.
const ESSENTIAL: usize = 4;

/// Where text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// On a terminal, or in a file.
    Terminal { width: usize, has_colors: bool },
    /// On the page of a pull request.
    Markdown,
}

impl Form {
    /// That of standard output, with colours if it is a terminal and nothing forbids them
    /// (<https://no-color.org>).
    pub(super) fn stdout() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let window = tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
        let width = Some(window).filter(|width| *width > 0).or_else(columns);
        Self::Terminal {
            width: width
                .unwrap_or(DEFAULT_WIDTH)
                .clamp(*WIDTHS.start(), *WIDTHS.end()),
            has_colors: io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb,
        }
    }
}

/// A run as text: what limits the result, the answer, a table for each cell, and the details.
pub(super) fn show(run: &Run, form: Form) -> String {
    let text = String::new();
    let mut text = Text { form, text };
    text.run(run, &analyse(run));
    text.text
}

/// What changed between two runs, and whether an arm got worse.
pub(super) fn compare(before: &Run, after: &Run, form: Form) -> (String, bool) {
    let text = String::new();
    let mut text = Text { form, text };
    let is_worse = text.change((before, &analyse(before)), (after, &analyse(after)));
    (text.text, is_worse)
}

struct Text {
    form: Form,
    text: String,
}

impl Text {
    fn line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    /// A heading after an empty line, in bold if possible.
    fn heading(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.line("");
        }
        self.line(&match self.form {
            Form::Terminal {
                width,
                has_colors: true,
            } => format!("\x1b[1m{}\x1b[0m", cut(text, width)),
            Form::Terminal { width, .. } => cut(text, width),
            Form::Markdown => format!("### {}\n", plain(text)),
        });
    }

    /// A sentence after a bullet. Lines after the first are indented like the first.
    fn item(&mut self, bullet: &str, text: &str) {
        let indent = bullet.chars().count();
        let width = match self.form {
            Form::Terminal { width, .. } => width - indent,
            Form::Markdown => usize::MAX,
        };
        for (index, line) in wrap(&plain(text), width).iter().enumerate() {
            let before = if index == 0 { bullet } else { "" };
            self.line(&format!("{before:indent$}{line}"));
        }
    }

    /// Sentences with a heading.
    fn list(&mut self, heading: &str, sentences: &[String]) {
        if !sentences.is_empty() {
            self.heading(heading);
        }
        for sentence in sentences {
            self.item("- ", sentence);
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

    fn run(&mut self, run: &Run, analysis: &Analysis) {
        for doubt in doubts(run, analysis) {
            self.item("! ", &doubt);
        }
        let mut answers = Vec::new();
        for (cell, of) in run.cells.iter().zip(&analysis.cells) {
            let (name, metric) = (&cell.name, &cell.primary_metric);
            match answer(run, of, metric) {
                none if none.is_empty() => {}
                answer => answers.push(format!("{name}, {}: {answer}", phrase(metric))),
            }
        }
        self.list("Results", &answers);
        self.item("", &noise(run, analysis).unwrap_or_default());
        let mut legend = BTreeSet::new();
        for (cell, of) in run.cells.iter().zip(&analysis.cells) {
            self.heading(&title_of(of, cell));
            self.item("", &cell.description);
            let table = Table::of_cell(run, cell, of);
            self.table(&table);
            for Entry { text, meaning, .. } in table.rows.iter().take(1).flatten() {
                // `p99` says what it is.
                if !meaning.is_empty() && !text.starts_with('p') {
                    legend.insert(format!("{text}: {meaning}"));
                }
            }
            match limiters(run, of) {
                none if none.is_empty() => {}
                limiters => self.item("limited by: ", &limiters),
            }
        }
        if !legend.is_empty() {
            self.heading("Columns");
            self.item("", &format!("{}.", Vec::from_iter(legend).join("; ")));
            let brackets = "(a-b): the smallest and the largest ratio of all rounds, if they are \
                            too few for an interval. (a): no sample is valid.";
            self.item("", brackets);
        }
        for (heading, sentences) in details(run) {
            self.list(heading, &sentences);
        }
    }

    /// Compares two runs. Returns whether an arm got worse.
    ///
    /// The reference may have changed because the program changed or because the machine did; two
    /// runs cannot tell which. So the word of an arm is about the change of its ratio to the
    /// reference of the same run.
    fn change(
        &mut self,
        (before, old): (&Run, &Analysis),
        (after, new): (&Run, &Analysis),
    ) -> bool {
        for doubt in doubts(before, old) {
            self.item("! ", &format!("before: {doubt}"));
        }
        for doubt in doubts(after, new) {
            self.item("! ", &format!("after: {doubt}"));
        }
        let mut is_worse = false;
        for (cell, of_old) in before.cells.iter().zip(&old.cells) {
            let metric = cell.primary_metric.as_str();
            let mut cells = after.cells.iter().zip(&new.cells);
            let is_same = |other: &Cell| other.name == cell.name && other.primary_metric == metric;
            let Some((_, of_new)) = cells.find(|(other, _)| is_same(other)) else {
                continue;
            };
            let titles = [&format!("{}: before", heading(metric)), "after"];
            let titles = titles.map(|title| Entry::new(title, ""));
            let mut table = Table::new("change [95 %]", titles);
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
                let medians = [row, now].map(|row| Entry::median(row, metric));
                table.row(&style(before, row.arm), (verdict, metric), change, medians);
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
fn title_of(of: &CellAnalysis, cell: &Cell) -> String {
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
fn limiters(run: &Run, of: &CellAnalysis) -> String {
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

/// A table with a row for each arm: built once, and written as text, as Markdown or as HTML.
struct Table {
    /// The first row has the titles. The first two columns are text, the others numbers.
    rows: Vec<Vec<Entry>>,
}

/// What a table has in one place.
#[derive(Default)]
struct Entry {
    text: String,
    /// How it is meant: `good`, `bad`, `mild` (doubtful), `invalid` (of invalid samples), or the
    /// colour of an arm.
    class: String,
    /// What a column contains, as a phrase; empty if its title says it.
    meaning: &'static str,
}

impl Entry {
    fn new(text: &str, class: &str) -> Self {
        let (text, class, meaning) = (plain(text), class.to_owned(), "");
        Self {
            text,
            class,
            meaning,
        }
    }

    /// The title of the column of a metric.
    fn title(metric: &str) -> Self {
        let meaning = metric_named(metric).map_or("", |metric| metric.meaning);
        Self {
            meaning,
            ..Self::new(&heading(metric), "")
        }
    }

    /// The median of a metric, in brackets if no sample is valid.
    fn median(row: &Row, metric: &str) -> Self {
        let is_valid = row.valid().next().is_some();
        match row.median(metric).map(|median| value(metric, median)) {
            None => Self::new("-", ""),
            Some(text) if is_valid => Self::new(&text, ""),
            Some(text) => Self::new(&format!("({text})"), "invalid"),
        }
    }
}

impl Table {
    fn new(ratio: &str, others: impl IntoIterator<Item = Entry>) -> Self {
        let titles = ["", "difference", ratio].map(|title| Entry::new(title, ""));
        let rows = vec![titles.into_iter().chain(others).collect()];
        Self { rows }
    }

    /// Adds the row of an arm: its name, the verdict on a metric, the ratio, and other entries.
    fn row(
        &mut self,
        style: &Style,
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
        let first = [
            Entry::new(&style.name, &style.class),
            Entry::new(verdict.word(metric), class),
            Entry::new(&ratio, ""),
        ];
        self.rows.push(first.into_iter().chain(others).collect());
    }

    /// The table of a cell. Its metrics are those of its workload that an arm has.
    fn of_cell(run: &Run, cell: &Cell, of: &CellAnalysis) -> Self {
        let primary = cell.primary_metric.as_str();
        let known = workloads::named(&cell.workload).map_or(USUAL_COLUMNS, |known| known.columns);
        let has_it = |name: &&str| of.rows.iter().any(|row| row.median(name).is_some());
        let others = known
            .iter()
            .copied()
            .filter(|name| *name != primary && has_it(name));
        let metrics: Vec<&str> = std::iter::once(primary).chain(others).collect();
        let titles = metrics.iter().map(|metric| Entry::title(metric));
        let ratio = format!("to {} [95 %]", cut(run.name(REFERENCE), NAME));
        let mut table = Self::new(&ratio, titles.chain([Entry::new("samples", "")]));
        for row in &of.rows {
            let (valid, all) = (row.valid().count(), row.samples.len());
            let samples = match valid == all {
                true => all.to_string(),
                false => format!("{valid} of {all}"),
            };
            let medians = metrics.iter().map(|metric| Entry::median(row, metric));
            let others = medians.chain([Entry::new(&samples, "")]);
            table.row(
                &style(run, row.arm),
                (row.verdict, primary),
                row.ratio,
                others,
            );
        }
        table
    }

    /// As text, with as many columns as the terminal has place for.
    fn text(&self, form: Form) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            widths.resize(row.len(), 0);
            for (width, entry) in widths.iter_mut().zip(row) {
                *width = entry.text.chars().count().max(*width);
            }
        }
        if let Form::Terminal { width, .. } = form {
            let sum = |widths: &[usize]| widths.iter().map(|one| one + 2).sum::<usize>();
            while widths.len() > ESSENTIAL && sum(&widths) > width + 2 {
                widths.pop();
            }
        }
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let places = row.iter().zip(&widths).enumerate();
            let padded = places.map(|(column, (entry, width))| {
                let text = match column < TEXTS {
                    true => format!("{:<width$}", entry.text),
                    false => format!("{:>width$}", entry.text),
                };
                colored(text, &entry.class, form)
            });
            let padded: Vec<String> = padded.collect();
            match form {
                Form::Terminal { .. } => text += padded.join("  ").trim_end(),
                Form::Markdown => text += &format!("| {} |", padded.join(" | ")),
            }
            text.push('\n');
            if number == 0 && form == Form::Markdown {
                let numbers = "--:|".repeat(row.len().saturating_sub(TEXTS));
                text += &format!("|{}{numbers}\n", "---|".repeat(TEXTS));
            }
        }
        text
    }

    /// As HTML.
    fn html(&self) -> String {
        let mut page = String::from("<div class=\"scroll\" tabindex=\"0\"><table>\n");
        for (number, row) in self.rows.iter().enumerate() {
            page += "<tr>";
            for (column, entry) in row.iter().enumerate() {
                let tag = if number == 0 || column == 0 {
                    "th"
                } else {
                    "td"
                };
                let (class, text) = (&entry.class, escaped(&entry.text));
                let title = match entry.meaning {
                    "" => String::new(),
                    meaning => format!(" title=\"{}\"", escaped(meaning)),
                };
                page += &format!("<{tag} class=\"{class}\"{title}>{text}</{tag}>");
            }
            page += "</tr>\n";
        }
        page + "</table></div>\n"
    }
}

/// The text in the colour of its class, if the terminal has colours.
fn colored(text: String, class: &str, form: Form) -> String {
    let has_colors = matches!(
        form,
        Form::Terminal {
            has_colors: true,
            ..
        }
    );
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
    use super::super::analysis::simulation;
    use super::*;

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

    const PLAIN: Form = terminal(80, false);

    const fn terminal(width: usize, has_colors: bool) -> Form {
        Form::Terminal { width, has_colors }
    }

    fn widest(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap()
    }

    #[test]
    fn a_run_begins_with_the_answer_and_has_a_table_for_each_cell() {
        let run = simulation::plain([1.0, 1.0, 0.86, 1.3], 8);
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
        let markdown = show(&run, Form::Markdown);
        assert!(markdown.contains(expected), "{markdown}");
        assert!(
            markdown.contains("|\n\nlimited by: server processor\n"),
            "{markdown}"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_only_one_with_colours_gets_escape_sequences() {
        let run = simulation::plain([1.0, 1.0, 0.86, 1.5], 8);
        for width in [60, 80, 120] {
            let text = show(&run, terminal(width, false));
            assert!(
                widest(&text) <= width && !text.contains('\x1b'),
                "{width}: {text}"
            );
        }
        assert!(show(&run, terminal(80, true)).contains("\x1b[31mslower"));
    }

    #[test]
    fn a_name_cannot_write_to_the_terminal() {
        let mut run = simulation::plain([1.0, 1.0, 0.86, 1.5], 8);
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
        let mut run = simulation::plain([1.0, 1.0, 0.86, 1.5], 8);
        run.problems = vec!["The server of thread did not stop.".to_owned()];
        run.notes = vec!["sequential takes no part.".to_owned()];
        run.environment.warnings = vec!["The governor is powersave.".to_owned()];
        for sample in run.samples.iter_mut().filter(|one| one.arm == 2) {
            sample.invalid = vec!["steal was 4.1 %".to_owned()];
        }
        let text = show(&run, terminal(100, false));
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

    /// The verdicts on control, thread and process, and whether one got worse.
    fn compared(before: &Run, after: &Run) -> (Vec<String>, bool) {
        let (text, is_worse) = compare(before, after, PLAIN);
        let lines = text
            .lines()
            .skip_while(|line| !line.starts_with("reactor'"));
        let word = |line: &str| line[10..].split("  ").next().unwrap().to_owned();
        (lines.map(word).collect(), is_worse)
    }

    #[test]
    fn a_slower_model_is_slower_and_the_others_and_a_slower_machine_are_not() {
        let before = simulation::plain([1.0, 1.0, 0.86, 0.9], 8);
        let slower = simulation::plain([1.0, 1.0, 0.77, 0.9], 8);
        let machine = simulation::plain([0.8, 0.8, 0.86 * 0.8, 0.9 * 0.8], 8);
        let doubtful = simulation::plain([1.0, 1.3, 0.5, 0.9], 8);
        // Both runs have a noise floor of 2.5 %, so that of their difference is 3.5 %.
        let with = |thread: f64| simulation::plain([1.0, 1.0, thread, 1.0], 20);
        let none = "none shown";
        let table = [
            (&before, &slower, [none, "slower", none], true),
            (&slower, &before, [none, "faster", none], false),
            (&before, &machine, [none; 3], false),
            (&before, &doubtful, ["unproven"; 3], false),
            (
                &before,
                &simulation::plain([1.0; 4], 5),
                ["indicative"; 3],
                false,
            ),
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
