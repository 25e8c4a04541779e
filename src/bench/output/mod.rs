//! The output of a run: text for the terminal or a pull request, and a report as one HTML file.
//!
//! - here: numbers as text, and how an arm looks
//! - `table`: the table of a cell, which both have
//! - `text`: the text, and what changed between two runs
//! - [`report`]: the report. `svg`: what its charts are drawn with

pub mod report;
mod svg;
mod table;
pub(super) mod text;

use super::metrics::{Unit, group_of, metric_named, unit_of};
use super::stats::Interval;
use super::types::Run;

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
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars()
        .map(plain)
        .collect::<String>()
        .trim()
        .to_owned()
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
    let model = if is_control {
        name.trim_end_matches('\'')
    } else {
        name
    };
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

#[cfg(test)]
mod tests {
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
}
