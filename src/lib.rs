//! oneloop: one thread, one loop, every connection.

pub mod clock;
pub mod http;
pub mod limits;
pub mod timers;
