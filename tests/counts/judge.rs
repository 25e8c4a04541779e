//! Compares the counts with the table.

use crate::server::{ALLOCATIONS, Cost, INSTRUCTIONS};
use crate::table::Row;
use crate::workload::{ROUNDS, SLACK};

/// The system calls that differ from the row, one per line.
pub fn calls(row: &Row, cost: &Cost) -> Vec<String> {
    let rounds = ROUNDS as i64;
    let known = row.calls.iter().filter_map(|calls| {
        let number = *cost.get(calls.name).unwrap_or(&0);
        let range = calls.least * rounds - SLACK..=calls.most * rounds + SLACK;
        let allowed = match calls.least == calls.most {
            true => calls.most.to_string(),
            false => format!("{} to {}", calls.least, calls.most),
        };
        (!range.contains(&number)).then(|| difference(row, calls.name, number, &allowed))
    });
    let is_known = |name: &String| row.calls.iter().any(|calls| calls.name == name);
    let others = cost.iter().filter(|(name, _)| !is_known(name));
    known
        .chain(others.map(|(name, &number)| difference(row, name, number, "none")))
        .collect()
}

/// The ceilings of the row that are exceeded, one per line.
pub fn ceilings(row: &Row, cost: &Cost) -> Vec<String> {
    let requests = row.workload.round.requests() as i64;
    let ceilings = [
        (INSTRUCTIONS, row.instructions * requests),
        (ALLOCATIONS, row.allocations),
    ];
    let exceeded = ceilings.into_iter().filter_map(|(name, ceiling)| {
        let number = *cost.get(name).unwrap_or(&0);
        let allowed = format!("at most {ceiling}");
        (number > ceiling * ROUNDS as i64 + SLACK).then(|| difference(row, name, number, &allowed))
    });
    exceeded.collect()
}

fn difference(row: &Row, name: &str, number: i64, allowed: &str) -> String {
    let counted = number as f64 / ROUNDS as f64;
    format!(
        "{}: {name}: {counted:.2} per round, allowed {allowed} (tests/counts/table.rs)",
        row.workload.name
    )
}
