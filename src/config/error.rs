//! Why a command line gives no configuration, and how that is printed.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::error::ErrorKind;

use super::command::command;

/// Why there is nothing to run.
#[derive(Debug)]
pub enum ConfigError {
    /// The command line is wrong, or it is `--help` or `--version`.
    Usage(clap::Error),
    /// The root cannot be served.
    Root {
        /// As it was given.
        path: PathBuf,
        /// What is wrong with it.
        reason: RootProblem,
    },
    /// Options or rules that do not go together, or what they name cannot be used.
    Conflict {
        /// What is wrong. Options are written as on the command line, with `--`.
        message: String,
        /// The index of the rule that it is about, among those of its site.
        rule: Option<usize>,
    },
    /// The configuration file is wrong.
    File {
        /// As it was given.
        path: PathBuf,
        /// From 1; `None` if it is not about a line.
        line: Option<usize>,
        /// What is wrong, and what is allowed.
        message: String,
    },
    /// A root that the configuration file names.
    InFile {
        /// The file, as it was given.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with the root.
        error: Box<Self>,
    },
    /// One of the others, where these set options, too.
    WithSources(Box<Self>, Vec<String>),
}

/// What is wrong with a root.
#[derive(Debug)]
pub enum RootProblem {
    /// The system call that failed.
    System(io::Error),
    /// A device, a FIFO or a socket.
    NotServable,
}

impl ConfigError {
    /// Prints help and version to standard output and errors to standard error. Returns the exit
    /// code: 0, or 2 for wrong usage or a wrong file, or 1 for a root that cannot be served.
    pub fn report(&self) -> u8 {
        // Nothing can be done if standard error is gone.
        match self {
            Self::Usage(error) => {
                let _ = error.print();
                u8::try_from(error.exit_code()).unwrap_or(2)
            }
            Self::Conflict { message, .. } => Self::Usage(usage(message)).report(),
            Self::Root { .. } | Self::InFile { .. } => {
                let _ = writeln!(io::stderr(), "oneloop: {self}");
                1
            }
            Self::File { .. } => {
                let _ = writeln!(io::stderr(), "oneloop: {self}");
                2
            }
            Self::WithSources(error, sources) => {
                let code = error.report();
                for source in sources {
                    let _ = writeln!(io::stderr(), "{}", note(source));
                }
                code
            }
        }
    }

    /// The error, with a note for each of `sources`.
    pub(super) fn with_sources(self, sources: &[String]) -> Self {
        match sources {
            [] => self,
            _ => Self::WithSources(Box::new(self), sources.to_vec()),
        }
    }
}

/// The line below an error that says where else options are set.
pub fn note(source: &str) -> String {
    format!("note: {source}")
}

/// Options that do not go together. `message` names them with `--`.
pub(super) fn conflict(message: String) -> ConfigError {
    ConfigError::Conflict {
        message,
        rule: None,
    }
}

fn usage(message: &str) -> clap::Error {
    command().error(ErrorKind::ArgumentConflict, message)
}

impl RootProblem {
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::System(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let (path, reason) = match self {
            Self::Usage(error) => return write!(out, "{error}"),
            Self::Conflict { message, .. } => return write!(out, "{}", usage(message)),
            Self::InFile { path, line, error } => {
                return write!(out, "{}:{line}: root: {error}", path.display());
            }
            Self::WithSources(error, sources) => {
                write!(out, "{error}")?;
                return (sources.iter()).try_for_each(|source| write!(out, "\n{}", note(source)));
            }
            Self::File {
                path,
                line,
                message,
            } => {
                write!(out, "{}", path.display())?;
                if let Some(line) = line {
                    write!(out, ":{line}")?;
                }
                return write!(out, ": {message}");
            }
            Self::Root { path, reason } => (path, reason),
        };
        write!(out, "cannot serve {path:?}: ")?;
        match reason {
            RootProblem::NotServable => {
                out.write_str("neither a directory nor a regular file (try: oneloop .)")
            }
            RootProblem::System(error) => match error.kind() {
                io::ErrorKind::NotFound => {
                    out.write_str("no such directory or file")?;
                    match std::env::current_dir() {
                        Ok(here) if path.is_relative() => write!(out, " in {}", here.display())?,
                        _ => {}
                    }
                    out.write_str(" (try: oneloop .)")
                }
                io::ErrorKind::NotADirectory => {
                    out.write_str("a part of this path is a file (try: oneloop .)")
                }
                io::ErrorKind::PermissionDenied => {
                    out.write_str("permission denied (check that this user may read it)")
                }
                _ => write!(out, "{error}"),
            },
        }
    }
}

impl From<clap::Error> for ConfigError {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

/// From rendering the manual page in memory.
impl From<io::Error> for ConfigError {
    fn from(error: io::Error) -> Self {
        Self::Usage(command().error(ErrorKind::Io, error))
    }
}
