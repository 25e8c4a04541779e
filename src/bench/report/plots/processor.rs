//! Room `bench`: what is the processor time of an answer made of?

use crate::bench::analysis::Row;
use crate::bench::report::scale::{Scale, count};
use crate::bench::report::svg::{Anchor, Drawing, Look, WIDTH};
use crate::bench::report::view::CellView;
use crate::bench::table::format;

const NAMES: f64 = 92.0;
const VALUES: f64 = 62.0;
const ROW: f64 = 22.0;
const BAR: f64 = 14.0;

/// Share of a processor, in %, from which on the kernel's ticks are many enough to divide the time,
/// and the rest of the machine small enough to be told from it.
const BUSY: f64 = 20.0;

/// Processor time for each answer, us.
#[derive(Clone, Copy, Debug)]
struct Time {
    whole: f64,
    /// The part outside the kernel.
    user: Option<f64>,
    /// Of the whole machine without the generator.
    machine: Option<f64>,
}

impl Time {
    fn of(row: &Row) -> Option<Self> {
        let part = |name: &str| row.medians.get(name).copied().filter(|one| one.is_finite());
        let is_busy = part("cpu_share").is_some_and(|share| share >= BUSY);
        let whole = part("cpu")?;
        let machine = part("cpu_machine").filter(|machine| *machine > whole);
        Some(Self {
            whole,
            user: part("cpu_user").filter(|_| is_busy),
            machine: machine.filter(|_| is_busy),
        })
    }

    fn end(self) -> f64 {
        self.machine.unwrap_or(self.whole)
    }
}

/// Processor time outside and inside the kernel, and what the whole machine had to do.
pub fn plot(cell: &CellView) -> String {
    let rows = cell.ranked().into_iter();
    let rows = rows.filter_map(|row| Some((cell.look(row), Time::of(row)?)));
    let rows: Vec<(Look, Time)> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    let ends = rows.iter().map(|(_, time)| time.end());
    let scale = Scale::linear(ends, NAMES, WIDTH - VALUES);
    let title = format!("{}: processor time of an answer", cell.cell.name);
    let mut drawing = Drawing::new(4.0 + ROW * count(rows.len()), &title);
    let mut top = 4.0;
    for (look, time) in &rows {
        bar(&mut drawing, look, *time, (&scale, top));
        top += ROW;
    }
    let is_divided = rows.iter().any(|(_, time)| time.user.is_some());
    drawing.figure(if is_divided {
        "Processor time for each answer: outside the kernel (dark), inside (light), and of the \
         whole machine without the generator (bar at the end)"
    } else {
        "Processor time for each answer; too little to be divided into outside and inside the \
         kernel"
    })
}

fn bar(drawing: &mut Drawing, look: &Look, time: Time, (scale, top): (&Scale, f64)) {
    drawing.name_before(look, (NAMES - 6.0, top + 11.5));
    let (from, end) = (scale.place(0.0), scale.place(time.whole));
    let middle = time
        .user
        .map_or(from, |user| scale.place(user.min(time.whole)));
    let class = &look.class;
    drawing.bar(&format!("fill {class}"), (from, top), (middle - from, BAR));
    drawing.bar(&format!("soft {class}"), (middle, top), (end - middle, BAR));
    let last = scale.place(time.end());
    if last > end + 1.0 {
        drawing.line("whisker", (last, top), (last, top + BAR));
        drawing.line("one", (end, top + BAR / 2.0), (last, top + BAR / 2.0));
    }
    let whole = format::thousands(time.whole);
    let place = (last + 5.0, top + 11.5);
    drawing.text("value", place, Anchor::Start, &format!("{whole} µs"));
    let outside = time.user.map_or(String::new(), |user| {
        format!(", {} of it outside the kernel", format::thousands(user))
    });
    drawing.tell(format!("{}: {whole} µs{outside}.", look.name));
}
