//! SVG 1.1 for charts inside HTML: scales, shapes and text. All charts have the width of a phone,
//! so their text has the same size everywhere.

use std::fmt::Write;

/// The width of each chart, in CSS pixels at full size.
pub const WIDTH: f64 = 340.0;

/// The largest distance between a line and a point that it leaves out.
const TOLERANCE: f64 = 0.3;

/// Escapes text for HTML, between tags or in an attribute.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The symbol of an arm, so that arms differ without colours too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// A disc.
    Disc,
    /// A square on its corner.
    Diamond,
    /// A triangle that points up.
    Up,
    /// A square.
    Square,
    /// A triangle that points down.
    Down,
    /// An upright cross.
    Plus,
    /// A diagonal cross.
    Times,
    /// A vertical bar.
    Bar,
}

impl Symbol {
    /// Its outline around a position, as a closed path.
    fn path(self, (x, y): (f64, f64), r: f64) -> String {
        let corners: &[(f64, f64)] = match self {
            Self::Disc => {
                let (left, d) = (x - r, 2.0 * r);
                return format!(
                    "M{left:.1} {y:.1}a{r:.1} {r:.1} 0 1 0 {d:.1} 0a{r:.1} {r:.1} 0 1 0 -{d:.1} 0z"
                );
            }
            Self::Diamond => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
            Self::Up => &[(0.0, -1.15), (1.15, 0.9), (-1.15, 0.9)],
            Self::Square => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            Self::Down => &[(0.0, 1.15), (1.15, -0.9), (-1.15, -0.9)],
            Self::Plus => &PLUS,
            Self::Times => &TIMES,
            Self::Bar => &[(-0.5, -1.2), (0.5, -1.2), (0.5, 1.2), (-0.5, 1.2)],
        };
        let mut path = String::new();
        for (number, (dx, dy)) in corners.iter().enumerate() {
            let command = if number == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", x + r * dx, y + r * dy);
        }
        path + "z"
    }
}

const PLUS: [(f64, f64); 12] = [
    (-0.4, -1.2),
    (0.4, -1.2),
    (0.4, -0.4),
    (1.2, -0.4),
    (1.2, 0.4),
    (0.4, 0.4),
    (0.4, 1.2),
    (-0.4, 1.2),
    (-0.4, 0.4),
    (-1.2, 0.4),
    (-1.2, -0.4),
    (-0.4, -0.4),
];
const TIMES: [(f64, f64); 12] = [
    (-1.1, -0.6),
    (-0.6, -1.1),
    (0.0, -0.5),
    (0.6, -1.1),
    (1.1, -0.6),
    (0.5, 0.0),
    (1.1, 0.6),
    (0.6, 1.1),
    (0.0, 0.5),
    (-0.6, 1.1),
    (-1.1, 0.6),
    (-0.5, 0.0),
];

/// The style of an arm in each chart and table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// The class of its colour.
    pub class: String,
    /// Its symbol.
    pub symbol: Symbol,
    /// Whether the symbol is hollow: the control has the hollow symbol of the reference.
    pub hollow: bool,
    /// Its name, short enough for a chart.
    pub name: String,
}

impl Style {
    /// The symbol as an image in a line of text.
    pub fn key(&self) -> String {
        let kind = if self.hollow { "hollow" } else { "dot" };
        format!(
            "<svg class=\"key\" viewBox=\"0 0 12 12\" aria-hidden=\"true\"><path class=\"{kind} \
             {}\" d=\"{}\"/></svg>",
            self.class,
            self.symbol.path((6.0, 6.0), 4.0)
        )
    }
}

/// A drawing.
#[derive(Debug)]
pub struct Drawing {
    body: String,
    height: f64,
    title: String,
    description: Vec<String>,
}

/// Where the position of a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// At its start.
    Start,
    /// At its middle.
    Middle,
    /// At its end.
    End,
}

impl Drawing {
    /// An empty drawing.
    pub fn new(height: f64, title: &str) -> Self {
        Self {
            body: String::new(),
            height,
            title: escaped(title),
            description: Vec::new(),
        }
    }

