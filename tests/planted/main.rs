//! Planted bugs (mutation testing): every patch in `bugs/` makes one mistake in the server and
//! names the test that must fail, with a part of its message. A bug that no test finds is a gap in
//! the tests.
//!
//! - `bug`: the header of a patch.
//! - `project_copy`: a copy of the project in which bugs are planted, one after the other.
//! - `table`: the list in docs/simulation.md.
//!
//! ```text
//! cargo test --test planted                                        do the patches apply?
//! cargo test --test planted -- --ignored --nocapture               plant all of them: minutes
//! ONELOOP_PLANTED=a-chunk-of-size-zero cargo test --test planted -- --ignored    plant one
//! ONELOOP_PLANTED=2/4 cargo test --test planted -- --ignored       plant the second quarter
//! UPDATE_DOCS=1 cargo test --test planted -- --ignored             and write the table anew
//! ```
//!
//! To add one: change the sources, run `git diff -U1 src`, revert the change, and write above the
//! diff what the bug is (first line), why it is one, and `Caught-by:` with a target of `cargo
//! test`, a filter, and a part of the message of the failing test.
#![cfg(feature = "study")]
#![allow(clippy::print_stdout, reason = "a test says how far it has come")]

mod bug;
mod project_copy;
mod table;

use project_copy::ProjectCopy;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where the patches are.
const BUGS: &str = "tests/planted/bugs";

/// A place in the project.
fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn every_patch_applies_to_the_sources() {
    if !project_copy::has_git() {
        println!("skipped: git is not installed");
        return;
    }
    let (project, bugs) = (here(""), bug::all());
    assert!(bugs.len() >= 30, "these are not the patches: {bugs:?}");
    let stale: Vec<String> = (bugs.iter())
        .filter_map(|bug| project_copy::apply(&project, bug, &["--check"]).err())
        .collect();
    assert!(stale.is_empty(), "{}", stale.join("\n"));
}

#[test]
fn the_document_lists_exactly_these_bugs() {
    table::compare(&bug::all());
}

/// Runs all, which takes half an hour; with ONELOOP_PLANTED the one of that name, or a part: `2/4`
/// is every fourth from the second.
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
    let mut caught = Vec::new();
    for bug in bugs {
        let planted = Instant::now();
        match copy.plant(&bug) {
            Ok(runs) => {
                let when = runs.map_or(String::new(), |runs| format!(", after {runs} runs"));
                let time = planted.elapsed();
                println!("caught: {} by {}{when} ({time:.0?})", bug.name, bug.test());
                caught.push((bug, runs));
            }
            Err(why) => {
                let log = copy.log(&bug.name);
                missed.push(format!("{}: {why}; see {}", bug.name, log.display()));
                println!("MISSED: {}: {why}", bug.name);
            }
        }
    }
    let time = began.elapsed();
    println!(
        "{} caught, {} missed, {time:.0?}",
        caught.len(),
        missed.len()
    );
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    if are_all && std::env::var_os("UPDATE_DOCS").is_some() {
        table::write(&caught);
    }
}
