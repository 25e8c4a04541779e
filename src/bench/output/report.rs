//! The report of a run: one HTML file with its style and its charts. It loads and runs nothing, so
//! it can be stored, sent and printed.

use super::charts::{escaped, limit, percentiles, ratios, samples};
use super::summary::{answer, details, doubts, limiters, noise, phrase, sample_counts};
use super::{Table, estimate};
use crate::bench::analysis::{Analysis, analyse};
use crate::bench::types::Run;
use crate::bench::workloads;
use std::time::{Duration, UNIX_EPOCH};

/// The name of the file.
pub const REPORT: &str = "report.html";
/// The page; a comment is the place of a part. Escaped text has no comments.
const PAGE: &str = include_str!("report.html");
/// The style: colours for light, dark and print.
const STYLE: &str = include_str!("style.css");

/// The report of a run.
pub fn html(run: &Run) -> String {
    let analysis = analyse(run);
    let names: Vec<&str> = run.arms.iter().map(|arm| arm.name.as_str()).collect();
    let noise = noise(run, &analysis);
    let (invalid, all) = sample_counts(&analysis);
    let parts = [
        ("names", escaped(&names.join(", "))),
        ("style", STYLE.to_owned()),
        ("doubts", stamps(run, &analysis)),
        ("answers", answers(run, &analysis)),
        (
            "noise",
            escaped(&format!("{noise} {invalid} of {all} samples are invalid.")),
        ),
        ("facts", escaped(&facts(run))),
        ("command", escaped(&run.command.join(" "))),
        ("ratios", overview(run, &analysis)),
        ("cells", cells(run, &analysis)),
        ("details", lists(run, &analysis)),
        ("machine", machine(run)),
    ];
    let mut page = PAGE.to_owned();
    for (name, part) in parts {
        page = page.replace(&format!("<!--{name}-->"), &part);
    }
    page
}

/// What a reader must know before any number.
fn stamps(run: &Run, analysis: &Analysis) -> String {
    let mut page = String::new();
    for doubt in doubts(run, analysis) {
        let is_bad = doubt.starts_with("UNPROVEN") || doubt.starts_with("PROBLEMS");
        let (class, doubt) = (if is_bad { "bad" } else { "mild" }, escaped(&doubt));
        page += &format!("<p class=\"stamp {class}\" role=\"note\">{doubt}</p>\n");
    }
    page
}

/// Which arms are better, in each cell.
fn answers(run: &Run, analysis: &Analysis) -> String {
    let mut page = String::new();
    for (index, (cell, of)) in run.cells.iter().zip(&analysis.cells).enumerate() {
        let answer = escaped(&answer(run, of, &cell.primary_metric));
        let (name, metric) = (escaped(&cell.name), escaped(&phrase(&cell.primary_metric)));
        if !answer.is_empty() {
            page += &format!(
                "<li><a href=\"#cell-{index}\"><b>{name}</b></a> <span \
                 class=\"dim\">{metric}</span><br>{answer}</li>\n"
            );
        }
    }
    page
}

/// What ran, when and where.
fn facts(run: &Run) -> String {
    let began = UNIX_EPOCH.checked_add(Duration::from_secs(run.started));
    let began = began.map_or_else(String::new, httpdate::fmt_http_date);
    let (program, minutes, seed) = (&run.program, run.seconds / 60.0, run.seed);
    let mut text = format!("{program}, {began}, {minutes:.0} min, seed {seed}");
    for name in ["commit", "processor", "cores", "kernel"] {
        if let Some(fact) = run.environment.facts.get(name) {
            text += &format!(", {name} {fact}");
        }
    }
    text
}

/// The ratios of all cells.
fn overview(run: &Run, analysis: &Analysis) -> String {
    let rows = analysis.cells.iter().flat_map(|cell| &cell.rows);
    // Three quarters of the ratios fit on the scale. For the others there is an arrow.
    let limit = limit(rows.filter_map(|row| Some(row.ratio?.middle)), 4);
    let cells = run.cells.iter().zip(&analysis.cells);
    cells
        .map(|(cell, of)| ratios(run, cell, of, limit))
        .collect()
}

/// A section for each cell, under the name of its workload.
fn cells(run: &Run, analysis: &Analysis) -> String {
    let mut page = String::new();
    let mut latest = None;
    for (index, (cell, of)) in run.cells.iter().zip(&analysis.cells).enumerate() {
        let workload = cell.workload.as_str();
        if latest != Some(workload) {
            let purpose = workloads::named(workload).map_or("", |known| known.purpose);
            let (name, purpose) = (escaped(workload), escaped(purpose));
            page += &format!("<h2 id=\"{name}\">{name}</h2>\n<p>{purpose}</p>\n");
            latest = Some(workload);
        }
        let mut about = cell.description.clone() + ".";
        if let Some(control) = &of.control {
            let (control, floor) = (estimate(control), 100.0 * of.noise_floor);
            about += &format!(" Control: {control}; the noise floor is {floor:.1} %.");
        }
        let (name, about) = (escaped(&cell.name), escaped(&about));
        page += &format!(
            "<section id=\"cell-{index}\">\n<h3>{name}</h3>\n<p class=\"dim about\">{about}</p>\n"
        );
        page += &Table::of_cell(run, cell, of).html();
        match limiters(run, of) {
            none if none.is_empty() => {}
            some => page += &format!("<p class=\"dim\">Limited by: {}</p>\n", escaped(&some)),
        }
        let charts = percentiles(run, cell, of) + &samples(run, cell, of);
        page += &format!("<div class=\"grid two\">\n{charts}</div>\n</section>\n");
    }
    page
}

/// Problems, invalid samples, and what the run cannot tell.
fn lists(run: &Run, analysis: &Analysis) -> String {
    let mut page = String::new();
    for (heading, sentences) in details(run, analysis) {
        let items = sentences
            .iter()
            .map(|text| format!("<li>{}</li>\n", escaped(text)));
        page += &format!(
            "<h3>{heading}</h3>\n<ul>\n{}</ul>\n",
            items.collect::<String>()
        );
    }
    page
}

/// The facts about the machine, and the commands of the arms.
fn machine(run: &Run) -> String {
    let facts = run.environment.facts.iter();
    let facts = facts.map(|(name, value)| (name.clone(), value.clone()));
    let arms = run.arms.iter();
    let arms = arms.map(|arm| (arm.name.clone(), arm.command.join(" ")));
    let row = |(name, value): (String, String)| {
        let (name, value) = (escaped(&name), escaped(&value));
        format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n")
    };
    facts.chain(arms).map(row).collect()
}
