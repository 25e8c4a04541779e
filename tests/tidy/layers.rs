//! Who may import whom. A room is a file or folder at the top of `src/`.

use crate::scanner::{in_word, item_end, words};
use crate::tree::{Source, Violation, inline_modules};

const EVERYTHING: &[&str] = &["*"];

/// Each room, and what it may import: rooms, or one floor of a room (`reactor::address`).
/// From the front door down to the leaves. Site and connection never meet: they touch only
/// in an argument of the pump.
#[rustfmt::skip]
const ROOMS: &[(&str, &[&str])] = &[
    ("lib",        EVERYTHING),
    ("main",       EVERYTHING),
    ("server",     &["config", "models", "reactor", "burn", "service", "site", "access_log", "pump",
                     "http::fields", "signals", "limits"]),
    ("banner",     &["config", "reactor::address", "site::path"]),
    ("service",    &["site", "access_log", "pump", "http", "warnings", "clock", "limits"]),
    ("burn",       &["pump", "http", "clock"]),
    ("config",     &["reactor::address", "access_log", "http::fields", "subcommands", "limits"]),
    ("subcommands", &["bench"]),
    // It knows the server from outside only, as a program.
    ("bench",      &["clock"]),
    ("models",     &["reactor::listen", "reactor::listener", "pump", "connection", "transport",
                     "timers", "stalls", "http", "access_log", "signals", "warnings", "clock",
                     "limits"]),
    ("reactor",    &["pump", "connection", "transport", "timers", "stalls", "http",
                     "access_log", "signals", "warnings", "clock", "limits"]),
    ("site",       &["http", "warnings", "clock", "limits"]),
    ("pump",       &["connection", "transport", "http", "warnings", "clock", "limits"]),
    ("connection", &["inbox", "outbox", "http", "clock", "limits"]),
    ("access_log", &["http", "clock", "limits"]),
    ("transport",  &["limits"]),
    ("inbox",      &["http"]),
    ("http",       &["limits"]),
    ("outbox",     &[]),
    ("warnings",   &["clock"]),
    ("timers",     &[]),
    ("stalls",     &[]),
    ("clock",      &[]),
    ("limits",     &[]),
    ("diagnostics", &[]),
    ("signals",    &[]),
];

/// Imports, and paths written out in the code, that the table does not allow.
pub fn imports(source: &Source) -> Vec<Violation> {
    let room = room_of(source);
    let Some(allowed) = allowed(room) else {
        let what =
            format!("`{room}` is unknown: add the room to the table in tests/tidy/layers.rs");
        return vec![source.at_line(1, what)];
    };
    if allowed == EVERYTHING {
        return Vec::new();
    }
    let refused = |path: &str| {
        let other = first_name(path);
        let may = other == room || allowed.iter().any(|allowed| is_within(path, allowed));
        match self::allowed(other) {
            _ if may => None,
            Some(_) => Some(format!(
                "`{room}` may not import `{path}`: hand over what it needs"
            )),
            None => Some(format!(
                "`{path}` is in no room: import from the room that defines it"
            )),
        }
    };
    let paths = paths_from_the_root(source).into_iter();
    paths
        .filter_map(|(at, path)| Some(source.at(at, refused(&path)?)))
        .collect()
}

fn room_of(source: &Source) -> &str {
    let (first, _) = source.path.split_once('/').unwrap_or((&source.path, ""));
    first.trim_end_matches(".rs")
}

