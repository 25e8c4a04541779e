//! What only a kernel shows: real sockets, real descriptors, real signals, against the program as
//! it is installed. Each test is a sentence; its comment says why it could be otherwise, and what
//! was broken to see it red.
//!
//! - `closing`: how connections end, and who hears the last word
//! - `deadlines`: clients that are slow, or silent
//! - `descriptors`: more clients than there is room for
//! - `files`: a tree that changes while it is served, and what is in it that is no file
//! - `listening`: ports, unix sockets, inherited sockets, and what is in the way of them
//! - `logs`: readers of the log that are slow, gone, or moved
//! - `restart`: no request fails when a server takes over the socket of another
//! - `stalls`: the server is away past a deadline
//! - `stopping`: the end of the server
//! - `iterations`: what the loop asks of the kernel, and how often
//! - `volumes`: what is mounted below the root
//! - `client`: the other end
//!
//! Much of it is looked up in /proc, so it is tested on Linux.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "a test says what it measured")]

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
