//! In place of `file.rs` without the feature `config-file`: there is no configuration file.

use std::path::Path;

use clap::{ArgMatches, Command};

use super::error::{ConfigError, conflict};
use super::passwords::ProtectTable;
use super::sites::SiteParts;
use crate::site::rules::Rule;

/// No value has this type.
pub enum ConfigFile {}

impl ConfigFile {
    /// Reads nothing. It is not called, since `--config` does not exist.
    pub fn read(path: &Path, _: &Command) -> Result<Self, ConfigError> {
        Err(conflict(format!(
            "{}: this oneloop is built without configuration files",
            path.display()
        )))
    }

    /// See `file.rs`.
    pub fn path(&self) -> &Path {
        match *self {}
    }

    /// See `file.rs`.
    pub fn set_defaults(&self, _: Command) -> Command {
        match *self {}
    }

    /// See `file.rs`.
    pub fn sets(&self, _: &str, _: &ArgMatches) -> bool {
        match *self {}
    }

    /// See `file.rs`.
    pub fn source(&self, _: &ArgMatches) -> Option<String> {
        match *self {}
    }

    /// See `file.rs`.
    pub fn site_count(&self) -> usize {
        match *self {}
    }

    /// See `file.rs`.
    pub fn refuses_unknown_hosts(&self) -> bool {
        match *self {}
    }

    /// See `file.rs`.
    pub fn site(&self, _: usize, _: Command) -> Option<(Command, SiteParts)> {
        match *self {}
    }

    /// See `file.rs`.
    pub fn rules(&self) -> Vec<Rule> {
        match *self {}
    }

    /// See `file.rs`.
    pub fn protect(&self) -> &[ProtectTable] {
        match *self {}
    }

    /// See `file.rs`.
    pub fn locate(&self, _: Option<usize>, _: &ArgMatches, _: ConfigError) -> ConfigError {
        match *self {}
    }
}
