//! The table of docs/states.md: every transition of a connection.

#![allow(dead_code, reason = "each test uses the part it needs")]

pub const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/states.md");
pub const BEGIN: &str = "<!-- The table is made by tests/states.rs: begin -->\n";
pub const END: &str = "<!-- end -->\n";

/// What stands before the table in the document, the table, and what stands behind it.
pub fn split(document: &str) -> (&str, &str, &str) {
    let (before, rest) = document.split_once(BEGIN).expect("the begin of the table");
    let (table, after) = rest.split_once(END).expect("the end of the table");
    (before, table, after)
}

/// The rows of the table: state, call, next state, next step. A row without a state belongs to
/// the state above it.
pub fn rows(table: &str) -> Vec<[&str; 4]> {
    let mut latest = "";
    let rows = table.lines().skip(2).map(|row| {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let mut next = || cells.next().expect("a cell");
        let [state, call, to, step] = [next(), next(), next(), next()];
        if !state.is_empty() {
            latest = state;
        }
        [latest, call, to, step]
    });
    rows.collect()
}
