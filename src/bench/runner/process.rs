//! Starts and stops processes: servers, and the load generator.

use super::{RunContext, RunError};
use crate::bench::platform;
use crate::bench::types::{Load, Outcome};
use crate::clock::Now;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Limit for the time until a server listens.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit for the time from SIGTERM to the end of a server.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How much longer than its load the generator may take: it also connects, and writes an outcome.
const GENERATOR_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two checks of a process.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// Limit for the bytes of a process's messages that are shown.
const MAX_SHOWN: usize = 2000;

/// A process that was started here, in a process group of its own. When this is dropped,
/// the group is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Its standard output, if that is kept.
    output: Option<File>,
    messages: File,
}

impl Process {
    /// Starts a program with its standard error in a file; with a CPU, pinned to it. If it `talks`
    /// to this program, its input is a pipe, and its output is kept in a file. Otherwise both are
    /// null: a server that logs each request must not fill a disk.
    pub fn start(
        context: &RunContext,
        words: &[String],
        cpu: Option<usize>,
        talks: bool,
    ) -> Result<Self, RunError> {
        let (program, arguments) = words.split_first().ok_or("the command is empty")?;
        let (messages, of_messages) = context.scratch()?;
        let mut command = Command::new(program);
        command.args(arguments).stderr(of_messages);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut output = None;
        if talks {
            let (kept, of_output) = context.scratch()?;
            command.stdin(Stdio::piped()).stdout(of_output);
            output = Some(kept);
        }
        // A group of its own: Ctrl-C reaches this program only, which then ends the other.
        command.process_group(0);
        platform::prepare(&mut command, cpu);
        let child = command.spawn();
        Ok(Self {
            child: child.map_err(|error| format!("cannot start {program}: {error}"))?,
            output,
            messages,
        })
    }

    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input and closes it. If it does not read this, it has ended, and its
    /// status shows that.
    pub fn tell(&mut self, text: &[u8]) {
        if let Some(mut stdin) = self.child.stdin.take() {
            let _ = stdin.write_all(text);
        }
    }

    /// Its exit status, if it has ended.
    fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until it ends. `None` after the timeout.
    pub fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        poll(timeout, || self.status())
    }

    /// Waits until a starting server is ready: `ready` has a result. `place` is where it listens.
    pub fn wait_until_ready<T>(
        &mut self,
        context: &RunContext,
        place: &str,
        ready: impl Fn(&Self) -> Option<T>,
    ) -> Result<T, RunError> {
        let result = poll(START_TIMEOUT, || {
            if let Some(status) = self.status() {
                // A daemon forks, and its first process ends.
                let hint = match status.success() {
                    true => "; it must stay in the foreground (nginx: -g 'daemon off;')",
                    false => "",
                };
                let why =
                    format!("the server ended before it listened on {place} ({status}){hint}");
                return Some(Err(RunError::Failed(why)));
            }
            if context.is_interrupted() {
                return Some(Err(RunError::Interrupted));
            }
            ready(self).map(Ok)
        });
        let seconds = START_TIMEOUT.as_secs();
        let late = || format!("the server did not listen on {place} within {seconds} seconds");
        let result = result.unwrap_or_else(|| Err(RunError::Failed(late())));
        result.map_err(|error| match error {
            RunError::Failed(why) => RunError::Failed(why + &self.messages()),
            RunError::Interrupted => error,
        })
    }

    /// Stops a server: sends SIGTERM, and waits for the end, even if the run is interrupted. Then a
    /// model of this program must exit with code 0. Other servers may also end by SIGTERM or with
    /// another code: that of lighttpd is 1 if a connection is open.
    pub fn stop(mut self, is_model: bool) -> Result<(), String> {
        let failure = if let Some(status) = self.status() {
            format!("the server ended before it was stopped ({status})")
        } else {
            for signal in [Signal::CONT, Signal::TERM] {
                // If it has ended meanwhile, its status shows that.
                let _ = kill_process(Pid::from_child(&self.child), signal);
            }
            let has_crashed = |status: ExitStatus| {
                let signal = status.signal();
                signal.is_some_and(|signal| signal != Signal::TERM.as_raw())
            };
            match self.wait(STOP_TIMEOUT) {
                Some(status) if status.success() => return Ok(()),
                Some(status) if !is_model && !has_crashed(status) => return Ok(()),
                Some(status) => format!("the server ended with {status}"),
                None => format!(
                    "the server did not end within {} seconds of SIGTERM, and was killed",
                    STOP_TIMEOUT.as_secs()
                ),
            }
        };
        Err(failure + &self.messages())
    }

    /// What it has printed.
    pub fn output(&self) -> Vec<u8> {
        let output = self.output.as_ref();
        output.map_or_else(Vec::new, |output| contents(output, usize::MAX))
    }

    /// The beginning of its messages, for an error: empty, or `; it printed: ...`. Without control
    /// characters, which would act on a terminal.
    pub fn messages(&self) -> String {
        let bytes = contents(&self.messages, MAX_SHOWN);
        let text = String::from_utf8_lossy(&bytes);
        match text.trim().replace(char::is_control, " ") {
            text if text.is_empty() => text,
            text => format!("; it printed: {text}"),
        }
    }
}

