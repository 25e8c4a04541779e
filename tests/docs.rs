//! The documents match the program: options, limits, modules and links are compared with the
//! sources and with `--help`.

use clap::{Arg, CommandFactory};
use oneloop::config::arguments::Arguments;
use oneloop::config::passwords::ProtectArguments;
use oneloop::config::rules::RuleArguments;
use oneloop::limits::Limits;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A path in the project.
fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(here(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The paths and the texts of README.md and of the documents in docs/.
fn documents() -> Vec<(String, String)> {
    let mut paths = vec!["README.md".to_owned()];
    for folder in ["docs", "docs/deploy", "docs/bench"] {
        if !here(folder).exists() {
            continue;
        }
        for entry in fs::read_dir(here(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_ours = [".md", ".conf", ".service", ".socket", ".logrotate"]
                .iter()
                .any(|ending| name.ends_with(ending));
            if is_ours {
                paths.push(format!("{folder}/{name}"));
            }
        }
    }
    paths.sort();
    let text = |path: String| (path.clone(), read(&path));
    paths.into_iter().map(text).collect()
}

/// The long options of oneloop in `text`. Lines with commands of other programs do not count.
fn flags(text: &str) -> BTreeSet<String> {
    const OTHERS: [&str; 6] = [
        "cargo ",
        "curl ",
        "systemctl ",
        "clippy",
        "goaccess ",
        "measure.py ",
    ];
    let ours = text
        .lines()
        .filter(|line| !OTHERS.iter().any(|other| line.contains(other)));
    let words = ours.flat_map(|line| line.split(|c: char| !c.is_ascii_lowercase() && c != '-'));
    words
        .filter(|word| word.starts_with("--") && word.len() > 3 && !word.starts_with("---"))
        .map(|word| word.trim_end_matches('-').to_owned())
        .collect()
}

/// What `oneloop ARGUMENTS --help` prints.
fn help_of(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_oneloop"))
        .args(arguments)
        .arg("--help")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Options for measurements, which the help does not show.
const HIDDEN: [&str; 2] = ["--tally", "--burn"];

/// Every long option, including those of the subcommands.
fn known() -> BTreeSet<String> {
    let subcommands = [
        &["bench"][..],
        &["bench", "selftest"],
        &["bench", "report"],
        &["bench", "show"],
        &["diagram"],
        &["poke"],
        &["syscalls"],
        &["lab", "explain"],
    ];
    let further = subcommands.iter().flat_map(|name| flags(&help_of(name)));
    let hidden = HIDDEN.map(str::to_owned);
    help().into_keys().chain(further).chain(hidden).collect()
}

/// Each long option of `--help`, with its default if it has one.
fn help() -> BTreeMap<String, Option<String>> {
    let text = help_of(&[]);
    let mut options = BTreeMap::new();
    let mut latest = None;
    for line in text.lines() {
        if line.trim_start().starts_with('-') && line.starts_with("  ") {
            // A line of possible values begins like an option, and names none.
            if let Some(flag) = flags(line).pop_first() {
                options.insert(flag.clone(), None);
                latest = Some(flag);
            }
        }
        let default = line.split_once("[default: ").map(|(_, rest)| rest);
        if let (Some(flag), Some(default)) = (&latest, default) {
            options.insert(flag.clone(), Some(default.replace(']', "")));
        }
    }
    options
}

/// The rows of the Markdown tables in `text`, as cells, including the heading rows.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter_map(|line| {
        let inside = line.strip_prefix('|')?.strip_suffix('|')?;
        Some(inside.split('|').map(str::trim).collect())
    })
}

/// The texts between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The text under a heading, up to the next heading of the same level.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let (_, rest) = text
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading}"));
    rest.split("\n## ").next().unwrap_or_default()
}