    /// Adds a sentence to the description, for screen readers.
    pub fn describe(&mut self, sentence: String) {
        self.description.push(sentence);
    }

    /// A line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = write!(
            self.body,
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        );
    }

    /// A rectangle. An empty one is not drawn.
    pub fn rect(&mut self, class: &str, from: (f64, f64), size: (f64, f64)) {
        let ((x, y), (width, height)) = (from, size);
        if width > 0.0 && height > 0.0 {
            let _ = write!(
                self.body,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
                 height=\"{height:.1}\"/>"
            );
        }
    }

    /// The symbol of an arm.
    pub fn symbol(&mut self, style: &Style, position: (f64, f64), radius: f64) {
        let (kind, class) = (if style.hollow { "hollow" } else { "dot" }, &style.class);
        let path = style.symbol.path(position, radius);
        let _ = write!(self.body, "<path class=\"{kind} {class}\" d=\"{path}\"/>");
    }

    /// Small dots, as one path with round ends.
    pub fn dots(&mut self, class: &str, positions: &[(f64, f64)]) {
        self.paths(class, positions, |path, (x, y)| {
            let _ = write!(path, "M{x:.1} {y:.1}h0");
        });
    }

    /// Small crosses.
    pub fn crosses(&mut self, class: &str, positions: &[(f64, f64)]) {
        self.paths(class, positions, |path, (x, y)| {
            let _ = write!(path, "M{:.1} {:.1}l5 5m0-5l-5 5", x - 2.5, y - 2.5);
        });
    }

    fn paths(
        &mut self,
        class: &str,
        positions: &[(f64, f64)],
        one: impl Fn(&mut String, (f64, f64)),
    ) {
        if positions.is_empty() {
            return;
        }
        let mut path = String::new();
        for position in positions {
            one(&mut path, *position);
        }
        let _ = write!(self.body, "<path class=\"{class}\" d=\"{path}\"/>");
    }

    /// A line through points. Points on the line between their neighbours are left out.
    pub fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.is_empty() {
            return;
        }
        let _ = write!(self.body, "<path class=\"{class}\" d=\"");
        for (number, (x, y)) in simplify(points).iter().enumerate() {
            let command = if number == 0 { 'M' } else { 'L' };
            let _ = write!(self.body, "{command}{x:.1} {y:.1}");
        }
        self.body.push_str("\"/>");
    }

    /// A text.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let text = escaped(text);
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\"{anchor}>{text}</text>"
        );
    }

    /// The name of an arm with its symbol, before a position.
    pub fn name_before(&mut self, style: &Style, (x, y): (f64, f64)) {
        self.symbol(style, (x - 5.0, y - 3.8), 3.4);
        let class = format!("name {}", style.class);
        self.text(&class, (x - 13.0, y), Anchor::End, &style.name);
    }

    /// The name of an arm with its symbol, after a position.
    pub fn name_after(&mut self, style: &Style, (x, y): (f64, f64)) {
        self.symbol(style, (x + 4.0, y - 3.8), 3.4);
        let class = format!("name {}", style.class);
        self.text(&class, (x + 11.0, y), Anchor::Start, &style.name);
    }

    /// The drawing as a figure. The caption is HTML.
    pub fn figure(self, caption: &str) -> String {
        let (title, body, height) = (self.title, self.body, self.height);
        let description = escaped(&self.description.join(" "));
        format!(
            "<figure><figcaption>{caption}</figcaption><svg viewBox=\"0 0 {WIDTH} {height:.0}\" \
             role=\"img\"><title>{title}</title><desc>{description}</desc>{body}</svg></figure>\n"
        )
    }
}

/// The points without those that are within [`TOLERANCE`] of a line between kept points.
fn simplify(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    let mut skipped: Vec<(f64, f64)> = Vec::new();
    for point in points {
        let Some(last) = kept.last().copied() else {
            kept.push(*point);
            continue;
        };
        if !skipped.iter().all(|one| is_near(last, *point, *one)) {
            kept.extend(skipped.last().copied());
            skipped.clear();
        }
        skipped.push(*point);
    }
    kept.extend(skipped.last().copied());
    kept
}

