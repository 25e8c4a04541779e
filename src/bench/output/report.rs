//! The report of a run: one HTML file with its style and its charts. It loads and runs nothing, so
//! it can be stored, sent and printed.

use super::svg::{Drawing, END, MIDDLE, START, Scale, WIDTH, escaped, float, spread};
use super::table::Table;
use super::text::limiters;
use super::{Style, estimate, style, thousands, title, value};
use crate::bench::analysis::summary::{answers, details, doubts, noise, sample_counts};
use crate::bench::analysis::{Analysis, CellAnalysis, Row, analyse};
use crate::bench::metrics::{Better, better_of, group_of};
use crate::bench::stats::{median, merged};
use crate::bench::types::{Cell, Run, Sample};
use crate::bench::workloads;
use std::time::{Duration, UNIX_EPOCH};

/// The name of the file.
pub const REPORT: &str = "report.html";
/// The style: colours for light, dark and print.
const STYLE: &str = include_str!("style.css");

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
<dd>In a closed loop a client sends the next request when it has the response: this measures \
capacity. In an open loop requests are due at their own times, as those of many users, and the \
response time begins when a request is due, even if it has to wait before it can be sent.</dd>
</dl>
";

/// The report of a run.
pub fn html(run: &Run) -> String {
    let analysis = analyse(run);
    let names: Vec<&str> = run.arms.iter().map(|arm| arm.name.as_str()).collect();
    let title = escaped(&names.join(", "));
    let parts = [
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
         name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta \
         name=\"color-scheme\" content=\"light dark\">\n",
        &format!("<title>oneloop bench: {title}</title>\n<style>\n{STYLE}</style>\n"),
        "</head>\n<body>\n<header>\n<p class=\"name\">oneloop bench</p>\n<h1>Concurrency models, \
         compared</h1>\n</header>\n<main>\n",
        &doubts(run, &analysis)
            .iter()
            .map(|doubt| stamp(doubt))
            .collect::<String>(),
        &results(run, &analysis),
        &facts(run),
        "<nav aria-label=\"Parts\">\n<a href=\"#overview\">all ratios</a>\n<a href=\"#how\">how to \
         read this</a>\n<a href=\"#limits\">limits</a>\n<a href=\"#machine\">the machine</a>\n\
         </nav>\n",
        &overview(run, &analysis),
        &cells(run, &analysis),
        HOW,
        &limits(run),
        "</main>\n</body>\n</html>\n",
    ];
    parts.concat()
}

/// What a reader must see before any number: `UNPROVEN: ...`, or a sentence.
fn stamp(doubt: &str) -> String {
    let (class, word, text) = match doubt.split_once(": ") {
        Some((word @ ("UNPROVEN" | "PROBLEMS"), text)) => ("bad", word, text),
        Some((word @ "INDICATIVE", text)) => ("mild", word, text),
        _ => ("mild", "NOTE", doubt),
    };
    format!(
        "<div class=\"stamp {class}\" role=\"note\"><strong>{word}</strong> <span>{}</span>\
         </div>\n",
        escaped(text)
    )
}

/// The answer: which arms are better, in each cell.
fn results(run: &Run, analysis: &Analysis) -> String {
    let mut page = String::from("<ul class=\"answers\">\n");
    for answer in answers(run, analysis) {
        let cell = run.cells.get(answer.cell);
        page += &format!(
            "<li><a href=\"#cell-{}\"><b>{}</b></a> <span class=\"dim\">{}</span><br>{}</li>\n",
            answer.cell,
            escaped(cell.map_or("?", |cell| &cell.name)),
            escaped(&answer.metric),
            escaped(&answer.result)
        );
    }
    let (valid, invalid) = sample_counts(analysis);
    let noise = noise(run, analysis).unwrap_or_default();
    page + &format!(
        "</ul>\n<p class=\"dim\">{} {invalid} of {} samples are invalid.</p>\n",
        escaped(&noise),
        valid + invalid
    )
}

