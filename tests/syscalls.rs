//! `oneloop syscalls`: the system calls that each model makes for a connection.
#![cfg(all(
    feature = "study",
    target_os = "linux",
    not(mio_unsupported_force_poll_poll)
))]
#![allow(dead_code, reason = "a module that other tests use as well")]

#[path = "support/process.rs"]
mod process;

use clap::ValueEnum;
use oneloop::config::Model;
use oneloop::study::syscalls::MODELS;
use process::{available, has};
use std::process::Command;

fn syscalls(args: &[&str], path: Option<&str>) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.arg("syscalls").args(args);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A line of the list of a model.
#[derive(Debug)]
struct Line {
    /// The first thread is `[1]`; empty if there is only one.
    thread: String,
    /// `*`: the trace has the call, too; `+`: it is an operation of an io_uring.
    mark: Option<char>,
    /// What the call is and what it concerns.
    call: String,
    /// What it returned.
    result: String,
}

/// The lines of a phase.
fn lines(list: &str, phase: &str) -> Vec<Line> {
    let lines = list.lines().skip_while(|line| line.trim() != phase).skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let line = |line: &str| {
        let line = line.trim_start();
        let (thread, line) = line.split_once(']').unwrap_or(("", line));
        let line = line.trim_start();
        let mark = line.chars().next().filter(|mark| "*+".contains(*mark));
        let line = line.trim_start_matches(['*', '+', ' ']);
        let mut columns = line.split("  ").filter(|column| !column.is_empty());
        let [call, result] = [(); 2].map(|()| columns.next().unwrap().trim().to_owned());
        let (result, _) = result.split_once(" in ").unwrap_or((&result, ""));
        Line {
            thread: thread.to_owned(),
            mark,
            call,
            result: result.to_owned(),
        }
    };
    lines.map(line).collect()
}

/// The calls of a phase. Without those that only builds with debug assertions make, and the
/// timeouts, which are set again if the time that is left is another.
fn calls(list: &str, phase: &str) -> Vec<String> {
    let lines = lines(list, phase).into_iter();
    let calls = lines.filter(|line| line.mark != Some('+'));
    let calls = calls.map(|line| line.call);
    let is_kept = |call: &String| !call.starts_with("fcntl") && !call.starts_with("setsockopt");
    calls.filter(is_kept).collect()
}

/// The models with a loop.
const LOOPS: [&str; 5] = ["coroutine", "select", "poll", "level", "reactor"];

const PHASES: [&str; 4] = [
    "a client connects",
    "it sends a request",
    "it sends another request",
    "it closes the connection",
];

/// The calls of all phases that `is_kept`, with their results. Without those that a trace does not
/// have: the number of a descriptor, and how many operations were submitted.
fn results(list: &str, is_kept: impl Fn(&Line) -> bool) -> Vec<String> {
    let lines = PHASES.iter().flat_map(|phase| lines(list, phase));
    let lines = lines.filter(is_kept).map(|line| match &*line.call {
        "accept4 listener" if line.result != "EAGAIN" => line.call,
        "io_uring_enter ring" => line.call,
        _ => format!("{} {}", line.call, line.result),
    });
    lines.collect()
}

/// The call that a trace has of a connection, and the polls of a loop.
fn is_traceable(line: &Line, model: &str) -> bool {
    let is_loop = LOOPS.contains(&model);
    match &*line.call {
        "epoll_wait poll" | "epoll_pwait poll" | "poll poll" | "pselect6 poll" => is_loop,
        "io_uring_enter ring" => true,
        "accept4 listener" => line.result != "EAGAIN",
        // The parent closes its copy, which is none of the connection.
        "close connection" => model != "process" || line.thread != "[1",
        "recvfrom connection" => is_loop || line.result != "EAGAIN",
        "sendto connection" | "sendfile connection" => true,
        "shutdown connection" | "epoll_ctl connection" => true,
        _ => false,
    }
}

