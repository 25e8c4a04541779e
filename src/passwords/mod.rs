//! Passwords of HTTP Basic authentication (RFC 7617): files of hashes, and the thread that checks
//! them.
//!
//! A hash takes as long to check as thousands of requests take to answer: that is its purpose. So
//! the loop does not check it. A thread does, one at a time, from a bounded queue; what it has
//! found out is remembered for some minutes, without the password.

#[cfg(feature = "passwords")]
mod access;
#[cfg(feature = "passwords")]
mod credentials;
#[cfg(feature = "passwords")]
mod hash;
#[cfg(feature = "passwords")]
mod memory;
#[cfg(not(feature = "passwords"))]
mod no_passwords;
#[cfg(feature = "passwords")]
mod realm;
#[cfg(feature = "passwords")]
mod verifier;

#[cfg(feature = "passwords")]
pub use access::{Passwords, user_of};
#[cfg(not(feature = "passwords"))]
pub use no_passwords::{Passwords, Realm, user_of};
#[cfg(feature = "passwords")]
pub use realm::Realm;

/// Whether a request may be answered with what is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The password is right.
    Granted,
    /// It is wrong or missing.
    Denied,
    /// Too many passwords wait to be checked.
    Busy,
}
