//! The style guide as a test: what this project holds to, checked in its own sources.
//!
//! Every test here is one rule, and reports all its violations at once, each with its
//! place and what to do about it. A checker that cannot fail would be worth nothing, so
//! beside every checker stand the samples that turn it red.
//!
//! - `scanner`: source text without what only looks like code (comments, literals, tests)
//! - `tree`: the files, which of them are tests, and which are reached at all
//! - `layers`: who may import whom
//! - `sizes`: files, functions and lines are short
//! - `words`: what may be named only in some places, or nowhere
//! - `upkeep`: whitespace, headings, leftover markers, private paths

mod layers;
mod scanner;
mod sizes;
mod tree;
mod upkeep;
mod words;

use tree::{Source, Violation};

/// Applies one rule to all of `src/` and fails with everything it found.
fn hold(rule: impl Fn(&Source) -> Vec<Violation>) {
    let sources = tree::sources();
    report(sources.iter().flat_map(rule).collect());
}

fn report(violations: Vec<Violation>) {
    let lines: Vec<_> = violations.iter().map(Violation::to_string).collect();
    assert!(
        lines.is_empty(),
        "{} to tidy:\n{}",
        lines.len(),
        lines.join("\n")
    );
}

#[test]
fn every_room_imports_only_what_the_table_allows() {
    hold(layers::imports);
}

#[test]
fn the_scheduler_knows_no_sockets() {
    hold(words::sockets_in_the_scheduler);
}

#[test]
fn only_the_clock_room_reads_a_clock() {
    hold(words::clocks);
}

#[test]
fn only_the_drivers_ask_what_time_it_is() {
    hold(words::readings);
}

#[test]
fn only_what_polls_names_mio() {
    hold(words::mio);
}

#[test]
fn files_are_short() {
    hold(sizes::files);
}

#[test]
fn functions_are_short() {
    hold(sizes::functions);
}

#[test]
fn lines_are_short() {
    hold(sizes::lines);
}

#[test]
fn tests_stand_at_the_bottom_of_their_file() {
    hold(sizes::tests_at_the_bottom);
}

#[test]
fn nothing_panics_outside_tests() {
    hold(words::panics);
}

#[test]
fn nothing_is_indexed_outside_tests() {
    hold(words::indexing);
}

#[test]
fn nothing_prints_past_the_logs() {
    hold(words::prints);
}

#[test]
fn unsafe_code_stays_in_its_list_of_files() {
    hold(words::unsafety);
}

#[test]
fn platforms_differ_only_in_a_list_of_files() {
    hold(words::conditions);
}

#[test]
fn every_file_says_first_what_it_is_for() {
    hold(upkeep::headings);
}

#[test]
fn every_file_is_reached_from_the_crate() {
    report(tree::unreached(&tree::sources()));
}

#[test]
fn no_marker_of_unfinished_work_is_left() {
    report(
        tree::texts(&["src", "tests"])
            .iter()
            .flat_map(upkeep::markers)
            .collect(),
    );
}

#[test]
fn no_tab_and_no_trailing_blank_is_left() {
    report(
        tree::texts(&["src", "tests"])
            .iter()
            .flat_map(upkeep::blanks)
            .collect(),
    );
}

#[test]
fn no_document_names_a_private_place() {
    let documents = tree::texts(&["src", "docs", "html", "README.md"]);
    report(documents.iter().flat_map(upkeep::private_places).collect());
}
