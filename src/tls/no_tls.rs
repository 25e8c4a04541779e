//! Without the feature `tls`, no listener has TLS.

use super::PlainOrTls;
use std::io;

/// There is none.
#[derive(Clone, Debug)]
pub enum TlsAcceptor {}

impl TlsAcceptor {
    /// Not called: there is no acceptor.
    pub(super) fn accept<T>(&self, _: T) -> io::Result<PlainOrTls<T>> {
        match *self {}
    }
}
