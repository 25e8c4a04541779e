//! Headings, long lines, whitespace, leftover markers, private paths.

use crate::scanner::{in_word, words};
use crate::tree::{Source, Text, Violation};

/// Characters of a line. rustfmt does not break comments and strings.
const LINE: usize = 100;

/// Files that do not begin with a `//!` comment.
pub fn headings(source: &Source) -> Vec<Violation> {
    match source.text.starts_with("//!") {
        true => Vec::new(),
        false => vec![source.at_line(1, "begin the file with `//!` and what it is")],
    }
}

/// Lines of more than [`LINE`] characters.
pub fn lines(source: &Source) -> Vec<Violation> {
    let lengths = source.text.lines().map(|line| line.chars().count());
    lengths
        .zip(1..)
        .filter(|&(length, _)| length > LINE)
        .map(|(length, line)| {
            let what = format!("{length} characters, {LINE} are allowed: break the line");
            source.at_line(line, what)
        })
        .collect()
}

/// Words that mark unfinished work.
pub fn markers(text: &Text) -> Vec<Violation> {
    // In pieces, so that this list does not find itself.
    let markers = [concat!("to", "do"), concat!("fix", "me")];
    let is_marker = |word: &str| {
        markers
            .iter()
            .any(|marker| marker.eq_ignore_ascii_case(word))
    };
    in_lines(text, |line| {
        let (_, word) = words(line).find(|(_, word)| is_marker(word))?;
        Some(format!(
            "`{word}`: finish it, or write down why it is not done"
        ))
    })
}

/// Tabs and trailing blanks.
pub fn blanks(text: &Text) -> Vec<Violation> {
    in_lines(text, |line| {
        let tab = line
            .contains('\t')
            .then_some("a tab: indent with spaces, write `\\t` in strings");
        let blank = line
            .ends_with([' ', '\r'])
            .then_some("a trailing blank: delete it");
        tab.or(blank).map(String::from)
    })
}

/// Paths of a home directory.
pub fn private_paths(text: &Text) -> Vec<Violation> {
    const HOMES: [&str; 3] = ["/home", "/root", "/Users"];
    let stands_alone = |line: &str, place: &str| {
        line.match_indices(place).any(|(at, _)| {
            let joined = |c: char| in_word(c) || matches!(c, '.' | '-' | '~' | '}' | '%');
            let (before, after) = (&line[..at], &line[at + place.len()..]);
            let goes_on = |c: char| in_word(c) || matches!(c, '-' | '.');
            !before.ends_with(joined) && !after.starts_with(goes_on)
        })
    };
    in_lines(text, |line| {
        let place = HOMES.iter().find(|place| stands_alone(line, place))?;
        Some(format!(
            "`{place}` exists on one machine only: name a path that readers have"
        ))
    })
}

fn in_lines(text: &Text, check: impl Fn(&str) -> Option<String>) -> Vec<Violation> {
    let lines = text.text.split('\n').zip(1..);
    lines
        .filter_map(|(line, number)| Some(text.at_line(number, check(line)?)))
        .collect()
}

fn found(check: fn(&Text) -> Vec<Violation>, text: &str) -> Vec<String> {
    let text = Text {
        path: "docs/a.md".into(),
        text: text.into(),
    };
    check(&text).iter().map(Violation::to_string).collect()
}

#[test]
fn a_file_without_a_heading_is_found() {
    let found = |text: &str| headings(&Source::sample("a.rs", text)).len();
    assert_eq!(found("//! A module."), 0);
    for text in ["use std::io;\n//! Late.", "// A module.", ""] {
        assert_eq!(found(text), 1, "{text}");
    }
}

#[test]
fn a_long_line_is_found_even_in_a_comment() {
    let (fits, long) = ("é".repeat(LINE), format!("// {}", "x".repeat(LINE)));
    let violations = lines(&Source::sample("a.rs", &format!("{fits}\n{long}\n")));
    let violations: Vec<_> = violations.iter().map(Violation::to_string).collect();
    let what = format!("103 characters, {LINE} are allowed: break the line");
    assert_eq!(violations, [format!("src/a.rs:2: {what}")]);
}

#[test]
fn a_marker_is_found() {
    let bad = [
        concat!("// TO", "DO: later"),
        concat!("to", "do!()"),
        concat!("// Fix", "me"),
    ];
    for line in bad {
        assert_eq!(found(markers, line).len(), 1, "{line}");
    }
    assert_eq!(
        found(markers, "what is to do here is fixed\na method, a fixture"),
        [""; 0]
    );
}

#[test]
fn a_tab_or_a_trailing_blank_is_found_in_its_line() {
    let lines = found(blanks, "good\n\tx\nx \nx\r\n");
    let places: Vec<_> = lines.iter().map(|line| &line[..11]).collect();
    assert_eq!(places, ["docs/a.md:2", "docs/a.md:3", "docs/a.md:4"]);
}

#[test]
fn a_private_path_is_found() {
    let bad = "see /home/me/site\n`/home`\n\"/root/.ssh\"\n(/Users/me)\nfile:///home/me";
    for line in bad.lines() {
        assert_eq!(found(private_paths, line).len(), 1, "{line}");
    }
    let good = "/homepage\n~/home/site\n/srv/www\n/var/root\nhttps://example.com/home/x\n\
                /roots\n$HOME/site\n/home.html";
    assert_eq!(found(private_paths, good), [""; 0]);
}
