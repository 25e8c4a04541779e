//! The server as a process: started on a directory, observed through the kernel, stopped at the end
//! of the test.
//!
//! [`TIME_LIMIT`] limits every wait. It is far longer than anything takes, so only a server that
//! hangs reaches it.

use rustix::process::{Pid, Signal, kill_process};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The limit on every wait.
pub const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Ticks a second in /proc/PID/stat; Linux shows user space 100 whatever the kernel counts in.
const TICKS: f64 = 100.0;

/// Waits until `is_so`, and fails with `what` if it never is.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < TIME_LIMIT, "this never happened: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A directory with these files in it.
pub fn site(files: &[(&str, &[u8])]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    root
}

/// Whether `program` is installed. If it is not, a line says that the test was skipped.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    if !found {
        skipped(&format!("{program} is not installed"));
    }
    found
}

/// Those of `models` that can run here. If there is no io_uring, a line says that the model is
/// skipped.
pub fn available(models: &[&'static str]) -> Vec<&'static str> {
    let is_available = |model: &&str| *model != "uring" || has_io_uring();
    models.iter().copied().filter(is_available).collect()
}

/// A thread of its own makes the ring: when the kernel has closed a ring, it interrupts the thread
/// that made it, and a read with a timeout would fail with EINTR.
#[cfg(all(target_os = "linux", not(mio_unsupported_force_poll_poll)))]
fn has_io_uring() -> bool {
    static HAS: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        let made = thread::spawn(|| io_uring::IoUring::new(1).map(drop));
        let made = made.join().expect("it does not panic");
        made.inspect_err(|error| skipped(&format!("the model uring: {error}")))
            .is_ok()
    });
    *HAS
}

#[cfg(not(all(target_os = "linux", not(mio_unsupported_force_poll_poll))))]
fn has_io_uring() -> bool {
    skipped("the model uring is only for Linux");
    false
}

/// Prints, although the harness hides the output of passing tests, that a test was skipped.
pub fn skipped(why: &str) {
    use std::io::Write;
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "skipped: {why} ({test})");
}

/// Removes the variables `ONELOOP_...`: only the test decides about options, and those of the tests
/// (`ONELOOP_SIM_SECONDS`) are not options of the server.
pub fn remove_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"ONELOOP_") {
            command.env_remove(name);
        }
    }
}

/// The command that starts the server.
#[derive(Debug)]
pub struct Launch {
    root: PathBuf,
    args: Vec<OsString>,
    before: Vec<String>,
    bind: bool,
    user: Option<u32>,
    stdin: Stdio,
    stdout: Stdio,
}

impl Launch {
    /// On a free port of the loopback interface; its access log is thrown away.
    pub fn of(root: impl AsRef<Path>) -> Self {
        Self {
            root: root.as_ref().to_owned(),
            args: Vec::new(),
            before: Vec::new(),
            bind: true,
            user: None,
            stdin: Stdio::null(),
            stdout: Stdio::null(),
        }
    }

    /// The same, and the configuration file `file` names what is served.
    pub fn configured_by(file: &Path) -> Self {
        Self::of("").arg("--config").arg(file)
    }

    /// More of the command line, divided at blanks.
    pub fn with(mut self, args: &str) -> Self {
        self.args
            .extend(args.split_whitespace().map(OsString::from));
        self
    }

