//! Room `bench`: every sample in the order in which it was taken, as its distance from the middle
//! of its arm. Whoever sees the same slope in all lanes sees the machine change; whoever sees two
//! clouds in one lane sees a server change its mind.

use crate::bench::record::Sample;
use crate::bench::report::scale::{Scale, count};
use crate::bench::report::svg::{Anchor, Drawing, WIDTH};
use crate::bench::report::view::CellView;
use crate::bench::stats::median;
use crate::bench::table::format;

/// Samples of a lane at most; of more, as many at equal distances.
const MOST: usize = 150;
const LANE: f64 = 24.0;
const TOP: f64 = 4.0;
const NAMES: f64 = 92.0;
const RIGHT: f64 = 52.0;
/// What a lane reaches up and down, as a ratio.
const REACHES: [f64; 6] = [1.02, 1.05, 1.1, 1.25, 1.5, 2.0];

/// A sample: minutes, ratio to the middle, and whether it counts.
type Dot = (f64, f64, bool);

/// The plot of a cell.
pub fn plot(cell: &CellView) -> String {
    let mut lanes: Vec<(usize, Vec<Dot>)> = Vec::new();
    for row in &cell.said.rows {
        let dots = dots(cell, row.arm);
        if !dots.is_empty() {
            lanes.push((row.arm, dots));
        }
    }
    let all = || lanes.iter().flat_map(|(_, dots)| dots.iter());
    if all().count() < 3 || lanes.iter().all(|(_, dots)| dots.len() < 2) {
        return String::new();
    }
    let reach = reach(all());
    let bottom = TOP + LANE * count(lanes.len());
    let title = format!(
        "{}: samples in the order in which they were taken",
        cell.cell.name
    );
    let mut drawing = Drawing::new(bottom + 32.0, &title);
    let x = Scale::linear(all().map(|(at, _, _)| *at), NAMES, WIDTH - RIGHT);
    for tick in x.ticks(4) {
        let at = x.place(tick);
        drawing.line("grid", (at, TOP), (at, bottom));
        let text = format!("{}", (tick * 1e3).round() / 1e3);
        drawing.text("tick", (at, bottom + 13.5), Anchor::Middle, &text);
    }
    let place = (NAMES.midpoint(WIDTH - RIGHT), bottom + 28.0);
    drawing.text("tick", place, Anchor::Middle, "minutes since the run began");
    let mut top = TOP;
    for (arm, dots) in &lanes {
        lane(&mut drawing, cell, (*arm, dots), (&x, reach, top));
        top += LANE;
    }
    drawing.figure(&format!(
        "Every sample in the order in which it was taken: distance from the middle of its arm, a \
         lane reaches from &minus;{:.0} to +{:.0} %; crosses do not count",
        100.0 * (1.0 - 1.0 / reach),
        100.0 * (reach - 1.0)
    ))
}

/// What all lanes reach, so that most samples are within: the others stand at the edge.
fn reach<'d>(dots: impl Iterator<Item = &'d Dot>) -> f64 {
    let valid = dots.filter(|(_, _, counts)| *counts);
    let mut sizes: Vec<f64> = valid.map(|(_, ratio, _)| ratio.ln().abs().exp()).collect();
    sizes.sort_by(f64::total_cmp);
    let most = sizes.get(sizes.len() * 9 / 10).copied().unwrap_or(1.0);
    let reach = REACHES.into_iter().find(|reach| *reach >= most);
    reach.unwrap_or(2.0)
}

fn dots(cell: &CellView, arm: usize) -> Vec<Dot> {
    let value = |sample: &Sample| sample.metrics.get(&cell.cell.primary_metric).copied();
    let valid: Vec<f64> = cell.valid(arm).filter_map(value).collect();
    let any: Vec<f64> = cell.samples(arm).filter_map(value).collect();
    let middle = median(&valid).or_else(|| median(&any));
    let Some(middle) = middle.filter(|middle| *middle > 0.0 && middle.is_finite()) else {
        return Vec::new();
    };
    let mut dots: Vec<Dot> = cell
        .samples(arm)
        .filter_map(|sample| {
            let ratio = value(sample)? / middle;
            let dot = (sample.at / 60.0, ratio, sample.invalid.is_empty());
            (sample.at.is_finite() && ratio.is_finite()).then_some(dot)
        })
        .collect();
    dots.sort_by(|(a, _, _), (b, _, _)| a.total_cmp(b));
    let every = dots.len().div_ceil(MOST).max(1);
    dots.into_iter().step_by(every).collect()
}

fn lane(
    drawing: &mut Drawing,
    cell: &CellView,
    (arm, dots): (usize, &[Dot]),
    (x, reach, top): (&Scale, f64, f64),
) {
    let look = cell.view.look(arm);
    let y = Scale::around_one(reach, top + LANE - 3.0, top + 3.0);
    let middle = y.place(1.0);
    drawing.name_before(&look, (NAMES - 6.0, middle + 4.0));
    drawing.line("one", (NAMES, middle), (WIDTH - RIGHT, middle));
    let places = |counts: bool| -> Vec<(f64, f64)> {
        let kind = dots.iter().filter(|dot| dot.2 == counts);
        kind.map(|(at, ratio, _)| (x.place(*at), y.place(*ratio)))
            .collect()
    };
    let valid = places(true);
    // The line leads the eye: dots alone show no course.
    drawing.path(&format!("thin {}", look.class), &valid);
    drawing.dots(&format!("spots {}", look.class), &valid);
    drawing.crosses(&format!("cross {}", look.class), &places(false));
    let sizes: Vec<f64> = dots
        .iter()
        .filter(|dot| dot.2)
        .map(|(_, ratio, _)| 100.0 * (ratio - 1.0).abs())
        .collect();
    if let Some(spread) = median(&sizes).filter(|_| sizes.len() > 2) {
        let text = format!("±{} %", format::thousands(spread));
        let place = (WIDTH - RIGHT + 5.0, middle + 4.0);
        drawing.text("tick", place, Anchor::Start, &text);
        drawing.tell(format!("{}: half of the samples within {text}.", look.name));
    }
}
