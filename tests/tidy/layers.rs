//! Which module imports which. A module is here a file or folder at the top of `src/`.

use crate::scanner::{in_word, item_end, words};
use crate::tree::{Source, Violation, inline_modules};
use std::collections::{BTreeMap, BTreeSet};

const EVERYTHING: &[&str] = &["*"];

/// Each module and what it may import: modules, or a part of one (`listen::address`). A module
/// imports only modules below it in this table, so there are no circles. `site` and `connection` do
/// not import each other: they meet in an argument of the pump.
#[rustfmt::skip]
const MODULES: &[(&str, &[&str])] = &[
    ("lib",        EVERYTHING),
    ("main",       EVERYTHING),
    ("build",      &[]),
    ("server",     &["config", "models", "reactor", "listen", "https", "burn", "site_handler",
                     "handler", "site", "access_log", "http::fields", "http::status", "tls", "transport", "signals",
                     "study", "admin", "probe", "limits", "realms"]),
    ("realms",     &["config", "site_handler", "passwords", "site"]),
    ("https",      &["config", "listen", "site_handler", "tls", "clock"]),
    ("banner",     &["config", "listen::address", "site::path"]),
    ("site_handler", &["site", "access_log", "passwords", "notifier", "handler", "connection", "proxy",
                     "http", "warnings", "clock"]),
    ("burn",       &["handler", "http", "clock"]),
    ("config",     &["listen::address", "tls", "passwords", "proxy", "access_log", "site::rules", "http::fields",
                     "http::negotiate", "http::status", "subcommands", "study", "clock", "limits"]),
    ("subcommands", &["bench", "study"]),
    // It starts the server as a program.
    ("bench",      &["any_certificate", "clock"]),
    ("study",      &["admin", "any_certificate", "probe", "handler", "connection", "http", "text", "timers",
                     "clock"]),
    ("admin",      &["probe", "handler", "notifier", "connection", "http", "clock"]),
    ("models",     &["event_loop", "listen", "tls", "proxy", "pump", "probe",
                     "handler", "notifier", "connection", "transport", "timers", "deadline_clock", "http",
                     "signals", "clock", "limits"]),
    ("reactor",    &["event_loop", "listen", "tls", "probe", "handler", "notifier", "transport", "signals",
                     "clock", "limits"]),
    ("event_loop", &["listen", "pump", "probe", "handler", "notifier", "connection", "transport", "timers",
                     "deadline_clock", "http", "signals", "warnings", "clock", "limits"]),
    ("listen",     &["handler", "tls", "proxy", "transport", "clock", "limits"]),
    ("site",       &["http", "text", "warnings", "clock", "limits"]),
    ("pump",       &["probe", "handler", "connection", "transport", "http", "warnings", "clock",
                     "limits"]),
    ("probe",      &["handler", "connection", "http", "clock"]),
    ("handler",    &["notifier", "connection", "http", "clock"]),
    ("connection", &["read_buffer", "write_buffer", "http", "limits"]),
    ("passwords",  &["notifier"]),
    ("notifier",   &[]),
    ("access_log", &["http", "text", "clock", "limits"]),
    ("text",       &["http::date"]),
    ("tls",        &["proxy", "transport"]),
    ("proxy",      &["http", "warnings"]),
    ("transport",  &[]),
    ("read_buffer", &["http"]),
    ("http",       &[]),
    ("write_buffer", &[]),
    ("warnings",   &["clock"]),
    ("timers",     &[]),
    ("any_certificate", &[]),
    ("deadline_clock", &[]),
    ("clock",      &[]),
    ("limits",     &[]),
    ("diagnostics", &[]),
    ("signals",    &[]),
];

