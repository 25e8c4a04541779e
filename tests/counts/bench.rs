//! The cost of a request, counted and not timed: `cargo bench --bench counts` prints a table, and
//! fails with the rows that cost more than `table` allows. It reads no clock, so a busy machine
//! does not matter.
//!
//! The server is the release binary, under strace for system calls and under callgrind for the
//! rest. If one of them is missing, `skipped` is printed and its columns are empty. The test of the
//! same name (`main.rs`) asserts the system calls of the debug binary.
#![allow(clippy::print_stdout, reason = "the benchmark prints what it measured")]

#[path = "../kernel/client.rs"]
#[allow(dead_code, reason = "other test programs use the rest")]
mod client;
mod judge;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "other test programs use the rest")]
mod process;
mod server;
mod table;
mod workload;

use server::{ALLOCATIONS, Cost, INSTRUCTIONS, Tool};
use std::collections::BTreeSet;
use std::process::ExitCode;
use table::{Row, TABLE};
use workload::ROUNDS;

/// The text below the table.
const NOTES: &str = "\
Per request. calls: system calls of the loop's thread. instr.: instructions in user space. alloc.:
calls of malloc(3) and the like; tests/allocations.rs proves where there are none. instr. and alloc.
are from callgrind, of all threads.
~ The server is stopped (SIGSTOP) while the clients send, so that it finds everything there. That
  interrupts epoll_wait, which is therefore not counted.
* Needs openat2(2), which valgrind 3.19 does not know. There, the server walks the path segment by
  segment, and instructions and allocations are those of that code.";

/// A row with its counts, `None` where the program is missing.
struct Counted {
    row: &'static Row,
    calls: Option<Cost>,
    rest: Option<Cost>,
}

fn main() -> ExitCode {
    let [strace, callgrind] = [Tool::Strace, Tool::Callgrind].map(|tool| (tool, tool.works()));
    let cost = |row: &Row, (tool, works): (Tool, bool)| works.then(|| row.workload.cost(tool));
    let counted = TABLE.map(|row| Counted {
        row,
        calls: cost(row, strace),
        rest: callgrind.1.then(|| least_cost(row)),
    });
    print(&counted);
    let wrong: Vec<_> = counted.iter().flat_map(Counted::judge).collect();
    for line in &wrong {
        println!("{line}");
    }
    match wrong.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// The cost under callgrind. Two runs of one binary differ by up to 2 % in instructions. So a row
/// over its ceiling is counted again, at most twice, and the least counts.
fn least_cost(row: &Row) -> Cost {
    let count = || row.workload.cost(Tool::Callgrind);
    let mut least = count();
    for _ in 0..2 {
        if judge::ceilings(row, &least).is_empty() {
            break;
        }
        let again = count();
        if again.get(INSTRUCTIONS) < least.get(INSTRUCTIONS) {
            least = again;
        }
    }
    least
}

impl Counted {
    /// The differences from the table. The ceilings are for an optimized binary.
    fn judge(&self) -> Vec<String> {
        let calls = self
            .calls
            .iter()
            .flat_map(|cost| judge::calls(self.row, cost));
        let ceilings = self.rest.iter().filter(|_| !cfg!(debug_assertions));
        let ceilings = ceilings.flat_map(|cost| judge::ceilings(self.row, cost));
        calls.chain(ceilings).collect()
    }

    fn name(&self) -> String {
        let opens = self.row.calls.iter().any(|calls| calls.name == "openat2");
        let is_frozen = self.row.workload.round.is_frozen();
        let marks = [(opens, " *"), (is_frozen, " ~")];
        let marks = marks.iter().filter(|(is_so, _)| *is_so);
        let marks: String = marks.map(|(_, mark)| *mark).collect();
        format!("{}{marks}", self.row.workload.name)
    }

    fn per_request(&self, number: i64) -> f64 {
        number as f64 / (ROUNDS * self.row.workload.round.requests()) as f64
    }

    /// The cells of the row.
    fn cells(&self, names: &BTreeSet<&str>) -> Vec<String> {
        let cell = |cost: &Cost, name: &str| match cost.get(name) {
            Some(&number) => short(self.per_request(number)),
            None => String::new(),
        };
        let total = self.calls.as_ref().map(|calls| calls.values().sum());
        let total = total.map(|total| short(self.per_request(total)));
        let by_name = names.iter().map(|name| match &self.calls {
            Some(calls) => cell(calls, name),
            None => String::new(),
        });
        let rest = [(INSTRUCTIONS, 0), (ALLOCATIONS, 2)].map(|(name, decimals)| {
            let Some(cost) = &self.rest else {
                return String::new();
            };
            let number = self.per_request(*cost.get(name).unwrap_or(&0));
            format!("{number:.decimals$}")
        });
        let total = total.unwrap_or_default();
        [self.name()]
            .into_iter()
            .chain(rest)
            .chain([total])
            .chain(by_name)
            .collect()
    }
}

/// The number with two decimals, or with none if it is whole.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.strip_suffix(".00").unwrap_or(&text).to_owned()
}

fn print(counted: &[Counted]) {
    let calls = counted.iter().filter_map(|count| count.calls.as_ref());
    let names: BTreeSet<_> = calls
        .flat_map(|calls| calls.keys().map(String::as_str))
        .collect();
    let headings = ["", "instr.", "alloc.", "calls"]
        .into_iter()
        .chain(names.iter().copied());
    let headings: Vec<_> = headings.map(str::to_owned).collect();
    let rows: Vec<_> = [headings]
        .into_iter()
        .chain(counted.iter().map(|count| count.cells(&names)))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max();
    let widths: Vec<_> = (0..rows[0].len()).filter_map(width).collect();
    for row in &rows {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            line += &format!("  {cell:>width$}");
        }
        println!("{}", line.trim_end());
    }
    println!("\n{NOTES}");
}
