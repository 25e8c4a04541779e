//! TLS, with rustls: certificates, and a [`Transport`] around a socket.
//!
//! [`PlainOrTls`] is the transport of a server with HTTPS, and of all models but the reactor. A
//! reactor without HTTPS has plain sockets ([`OverSocket`]).
//!
//! - `certificates`: certificates and keys from files, and which of them a client gets
//! - `self_signed`: a certificate for a laptop
//! - `session`: the transport

#[cfg(feature = "tls")]
mod certificates;
#[cfg(not(feature = "tls"))]
mod no_tls;
#[cfg(feature = "tls")]
mod self_signed;
#[cfg(feature = "tls")]
mod session;

#[cfg(feature = "tls")]
pub use certificates::{CertificateError, CertificateSource, Certificates, KeyPairFiles};
#[cfg(not(feature = "tls"))]
pub use no_tls::TlsAcceptor;
#[cfg(feature = "tls")]
pub use session::{TlsAcceptor, TlsTransport};

use crate::transport::{Socket, Transport};
use std::fs::File;
use std::io;

/// The transport of a connection: that of its listener.
#[derive(Debug)]
pub enum PlainOrTls<T> {
    /// The socket itself.
    Plain(T),
    /// TLS over the socket. In a box, so that a plain connection needs no memory for it.
    #[cfg(feature = "tls")]
    Tls(Box<TlsTransport<T>>),
}

/// Calls the transport, of either kind.
macro_rules! either {
    ($either:expr, $transport:ident => $call:expr) => {
        match $either {
            PlainOrTls::Plain($transport) => $call,
            #[cfg(feature = "tls")]
            PlainOrTls::Tls($transport) => $call,
        }
    };
}

/// A transport over the socket of an accepted connection.
pub trait OverSocket<S>: Transport + Sized {
    /// Over `socket`: with TLS if the listener has an acceptor for it.
    ///
    /// # Errors
    /// The session cannot be made.
    fn over(socket: S, tls: Option<&TlsAcceptor>) -> io::Result<Self>;

    /// The socket.
    fn socket_mut(&mut self) -> &mut S;

    /// The socket, to be closed.
    fn into_socket(self) -> S;
}

/// For a server without HTTPS: its connections do not pay for the choice.
impl OverSocket<Socket> for Socket {
    fn over(socket: Socket, tls: Option<&TlsAcceptor>) -> io::Result<Self> {
        assert!(tls.is_none(), "the server has no TLS listener");
        Ok(socket)
    }

    fn socket_mut(&mut self) -> &mut Socket {
        self
    }

    fn into_socket(self) -> Socket {
        self
    }
}

impl<S: Transport> OverSocket<S> for PlainOrTls<S> {
    fn over(socket: S, tls: Option<&TlsAcceptor>) -> io::Result<Self> {
        match tls {
            None => Ok(Self::Plain(socket)),
            Some(acceptor) => acceptor.accept(socket),
        }
    }

    fn socket_mut(&mut self) -> &mut S {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(transport) => transport.socket_mut(),
        }
    }

    fn into_socket(self) -> S {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(transport) => transport.into_socket(),
        }
    }
}

impl<T: Transport> Transport for PlainOrTls<T> {
    fn needs_handshake(&self) -> bool {
        either!(self, transport => transport.needs_handshake())
    }

    fn handshake(&mut self) -> io::Result<bool> {
        either!(self, transport => transport.handshake())
    }

    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        either!(self, transport => transport.receive(buf))
    }

    fn is_known_empty(&self) -> bool {
        either!(self, transport => transport.is_known_empty())
    }

    fn assume_readable(&mut self) {
        either!(self, transport => transport.assume_readable());
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        either!(self, transport => transport.send(bytes, more))
    }

    fn send_file(
        &mut self,
        file: &File,
        offset: u64,
        length: u64,
        copy: &mut [u8],
    ) -> io::Result<usize> {
        either!(self, transport => transport.send_file(file, offset, length, copy))
    }

    fn close_notify(&mut self) -> io::Result<()> {
        either!(self, transport => transport.close_notify())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        either!(self, transport => transport.shutdown())
    }

    fn abort(&mut self) {
        either!(self, transport => transport.abort());
    }
}
