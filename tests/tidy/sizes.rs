//! Files, functions and lines are short enough to be read at once.

use crate::scanner::{in_word, item_end, words};
use crate::tree::{Source, Violation, tests_begin};

/// Lines of a file before its tests: enough for one concept, too few for two.
const FILE: usize = 700;
/// Lines of a function, from its `fn` to its last brace.
const FUNCTION: usize = 70;
/// Characters of a line.
const LINE: usize = 100;

pub fn files(source: &Source) -> Vec<Violation> {
    let lines = match tests_begin(&source.all_code) {
        Some(offset) => source.line(offset) - 1,
        None if source.code.trim().is_empty() => 0,
        None => source.text.lines().count(),
    };
    let what = format!("{lines} lines before the tests, {FILE} are allowed: divide the file");
    (lines > FILE)
        .then(|| source.at_line(FILE + 1, what))
        .into_iter()
        .collect()
}

pub fn functions(source: &Source) -> Vec<Violation> {
    let code = source.code.as_str();
    words(code)
        .filter_map(|(at, word)| {
            let name = code[at..].strip_prefix("fn ").filter(|_| word == "fn")?;
            let name = &name[..name.find(|c| !in_word(c))?];
            let lines = source.line(item_end(code, at) - 1) + 1 - source.line(at);
            let what = format!("`{name}` has {lines} lines, {FUNCTION} are allowed: divide it");
            (lines > FUNCTION).then(|| source.at(at, what))
        })
        .collect()
}

pub fn lines(source: &Source) -> Vec<Violation> {
    let lengths = source.text.lines().map(|line| line.chars().count());
    lengths
        .zip(1..)
        .filter(|&(length, _)| length > LINE)
        .map(|(length, line)| {
            source.at_line(
                line,
                format!("{length} columns, {LINE} are allowed: break the line"),
            )
        })
        .collect()
}

/// Code behind the tests is overlooked by readers, and by the limit on files.
pub fn tests_at_the_bottom(source: &Source) -> Vec<Violation> {
    let Some(begin) = tests_begin(&source.all_code) else {
        return Vec::new();
    };
    let behind = source.code[begin..].find(|c: char| !c.is_whitespace());
    let what = "code behind the tests: move it before them";
    behind
        .map(|offset| source.at(begin + offset, what))
        .into_iter()
        .collect()
}

#[test]
fn a_long_file_is_found() {
    let code = "fn f() {}\n".repeat(FILE);
    let tests = "#[cfg(test)]\nmod tests {\n\n\n}\n";
    assert_eq!(found(files, &format!("{code}{tests}")), [""; 0]);
    let what = format!("701 lines before the tests, {FILE} are allowed: divide the file");
    let told = format!("src/a.rs:701: {what}");
    let import = "#[cfg(test)]\nuse a;";
    assert_eq!(found(files, &format!("\n{code}{tests}")), [&*told]);
    assert_eq!(
        found(files, &format!("\n{code}")),
        [&*told],
        "without tests"
    );
    assert_eq!(
        found(files, &format!("{import}{code}")),
        [&*told],
        "an import is no test"
    );
}

#[test]
fn a_long_function_is_found() {
    let function = |statements| format!("fn f<'a>() {{\n{}}}\n", "g('{');\n".repeat(statements));
    let (fits, long) = (function(FUNCTION - 2), function(FUNCTION - 1));
    let what = format!("`f` has 71 lines, {FUNCTION} are allowed: divide it");
    assert_eq!(found(functions, &long), [format!("src/a.rs:1: {what}")]);
    let method = format!("impl A {{\n{long}}}");
    assert_eq!(found(functions, &method), [format!("src/a.rs:2: {what}")]);

    let lines = "\n".repeat(FUNCTION);
    let good = [
        fits,
        format!("type F = fn() -> u8;{lines}"),
        format!("trait T {{ fn f(); {lines} }}"),
        format!("#[cfg(test)]\nmod tests {{\n{long}}}"),
    ];
    for text in good {
        assert_eq!(found(functions, &text), [""; 0], "{text}");
    }
}

#[test]
fn a_long_line_is_found_even_in_a_comment() {
    let (fits, long) = ("é".repeat(LINE), format!("// {}", "x".repeat(LINE)));
    let what = format!("103 columns, {LINE} are allowed: break the line");
    let told = format!("src/a.rs:2: {what}");
    assert_eq!(found(lines, &format!("{fits}\n{long}\n")), [told]);
}

#[test]
fn code_behind_the_tests_is_found() {
    let tests = "#[cfg(test)]\nmod tests {}\n";
    let import = "#[cfg(test)]\nuse a;\n";
    let told = "src/a.rs:3: code behind the tests: move it before them";
    assert_eq!(
        found(tests_at_the_bottom, &format!("{tests}fn f() {{}}")),
        [told]
    );
    assert_eq!(
        found(tests_at_the_bottom, &format!("{import}fn f() {{}}")),
        [""; 0]
    );
    assert_eq!(
        found(tests_at_the_bottom, &format!("a\n{tests}{tests}")),
        [""; 0]
    );
}

fn found(check: fn(&Source) -> Vec<Violation>, text: &str) -> Vec<String> {
    let violations = check(&Source::sample("a.rs", text));
    violations.iter().map(Violation::to_string).collect()
}
