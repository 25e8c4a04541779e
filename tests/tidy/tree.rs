//! The files of the project, and violations in them.

use crate::scanner::{code_of, item_end, without_tests, words};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// A text file of the project.
pub struct Text {
    /// From the root of the project: `src/http/range.rs`.
    pub path: String,
    pub text: String,
}

/// A Rust file of `src/`.
pub struct Source {
    /// From `src/`: `http/range.rs`.
    pub path: String,
    pub text: String,
    /// The text with comments and literals blanked.
    pub all_code: String,
    /// `all_code` with tests blanked; all of it is blank in a file that only tests use.
    pub code: String,
}

/// A violation of a rule.
#[derive(Debug, PartialEq)]
pub struct Violation {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path, self.line, self.what)
    }
}

impl Text {
    /// A violation in line number `line`, counted from 1.
    pub fn at_line(&self, line: usize, what: impl Into<String>) -> Violation {
        Violation {
            path: self.path.clone(),
            line,
            what: what.into(),
        }
    }
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let all_code = code_of(text);
        let code = without_tests(&all_code);
        Self {
            path: path.into(),
            text: text.into(),
            all_code,
            code,
        }
    }

    /// A file for the test of a check.
    pub fn sample(path: &str, text: &str) -> Self {
        Self::new(path, text)
    }

    /// A violation in line number `line`, counted from 1.
    pub fn at_line(&self, line: usize, what: impl Into<String>) -> Violation {
        Violation {
            path: format!("src/{}", self.path),
            line,
            what: what.into(),
        }
    }

    /// A violation at a byte offset of the text.
    pub fn at(&self, offset: usize, what: impl Into<String>) -> Violation {
        self.at_line(self.line(offset), what)
    }

    /// The number of the line, from 1, that a byte offset is in.
    pub fn line(&self, offset: usize) -> usize {
        1 + self.text.as_bytes()[..offset]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count()
    }

    /// The names of the modules from the root to this file; none for the root itself.
    pub fn module(&self) -> Vec<&str> {
        if is_root(&self.path) {
            return Vec::new();
        }
        let path = self.path.trim_end_matches(".rs");
        path.strip_suffix("/mod")
            .unwrap_or(path)
            .split('/')
            .collect()
    }

    /// Whether this file is in `places`: files, or folders with a final slash.
    pub fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| match place.strip_suffix('/') {
            Some(_) => self.path.starts_with(place),
            None => self.path == *place,
        })
    }
}

/// Every Rust file of `src/`, in order of their paths.
pub fn sources() -> Vec<Source> {
    let mut sources: Vec<_> = texts(&["src"])
        .iter()
        .filter(|text| text.path.ends_with(".rs"))
        .map(|text| Source::new(text.path.trim_start_matches("src/"), &text.text))
        .collect();
    assert!(
        sources.iter().any(|source| source.path == "lib.rs"),
        "found no sources to check"
    );
    blank_files_of_tests(&mut sources);
    sources
}

/// Inputs and builds of the fuzzers. Whitespace is significant there.
const FUZZED: [&str; 6] = [
    "tests/fuzz/seeds",
    "tests/fuzz/found",
    "tests/fuzz/corpus",
    "tests/fuzz/artifacts",
    "tests/fuzz/coverage",
    "tests/fuzz/target",
];

/// Every text file below `places`, paths from the root of the project. A place that does not exist
/// has none. Files that are not UTF-8 (images, fonts) are left out.
pub fn texts(places: &[&str]) -> Vec<Text> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = places
        .iter()
        .flat_map(|place| files_below(&root.join(place)));
    paths
        .filter_map(|path| {
            let text = String::from_utf8(std::fs::read(&path).ok()?).ok()?;
            let path = path.strip_prefix(root).ok()?.to_str()?.replace('\\', "/");
            Some(Text { path, text })
        })
        .collect()
}

fn files_below(path: &Path) -> Vec<PathBuf> {
    if FUZZED.iter().any(|place| path.ends_with(place)) {
        return Vec::new();
    }
    let Ok(entries) = std::fs::read_dir(path) else {
        return if path.is_file() {
            vec![path.to_owned()]
        } else {
            Vec::new()
        };
    };
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    paths.iter().flat_map(|path| files_below(path)).collect()
}

/// The files that no `mod` line names.
pub fn unreached(sources: &[Source]) -> Vec<Violation> {
    let reached = reached(sources, |source| &source.all_code);
    let dead = sources
        .iter()
        .filter(|source| !reached.contains(&source.path));
    dead.map(|source| {
        source.at_line(
            1,
            "no `mod` line names this file: add one, or delete the file",
        )
    })
    .collect()
}

