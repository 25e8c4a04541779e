//! The reactor room, a side door: how does a socket that another process opened become
//! ours? systemd (socket activation), a supervisor or a shell opens a listening
//! socket and starts us with it; all we are told is a number. One of the three files with `unsafe`
//! in them. It imports nothing of ours.
//!
//! # Why this is sound
//!
//! `OwnedFd::from_raw_fd` asks for two things: the descriptor is open, and nobody else in
//! this process owns it (owning means: will close it).
//!
//! - *Open*: the system lists it among the descriptors of this process.
//! - *Not owned*: its close-on-exec flag is clear. Everything this process opens for
//!   itself, through std, mio, socket2 or cap-std, has that flag set from birth; what
//!   came through exec cannot have it, for then exec would have closed it. (0, 1 and 2, which
//!   std does own, are refused by number.) Adopting sets the flag, so
//!   a number can be adopted once, and a second attempt is refused like any other stranger.
//!
//! Both answers hold while nothing else closes or duplicates descriptors at the same
//! moment, which is true at start-up, before there is a second thread.
#![allow(unsafe_code)]

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::{AddressFamily, SocketType, sockopt};
use socket2::Socket;

/// The lowest number that can be a socket for us: below are standard input, output and error.
pub const FIRST: u32 = 3;

/// Takes over descriptor `number`: a TCP or unix stream socket that somebody else has made
/// to listen, and passed to this process. It comes back non-blocking and close-on-exec.
///
/// The parent may leave it blocking, and one accept(2) on an empty queue would then stop the
/// loop for ever. The mode belongs to the open socket, not to our descriptor: whoever
/// shares it and clears the mode again stops us, too.
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
    // Their numbers fit in a byte, which is all that some systems have for them.
    if !(families.iter()).any(|known| u32::from(known.as_raw()) == u32::from(family)) {
        return Err(AdoptError::NotAStream);
    }
    if !is_listening(&socket)? {
        return Err(AdoptError::NotListening);
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The descriptor itself; the module's text says why this is sound.
fn own(number: u32) -> Result<OwnedFd, AdoptError> {
    let raw = RawFd::try_from(number).map_err(|_| AdoptError::NotPassed)?;
    if !is_open(number) {
        return Err(AdoptError::NotPassed);
    }
    // SAFETY: it is open, and nothing closes it while we ask one question.
    let stranger = unsafe { BorrowedFd::borrow_raw(raw) };
    let flags = fcntl_getfd(stranger).map_err(io::Error::from)?;
    if flags.contains(FdFlags::CLOEXEC) {
        return Err(AdoptError::NotPassed);
    }
    fcntl_setfd(stranger, flags | FdFlags::CLOEXEC).map_err(io::Error::from)?;
    // SAFETY: open and not owned by anything in this process (see the module's text).
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Whether the system lists the descriptor as open. Linux has the list in /proc and usually a
/// link to it in /dev; the BSDs and macOS have /dev/fd.
fn is_open(number: u32) -> bool {
    ["/proc/self/fd", "/dev/fd"]
        .iter()
        .any(|list| fs::symlink_metadata(Path::new(list).join(number.to_string())).is_ok())
}

#[cfg(not(target_vendor = "apple"))]
fn is_listening(socket: &Socket) -> io::Result<bool> {
    Ok(sockopt::socket_acceptconn(socket)?)
}

/// Apple's systems cannot be asked; there the first accept(2) will tell.
#[cfg(target_vendor = "apple")]
fn is_listening(_: &Socket) -> io::Result<bool> {
    Ok(true)
}

/// Whether an inherited socket speaks TCP, and not something that only looks like it from outside:
/// listening sockets of Go are of Multipath TCP.
///
/// # Errors
/// Those of getsockopt(2).
#[cfg(target_os = "linux")]
pub fn is_tcp_alone(socket: &Socket) -> io::Result<bool> {
    let protocol = rustix::net::sockopt::socket_protocol(socket)?;
    Ok(protocol == Some(rustix::net::ipproto::TCP))
}

/// Nothing else is known here.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn is_tcp_alone(_: &Socket) -> io::Result<bool> {
    Ok(true)
}

/// Why a descriptor was not adopted.
#[derive(Debug)]
pub enum AdoptError {
    /// 0, 1 or 2.
    Standard,
    /// Not open; or open, but not handed to us by whoever started us (this includes a number
    /// that has been adopted already).
    NotPassed,
    /// A file, a pipe, a terminal.
    NotASocket,
    /// A datagram socket, or a stream of a family we do not speak.
    NotAStream,
    /// A connection, or a socket on which listen(2) was never called.
    NotListening,
    /// The system would not answer.
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

    /// Gives up a descriptor the way exec leaves it: open, unowned, close-on-exec clear.
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
    fn a_unix_listener_is_adopted_as_well() {
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
    fn a_descriptor_this_process_opened_for_itself_is_left_alone() {
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
