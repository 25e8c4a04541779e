//! In place of the other modules without the feature `passwords`: there are no realms.

use super::Access;
use crate::notifier::Notifier;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// No value has this type.
pub enum Realm {}

/// No value has this type.
#[derive(Clone)]
pub enum Passwords {}

impl Realm {
    /// Reads nothing.
    ///
    /// # Errors
    /// Always.
    pub fn read(path: &Path, _: &str) -> Result<Self, String> {
        let path = path.display();
        Err(format!("{path}: this oneloop is built without passwords"))
    }
}

impl Passwords {
    /// Checks nothing.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: Vec<Arc<Realm>>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// See `access.rs`.
    pub fn set_realms(&mut self, _: Option<Self>) {
        match *self {}
    }

    /// See `access.rs`.
    pub fn notifier(&self) -> Arc<Notifier> {
        match *self {}
    }

    /// See `access.rs`.
    pub fn is_ready(&self, _: usize, _: Option<&[u8]>, _: Instant) -> bool {
        match *self {}
    }

    /// See `access.rs`.
    pub fn access(&self, _: usize, _: Option<&[u8]>, _: Instant) -> Access {
        match *self {}
    }

    /// See `access.rs`.
    pub fn challenge(&self, _: usize) -> &str {
        match *self {}
    }
}

/// See `access.rs`.
pub fn user_of(_: &[u8]) -> Option<Vec<u8>> {
    None
}
