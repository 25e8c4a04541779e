//! `oneloop bench` compares the concurrency models, and other servers.
//!
//! It starts a fresh server process for each sample, and puts it under load from another process.
//! It knows the server only as a program with a port.
//!
//! - here: the command line. [`types`]: what the parts exchange
//! - `plan`: which servers and which samples, in which order
//! - `workloads`: the loads. `metrics`: what is measured, and how it is computed
//! - `runner`: runs the plan and takes the samples. `platform`: what only some systems have
//! - `client`: the load generator. `procfs`: what the processes of a server have used
//! - `url`: one server that is already running
//! - [`selftest`]: tests of the load generator against servers with a known answer
//! - [`analysis`]: ratios, intervals and verdicts. `stats`: the statistics for it
//! - [`output`]: the table, the comparison of two runs, and the report

pub mod analysis;
mod client;
mod metrics;
pub mod output;
mod plan;
mod platform;
mod procfs;
mod runner;
pub mod selftest;
mod stats;
pub mod types;
mod url;
mod workloads;

use clap::{ArgAction, Args, Parser, Subcommand, value_parser};
use output::{Form, report};
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Compare the models, and other servers, on this machine; or measure one server: bench URL
///
/// With http://HOST/, https://HOST/ or unix:PATH, puts this server under load, and prints requests
/// per second, response times, statuses and errors.
///
/// Otherwise compares: each sample is a fresh server process under load from another process. The
/// servers run in random order in each round, and the reactor runs twice, which measures the noise.
/// Writes the run as JSON, and a report as one HTML file.
#[derive(Debug, Parser)]
#[command(
    name = "bench",
    args_conflicts_with_subcommands = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    max_term_width = 80
)]
pub struct Arguments {
    /// A subcommand.
    #[command(subcommand)]
    command: Option<Subcommands>,
    /// The run.
    #[command(flatten)]
    run: RunOptions,
    /// Print help; -h is the short one
    #[arg(short, long, action = ArgAction::Help, global = true)]
    help: Option<bool>,
}

/// The options of a run.
#[derive(Args, Clone, Debug)]
struct RunOptions {
    /// One URL; or workloads (docs/bench.md lists them), those of the preset if none is named
    #[arg(value_name = "URL|WORKLOAD")]
    workloads: Vec<String>,

    /// About two minutes, without verdicts
    #[arg(long, conflicts_with = "full")]
    quick: bool,

    /// All workloads, about 70 minutes
    #[arg(long)]
    full: bool,

    /// The models, with commas between them
    #[arg(long, value_name = "MODELS", value_delimiter = ',', value_parser = plan::model_names())]
    models: Vec<String>,

    /// Numbers of connections, with commas between them
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    conns: Vec<u32>,

    /// Rounds; verdicts need at least 6
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=plan::MAX_ROUNDS))]
    rounds: Option<u32>,

    /// The duration of the measurement of each sample
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,

    /// Another server beside the models; may be repeated
    ///
    /// A command for the shell. {port} is the port of 127.0.0.1 to listen on, and {root} the
    /// directory to serve. A name may come before it: nginx='nginx -p {root} ...'
    #[arg(long, value_name = "COMMAND", action = ArgAction::Append)]
    server: Vec<String>,

    /// The seed of the random order and arrivals; each run prints its seed
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// The directory for the run and its report
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Connections [default: 64]
    #[arg(short, long, value_name = "N", help_heading = ONE)]
    connections: Option<u32>,

    /// The duration: 10s, 500ms, 2m [default: 10s]
    #[arg(short, long, value_name = "TIME", value_parser = url::duration, help_heading = ONE)]
    duration: Option<Duration>,

    /// A field of each request, NAME: VALUE; may be repeated
    #[arg(short = 'H', long, value_name = "FIELD", action = ArgAction::Append, help_heading = ONE)]
    header: Vec<String>,

    /// Requests per second, sent when they are due (an open loop)
    ///
    /// Without it, each connection sends the next request when it has the response.
    #[arg(long, value_name = "RATE", help_heading = ONE)]
    rate: Option<f64>,

    /// Print the result as JSON
    #[arg(long, help_heading = ONE)]
    json: bool,

    /// The certificate authorities for https, a PEM file [default: those of the system]
    #[arg(long, value_name = "FILE", help_heading = ONE)]
    ca: Option<PathBuf>,

    /// Do not check the certificate
    #[arg(long, help_heading = ONE)]
    insecure: bool,
}

/// The heading of the options for one server.
const ONE: &str = "Options for one URL";

/// The subcommands.
#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Test the generator against servers with a known answer
    Selftest(Selftest),
    /// Compare two runs, arm by arm; exit code 1 if an arm got worse
    Compare {
        /// The run before (run.json)
        before: PathBuf,
        /// The run after
        after: PathBuf,
    },
    /// Write the report of a run again
    Report {
        /// The run (run.json)
        run: PathBuf,
        /// The file to write; the default is report.html beside the run
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Print the tables of a run again
    Show {
        /// The run (run.json)
        run: PathBuf,
        /// In Markdown, for a pull request
        #[arg(long)]
        md: bool,
    },
    /// Run the generator: the load on standard input, the result on standard output
    #[command(hide = true)]
    Generate,
    /// Run a server with a known answer
    #[command(hide = true)]
    KnownAnswerServer {
        /// Its policy, as JSON
        policy: String,
    },
}

/// The options of the self-test.
#[derive(Args, Clone, Debug)]
struct Selftest {
    /// Only the tests whose name contains this
    filter: Option<String>,
    /// Shorter loads: about 15 seconds in all
    #[arg(long)]
    quick: bool,
}

/// Runs the command line.
///
/// # Errors
/// With a sentence for the user that says what to do.
pub fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    match arguments.command {
        None => match arguments.run.workloads.iter().find(|one| url::is_url(one)) {
            Some(url) => url::run(url, &arguments.run),
            None => runner::run(&arguments.run),
        },
        Some(Subcommands::Compare { before, after }) => {
            let (before, after) = (types::read(&before)?, types::read(&after)?);
            let (text, is_worse) = output::compare(&before, &after, Form::stdout());
            print_to_stdout(&text, !is_worse)
        }
        Some(Subcommands::Show { run, md }) => {
            let form = if md { Form::MARKDOWN } else { Form::stdout() };
            print_to_stdout(&output::show(&types::read(&run)?, form), true)
        }
        Some(Subcommands::Generate) => client::generate(),
        Some(Subcommands::Report { run, output }) => {
            let html = report::html(&types::read(&run)?);
            let path = output.unwrap_or_else(|| run.with_file_name(report::REPORT));
            let named = path.display();
            std::fs::write(&path, html).map_err(|error| {
                format!("cannot write {named}: {error} (--output names another place)")
            })?;
            print_to_stdout(&format!("{named}\n"), true)
        }
        Some(Subcommands::Selftest(asked)) => selftest::run(&asked),
        Some(Subcommands::KnownAnswerServer { policy }) => selftest::server::serve(&policy),
    }
}

/// Prints to standard output; the exit code is 0 or 1. That its reader has closed it (`| head`) is
/// not an error.
fn print_to_stdout(text: &str, is_good: bool) -> Result<ExitCode, Box<dyn Error>> {
    let mut to = io::stdout().lock();
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::from(u8::from(!is_good))),
    }
}
