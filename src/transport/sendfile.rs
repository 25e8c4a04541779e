//! Sends a range of a file: with sendfile(2) on Linux, with read and send elsewhere.
//!
//! Three results of sendfile are easy to misread. A short count is *not* "would block": since
//! Linux 4.3 it may stop early for reasons that are not the socket's. Zero is not "done": the file
//! has shrunk. EINVAL means that the file system does not support sendfile, not that the connection
//! is broken.

use rustix::io::Errno;
use std::fs::File;
use std::io;

/// Sends up to `length` bytes of `file` from `offset` to `socket`. Where sendfile is not supported,
/// the bytes are read into `copy` and sent by `write`.
///
/// # Errors
/// Those of reading the file and of writing to the socket, `WouldBlock` among them.
pub fn send_file(
    socket: impl std::os::fd::AsFd,
    file: &File,
    offset: u64,
    length: u64,
    copy: &mut [u8],
    write: impl FnMut(&[u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    match directly(socket, file, offset, length) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::OVERFLOW) => {
            by_copying(file, offset, length, copy, write)
        }
        sent => Ok(sent?),
    }
}

/// Reads into `copy` and sends from it. Bytes that the socket does not take are read again at the
/// next call, from the page cache, so no state is kept.
///
/// # Errors
/// Those of reading the file and of `write`.
pub fn by_copying(
    file: &File,
    offset: u64,
    length: u64,
    copy: &mut [u8],
    mut write: impl FnMut(&[u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let length = usize::try_from(length)
        .unwrap_or(usize::MAX)
        .min(copy.len());
    let (buf, _) = copy.split_at_mut(length);
    match file.read_at(buf, offset)? {
        0 => Ok(0),
        read => write(buf.split_at(read).0),
    }
}

#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    not(feature = "portable")
))]
fn directly(
    socket: impl std::os::fd::AsFd,
    file: &File,
    mut offset: u64,
    length: u64,
) -> Result<usize, Errno> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    rustix::fs::sendfile(socket, file, Some(&mut offset), length)
}

#[cfg(not(all(
    any(target_os = "linux", target_os = "android"),
    not(feature = "portable")
)))]
fn directly(_: impl std::os::fd::AsFd, _: &File, _: u64, _: u64) -> Result<usize, Errno> {
    Err(Errno::NOSYS)
}
