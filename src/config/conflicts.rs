//! Config: which options mean nothing beside each other? Each error says what to do.

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::arguments::Arguments;
use super::error::conflict;
use super::{ConfigError, Model};

/// Looks at all that can be seen without looking at the system.
pub fn check(arguments: &Arguments, matches: &ArgMatches) -> Result<(), ConfigError> {
    // In the environment an option may be meant for other servers, or for another model.
    let is_written = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    if is_written("workers") && arguments.model != Model::Pool {
        return Err(conflict(
            "--workers counts the threads of a pool; add --model pool".to_owned(),
        ));
    }
    if is_written("page") && arguments.model != Model::Fixed {
        return Err(conflict(
            "--page is all that one model sends; add --model fixed, or name the file as ROOT"
                .to_owned(),
        ));
    }
    if arguments.model == Model::Fixed {
        refuse_what_means_nothing(is_written)?;
    }
    Ok(())
}

/// Options for what the model with one page does not have, if they stand on the command line.
fn refuse_what_means_nothing(is_written: impl Fn(&str) -> bool) -> Result<(), ConfigError> {
    const NOTHING: [&str; 14] = [
        "no_listing",
        "hidden",
        "follow_symlinks",
        "spa",
        "header",
        "no_server_header",
        "cors",
        "max_connections",
        "workers",
        "idle_timeout",
        "log_format",
        "log_file",
        "tally",
        "burn",
    ];
    match NOTHING.into_iter().find(|id| is_written(id)) {
        None => Ok(()),
        Some(id) => Err(conflict(format!(
            "--{} means nothing to the model fixed, which sends one page; leave it out",
            id.replace('_', "-")
        ))),
    }
}
