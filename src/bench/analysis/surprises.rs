//! Room `bench`: what is not as expected? It is printed and not hidden: either the expectation is
//! wrong, or the measurement, or the server.

use super::why::number;
use super::{Surprise, pairs};
use crate::bench::expectations::{self, Expectation, Range};
use crate::bench::metrics::metric_named;
use crate::bench::record::{Cell, Run};
use crate::bench::statistics::{median, sorted};
use pairs::{Pairs, REFERENCE};

/// The model that ratios are expected to.
const EXPECTED_REFERENCE: &str = "reactor";

/// All of a run, in the order of its cells.
pub fn of(run: &Run, pairs: &Pairs) -> Vec<Surprise> {
    let reference = run.arms.get(REFERENCE).map(|arm| arm.name.as_str());
    let mut surprises = Vec::new();
    for (index, cell) in run.cells.iter().enumerate() {
        for (arm, named) in run.arms.iter().enumerate() {
            for expectation in expectations::matching(cell, &named.name) {
                let metric = expectation.metric.as_deref().unwrap_or(&cell.headline);
                let place = Place {
                    index,
                    cell,
                    arm,
                    metric,
                };
                if let (Some(range), Some(EXPECTED_REFERENCE)) = (expectation.ratio, reference) {
                    surprises.extend(of_ratio(pairs, &place, range, &named.name, expectation));
                }
                if let Some(range) = expectation.value {
                    surprises.extend(of_value(pairs, &place, range, &named.name, expectation));
                }
            }
        }
    }
    surprises
}

struct Place<'a> {
    index: usize,
    cell: &'a Cell,
    arm: usize,
    metric: &'a str,
}

/// A surprise if the whole interval lies outside; of one round nothing is said.
fn of_ratio(
    pairs: &Pairs,
    place: &Place,
    range: Range,
    name: &str,
    expectation: &Expectation,
) -> Option<Surprise> {
    if place.arm == REFERENCE {
        return None;
    }
    let found = pairs::estimate(&pairs.ratios(place.index, place.arm, place.metric))?;
    let within = found.high >= range.least() && found.low <= range.most();
    if within || found.pairs < 2 {
        return None;
    }
    let how_sure = if found.is_sure() { "" } else { " (indicative)" };
    let title = title(place.metric);
    let (low, high) = (number(found.low), number(found.high));
    Some(Surprise {
        cell: place.index,
        arm: place.arm,
        expected: format!(
            "{}: {name} was expected to have {range} times the {title} of {EXPECTED_REFERENCE}.",
            place.cell.name
        ),
        found: format!(
            "It has {} times [{low}, {high}]{how_sure}.",
            number(found.median)
        ),
        why: expectation.why.clone(),
    })
}

/// A surprise if the middle lies outside, and most samples with it.
fn of_value(
    pairs: &Pairs,
    place: &Place,
    range: Range,
    name: &str,
    expectation: &Expectation,
) -> Option<Surprise> {
    let mut values = pairs.values(place.index, place.arm, place.metric);
    if values.is_empty() {
        let calls = pairs.calls(place.index, place.arm).iter();
        let counted = calls.filter_map(|sample| sample.metrics.get(place.metric));
        values = (0..).zip(counted.copied()).collect();
    }
    let values = sorted(&values.into_values().collect::<Vec<_>>());
    let middle = median(&values)?;
    if middle >= range.least() && middle <= range.most() {
        return None;
    }
    let (low, high) = (number(*values.first()?), number(*values.last()?));
    Some(Surprise {
        cell: place.index,
        arm: place.arm,
        expected: format!(
            "{}: the {} of {name} was expected to be {range}.",
            place.cell.name,
            title(place.metric)
        ),
        found: format!("It is {} (from {low} to {high}).", number(middle)),
        why: expectation.why.clone(),
    })
}

/// How a metric is called in a sentence, with its group.
fn title(metric: &str) -> String {
    let title = metric_named(metric).map_or(metric, |metric| metric.title);
    match metric.rsplit_once('.') {
        Some((group, _)) => format!("{title} ({group})"),
        None => title.to_owned(),
    }
}
