//! `--admin`: a listener for the operator, with metrics, health checks and further pages.
//!
//! [`AdminHandler`] answers the connections of that listener, and lets the handler of the site
//! answer the others. [`Metrics`] is a [`Probe`](crate::probe::Probe) that counts; the handler
//! tells it what only a handler knows.

mod exposition;
mod handler;
mod metrics;
mod responses;

pub use handler::{AdminHandler, AdminState, Pages};
pub use metrics::Metrics;
pub use responses::{not_allowed, respond};
