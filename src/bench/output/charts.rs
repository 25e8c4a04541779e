//! The charts of a report: ratios with intervals, percentiles, and samples over time. A chart
//! without data is an empty string.

use super::format;
use super::svg::{Anchor, Drawing, Scale, Style, WIDTH, count, escaped, spread};
use super::view::{CellView, View};
use crate::bench::analysis::{Row, Verdict};
use crate::bench::metrics::{Better, better_of, group_of};
use crate::bench::record::Sample;
use crate::bench::stats::histogram::merged;
use crate::bench::stats::median;
use hdrhistogram::Histogram;

/// The columns of names, left of a chart, and of words, right of it.
const NAMES: f64 = 90.0;
const WORDS: f64 = 127.0;
/// The height of a row of the chart of ratios, and its top.
const ROW: f64 = 19.0;
const TOP: f64 = 18.0;
/// Where the scale of ratios may end: 1.5 is from 0.67 to 1.5.
const RATIO_LIMITS: [f64; 8] = [1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// The chart of ratios of each cell, all with the same scale.
pub fn ratios(view: &View) -> String {
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
    let index = (count(sizes.len().saturating_sub(1)) * share).floor() as usize;
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
        Better::Lower => Scale::around_one(limit, right, left),
        _ => Scale::around_one(limit, left, right),
    };
    let bottom = TOP + ROW * count(rows.len());
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
        drawing.text("tick", (x, bottom + 13.5), Anchor::Middle, &text);
    }
    if better != Better::Neither {
        drawing.text("tick", (left, 11.0), Anchor::Start, "← worse");
        drawing.text("tick", (right, 11.0), Anchor::End, "better →");
    }
    let one = scale.position(1.0);
    drawing.line("one", (one, TOP - 2.0), (one, bottom + 2.0));
    let mut y = TOP + ROW / 2.0;
    for row in rows {
        draw_ratio(&mut drawing, cell, row, &scale, y);
        y += ROW;
    }
    let metric = escaped(&format::title(&cell.cell.primary_metric));
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
    drawing.name_before(&style, (NAMES - 6.0, y + 4.0));
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
                drawing.symbol(&style, (at, y), 4.0);
            } else {
                let tip = if at > scale.position(1.0) { 6.0 } else { -6.0 };
                let corners = [
                    (at - tip, y - 4.5),
                    (at + tip / 2.0, y),
                    (at - tip, y + 4.5),
                ];
                drawing.path(&format!("dot {}", style.class), &corners);
            }
            let word = row.verdict.word(metric);
            drawing.describe(format!(
                "{}: {}, {word}.",
                style.name,
                format::estimate(&ratio)
            ));
            let word = if row.verdict.is_difference() {
                word
            } else {
                ""
            };
            format!("{}× {word}", format::thousands(ratio.median))
        }
        None if row.verdict == Verdict::Missing => row.verdict.word(metric).to_owned(),
        None => {
            drawing.symbol(&style, (scale.position(1.0), y), 4.0);
            let value = row.medians.get(metric);
            value.map_or_else(String::new, |value| format::value(metric, *value))
        }
    };
    drawing.text(
        "value",
        (WIDTH - WORDS + 10.0, y + 4.0),
        Anchor::Start,
        &words,
    );
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
const STEP: f64 = 0.05;
/// The number of responses that must be slower than a quantile that is drawn.
const MIN_BEYOND: f64 = 10.0;

/// Nines, and a time in µs.
type Points = Vec<(f64, f64)>;

/// Percentiles of the response time, with an equal distance for 90, 99 and 99.9 %. All valid
/// samples together, of the group of the primary metric.
pub fn percentiles(cell: &CellView) -> String {
    let group = group_of(&cell.cell.primary_metric);
    let curves = curves(cell, group);
    let all = || {
        curves
            .iter()
            .flat_map(|(_, one, other)| one.iter().chain(other))
    };
    let Some(end) = all().map(|(nines, _)| *nines).max_by(f64::total_cmp) else {
        return String::new();
    };
    let (left, right, top, bottom) = AREA;
    let x = |nines: f64| left + (right - left) * (nines - FIRST_NINES) / (end - FIRST_NINES);
    let y = Scale::log(all().map(|(_, time)| *time), bottom, top);
    let title = format!("{}: percentiles of the response time", cell.cell.name);
    let mut drawing = Drawing::new(bottom + 34.0, &title);
    for tick in y.ticks(5) {
        let at = y.position(tick);
        drawing.line("grid", (left, at), (right, at));
        let text = format::round("p50", tick);
        drawing.text("tick", (left - 5.0, at + 3.5), Anchor::End, &text);
    }
    drawing.line("axis", (left, bottom), (right, bottom));
    for (nines, text) in NINES.iter().filter(|(nines, _)| *nines <= end) {
        drawing.line("axis", (x(*nines), bottom), (x(*nines), bottom + 3.0));
        drawing.text("tick", (x(*nines), bottom + 14.5), Anchor::Middle, text);
    }
    let middle = (left.midpoint(right), bottom + 29.0);
    drawing.text(
        "tick",
        middle,
        Anchor::Middle,
        "of the requests are answered within",
    );
    let mut ends = Vec::new();
    for (style, response, service) in &curves {
        let line = |points: &Points| -> Vec<(f64, f64)> {
            let position = |(nines, time): &(f64, f64)| (x(*nines), y.position(*time));
            points.iter().map(position).collect()
        };
        let response_line = line(response);
        ends.push(response_line.last().map_or(top, |(_, y)| *y));
        let control = if style.hollow { " control" } else { "" };
        drawing.path(&format!("curve{control} {}", style.class), &response_line);
        drawing.path(&format!("curve service {}", style.class), &line(service));
        drawing.describe(description(style, response));
    }
    let mut labels = ends.clone();
    spread(&mut labels, 12.5, (top, bottom + 12.0));
    for (((style, _, _), end), label) in curves.iter().zip(ends).zip(labels) {
        drawing.line("lead", (right + 1.0, end), (right + 7.0, label));
        drawing.name_after(style, (right + 8.0, label + 3.8));
    }
    let of = group.map_or(String::new(), |group| format!(" of the {}", escaped(group)));
    let dotted = match curves.iter().all(|(_, _, service)| service.is_empty()) {
        true => "",
        false => "; dotted: the service time, if it differs",
    };
    drawing.figure(&format!("Response time{of}{dotted}"))
}

