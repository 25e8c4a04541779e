//! Socket activation: takes over a listening socket that systemd, a supervisor or a shell has
//! opened and passed to this process as a descriptor number.
//!
//! # Why this is sound
//!
//! `OwnedFd::from_raw_fd` requires that the descriptor is open, and that nothing else in this
//! process owns it (will close it).
//!
//! - *Open*: the system lists it among the descriptors of this process.
//! - *Not owned*: its close-on-exec flag is clear. Everything that this process opens, through std,
//!   mio, socket2 or cap-std, has that flag set from the start. What came through exec cannot have
//!   it, because exec would have closed it. (std owns 0, 1 and 2, which are refused by number.)
//!   Adopting sets the flag, so a number can be adopted once only.
//!
//! Both hold while no other thread closes or duplicates descriptors: at the start there is none.
#![allow(unsafe_code)]

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::{AddressFamily, SocketType, sockopt};
use socket2::Socket;

/// The lowest number of an inherited socket: below are standard input, output and error.
pub const FIRST: u32 = 3;

/// A socket that was passed to this process, by its number. Clones share it.
#[derive(Clone, Debug)]
pub struct InheritedSocket {
    number: u32,
    /// Empty until the first [`duplicate`](Self::duplicate).
    adopted: Arc<OnceLock<Socket>>,
}

impl InheritedSocket {
    /// The socket `number`. The descriptor is not looked at yet.
    pub fn new(number: u32) -> Self {
        let adopted = Arc::default();
        Self { number, adopted }
    }

    /// Its number in the parent's list.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// A duplicate (dup(2)) for one server. The first call adopts the descriptor, which stays open
    /// as long as a clone of this value exists, so that another server can be built.
    ///
    /// # Errors
    /// The descriptor is not a listening stream socket that was passed to this process, or dup(2)
    /// fails.
    pub fn duplicate(&self) -> Result<Socket, AdoptError> {
        let socket = match self.adopted.get() {
            Some(socket) => socket,
            None => {
                let adopted = adopt(self.number)?;
                self.adopted.get_or_init(|| adopted)
            }
        };
        Ok(socket.try_clone()?)
    }
}

impl PartialEq for InheritedSocket {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for InheritedSocket {}

impl fmt::Display for InheritedSocket {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "fd:{}", self.number)
    }
}

