//! Room `bench`: the few shapes that the plots are made of, as SVG 1.1 inside HTML. All plots have
//! the width of a phone, so their text has the same size everywhere.

use std::fmt::Write;

/// Width of every plot, in CSS pixels at full size.
pub const WIDTH: f64 = 340.0;

/// How far a point may be beside a line that leaves it out.
const BESIDE: f64 = 0.3;

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

/// The sign of an arm: with its colour and its name it is told twice, and once without colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A disc.
    Disc,
    /// A square on its corner.
    Diamond,
    /// A triangle on its side.
    Up,
    /// A square.
    Square,
    /// A triangle on its point.
    Down,
    /// An upright cross.
    Plus,
    /// A lying one.
    Times,
    /// A standing bar.
    Bar,
}

impl Shape {
    /// Its outline around a place, as a path that is closed.
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

/// How an arm looks in every plot and table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The class that gives its colour.
    pub class: String,
    /// Its sign.
    pub shape: Shape,
    /// The reference once more has the sign of the reference, hollow.
    pub hollow: bool,
    /// Its name, short enough to stand beside a plot.
    pub name: String,
}

impl Look {
    /// The sign as a picture in a line of text.
    pub fn key(&self) -> String {
        let kind = if self.hollow { "hollow" } else { "dot" };
        format!(
            "<svg class=\"key\" viewBox=\"0 0 12 12\" aria-hidden=\"true\"><path class=\"{kind} \
             {}\" d=\"{}\"/></svg>",
            self.class,
            self.shape.path((6.0, 6.0), 4.0)
        )
    }
}

/// A drawing.
#[derive(Debug)]
pub struct Drawing {
    body: String,
    height: f64,
    title: String,
    told: Vec<String>,
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
    /// An empty one.
    pub fn new(height: f64, title: &str) -> Self {
        Self {
            body: String::new(),
            height,
            title: escaped(title),
            told: Vec::new(),
        }
    }

