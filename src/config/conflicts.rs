//! Options that do not go together. Each error says what to do.

use clap::ValueEnum;
use clap::parser::ValueSource;

use super::arguments::Arguments;
use super::choices::Model;
use super::error::{ConfigError, conflict};
use super::parser::Parsed;

/// Refuses options on the command line and in the file that have no effect with the chosen model.
/// In the environment they are ignored: a variable may be meant for another server or model.
pub fn check(arguments: &Arguments, parsed: &Parsed) -> Result<(), ConfigError> {
    let model = arguments.model;
    let with_loop: Vec<_> = (Model::value_variants().iter().copied())
        .filter(|model| model.has_loop())
        .collect();
    let rules = [
        (
            "workers",
            &[Model::Pool, Model::Prefork, Model::Reactors][..],
            "is for the models pool, prefork and reactors; set --model to one of them",
        ),
        (
            "page",
            &[Model::Fixed],
            "is for the model fixed; set --model to fixed, or name the file as ROOT",
        ),
        (
            "admin",
            &with_loop,
            "is for the models with a loop (coroutine, uring, select, poll, level, reactor); \
             leave out --model or --admin",
        ),
    ];
    for (id, only, what) in rules {
        if !only.contains(&model) && parsed.is_written(id) {
            return Err(unusable(id, what));
        }
    }
    if parsed.has_sites() && parsed.matches.value_source("root") == Some(ValueSource::CommandLine) {
        return Err(conflict(
            "each [[site]] of the file has its own root; leave out ROOT".to_owned(),
        ));
    }
    match model {
        Model::Fixed => refuse_unused_by_fixed(parsed),
        Model::Reactors if parsed.is_written("trace") => Err(unusable(
            "trace",
            "shows one loop; set --model to reactor, or leave out --trace",
        )),
        _ => Ok(()),
    }
}

/// The error for an option; `what` follows its name.
fn unusable(id: &str, what: &str) -> ConfigError {
    conflict(format!("--{} {what}", id.replace('_', "-")))
}

/// Refuses the options that the model fixed does not use.
fn refuse_unused_by_fixed(parsed: &Parsed) -> Result<(), ConfigError> {
    const UNUSED: [&str; 27] = [
        "no_listing",
        "hidden",
        "follow_symlinks",
        "spa",
        "clean_urls",
        "compress",
        "compress_cache",
        "base",
        "cache",
        "error_page",
        "header",
        "no_server_header",
        "cors",
        "max_connections",
        "workers",
        "idle_timeout",
        "log_format",
        "log_file",
        "log_skip",
        "tally",
        "burn",
        "tls_cert",
        "tls_key",
        "tls_self_signed",
        "tls_bind",
        "redirect_https",
        "hsts",
    ];
    if parsed.has_sites() || !parsed.rules().is_empty() {
        return Err(conflict(
            "rules and sites have no effect in the model fixed, which sends one page; leave them \
             out of the file"
                .to_owned(),
        ));
    }
    match UNUSED.into_iter().find(|id| parsed.is_written(id)) {
        None => Ok(()),
        Some(id) => Err(unusable(
            id,
            "has no effect in the model fixed, which sends one page; leave it out",
        )),
    }
}