fn is_near((ax, ay): (f64, f64), (bx, by): (f64, f64), (x, y): (f64, f64)) -> bool {
    let (dx, dy) = (bx - ax, by - ay);
    let length = dx.hypot(dy);
    if length < TOLERANCE {
        return (x - ax).hypot(y - ay) < TOLERANCE;
    }
    let along = ((x - ax) * dx + (y - ay) * dy) / length;
    let aside = ((x - ax) * dy - (y - ay) * dx).abs() / length;
    aside < TOLERANCE && (-TOLERANCE..=length + TOLERANCE).contains(&along)
}

/// The smallest and the largest value of a scale.
const MIN: f64 = 1e-9;
const MAX: f64 = 1e15;

/// A scale from values to positions along an axis. The position of each value, also of one that is
/// not a number, is between the ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    is_log: bool,
}

impl Scale {
    /// A linear scale that contains 0 and all `values`.
    pub fn linear(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let high = values.into_iter().filter(|value| value.is_finite());
        let high = high.fold(0.0, f64::max).min(MAX);
        Self {
            low: 0.0,
            high: if high > MIN { high * 1.05 } else { 1.0 },
            from,
            to,
            is_log: false,
        }
    }

    /// A logarithmic scale that contains all positive `values`, with a margin.
    pub fn log(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let positive = values
            .into_iter()
            .filter(|value| value.is_finite() && *value > MIN)
            .map(|value| value.min(MAX));
        let (low, high) = positive.fold((f64::MAX, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high) = if low > high { (1.0, 10.0) } else { (low, high) };
        let margin = (high / low).powf(0.06).max(1.15);
        Self {
            low: low / margin,
            high: high * margin,
            from,
            to,
            is_log: true,
        }
    }

    /// A logarithmic scale from 1 / `limit` to `limit`.
    pub fn around_one(limit: f64, from: f64, to: f64) -> Self {
        let limit = if limit.is_finite() {
            limit.clamp(1.01, MAX)
        } else {
            10.0
        };
        Self {
            low: 1.0 / limit,
            high: limit,
            from,
            to,
            is_log: true,
        }
    }

    /// The position of a value. A value outside is at the nearer end.
    pub fn position(&self, value: f64) -> f64 {
        let value = value.clamp(-MAX, MAX);
        let part = match self.is_log {
            true => (value.max(1e-12) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        let part = if part.is_finite() {
            part.clamp(0.0, 1.0)
        } else {
            0.0
        };
        self.from + part * (self.to - self.from)
    }

    /// Whether a value is between the ends.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// About `count` round values inside the scale.
    pub fn ticks(&self, count: u32) -> Vec<f64> {
        match self.is_log {
            true => self.log_ticks(count),
            false => self.linear_ticks(count),
        }
    }

    fn linear_ticks(&self, count: u32) -> Vec<f64> {
        let rough = (self.high - self.low) / f64::from(count.max(1));
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|digit| digit * power);
        let step = step
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(rough);
        let ticks = (0..=count * 2).map(|number| f64::from(number) * step);
        ticks.take_while(|tick| *tick <= self.high).collect()
    }

    fn log_ticks(&self, count: u32) -> Vec<f64> {
        let inside = |digits: &[f64]| -> Vec<f64> {
            let powers = self.low.log10().floor()..=self.high.log10().ceil();
            let mut ticks = Vec::new();
            let mut power = *powers.start();
            while power <= *powers.end() {
                ticks.extend(digits.iter().map(|digit| digit * 10_f64.powf(power)));
                power += 1.0;
            }
            ticks.retain(|tick| self.contains(*tick));
            ticks
        };
        let enough = |ticks: &Vec<f64>| ticks.len() >= 3;
        let few = [
            inside(&[1.0]),
            inside(&[1.0, 3.0]),
            inside(&[1.0, 2.0, 5.0]),
            inside(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]),
        ];
        let most = few.iter().map(Vec::len).max().unwrap_or(0);
        let ticks = few
            .into_iter()
            .find(|ticks| enough(ticks) || ticks.len() == most);
        let ticks = ticks.unwrap_or_default();
        let every = ticks.len().div_ceil(count.max(1) as usize).max(1);
        ticks.into_iter().step_by(every).collect()
    }
}

/// Moves overlapping labels apart: at least `gap` between two, in their order, none above `least`,
/// and none below `most` if all fit.
pub fn spread(positions: &mut [f64], gap: f64, (least, most): (f64, f64)) {
    let mut order: Vec<usize> = (0..positions.len()).collect();
    let at = |positions: &[f64], index: &usize| positions.get(*index).copied().unwrap_or(0.0);
    order.sort_by(|a, b| at(positions, a).total_cmp(&at(positions, b)));
    // Overlapping labels are a cluster around their mean. Overlapping clusters become one.
    let mut clusters: Vec<(f64, usize)> = Vec::new();
    for index in &order {
        clusters.push((at(positions, index), 1));
        while let [.., (before, many), (last, few)] = clusters.as_slice() {
            let (many, few) = (*many, *few);
            if last - before >= gap * count(many + few) / 2.0 {
                break;
            }
            let middle = (before * count(many) + last * count(few)) / count(many + few);
            clusters.truncate(clusters.len() - 2);
            clusters.push((middle, many + few));
        }
    }
    let mut order = order.into_iter();
    let mut ordered = Vec::new();
    for (middle, many) in clusters {
        let mut next = middle - gap * count(many - 1) / 2.0;
        for index in order.by_ref().take(many) {
            if let Some(position) = positions.get_mut(index) {
                *position = next;
            }
            ordered.push(index);
            next += gap;
        }
    }
    let mut most = most;
    for index in ordered.iter().rev() {
        if let Some(position) = positions.get_mut(*index) {
            *position = position.min(most);
            most = *position - gap;
        }
    }
    let mut least = least;
    for index in ordered {
        if let Some(position) = positions.get_mut(index) {
            *position = position.max(least);
            least = *position + gap;
        }
    }
}

/// A number of rows or characters as a float.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn markup_is_escaped() {
        let text = "<a href=\"x\" b='y'>&\u{7}</a>";
        let expected = "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp; &lt;/a&gt;";
        assert_eq!(escaped(text), expected);
    }

    #[test]
    fn a_figure_has_a_title_and_a_description() {
        let mut drawing = Drawing::new(40.0, "a < b");
        drawing.describe("a is 1.".to_owned());
        drawing.describe("b is 2.".to_owned());
        drawing.dots("c", &[(1.0, 2.0), (3.0, 4.06)]);
        drawing.rect("nothing", (1.0, 1.0), (0.0, 5.0));
        let expected = "<figure><figcaption>What</figcaption><svg viewBox=\"0 0 340 40\" \
                      role=\"img\"><title>a &lt; b</title><desc>a is 1. b is 2.</desc>\
                      <path class=\"c\" d=\"M1.0 2.0h0M3.0 4.1h0\"/></svg></figure>\n";
        assert_eq!(drawing.figure("What"), expected);
    }

    #[test]
    fn points_on_a_line_are_left_out_and_corners_are_kept() {
        let stairs = [
            (0.0, 0.0),
            (1.0, 0.0),
            (2.0, 0.0),
            (2.0, 5.0),
            (2.0, 9.0),
            (3.0, 9.0),
        ];
        assert_eq!(
            simplify(&stairs),
            [(0.0, 0.0), (2.0, 0.0), (2.0, 9.0), (3.0, 9.0)]
        );
        let there_and_back = [(0.0, 0.0), (9.0, 0.0), (4.0, 0.0)];
        assert_eq!(simplify(&there_and_back), there_and_back);
        assert_eq!(simplify(&[]), []);
    }

    #[test]
    fn ticks_are_round() {
        let linear = Scale::linear([84_000.0], 0.0, 300.0);
        assert_eq!(linear.ticks(4), [0.0, 25_000.0, 50_000.0, 75_000.0]);
        assert_eq!(
            Scale::linear([9.0], 0.0, 1.0).ticks(4),
            [0.0, 2.5, 5.0, 7.5]
        );
        let decades = Scale::log([3.0, 40_000.0], 0.0, 1.0).ticks(5);
        assert_eq!(decades, [10.0, 100.0, 1000.0, 10_000.0]);
        let narrow = Scale::log([1.2, 4.5], 0.0, 1.0).ticks(9);
        assert_eq!(narrow, [1.5, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(Scale::around_one(2.0, 0.0, 1.0).ticks(5), [0.5, 1.0, 2.0]);
    }

    #[test]
    fn one_is_in_the_middle_and_a_scale_may_be_mirrored() {
        let scale = Scale::around_one(4.0, 100.0, 300.0);
        assert_eq!(
            [0.25, 1.0, 4.0].map(|one| scale.position(one).round()),
            [100.0, 200.0, 300.0]
        );
        let mirrored = Scale::around_one(4.0, 300.0, 100.0);
        assert_eq!(
            [0.25, 4.0].map(|one| mirrored.position(one).round()),
            [300.0, 100.0]
        );
    }

    #[test]
    fn overlapping_labels_are_moved_apart_and_stay_inside() {
        let mut positions = [50.0, 10.0, 51.0, 52.0];
        spread(&mut positions, 10.0, (0.0, 80.0));
        assert_eq!(positions, [41.0, 10.0, 51.0, 61.0]);
        spread(&mut positions, 10.0, (0.0, 55.0));
        assert_eq!(positions, [35.0, 10.0, 45.0, 55.0]);
        let mut positions = [2.0, 1.0, 70.0];
        spread(&mut positions, 10.0, (8.0, 80.0));
        assert_eq!(positions, [18.0, 8.0, 70.0]);
    }

    proptest! {
        #[test]
        fn each_point_that_is_left_out_is_near_the_line(
            points in proptest::collection::vec((0.0..300.0_f64, 0.0..150.0_f64), 1..60),
        ) {
            let kept = simplify(&points);
            prop_assert_eq!(kept.first(), points.first());
            prop_assert_eq!(kept.last(), points.last());
            for point in &points {
                let mut lines = kept.windows(2);
                let near = kept.contains(point)
                    || lines.any(|line| is_near(line[0], line[1], *point));
                prop_assert!(near, "{point:?} {kept:?}");
            }
        }

        #[test]
        fn a_scale_keeps_the_order_and_stays_between_its_ends(
            values in proptest::collection::vec(proptest::num::f64::ANY, 0..8),
            is_log: bool,
        ) {
            let scale = match is_log {
                true => Scale::log(values.clone(), 10.0, 200.0),
                false => Scale::linear(values.clone(), 10.0, 200.0),
            };
            for value in values.iter().chain(&scale.ticks(5)) {
                let position = scale.position(*value);
                prop_assert!((10.0..=200.0).contains(&position), "{value} {position}");
            }
            let mut sorted: Vec<f64> = values.into_iter().filter(|one| !one.is_nan()).collect();
            sorted.sort_by(f64::total_cmp);
            for pair in sorted.windows(2) {
                prop_assert!(scale.position(pair[0]) <= scale.position(pair[1]));
            }
            let ticks = scale.ticks(5);
            prop_assert!(ticks.len() <= 12, "{ticks:?}");
            prop_assert!(ticks.iter().all(|tick| scale.contains(*tick)), "{ticks:?}");
            prop_assert!(ticks.is_sorted(), "{ticks:?}");
        }

        #[test]
        fn labels_keep_their_order_and_their_distance(
            mut positions in proptest::collection::vec(0.0..150.0_f64, 0..9),
        ) {
            positions.sort_by(f64::total_cmp);
            let before = positions.clone();
            spread(&mut positions, 12.0, (8.0, 158.0));
            for pair in positions.windows(2) {
                prop_assert!(pair[1] - pair[0] > 12.0 - 1e-6, "{before:?} {positions:?}");
            }
            prop_assert!(positions.iter().all(|one| (8.0..=158.0).contains(one)), "{positions:?}");
        }
    }
}
