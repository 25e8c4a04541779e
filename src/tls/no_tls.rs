//! Without the feature `tls`, no listener has TLS.

/// There is none.
#[derive(Clone, Debug)]
pub enum TlsAcceptor {}
