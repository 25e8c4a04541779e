//! Room `bench`: what comes of more connections, or of more requests sent together? A metric over
//! what varies from cell to cell of a workload; both axes have equal distances for equal ratios.

use super::frame::{ALONG, Frame, UP};
use crate::bench::report::numbers;
use crate::bench::report::scale::Scale;
use crate::bench::report::svg::escaped;
use crate::bench::report::view::{CellView, View};
use crate::bench::table::format;
use std::collections::BTreeMap;

/// What varies, and what is plotted over it.
const PLOTS: &[(&str, &str, &[&str])] = &[
    (
        "c",
        "connections",
        &["throughput", "p50", "p99", "cpu", "memory", "memory_slope"],
    ),
    (
        "depth",
        "requests sent together",
        &["throughput", "cpu", "calls"],
    ),
];
/// A metric that varies less than that from the least to the most is no plot.
const VARIES: f64 = 1.02;

/// The curve of each arm, by its number: what varies, and the metric.
pub type Curves = BTreeMap<usize, Vec<(f64, f64)>>;

/// The plots of a workload.
pub fn plots(view: &View, workload: &str) -> String {
    let of = |one: &CellView| one.cell.workload == workload;
    let cells: Vec<CellView> = view.cells().filter(of).collect();
    let mut figures = String::new();
    for (parameter, words, metrics) in PLOTS {
        for metric in *metrics {
            let curves = curves(&cells, parameter, metric);
            figures += &draw(view, curves, metric, words);
        }
    }
    figures
}

fn curves(cells: &[CellView], parameter: &str, metric: &str) -> Curves {
    let mut curves = Curves::new();
    for cell in cells {
        let Some(at) = cell.cell.parameters.get(parameter) else {
            continue;
        };
        for row in &cell.said.rows {
            if let Some(value) = row.medians.get(metric) {
                let value = value / numbers::divisor(metric);
                curves.entry(row.arm).or_default().push((*at, value));
            }
        }
    }
    curves
}

/// Puts the points of each curve in order, and leaves out what is none: the reference once more,
/// and what has one point only.
pub fn tidied(view: &View, mut curves: Curves) -> Curves {
    curves.retain(|arm, _| !view.is_control(*arm));
    for points in curves.values_mut() {
        points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        points.dedup_by(|(a, _), (b, _)| a == b);
    }
    curves.retain(|_, points| points.len() > 1);
    curves
}

fn draw(view: &View, curves: Curves, metric: &str, words: &str) -> String {
    let curves = tidied(view, curves);
    let points: Vec<(f64, f64)> = curves.values().flatten().copied().collect();
    let values = || points.iter().map(|(_, y)| *y);
    let (least, most) = (
        values().fold(f64::MAX, f64::min),
        values().fold(0.0, f64::max),
    );
    if points.is_empty() || most <= least * VARIES {
        return String::new();
    }
    let x = Scale::log(points.iter().map(|(x, _)| *x), ALONG.0, ALONG.1);
    let y = Scale::log(values(), UP.0, UP.1);
    let title = format!("{} over {words}", numbers::title(metric));
    let mut frame = Frame::new(&title, (x, y), metric);
    let mut ticks: Vec<f64> = points.iter().map(|(x, _)| *x).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    for tick in ticks {
        let text = numbers::round("", tick);
        frame.tick(tick, &text);
    }
    frame.below(words);
    for (arm, points) in &curves {
        let look = view.look(*arm);
        frame.curve("curve", &look, points);
        for (x, y) in points {
            let place = (frame.x.place(*x), frame.y.place(*y));
            frame.drawing.mark(&look, place, 2.8);
        }
        let told = points.iter().map(|(x, y)| {
            let value = numbers::value(metric, y * numbers::divisor(metric));
            format!("{value} with {}", format::thousands(*x))
        });
        let told: Vec<String> = told.collect();
        frame
            .drawing
            .tell(format!("{}: {}.", look.name, told.join(", ")));
    }
    let unit = numbers::unit(metric);
    let unit = if unit.is_empty() {
        String::new()
    } else {
        format!(", {unit}")
    };
    frame.figure(&escaped(&format!("{title}{unit}")))
}
