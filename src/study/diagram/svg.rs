//! A sequence diagram as SVG 1.1: a lane for each client, one for the kernel, one for each thread
//! of the server, and a row for each call. It needs no script and no font of its own, and has
//! colours for a light and a dark page.

use super::rows::{Arrow, Row, Wait};
use std::collections::HashMap;
use std::fmt::Write;

/// Height of a row, and width of a lane, in CSS pixels.
const ROW: f64 = 24.0;
const LANE: f64 = 84.0;
/// Where the first lane and the first row are.
const LEFT: f64 = 96.0;
const TOP: f64 = 78.0;
/// Width of the texts at the right, and height of the legend.
const TEXT: f64 = 470.0;
const LEGEND: f64 = 58.0;
/// Between two rows that are farther apart, in microseconds, stands how much time has passed.
const GAP: f64 = 10_000.0;
/// Half the width of the bar of a thread.
const BAR: f64 = 6.0;
/// Ends of an arrow.
const RIGHT: &str = "m-5 -4l5 4l-5 4";
const LEFTWARD: &str = "m5 -4l-5 4l5 4";
const CROSS: &str = "m-4 -4l8 8m0 -8l-8 8";
/// The number of colours for connections.
const COLOURS: usize = 6;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1c1c1c}\
.title{font-size:16px;font-weight:600}\
.mono{font:12px ui-monospace,Menlo,Consolas,monospace}\
.dim{fill:#5c5c5c}\
.page{fill:#fff}.stripe{fill:#f4f5f7}\
.lane{stroke:#b5b8bd;stroke-dasharray:2 4}\
.alive{stroke-width:2}\
.busy{fill:#9aa0a8}.wait{fill:url(#hatch);stroke:#9aa0a8}.hatch{stroke:#9aa0a8;stroke-width:2}\
.arrow{stroke-width:1.6;fill:none}.unseen{stroke-dasharray:4 3}\
.c0{stroke:#0072b2}.c1{stroke:#c04f00}.c2{stroke:#007a5a}.c3{stroke:#a8477f}\
.c4{stroke:#7a6a00}.c5{stroke:#2c7fb0}.k{stroke:#5c5c5c}\
.f0{fill:#0072b2}.f1{fill:#c04f00}.f2{fill:#007a5a}.f3{fill:#a8477f}\
.f4{fill:#7a6a00}.f5{fill:#2c7fb0}.fk{fill:#5c5c5c}\
@media(prefers-color-scheme:dark){text{fill:#e8e8e8}.dim{fill:#a8acb2}.page{fill:#16181c}\
.stripe{fill:#1e2126}.lane{stroke:#555a62}.busy{fill:#7c838d}.wait{stroke:#7c838d}\
.hatch{stroke:#7c838d}\
.c0{stroke:#56b4e9}.c1{stroke:#f0913d}.c2{stroke:#2fc398}.c3{stroke:#e29cc4}\
.c4{stroke:#e0cf3a}.c5{stroke:#8fcdf2}.k{stroke:#a8acb2}\
.f0{fill:#56b4e9}.f1{fill:#f0913d}.f2{fill:#2fc398}.f3{fill:#e29cc4}\
.f4{fill:#e0cf3a}.f5{fill:#8fcdf2}.fk{fill:#a8acb2}}";

/// Where the lanes are.
struct Lanes {
    clients: Vec<u64>,
    threads: Vec<Option<u64>>,
}

impl Lanes {
    fn of(rows: &[Row]) -> Self {
        let mut clients: Vec<_> = rows.iter().filter_map(|row| row.connection).collect();
        clients.sort_unstable();
        clients.dedup();
        let mut threads = Vec::new();
        for row in rows {
            if !threads.contains(&row.thread) {
                threads.push(row.thread);
            }
        }
        Self { clients, threads }
    }

    fn column(&self, index: usize) -> f64 {
        LEFT + LANE * (index as f64 + 0.5)
    }

    fn index_of(&self, connection: u64) -> usize {
        let found = self.clients.iter().position(|id| *id == connection);
        found.unwrap_or(self.clients.len())
    }

    fn client(&self, connection: u64) -> f64 {
        self.column(self.index_of(connection))
    }

    fn kernel(&self) -> f64 {
        self.column(self.clients.len())
    }

    fn thread(&self, thread: Option<u64>) -> f64 {
        self.column(self.clients.len() + 1 + self.thread_index(thread))
    }

    fn thread_index(&self, thread: Option<u64>) -> usize {
        let found = self.threads.iter().position(|known| *known == thread);
        found.unwrap_or(self.threads.len())
    }

    /// Threads and processes are numbered from 1, in the order in which they appear.
    fn thread_name(&self, index: usize) -> String {
        match self.threads.len() {
            1 => "server".to_owned(),
            _ => format!("thread {}", index + 1),
        }
    }

    fn right(&self) -> f64 {
        LEFT + LANE * (self.clients.len() + 1 + self.threads.len()) as f64
    }
}

/// The diagram of these rows.
pub fn draw(rows: &[Row], title: &str) -> String {
    let lanes = Lanes::of(rows);
    let places = places(rows);
    let bottom = places.last().map_or(TOP, |y| y + ROW);
    let (width, height) = (lanes.right() + TEXT, bottom + LEGEND);
    let mut out = String::new();
    put(
        &mut out,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" \
             aria-labelledby=\"title description\">\n\
         <title id=\"title\">{}</title>\n<desc id=\"description\">{}</desc>\n\
         <style>{STYLE}</style>\n\
         <defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><path class=\"hatch\" d=\"M0 0v6\"/></pattern></defs>\n\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n\
         <text class=\"title\" x=\"16\" y=\"26\">{}</text>\n",
            escaped(title),
            described(rows, &lanes),
            escaped(title),
        ),
    );
    draw_lanes(&mut out, &lanes, rows, &places, bottom);
    draw_bars(&mut out, &lanes, rows, &places);
    draw_rows(&mut out, &lanes, rows, &places);
    draw_legend(&mut out, &lanes, bottom);
    out.push_str("</svg>\n");
    out
}

/// The height of each row: those after a gap stand lower.
fn places(rows: &[Row]) -> Vec<f64> {
    let mut y = TOP;
    let mut before: Option<f64> = None;
    let place = |row: &Row| {
        let gap = before.is_some_and(|before| row.us - before >= GAP);
        y += if gap { 2.0 * ROW } else { ROW };
        before = Some(row.us);
        y
    };
    rows.iter().map(place).collect()
}

/// A text alternative for screen readers.
fn described(rows: &[Row], lanes: &Lanes) -> String {
    let start = rows.first().map_or(0.0, |row| row.us);
    let mut out = String::new();
    for row in rows {
        let connection = match row.connection {
            Some(id) => format!("client {id}"),
            None => "loop".to_owned(),
        };
        let thread = lanes.thread_name(lanes.thread_index(row.thread));
        let time = milliseconds(row.us - start);
        put(
            &mut out,
            format_args!("{time}, {connection}, {thread}: {}\n", escaped(&row.text)),
        );
    }
    out
}

fn draw_lanes(out: &mut String, lanes: &Lanes, rows: &[Row], places: &[f64], bottom: f64) {
    let mut lane = |x: f64, name: &str, class: &str| {
        put(
            out,
            format_args!(
                "<text class=\"{class}\" x=\"{x}\" y=\"56\" text-anchor=\"middle\">{name}</text>\
             <path class=\"lane\" d=\"M{x} 66V{bottom}\"/>\n"
            ),
        );
    };
    for (index, id) in lanes.clients.iter().enumerate() {
        let class = format!("f{}", index % COLOURS);
        lane(lanes.column(index), &format!("client {id}"), &class);
    }
    lane(lanes.kernel(), "kernel", "dim");
    for (index, thread) in lanes.threads.iter().enumerate() {
        lane(lanes.thread(*thread), &lanes.thread_name(index), "");
    }
    // The life of a connection: from its first row to its last.
    let mut ends: HashMap<u64, (f64, f64)> = HashMap::new();
    for (row, y) in rows.iter().zip(places) {
        if let Some(id) = row.connection {
            ends.entry(id).or_insert((*y, *y)).1 = *y;
        }
    }
    for (index, id) in lanes.clients.iter().enumerate() {
        if let Some((from, to)) = ends.get(id) {
            let (x, colour) = (lanes.column(index), index % COLOURS);
            put(
                out,
                format_args!("<path class=\"alive c{colour}\" d=\"M{x} {from}V{to}\"/>\n"),
            );
        }
    }
}

/// What each thread does: a filled bar while it works, a hatched one while it waits.
fn draw_bars(out: &mut String, lanes: &Lanes, rows: &[Row], places: &[f64]) {
    for thread in &lanes.threads {
        let x = lanes.thread(*thread) - BAR;
        let mut before: Option<f64> = None;
        let theirs = rows
            .iter()
            .zip(places)
            .filter(|(row, _)| row.thread == *thread);
        for (row, y) in theirs {
            let waits = row.wait == Some(Wait::End);
            let from = match (before, waits) {
                (Some(before), _) => before,
                // It has waited since before the diagram begins.
                (None, true) => TOP,
                (None, false) => *y,
            };
            let class = if waits { "wait" } else { "busy" };
            let (width, height) = (2.0 * BAR, y - from);
            put(
                out,
                format_args!(
                    "<rect class=\"{class}\" x=\"{x}\" y=\"{from}\" width=\"{width}\" \
                 height=\"{height}\"/>\n"
                ),
            );
            before = Some(*y);
        }
    }
}

fn draw_rows(out: &mut String, lanes: &Lanes, rows: &[Row], places: &[f64]) {
    let start = rows.first().map_or(0.0, |row| row.us);
    let (right, mut before) = (lanes.right(), start);
    for (row, y) in rows.iter().zip(places) {
        if row.us - before >= GAP {
            let (middle, passed) = (y - ROW, milliseconds(row.us - before));
            put(
                out,
                format_args!(
                    "<text class=\"mono dim\" x=\"16\" y=\"{}\">⋮ {passed}</text>\n",
                    middle + 4.0
                ),
            );
        }
        before = row.us;
        let text = y + 4.0;
        let colour = row.connection.map(|id| lanes.index_of(id) % COLOURS);
        let fill = colour.map_or_else(|| "fk".to_owned(), |number| format!("f{number}"));
        let name = row
            .connection
            .map_or_else(|| "loop".to_owned(), |id| id.to_string());
        put(
            out,
            format_args!(
                "<text class=\"mono dim\" x=\"16\" y=\"{text}\">{}</text>\
             <text class=\"mono {fill}\" x=\"{}\" y=\"{text}\" text-anchor=\"end\">{name}</text>\
             <text class=\"mono\" x=\"{}\" y=\"{text}\">{}</text>\n",
                milliseconds(row.us - start),
                right + 32.0,
                right + 44.0,
                escaped(&row.text),
            ),
        );
        draw_arrow(out, lanes, row, *y, colour);
    }
}

fn draw_arrow(out: &mut String, lanes: &Lanes, row: &Row, y: f64, colour: Option<usize>) {
    let (kernel, thread) = (lanes.kernel(), lanes.thread(row.thread) - BAR);
    let client = row.connection.map(|id| lanes.client(id));
    let class = colour.map_or_else(|| "k".to_owned(), |number| format!("c{number}"));
    let mut line = |from: f64, to: f64, unseen: &str, head: &str| {
        put(
            out,
            format_args!(
                "<path class=\"arrow {class}{unseen}\" d=\"M{from} {y}H{to}\"/>\
                 <path class=\"arrow {class}\" d=\"M{to} {y}{head}\"/>\n"
            ),
        );
    };
    match (row.arrow, client) {
        (Arrow::In, Some(client)) => {
            line(client, kernel, " unseen", RIGHT);
            line(kernel, thread, "", RIGHT);
        }
        (Arrow::Out, Some(client)) => {
            line(thread, kernel, "", LEFTWARD);
            line(kernel, client, " unseen", LEFTWARD);
        }
        (Arrow::Failed, _) => line(thread, kernel, "", CROSS),
        (Arrow::Events, _) => line(kernel, thread, "", RIGHT),
        (Arrow::In | Arrow::Out, None) | (Arrow::None, _) => {}
    }
}

fn draw_legend(out: &mut String, lanes: &Lanes, bottom: f64) {
    let (first, second) = (bottom + 24.0, bottom + 44.0);
    let (one, other) = (first - 12.0, second - 12.0);
    let x = lanes.right() + 44.0;
    put(
        out,
        format_args!(
            "<rect class=\"busy\" x=\"16\" y=\"{one}\" width=\"12\" height=\"14\"/>\
         <text class=\"dim\" x=\"36\" y=\"{first}\">the thread works</text>\
         <rect class=\"wait\" x=\"16\" y=\"{other}\" width=\"12\" height=\"14\"/>\
         <text class=\"dim\" x=\"36\" y=\"{second}\">\
             it waits in a call of a millisecond or more</text>\
         <path class=\"arrow k\" d=\"M{from} {a}h24\"/>\
         <text class=\"dim\" x=\"{x}\" y=\"{first}\">a system call or operation</text>\
         <path class=\"arrow k unseen\" d=\"M{from} {b}h24\"/>\
         <text class=\"dim\" x=\"{x}\" y=\"{second}\">\
             the network: the server does not see when</text>\n",
            a = first - 4.0,
            b = second - 4.0,
            from = x - 34.0
        ),
    );
}

fn milliseconds(us: f64) -> String {
    format!("{:.1} ms", us / 1000.0)
}

/// Text between tags.
fn escaped(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    // Control characters are not allowed in XML.
    text.replace(|c: char| c.is_control() && c != '\n', "\u{FFFD}")
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    assert!(written.is_ok(), "writing to a string does not fail");
}
