//! The meaning of an error of opening or reading a file: the name does not exist, it is denied, or
//! the system failed.

use rustix::io::Errno;
use std::io;

/// The name does not exist.
pub(super) fn is_not_found(error: &io::Error) -> bool {
    match Errno::from_io_error(error) {
        Some(errno) => matches!(
            errno,
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ
        ),
        None => matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
        ),
    }
}

/// The name exists and is not served: why, if the error itself does not say it, and what the owner
/// of the site can do. `None`: the error means something else.
pub(super) fn denied(error: &io::Error) -> Option<(Option<&'static str>, &'static str)> {
    const FILE: &str = "only regular files and directories are served";
    match Errno::from_io_error(error) {
        Some(Errno::ACCESS | Errno::PERM) => Some((
            None,
            "check the permissions of the file and of the directories above it",
        )),
        Some(Errno::LOOP) => Some((None, "check the symbolic links it leads through")),
        Some(Errno::XDEV) => Some((
            Some("a symbolic link leads out of ROOT, or to nothing"),
            "to follow links that lead out: --follow-symlinks",
        )),
        Some(Errno::NXIO | Errno::NODEV) => Some((None, FILE)),
        Some(_) => None,
        None => (error.kind() == io::ErrorKind::Unsupported).then_some((None, FILE)),
    }
}

/// The system lacks descriptors or memory, or is busy: another attempt may succeed.
pub(super) fn is_temporary(error: &io::Error) -> bool {
    match Errno::from_io_error(error) {
        Some(errno) => matches!(
            errno,
            Errno::MFILE
                | Errno::NFILE
                | Errno::NOMEM
                | Errno::NOBUFS
                | Errno::AGAIN
                | Errno::BUSY
                | Errno::INTR
        ),
        None => matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::ResourceBusy | io::ErrorKind::Interrupted
        ),
    }
}
