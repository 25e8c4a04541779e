//! Room `bench`: the middle of a report. Each load with its table, its plots and its reasons.

use super::plots::{calls, course, fairness, growth, load, memory, order, percentiles, processor};
use super::svg::escaped;
use super::view::{CellView, View};
use super::{left_out, rows};
use crate::bench::expectations;
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
                page += &format!("<p>Tells apart: {}.</p>\n", escaped(known.separates));
            }
            page += &grid(&over_all(view, workload));
            latest = workload;
        }
        page += &section(&cell);
    }
    page
}

/// The plots over all cells of a workload.
fn over_all(view: &View, workload: &str) -> String {
    load::plots(view, workload) + &growth::plots(view, workload) + &memory::plot(view, workload)
}

fn grid(figures: &str) -> String {
    match figures.is_empty() {
        true => String::new(),
        false => {
            // Four in rows of three would leave one alone.
            let few = matches!(figures.matches("<figure>").count(), 2 | 4);
            let class = if few { "grid two" } else { "grid" };
            format!("<div class=\"{class}\">\n{figures}</div>\n")
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
    let figures = [
        percentiles::plot(cell),
        course::plot(cell),
        fairness::plot(cell),
        processor::plot(cell),
        calls::plot(cell),
        order::plot(cell),
    ];
    page += &grid(&figures.concat());
    page += &reasons(cell);
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
        let look = cell.look(row);
        items += &format!(
            "<div><dt class=\"{}\">{}{}</dt><dd>{}</dd></div>\n",
            look.class,
            look.key(),
            escaped(name),
            escaped(&sentences.join(" "))
        );
    }
    match items.is_empty() {
        true => items,
        false => format!(
            "<details open><summary>Why they stand where they stand</summary><dl class=\"why\">\n\
             {items}</dl></details>\n"
        ),
    }
}
