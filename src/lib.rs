//! oneloop: one thread, one loop, every connection.

pub mod access_log;
pub mod banner;
pub mod clock;
pub mod config;
pub mod connection;
pub mod diagnostics;
pub mod http;
pub mod inbox;
pub mod limits;
pub mod outbox;
pub mod pump;
pub mod reactor;
pub mod service;
pub mod site;
pub mod timers;
pub mod transport;
