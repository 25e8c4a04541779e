//! Room `bench`: what does a connection that says nothing take? By how much the memory of server
//! and kernel has grown at several numbers of them in the same process: what counts is how steep it
//! is.

use super::frame::{ALONG, Frame, UP};
use super::growth::{Curves, tidied};
use crate::bench::report::numbers;
use crate::bench::report::scale::Scale;
use crate::bench::report::view::{CellView, View};
use crate::bench::statistics::median;
use crate::bench::table::format;
use std::collections::BTreeMap;

/// The metric of memory with so many connections is called so: `at_500.memory`.
const LEVEL: (&str, &str) = ("at_", ".memory");
/// And what each further one takes.
const SLOPE: &str = "memory_slope";

/// The plot of a workload.
pub fn plot(view: &View, workload: &str) -> String {
    let of = |one: &CellView| one.cell.workload == workload;
    let cells: Vec<CellView> = view.cells().filter(of).collect();
    let mut curves = Curves::new();
    for cell in &cells {
        for row in &cell.said.rows {
            let points = grown(cell, row.arm);
            curves.entry(row.arm).or_default().extend(points);
        }
    }
    let curves = tidied(view, curves);
    let points: Vec<(f64, f64)> = curves.values().flatten().copied().collect();
    if points.is_empty() {
        return String::new();
    }
    let x = Scale::linear(points.iter().map(|(x, _)| *x), ALONG.0, ALONG.1);
    let y = Scale::linear(points.iter().map(|(_, y)| *y), UP.0, UP.1);
    let mut frame = Frame::new("growth of memory over silent connections", (x, y), "memory");
    for tick in x.ticks(4) {
        frame.tick(tick, &numbers::round("", tick));
    }
    frame.below("silent connections");
    for (arm, points) in &curves {
        let look = view.look(*arm);
        frame.curve("curve", &look, points);
        for (x, y) in points {
            let place = (frame.x.place(*x), frame.y.place(*y));
            frame.drawing.mark(&look, place, 2.8);
        }
        let mut rows = cells.iter().flat_map(|cell| &cell.said.rows);
        let slope = rows.find_map(|row| row.medians.get(SLOPE).filter(|_| row.arm == *arm));
        if let Some(slope) = slope {
            let told = format!("{}: {} KiB for each.", look.name, format::thousands(*slope));
            frame.drawing.tell(told);
        }
    }
    let slopes = slopes(&cells);
    frame.figure(&format!(
        "By how much the memory of server and kernel has grown with silent connections; for each \
         of them: {slopes}"
    ))
}

/// By how much it has grown since the smallest level, MiB: the middle of all samples at each level.
/// The kernel's memory is that of the whole machine, so only what is added within a sample tells.
fn grown(cell: &CellView, arm: usize) -> Vec<(f64, f64)> {
    let mut levels: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for sample in cell.valid(arm) {
        let of = |(name, value): (&String, &f64)| {
            let level = name.strip_prefix(LEVEL.0)?.strip_suffix(LEVEL.1)?;
            Some((level.parse::<u32>().ok()?, *value))
        };
        let seen: BTreeMap<u32, f64> = sample.metrics.iter().filter_map(of).collect();
        let Some((_, least)) = seen.first_key_value() else {
            continue;
        };
        for (level, value) in &seen {
            let more = (value - least) / numbers::divisor("memory");
            levels.entry(*level).or_default().push(more);
        }
    }
    let middle = |(level, values): (u32, Vec<f64>)| Some((f64::from(level), median(&values)?));
    levels.into_iter().filter_map(middle).collect()
}

/// `reactor 1.29 KiB, thread 21.1 KiB`, of the cell with the most connections.
fn slopes(cells: &[CellView]) -> String {
    let Some(cell) = cells.last() else {
        return String::new();
    };
    let mut texts = Vec::new();
    for row in cell.ranked() {
        if let (Some(slope), false) = (row.medians.get(SLOPE), cell.view.is_control(row.arm)) {
            let look = cell.look(row);
            let name = crate::bench::report::svg::escaped(&look.name);
            let slope = format::thousands(*slope);
            let key = look.key();
            texts.push(format!(
                "<span class=\"nobr\">{key}{name} {slope} KiB</span>"
            ));
        }
    }
    texts.join(", ")
}