/// Takes over the descriptor `number`: a listening TCP or unix stream socket. Makes it non-blocking
/// and close-on-exec.
///
/// A blocking socket would stop the loop at an accept(2) on an empty queue. The mode belongs to the
/// socket, not to the descriptor: another process that shares the socket can make it blocking
/// again.
///
/// # Errors
/// The descriptor is not a listening stream socket that was passed to this process.
pub fn adopt(number: u32) -> Result<Socket, AdoptError> {
    if number < FIRST {
        return Err(AdoptError::Standard);
    }
    let socket = Socket::from(own(number)?);
    let family = match sockopt::socket_type(&socket) {
        Ok(SocketType::STREAM) => socket.local_addr()?.family(),
        Ok(_) => return Err(AdoptError::NotAStream),
        Err(rustix::io::Errno::NOTSOCK) => return Err(AdoptError::NotASocket),
        Err(errno) => return Err(AdoptError::System(errno.into())),
    };
    let families = [
        AddressFamily::INET,
        AddressFamily::INET6,
        AddressFamily::UNIX,
    ];
    // Some systems have one byte for the family.
    if !(families.iter()).any(|known| u32::from(known.as_raw()) == u32::from(family)) {
        return Err(AdoptError::NotAStream);
    }
    if !is_listening(&socket)? {
        return Err(AdoptError::NotListening);
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Owns the descriptor; see the module's text.
fn own(number: u32) -> Result<OwnedFd, AdoptError> {
    let raw = RawFd::try_from(number).map_err(|_| AdoptError::NotPassed)?;
    if !is_open(number) {
        return Err(AdoptError::NotPassed);
    }
    // SAFETY: it is open, and nothing closes it meanwhile.
    let inherited = unsafe { BorrowedFd::borrow_raw(raw) };
    let flags = fcntl_getfd(inherited).map_err(io::Error::from)?;
    if flags.contains(FdFlags::CLOEXEC) {
        return Err(AdoptError::NotPassed);
    }
    fcntl_setfd(inherited, flags | FdFlags::CLOEXEC).map_err(io::Error::from)?;
    // SAFETY: open and not owned (see the module's text).
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Whether the system lists the descriptor as open: in /proc on Linux, in /dev/fd on the BSDs and
/// macOS.
fn is_open(number: u32) -> bool {
    ["/proc/self/fd", "/dev/fd"]
        .iter()
        .any(|list| fs::symlink_metadata(Path::new(list).join(number.to_string())).is_ok())
}

#[cfg(not(target_vendor = "apple"))]
fn is_listening(socket: &Socket) -> io::Result<bool> {
    Ok(sockopt::socket_acceptconn(socket)?)
}

/// Apple's systems do not tell before the first accept(2).
#[cfg(target_vendor = "apple")]
fn is_listening(_: &Socket) -> io::Result<bool> {
    Ok(true)
}

/// Whether an inherited socket is plain TCP. Listening sockets of Go are Multipath TCP, which has
/// the same addresses.
///
/// # Errors
/// Those of getsockopt(2).
#[cfg(target_os = "linux")]
pub fn is_plain_tcp(socket: &Socket) -> io::Result<bool> {
    let protocol = rustix::net::sockopt::socket_protocol(socket)?;
    Ok(protocol == Some(rustix::net::ipproto::TCP))
}

/// This system has no other protocol.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn is_plain_tcp(_: &Socket) -> io::Result<bool> {
    Ok(true)
}

/// Why a descriptor was not adopted.
#[derive(Debug)]
pub enum AdoptError {
    /// 0, 1 or 2.
    Standard,
    /// Not open, or not passed to this process at its start, or adopted already.
    NotPassed,
    /// A file, a pipe, a terminal.
    NotASocket,
    /// A datagram socket, or a stream of another family.
    NotAStream,
    /// A connection, or a socket without listen(2).
    NotListening,
    /// A system call failed.
    System(io::Error),
}

impl From<io::Error> for AdoptError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl fmt::Display for AdoptError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Self::Standard => {
                "0, 1 and 2 are standard input, output and error (sockets are passed from 3 on)"
            }
            Self::NotPassed => {
                "no such descriptor was passed to this process \
                 (systemd passes the first socket as fd:3; each can be used once)"
            }
            Self::NotASocket => "not a socket (pass a listening TCP or unix stream socket)",
            Self::NotAStream => {
                "not a TCP or unix stream socket (in a systemd unit: ListenStream=)"
            }
            Self::NotListening => {
                "a socket, but not a listening one (in a systemd unit: Accept=no)"
            }
            Self::System(error) => return write!(out, "{error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::{AsFd, AsRawFd, IntoRawFd};
    use std::os::unix::net::{UnixDatagram, UnixListener};

    /// Leaves a descriptor as exec does: open, not owned, close-on-exec clear.
    fn pass(ours: impl Into<OwnedFd>) -> u32 {
        let ours = ours.into();
        fcntl_setfd(&ours, FdFlags::empty()).unwrap();
        u32::try_from(ours.into_raw_fd()).unwrap()
    }

    fn is_non_blocking(socket: impl AsFd) -> bool {
        let flags = rustix::fs::fcntl_getfl(socket).unwrap();
        flags.contains(rustix::fs::OFlags::NONBLOCK)
    }

    #[test]
    fn a_passed_listener_becomes_non_blocking_and_close_on_exec() {
        let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = theirs.local_addr().unwrap();
        assert!(
            !is_non_blocking(&theirs),
            "the test starts with a blocking one"
        );
        let socket = adopt(pass(theirs)).unwrap();
        assert_eq!(socket.local_addr().unwrap().as_socket(), Some(address));
        assert!(is_non_blocking(&socket));
        assert!(fcntl_getfd(&socket).unwrap().contains(FdFlags::CLOEXEC));
        let empty = socket.accept().unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_unix_listener_is_adopted() {
        let directory = tempfile::tempdir().unwrap();
        let theirs = UnixListener::bind(directory.path().join("s")).unwrap();
        assert!(adopt(pass(theirs)).unwrap().local_addr().unwrap().is_unix());
    }

    #[test]
    fn the_same_number_is_adopted_once() {
        let number = pass(TcpListener::bind("127.0.0.1:0").unwrap());
        let first = adopt(number).unwrap();
        assert!(matches!(adopt(number), Err(AdoptError::NotPassed)));
        assert!(first.local_addr().is_ok(), "the first keeps it");
    }

    #[test]
    fn a_passed_socket_is_duplicated_for_each_server_and_closed_with_the_last() {
        let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = theirs.local_addr().unwrap();
        let passed = InheritedSocket::new(pass(theirs));
        let (first, second) = (passed.duplicate().unwrap(), passed.clone().duplicate());
        drop(first);
        assert!(second.is_ok_and(|second| is_non_blocking(&second)));
        let third = passed.duplicate().unwrap();
        assert_eq!(third.local_addr().unwrap().as_socket(), Some(address));
        assert!(fcntl_getfd(&third).unwrap().contains(FdFlags::CLOEXEC));
        drop((third, passed));
        assert!(TcpStream::connect(address).is_err(), "nothing keeps it");
    }

    #[test]
    fn a_descriptor_that_this_process_opened_is_refused() {
        let ours = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = u32::try_from(ours.as_raw_fd()).unwrap();
        assert!(matches!(adopt(number), Err(AdoptError::NotPassed)));
        assert!(ours.local_addr().is_ok(), "still open, still ours");
    }

    #[test]
    fn what_is_not_a_listening_stream_socket_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let messages = UnixDatagram::unbound().unwrap();
        let file = tempfile::tempfile().unwrap();
        let table = [
            (adopt(0), "0, 1 and 2 are"),
            (adopt(2), "0, 1 and 2 are"),
            (adopt(987_654), "no such descriptor was passed"),
            (adopt(u32::MAX), "no such descriptor was passed"),
            (adopt(pass(connection)), "a socket, but not a listening one"),
            (adopt(pass(datagrams)), "not a TCP or unix stream socket"),
            (adopt(pass(messages)), "not a TCP or unix stream socket"),
            (adopt(pass(file)), "not a socket ("),
        ];
        for (result, start) in table {
            let message = result.unwrap_err().to_string();
            assert!(message.starts_with(start), "{message}");
        }
        assert!(fcntl_getfd(io::stderr().as_fd()).is_ok());
    }
}
