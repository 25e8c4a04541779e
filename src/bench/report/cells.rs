//! Room `bench`: the middle of a report. Each load with its table, its plots and its reasons.

use super::plots::{course, growth, order, percentiles, stacks};
use super::svg::escaped;
use super::view::{CellView, View};
use crate::bench::analysis::{Row, Verdict};
use crate::bench::expectations;
use crate::bench::metrics::metric_named;
use crate::bench::table::format;
use crate::bench::workloads;

/// Columns that are shown of a cell, after its headline, as far as they were measured.
const COLUMNS: &[&str] = &[
    "throughput",
    "p50",
    "p99",
    "p999",
    "mice.p50",
    "mice.p99",
    "mice.p999",
    "normal.p99",
    "normal.achieved",
    "canary.p99",
    "canary.achieved",
    "bandwidth",
    "cpu",
    "cpu_connection",
    "switches",
    "calls",
    "memory",
    "memory_slope",
    "fairness",
    "starved",
    "dropped",
    "achieved",
    "cpu_share",
];
const MOST_COLUMNS: usize = 9;

/// All of them, by workload.
pub fn html(view: &View) -> String {
    let mut page = String::new();
    let mut latest = "";
    for cell in view.cells() {
        let workload = cell.cell.workload.as_str();
        if workload != latest {
            page += &format!("<h2 id=\"{0}\">{0}</h2>\n", escaped(workload));
            if let Some(known) = workloads::all().iter().find(|one| one.name == workload) {
                page += &format!("<p>Tells apart: {}</p>\n", escaped(known.separates));
            }
            let plots = growth::plots(view, workload);
            if !plots.is_empty() {
                page += &format!("<div class=\"grid\">\n{plots}</div>\n");
            }
            latest = workload;
        }
        page += &section(&cell);
    }
    page
}

fn section(cell: &CellView) -> String {
    let mut page = format!(
        "<h3>{}</h3>\n<p class=\"dim\">{}</p>\n",
        escaped(&cell.cell.name),
        escaped(&cell.cell.description)
    );
    if !cell.said.proven {
        page += "<div class=\"stamp bad\">UNPROVEN</div>\n";
    }
    if let Some(control) = &cell.said.control {
        page += &format!(
            "<p class=\"dim\">The reactor beside itself: {}. Ratios within {:.1} % of 1 are not \
             told from chance.</p>\n",
            escaped(&format::finely(control)),
            100.0 * cell.said.band
        );
    }
    page += &table(cell);
    page += &reasons(cell);
    page += "<div class=\"grid\">\n";
    page += &percentiles::plot(cell);
    page += &course::plot(cell);
    page += &stacks::processor(cell);
    page += &order::plot(cell);
    page += &stacks::calls(cell);
    page += "</div>\n";
    if let Some(command) = &cell.cell.reproduce {
        page += &format!(
            "<p class=\"dim\">Something like it with another tool: <code>{}</code></p>\n",
            escaped(command)
        );
    }
    page
}

/// The metrics that are columns here.
fn columns(cell: &CellView) -> Vec<&'static str> {
    let measured = |name: &&&str| {
        let mut rows = cell.said.rows.iter();
        rows.any(|row| row.medians.contains_key(**name)) && **name != cell.cell.headline
    };
    let told = |name: &&&str| !is_trivial(cell, name);
    let all = COLUMNS.iter().filter(measured).filter(told);
    all.copied().take(MOST_COLUMNS).collect()
}

/// Whether all rows have the value that says nothing: everybody served alike, nobody starved.
fn is_trivial(cell: &CellView, name: &str) -> bool {
    let usual = match name {
        "fairness" => 1.0,
        "starved" | "dropped" => 0.0,
        _ => return false,
    };
    let mut values = cell
        .said
        .rows
        .iter()
        .filter_map(|row| row.medians.get(name));
    values.all(|value| (value - usual).abs() < 0.02)
}

fn table(cell: &CellView) -> String {
    let columns = columns(cell);
    let heading = |name: &str| {
        let title = metric_named(name).map_or(name, |metric| metric.title);
        let group = name
            .rsplit_once('.')
            .map_or(String::new(), |(group, _)| format!("{group} "));
        let meaning = metric_named(name).map_or("", |metric| metric.meaning);
        let title = escaped(&format!("{group}{title}"));
        format!("<th title=\"{}\">{title}</th>", escaped(meaning))
    };
    let headings: Vec<String> = columns.iter().map(|name| heading(name)).collect();
    let mut page = format!(
        "<div class=\"scroll\"><table>\n<tr><th>model</th>{}<th>to the reactor</th><th></th>{}\
         <th>samples</th></tr>\n",
        heading(&cell.cell.headline),
        headings.concat()
    );
    for row in cell.ranked() {
        page += &line(cell, row, &columns);
    }
    page + "</table></div>\n"
}

fn line(cell: &CellView, row: &Row, columns: &[&str]) -> String {
    let shown = |name: &str| {
        let text = cell.shown(row, name).unwrap_or_else(|| "·".to_owned());
        format!("<td>{}</td>", escaped(&text))
    };
    let ratio = row
        .ratio
        .as_ref()
        .map_or_else(String::new, format::estimate);
    let word = row.verdict.word(&cell.cell.headline);
    let (class, word) = match row.verdict {
        Verdict::Better => (" good", word),
        Verdict::Worse => (" bad", word),
        Verdict::Missing => (" bad", word),
        _ if row.ratio.is_none() => ("", "reference"),
        _ => ("", word),
    };
    let values: Vec<String> = columns.iter().map(|name| shown(name)).collect();
    let samples = match row.invalid {
        0 => format!("{}", row.samples),
        invalid => format!("{} <s>{invalid}</s>", row.samples),
    };
    format!(
        "<tr><th class=\"{}\">{}</th>{}<td>{}</td><td class=\"left{class}\">{word}</td>{}\
         <td>{samples}</td></tr>\n",
        cell.view.class(row.arm),
        escaped(cell.view.arm(row.arm)),
        shown(&cell.cell.headline),
        escaped(&ratio),
        values.concat()
    )
}

/// Why the rows stand where they stand: what was measured, what was expected, what limits them.
fn reasons(cell: &CellView) -> String {
    let mut items = String::new();
    for row in cell.ranked() {
        if cell.view.is_control(row.arm) {
            continue;
        }
        let name = cell.view.arm(row.arm);
        let mut sentences = row.why.clone();
        let expected = expectations::matching(cell.cell, name).map(|one| one.why.clone());
        for why in expected {
            if !sentences.iter().any(|known| known.contains(&why)) {
                sentences.push(why);
            }
        }
        if !row.limiter.is_empty() {
            sentences.push(format!("Limited by: {}.", row.limiter));
        }
        if sentences.is_empty() {
            continue;
        }
        let class = cell.view.class(row.arm);
        items += &format!(
            "<div><dt class=\"{class}\">{}</dt><dd>{}</dd></div>\n",
            escaped(name),
            escaped(&sentences.join(" "))
        );
    }
    match items.is_empty() {
        true => items,
        false => format!(
            "<details open><summary>Why</summary><dl class=\"why\">\n{items}</dl></details>\n"
        ),
    }
}
