//! Room `bench`: who is how many times better than the reference, and how sure is that? A sign for
//! the middle of the ratios, a line for where the truth may lie, faint dots for the single rounds,
//! and a band for what chance alone does. In all panels of a page a step of the same length is the
//! same ratio, and to the right is better.

use crate::bench::analysis::{Row, Verdict};
use crate::bench::metrics::Better;
use crate::bench::report::numbers;
use crate::bench::report::scale::{Scale, count};
use crate::bench::report::svg::{Anchor, Drawing, WIDTH, escaped};
use crate::bench::report::view::{CellView, View};
use crate::bench::table::format;

const NAMES: f64 = 90.0;
const TEXTS: f64 = 127.0;
const ROW: f64 = 19.0;
const TOP: f64 = 18.0;
/// How far the axis of all panels may reach: 1.5 is from 0.67 to 1.5 times.
const REACHES: [f64; 8] = [1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0];
/// The part of all ratios that are to be on it; the rest is at its ends, as an arrow.
const PART: f64 = 0.75;

/// The panels of all cells.
pub fn panels(view: &View) -> String {
    let reach = reach(view);
    view.cells().map(|cell| panel(&cell, reach)).collect()
}

/// The axis that holds most of the ratios.
fn reach(view: &View) -> f64 {
    let rows = view.analysis.cells.iter().flat_map(|cell| &cell.rows);
    let ratios = rows.filter_map(|row| row.ratio);
    let mut sizes: Vec<f64> = ratios
        .map(|ratio| ratio.median.ln().abs().exp())
        .filter(|size| !size.is_nan())
        .collect();
    sizes.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a length"
    )]
    let index = (count(sizes.len().saturating_sub(1)) * PART).floor() as usize;
    let most = sizes.get(index).copied().unwrap_or(1.0) * 1.1;
    let enough = REACHES.into_iter().find(|reach| *reach >= most);
    enough.unwrap_or(100.0)
}

fn panel(cell: &CellView, reach: f64) -> String {
    let rows: Vec<&Row> = cell.said.rows.iter().collect();
    if rows.iter().all(|row| row.ratio.is_none()) {
        return String::new();
    }
    let better = numbers::better(&cell.cell.primary_metric);
    let (left, right) = (NAMES + 2.0, WIDTH - TEXTS);
    let scale = match better {
        Better::Lower => Scale::around_one(reach, right, left),
        _ => Scale::around_one(reach, left, right),
    };
    let bottom = TOP + ROW * count(rows.len());
    let title = format!("{}: ratios to the reference", cell.cell.name);
    let mut drawing = Drawing::new(bottom + 18.0, &title);
    let low = scale.place(1.0 / (1.0 + cell.said.band));
    let high = scale.place(1.0 + cell.said.band);
    let size = ((high - low).abs(), bottom - TOP);
    drawing.bar("band", (low.min(high), TOP), size);
    for tick in scale.ticks(3) {
        let x = scale.place(tick);
        drawing.line("grid", (x, TOP), (x, bottom));
        let text = numbers::times(tick);
        drawing.text("tick", (x, bottom + 13.5), Anchor::Middle, &text);
    }
    if better != Better::Neither {
        drawing.text("tick", (left, 11.0), Anchor::Start, "← worse");
        drawing.text("tick", (right, 11.0), Anchor::End, "better →");
    }
    let one = scale.place(1.0);
    drawing.line("one", (one, TOP - 2.0), (one, bottom + 2.0));
    let mut middle = TOP + ROW / 2.0;
    for row in rows {
        draw(&mut drawing, cell, row, &scale, middle);
        middle += ROW;
    }
    drawing.figure(&caption(cell))
}

fn draw(drawing: &mut Drawing, cell: &CellView, row: &Row, scale: &Scale, middle: f64) {
    let look = cell.look(row);
    drawing.name_before(&look, (NAMES - 6.0, middle + 4.0));
    let value = cell
        .shown(row, &cell.cell.primary_metric)
        .unwrap_or_default();
    let told = match row.ratio {
        Some(ratio) => {
            let rounds: Vec<(f64, f64)> = row
                .ratios
                .iter()
                .filter(|(_, one)| scale.holds(*one))
                .map(|(_, one)| (scale.place(*one), middle))
                .collect();
            drawing.dots(&format!("faint {}", look.class), &rounds);
            let (low, high) = (scale.place(ratio.low), scale.place(ratio.high));
            let whisker = format!("whisker {}", look.class);
            drawing.line(&whisker, (low, middle), (high, middle));
            let word = row.verdict.word(&cell.cell.primary_metric);
            let told = format!("{}: {}, {word}.", look.name, format::estimate(&ratio));
            drawing.tell(told);
            let middle = format::thousands(ratio.median);
            let word = if row.verdict.claims() { word } else { "" };
            format!("{middle}× {word}")
        }
        None if row.samples == 0 || row.verdict == Verdict::Missing => "no result".to_owned(),
        None => value,
    };
    let at = row.ratio.map_or(1.0, |ratio| ratio.median);
    if scale.holds(at) && told != "no result" {
        drawing.mark(&look, (scale.place(at), middle), 4.0);
    } else if row.ratio.is_some() {
        arrow(
            drawing,
            &format!("dot {}", look.class),
            (scale.place(at), middle),
            scale,
        );
    }
    let place = (WIDTH - TEXTS + 10.0, middle + 4.0);
    drawing.text("value", place, Anchor::Start, &told);
}

/// Where a ratio is beyond the axis.
fn arrow(drawing: &mut Drawing, class: &str, (x, y): (f64, f64), scale: &Scale) {
    let tip = if x > scale.place(1.0) { 6.0 } else { -6.0 };
    let corners = [(x - tip, y - 4.5), (x + tip / 2.0, y), (x - tip, y + 4.5)];
    drawing.path(class, &corners);
}

/// `keepalive c=64: req/s, more is better`
fn caption(cell: &CellView) -> String {
    let metric = escaped(&numbers::title(&cell.cell.primary_metric));
    let better = match numbers::better(&cell.cell.primary_metric) {
        Better::Higher => ", more is better",
        Better::Lower => ", less is better",
        Better::Neither => "",
    };
    let stamp = if cell.said.proven {
        ""
    } else {
        " <b class=\"bad\">unproven</b>"
    };
    let (name, anchor) = (escaped(&cell.cell.name), cell.anchor());
    format!("<a href=\"#{anchor}\"><b>{name}</b></a>: {metric}{better}{stamp}")
}