    /// A part of what is to be seen, in words, for those who cannot see it.
    pub fn tell(&mut self, sentence: String) {
        self.told.push(sentence);
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

    /// The sign of an arm.
    pub fn mark(&mut self, look: &Look, place: (f64, f64), radius: f64) {
        let (kind, class) = (if look.hollow { "hollow" } else { "dot" }, &look.class);
        let path = look.shape.path(place, radius);
        let _ = write!(self.body, "<path class=\"{kind} {class}\" d=\"{path}\"/>");
    }

    /// Many small dots, as one path with round ends.
    pub fn dots(&mut self, class: &str, places: &[(f64, f64)]) {
        self.shape(class, places, |path, (x, y)| {
            let _ = write!(path, "M{x:.1} {y:.1}h0");
        });
    }

    /// Many small crosses.
    pub fn crosses(&mut self, class: &str, places: &[(f64, f64)]) {
        self.shape(class, places, |path, (x, y)| {
            let _ = write!(path, "M{:.1} {:.1}l5 5m0-5l-5 5", x - 2.5, y - 2.5);
        });
    }

    fn shape(&mut self, class: &str, places: &[(f64, f64)], one: impl Fn(&mut String, (f64, f64))) {
        if places.is_empty() {
            return;
        }
        let mut path = String::new();
        for place in places {
            one(&mut path, *place);
        }
        let _ = write!(self.body, "<path class=\"{class}\" d=\"{path}\"/>");
    }

    /// A line through points, in their order. Those that lie on the line between their neighbours
    /// are left out.
    pub fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.is_empty() {
            return;
        }
        let _ = write!(self.body, "<path class=\"{class}\" d=\"");
        for (number, (x, y)) in simpler(points).iter().enumerate() {
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

    /// The name of an arm with its sign, which ends at a place: before a row.
    pub fn name_before(&mut self, look: &Look, (x, y): (f64, f64)) {
        self.mark(look, (x - 5.0, y - 3.8), 3.4);
        let class = format!("name {}", look.class);
        self.text(&class, (x - 13.0, y), Anchor::End, &look.name);
    }

    /// The name of an arm with its sign, which begins at a place: behind a line.
    pub fn name_after(&mut self, look: &Look, (x, y): (f64, f64)) {
        self.mark(look, (x + 4.0, y - 3.8), 3.4);
        let class = format!("name {}", look.class);
        self.text(&class, (x + 11.0, y), Anchor::Start, &look.name);
    }

    /// The drawing as a figure. The caption is text with tags, already escaped.
    pub fn figure(self, caption: &str) -> String {
        let (title, body, height) = (self.title, self.body, self.height);
        let told = escaped(&self.told.join(" "));
        format!(
            "<figure><figcaption>{caption}</figcaption><svg viewBox=\"0 0 {WIDTH} {height:.0}\" \
             role=\"img\"><title>{title}</title><desc>{told}</desc>{body}</svg></figure>\n"
        )
    }
}

/// The points without those that nobody would miss: a line from the last kept one past them has
/// them all within [`BESIDE`].
fn simpler(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    let mut skipped: Vec<(f64, f64)> = Vec::new();
    for point in points {
        let Some(last) = kept.last().copied() else {
            kept.push(*point);
            continue;
        };
        if !skipped.iter().all(|one| is_beside(last, *point, *one)) {
            kept.extend(skipped.last().copied());
            skipped.clear();
        }
        skipped.push(*point);
    }
    kept.extend(skipped.last().copied());
    kept
}

fn is_beside((ax, ay): (f64, f64), (bx, by): (f64, f64), (x, y): (f64, f64)) -> bool {
    let (dx, dy) = (bx - ax, by - ay);
    let length = dx.hypot(dy);
    if length < BESIDE {
        return (x - ax).hypot(y - ay) < BESIDE;
    }
    let along = ((x - ax) * dx + (y - ay) * dy) / length;
    let aside = ((x - ax) * dy - (y - ay) * dx).abs() / length;
    aside < BESIDE && (-BESIDE..=length + BESIDE).contains(&along)
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
    fn a_figure_has_a_title_and_tells_what_is_to_be_seen() {
        let mut drawing = Drawing::new(40.0, "a < b");
        drawing.tell("a is 1.".to_owned());
        drawing.tell("b is 2.".to_owned());
        drawing.dots("c", &[(1.0, 2.0), (3.0, 4.06)]);
        drawing.bar("nothing", (1.0, 1.0), (0.0, 5.0));
        let wanted = "<figure><figcaption>What</figcaption><svg viewBox=\"0 0 340 40\" \
                      role=\"img\"><title>a &lt; b</title><desc>a is 1. b is 2.</desc>\
                      <path class=\"c\" d=\"M1.0 2.0h0M3.0 4.1h0\"/></svg></figure>\n";
        assert_eq!(drawing.figure("What"), wanted);
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
            simpler(&stairs),
            [(0.0, 0.0), (2.0, 0.0), (2.0, 9.0), (3.0, 9.0)]
        );
        let there_and_back = [(0.0, 0.0), (9.0, 0.0), (4.0, 0.0)];
        assert_eq!(simpler(&there_and_back), there_and_back);
        assert_eq!(simpler(&[]), []);
    }

    proptest! {
        #[test]
        fn what_is_left_out_of_a_line_is_near_it(
            points in proptest::collection::vec((0.0..300.0_f64, 0.0..150.0_f64), 1..60),
        ) {
            let kept = simpler(&points);
            prop_assert_eq!(kept.first(), points.first());
            prop_assert_eq!(kept.last(), points.last());
            for point in &points {
                let mut lines = kept.windows(2);
                let near = kept.contains(point)
                    || lines.any(|line| is_beside(line[0], line[1], *point));
                prop_assert!(near, "{point:?} {kept:?}");
            }
        }
    }
}
