//! Room `bench`: what do all samples of a run share? The folder with the files to serve, the
//! processors, the clock, and the wish of the user to stop.

use crate::bench::load::Page;
use crate::bench::platform;
use crate::bench::workloads::pages;
use crate::clock::Now;
use std::cell::Cell;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What all samples share.
#[derive(Debug)]
pub struct RunContext {
    /// This program, which is server and generator as well.
    pub program: PathBuf,
    /// Who has which processor, if each has one.
    pub processors: Option<Processors>,
    /// Processors that the machine has for us.
    pub cores: usize,
    /// For everything that is drawn beside the order.
    pub random: fastrand::Rng,
    folder: PathBuf,
    began: Instant,
    interrupted: Arc<AtomicBool>,
    serial: Cell<u32>,
}

/// Who has which processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processors {
    /// The server's.
    pub server: usize,
    /// The generator's, and ours.
    pub generator: usize,
}

/// Why there is no sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Something failed; a sentence.
    Failed(String),
    /// The user wants to stop.
    Interrupted,
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl RunContext {
    /// Makes the folder with the files of `pages`, and goes to the generator's processor if there
    /// are two.
    ///
    /// # Errors
    /// With a sentence for the user.
    pub fn open<'a>(
        seed: u64,
        pinned: bool,
        pages: impl Iterator<Item = &'a Page>,
    ) -> Result<Self, String> {
        let program = std::env::current_exe()
            .map_err(|error| format!("cannot find this program itself: {error}"))?;
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [
            signal_hook::consts::SIGINT,
            signal_hook::consts::SIGTERM,
            signal_hook::consts::SIGHUP,
        ] {
            signal_hook::flag::register(signal, interrupted.clone())
                .map_err(|error| format!("cannot listen for signals: {error}"))?;
        }
        let mut lab = Self {
            program,
            processors: None,
            // Asked before we bind ourselves to one.
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            random: fastrand::Rng::with_seed(seed),
            folder: make_folder().map_err(|error| {
                let place = std::env::temp_dir();
                format!(
                    "cannot make a folder in {}: {error} (TMPDIR can name another place)",
                    place.display()
                )
            })?,
            began: Now::read().instant,
            interrupted,
            serial: Cell::new(0),
        };
        let written = std::fs::create_dir(lab.root()).and_then(|()| {
            pages::write(&lab.root(), pages)?;
            // Servers of other people read as somebody else if root starts them.
            open_to_all(&lab.root())
        });
        written.map_err(|error| format!("cannot write {}: {error}", lab.root().display()))?;
        lab.processors = pinned.then(|| divide(&platform::cpus())).flatten();
        if let Some(processors) = lab.processors
            && platform::pin_to(&[processors.generator]).is_err()
        {
            lab.processors = None;
        }
        Ok(lab)
    }

    /// The directory that servers serve.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// A path for a file of our own, which is new.
    pub fn file(&self, ending: &str) -> PathBuf {
        self.serial.set(self.serial.get().wrapping_add(1));
        self.folder.join(format!("{}.{ending}", self.serial.get()))
    }

    /// Seconds since the run began.
    pub fn seconds(&self) -> f64 {
        Now::read()
            .instant
            .saturating_duration_since(self.began)
            .as_secs_f64()
    }

    /// Whether the user wants to stop.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Sleeps a little, unless the user wants to stop.
    ///
    /// # Errors
    /// If the user does.
    pub fn rest(&self, time: Duration) -> Result<(), Trouble> {
        if self.is_interrupted() {
            return Err(Trouble::Interrupted);
        }
        std::thread::sleep(time);
        Ok(())
    }

    /// A port that is free. Not one of those that the system gives to clients: who connects to such
    /// a port while nobody listens may meet himself (a simultaneous open, RFC 9293 3.5).
    pub fn free_port(&mut self) -> Result<u16, String> {
        let clients = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        let first: Option<u16> = clients
            .ok()
            .and_then(|text| text.split_whitespace().next()?.parse().ok());
        let below = first.unwrap_or(32_768).max(10_100);
        for _ in 0..200 {
            let port = self.random.u16(10_000..below);
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
        Err("no free port was found on 127.0.0.1".to_owned())
    }

    /// An address of the loopback interface that was not used lately, so that no sample meets the
    /// ports of the one before, which wait in TIME_WAIT. `None` where there is only one.
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
        // What is left lies in the folder for temporary files, and says by its name whose it is.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The last processor is the server's, the first the generator's: interrupts most often go to the
/// first, and the generator's time is not what is compared.
fn divide(processors: &[usize]) -> Option<Processors> {
    match processors {
        [generator, .., server] => Some(Processors {
            server: *server,
            generator: *generator,
        }),
        _ => None,
    }
}

/// A folder that nobody else has made (mkdir(2) says so).
fn make_folder() -> std::io::Result<PathBuf> {
    let place = std::env::temp_dir();
    let mut number = std::process::id();
    loop {
        let folder = place.join(format!("oneloop-bench-{number}"));
        match std::fs::DirBuilder::new().mode(0o711).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                number = number.wrapping_add(100_003);
            }
            Err(error) => return Err(error),
        }
    }
}

fn open_to_all(folder: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            open_to_all(&path)?;
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
    fn server_and_generator_never_share_a_processor() {
        assert_eq!(divide(&[]), None);
        assert_eq!(divide(&[3]), None);
        let divided = |server, generator| Some(Processors { server, generator });
        assert_eq!(divide(&[0, 1]), divided(1, 0));
        assert_eq!(divide(&[2, 5, 7]), divided(7, 2));
    }

    #[test]
    fn what_a_run_has_made_is_gone_when_it_is_over() {
        let page = pages::small();
        let mut lab = RunContext::open(1, false, [&page].into_iter()).unwrap();
        let folder = lab.folder.clone();
        assert!(lab.root().join("1k.html").is_file());
        assert_ne!(lab.file("x"), lab.file("x"));
        let port = lab.free_port().unwrap();
        assert!((10_000..u16::MAX).contains(&port));
        drop(lab);
        assert!(!folder.exists());
    }
}
