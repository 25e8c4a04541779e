//! Room `subcommands`: what else can the program do than serve? Each is a room of its own, which a
//! feature may leave out of the program; without it its name is a ROOT like any other.

use clap::{ArgMatches, Command};
use std::error::Error;
use std::process::ExitCode;

#[cfg(feature = "bench")]
use clap::{CommandFactory, FromArgMatches};

/// All that there are in this build.
pub fn all() -> Vec<Command> {
    vec![
        #[cfg(feature = "bench")]
        crate::bench::arguments::Arguments::command(),
    ]
}

/// Runs the one that is called `name`.
///
/// # Errors
/// With a sentence for the user that says what to do.
pub fn run(name: &str, matches: &ArgMatches) -> Result<ExitCode, Box<dyn Error>> {
    match name {
        #[cfg(feature = "bench")]
        "bench" => crate::bench::run(crate::bench::arguments::Arguments::from_arg_matches(
            matches,
        )?),
        // None is known to the parser that is not known here.
        _ => Err(format!("there is no {name} in this build ({matches:?})").into()),
    }
}
