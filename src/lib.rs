//! oneloop: one thread, one loop, every connection.
//!
//! This page is the map: what each room answers, in the order in which they are best read.
//! `docs/architecture.md` is the tour that goes with it, `docs/states.md` the table of what a
//! connection may do, `docs/limits.md` every bound with its reason.
//!
//! # The idea
//!
//! A [`Connection`](connection::Connection) is a value that does no I/O and reads no clock. It
//! names its next [`Step`](connection::Step); [`pump()`](pump::pump) does that one thing on a
//! [`Transport`](transport::Transport) and reports what came of it, until there is a
//! [`Pause`](pump::Pause). Then the [`Reactor`](reactor::Reactor) turns to somebody else, or
//! sleeps.
//!
//! # The protocol and the loop
//!
//! - [`connection`]: what must be remembered of one connection between two events?
//! - [`pump`](mod@pump): how do its steps become reads and writes, and when does that stop?
//! - [`transport`]: what can a connection want of its socket?
//! - [`reactor`]: what happens in a turn? Its [`engine`](reactor::engine) is the turn without the
//!   sleep, its [`scheduler`](reactor::scheduler) answers who
//!   runs next and how long the loop may sleep, its [`listener`](reactor::listener) who is let in.
//! - [`timers`]: which of many deadlines comes first, and which have passed?
//! - [`stalls`]: how long was the loop away from its sockets?
//! - [`inbox`]: where are received bytes until they are a whole request head?
//! - [`outbox`]: where are bytes that are ready, until the socket takes them?
//! - [`models`]: how else could a server wait, and what would that cost?
//!
//! # What is asked and what is answered
//!
//! - [`http`]: what do the bytes mean, and how is an answer written down?
//! - [`handler`]: what answers requests, and keeps a state of each connection.
//! - [`site_handler`]: the handler of the product, a site with its log.
//! - [`burn`]: an answer that takes long to compute, for the benchmark.
//! - [`site`]: which file does a name stand for, and which response is it?
//! - [`access_log`]: what does a log line look like, and how does it leave without holding up
//!   the loop?
//!
//! # What everybody may need
//!
//! - [`limits`]: how much is too much, and why?
//! - [`clock`]: what time is it, for the whole turn?
//! - [`diagnostics`]: what does the server say about itself?
//! - [`signals`]: what does each signal ask for?
//! - [`warnings`]: warnings that a request can cause, bounded.
//!
//! # The front door
//!
//! - [`config`]: what can be written on the command line, and is it right?
//! - [`banner`]: what does a person read when the server has started?
//! - [`subcommands`]: what else can the program do than serve?
//! - [`bench`](mod@bench) (a feature): which way of waiting costs what, and how sure is that?
//!
//! - [`server`]: a configuration, opened and ready to run.
//!
//! `main.rs` is arguments and an exit code. `tests/tidy/layers.rs` checks which module imports
//! which.

// Nothing outside tests panics or reads a clock. clippy.toml has the list of methods.
#![cfg_attr(
    not(test),
    warn(
        clippy::dbg_macro,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::too_many_lines,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub mod access_log;
pub mod banner;
#[cfg(feature = "bench")]
pub mod bench;
pub mod burn;
pub mod clock;
pub mod config;
pub mod connection;
pub mod diagnostics;
pub mod handler;
pub mod http;
pub mod inbox;
pub mod limits;
pub mod models;
pub mod outbox;
pub mod pump;
pub mod reactor;
pub mod server;
pub mod signals;
pub mod site;
pub mod site_handler;
pub mod stalls;
pub mod subcommands;
pub mod timers;
pub mod transport;
pub mod warnings;
