//! Room `bench`: what can only some systems be told? To stay on a processor, and to forget a file.
//! Where a system has no such call, the answer says so, and the run goes on without.

use std::fs::File;
use std::io;

/// Whether every address of 127.0.0.0/8 is this machine; elsewhere only 127.0.0.1 is.
pub const MANY_LOOPBACKS: bool = cfg!(target_os = "linux");

/// Whether a receive that was not filled has emptied the socket, and what comes next will be
/// announced: so it is with edges. mio's poll(2) selector, which tests may choose, announces
/// nothing until a receive has found nothing.
pub const SHORT_MEANS_EMPTY: bool = !cfg!(mio_unsupported_force_poll_poll);

/// Whether this program was built without optimization, and so says nothing about speed.
pub const UNOPTIMIZED: bool = cfg!(debug_assertions);

/// The processors on which this thread may run, in their order; none where that cannot be asked.
pub fn processors() -> Vec<usize> {
    system::processors().unwrap_or_default()
}

/// Keeps this thread, and the processes that it starts from now on, on these processors
/// (sched_setaffinity(2)).
///
/// # Errors
/// What the system says; [`io::ErrorKind::Unsupported`] where there is no such call.
pub fn stay_on(processors: &[usize]) -> io::Result<()> {
    system::stay_on(processors)
}

/// Asks the system to forget what it holds of a file in memory (posix_fadvise(2)).
///
/// # Errors
/// What the system says; [`io::ErrorKind::Unsupported`] where there is no such call.
pub fn forget(file: &File) -> io::Result<()> {
    system::forget(file)
}

/// Whether the first bytes of a file are in memory, found out without reading them from the disk
/// (preadv2(2), `RWF_NOWAIT`).
///
/// # Errors
/// What the system says; [`io::ErrorKind::Unsupported`] where it cannot be asked.
pub fn is_in_memory(file: &File) -> io::Result<bool> {
    system::is_in_memory(file)
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::fs::{Advice, fadvise};
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    use std::fs::File;
    use std::io::{self, IoSliceMut};

    pub fn processors() -> io::Result<Vec<usize>> {
        let set = sched_getaffinity(None)?;
        Ok((0..CpuSet::MAX_CPU)
            .filter(|processor| set.is_set(*processor))
            .collect())
    }

    pub fn stay_on(processors: &[usize]) -> io::Result<()> {
        let mut set = CpuSet::new();
        for processor in processors.iter().filter(|one| **one < CpuSet::MAX_CPU) {
            set.set(*processor);
        }
        Ok(sched_setaffinity(None, &set)?)
    }

    pub fn forget(file: &File) -> io::Result<()> {
        Ok(fadvise(file, 0, None, Advice::DontNeed)?)
    }

    pub fn is_in_memory(file: &File) -> io::Result<bool> {
        let mut byte = [0];
        let mut into = [IoSliceMut::new(&mut byte)];
        match preadv2(file, &mut into, 0, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read > 0),
            Err(Errno::AGAIN) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::io;

    fn unsupported<T>() -> io::Result<T> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn processors() -> io::Result<Vec<usize>> {
        unsupported()
    }

    pub fn stay_on(_: &[usize]) -> io::Result<()> {
        unsupported()
    }

    pub fn forget(_: &File) -> io::Result<()> {
        unsupported()
    }

    pub fn is_in_memory(_: &File) -> io::Result<bool> {
        unsupported()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_thread_stays_where_it_is_told_to() {
        std::thread::spawn(|| {
            let allowed = processors();
            let last = allowed.last().copied();
            let last: Vec<usize> = last.into_iter().collect();
            if !last.is_empty() {
                stay_on(&last).unwrap();
                assert_eq!(processors(), last);
            }
        })
        .join()
        .unwrap();
    }

    #[test]
    fn what_was_just_written_is_in_memory() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"x").unwrap();
        match is_in_memory(&file) {
            Ok(there) => assert!(there),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Unsupported),
        }
    }
}
