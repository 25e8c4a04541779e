//! The charts of the report, as SVG 1.1 inside HTML. All have the width of a phone, so their text
//! has the same size everywhere.

use super::{Style, ratio, style, title, value};
use crate::bench::analysis::{CellAnalysis, Row, Verdict};
use crate::bench::metrics::{Better, better_of, group_of};
use crate::bench::stats::{count, float, merged};
use crate::bench::types::{Cell, Run};

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

    /// The name of an arm, and its symbol, left of a row.
    fn name(&mut self, style: &Style, y: f64) {
        let text = format!("{} {}", style.name, style.symbol);
        self.text(
            &format!("name end {}", style.class),
            (NAMES - 6.0, y),
            &text,
        );
    }

    /// The drawing as a figure. The caption is HTML.
    fn figure(&self, height: f64, title: &str, caption: &str) -> String {
        format!(
            "<figure><figcaption>{caption}</figcaption><svg viewBox=\"0 0 {WIDTH} {height:.0}\" \
             role=\"img\"><title>{}</title>{}</svg></figure>\n",
            escaped(title),
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

/// The first of `limits` that contains the ratios, with their inverses, except one of `exceptions`.
pub fn limit(ratios: impl Iterator<Item = f64>, exceptions: usize, limits: &[f64]) -> f64 {
    let sizes: Vec<f64> = ratios.map(|ratio| ratio.max(1.0 / ratio)).collect();
    let holds = |limit: &&f64| {
        let outside = sizes.iter().filter(|size| *size > *limit).count();
        outside * exceptions <= sizes.len()
    };
    let found = limits.iter().find(holds).or(limits.last());
    found.copied().unwrap_or(2.0)
}

/// Where the scale of ratios may end: 1.5 is from 0.67 to 1.5.
pub const RATIO_LIMITS: [f64; 8] = [1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0];
/// The height of a row of the chart of ratios, and its top.
const ROW: f64 = 19.0;
const TOP: f64 = 18.0;

/// The ratios of a cell, on a scale that ends at `limit`. Right is better.
pub fn ratios(run: &Run, (index, cell, of): (usize, &Cell, &CellAnalysis), limit: f64) -> String {
    if of.rows.iter().all(|row| row.ratio.is_none()) {
        return String::new();
    }
    let metric = cell.primary_metric.as_str();
    let (left, right) = (NAMES + 2.0, WIDTH - WORDS);
    let scale = match better_of(metric) {
        Better::Lower => Scale::around_one(limit, (right, left)),
        Better::Higher | Better::Neither => Scale::around_one(limit, (left, right)),
    };
    let bottom = TOP + ROW * count(&of.rows);
    let mut drawing = Drawing::default();
    let floor = 1.0 + of.noise_floor;
    let (low, high) = (scale.position(1.0 / floor), scale.position(floor));
    drawing.line(
        "floor",
        &[(low, TOP), (high, TOP), (high, bottom), (low, bottom)],
    );
    for tick in [1.0 / limit, 1.0, limit] {
        let x = scale.position(tick);
        drawing.line(
            if tick == 1.0 { "one" } else { "grid" },
            &[(x, TOP), (x, bottom)],
        );
        drawing.text("tick mid", (x, bottom + 13.5), &ratio(tick));
    }
    drawing.text("tick", (left, 11.0), "← worse");
    drawing.text("tick end", (right, 11.0), "better →");
    let mut y = TOP - ROW / 2.0;
    for row in &of.rows {
        y += ROW;
        let style = style(run, row.arm);
        drawing.name(&style, y + 4.0);
        let mut words = row.verdict.word(metric).to_owned();
        let class = &style.class;
        if let Some(found) = row.ratio {
            words = format!("{}× {words}", ratio(found.middle));
            let rounds = row.ratios.iter().filter(|one| scale.contains(**one));
            let rounds: Vec<_> = rounds.map(|one| (scale.position(*one), y)).collect();
            drawing.marks(&format!("faint {class}"), &rounds, "h0");
            let ends = [found.low, found.high].map(|end| (scale.position(end), y));
            drawing.line(&format!("whisker {class}"), &ends);
        }
        let middle = row.ratio.map_or(1.0, |found| found.middle);
        let place = scale.position(middle);
        let symbol = match scale.contains(middle) {
            _ if row.verdict == Verdict::Missing => "",
            true => &style.symbol.to_string(),
            false if place > scale.position(1.0) => "→",
            false => "←",
        };
        drawing.text(&format!("name mid {class}"), (place, y + 4.0), symbol);
        drawing.text("value", (WIDTH - WORDS + 10.0, y + 4.0), &words);
    }
    let (name, unproven) = (escaped(&cell.name), " <b class=\"bad\">unproven</b>");
    let caption = format!(
        "<a href=\"#cell-{index}\"><b>{name}</b></a>: {}{}",
        escaped(&title(metric)),
        if of.proven { "" } else { unproven }
    );
    drawing.figure(bottom + 18.0, &format!("{}: ratios", cell.name), &caption)
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
    let curves = of
        .rows
        .iter()
        .map(|row| (style(run, row.arm), points(row, &name)));
    let mut curves: Vec<_> = curves.filter(|(_, points)| points.len() > 1).collect();
    // The slowest first: so are their names.
    let slowest = |points: &[(f64, f64)]| points.last().map_or(0.0, |(_, time)| -time);
    curves.sort_by(|(_, a), (_, b)| slowest(a).total_cmp(&slowest(b)));
    let all = || curves.iter().flat_map(|(_, points)| points);
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
    for (nines, text) in NINES.iter().filter(|(nines, _)| *nines <= end) {
        drawing.line("axis", &[(x(*nines), bottom), (x(*nines), bottom + 3.0)]);
        drawing.text("tick mid", (x(*nines), bottom + 14.5), text);
    }
    let middle = (left.midpoint(right), bottom + 29.0);
    drawing.text("tick mid", middle, "of the requests are answered within");
    let mut label = top;
    for (
        Style {
            class,
            symbol,
            name,
        },
        points,
    ) in &curves
    {
        let points = points.iter();
        let line: Vec<_> = points
            .map(|(nines, time)| (x(*nines), scale.position(*time)))
            .collect();
        let control = if *symbol == '○' { "control " } else { "" };
        drawing.line(&format!("curve {control}{class}"), &line);
        let end = line.last().map_or(top, |(_, y)| *y);
        drawing.line("lead", &[(right + 1.0, end), (right + 7.0, label)]);
        drawing.text(
            &format!("name {class}"),
            (right + 8.0, label + 3.8),
            &format!("{symbol} {name}"),
        );
        label += LINE;
    }
    let of = group.map_or(String::new(), |group| format!(" of the {}", escaped(group)));
    let title = format!("{}: percentiles", cell.name);
    drawing.figure(
        label.max(bottom + 34.0),
        &title,
        &format!("Response time{of}"),
    )
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

/// The height of a lane of the chart of samples, and the right edge of all lanes.
const LANE: f64 = 24.0;
const LANE_END: f64 = WIDTH - 12.0;
/// Where a lane may end, as a ratio to the median.
const LANE_LIMITS: [f64; 6] = [1.02, 1.05, 1.1, 1.25, 1.5, 2.0];

/// A sample: minutes since the start of the run, ratio to the median of its arm, whether it is
/// valid.
type Dot = (f64, f64, bool);

/// The primary metric of each sample over the time of the run. The same slope in all lanes is a
/// change of the machine; two levels in one lane are two modes of a server.
pub fn samples(run: &Run, cell: &Cell, of: &CellAnalysis) -> String {
    let metric = cell.primary_metric.as_str();
    let lanes = of
        .rows
        .iter()
        .map(|row| (style(run, row.arm), dots(row, metric)));
    let lanes: Vec<(Style, Vec<Dot>)> = lanes.filter(|(_, dots)| dots.len() > 1).collect();
    if lanes.is_empty() {
        return String::new();
    }
    let all = || lanes.iter().flat_map(|(_, dots)| dots);
    let valid = all().filter(|(_, _, valid)| *valid);
    let limit = limit(valid.map(|(_, ratio, _)| *ratio), 10, &LANE_LIMITS);
    let bottom = 4.0 + LANE * count(&lanes);
    let mut drawing = Drawing::default();
    let end = all().fold(0.0, |end: f64, (minutes, _, _)| end.max(*minutes));
    let x = |minutes: f64| NAMES + (LANE_END - NAMES) * minutes / end.max(1e-3);
    drawing.text("tick", (NAMES, bottom + 13.5), "the run begins");
    drawing.text(
        "tick end",
        (LANE_END, bottom + 13.5),
        &format!("{end:.1} minutes later"),
    );
    let mut top = 4.0;
    for (style, dots) in &lanes {
        let scale = Scale::around_one(limit, (top + LANE - 3.0, top + 3.0));
        let middle = scale.position(1.0);
        drawing.name(style, middle + 4.0);
        drawing.line("one", &[(NAMES, middle), (LANE_END, middle)]);
        let positions = |is_valid: bool| -> Vec<(f64, f64)> {
            let dots = dots.iter().filter(|(_, _, valid)| *valid == is_valid);
            dots.map(|(minutes, ratio, _)| (x(*minutes), scale.position(*ratio)))
                .collect()
        };
        let (class, valid) = (&style.class, positions(true));
        drawing.line(&format!("thin {class}"), &valid);
        drawing.marks(&format!("spots {class}"), &valid, "h0");
        drawing.marks(
            &format!("cross {class}"),
            &positions(false),
            "m-2.5-2.5l5 5m0-5l-5 5",
        );
        top += LANE;
    }
    let caption = format!(
        "The {} of each sample over time: a lane is from &minus;{:.0} to +{:.0} % of the median of \
         its arm; crosses are invalid samples",
        escaped(&title(metric)),
        100.0 * (1.0 - 1.0 / limit),
        100.0 * (limit - 1.0)
    );
    drawing.figure(bottom + 18.0, &format!("{}: samples", cell.name), &caption)
}

fn dots(row: &Row, metric: &str) -> Vec<Dot> {
    let middle = row.median(metric).unwrap_or(0.0);
    let dot = |sample: &&crate::bench::types::Sample| {
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