/// Compares entries of a document with those of the program. Fails if only one of them has an
/// entry.
#[track_caller]
fn assert_same<T: Debug + Ord>(
    what: &str,
    document: impl IntoIterator<Item = T>,
    program: impl IntoIterator<Item = T>,
) {
    let document: BTreeSet<T> = document.into_iter().collect();
    let program: BTreeSet<T> = program.into_iter().collect();
    let list = |these: &BTreeSet<T>, others: &BTreeSet<T>| -> String {
        let only = these.difference(others);
        only.map(|entry| format!("  {entry:?}\n")).collect()
    };
    assert!(
        document == program,
        "{what}\nonly in the document:\n{}only in the program:\n{}",
        list(&document, &program),
        list(&program, &document),
    );
}

#[test]
fn the_readme_has_every_option_of_the_help_and_no_other() {
    let readme = read("README.md");
    let known: BTreeSet<_> = help().into_keys().collect();
    assert!(known.len() > 15, "this is not the help: {known:?}");
    let options = flags(section(&readme, "Options"));
    assert_same(
        "README.md, section Options, is not `--help`",
        &options,
        &known,
    );
    assert!(HIDDEN.iter().all(|hidden| !known.contains(*hidden)));
}

#[test]
fn the_readme_has_the_defaults_of_the_help() {
    let readme = read("README.md");
    let mut documented = BTreeMap::new();
    for row in rows(section(&readme, "Options")) {
        if let [option, default, _] = row.as_slice()
            && let Some(flag) = flags(option).pop_first()
        {
            let default = (!default.is_empty()).then(|| (*default).to_owned());
            documented.insert(flag, default);
        }
    }
    let what = "the defaults in README.md, section Options, are not those of `--help`";
    assert_same(what, documented, help());
}

#[test]
fn no_document_names_an_unknown_option() {
    let known = known();
    for (path, text) in documents() {
        let unknown: Vec<_> = flags(&text).difference(&known).cloned().collect();
        assert!(
            unknown.is_empty(),
            "{path} names options that oneloop does not have: {unknown:?}\n(For another program, put \
             its name on the same line and into OTHERS in tests/docs.rs.)"
        );
    }
}

/// A value as a number; times in milliseconds.
trait Plain {
    fn plain(&self) -> u128;
}

macro_rules! plain {
    ($($number:ty),*) => {$(
        impl Plain for $number {
            fn plain(&self) -> u128 {
                u128::try_from(*self).unwrap()
            }
        }
    )*};
}

plain!(usize, u16, u32, u64, i32);

impl Plain for Duration {
    fn plain(&self) -> u128 {
        self.as_millis()
    }
}

/// The named fields of `Limits` with their defaults. All fields must be named, or this does not
/// compile. So a new limit must be added to the test, and then to the document.
macro_rules! defaults {
    ($($field:ident)*) => {{
        let Limits { $($field),* } = Limits::default();
        BTreeMap::from([$((stringify!($field).to_owned(), $field.plain())),*])
    }};
}

/// The value of a cell like `32 KiB`, `20 s` or `4,096`.
fn value(cell: &str) -> u128 {
    let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
    let unit = match unit {
        "" | "ms" | "B/s" => 1,
        "s" => 1000,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => panic!("{cell}: an unknown unit"),
    };
    let number = number.replace(',', "").parse::<u128>();
    number.unwrap_or_else(|error| panic!("{cell}: {error}")) * unit
}

