//! TLS, with rustls: certificates, and a [`Transport`] around a socket.
//!
//! [`PlainOrTls`] is the transport of a server with HTTPS, and of all models but the reactor. A
//! reactor without HTTPS and the PROXY protocol has plain sockets ([`OverSocket`]).
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

use crate::proxy::ProxyHeader;
use crate::transport::{Handshake, Socket, Transport};
use std::fs::File;
use std::io;
use std::sync::Arc;

/// What lies between HTTP and the socket of a connection. The default is nothing.
#[derive(Debug, Default)]
pub struct Layers {
    /// The header of the PROXY protocol comes first.
    pub header: Option<Box<ProxyHeader>>,
    /// What encrypts the connection.
    pub tls: Option<TlsAcceptor>,
}

/// The transport of a connection: that of its listener.
#[derive(Debug)]
pub enum PlainOrTls<T> {
    /// The socket itself.
    Plain(T),
    /// TLS over the socket. In a box, so that a plain connection needs no memory for it.
    #[cfg(feature = "tls")]
    Tls(Box<TlsTransport<T>>),
    /// One of these two, after a header of the PROXY protocol.
    Proxied(Box<Proxied<T>>),
}

/// A transport after a header of the PROXY protocol.
#[derive(Debug)]
pub struct Proxied<T> {
    /// The header, until it is received.
    header: Option<Box<ProxyHeader>>,
    transport: PlainOrTls<T>,
}

/// Calls the transport, of any kind.
macro_rules! call {
    ($either:expr, $transport:ident => $call:expr) => {
        match $either {
            PlainOrTls::Plain($transport) => $call,
            #[cfg(feature = "tls")]
            PlainOrTls::Tls($transport) => $call,
            PlainOrTls::Proxied(proxied) => {
                let $transport = &mut proxied.transport;
                $call
            }
        }
    };
}

/// A transport over the socket of an accepted connection.
pub trait OverSocket<S>: Transport + Sized {
    /// Over `socket`, with the `layers` of its listener.
    ///
    /// # Errors
    /// The session cannot be made.
    fn over(socket: S, layers: Layers) -> io::Result<Self>;

    /// The socket.
    fn socket_mut(&mut self) -> &mut S;

    /// The socket, to be closed.
    fn into_socket(self) -> S;
}

/// For a server without layers: its connections do not pay for the choice.
impl OverSocket<Socket> for Socket {
    fn over(socket: Socket, layers: Layers) -> io::Result<Self> {
        let Layers { header, tls } = layers;
        assert!(header.is_none() && tls.is_none(), "no listener has a layer");
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
    fn over(socket: S, layers: Layers) -> io::Result<Self> {
        let transport = match layers.tls {
            None => Self::Plain(socket),
            #[cfg(feature = "tls")]
            Some(acceptor) => Self::Tls(Box::new(TlsTransport::new(socket, &acceptor)?)),
            #[cfg(not(feature = "tls"))]
            Some(acceptor) => match acceptor {},
        };
        Ok(match layers.header {
            None => transport,
            header => Self::Proxied(Box::new(Proxied { header, transport })),
        })
    }

    fn socket_mut(&mut self) -> &mut S {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(transport) => transport.socket_mut(),
            Self::Proxied(proxied) => proxied.transport.socket_mut(),
        }
    }

    fn into_socket(self) -> S {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(transport) => transport.into_socket(),
            Self::Proxied(proxied) => proxied.transport.into_socket(),
        }
    }
}

impl<T: Transport> Transport for PlainOrTls<T> {
    fn needs_handshake(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.needs_handshake(),
            _ => true,
        }
    }

    fn handshake(&mut self) -> io::Result<Handshake> {
        if let Self::Proxied(proxied) = self
            && let Some(header) = &mut proxied.header
        {
            let socket = proxied.transport.socket_mut();
            let client = header.receive(|buffer| socket.receive(buffer))?;
            proxied.header = None;
            return Ok(client.map_or(Handshake::Unfinished, Handshake::Client));
        }
        call!(self, transport => transport.handshake())
    }

    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        call!(self, transport => transport.receive(buf))
    }

    fn is_known_empty(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_known_empty(),
            #[cfg(feature = "tls")]
            Self::Tls(transport) => transport.is_known_empty(),
            Self::Proxied(proxied) => proxied.transport.is_known_empty(),
        }
    }

    fn is_send_closed(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_send_closed(),
            #[cfg(feature = "tls")]
            Self::Tls(transport) => transport.is_send_closed(),
            Self::Proxied(proxied) => proxied.transport.is_send_closed(),
        }
    }

    fn assume_readable(&mut self) {
        call!(self, transport => transport.assume_readable());
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        call!(self, transport => transport.send(bytes, more))
    }

    fn send_file(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        length: u64,
        copy: &mut [u8],
    ) -> io::Result<usize> {
        call!(self, transport => transport.send_file(file, offset, length, copy))
    }

    fn close_notify(&mut self) -> io::Result<()> {
        call!(self, transport => transport.close_notify())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        call!(self, transport => transport.shutdown())
    }

    fn changes_interest(&mut self, is_blocked: bool) -> bool {
        call!(self, transport => transport.changes_interest(is_blocked))
    }

    fn reset_on_close(&mut self) {
        call!(self, transport => transport.reset_on_close());
    }
}
