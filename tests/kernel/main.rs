//! What only a real kernel shows: real sockets, descriptors and signals, and the program as it is
//! installed. The comment of a test says why it could fail, and which change of the code was seen
//! to make it fail.
//!
//! - `closing`: lingering, half-closes and resets
//! - `deadlines`: clients that are slow or silent
//! - `descriptors`: more clients than slots or descriptors
//! - `files`: files that change, and types that are not served
//! - `listening`: ports, unix sockets, inherited sockets
//! - `logs`: readers of the log that are slow or gone, rotation
//! - `restart`: no request fails when a server takes over the socket of another
//! - `stalls`: the server does not run until a deadline has passed
//! - `stopping`: a graceful stop
//! - `iterations`: events, budgets, and what a request costs
//! - `volumes`: a mounted file system below the root
//! - `client`: the HTTP clients
//!
//! The tests read /proc, so they run on Linux.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "a test prints what it measured")]

mod client;
mod closing;
mod deadlines;
mod descriptors;
mod files;
mod iterations;
mod listening;
mod logs;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;
mod restart;
mod stalls;
mod stopping;
mod volumes;
