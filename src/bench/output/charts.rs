//! The charts of the report, as SVG 1.1 inside HTML. All have the width of a phone, so their text
//! has the same size everywhere.

use super::{CONTROL, Style, heading, printable, ratio, style, value};
use crate::bench::analysis::{CellAnalysis, Row, Verdict};
use crate::bench::metrics::{Better, better_of, group_of};
use crate::bench::stats::{count, float, merged};
use crate::bench::types::{Cell, Run, Sample};

/// The width of each chart, in CSS pixels at full size.
const WIDTH: f64 = 340.0;
/// The columns of names, left of a chart, and of words, right of it.
const NAMES: f64 = 90.0;
const WORDS: f64 = 127.0;
/// The smallest and the largest value of a scale.
const MIN: f64 = 1e-9;
const MAX: f64 = 1e15;

/// Escapes text for HTML, between tags or in an attribute.
pub fn escaped(text: &str) -> String {
    let text = printable(text).replace('&', "&amp;");
    let text = text.replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

/// The elements of a drawing.
#[derive(Default)]
struct Drawing(String);

impl Drawing {
    /// A line through points.
    fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        self.path(class, points, "L", "");
    }

    /// A mark at each point, as a path from there.
    fn marks(&mut self, class: &str, points: &[(f64, f64)], mark: &str) {
        self.path(class, points, "M", mark);
    }

    fn path(&mut self, class: &str, points: &[(f64, f64)], command: &str, after: &str) {
        let mut path = String::new();
        for (x, y) in points {
            let command = if path.is_empty() { "M" } else { command };
            path += &format!("{command}{x:.1} {y:.1}{after}");
        }
        if !path.is_empty() {
            self.0 += &format!("<path class=\"{class}\" d=\"{path}\"/>");
        }
    }

    /// A text that begins at a position; with the class `mid` or `end` this is its middle or end.
    fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let text = escaped(text);
        self.0 += &format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
    }

    /// The symbol and the name of an arm, at their start or (`end`) their end.
    fn name(&mut self, style: &Style, place: &str, at: (f64, f64)) {
        let text = format!("{} {}", style.symbol, style.name);
        self.text(&format!("name {place} {}", style.class), at, &text);
    }

    /// The drawing as a figure. The caption is HTML.
    fn figure(&self, height: f64, caption: &str) -> String {
        format!(
            "<figure><figcaption>{caption}</figcaption><svg viewBox=\"0 0 {WIDTH} \
             {height:.0}\">{}</svg></figure>\n",
            self.0
        )
    }
}

/// A logarithmic scale from values to positions along an axis. The position of each value, also of
/// one that is not a number, is between the ends.
struct Scale {
    /// The least and the greatest value.
    values: (f64, f64),
    /// Their positions.
    ends: (f64, f64),
}

impl Scale {
    /// A scale that contains all `values` from [`MIN`] to [`MAX`], with a margin.
    fn of(values: impl Iterator<Item = f64>, ends: (f64, f64)) -> Self {
        let (mut low, mut high) = (MAX, MIN);
        for value in values.filter(|value| (MIN..MAX).contains(value)) {
            (low, high) = (low.min(value), high.max(value));
        }
        let (low, high) = if low > high { (1.0, 10.0) } else { (low, high) };
        let margin = (high / low).powf(0.06).max(1.15);
        let values = (low / margin, high * margin);
        Self { values, ends }
    }

    /// A scale from 1 / `limit` to `limit`.
    fn around_one(limit: f64, ends: (f64, f64)) -> Self {
        let values = (1.0 / limit, limit);
        Self { values, ends }
    }

    /// The position of a value. A value outside is at the nearer end.
    fn position(&self, value: f64) -> f64 {
        let ((low, high), (start, end)) = (self.values, self.ends);
        let part = (value.clamp(MIN, MAX) / low).ln() / (high / low).ln();
        let part = if part > 0.0 { part.min(1.0) } else { 0.0 };
        start + part * (end - start)
    }

    /// Whether a value is between the ends.
    fn contains(&self, value: f64) -> bool {
        (self.values.0..=self.values.1).contains(&value)
    }

