//! What all samples of a run share: the directory to serve, the CPUs, the clock, and whether the
//! user has interrupted the run.

use crate::bench::load::Page;
use crate::bench::platform;
use crate::bench::workloads::pages;
use crate::clock::Now;
use std::cell::Cell;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Deref;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What all samples share.
#[derive(Debug)]
pub struct RunContext {
    /// This program, which is both server and generator.
    pub program: PathBuf,
    /// The CPUs of server and generator, if each is pinned to one.
    pub cpus: Option<Cpus>,
    /// The number of CPUs that this process may use.
    pub cpu_count: usize,
    /// For all random numbers except the order of the samples.
    pub random: fastrand::Rng,
    folder: PathBuf,
    started: Instant,
    interrupted: Arc<AtomicBool>,
    serial: Cell<u32>,
}

/// The CPUs of server and generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus {
    /// The CPU of the server.
    pub server: usize,
    /// The CPU of the generator and of this process.
    pub generator: usize,
}

/// Why a step of a run has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunError {
    /// A sentence without its end.
    Failed(String),
    /// The user has interrupted the run.
    Interrupted,
}

impl From<String> for RunError {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// A path in the folder of the run. The file is removed when this is dropped.
#[derive(Debug)]
pub struct ScratchFile(PathBuf);

impl Deref for ScratchFile {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        // It may not exist; the folder is removed in the end.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl RunContext {
    /// Writes the files of `pages` into a new folder; with `pinned`, pins this process to the CPU
    /// of the generator, if there are at least two CPUs.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn new<'a>(
        seed: u64,
        pinned: bool,
        pages: impl Iterator<Item = &'a Page>,
    ) -> Result<Self, String> {
        let program = std::env::current_exe()
            .map_err(|error| format!("cannot find the path of this program: {error}"))?;
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [
            signal_hook::consts::SIGINT,
            signal_hook::consts::SIGTERM,
            signal_hook::consts::SIGHUP,
        ] {
            signal_hook::flag::register(signal, interrupted.clone())
                .map_err(|error| format!("cannot install a signal handler: {error}"))?;
        }
        let mut context = Self {
            program,
            cpus: None,
            // Before this process is pinned to one.
            cpu_count: std::thread::available_parallelism().map_or(1, usize::from),
            random: fastrand::Rng::with_seed(seed),
            folder: create_folder().map_err(|error| {
                let parent = std::env::temp_dir();
                format!(
                    "cannot create a folder in {}: {error} (set TMPDIR to use another place)",
                    parent.display()
                )
            })?,
            started: Now::read().instant,
            interrupted,
            serial: Cell::new(0),
        };
        let written = std::fs::create_dir(context.root()).and_then(|()| {
            pages::write(&context.root(), pages)?;
            // A server that is started by root may read as another user.
            make_readable(&context.root())
        });
        written.map_err(|error| format!("cannot write {}: {error}", context.root().display()))?;
        context.cpus = pinned.then(|| choose(&platform::cpus())).flatten();
        if let Some(cpus) = context.cpus
            && platform::pin_to(&[cpus.generator]).is_err()
        {
            context.cpus = None;
        }
        Ok(context)
    }

    /// The directory to serve.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// A new path in the folder of the run.
    pub fn file(&self, extension: &str) -> ScratchFile {
        self.serial.set(self.serial.get().wrapping_add(1));
        let name = format!("{}.{extension}", self.serial.get());
        ScratchFile(self.folder.join(name))
    }

    /// Seconds since the run started.
    pub fn seconds(&self) -> f64 {
        let since = Now::read().instant.saturating_duration_since(self.started);
        since.as_secs_f64()
    }

    /// Whether the user has interrupted the run.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Sleeps.
    ///
    /// # Errors
    /// The user has interrupted the run.
    pub fn sleep(&self, time: Duration) -> Result<(), RunError> {
        if self.is_interrupted() {
            return Err(RunError::Interrupted);
        }
        std::thread::sleep(time);
        Ok(())
    }

    /// A free port, outside of the range of ephemeral ports: a client that connects to such a port
    /// before the server listens may connect to itself (a simultaneous open, RFC 9293, section
    /// 3.5).
    ///
    /// # Errors
    /// No free port was found.
    pub fn free_port(&mut self) -> Result<u16, String> {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        let first: Option<u16> = range
            .ok()
            .and_then(|text| text.split_whitespace().next()?.parse().ok());
        let end = first.unwrap_or(32_768).max(10_100);
        for _ in 0..200 {
            let port = self.random.u16(10_000..end);
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
        Err(format!("no free port on 127.0.0.1 from 10000 to {end}"))
    }

    /// A loopback address that was not used recently, so that a sample does not use ports that the
    /// sample before left in TIME_WAIT. `None` where there is only one.
    pub fn source(&self) -> Option<Ipv4Addr> {
        let serial = self.serial.get();
        let (third, fourth) = (serial / 250 % 250, 2 + serial % 250);
        platform::MANY_LOOPBACKS.then(|| {
            let octet = |number: u32| u8::try_from(number).unwrap_or(2);
            Ipv4Addr::new(127, 0, octet(third), octet(fourth))
        })
    }
}

impl Drop for RunContext {
    fn drop(&mut self) {
        // If this fails, the folder stays in the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The server gets the last CPU, the generator the first: most interrupts go to the first, and the
/// CPU time of the generator is not compared.
fn choose(cpus: &[usize]) -> Option<Cpus> {
    match cpus {
        [generator, .., server] => Some(Cpus {
            server: *server,
            generator: *generator,
        }),
        _ => None,
    }
}

/// Creates a new folder (mkdir(2) fails if it exists).
fn create_folder() -> std::io::Result<PathBuf> {
    let parent = std::env::temp_dir();
    let mut number = std::process::id();
    loop {
        let folder = parent.join(format!("oneloop-bench-{number}"));
        match std::fs::DirBuilder::new().mode(0o711).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                number = number.wrapping_add(100_003);
            }
            Err(error) => return Err(error),
        }
    }
}

fn make_readable(folder: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            make_readable(&path)?;
        } else {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_generator_have_different_cpus_or_none() {
        assert_eq!(choose(&[]), None);
        assert_eq!(choose(&[3]), None);
        let cpus = |server, generator| Some(Cpus { server, generator });
        assert_eq!(choose(&[0, 1]), cpus(1, 0));
        assert_eq!(choose(&[2, 5, 7]), cpus(7, 2));
    }

    #[test]
    fn the_files_of_a_run_are_removed_with_its_context() {
        let page = pages::small();
        let mut context = RunContext::new(1, false, [&page].into_iter()).unwrap();
        let folder = context.folder.clone();
        assert!(context.root().join("1k.html").is_file());
        let (one, other) = (context.file("x"), context.file("x"));
        assert_ne!(*one, *other);
        std::fs::write(&*one, "x").unwrap();
        let path = one.to_owned();
        drop(one);
        assert!(!path.exists());
        let port = context.free_port().unwrap();
        assert!((10_000..u16::MAX).contains(&port));
        drop(context);
        assert!(!folder.exists());
    }
}
