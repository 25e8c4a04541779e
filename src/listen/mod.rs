//! Listeners: their addresses, how they are opened, and how connections are accepted. All models
//! use it.
//!
//! - [`address`]: a listener as it is configured, and the address of an open one
//! - [`open`]: from a configured address to a socket that listens
//! - [`socket`]: a socket that listens
//! - [`accept`]: accept(2) on several sockets in turn, and what its errors mean
//! - [`accept_blocking`]: accept(2) of a connection that blocks
//!
//! `socket_activation` takes over inherited sockets, `socket_file` has the files of unix sockets,
//! `defer_accept` is an option of TCP sockets.

pub mod accept;
pub mod accept_blocking;
pub mod address;
mod defer_accept;
pub mod open;
pub mod socket;
mod socket_activation;
mod socket_file;