impl Drop for Process {
    /// Also ends what the process has started and left behind, unless that has a new group.
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Calls `look` now and then until it has a result. `None` after the timeout.
fn poll<T>(timeout: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Now::read().instant;
    loop {
        let found = look();
        if found.is_some() || Now::read().instant.saturating_duration_since(start) > timeout {
            return found;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// At most `most` bytes of a file to which a process writes; its position is that of the process,
/// and stays.
fn contents(file: &File, most: usize) -> Vec<u8> {
    let read = || -> io::Result<Vec<u8>> {
        let length = usize::try_from(file.metadata()?.len())
            .unwrap_or(0)
            .min(most);
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    };
    read().unwrap_or_default()
}

/// Starts a server that will listen on this address, pinned to the CPU of the server, and waits
/// until it listens. The connection that checks this sends nothing, and comes before everything
/// that is counted.
pub fn serve(
    context: &RunContext,
    words: &[String],
    address: SocketAddr,
) -> Result<Process, RunError> {
    let mut process = Process::start(context, words, context.cpus.map(|cpus| cpus.server), false)?;
    let ready = |_: &Process| is_listening(address).then_some(());
    process.wait_until_ready(context, &address.to_string(), ready)?;
    Ok(process)
}

/// Whether a server listens there: a connection to itself does not count.
fn is_listening(address: SocketAddr) -> bool {
    match TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        Ok(stream) => stream.local_addr().ok() != stream.peer_addr().ok(),
        Err(_) => false,
    }
}

/// Runs the load generator.
pub fn generate(context: &RunContext, load: &Load) -> Result<Outcome, RunError> {
    let text = serde_json::to_vec(load).map_err(|error| format!("the load: {error}"))?;
    let words = [&context.program, "bench", "generate"].map(str::to_owned);
    let mut process = Process::start(context, &words, None, true)?;
    process.tell(&text);
    let time = load.warm_up + load.measure + load.drain;
    let timeout = Duration::from_nanos(time) + GENERATOR_TIMEOUT;
    let ended = poll(timeout, || match process.status() {
        None if context.is_interrupted() => Some(Err(RunError::Interrupted)),
        status => status.map(Ok),
    });
    let failure = match ended.transpose()? {
        Some(status) if status.success() => {
            let outcome = serde_json::from_slice(&process.output());
            return Ok(outcome.map_err(|error| format!("the generator's outcome: {error}"))?);
        }
        Some(status) => format!("the generator ended with {status}"),
        None => format!(
            "the generator did not end within {:.0} seconds, and was killed",
            timeout.as_secs_f64()
        ),
    };
    Err(RunError::Failed(failure + &process.messages()))
}
