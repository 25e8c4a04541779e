//! One connection with two requests, and the system calls that the server makes for it.

use super::call::Call;
use super::strace::Reader;
use super::traced;
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The page that is requested.
const PAGE: &[u8] = b"0123456789";
const REQUEST: &[u8] = b"GET /page HTTP/1.1\r\nHost: oneloop\r\n\r\n";

/// The server has done what a client's act makes it do when nothing has been written about it for
/// this time, and all of its threads sleep.
const QUIET: Duration = Duration::from_millis(150);
/// The most such times to wait for one act.
const MOST_WAITS: u32 = 100;
/// A file that was written at least this long ago is cached.
const RACY: Duration = Duration::from_secs(3);
/// How long the client waits for a response.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What the client does, and the calls that returned after it and before the next act.
#[derive(Debug)]
pub struct Phase {
    /// The act.
    pub name: &'static str,
    /// A short name for it.
    pub short: &'static str,
    /// The calls, in the order in which they returned.
    pub calls: Vec<Call>,
}

/// What observes the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observer {
    /// Every system call.
    Strace,
    /// `--trace`: what the server says itself.
    Trace,
}

/// Whether strace is installed and may trace.
pub fn has_strace() -> bool {
    let program = env::current_exe();
    let status = program.and_then(|program| {
        Command::new("strace")
            .args(["-qq", "-o", "/dev/null"])
            .arg(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
    });
    status.is_ok_and(|status| status.success())
}

/// A server, which is killed when this is dropped.
pub struct Server {
    child: Child,
    address: SocketAddr,
    model: &'static str,
    observer: Observer,
    /// The file that the observer writes.
    output: PathBuf,
}

impl Server {
    /// Starts a server of this model, at a port that is free. It does not inherit its listener,
    /// because that would keep the timeouts that it has.
    ///
    /// # Errors
    /// The system has no process, no port or no strace for it.
    pub fn start(
        model: &'static str,
        directory: &Directory,
        observer: Observer,
    ) -> io::Result<Self> {
        let output = directory.path.join(format!("{model}.{observer:?}"));
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let program = env::current_exe()?;
        let mut command = match observer {
            // strace detaches (-D), so the child is the server itself.
            Observer::Strace => {
                let mut command = Command::new("strace");
                let options = "-D -f -yy -T -q -s 8 -e signal=none -o";
                command.args(options.split(' ')).arg(&output).arg(program);
                command
            }
            Observer::Trace => {
                let mut command = Command::new(program);
                command.args(["--trace-format", "json", "--trace"]);
                command.arg(&output);
                command
            }
        };
        if model == "prefork" {
            command.env("ONELOOP_WORKERS", "1");
        }
        let child = command
            .args(["--quiet", "--no-defer-accept", "--model", model])
            .arg(format!("--bind={address}"))
            .arg(directory.path.join("site"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Self {
            child,
            address,
            model,
            observer,
            output,
        })
    }

    /// Plays the session, and stops the server.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn play(mut self) -> Result<Vec<Phase>, String> {
        let lines = Lines {
            path: &self.output,
            server: self.child.id(),
            count: 0,
            model: self.model,
            observer: self.observer,
            strace: Reader::default(),
        };
        let phases = play(self.address, lines);
        if phases.is_err() {
            let _ = self.child.kill();
        }
        let messages = self.stop();
        phases.map_err(|error| format!("model {}: {error}\n{messages}", self.model))
    }

    /// Returns what was written to standard error.
    fn stop(&mut self) -> String {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It fails if the process has ended.
            let _ = kill_process(pid, Signal::TERM);
        }
        let mut messages = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut messages);
        }
        let _ = self.child.wait();
        messages
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It fails if the process was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays the session, after one that waits until the server serves and fills its caches.
fn play(address: SocketAddr, mut lines: Lines<'_>) -> Result<Vec<Phase>, String> {
    let mut first = connect_when_it_listens(address)?;
    request(&mut first)?;
    drop(first);
    lines.new_calls()?;
    let mut phases = Vec::new();
    let mut phase = |short, name, lines: &mut Lines<'_>| -> Result<(), String> {
        let calls = lines.new_calls()?;
        phases.push(Phase { name, short, calls });
        Ok(())
    };
    let mut stream = connect(address)?;
    phase("connect", "a client connects", &mut lines)?;
    let keeps_open = request(&mut stream)?;
    phase("request", "it sends a request", &mut lines)?;
    if keeps_open {
        request(&mut stream)?;
        phase("next request", "it sends another request", &mut lines)?;
    }
    drop(stream);
    phase("close", "it closes the connection", &mut lines)?;
    Ok(phases)
}

