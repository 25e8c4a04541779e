//! The command, as clap parses it and as the help shows it.

use clap::{Arg, ArgAction, Command, CommandFactory};

use super::arguments::Arguments;
use super::{environment, values};
use crate::subcommands;

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
