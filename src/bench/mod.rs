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
//! - [`analysis`]: what does a run say, and how sure is it?

pub mod account;
pub mod analysis;
pub mod arguments;
pub mod load;
pub mod metrics;
pub mod record;

use arguments::{Arguments, Command};
use std::error::Error;
use std::process::ExitCode;

/// Does what the command line says.
///
/// # Errors
/// With a sentence for the user that says what to do.
pub fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    match arguments.command {
        None => Err("not built yet".into()),
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