#[test]
fn the_limits_are_those_in_the_document() {
    let defaults: BTreeMap<String, u128> = defaults! {
        max_head_bytes max_request_line_bytes max_empty_lines max_fields
        max_connections max_admin_connections max_threads max_processes workers
        accepts_per_iteration expiries_per_iteration accept_pause defer_accept_timeout backlog
        events_per_poll
        read_bytes_per_iteration written_bytes_per_iteration sends_per_iteration
        requests_per_iteration
        max_coalesced_bytes max_inline_body_bytes
        header_timeout handler_timeout idle_timeout min_idle_time send_timeout min_send_rate linger_timeout
        max_linger_bytes grace_period
        max_listing_entries max_listing_bytes listing_slice_entries
        compression_slice_bytes min_compressed_file_bytes max_compressed_file_bytes
        max_compression_bytes max_compressed_cache_bytes max_file_cache_entries
        max_file_cache_bytes max_open_file_cache_entries max_open_file_cache_file_bytes
        file_cache_lifetime max_iteration_cache_entries max_log_buffer_bytes max_log_field_bytes
    };
    let document = read("docs/limits.md");
    let mut documented = BTreeMap::new();
    for row in rows(&document).filter(|row| row.len() == 4) {
        if let [name] = quoted(row[0])[..] {
            documented.insert(name.to_owned(), value(row[1]));
            assert!(!row[3].is_empty(), "{name} has no reason");
        }
    }
    let what =
        "the table in docs/limits.md is not `Limits::default()` (src/limits.rs); times in ms";
    assert_same(what, documented, defaults);
}

#[test]
fn a_limit_with_an_option_names_it() {
    let document = read("docs/limits.md");
    let named: BTreeSet<_> = rows(&document)
        .filter(|row| row.len() == 4)
        .flat_map(|row| flags(row[2]))
        .collect();
    let readme = read("README.md");
    let limits = section(&readme, "Options")
        .split("\n| Limits |")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .expect("a table of the limits");
    let what = "the options in docs/limits.md are not those of the table of limits in README.md";
    assert_same(what, named, flags(limits));
}

#[test]
fn descriptors_are_divided_as_the_document_says() {
    let document = read("docs/limits.md");
    let examples: Vec<_> = rows(section(&document, "Descriptors")).skip(2).collect();
    assert_eq!(examples.len(), 3);
    for row in examples {
        let connections = oneloop::limits::connections_within(value(row[0]) as usize);
        assert_eq!(connections as u128, value(row[1]), "{row:?}");
    }
}

/// The table in tests/tidy/layers.rs: each module and what it may import.
fn modules() -> Vec<(String, Vec<String>)> {
    let source = read("tests/tidy/layers.rs");
    let (_, table) = source.split_once("const MODULES").expect("the table");
    let (table, _) = table.split_once("\n];").expect("the table's end");
    let module = |entry: &str| {
        let (name, others) = entry.split_once('"').expect("a name in quotes");
        let others = match others.contains("EVERYTHING") {
            true => vec!["everything".to_owned()],
            false => others
                .split('"')
                .skip(1)
                .step_by(2)
                .map(String::from)
                .collect(),
        };
        (name.to_owned(), others)
    };
    table.split("(\"").skip(1).map(module).collect()
}

#[test]
fn the_modules_are_those_of_the_tour() {
    let exists = |module: &str| {
        let file = here("src").join(format!("{module}.rs"));
        file.is_file() || here("src").join(module).is_dir()
    };
    let built: Vec<_> = modules()
        .into_iter()
        .filter(|(module, _)| exists(module))
        .collect();
    assert!(built.len() > 10, "this is not the table: {built:?}");
    let tour = read("docs/architecture.md");
    let documented: Vec<_> = rows(section(&tour, "Modules and imports"))
        .skip(2)
        .map(|row| {
            let others = match quoted(row[2]) {
                others if others.is_empty() => match row[2] {
                    "nothing" => Vec::new(),
                    other => vec![other.to_owned()],
                },
                others => others.into_iter().map(String::from).collect(),
            };
            (quoted(row[0]).concat(), others)
        })
        .collect();
    let what = "the table in docs/architecture.md is not MODULES in tests/tidy/layers.rs";
    assert_same(what, &documented, &built);
    assert!(documented == built, "{what}: the order differs");
}

