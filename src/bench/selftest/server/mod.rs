//! Room `bench`: who answers so that the right result is known before anything is measured? Servers
//! of a few lines, each a process of its own (`oneloop bench oracle JSON`).
//!
//! An oracle prints its port, serves until its standard input ends or SIGTERM comes, and then
//! prints what it has done, counted on its own side ([`ServerCounters`], JSON). What a generator
//! says of it can be compared with that, and with what follows from the [`Manner`] alone.
//!
//! - here: which manners there are, and what is kept
//! - `response_policy`: what is answered, and when? No I/O, no clock
//! - `text`: the bytes of the answers
//! - `event_loop`: the loop, which never sleeps

mod event_loop;
mod response_policy;
mod text;

pub use response_policy::FAULTS;
pub use text::page;

use crate::bench::load::Fault;
use crate::bench::platform;
use serde::{Deserialize, Serialize};
use signal_hook::consts::SIGTERM;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A server with a known answer. Times are nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Oracle {
    /// How it answers.
    pub manner: Manner,
    /// The processor to stay on.
    pub processor: Option<usize>,
    /// Bytes of each right body.
    pub size: usize,
    /// Whether the times at which requests came are kept.
    pub log: bool,
}

/// How an oracle answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// At once, and does nothing else: as fast as a server can be.
    Null,
    /// `long` after the request. The first answers of the first `among` connections are later by
    /// equal parts of that, so that they do not all come at once ever after.
    Delay {
        /// From the last byte of the request to the first of the answer.
        long: u64,
        /// Connections that there will be.
        among: u64,
    },
    /// `long` after the answer before it, to the nanosecond, however soon the request came. A
    /// request that comes too late waits for the next beat.
    Beat {
        /// From one answer on a connection to the next.
        long: u64,
        /// As above.
        among: u64,
    },
    /// One after the other, `each` takes so long; and once nothing is done for `long`.
    Stall {
        /// When, from the first request.
        after: u64,
        /// For how long.
        long: u64,
        /// How long an answer takes.
        each: u64,
    },
    /// Every `every`-th answer is `late` by so much, the others come at once.
    TwoPoint {
        /// Of how many one is late.
        every: u64,
        /// By how much.
        late: u64,
    },
    /// Wrong in eight ways, by the number of the request: [`FAULTS`].
    Faulty,
    /// Takes `most` connections, and listens no more.
    Refuse {
        /// How many.
        most: u64,
    },
    /// So many bytes of bodies a second on each connection, without a pause between answers.
    Paced {
        /// Bytes a second.
        rate: f64,
    },
    /// So many answers on each connection, in the order in which they were accepted; those that
    /// have no number have no answer.
    Quota {
        /// Answers of each connection.
        each: Vec<u64>,
    },
}

/// What an oracle has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCounters {
    /// Connections that were accepted.
    pub connections: u64,
    /// Requests whose head came whole.
    pub requests: u64,
    /// Answers that were handed over whole, right or wrong.
    pub answers: u64,
    /// Bytes of bodies that were handed over, of whole answers and of others.
    pub body_bytes: u64,
    /// Answers that were wrong on purpose, by what they were.
    pub faults: BTreeMap<Fault, u64>,
    /// Answers that were late on purpose ([`Manner::TwoPoint`]).
    pub late: u64,
    /// Answers on each of the first connections, in the order in which they were accepted.
    pub shares: Vec<u64>,
    /// When requests came, from the first one, if that is kept.
    pub arrivals: Vec<u64>,
    /// How often was looked for a request, and how often there was none.
    pub looks: (u64, u64),
}

/// Serves as `text` says, until standard input ends or SIGTERM comes.
///
/// # Errors
/// It is no oracle; the system refuses a socket.
pub fn serve(text: &str) -> Result<ExitCode, Box<dyn Error>> {
    let oracle: Oracle = serde_json::from_str(text).map_err(|error| {
        format!("this is no oracle: {error} (what is one stands in src/bench/oracle/mod.rs)")
    })?;
    check(&oracle)?;
    if let Some(processor) = oracle.processor {
        // Without it the result is the same, and less steady.
        let _ = platform::pin_to(&[processor]);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // Before the port is known, so that whoever knows it can end us.
    let end = end()?;
    let mut to = io::stdout().lock();
    writeln!(to, "{}", listener.local_addr()?.port())?;
    to.flush()?;
    let ledger = event_loop::serve(&oracle, listener, &end)?;
    serde_json::to_writer(&mut to, &ledger)?;
    writeln!(to)?;
    to.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Becomes true when it is time to go.
fn end() -> io::Result<Arc<AtomicBool>> {
    let end = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, end.clone())?;
    let other = end.clone();
    std::thread::Builder::new().spawn(move || {
        // An error is an end, too.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        other.store(true, Ordering::Relaxed);
    })?;
    Ok(end)
}

/// Whether what is asked of it can be done.
fn check(oracle: &Oracle) -> Result<(), String> {
    const MOST: usize = 64 * 1024 * 1024;
    if oracle.size > MOST {
        return Err(format!("a body of {} bytes: at most {MOST}", oracle.size));
    }
    let is_possible = match oracle.manner {
        Manner::Delay { among, .. } => among > 0,
        Manner::Beat { long, among } => long > 0 && among > 0,
        Manner::TwoPoint { every, .. } => every > 0,
        Manner::Paced { rate } => rate > 0.0 && rate.is_finite(),
        _ => true,
    };
    match is_possible {
        true => Ok(()),
        false => Err(format!("{:?} is not possible", oracle.manner)),
    }
}
