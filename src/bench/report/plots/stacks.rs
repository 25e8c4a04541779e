//! Room `bench`: what the processor time of an answer is made of, and which system calls it takes.

use crate::bench::record::Pass;
use crate::bench::report::svg::{Anchor, Drawing, Scale, WIDTH};
use crate::bench::report::view::CellView;
use crate::bench::run::calls::sum;
use crate::bench::table::format;
use std::collections::BTreeMap;

const NAMES: f64 = 76.0;
const VALUES: f64 = 60.0;
const ROW: f64 = 22.0;
/// Kinds of calls that have a row of their own in the text.
const MOST_CALLS: usize = 6;

/// Processor time outside and inside the kernel.
pub fn processor(cell: &CellView) -> String {
    let mut rows = Vec::new();
    for row in cell.ranked() {
        let part = |name: &str| row.medians.get(name).copied();
        if let (Some(user), Some(system)) = (part("cpu_user"), part("cpu_system")) {
            rows.push((row.arm, user, system));
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let whole = rows.iter().map(|(_, user, system)| user + system);
    let scale = Scale::linear(whole, NAMES, WIDTH - VALUES);
    let title = format!("{}: processor time of an answer", cell.cell.name);
    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    let mut drawing = Drawing::new(4.0 + ROW * rows.len() as f64, &title);
    let mut top = 4.0;
    for (arm, user, system) in rows {
        let class = cell.view.class(arm);
        let name = (NAMES - 6.0, top + 12.0);
        drawing.text(
            &format!("name {class}"),
            name,
            Anchor::End,
            cell.view.arm(arm),
        );
        let (from, middle) = (scale.place(0.0), scale.place(user));
        let end = scale.place(user + system);
        drawing.bar(&format!("fill {class}"), (from, top), (middle - from, 15.0));
        drawing.bar(
            &format!("soft {class}"),
            (middle, top),
            (end - middle, 15.0),
        );
        let told = format!("{} us", format::thousands(user + system));
        drawing.text("value", (end + 5.0, top + 12.0), Anchor::Start, &told);
        top += ROW;
    }
    drawing.figure("Processor time for each answer: outside the kernel (dark), inside (light)")
}

/// System calls of an answer by name, as a table: names are what one wants to read of it.
pub fn calls(cell: &CellView) -> String {
    let mut rows: Vec<(usize, &BTreeMap<String, f64>)> = Vec::new();
    for row in cell.ranked() {
        let ours = |sample: &&crate::bench::record::Sample| {
            let place = (sample.cell, sample.arm) == (cell.said.cell, row.arm);
            place && sample.pass == Pass::Calls && !sample.syscalls.is_empty()
        };
        if let Some(sample) = cell.view.run.samples.iter().find(ours) {
            rows.push((row.arm, &sample.syscalls));
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, count) in rows.iter().flat_map(|(_, calls)| calls.iter()) {
        *sums.entry(name.as_str()).or_default() += count;
    }
    let mut names: Vec<(&str, f64)> = sums.into_iter().collect();
    names.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let shown: Vec<&str> = names
        .iter()
        .map(|(name, _)| *name)
        .take(MOST_CALLS)
        .collect();
    let mut table = String::from(
        "<figure class=\"wide\"><figcaption>System calls for each answer, by name (strace, in a \
         pass of its own)</figcaption><div class=\"scroll\"><table><tr><th></th>",
    );
    for name in &shown {
        table += &format!("<th>{}</th>", crate::bench::report::svg::escaped(name));
    }
    table += "<th>others</th><th>all but futex</th></tr>";
    for (arm, calls) in rows {
        let name = crate::bench::report::svg::escaped(cell.view.arm(arm));
        table += &format!("<tr><th class=\"{}\">{name}</th>", cell.view.class(arm));
        let of = |name: &&str| calls.get(*name).copied().unwrap_or(0.0);
        let all: f64 = calls.values().sum();
        let told: f64 = shown.iter().map(of).sum();
        let counts = shown.iter().map(of).chain([all - told, sum(calls)]);
        for count in counts {
            let text = match count {
                nothing if nothing < 0.0005 => "·".to_owned(),
                count => format::thousands(count),
            };
            table += &format!("<td>{text}</td>");
        }
        table += "</tr>";
    }
    table + "</table></div></figure>\n"
}
