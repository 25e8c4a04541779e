//! What may be named only in some places, or nowhere. Tests may do as they like.

use crate::scanner::{in_word, words};
use crate::tree::{Source, Violation};

/// Where a descriptor number, which is all an inherited socket is, becomes an owned socket.
/// Nothing safe can do that: only the starter of the process knows that the number is ours.
/// And where a socket option is set that no safe library knows; and fork(2), after which the child is
/// a copy of a process. And where the processor time of another process is read to the nanosecond. And where a
/// signal is ignored, which signal-hook cannot do.
const UNSAFE: &[&str] = &[
    "reactor/inherited.rs",
    "reactor/deferral.rs",
    "models/process/fork.rs",
    "signals.rs",
    "bench/account/clock.rs",
];

/// Where platforms differ: the seam to the world, inherited descriptors, an option of one system,
/// what only some systems can be told about processors and files, and the map with the list of
/// subcommands, which decide which rooms there are.
const CONDITIONAL: &[&str] = &[
    "transport/",
    "transport.rs",
    "reactor/inherited.rs",
    "reactor/deferral.rs",
    "bench/platform.rs",
    "bench/account/clock.rs",
    "lib.rs",
    "signals.rs",
    "subcommands.rs",
];

/// The generator of the benchmark is a loop of its own.
/// The two sides of the seam, and the signals, which arrive through the same poll.
/// Of the models, those who accept, and those who wait in the same poll as the reactor.
const MIO: &[&str] = &[
    "transport/",
    "transport.rs",
    "reactor/",
    "models/doors.rs",
    "models/coroutine/",
    "signals.rs",
    "bench/generator/",
    "main.rs",
];

/// Those who wait, and so learn what time it is when they wake; all others are told. And what limits
/// warnings: some of its callers are told no time, and nothing else depends on it.
const DRIVERS: &[&str] = &[
    "clock.rs",
    "reactor/",
    "models/",
    "access_log/writer.rs",
    "bench/",
    "main.rs",
    "warnings.rs",
];

pub fn clocks(source: &Source) -> Vec<Violation> {
    let reads = |before: &str, word: &str, after: &str| match word {
        "now" => before.ends_with("Instant::") || before.ends_with("SystemTime::"),
        "elapsed" => after.starts_with("()"),
        _ => false,
    };
    let what = "reads a clock: take `now` as an argument; only clock.rs reads one";
    unless(source.is_in(&["clock.rs"]), || named(source, reads, what))
}

pub fn readings(source: &Source) -> Vec<Violation> {
    let reads = |before: &str, word: &str, _: &str| before.ends_with("Now::") && word == "read";
    let what = "takes the time: be told `now`; only those who wait take it";
    unless(source.is_in(DRIVERS), || named(source, reads, what))
}

pub fn mio(source: &Source) -> Vec<Violation> {
    let names = |_: &str, word: &str, _: &str| word == "mio" || word.ends_with("_mio");
    let what =
        "is known only to what polls: the transport, the reactor, the models, signals and main";
    unless(source.is_in(MIO), || named(source, names, what))
}

pub fn sockets_in_the_scheduler(source: &Source) -> Vec<Violation> {
    let names = |_: &str, word: &str, _: &str| matches!(word, "mio" | "net");
    let what = "means sockets: the scheduler decides who runs next and knows none";
    unless(!source.is_in(&["reactor/scheduler.rs"]), || {
        named(source, names, what)
    })
}

pub fn panics(source: &Source) -> Vec<Violation> {
    const METHODS: [&str; 4] = ["unwrap", "expect", "unwrap_err", "expect_err"];
    // In pieces, for this file is searched for markers of unfinished work.
    let macros = [
        "panic",
        concat!("to", "do"),
        "unimplemented",
        "unreachable",
        "dbg",
    ];
    let panics = |before: &str, word: &str, after: &str| {
        let called = before.ends_with('.') && after.starts_with('(');
        let passed = before.ends_with("Option::") || before.ends_with("Result::");
        METHODS.contains(&word) && (called || passed) || macros.contains(&word) && is_macro(after)
    };
    named(
        source,
        panics,
        "may panic: use let-else, `?`, `get` or a default",
    )
}

