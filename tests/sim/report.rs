//! The report of a broken rule: the rule, the smallest scenario that breaks it, and its last calls.

use crate::run::{Outcome, run};
use crate::scenario::Scenario;
use crate::shrink::shrink;

/// How many calls are shown.
const SHOWN: usize = 60;

/// Shrinks the failing scenario and describes it. `command` repeats it.
pub fn failure(scenario: Scenario, command: &str) -> String {
    let first = run(&scenario, false).violations;
    let least = shrink(scenario);
    let outcome = run(&least, true);
    format!(
        "a rule was broken: {first:?}\n\
         the smallest scenario breaks: {:?}\n{}\n{least:#?}\nto repeat it: {command}",
        outcome.violations,
        trace(&outcome),
    )
}

/// The last calls.
pub fn trace(outcome: &Outcome) -> String {
    let left_out = outcome.trace.len().saturating_sub(SHOWN);
    let mut lines = outcome.trace[left_out..].join("\n");
    if left_out > 0 {
        lines.insert_str(0, &format!("      ... {left_out} lines before\n"));
    }
    lines
}
