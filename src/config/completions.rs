//! The script with which a shell completes the command line.

use clap::builder::ValueHint;
use clap::{Arg, ArgAction, Command};
use clap_complete::Shell;

use super::command::command;

/// The script for this shell.
pub fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let mut command = completed(&command());
    clap_complete::generate(shell, &mut command, "oneloop", &mut script);
    match (shell, String::from_utf8(script)) {
        (Shell::Fish, Ok(script)) => for_fish(&script, &command).into_bytes(),
        (_, Ok(script)) => script.into_bytes(),
        (_, Err(error)) => error.into_bytes(),
    }
}

/// The command without hidden options, and with a value hint on every option.
fn completed(command: &Command) -> Command {
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let subcommands = (command.get_subcommands()).filter(|subcommand| !subcommand.is_hide_set());
    Command::new(command.get_name().to_owned())
        .about(command.get_about().cloned().unwrap_or_default())
        .disable_help_flag(command.is_disable_help_flag_set())
        .disable_help_subcommand(true)
        .args(args.map(argument))
        .subcommands(subcommands.map(completed))
}

fn argument(arg: &Arg) -> Arg {
    let is_optional = arg
        .get_num_args()
        .is_some_and(|range| range.min_values() == 0);
    if !arg.get_action().takes_values() || (is_optional && !arg.is_positional()) {
        // An optional value follows an equals sign, so the next word is not the value.
        let mut switch = Arg::new(arg.get_id().clone()).action(ArgAction::SetTrue);
        switch = switch.help(arg.get_help().cloned().unwrap_or_default());
        if let Some(short) = arg.get_short() {
            switch = switch.short(short);
        }
        return match arg.get_long() {
            Some(long) => switch.long(long.to_owned()),
            None => switch,
        };
    }
    match arg.get_value_hint() {
        // Without a hint the shells offer files, even for a port.
        ValueHint::Unknown => arg.clone().value_hint(ValueHint::Other),
        _ => arg.clone(),
    }
}

/// Changes two lines of the functions that tell fish whether a subcommand is in use: an option
/// whose value is still missing is an error for argparse but no subcommand, and neither is a ROOT.
fn for_fish(script: &str, command: &Command) -> String {
    let names: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
    let is_one = format!("    if contains -- \"$argv[1]\" {}\n", names.join(" "));
    script
        .replace("    or return\n", "    or return 0\n")
        .replace("    if set -q argv[1]\n", &is_one)
}
