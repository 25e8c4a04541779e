//! The command line of `oneloop bench`. The doc comments are its help.

use clap::{ArgAction, Args, Parser, Subcommand};
use std::path::PathBuf;

/// Compare the models, and other servers, on this machine
///
/// Each sample is a fresh server process under load from another process. The servers run in random
/// order in each round, and the reactor runs twice, which measures the noise. Writes the run as
/// JSON, and a report as one HTML file.
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
    pub command: Option<Command>,
    /// The run.
    #[command(flatten)]
    pub run: RunOptions,
    /// Print help; -h is the short one
    #[arg(short, long, action = ArgAction::Help, global = true)]
    pub help: Option<bool>,
}

/// The options of a run.
#[derive(Args, Clone, Debug)]
pub struct RunOptions {
    /// The workloads; those of the preset if none is named (docs/bench.md lists them)
    #[arg(value_name = "WORKLOAD")]
    pub workloads: Vec<String>,

    /// About 90 seconds, without verdicts
    #[arg(long, conflicts_with = "full")]
    pub quick: bool,

    /// All workloads, about an hour
    #[arg(long)]
    pub full: bool,

    /// The models, with commas between them
    #[arg(long, value_name = "MODELS", value_delimiter = ',')]
    pub models: Vec<String>,

    /// Numbers of connections, with commas between them
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub conns: Vec<u32>,

    /// Rounds; verdicts need at least 6
    #[arg(long, value_name = "N")]
    pub rounds: Option<u32>,

    /// The duration of the measurement of each sample
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<f64>,

    /// Another server beside the models; may be repeated
    ///
    /// {port} is the port of 127.0.0.1 to listen on, and {root} the directory to serve. A name may
    /// come before the command: nginx='nginx -p {root} ...'
    #[arg(long, value_name = "COMMAND", action = ArgAction::Append)]
    pub server: Vec<String>,

    /// A server that is already running; may be repeated
    ///
    /// All requests are for this URL, so only workloads with one small page are run.
    #[arg(long, value_name = "URL", action = ArgAction::Append)]
    pub target: Vec<String>,

    /// Do not pin server and generator to different CPUs
    #[arg(long)]
    pub unpinned: bool,

    /// The seed of the random order and arrivals; each run prints its seed
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// The directory for the run and its report
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
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
    /// Say whether a run is valid; exit code 1 if not
    Check {
        /// The run (run.json)
        run: PathBuf,
    },
    /// Run the generator: the load on standard input, the result on standard output
    #[command(hide = true)]
    Generate,
    /// Run a server with a known answer
    #[command(hide = true)]
    KnownAnswerServer {
        /// Its configuration, as JSON
        config: String,
    },
}

/// The options of the self-test.
#[derive(Args, Clone, Debug)]
pub struct Selftest {
    /// Only the tests whose name contains this
    pub filter: Option<String>,
    /// Shorter loads: half a minute in all
    #[arg(long)]
    pub quick: bool,
}
