//! SVG 1.1 for charts inside HTML: scales, shapes and text. All charts have the width of a phone,
//! so their text has the same size everywhere.

use super::Style;

/// The width of each chart, in CSS pixels at full size.
pub const WIDTH: f64 = 340.0;
/// The smallest and the largest value of a scale.
const MIN: f64 = 1e-9;
const MAX: f64 = 1e15;

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

/// A drawing.
#[derive(Debug)]
pub struct Drawing {
    body: String,
    height: f64,
    title: String,
}

/// The attribute of a text whose position is at its start, middle or end.
pub const START: &str = "";
pub const MIDDLE: &str = " text-anchor=\"middle\"";
pub const END: &str = " text-anchor=\"end\"";

impl Drawing {
    pub fn new(height: f64, title: &str) -> Self {
        Self {
            body: String::new(),
            height,
            title: escaped(title),
        }
    }

    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.body += &format!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        );
    }

    pub fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        self.body += &format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\"/>"
        );
    }

    /// Small dots, as one path with round ends.
    pub fn dots(&mut self, class: &str, positions: &[(f64, f64)]) {
        self.path(class, positions, |_, (x, y)| format!("M{x:.1} {y:.1}h0"));
    }

    /// Small crosses.
    pub fn crosses(&mut self, class: &str, positions: &[(f64, f64)]) {
        self.path(class, positions, |_, (x, y)| {
            format!("M{:.1} {:.1}l5 5m0-5l-5 5", x - 2.5, y - 2.5)
        });
    }

    /// A line through points.
    pub fn curve(&mut self, class: &str, points: &[(f64, f64)]) {
        self.path(class, points, |number, (x, y)| {
            format!("{}{x:.1} {y:.1}", if number == 0 { 'M' } else { 'L' })
        });
    }

    fn path(
        &mut self,
        class: &str,
        points: &[(f64, f64)],
        part: impl Fn(usize, (f64, f64)) -> String,
    ) {
        let parts = points.iter().enumerate();
        let path: String = parts.map(|(number, point)| part(number, *point)).collect();
        if !path.is_empty() {
            self.body += &format!("<path class=\"{class}\" d=\"{path}\"/>");
        }
    }

    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
        let text = escaped(text);
        self.body +=
            &format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\"{anchor}>{text}</text>");
    }

    /// The symbol and the name of an arm, before or after a position.
    pub fn name(&mut self, style: &Style, at: (f64, f64), anchor: &str) {
        let class = format!("name {}", style.class);
        let text = match anchor {
            START => format!("{} {}", style.symbol, style.name),
            _ => format!("{} {}", style.name, style.symbol),
        };
        self.text(&class, at, anchor, &text);
    }

    /// The drawing as a figure. The caption is HTML.
    pub fn figure(self, caption: &str) -> String {
        let (title, body, height) = (self.title, self.body, self.height);
        format!(
            "<figure><figcaption>{caption}</figcaption><svg viewBox=\"0 0 {WIDTH} {height:.0}\" \
             role=\"img\"><title>{title}</title>{body}</svg></figure>\n"
        )
    }
}

/// A logarithmic scale from values to positions along an axis. The position of each value, also of
/// one that is not a number, is between the ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The least and the greatest value.
    values: (f64, f64),
    /// Their positions.
    ends: (f64, f64),
}

impl Scale {
    /// A scale that contains all positive `values`, with a margin.
    pub fn of(values: impl IntoIterator<Item = f64>, ends: (f64, f64)) -> Self {
        let values = values.into_iter();
        let positive = values.filter(|value| value.is_finite() && *value > MIN);
        let (low, high) = positive.fold((f64::MAX, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value.min(MAX)))
        });
        let (low, high) = if low > high { (1.0, 10.0) } else { (low, high) };
        let margin = (high / low).powf(0.06).max(1.15);
        let values = (low / margin, high * margin);
        Self { values, ends }
    }

    /// A scale from 1 / `limit` to `limit`.
    pub fn around_one(limit: f64, ends: (f64, f64)) -> Self {
        let values = (1.0 / limit, limit);
        Self { values, ends }
    }

    /// The position of a value. A value outside is at the nearer end.
    pub fn position(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let part = (value.clamp(MIN, MAX) / low).ln() / (high / low).ln();
        let part = if part.is_nan() {
            0.0
        } else {
            part.clamp(0.0, 1.0)
        };
        self.ends.0 + part * (self.ends.1 - self.ends.0)
    }

    /// Whether a value is between the ends.
    pub fn contains(&self, value: f64) -> bool {
        (self.values.0..=self.values.1).contains(&value)
    }

    /// Up to `count` round values inside the scale.
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        let (low, high) = self.values;
        // The coarsest digits that give at least three ticks.
        let digits = [
            &[1.0][..],
            &[1.0, 3.0],
            &[1.0, 2.0, 5.0],
            &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
        ];
        let mut ticks = Vec::new();
        for digits in digits {
            ticks.clear();
            let mut power = 10_f64.powf(low.log10().floor());
            while power <= high {
                ticks.extend(digits.iter().map(|digit| digit * power));
                power *= 10.0;
            }
            ticks.retain(|tick| self.contains(*tick));
            if ticks.len() >= 3 {
                break;
            }
        }
        let every = ticks.len().div_ceil(count).max(1);
        ticks.into_iter().step_by(every).collect()
    }
}

/// Moves overlapping labels apart, in their order: at least `gap` between two, and none below
/// `most` if all fit.
pub fn spread(positions: &mut [f64], gap: f64, most: f64) {
    let mut labels: Vec<&mut f64> = positions.iter_mut().collect();
    labels.sort_by(|a, b| a.total_cmp(b));
    let mut next = f64::MIN;
    for label in &mut labels {
        **label = label.max(next);
        next = **label + gap;
    }
    let mut next = most;
    for label in labels.into_iter().rev() {
        *label = label.min(next);
        next = *label - gap;
    }
}

/// A number of rows or ticks as a float.
pub fn float(number: usize) -> f64 {
    crate::bench::stats::float(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let decades = Scale::of([3.0, 40_000.0], (0.0, 1.0)).ticks(5);
        assert_eq!(decades, [10.0, 100.0, 1000.0, 10_000.0]);
        let narrow = Scale::of([1.2, 4.5], (0.0, 1.0)).ticks(9);
        assert_eq!(narrow, [1.5, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(Scale::around_one(2.0, (0.0, 1.0)).ticks(5), [0.5, 1.0, 2.0]);
    }

    #[test]
    fn overlapping_labels_are_moved_apart_and_stay_inside() {
        let mut positions = [50.0, 10.0, 51.0, 52.0];
        spread(&mut positions, 10.0, 80.0);
        assert_eq!(positions, [50.0, 10.0, 60.0, 70.0]);
        spread(&mut positions, 10.0, 65.0);
        assert_eq!(positions, [45.0, 10.0, 55.0, 65.0]);
    }
}
