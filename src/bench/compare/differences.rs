//! Room `bench`: what is not the same in two runs, apart from what was measured?

use super::named;
use crate::bench::record::Run;
use crate::bench::table::Paper;
use crate::bench::table::format::plain;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// Facts that are another number each time and say nothing of the machine.
const MOODS: [&str; 8] = [
    "steal",
    "load",
    "pressure",
    "available",
    "free",
    "uptime",
    "time",
    "date",
];

/// Prints both runs, and loudly what is not the same in them.
///
/// # Errors
/// If `to` cannot be written to.
pub fn print(before: &Run, after: &Run, to: &mut dyn Write, paper: Paper) -> io::Result<()> {
    paper.item(to, "before: ", &named(before))?;
    paper.item(to, "after:  ", &named(after))?;
    let found = of(before, after);
    if found.is_empty() {
        return Ok(());
    }
    writeln!(to)?;
    paper.heading(to, "THE RUNS DIFFER BY MORE THAN THEIR DAY")?;
    for sentence in found {
        paper.item(to, "! ", &plain(&sentence))?;
    }
    Ok(())
}

/// As sentences.
pub fn of(before: &Run, after: &Run) -> Vec<String> {
    let mut found = facts(before, after);
    if before.program != after.program {
        found.push(format!(
            "program: {} before, {} after",
            before.program, after.program
        ));
    }
    if before.preset != after.preset {
        let preset = |run: &Run| format!("{:?}", run.preset).to_lowercase();
        found.push(format!(
            "preset: {} before, {} after",
            preset(before),
            preset(after)
        ));
    }
    if before.seed != after.seed {
        found.push(format!(
            "seed: {} before, {} after (orders and arrivals are others)",
            before.seed, after.seed
        ));
    }
    found.extend(arms(before, after));
    found.extend(cells(before, after));
    found
}

fn facts(before: &Run, after: &Run) -> Vec<String> {
    let (old, new) = (&before.environment.facts, &after.environment.facts);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let is_mood = |name: &str| MOODS.iter().any(|mood| name.contains(mood));
    let of = |name: &&String| {
        let (old, new) = (old.get(*name), new.get(*name));
        let told = |fact: Option<&String>| fact.map_or("unknown", String::as_str).to_owned();
        let lasts = |fact: Option<&String>| fact.map(|fact| lasting(fact));
        (lasts(old) != lasts(new))
            .then(|| format!("{name}: {} before, {} after", told(old), told(new)))
    };
    names
        .iter()
        .filter(|name| !is_mood(name))
        .filter_map(of)
        .collect()
}

/// A fact without those parts that say nothing of the machine: `24106 MiB, 23244 available`.
fn lasting(fact: &str) -> String {
    let parts = fact.split(", ");
    let parts = parts.filter(|part| !MOODS.iter().any(|mood| part.contains(mood)));
    parts.collect::<Vec<_>>().join(", ")
}

fn arms(before: &Run, after: &Run) -> Vec<String> {
    let mut found = Vec::new();
    for arm in &before.arms {
        match after.arms.iter().find(|one| one.name == arm.name) {
            None => found.push(format!("{} is only in the run before", arm.name)),
            Some(same) if same.command != arm.command => found.push(format!(
                "{}: started by `{}` before, by `{}` after",
                arm.name,
                arm.command.join(" "),
                same.command.join(" ")
            )),
            Some(_) => {}
        }
    }
    let known = |name: &str| before.arms.iter().any(|arm| arm.name == name);
    let new = after.arms.iter().filter(|arm| !known(&arm.name));
    found.extend(new.map(|arm| format!("{} is only in the run after", arm.name)));
    let reference = |run: &Run| run.arms.first().map(|arm| arm.name.clone());
    if reference(before) != reference(after) {
        found.push("the reference is another, so ratios to it are not comparable".to_owned());
    }
    found
}

fn cells(before: &Run, after: &Run) -> Vec<String> {
    let mut found = Vec::new();
    for cell in &before.cells {
        match after.cells.iter().find(|one| one.name == cell.name) {
            None => found.push(format!("{} is only in the run before", cell.name)),
            Some(same) if same.headline != cell.headline => found.push(format!(
                "{}: {} is compared before and {} after, so it is left out",
                cell.name, cell.headline, same.headline
            )),
            Some(same) if same.pinned != cell.pinned => found.push(format!(
                "{}: on processors of their own in one run, and not in the other",
                cell.name
            )),
            Some(same) if same.description != cell.description => found.push(format!(
                "{}: `{}` before, `{}` after",
                cell.name, cell.description, same.description
            )),
            Some(_) => {}
        }
    }
    let known = |name: &str| before.cells.iter().any(|cell| cell.name == name);
    let new = after.cells.iter().filter(|cell| !known(&cell.name));
    found.extend(new.map(|cell| format!("{} is only in the run after", cell.name)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::sample_runs::plain;
    use crate::bench::record::Preset;

    #[test]
    fn equal_runs_do_not_differ() {
        let mut run = plain([1.0; 4], 1);
        run.environment
            .facts
            .insert("memory".to_owned(), "24 GiB, 7 available".to_owned());
        let mut other = run.clone();
        other
            .environment
            .facts
            .insert("memory".to_owned(), "24 GiB, 9 available".to_owned());
        run.environment
            .facts
            .insert("steal".to_owned(), "0.3 %".to_owned());
        run.started = 7;
        assert_eq!(of(&run, &other), [""; 0]);
    }

    #[test]
    fn each_difference_is_told() {
        let before = plain([1.0; 4], 1);
        let mut after = before.clone();
        after
            .environment
            .facts
            .insert("kernel".to_owned(), "6.18".to_owned());
        after.program = "oneloop 0.2.0".to_owned();
        after.preset = Preset::Full;
        after.seed = 8;
        after.arms[2].command = vec!["other".to_owned()];
        after.arms[3].name = "pool".to_owned();
        after.arms.swap(0, 1);
        after.cells[0].pinned = false;
        let told = [
            "kernel: unknown before, 6.18 after",
            "program: oneloop 0.1.0 before, oneloop 0.2.0 after",
            "preset: standard before, full after",
            "seed: 7 before, 8 after (orders and arrivals are others)",
            "thread: started by `oneloop` before, by `other` after",
            "process is only in the run before",
            "pool is only in the run after",
            "the reference is another, so ratios to it are not comparable",
            "keepalive c=64: on processors of their own in one run, and not in the other",
        ];
        assert_eq!(of(&before, &after), told);
        after.cells[0].name = "new".to_owned();
        let last = of(&before, &after).split_off(8);
        assert_eq!(
            last,
            [
                "keepalive c=64 is only in the run before",
                "new is only in the run after"
            ]
        );
    }

    #[test]
    fn it_is_said_loudly() {
        let before = plain([1.0; 4], 1);
        let mut after = before.clone();
        after.seed = 8;
        let mut bytes = Vec::new();
        print(&before, &after, &mut bytes, Paper::new(80, false)).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.contains("THE RUNS DIFFER BY MORE THAN THEIR DAY\n! seed: 7"),
            "{text}"
        );
    }
}
