//! Room `bench`: the middle of a report. Each load with its table, its plots and its reasons.

use super::plots::{order, percentiles};
use super::svg::escaped;
use super::view::{CellView, View};
use super::{left_out, rows};
use crate::bench::table::format;
use crate::bench::workloads;

/// All of them, by workload.
pub fn html(view: &View) -> String {
    let mut page = String::new();
    let mut latest = "";
    for cell in view.cells() {
        let workload = cell.cell.workload.as_str();
        if workload != latest {
            page += &format!("<h2 id=\"{0}\">{0}</h2>\n", escaped(workload));
            if let Some(known) = workloads::all().iter().find(|one| one.name == workload) {
                page += &format!("<p>Tells apart: {}.</p>\n", escaped(known.purpose));
            }
            latest = workload;
        }
        page += &section(&cell);
    }
    page
}

fn grid(figures: &str) -> String {
    match figures.is_empty() {
        true => String::new(),
        false => {
            format!("<div class=\"grid two\">\n{figures}</div>\n")
        }
    }
}

fn section(cell: &CellView) -> String {
    let mut page = format!(
        "<section id=\"{}\">\n<h3>{}</h3>\n<p class=\"dim about\">{}. {}</p>\n",
        cell.anchor(),
        escaped(&cell.cell.name),
        escaped(&cell.cell.description),
        escaped(&control(cell))
    );
    if !cell.said.proven {
        page += "<div class=\"stamp bad\" role=\"note\"><strong>UNPROVEN</strong> <span>Under this \
                 load the reference differs from itself: believe no ratio here.</span></div>\n";
    }
    page += &rows::table(cell);
    page += &left_out::of(cell);
    page += &grid(&(percentiles::plot(cell) + &order::plot(cell)));
    page += &limiters(cell);
    if let Some(command) = &cell.cell.reproduce {
        page += &format!(
            "<p class=\"dim command\">Something like it with another tool: <code>{}</code></p>\n",
            escaped(command)
        );
    }
    page + "</section>\n"
}

/// What the control says.
fn control(cell: &CellView) -> String {
    let Some(control) = &cell.said.control else {
        return String::new();
    };
    format!(
        "The reference beside itself: {}. Ratios between {:.3} and {:.3} are not told from chance.",
        format::finely(control),
        1.0 / (1.0 + cell.said.band),
        1.0 + cell.said.band
    )
}

/// What limits each arm.
fn limiters(cell: &CellView) -> String {
    let rows = cell.ranked().into_iter();
    let limiters = rows.filter(|row| !row.limiter.is_empty()).map(|row| {
        let name = cell.view.arm(row.arm);
        format!("{}: {}", escaped(name), escaped(&row.limiter))
    });
    let limiters: Vec<String> = limiters.collect();
    match limiters.is_empty() {
        true => String::new(),
        false => format!("<p class=\"dim\">Limited by: {}</p>\n", limiters.join("; ")),
    }
}
