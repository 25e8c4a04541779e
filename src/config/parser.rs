//! Parses the command line. An error has a tip, or names the variable that causes it.

use std::ffi::OsString;

use clap::ArgMatches;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::command::{command, parser};
use super::error::ConfigError;
use super::{environment, mistakes};

/// Parses the command line. The help and the usage in errors are those of [`command`].
pub fn matches(args: &[OsString]) -> Result<ArgMatches, ConfigError> {
    let shown = command();
    let first = args.get(1).and_then(|first| first.to_str());
    let is_subcommand = first.and_then(|name| shown.find_subcommand(name)).is_some();
    let parser = match is_subcommand {
        // The variables are for the server, not for subcommands.
        true => environment::ignored(parser()),
        false => parser(),
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
