//! The `ONELOOP_*` variables: which of them count, and which one causes an error. Everything here
//! iterates over the arguments of the command, so it covers new options, too.

use std::env;
use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, Error};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Id};

/// The argument, without its variable if that is empty (a compose file passes variables that its
/// user did not set) or a service link.
pub fn without_unused(arg: Arg) -> Arg {
    match value_of(&arg) {
        Some(value) if value.is_empty() || is_service_link(&arg, &value) => {
            arg.env(Resettable::Reset)
        }
        _ => arg,
    }
}

/// Warnings about variables that are set and have no effect.
pub fn warnings(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let mut unknown: Vec<_> = env::vars_os()
        .filter(|(name, value)| is_unknown(command, name) && !value.is_empty())
        .map(|(variable, _)| match meant(command, &variable) {
            Some(meant) => format!(
                "{} has no effect; did you mean {meant}?",
                variable.display()
            ),
            None => format!(
                "{} has no effect: no option has this variable",
                variable.display()
            ),
        })
        .collect();
    unknown.sort();
    let ignored = command.get_arguments().filter_map(|arg| {
        let value = value_of(arg)?;
        let id = arg.get_id().as_str();
        let is_overridden = matches.value_source(id) == Some(ValueSource::CommandLine);
        if is_overridden || !is_service_link(arg, &value) {
            return None;
        }
        Some(format!(
            "{} is ignored: {} is what Kubernetes and Docker set for a service named oneloop \
             (set the port with --port, or with ONELOOP_BIND=ADDR:PORT)",
            name(arg)?,
            value.display()
        ))
    });
    ignored.chain(unknown).collect()
}

/// Whether the variable has the prefix of ours, and no option or service link has it.
fn is_unknown(command: &Command, variable: &OsStr) -> bool {
    let is_of_a_link = |rest: &[u8]| {
        let links: [&[u8]; 3] = [b"SERVICE_", b"PORT_", b"ENV_"];
        rest == b"NAME" || links.iter().any(|link| rest.starts_with(link))
    };
    let rest = variable.as_encoded_bytes().strip_prefix(b"ONELOOP_");
    rest.is_some_and(|rest| !is_of_a_link(rest))
        && !(command.get_arguments()).any(|arg| arg.get_env() == Some(variable))
}

/// The variable that was probably meant: that of the option which clap suggests.
fn meant(command: &Command, variable: &OsStr) -> Option<String> {
    let option = variable.to_str()?.strip_prefix("ONELOOP_")?;
    let option = format!("--{}", option.to_lowercase().replace('_', "-"));
    let parsed = command.clone().try_get_matches_from(["oneloop", &option]);
    let error = parsed.err();
    let suggested = error
        .as_ref()
        .and_then(|error| error.get(ContextKind::SuggestedArg));
    let option = match suggested {
        Some(ContextValue::String(suggested)) => suggested,
        _ => &option,
    };
    let mut args = command.get_arguments();
    name(args.find(|arg| arg.get_long() == option.strip_prefix("--"))?)
}

/// The variables that set values of `matches`.
pub fn variables(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let is_used =
        |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::EnvVariable);
    let used = command.get_arguments().filter(is_used);
    used.filter_map(name).collect()
}

/// The variable that makes `parser` refuse `args`, with the error. `None` if the command line
/// itself is wrong.
pub fn culprit(parser: &Command, args: &[OsString]) -> Option<(String, Error)> {
    let only = |id: Option<&Id>| {
        let parser = parser
            .clone()
            .mut_args(|arg| match Some(arg.get_id()) == id {
                true => arg,
                false => arg.env(Resettable::Reset),
            });
        parser.try_get_matches_from(args).err()
    };
    if only(None).is_some() {
        return None;
    }
    let mut args = parser.get_arguments();
    args.find_map(|arg| Some((name(arg)?, only(Some(arg.get_id()))?)))
}

/// The parser without variables.
pub fn ignored(parser: Command) -> Command {
    parser.mut_args(|arg| arg.env(Resettable::Reset))
}

fn name(arg: &Arg) -> Option<String> {
    Some(arg.get_env()?.display().to_string())
}

fn value_of(arg: &Arg) -> Option<OsString> {
    arg.get_env().and_then(env::var_os)
}

/// Whether Kubernetes or Docker has set the variable: for a Service named `oneloop`, or a linked
/// container of that name, `ONELOOP_PORT` is a URL such as `tcp://10.96.0.12:7890`. No option has
/// one of their other variables (`ONELOOP_SERVICE_HOST`, `ONELOOP_PORT_7890_TCP_ADDR`,
/// `ONELOOP_NAME`, `ONELOOP_ENV_*`).
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>
fn is_service_link(arg: &Arg, value: &OsStr) -> bool {
    let is_port = |name: &OsStr| name.as_encoded_bytes().ends_with(b"_PORT");
    let is_url = |scheme: &&[u8]| value.as_encoded_bytes().starts_with(scheme);
    let schemes: [&[u8]; 3] = [b"tcp://", b"udp://", b"sctp://"];
    arg.get_env().is_some_and(is_port) && schemes.iter().any(is_url)
}
