//! Parses the command line. An error has a tip, or names the variable that causes it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory};

use super::arguments::Arguments;
use super::command::{command, parser};
use super::error::ConfigError;
use super::file::ConfigFile;
use super::passwords::ProtectTable;
use super::sites::SiteParts;
use super::{environment, mistakes};
use crate::site::rules::Rule;

/// What the command line, the environment and the configuration file set.
pub struct Parsed {
    /// The values. Those of the file count as defaults.
    pub matches: ArgMatches,
    /// Where options are set besides the command line, in sentences.
    pub sources: Vec<String>,
    file: Option<ConfigFile>,
}

impl Parsed {
    /// Parses the command line, and reads the configuration file that it names.
    ///
    /// # Errors
    /// One of them is wrong, or it is `--help` or `--version`.
    pub fn new(args: &[OsString]) -> Result<Self, ConfigError> {
        let matches = matches(parser(), args)?;
        let mut sources = Vec::new();
        let variables = environment::variables(&Arguments::command(), &matches);
        if !variables.is_empty() {
            sources.push(format!("the environment sets {}", variables.join(", ")));
        }
        // Subcommands, and a build without the feature `config-file`, do not have the option.
        let path = matches.try_get_one::<PathBuf>("config").ok().flatten();
        let Some(path) = path else {
            return Ok(Self {
                matches,
                sources,
                file: None,
            });
        };
        let file = ConfigFile::read(path, &parser());
        let file = file.map_err(|error| error.with_sources(&sources))?;
        let matches = self::matches(file.set_defaults(parser()), args)?;
        sources.extend(file.source(&matches));
        Ok(Self {
            matches,
            sources,
            file: Some(file),
        })
    }

    /// Whether the command line or the file sets this option. A variable of the environment may be
    /// meant for another server.
    pub fn is_written(&self, id: &str) -> bool {
        // Without the feature `study`, some options do not exist.
        self.matches.try_contains_id(id).is_ok()
            && (self.matches.value_source(id) == Some(ValueSource::CommandLine)
                || self.is_in_file(id))
    }

    /// Whether the command line, the environment or the file sets this option.
    pub fn is_set(&self, id: &str) -> bool {
        let source = self.matches.value_source(id);
        self.is_in_file(id) || source.is_some_and(|source| source != ValueSource::DefaultValue)
    }

    /// The error, with its place in the file if one of the options or the rule that it is about is
    /// there. `site` is the number of the `[[site]]`, if there are any.
    pub fn locate(&self, site: Option<usize>, error: ConfigError) -> ConfigError {
        match &self.file {
            Some(file) => file.locate(site, &self.matches, error),
            None => error,
        }
    }

    /// The path of the file, if there is one.
    pub fn file_path(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|file| file.path().to_owned())
    }

    /// Whether the file has sites.
    pub fn has_sites(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.site_count() > 0)
    }

    /// Whether a request for a host that no site has is refused.
    pub fn refuses_unknown_hosts(&self) -> bool {
        self.file
            .as_ref()
            .is_some_and(ConfigFile::refuses_unknown_hosts)
    }

    /// The sites of the file, with the options that the command line `args` and the environment
    /// set for all of them.
    ///
    /// # Errors
    /// As [`Parsed::new`].
    pub fn sites(&self, args: &[OsString]) -> Result<Vec<(ArgMatches, SiteParts)>, ConfigError> {
        let Some(file) = &self.file else {
            return Ok(Vec::new());
        };
        let sites = (0..file.site_count()).filter_map(|number| file.site(number, parser()));
        sites
            .map(|(parser, parts)| Ok((self::matches(parser, args)?, parts)))
            .collect()
    }

    /// The rules of the file.
    pub fn rules(&self) -> Vec<Rule> {
        self.file.as_ref().map_or(Vec::new(), ConfigFile::rules)
    }

    /// What the file protects.
    pub fn protect(&self) -> Vec<ProtectTable> {
        self.file
            .as_ref()
            .map_or(Vec::new(), |file| file.protect().to_vec())
    }

    fn is_in_file(&self, id: &str) -> bool {
        let file = self.file.as_ref();
        file.is_some_and(|file| file.sets(id, &self.matches))
    }
}

/// Parses the command line. The help and the usage in errors are those of [`command`].
fn matches(parser: Command, args: &[OsString]) -> Result<ArgMatches, ConfigError> {
    let shown = command();
    let first = args.get(1).and_then(|first| first.to_str());
    let is_subcommand = first.and_then(|name| shown.find_subcommand(name)).is_some();
    let parser = match is_subcommand {
        // The variables are for the server, not for subcommands.
        true => environment::ignored(parser),
        false => parser,
    };
    let error = match parser.clone().try_get_matches_from(args) {
        Ok(matches) => return Ok(matches),
        Err(error) => error,
    };
    if error.kind() == ErrorKind::DisplayHelp {
        // `--help bench` is `bench --help`.
        let last = args.last().and_then(|last| last.to_str());
        let is_shown = last.and_then(|name| shown.find_subcommand(name)).is_some();
        let help = match (args, last) {
            ([program, help, _], Some(last)) if is_shown => {
                shown.try_get_matches_from([program, &last.into(), help])
            }
            _ => shown.try_get_matches_from(args),
        };
        let help = help
            .err()
            .filter(|help| help.kind() == ErrorKind::DisplayHelp);
        return Err(help.unwrap_or(error).into());
    }
    if error.use_stderr()
        && let Some((name, mut error)) = environment::culprit(&parser, args)
    {
        if error.kind() == ErrorKind::InvalidUtf8 {
            let message = format!("the value of {name} is not UTF-8");
            return Err(mistakes::raw(&shown, ErrorKind::InvalidUtf8, message).into());
        }
        error.insert(ContextKind::InvalidArg, ContextValue::String(name));
        return Err(error.into());
    }
    Err(mistakes::explain(error, &shown, args).into())
}
