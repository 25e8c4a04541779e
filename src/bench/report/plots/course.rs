//! Room `bench`: what happened in one sample of each arm, tenth of a second for tenth of a second:
//! the longest response time as a shade, the median as a line in it, errors as dots above.

use crate::bench::load::Bucket;
use crate::bench::record::Sample;
use crate::bench::report::numbers;
use crate::bench::report::scale::{Scale, count};
use crate::bench::report::svg::{Anchor, Drawing, Look, WIDTH, escaped};
use crate::bench::report::view::CellView;

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
const STRIP: f64 = 42.0;
const TOP: f64 = 4.0;
const NAMES: f64 = 92.0;
const RIGHT: f64 = 46.0;
/// Columns; if there are more tenths of a second, some share one.
const MOST: usize = 100;

/// The strips of a cell.
pub fn plot(cell: &CellView) -> String {
    if !WORKLOADS.contains(&cell.cell.workload.as_str()) {
        return String::new();
    }
    let headline = cell.cell.headline.rsplit_once('.');
    let group = headline.map_or("main", |(group, _)| group);
    let group = match cell.cell.workload.as_str() {
        "idle" => "canary",
        _ => group,
    };
    let mut strips: Vec<(Look, Vec<Bucket>)> = Vec::new();
    for row in cell.ranked() {
        let course = usual(cell, row.arm).and_then(|sample| sample.course.get(group));
        if let Some(course) = course.filter(|course| course.len() > 1)
            && !cell.view.is_control(row.arm)
        {
            strips.push((cell.look(row), together(course)));
        }
    }
    let seconds = strips.iter().map(|(_, course)| course.len()).max();
    let Some(columns) = seconds else {
        return String::new();
    };
    let title = format!("{}: the course of a sample", cell.cell.name);
    let bottom = TOP + STRIP * count(strips.len());
    let mut drawing = Drawing::new(bottom + 18.0, &title);
    let all = strips.iter().flat_map(|(_, course)| course.iter());
    let answered = all.filter(|one| one.longest > 0);
    let times: Vec<f64> = answered
        .flat_map(|one| [us(one.median), us(one.longest)])
        .collect();
    let mut top = TOP;
    for (look, course) in &strips {
        let y = Scale::log(times.iter().copied(), top + STRIP - 6.0, top + 2.0);
        strip(&mut drawing, (look, course), &y, columns);
        top += STRIP;
    }
    let place = (NAMES, bottom + 12.0);
    drawing.text("tick", place, Anchor::Start, "time, a column each 0.1 s →");
    drawing.figure(&format!(
        "The course of one sample of each ({}): longest response time as a shade, median as a line",
        escaped(group)
    ))
}

/// The sample of an arm whose headline is in the middle of all.
fn usual<'r>(cell: &CellView<'r>, arm: usize) -> Option<&'r Sample> {
    let value = |sample: &&Sample| sample.metrics.get(&cell.cell.headline).copied();
    let mut samples: Vec<&Sample> = cell.valid(arm).collect();
    samples.sort_by(|a, b| {
        let (a, b) = (value(a).unwrap_or(f64::MAX), value(b).unwrap_or(f64::MAX));
        a.total_cmp(&b)
    });
    samples.get(samples.len() / 2).copied()
}

/// At most [`MOST`] columns.
fn together(course: &[Bucket]) -> Vec<Bucket> {
    let every = course.len().div_ceil(MOST).max(1);
    let column = |slices: &[Bucket]| Bucket {
        answers: slices.iter().map(|one| one.answers).sum(),
        longest: slices.iter().map(|one| one.longest).max().unwrap_or(0),
        median: slices.iter().map(|one| one.median).max().unwrap_or(0),
        errors: slices.iter().map(|one| one.errors).sum(),
    };
    course.chunks(every).map(column).collect()
}

fn strip(drawing: &mut Drawing, (look, course): (&Look, &[Bucket]), y: &Scale, columns: usize) {
    let base = y.place(0.0);
    let (from, to) = (NAMES, WIDTH - RIGHT);
    for tick in y.ticks(2) {
        let at = y.place(tick);
        drawing.line("grid", (from, at), (to, at));
        let text = numbers::round("max", tick);
        drawing.text("tick", (to + 4.0, at + 3.5), Anchor::Start, &text);
    }
    drawing.name_before(look, (NAMES - 6.0, base - 15.0));
    let longest = course.iter().map(|one| one.longest).max().unwrap_or(0);
    let longest = match longest {
        0 => "no answer".to_owned(),
        time => format!("≤ {}", numbers::value("max", us(time))),
    };
    let place = (NAMES - 6.0, base - 2.0);
    drawing.text("tick", place, Anchor::End, &longest);
    drawing.tell(format!("{}: {longest}.", look.name));
    let width = (to - from) / count(columns);
    let (mut shade, mut line, mut errors) = (vec![(from, base)], Vec::new(), Vec::new());
    for (number, one) in course.iter().enumerate() {
        let x = from + width * count(number);
        let height = |time| if time > 0 { y.place(us(time)) } else { base };
        let (long, middle) = (height(one.longest), height(one.median));
        shade.extend([(x, long), (x + width, long)]);
        line.extend([(x, middle), (x + width, middle)]);
        if one.errors > 0 {
            errors.push((x + width / 2.0, y.place(f64::MAX) - 1.0));
        }
    }
    shade.push((shade.last().map_or(from, |(x, _)| *x), base));
    drawing.path(&format!("soft {}", look.class), &shade);
    drawing.path(&format!("curve {}", look.class), &line);
    drawing.dots("wrong", &errors);
    drawing.line("axis", (from, base), (to, base));
}

#[expect(clippy::cast_precision_loss, reason = "ns far below 2^53")]
fn us(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_for_the_paper_keeps_its_longest_and_its_errors() {
        let slice = |longest, errors| Bucket {
            answers: 1,
            longest,
            median: 5,
            errors,
        };
        let course: Vec<Bucket> = (0..200).map(|number| slice(number, number % 2)).collect();
        let short = together(&course);
        assert_eq!(short.len(), 100);
        let last = Bucket {
            answers: 2,
            longest: 199,
            median: 5,
            errors: 1,
        };
        assert_eq!(short.last(), Some(&last));
        assert_eq!(together(&course[..100]), course[..100]);
    }
}
