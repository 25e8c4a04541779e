//! The output of a run: a table on the terminal, and a report as one HTML file.
//!
//! - `text`: the table, and what changed between two runs
//! - [`report`]: the report. `svg`: what its charts are drawn with
//! - here: numbers and lines, the terminal, and a run as both outputs need it

pub mod report;
mod svg;
pub(super) mod text;

use super::analysis::{Analysis, CellAnalysis, Estimate, Row};
use super::metrics::{Better, Unit, better_of, group_of, metric_named, unit_of};
use super::types::{ArmKind, Cell, Pass, Run, Sample};
use super::workloads::{self, USUAL_COLUMNS};
use std::io::{self, IsTerminal, Write};
use svg::Style;

/// A value of a metric with three digits: `84.1k`, `1.95 ms`, `9.55 MiB`.
pub(super) fn value(metric: &str, value: f64) -> String {
    match unit_of(metric) {
        Unit::Time => time(value),
        Unit::Memory => format!("{} MiB", thousands(value / 1024.0)),
        _ => thousands(value),
    }
}

/// The title of a metric, with its client group: `mice p99`.
pub(super) fn title(metric: &str) -> String {
    let title = metric_named(metric).map(|metric| metric.title);
    match (group_of(metric), title) {
        (Some(group), Some(title)) => format!("{group} {title}"),
        (None, Some(title)) => title.to_owned(),
        (_, None) => metric.to_owned(),
    }
}

/// The title, and the unit if [`value`] does not write it.
pub(super) fn heading(metric: &str) -> String {
    let unit = match unit_of(metric) {
        Unit::CpuMicros => ", µs",
        Unit::Seconds => ", s",
        Unit::Percent => ", %",
        _ => "",
    };
    title(metric) + unit
}

/// Microseconds as `85.3 µs`, `1.95 ms` or `2.10 s`.
fn time(value: f64) -> String {
    match value {
        short if short < 999.5 => format!("{} µs", digits(short)),
        long if long < 999_500.0 => format!("{} ms", digits(long / 1e3)),
        longer => format!("{} s", digits(longer / 1e6)),
    }
}

/// Three digits, and `k` for thousands or `M` for millions.
pub(super) fn thousands(value: f64) -> String {
    match value.abs() {
        small if small < 999.5 => digits(value),
        large if large < 999_500.0 => format!("{}k", digits(value / 1e3)),
        larger if larger < 999.5e6 => format!("{}M", digits(value / 1e6)),
        _ => format!("{value:.1e}"),
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

/// A round number for an axis, without final zeros: `10 ms`.
pub(super) fn round(metric: &str, number: f64) -> String {
    let text = value(metric, number);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    };
    format!("{number}{unit}")
}

pub(super) fn ratio(ratio: f64) -> String {
    match ratio {
        huge if huge >= 9999.5 => ">9999".to_owned(),
        tiny if tiny < 0.0005 => "0".to_owned(),
        small if small < 0.1 => format!("{small:.3}"),
        ratio => digits(ratio),
    }
}

/// A ratio with its interval: `0.86 [0.83,0.89]`. With too few pairs for an interval, the smallest
/// and the largest ratio: `0.86 (0.83-0.89)`.
pub(super) fn estimate(found: &Estimate) -> String {
    interval(found, ratio)
}

/// The same with one more digit, for a ratio that should be 1.
pub(super) fn control(found: &Estimate) -> String {
    let is_near = |one: f64| (0.5..2.0).contains(&one);
    match is_near(found.low) && is_near(found.high) {
        true => interval(found, |one| format!("{one:.3}")),
        false => estimate(found),
    }
}

fn interval(found: &Estimate, text: impl Fn(f64) -> String) -> String {
    let (median, low, high) = (text(found.median), text(found.low), text(found.high));
    match (found.has_interval(), found.pairs) {
        (true, _) => format!("{median} [{low},{high}]"),
        (false, 1) => median,
        (false, _) => format!("{median} ({low}-{high})"),
    }
}

/// The text without control characters, which a terminal would interpret.
pub(super) fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars()
        .map(plain)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// The text, cut to `width` columns.
pub(super) fn cut(text: &str, width: usize) -> String {
    let text = plain(text);
    if text.chars().count() <= width {
        return text;
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}

/// The text in lines of at most `width` columns, broken between words if possible.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
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
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The width if nothing says another.
const DEFAULT_WIDTH: usize = 80;
/// The widths that are used. A narrower terminal breaks the lines itself.
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=160;

/// Where text is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terminal {
    /// Columns.
    pub(super) width: usize,
    /// Whether it understands escape sequences.
    pub(super) color: bool,
    /// Whether it shows Markdown, as the page of a pull request does. Lines are not broken.
    pub(super) markdown: bool,
}

impl Terminal {
    /// With this number of columns, or the nearest one that is used.
    pub(super) fn new(width: usize, color: bool) -> Self {
        let width = width.clamp(*WIDTHS.start(), *WIDTHS.end());
        Self {
            width,
            color,
            markdown: false,
        }
    }

    /// For Markdown.
    pub(super) fn markdown() -> Self {
        Self {
            width: usize::MAX,
            color: false,
            markdown: true,
        }
    }

    /// Standard output, with colours if it is a terminal and nothing forbids them
    /// (<https://no-color.org>).
    pub(super) fn stdout() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let color = io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb;
        let columns = std::env::var("COLUMNS").ok();
        let columns = columns.and_then(|columns| columns.parse().ok());
        let width = comfy_table::Table::new().width().map(usize::from);
        Self::new(width.or(columns).unwrap_or(DEFAULT_WIDTH), color)
    }

    /// Prints a heading, in bold if possible.
    pub(super) fn heading(self, to: &mut dyn Write, text: &str) -> io::Result<()> {
        match (self.color, self.markdown) {
            (true, _) => writeln!(to, "\x1b[1m{text}\x1b[0m"),
            (false, true) => writeln!(to, "\n### {text}\n"),
            (false, false) => writeln!(to, "{text}"),
        }
    }

    /// Prints a sentence after a bullet. Lines after the first are indented like the first.
    pub(super) fn item(self, to: &mut dyn Write, bullet: &str, text: &str) -> io::Result<()> {
        let indent = bullet.chars().count();
        let width = self.width.saturating_sub(indent + 1);
        for (index, line) in wrap(text, width).iter().enumerate() {
            let before = if index == 0 { bullet } else { "" };
            writeln!(to, "{before:indent$}{line}")?;
        }
        Ok(())
    }
}

