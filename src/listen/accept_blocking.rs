//! Accepts a connection for a thread or a process that blocks on it.

use super::socket::ListenerSocket;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// Accepts the next waiting connection (accept4(2)). Its socket is blocking from the start: the
/// kernel makes it so without a further call.
///
/// # Errors
/// As in [`Accept::accept`](super::accept::Accept::accept).
#[cfg(all(target_os = "linux", not(mio_unsupported_force_poll_poll)))]
pub fn accept(listener: &mut ListenerSocket) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    use rustix::net::{SocketFlags, acceptfrom_with};
    let (socket, peer) = acceptfrom_with(&*listener, SocketFlags::CLOEXEC)?;
    // A unix socket has no such address.
    Ok((socket, peer.and_then(|peer| peer.try_into().ok())))
}

/// Accepts the next waiting connection (accept(2)), and makes its socket blocking. mio must see the
/// call where it polls with poll(2), and BSD systems have sockets that inherit O_NONBLOCK.
///
/// # Errors
/// As in [`Accept::accept`](super::accept::Accept::accept).
#[cfg(not(all(target_os = "linux", not(mio_unsupported_force_poll_poll))))]
pub fn accept(listener: &mut ListenerSocket) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    use super::accept::Accept;
    use crate::transport::Stream;
    let accepted = listener.accept()?;
    let socket: OwnedFd = match accepted.stream {
        Stream::Tcp(stream) | Stream::Other(stream) => stream.into(),
        Stream::Unix(stream) => stream.into(),
    };
    rustix::io::ioctl_fionbio(&socket, false)?;
    Ok((socket, accepted.peer))
}