#[test]
fn trace_and_strace_agree_call_for_call_in_every_model() {
    if !has("strace") {
        return;
    }
    let [from_strace, from_trace] = std::thread::scope(|scope| {
        let runs = [None, Some("/nowhere")].map(|path| scope.spawn(move || syscalls(&[], path)));
        runs.map(|run| {
            let (is_ok, list, errors) = run.join().unwrap();
            assert!(is_ok, "{errors}");
            list
        })
    });
    for model in available(&MODELS) {
        let of_model = |list: &str| {
            let (_, list) = list.split_once(&format!("Model {model}\n")).unwrap();
            list.split("Model ").next().unwrap().to_owned()
        };
        let [from_strace, from_trace] = [&from_strace, &from_trace].map(|list| of_model(list));
        let expected = results(&from_strace, |line| is_traceable(line, model));
        let traced = results(&from_trace, |line| is_traceable(line, model));
        let marked = results(&from_strace, |line| {
            line.mark == Some('*') && is_traceable(line, model)
        });
        let message = format!("{from_strace}\n{from_trace}");
        assert_eq!(traced, expected, "{message}");
        assert_eq!(marked, expected, "{message}");
        let least = if LOOPS.contains(&model) { 12 } else { 6 };
        assert!(traced.len() >= least, "{message}");
        assert!(!from_trace.contains("(no known reason)"), "{message}");
    }
}

#[test]
fn the_operations_of_an_io_uring_follow_the_call_that_waited_for_them() {
    if available(&["uring"]).is_empty() || !has("strace") {
        return;
    }
    for path in [None, Some("/nowhere")] {
        let (is_ok, list, errors) = syscalls(&["--model", "uring"], path);
        assert!(is_ok, "{errors}");
        let found = lines(&list, "it sends another request").into_iter();
        let found: Vec<_> = found
            .filter(|line| line.call != "newfstatat page")
            .collect();
        let marks: Vec<_> = found.iter().map(|line| line.mark == Some('+')).collect();
        assert_eq!(marks, [false, true, false, true], "{list}");
        let [_, received, _, sent] = [0, 1, 2, 3].map(|at| &found[at]);
        let operation = |line: &Line| format!("{} {}", line.call, line.result);
        assert_eq!(operation(received), "recv connection 37", "{list}");
        assert_eq!(operation(sent), "send connection 293", "{list}");
        assert!(list.contains("+  This is no call"), "{list}");
    }
}

#[test]
fn a_kernel_without_io_uring_has_the_other_models() {
    if !has("strace") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=io_uring_setup"])
        .args(["-e", "inject=io_uring_setup:error=ENOSYS"])
        .arg(env!("CARGO_BIN_EXE_oneloop"))
        .args(["syscalls"])
        .env("TMPDIR", directory.path())
        .output()
        .unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{list}");
    assert!(list.contains("Model uring\n  left out: "), "{list}");
    assert!(list.contains("\nModel reactor\n"), "{list}");
}

#[test]
fn without_strace_the_list_is_that_of_the_trace_and_says_what_it_lacks() {
    let (is_ok, list, errors) = syscalls(&["--model", "thread"], Some("/nowhere"));
    assert!(is_ok, "{errors}");
    let expected = ["recvfrom connection", "sendto connection"];
    assert_eq!(calls(&list, "it sends another request"), expected, "{list}");
    assert!(list.contains("Not shown: calls"), "{list}");
}

#[test]
fn a_request_on_an_open_connection_takes_the_calls_that_the_document_names() {
    if !has("strace") {
        return;
    }
    let blocking = [
        "recvfrom connection",
        "newfstatat page",
        "sendto connection",
    ];
    let polled_by = |call| [call, blocking[0], blocking[1], blocking[2]];
    let polled = polled_by("epoll_wait poll");
    let looks = [blocking[0], "ppoll listener", blocking[1], blocking[2]];
    let entered_twice = ["io_uring_enter ring", blocking[1], "io_uring_enter ring"];
    let expected: [(&str, &[&str]); 12] = [
        ("sequential", &looks),
        ("process", &blocking),
        ("prefork", &blocking),
        ("thread", &blocking),
        ("thread-reuse", &blocking),
        ("pool", &blocking),
        ("coroutine", &polled),
        ("select", &polled_by("pselect6 poll")),
        ("poll", &polled_by("poll poll")),
        ("level", &polled_by("epoll_pwait poll")),
        ("uring", &entered_twice),
        ("reactor", &polled),
    ];
    let models = available(&MODELS);
    for (model, expected) in expected {
        if !models.contains(&model) {
            continue;
        }
        let (is_ok, list, errors) = syscalls(&["--model", model], None);
        assert!(is_ok, "{errors}");
        assert_eq!(calls(&list, "it sends another request"), expected, "{list}");
        assert!(!list.contains("(no known reason)"), "{list}");
    }
}

