//! Room `bench`: two axes, and lines between them with their names at their ends.

use crate::bench::report::numbers;
use crate::bench::report::scale::{Scale, apart, count};
use crate::bench::report::svg::{Anchor, Drawing, Look, WIDTH};

/// Where the values stand, left of a plot.
const LEFT: f64 = 50.0;
/// Room for names at the right.
const RIGHT: f64 = 84.0;
/// Height of the part in which is plotted.
const HEIGHT: f64 = 150.0;
/// Above it.
const TOP: f64 = 8.0;
/// Below it, for the values of the axis and what they mean.
const BOTTOM: f64 = 34.0;
/// From a name to the next.
const NAME: f64 = 12.5;
/// Width of a character of the values, about, and the least room between two values.
const CHARACTER: f64 = 5.8;
const ROOM: f64 = 8.0;

/// The ends of the axis below: from and to.
pub const ALONG: (f64, f64) = (LEFT, WIDTH - RIGHT);
/// Upwards, which in SVG is downwards.
pub const UP: (f64, f64) = (TOP + HEIGHT, TOP);

/// A plot with two axes.
#[derive(Debug)]
pub struct Frame {
    /// What is drawn so far.
    pub drawing: Drawing,
    /// Along.
    pub x: Scale,
    /// Up.
    pub y: Scale,
    names: Vec<(Look, f64)>,
    /// Where the latest value below ends.
    latest: Option<f64>,
}

impl Frame {
    /// With values of `metric` upwards, which are divided by its
    /// [`divisor`](numbers::divisor).
    pub fn new(title: &str, (x, y): (Scale, Scale), metric: &str) -> Self {
        let mut drawing = Drawing::new(TOP + HEIGHT + BOTTOM, title);
        for tick in y.ticks(5) {
            let at = y.place(tick);
            drawing.line("grid", (ALONG.0, at), (ALONG.1, at));
            let text = numbers::round(metric, tick * numbers::divisor(metric));
            drawing.text("tick", (LEFT - 5.0, at + 3.5), Anchor::End, &text);
        }
        drawing.line("axis", (ALONG.0, UP.0), (ALONG.1, UP.0));
        Self {
            drawing,
            x,
            y,
            names: Vec::new(),
            latest: None,
        }
    }

    /// A value on the axis below; the text only where it does not meet the one before it.
    pub fn tick(&mut self, at: f64, text: &str) {
        let x = self.x.place(at);
        self.drawing.line("axis", (x, UP.0), (x, UP.0 + 3.0));
        let half = count(text.chars().count()) * CHARACTER / 2.0;
        if self.latest.is_none_or(|latest| x - half >= latest + ROOM) {
            let place = (x, UP.0 + 14.5);
            self.drawing.text("tick", place, Anchor::Middle, text);
            self.latest = Some(x + half);
        }
    }

    /// What the axis below means.
    pub fn below(&mut self, text: &str) {
        let place = (ALONG.0.midpoint(ALONG.1), UP.0 + 29.0);
        self.drawing.text("tick", place, Anchor::Middle, text);
    }

    /// A line through values, which is named at its end.
    pub fn curve(&mut self, kind: &str, look: &Look, points: &[(f64, f64)]) {
        let places = self.line(kind, look, points);
        if let Some((_, y)) = places.last() {
            self.names.push((look.clone(), *y));
        }
    }

    /// A line through values without a name. Returns its places.
    pub fn line(&mut self, kind: &str, look: &Look, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let place = |(x, y): &(f64, f64)| (self.x.place(*x), self.y.place(*y));
        let places: Vec<(f64, f64)> = points.iter().map(place).collect();
        let class = format!("{kind} {}", look.class);
        self.drawing.path(&class, &places);
        places
    }

    /// All of it, with the names beside the ends of the lines.
    pub fn figure(mut self, caption: &str) -> String {
        let mut places: Vec<f64> = self.names.iter().map(|(_, y)| *y).collect();
        apart(&mut places, NAME, (TOP, UP.0 + 12.0));
        let x = ALONG.1 + 8.0;
        for ((look, at), y) in self.names.iter().zip(&places) {
            self.drawing
                .line("lead", (ALONG.1 + 1.0, *at), (x - 1.0, *y));
            self.drawing.name_after(look, (x, y + 3.8));
        }
        self.drawing.figure(caption)
    }
}