#[test]
fn the_map_names_every_module() {
    let map = read("src/lib.rs");
    let modules = map.lines().filter_map(|line| {
        let name = line.strip_prefix("pub mod ")?;
        Some(name.trim_end_matches(';'))
    });
    let missing: Vec<_> = modules
        .filter(|module| !map.contains(&format!("//! - [`{module}`]")))
        .collect();
    assert!(
        missing.is_empty(),
        "src/lib.rs: add `//! - [`NAME`]: ...` for {missing:?}"
    );
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let mut dead = Vec::new();
    for (path, text) in documents() {
        let folder = here(&path).parent().unwrap().to_owned();
        // `[text](target)`: what follows each `](`, up to the bracket.
        let targets = text.split("](").skip(1);
        for target in targets.filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => here(&path),
                file => folder.join(file),
            };
            let leads_to_heading = || {
                let text = fs::read_to_string(&file).unwrap();
                text.lines()
                    .any(|line| anchor_of(line) == Some(anchor.to_owned()))
            };
            if !file.exists() || !anchor.is_empty() && !leads_to_heading() {
                dead.push(format!("{path}: {target}"));
            }
        }
    }
    assert!(
        dead.is_empty(),
        "links without a file or a heading:\n{}",
        dead.join("\n")
    );
}

/// The anchor of a heading, as GitHub makes it.
fn anchor_of(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
}

#[test]
fn the_code_in_the_tour_is_in_the_sources() {
    let tour = read("docs/architecture.md");
    let (_, block) = tour.split_once("```rust\n").expect("a block of code");
    let (block, _) = block.split_once("```").expect("the end of the block");
    let source = read("src/models/sequential.rs");
    for line in block.lines() {
        assert!(
            source.contains(line),
            "docs/architecture.md: this line is not in src/models/sequential.rs: {line}"
        );
    }
}

#[test]
fn the_picture_is_a_small_png() {
    let picture = fs::read(here("docs/picture.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"));
    assert!(picture.len() < 150 * 1024, "{} bytes", picture.len());
}

#[test]
fn names_of_functions_in_the_tour_are_in_the_sources() {
    let tour = read("docs/architecture.md");
    let mut sources = String::new();
    let mut folders = vec![here("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let paths = quoted(&tour).into_iter().filter_map(|name| {
        let (before, after) = name.split_once("::")?;
        before
            .starts_with(char::is_uppercase)
            .then_some((name, after))
    });
    let mut count = 0;
    for (name, item) in paths {
        count += 1;
        // A method, or a variant of an enum.
        let known = sources.contains(&format!("fn {item}("))
            || sources.contains(&format!("fn {item}<"))
            || sources.contains(&format!("    {item}"));
        assert!(known, "docs/architecture.md: {name} is not in src");
    }
    assert!(count > 15, "the tour names functions");
}

#[test]
fn contributing_has_every_test_target() {
    let table = read("docs/contributing.md");
    for entry in fs::read_dir(here("tests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_target = name.ends_with(".rs") || path.join("main.rs").exists();
        let is_there = table.contains(&format!("(../tests/{name}"));
        assert!(!is_target || is_there, "no row for tests/{name}");
    }
}

/// The text in lines of at most 110 characters.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().unwrap();
        if line.is_empty() || line.chars().count() + word.chars().count() < 110 {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}

/// The options and the keys of the tables as Markdown, from the commands that parse them. The headings
/// are the keys of a configuration file.
fn reference() -> String {
    let mut text = String::new();
    let options = Arguments::command();
    for arg in options.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let Some(variable) = arg.get_env() else {
            continue;
        };
        let long = arg.get_long().filter(|long| *long != "config");
        let Some(key) = long.or((arg.get_id() == "root").then_some("root")) else {
            continue;
        };
        let mut names: Vec<String> = Vec::new();
        names.extend(arg.get_short().map(|short| format!("`-{short}`")));
        names.extend(arg.get_long().map(|long| format!("`--{long}`")));
        names.push(format!("`{}`", variable.display()));
        let defaults = arg.get_default_values().iter();
        let defaults: Vec<_> = defaults.map(|value| value.display().to_string()).collect();
        let default = match defaults.as_slice() {
            [] if !arg.get_action().takes_values() => "Default: `false`".to_owned(),
            [] => "No default".to_owned(),
            values => format!("Default: `{}`", values.join(", ")),
        };
        text += &format!("### `{key}`\n\n{}. {default}.\n\n", names.join(", "));
        text += &description(arg);
    }
    text += "## All keys of a rule\n\n";
    for arg in RuleArguments::command().get_arguments() {
        let key = arg.get_long().expect("a key");
        text += &format!("### `{key}` of a rule\n\n{}", description(arg));
    }
    text += "## All keys of a protect table\n\n";
    for arg in ProtectArguments::command().get_arguments() {
        let key = arg.get_long().expect("a key");
        text += &format!("### `{key}` of a protect table\n\n{}", description(arg));
    }
    text.trim_end().to_owned() + "\n"
}

