//! oneloop: one thread, one loop, every connection.

pub mod access_log;
pub mod clock;
pub mod http;
pub mod limits;
