//! Room `site`: what does an error of opening or reading say: of the name, or of the system?

use rustix::io::Errno;
use std::io;

/// Errors that say something about the name: there is nothing here that we serve.
pub(super) fn is_nothing(error: &io::Error) -> bool {
    match Errno::from_io_error(error) {
        Some(
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::LOOP
            | Errno::NAMETOOLONG
            | Errno::ACCESS
            | Errno::PERM
            | Errno::XDEV
            | Errno::NXIO
            | Errno::NODEV
            | Errno::INVAL
            | Errno::ILSEQ,
        ) => true,
        Some(_) => false,
        // cap-std words an attempt to leave the root itself.
        None => matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
        ),
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
