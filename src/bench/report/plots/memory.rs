//! Room `bench`: what does a connection that says nothing take? The memory of the server's
//! processes at several numbers of them in the same process: what counts is how steep it is.

use super::frame::{ALONG, Frame, UP};
use super::growth::{Curves, tidied};
use crate::bench::report::numbers;
use crate::bench::report::scale::Scale;
use crate::bench::report::view::{CellView, View};
use crate::bench::table::format;

/// The metric of memory with so many connections is called so: `at_500.memory`.
const LEVEL: (&str, &str) = ("at_", ".memory");
const SLOPE: &str = "memory_slope";

/// The plot of a workload.
pub fn plot(view: &View, workload: &str) -> String {
    let of = |one: &CellView| one.cell.workload == workload;
    let cells: Vec<CellView> = view.cells().filter(of).collect();
    let mut curves = Curves::new();
    for row in cells.iter().flat_map(|cell| &cell.said.rows) {
        for (name, value) in &row.medians {
            let level = name.strip_prefix(LEVEL.0);
            let level = level.and_then(|rest| rest.strip_suffix(LEVEL.1));
            if let Some(level) = level.and_then(|level| level.parse::<f64>().ok()) {
                let point = (level, value / numbers::divisor("memory"));
                curves.entry(row.arm).or_default().push(point);
            }
        }
    }
    let curves = tidied(view, curves);
    let points: Vec<(f64, f64)> = curves.values().flatten().copied().collect();
    if points.is_empty() {
        return String::new();
    }
    let x = Scale::linear(points.iter().map(|(x, _)| *x), ALONG.0, ALONG.1);
    let y = Scale::linear(points.iter().map(|(_, y)| *y), UP.0, UP.1);
    let mut frame = Frame::new("memory over silent connections", (x, y), "memory");
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
        "Memory of the server's processes (PSS). Each further connection takes, with the kernel's \
         part: {slopes}"
    ))
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
