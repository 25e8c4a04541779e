//! Names that only some files may use (tests may use all of them), and names in comments of tests.

use crate::scanner::{in_word, words};
use crate::tree::{Source, Text, Violation};
use std::collections::HashSet;

/// Files that depend on the platform or on a feature of the build.
const CONDITIONAL: &[&str] = &[
    "transport/",
    "listen/accept_blocking.rs",
    "listen/socket_activation.rs",
    "listen/defer_accept.rs",
    "bench/platform.rs",
    // epoll is a part of Linux, POLLRDHUP too.
    "models/level_triggered/mod.rs",
    "models/level_triggered/poll.rs",
    "lib.rs",
    // The lints that are for code outside tests.
    "main.rs",
    "signals.rs",
    "subcommands.rs",
    // The option --trace, for the feature study.
    "config/arguments.rs",
    "config/help_text.rs",
    "config/mod.rs",
    "server/",
    "https.rs",
    // EPOLLEXCLUSIVE.
    "models/prefork/wait.rs",
    // The features tls and passwords.
    "passwords/mod.rs",
    "tls/mod.rs",
    // The feature compress.
    "site/encoder/mod.rs",
    // The model uring, which is only for Linux, and polls the descriptor of a poll.
    "models/mod.rs",
    "event_loop/poller.rs",
];

/// Files that use mio: what registers with a poll, and the load generator, which has its own.
const MIO: &[&str] = &[
    "transport/",
    "listen/",
    "reactor.rs",
    "models/acceptor.rs",
    "models/process/children.rs",
    "models/coroutine/",
    "signals.rs",
    "bench/client/",
    "event_loop/poller.rs",
    "study/poke/client.rs",
    "study/poke/stream.rs",
];

/// Files that call `Now::read`: the loops, which read it once per iteration, and what needs the
/// time in a thread of its own. All other code takes `now` as an argument.
const DRIVERS: &[&str] = &[
    "clock.rs",
    "reactor.rs",
    "models/",
    "access_log/writer.rs",
    "admin/metrics.rs",
    "bench/",
    "study/",
    "warnings.rs",
    // Once for the certificates.
    "https.rs",
    "config/mod.rs",
];

/// `Now::read` and `Now::monotonic` outside the files in [`DRIVERS`].
pub fn readings(source: &Source) -> Vec<Violation> {
    let reads = |before: &str, word: &str, _: &str| {
        before.ends_with("Now::") && ["read", "monotonic"].contains(&word)
    };
    let what = "reads a clock: take `now` as an argument, or add the file to DRIVERS in \
                tests/tidy/words.rs";
    unless(source.is_in(DRIVERS), || named(source, reads, what))
}

/// mio outside the files in [`MIO`].
pub fn mio(source: &Source) -> Vec<Violation> {
    let names = |_: &str, word: &str, _: &str| word == "mio" || word.ends_with("_mio");
    let what = "is used: only what polls knows mio (MIO in tests/tidy/words.rs)";
    unless(source.is_in(MIO), || named(source, names, what))
}

/// Sockets in the scheduler, which only decides which connection runs next.
pub fn sockets_in_the_scheduler(source: &Source) -> Vec<Violation> {
    let names = |_: &str, word: &str, _: &str| matches!(word, "mio" | "net");
    let what = "is used: the scheduler knows no sockets, move this to a driver";
    unless(!source.is_in(&["event_loop/scheduler.rs"]), || {
        named(source, names, what)
    })
}

/// `cfg` outside the files in [`CONDITIONAL`].
pub fn conditions(source: &Source) -> Vec<Violation> {
    let condition = |_: &str, word: &str, after: &str| match word {
        "cfg" => is_macro(after) || after.starts_with('(') && !after.starts_with("(test)"),
        "cfg_attr" => true,
        _ => false,
    };
    let what = "depends on the platform or a feature: move the difference to transport/, or add \
                the file to CONDITIONAL in tests/tidy/words.rs";
    unless(source.is_in(CONDITIONAL), || named(source, condition, what))
}

/// Names in backticks after "Fails if" in a comment, which are not names of the code (`names`).
pub fn stale_names(text: &Text, names: &HashSet<&str>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut is_cause = false;
    for (line, number) in text.text.lines().zip(1..) {
        let comment = line.trim_start().strip_prefix("//").unwrap_or_default();
        let cause = comment.find("Fails if").filter(|_| !is_cause);
        is_cause = !comment.is_empty() && (is_cause || cause.is_some());
        if !is_cause {
            continue;
        }
        let quoted = comment[cause.unwrap_or(0)..].split('`').skip(1).step_by(2);
        let paths = quoted.filter(|path| path.chars().all(|c| in_word(c) || c == ':'));
        for name in paths.flat_map(|path| path.split("::")) {
            if !names.contains(name) {
                let what = format!("`{name}` is not in src: name the code that the test needs");
                violations.push(text.at_line(number, what));
            }
        }
    }
    violations
}

