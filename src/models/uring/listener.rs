//! A listener whose connections the kernel accepts, as an [`Accept`].

use super::driver::Driver;
use super::peer::PeerReader;
use crate::handler::Role;
use crate::listen::accept::Accept;
use crate::listen::open::{BoundListener, SocketFile};
use crate::listen::socket::{Family, ListenerSocket, TcpKind};
use crate::tls::Layers;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// A listening socket.
pub struct UringListener {
    driver: Rc<RefCell<Driver>>,
    id: usize,
    /// The file of a unix socket. It is removed before the socket is closed, because fields are
    /// dropped in order.
    file: Option<SocketFile>,
    socket: ListenerSocket,
    peers: PeerReader,
}

/// A connection that was accepted.
pub struct UringStream {
    /// Its socket.
    pub descriptor: OwnedFd,
    /// The peer. `None`: on a unix socket.
    pub peer: Option<SocketAddr>,
    /// Whether it is a plain TCP socket.
    pub is_tcp: bool,
    /// The layers over the socket.
    pub layers: Layers,
}

impl UringListener {
    /// The listener `id` of `driver`.
    ///
    /// # Errors
    /// Those of fcntl(2) and getsockname(2).
    pub fn new(
        driver: Rc<RefCell<Driver>>,
        id: usize,
        listener: BoundListener,
    ) -> io::Result<Self> {
        let BoundListener { file, socket, .. } = listener;
        // Where the socket is non-blocking, an operation fails instead of waiting.
        fcntl_setfl(&socket, fcntl_getfl(&socket)? - OFlags::NONBLOCK)?;
        Ok(Self {
            driver,
            id,
            file,
            peers: PeerReader::new(&socket)?,
            socket,
        })
    }

    /// Cancels the accepts and closes the socket.
    pub fn close(mut self) {
        self.file = None;
        self.driver.borrow_mut().close_listener(self.id);
    }
}

impl Accept for UringListener {
    type Stream = UringStream;

    fn accept(&mut self) -> io::Result<UringStream> {
        let mut driver = self.driver.borrow_mut();
        let descriptor = driver.accept(self.id, self.socket.as_fd())?;
        let (peer, is_tcp) = match self.socket.family {
            // A multishot accept has no place for the addresses.
            Family::Tcp(_, kind) => {
                let peer = self.peers.peer_of(descriptor.as_fd())?;
                (peer, kind != TcpKind::Other)
            }
            Family::Unix(_) => (None, false),
        };
        Ok(UringStream {
            descriptor,
            peer,
            is_tcp,
            layers: self.socket.layers(peer),
        })
    }

    fn role(&self) -> Role {
        self.socket.role()
    }

    fn is_tls(&self) -> bool {
        self.socket.is_tls()
    }

    fn stop_deferring(&mut self) -> bool {
        self.driver.borrow_mut().stop_accepting(self.id);
        self.socket.stop_deferring()
    }
}
