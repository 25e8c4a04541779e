//! Compares what was counted with the table.

use crate::server::{ALLOCATIONS, Cost, INSTRUCTIONS};
use crate::table::Row;
use crate::workload::{ROUNDS, SLACK};

/// The system calls that are not as the row says, each in a line.
pub fn calls(row: &Row, cost: &Cost) -> Vec<String> {
    let rounds = ROUNDS as i64;
    let known = row.calls.iter().filter_map(|calls| {
        let number = *cost.get(calls.name).unwrap_or(&0);
        let allowed = calls.least * rounds - SLACK..=calls.most * rounds + SLACK;
        let told = match calls.least == calls.most {
            true => calls.most.to_string(),
            false => format!("{} to {}", calls.least, calls.most),
        };
        (!allowed.contains(&number)).then(|| tell(row, calls.name, number, &told))
    });
    let is_known = |name: &String| row.calls.iter().any(|calls| calls.name == name);
    let others = cost.iter().filter(|(name, _)| !is_known(name));
    known
        .chain(others.map(|(name, &number)| tell(row, name, number, "none")))
        .collect()
}

/// Which ceilings of the row are exceeded, each in a line.
pub fn ceilings(row: &Row, cost: &Cost) -> Vec<String> {
    let requests = row.workload.round.requests() as i64;
    let ceilings = [
        (INSTRUCTIONS, row.instructions * requests),
        (ALLOCATIONS, row.allocations),
    ];
    let exceeded = ceilings.into_iter().filter_map(|(name, ceiling)| {
        let number = *cost.get(name).unwrap_or(&0);
        let told = format!("at most {ceiling}");
        (number > ceiling * ROUNDS as i64 + SLACK).then(|| tell(row, name, number, &told))
    });
    exceeded.collect()
}

fn tell(row: &Row, name: &str, number: i64, told: &str) -> String {
    let counted = number as f64 / ROUNDS as f64;
    format!(
        "{}: {name}: {counted:.2} in a round, the table says {told}",
        row.workload.name
    )
}
