//! `oneloop bench` compares the concurrency models, and other servers.
//!
//! It starts a fresh server process for each sample, and puts it under load from another process.
//! It knows the server only as a program with a port.
//!
//! - [`arguments`]: the command line
//! - [`plan`]: which samples are taken, in which order. [`arms`]: the servers. [`shell_words`]: the
//!   words of a command
//! - [`workloads`]: the loads. [`metrics`]: what is measured
//! - [`runner`]: runs the plan and takes the samples. [`platform`]: what only some systems have
//! - [`client`]: the load generator. [`load`]: its input and its output
//! - [`procfs`]: what the processes of a server have used
//! - [`selftest`]: tests of the load generator against servers with a known answer
//! - [`record`]: the contents of `run.json`. [`run_file`]: reads it
//! - [`analysis`]: ratios, intervals and verdicts. [`stats`]: the statistics for it
//! - [`output`]: the table and the report
//! - [`compare`]: what changed between two runs. [`check`]: whether a run is valid

pub mod analysis;
pub mod arguments;
pub mod arms;
pub mod check;
pub mod client;
pub mod compare;
pub mod load;
pub mod metrics;
pub mod output;
pub mod plan;
pub mod platform;
pub mod procfs;
pub mod record;
pub mod run_file;
pub mod runner;
pub mod selftest;
pub mod shell_words;
pub mod stats;
pub mod workloads;

use arguments::{Arguments, Command};
use output::report;
use output::terminal::Terminal;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

/// Runs the command line.
///
/// # Errors
/// With a sentence for the user that says what to do.
pub fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    match arguments.command {
        None => runner::run(&arguments.run),
        Some(Command::Compare { before, after }) => {
            let (before, after) = (run_file::read(&before)?, run_file::read(&after)?);
            print_to_stdout(|to| compare::print(&before, &after, to, Terminal::stdout()))
        }
        Some(Command::Check { run }) => {
            let run = run_file::read(&run)?;
            print_to_stdout(|to| check::print(&run, to, Terminal::stdout()))
        }
        Some(Command::Generate) => client::generate(),
        Some(Command::Report { run, output }) => {
            let path = report::write(&run, output.as_deref())?;
            print_to_stdout(|to| writeln!(to, "{}", path.display()))
        }
        Some(Command::Selftest(asked)) => selftest::run(&asked),
        Some(Command::KnownAnswerServer { config }) => selftest::server::serve(&config),
    }
}

/// The result of a subcommand: nothing, or an exit code.
trait IntoExitCode {
    fn code(self) -> ExitCode;
}

impl IntoExitCode for () {
    fn code(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}

impl IntoExitCode for ExitCode {
    fn code(self) -> ExitCode {
        self
    }
}

/// Prints to standard output. That its reader has closed it (`| head`) is not an error.
fn print_to_stdout<A: IntoExitCode>(
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
