//! HTTPS: the server as a program, with clients that use rustls, curl and OpenSSL. (For Chromium,
//! see tests/browser.rs.)
//!
//! - `sessions`: requests and responses, in every model
//! - `ends`: half-closes, early ends, clients that stall or do not speak TLS
//! - `certificates`: which one a client gets, files that are wrong, and the reload
//! - `policy`: plain and encrypted listeners together, the redirect, Strict-Transport-Security
//! - `partners`: curl, openssl s_client, a scanner
//! - `peer`: the TLS client, and certificates for the tests
#![cfg(all(target_os = "linux", feature = "tls"))]

#[path = "../support/certificate.rs"]
mod certificate;
mod certificates;
#[path = "../kernel/client.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod client;
mod ends;
mod partners;
mod peer;
mod policy;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;
mod sessions;
