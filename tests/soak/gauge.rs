//! The resources of the server as the kernel reports them: descriptors, the epoll set, memory.

use crate::connection::Checked;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// The process of the server.
#[derive(Clone, Copy, Debug)]
pub struct Gauge<'r> {
    pid: u32,
    root: &'r Path,
}

/// Its resources at one time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Open descriptors, except those of files.
    pub descriptors: usize,
    /// Files of the site that are open.
    pub files: usize,
    /// Descriptors registered with epoll; 0 where mio uses poll(2).
    pub registered: usize,
    /// Resident memory, in KiB.
    pub resident: usize,
}

impl<'r> Gauge<'r> {
    /// Finds the epoll descriptor.
    pub fn of(pid: u32, root: &'r Path) -> Self {
        let gauge = Self { pid, root };
        let has_epoll = gauge.epoll().is_ok_and(|epoll| epoll.is_some());
        assert_eq!(has_epoll, !cfg!(mio_unsupported_force_poll_poll), "epoll");
        gauge
    }

    /// Reads the resources.
    pub fn read(self) -> Checked<Reading> {
        let read = || {
            let (files, others): (Vec<_>, Vec<_>) = self
                .descriptors()?
                .partition(|descriptor| self.is_of_a_file(descriptor));
            Ok(Reading {
                descriptors: others.len(),
                files: files.len(),
                registered: self.registered()?,
                resident: self.resident()?,
            })
        };
        read().map_err(|error: io::Error| format!("cannot read /proc of the server: {error}"))
    }

    fn descriptors(self) -> io::Result<impl Iterator<Item = fs::DirEntry>> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid))?.flatten())
    }

    /// Whether it is a file of the site. A removed file has a name, too.
    fn is_of_a_file(self, descriptor: &fs::DirEntry) -> bool {
        let target = fs::read_link(descriptor.path()).unwrap_or_default();
        target.starts_with(self.root) && target != self.root
    }

    fn epoll(self) -> io::Result<Option<String>> {
        let mut descriptors = self.descriptors()?;
        let epoll = descriptors.find(|descriptor| {
            let target = fs::read_link(descriptor.path()).unwrap_or_default();
            target.as_os_str() == "anon_inode:[eventpoll]"
        });
        Ok(epoll.and_then(|epoll| epoll.file_name().into_string().ok()))
    }

    fn registered(self) -> io::Result<usize> {
        let Some(epoll) = self.epoll()? else {
            return Ok(0);
        };
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/{epoll}", self.pid))?;
        Ok(info.lines().filter(|line| line.starts_with("tfd:")).count())
    }

    fn resident(self) -> io::Result<usize> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        // A zombie has none.
        let kib = kib.and_then(|kib| kib.parse().ok());
        kib.ok_or_else(|| io::Error::other("it has ended"))
    }
}

impl Reading {
    /// The most of each.
    pub fn max(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.max(other.descriptors),
            files: self.files.max(other.files),
            registered: self.registered.max(other.registered),
            resident: self.resident.max(other.resident),
        }
    }

    /// The number of descriptors, and of those in the epoll set.
    pub fn open(self) -> (usize, usize) {
        (self.descriptors, self.registered)
    }

    /// The same with `idle` more connections.
    pub fn open_with(self, idle: usize) -> (usize, usize) {
        match self.registered {
            0 => (self.descriptors + idle, 0),
            registered => (self.descriptors + idle, registered + idle),
        }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            descriptors,
            files,
            registered,
            resident,
        } = self;
        let mib = *resident as f64 / 1024.0;
        write!(
            out,
            "{descriptors} fds, {files} files, {registered} in epoll, {mib:.1} MiB"
        )
    }
}
