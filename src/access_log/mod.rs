//! The access log: one line for each answered request, written without blocking the loop.
//!
//! - [`mod@format`] renders lines: [`LogEntry`] -> bytes.
//! - [`writer`] writes them in a thread: [`AccessLog`].
//!
//! A server without an access log (`--quiet`) has no [`AccessLog`].
//!
//! # Guarantees
//!
//! - Every line is printable ASCII, ends with one LF, and is about one request, whatever bytes the
//!   client sent: control characters and line ends are escaped (CWE-117).
//! - Lines are whole and in order.
//! - A full pipe, a disk that hangs or a closed terminal never blocks a request. Lines that do not
//!   fit into the queue are dropped, and a line says how many, at the place where they are missing.

pub mod format;
mod queue;
pub mod writer;

pub use format::{LogEntry, LogFormat, Peer};
pub use writer::{AccessLog, Sink};
