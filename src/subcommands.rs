//! The subcommands. Each is a module that a feature of the build may leave out; without it, its
//! name is a ROOT like any other.

use clap::{ArgMatches, Command};
use std::error::Error;
use std::process::ExitCode;

#[cfg(any(feature = "bench", feature = "study"))]
use clap::{CommandFactory, FromArgMatches};

/// The subcommands of this build.
pub fn all() -> Vec<Command> {
    vec![
        #[cfg(feature = "bench")]
        crate::bench::Arguments::command(),
        #[cfg(feature = "study")]
        crate::study::diagram::Arguments::command(),
        #[cfg(feature = "study")]
        crate::study::lab::Arguments::command(),
        #[cfg(feature = "study")]
        crate::study::poke::Arguments::command(),
        #[cfg(feature = "study")]
        crate::study::syscalls::Arguments::command(),
    ]
}

/// Runs the subcommand `name`.
///
/// # Errors
/// What failed, and what the user can do.
pub fn run(name: &str, matches: &ArgMatches) -> Result<ExitCode, Box<dyn Error>> {
    match name {
        #[cfg(feature = "bench")]
        "bench" => crate::bench::run(crate::bench::Arguments::from_arg_matches(matches)?),
        #[cfg(feature = "study")]
        "diagram" => crate::study::diagram::run(
            &crate::study::diagram::Arguments::from_arg_matches(matches)?,
        ),
        #[cfg(feature = "study")]
        "lab" => crate::study::lab::run(&crate::study::lab::Arguments::from_arg_matches(matches)?),
        #[cfg(feature = "study")]
        "poke" => {
            crate::study::poke::run(&crate::study::poke::Arguments::from_arg_matches(matches)?)
        }
        #[cfg(feature = "study")]
        "syscalls" => crate::study::syscalls::run(
            &crate::study::syscalls::Arguments::from_arg_matches(matches)?,
        ),
        // Unreachable: the parser knows the same subcommands.
        _ => Err(format!("this build has no subcommand {name} ({matches:?})").into()),
    }
}
