//! The report of a run: one HTML file with its style and its charts. It loads and runs nothing, so
//! it can be stored, sent and printed.

use super::charts;
use super::format;
use super::svg::escaped;
use super::view::{CellView, View, columns};
use crate::bench::analysis::summary::{
    InvalidSamples, answers, doubts, has_verdicts, invalid, limits, noise,
};
use crate::bench::analysis::{Analysis, Row, Verdict, analyse, limiter_kind};
use crate::bench::metrics::metric_named;
use crate::bench::record::Run;
use crate::bench::{run_file, workloads};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// The name of the file.
pub const REPORT: &str = "report.html";
/// The style: colours for light, dark and print.
const STYLE: &str = include_str!("style.css");
/// The most reasons of invalid samples.
const MAX_REASONS: usize = 30;

const HOW: &str = "\
<h2 id=\"how\">How to read this</h2>
<dl>
<dt>Ratio and interval</dt>
<dd>0.86 [0.83,0.89] means: 0.86 times the value of the reference, with 95 % confidence between \
0.83 and 0.89. Each ratio is taken within a round, so a slow machine affects both sides. Round \
brackets have the smallest and the largest ratio, if there are too few rounds for an interval.</dd>
<dt>The control (A and A')</dt>
<dd>The reference runs twice in every round, as two arms: itself (A) and its control (A'). They \
are the same program, so their difference is noise. No smaller difference is reported. If they \
differ by more than chance allows, nothing is reported.</dd>
<dt>Verdicts</dt>
<dd>A word such as slower means: the interval excludes 1, the difference is larger than the noise \
floor, and there are at least six rounds. None shown does not mean equal.</dd>
<dt>Closed loop, open loop</dt>
<dd>In a closed loop a client sends the next request when it has the response. This measures \
capacity; but a slow server gets fewer requests, so it looks better than it is. In an open loop \
requests are due at their own times, as those of many users. This measures response times.</dd>
<dt>Response time, service time</dt>
<dd>The response time begins when a request is due, the service time when it is sent. They differ \
if a request has to wait before it can be sent. A clock that begins with the sending misses \
this delay (coordinated omission), and a server that pauses looks good.</dd>
<dt>Crossed out</dt>
<dd>Samples that are invalid, with the reason. They are stored, and not compared.</dd>
</dl>
";

/// The report of a run.
pub fn html(run: &Run, analysis: &Analysis) -> String {
    let view = View { run, analysis };
    let names: Vec<&str> = run.arms.iter().map(|arm| arm.name.as_str()).collect();
    let title = escaped(&names.join(", "));
    let parts = [
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
         name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta \
         name=\"color-scheme\" content=\"light dark\">\n",
        &format!("<title>oneloop bench: {title}</title>\n<style>\n{STYLE}</style>\n"),
        "</head>\n<body>\n<header>\n<p class=\"name\">oneloop bench</p>\n<h1>Concurrency models, \
         compared</h1>\n</header>\n<main>\n",
        &warnings(&view),
        &results(&view),
        &facts(run),
        &navigation(&view),
        &overview(&view),
        &cells(&view),
        HOW,
        &details(&view),
        "</main>\n</body>\n</html>\n",
    ];
    parts.concat()
}

/// Writes the report of the run in a file, beside that file if there is no other place. Returns its
/// path.
///
/// # Errors
/// With a sentence for the user.
pub fn write(run: &Path, output: Option<&Path>) -> Result<PathBuf, String> {
    let found = run_file::read(run)?;
    let path = output.map_or_else(|| run.with_file_name(REPORT), Path::to_owned);
    let text = html(&found, &analyse(&found));
    std::fs::write(&path, text).map_err(|error| {
        format!(
            "cannot write {}: {error} (--output names another place)",
            path.display()
        )
    })?;
    Ok(path)
}

/// What a reader must see before any number.
fn warnings(view: &View) -> String {
    let doubts = doubts(view.run, view.analysis);
    let problems = match view.run.problems.len() {
        0 => None,
        many => Some(format!(
            "{many} with the whole run: <a href=\"#problems\">the list</a>."
        )),
    };
    let mut page = String::new();
    for doubt in &doubts {
        let (class, word, text) = match doubt.split_once(": ") {
            Some((word @ "UNPROVEN", text)) => ("bad", word, text),
            Some((word @ "INDICATIVE", text)) => ("mild", word, text),
            _ => ("mild", "NOTE", doubt.as_str()),
        };
        page += &warning(class, word, &escaped(text));
    }
    page + &problems.map_or_else(String::new, |text| warning("bad", "PROBLEMS", &text))
}

fn warning(class: &str, word: &str, html: &str) -> String {
    format!(
        "<div class=\"stamp {class}\" role=\"note\"><strong>{word}</strong> <span>{html}</span>\
         </div>\n"
    )
}

/// The answer: which arms are better, in each cell.
fn results(view: &View) -> String {
    let mut page = String::from("<ul class=\"answers\">\n");
    for answer in answers(view.run, view.analysis) {
        let cell = view.run.cells.get(answer.cell);
        page += &format!(
            "<li><a href=\"#cell-{}\"><b>{}</b></a> <span class=\"dim\">{}</span><br>{}</li>\n",
            answer.cell,
            escaped(cell.map_or("?", |cell| &cell.name)),
            escaped(&answer.metric),
            escaped(&answer.result)
        );
    }
    page += "</ul>\n";
    let rows = view.analysis.cells.iter().flat_map(|cell| &cell.rows);
    let (valid, invalid) = rows.fold((0, 0), |(valid, invalid), row| {
        (valid + row.valid, invalid + row.invalid)
    });
    let noise = match has_verdicts(view.run, view.analysis) {
        true => noise(view.run, view.analysis).unwrap_or_default(),
        false => String::new(),
    };
    page + &format!(
        "<p class=\"dim\">{} {invalid} of {} samples are invalid.</p>\n",
        escaped(&noise),
        valid + invalid
    )
}

/// What ran, when and where.
fn facts(run: &Run) -> String {
    let fact = |name: &str| run.environment.facts.get(name).map(String::as_str);
    let began = UNIX_EPOCH.checked_add(Duration::from_secs(run.started));
    let took = match run.seconds {
        short if short < 99.5 => format!("{short:.0} s"),
        long => format!("{:.0} min", long / 60.0),
    };
    let mut sentences = vec![
        run.program.clone(),
        began.map_or_else(String::new, httpdate::fmt_http_date),
        format!("{took}, seed {}", run.seed),
    ];
    sentences.extend(fact("processor").map(str::to_owned));
    sentences.extend(fact("cores").map(|cores| format!("{cores} CPUs")));
    sentences.extend(fact("kernel").map(|kernel| format!("Linux {kernel}")));
    format!(
        "<p class=\"dim\">{}. The command: <code>{}</code></p>\n",
        escaped(&sentences.join(", ")),
        escaped(&run.command.join(" "))
    )
}

fn navigation(view: &View) -> String {
    let cells = view.cells();
    let mut names: Vec<&str> = cells.map(|cell| cell.cell.workload.as_str()).collect();
    names.dedup();
    let link = |name: &&str| format!("<a href=\"#{0}\">{0}</a>\n", escaped(name));
    let links: String = names.iter().map(link).collect();
    format!(
        "<nav aria-label=\"Parts\">\n{links}<a href=\"#how\">how to read this</a>\n<a \
         href=\"#limits\">limits</a>\n<a href=\"#medians\">all medians</a>\n</nav>\n"
    )
}

/// The ratios of all cells.
fn overview(view: &View) -> String {
    let charts = charts::ratios(view);
    if charts.is_empty() {
        return String::new();
    }
    format!(
        "<h2 id=\"overview\">All ratios</h2>\n<p class=\"dim\">The ratio of each arm to the \
         reference: the symbol is the estimate, the line the 95 % interval (with too few rounds, \
         the smallest and the largest ratio), the faint dots are the rounds. The shaded band is \
         the noise floor. Right is better, all charts have the same scale, and an arrow is a ratio \
         beyond it. A word is a verdict.</p>\n<div class=\"grid\">\n{charts}</div>\n"
    )
}

/// A section for each cell.
fn cells(view: &View) -> String {
    let mut page = String::new();
    let mut latest = None;
    for cell in view.cells() {
        let workload = cell.cell.workload.as_str();
        if latest != Some(workload) {
            page += &format!("<h2 id=\"{0}\">{0}</h2>\n", escaped(workload));
            if let Some(known) = workloads::named(workload) {
                page += &format!("<p>{}</p>\n", escaped(known.purpose));
            }
            latest = Some(workload);
        }
        page += &section(&cell);
    }
    page
}

fn section(cell: &CellView) -> String {
    let mut page = format!(
        "<section id=\"{}\">\n<h3>{}</h3>\n<p class=\"dim about\">{}. {}</p>\n",
        cell.anchor(),
        escaped(&cell.cell.name),
        escaped(&cell.cell.description),
        control(cell)
    );
    if !cell.analysis.proven {
        let text = "The control differs from the reference in this cell: trust no ratio here.";
        page += &warning("bad", "UNPROVEN", text);
    }
    page += &table(cell);
    let charts = charts::percentiles(cell) + &charts::samples(cell);
    if !charts.is_empty() {
        page += &format!("<div class=\"grid two\">\n{charts}</div>\n");
    }
    if let Some(command) = &cell.cell.reproduce {
        page += &format!(
            "<p class=\"dim\">A similar load with another tool: <code>{}</code></p>\n",
            escaped(command)
        );
    }
    page + "</section>\n"
}

/// The ratio of the control, and the noise floor.
fn control(cell: &CellView) -> String {
    let Some(control) = &cell.analysis.control else {
        return String::new();
    };
    format!(
        "Control: {}; the noise floor is {:.1} %.",
        escaped(&format::control(control)),
        100.0 * cell.analysis.noise_floor
    )
}

/// The table of a cell.
fn table(cell: &CellView) -> String {
    let columns = columns(cell.cell, cell.analysis);
    let metric = cell.cell.primary_metric.as_str();
    let mut page = String::from("<div class=\"scroll\" tabindex=\"0\"><table>\n<tr><th>arm</th>");
    page += "<th class=\"left\">to the reference</th>";
    page += &heading(metric);
    page += &columns.iter().map(|name| heading(name)).collect::<String>();
    page += "<th>samples</th><th class=\"left\">limited by</th></tr>\n";
    let values = cell.analysis.rows.iter();
    let values = values.filter_map(|row| row.medians.get(metric));
    let largest = values.copied().fold(0.0, f64::max);
    for row in cell.ranked() {
        let style = cell.view.style(row.arm);
        let samples = match row.invalid {
            0 => format!("{}", row.valid),
            invalid => format!("{} <s title=\"invalid\">{invalid}</s>", row.valid),
        };
        page += &format!(
            "<tr><th class=\"{}\">{}{}</th>{}{}",
            style.class,
            style.key(),
            escaped(cell.view.name(row.arm)),
            comparison(row, metric),
            primary(cell, row, largest)
        );
        for name in &columns {
            let value = row.medians.get(*name);
            page += &value.map_or_else(
                || "<td class=\"dim\">·</td>".to_owned(),
                |value| format!("<td>{}</td>", escaped(&format::value(name, *value))),
            );
        }
        page += &format!(
            "<td>{samples}</td><td class=\"left dim\">{}</td></tr>\n",
            escaped(limiter_kind(&row.limiter))
        );
    }
    page + "</table></div>\n"
}

fn heading(name: &str) -> String {
    let meaning = metric_named(name).map_or("", |metric| metric.meaning);
    let title = escaped(&format::heading(name));
    format!("<th title=\"{}\">{title}</th>", escaped(meaning))
}

/// The verdict, and the ratio with its interval.
fn comparison(row: &Row, metric: &str) -> String {
    let (class, word) = match (row.verdict, row.ratio) {
        (Verdict::Better, _) => ("good", row.verdict.word(metric)),
        (Verdict::Worse | Verdict::Missing, _) => ("bad", row.verdict.word(metric)),
        (_, None) => ("dim", "the reference"),
        _ => ("dim", row.verdict.word(metric)),
    };
    let ratio = row.ratio.as_ref().map_or_else(String::new, |ratio| {
        format!(" <span>{}</span>", escaped(&format::estimate(ratio)))
    });
    format!("<td class=\"left comparison\"><b class=\"{class}\">{word}</b>{ratio}</td>")
}

/// The value of the primary metric, with a bar. An arm without a valid sample has its value crossed
/// out.
fn primary(cell: &CellView, row: &Row, largest: f64) -> String {
    let metric = cell.cell.primary_metric.as_str();
    let text = |value: f64| escaped(&format::value(metric, value));
    match (row.medians.get(metric), row.invalid_median) {
        (Some(value), _) => {
            let share = 100.0 * value / largest;
            let share = if share.is_finite() {
                share.clamp(0.0, 100.0)
            } else {
                0.0
            };
            format!(
                "<td class=\"bar {}\" style=\"--part:{share:.1}%\">{}</td>",
                cell.view.style(row.arm).class,
                text(*value)
            )
        }
        (None, Some(value)) => format!("<td><s title=\"invalid\">{}</s></td>", text(value)),
        (None, None) => "<td class=\"dim\">·</td>".to_owned(),
    }
}

/// Limits, the machine, invalid samples, and all medians.
fn details(view: &View) -> String {
    let run = view.run;
    let mut page = String::from("<h2 id=\"limits\">Limits</h2>\n");
    page += &list("What this cannot tell", &limits(run));
    page += &list("Warnings of the machine", &run.environment.warnings);
    if !run.problems.is_empty() {
        page += "<div id=\"problems\"></div>\n";
        page += &list("Problems", &run.problems);
    }
    let groups = invalid(run);
    let groups = groups.iter().take(MAX_REASONS);
    let sentence = |group: &InvalidSamples| group.sentence(run);
    page += &list("Invalid samples", &groups.map(sentence).collect::<Vec<_>>());
    page += &list("Notes", &run.notes);
    page += "<h2 id=\"machine\">The machine</h2>\n<dl class=\"facts\">\n";
    for (name, value) in &run.environment.facts {
        page += &fact(name, &escaped(value));
    }
    for arm in &run.arms {
        let command = escaped(&arm.command.join(" "));
        page += &fact(&arm.name, &format!("<code>{command}</code>"));
    }
    page + "</dl>\n" + &medians(view)
}

/// Sentences under a heading; nothing without sentences.
fn list(heading: &str, sentences: &[String]) -> String {
    if sentences.is_empty() {
        return String::new();
    }
    let item = |text: &String| format!("<li>{}</li>\n", escaped(text));
    let items: String = sentences.iter().map(item).collect();
    format!("<h3>{heading}</h3>\n<ul>\n{items}</ul>\n")
}

fn fact(name: &str, html: &str) -> String {
    format!("<div><dt>{}</dt><dd>{html}</dd></div>\n", escaped(name))
}

/// The medians of all metrics.
fn medians(view: &View) -> String {
    let mut page = String::from(
        "<h2 id=\"medians\">All medians</h2>\n<p class=\"dim\">Over the valid samples. run.json \
         has each sample.</p>\n",
    );
    for cell in view.cells() {
        let rows = &cell.analysis.rows;
        let mut names: Vec<&String> = rows.iter().flat_map(|row| row.medians.keys()).collect();
        names.sort();
        names.dedup();
        let arms = rows.iter().map(|row| escaped(view.name(row.arm)));
        let arms: String = arms.map(|name| format!("<th>{name}</th>")).collect();
        page += &format!(
            "<details><summary>{}</summary><div class=\"scroll\" tabindex=\"0\"><table>\n\
             <tr><th></th>{arms}</tr>\n",
            escaped(&cell.cell.name)
        );
        for name in names {
            let value = |row: &Row| row.medians.get(name).copied();
            let text = |row: &Row| value(row).map(|value| format::value(name, value));
            let cells = rows.iter().map(|row| text(row).unwrap_or_default());
            let cells: String = cells
                .map(|text| format!("<td>{}</td>", escaped(&text)))
                .collect();
            page += &format!("<tr><th>{}</th>{cells}</tr>\n", escaped(name));
        }
        page += "</table></div></details>\n";
    }
    page
}
