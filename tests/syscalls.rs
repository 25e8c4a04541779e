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
use process::has;
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

/// The names of the calls of a phase in the list of a model, with what they concern. Without those
/// that only builds with debug assertions make, and the timeouts, which are set again if the time
/// that is left is another.
fn calls(list: &str, phase: &str) -> Vec<String> {
    let lines = list.lines().skip_while(|line| line.trim() != phase).skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let call = |line: &str| {
        let line = line.trim_start();
        let line = line
            .strip_prefix('[')
            .map_or(line, |line| line.split_once(']').unwrap().1);
        line.trim_start().split("  ").next().unwrap().to_owned()
    };
    let is_kept = |call: &String| !call.starts_with("fcntl") && !call.starts_with("setsockopt");
    lines.map(call).filter(is_kept).collect()
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
    let polled = ["epoll_wait poll", blocking[0], blocking[1], blocking[2]];
    let looks = [blocking[0], "ppoll listener", blocking[1], blocking[2]];
    let expected: [(&str, &[&str]); 6] = [
        ("sequential", &looks),
        ("process", &blocking),
        ("thread", &blocking),
        ("pool", &blocking),
        ("coroutine", &polled),
        ("reactor", &polled),
    ];
    for (model, expected) in expected {
        let (is_ok, list, errors) = syscalls(&["--model", model], None);
        assert!(is_ok, "{errors}");
        assert_eq!(calls(&list, "it sends another request"), expected, "{list}");
        assert!(!list.contains("(no known reason)"), "{list}");
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
        ["epoll_wait poll", "accept4 listener", "ioctl connection"]
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
    assert!(models.eq(MODELS));
}

#[test]
fn an_unknown_model_is_an_error_that_lists_the_models() {
    let (is_ok, list, errors) = syscalls(&["--model", "reactors"], None);
    assert_eq!(
        (is_ok, &*list, &*errors),
        (
            false,
            "",
            "oneloop: --model reactors: no such model; there are fixed, sequential, process, \
             thread, pool, coroutine, reactor\n"
        )
    );
}

#[test]
fn without_strace_an_error_says_so() {
    let (is_ok, list, errors) = syscalls(&["--model", "fixed"], Some("/nowhere"));
    assert_eq!(
        (is_ok, &*list, &*errors),
        (
            false,
            "",
            "oneloop: strace is not installed, or not in PATH\n"
        )
    );
}