/// Blanks the files that are reached only through `#[cfg(test)] mod name;`.
fn blank_files_of_tests(sources: &mut [Source]) {
    let reached_outside_tests = reached(sources, |source| &source.code);
    let reached = reached(sources, |source| &source.all_code);
    for source in sources {
        if reached.contains(&source.path) && !reached_outside_tests.contains(&source.path) {
            source.code = "\n".repeat(source.text.lines().count());
        }
    }
}

/// The paths of the files that `mod` lines lead to from the roots of the crates.
fn reached(sources: &[Source], code: impl Fn(&Source) -> &String) -> BTreeSet<String> {
    let roots = sources.iter().filter(|source| is_root(&source.path));
    let mut waiting: Vec<_> = roots.collect();
    let mut reached = BTreeSet::new();
    while let Some(source) = waiting.pop() {
        reached.insert(source.path.clone());
        let module = source.module();
        for name in declared_modules(code(source)) {
            let base = [module.as_slice(), &[name]].concat().join("/");
            let candidates = [format!("{base}.rs"), format!("{base}/mod.rs")];
            let found = sources
                .iter()
                .filter(|other| candidates.contains(&other.path));
            waiting.extend(found.filter(|other| !reached.contains(&other.path)));
        }
    }
    reached
}

fn is_root(path: &str) -> bool {
    matches!(path, "lib.rs" | "main.rs" | "build.rs")
}

/// The names in `mod name;`.
fn declared_modules(code: &str) -> Vec<&str> {
    let after_mod = words(code)
        .filter(|&(_, word)| word == "mod")
        .map(|(at, _)| &code[at + 3..]);
    after_mod
        .filter_map(|rest| Some(rest.split_once(';')?.0.trim()))
        .filter(|name| name.chars().all(crate::scanner::in_word))
        .collect()
}

/// The start and end of each inline module in `code`: `mod name { ... }`.
pub fn inline_modules(code: &str) -> Vec<(usize, usize)> {
    let mods = words(code)
        .filter(|&(_, word)| word == "mod")
        .map(|(at, _)| at);
    let spans = mods.map(|at| (at, item_end(code, at)));
    spans
        .filter(|&(_, end)| code[..end].ends_with('}'))
        .collect()
}

#[test]
fn a_file_that_no_mod_line_names_is_found() {
    let sources = [
        Source::sample(
            "lib.rs",
            "pub mod a;\n#[cfg(test)]\nmod testing;\nmod inline { fn f() {} }",
        ),
        Source::sample("a.rs", "mod b;"),
        Source::sample("a/b.rs", ""),
        Source::sample("a/c.rs", "// mod d;"),
        Source::sample("testing/mod.rs", ""),
        Source::sample("d.rs", ""),
        Source::sample("inline.rs", ""),
    ];
    let dead: Vec<_> = unreached(&sources)
        .into_iter()
        .map(|violation| violation.path)
        .collect();
    assert_eq!(dead, ["src/a/c.rs", "src/d.rs", "src/inline.rs"]);
}

#[test]
fn a_file_reached_only_from_tests_is_a_test_and_a_dead_file_is_not() {
    let mut sources = [
        Source::sample("lib.rs", "#[cfg(test)]\nmod testing;\nmod a;"),
        Source::sample("testing/mod.rs", "mod deep;"),
        Source::sample("testing/deep.rs", "fn f() {}"),
        Source::sample("a.rs", "fn f() {}"),
        Source::sample("dead.rs", "fn f() {}"),
    ];
    blank_files_of_tests(&mut sources);
    let code = |index: usize| sources[index].code.trim();
    assert_eq!(
        [code(1), code(2), code(3), code(4)],
        ["", "", "fn f() {}", "fn f() {}"]
    );
}

#[test]
fn a_violation_has_its_file_and_line() {
    let source = Source::sample("a/b.rs", "x\ny\nz");
    assert_eq!(source.at(2, "no").to_string(), "src/a/b.rs:2: no");
}

#[test]
fn a_place_is_a_file_or_a_folder() {
    let source = Source::sample("listen/socket_activation.rs", "");
    assert!(source.is_in(&["listen/"]) && source.is_in(&["x.rs", "listen/socket_activation.rs"]));
    assert!(!source.is_in(&["listen.rs", "lis", "socket_activation.rs"]));
    assert_eq!(source.module(), ["listen", "socket_activation"]);
    assert_eq!(Source::sample("http/mod.rs", "").module(), ["http"]);
    assert!(Source::sample("lib.rs", "").module().is_empty());
}
