//! Options that do not go together. Each error says what to do.

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::arguments::Arguments;
use super::choices::Model;
use super::error::{ConfigError, conflict};

/// Refuses options on the command line that have no effect with the chosen model. In the
/// environment they are ignored: a variable may be meant for another server or model.
pub fn check(arguments: &Arguments, matches: &ArgMatches) -> Result<(), ConfigError> {
    // Without the feature `study`, some options do not exist.
    let exists = |id: &str| matches.try_contains_id(id).is_ok();
    let is_written =
        |id: &str| exists(id) && matches.value_source(id) == Some(ValueSource::CommandLine);
    if is_written("workers") && arguments.model != Model::Pool {
        return Err(conflict(
            "--workers is for the model pool; add --model pool".to_owned(),
        ));
    }
    if is_written("page") && arguments.model != Model::Fixed {
        return Err(conflict(
            "--page is for the model fixed; add --model fixed, or name the file as ROOT".to_owned(),
        ));
    }
    if is_written("admin") && arguments.model != Model::Reactor {
        return Err(conflict(
            "--admin is for the model reactor; leave out --model or --admin".to_owned(),
        ));
    }
    if arguments.model == Model::Fixed {
        refuse_unused_by_fixed(is_written)?;
    }
    Ok(())
}

/// Refuses the options that the model fixed does not use.
fn refuse_unused_by_fixed(is_written: impl Fn(&str) -> bool) -> Result<(), ConfigError> {
    const UNUSED: [&str; 14] = [
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
    match UNUSED.into_iter().find(|id| is_written(id)) {
        None => Ok(()),
        Some(id) => Err(conflict(format!(
            "--{} has no effect in the model fixed, which sends one page; leave it out",
            id.replace('_', "-")
        ))),
    }
}
