//! TCP_DEFER_ACCEPT: the kernel holds a connection until its first bytes arrive.
//!
//! A client that connects sends its request a moment later. Without the option the loop wakes
//! twice: to accept a connection without bytes to read, and for the request. With it the kernel
//! announces the connection together with the request, and a connection without bytes has no slot
//! in its first second. docs/performance.md has the figures.

#![allow(unsafe_code)]

use mio::net::TcpListener;
use socket2::Socket;
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, BorrowedFd};

/// Lets connections wait in the kernel until their first bytes arrive, or for about a second
/// (tcp(7), TCP_DEFER_ACCEPT).
///
/// # Errors
/// Those of setsockopt(2). The socket then works as it did.
#[cfg(target_os = "linux")]
pub fn defer(socket: &Socket) -> io::Result<()> {
    // The kernel rounds up to the first retransmission of SYN-ACK, which is a second.
    set(socket.as_fd(), 1)
}

/// Clears the option, because the server stops. A connection that the kernel holds now can be
/// accepted after its SYN-ACK is retransmitted. Returns whether such connections may exist: the
/// kernel lists them as incomplete handshakes (proc_net_tcp(5)).
#[cfg(target_os = "linux")]
pub fn stop_deferring(listener: &TcpListener) -> bool {
    if let Err(error) = set(listener.as_fd(), 0) {
        log::debug!("connections are still held back: {error}");
    }
    let Ok(address) = listener.local_addr() else {
        return true;
    };
    // An IPv6 socket may have IPv4 connections, which are in the other table.
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .iter()
        .any(|table| match std::fs::read_to_string(table) {
            Ok(table) => has_incomplete(&table, address.port()),
            // No IPv6 here, or no /proc.
            Err(error) => error.kind() != io::ErrorKind::NotFound || !table.ends_with('6'),
        })
}

/// Whether a handshake at this local port is incomplete.
#[cfg(target_os = "linux")]
fn has_incomplete(table: &str, port: u16) -> bool {
    const SYN_RECV: &str = "03";
    let port = format!("{port:04X}");
    table.lines().any(|row| {
        let mut fields = row.split_ascii_whitespace().skip(1);
        let local = fields.next().and_then(|local| local.split_once(':'));
        local.is_some_and(|(_, its)| its == port) && fields.nth(1) == Some(SYN_RECV)
    })
}

#[cfg(target_os = "linux")]
fn set(socket: BorrowedFd<'_>, seconds: libc::c_int) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed, so it is open. The option is an int, and the pointer is
    // valid during the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// This system has no such option.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn defer(_: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// No connection is held back on this system.
#[cfg(not(target_os = "linux"))]
pub fn stop_deferring(_: &TcpListener) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_handshake_is_found_by_its_port() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1ED2 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1
   1: 0100007F:1ED2 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000  1000        0 2 1
   2: 0100007F:1ED3 0100007F:1ED2 03 00000000:00000000 01:00000063 00000000  1000        0 0 1
";
        assert!(has_incomplete(table, 0x1ED3));
        assert!(!has_incomplete(table, 0x1ED2));
        assert!(!has_incomplete("", 80));
    }
}
