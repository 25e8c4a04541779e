//! Copies of the sources: made from a clone, changed by a patch, built by cargo.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is copied.
const PARTS: [&str; 9] = [
    "Cargo.toml",
    "Cargo.lock",
    "clippy.toml",
    "LICENSE",
    "README.md",
    "src",
    "tests",
    "html",
    "docs",
];

/// A file of a copy that says which exercise it is.
const MARK: &str = ".oneloop-lab";

/// The build: quick to make, and without the assertions that tests have. A server in use has none
/// either.
const SETTINGS: [&str; 4] = [
    "--config=profile.dev.debug=false",
    "--config=profile.dev.debug-assertions=false",
    "--no-default-features",
    "--features=study",
];

/// A copy that was built.
#[derive(Debug)]
pub struct Build {
    /// The server.
    pub program: PathBuf,
    tree: PathBuf,
    target: PathBuf,
}

/// Finds the clone: the directory in which this program was built, or the current directory or one
/// that contains it. If that is a copy, the clone that it was copied from.
pub fn find_clone(built_in: &Path, current: &Path) -> Option<PathBuf> {
    let is_clone = |directory: &Path| {
        let manifest = fs::read_to_string(directory.join("Cargo.toml"));
        manifest.is_ok_and(|text| text.contains("name = \"oneloop\""))
            && directory.join("src/main.rs").is_file()
    };
    let candidates = [built_in].into_iter().chain(current.ancestors());
    let found = candidates.into_iter().find(|candidate| is_clone(candidate));
    match found.map(|found| (found, Mark::read(found))) {
        Some((_, Some(mark))) => Some(mark.clone).filter(|clone| is_clone(clone)),
        Some((found, None)) => Some(found.to_owned()),
        None => None,
    }
}

/// What the mark of a copy says.
#[derive(Debug, PartialEq, Eq)]
pub struct Mark {
    /// The name of the exercise.
    pub exercise: String,
    /// The clone that it was copied from.
    pub clone: PathBuf,
    /// Whether its check has passed.
    pub has_passed: bool,
}

impl Mark {
    /// Reads the mark of the copy in `directory`; `None` if this is no copy.
    pub fn read(directory: &Path) -> Option<Self> {
        let text = fs::read_to_string(directory.join(MARK)).ok()?;
        let value = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name))
        };
        Some(Self {
            exercise: value("exercise: ")?.to_owned(),
            clone: value("clone: ")?.into(),
            has_passed: value("passed: ") == Some("yes"),
        })
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let Self {
            exercise,
            clone,
            has_passed,
        } = self;
        let passed = if *has_passed { "yes" } else { "no" };
        let clone = clone.display();
        let text = format!("exercise: {exercise}\nclone: {clone}\npassed: {passed}\n");
        fs::write(directory.join(MARK), text)
    }
}

/// Copies the sources of `clone` to `copy`, which must not exist.
///
/// # Errors
/// It exists, or lies in the clone, or cannot be written.
pub fn make(clone: &Path, copy: &Path) -> Result<(), String> {
    let shown = copy.display();
    if fs::symlink_metadata(copy).is_ok() {
        return Err(format!(
            "{shown} exists already; remove it to start again, or name another directory"
        ));
    }
    let failed = |error| format!("cannot create {shown}: {error}");
    fs::create_dir_all(copy).map_err(failed)?;
    let inside = (copy.canonicalize().ok().zip(clone.canonicalize().ok()))
        .is_some_and(|(copy, clone)| copy.starts_with(clone));
    if inside {
        // It was made just now, and is empty.
        let _ = fs::remove_dir(copy);
        return Err(format!(
            "{shown} is inside the clone; name a directory outside of it"
        ));
    }
    refresh(clone, copy).map_err(failed)
}

/// Makes the sources in `copy` equal to those of `clone`.
///
/// # Errors
/// Those of reading and writing files.
pub fn refresh(clone: &Path, copy: &Path) -> io::Result<()> {
    for part in PARTS {
        update(&clone.join(part), &copy.join(part))?;
    }
    Ok(())
}

