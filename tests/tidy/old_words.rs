//! Words that the project does not use: a standard word says the same and needs no guessing.

use crate::tree::{Text, Violation};

/// The words, and what to write instead.
const OLD: &[(&str, &str)] = &[
    (
        "said told",
        "reported, logged, sent, known; a variable: `messages`, `stderr`",
    ),
    ("hear hears heard", "read, received; a variable: `received`"),
    ("room rooms", "buffer, capacity, space"),
    ("owe owed owes", "missing, not sent yet"),
    (
        "who whom whoever",
        "a connection, a request and a thread are \"it\": name the thing",
    ),
    (
        "somebody anybody nobody everybody stranger guest crowd",
        "client, connection, operator: name the thing",
    ),
    ("settled", "unchanged, decided, old enough"),
    ("farewell", "the last response, the half-close"),
    ("door doors", "listener"),
    ("patience", "time limit"),
    ("habit", "how a client uses its connections"),
    ("forgiven", "allowed"),
    ("visit visits visited", "run, iteration, behaviour"),
    ("ride rides riding", "inline, sent with the head"),
    ("oracle", "reference, expected values"),
    ("shelf", "entries"),
    ("young", "racy, new"),
];

/// Files in which such words have their usual meaning (a person, the guest time of a processor) or
/// none (a histogram in base64).
const USUAL: &[(&str, &str)] = &[
    ("docs/bench/run.json", ""),
    ("html/index.html", "who whom"),
    ("src/banner.rs", "who"),
    ("src/bench/procfs.rs", "guest"),
    ("src/bench/runner/environment.rs", "guest"),
    ("tests/tidy/old_words.rs", ""),
];

/// Old words in comments, strings, identifiers and documents.
pub fn old(text: &Text) -> Vec<Violation> {
    let is_usual = |word: &str| {
        let mut usual = USUAL.iter().filter(|(path, _)| text.path == *path);
        usual.any(|(_, usual)| usual.is_empty() || usual.split(' ').any(|usual| usual == word))
    };
    let words = || OLD.iter().flat_map(|(words, _)| words.split(' '));
    let mut violations = Vec::new();
    for (line, number) in text.text.lines().zip(1..) {
        // Most lines need no closer look.
        let small = line.to_ascii_lowercase();
        if !words().any(|word| small.contains(word)) {
            continue;
        }
        for word in parts(line).iter().filter(|word| !is_usual(word)) {
            let mut old = OLD.iter();
            if let Some((_, instead)) = old.find(|(old, _)| old.split(' ').any(|old| old == word)) {
                let what = format!("`{word}` is not used here. Instead: {instead}");
                violations.push(text.at_line(number, what));
            }
        }
    }
    violations
}

/// The words of a line in small letters; those of an identifier, too: `read_head`, `ReadHead`.
fn parts(line: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut was_small = false;
    for letter in line.chars() {
        if !letter.is_alphabetic() || was_small && letter.is_uppercase() {
            parts.push(String::new());
        }
        if letter.is_alphabetic() {
            parts.last_mut().unwrap().extend(letter.to_lowercase());
        }
        was_small = letter.is_lowercase();
    }
    parts
}

#[test]
fn an_old_word_is_found_in_prose_and_in_identifiers() {
    let found = |path: &str, text: &str| {
        let (path, text) = (path.into(), text.into());
        let violations = old(&Text { path, text });
        violations
            .iter()
            .map(Violation::to_string)
            .collect::<Vec<_>>()
    };
    for line in [
        "// Nobody waits.",
        "let room_left = 1;",
        "struct BufferRoom;",
        "(as was said)",
    ] {
        assert_eq!(found("src/a.rs", line).len(), 1, "{line}");
    }
    let good = "mushroom, guestbook, whole, the hearing\nlet roomy = 1;";
    assert_eq!(found("src/a.rs", good), [""; 0]);
    let expected = "docs/a.md:2: `door` is not used here. Instead: listener";
    assert_eq!(found("docs/a.md", "A\ndoor."), [expected]);
}
