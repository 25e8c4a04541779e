//! `--trace`: writes down everything that the loop and its connections do.
//!
//! [`Trace`] is a [`Probe`]: it makes a record of each observation, and hands it to a thread that
//! writes. All threads of a process share one queue. In the model `process` each child has a queue
//! and a thread that writes of its own, and all append whole lines to one file.

mod json;
mod output;
mod record;
mod text;

use crate::clock::Now;
use crate::connection::{CloseReason, Counts, StateName, StepName};
use crate::http::request::{Refusal, Request};
use crate::probe::{Cause, EventFlags, Origin, Probe, StepResult};
use clap::ValueHint;
pub(super) use json::write as write_json;
use output::Output;
pub(super) use record::{Place, Record, RecordKind};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};
pub(super) use text::{cause_name, state_name, step_name};

/// Bytes of a request line in a record, at most. A line of the trace must fit into a write.
const REQUEST_LINE: usize = 1000;

/// How records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned lines
    #[default]
    Text,
    /// An object per line
    Json,
    /// Trace events, for ui.perfetto.dev and chrome://tracing
    Perfetto,
}

/// A condition on the records of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The connection with this id.
    Connection(u64),
    /// Connections from this address.
    Peer(IpAddr),
    /// From a request for a path that begins like this, to the next request.
    Path(String),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.split_once('=') {
            Some(("connection", id)) => id.parse().ok().map(Self::Connection),
            Some(("peer", address)) => address.parse().ok().map(Self::Peer),
            Some(("path", path)) => path.starts_with('/').then(|| Self::Path(path.to_owned())),
            _ => None,
        };
        parsed.ok_or_else(|| "connection=ID, peer=ADDRESS or path=/PREFIX".to_owned())
    }
}

/// The options of the command line.
#[derive(clap::Args, Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Write what each connection does to this file
    ///
    /// The name - is standard output. One line per poll, step, transition, accept and close, in
    /// every model. No connection waits for the file: records that come too fast are dropped and
    /// counted.
    #[arg(
        long,
        value_name = "FILE",
        env = "ONELOOP_TRACE",
        value_hint = ValueHint::FilePath,
        help_heading = "Logging"
    )]
    pub trace: Option<PathBuf>,

    /// The format of the trace
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "text",
        env = "ONELOOP_TRACE_FORMAT",
        help_heading = "Logging"
    )]
    pub trace_format: Format,

    /// Trace only connection=ID, peer=IP or path=/PREFIX
    ///
    /// May be repeated; all must hold.
    #[arg(
        long,
        value_name = "FILTER",
        env = "ONELOOP_TRACE_FILTER",
        value_delimiter = ',',
        help_heading = "Logging"
    )]
    pub trace_filter: Vec<Filter>,
}

impl Options {
    /// Opens the trace, if `--trace` asks for one.
    ///
    /// # Errors
    /// With a sentence for the user: the file cannot be created, or a thread cannot be created.
    pub fn open(&self, writers: Writers) -> Result<Option<Trace>, String> {
        let Some(path) = &self.trace else {
            return Ok(None);
        };
        let trace = Trace::open(path, self.trace_format, self.trace_filter.clone(), writers);
        trace
            .map(Some)
            .map_err(|error| format!("cannot write the trace to {}: {error}", path.display()))
    }
}

/// What makes the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// A loop, in one thread.
    Loop,
    /// Blocking threads.
    Threads,
    /// Processes that are forked, with a blocking thread each.
    Processes,
}

/// Writes what it observes. Clones write to the same file.
#[derive(Clone, Debug)]
pub struct Trace {
    file: Arc<File>,
    output: Output,
    writers: Writers,
    format: Format,
    filters: Vec<Filter>,
    start: Instant,
    /// The latest reading of the clock.
    latest: Instant,
    /// The latest iteration, or the thread of the latest connection.
    place: Place,
    /// When the latest poll returned.
    iteration_began: Instant,
    /// When the latest poll began, and its timeout.
    poll_began: (Instant, Option<Duration>),
    /// What is known of each open connection.
    connections: HashMap<u64, ConnectionInfo>,
}