pub fn prints(source: &Source) -> Vec<Violation> {
    let prints = |_: &str, word: &str, after: &str| {
        matches!(word, "println" | "print" | "eprintln" | "eprint") && is_macro(after)
    };
    named(
        source,
        prints,
        "prints: use `log`, or write to the stream and handle its error",
    )
}

pub fn unsafety(source: &Source) -> Vec<Violation> {
    let what = "is not for this file: find a safe way, or add the file and its reason to the list";
    unless(source.is_in(UNSAFE), || {
        named(source, |_, word, _| word == "unsafe", what)
    })
}

pub fn conditions(source: &Source) -> Vec<Violation> {
    let condition = |_: &str, word: &str, after: &str| match word {
        "cfg" => is_macro(after) || after.starts_with('(') && !after.starts_with("(test)"),
        "cfg_attr" => true,
        _ => false,
    };
    let what = "depends on the platform or a feature: hide the difference in transport/";
    unless(source.is_in(CONDITIONAL), || named(source, condition, what))
}

/// `x[i]`, `f()[i]`, `x[0][i]`, `x?[i]`; but not `x[..]`, which cannot fail. Types, patterns
/// and macros have a blank, a bracket or a `!` before theirs.
pub fn indexing(source: &Source) -> Vec<Violation> {
    let indexed = |before: &str| {
        before.ends_with(|c| in_word(c) || matches!(c, ')' | ']' | '?'))
            && !ends_in_lifetime(before)
    };
    let brackets = source.code.match_indices('[');
    brackets
        .filter(|&(at, _)| indexed(&source.code[..at]) && !source.code[at..].starts_with("[..]"))
        .map(|(at, _)| {
            source.at(
                at,
                "indexes, and may panic: use `get`, an iterator or a pattern",
            )
        })
        .collect()
}

fn ends_in_lifetime(before: &str) -> bool {
    before.trim_end_matches(in_word).ends_with('\'')
}

fn is_macro(after: &str) -> bool {
    after.starts_with('!') && !after.starts_with("!=")
}

/// The words of the code outside tests that `is_meant(before, word, after)` picks.
fn named(
    source: &Source,
    is_meant: impl Fn(&str, &str, &str) -> bool,
    what: &str,
) -> Vec<Violation> {
    let code = source.code.as_str();
    words(code)
        .filter(|&(at, word)| is_meant(&code[..at], word, &code[at + word.len()..]))
        .map(|(at, word)| source.at(at, format!("`{word}` {what}")))
        .collect()
}

fn unless(exempt: bool, check: impl Fn() -> Vec<Violation>) -> Vec<Violation> {
    if exempt { Vec::new() } else { check() }
}

type Check = fn(&Source) -> Vec<Violation>;

/// Each line of `bad` is found, once; no line of `good` is.
fn tells(check: Check, path: &str, bad: &str, good: &str) {
    let found = |text: &str| check(&Source::sample(path, text)).len();
    for line in bad.lines() {
        assert_eq!(found(line), 1, "bad: {line}");
        assert_eq!(
            found(&format!("#[cfg(test)] mod tests {{ {line} }}")),
            0,
            "test: {line}"
        );
        assert_eq!(found(&format!("// {line}")), 0, "comment: {line}");
    }
    for line in good.lines() {
        assert_eq!(found(line), 0, "good: {line}");
    }
}

/// The list of files exempts its own files and no others.
fn exempts(check: Check, bad: &str, exempt: &[&str], others: &[&str]) {
    let found = |path: &str| check(&Source::sample(path, bad)).len();
    exempt
        .iter()
        .for_each(|path| assert_eq!(found(path), 0, "{path}"));
    others
        .iter()
        .for_each(|path| assert_eq!(found(path), 1, "{path}"));
}

#[test]
fn a_clock_that_is_read_is_found() {
    let bad = "let t = Instant::now();\nstd::time::SystemTime::now()\nf(SystemTime::now)\n\
               started.elapsed()";
    let good = "now.instant\nfn f(now: Now) {}\nself.elapsed";
    tells(clocks, "pump.rs", bad, good);
    let others = ["main.rs", "reactor/mod.rs"];
    exempts(clocks, "Instant::now()", &["clock.rs"], &others);
}

