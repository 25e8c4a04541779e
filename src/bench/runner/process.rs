//! Starts and stops processes: servers, and the load generator.

use super::{RunContext, RunError, ScratchFile};
use crate::bench::platform;
use crate::bench::types::{Load, Outcome};
use crate::clock::Now;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
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
    messages: ScratchFile,
    has_ended: bool,
}

impl Process {
    /// Starts a program, with its standard error in a file; with a CPU, pinned to it.
    pub fn start(
        context: &RunContext,
        command: &mut Command,
        cpu: Option<usize>,
    ) -> Result<Self, RunError> {
        let messages = context.file("stderr");
        // A group of its own: Ctrl-C reaches this program only, which then ends the other.
        command.stderr(create(&messages)?).process_group(0);
        platform::end_with_this_thread(command);
        let child = spawn(context, command, cpu).map_err(|error| {
            let program = command.get_program().to_string_lossy();
            format!("cannot start {program}: {error}")
        })?;
        Ok(Self {
            child,
            messages,
            has_ended: false,
        })
    }

    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Closes its standard input.
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Its exit status, if it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten();
        self.has_ended |= status.is_some();
        status
    }

    /// Waits until it ends. `None` after the timeout, and if `goes_on` returns false.
    pub fn wait(&mut self, timeout: Duration, goes_on: impl Fn() -> bool) -> Option<ExitStatus> {
        let start = Now::read().instant;
        loop {
            let status = self.status();
            let is_late = Now::read().instant.saturating_duration_since(start) > timeout;
            if status.is_some() || is_late || !goes_on() {
                return status;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits until a starting server is ready: `ready` has a result. `place` is where it listens.
    pub fn wait_until_ready<T>(
        &mut self,
        context: &RunContext,
        place: &str,
        ready: impl Fn() -> Option<T>,
    ) -> Result<T, RunError> {
        let start = context.seconds();
        loop {
            if let Some(status) = self.status() {
                // A daemon forks, and its first process ends.
                let hint = match status.success() {
                    true => "; it must stay in the foreground (nginx: -g 'daemon off;')",
                    false => "",
                };
                let messages = self.messages();
                return Err(RunError::Failed(format!(
                    "the server ended before it listened on {place} ({status}){hint}{messages}"
                )));
            }
            if let Some(result) = ready() {
                return Ok(result);
            }
            if context.seconds() - start > START_TIMEOUT.as_secs_f64() {
                return Err(RunError::Failed(format!(
                    "the server did not listen on {place} within {} seconds{}",
                    START_TIMEOUT.as_secs(),
                    self.messages()
                )));
            }
            context.sleep(POLL_INTERVAL)?;
        }
    }

    /// The beginning of its messages, for an error: empty, or `; it printed: ...`. Without control
    /// characters, which would act on a terminal.
    pub fn messages(&self) -> String {
        let bytes = std::fs::read(&*self.messages).unwrap_or_default();
        let bytes = bytes.get(..MAX_SHOWN).unwrap_or(&bytes);
        let text = String::from_utf8_lossy(bytes);
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
        if !self.has_ended {
            let _ = self.child.wait();
        }
    }
}

/// Starts a process, which inherits the affinity of this thread.
fn spawn(
    context: &RunContext,
    command: &mut Command,
    cpu: Option<usize>,
) -> std::io::Result<Child> {
    let (Some(cpu), Some(cpus)) = (cpu, context.cpus) else {
        return command.spawn();
    };
    platform::pin_to(&[cpu])?;
    let child = command.spawn();
    platform::pin_to(&[cpus.generator])?;
    child
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    process: Process,
    is_model: bool,
}

impl Server {
    /// Starts a server that will listen on 127.0.0.1:`port`, pinned to the CPU of the server, and
    /// waits until it listens. The connection that checks this sends nothing, and comes before
    /// everything that is counted.
    pub fn start(
        context: &RunContext,
        words: &[String],
        port: u16,
        is_model: bool,
    ) -> Result<Self, RunError> {
        let (program, arguments) = words
            .split_first()
            .ok_or("the command is empty".to_owned())?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut process =
            Process::start(context, &mut command, context.cpus.map(|cpus| cpus.server))?;
        process.wait_until_ready(context, &address.to_string(), || {
            is_listening(address).then_some(())
        })?;
        Ok(Self {
            address,
            process,
            is_model,
        })
    }

    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends SIGTERM, and waits for the end, even if the run is interrupted. A model of this
    /// program must then exit with code 0. Other servers may also end by SIGTERM or with another
    /// code: that of lighttpd is 1 if a connection is open.
    pub fn stop(mut self) -> Result<(), String> {
        if let Some(status) = self.process.status() {
            let messages = self.process.messages();
            return Err(format!(
                "the server ended before it was stopped ({status}){messages}"
            ));
        }
        for signal in [Signal::CONT, Signal::TERM] {
            // If it has ended meanwhile, its status shows that.
            let _ = kill_process(Pid::from_child(&self.process.child), signal);
        }
        let status = self.process.wait(STOP_TIMEOUT, || true);
        let messages = self.process.messages();
        let Some(status) = status else {
            return Err(format!(
                "the server did not end within {} seconds of SIGTERM, and was killed{messages}",
                STOP_TIMEOUT.as_secs()
            ));
        };
        let has_crashed = status
            .signal()
            .is_some_and(|signal| signal != Signal::TERM.as_raw());
        match status.success() || !self.is_model && !has_crashed {
            true => Ok(()),
            false => Err(format!("the server ended with {status}{messages}")),
        }
    }
}

/// Whether a server listens there: a connection to itself does not count.
fn is_listening(address: SocketAddr) -> bool {
    match TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        Ok(stream) => stream.local_addr().ok() != stream.peer_addr().ok(),
        Err(_) => false,
    }
}

/// Runs the load generator. The outcome is a file, because it may be longer than a pipe holds.
pub fn generate(context: &RunContext, load: &Load) -> Result<Outcome, RunError> {
    let output = context.file("outcome");
    let text = serde_json::to_vec(load).map_err(|error| format!("the load: {error}"))?;
    let mut command = Command::new(&context.program);
    command
        .args(["bench", "generate"])
        .stdin(Stdio::piped())
        .stdout(create(&output)?);
    let mut process = Process::start(context, &mut command, None)?;
    if let Some(mut stdin) = process.child.stdin.take() {
        // If it does not read this, it has ended, and its status shows that.
        let _ = stdin.write_all(&text);
    }
    let time = load
        .warm_up
        .saturating_add(load.measure)
        .saturating_add(load.drain);
    let timeout = Duration::from_nanos(time) + GENERATOR_TIMEOUT;
    let status = process.wait(timeout, || !context.is_interrupted());
    let failure = match status {
        Some(status) if status.success() => {
            let text = std::fs::read(&*output).map_err(|error| error.to_string());
            let outcome = text
                .and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
            return Ok(outcome.map_err(|error| format!("the generator's outcome: {error}"))?);
        }
        None if context.is_interrupted() => return Err(RunError::Interrupted),
        Some(status) => format!("the generator ended with {status}"),
        None => format!(
            "the generator did not end within {:.0} seconds, and was killed",
            timeout.as_secs_f64()
        ),
    };
    Err(RunError::Failed(failure + &process.messages()))
}

/// Creates a file.
pub fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| format!("cannot create {}: {error}", path.display()))
}