/// What ran, when and where.
fn facts(run: &Run) -> String {
    let fact = |name: &str| run.environment.facts.get(name).cloned();
    let began = UNIX_EPOCH.checked_add(Duration::from_secs(run.started));
    let commit = fact("commit").map(|commit| format!(" ({commit})"));
    let facts = [
        Some(run.program.clone() + &commit.unwrap_or_default()),
        began.map(httpdate::fmt_http_date),
        Some(format!("{:.0} min, seed {}", run.seconds / 60.0, run.seed)),
        fact("processor"),
        fact("cores").map(|cores| format!("{cores} CPUs")),
        fact("kernel").map(|kernel| format!("Linux {kernel}")),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    format!(
        "<p class=\"dim\">{}. The command: <code>{}</code></p>\n",
        escaped(&facts.join(", ")),
        escaped(&run.command.join(" "))
    )
}

/// The ratios of all cells.
fn overview(run: &Run, analysis: &Analysis) -> String {
    let rows = analysis.cells.iter().flat_map(|cell| &cell.rows);
    let ratios = rows.filter_map(|row| Some(row.ratio?.middle));
    // Three quarters of the ratios fit on the scale. For the others there is an arrow.
    let limit = limit(ratios, 0.75, &RATIO_LIMITS);
    let cells = run.cells.iter().zip(&analysis.cells).enumerate();
    let charts: String = cells
        .map(|(index, (cell, of))| ratio_chart(run, index, cell, of, limit))
        .collect();
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

/// A section for each cell, under the name of its workload.
fn cells(run: &Run, analysis: &Analysis) -> String {
    let mut page = String::new();
    let mut latest = None;
    for (index, (cell, of)) in run.cells.iter().zip(&analysis.cells).enumerate() {
        let workload = cell.workload.as_str();
        if latest != Some(workload) {
            page += &format!("<h2 id=\"{0}\">{0}</h2>\n", escaped(workload));
            let purpose = workloads::named(workload).map_or("", |known| known.purpose);
            page += &format!("<p>{}</p>\n", escaped(purpose));
            latest = Some(workload);
        }
        let control = of.control.as_ref().map_or_else(String::new, |control| {
            let floor = 100.0 * of.noise_floor;
            format!(
                " Control: {}; the noise floor is {floor:.1} %.",
                estimate(control)
            )
        });
        page += &format!(
            "<section id=\"cell-{index}\">\n<h3>{}</h3>\n<p class=\"dim about\">{}.{}</p>\n",
            escaped(&cell.name),
            escaped(&cell.description),
            escaped(&control)
        );
        page += &Table::of_cell(run, cell, of).html();
        let limiters = limiters(run, of);
        if !limiters.is_empty() {
            page += &format!("<p class=\"dim\">Limited by: {}</p>\n", escaped(&limiters));
        }
        let charts = percentiles(run, cell, of) + &samples(run, cell, of);
        page += &format!("<div class=\"grid two\">\n{charts}</div>\n</section>\n");
    }
    page
}

/// Limits, invalid samples, and the machine.
fn limits(run: &Run) -> String {
    let mut page = String::from("<h2 id=\"limits\">Limits</h2>\n");
    for (heading, sentences) in details(run) {
        let item = |text: &String| format!("<li>{}</li>\n", escaped(text));
        let items: String = sentences.iter().map(item).collect();
        page += &format!("<h3>{heading}</h3>\n<ul>\n{items}</ul>\n");
    }
    page += "<h2 id=\"machine\">The machine</h2>\n<dl class=\"facts\">\n";
    let facts = run.environment.facts.iter();
    let facts = facts.map(|(name, value)| (name.clone(), value.clone()));
    let arms = run
        .arms
        .iter()
        .map(|arm| (arm.name.clone(), arm.command.join(" ")));
    for (name, value) in facts.chain(arms) {
        let (name, value) = (escaped(&name), escaped(&value));
        page += &format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n");
    }
    page + "</dl>\n"
}

/// The columns of names, left of a chart, and of words, right of it.
const NAMES: f64 = 90.0;
const WORDS: f64 = 127.0;
/// The height of a row of the chart of ratios, and its top.
const ROW: f64 = 19.0;
const TOP: f64 = 18.0;
/// Where the scale of ratios may end: 1.5 is from 0.67 to 1.5.
const RATIO_LIMITS: [f64; 8] = [1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// The first of `limits` that contains this share of the ratios, with their inverses.
fn limit(ratios: impl Iterator<Item = f64>, share: f64, limits: &[f64]) -> f64 {
    let sizes = ratios.map(|ratio| ratio.ln().abs().exp());
    let sizes: Vec<f64> = sizes.filter(|size| !size.is_nan()).collect();
    let holds = |limit: &&f64| {
        let inside = sizes.iter().filter(|size| **size <= **limit).count();
        float(inside) >= share * float(sizes.len())
    };
    let found = limits.iter().find(holds);
    found.or(limits.last()).copied().unwrap_or(2.0)
}

fn ratio_chart(run: &Run, index: usize, cell: &Cell, of: &CellAnalysis, limit: f64) -> String {
    if of.rows.iter().all(|row| row.ratio.is_none()) {
        return String::new();
    }
    let better = better_of(&cell.primary_metric);
    let (left, right) = (NAMES + 2.0, WIDTH - WORDS);
    let scale = match better {
        Better::Lower => Scale::around_one(limit, (right, left)),
        _ => Scale::around_one(limit, (left, right)),
    };
    let bottom = TOP + ROW * float(of.rows.len());
    let mut drawing = Drawing::new(bottom + 18.0, &format!("{}: ratios", cell.name));
    let floor = 1.0 + of.noise_floor;
    let (low, high) = (scale.position(1.0 / floor), scale.position(floor));
    let size = ((high - low).abs(), bottom - TOP);
    drawing.rect("floor", (low.min(high), TOP), size);
    for tick in scale.ticks(3) {
        let x = scale.position(tick);
        drawing.line("grid", (x, TOP), (x, bottom));
        drawing.text("tick", (x, bottom + 13.5), MIDDLE, &rounded(tick));
    }
    if better != Better::Neither {
        drawing.text("tick", (left, 11.0), START, "← worse");
        drawing.text("tick", (right, 11.0), END, "better →");
    }
    let one = scale.position(1.0);
    drawing.line("one", (one, TOP - 2.0), (one, bottom + 2.0));
    for (number, row) in of.rows.iter().enumerate() {
        let y = TOP + ROW * (float(number) + 0.5);
        let style = style(run, row.arm);
        drawing.name(&style, (NAMES - 6.0, y + 4.0), END);
        let words = draw_ratio(&mut drawing, style, row, &scale, y);
        let words = words + " " + row.verdict.word(&cell.primary_metric);
        drawing.text(
            "value",
            (WIDTH - WORDS + 10.0, y + 4.0),
            START,
            words.trim(),
        );
    }
    let metric = escaped(&title(&cell.primary_metric));
    let unproven = match of.proven {
        true => "",
        false => " <b class=\"bad\">unproven</b>",
    };
    let name = escaped(&cell.name);
    drawing.figure(&format!(
        "<a href=\"#cell-{index}\"><b>{name}</b></a>: {metric}{unproven}"
    ))
}

/// Draws the ratio of an arm; that of the reference is 1. Returns its number.
fn draw_ratio(drawing: &mut Drawing, style: Style, row: &Row, scale: &Scale, y: f64) -> String {
    let class = format!("name {}", style.class);
    let mut symbol = |place: f64, symbol: char| {
        drawing.text(&class, (place, y + 4.0), MIDDLE, &symbol.to_string());
    };
    let one = scale.position(1.0);
    let Some(ratio) = row.ratio else {
        symbol(one, style.symbol);
        return String::new();
    };
    let place = scale.position(ratio.middle);
    symbol(
        place,
        match scale.contains(ratio.middle) {
            true => style.symbol,
            false if place > one => '→',
            false => '←',
        },
    );
    let rounds = row.ratios.iter().filter(|one| scale.contains(**one));
    let rounds: Vec<_> = rounds.map(|one| (scale.position(*one), y)).collect();
    drawing.dots(&format!("faint {}", style.class), &rounds);
    let ends = [ratio.low, ratio.high].map(|end| (scale.position(end), y));
    drawing.line(&format!("whisker {}", style.class), ends[0], ends[1]);
    format!("{}×", thousands(ratio.middle))
}

/// A number on an axis, without the errors of binary fractions.
fn rounded(tick: f64) -> String {
    format!("{}", (tick * 1e6).round() / 1e6)
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
fn percentiles(run: &Run, cell: &Cell, of: &CellAnalysis) -> String {
    let group = group_of(&cell.primary_metric);
    let name = group.map_or_else(String::new, |group| format!("{group}.")) + "response";
    let curve = |row: &Row| Some((style(run, row.arm), points(row, &name)?));
    let curves: Vec<(Style, Points)> = of.rows.iter().filter_map(curve).collect();
    let all = || curves.iter().flat_map(|(_, points)| points);
    let Some(end) = all().map(|(nines, _)| *nines).max_by(f64::total_cmp) else {
        return String::new();
    };
    let (left, right, top, bottom) = AREA;
    let x = |nines: f64| left + (right - left) * (nines - FIRST_NINES) / (end - FIRST_NINES);
    let y = Scale::of(all().map(|(_, time)| *time), (bottom, top));
    let mut drawing = Drawing::new(bottom + 34.0, &format!("{}: percentiles", cell.name));
    for tick in y.ticks(5) {
        let place = y.position(tick);
        drawing.line("grid", (left, place), (right, place));
        drawing.text("tick", (left - 5.0, place + 3.5), END, &value("p50", tick));
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
        let points = points.iter();
        let line: Vec<_> = points
            .map(|(nines, time)| (x(*nines), y.position(*time)))
            .collect();
        labels.push(line.last().map_or(top, |(_, y)| *y));
        let control = if style.symbol == '○' {
            " control"
        } else {
            ""
        };
        drawing.curve(&format!("curve{control} {}", style.class), &line);
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

fn points(row: &Row, name: &str) -> Option<Points> {
    let texts = row.valid().filter_map(|one| one.histograms.get(name));
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
const LANE_END: f64 = WIDTH - 12.0;
/// Where a lane may end, as a ratio to the median.
const LANE_LIMITS: [f64; 6] = [1.02, 1.05, 1.1, 1.25, 1.5, 2.0];

/// A sample: minutes since the start of the run, ratio to the median of its arm, whether it is
/// valid.
type Dot = (f64, f64, bool);

/// The primary metric of each sample over the time of the run. The same slope in all lanes is a
/// change of the machine; two levels in one lane are two modes of a server.
fn samples(run: &Run, cell: &Cell, of: &CellAnalysis) -> String {
    let lanes = of
        .rows
        .iter()
        .map(|row| (style(run, row.arm), dots(row, &cell.primary_metric)));
    let lanes: Vec<(Style, Vec<Dot>)> = lanes.filter(|(_, dots)| dots.len() > 1).collect();
    if lanes.is_empty() {
        return String::new();
    }
    let all = || lanes.iter().flat_map(|(_, dots)| dots);
    let valid = all().filter(|(_, _, valid)| *valid);
    let limit = limit(valid.map(|(_, ratio, _)| *ratio), 0.9, &LANE_LIMITS);
    let (top, bottom) = (4.0, 4.0 + LANE * float(lanes.len()));
    let mut drawing = Drawing::new(bottom + 18.0, &format!("{}: samples", cell.name));
    let end = all().fold(0.0, |end: f64, (minutes, _, _)| end.max(*minutes));
    let x = |minutes: f64| NAMES + (LANE_END - NAMES) * minutes / end.max(1e-3);
    drawing.text("tick", (NAMES, bottom + 13.5), START, "the run begins");
    let text = format!("{end:.1} minutes later");
    drawing.text("tick", (LANE_END, bottom + 13.5), END, &text);
    for (number, (style, dots)) in lanes.iter().enumerate() {
        let top = top + LANE * float(number);
        let y = Scale::around_one(limit, (top + LANE - 3.0, top + 3.0));
        let middle = y.position(1.0);
        drawing.name(style, (NAMES - 6.0, middle + 4.0), END);
        drawing.line("one", (NAMES, middle), (LANE_END, middle));
        let positions = |is_valid: bool| -> Vec<(f64, f64)> {
            let dots = dots.iter().filter(|(_, _, valid)| *valid == is_valid);
            let place = |(minutes, ratio, _): &Dot| (x(*minutes), y.position(*ratio));
            dots.map(place).collect()
        };
        let valid = positions(true);
        drawing.curve(&format!("thin {}", style.class), &valid);
        drawing.dots(&format!("spots {}", style.class), &valid);
        drawing.crosses(&format!("cross {}", style.class), &positions(false));
    }
    drawing.figure(&format!(
        "The {} of each sample over time: a lane is from &minus;{:.0} to +{:.0} % of the median of \
         its arm; crosses are invalid samples",
        escaped(&title(&cell.primary_metric)),
        100.0 * (1.0 - 1.0 / limit),
        100.0 * (limit - 1.0)
    ))
}

fn dots(row: &Row, metric: &str) -> Vec<Dot> {
    let value = |sample: &Sample| sample.metrics.get(metric).copied();
    let all: Vec<f64> = row
        .samples
        .iter()
        .filter_map(|sample| value(sample))
        .collect();
    let middle = row.medians.get(metric).copied().or_else(|| median(&all));
    let dot = |sample: &&Sample| {
        let ratio = value(sample)? / middle?;
        let dot = (sample.at / 60.0, ratio, sample.invalid.is_empty());
        (sample.at >= 0.0 && sample.at.is_finite() && ratio > 0.0 && ratio.is_finite())
            .then_some(dot)
    };
    row.samples.iter().filter_map(dot).collect()
}
