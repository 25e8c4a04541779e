//! Room `bench`: which system calls does an answer take?

use crate::bench::record::{Pass, Sample};
use crate::bench::report::scale::{Scale, count};
use crate::bench::report::svg::{Anchor, Drawing, Look, WIDTH, escaped};
use crate::bench::report::view::CellView;
use crate::bench::table::format;
use std::collections::BTreeMap;

const NAMES: f64 = 92.0;
const VALUES: f64 = 40.0;
const ROW: f64 = 22.0;
const BAR: f64 = 16.0;
/// Kinds of calls that have a tone of their own; the rest is one.
const MOST: usize = 6;
/// Width of a character of the plots, about.
const CHARACTER: f64 = 5.9;
/// What is less is not worth a sign.
const NOTHING: f64 = 0.0005;

type Row = (Look, BTreeMap<String, f64>);

/// The plot of a cell, with the numbers as a table below it.
pub fn plot(cell: &CellView) -> String {
    let mut rows: Vec<Row> = Vec::new();
    for row in cell.ranked() {
        let ours = |sample: &&Sample| {
            let place = (sample.cell, sample.arm) == (cell.said.cell, row.arm);
            place && sample.pass == Pass::Calls && !sample.syscalls.is_empty()
        };
        if let Some(sample) = cell.view.run.samples.iter().find(ours) {
            // As in the sum: see `crate::bench::runner::syscalls::sum`.
            let mut calls = sample.syscalls.clone();
            calls.remove("futex");
            rows.push((cell.look(row), calls));
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, many) in rows.iter().flat_map(|(_, calls)| calls.iter()) {
        *sums.entry(name.as_str()).or_default() += many;
    }
    let mut names: Vec<(&str, f64)> = sums.into_iter().collect();
    names.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let shown: Vec<&str> = names.iter().map(|(name, _)| *name).take(MOST).collect();
    let title = format!("{}: system calls of an answer", cell.cell.name);
    let mut drawing = Drawing::new(4.0 + ROW * count(rows.len()), &title);
    let whole = rows.iter().map(|(_, calls)| calls.values().sum());
    let scale = Scale::linear(whole, NAMES, WIDTH - VALUES);
    let mut top = 4.0;
    for row in &rows {
        bar(&mut drawing, row, &shown, (&scale, top));
        top += ROW;
    }
    let keys = shown.iter().enumerate().map(|(number, name)| {
        let name = escaped(name);
        format!("<span class=\"nobr\"><i class=\"swatch k{number}\"></i>{name}</span>")
    });
    let keys: Vec<String> = keys.collect();
    let caption = format!(
        "System calls for each answer, by name, without futex (counted in a pass of its own): {}, \
         <span class=\"nobr\"><i class=\"swatch k{MOST}\"></i>others</span>",
        keys.join(", ")
    );
    let figure = drawing.figure(&caption);
    let table = table(&rows, &shown);
    figure.replace("</figure>", &format!("{table}</figure>"))
}

/// The parts of a row: those that have a name, and the rest.
fn parts(calls: &BTreeMap<String, f64>, shown: &[&str]) -> (Vec<f64>, f64) {
    let of = |name: &&str| calls.get(*name).copied().unwrap_or(0.0);
    let mut parts: Vec<f64> = shown.iter().map(of).collect();
    let all: f64 = calls.values().sum();
    parts.resize(MOST, 0.0);
    parts.push((all - parts.iter().sum::<f64>()).max(0.0));
    (parts, all)
}

fn bar(drawing: &mut Drawing, (look, calls): &Row, shown: &[&str], (scale, top): (&Scale, f64)) {
    drawing.name_before(look, (NAMES - 6.0, top + 12.0));
    let (parts, all) = parts(calls, shown);
    let mut told = Vec::new();
    let mut begun = 0.0;
    for (number, part) in parts.iter().enumerate() {
        let (from, to) = (scale.place(begun), scale.place(begun + part));
        begun += part;
        let size = (to - from - 0.8, BAR);
        drawing.bar(&format!("part k{number}"), (from, top), size);
        let name = shown.get(number).copied().unwrap_or("others");
        if count(name.chars().count()) * CHARACTER + 4.0 < to - from {
            let place = (from.midpoint(to), top + 11.8);
            drawing.text("within", place, Anchor::Middle, name);
        }
        if *part >= NOTHING {
            told.push(format!("{name} {}", format::thousands(*part)));
        }
    }
    let place = (scale.place(all) + 5.0, top + 12.0);
    drawing.text("value", place, Anchor::Start, &format::thousands(all));
    drawing.tell(format!("{}: {}.", look.name, told.join(", ")));
}

fn table(rows: &[Row], shown: &[&str]) -> String {
    let mut table = String::from(
        "<details><summary>As numbers</summary><div class=\"scroll\" tabindex=\"0\"><table>\
         <tr><th></th>",
    );
    for name in shown {
        table += &format!("<th>{}</th>", escaped(name));
    }
    table += "<th>others</th><th>all</th></tr>";
    for (look, calls) in rows {
        let (class, name) = (&look.class, escaped(&look.name));
        table += &format!("<tr><th class=\"{class}\">{}{name}</th>", look.key());
        let (parts, all) = parts(calls, shown);
        let named = parts.iter().take(shown.len()).copied();
        for many in named.chain(parts.last().copied()).chain([all]) {
            let text = match many {
                nothing if nothing < NOTHING => "·".to_owned(),
                many => format::thousands(many),
            };
            table += &format!("<td>{text}</td>");
        }
        table += "</tr>";
    }
    table + "</table></div></details>"
}
