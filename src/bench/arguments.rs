//! Room `bench`: what can be written after `oneloop bench`? The text here is its help.

use clap::{ArgAction, Args, Parser, Subcommand};
use std::path::PathBuf;

/// Compare the models, and other servers, on this machine
///
/// Each sample is a fresh server process under a load from a process of its own. Arms take turns in
/// an order that is drawn for each round, and the reactor runs twice, so that the report can say
/// what chance alone does. Writes the run as JSON, and a report as one HTML file.
#[derive(Debug, Parser)]
#[command(
    name = "bench",
    args_conflicts_with_subcommands = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    max_term_width = 80
)]
pub struct Arguments {
    /// Something else than a run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The run.
    #[command(flatten)]
    pub plan: Plan,
    /// Print help; -h is the short one
    #[arg(short, long, action = ArgAction::Help, global = true)]
    pub help: Option<bool>,
}

/// What a run is to have.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// The workloads; those of the preset if none is named (docs/bench.md lists them)
    #[arg(value_name = "WORKLOAD")]
    pub workloads: Vec<String>,

    /// A minute and a half: a first impression, without verdicts
    #[arg(long, conflicts_with = "full")]
    pub quick: bool,

    /// All workloads, about an hour
    #[arg(long)]
    pub full: bool,

    /// The models, with commas between them
    #[arg(long, value_name = "MODELS", value_delimiter = ',')]
    pub models: Vec<String>,

    /// Connections, with commas between them, for workloads in which they vary
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub conns: Vec<u32>,

    /// Rounds; with fewer than 6 there is no verdict
    #[arg(long, value_name = "N")]
    pub rounds: Option<u32>,

    /// How long each sample is measured
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<f64>,

    /// Another server beside the models; may be repeated
    ///
    /// {port} and {root} stand for the port to listen on, at 127.0.0.1, and the directory to
    /// serve. A name may stand before it: nginx='nginx -p {root} ...'
    #[arg(long, value_name = "COMMAND", action = ArgAction::Append)]
    pub server: Vec<String>,

    /// A server that is already running; may be repeated
    ///
    /// Its path is asked for as it is, so only the workloads with one small page are played to it.
    #[arg(long, value_name = "URL", action = ArgAction::Append)]
    pub target: Vec<String>,

    /// Do not give server and generator a processor each
    #[arg(long)]
    pub unpinned: bool,

    /// What the order and the arrivals are drawn from; printed by each run
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// The directory for the run and its report
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// What else there is.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure servers whose answer is known, and say whether the generator finds it
    Selftest(Selftest),
    /// Compare two runs, arm by arm; exit code 1 if an arm got worse
    Compare {
        /// The run before (run.json)
        before: PathBuf,
        /// The run after
        after: PathBuf,
    },
    /// Make the report of a run again
    Report {
        /// The run (run.json)
        run: PathBuf,
        /// The file to write; beside the run if it is not named
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Say whether a run is valid; exit code 1 if not
    Check {
        /// The run (run.json)
        run: PathBuf,
    },
    /// Be the generator: a load on standard input, what came of it on standard output
    #[command(hide = true)]
    Generate,
    /// Be a server with a known answer
    #[command(hide = true)]
    KnownAnswerServer {
        /// Its configuration, as JSON
        config: String,
    },
}

/// What is tested.
#[derive(Args, Clone, Debug)]
pub struct Selftest {
    /// Only the tests whose name has this in it
    pub filter: Option<String>,
    /// Each load shorter: half a minute in all
    #[arg(long)]
    pub quick: bool,
}
