//! Signals, the access log and standard error of the whole program.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A server on a unix socket, with the root, the socket and the log in one directory.
struct Server {
    child: Child,
    place: TempDir,
}

impl Server {
    /// Its root has a file of 4 MB, which no socket buffer holds.
    fn start(args: &[&str], stderr: Stdio) -> Self {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("big"), vec![b'x'; 4_000_000]).unwrap();
        let bind = format!("unix:{}", place.path().join("socket").display());
        let child = Command::new(env!("CARGO_BIN_EXE_oneloop"))
            .args(["-b", &bind])
            .arg("--log-file")
            .arg(place.path().join("log"))
            .args(args)
            .arg(&root)
            .stderr(stderr)
            .spawn()
            .unwrap();
        let server = Self { child, place };
        server.wait_for("a socket", |place| {
            UnixStream::connect(place.join("socket")).is_ok()
        });
        server
    }

    fn wait_for(&self, what: &str, is_done: impl Fn(&Path) -> bool) {
        let begun = Instant::now();
        while !is_done(self.place.path()) {
            assert!(begun.elapsed() < Duration::from_secs(30), "no {what}");
            sleep(Duration::from_millis(10));
        }
    }

    fn request(&self, path: &str) -> UnixStream {
        let mut client = UnixStream::connect(self.place.path().join("socket")).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        write!(client, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        client
    }

    fn terminate(&self) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_response_that_a_second_signal_aborts_is_logged() {
    let mut server = Server::start(&["-q"], Stdio::null());
    let mut client = server.request("/big");
    client.read_exact(&mut [0; 9]).unwrap();
    server.terminate();
    // The first signal is handled when no client can connect any more.
    server.wait_for("stop", |place| {
        UnixStream::connect(place.join("socket")).is_err()
    });
    server.terminate();
    assert!(server.child.wait().unwrap().success());
    let log = fs::read_to_string(server.place.path().join("log")).unwrap();
    assert_eq!(
        log.matches("\"GET /big HTTP/1.0\" 200 ").count(),
        1,
        "{log}"
    );
}

#[test]
fn a_full_pipe_as_standard_error_does_not_stop_the_server() {
    // The pipe holds 64 KB, and each connection logs at least two lines.
    let server = Server::start(&["-q", "-v"], Stdio::piped());
    for round in 0..2000 {
        let mut answer = String::new();
        let read = server.request("/missing").read_to_string(&mut answer);
        assert!(read.is_ok(), "round {round}: {read:?}");
        assert!(answer.starts_with("HTTP/1.1 404 "), "round {round}");
    }
}
