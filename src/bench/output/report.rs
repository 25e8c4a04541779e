//! The report of a run: one HTML file with its style and its charts. It loads and runs nothing, so
//! it can be stored, sent and printed.

use super::svg::{Drawing, END, MIDDLE, START, Scale, Style, WIDTH, escaped, float, spread};
use super::{CellView, View, columns};
use crate::bench::analysis::summary::{answers, doubts, has_verdicts, invalid, limits, noise};
use crate::bench::analysis::{Row, Verdict, analyse, limiter_kind};
use crate::bench::metrics::{Better, better_of, group_of, metric_named};
use crate::bench::stats::{median, merged};
use crate::bench::types::{Run, Sample};
use crate::bench::workloads;
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
pub fn html(run: &Run) -> String {
    let view = View {
        run,
        analysis: &analyse(run),
    };
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
        match fact("commit") {
            Some(commit) => format!("{} ({commit})", run.program),
            None => run.program.clone(),
        },
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
    let charts = ratios(view);
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
    let charts = percentiles(cell) + &samples(cell);
    if !charts.is_empty() {
        page += &format!("<div class=\"grid two\">\n{charts}</div>\n");
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
        escaped(&super::control(control)),
        100.0 * cell.analysis.noise_floor
    )
}

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
            "<tr><th class=\"{}\">{} {}</th>{}{}",
            style.class,
            style.symbol,
            escaped(cell.view.name(row.arm)),
            comparison(row, metric),
            primary(cell, row, largest)
        );
        for name in &columns {
            let value = row.medians.get(*name);
            page += &value.map_or_else(
                || "<td class=\"dim\">·</td>".to_owned(),
                |value| format!("<td>{}</td>", escaped(&super::value(name, *value))),
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
    let title = escaped(&super::heading(name));
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
        format!(" <span>{}</span>", escaped(&super::estimate(ratio)))
    });
    format!("<td class=\"left comparison\"><b class=\"{class}\">{word}</b>{ratio}</td>")
}

