//! Room `bench`: how long a part of the requests waits at most, on an axis that gives the slowest
//! one in ten, in a hundred, in a thousand the same room. All samples that count, put together.

use super::frame::{ALONG, Frame, UP};
use crate::bench::report::numbers;
use crate::bench::report::scale::Scale;
use crate::bench::report::svg::{Look, escaped};
use crate::bench::report::view::CellView;
use crate::bench::stats::histogram::merged;
use hdrhistogram::Histogram;

/// Parts, as nines: 0.3 is half of all, 3 is 99.9 %.
const TICKS: [(f64, &str); 6] = [
    (0.301, "50%"),
    (1.0, "90%"),
    (2.0, "99%"),
    (3.0, "99.9%"),
    (4.0, "99.99%"),
    (5.0, "99.999%"),
];
const FROM: f64 = 0.15;
const TO: f64 = 5.1;
/// From one point to the next, in nines.
const STEP: f64 = 0.05;
/// Answers that must be beyond a part for it to be told.
const BEYOND: f64 = 10.0;
/// The second clock is drawn where it differs by more.
const DIFFERS: f64 = 1.05;

/// Nines, and the time in us.
type Points = Vec<(f64, f64)>;

/// The plot of a cell: for its first group, or the one its primary metric is about.
pub fn plot(cell: &CellView) -> String {
    let group = cell
        .cell
        .primary_metric
        .rsplit_once('.')
        .map(|(group, _)| group);
    let name = |clock: &str| match group {
        Some(group) => format!("{group}.{clock}"),
        None => clock.to_owned(),
    };
    let mut curves: Vec<(Look, Points, Option<Points>)> = Vec::new();
    for row in cell.ranked() {
        if let Some(response) = points(cell, row.arm, &name("response")) {
            let service = points(cell, row.arm, &name("service"));
            let service = service.filter(|service| differ(&response, service));
            curves.push((cell.look(row), response, service));
        }
    }
    let both = curves
        .iter()
        .flat_map(|(_, response, service)| response.iter().chain(service.iter().flatten()));
    let values: Vec<f64> = both.clone().map(|(_, time)| *time).collect();
    let Some(end) = both.map(|(nines, _)| *nines).max_by(f64::total_cmp) else {
        return String::new();
    };
    let x = Scale::linear([(end - FROM) / 1.05], ALONG.0, ALONG.1);
    let y = Scale::log(values, UP.0, UP.1);
    let title = format!("{}: percentiles of the response time", cell.cell.name);
    let mut frame = Frame::new(&title, (x, y), "p50");
    for (nines, text) in TICKS {
        if nines <= end {
            frame.tick(nines - FROM, text);
        }
    }
    frame.below("of the requests are answered within");
    let shifted = |points: &Points| -> Points {
        points
            .iter()
            .map(|(nines, time)| (nines - FROM, *time))
            .collect()
    };
    let mut has_both = false;
    for (look, response, service) in &curves {
        let kind = if look.hollow {
            "curve control"
        } else {
            "curve"
        };
        frame.curve(kind, look, &shifted(response));
        if let Some(service) = service {
            frame.line("curve service", look, &shifted(service));
            has_both = true;
        }
        frame.drawing.tell(told(look, response, service.as_ref()));
    }
    let of = group.map_or(String::new(), |group| format!(" of the {}", escaped(group)));
    let clocks = if has_both {
        "; dotted: service time, where it differs"
    } else {
        ""
    };
    frame.figure(&format!("Response time{of}{clocks}"))
}

fn differ(response: &Points, service: &Points) -> bool {
    let mut pairs = response.iter().zip(service);
    pairs.any(|((_, response), (_, service))| *response > service * DIFFERS)
}

/// `thread: half within 85.3 µs, 99 % within 1.95 ms.`
fn told(look: &Look, response: &Points, service: Option<&Points>) -> String {
    let within = |points: &Points, nines: f64| {
        let mut beyond = points.iter().filter(|(at, _)| *at >= nines - 1e-9);
        let time = beyond.next().map(|(_, time)| numbers::value("p50", *time));
        time.unwrap_or_else(|| "?".to_owned())
    };
    let (half, most) = (within(response, 0.301), within(response, 2.0));
    let service = service.map_or(String::new(), |service| {
        format!(" (service time {})", within(service, 2.0))
    });
    format!(
        "{}: half within {half}, 99 % within {most}{service}.",
        look.name
    )
}

/// Nines, and times in us.
fn points(cell: &CellView, arm: usize, name: &str) -> Option<Points> {
    let texts = cell.valid(arm).filter_map(|one| one.histograms.get(name));
    let times: Histogram<u64> = merged(texts.map(String::as_str)).ok()??;
    if times.is_empty() {
        return None;
    }
    let mut points = Points::new();
    let mut nines = FROM;
    #[expect(clippy::cast_precision_loss, reason = "counts and ns far below 2^53")]
    while nines <= TO && 10_f64.powf(-nines) * times.len() as f64 >= BEYOND {
        let time = times.value_at_quantile(1.0 - 10_f64.powf(-nines)) as f64 / 1e3;
        points.push((nines, time));
        nines += STEP;
    }
    Some(points).filter(|points| points.len() > 1)
}
