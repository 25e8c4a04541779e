//! Reports failures: rows that fail in the same way, in any model or table, are one difference.

use crate::script::Row;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

/// A row that failed: the expected bytes, the received bytes, and how the connection ended.
pub struct Failure {
    pub model: &'static str,
    /// The index of the row in its table.
    pub row: usize,
    pub expected: Vec<u8>,
    pub received: Vec<u8>,
    pub end: String,
}

/// The lines that only the expected or only the received bytes have, and how the connection ended.
/// Rows with the same difference probably fail for the same reason.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Difference {
    missing: Vec<String>,
    unexpected: Vec<String>,
    end: String,
}

/// Differences that were reported in full.
static SHOWN: Mutex<BTreeSet<Difference>> = Mutex::new(BTreeSet::new());

/// The most differences that a table reports in full, and the most rows that it names for each.
const MOST: usize = 5;

/// Advice for failed rows.
const HINT: &str = "If the server is right: what rows expect is put together in Response::to_bytes \
                    (tests/conformance/script.rs), and the rows are in the table of this test.\n\
                    If it is wrong: fields of a response are made in src/site, and rendered in \
                    src/http/response.rs.";

/// The differences of a table: each with its rows and models, and one row in full unless another
/// table has reported it. A new difference also shows the log of the `server` and advice.
pub fn report(rows: &[Row], failures: &[Failure], server: &str) -> String {
    let mut alike: BTreeMap<Difference, Vec<&Failure>> = BTreeMap::new();
    for failure in failures {
        alike
            .entry(Difference::of(failure))
            .or_default()
            .push(failure);
    }
    let mut text = format!(
        "\n{} rows of {} failed; kinds of difference: {}\n",
        distinct(failures.iter().map(|failure| failure.row)).len(),
        rows.len(),
        alike.len()
    );
    let mut has_new = false;
    for (difference, failures) in alike.iter().take(MOST) {
        let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = shown.insert(difference.clone());
        drop(shown);
        has_new |= is_new;
        if is_new {
            put_alike(&mut text, rows, failures);
            put_full(&mut text, rows, failures[0]);
        } else {
            put_short(&mut text, difference, failures);
        }
    }
    if alike.len() > MOST {
        let _ = writeln!(text, "\n... and {} further differences", alike.len() - MOST);
    }
    if has_new {
        let _ = writeln!(text, "\n{HINT}\n{server}");
    }
    text
}

impl Difference {
    fn of(failure: &Failure) -> Self {
        let (expected, received) = (lines(&failure.expected), lines(&failure.received));
        let only_in = |these: &[String], others: &[String]| {
            let mut only: Vec<String> = Vec::new();
            for line in these.iter().filter(|line| !others.contains(line)) {
                // Once, although each response of the row may have it.
                if !only.contains(line) {
                    only.push(line.clone());
                }
            }
            only
        };
        Self {
            missing: only_in(&expected, &received),
            unexpected: only_in(&received, &expected),
            end: failure.end.clone(),
        }
    }
}

fn distinct<T: Ord>(all: impl Iterator<Item = T>) -> BTreeSet<T> {
    all.collect()
}

/// The rows and models of a difference.
fn put_alike(text: &mut String, rows: &[Row], failures: &[&Failure]) {
    let models: Vec<_> = distinct(failures.iter().map(|failure| failure.model))
        .into_iter()
        .collect();
    let names = distinct(failures.iter().map(|failure| failure.row));
    let _ = writeln!(
        text,
        "\n== {} rows, model {}",
        names.len(),
        models.join(", ")
    );
    for row in names.iter().take(MOST) {
        let _ = writeln!(text, "   {}", rows[*row].name);
    }
    if names.len() > MOST {
        let _ = writeln!(text, "   ... and {} rows more", names.len() - MOST);
    }
}

