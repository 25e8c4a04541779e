//! Room `bench`: what comes of more: of connections, of requests, of silent clients. One plot over
//! all cells of a workload in which something varies.

use super::{ALONG, Frame, UP};
use crate::bench::metrics::metric_named;
use crate::bench::report::svg::Scale;
use crate::bench::report::view::{CellView, View};
use std::collections::BTreeMap;

/// What varies, and what is plotted over it.
const PLOTS: &[(&str, &str, &[&str])] = &[
    ("c", "connections", &["throughput", "p99", "cpu", "memory"]),
    (
        "load",
        "load, % of the capacity",
        &["p50", "p99", "achieved"],
    ),
    ("depth", "requests sent together", &["throughput", "cpu"]),
];
/// Plots of memory with so many silent connections.
const LEVEL: (&str, &str) = ("at_", ".memory");

/// The plots of a workload.
pub fn plots(view: &View, workload: &str) -> String {
    let cells: Vec<CellView> = view
        .cells()
        .filter(|one| one.cell.workload == workload)
        .collect();
    let mut figures = memory(view, &cells);
    for (parameter, words, metrics) in PLOTS {
        for metric in *metrics {
            figures += &over(view, &cells, (parameter, words), metric);
        }
    }
    figures
}

type Curves = BTreeMap<usize, Vec<(f64, f64)>>;

/// A metric over a parameter.
fn over(view: &View, cells: &[CellView], (parameter, words): (&str, &str), metric: &str) -> String {
    let mut curves = Curves::new();
    for cell in cells {
        let Some(at) = cell.cell.parameters.get(parameter) else {
            continue;
        };
        for row in &cell.said.rows {
            if let Some(value) = row.medians.get(metric) {
                curves.entry(row.arm).or_default().push((*at, *value));
            }
        }
    }
    let title = metric_named(metric).map_or(metric, |metric| metric.title);
    draw(view, curves, metric, (words, title))
}

/// Memory over silent connections, from several levels of the same sample.
fn memory(view: &View, cells: &[CellView]) -> String {
    let mut curves = Curves::new();
    for row in cells.iter().flat_map(|cell| &cell.said.rows) {
        for (name, value) in &row.medians {
            let level = name
                .strip_prefix(LEVEL.0)
                .and_then(|rest| rest.strip_suffix(LEVEL.1));
            if let Some(level) = level.and_then(|level| level.parse::<f64>().ok()) {
                curves
                    .entry(row.arm)
                    .or_default()
                    .push((level.max(1.0), *value));
            }
        }
    }
    let words = ("silent connections", "memory of the server's processes");
    draw(view, curves, "memory", words)
}

fn draw(view: &View, mut curves: Curves, metric: &str, (words, title): (&str, &str)) -> String {
    curves.retain(|arm, _| !view.is_control(*arm));
    for points in curves.values_mut() {
        points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        points.dedup_by(|(a, _), (b, _)| a == b);
    }
    curves.retain(|_, points| points.len() > 1);
    let points: Vec<(f64, f64)> = curves.values().flatten().copied().collect();
    if points.is_empty() {
        return String::new();
    }
    let x = Scale::log(points.iter().map(|(x, _)| *x), ALONG.0, ALONG.1);
    let y = match metric {
        "achieved" | "throughput" => Scale::linear(points.iter().map(|(_, y)| *y), UP.0, UP.1),
        _ => Scale::log(points.iter().map(|(_, y)| *y), UP.0, UP.1),
    };
    let mut frame = Frame::new(&format!("{title} over {words}"), (x, y), metric);
    let mut ticks: Vec<f64> = points.iter().map(|(x, _)| *x).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let every = ticks.len().div_ceil(6).max(1);
    for tick in ticks.into_iter().step_by(every) {
        frame.tick(tick, &super::short("", tick));
    }
    frame.below(words);
    for (arm, points) in &curves {
        frame.curve(&view.class(*arm), view.arm(*arm), points);
        for (x, y) in points {
            let place = (frame.x.place(*x), frame.y.place(*y));
            frame
                .drawing
                .dot(&format!("dot {}", view.class(*arm)), place, 2.2);
        }
    }
    frame.figure(&format!("{title} over {words}"))
}
