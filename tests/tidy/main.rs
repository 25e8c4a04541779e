//! Rules for the sources that neither the compiler nor clippy checks.
//!
//! Each test is one rule. It reports every violation with its file, its line and what to do. The
//! samples beside each check prove that it can fail.
//!
//! - `scanner`: source text without comments, literals and tests
//! - `tree`: the files of the project
//! - `layers`: which module imports which
//! - `words`: names that only some files may use, and names in comments of tests
//! - `old_words`: words that the project does not use
//! - `upkeep`: headings, long lines, whitespace, leftover markers, private paths

mod layers;
mod old_words;
mod scanner;
mod tree;
mod upkeep;
mod words;

use tree::{Source, Violation};

/// Applies one rule to all files of `src/`.
fn check(rule: impl Fn(&Source) -> Vec<Violation>) {
    let sources = tree::sources();
    report(sources.iter().flat_map(rule).collect());
}

/// Fails if there are violations, and lists them.
fn report(violations: Vec<Violation>) {
    let lines: Vec<_> = violations.iter().map(Violation::to_string).collect();
    assert!(
        lines.is_empty(),
        "violations: {}\n{}",
        lines.len(),
        lines.join("\n")
    );
}

#[test]
fn every_module_imports_only_what_the_table_allows() {
    check(layers::imports);
}

#[test]
fn no_files_of_a_folder_import_each_other() {
    report(layers::circles(&tree::sources()));
}

#[test]
fn the_scheduler_knows_no_sockets() {
    check(words::sockets_in_the_scheduler);
}

#[test]
fn only_the_drivers_read_the_clock() {
    check(words::readings);
}

#[test]
fn only_modules_that_poll_use_mio() {
    check(words::mio);
}

#[test]
fn platforms_differ_only_in_a_list_of_files() {
    check(words::conditions);
}

/// So a comment that says when a test fails is not left behind when the code changes.
#[test]
fn comments_say_when_a_test_fails_with_names_of_the_code() {
    let sources = tree::sources();
    let words = sources
        .iter()
        .flat_map(|source| scanner::words(&source.all_code));
    let names = words.map(|(_, word)| word).collect();
    let texts = tree::texts(&["src", "tests"]);
    let stale = texts
        .iter()
        .flat_map(|text| words::stale_names(text, &names));
    report(stale.collect());
}

#[test]
fn lines_are_short() {
    check(upkeep::lines);
}

#[test]
fn every_file_begins_with_a_description() {
    check(upkeep::headings);
}

#[test]
fn every_file_belongs_to_the_crate() {
    report(tree::unreached(&tree::sources()));
}

#[test]
fn no_marker_of_unfinished_work_is_left() {
    let texts = tree::texts(&["src", "tests"]);
    report(texts.iter().flat_map(upkeep::markers).collect());
}

#[test]
fn no_tab_and_no_trailing_blank_is_left() {
    let texts = tree::texts(&["src", "tests"]);
    report(texts.iter().flat_map(upkeep::blanks).collect());
}

#[test]
fn no_old_word_is_used() {
    let texts = tree::texts(&["src", "tests", "docs", "html", "README.md", ".ci"]);
    report(texts.iter().flat_map(old_words::old).collect());
}

#[test]
fn no_document_names_a_private_path() {
    let texts = tree::texts(&["src", "docs", "html", "README.md"]);
    report(texts.iter().flat_map(upkeep::private_paths).collect());
}
