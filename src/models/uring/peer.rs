//! The address of a peer whose accept had no place for it.

#![allow(unsafe_code)]

use socket2::{SockAddr, SockRef};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The option that reads it, for which libc has no name (asm-generic/socket.h).
const SO_PEERNAME: libc::c_int = 28;

/// Reads the addresses of the peers of one listening socket.
#[derive(Clone, Copy, Debug)]
pub struct PeerReader {
    /// The length of its addresses: that of its own. The kernel takes no larger one.
    length: libc::socklen_t,
}

impl PeerReader {
    /// For the connections of `listener`.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn new(listener: impl AsFd) -> io::Result<Self> {
        let address = SockRef::from(&listener).local_addr()?;
        Ok(Self {
            length: address.len(),
        })
    }

    /// The peer of `connection`, also if it has reset the connection since: then getpeername(2)
    /// fails, and accept(2), which knows the address, does not.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn peer_of(self, connection: BorrowedFd<'_>) -> io::Result<Option<SocketAddr>> {
        // SAFETY: the storage is larger than any address, and the kernel writes no more than the
        // length says.
        let named = unsafe {
            SockAddr::try_init(|storage, length| {
                *length = self.length;
                let (socket, level) = (connection.as_raw_fd(), libc::SOL_SOCKET);
                match libc::getsockopt(socket, level, SO_PEERNAME, storage.cast(), length) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            })
        };
        Ok(named?.1.as_socket())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    /// Fails if the peer's name is asked for with getpeername(2), or with another length.
    #[test]
    fn a_peer_that_has_reset_its_connection_has_an_address() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                // There is no IPv6 here.
                continue;
            };
            let reader = PeerReader::new(&listener).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let name = client.local_addr().unwrap();
            let (connection, _) = listener.accept().unwrap();
            assert_eq!(reader.peer_of(connection.as_fd()).unwrap(), Some(name));
            SockRef::from(&client)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            drop(client);
            let received = (&connection).read(&mut [0]);
            assert_eq!(received.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert!(connection.peer_addr().is_err());
            assert_eq!(reader.peer_of(connection.as_fd()).unwrap(), Some(name));
        }
    }
}
