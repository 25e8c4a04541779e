//! The concurrency models, tested with the installed program: how they stop, which connections they
//! accept, and that connections do not affect each other.
//!
//! tests/conformance checks their responses.
#![cfg(target_os = "linux")]

#[path = "../kernel/client.rs"]
#[allow(dead_code, reason = "the tests of the kernel use the rest")]
mod client;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;

mod aborting;
mod accepting;
mod children;
mod descriptors;
mod fixed;
mod level_triggered;
mod limits;
mod measuring;
mod reactors;
mod reloading;
mod signals;
mod sites;
mod stopping;
mod uring;

use client::Client;
use process::{Launch, Server, site};
use tempfile::TempDir;

/// With fewer processes than by default, so that they start quickly on a busy machine.
const PREFORK: &str = "prefork --workers 32";

/// Also on a machine with one processor.
const REACTORS: &str = "reactors --workers 3";

/// The models that serve many connections at once.
const MANY: [&str; 11] = [
    "thread",
    "thread-reuse",
    "process",
    PREFORK,
    "coroutine",
    "uring",
    "pool",
    "select",
    "poll",
    "level",
    REACTORS,
];

const ALL: [&str; 12] = [
    "sequential",
    "thread",
    "thread-reuse",
    "process",
    PREFORK,
    "coroutine",
    "uring",
    "pool",
    "select",
    "poll",
    "level",
    REACTORS,
];

/// All, and the reactor.
const EVERY: [&str; 13] = [
    "sequential",
    "thread",
    "thread-reuse",
    "process",
    PREFORK,
    "coroutine",
    "uring",
    "pool",
    "select",
    "poll",
    "level",
    "reactor",
    REACTORS,
];

fn small() -> TempDir {
    site(&[("small", b"small")])
}

fn start(root: &TempDir, model: &str, options: &str) -> Server {
    let launch = Launch::of(root).with(&format!("--model {model}"));
    launch.with(options).start()
}

/// Sends a request and checks the response.
#[track_caller]
fn assert_served(client: &mut Client) {
    let response = client.fetch("/small");
    assert_eq!((response.status(), &*response.body), (200, &b"small"[..]));
}

/// The voluntary context switches of the process: how often it has gone to sleep.
fn sleeps(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("voluntary_ctxt_switches"));
    let number = line.and_then(|line| line.split_whitespace().last());
    number.unwrap().parse().unwrap()
}
