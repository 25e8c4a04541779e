//! Room `bench`: what comes of more requests? The wait stays low for long, and then goes up at
//! once, as a hockey stick does: where a server can do no more.

use super::frame::{ALONG, Frame, UP};
use super::growth::{Curves, tidied};
use crate::bench::report::numbers;
use crate::bench::report::scale::Scale;
use crate::bench::report::view::View;

/// Workloads that differ in their rate only, all with many connections. The plot is with the first
/// of them that is there.
const WORKLOADS: [&str; 2] = ["latency", "overload"];
/// What is plotted over the requests that were due a second, and in which words.
const PLOTS: [(&str, &str); 3] = [
    ("p99", "Response time of 99 % over the load"),
    ("p50", "Response time of half over the load"),
    ("throughput", "Answers over the load, both a second"),
];

/// The plots that stand with a workload.
pub fn plots(view: &View, workload: &str) -> String {
    let is_there = |one: &&str| view.cells().any(|cell| cell.cell.workload == **one);
    if WORKLOADS.iter().find(|one| is_there(one)) != Some(&workload) {
        return String::new();
    }
    let all = PLOTS
        .iter()
        .map(|(metric, words)| plot(view, metric, words));
    all.collect()
}

fn plot(view: &View, metric: &str, words: &str) -> String {
    let mut curves = Curves::new();
    for cell in view.cells() {
        if !WORKLOADS.contains(&cell.cell.workload.as_str()) {
            continue;
        }
        for row in &cell.said.rows {
            let of = |name: &str| row.medians.get(name).copied();
            if let (Some(x), Some(y)) = (of("offered"), of(metric)) {
                curves.entry(row.arm).or_default().push((x, y));
            }
        }
    }
    let curves = tidied(view, curves);
    let points: Vec<(f64, f64)> = curves.values().flatten().copied().collect();
    if points.is_empty() {
        return String::new();
    }
    let x = Scale::linear(points.iter().map(|(x, _)| *x), ALONG.0, ALONG.1);
    let values = points.iter().map(|(_, y)| *y);
    let y = match metric {
        "throughput" => Scale::linear(values, UP.0, UP.1),
        _ => Scale::log(values, UP.0, UP.1),
    };
    let mut frame = Frame::new(words, (x, y), metric);
    for tick in x.ticks(4) {
        frame.tick(tick, &numbers::round("offered", tick));
    }
    frame.below("requests due a second");
    for (arm, points) in &curves {
        let look = view.look(*arm);
        frame.curve("curve", &look, points);
        for (x, y) in points {
            let place = (frame.x.place(*x), frame.y.place(*y));
            frame.drawing.mark(&look, place, 2.8);
        }
        let told = points.iter().map(|(x, y)| {
            let (x, y) = (numbers::value("offered", *x), numbers::value(metric, *y));
            format!("{y} at {x}")
        });
        let told: Vec<String> = told.collect();
        frame
            .drawing
            .tell(format!("{}: {}.", look.name, told.join(", ")));
    }
    frame.figure(words)
}
