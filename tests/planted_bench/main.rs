//! Are bugs of the benchmark found? Every patch in `bugs/` is one that load generators have had, or
//! one of the accounts, the validity of samples or the statistics. It names the check of `oneloop
//! bench selftest` or the unit test that must fail, and what it prints.
//!
//! The method is that of tests/planted, in the same copy of the project.
//!
//! ```text
//! cargo test --test planted_bench                                        do the patches apply?
//! cargo test --test planted_bench -- --ignored --nocapture               plant all of them
//! ONELOOP_PLANTED=the-rate-is-too-high cargo test --test planted_bench -- --ignored    plant one
//! UPDATE_DOCS=1 cargo test --test planted_bench -- --ignored             and write the table
//! ```
//!
//! The machine should be quiet: without a bug all checks must pass.
#![cfg(all(feature = "bench", feature = "study"))]
#![allow(clippy::print_stdout, reason = "a test says how far it has come")]

#[path = "../planted/bug.rs"]
mod bug;
#[path = "../planted/project_copy.rs"]
mod project_copy;

use bug::Bug;
use project_copy::ProjectCopy;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where the patches are.
const BUGS: &str = "tests/planted_bench/bugs";
/// Where the table of them is.
const DOCUMENT: &str = "docs/bench/selftest.md";
const BEGIN: &str = "<!-- The table is made by tests/planted_bench: begin -->\n";
const END: &str = "<!-- end -->\n";

/// A place in the project.
fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn every_patch_applies_to_the_generator() {
    if !project_copy::has_git() {
        println!("skipped: git is not installed");
        return;
    }
    let (project, bugs) = (here(""), bug::all());
    assert!(bugs.len() >= 8, "too few patches: {bugs:?}");
    let elsewhere = |bug: &&Bug| !bug.file.starts_with("src/bench/");
    let elsewhere: Vec<&Bug> = bugs.iter().filter(elsewhere).collect();
    assert!(elsewhere.is_empty(), "not the benchmark: {elsewhere:?}");
    let stale: Vec<String> = (bugs.iter())
        .filter_map(|bug| project_copy::apply(&project, bug, &["--check"]).err())
        .collect();
    assert!(stale.is_empty(), "{}", stale.join("\n"));
}

#[test]
fn the_document_lists_exactly_these_bugs() {
    let (_, found, _) = parts();
    assert!(
        found == table(&bug::all()),
        "the table is stale: UPDATE_DOCS=1 cargo test --test planted_bench -- --ignored writes it"
    );
}

/// Plants them all, which takes minutes; with ONELOOP_PLANTED only the one of that name, or a part.
#[test]
#[ignore = "builds the project once for every bug"]
fn every_planted_bug_is_caught() {
    if !project_copy::has_git() {
        println!("skipped: git is not installed");
        return;
    }
    let (bugs, are_all) = bug::chosen();
    let copy = ProjectCopy::update();
    copy.check_without_bugs(&bugs);
    let began = Instant::now();
    let mut missed = Vec::new();
    for bug in &bugs {
        let planted = Instant::now();
        let (name, test) = (&bug.name, bug.test());
        match copy.plant(bug) {
            Ok(_) => println!("caught: {name} by {test} ({:.0?})", planted.elapsed()),
            Err(why) => {
                println!("MISSED: {name}: {why}");
                let log = copy.log(name);
                missed.push(format!("{name}: {why}; see {}", log.display()));
            }
        }
    }
    let caught = bugs.len() - missed.len();
    println!(
        "{caught} caught, {} missed, {:.0?}",
        missed.len(),
        began.elapsed()
    );
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    if are_all && std::env::var_os("UPDATE_DOCS").is_some() {
        let (before, _, after) = parts();
        let text = format!("{before}{BEGIN}{}{END}{after}", table(&bugs));
        fs::write(here(DOCUMENT), text).expect("the document can be written");
    }
}

/// The document before the table, the table, and what follows.
fn parts() -> (String, String, String) {
    let document = fs::read_to_string(here(DOCUMENT)).expect("the document");
    let (before, rest) = document.split_once(BEGIN).expect("where the table begins");
    let (table, after) = rest.split_once(END).expect("where the table ends");
    (before.into(), table.into(), after.into())
}

fn table(bugs: &[Bug]) -> String {
    let row = |bug: &Bug| {
        let file = bug.file.trim_start_matches("src/bench/");
        let (name, what, filter) = (&bug.name, &bug.what, &bug.filter);
        format!("| {file} | [{name}](../../{BUGS}/{name}.patch): {what} | {filter} |\n")
    };
    let rows: String = bugs.iter().map(row).collect();
    format!("| Where | The bug | Caught by |\n|---|---|---|\n{rows}")
}
