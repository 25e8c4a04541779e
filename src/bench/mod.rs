//! Room `bench`: which way of waiting costs what, and how sure is that?
//!
//! `oneloop bench` starts each model afresh, sample for sample, puts it under load from a process
//! of its own, and compares. It knows the server only from outside: as a program, by its port.
//!
//! - [`arguments`]: what can be asked for?
//! - [`load`]: what is a generator told, and what does it tell?
//! - [`account`]: what has a server's process used?
//! - [`metrics`]: what can be measured, and which direction is good?
//! - [`record`]: what is kept of a run?
//! - [`statistics`]: what can be said of a few numbers? [`analysis`]: what does a run say?
//! - [`expectations`]: what should each model show, and why?
//! - [`platform`]: what can only some systems be told?
//! - [`workloads`]: which loads are there, and what does each tell apart?
//! - [`contenders`]: who is compared? [`words`]: how is a command divided?
//! - [`run`](mod@run): what happens in a run?
//! - [`plan`]: what will be done, in which order, how long will it take?

pub mod account;
pub mod analysis;
pub mod arguments;
pub mod contenders;
pub mod expectations;
pub mod load;
pub mod metrics;
pub mod plan;
pub mod platform;
pub mod record;
pub mod run;
pub mod statistics;
pub mod words;
pub mod workloads;

use arguments::{Arguments, Command};
use std::error::Error;
use std::process::ExitCode;

/// Does what the command line says.
///
/// # Errors
/// With a sentence for the user that says what to do.
pub fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    match arguments.command {
        None => run::run(&arguments.plan),
        Some(
            Command::Selftest(_)
            | Command::Compare { .. }
            | Command::Report { .. }
            | Command::Check { .. }
            | Command::Explain { .. }
            | Command::Generate
            | Command::Oracle { .. },
        ) => Err("not built yet".into()),
    }
}