    /// Up to five round values inside the scale.
    fn ticks(&self) -> Vec<f64> {
        let mut ticks = Vec::new();
        // The coarsest digits that give at least three ticks.
        for digits in [
            &[1.0][..],
            &[1.0, 3.0],
            &[1.0, 2.0, 5.0],
            &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
        ] {
            let powers = (-9..16).map(|power| 10_f64.powi(power));
            let round = powers.flat_map(|power| digits.iter().map(move |digit| digit * power));
            ticks = round.filter(|tick| self.contains(*tick)).collect();
            if ticks.len() >= 3 {
                break;
            }
        }
        let every = ticks.len().div_ceil(5).max(1);
        ticks.into_iter().step_by(every).collect()
    }
}

/// Where a scale around 1 may end: 1.5 is from 0.67 to 1.5.
const LIMITS: [f64; 12] = [
    1.02, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0,
];

/// The first of [`LIMITS`] that contains the ratios, with their inverses, except one of
/// `exceptions`.
pub fn limit(ratios: impl Iterator<Item = f64>, exceptions: usize) -> f64 {
    let sizes: Vec<f64> = ratios.map(|ratio| ratio.max(1.0 / ratio)).collect();
    let holds = |limit: &f64| {
        let outside = sizes.iter().filter(|size| *size > limit).count();
        outside * exceptions <= sizes.len()
    };
    LIMITS.into_iter().find(holds).unwrap_or(100.0)
}

/// The height of a row of the chart of ratios, and its top.
const ROW: f64 = 19.0;
const TOP: f64 = 18.0;

/// The ratios of a cell, on a scale that ends at `limit`. Right is better.
pub fn ratios(run: &Run, cell: &Cell, of: &CellAnalysis, limit: f64) -> String {
    let metric = cell.primary_metric.as_str();
    let (left, right) = (NAMES + 2.0, WIDTH - WORDS);
    let scale = match better_of(metric) {
        Better::Lower => Scale::around_one(limit, (right, left)),
        Better::Higher | Better::Neither => Scale::around_one(limit, (left, right)),
    };
    let bottom = TOP + ROW * count(&of.rows);
    let mut drawing = Drawing::default();
    let floor = 1.0 + of.noise_floor;
    let [low, high] = [1.0 / floor, floor].map(|end| scale.position(end));
    let corners = [(low, TOP), (high, TOP), (high, bottom), (low, bottom)];
    drawing.line("floor", &corners);
    for (tick, class) in [(1.0 / limit, "grid"), (1.0, "one"), (limit, "grid")] {
        let x = scale.position(tick);
        drawing.line(class, &[(x, TOP), (x, bottom)]);
        drawing.text("tick mid", (x, bottom + 13.5), &ratio(tick));
    }
    drawing.text("tick", (left, 11.0), "← worse");
    drawing.text("tick end", (right, 11.0), "better →");
    let mut y = TOP - ROW / 2.0;
    for row in &of.rows {
        y += ROW;
        let style = style(run, row.arm);
        let (class, baseline) = (&style.class, y + 4.0);
        drawing.name(&style, "end", (NAMES - 6.0, baseline));
        let mut words = row.verdict.word(metric).to_owned();
        let middle = row.ratio.map_or(1.0, |found| found.middle);
        let place = scale.position(middle);
        if let Some(found) = row.ratio {
            words = format!("{}× {words}", ratio(middle));
            let ends = [found.low, found.high].map(|end| (scale.position(end), y));
            drawing.line(&format!("whisker {class}"), &ends);
        }
        let symbol = match scale.contains(middle) {
            true => style.symbol,
            false if place > scale.position(1.0) => '→',
            false => '←',
        };
        if row.verdict != Verdict::Missing {
            let class = format!("name mid {class}");
            drawing.text(&class, (place, baseline), &symbol.to_string());
        }
        drawing.text("value", (right + 10.0, baseline), &words);
    }
    let (name, metric) = (escaped(&cell.name), escaped(&heading(metric)));
    drawing.figure(bottom + 18.0, &format!("<b>{name}</b>: {metric}"))
}