fn connect_when_it_listens(address: SocketAddr) -> Result<TcpStream, String> {
    for _ in 0..MOST_WAITS {
        if let Ok(stream) = connect(address) {
            return Ok(stream);
        }
        thread::sleep(QUIET);
    }
    connect(address)
}

fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let failed = |error| format!("cannot connect to the server: {error}");
    let stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
    Ok(stream)
}

/// Sends a request and reads the response. Returns whether the server keeps the connection open.
fn request(stream: &mut TcpStream) -> Result<bool, String> {
    let failed = |error| format!("the server does not answer: {error}");
    stream.write_all(REQUEST).map_err(failed)?;
    let mut response = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).map_err(failed)?;
        response.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if count == 0 {
            return Ok(false);
        }
        if response.ends_with(PAGE) {
            return Ok(true);
        }
    }
}

/// What has been written about the server, read bit by bit.
struct Lines<'p> {
    path: &'p Path,
    /// The process.
    server: u32,
    /// The lines that have been read.
    count: usize,
    model: &'static str,
    observer: Observer,
    strace: Reader,
}

impl Lines<'_> {
    /// Waits until the server is quiet. Returns the calls that have returned since the last time.
    fn new_calls(&mut self) -> Result<Vec<Call>, String> {
        let mut size = None;
        for _ in 0..MOST_WAITS {
            thread::sleep(QUIET);
            let length = fs::metadata(self.path).map(|file| file.len()).ok();
            if length.is_some() && length == size && is_asleep(self.server) {
                break;
            }
            size = length;
        }
        let text = fs::read_to_string(self.path).map_err(|error| format!("no trace: {error}"))?;
        // The last line is not complete while its call runs.
        let complete = text.rfind('\n').and_then(|end| text.get(..end));
        let all: Vec<_> = complete.unwrap_or_default().lines().collect();
        let new = all.get(self.count..).unwrap_or_default();
        self.count = all.len();
        match self.observer {
            Observer::Trace => traced::read(new, self.model),
            Observer::Strace => {
                let calls = new.iter().filter_map(|line| self.strace.read(line));
                Ok(calls.collect())
            }
        }
    }
}

/// Whether all threads of a process and of its children sleep (proc_pid_stat(5)). On a busy machine
/// a thread may be ready to run for long. Without /proc they are taken to sleep.
fn is_asleep(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    threads.into_iter().flatten().flatten().all(|thread| {
        let read = |name| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        let (stat, children) = (read("stat"), read("children"));
        // The state follows the name, which may contain anything.
        let is_ready = |(_, rest): (&str, &str)| !rest.starts_with(" S");
        let mut children = children.split_whitespace().map(str::parse);
        !stat.rsplit_once(')').is_some_and(is_ready)
            && children.all(|child| child.is_ok_and(is_asleep))
    })
}

/// A temporary directory with the site and the traces, removed at the end.
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Creates it, and waits until the server would cache the page.
    ///
    /// # Errors
    /// The directory for temporary files takes no more.
    pub fn create() -> io::Result<Self> {
        let name = format!("oneloop-syscalls-{}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir(&path)?;
        let directory = Self { path };
        fs::create_dir(directory.path.join("site"))?;
        fs::write(directory.path.join("site/page"), PAGE)?;
        // The server caches no file that has just changed.
        thread::sleep(RACY);
        Ok(directory)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
