//! Room `bench`: every sample in the order in which it was taken. Whoever sees a slope here sees
//! the machine change; whoever sees two clouds of one colour sees it change its mind.

use super::{ALONG, Frame, UP};
use crate::bench::report::svg::Scale;
use crate::bench::report::view::CellView;

/// Samples that are drawn at most; of more, as many in equal distances.
const MOST: usize = 400;

/// The plot of a cell.
pub fn plot(cell: &CellView) -> String {
    let mut dots = Vec::new();
    for row in &cell.said.rows {
        for sample in cell.samples(row.arm) {
            if let Some(value) = sample.metrics.get(&cell.cell.headline) {
                dots.push((row.arm, sample.at, *value, sample.invalid.is_empty()));
            }
        }
    }
    if dots.len() < 3 {
        return String::new();
    }
    dots.sort_by(|a, b| a.1.total_cmp(&b.1));
    let every = dots.len().div_ceil(MOST).max(1);
    let dots: Vec<_> = dots.into_iter().step_by(every).collect();
    let x = Scale::linear(dots.iter().map(|(_, at, _, _)| at / 60.0), ALONG.0, ALONG.1);
    let y = Scale::log(dots.iter().map(|(_, _, value, _)| *value), UP.0, UP.1);
    let title = format!(
        "{}: samples in the order in which they were taken",
        cell.cell.name
    );
    let mut frame = Frame::new(&title, (x, y), &cell.cell.headline);
    for tick in x.ticks(5) {
        frame.tick(tick, &format!("{}", (tick * 1e3).round() / 1e3));
    }
    frame.below("minutes since the run began; crosses do not count");
    for (arm, at, value, counts) in &dots {
        let (x, y) = (frame.x.place(at / 60.0), frame.y.place(*value));
        let class = cell.view.class(*arm);
        let drawing = &mut frame.drawing;
        if !counts {
            let class = format!("cross {class}");
            drawing.line(&class, (x - 2.5, y - 2.5), (x + 2.5, y + 2.5));
            drawing.line(&class, (x - 2.5, y + 2.5), (x + 2.5, y - 2.5));
        } else if cell.view.is_control(*arm) {
            drawing.dot(&format!("hollow {class}"), (x, y), 2.8);
        } else {
            drawing.dot(&format!("dot {class}"), (x, y), 2.6);
        }
    }
    let mut last: Vec<usize> = dots.iter().map(|dot| dot.0).collect();
    last.sort_unstable();
    last.dedup();
    for arm in last {
        let of = dots.iter().rfind(|dot| dot.0 == arm);
        if let Some((_, at, value, _)) = of {
            let class = cell.view.class(arm);
            frame.curve(&class, cell.view.arm(arm), &[(at / 60.0, *value)]);
        }
    }
    frame.figure("Every sample, in the order in which it was taken")
}
