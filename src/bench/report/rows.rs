//! Room `bench`: the table of a load. What was measured, and what may be said of it?

use super::numbers;
use super::svg::escaped;
use super::view::CellView;
use crate::bench::analysis::{Row, Verdict};
use crate::bench::metrics::metric_named;
use crate::bench::table::format;

/// Columns that are shown of a cell, after its primary metric, as far as they were measured.
const COLUMNS: &[&str] = &[
    "throughput",
    "p50",
    "p99",
    "p999",
    "mice.p50",
    "mice.p99",
    "mice.p999",
    "mice.achieved",
    "normal.p99",
    "normal.achieved",
    "canary.p99",
    "canary.achieved",
    "bandwidth",
    "cpu",
    "cpu_connection",
    "switches",
    "syscalls",
    "memory",
    "memory_slope",
    "fairness",
    "starved",
    "dropped",
    "achieved",
    "cpu_share",
];
/// Columns at most.
const MOST: usize = 7;

/// The table.
pub fn table(cell: &CellView) -> String {
    let columns = columns(cell);
    let headings: Vec<String> = columns.iter().map(|name| heading(name)).collect();
    let mut page = format!(
        "<div class=\"scroll\" tabindex=\"0\"><table>\n<tr><th>model</th>{}<th \
         class=\"left\">to the reference</th><th class=\"left\">verdict</th>\
         <th>samples</th>{}</tr>\n",
        heading(&cell.cell.primary_metric),
        headings.concat()
    );
    let values = cell.said.rows.iter();
    let values = values.filter_map(|row| row.medians.get(&cell.cell.primary_metric));
    let most = values.copied().fold(0.0, f64::max);
    for row in cell.ranked() {
        page += &line(cell, row, &columns, most);
    }
    page + "</table></div>\n"
}

fn heading(name: &str) -> String {
    let meaning = metric_named(name).map_or("", |metric| metric.meaning);
    let unit = match numbers::unit(name) {
        "" => String::new(),
        unit => format!(", {unit}"),
    };
    let title = escaped(&numbers::title(name));
    format!("<th title=\"{}\">{title}{unit}</th>", escaped(meaning))
}

/// The metrics that are columns here.
fn columns(cell: &CellView) -> Vec<&'static str> {
    let measured = |name: &&&str| {
        let mut rows = cell.said.rows.iter();
        rows.any(|row| row.medians.contains_key(**name)) && **name != cell.cell.primary_metric
    };
    let told = |name: &&&str| !is_trivial(cell, name) && !is_aside(cell, name);
    let all = COLUMNS.iter().filter(measured).filter(told);
    all.copied().take(MOST).collect()
}

/// Whether all rows have the value that says nothing: everybody served alike, nobody starved, all
/// answered, next to nothing sent.
fn is_trivial(cell: &CellView, name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let (usual, room) = match last {
        "fairness" => (1.0, 0.02),
        "starved" | "dropped" => (0.0, 0.02),
        "achieved" => (100.0, 0.5),
        "bandwidth" => (0.0, 0.5),
        _ => return false,
    };
    let rows = cell.said.rows.iter();
    let mut values = rows.filter_map(|row| row.medians.get(name));
    values.all(|value| (value - usual).abs() < room)
}

/// Whether a metric is beside the point: of the other group than the one that is compared, or what
/// the primary metric has said already.
fn is_aside(cell: &CellView, name: &str) -> bool {
    match cell.cell.primary_metric.as_str() {
        primary_metric if primary_metric.contains('.') => {
            ["throughput", "p50", "p999"].contains(&name)
        }
        "cpu_connection" | "cpu_gigabyte" => name == "cpu",
        _ => false,
    }
}

fn line(cell: &CellView, row: &Row, columns: &[&str], most: f64) -> String {
    let look = cell.look(row);
    let word = row.verdict.word(&cell.cell.primary_metric);
    let (class, word) = match row.verdict {
        Verdict::Better => (" good", word),
        Verdict::Worse | Verdict::Missing => (" bad", word),
        _ if row.ratio.is_none() => (" dim", "the reference"),
        _ => (" dim", word),
    };
    let ratio = row.ratio.as_ref();
    let ratio = ratio.map_or_else(String::new, format::estimate);
    let values: Vec<String> = columns.iter().map(|name| value(cell, row, name)).collect();
    let samples = match row.invalid {
        0 => format!("{}", row.samples),
        invalid => format!("{} <s title=\"do not count\">{invalid}</s>", row.samples),
    };
    format!(
        "<tr><th class=\"{}\">{}{}</th>{}<td class=\"left\">{}</td><td \
         class=\"left{class}\">{word}</td><td>{samples}</td>{}</tr>\n",
        look.class,
        look.key(),
        escaped(cell.view.arm(row.arm)),
        primary_metric(cell, row, most),
        escaped(&ratio),
        values.concat()
    )
}

fn value(cell: &CellView, row: &Row, name: &str) -> String {
    match cell.shown(row, name) {
        Some(text) => format!("<td>{}</td>", escaped(&text)),
        None => "<td class=\"dim\">·</td>".to_owned(),
    }
}

/// The value of the primary metric, with a bar as long as its part of the largest. An arm without
/// a valid sample has its value crossed out.
fn primary_metric(cell: &CellView, row: &Row, most: f64) -> String {
    let name = cell.cell.primary_metric.as_str();
    if let Some(value) = row.medians.get(name).filter(|value| value.is_finite()) {
        let part = if most > 0.0 {
            100.0 * value / most
        } else {
            0.0
        };
        let part = part.clamp(0.0, 100.0);
        let text = escaped(&numbers::value(name, *value));
        return format!(
            "<td class=\"bar {}\" style=\"--part:{part:.1}%\">{text}</td>",
            cell.look(row).class
        );
    }
    let shown = cell
        .samples(row.arm)
        .filter_map(|one| one.metrics.get(name));
    let shown: Vec<f64> = shown.copied().collect();
    match crate::bench::stats::median(&shown) {
        Some(value) => {
            let text = escaped(&numbers::value(name, value));
            format!("<td><s title=\"no sample counts\">{text}</s></td>")
        }
        None => "<td class=\"dim\">·</td>".to_owned(),
    }
}
