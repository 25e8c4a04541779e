//! Room `bench`: a dot for the middle of the ratios to the reference, a line for where the truth
//! may lie, and a band for what chance alone does.

use crate::bench::analysis::Row;
use crate::bench::metrics::{Better, metric_named};
use crate::bench::report::svg::{Anchor, Drawing, Scale, WIDTH};
use crate::bench::report::view::CellView;
use crate::bench::table::format;

const NAMES: f64 = 72.0;
const TEXTS: f64 = 104.0;
const ROW: f64 = 19.0;

/// The panel of a cell.
pub fn panel(cell: &CellView) -> String {
    let rows: Vec<&Row> = cell.ranked();
    let ratios = rows.iter().filter_map(|row| row.ratio);
    let ends: Vec<f64> = ratios.flat_map(|one| [one.low, one.high]).collect();
    if ends.is_empty() {
        return String::new();
    }
    let (left, right) = (NAMES, WIDTH - TEXTS);
    let scale = Scale::log(ends.into_iter().chain([0.8, 1.25]), left, right);
    let mut height = 6.0;
    let title = format!("{}: ratios to the reference", cell.cell.name);
    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    let bottom = height + ROW * rows.len() as f64;
    let mut drawing = Drawing::new(bottom + 18.0, &title);
    let band = (1.0 - cell.said.band, 1.0 + cell.said.band);
    let from = scale.place(band.0);
    drawing.bar(
        "band",
        (from, 4.0),
        (scale.place(band.1) - from, bottom - 4.0),
    );
    for tick in scale.ticks(5) {
        let x = scale.place(tick);
        drawing.line("grid", (x, 4.0), (x, bottom));
        let text = format!("{}", (tick * 1e6).round() / 1e6);
        drawing.text("tick", (x, bottom + 13.0), Anchor::Middle, &text);
    }
    let one = scale.place(1.0);
    drawing.line("one", (one, 2.0), (one, bottom + 2.0));
    for row in rows {
        let middle = height + ROW / 2.0;
        draw(&mut drawing, cell, row, &scale, middle);
        height += ROW;
    }
    drawing.figure(&caption(cell))
}

fn draw(drawing: &mut Drawing, cell: &CellView, row: &Row, scale: &Scale, middle: f64) {
    let class = cell.view.class(row.arm);
    let name = cell.view.arm(row.arm);
    let text = (NAMES - 6.0, middle + 4.0);
    drawing.text(&format!("name {class}"), text, Anchor::End, name);
    let (dot, told) = match row.ratio {
        Some(ratio) => {
            let (low, high) = (scale.place(ratio.low), scale.place(ratio.high));
            let whisker = format!("whisker {class}");
            drawing.line(&whisker, (low, middle), (high, middle));
            let middle = format::thousands(ratio.median);
            let word = row.verdict.word(&cell.cell.headline);
            let word = if row.verdict.claims() { word } else { "" };
            (ratio.median, format!("{middle}× {word}"))
        }
        None if row.samples == 0 => (f64::NAN, "no result".to_owned()),
        None => (1.0, "the reference".to_owned()),
    };
    if dot.is_finite() {
        let hollow = if cell.view.is_control(row.arm) {
            "hollow"
        } else {
            "dot"
        };
        drawing.dot(
            &format!("{hollow} {class}"),
            (scale.place(dot), middle),
            4.0,
        );
    }
    let place = (WIDTH - TEXTS + 8.0, middle + 4.0);
    drawing.text("value", place, Anchor::Start, &told);
}

/// `keepalive c=64: req/s, more is better`
fn caption(cell: &CellView) -> String {
    let metric = metric_named(&cell.cell.headline);
    let group = cell.cell.headline.rsplit_once('.');
    let group = group.map_or(String::new(), |(group, _)| format!("{group} "));
    let title = metric.map_or(cell.cell.headline.as_str(), |metric| metric.title);
    let better = match metric.map(|metric| metric.better) {
        Some(Better::Higher) => ", more is better",
        Some(Better::Lower) => ", less is better",
        _ => "",
    };
    let stamp = if cell.said.proven {
        ""
    } else {
        " — UNPROVEN"
    };
    format!("{}: {group}{title}{better}{stamp}", cell.cell.name)
}