/// Fails if a connection sets timeouts that its socket has from the listener, and if its end wakes
/// a thread that does not wait. (A thread that is used again waits for its next connection.)
#[test]
fn a_connection_of_a_blocking_model_sets_no_timeout_and_wakes_no_thread_at_its_end() {
    if !has("strace") {
        return;
    }
    for model in [
        "sequential",
        "process",
        "prefork",
        "thread",
        "thread-reuse",
        "pool",
    ] {
        let (is_ok, list, errors) = syscalls(&["--model", model], None);
        assert!(is_ok, "{errors}");
        assert!(!list.contains("setsockopt"), "{list}");
        let wakes = |call: &String| call.starts_with("futex");
        let end = calls(&list, "it closes the connection");
        assert!(!end.iter().any(wakes), "{list}");
    }
}

/// Those of `thread`, `thread-reuse`, `pool` and `process` depend on which thread or process is
/// faster.
#[test]
fn the_document_has_the_number_of_calls_of_the_blocking_models() {
    if !has("strace") {
        return;
    }
    let document = std::fs::read_to_string("docs/models.md").unwrap();
    let table = document
        .split("| System calls | `sequential` |")
        .nth(1)
        .unwrap();
    let rows: Vec<_> = table.lines().skip(2).take(PHASES.len()).collect();
    for (model, column) in [("sequential", 2), ("prefork", 4), ("reactor", 8)] {
        let (is_ok, list, errors) = syscalls(&["--model", model], None);
        assert!(is_ok, "{errors}");
        for (phase, row) in PHASES.iter().zip(&rows) {
            let count = row.split('|').nth(column).unwrap().trim();
            assert_eq!(
                calls(&list, phase).len().to_string(),
                count,
                "{row}\n{list}"
            );
        }
    }
}

/// Fails if a child opens what its parent has opened, or sets the handlers that its parent has set.
#[test]
fn a_process_for_a_connection_opens_no_site_and_sets_no_handler_of_a_signal() {
    if !has("strace") {
        return;
    }
    let (is_ok, list, errors) = syscalls(&["--model", "process"], None);
    assert!(is_ok, "{errors}");
    let begin = calls(&list, "a client connects");
    let is_repeated = |call: &String| {
        ["openat", "rt_sigaction"]
            .iter()
            .any(|it| call.starts_with(it))
    };
    assert!(!begin.iter().any(is_repeated), "{list}");
}

/// With edges, a new socket is an event, because it can be written.
#[test]
fn a_new_connection_takes_the_calls_that_the_document_names() {
    if !has("strace") {
        return;
    }
    let accepting = [
        "accept4 listener",
        "accept4 listener",
        "recvfrom connection",
    ];
    for (model, wait, registration) in [
        (
            "reactor",
            "epoll_wait poll",
            &["epoll_ctl connection", "epoll_wait poll"][..],
        ),
        ("level", "epoll_pwait poll", &["epoll_ctl connection"]),
        ("poll", "poll poll", &[]),
        ("select", "pselect6 poll", &[]),
    ] {
        let (is_ok, list, errors) = syscalls(&["--model", model], None);
        assert!(is_ok, "{errors}");
        let expected = [&[wait], &accepting[..], registration].concat();
        assert_eq!(calls(&list, "a client connects"), expected, "{list}");
    }
}

#[test]
fn the_model_fixed_answers_one_request_and_waits_for_the_client_to_close() {
    if !has("strace") {
        return;
    }
    let (is_ok, list, errors) = syscalls(&["--model", "fixed"], None);
    assert!(is_ok, "{errors}");
    assert_eq!(
        calls(&list, "a client connects"),
        ["epoll_wait poll", "accept4 listener"]
    );
    assert_eq!(
        calls(&list, "it sends a request"),
        [
            "recvfrom connection",
            "sendto connection",
            "shutdown connection"
        ]
    );
    assert!(!list.contains("it sends another request"), "{list}");
    assert!(!list.contains("(no known reason)"), "{list}");
}

#[test]
fn every_model_is_shown() {
    let models = Model::value_variants().iter().map(|model| model.name());
    // Each of its loops makes the calls of the reactor.
    let is_shown = |name: &&str| *name != "reactors";
    assert!(models.filter(is_shown).eq(MODELS));
}

#[test]
fn a_model_that_cannot_be_traced_is_an_error_that_lists_the_others() {
    for (name, why) in [
        ("reactorz", "no such model"),
        ("reactors", "it has several loops, and the trace shows one"),
    ] {
        let expected = format!(
            "oneloop: --model {name}: {why}; there are fixed, sequential, process, prefork, \
             thread, thread-reuse, pool, coroutine, uring, select, poll, level, reactor\n"
        );
        let (is_ok, list, errors) = syscalls(&["--model", name], None);
        assert_eq!((is_ok, list, errors), (false, String::new(), expected));
    }
}