/// What is known of a connection.
#[derive(Clone, Debug)]
struct ConnectionInfo {
    state: StateName,
    /// The filters for connections and peers hold.
    is_chosen: bool,
    /// The filters for paths hold for its latest request.
    has_path: bool,
}

impl Trace {
    /// Opens the file; `-` is standard output. Only records for which all filters hold are written;
    /// with a filter, none of the loop itself.
    ///
    /// # Errors
    /// The file cannot be created or written, or a thread cannot be created.
    pub fn open(
        path: &Path,
        format: Format,
        filters: Vec<Filter>,
        writers: Writers,
    ) -> io::Result<Self> {
        let start = Now::read().instant;
        let mut file = output::open(path)?;
        let begin = format.begin(writers == Writers::Loop);
        let output = match writers {
            // A process that forks must have no other thread. It makes no records.
            Writers::Processes => {
                file.write_all(begin.as_bytes())?;
                Output::closed()
            }
            _ => Output::start(file.try_clone()?, format, begin, format.end())?,
        };
        Ok(Self {
            file: Arc::new(file),
            output,
            writers,
            format,
            filters,
            start,
            latest: start,
            place: match writers {
                Writers::Loop => Place::Iteration(0),
                Writers::Threads | Writers::Processes => Place::Thread(0),
            },
            iteration_began: start,
            poll_began: (start, None),
            connections: HashMap::new(),
        })
    }

    /// The server has stopped: writes what waits, for a limited time.
    pub fn finish(&self) {
        if self.writers == Writers::Processes {
            return match self.output_of_this_process(self.format.end()) {
                Ok(output) => output.finish(),
                Err(error) => log::warn!("the trace has no end: {error}"),
            };
        }
        self.output.finish();
    }

    /// For a process that was forked, and for the parent when it forks no more.
    fn output_of_this_process(&self, end: &'static str) -> io::Result<Output> {
        Output::start(self.file.try_clone()?, self.format, "", end)
    }

    fn put(&mut self, connection: Option<u64>, what: RecordKind) {
        let known = connection.and_then(|id| self.connections.get(&id));
        // A viewer needs every state of a connection, to know where each begins and ends.
        let is_state = matches!(
            what,
            RecordKind::Accept { .. } | RecordKind::Transition { .. }
        );
        let is_whole = is_state && self.format == Format::Perfetto;
        let is_wanted = match known {
            Some(known) => known.is_chosen && (known.has_path || is_whole),
            None => self.filters.is_empty(),
        };
        if is_wanted {
            self.output.put(Record {
                time: self.latest - self.start,
                place: self.place,
                connection,
                what,
            });
        }
    }
}

/// The time that a step took.
fn measured(time: Option<Duration>) -> Duration {
    assert!(
        time.is_some(),
        "a probe with a clock has the time of each step"
    );
    time.unwrap_or_default()
}

impl Probe for Trace {
    fn clock(&mut self) -> Option<Instant> {
        self.latest = Now::read().instant;
        Some(self.latest)
    }

    fn on_poll_begin(&mut self, now: Now, timeout: Option<Duration>) {
        self.latest = now.instant;
        if self.place != Place::Iteration(0) {
            let worked = now.instant - self.iteration_began;
            self.put(None, RecordKind::End { worked });
        }
        self.poll_began = (now.instant, timeout);
    }

    fn on_poll_end(&mut self, now: Now, events: usize) {
        self.latest = now.instant;
        if let Place::Iteration(number) = &mut self.place {
            *number += 1;
        }
        self.iteration_began = now.instant;
        let (began, timeout) = self.poll_began;
        let waited = now.instant - began;
        self.put(
            None,
            RecordKind::Poll {
                timeout,
                waited,
                events,
            },
        );
    }

