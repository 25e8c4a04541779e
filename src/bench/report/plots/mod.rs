//! Room `bench`: the plots of a report, a file each. Each gives nothing where it has nothing to
//! show.
//!
//! - [`ratios`]: who is how many times better, and how sure is that?
//! - [`percentiles`]: how long do the slowest wait?
//! - [`course`]: what happened, tenth of a second for tenth of a second?
//! - [`stacks`]: what is the processor time made of, and which calls does a request take?
//! - [`growth`]: what comes of more connections, or of more requests?
//! - [`order`]: did the machine change while it was measured?

pub mod course;
pub mod growth;
pub mod order;
pub mod percentiles;
pub mod ratios;
pub mod stacks;

use super::svg::{Anchor, Drawing, Scale, WIDTH};
use crate::bench::table::format;

/// Where the names of the values stand, left of a plot.
const LEFT: f64 = 46.0;
/// Room for names at the right.
const RIGHT: f64 = 76.0;
/// Height of the part in which is plotted.
const HEIGHT: f64 = 150.0;
/// Above and below it.
const TOP: f64 = 8.0;
/// For the values of the axis below.
const BOTTOM: f64 = 32.0;

/// A plot with two axes.
pub struct Frame {
    /// What is drawn so far.
    pub drawing: Drawing,
    /// Along.
    pub x: Scale,
    /// Up.
    pub y: Scale,
    labels: Vec<(String, String, f64)>,
}

/// The places of a frame's axes, from and to: along, and up.
pub const ALONG: (f64, f64) = (LEFT, WIDTH - RIGHT);
/// Upwards, which in SVG is downwards.
pub const UP: (f64, f64) = (TOP + HEIGHT, TOP);

impl Frame {
    /// With values of `metric` upwards.
    pub fn new(title: &str, (x, y): (Scale, Scale), metric: &str) -> Self {
        let mut drawing = Drawing::new(TOP + HEIGHT + BOTTOM, title);
        for tick in y.ticks(5) {
            let at = y.place(tick);
            drawing.line("grid", (ALONG.0, at), (ALONG.1, at));
            let text = short(metric, tick);
            drawing.text("tick", (LEFT - 5.0, at + 3.5), Anchor::End, &text);
        }
        drawing.line("axis", (ALONG.0, UP.0), (ALONG.1, UP.0));
        Self {
            drawing,
            x,
            y,
            labels: Vec::new(),
        }
    }

    /// A value on the axis below.
    pub fn tick(&mut self, at: f64, text: &str) {
        let x = self.x.place(at);
        self.drawing.line("axis", (x, UP.0), (x, UP.0 + 3.0));
        self.drawing
            .text("tick", (x, UP.0 + 14.0), Anchor::Middle, text);
    }

    /// What the axis below means.
    pub fn below(&mut self, text: &str) {
        let middle = (ALONG.0 + ALONG.1) / 2.0;
        self.drawing
            .text("tick", (middle, UP.0 + 28.0), Anchor::Middle, text);
    }

    /// A line with its name at its end.
    pub fn curve(&mut self, class: &str, name: &str, points: &[(f64, f64)]) {
        let places: Vec<(f64, f64)> = points
            .iter()
            .map(|(x, y)| (self.x.place(*x), self.y.place(*y)))
            .collect();
        self.drawing.path(&format!("curve {class}"), &places);
        if let (Some((_, y)), false) = (places.last(), name.is_empty()) {
            self.labels.push((class.to_owned(), name.to_owned(), *y));
        }
    }

    /// All of it, with its names.
    pub fn figure(mut self, caption: &str) -> String {
        let mut places: Vec<f64> = self.labels.iter().map(|(_, _, y)| *y).collect();
        super::svg::apart(&mut places, 12.0, UP.0 + 4.0);
        for ((class, name, at), y) in self.labels.iter().zip(&places) {
            let x = ALONG.1 + 4.0;
            if (at - y).abs() > 3.0 {
                self.drawing.line("lead", (x - 3.0, *at), (x + 3.0, *y));
            }
            let class = format!("name {class}");
            self.drawing
                .text(&class, (x + 5.0, y + 3.5), Anchor::Start, name);
        }
        self.drawing.figure(caption)
    }
}

/// A round value of a metric: `10ms`, not `10.0ms`.
pub fn short(metric: &str, value: f64) -> String {
    let text = format::value(metric, value);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    match number.contains('.') {
        true => {
            number
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_owned()
                + unit
        }
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn what_is_round_is_written_so() {
        let texts = [10_000.0, 1_500.0, 100.0].map(|time| short("p99", time));
        assert_eq!(texts, ["10ms", "1.5ms", "100us"]);
        assert_eq!(short("throughput", 50_000.0), "50k");
        assert_eq!(short("cpu", 0.25), "0.25");
    }
}
