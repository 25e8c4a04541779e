//! Room `bench`: how does a number become a place on paper? Scales, ticks and the few shapes that
//! the plots are made of, as SVG 1.1 inside HTML. Whatever the data are, every attribute is a
//! number.

use std::fmt::Write;

/// Width of every plot, in CSS pixels at full size: a phone's. So text has the same size
/// everywhere.
pub const WIDTH: f64 = 340.0;

/// What is plotted is between these: beyond them is no measurement, and no tick could be counted.
const LEAST: f64 = 1e-9;
const MOST: f64 = 1e15;

/// Escapes what stands between tags or in an attribute.
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

/// From values to places along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    is_log: bool,
}

impl Scale {
    /// Equal distances for equal differences; holds all `values` and 0, between two places.
    pub fn linear(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let high = values.into_iter().filter(|value| value.is_finite());
        let high = high.fold(0.0, f64::max).min(MOST);
        Self {
            low: 0.0,
            high: if high > LEAST { high * 1.05 } else { 1.0 },
            from,
            to,
            is_log: false,
        }
    }

    /// Equal distances for equal ratios; holds all `values` that are above 0, and some room beside
    /// them.
    pub fn log(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let positive = values
            .into_iter()
            .filter(|value| value.is_finite() && *value > LEAST)
            .map(|value| value.min(MOST));
        let (low, high) = positive.fold((f64::MAX, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high) = if low > high { (1.0, 10.0) } else { (low, high) };
        let room = (high / low).powf(0.06).max(1.15);
        Self {
            low: low / room,
            high: high * room,
            from,
            to,
            is_log: true,
        }
    }

    /// Where a value is. What is outside, or no number, is at the nearer end.
    pub fn place(&self, value: f64) -> f64 {
        let value = value.clamp(-MOST, MOST);
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

    /// Round values for about `count` ticks, all inside.
    pub fn ticks(&self, count: u32) -> Vec<f64> {
        match self.is_log {
            true => self.log_ticks(count),
            false => self.linear_ticks(count),
        }
    }

    fn linear_ticks(&self, count: u32) -> Vec<f64> {
        let rough = (self.high - self.low) / f64::from(count.max(1));
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
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
            ticks.retain(|tick| *tick >= self.low && *tick <= self.high);
            ticks
        };
        let enough = |ticks: &Vec<f64>| ticks.len() >= 2;
        let few = [
            inside(&[1.0]),
            inside(&[1.0, 3.0]),
            inside(&[1.0, 2.0, 5.0]),
            inside(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]),
        ];
        let ticks = few.into_iter().find(enough).unwrap_or_default();
        let every = ticks.len().div_ceil(count.max(1) as usize).max(1);
        ticks.into_iter().step_by(every).collect()
    }
}

/// A drawing.
#[derive(Debug)]
pub struct Drawing {
    body: String,
    height: f64,
    title: String,
}

/// Where a text stands beside its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

impl Drawing {
    /// An empty one. `title` says in words what is to be seen, for those who cannot see it.
    pub fn new(height: f64, title: &str) -> Self {
        Self {
            body: String::new(),
            height,
            title: escaped(title),
        }
    }

    /// A line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = write!(
            self.body,
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        );
    }

    /// A rectangle; one with nothing in it is not drawn.
    pub fn bar(&mut self, class: &str, from: (f64, f64), size: (f64, f64)) {
        let ((x, y), (width, height)) = (from, size);
        if width > 0.0 && height > 0.0 {
            let _ = write!(
                self.body,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
                 height=\"{height:.1}\"/>"
            );
        }
    }

    /// A dot.
    pub fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        let _ = write!(
            self.body,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"/>"
        );
    }

    /// A line through points, in their order.
    pub fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.is_empty() {
            return;
        }
        let _ = write!(self.body, "<path class=\"{class}\" d=\"");
        for (number, (x, y)) in points.iter().enumerate() {
            let command = if number == 0 { 'M' } else { 'L' };
            let _ = write!(self.body, "{command}{x:.1} {y:.1}");
        }
        self.body.push_str("\"/>");
    }

    /// A text.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" \
             text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    /// The drawing as a figure with its caption.
    pub fn figure(self, caption: &str) -> String {
        let (title, body, height) = (self.title, self.body, self.height);
        format!(
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {height:.0}\" \
             role=\"img\" aria-label=\"{title}\"><title>{title}</title>{body}</svg></figure>\n",
            escaped(caption)
        )
    }
}

/// Moves labels apart that would stand on each other: at least `gap` between two, in their order,
/// and none below `most`.
pub fn apart(places: &mut [f64], gap: f64, most: f64) {
    let mut order: Vec<usize> = (0..places.len()).collect();
    let at = |places: &[f64], index: &usize| places.get(*index).copied().unwrap_or(0.0);
    order.sort_by(|a, b| at(places, a).total_cmp(&at(places, b)));
    let mut least = f64::MIN;
    for index in &order {
        if let Some(place) = places.get_mut(*index) {
            *place = place.max(least);
            least = *place + gap;
        }
    }
    let mut most = most;
    for index in order.iter().rev() {
        if let Some(place) = places.get_mut(*index) {
            *place = place.min(most);
            most = *place - gap;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_html_would_read_as_markup_is_escaped() {
        let text = "<a href=\"x\" b='y'>&\u{7}</a>";
        let wanted = "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp; &lt;/a&gt;";
        assert_eq!(escaped(text), wanted);
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            Scale::linear([84_000.0], 0.0, 300.0).ticks(4),
            [0.0, 50_000.0]
        );
        assert_eq!(Scale::linear([9.0], 0.0, 1.0).ticks(4), [0.0, 5.0]);
        let decades = Scale::log([3.0, 40_000.0], 0.0, 1.0).ticks(5);
        assert_eq!(decades, [10.0, 100.0, 1000.0, 10_000.0]);
    }

    #[test]
    fn labels_that_meet_are_moved_apart_and_stay_on_the_paper() {
        let mut places = [50.0, 10.0, 51.0, 52.0];
        apart(&mut places, 10.0, 60.0);
        assert_eq!(places, [40.0, 10.0, 50.0, 60.0]);
    }

    proptest! {
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
                let place = scale.place(*value);
                prop_assert!((10.0..=200.0).contains(&place), "{value} {place}");
            }
            let mut sorted: Vec<f64> = values.into_iter().filter(|one| !one.is_nan()).collect();
            sorted.sort_by(f64::total_cmp);
            for pair in sorted.windows(2) {
                prop_assert!(scale.place(pair[0]) <= scale.place(pair[1]));
            }
            prop_assert!(scale.ticks(5).len() <= 12);
        }
    }
}
