//! The list of planted bugs in docs/simulation.md.

use crate::bug::Bug;
use crate::here;
use std::fs;

const BEGIN: &str = "<!-- The table is made by tests/planted: begin -->\n";
const END: &str = "<!-- end -->\n";

/// Fails if the table differs from the patches. The number of runs is not compared: it changes with
/// every change of the simulation.
pub fn compare(bugs: &[Bug]) {
    let (_, table, _) = parts();
    let without_runs = |row: &str| row.rsplitn(3, '|').last().map(String::from);
    let documented: Vec<_> = table.lines().skip(2).filter_map(without_runs).collect();
    let made: Vec<_> = (bugs.iter().map(|bug| row(bug, None)))
        .filter_map(|row| without_runs(row.trim_end()))
        .collect();
    let only_in = |these: &[String], others: &[String]| {
        let missing = these.iter().filter(|row| !others.contains(row));
        missing.cloned().collect::<Vec<_>>().join("\n")
    };
    assert!(
        documented == made,
        "the table is old; UPDATE_DOCS=1 cargo test --test planted -- --ignored makes it anew\n\
         only there:\n{}\nonly in the patches:\n{}",
        only_in(&documented, &made),
        only_in(&made, &documented),
    );
}

/// Updates the table.
pub fn write(caught: &[(Bug, Option<u64>)]) {
    let (before, _, after) = parts();
    let head = "| Where | The bug | Caught by | After runs |\n|---|---|---|---|\n";
    let rows: String = caught.iter().map(|(bug, runs)| row(bug, *runs)).collect();
    let text = format!("{before}{BEGIN}{head}{rows}{END}{after}");
    fs::write(here("docs/simulation.md"), text).expect("the document can be written");
}

fn parts() -> (String, String, String) {
    let document = fs::read_to_string(here("docs/simulation.md")).expect("the document");
    let (before, rest) = document.split_once(BEGIN).expect("where the table begins");
    let (table, after) = rest.split_once(END).expect("where the table ends");
    (before.into(), table.into(), after.into())
}

fn row(bug: &Bug, runs: Option<u64>) -> String {
    let Bug {
        name, what, file, ..
    } = bug;
    let file = file.trim_start_matches("src/");
    let runs = runs.map_or(String::new(), |runs| (runs + 1).to_string());
    let test = bug.test();
    format!("| {file} | [{name}](../tests/planted/bugs/{name}.patch): {what} | {test} | {runs} |\n")
}