#[test]
fn a_reading_of_the_time_by_one_who_does_not_wait_is_found() {
    let (bad, good) = ("let now = Now::read();", "now.wall\nfile.read()");
    tells(readings, "site/mod.rs", bad, good);
    let drivers = ["reactor/mod.rs", "models/thread.rs", "main.rs"];
    exempts(readings, bad, &drivers, &["pump.rs", "connection.rs"]);
}

#[test]
fn a_name_of_mio_is_found() {
    let bad = "use mio::Poll;\nfn f(t: mio::Token) {}\nuse signal_hook_mio::v1_0;";
    let good = "cfg(mio_unsupported_force_poll_poll)\nlet miod = 1;";
    tells(mio, "pump.rs", bad, good);
    let inside = ["transport/plain.rs", "reactor/mod.rs", "main.rs"];
    let outside = ["timers.rs", "models/fixed.rs", "config.rs"];
    exempts(mio, "use mio::Poll;", &inside, &outside);
}

#[test]
fn a_socket_in_the_scheduler_is_found() {
    let bad = "use std::net::TcpStream;\nuse std::{io, net};\nfn f(t: mio::Token) {}";
    let good = "use crate::timers::Timers;";
    let check = sockets_in_the_scheduler;
    tells(check, "reactor/scheduler.rs", bad, good);
    exempts(check, "use std::net;", &["reactor/mod.rs"], &[]);
}

#[test]
fn whatever_panics_is_found() {
    let bad = "x.unwrap()\nx.expect(y)\nx.map(Option::unwrap)\nx.unwrap_err()\npanic!(x)\n\
               unimplemented!()\nunreachable!()\ndbg!(x)";
    let bad = [bad, concat!("to", "do!()")].join("\n");
    let good = "x.unwrap_or(y)\nx.unwrap_or_default()\nrequest.expect\nself.expect == x\n\
                #[expect(dead_code)]\nassert!(x)\ndebug_assert!(x)\n\"x.unwrap()\"\n\
                std::panic::catch_unwind(f)\nfn expect(self) {}";
    tells(panics, "pump.rs", &bad, good);
    exempts(panics, "x.unwrap()", &[], &["main.rs", "config.rs"]);
}

#[test]
fn an_indexing_is_found() {
    let bad = "x[0]\nself.head[a..b]\nf(x)[0]\nx?[0]\n&x[1..]\nlet [a] = x[y];\n[1, 2][k]";
    let good = "let x: [u8; 2] = [0; 2];\nvec![0]\n#[inline] fn f() {}\n&[1, 2]\n&x[..]\n\
                fn f<'a>(x: &'a[u8]) {}\nimpl From<[u8; 4]> for A {}\nmatches!(x, [a, ..])\n\
                Box<[u8]>\n\"x[0]\"\nx.get(0)\nreturn [a]";
    tells(indexing, "pump.rs", bad, good);
    let twice = Source::sample("pump.rs", "x[i][j]");
    assert_eq!(indexing(&twice).len(), 2);
}

#[test]
fn a_print_is_found() {
    let bad = "println!()\nprint!(x)\neprintln!(x)\neprint!(x)";
    let good = "writeln!(out, x)\nlog::info!(x)\nfn print() {}";
    tells(prints, "main.rs", bad, good);
}

#[test]
fn unsafe_code_outside_its_files_is_found() {
    let bad = "unsafe { f() }\nunsafe fn f() {}";
    tells(unsafety, "pump.rs", bad, "#![deny(unsafe_code)]");
    let others = ["reactor/mod.rs", "main.rs"];
    let places = ["reactor/inherited.rs", "models/process/fork.rs"];
    exempts(unsafety, "unsafe {}", &places, &others);
}

#[test]
fn a_condition_outside_its_files_is_found() {
    let bad = "#[cfg(unix)] fn f() {}\n#[cfg(not(test))] fn f() {}\n#[cfg_attr(unix, x)]\n\
               if cfg!(debug_assertions) {}\n#[cfg(feature = \"portable\")] mod x;";
    let good = "#[cfg(test)] mod x;\nlet cfg = 1;\nif cfg != 1 {}";
    tells(conditions, "pump.rs", bad, good);
    let inside = ["transport/plain.rs", "reactor/inherited.rs", "lib.rs"];
    let outside = ["main.rs", "reactor/mod.rs"];
    exempts(conditions, "#[cfg(unix)] x", &inside, &outside);
}
