//! Config: the options whose values have names. The text of each value is its line in the help.

use clap::ValueEnum;

/// The ways of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Model {
    /// One page for everybody, one client at a time
    Fixed,
    /// One client at a time
    Sequential,
    /// A process for each client
    Process,
    /// A thread for each client
    Thread,
    /// A fixed number of threads
    Pool,
    /// A coroutine for each client, in one thread
    Coroutine,
    /// One thread, one loop, every client
    Reactor,
}

impl Model {
    /// Its name, as it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Sequential => "sequential",
            Self::Process => "process",
            Self::Thread => "thread",
            Self::Pool => "pool",
            Self::Coroutine => "coroutine",
            Self::Reactor => "reactor",
        }
    }
}
