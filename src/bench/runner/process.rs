//! Starts and stops processes: servers, and the load generator.

use super::{RunContext, RunError, ScratchFile};
use crate::bench::platform;
use crate::bench::types::{Load, Outcome};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::File;
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
        let output = create(&messages)?;
        // A group of its own: Ctrl-C reaches this program only, which then ends the other.
        command.stderr(output).process_group(0);
        platform::end_with_this_thread(command);
        let child = spawn(context, command, cpu).map_err(|error| {
            let program = command.get_program().to_string_lossy().into_owned();
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

    /// Waits until it ends; `None` after the timeout.
    pub fn wait(
        &mut self,
        context: &RunContext,
        timeout: Duration,
    ) -> Result<Option<ExitStatus>, RunError> {
        let start = context.seconds();
        loop {
            if let Some(status) = self.status() {
                return Ok(Some(status));
            }
            if context.seconds() - start > timeout.as_secs_f64() {
                return Ok(None);
            }
            context.sleep(POLL_INTERVAL)?;
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        // If it has ended, its status shows that.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// The beginning of its messages, for an error: empty, or `; it printed: ...`. Without control
    /// characters, which would act on a terminal.
    pub fn messages(&self) -> String {
        let bytes = std::fs::read(&*self.messages).unwrap_or_default();
        let bytes = bytes.get(..MAX_SHOWN).unwrap_or(&bytes);
        let text = String::from_utf8_lossy(bytes);
        let text: String = (text.trim().chars())
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        match text.is_empty() {
            true => String::new(),
            false => format!("; it printed: {text}"),
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
    /// waits until it listens. A model of this program must exit with code 0. Other servers may
    /// also end by SIGTERM or with another code: that of lighttpd is 1 if a connection is open.
    ///
    /// The connection that checks whether it listens sends nothing, and comes before everything
    /// that is counted.
    pub fn start(
        context: &RunContext,
        words: &[String],
        port: u16,
        is_model: bool,
    ) -> Result<Self, RunError> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(RunError::Failed("the command is empty".to_owned()));
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let cpu = context.cpus.map(|cpus| cpus.server);
        let mut server = Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            process: Process::start(context, &mut command, cpu)?,
            is_model,
        };
        server.wait_until_it_listens(context)?;
        Ok(server)
    }

    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    fn wait_until_it_listens(&mut self, context: &RunContext) -> Result<(), RunError> {
        let (start, address) = (context.seconds(), self.address);
        loop {
            if let Some(status) = self.process.status() {
                // A daemon forks, and its first process ends.
                let hint = match status.success() {
                    true => "; it must stay in the foreground (nginx: -g 'daemon off;')",
                    false => "",
                };
                let messages = self.process.messages();
                return Err(RunError::Failed(format!(
                    "the server ended before it listened on {address} ({status}){hint}{messages}"
                )));
            }
            if is_listening(address) {
                return Ok(());
            }
            if context.seconds() - start > START_TIMEOUT.as_secs_f64() {
                return Err(RunError::Failed(format!(
                    "the server did not listen on {address} within {} seconds{}",
                    START_TIMEOUT.as_secs(),
                    self.process.messages()
                )));
            }
            context.sleep(POLL_INTERVAL)?;
        }
    }

    /// Sends SIGTERM, and waits for the end, even if the run is interrupted.
    pub fn stop(mut self, context: &RunContext) -> Result<(), String> {
        if let Some(status) = self.process.status() {
            return Err(format!(
                "the server ended before it was stopped ({status}){}",
                self.process.messages()
            ));
        }
        self.process.signal(Signal::CONT);
        self.process.signal(Signal::TERM);
        let start = context.seconds();
        while context.seconds() - start < STOP_TIMEOUT.as_secs_f64() {
            if let Some(status) = self.process.status() {
                let term = Signal::TERM.as_raw();
                let has_crashed = status.signal().is_some_and(|signal| signal != term);
                if status.success() || !self.is_model && !has_crashed {
                    return Ok(());
                }
                return Err(format!(
                    "the server ended with {status}{}",
                    self.process.messages()
                ));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Err(format!(
            "the server did not end within {} seconds of SIGTERM, and was killed{}",
            STOP_TIMEOUT.as_secs(),
            self.process.messages()
        ))
    }
}

/// Whether a server listens there: a connection to itself does not count.
fn is_listening(address: SocketAddr) -> bool {
    match TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        Ok(stream) => stream.local_addr().ok() != stream.peer_addr().ok(),
        Err(_) => false,
    }
}

/// Runs the load generator. Load and outcome are files, so that there is no pipe to read and write
/// at the same time.
pub fn generate(context: &RunContext, load: &Load) -> Result<Outcome, RunError> {
    let (input, output) = (context.file("load"), context.file("outcome"));
    let text = serde_json::to_vec(load).map_err(|error| format!("the load: {error}"))?;
    std::fs::write(&*input, text)
        .map_err(|error| format!("cannot write {}: {error}", input.display()))?;
    let read = File::open(&*input);
    let read = read.map_err(|error| format!("cannot open {}: {error}", input.display()))?;
    let mut command = Command::new(&context.program);
    command
        .args(["bench", "generate"])
        .stdin(read)
        .stdout(create(&output)?);
    let mut process = Process::start(context, &mut command, None)?;
    let time = load.warm_up.saturating_add(load.measure);
    let time = Duration::from_nanos(time.saturating_add(load.drain));
    let timeout = time + GENERATOR_TIMEOUT;
    let failure = match process.wait(context, timeout)? {
        Some(status) if status.success() => {
            let text = std::fs::read(&*output)
                .map_err(|error| format!("cannot read {}: {error}", output.display()))?;
            let outcome = serde_json::from_slice(&text);
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

fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| format!("cannot create {}: {error}", path.display()))
}