/// A difference that another table has shown: the number of rows, and its first lines.
fn put_short(text: &mut String, difference: &Difference, failures: &[&Failure]) {
    let count = distinct(failures.iter().map(|failure| failure.row)).len();
    let _ = writeln!(
        text,
        "{count} rows: the same difference as in a table above"
    );
    put(text, '-', difference.missing.get(..1).unwrap_or_default());
    put(
        text,
        '+',
        difference.unexpected.get(..1).unwrap_or_default(),
    );
}

/// The bytes sent, and the differences line by line.
fn put_full(text: &mut String, rows: &[Row], failure: &Failure) {
    let script = &rows[failure.row].script;
    let _ = writeln!(text, "in full, \"{}\", sent:", rows[failure.row].name);
    for (index, piece) in script.pieces.iter().enumerate() {
        if index > 0 {
            text.push_str("  (then)\n");
        }
        put(text, '>', &lines(piece));
    }
    if script.closes_first {
        text.push_str("  (and closed its direction)\n");
    }
    text.push_str("expected (-) and received (+):\n");
    let (expected, received) = (lines(&failure.expected), lines(&failure.received));
    let same_at_start = std::iter::zip(&expected, &received)
        .take_while(|(a, b)| a == b)
        .count();
    let same_at_end = std::iter::zip(
        expected[same_at_start..].iter().rev(),
        received[same_at_start..].iter().rev(),
    )
    .take_while(|(a, b)| a == b)
    .count();
    let differing = |lines: &[String]| lines[same_at_start..lines.len() - same_at_end].to_vec();
    put(text, ' ', &expected[..same_at_start]);
    put(text, '-', &differing(&expected));
    put(text, '+', &differing(&received));
    put(text, ' ', &expected[expected.len() - same_at_end..]);
    let _ = writeln!(text, "  {}", failure.end);
}

fn put(text: &mut String, mark: char, lines: &[String]) {
    const MOST: usize = 40;
    for line in lines.iter().take(MOST) {
        let _ = writeln!(text, "  {mark} {line}");
    }
    if lines.len() > MOST {
        let _ = writeln!(text, "  {mark} ... {} lines more", lines.len() - MOST);
    }
}

/// The bytes as escaped lines of limited length.
fn lines(bytes: &[u8]) -> Vec<String> {
    bytes
        .split_inclusive(|&byte| byte == b'\n')
        .map(|line| {
            let shown = line.get(..160).unwrap_or(line).escape_ascii().to_string();
            let shown = shown.replace("\\\"", "\"").replace("\\'", "'");
            match line.len() {
                0..=160 => shown,
                length => format!("{shown}... {length} bytes"),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{get, rows, text};

    /// A hundred rows that fail for one reason in six models are one difference. A later table
    /// shows only its first lines.
    #[test]
    fn rows_that_fail_alike_are_reported_once() {
        let rows = rows! {
            "one": get("/a") => text("x");
            "another": get("/b") => text("x");
        };
        let failure = |model, row: usize| Failure {
            model,
            row,
            expected: b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n".to_vec(),
            received: b"HTTP/1.1 200 OK\r\nA: only here\r\n\r\n".to_vec(),
            end: "and then it closed".into(),
        };
        let failures = [
            failure("pool", 0),
            failure("thread", 0),
            failure("thread", 1),
        ];
        let first = report(&rows, &failures, "messages: none");
        let expected = "\n2 rows of 2 failed; kinds of difference: 1\n\
            \n== 2 rows, model pool, thread\n   one\n   another\nin full, \"one\", sent:\n  \
            > GET /a HTTP/1.1\\r\\n\n  > Host: a\\r\\n\n  > \\r\\n\nexpected (-) and received (+):\n    \
            HTTP/1.1 200 OK\\r\\n\n  - A: b\\r\\n\n  + A: only here\\r\\n\n    \\r\\n\n  \
            and then it closed\n";
        assert_eq!(first, format!("{expected}\n{HINT}\nmessages: none\n"));
        let again = report(&rows, &failures, "messages: none");
        let short = "\n2 rows of 2 failed; kinds of difference: 1\n\
            2 rows: the same difference as in a table above\n  - A: b\\r\\n\n  \
            + A: only here\\r\\n\n";
        assert_eq!(again, short);
    }
}
