//! Room `bench`: how long a part of the requests waits at most, on an axis that gives the slowest
//! one in ten, in a hundred, in a thousand the same room. All samples that count, put together.

use super::{ALONG, Frame, UP};
use crate::bench::report::svg::Scale;
use crate::bench::report::view::CellView;
use crate::bench::statistics::histogram::merged;
use hdrhistogram::Histogram;

/// Parts, as nines: 0 is half of all, 3 is 99.9 %.
const TICKS: [(f64, &str); 5] = [
    (0.301, "50 %"),
    (1.0, "90"),
    (2.0, "99"),
    (3.0, "99.9"),
    (4.0, "99.99"),
];
const FROM: f64 = 0.1;
const TO: f64 = 4.2;
/// Answers from which a part is told: a hundred beyond it.
const BEYOND: f64 = 10.0;

/// The plot of a cell: for its first group, or the one its headline is about.
pub fn plot(cell: &CellView) -> String {
    let group = cell.cell.headline.rsplit_once('.').map(|(group, _)| group);
    let name = |clock: &str| match group {
        Some(group) => format!("{group}.{clock}"),
        None => clock.to_owned(),
    };
    let is_open = cell
        .valid(0)
        .any(|sample| sample.metrics.contains_key("offered"));
    let mut curves = Vec::new();
    for row in cell.ranked() {
        let class = cell.view.class(row.arm);
        let arm = cell.view.arm(row.arm);
        let control = if cell.view.is_control(row.arm) {
            " control"
        } else {
            ""
        };
        if let Some(points) = points(cell, row.arm, &name("response")) {
            curves.push((format!("{class}{control}"), arm, points));
        }
        // The second clock tells more only where requests come at their own times.
        if is_open && let Some(points) = points(cell, row.arm, &name("service")) {
            curves.push((format!("{class} service"), "", points));
        }
    }
    let values = curves.iter().flat_map(|(_, _, points)| points);
    let values: Vec<f64> = values.map(|(_, time)| *time).collect();
    if values.is_empty() {
        return String::new();
    }
    let x = Scale::log([10_f64.powf(FROM), 10_f64.powf(TO)], ALONG.0, ALONG.1);
    let y = Scale::log(values, UP.0, UP.1);
    let title = format!("{}: percentiles of the response time", cell.cell.name);
    let mut frame = Frame::new(&title, (x, y), "p50");
    for (nines, text) in TICKS {
        frame.tick(10_f64.powf(nines), text);
    }
    frame.below("of the requests are answered within");
    for (class, arm, points) in &curves {
        frame.curve(class, arm, points);
    }
    let clocks = if is_open {
        " (dotted: service time)"
    } else {
        ""
    };
    let of = group.map_or(String::new(), |group| format!(" of the {group}"));
    frame.figure(&format!("Response time{of}{clocks}"))
}

/// Places along the axis, and times in us.
fn points(cell: &CellView, arm: usize, name: &str) -> Option<Vec<(f64, f64)>> {
    let texts = cell.valid(arm).filter_map(|one| one.histograms.get(name));
    let times: Histogram<u64> = merged(texts.map(String::as_str)).ok()??;
    if times.is_empty() {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts and ns far below 2^53")]
    let point = |step: u32| {
        let nines = FROM + f64::from(step) * (TO - FROM) / 48.0;
        let part = 1.0 - 10_f64.powf(-nines);
        let beyond = (1.0 - part) * times.len() as f64;
        let time = times.value_at_quantile(part) as f64 / 1e3;
        (beyond >= BEYOND).then_some((10_f64.powf(nines), time))
    };
    Some((0..=48).map_while(point).collect()).filter(|points: &Vec<_>| points.len() > 1)
}
