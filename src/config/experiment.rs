//! Config: options for experiments, `oneloop bench` above all. The help does not show them.

use std::path::PathBuf;

use clap::Args;

/// What an experiment may want of the server.
#[derive(Args, Clone, Debug, Default)]
pub struct Experiment {
    /// Append the counts of connections, responses and bytes of bodies to this file at the end
    ///
    /// One line of JSON; in the model process one for each child, and their sum is the server's.
    #[arg(long, value_name = "PATH", hide = true)]
    pub tally: Option<PathBuf>,

    /// Compute for so long to answer /burn
    #[arg(
        long,
        value_name = "MILLISECONDS",
        value_parser = clap::value_parser!(u32).range(1..=60_000),
        hide = true
    )]
    pub burn: Option<u32>,
}