fn is_macro(after: &str) -> bool {
    after.starts_with('!') && !after.starts_with("!=")
}

/// The words of the code outside tests for which `is_meant(before, word, after)` holds.
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

/// Each line of `bad` has one violation; no line of `good` has any.
fn check_samples(check: Check, path: &str, bad: &str, good: &str) {
    let found = |text: &str| check(&Source::sample(path, text)).len();
    for line in bad.lines() {
        assert_eq!(found(line), 1, "bad: {line}");
        let test = format!("#[cfg(test)] mod tests {{ {line} }}");
        assert_eq!(found(&test), 0, "test: {line}");
        assert_eq!(found(&format!("// {line}")), 0, "comment: {line}");
    }
    for line in good.lines() {
        assert_eq!(found(line), 0, "good: {line}");
    }
}

/// The files in `exempt` may contain `bad`, those in `others` may not.
fn check_exemptions(check: Check, bad: &str, exempt: &[&str], others: &[&str]) {
    let found = |path: &str| check(&Source::sample(path, bad)).len();
    exempt
        .iter()
        .for_each(|path| assert_eq!(found(path), 0, "{path}"));
    others
        .iter()
        .for_each(|path| assert_eq!(found(path), 1, "{path}"));
}

#[test]
fn a_name_after_fails_if_that_the_code_does_not_have_is_found() {
    let names = HashSet::from(["Limits", "fields", "reap"]);
    let found = |text: &str| {
        let (path, text) = ("tests/a.rs".into(), text.into());
        stale_names(&Text { path, text }, &names).len()
    };
    assert_eq!(found("/// Fails if `sweep` does nothing."), 1);
    assert_eq!(
        found("/// Slow. Fails if the limit\n    /// is `Limits::lines`."),
        1
    );
    let good = "/// Fails if `reap` or `Limits::fields` is 0, or without `-p 0`.\nlet a = \"`b`\";";
    assert_eq!(found(good), 0);
    assert_eq!(found("/// `sweep` is called. Fails if it is not."), 0);
}

#[test]
fn a_clock_that_is_read_outside_a_driver_is_found() {
    let (bad, good) = ("let now = Now::read();", "now.wall\nfile.read()");
    check_samples(readings, "site/mod.rs", bad, good);
    let drivers = ["reactor.rs", "models/thread.rs"];
    check_exemptions(readings, bad, &drivers, &["pump.rs", "connection.rs"]);
}

#[test]
fn a_use_of_mio_is_found() {
    let bad = "use mio::Poll;\nfn f(t: mio::Token) {}\nuse signal_hook_mio::v1_0;";
    let good = "cfg(mio_unsupported_force_poll_poll)\nlet miod = 1;";
    check_samples(mio, "pump.rs", bad, good);
    let inside = ["transport/plain.rs", "reactor.rs"];
    let outside = ["timers.rs", "models/fixed.rs", "config.rs"];
    check_exemptions(mio, "use mio::Poll;", &inside, &outside);
}

#[test]
fn a_socket_in_the_scheduler_is_found() {
    let bad = "use std::net::TcpStream;\nuse std::{io, net};\nfn f(t: mio::Token) {}";
    let good = "use crate::timers::Timers;";
    let check = sockets_in_the_scheduler;
    check_samples(check, "event_loop/scheduler.rs", bad, good);
    check_exemptions(check, "use std::net;", &["reactor.rs"], &[]);
}

#[test]
fn a_condition_outside_its_files_is_found() {
    let bad = "#[cfg(unix)] fn f() {}\n#[cfg(not(test))] fn f() {}\n#[cfg_attr(unix, x)]\n\
               if cfg!(debug_assertions) {}\n#[cfg(feature = \"portable\")] mod x;";
    let good = "#[cfg(test)] mod x;\nlet cfg = 1;\nif cfg != 1 {}";
    check_samples(conditions, "pump.rs", bad, good);
    let inside = ["transport/plain.rs", "lib.rs"];
    let outside = ["banner.rs", "reactor.rs"];
    check_exemptions(conditions, "#[cfg(unix)] x", &inside, &outside);
}