/// The symbol of each model.
const MODELS: [(&str, char); 10] = [
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
/// The number of colours for servers that are not models.
const OTHER_COLORS: usize = 3;
/// The longest name of an arm in a chart.
const NAME: usize = 11;

/// The columns of a cell beside the primary metric: those of its workload that an arm has.
pub(super) fn columns(cell: &Cell, of: &CellAnalysis) -> Vec<&'static str> {
    let columns = workloads::named(&cell.workload).map_or(USUAL_COLUMNS, |known| known.columns);
    let is_measured = |name: &&&str| of.rows.iter().any(|row| row.medians.contains_key(**name));
    let others = columns.iter().filter(|name| **name != cell.primary_metric);
    others.filter(is_measured).copied().collect()
}

/// A run and its analysis.
#[derive(Clone, Copy)]
pub(super) struct View<'r> {
    pub(super) run: &'r Run,
    pub(super) analysis: &'r Analysis,
}

/// A cell of a run.
#[derive(Clone, Copy)]
pub(super) struct CellView<'r> {
    /// The run.
    pub(super) view: View<'r>,
    pub(super) cell: &'r Cell,
    pub(super) analysis: &'r CellAnalysis,
}

impl<'r> View<'r> {
    pub(super) fn name(&self, arm: usize) -> &'r str {
        self.run.arms.get(arm).map_or("?", |arm| arm.name.as_str())
    }

    /// The style of an arm. Each model has its own colour and symbol. Other servers share three
    /// colours.
    pub(super) fn style(&self, arm: usize) -> Style {
        let name = self.name(arm);
        let is_control = self.is_control(arm);
        let known = MODELS.iter().find(|(known, _)| {
            *known == name || is_control && name.strip_suffix('\'') == Some(*known)
        });
        let (class, symbol) = match known {
            Some((known, _)) if is_control => (format!("c-{known}"), '○'),
            Some((known, symbol)) => (format!("c-{known}"), *symbol),
            None => (format!("c-other{}", arm % OTHER_COLORS), '×'),
        };
        Style {
            class,
            symbol,
            name: cut(name, NAME),
        }
    }

    pub(super) fn is_control(&self, arm: usize) -> bool {
        let kind = self.run.arms.get(arm).map(|arm| arm.kind);
        kind == Some(ArmKind::Control)
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = CellView<'r>> {
        let view = *self;
        let analyses = self.analysis.cells.iter();
        analyses.filter_map(move |analysis| {
            let cell = view.run.cells.get(analysis.cell)?;
            Some(CellView {
                view,
                cell,
                analysis,
            })
        })
    }
}

