//! A planted bug: the patch and its header.

use crate::here;
use std::fs;
use std::path::PathBuf;

/// A bug, and the test that must notice it.
#[derive(Debug)]
pub struct Bug {
    pub name: String,
    pub patch: PathBuf,
    /// The bug in one sentence.
    pub what: String,
    /// The file that the patch changes.
    pub file: String,
    /// The target of `cargo test` that must fail (`lib` for the unit tests; `selftest` for that of
    /// the benchmark), and a filter for its tests.
    pub target: String,
    pub filter: String,
    /// The failing test must print one of these.
    pub says: Vec<String>,
}

/// All bugs, sorted by file.
pub fn all() -> Vec<Bug> {
    let entries = fs::read_dir(here(crate::BUGS)).expect("the patches");
    let paths = entries.map(|entry| entry.expect("a patch").path());
    let mut bugs: Vec<Bug> = paths.map(Bug::read).collect();
    bugs.sort_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
    bugs
}

/// The bugs that `ONELOOP_PLANTED` selects, and whether these are all: all if it is unset, one by
/// its name, or with `2/4` every fourth from the second.
pub fn chosen() -> (Vec<Bug>, bool) {
    let Ok(choice) = std::env::var("ONELOOP_PLANTED") else {
        return (all(), true);
    };
    let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number > 0);
    let part = (choice.split_once('/')).and_then(|(a, b)| Some((number(a)?, number(b)?)));
    let chosen: Vec<Bug> = match part {
        Some((part, parts)) => all().into_iter().skip(part - 1).step_by(parts).collect(),
        None => all().into_iter().filter(|bug| bug.name == choice).collect(),
    };
    assert!(
        !chosen.is_empty(),
        "ONELOOP_PLANTED={choice} chooses no bug; it is a name of tests/planted*/bugs, or PART/PARTS"
    );
    (chosen, false)
}

impl Bug {
    fn read(patch: PathBuf) -> Self {
        let name = patch.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&patch).unwrap();
        let missing = |what| -> ! { panic!("{name}: no {what}") };
        let (header, rest) = text
            .split_once("\n--- a/")
            .unwrap_or_else(|| missing("difference"));
        let caught = header
            .lines()
            .find_map(|line| line.strip_prefix("Caught-by: "));
        let (test, says) = caught
            .and_then(|caught| caught.split_once(" / "))
            .unwrap_or_else(|| missing("line `Caught-by: TARGET FILTER / \"WHAT IT SAYS\"`"));
        let (target, filter) = test.split_once(' ').unwrap_or((test, ""));
        Self {
            what: header.lines().next().unwrap_or_default().to_owned(),
            file: rest.lines().next().unwrap_or_default().to_owned(),
            target: target.to_owned(),
            filter: filter.to_owned(),
            says: says
                .split('"')
                .skip(1)
                .step_by(2)
                .map(String::from)
                .collect(),
            name,
            patch,
        }
    }

    /// The test that must fail, as shown in the document.
    pub fn test(&self) -> String {
        match (self.target.as_str(), self.filter.as_str()) {
            ("sim", "known_seeds_break_no_rule") => "sim".into(),
            (target, "") => target.into(),
            (target, filter) => format!("{target} {filter}"),
        }
    }

    /// The arguments of cargo.
    pub fn arguments(&self) -> Vec<&str> {
        let mut arguments = match self.target.as_str() {
            "lib" => vec!["test", "--lib", "--"],
            "selftest" => vec!["run", "--", "bench", "selftest", "--quick"],
            target => vec!["test", "--test", target, "--"],
        };
        arguments.push(&self.filter);
        arguments
    }
}
