//! The reactor room: how long is a connection that says nothing the kernel's affair? Imports
//! nothing of ours.
//!
//! A client that connects sends its request a moment later. Without this the loop wakes up twice
//! for it: to accept a connection that has nothing to read yet, and again for the request. With it
//! the kernel announces the connection together with the request, and one that never says
//! anything costs no slot in its first second. docs/performance.md has the figures.

#![allow(unsafe_code)]

use socket2::Socket;
use std::io;

/// Lets the connections of a listening TCP socket wait in the kernel until their first bytes
/// arrive, or for about a second: then they come as they are (tcp(7), TCP_DEFER_ACCEPT). Elsewhere
/// than on Linux nothing is done, and they come at once.
///
/// # Errors
/// Those of setsockopt(2). The socket then works as it did.
#[cfg(target_os = "linux")]
pub fn defer(socket: &Socket) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    /// Rounded up to the time until the first retransmission of SYN-ACK, which is a second.
    static SECONDS: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open, as it is borrowed; the option is an int, and the pointer
    // leads to one that outlives the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const SECONDS).cast(),
            size,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// There is no such option here.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn defer(_: &Socket) -> io::Result<()> {
    Ok(())
}
