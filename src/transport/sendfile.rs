//! Sending a stretch of a file: by sendfile(2) on Linux, by reading and writing elsewhere.
//!
//! Three answers of sendfile are easy to misread. A short count is *not* "would block":
//! since Linux 4.3 it may stop early for no reason of the socket's. Zero is not "done": the
//! file has shrunk. And EINVAL says that this file system cannot do it, not that the
//! connection is broken.

use rustix::io::Errno;
use std::fs::File;
use std::io;

/// Sends up to `length` bytes of `file` from `offset` into `socket`; `write` is how to write to it
/// from memory, and `copy` the memory.
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

/// Reads into `copy`, writes from it. What the socket does not take is read again next time:
/// the page cache has it, and no state is left behind.
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
    let room = copy.get_mut(..length).unwrap_or_default();
    match file.read_at(room, offset)? {
        0 => Ok(0),
        read => write(room.get(..read).unwrap_or_default()),
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