impl<'r> CellView<'r> {
    /// The rows, the best value of the primary metric first.
    pub(super) fn ranked(&self) -> Vec<&'r Row> {
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
    pub(super) fn anchor(&self) -> String {
        format!("cell-{}", self.analysis.cell)
    }

    /// The measured samples of an arm, in the order in which they were taken.
    pub(super) fn samples(&self, arm: usize) -> impl Iterator<Item = &'r Sample> {
        let cell = self.analysis.cell;
        let samples = self.view.run.samples.iter();
        samples.filter(move |one| one.cell == cell && one.arm == arm && one.pass == Pass::Measured)
    }

    /// The valid samples of an arm.
    pub(super) fn valid(&self, arm: usize) -> impl Iterator<Item = &'r Sample> {
        self.samples(arm).filter(|sample| sample.invalid.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_has_three_digits_and_its_unit() {
        let table = [
            ("throughput", 84_123.0, "84.1k"),
            ("throughput", 999.7, "1.00k"),
            ("throughput", 2.5e12, "2.5e12"),
            ("p99", 1950.0, "1.95 ms"),
            ("canary.p99", 85.3, "85.3 µs"),
            ("max", 2_100_000.0, "2.10 s"),
            ("cpu", 11.23, "11.2"),
            ("cpu_connection", 1500.0, "1.50k"),
            ("switches", 0.113, "0.11"),
            ("memory", 2048.0, "2.00 MiB"),
            ("memory_slope", 31.24, "31.2"),
            ("nonsense", 5.0, "5.00"),
        ];
        for (metric, number, text) in table {
            assert_eq!(value(metric, number), text);
        }
    }

    #[test]
    fn a_heading_has_the_group_and_the_unit_that_the_values_do_not_have() {
        let found = ["cpu", "mice.p99", "canary.achieved", "what.ever"].map(heading);
        let expected = ["CPU/req, µs", "mice p99", "canary answered, %", "what.ever"];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_number_on_an_axis_has_no_final_zeros() {
        let texts = [10_000.0, 1_500.0, 100.0].map(|time| round("p99", time));
        assert_eq!(texts, ["10 ms", "1.5 ms", "100 µs"]);
        assert_eq!(round("throughput", 50_000.0), "50k");
        assert_eq!(round("cpu", 0.25), "0.25");
    }

    #[test]
    fn an_interval_has_square_brackets_and_a_range_has_round_ones() {
        let of = |median, low, high, pairs| Estimate {
            median,
            low,
            high,
            pairs,
        };
        let text = |median, low, high, pairs| estimate(&of(median, low, high, pairs));
        assert_eq!(text(0.86, 0.83, 0.894, 8), "0.86 [0.83,0.89]");
        assert_eq!(text(0.86, 0.83, 0.89, 3), "0.86 (0.83-0.89)");
        assert_eq!(text(0.86, 0.86, 0.86, 1), "0.86");
        assert_eq!(text(1e6, 120.0, 1e6, 8), ">9999 [120,>9999]");
        assert_eq!(text(0.0123, 1e-6, 0.05, 8), "0.012 [0,0.050]");
        // That of the control has one more digit.
        assert_eq!(
            control(&of(1.0041, 0.991, 1.0174, 8)),
            "1.004 [0.991,1.017]"
        );
        assert_eq!(control(&of(4.0, 3.0, 5.0, 8)), "4.00 [3.00,5.00]");
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("  ", 4), [""; 0]);
    }

    #[test]
    fn a_text_that_is_cut_ends_in_an_ellipsis() {
        assert_eq!(cut("sequential", 10), "sequential");
        assert_eq!(cut("sequential!", 10), "sequentia…");
    }

    proptest! {
        #[test]
        fn no_line_is_too_long(text in "\\PC{0,200}", width in 1_usize..40) {
            for line in wrap(&text, width) {
                prop_assert!(line.chars().count() <= width, "{line}");
            }
        }

    }
}
