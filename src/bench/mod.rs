//! Room `bench`: which way of waiting costs what, and how sure is that?
//!
//! `oneloop bench` starts each model afresh, sample for sample, puts it under load from a process
//! of its own, and compares. It knows the server only from outside: as a program, by its port.
//!
//! - [`arguments`]: what can be asked for?
//! - [`load`]: what is a generator told, and what does it tell?
//! - [`client`]: the load generator
//! - [`selftest`]: tests of the load generator against servers with a known answer
//! - [`procfs`]: what the processes of a server have used
//! - [`metrics`]: what can be measured, and which direction is good?
//! - [`record`]: what is kept of a run?
//! - [`statistics`]: what can be said of a few numbers? [`analysis`]: what does a run say?
//! - [`table`]: what does a run look like on a terminal?
//! - [`report`]: and as a page that one wants to read?
//! - [`reading`]: how is a run read again?
//! - [`compare`]: what has changed from one run to another? [`check`]: can a run be believed?
//! - [`platform`]: what can only some systems be told?
//! - [`workloads`]: which loads are there, and what does each tell apart?
//! - [`contenders`]: who is compared? [`words`]: how is a command divided?
//! - [`runner`]: runs the plan and takes the samples
//! - [`plan`]: what will be done, in which order, how long will it take?

pub mod analysis;
pub mod arguments;
pub mod check;
pub mod client;
pub mod compare;
pub mod contenders;
pub mod load;
pub mod metrics;
pub mod plan;
pub mod platform;
pub mod procfs;
pub mod reading;
pub mod record;
pub mod report;
pub mod runner;
pub mod selftest;
pub mod statistics;
pub mod table;
pub mod words;
pub mod workloads;

use arguments::{Arguments, Command};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use table::Paper;

/// Does what the command line says.
///
/// # Errors
/// With a sentence for the user that says what to do.
pub fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    match arguments.command {
        None => runner::run(&arguments.plan),
        Some(Command::Compare { before, after }) => {
            let (before, after) = (reading::read(&before)?, reading::read(&after)?);
            told(|to| compare::print(&before, &after, to, Paper::of_standard_output()))
        }
        Some(Command::Check { run }) => {
            let run = reading::read(&run)?;
            told(|to| check::print(&run, to, Paper::of_standard_output()))
        }
        Some(Command::Generate) => client::generate(),
        Some(Command::Report { run, output }) => {
            let path = report::again(&run, output.as_deref())?;
            told(|to| writeln!(to, "{}", path.display()))
        }
        Some(Command::Selftest(asked)) => selftest::run(&asked),
        Some(Command::KnownAnswerServer { config }) => selftest::server::serve(&config),
    }
}

/// What a subcommand answers: nothing more than that it was told, or a code of its own.
trait Answer {
    fn code(self) -> ExitCode;
}

impl Answer for () {
    fn code(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}

impl Answer for ExitCode {
    fn code(self) -> ExitCode {
        self
    }
}

/// Prints to standard output. A reader that has left (`| head`) has seen enough.
fn told<A: Answer>(
    print: impl FnOnce(&mut dyn Write) -> io::Result<A>,
) -> Result<ExitCode, Box<dyn Error>> {
    let mut text = Vec::new();
    let code = print(&mut text)?.code();
    let mut to = io::stdout().lock();
    match to.write_all(&text).and_then(|()| to.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(code),
    }
}
