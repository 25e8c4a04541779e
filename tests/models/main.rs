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
mod limits;
mod measuring;
mod reloading;
mod signals;
mod sites;
mod stopping;

use client::Client;
use process::{Launch, Server, site};
use tempfile::TempDir;

/// The models that serve many connections at once.
const MANY: [&str; 4] = ["thread", "process", "coroutine", "pool"];

const ALL: [&str; 5] = ["sequential", "thread", "process", "coroutine", "pool"];

/// All, and the reactor.
const EVERY: [&str; 6] = [
    "sequential",
    "thread",
    "process",
    "coroutine",
    "pool",
    "reactor",
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
