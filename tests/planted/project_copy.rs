//! A copy of the project, to which the bugs are applied one after the other. It stays between runs,
//! so that cargo builds only what changed.

use crate::bug::Bug;
use crate::here;
use oneloop::study::lab::copy;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The files that the tests need.
const PARTS: [&str; 6] = ["Cargo.toml", "Cargo.lock", "src", "tests", "html", "docs"];

/// The limit for a build and a test that may hang.
const TIME_LIMIT: Duration = Duration::from_secs(900);

/// A little optimization pays: the code is built once per bug and runs for seconds.
const FAST: [&str; 3] = [
    "profile.dev.opt-level=1",
    "profile.dev.debug=0",
    r#"profile.dev.package."*".opt-level=0"#,
];

pub struct ProjectCopy {
    tree: PathBuf,
    build: PathBuf,
}

pub fn has_git() -> bool {
    let version = Command::new("git").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// Applies a patch to a copy of the sources, or checks it (`--check`), or reverts it.
///
/// # Errors
/// It does not apply.
pub fn apply(tree: &Path, bug: &Bug, options: &[&str]) -> Result<(), String> {
    let patch = fs::read_to_string(&bug.patch).expect("the patch");
    let name = &bug.name;
    copy::apply(tree, &patch, options)
        .map_err(|error| format!("patch {name} no longer applies: roll it anew\n{error}"))
}

impl ProjectCopy {
    /// Makes or updates the copy.
    pub fn update() -> Self {
        let copy = Self {
            tree: here("target/planted/tree"),
            build: here("target/planted/build"),
        };
        for part in PARTS {
            copy::update(&here(part), &copy.tree.join(part)).expect("the project can be copied");
        }
        copy
    }

    /// Without a bug, every test must pass.
    pub fn check_without_bugs(&self, bugs: &[Bug]) {
        let tests: BTreeSet<Vec<&str>> = bugs.iter().map(Bug::arguments).collect();
        for arguments in tests {
            let (status, output) = self.test(&arguments, "without-a-bug");
            let passed = status.is_some_and(|status| status.success());
            assert!(passed, "fails without a bug: {arguments:?}\n{output}");
            assert!(
                !output.contains("running 0 tests") || output.contains("1 passed"),
                "no such test: {arguments:?}\n{output}"
            );
        }
    }

    /// Applies a bug, runs its test, and reverts it. Returns after how many runs of the simulation
    /// it was caught, if they are counted.
    ///
    /// # Errors
    /// It was not caught, or with another message than expected.
    pub fn plant(&self, bug: &Bug) -> Result<Option<u64>, String> {
        let file = self.tree.join(&bug.file);
        let before = fs::read(&file).expect("the file of the bug");
        apply(&self.tree, bug, &[])?;
        assert!(fs::read(&file).unwrap() != before, "nothing was planted");
        let (status, output) = self.test(&bug.arguments(), &bug.name);
        // This makes the file newer than the build with the bug.
        fs::write(&file, before).unwrap();
        let Some(status) = status else {
            return Err(format!("{} hangs", bug.test()));
        };
        if output.contains("error: could not compile") {
            return Err("it does not build".into());
        }
        if status.success() {
            return Err(format!("not caught by {}", bug.test()));
        }
        match bug.says.iter().any(|says| output.contains(says)) {
            true => Ok(runs(&output)),
            false => Err(format!("nothing says {:?}", bug.says)),
        }
    }

    /// The output of the test with this bug.
    pub fn log(&self, bug: &str) -> PathBuf {
        self.build.join(format!("{bug}.log"))
    }

    /// Runs a test. No status if it takes too long.
    fn test(&self, arguments: &[&str], log: &str) -> (Option<ExitStatus>, String) {
        let (command, arguments) = arguments.split_first().expect("a command of cargo");
        let path = self.log(log);
        fs::create_dir_all(&self.build).unwrap();
        let output = fs::File::create(&path).unwrap();
        let mut child = Command::new(env!("CARGO"))
            .args([command, "--locked", "--quiet"])
            .args(FAST.iter().flat_map(|setting| ["--config", setting]))
            .args(arguments)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.build)
            .env("ONELOOP_SIM_SHRINK", "0")
            .env_remove("UPDATE_DOCS")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            // A process group, so that a test that hangs is killed together with cargo.
            .process_group(0)
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .expect("cargo starts");
        let began = Instant::now();
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if began.elapsed() > TIME_LIMIT => break None,
                None => thread::sleep(Duration::from_millis(20)),
            }
        };
        if status.is_none() {
            let group = rustix::process::Pid::from_child(&child);
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            child.wait().unwrap();
        }
        let text = fs::read(&path).unwrap();
        (status, String::from_utf8_lossy(&text).into_owned())
    }
}

/// Parses `after 23 runs: a rule was broken`.
fn runs(output: &str) -> Option<u64> {
    let (before, _) = output.split_once(" runs: a rule was broken")?;
    before.rsplit_once("after ")?.1.parse().ok()
}
