//! What the models with an event loop share: the iteration without the poll, the poll, and when
//! such a server accepts, pauses and stops.

pub mod engine;
pub mod lifecycle;
pub mod poller;
pub mod scheduler;