/// Imports, and paths written out in the code, that the table does not allow.
pub fn imports(source: &Source) -> Vec<Violation> {
    let module = top_module(source);
    let Some(allowed) = allowed(module) else {
        let what = format!("`{module}` is not in MODULES in tests/tidy/layers.rs: add it there");
        return vec![source.at_line(1, what)];
    };
    if allowed == EVERYTHING {
        return Vec::new();
    }
    let refused = |path: &str| {
        let other = first_name(path);
        let may = other == module || allowed.iter().any(|allowed| is_within(path, allowed));
        match self::allowed(other) {
            _ if may => None,
            Some(_) => Some(format!(
                "`{module}` may not import `{path}`: pass what it needs as an argument, or allow \
                 it in MODULES in tests/tidy/layers.rs"
            )),
            None => Some(format!(
                "`{path}` is in no module: import it from the module that defines it"
            )),
        }
    };
    let paths = absolute_paths(source).into_iter();
    paths
        .filter_map(|(at, path)| Some(source.at(at, refused(&path)?)))
        .collect()
}

fn top_module(source: &Source) -> &str {
    let (first, _) = source.path.split_once('/').unwrap_or((&source.path, ""));
    first.trim_end_matches(".rs")
}

fn allowed(module: &str) -> Option<&'static [&'static str]> {
    MODULES
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, allowed)| *allowed)
}

fn first_name(path: &str) -> &str {
    path.split_once("::").map_or(path, |(first, _)| first)
}

/// Whether `path` is `outer` or leads into it.
fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Circles of imports between the modules of one folder. A module may use what its parent defines,
/// but what its parent only re-exports it uses from the sibling that defines it.
pub fn circles(sources: &[Source]) -> Vec<Violation> {
    let modules = sources.iter().map(|source| source.module().join("::"));
    let modules: BTreeSet<_> = modules.collect();
    let reexports: BTreeMap<_, _> = sources.iter().flat_map(reexports).collect();
    let mut imports = BTreeMap::<_, Vec<_>>::new();
    for source in sources {
        for (at, path) in absolute_paths(source) {
            let path = reexports.get(&path).unwrap_or(&path);
            let path: Vec<_> = path.split("::").collect();
            if let Some((from, to)) = siblings(&source.module(), &path)
                && modules.contains(&to)
            {
                imports.entry(from).or_default().push((to, source, at));
            }
        }
    }
    let mut violations = Vec::new();
    for (from, others) in &imports {
        for (to, source, at) in others {
            let mut reached = BTreeSet::new();
            let mut waiting = vec![to];
            while let Some(module) = waiting.pop() {
                if reached.insert(module) {
                    waiting.extend(imports.get(module).into_iter().flatten().map(|(to, ..)| to));
                }
            }
            if reached.contains(from) {
                let what = format!(
                    "`{from}` imports `{to}`, which imports it, directly or not: divide one of them"
                );
                violations.push(source.at(*at, what));
            }
        }
    }
    violations
}

/// What a module re-exports from its children: the short path of each name, and the real one.
fn reexports(source: &Source) -> Vec<(String, String)> {
    let module = source.module().join("::");
    let found = source.code.split("pub use ").skip(1).flat_map(|rest| {
        let rest = rest.strip_prefix("self::").unwrap_or(rest);
        let children = paths(rest).into_iter();
        children.filter(|path| !matches!(first_name(path), "crate" | "super"))
    });
    let named = found.filter_map(|path| {
        let (_, name) = path.rsplit_once("::")?;
        Some((format!("{module}::{name}"), format!("{module}::{path}")))
    });
    named.collect()
}

/// The modules in which two paths part: for `a::b::c` and `a::d::E` that is `a::b` and `a::d`.
fn siblings(from: &[&str], to: &[&str]) -> Option<(String, String)> {
    let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let part = |path: &[&str]| Some(path.get(..=common)?.join("::"));
    // The table is about the modules at the top.
    let (from, to) = (part(from)?, part(to)?);
    (common > 0).then_some((from, to))
}

/// Every path that begins with `crate` or `super`, from the root of the crate, and its offset.
fn absolute_paths(source: &Source) -> Vec<(usize, String)> {
    let code = source.code.as_str();
    let found = words(code).filter_map(|(at, word)| match word {
        "crate" | "oneloop" => {
            let rest = code[at + word.len()..].strip_prefix("::")?;
            Some((at, String::new(), rest))
        }
        "super" => {
            let (parent, rest) = after_supers(source, at)?;
            Some((at, parent, rest))
        }
        _ => None,
    });
    let absolute = found.flat_map(|(at, parent, rest)| {
        let paths = paths(rest).into_iter();
        paths.map(move |path| (at, format!("{parent}{path}")))
    });
    absolute.collect()
}

