//! The recipes of docs/contributing.md work: their patches apply, and their tests fail and pass as
//! the document says.
//!
//! ```text
//! cargo test --test contributing                              do the patches apply?
//! cargo test --test contributing -- --ignored --nocapture     follow the recipes: minutes
//! ```
//!
//! A recipe is a heading that begins with `### Recipe`. Its blocks are followed in order: a `diff`
//! is applied; an `sh` is run, and must succeed, unless a `text` follows: then it must fail, and
//! say each line of that text.
#![cfg(feature = "study")]
#![allow(clippy::print_stdout, reason = "a test reports its progress")]

use oneloop::study::lab::copy;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Recipe {
    heading: String,
    blocks: Vec<Block>,
}

/// A fenced block: its language and its text.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    language: String,
    text: String,
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn recipes() -> Vec<Recipe> {
    let document = fs::read_to_string(project("docs/contributing.md")).unwrap();
    let sections = document.split("\n### Recipe").skip(1);
    let recipe = |section: &str| Recipe {
        heading: section.lines().next().unwrap_or_default().to_owned(),
        blocks: blocks(section.split("\n## ").next().unwrap_or_default()),
    };
    sections.map(recipe).collect()
}

/// The fenced blocks of a section.
fn blocks(section: &str) -> Vec<Block> {
    let fenced = section.split("\n```").skip(1).step_by(2);
    let block = |fenced: &str| {
        let (language, text) = fenced.split_once('\n').expect("a block has lines");
        Block {
            language: language.to_owned(),
            text: format!("{text}\n"),
        }
    };
    fenced.map(block).collect()
}

fn has_git() -> bool {
    let has_git = Command::new("git").arg("--version").output().is_ok();
    if !has_git {
        println!("skipped: git is not installed");
    }
    has_git
}

#[test]
fn the_patches_of_the_recipes_apply() {
    if !has_git() {
        return;
    }
    let recipes = recipes();
    assert_eq!(recipes.len(), 3, "docs/contributing.md has three recipes");
    for recipe in recipes {
        let languages: Vec<_> = (recipe.blocks.iter())
            .map(|block| block.language.as_str())
            .collect();
        // A change, a test that fails, and its output; then what makes it pass.
        assert!(
            languages.starts_with(&["diff", "sh", "text"]),
            "{languages:?}"
        );
        assert_eq!(languages.last(), Some(&"sh"), "{}", recipe.heading);
        for block in recipe
            .blocks
            .iter()
            .filter(|block| block.language == "diff")
        {
            if let Err(error) = copy::apply(&project(""), &block.text, &["--check"]) {
                panic!(
                    "{}: a patch does not apply\n{error}{}",
                    recipe.heading, block.text
                );
            }
        }
    }
}

#[test]
#[ignore = "builds the project several times"]
fn the_recipes_work() {
    if !has_git() {
        return;
    }
    for recipe in recipes() {
        println!("recipe{}", recipe.heading);
        let tree = fresh_copy();
        let mut blocks = recipe.blocks.iter().peekable();
        while let Some(block) = blocks.next() {
            match block.language.as_str() {
                "diff" => copy::apply(&tree, &block.text, &[]).unwrap(),
                "sh" => {
                    let output = run(&tree, &block.text);
                    let expected = blocks.next_if(|next| next.language == "text");
                    check(
                        &block.text,
                        &output,
                        expected.map(|block| block.text.as_str()),
                    );
                }
                other => panic!("a block of an unknown kind: {other}"),
            }
        }
    }
}

/// A new copy of the project.
fn fresh_copy() -> PathBuf {
    let tree = project("target/contributing/tree");
    copy::refresh(&project(""), &tree).unwrap();
    tree
}

fn run(tree: &Path, command: &str) -> Output {
    println!("$ {}", command.trim_end());
    Command::new("sh")
        .args(["-ec", command])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", project("target/contributing/build"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env_remove("UPDATE_DOCS")
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .output()
        .expect("a shell starts")
}

/// The command has failed with this text, or has succeeded without one, after at least one test.
fn check(command: &str, output: &Output, failure: Option<&str>) {
    let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let text = texts.concat();
    let Some(failure) = failure else {
        assert!(output.status.success(), "{command} fails\n{text}");
        assert!(!text.contains("running 0 tests"), "{command} tests nothing");
        return;
    };
    assert!(!output.status.success(), "{command} does not fail");
    for line in failure.lines().filter(|line| !line.is_empty()) {
        assert!(
            text.contains(line),
            "{command} does not say `{line}`\n{text}"
        );
    }
}

#[test]
fn the_blocks_of_a_section_are_found() {
    let section = " 1: x\n\nText.\n\n```diff\n-a\n+b\n```\n\nMore.\n\n```sh\ncargo test\n```\n";
    let block = |language: &str, text: &str| Block {
        language: language.into(),
        text: text.into(),
    };
    let expected = [block("diff", "-a\n+b\n"), block("sh", "cargo test\n")];
    assert_eq!(blocks(section), expected);
}
