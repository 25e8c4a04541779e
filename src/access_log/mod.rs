//! The access log: one line for each answered request, and never a wait for the reader of it.
//!
//! - [`mod@format`] answers what a line looks like: [`Entry`] -> bytes. Pure.
//! - [`writer`] answers how lines leave the process while the loop goes on: [`AccessLog`].
//!
//! A leaf of the house: it imports nothing of ours but `limits`. A server without an access
//! log (`--quiet`) holds no [`AccessLog`] at all.
//!
//! # What an operator can rely on
//!
//! - Every line is printable ASCII, ends with one LF, and tells of one request, whatever
//!   bytes the peer sent: its terminal escapes and line ends are escaped (CWE-117).
//! - Lines stand in the order in which they were handed over, and they are whole.
//! - A full pipe, a stuck disk or a closed terminal never holds up a request. Lines that
//!   find no room are dropped, and a line says how many are missing, at the place where they
//!   are missing.

pub mod format;
mod queue;
mod stamp;
pub mod writer;

pub use format::{Entry, Format, Peer, UnknownFormat};
pub use writer::{AccessLog, Sink};