/// The area of the chart of percentiles: left, right, top and bottom.
const AREA: (f64, f64, f64, f64) = (50.0, WIDTH - 90.0, 8.0, 158.0);
/// The quantiles on the axis as nines: 0.301 is 50 %, 3 is 99.9 %.
const NINES: [(f64, &str); 6] = [
    (0.301, "50%"),
    (1.0, "90%"),
    (2.0, "99%"),
    (3.0, "99.9%"),
    (4.0, "99.99%"),
    (5.0, "99.999%"),
];
const FIRST_NINES: f64 = 0.15;
/// The most points of a curve, which are a tenth apart.
const POINTS: u32 = 50;
/// The number of responses that must be slower than a quantile that is drawn.
const MIN_BEYOND: f64 = 10.0;
/// The distance of two names beside the curves.
const LINE: f64 = 12.5;

/// Percentiles of the response time, with an equal distance for 90, 99 and 99.9 %. All valid
/// samples together, of the group of the primary metric.
pub fn percentiles(run: &Run, cell: &Cell, of: &CellAnalysis) -> String {
    let group = group_of(&cell.primary_metric);
    let name = group.map_or_else(String::new, |group| format!("{group}.")) + "response";
    let mut curves = Vec::new();
    for row in &of.rows {
        let points = points(row, &name);
        if let [_, .., (_, slowest)] = *points {
            curves.push((slowest, style(run, row.arm), points));
        }
    }
    // The slowest first: so are their names.
    curves.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
    let all = || curves.iter().flat_map(|(.., points)| points);
    let Some(end) = all().map(|(nines, _)| *nines).max_by(f64::total_cmp) else {
        return String::new();
    };
    let (left, right, top, bottom) = AREA;
    let x = |nines: f64| left + (right - left) * (nines - FIRST_NINES) / (end - FIRST_NINES);
    let scale = Scale::of(all().map(|(_, time)| *time), (bottom, top));
    let mut drawing = Drawing::default();
    for tick in scale.ticks() {
        let y = scale.position(tick);
        drawing.line("grid", &[(left, y), (right, y)]);
        drawing.text("tick end", (left - 5.0, y + 3.5), &value("p50", tick));
    }
    drawing.line("axis", &[(left, bottom), (right, bottom)]);
    for (nines, text) in NINES.into_iter().filter(|(nines, _)| *nines <= end) {
        drawing.line("axis", &[(x(nines), bottom), (x(nines), bottom + 3.0)]);
        drawing.text("tick mid", (x(nines), bottom + 14.5), text);
    }
    let middle = (left.midpoint(right), bottom + 29.0);
    drawing.text("tick mid", middle, "of the requests are answered within");
    let mut label = top;
    for (slowest, style, points) in &curves {
        let place = |(nines, time): &(f64, f64)| (x(*nines), scale.position(*time));
        let line: Vec<_> = points.iter().map(place).collect();
        let control = if style.symbol == CONTROL {
            "control"
        } else {
            ""
        };
        drawing.line(&format!("curve {control} {}", style.class), &line);
        let end = (right + 1.0, scale.position(*slowest));
        drawing.line("lead", &[end, (right + 7.0, label)]);
        drawing.name(style, "", (right + 8.0, label + 3.8));
        label += LINE;
    }
    let of = group.map_or(String::new(), |group| format!(" of the {}", escaped(group)));
    drawing.figure(label.max(bottom + 34.0), &format!("Response time{of}"))
}

/// Nines, and a time in µs, of all valid samples together.
fn points(row: &Row, name: &str) -> Vec<(f64, f64)> {
    let texts = row.valid().filter_map(|one| one.histograms.get(name));
    let Some(times) = merged(texts.map(String::as_str)) else {
        return Vec::new();
    };
    let nines = (0..POINTS).map(|number| FIRST_NINES + f64::from(number) / 10.0);
    let beyond = |nines: f64| 10_f64.powf(-nines);
    let drawn = nines.take_while(|nines| beyond(*nines) * float(times.len()) >= MIN_BEYOND);
    let time = |nines| float(times.value_at_quantile(1.0 - beyond(nines))) / 1e3;
    drawn.map(|nines| (nines, time(nines))).collect()
}

