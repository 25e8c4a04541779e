//! One connection with two requests, and the system calls that the server makes for it.

use super::strace::{Call, Reader};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The page that is requested.
const PAGE: &[u8] = b"0123456789";
const REQUEST: &[u8] = b"GET /page HTTP/1.1\r\nHost: oneloop\r\n\r\n";

/// The server has done what a client's act makes it do when strace has written nothing for this
/// time.
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

/// Runs a server of this model under strace, and plays the session.
///
/// # Errors
/// strace or the server does not start, or does not answer.
pub fn run(model: &str, directory: &Directory) -> Result<Vec<Phase>, String> {
    let (mut server, address) = start(model, directory).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "strace is not installed, or not in PATH".to_owned(),
        _ => format!("cannot start the server under strace: {error}"),
    })?;
    let phases = play(address, &directory.strace(model));
    if phases.is_err() {
        let _ = server.child.kill();
    }
    let said = server.end();
    phases.map_err(|error| format!("model {}: {error}\n{said}", model))
}

/// The server, which ends with this value.
struct Server {
    child: Child,
}

impl Server {
    /// Stops it. Returns what it and strace have written to standard error.
    fn end(mut self) -> String {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It fails if the process has ended.
            let _ = kill_process(pid, Signal::TERM);
        }
        let mut said = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut said);
        }
        let _ = self.child.wait();
        said
    }
}

/// strace detaches (-D), so the child is the server itself. It inherits a listening socket, so its
/// port is known.
fn start(model: &str, directory: &Directory) -> io::Result<(Server, SocketAddr)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    fcntl_setfd(&listener, FdFlags::empty())?;
    let child = Command::new("strace")
        .args([
            "-D",
            "-f",
            "-yy",
            "-T",
            "-q",
            "-s",
            "8",
            "-e",
            "signal=none",
            "-o",
        ])
        .arg(directory.strace(model))
        .arg(env::current_exe()?)
        .args(["--quiet", "--no-defer-accept", "--model", model])
        .arg(format!("--bind=fd:{}", listener.as_raw_fd()))
        .arg(directory.path.join("site"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok((Server { child }, address))
}

/// Plays the session, after one that waits until the server serves and fills its caches.
fn play(address: SocketAddr, strace: &Path) -> Result<Vec<Phase>, String> {
    let mut lines = Lines {
        path: strace,
        count: 0,
        reader: Reader::default(),
    };
    let mut first = connect(address)?;
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

/// What strace has written, read bit by bit.
struct Lines<'p> {
    path: &'p Path,
    /// The lines that have been read.
    count: usize,
    reader: Reader,
}

impl Lines<'_> {
    /// Waits until the server is quiet. Returns the calls that have returned since the last time.
    fn new_calls(&mut self) -> Result<Vec<Call>, String> {
        let mut size = None;
        for _ in 0..MOST_WAITS {
            thread::sleep(QUIET);
            let length = fs::metadata(self.path).map(|file| file.len()).ok();
            if length.is_some() && length == size {
                break;
            }
            size = length;
        }
        let text = fs::read_to_string(self.path).map_err(|error| format!("no strace: {error}"))?;
        // The last line is not complete while its call runs.
        let complete = text.rfind('\n').and_then(|end| text.get(..end));
        let all: Vec<_> = complete.unwrap_or_default().lines().collect();
        let new = all.get(self.count..).unwrap_or_default();
        self.count = all.len();
        Ok(new
            .iter()
            .filter_map(|line| self.reader.read(line))
            .collect())
    }
}

/// A temporary directory with the site and the file that strace writes, removed at the end.
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

impl Directory {
    fn strace(&self, model: &str) -> PathBuf {
        self.path.join(model)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
