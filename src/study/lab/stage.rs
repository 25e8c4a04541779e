//! Where a scenario plays: the server's program, a site, and what was seen.

use super::copy::Build;
use super::server::Server;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

/// Something that a client did and saw.
#[derive(Debug)]
pub struct Observation {
    /// What the client did.
    pub action: String,
    /// What it sees of a healthy server.
    pub healthy: String,
    /// What it saw of this one.
    pub seen: String,
    /// What is wrong if they differ.
    pub meaning: &'static str,
}

impl Observation {
    /// Whether the server did what a healthy one does.
    pub fn is_healthy(&self) -> bool {
        self.seen == self.healthy
    }
}

/// The server's program, its site, and what was seen so far.
#[derive(Debug)]
pub struct Stage<'s> {
    build: &'s Build,
    /// Site and messages of the server. Removed in the end.
    directory: PathBuf,
    /// What was seen so far.
    pub observations: Vec<Observation>,
}

/// Each file of the site with its size: all but the first two are holes that take no space.
const FILES: [(&str, u64); 5] = [
    ("page.txt", 20),
    ("leaf.txt", 15_000),
    ("big.bin", 3_000_000),
    ("huge.bin", 64 << 20),
    ("shrinks.bin", 8 << 20),
];

impl<'s> Stage<'s> {
    /// A stage for the server of `build`, with a new site in a temporary directory.
    ///
    /// # Errors
    /// The site cannot be written.
    pub fn new(build: &'s Build) -> io::Result<Self> {
        let directory = std::env::temp_dir().join(format!("oneloop-lab-{}", std::process::id()));
        let stage = Self {
            build,
            directory,
            observations: Vec::new(),
        };
        fs::create_dir_all(stage.site())?;
        for (name, size) in FILES {
            File::create(stage.file(name))?.set_len(size)?;
        }
        fs::write(stage.file("page.txt"), "Hello from the lab.\n")?;
        Ok(stage)
    }

    /// Starts the server with these options.
    ///
    /// # Errors
    /// It does not start, or does not say where it listens.
    pub fn server(&self, options: &[&str]) -> io::Result<Server> {
        self.start(options, None)
    }

    /// Starts the server with these options. It may open only this many descriptors.
    ///
    /// # Errors
    /// It does not start, or does not say where it listens.
    pub fn server_with_descriptors(
        &self,
        options: &[&str],
        max_descriptors: u32,
    ) -> io::Result<Server> {
        self.start(options, Some(max_descriptors))
    }

    fn start(&self, options: &[&str], descriptors: Option<u32>) -> io::Result<Server> {
        let log = self.directory.join("messages");
        Server::start(
            &self.build.program,
            &self.site(),
            options,
            descriptors,
            &log,
        )
    }

    /// [`Build::simulate`]
    ///
    /// # Errors
    /// Those of [`Build::simulate`].
    pub fn simulate(&self) -> io::Result<Option<String>> {
        self.build.simulate()
    }

    fn site(&self) -> PathBuf {
        self.directory.join("site")
    }

    /// The path of a file of the site.
    pub fn file(&self, name: &str) -> PathBuf {
        self.site().join(name)
    }

    /// Adds an observation. `meaning` says what is wrong if `seen` is not `healthy`.
    pub fn see(
        &mut self,
        action: impl Into<String>,
        healthy: impl Into<String>,
        seen: impl Into<String>,
        meaning: &'static str,
    ) {
        self.observations.push(Observation {
            action: action.into(),
            healthy: healthy.into(),
            seen: seen.into(),
            meaning,
        });
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // Left over if it cannot be removed; nothing depends on it.
        let _ = fs::remove_dir_all(&self.directory);
    }
}
