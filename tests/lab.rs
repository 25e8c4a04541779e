//! `oneloop lab`: its commands, its exercises, and the proof that each exercise is one: the starter
//! fails, the reference passes, and three plausible repairs that are wrong fail.
//!
//! ```text
//! cargo test --test lab                                        do the patches apply?
//! cargo test --test lab -- --ignored --nocapture               the proof: minutes
//! ONELOOP_LAB=4 cargo test --test lab -- --ignored             for one exercise
//! ONELOOP_LAB=2/4 cargo test --test lab -- --ignored           for every fourth, from the second
//! ```
#![cfg(feature = "study")]
#![allow(clippy::print_stdout, reason = "a test says how far it has come")]

use oneloop::study::lab::{ALL, Exercise, copy, observe};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn has_git() -> bool {
    let has_git = Command::new("git").arg("--version").output().is_ok();
    if !has_git {
        println!("skipped: git is not installed");
    }
    has_git
}

/// The text of a file of the exercise.
fn read(exercise: &Exercise, name: &str) -> String {
    let path = project("src/study/lab/exercises").join(exercise.name);
    let path = path.join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The wrong repairs of an exercise: the name, the reason in the first line, and the patch.
fn wrong_repairs(exercise: &Exercise) -> Vec<(String, String, String)> {
    let repair = |number| {
        let name = format!("wrong-{number}");
        let patch = read(exercise, &format!("{name}.patch"));
        let reason = patch.lines().next().unwrap_or_default().to_owned();
        (name, reason, patch)
    };
    (1..=3).map(repair).collect()
}

#[test]
fn every_patch_applies_to_the_sources() {
    if !has_git() {
        return;
    }
    let mut stale = Vec::new();
    for exercise in ALL {
        let wrong = wrong_repairs(exercise).into_iter();
        let wrong = wrong.map(|(name, _, patch)| (name, patch));
        for (name, patch) in wrong.chain([("fault".to_owned(), exercise.fault.to_owned())]) {
            if let Err(error) = copy::apply(&project(""), &patch, &["--check"]) {
                stale.push(format!("{}/{name}.patch: {error}", exercise.name));
            }
        }
    }
    assert!(stale.is_empty(), "make these anew:\n{}", stale.join("\n"));
}

#[test]
fn every_exercise_has_its_texts() {
    assert!(ALL.len() >= 12);
    for (number, exercise) in (1..).zip(ALL) {
        let name = exercise.name;
        assert!(name.starts_with(&format!("{number:02}-")), "{name}");
        assert!(
            !exercise.title().is_empty() && !exercise.summary().is_empty(),
            "{name}"
        );
        let sections = [
            "Task",
            "Hint 1",
            "Hint 2",
            "Hint 3",
            "Explanation",
            "Public bug",
        ];
        for heading in sections {
            assert!(exercise.section(heading).len() > 40, "{name}: {heading}");
        }
        assert!(
            exercise.section("Public bug").contains("https://"),
            "{name}"
        );
        let text = read(exercise, "text.md");
        for line in text.lines() {
            assert!(line.chars().count() <= 110, "{name}: {line}");
        }
        for (wrong, reason, _) in wrong_repairs(exercise) {
            assert!(
                reason.len() > 40 && !reason.starts_with("---"),
                "{name}: {wrong}"
            );
        }
    }
}

#[test]
fn the_document_has_a_row_for_every_exercise() {
    let document = fs::read_to_string(project("docs/lab.md")).unwrap();
    for (number, exercise) in (1..).zip(ALL) {
        let row = format!(
            "| {number} | {} | {} |",
            exercise.title(),
            exercise.summary()
        );
        assert!(
            document.contains(&row),
            "docs/lab.md has no row that begins: {row}"
        );
    }
}

fn lab(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    // It is set for a program that `cargo run` starts.
    command.env_remove("CARGO_MANIFEST_DIR");
    command.arg("lab").args(arguments).output().unwrap()
}

/// What a command prints that succeeds.
fn printed(arguments: &[&str]) -> String {
    let output = lab(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The error of a command that fails.
fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn without_a_command_the_labs_are_listed() {
    let listed = printed(&[]);
    assert_eq!(listed, printed(&["list"]));
    for exercise in ALL {
        assert!(listed.contains(exercise.title()) && listed.contains(exercise.summary()));
    }
}

#[test]
fn a_hint_needs_no_copy_and_the_first_is_the_default() {
    assert_eq!(printed(&["hint", "1"]).trim_end(), ALL[0].section("Hint 1"));
    assert_eq!(
        printed(&["hint", "2", "3"]).trim_end(),
        ALL[1].section("Hint 3")
    );
    assert_eq!(lab(&["hint", "1", "4"]).status.code(), Some(2));
}

#[test]
fn an_unknown_number_is_an_error_that_names_the_numbers() {
    for arguments in [
        ["hint", "0"],
        ["start", "99"],
        ["run", "99"],
        ["explain", "99"],
    ] {
        let error = error(&lab(&arguments));
        assert!(error.contains("the labs are 1 to"), "{error}");
    }
}

#[test]
fn the_copy_has_the_fault_and_is_not_written_over() {
    if !has_git() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("first");
    let place = place.to_str().unwrap();
    let started = printed(&["start", "1", place]);
    assert!(started.contains(ALL[0].section("Task")), "{started}");
    let changed = |file: &str| {
        let copied = fs::read(Path::new(place).join(file)).unwrap();
        copied != fs::read(project(file)).unwrap()
    };
    assert!(changed("src/connection/mod.rs") && !changed("src/pump.rs"));
    assert!(error(&lab(&["start", "1", place])).contains("exists already"));
    assert!(error(&lab(&["run", "2", place])).contains("another lab: 01-"));
    assert!(error(&lab(&["explain", "1", place])).contains("not solved"));
}

#[test]
fn a_copy_may_not_be_in_the_clone() {
    if !has_git() {
        return;
    }
    let inside = project("target/a-lab-inside");
    let error = error(&lab(&["start", "1", inside.to_str().unwrap()]));
    assert!(error.contains("inside the clone"), "{error}");
    assert!(!inside.exists());
}

#[test]
fn a_lab_that_is_not_started_says_how_to_start_it() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().to_str().unwrap();
    for command in ["run", "check", "explain"] {
        let error = error(&lab(&[command, "3", empty]));
        assert!(error.contains("oneloop lab start 3"), "{error}");
    }
}

#[test]
fn an_explanation_names_a_public_bug() {
    let explained = printed(&["explain", "5", "--anyway"]);
    assert!(
        explained.contains("https://github.com/tokio-rs/mio/issues/845"),
        "{explained}"
    );
}

#[test]
fn without_git_or_cargo_the_error_names_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("copy");
    let without_programs = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.arg("lab").args(arguments).arg(&place);
        let output = command
            .env("PATH", "")
            .env_remove("CARGO")
            .output()
            .unwrap();
        error(&output)
    };
    let error = without_programs(&["start", "1"]);
    assert!(error.contains("git is not installed"), "{error}");
    if has_git() {
        printed(&["start", "1", place.to_str().unwrap()]);
        let error = without_programs(&["run", "1"]);
        assert!(error.contains("cargo is not installed"), "{error}");
    }
}

