//! The server of a lab as a process of its own.

use crate::clock::Now;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// A server that uses less of the processor in [`OBSERVED`] is asleep.
const IDLE: Duration = Duration::from_millis(150);
/// A server that goes to sleep more often than this in [`OBSERVED`] is woken without a reason. One
/// that has no descriptor left looks ten times a second whether there is one again.
const WAKEUPS: u64 = 100;
/// For how long a server is observed that has nothing to do.
const OBSERVED: Duration = Duration::from_secs(2);

/// A running server. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts `program` on a free port of the loopback interface. With `descriptors` it may have
    /// only this many. Its messages go to `log`.
    ///
    /// # Errors
    /// It does not start, or does not say where it listens.
    pub fn start(
        program: &Path,
        site: &Path,
        options: &[&str],
        descriptors: Option<u32>,
        log: &Path,
    ) -> io::Result<Self> {
        let mut command = match descriptors {
            None => Command::new(program),
            Some(max_descriptors) => {
                let mut shell = Command::new("sh");
                let script = format!("ulimit -n {max_descriptors}; exec \"$@\"");
                shell.args(["-c", &script, "sh"]).arg(program);
                shell
            }
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ONELOOP_") {
                command.env_remove(name);
            }
        }
        let child = command
            .args(["--port", "0", "--log-file", "/dev/null"])
            .args(options)
            .arg(site)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log)?)
            .spawn()?;
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        server.address = server.wait_for_address(log)?;
        Ok(server)
    }

    fn wait_for_address(&mut self, log: &Path) -> io::Result<SocketAddr> {
        let start = Now::read().instant;
        loop {
            let messages = fs::read_to_string(log)?;
            let url = messages.split_once("http://").and_then(|(_, rest)| {
                let (address, _) = rest.split_once('/')?;
                address.parse().ok()
            });
            if let Some(address) = url {
                return Ok(address);
            }
            let has_ended = self.child.try_wait()?.is_some();
            if has_ended || Now::read().instant - start > START {
                let why = format!("the server does not start. It says:\n{messages}");
                return Err(io::Error::other(why));
            }
            thread::sleep(LOOK);
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// Those of kill(2).
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(self.pid(), signal)?)
    }

    /// Stops the process (SIGSTOP), so that several things can happen before it looks at any.
    ///
    /// # Errors
    /// Those of kill(2) and waitpid(2).
    pub fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        // Returns when it has stopped. The child is not reaped by that.
        waitpid(Some(self.pid()), WaitOptions::UNTRACED)?;
        Ok(())
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// Those of kill(2).
    pub fn thaw(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// What it does in two seconds in which it has nothing to do: `asleep` if that is nothing.
    ///
    /// # Errors
    /// The system has no /proc.
    pub fn activity(&self) -> io::Result<String> {
        let before = self.usage()?;
        thread::sleep(OBSERVED);
        let after = self.usage()?;
        let time = after.time.saturating_sub(before.time);
        let wakeups = after.wakeups.saturating_sub(before.wakeups);
        let (time, period) = (time.as_secs_f64(), OBSERVED.as_secs());
        Ok(if time > IDLE.as_secs_f64() {
            format!("busy: {time:.2} s of processor time in {period} s")
        } else if wakeups > WAKEUPS {
            format!("woken {wakeups} times in {period} s")
        } else {
            "asleep".to_owned()
        })
    }

    fn usage(&self) -> io::Result<Usage> {
        let read = |name: &str| {
            let path = PathBuf::from(format!("/proc/{}/{name}", self.child.id()));
            fs::read_to_string(&path).map_err(|error| {
                let path = path.display();
                io::Error::other(format!(
                    "{path}: {error} (this lab needs the /proc of Linux)"
                ))
            })
        };
        // proc_pid_stat(5): utime and stime are the fields 14 and 15; the second may have spaces.
        let stat = read("stat")?;
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        let status = read("status")?;
        let wakeups = status.lines().find_map(|line| {
            let count = line.strip_prefix("voluntary_ctxt_switches:")?;
            count.trim().parse().ok()
        });
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Usage {
            time: Duration::from_secs_f64(ticks as f64 / per_second as f64),
            wakeups: wakeups.unwrap_or_default(),
        })
    }

    /// Waits until it has ended, but no longer than `most`.
    ///
    /// # Errors
    /// Those of waitpid(2).
    pub fn wait(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        let start = Now::read().instant;
        loop {
            let status = self.child.try_wait()?;
            if status.is_some() || Now::read().instant - start > timeout {
                return Ok(status);
            }
            thread::sleep(LOOK);
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has used.
struct Usage {
    /// Processor time.
    time: Duration,
    /// How often its first thread, which is the loop, went to sleep.
    wakeups: u64,
}
