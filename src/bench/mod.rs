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
//! - [`stats`]: what can be said of a few numbers? [`analysis`]: what does a run say?
//! - [`table`]: what does a run look like on a terminal?
//! - [`report`]: and as a page that one wants to read?
//! - [`run_file`]: how is a run read again?
//! - [`compare`]: what has changed from one run to another? [`check`]: can a run be believed?
//! - [`platform`]: what can only some systems be told?
//! - [`workloads`]: which loads are there, and what does each tell apart?
//! - [`arms`]: who is compared? [`shell_words`]: how is a command divided?
//! - [`runner`]: runs the plan and takes the samples
//! - [`plan`]: what will be done, in which order, how long will it take?

pub mod analysis;
pub mod arguments;
pub mod arms;
pub mod check;
pub mod client;
pub mod compare;
pub mod load;
pub mod metrics;
pub mod plan;
pub mod platform;
pub mod procfs;
pub mod record;
pub mod report;
pub mod run_file;
pub mod runner;
pub mod selftest;
pub mod shell_words;
pub mod stats;
pub mod table;
pub mod workloads;

use arguments::{Arguments, Command};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use table::Terminal;

/// Does what the command line says.
///
/// # Errors
/// With a sentence for the user that says what to do.
pub fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    match arguments.command {
        None => runner::run(&arguments.plan),
        Some(Command::Compare { before, after }) => {
            let (before, after) = (run_file::read(&before)?, run_file::read(&after)?);
            told(|to| compare::print(&before, &after, to, Terminal::stdout()))
        }
        Some(Command::Check { run }) => {
            let run = run_file::read(&run)?;
            told(|to| check::print(&run, to, Terminal::stdout()))
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
