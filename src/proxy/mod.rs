//! Proxies in front of the server, and the address of the client behind them.
//!
//! - [`trusted`]: which peers are proxies whose word counts
//! - `fields`: the client that X-Forwarded-For or Forwarded names
//! - [`protocol`]: the PROXY protocol, a header before everything else on a connection

mod fields;
pub mod protocol;
pub mod trusted;

pub use protocol::ProxyHeader;
pub use trusted::TrustedProxies;
