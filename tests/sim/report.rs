//! What does a person read when a rule was broken? The seed, the rule, the least plan that breaks
//! it, and the last calls of that.

use crate::plan::Plan;
use crate::run::{Outcome, run};
use crate::shrink::shrink;

/// Calls shown of the failing run.
const SHOWN: usize = 60;

/// Shrinks the failing plan and describes it. `again` is how to see this once more.
pub fn failure(plan: Plan, again: &str) -> String {
    let first = run(&plan, false).broken;
    let least = shrink(plan);
    let outcome = run(&least, true);
    format!(
        "a rule was broken: {first:?}\n\
         the least that breaks one: {:?}\n{}\n{least:#?}\nto see this again: {again}",
        outcome.broken,
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
