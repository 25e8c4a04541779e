//! [`ListenerSocket`]: a non-blocking TCP or unix socket that listens.

use super::accept::Accept;
use super::defer_accept;
use crate::handler::Role;
use crate::proxy::{ProxyHeader, TrustedProxies};
use crate::tls::{Layers, TlsAcceptor};
use crate::transport::Stream;
use mio::event::Source;
use mio::{Interest, Registry, Token};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// A listening socket, and what is served on it.
#[derive(Debug)]
pub struct ListenerSocket {
    pub(super) role: Role,
    /// What encrypts its connections. `None`: nothing does.
    pub(super) tls: Option<TlsAcceptor>,
    /// Its connections begin with a header of the PROXY protocol, sent by one of these proxies.
    pub(super) proxies: Option<Arc<TrustedProxies>>,
    /// The socket itself.
    pub family: Family,
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct AcceptedStream {
    /// Its socket.
    pub stream: Stream,
    /// The peer. `None`: on a unix socket.
    pub peer: Option<SocketAddr>,
    /// The layers over the socket.
    pub layers: Layers,
}

/// A listening socket by its address family.
#[derive(Debug)]
pub enum Family {
    /// IPv4 and IPv6.
    Tcp(mio::net::TcpListener, TcpKind),
    /// A unix socket.
    Unix(mio::net::UnixListener),
}

/// The protocol of a listening socket of IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpKind {
    /// TCP.
    Plain,
    /// TCP, with connections that the kernel holds back until their first bytes arrive.
    Deferred,
    /// Not plain TCP, mostly Multipath TCP. Only an inherited socket.
    Other,
}

impl ListenerSocket {
    /// Whether there is something between HTTP and the sockets of its connections.
    pub fn has_layers(&self) -> bool {
        self.tls.is_some() || self.proxies.is_some()
    }

    /// What lies between HTTP and the socket of a connection from `peer`.
    pub fn layers(&self, peer: Option<SocketAddr>) -> Layers {
        let header = self.proxies.as_ref().map(|proxies| {
            let peer = peer.map(|peer| peer.ip());
            Box::new(ProxyHeader::new(peer, proxies))
        });
        let tls = self.tls.clone();
        Layers { header, tls }
    }
}

impl AsFd for ListenerSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.family {
            Family::Tcp(listener, _) => listener.as_fd(),
            Family::Unix(listener) => listener.as_fd(),
        }
    }
}

impl Source for ListenerSocket {
    fn register(&mut self, poll: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match &mut self.family {
            Family::Tcp(listener, _) => listener.register(poll, token, interest),
            Family::Unix(listener) => listener.register(poll, token, interest),
        }
    }

    fn reregister(&mut self, poll: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match &mut self.family {
            Family::Tcp(listener, _) => listener.reregister(poll, token, interest),
            Family::Unix(listener) => listener.reregister(poll, token, interest),
        }
    }

    fn deregister(&mut self, poll: &Registry) -> io::Result<()> {
        match &mut self.family {
            Family::Tcp(listener, _) => listener.deregister(poll),
            Family::Unix(listener) => listener.deregister(poll),
        }
    }
}

impl Accept for ListenerSocket {
    type Stream = AcceptedStream;

    fn accept(&mut self) -> io::Result<Self::Stream> {
        let (stream, peer) = match &mut self.family {
            Family::Tcp(listener, kind) => {
                let (stream, peer) = listener.accept()?;
                let stream = match kind {
                    TcpKind::Plain | TcpKind::Deferred => Stream::Tcp(stream),
                    TcpKind::Other => Stream::Other(stream),
                };
                (stream, Some(peer))
            }
            Family::Unix(listener) => (Stream::Unix(listener.accept()?.0), None),
        };
        Ok(AcceptedStream {
            stream,
            peer,
            layers: self.layers(peer),
        })
    }

    fn role(&self) -> Role {
        self.role
    }

    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    fn stop_deferring(&mut self) -> bool {
        match &mut self.family {
            Family::Tcp(listener, TcpKind::Deferred) => defer_accept::stop_deferring(listener),
            _ => false,
        }
    }
}