/// The help of an argument, and its possible values.
fn description(arg: &Arg) -> String {
    let mut text = String::new();
    let help = arg.get_long_help().or(arg.get_help()).unwrap().to_string();
    for paragraph in help.split("\n\n") {
        // Angle brackets would be tags, and asterisks emphasis.
        let paragraph = paragraph.replace('<', "&lt;").replace('>', "&gt;");
        let paragraph = paragraph.replace('*', "\\*");
        text += &format!("{}.\n\n", wrapped(paragraph.trim_end_matches('.')));
    }
    let takes_values = arg.get_action().takes_values();
    for value in arg.get_possible_values().iter().filter(|_| takes_values) {
        let help = value.get_help().map(ToString::to_string);
        let help = help.map_or(String::new(), |help| format!(": {help}"));
        text += &format!("- `{}`{help}\n", value.get_name());
    }
    text.trim_end().to_owned() + "\n\n"
}

/// Updates the document with `UPDATE_DOCS=1`.
#[test]
fn the_reference_of_the_configuration_is_that_of_the_options() {
    let path = "docs/configuration.md";
    let document = read(path);
    let (start, _) = document.split_once("\n### ").unwrap_or((&document, ""));
    compare(
        path,
        &document,
        &format!("{}\n\n{}", start.trim_end(), reference()),
    );
}

/// Each variant of `CloseReason`, with its comment. Updates the document with `UPDATE_DOCS=1`.
#[test]
fn the_reasons_of_a_close_are_those_in_the_document() {
    let path = "docs/trace.md";
    let document = read(path);
    let source = read("src/connection/step.rs");
    let (_, rest) = source.split_once("pub enum CloseReason {").unwrap();
    let (variants, _) = rest.split_once("\n}").unwrap();
    let mut table = "| Reason | |\n|---|---|\n".to_owned();
    let mut comment: Vec<&str> = Vec::new();
    for line in variants.lines().map(str::trim) {
        match line.strip_prefix("///") {
            Some(words) => comment.push(words.trim()),
            None if line.is_empty() => {}
            None => {
                let name = line.trim_end_matches(',').replace("io::ErrorKind", "...");
                let what = comment.join(" ");
                table += &format!("| `{name}` | {} |\n", what.trim_end_matches('.'));
                comment.clear();
            }
        }
    }
    let start = document.find("| Reason | |").unwrap();
    let (before, table_and_rest) = document.split_at(start);
    let (_, after) = table_and_rest.split_once("\n\n").unwrap();
    compare(path, &document, &format!("{before}{table}\n{after}"));
}

/// Fails with the first line that differs, or updates the document with `UPDATE_DOCS=1`.
#[track_caller]
fn compare(path: &str, document: &str, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(here(path), expected).unwrap();
        return;
    }
    let differs = expected
        .lines()
        .zip(document.lines())
        .find(|(new, old)| new != old);
    assert!(
        expected == document,
        "{path} is not the program's: {differs:?}\n\
         UPDATE_DOCS=1 cargo test --test docs updates it"
    );
}
