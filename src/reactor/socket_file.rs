//! The reactor room: whose is the file of a unix socket? A socket in the file system has a name
//! that outlives its process, and so has to be told from a live one, and removed in the end. It
//! imports nothing of ours.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// The name of a unix socket in the file system. Dropping it removes the name, if it still leads to
/// our socket: a server started later may have put its own there.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode. They are not given to another file while our socket is open.
    identity: (u64, u64),
    /// A forked child has a copy of this value, and no right to the file.
    process: u32,
}

impl SocketFile {
    /// `path` has just been bound by this process.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            // Still right after somebody changes the working directory.
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
            log::warn!("{} stays behind: {error}", self.path.display());
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// What stands at the path where a socket is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SocketPath {
    /// Nothing: the path is free.
    Free,
    /// The file of a socket whose process is gone; bind(2) fails on it until it is removed.
    Stale,
    /// A socket that somebody still has open.
    InUse,
    /// Anything but a socket.
    NotASocket,
}

/// Looks, and changes nothing. Whether somebody still listens at a socket's file only connect(2)
/// can tell. (A server between its bind(2) and its listen(2) looks stale, so two started on one
/// path within the same microseconds can both believe they have it.)
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
    // A live server with a full queue would make us wait.
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(SocketPath::Stale),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(SocketPath::Free),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        // Accepted, queue full, or a socket of another type: somebody is there.
        _ => Ok(SocketPath::InUse),
    }
}