/// The height of a lane of the chart of samples, and the right end of all lanes.
const LANE: f64 = 24.0;
const LANE_END: f64 = WIDTH - 12.0;
/// A sample: minutes since the start of the run, ratio to the median of its arm, whether it is
/// valid.
type Dot = (f64, f64, bool);

/// The primary metric of each sample over the time of the run. The same slope in all lanes is a
/// change of the machine; two levels in one lane are two modes of a server.
pub fn samples(run: &Run, cell: &Cell, of: &CellAnalysis) -> String {
    let metric = cell.primary_metric.as_str();
    let lanes = of.rows.iter().map(|row| (row.arm, dots(row, metric)));
    let lanes: Vec<(usize, Vec<Dot>)> = lanes.filter(|(_, dots)| dots.len() > 1).collect();
    if lanes.is_empty() {
        return String::new();
    }
    let all = || lanes.iter().flat_map(|(_, dots)| dots);
    let valid = all().filter(|(_, _, valid)| *valid);
    let limit = limit(valid.map(|(_, ratio, _)| *ratio), 10);
    let bottom = 4.0 + LANE * count(&lanes);
    let mut drawing = Drawing::default();
    let end = all().fold(0.0, |end: f64, (minutes, _, _)| end.max(*minutes));
    let x = |minutes: f64| NAMES + (LANE_END - NAMES) * minutes / end.max(1e-3);
    let (begin, later) = ("the run begins", format!("{end:.1} minutes later"));
    drawing.text("tick", (NAMES, bottom + 13.5), begin);
    drawing.text("tick end", (LANE_END, bottom + 13.5), &later);
    let mut top = 4.0;
    for (arm, dots) in &lanes {
        let style = style(run, *arm);
        let scale = Scale::around_one(limit, (top + LANE - 3.0, top + 3.0));
        let middle = scale.position(1.0);
        drawing.name(&style, "end", (NAMES - 6.0, middle + 4.0));
        drawing.line("one", &[(NAMES, middle), (LANE_END, middle)]);
        let (mut valid, mut crosses) = (Vec::new(), Vec::new());
        for (minutes, ratio, is_valid) in dots {
            let positions = if *is_valid { &mut valid } else { &mut crosses };
            positions.push((x(*minutes), scale.position(*ratio)));
        }
        let class = &style.class;
        drawing.line(&format!("thin {class}"), &valid);
        drawing.marks(&format!("spots {class}"), &valid, "h0");
        let cross = "m-2.5-2.5l5 5m0-5l-5 5";
        drawing.marks(&format!("cross {class}"), &crosses, cross);
        top += LANE;
    }
    let (below, above) = (100.0 * (1.0 - 1.0 / limit), 100.0 * (limit - 1.0));
    let caption = format!(
        "{}, each sample over time: a lane is from &minus;{below:.0} to +{above:.0} % of the \
         median of its arm; crosses are invalid samples",
        escaped(&heading(metric))
    );
    drawing.figure(bottom + 18.0, &caption)
}

fn dots(row: &Row, metric: &str) -> Vec<Dot> {
    let middle = row.median(metric).unwrap_or(f64::NAN);
    let dot = |sample: &&Sample| {
        let ratio = *sample.metrics.get(metric)? / middle;
        let is_drawn = (0.0..MAX).contains(&sample.at) && (MIN..MAX).contains(&ratio);
        is_drawn.then_some((sample.at / 60.0, ratio, sample.invalid.is_empty()))
    };
    row.samples.iter().filter_map(dot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let ticks = |low, high| Scale::of([low, high].into_iter(), (0.0, 1.0)).ticks();
        assert_eq!(ticks(3.0, 40_000.0), [10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(ticks(1.2, 4.5), [1.5, 2.0, 3.0, 4.0, 5.0]);
    }
}