/// Where the chain `super::super::` that begins at `at` leads (`a::b::`, or nothing for the root),
/// and what follows it. `None` if it stays in the file, in which there are inline modules.
fn after_supers(source: &Source, at: usize) -> Option<(String, &str)> {
    const UP: &str = "super::";
    let (before, mut rest) = source.code.split_at(at);
    if before.ends_with(UP) {
        return None;
    }
    let around = |(start, end): &(usize, usize)| (*start..*end).contains(&at);
    let inline = inline_modules(&source.code)
        .iter()
        .filter(|span| around(span))
        .count();
    let module = source.module();
    let mut depth = module.len() + inline;
    while let Some(shorter) = rest.strip_prefix(UP) {
        rest = shorter;
        depth = depth.checked_sub(1)?;
    }
    let parents = module.get(..depth).filter(|_| depth < module.len())?;
    let parent = parents.iter().map(|name| format!("{name}::")).collect();
    Some((parent, rest))
}

/// The paths that `text` begins with: `a::{b, c::*}` is `a::b` and `a::c::*`.
fn paths(text: &str) -> Vec<String> {
    let end = text.find(|c| !in_word(c) && c != ':').unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    if !path.is_empty() && !path.ends_with("::") {
        return vec![path.trim_end_matches(':').into()];
    }
    if rest.starts_with('*') {
        return vec![format!("{path}*")];
    }
    if !rest.starts_with('{') {
        return vec![path.trim_end_matches("::").into()];
    }
    let members = members(&rest[1..item_end(rest, 0) - 1]);
    let ends = members.into_iter().flat_map(paths);
    ends.map(|end| format!("{path}{end}")).collect()
}

/// The members of a group: `a, b::{c, d}, e` has three.
fn members(group: &str) -> Vec<&str> {
    let mut depth = 0;
    let members = group.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    members
        .map(str::trim)
        .filter(|member| !member.is_empty())
        .collect()
}

#[test]
fn an_import_that_the_table_does_not_allow_is_found() {
    let bad = [
        ("use crate::site::Site;", "site::Site"),
        (
            "use crate::{http::fields, site::{self}, limits};",
            "site::self",
        ),
        ("use crate::{\n    http::fields,\n    site,\n};", "site"),
        ("use crate::site::*;", "site::*"),
        ("fn f(x: crate::site::Site) {}", "site::Site"),
        ("fn f() { crate::site::open::<u8>() }", "site::open"),
        (
            "fn f<T>() where crate::site::Site: From<T> {}",
            "site::Site",
        ),
        ("use super::site::Site;", "site::Site"),
        ("use super::{http, site};", "site"),
        ("use oneloop::site;", "site"),
        ("mod inner { use super::super::site::Site; }", "site::Site"),
        ("pub use crate::reactor::{Reactor};", "reactor::Reactor"),
    ];
    for (text, path) in bad {
        let expected = format!("src/connection.rs:2: `connection` may not import `{path}`: ");
        let found = found_in("connection.rs", &format!("\n{text}"));
        assert!(
            matches!(&found[..], [one] if one.starts_with(&expected)),
            "{text}: {found:?}"
        );
    }
    let good = [
        "use crate::http::date; use crate::{http::{self, range}, limits::Limits};",
        "use crate::connection::Step; use self::inner::X; use std::io; mod inner { use super::X; }",
        "// use crate::site;\n#[cfg(test)] mod tests { use crate::site::Site; }",
        "const PATH: &str = \"crate::site\"; pub(crate) fn f() {}",
    ];
    for text in good {
        assert_eq!(found_in("connection.rs", text), [""; 0], "{text}");
    }
}