/// The style of each arm, its response times, and its service times if they differ.
fn curves(cell: &CellView, group: Option<&str>) -> Vec<(Style, Points, Points)> {
    let name = |clock: &str| match group {
        Some(group) => format!("{group}.{clock}"),
        None => clock.to_owned(),
    };
    let mut curves = Vec::new();
    for row in cell.ranked() {
        if let Some(response) = points(cell, row.arm, &name("response")) {
            let service = points(cell, row.arm, &name("service"));
            let service = service.filter(|service| differ(&response, service));
            let style = cell.view.style(row.arm);
            curves.push((style, response, service.unwrap_or_default()));
        }
    }
    curves
}

/// Whether the two clocks differ by more than 5 %.
fn differ(response: &Points, service: &Points) -> bool {
    let mut pairs = response.iter().zip(service);
    pairs.any(|((_, response), (_, service))| *response > service * 1.05)
}

/// `thread: 50 % within 85.3 µs, 99 % within 1.95 ms.`
fn description(style: &Style, points: &Points) -> String {
    let within = |nines: f64| {
        let found = points.iter().find(|(at, _)| *at >= nines - 1e-9);
        found.map_or_else(|| "?".to_owned(), |(_, time)| format::value("p50", *time))
    };
    let (half, most) = (within(0.301), within(2.0));
    format!("{}: 50 % within {half}, 99 % within {most}.", style.name)
}

fn points(cell: &CellView, arm: usize, name: &str) -> Option<Points> {
    let texts = cell.valid(arm).filter_map(|one| one.histograms.get(name));
    let times: Histogram<u64> = merged(texts.map(String::as_str)).ok()??;
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
pub fn samples(cell: &CellView) -> String {
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
    let (top, bottom) = (4.0, 4.0 + LANE * count(lanes.len()));
    let title = format!("{}: samples over time", cell.cell.name);
    let mut drawing = Drawing::new(bottom + 32.0, &title);
    let x = Scale::linear(all().map(|dot| dot.0), NAMES + 2.0, LANE_END);
    for tick in x.ticks(4) {
        let at = x.position(tick);
        drawing.line("grid", (at, top), (at, bottom));
        let text = format!("{}", (tick * 1e3).round() / 1e3);
        drawing.text("tick", (at, bottom + 13.5), Anchor::Middle, &text);
    }
    let middle = (NAMES.midpoint(LANE_END), bottom + 28.0);
    drawing.text(
        "tick",
        middle,
        Anchor::Middle,
        "minutes since the run began",
    );
    for (number, (arm, dots)) in lanes.iter().enumerate() {
        let top = top + LANE * count(number);
        let y = Scale::around_one(limit, top + LANE - 3.0, top + 3.0);
        draw_lane(&mut drawing, &cell.view.style(*arm), dots, (&x, &y));
    }
    let metric = escaped(&format::title(&cell.cell.primary_metric));
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
    drawing.name_before(style, (NAMES - 6.0, middle + 4.0));
    drawing.line("one", (NAMES, middle), (LANE_END, middle));
    let positions = |valid: bool| -> Vec<(f64, f64)> {
        let dots = dots.iter().filter(|dot| dot.2 == valid);
        dots.map(|(at, ratio, _)| (x.position(*at), y.position(*ratio)))
            .collect()
    };
    let valid = positions(true);
    drawing.path(&format!("thin {}", style.class), &valid);
    drawing.dots(&format!("spots {}", style.class), &valid);
    drawing.crosses(&format!("cross {}", style.class), &positions(false));
    let distances = dots.iter().filter(|dot| dot.2);
    let distances: Vec<f64> = distances.map(|dot| 100.0 * (dot.1 - 1.0).abs()).collect();
    if let Some(distance) = median(&distances).filter(|_| distances.len() > 2) {
        let text = format!("±{} %", format::thousands(distance));
        drawing.text("tick", (LANE_END + 5.0, middle + 4.0), Anchor::Start, &text);
        drawing.describe(format!(
            "{}: half of the samples within {text}.",
            style.name
        ));
    }
}
