//! oneloop: one thread, one loop, every connection.
//!
//! This page is the map: what each module is, grouped by subject. `docs/architecture.md` is the
//! tour: what to read first, and in which order. `docs/states.md` is the table of a connection's
//! transitions, `docs/limits.md` every bound with its reason.
//!
//! # The idea
//!
//! A [`Connection`](connection::Connection) is a value that does no I/O and reads no clock. It
//! names its next [`Step`](connection::Step); [`pump()`](pump::pump) does that one thing on a
//! [`Transport`](transport::Transport) and reports the result, until there is a
//! [`PumpOutcome`](pump::PumpOutcome). Then the [`Reactor`](reactor::Reactor) runs another
//! connection, or waits for events.
//!
//! # The protocol and the loop
//!
//! - [`connection`]: the state machine of one connection.
//! - [`pump`](mod@pump): the loop that turns its steps into reads and writes.
//! - [`transport`]: what a connection needs of its socket.
//! - [`tls`](mod@tls): certificates, and a transport that encrypts.
//! - [`probe`]: what observes the loop: a trace, the live view, metrics, the simulator's recorder.
//! - [`reactor`]: one thread, one poll, every connection.
//! - [`event_loop`]: what the models with a loop share. Its [`engine`](event_loop::engine) is an
//!   iteration without the poll, its [`scheduler`](event_loop::scheduler) knows which connection
//!   runs next and how long the poll may wait.
//! - [`listen`]: addresses, sockets that listen, and accepting connections, for all models.
//! - [`timers`]: the deadlines of all connections.
//! - [`deadline_clock`]: the clock of the deadlines, which stops while the loop is away from its
//!   sockets.
//! - [`read_buffer`]: received bytes, until they are a whole request head.
//! - [`write_buffer`]: bytes to send, until the socket takes them.
//! - [`models`]: the other concurrency models.
//!
//! # Requests and responses
//!
//! - [`http`]: requests are parsed, responses are written.
//! - [`handler`]: what answers requests, and keeps a state of each connection.
//! - [`notifier`]: tells the drivers that a handler can go on.
//! - [`site_handler`]: the handler of all models but `fixed`: the sites and an access
//!   log.
//! - [`burn`]: an answer that takes long to compute, for the benchmark.
//! - [`passwords`](mod@passwords): files of password hashes, and the thread that checks them (a
//!   feature).
//! - [`site`]: from a name to a file to a response.
//! - [`proxy`]: proxies that are trusted, and the address of the client behind them.
//! - [`access_log`]: log lines, and the thread that writes them.
//!
//! # For all modules
//!
//! - [`limits`]: the bounds that a configuration or a test changes, with their reasons.
//! - [`clock`]: the time of an iteration.
//! - [`text`]: JSON strings, and dates that are not those of HTTP.
//! - [`diagnostics`]: messages of the server about itself.
//! - [`signals`]: what each signal does.
//! - [`warnings`]: warnings that a request can cause, bounded.
//!
//! # The program
//!
//! - [`config`]: the command line, the environment and the configuration file, checked.
//! - [`banner`]: what is printed when the server has started.
//! - [`subcommands`]: what the program can do besides serving.
//! - [`bench`](mod@bench) (a feature): measures what each model costs.
//! - [`admin`](mod@admin) (a feature): what is served to the operator: metrics, health checks.
//! - [`study`](mod@study) (a feature): tools to study the server with.
//! - [`any_certificate`](mod@any_certificate) (for these): TLS for clients that look at any server.
//! - [`https`](mod@https): the listeners and certificates of HTTPS.
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
#[cfg(feature = "admin")]
pub mod admin;
#[cfg(any(feature = "bench", feature = "study"))]
pub mod any_certificate;
pub mod banner;
#[cfg(feature = "bench")]
pub mod bench;
pub mod burn;
pub mod clock;
pub mod config;
pub mod connection;
pub mod deadline_clock;
pub mod diagnostics;
pub mod event_loop;
pub mod handler;
pub mod http;
pub mod https;
pub mod limits;
pub mod listen;
pub mod models;
pub mod notifier;
pub mod passwords;
pub mod probe;
pub mod proxy;
pub mod pump;
pub mod reactor;
pub mod read_buffer;
mod realms;
pub mod server;
pub mod signals;
pub mod site;
pub mod site_handler;
#[cfg(feature = "study")]
pub mod study;
pub mod subcommands;
pub mod text;
pub mod timers;
pub mod tls;
pub mod transport;
pub mod warnings;
pub mod write_buffer;