#[test]
fn a_path_with_super_is_followed_out_of_its_module() {
    let text = "use super::fields; use super::super::clock; use crate::clock;";
    assert_eq!(found_in("http/range.rs", text).len(), 2);
    assert_eq!(
        found_in("http/mod.rs", text).len(),
        2,
        "there is no module `fields`"
    );
}

#[test]
fn a_part_of_a_module_may_be_imported_where_the_module_may_not() {
    let text = "use crate::listen::{address::{Bind, Host}, address, open};";
    assert_eq!(found_in("config.rs", text).len(), 1);
    assert_eq!(
        found_in("config.rs", "use crate::listen::addresses;").len(),
        1
    );
    assert_eq!(found_in("config.rs", "use crate::listen;").len(), 1);
}

#[test]
fn a_file_of_no_module_is_found() {
    assert_eq!(found_in("cellar.rs", "").len(), 1, "an unknown file");
    assert_eq!(found_in("cellar/mod.rs", "").len(), 1, "an unknown folder");
    let short_cut = "use crate::Shortcut;";
    assert_eq!(found_in("pump.rs", short_cut).len(), 1);
    let everything = "use crate::*; use super::*;";
    assert_eq!(found_in("pump.rs", everything).len(), 2);
}

fn found_in(path: &str, text: &str) -> Vec<String> {
    let violations = imports(&Source::sample(path, text));
    violations.iter().map(Violation::to_string).collect()
}

#[test]
fn a_circle_in_a_folder_is_found() {
    let found = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(path, text)| Source::sample(path, text));
        let violations = circles(&files.collect::<Vec<_>>());
        let violations = violations.iter().map(Violation::to_string);
        violations.collect::<Vec<_>>()
    };
    let pair = [
        ("a/b.rs", "use super::c::X;"),
        ("a/c/mod.rs", ""),
        ("a/c/d.rs", "use crate::a::b;"),
    ];
    let found_in_pair = found(&pair);
    assert_eq!(found_in_pair.len(), 2, "{found_in_pair:?}");
    assert!(found_in_pair[0].starts_with("src/a/b.rs:1: `a::b` imports `a::c`, "));
    assert!(found_in_pair[1].starts_with("src/a/c/d.rs:1: `a::c` imports `a::b`, "));
    let through_a_third = [
        ("a/b.rs", "use super::c::X;"),
        ("a/c.rs", "use super::d;"),
        ("a/d.rs", "fn f() { super::b::g() }"),
    ];
    assert_eq!(found(&through_a_third).len(), 3);
    let through_the_parent = [
        ("a/mod.rs", "mod b; mod c; pub use self::b::{X, Y};"),
        ("a/b.rs", "use super::c;"),
        ("a/c.rs", "use super::X;"),
    ];
    assert_eq!(found(&through_the_parent).len(), 2);
    let good = [
        ("a/mod.rs", "mod b; use b::X; pub struct Y;"),
        (
            "a/b.rs",
            "use super::{Y, c::Z}; mod inner { use super::Y; }",
        ),
        ("a/c.rs", "// use super::b;"),
        ("d.rs", "use crate::a::b;"),
    ];
    assert_eq!(found(&good), [""; 0]);
}

#[test]
fn the_table_has_no_circles_and_names_only_modules() {
    for (index, (module, allowed)) in MODULES.iter().enumerate() {
        let below: Vec<_> = MODULES[index + 1..].iter().map(|(name, _)| *name).collect();
        for other in allowed.iter().filter(|other| **other != "*") {
            assert!(
                below.contains(&first_name(other)),
                "{other} is not below {module}"
            );
        }
    }
}

#[test]
fn site_and_connection_do_not_import_each_other_even_through_others() {
    fn reach(module: &'static str) -> Vec<&'static str> {
        let below = allowed(module).unwrap_or_default().iter();
        let further = below.flat_map(|other| reach(first_name(other)));
        further.chain([module]).collect()
    }
    assert!(!reach("site").contains(&"connection"));
    assert!(!reach("connection").contains(&"site"));
    // The reactor takes the site as an argument.
    assert!(!reach("reactor").contains(&"site"));
}
