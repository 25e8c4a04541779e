//! Room `bench`: is everybody served? Only where somebody is not.

use crate::bench::report::scale::{Scale, count};
use crate::bench::report::svg::{Anchor, Drawing, WIDTH};
use crate::bench::report::view::CellView;
use crate::bench::table::format;

const NAMES: f64 = 92.0;
const VALUES: f64 = 120.0;
const ROW: f64 = 19.0;
const TOP: f64 = 4.0;
/// From here on all are served about alike.
const ALIKE: f64 = 0.95;

/// The plot of a cell.
pub fn plot(cell: &CellView) -> String {
    let mut rows = Vec::new();
    for row in cell.ranked() {
        if let Some(fairness) = row.medians.get("fairness") {
            let starved = row.medians.get("starved").copied().unwrap_or(0.0);
            rows.push((row, *fairness, starved));
        }
    }
    let unfair = |(_, fairness, starved): &(_, f64, f64)| *fairness < ALIKE || *starved >= 0.5;
    if !rows.iter().any(unfair) {
        return String::new();
    }
    let bottom = TOP + ROW * count(rows.len());
    let title = format!("{}: fairness", cell.cell.name);
    let mut drawing = Drawing::new(bottom + 18.0, &title);
    let scale = Scale::linear([1.0 / 1.05], NAMES, WIDTH - VALUES);
    for tick in [0.0, 0.5, 1.0] {
        let x = scale.place(tick);
        drawing.line("grid", (x, TOP), (x, bottom));
        let text = format!("{tick}");
        drawing.text("tick", (x, bottom + 13.5), Anchor::Middle, &text);
    }
    let mut middle = TOP + ROW / 2.0;
    for (row, fairness, starved) in rows {
        let look = cell.look(row);
        drawing.name_before(&look, (NAMES - 6.0, middle + 4.0));
        let at = (scale.place(fairness), middle);
        let whisker = format!("whisker {}", look.class);
        drawing.line(&whisker, (scale.place(0.0), middle), at);
        drawing.mark(&look, at, 4.0);
        let text = match starved {
            few if few < 0.5 => format::thousands(fairness),
            many => format!("{}, {many:.0} starved", format::thousands(fairness)),
        };
        let place = (WIDTH - VALUES + 10.0, middle + 4.0);
        drawing.text("value", place, Anchor::Start, &text);
        drawing.tell(format!("{}: {text}.", look.name));
        middle += ROW;
    }
    drawing.figure(
        "Fairness (Jain's index over the answers of each connection): 1 if all are served alike; \
         who is starved had no answer at all",
    )
}