/// The value of the primary metric, with a bar. An arm without a valid sample has its value crossed
/// out.
fn primary(cell: &CellView, row: &Row, largest: f64) -> String {
    let metric = cell.cell.primary_metric.as_str();
    let text = |value: f64| escaped(&super::value(metric, value));
    match (row.medians.get(metric), row.invalid_median) {
        (Some(value), _) => {
            let share = Some(100.0 * value / largest).filter(|share| share.is_finite());
            let share = share.unwrap_or(0.0).clamp(0.0, 100.0);
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

/// Limits, the machine, and invalid samples.
fn details(view: &View) -> String {
    let run = view.run;
    let mut page = String::from("<h2 id=\"limits\">Limits</h2>\n");
    page += &list("What this cannot tell", &limits(run));
    page += &list("Warnings of the machine", &run.environment.warnings);
    if !run.problems.is_empty() {
        page += "<div id=\"problems\"></div>\n";
        page += &list("Problems", &run.problems);
    }
    let mut reasons = invalid(run);
    reasons.truncate(MAX_REASONS);
    page += &list("Invalid samples", &reasons);
    page += &list("Notes", &run.notes);
    page += "<h2 id=\"machine\">The machine</h2>\n<dl class=\"facts\">\n";
    for (name, value) in &run.environment.facts {
        page += &fact(name, &escaped(value));
    }
    for arm in &run.arms {
        let command = escaped(&arm.command.join(" "));
        page += &fact(&arm.name, &format!("<code>{command}</code>"));
    }
    page + "</dl>\n"
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

/// The columns of names, left of a chart, and of words, right of it.
const NAMES: f64 = 90.0;
const WORDS: f64 = 127.0;
/// The height of a row of the chart of ratios, and its top.
const ROW: f64 = 19.0;
const TOP: f64 = 18.0;
/// Where the scale of ratios may end: 1.5 is from 0.67 to 1.5.
const RATIO_LIMITS: [f64; 8] = [1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// The chart of ratios of each cell, all with the same scale.
fn ratios(view: &View) -> String {
    let rows = view.analysis.cells.iter().flat_map(|cell| &cell.rows);
    let ratios = rows.filter_map(|row| Some(row.ratio?.median));
    // Three quarters of the ratios fit on the scale. For the others there is an arrow.
    let limit = limit(ratios, 0.75, &RATIO_LIMITS);
    view.cells().map(|cell| ratio_chart(&cell, limit)).collect()
}

/// The first of `limits` that contains this share of the ratios, with their inverses.
fn limit(ratios: impl Iterator<Item = f64>, share: f64, limits: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = ratios
        .map(|ratio| ratio.ln().abs().exp())
        .filter(|size| !size.is_nan())
        .collect();
    sizes.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length"
    )]
    let index = (float(sizes.len().saturating_sub(1)) * share).floor() as usize;
    let largest = sizes.get(index).copied().unwrap_or(1.0) * 1.02;
    let found = limits.iter().find(|limit| **limit >= largest);
    found.or(limits.last()).copied().unwrap_or(2.0)
}

fn ratio_chart(cell: &CellView, limit: f64) -> String {
    let rows = &cell.analysis.rows;
    if rows.iter().all(|row| row.ratio.is_none()) {
        return String::new();
    }
    let better = better_of(&cell.cell.primary_metric);
    let (left, right) = (NAMES + 2.0, WIDTH - WORDS);
    let scale = match better {
        Better::Lower => Scale::around_one(limit, (right, left)),
        _ => Scale::around_one(limit, (left, right)),
    };
    let bottom = TOP + ROW * float(rows.len());
    let title = format!("{}: ratios to the reference", cell.cell.name);
    let mut drawing = Drawing::new(bottom + 18.0, &title);
    let floor = 1.0 + cell.analysis.noise_floor;
    let (low, high) = (scale.position(1.0 / floor), scale.position(floor));
    let size = ((high - low).abs(), bottom - TOP);
    drawing.rect("floor", (low.min(high), TOP), size);
    for tick in scale.ticks(3) {
        let x = scale.position(tick);
        drawing.line("grid", (x, TOP), (x, bottom));
        let text = format!("{}", (tick * 1e6).round() / 1e6);
        drawing.text("tick", (x, bottom + 13.5), MIDDLE, &text);
    }
    if better != Better::Neither {
        drawing.text("tick", (left, 11.0), START, "← worse");
        drawing.text("tick", (right, 11.0), END, "better →");
    }
    let one = scale.position(1.0);
    drawing.line("one", (one, TOP - 2.0), (one, bottom + 2.0));
    let mut y = TOP + ROW / 2.0;
    for row in rows {
        draw_ratio(&mut drawing, cell, row, &scale, y);
        y += ROW;
    }
    let metric = escaped(&super::title(&cell.cell.primary_metric));
    let unproven = match cell.analysis.proven {
        true => "",
        false => " <b class=\"bad\">unproven</b>",
    };
    let (name, anchor) = (escaped(&cell.cell.name), cell.anchor());
    let caption = format!("<a href=\"#{anchor}\"><b>{name}</b></a>: {metric}{unproven}");
    drawing.figure(&caption)
}

fn draw_ratio(drawing: &mut Drawing, cell: &CellView, row: &Row, scale: &Scale, y: f64) {
    let style = cell.view.style(row.arm);
    let metric = cell.cell.primary_metric.as_str();
    drawing.name(&style, (NAMES - 6.0, y + 4.0), END);
    let words = match row.ratio {
        Some(ratio) => {
            let rounds = row.ratios.iter().filter(|(_, one)| scale.contains(*one));
            let rounds: Vec<_> = rounds.map(|(_, one)| (scale.position(*one), y)).collect();
            drawing.dots(&format!("faint {}", style.class), &rounds);
            let (low, high) = (scale.position(ratio.low), scale.position(ratio.high));
            let class = format!("whisker {}", style.class);
            drawing.line(&class, (low, y), (high, y));
            let at = scale.position(ratio.median);
            if scale.contains(ratio.median) {
                drawing.symbol(&style, (at, y));
            } else {
                let is_right = at > scale.position(1.0);
                let symbol = if is_right { '→' } else { '←' };
                drawing.symbol(
                    &Style {
                        symbol,
                        ..style.clone()
                    },
                    (at, y),
                );
            }
            let word = row.verdict.word(metric);
            drawing.describe(format!(
                "{}: {}, {word}.",
                style.name,
                super::estimate(&ratio)
            ));
            let word = if row.verdict.is_difference() {
                word
            } else {
                ""
            };
            format!("{}× {word}", super::thousands(ratio.median))
        }
        None if row.verdict == Verdict::Missing => row.verdict.word(metric).to_owned(),
        None => {
            drawing.symbol(&style, (scale.position(1.0), y));
            let value = row.medians.get(metric);
            value.map_or_else(String::new, |value| super::value(metric, *value))
        }
    };
    drawing.text("value", (WIDTH - WORDS + 10.0, y + 4.0), START, &words);
}

/// The axes of the chart of percentiles: left, right, top and bottom of the area.
const AREA: (f64, f64, f64, f64) = (50.0, WIDTH - 84.0, 8.0, 158.0);
/// The quantiles on the axis as nines: 0.301 is 50 %, 3 is 99.9 %.
const NINES: [(f64, &str); 6] = [
    (0.301, "50%"),
    (1.0, "90%"),
    (2.0, "99%"),
    (3.0, "99.9%"),
    (4.0, "99.99%"),
    (5.0, "99.999%"),
];
const FIRST_NINES: f64 = 0.15;
const LAST_NINES: f64 = 5.1;
const STEP: f64 = 0.1;
/// The number of responses that must be slower than a quantile that is drawn.
const MIN_BEYOND: f64 = 10.0;

/// Nines, and a time in µs.
type Points = Vec<(f64, f64)>;

/// Percentiles of the response time, with an equal distance for 90, 99 and 99.9 %. All valid
/// samples together, of the group of the primary metric.
fn percentiles(cell: &CellView) -> String {
    let group = group_of(&cell.cell.primary_metric);
    let name = group.map_or_else(String::new, |group| format!("{group}.")) + "response";
    let curve = |row: &&Row| Some((cell.view.style(row.arm), points(cell, row.arm, &name)?));
    let curves: Vec<(Style, Points)> = cell.ranked().iter().filter_map(curve).collect();
    let all = || curves.iter().flat_map(|(_, points)| points);
    let Some(end) = all().map(|(nines, _)| *nines).max_by(f64::total_cmp) else {
        return String::new();
    };
    let (left, right, top, bottom) = AREA;
    let x = |nines: f64| left + (right - left) * (nines - FIRST_NINES) / (end - FIRST_NINES);
    let y = Scale::log(all().map(|(_, time)| *time), (bottom, top));
    let title = format!("{}: percentiles of the response time", cell.cell.name);
    let mut drawing = Drawing::new(bottom + 34.0, &title);
    for tick in y.ticks(5) {
        let at = y.position(tick);
        drawing.line("grid", (left, at), (right, at));
        drawing.text(
            "tick",
            (left - 5.0, at + 3.5),
            END,
            &super::round("p50", tick),
        );
    }
    drawing.line("axis", (left, bottom), (right, bottom));
    for (nines, text) in NINES.iter().filter(|(nines, _)| *nines <= end) {
        drawing.line("axis", (x(*nines), bottom), (x(*nines), bottom + 3.0));
        drawing.text("tick", (x(*nines), bottom + 14.5), MIDDLE, text);
    }
    let middle = (left.midpoint(right), bottom + 29.0);
    drawing.text(
        "tick",
        middle,
        MIDDLE,
        "of the requests are answered within",
    );
    let mut labels = Vec::new();
    for (style, points) in &curves {
        let line: Vec<_> = points
            .iter()
            .map(|(nines, time)| (x(*nines), y.position(*time)))
            .collect();
        labels.push(line.last().map_or(top, |(_, y)| *y));
        let control = if style.symbol == '○' {
            " control"
        } else {
            ""
        };
        drawing.curve(&format!("curve{control} {}", style.class), &line);
        let within = |nines: f64| {
            let found = points.iter().find(|(at, _)| *at >= nines - 1e-9);
            found.map_or_else(|| "?".to_owned(), |(_, time)| super::value("p50", *time))
        };
        let (half, most) = (within(0.301), within(2.0));
        drawing.describe(format!(
            "{}: 50 % within {half}, 99 % within {most}.",
            style.name
        ));
    }
    let ends = labels.clone();
    spread(&mut labels, 12.5, bottom + 12.0);
    for (((style, _), end), label) in curves.iter().zip(ends).zip(labels) {
        drawing.line("lead", (right + 1.0, end), (right + 7.0, label));
        drawing.name(style, (right + 8.0, label + 3.8), START);
    }
    let of = group.map_or(String::new(), |group| format!(" of the {}", escaped(group)));
    drawing.figure(&format!("Response time{of}"))
}

fn points(cell: &CellView, arm: usize, name: &str) -> Option<Points> {
    let texts = cell.valid(arm).filter_map(|one| one.histograms.get(name));
    let times = merged(texts.map(String::as_str))?;
    let mut points = Points::new();
    let mut nines = FIRST_NINES;
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts and nanoseconds far below 2^53"
    )]
    while nines <= LAST_NINES && 10_f64.powf(-nines) * times.len() as f64 >= MIN_BEYOND {
        let time = times.value_at_quantile(1.0 - 10_f64.powf(-nines)) as f64 / 1e3;
        points.push((nines, time));
        nines += STEP;
    }
    Some(points).filter(|points| points.len() > 1)
}

/// The height of a lane of the chart of samples.
const LANE: f64 = 24.0;
/// The right edge of its lanes.
const LANE_END: f64 = WIDTH - 52.0;
/// Where a lane may end, as a ratio to the median.
const LANE_LIMITS: [f64; 6] = [1.02, 1.05, 1.1, 1.25, 1.5, 2.0];
/// The most samples of a lane. Of more, some at equal distances are drawn.
const MAX_SAMPLES: usize = 150;

/// A sample: minutes since the start of the run, ratio to the median of its arm, whether it is
/// valid.
type Dot = (f64, f64, bool);

/// The primary metric of each sample over the time of the run. The same slope in all lanes is a
/// change of the machine; two levels in one lane are two modes of a server.
fn samples(cell: &CellView) -> String {
    let mut lanes: Vec<(usize, Vec<Dot>)> = Vec::new();
    for row in &cell.analysis.rows {
        lanes.push((row.arm, dots(cell, row.arm)));
    }
    lanes.retain(|(_, dots)| !dots.is_empty());
    if lanes.iter().all(|(_, dots)| dots.len() < 2) {
        return String::new();
    }
    let all = || lanes.iter().flat_map(|(_, dots)| dots);
    let valid = all().filter(|dot| dot.2).map(|dot| dot.1);
    let limit = limit(valid, 0.9, &LANE_LIMITS);
    let (top, bottom) = (4.0, 4.0 + LANE * float(lanes.len()));
    let title = format!("{}: samples over time", cell.cell.name);
    let mut drawing = Drawing::new(bottom + 32.0, &title);
    let x = Scale::linear(all().map(|dot| dot.0), (NAMES + 2.0, LANE_END));
    for tick in x.ticks(4) {
        let at = x.position(tick);
        drawing.line("grid", (at, top), (at, bottom));
        let text = format!("{}", (tick * 1e3).round() / 1e3);
        drawing.text("tick", (at, bottom + 13.5), MIDDLE, &text);
    }
    let middle = (NAMES.midpoint(LANE_END), bottom + 28.0);
    drawing.text("tick", middle, MIDDLE, "minutes since the run began");
    for (number, (arm, dots)) in lanes.iter().enumerate() {
        let top = top + LANE * float(number);
        let y = Scale::around_one(limit, (top + LANE - 3.0, top + 3.0));
        draw_lane(&mut drawing, &cell.view.style(*arm), dots, (&x, &y));
    }
    let metric = escaped(&super::title(&cell.cell.primary_metric));
    drawing.figure(&format!(
        "The {metric} of each sample over time: a lane is from &minus;{:.0} to +{:.0} % of the \
         median of its arm; crosses are invalid samples",
        100.0 * (1.0 - 1.0 / limit),
        100.0 * (limit - 1.0)
    ))
}

fn dots(cell: &CellView, arm: usize) -> Vec<Dot> {
    let value = |sample: &Sample| sample.metrics.get(&cell.cell.primary_metric).copied();
    let valid: Vec<f64> = cell.valid(arm).filter_map(value).collect();
    let all: Vec<f64> = cell.samples(arm).filter_map(value).collect();
    let middle = median(&valid).or_else(|| median(&all));
    let Some(middle) = middle.filter(|middle| *middle > 0.0 && middle.is_finite()) else {
        return Vec::new();
    };
    let dot = |sample: &Sample| {
        let ratio = value(sample)? / middle;
        let dot = (sample.at / 60.0, ratio, sample.invalid.is_empty());
        (sample.at.is_finite() && ratio.is_finite()).then_some(dot)
    };
    let mut dots: Vec<Dot> = cell.samples(arm).filter_map(dot).collect();
    dots.sort_by(|(a, _, _), (b, _, _)| a.total_cmp(b));
    let every = dots.len().div_ceil(MAX_SAMPLES).max(1);
    dots.into_iter().step_by(every).collect()
}

fn draw_lane(drawing: &mut Drawing, style: &Style, dots: &[Dot], (x, y): (&Scale, &Scale)) {
    let middle = y.position(1.0);
    drawing.name(style, (NAMES - 6.0, middle + 4.0), END);
    drawing.line("one", (NAMES, middle), (LANE_END, middle));
    let positions = |valid: bool| -> Vec<(f64, f64)> {
        let dots = dots.iter().filter(|dot| dot.2 == valid);
        dots.map(|(at, ratio, _)| (x.position(*at), y.position(*ratio)))
            .collect()
    };
    let valid = positions(true);
    drawing.curve(&format!("thin {}", style.class), &valid);
    drawing.dots(&format!("spots {}", style.class), &valid);
    drawing.crosses(&format!("cross {}", style.class), &positions(false));
    let distances = dots.iter().filter(|dot| dot.2);
    let distances: Vec<f64> = distances.map(|dot| 100.0 * (dot.1 - 1.0).abs()).collect();
    if let Some(distance) = median(&distances).filter(|_| distances.len() > 2) {
        let text = format!("±{} %", super::thousands(distance));
        drawing.text("tick", (LANE_END + 5.0, middle + 4.0), START, &text);
        drawing.describe(format!(
            "{}: half of the samples within {text}.",
            style.name
        ));
    }
}
