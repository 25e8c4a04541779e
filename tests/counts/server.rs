//! The real server under a program that counts what it does.

use crate::process::{TIME_LIMIT, eventually, has, skipped};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The counts by name.
pub type Cost = BTreeMap<String, i64>;

/// The names under which [`Tool::Callgrind`] counts.
pub const INSTRUCTIONS: &str = "instructions";
pub const ALLOCATIONS: &str = "allocations";

/// The state of a listening socket in /proc/net/tcp.
const LISTENS: &str = "0A";

/// A program that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// System calls by name, only of the main thread, which is the loop. How often the log's thread
    /// writes depends on time.
    Strace,
    /// Instructions in user space and calls of the allocator, of all threads.
    Callgrind,
}

impl Tool {
    /// The command that counts what the command after it does, and writes the counts to `result`.
    fn command(self, result: &Path) -> Command {
        let (program, options, result_option) = match self {
            // Detached (-D), so that the child process is the server.
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

    /// Whether it is installed and works here. If not, prints so.
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

    /// The counts, when the result is complete.
    fn read(self, result: &str) -> Option<Cost> {
        match self {
            Self::Strace => calls_in(result),
            Self::Callgrind => costs_in(result),
        }
    }
}

/// Parses lines of a name and a number. The last is the total.
fn calls_in(result: &str) -> Option<Cost> {
    let lines = result.lines().filter_map(|line| {
        let (name, number) = line.trim().split_once(' ')?;
        Some((name.to_owned(), number.trim().parse().ok()?))
    });
    let mut counts: Cost = lines.collect();
    // With assertions, std checks before each close(2) that the descriptor is open.
    if cfg!(debug_assertions) {
        counts.remove("fcntl");
    }
    counts.remove("total").map(|_| counts)
}

/// Parses the output of callgrind: `calls=` follows the name of the callee, the total comes last.
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

/// A running server under a [`Tool`].
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
        // With deferred accepts, a stopping server reads /proc/net/tcp, in as many reads as the
        // sockets of this machine need.
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
        // With --quiet it does not print its address.
        eventually("the server listens", || {
            let port = server.ports(|state| state == LISTENS).pop();
            server.address.set_port(port.unwrap_or_default());
            port.is_some()
        });
        server
    }

    /// The address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the server sleeps, so that its next calls do not depend on when the client
    /// sends.
    pub fn wait_until_asleep(&self) {
        self.wait_for(&['S']);
    }

    /// Does `work` while the server is stopped, so that it then finds everything there.
    pub fn frozen<T>(&self, work: impl FnOnce() -> T) -> T {
        self.signal(Signal::STOP);
        // Under strace it may be at the start or end of a system call (t). It does not go on,
        // because the signal comes before its next instruction.
        self.wait_for(&['T', 't']);
        let done = work();
        self.signal(Signal::CONT);
        done
    }

    /// Waits until the connections are closed, stops the server, and returns the counts.
    pub fn finish(mut self) -> Cost {
        eventually("the server has closed all connections", || {
            self.ports(|state| state != LISTENS).is_empty()
        });
        self.wait_until_asleep();
        self.signal(Signal::TERM);
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let mut counts = None;
        eventually("the counts are written", || {
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

    /// Waits until the process has one of these states (the letters of /proc/PID/stat).
    fn wait_for(&self, states: &[char]) {
        let begun = Instant::now();
        loop {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
            let (_, fields) = stat.rsplit_once(") ").unwrap();
            if fields.starts_with(states) {
                return;
            }
            assert!(
                begun.elapsed() < TIME_LIMIT,
                "the server is not in a state of {states:?}"
            );
            thread::sleep(Duration::from_micros(50));
        }
    }

    /// The ports of its TCP sockets in such a state (/proc/net/tcp).
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
