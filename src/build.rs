//! The build script: finds the commit of the sources, which a run of the benchmark records.
//!
//! It does so only in a build with optimization, which is the kind that is measured. Otherwise each
//! commit would build the crate again.

use std::env;
use std::process::Command;

/// What the program is built from.
const SOURCES: [&str; 3] = ["src", "Cargo.toml", "Cargo.lock"];

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    let is_optimized = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if let (true, Some(commit)) = (is_optimized, commit()) {
        println!("cargo::rustc-env=ONELOOP_COMMIT={commit}");
    }
}

/// The commit, and whether the sources differ from it. `None` without git, or if the directory is
/// not the top of a repository, as in an unpacked crate.
fn commit() -> Option<String> {
    git(&["rev-parse", "--show-prefix"]).filter(String::is_empty)?;
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    for path in SOURCES.into_iter().chain([log.as_str()]) {
        println!("cargo::rerun-if-changed={path}");
    }
    let changes = git(&[&["status", "--porcelain", "--"][..], &SOURCES].concat())?;
    Some(match changes.is_empty() {
        true => commit,
        false => format!("{commit}, changed"),
    })
}

/// What git prints. `None` if it fails.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
