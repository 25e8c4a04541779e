//! Proxies in front of the server, and the address of the client behind them.
//!
//! - [`trusted`]: which peers are proxies whose word counts
//! - `fields`: the client that X-Forwarded-For or Forwarded names

mod fields;
pub mod trusted;

pub use trusted::TrustedProxies;
