//! Room `bench`: which samples do not count, and why not?

use super::numbers;
use super::svg::escaped;
use super::view::{CellView, View};
use crate::bench::record::{Pass, Sample};
use std::collections::BTreeMap;

/// Samples of a cell that are told one by one; all are in run.json.
const SAMPLES: usize = 12;
/// Reasons of a run.
const REASONS: usize = 30;

/// Those of a cell, each with what it has shown, crossed out.
pub fn of(cell: &CellView) -> String {
    let mut items = String::new();
    let mut many = 0;
    for row in &cell.said.rows {
        for sample in cell.samples(row.arm).filter(|one| !one.invalid.is_empty()) {
            many += 1;
            if many <= SAMPLES {
                items += &item(cell, sample);
            }
        }
    }
    if many == 0 {
        return String::new();
    }
    if many > SAMPLES {
        items += &format!("<li>and {} more, all in run.json</li>\n", many - SAMPLES);
    }
    let words = if many == 1 {
        "One sample does not count".to_owned()
    } else {
        format!("{many} samples do not count")
    };
    format!("<details><summary>{words}</summary><ul>\n{items}</ul></details>\n")
}

fn item(cell: &CellView, sample: &Sample) -> String {
    let primary_metric = cell.cell.primary_metric.as_str();
    let value = sample
        .metrics
        .get(primary_metric)
        .map_or_else(String::new, |value| {
            let text = numbers::value(primary_metric, *value);
            format!(" <s>{}</s>", escaped(&text))
        });
    format!(
        "<li>{}, round {}:{value} {}</li>\n",
        escaped(cell.view.arm(sample.arm)),
        u64::from(sample.round) + 1,
        escaped(&sample.invalid.join("; "))
    )
}

/// Those of a run, by reason: those that differ only in their numbers are one.
pub fn reasons(view: &View) -> Vec<String> {
    let mut reasons: BTreeMap<String, (usize, &str)> = BTreeMap::new();
    let samples = view.run.samples.iter();
    let measured = samples.filter(|one| one.pass == Pass::Measured);
    for text in measured.flat_map(|sample| &sample.invalid) {
        let kind: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        reasons.entry(kind).or_insert((0, text)).0 += 1;
    }
    let mut reasons: Vec<(usize, &str)> = reasons.into_values().collect();
    reasons.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let told = reasons.iter().take(REASONS);
    told.map(|(count, text)| match count {
        1 => (*text).to_owned(),
        many => format!("{many} times, as: {text}"),
    })
    .collect()
}