    fn on_accept(&mut self, id: u64, origin: Origin, state: StateName) {
        self.clock();
        if let Place::Thread(id) = &mut self.place {
            *id = thread_id();
        }
        let is_chosen = self.filters.iter().all(|filter| match filter {
            Filter::Connection(chosen) => id == *chosen,
            Filter::Peer(address) => origin.peer.map(|peer| peer.ip()) == Some(*address),
            Filter::Path(_) => true,
        });
        let is_path_free = |filter: &Filter| !matches!(filter, Filter::Path(_));
        let known = ConnectionInfo {
            state,
            is_chosen,
            has_path: self.filters.iter().all(is_path_free),
        };
        self.connections.insert(id, known);
        self.put(Some(id), RecordKind::Accept { origin, state });
    }

    fn on_event(&mut self, id: u64, flags: EventFlags) {
        self.put(Some(id), RecordKind::Event { flags });
    }

    fn on_register(&mut self, id: u64) {
        self.put(Some(id), RecordKind::Register);
    }

    fn on_wait(&mut self, id: u64, result: StepResult, time: Option<Duration>) {
        if let Some(known) = self.connections.get(&id) {
            let (state, took) = (known.state, measured(time));
            self.put(
                Some(id),
                RecordKind::Wait {
                    state,
                    result,
                    took,
                },
            );
        }
    }

    fn on_request(&mut self, id: u64, request: &Result<Request<'_>, Refusal<'_>>) {
        let line = request.as_ref().ok().map(|request| request.line);
        let path = line.and_then(|line| line.split(|byte| *byte == b' ').nth(1));
        let path = path.unwrap_or_default();
        let has_path = self.filters.iter().all(|filter| match filter {
            Filter::Path(prefix) => path.starts_with(prefix.as_bytes()),
            _ => true,
        });
        if let Some(known) = self.connections.get_mut(&id) {
            known.has_path = has_path;
        }
        let line = request_line(request);
        self.put(Some(id), RecordKind::Request { line });
    }

    fn on_step(&mut self, id: u64, step: StepName, result: StepResult, time: Option<Duration>) {
        let Some(known) = self.connections.get(&id) else {
            return;
        };
        // It only says that the connection has ended, which on_close says, too.
        if step != StepName::End {
            let state = known.state;
            let took = measured(time);
            self.put(
                Some(id),
                RecordKind::Step {
                    state,
                    step,
                    result,
                    took,
                },
            );
        }
    }

    fn on_transition(&mut self, id: u64, from: StateName, to: StateName, cause: Cause) {
        if let Some(known) = self.connections.get_mut(&id) {
            known.state = to;
        }
        self.put(Some(id), RecordKind::Transition { from, to, cause });
    }

    fn on_close(&mut self, id: u64, reason: CloseReason, counts: Counts) {
        self.put(Some(id), RecordKind::Close { reason, counts });
        self.connections.remove(&id);
    }

    fn on_fork(&mut self) {
        match self.output_of_this_process("") {
            Ok(output) => self.output = output,
            Err(error) => log::warn!("a connection is not traced: {error}"),
        }
    }

    fn on_exit(&mut self) {
        self.output.finish();
    }
}

/// The request line as text, or its beginning; `None` if the head was refused.
pub(super) fn request_line(request: &Result<Request<'_>, Refusal<'_>>) -> Option<Box<str>> {
    let line = request.as_ref().ok()?.line;
    let (line, _) = line.split_at(line.len().min(REQUEST_LINE));
    Some(String::from_utf8_lossy(line).into())
}

/// The number of this thread, as strace and top show it; 0 without /proc (proc(5), thread-self).
fn thread_id() -> u64 {
    let link = fs::read_link("/proc/thread-self").ok();
    let id = link.and_then(|link| link.file_name()?.to_str()?.parse().ok());
    id.unwrap_or(0)
}
