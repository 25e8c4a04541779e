//! Room `bench`: what happened in one sample of each arm, tenth of a second for tenth of a second:
//! the longest response time as a bar, the median as a mark in it.

use crate::bench::load::Slice;
use crate::bench::report::svg::{Anchor, Drawing, Scale, WIDTH};
use crate::bench::report::view::CellView;
use crate::bench::table::format;

/// Workloads in which time tells something.
const WORKLOADS: &[&str] = &[
    "mixed",
    "stall",
    "slowloris",
    "slowread",
    "burn",
    "coldfile",
    "idle",
];
const STRIP: f64 = 44.0;
const NAMES: f64 = 76.0;
const RIGHT: f64 = 6.0;

/// The strips of a cell.
pub fn plot(cell: &CellView) -> String {
    if !WORKLOADS.contains(&cell.cell.workload.as_str()) {
        return String::new();
    }
    let headline = cell.cell.headline.rsplit_once('.');
    let group = headline.map_or("main", |(group, _)| group);
    let mut strips: Vec<(usize, &[Slice])> = Vec::new();
    for row in cell.ranked() {
        if cell.view.is_control(row.arm) {
            continue;
        }
        let mut samples = cell.valid(row.arm);
        let course = samples.find_map(|sample| sample.course.get(group));
        if let Some(course) = course.filter(|course| course.len() > 1) {
            strips.push((row.arm, course.as_slice()));
        }
    }
    if strips.is_empty() {
        return String::new();
    }
    let title = format!("{}: the course of a sample", cell.cell.name);
    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    let bottom = 4.0 + STRIP * strips.len() as f64;
    let mut drawing = Drawing::new(bottom + 18.0, &title);
    let all = strips.iter().flat_map(|(_, course)| course.iter());
    let times: Vec<f64> = all
        .flat_map(|one| [us(one.median), us(one.longest)])
        .collect();
    let mut top = 4.0;
    for (arm, course) in strips {
        let y = Scale::log(times.iter().copied(), top + STRIP - 6.0, top);
        strip(&mut drawing, cell, (arm, course), &y, top);
        top += STRIP;
    }
    let place = ((NAMES + WIDTH - RIGHT) / 2.0, bottom + 13.0);
    drawing.text("tick", place, Anchor::Middle, "time, a bar each 0.1 s");
    drawing.figure(&format!(
        "One sample of each ({group}): longest response time, and the median in it"
    ))
}

fn strip(
    drawing: &mut Drawing,
    cell: &CellView,
    (arm, course): (usize, &[Slice]),
    y: &Scale,
    top: f64,
) {
    let class = cell.view.class(arm);
    let base = top + STRIP - 6.0;
    let name = (NAMES - 6.0, top + 14.0);
    drawing.text(
        &format!("name {class}"),
        name,
        Anchor::End,
        cell.view.arm(arm),
    );
    let longest = course.iter().map(|one| one.longest).max().unwrap_or(0);
    let told = format!("max {}", format::value("max", us(longest)));
    drawing.text("tick", (NAMES - 6.0, top + 27.0), Anchor::End, &told);
    drawing.line("axis", (NAMES, base), (WIDTH - RIGHT, base));
    #[expect(clippy::cast_precision_loss, reason = "rows of a sample")]
    let width = (WIDTH - RIGHT - NAMES) / course.len() as f64;
    let gap = if width > 4.0 { 1.0 } else { 0.0 };
    let mut x = NAMES;
    for one in course {
        if one.longest > 0 {
            let at = y.place(us(one.longest));
            drawing.bar(&format!("soft {class}"), (x, at), (width - gap, base - at));
            let at = y.place(us(one.median));
            drawing.bar(&format!("fill {class}"), (x, at - 1.0), (width - gap, 2.0));
        }
        if one.errors > 0 {
            drawing.dot("wrong", (x + width / 2.0, top + 3.0), 2.0);
        }
        x += width;
    }
}

#[expect(clippy::cast_precision_loss, reason = "ns far below 2^53")]
fn us(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}
