//! The file of a unix socket. It outlives the process that made it: a stale one is detected when
//! the server starts, and its own is removed at the end.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// The file of a unix socket. Dropping this removes the file, unless another server has put its own
/// file there.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode. They are not given to another file while our socket is open.
    identity: (u64, u64),
    /// The process that made it: a forked child has a copy of this value, and leaves the file.
    process: u32,
}

impl SocketFile {
    /// `path` has just been bound by this process.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            // Absolute, in case the working directory changes.
            path: std::path::absolute(path)?,
            identity: identity(path)?,
            process: std::process::id(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = self.process == std::process::id()
            && identity(&self.path).is_ok_and(|identity| identity == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            let path = self.path.display();
            log::warn!("cannot remove the socket file {path}: {error}");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// What is at the path where a socket will be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SocketPath {
    /// Nothing.
    Free,
    /// The file of a socket whose process is gone. bind(2) fails until it is removed.
    Stale,
    /// A socket that a process has open.
    InUse,
    /// A file of another kind.
    NotASocket,
}

/// Inspects the path. Only connect(2) tells whether a process listens at the file of a socket. (A
/// server between its bind(2) and its listen(2) seems stale, so two servers that start on one path
/// within microseconds may both take it.)
pub(super) fn inspect(path: &Path, address: &SockAddr) -> io::Result<SocketPath> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(SocketPath::Free),
        Err(error) => return Err(error),
    };
    if !kind.is_socket() {
        return Ok(SocketPath::NotASocket);
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // connect(2) would wait for a server with a full queue.
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(SocketPath::Stale),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(SocketPath::Free),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        // Accepted, queue full, or a socket of another type: it is in use.
        _ => Ok(SocketPath::InUse),
    }
}
