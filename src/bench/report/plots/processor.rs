//! Room `bench`: what is the processor time of an answer made of?

use crate::bench::report::scale::{Scale, count};
use crate::bench::report::svg::{Anchor, Drawing, WIDTH};
use crate::bench::report::view::CellView;
use crate::bench::table::format;

const NAMES: f64 = 92.0;
const VALUES: f64 = 62.0;
const ROW: f64 = 22.0;
const BAR: f64 = 14.0;

/// Processor time outside and inside the kernel, and what the whole machine had to do.
pub fn plot(cell: &CellView) -> String {
    let mut rows = Vec::new();
    for row in cell.ranked() {
        let part = |name: &str| row.medians.get(name).copied();
        if let (Some(user), Some(system)) = (part("cpu_user"), part("cpu_system")) {
            let machine = part("cpu_machine").filter(|machine| machine.is_finite());
            rows.push((row, user, system, machine));
        }
    }
    let ends = rows
        .iter()
        .map(|(_, user, system, machine)| (user + system).max(machine.unwrap_or(0.0)));
    let scale = Scale::linear(ends, NAMES, WIDTH - VALUES);
    if rows.is_empty() {
        return String::new();
    }
    let title = format!("{}: processor time of an answer", cell.cell.name);
    let mut drawing = Drawing::new(4.0 + ROW * count(rows.len()), &title);
    let mut top = 4.0;
    for (row, user, system, machine) in rows {
        let look = cell.look(row);
        drawing.name_before(&look, (NAMES - 6.0, top + 11.5));
        let (from, middle) = (scale.place(0.0), scale.place(user));
        let end = scale.place(user + system);
        let class = &look.class;
        drawing.bar(&format!("fill {class}"), (from, top), (middle - from, BAR));
        drawing.bar(&format!("soft {class}"), (middle, top), (end - middle, BAR));
        let machine = machine.map_or(end, |machine| scale.place(machine));
        if machine > end + 1.0 {
            drawing.line("whisker", (machine, top), (machine, top + BAR));
            drawing.line("one", (end, top + BAR / 2.0), (machine, top + BAR / 2.0));
        }
        let whole = format::thousands(user + system);
        let place = (end.max(machine) + 5.0, top + 11.5);
        drawing.text("value", place, Anchor::Start, &format!("{whole} µs"));
        drawing.tell(format!(
            "{}: {} µs outside the kernel, {} inside.",
            look.name,
            format::thousands(user),
            format::thousands(system)
        ));
        top += ROW;
    }
    drawing.figure(
        "Processor time for each answer: outside the kernel (dark), inside (light), and of the \
         whole machine without the generator (bar at the end)",
    )
}
