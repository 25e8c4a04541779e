//! The fuzz targets without a fuzzer: each run of `cargo test` tries all former findings, all
//! seeds, and some thousand mutations of them.
//!
//! The mutations are the same in every run, so that a failure comes from the change that is tested.
//! `ONELOOP_FUZZ_SECONDS=60` runs each target for that time with a new seed; `ONELOOP_FUZZ_SEED`
//! repeats a run. See docs/fuzzing.md.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what it found, and from which seed"
)]

mod mutator;
mod targets;

use mutator::Mutator;
use std::any::Any;
use std::cell::Cell;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Mutations in a run without a time.
const RUNS: u64 = 3000;
/// The seed of a run without a time.
const SEED: u64 = 1;
/// The longest mutation: beyond all limits of the targets.
const LONGEST: usize = 1024;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz")
        .join(path)
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs a target with all its inputs.
fn fuzz(name: &str) {
    silence_attempts_to_shrink();
    let (_, check) = targets::ALL
        .into_iter()
        .find(|(target, _)| *target == name)
        .expect("the name of a target");
    let inputs = inputs(name);
    for (path, input) in &inputs {
        if let Err(panic) = attempt(check, input) {
            eprintln!("{}: {}", path.display(), input.escape_ascii());
            panic::resume_unwind(panic);
        }
    }
    let inputs: Vec<_> = inputs.into_iter().map(|(_, input)| input).collect();
    let seconds = number("ONELOOP_FUZZ_SECONDS");
    let seed = number("ONELOOP_FUZZ_SEED").unwrap_or(match seconds {
        Some(_) => UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into(),
        None => SEED,
    });
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let tokens = mutator::tokens(&fs::read_to_string(here("tokens.dict")).unwrap());
    let mut mutator = Mutator::new(seed, inputs, tokens);
    let mut runs = 0;
    while until.map_or(runs < RUNS, |until| Instant::now() < until) {
        let input = mutator.next(LONGEST);
        runs += 1;
        if let Err(panic) = attempt(check, &input) {
            tell(name, check, &input, seed, runs);
            panic::resume_unwind(panic);
        }
    }
    if seconds.is_some() {
        println!("{name}: {runs} runs from the seed {seed}");
    }
}

/// Only this thread: other tests run at the same time.
fn silence_attempts_to_shrink() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                tell(panic);
            }
        }));
    });
}

fn attempt(check: fn(&[u8]), input: &[u8]) -> Result<(), Box<dyn Any + Send>> {
    panic::catch_unwind(AssertUnwindSafe(|| check(input)))
}

/// Reduces the input that failed, writes it to a file, and prints how to repeat it.
fn tell(name: &str, check: fn(&[u8]), input: &[u8], seed: u64, runs: u64) {
    QUIET.set(true);
    let short = mutator::shrunk(input.to_vec(), |input| attempt(check, input).is_err());
    QUIET.set(false);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
    fs::write(&path, &short).unwrap();
    eprintln!(
        "{name} fails in run {runs} from the seed {seed}, for:\n{}\n\
         It is in {}. To keep it as a test, move it to tests/fuzz/found/{name}/.",
        short.escape_ascii(),
        path.display()
    );
    // Fail with the short one: that is easier to read.
    let _ = attempt(check, &short);
}

/// The committed inputs of a target, former findings first.
fn inputs(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folders = ["found", "seeds"].map(|folder| here(folder).join(name));
    let files = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{name} has no inputs");
    let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
    paths.into_iter().map(read).collect()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text}")),
    )
}

#[test]
fn accept_is_judged_as_by_the_reference() {
    fuzz("accept");
}

#[test]
fn coding_preferences_are_those_of_the_reference() {
    fuzz("coding");
}

#[test]
fn conditional_requests_are_judged_as_by_the_rfc() {
    fuzz("conditional");
}

#[test]
fn dates_are_those_of_httpdate() {
    fuzz("date");
}

#[test]
fn heads_are_parsed_as_by_the_reference() {
    fuzz("head");
}

#[test]
fn host_fields_follow_the_grammar() {
    fuzz("host");
}

#[test]
fn listing_pages_contain_no_markup_from_the_query() {
    fuzz("listing");
}

#[test]
fn log_lines_can_be_read_back() {
    fuzz("log");
}

#[test]
fn no_path_leads_out_of_the_root() {
    fuzz("path");
}

#[test]
fn ranges_are_those_of_the_reference() {
    fuzz("range");
}

#[test]
fn each_request_of_a_stream_gets_its_response() {
    fuzz("stream");
}

#[test]
fn every_target_is_fuzzed_everywhere() {
    let here_is = |path: String| here(&path).exists();
    let manifest = fs::read_to_string(here("Cargo.toml")).unwrap();
    for (name, _) in targets::ALL {
        assert!(here_is(format!("fuzz_targets/{name}.rs")), "{name}");
        assert!(here_is(format!("seeds/{name}")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        let this = include_str!("main.rs");
        assert!(this.contains(&format!("    fuzz(\"{name}\")")), "{name}");
    }
}
