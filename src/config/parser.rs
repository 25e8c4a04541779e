//! The command line: as clap parses it, and as the help shows it.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory};

use super::arguments::Arguments;
use super::{ConfigError, environment, mistakes, values};
use crate::subcommands;

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

/// The command as the help shows it. The help explains the variables once; the manual page, which
/// is made without this, has the variable of each option.
pub fn command() -> Command {
    let command = Arguments::command()
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommands(subcommands::all());
    command.mut_args(|arg| arg.hide_env(true))
}

/// The command as it is parsed. Switches take a value, so that the command line can override the
/// environment, and the last of two equal options counts.
pub fn parser() -> Command {
    let switch = |arg: Arg| match arg.get_action() {
        ArgAction::SetTrue => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .value_name("true|false")
            .default_value("false")
            .default_missing_value("true")
            .value_parser(values::switch),
        _ => arg,
    };
    command()
        .args_override_self(true)
        .mut_args(|arg| environment::without_unused(switch(arg)))
}
