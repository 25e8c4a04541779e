//! The known differences as Markdown, compared with docs/second-opinion.md.

use crate::differences::What;
use crate::judge::{Judgement, Seen};
use crate::known::Class;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/second-opinion.md");
const BEGIN: &str = "<!-- The tables are made by tests/second_opinion: begin -->\n";
const END: &str = "<!-- end -->\n";
/// Bytes of an example that are shown.
const SHOWN: usize = 56;

/// Fails if the document differs; updates it with UPDATE_DOCS.
pub fn compare(judgement: &Judgement) {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("the tables begin");
    let (documented, after) = rest.split_once(END).expect("the tables end");
    let tables = tables(judgement);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(DOCUMENT, [before, BEGIN, &tables, END, after].concat()).unwrap();
        return;
    }
    for (documented, row) in documented.lines().zip(tables.lines()) {
        assert_eq!(documented, row, "left: the document, right: the servers");
    }
    assert_eq!(documented, tables);
}

fn tables(judgement: &Judgement) -> String {
    let mut text = String::new();
    let mut seen = judgement.seen.iter();
    for part in &judgement.parts {
        let _ = write!(text, "\n## {}\n\n{}\n\n", part.heading, part.text);
        text.push_str("| The head has | oneloop | nginx | Why |\n|---|---|---|---|\n");
        for (class, seen) in part.classes.iter().zip(&mut seen) {
            text.push_str(&row(class, seen));
        }
    }
    text.push('\n');
    text
}

fn row(class: &Class, seen: &Seen) -> String {
    let outcomes: Vec<_> = seen.whats.iter().map(|&what| describe(what)).collect();
    let ours: BTreeSet<_> = outcomes.iter().map(|(ours, _)| ours.as_str()).collect();
    let theirs: BTreeSet<_> = outcomes.iter().map(|(_, theirs)| theirs.as_str()).collect();
    let list = |outcomes: BTreeSet<&str>| outcomes.into_iter().collect::<Vec<_>>().join(", ");
    let example = seen.example.as_deref().map(example).unwrap_or_default();
    let cells = [
        format!("{}<br>{example}", class.name),
        list(ours),
        list(theirs),
        class.why.to_owned(),
    ];
    format!("| {} |\n", cells.join(" | "))
}

fn describe(what: What) -> (String, String) {
    let say = |is_so: bool, yes: &str, no: &str| (if is_so { yes } else { no }).to_owned();
    match what {
        What::Outcome { ours, theirs } => (ours.to_string(), theirs.to_string()),
        What::Open(ours, theirs) => {
            let stays = |open| say(open, "stays open", "closes");
            (stays(ours), stays(theirs))
        }
        What::Interim(ours, theirs) => {
            let begins = |interim| say(interim, "100 first", "the response at once");
            (begins(ours), begins(theirs))
        }
        What::Content => ("a file".into(), "another".into()),
    }
}

/// The head with escapes as in a string, shortened to a line. A bar would end the column.
fn example(head: &[u8]) -> String {
    let shown = head.get(..SHOWN).unwrap_or(head).escape_ascii().to_string();
    let shown = shown
        .replace("\\\"", "\"")
        .replace("\\'", "'")
        .replace('|', "\\|");
    let more = if head.len() > SHOWN { "..." } else { "" };
    format!("`{shown}{more}`")
}