fn allowed(room: &str) -> Option<&'static [&'static str]> {
    ROOMS
        .iter()
        .find(|(name, _)| *name == room)
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

/// Every path that begins at the root of the crate, without that root, with its offset.
fn paths_from_the_root(source: &Source) -> Vec<(usize, String)> {
    let code = source.code.as_str();
    let from_the_root = words(code).filter_map(|(at, word)| match word {
        "crate" | "oneloop" => Some((at, code[at + word.len()..].strip_prefix("::")?)),
        "super" => Some((at, after_supers(source, at)?)),
        _ => None,
    });
    from_the_root
        .flat_map(|(at, rest)| paths(rest).into_iter().map(move |path| (at, path)))
        .collect()
}

/// What follows `super::super::`, if that chain begins at `at` and leads up to the root.
fn after_supers(source: &Source, at: usize) -> Option<&str> {
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
    let mut depth = source.module().len() + inline;
    while let Some(shorter) = rest.strip_prefix(UP) {
        rest = shorter;
        depth = depth.checked_sub(1)?;
    }
    (depth == 0).then_some(rest)
}

/// The path that `text` begins with; several if it divides: `a::{b, c::*}` is `a::b`, `a::c::*`.
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

/// The members of `a, b::{c, d}, e`, which are three.
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
            "use crate::{clock::Now, site::{self}, limits};",
            "site::self",
        ),
        ("use crate::{\n    clock::Now,\n    site,\n};", "site"),
        ("use crate::site::*;", "site::*"),
        ("fn f(x: crate::site::Site) {}", "site::Site"),
        ("fn f() { crate::site::open::<u8>() }", "site::open"),
        (
            "fn f<T>() where crate::site::Site: From<T> {}",
            "site::Site",
        ),
        ("use super::site::Site;", "site::Site"),
        ("use super::{clock, site};", "site"),
        ("use oneloop::site;", "site"),
        ("mod inner { use super::super::site::Site; }", "site::Site"),
        ("pub use crate::reactor::{Reactor};", "reactor::Reactor"),
    ];
    for (text, path) in bad {
        let what = format!("`connection` may not import `{path}`: hand over what it needs");
        let told = format!("src/connection.rs:2: {what}");
        assert_eq!(
            told_of("connection.rs", &format!("\n{text}")),
            [told],
            "{text}"
        );
    }
    let good = [
        "use crate::clock::Now; use crate::{http::{self, range}, limits::Limits};",
        "use crate::connection::Step; use self::inner::X; use std::io; mod inner { use super::X; }",
        "// use crate::site;\n#[cfg(test)] mod tests { use crate::site::Site; }",
        "const PATH: &str = \"crate::site\"; pub(crate) fn f() {}",
    ];
    for text in good {
        assert_eq!(told_of("connection.rs", text), [""; 0], "{text}");
    }
}

#[test]
fn a_path_upwards_is_followed_out_of_its_room() {
    let text = "use super::fields; use super::super::clock; use crate::clock;";
    assert_eq!(told_of("http/range.rs", text).len(), 2);
    assert_eq!(
        told_of("http/mod.rs", text).len(),
        2,
        "no room is called fields"
    );
}

#[test]
fn one_floor_of_a_room_may_be_open_while_the_others_are_not() {
    let text = "use crate::reactor::{address::{Bind, Host}, address, scheduler};";
    assert_eq!(told_of("config.rs", text).len(), 1);
    assert_eq!(
        told_of("config.rs", "use crate::reactor::addresses;").len(),
        1
    );
    assert_eq!(told_of("config.rs", "use crate::reactor;").len(), 1);
}

#[test]
fn what_is_in_no_room_is_found() {
    assert_eq!(told_of("cellar.rs", "").len(), 1, "an unknown file");
    assert_eq!(told_of("cellar/mod.rs", "").len(), 1, "an unknown folder");
    let short_cut = "use crate::Shortcut;";
    assert_eq!(told_of("pump.rs", short_cut).len(), 1);
    let all_rooms_at_once = "use crate::*; use super::*;";
    assert_eq!(told_of("pump.rs", all_rooms_at_once).len(), 2);
}

fn told_of(path: &str, text: &str) -> Vec<String> {
    let violations = imports(&Source::sample(path, text));
    violations.iter().map(Violation::to_string).collect()
}

#[test]
fn the_table_has_no_circles_and_names_only_rooms() {
    for (index, (room, allowed)) in ROOMS.iter().enumerate() {
        let below: Vec<_> = ROOMS[index + 1..].iter().map(|(name, _)| *name).collect();
        for other in allowed.iter().filter(|other| **other != "*") {
            assert!(
                below.contains(&first_name(other)),
                "{other} is not below {room}"
            );
        }
    }
}

#[test]
fn site_and_connection_never_meet_not_even_through_others() {
    fn reach(room: &'static str) -> Vec<&'static str> {
        let below = allowed(room).unwrap_or_default().iter();
        let further = below.flat_map(|other| reach(first_name(other)));
        further.chain([room]).collect()
    }
    assert!(!reach("site").contains(&"connection"));
    assert!(!reach("connection").contains(&"site"));
    // The reactor is handed the site as an argument.
    assert!(!reach("reactor").contains(&"site"));
}
