//! Room `bench`: how does a fresh server come to run, and how does it end?

use super::run_context::{RunContext, Trouble};
use crate::bench::platform;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to end after SIGTERM.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often is looked.
const GLANCE: Duration = Duration::from_millis(2);
/// Bytes of what a server has said that are shown.
const SHOWN: usize = 2000;

/// A server that runs. Who drops it without having stopped it kills it, and all that it has
/// started.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    said: PathBuf,
    is_ours: bool,
    is_over: bool,
}

impl Server {
    /// Starts a program that is to listen on 127.0.0.1:`port`, on the server's processor, and waits
    /// until it does.
    ///
    /// The connection by which that is found out asks for nothing, and comes before all that is
    /// counted.
    ///
    /// # Errors
    /// If it cannot be started, ends, or does not listen in time; with what it has said.
    pub fn start(lab: &RunContext, words: &[String], port: u16) -> Result<Self, Trouble> {
        let Some((program, rest)) = words.split_first() else {
            return Err(Trouble::Failed("there is no command to start".to_owned()));
        };
        let said = lab.file("said");
        let told = |error: std::io::Error| format!("cannot write {}: {error}", said.display());
        let output = File::create(&said).map_err(told)?;
        let mut command = Command::new(program);
        command
            .args(rest)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            // Ctrl-C is for us; we end the server.
            .process_group(0);
        let child =
            spawn(lab, &mut command).map_err(|error| format!("cannot start {program}: {error}"))?;
        let mut server = Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            child,
            said,
            is_ours: false,
            is_over: false,
        };
        server.wait_until_it_listens(lab)?;
        Ok(server)
    }

    /// One of our models, which must end with exit code 0.
    pub fn ours(mut self) -> Self {
        self.is_ours = true;
        self
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_it_listens(&mut self, lab: &RunContext) -> Result<(), Trouble> {
        let begun = lab.seconds();
        loop {
            if let Some(status) = self.ended() {
                return Err(Trouble::Failed(format!(
                    "it ended before it listened on {} ({status}){}{}",
                    self.address,
                    hint(status),
                    self.words()
                )));
            }
            if listens(self.address) {
                return Ok(());
            }
            if lab.seconds() - begun > PATIENCE.as_secs_f64() {
                return Err(Trouble::Failed(format!(
                    "it did not listen on {} within {} seconds{}",
                    self.address,
                    PATIENCE.as_secs(),
                    self.words()
                )));
            }
            lab.rest(GLANCE)?;
        }
    }

    /// Whether it has ended, and how.
    fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten();
        self.is_over |= status.is_some();
        status
    }

    /// Asks it to end, and waits for that.
    ///
    /// # Errors
    /// If it had ended before, did not end as asked, or not in time; then it was killed.
    pub fn stop(mut self, lab: &RunContext) -> Result<(), String> {
        if let Some(status) = self.ended() {
            return Err(format!(
                "the server ended by itself ({status}){}",
                self.words()
            ));
        }
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let begun = lab.seconds();
        while lab.seconds() - begun < FAREWELL.as_secs_f64() {
            if let Some(status) = self.ended() {
                // One of our models stops when it is told to; others may just as well end by it.
                let as_told = status.success()
                    || !self.is_ours && status.signal() == Some(Signal::TERM.as_raw());
                return if as_told {
                    Ok(())
                } else {
                    Err(format!(
                        "the server did not end cleanly ({status}){}",
                        self.words()
                    ))
                };
            }
            std::thread::sleep(GLANCE);
        }
        Err(format!(
            "the server did not end within {} seconds of SIGTERM, and was killed{}",
            FAREWELL.as_secs(),
            self.words()
        ))
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = pid(&self.child) {
            // It may have ended by itself, which is seen next.
            let _ = kill_process(process, signal);
        }
    }

    /// What it has said, for an error that is shown.
    fn words(&self) -> String {
        match shown(&self.said) {
            Some(text) => format!("; it said: {text}"),
            None => String::new(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.is_over {
            if let Some(process) = pid(&self.child) {
                let _ = kill_process_group(process, Signal::KILL);
            }
            let _ = self.child.wait();
        }
        // The folder is removed with all that is in it; a long run should not fill it until then.
        let _ = std::fs::remove_file(&self.said);
    }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// A program that has gone into the background has ended, for us.
fn hint(status: ExitStatus) -> &'static str {
    if status.success() {
        "; it must stay in the foreground (nginx: -g 'daemon off;')"
    } else {
        ""
    }
}

/// A child inherits the processors of the thread that starts it.
fn spawn(lab: &RunContext, command: &mut Command) -> std::io::Result<Child> {
    let Some(processors) = lab.processors else {
        return command.spawn();
    };
    platform::pin_to(&[processors.server])?;
    let child = command.spawn();
    platform::pin_to(&[processors.generator])?;
    child
}

/// Whether somebody else than ourselves answers there.
fn listens(address: SocketAddr) -> bool {
    match TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        Ok(stream) => stream.local_addr().ok() != stream.peer_addr().ok(),
        Err(_) => false,
    }
}

/// The beginning of a file, without what would drive a terminal; nothing if it is empty.
pub fn shown(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let bytes = bytes.get(..SHOWN).unwrap_or(&bytes);
    let text = String::from_utf8_lossy(bytes);
    let clean: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    (!clean.is_empty()).then_some(clean)
}