/// The exercises that `ONELOOP_LAB` selects: all, one by its number, or a part.
fn chosen() -> Vec<&'static Exercise> {
    let Ok(choice) = std::env::var("ONELOOP_LAB") else {
        return ALL.iter().collect();
    };
    let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number > 0);
    let part = choice
        .split_once('/')
        .and_then(|(a, b)| Some((number(a)?, number(b)?)));
    let chosen: Vec<_> = match part {
        Some((part, parts)) => ALL.iter().skip(part - 1).step_by(parts).collect(),
        None => number(&choice)
            .and_then(Exercise::numbered)
            .into_iter()
            .collect(),
    };
    assert!(
        !chosen.is_empty(),
        "ONELOOP_LAB={choice} is no number and no PART/PARTS"
    );
    chosen
}

/// A copy of the project that stays between runs, and the target directory for it.
struct Copy {
    tree: PathBuf,
    target: PathBuf,
}

impl Copy {
    /// The server with this patch; without one, that of the sources.
    fn build(&self, patch: Option<&str>) -> copy::Build {
        copy::refresh(&project(""), &self.tree).unwrap();
        if let Some(patch) = patch {
            copy::apply(&self.tree, patch, &[]).unwrap();
        }
        copy::build(&self.tree, &self.target).unwrap()
    }

    /// Whether the sources compile with this patch.
    fn compiles_with(&self, patch: &str) -> bool {
        copy::refresh(&project(""), &self.tree).unwrap();
        copy::apply(&self.tree, patch, &[]).unwrap();
        let mut check = Command::new(env!("CARGO"));
        check.args(["check", "--quiet"]).current_dir(&self.tree);
        let status = check.env("CARGO_TARGET_DIR", &self.target).status();
        status.unwrap().success()
    }

    /// Runs an exercise and returns the observations that are not healthy.
    fn faults(&self, exercise: &Exercise, build: &copy::Build) -> Vec<String> {
        let observations = observe(exercise, build).unwrap();
        let wrong = observations
            .into_iter()
            .filter(|observation| !observation.is_healthy());
        let text = |observation: oneloop::study::lab::Observation| {
            format!(
                "{}: {} instead of {}",
                observation.action, observation.seen, observation.healthy
            )
        };
        wrong.map(text).collect()
    }
}

#[test]
#[ignore = "builds the server four times for each exercise"]
fn every_starter_fails_the_reference_passes_and_wrong_repairs_fail() {
    if !has_git() {
        return;
    }
    let began = Instant::now();
    let (exercises, mut problems) = (chosen(), Vec::new());
    let copy = Copy {
        tree: project("target/lab/tree"),
        target: project("target/lab/build"),
    };
    // All of them, also where only one is chosen: this takes some seconds for each.
    for exercise in ALL {
        if !copy.compiles_with(exercise.fault) {
            problems.push(format!("{}: the starter does not compile", exercise.name));
        }
    }
    let reference = copy.build(None);
    for exercise in &exercises {
        for fault in copy.faults(exercise, &reference) {
            println!("REFERENCE FAILS: {}: {fault}", exercise.name);
            problems.push(format!("{}: the reference fails: {fault}", exercise.name));
        }
    }
    for exercise in &exercises {
        let starter = ("starter".into(), String::new(), exercise.fault.to_owned());
        let variants = [starter].into_iter().chain(wrong_repairs(exercise));
        for (name, _, patch) in variants {
            let program = copy.build(Some(&patch));
            let faults = copy.faults(exercise, &program);
            let time = began.elapsed().as_secs();
            println!(
                "{time:4} s  {} {name}: {}",
                exercise.name,
                faults.join("; ")
            );
            if faults.is_empty() {
                problems.push(format!("{}: {name} passes", exercise.name));
            }
        }
    }
    copy::refresh(&project(""), &copy.tree).unwrap();
    println!("{} exercises, {:.0?}", exercises.len(), began.elapsed());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