    /// One more argument, whatever is in it.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().into());
        self
    }

    /// Something else than a TCP port of its own: `args` say what.
    pub fn without_port(mut self) -> Self {
        self.bind = false;
        self
    }

    /// A shell command to run in the process that then becomes the server.
    pub fn run_before(mut self, command: &str) -> Self {
        self.before.push(command.to_owned());
        self
    }

    /// Under strace, which writes the calls of the main thread to `trace`. It is detached, so that
    /// the process started here is still the server.
    pub fn traced(mut self, calls: &str, trace: &Path) -> Self {
        self.before.push(format!(
            "exec strace -D -q -e signal=none -e trace={calls} -o '{}' \"$0\" \"$@\"",
            trace.display()
        ));
        self
    }

    /// The same for all threads and processes: strace writes the calls of each to a file of its
    /// own, whose name is `prefix`, a dot and the number of the thread.
    pub fn traced_by_thread(mut self, calls: &str, prefix: &Path) -> Self {
        self.before.push(format!(
            "exec strace -D -q -ff -e signal=none -e trace={calls} -o '{}' \"$0\" \"$@\"",
            prefix.display()
        ));
        self
    }

    /// As another user; only root can do that.
    pub fn user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// What the server gets as standard input.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Where its access log goes.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = stdout.into();
        self
    }

    /// Starts it and waits until it listens.
    #[track_caller]
    pub fn start(self) -> Server {
        let mut server = self.spawn();
        eventually("the server says where it listens", || {
            assert!(server.is_alive(), "it ended: {}", server.diagnostics());
            server.diagnostics().contains("Ctrl-C")
        });
        server
    }

    /// Starts it, expects it to fail, and returns its status and its output.
    #[track_caller]
    pub fn expect_failure(self) -> (ExitStatus, String) {
        let mut server = self.spawn();
        let status = server.wait();
        eventually("all of its standard error is read", || {
            Arc::strong_count(&server.stderr_text) == 1
        });
        (status, server.diagnostics())
    }

    /// Starts it and does not wait.
    pub fn spawn(self) -> Server {
        let mut command = Command::new("sh");
        let mut script = self.before;
        script.push("exec \"$0\" \"$@\"".to_owned());
        command.arg("-c").arg(script.join("; "));
        command.arg(env!("CARGO_BIN_EXE_oneloop"));
        if self.bind {
            command.args(["-p", "0"]);
        }
        command.args(self.args);
        if !self.root.as_os_str().is_empty() {
            command.arg("--").arg(self.root);
        }
        command.stdin(self.stdin).stdout(self.stdout);
        command.stderr(Stdio::piped());
        remove_variables(&mut command);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        let mut child = command.spawn().unwrap();
        let stderr_text = Arc::new(Mutex::new(String::new()));
        let mut stderr = child.stderr.take().unwrap();
        let reader = Arc::clone(&stderr_text);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                reader.lock().unwrap().push_str(&text);
            }
        });
        Server { child, stderr_text }
    }
}

/// A server that runs, until this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    stderr_text: Arc<Mutex<String>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// The address that it printed.
    pub fn address(&self) -> SocketAddr {
        self.address_of("http")
    }

    /// The first address that it printed with this scheme.
    pub fn address_of(&self, scheme: &str) -> SocketAddr {
        let stderr_text = self.diagnostics();
        let (_, after) = stderr_text
            .split_once(&format!("{scheme}://"))
            .expect("it names an address");
        let (address, _) = after.split_once('/').expect("an address ends with a slash");
        address.parse().unwrap()
    }

    /// The address of the operator's listener, if it is a TCP one: the last that it printed.
    pub fn admin(&self) -> SocketAddr {
        let stderr_text = self.diagnostics();
        let (_, after) = stderr_text.rsplit_once("http://").unwrap();
        after.split('/').next().unwrap().parse().unwrap()
    }

    /// `http://ADDRESS` and `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// What it has written to standard error so far.
    pub fn diagnostics(&self) -> String {
        self.stderr_text.lock().unwrap().clone()
    }

    /// Its end of standard output, if that was to be a pipe.
    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("standard output is a pipe")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Stops it with SIGSTOP, as a busy machine would, and returns when it has stopped.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        eventually("the server is stopped", || self.stat()[0] == "T");
    }

    /// Continues it with SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether it has not ended.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its exit status.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                begun.elapsed() < TIME_LIMIT,
                "the server did not end; its threads: {}; its standard error: {}",
                self.threads(),
                self.diagnostics()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Each thread's name and the kernel function it waits in (proc_pid_wchan(5)).
    fn threads(&self) -> String {
        let mut threads = Vec::new();
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid()));
        for task in tasks.into_iter().flatten().flatten() {
            let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
            threads.push(format!("{} in {}", read("comm").trim(), read("wchan")));
        }
        threads.join(", ")
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.pid());
        std::fs::read_dir(path).unwrap().count()
    }

    /// Whether there is no free descriptor below `limit`. (It may have inherited some above.)
    pub fn is_out_of_descriptors(&self, limit: usize) -> bool {
        (0..limit).all(|number| {
            let path = format!("/proc/{}/fd/{number}", self.pid());
            std::fs::symlink_metadata(path).is_ok()
        })
    }

    /// The CPU time it has used, in the kernel and in user space.
    pub fn cpu_time(&self) -> Duration {
        let stat = self.stat();
        let ticks = |field: usize| stat[field].parse::<f64>().unwrap();
        Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS)
    }

    /// Its private memory, in bytes: shared pages of the program do not count.
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.pid());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("Anonymous:"))
            .unwrap();
        let kilobytes = line.split_whitespace().nth(1).unwrap();
        kilobytes.parse::<u64>().unwrap() * 1024
    }

    /// /proc/PID/stat from the third field on: those before it may hold blanks.
    fn stat(&self) -> Vec<String> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let (_, fields) = text.rsplit_once(") ").unwrap();
        fields.split_whitespace().map(str::to_owned).collect()
    }
}
