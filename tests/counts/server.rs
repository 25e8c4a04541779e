//! The real server under a program that counts what it does.

use crate::process::{PATIENCE, eventually, has, skipped};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How often each thing was counted, by its name.
pub type Cost = BTreeMap<String, i64>;

/// The names under which [`Tool::Callgrind`] counts.
pub const INSTRUCTIONS: &str = "instructions";
pub const ALLOCATIONS: &str = "allocations";

/// The state of a socket that listens, in /proc/net/tcp.
const LISTENS: &str = "0A";

/// A program that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// System calls by name, of the main thread alone: the loop. When the log's thread writes is
    /// a matter of time.
    Strace,
    /// Instructions in user space, and calls of the allocator, of all threads.
    Callgrind,
}

impl Tool {
    /// The command that counts what the command behind it does, and writes that to `result`.
    fn command(self, result: &Path) -> Command {
        let (program, options, result_option) = match self {
            // Detached (-D), so that the process started here is the server.
            Self::Strace => (
                "strace",
                "-D -q -c -U name,calls -e signal=none",
                "--output=",
            ),
            Self::Callgrind => (
                "valgrind",
                "-q --tool=callgrind --compress-strings=no",
                "--callgrind-out-file=",
            ),
        };
        let mut command = Command::new(program);
        command.args(options.split(' '));
        command.arg(format!("{result_option}{}", result.display()));
        command
    }

    /// Whether it is installed and may do its work here. If not, a line says so.
    pub fn works(self) -> bool {
        let mut command = self.command(Path::new("/dev/null"));
        let program = command.get_program().to_string_lossy().into_owned();
        if !has(&program) {
            return false;
        }
        let works = command.arg("true").stderr(Stdio::null()).status();
        let works = works.is_ok_and(|status| status.success());
        if !works {
            skipped(&format!("{program} does not work here"));
        }
        works
    }

    /// What it has counted, once its result is whole.
    fn read(self, result: &str) -> Option<Cost> {
        match self {
            Self::Strace => calls_in(result),
            Self::Callgrind => costs_in(result),
        }
    }
}

/// Lines of a name and a number; the last is the total.
fn calls_in(result: &str) -> Option<Cost> {
    let lines = result.lines().filter_map(|line| {
        let (name, number) = line.trim().split_once(' ')?;
        Some((name.to_owned(), number.trim().parse().ok()?))
    });
    let mut counts: Cost = lines.collect();
    // With assertions, std asks before each close(2) whether the descriptor is open.
    if cfg!(debug_assertions) {
        counts.remove("fcntl");
    }
    counts.remove("total").map(|_| counts)
}

/// `calls=` follows the name of who is called; the total comes last.
fn costs_in(result: &str) -> Option<Cost> {
    let (before, total) = result.rsplit_once("\ntotals: ")?;
    let mut allocations = 0;
    let mut is_allocator = false;
    for line in before.lines() {
        if let Some(name) = line.strip_prefix("cfn=") {
            is_allocator = matches!(
                name,
                "malloc" | "calloc" | "realloc" | "posix_memalign" | "aligned_alloc"
            );
        } else if let Some(call) = line.strip_prefix("calls=")
            && is_allocator
        {
            let (number, _) = call.split_once(' ')?;
            allocations += number.parse::<i64>().ok()?;
        }
    }
    let instructions = total.trim().parse().ok()?;
    Some(Cost::from([
        (INSTRUCTIONS.to_owned(), instructions),
        (ALLOCATIONS.to_owned(), allocations),
    ]))
}

/// A server that runs and is watched.
pub struct Watched {
    child: Child,
    tool: Tool,
    place: TempDir,
    address: SocketAddr,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watched {
    /// Serves `root` on a free port, with these options.
    pub fn start(tool: Tool, root: &Path, options: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut command = tool.command(&place.path().join("result"));
        // With deferred accepts it reads /proc/net/tcp as it stops, in as many pieces as there are
        // sockets on this machine.
        command
            .arg(env!("CARGO_BIN_EXE_oneloop"))
            .args(["-p", "0", "--no-defer-accept"]);
        command.args(options.split_whitespace()).arg(root);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut server = Self {
            child,
            tool,
            place,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        // Without an access log it says nothing either, not even where it listens.
        eventually("the server listens", || {
            let port = server.ports(|state| state == LISTENS).pop();
            server.address.set_port(port.unwrap_or_default());
            port.is_some()
        });
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has done all there is to do, and sleeps: what it does next does not depend on
    /// when this client sends it.
    pub fn rest(&self) {
        self.wait_for(&['S']);
    }

    /// Does `work` while the server stands still, so that it then finds all of it done.
    pub fn frozen<T>(&self, work: impl FnOnce() -> T) -> T {
        self.signal(Signal::STOP);
        // Under strace it may be seen at the border of a system call: it comes no further, for the
        // signal is before its next instruction.
        self.wait_for(&['T', 't']);
        let done = work();
        self.signal(Signal::CONT);
        done
    }

    /// Stops it, once its connections are closed, and returns what was counted.
    pub fn finish(mut self) -> Cost {
        eventually("the server has closed all connections", || {
            self.ports(|state| state != LISTENS).is_empty()
        });
        self.rest();
        self.signal(Signal::TERM);
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let mut counts = None;
        eventually("all is written that was counted", || {
            let result = fs::read_to_string(self.place.path().join("result"));
            counts = self.tool.read(&result.unwrap_or_default());
            counts.is_some()
        });
        counts.unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for one of these states (the letters are those of /proc/PID/stat).
    fn wait_for(&self, states: &[char]) {
        let begun = Instant::now();
        loop {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
            let (_, fields) = stat.rsplit_once(") ").unwrap();
            if fields.starts_with(states) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{states:?} is not its state");
            thread::sleep(Duration::from_micros(50));
        }
    }

    /// The ports of those of its TCP sockets whose state is such (/proc/net/tcp).
    fn ports(&self, state: impl Fn(&str) -> bool) -> Vec<u16> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let files: Vec<_> = links.collect();
        let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
        let ports = sockets.lines().skip(1).filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let file = PathBuf::from(format!("socket:[{}]", fields[9]));
            let (_, port) = fields[1].split_once(':')?;
            (state(fields[3]) && files.contains(&file))
                .then(|| u16::from_str_radix(port, 16).unwrap())
        });
        ports.collect()
    }
}
