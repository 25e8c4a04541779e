//! Room `bench`: how are other programs asked to measure the same? wrk and ab, where they are
//! installed, and our own server, which all of them measure.

use super::stage::{self, Stage};
use crate::bench::load::{Page, body_hash};
use crate::bench::platform;
use crate::bench::selftest::server::{Manner, page};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::Duration;

/// Bytes of the page that is asked for.
const SIZE: usize = 1024;
/// Lines in which a server may say where it is.
const LINES: usize = 20;

/// Another program that measures a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// wrk: keep-alive.
    Wrk,
    /// ab: a connection for each request.
    Ab,
}

impl Other {
    /// How it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wrk => "wrk",
            Self::Ab => "ab",
        }
    }

    /// Whether it is there.
    pub fn is_installed(self) -> bool {
        let mut command = Command::new(self.name());
        // Both say which they are, and end.
        command.arg("-V").stdin(Stdio::null()).output().is_ok()
    }

    /// Requests a second, as it says.
    ///
    /// # Errors
    /// It does not start, or says no rate.
    pub fn measure(
        self,
        stage: &Stage,
        url: &str,
        connections: u32,
        long: u64,
    ) -> Result<f64, String> {
        let number = connections.to_string();
        let mut command = Command::new(self.name());
        match self {
            // It knows whole seconds only, and says at Ctrl-C what it has found until then.
            Self::Wrk => command.args(["-t1", "-c", &number, "-d", "60s", url]),
            Self::Ab => command.args(["-q", "-n", &requests(long), "-c", &number, url]),
        };
        let output = run(stage, command, (self == Self::Wrk).then_some(long));
        let output = output.map_err(|error| format!("{}: {error}", self.name()))?;
        stage.go_on()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let lost = ["Socket errors:", "Non-2xx", "Failed requests:"];
        let lost = |line: &&str| lost.iter().any(|word| line.trim().starts_with(word));
        if let Some(line) = text.lines().find(lost).filter(|line| !line.ends_with(" 0")) {
            return Err(format!("{}: {}", self.name(), line.trim()));
        }
        rate(&text).ok_or_else(|| format!("{} says no rate ({})", self.name(), output.status))
    }
}

/// About as many requests as that time has, for a program that wants a number.
fn requests(long: u64) -> String {
    // 8 000 a second.
    (long / 125_000).max(100).to_string()
}

/// The rate in what wrk (`Requests/sec: 1`) or ab (`Requests per second: 1 [#/sec]`) prints.
fn rate(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with("Requests"))?;
    let (_, value) = line.split_once(':')?;
    value.split_whitespace().next()?.parse().ok()
}

/// Runs a program on the generator's processor; with `until` it is sent SIGINT after so long.
fn run(stage: &Stage, mut command: Command, until: Option<u64>) -> io::Result<Output> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let child = start(command, stage.processors.map(|(generator, _)| generator))?;
    if let Some(long) = until {
        std::thread::sleep(Duration::from_nanos(long));
        // One that has ended is not there any more, and its status says why.
        let _ = kill_process(Pid::from_child(&child), Signal::INT);
    }
    child.wait_with_output()
}

/// Starts a program on a processor, which it has from the thread that starts it.
fn start(mut command: Command, processor: Option<usize>) -> io::Result<Child> {
    let other = std::thread::spawn(move || {
        if let Some(processor) = processor {
            // Without it the result is less steady, and the same for all.
            let _ = platform::pin_to(&[processor]);
        }
        command.spawn()
    });
    let lost = |_| io::Error::other("the thread that starts it has ended");
    other.join().map_err(lost)?
}

/// A server for all of them.
pub struct Server {
    /// Its page.
    pub page: Page,
    running: Running,
}

enum Running {
    /// Our own.
    Reactor(Reactor),
    /// One with a known answer.
    Oracle(stage::Running),
}

impl Server {
    /// Our own, on its processor.
    ///
    /// # Errors
    /// Its page cannot be written; it does not start.
    pub fn reactor(stage: &Stage) -> Result<Self, String> {
        let body = vec![b'a'; SIZE];
        Ok(Self {
            page: Page {
                path: "/1k.html".to_owned(),
                status: 200,
                length: Some(body.len() as u64),
                hash: Some(body_hash(&body)),
            },
            running: Running::Reactor(Reactor::start(stage, &body)?),
        })
    }

    /// One that answers one request after the other, and takes `each` for it.
    ///
    /// # Errors
    /// It does not start.
    pub fn of_known_speed(stage: &Stage, each: u64) -> Result<Self, String> {
        let manner = Manner::Stall {
            after: 0,
            long: 0,
            each,
        };
        let oracle = stage.oracle(&manner, SIZE, false);
        Ok(Self {
            page: page(SIZE),
            running: Running::Oracle(stage::Running::start(stage, &oracle)?),
        })
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self.running {
            Running::Reactor(_) => "reactor",
            Running::Oracle(_) => "oracle",
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match &self.running {
            Running::Reactor(reactor) => reactor.address,
            Running::Oracle(oracle) => oracle.address,
        }
    }

    /// The address of its page.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address(), self.page.path)
    }
}

/// Our server as a process.
struct Reactor {
    address: SocketAddr,
    child: Child,
    // What it says later has somewhere to go.
    _stderr: BufReader<ChildStderr>,
    folder: PathBuf,
}

impl Reactor {
    fn start(stage: &Stage, body: &[u8]) -> Result<Self, String> {
        let folder = format!("oneloop-selftest-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let written = std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join("1k.html"), body));
        written.map_err(|error| format!("cannot write to {}: {error}", folder.display()))?;
        let mut command = Command::new(&stage.program);
        command
            .args(["--port", "0", "--bind", "127.0.0.1", "--model", "reactor"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = start(command, stage.processors.map(|(_, server)| server));
        let mut child = child.map_err(|error| format!("the server: {error}"))?;
        let stderr = child.stderr.take().ok_or("the server has no output")?;
        let mut stderr = BufReader::new(stderr);
        let address = address(&mut stderr).ok_or("the server does not say where it listens")?;
        Ok(Self {
            address,
            child,
            _stderr: stderr,
            folder,
        })
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Where a server says that it is.
fn address(from: &mut impl BufRead) -> Option<SocketAddr> {
    let mut lines = from.lines().take(LINES);
    lines.find_map(|line| {
        let line = line.ok()?;
        let (_, rest) = line.split_once("http://")?;
        rest.split('/').next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_found_in_what_they_print() {
        let wrk =
            "Running 1m test @ http://x\n  1 threads\nRequests/sec:  81234.56\nTransfer/sec: 1";
        assert_eq!(rate(wrk), Some(81_234.56));
        let ab = "Complete requests:      10\nRequests per second:    25000.10 [#/sec] (mean)\n";
        assert_eq!(rate(ab), Some(25_000.1));
        assert_eq!(rate("wrk: unable to connect"), None);
    }

    #[test]
    fn an_address_is_found_in_what_the_server_prints() {
        let text = "oneloop 0.1.0 serves /x\n\n  http://127.0.0.1:42371/  only this machine\n";
        let mut text = text.as_bytes();
        assert_eq!(address(&mut text), "127.0.0.1:42371".parse().ok());
        assert_eq!(address(&mut &b"no luck"[..]), None);
    }
}
