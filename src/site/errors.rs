//! Room `site`: what does an error of opening or reading say: of the name, or of the system?

use rustix::io::Errno;
use std::io;

/// There is nothing by this name.
pub(super) fn is_nothing(error: &io::Error) -> bool {
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

/// There is something, and it is not served: why, where the error does not say that best, and what
/// the owner of the server can do about it.
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

/// Want of descriptors, memory or a quiet moment: it may work the next time.
pub(super) fn is_passing(error: &io::Error) -> bool {
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
