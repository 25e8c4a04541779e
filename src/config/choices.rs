//! Options whose values have names. The comment on a value is its line in the help.

use clap::ValueEnum;

/// How the server waits for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Model {
    /// One page for every request, one connection at a time
    Fixed,
    /// One connection at a time
    Sequential,
    /// A process for each connection
    Process,
    /// A fixed number of processes
    Prefork,
    /// A thread for each connection
    Thread,
    /// A thread for each connection, used again
    ThreadReuse,
    /// A fixed number of threads
    Pool,
    /// A coroutine for each connection, in one thread
    Coroutine,
    /// One thread and one ring of io_uring for all connections (Linux)
    Uring,
    /// One loop that waits in select(2)
    Select,
    /// One loop that waits in poll(2)
    Poll,
    /// One loop that waits in epoll(7), level-triggered
    Level,
    /// One thread and one loop for all connections
    Reactor,
    /// A reactor for each processor, in a thread of its own
    Reactors,
}

impl Model {
    /// One thread waits for all connections at once.
    pub fn has_loop(self) -> bool {
        use Model::{Coroutine, Level, Poll, Reactor, Select, Uring};
        matches!(self, Coroutine | Uring | Select | Poll | Level | Reactor)
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Sequential => "sequential",
            Self::Process => "process",
            Self::Prefork => "prefork",
            Self::Thread => "thread",
            Self::ThreadReuse => "thread-reuse",
            Self::Pool => "pool",
            Self::Coroutine => "coroutine",
            Self::Uring => "uring",
            Self::Select => "select",
            Self::Poll => "poll",
            Self::Level => "level",
            Self::Reactor => "reactor",
            Self::Reactors => "reactors",
        }
    }
}