/// Makes `to` equal to `from`, a file or a directory. Equal files keep their times, so that cargo
/// does not build them again.
///
/// # Errors
/// Those of reading and writing files.
pub fn update(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_file() {
        let bytes = fs::read(from)?;
        if fs::read(to).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        if let Some(directory) = to.parent() {
            fs::create_dir_all(directory)?;
        }
        return fs::write(to, bytes);
    }
    fs::create_dir_all(to)?;
    for old in fs::read_dir(to)? {
        let old = old?;
        if from.join(old.file_name()).exists() {
            continue;
        }
        match old.file_type()?.is_dir() {
            true => fs::remove_dir_all(old.path())?,
            false => fs::remove_file(old.path())?,
        }
    }
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        update(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// Applies a patch to the sources in `tree` (git apply), which need not be in a repository.
/// `options` are those of git apply: `--check` only looks whether it applies.
///
/// # Errors
/// git is not installed, or the patch does not apply.
pub fn apply(tree: &Path, patch: &str, options: &[&str]) -> Result<(), String> {
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => "git is not installed: it is needed to change the copy".to_owned(),
        _ => format!("git apply: {error}"),
    };
    let mut git = Command::new("git")
        .arg("apply")
        .args(options)
        .current_dir(tree)
        // The copy may be inside a repository, but is no part of it.
        .env("GIT_CEILING_DIRECTORIES", tree.parent().unwrap_or(tree))
        .env_remove("GIT_DIR")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // Closes the pipe. If git has ended already, it says why.
    let written = (git.stdin.take()).map(|mut pipe| pipe.write_all(patch.as_bytes()));
    let output = git.wait_with_output().map_err(failed)?;
    match output.status.success() {
        true => written.unwrap_or(Ok(())).map_err(failed),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Builds the server of a copy in the target directory `target`. The messages of cargo go to
/// standard error.
///
/// # Errors
/// cargo is not installed, or the copy does not build.
pub fn build(copy: &Path, target: &Path) -> Result<Build, String> {
    let mut cargo = cargo("build", copy, target);
    let status = cargo.arg("--bin=oneloop").stdout(Stdio::null()).status();
    let status = status.map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            "cargo is not installed: a lab is built from its sources (https://rustup.rs)".to_owned()
        }
        _ => format!("cargo: {error}"),
    })?;
    match status.success() {
        true => Ok(Build {
            program: target.join("debug/oneloop"),
            tree: copy.to_owned(),
            target: target.to_owned(),
        }),
        false => Err(format!("{} does not build: see above", copy.display())),
    }
}

fn cargo(command: &str, copy: &Path, target: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(cargo);
    cargo
        .args([command, "--locked", "--quiet"])
        .args(SETTINGS)
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("RUSTFLAGS")
        .stdin(Stdio::null());
    cargo
}

impl Build {
    /// Plays the known seeds of the simulation (docs/simulation.md) with this server. Returns the
    /// report on the first rule that is broken, with the smallest scenario that breaks it.
    ///
    /// # Errors
    /// The simulation does not build, or ends without a report.
    pub fn simulate(&self) -> io::Result<Option<String>> {
        let output = cargo("test", &self.tree, &self.target)
            .args(["--test=sim", "known_seeds_break_no_rule"])
            .env("RUST_BACKTRACE", "0")
            .env_remove("ONELOOP_SIM_SHRINK")
            .stderr(Stdio::inherit())
            .output()?;
        if output.status.success() {
            return Ok(None);
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        let report = printed
            .split_once("the smallest scenario breaks: ")
            .and_then(|(_, report)| report.split_once("\nto repeat it: "));
        match report {
            Some((report, _)) => Ok(Some(report.to_owned())),
            None => Err(io::Error::other(format!("the simulation fails: {printed}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clone_in(directory: &Path) -> PathBuf {
        let clone = directory.join("oneloop");
        fs::create_dir_all(clone.join("src")).unwrap();
        fs::write(clone.join("Cargo.toml"), "[package]\nname = \"oneloop\"\n").unwrap();
        fs::write(clone.join("src/main.rs"), "fn main() {}\n").unwrap();
        clone
    }

    #[test]
    fn the_clone_is_where_the_program_was_built_or_around_the_current_directory() {
        let directory = tempfile::tempdir().unwrap();
        let clone = clone_in(directory.path());
        let gone = directory.path().join("gone");
        let elsewhere = directory.path();
        assert_eq!(find_clone(&clone, elsewhere), Some(clone.clone()));
        assert_eq!(find_clone(&gone, &clone.join("src")), Some(clone.clone()));
        assert_eq!(find_clone(&gone, elsewhere), None);
    }

    #[test]
    fn a_copy_leads_to_its_clone() {
        let directory = tempfile::tempdir().unwrap();
        let clone = clone_in(directory.path());
        let copy = clone_in(&directory.path().join("copies"));
        let mark = Mark {
            exercise: "01-x".into(),
            clone: clone.clone(),
            has_passed: false,
        };
        mark.write(&copy).unwrap();
        assert_eq!(Mark::read(&copy), Some(mark));
        assert_eq!(find_clone(&copy, directory.path()), Some(clone));
    }
}
