//! Shared by tests over real sockets: a server process, and raw connections to it.
//!
//! The server is the real binary, on a port that the kernel chose. [`PATIENCE`] limits every wait.
//! It is never an assertion: no test here measures time.

// Each test binary uses a part of this.
#![allow(dead_code)]

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The limit on every wait.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A running server. It is killed when the test is done with it, passed or not.
pub struct Server {
    child: Child,
    address: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl Server {
    /// Serves `root` with these options on a free port of 127.0.0.1.
    pub fn start(root: &Path, options: &[&str]) -> Self {
        let mut command = Self::command(root, options);
        command.stdout(Stdio::null());
        Self::spawn(&mut command)
    }

    /// The command that [`Server::start`] runs, for tests that want to change it first. Its
    /// environment has none of our variables: only the test decides.
    pub fn command(root: &Path, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.args(["-p", "0"]).args(options).arg("--").arg(root);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"ONELOOP_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs a command and waits until it prints its address on standard error.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server's binary can be run");
        let said = Arc::new(Mutex::new(String::new()));
        let (sender, receiver) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().expect("stderr is a pipe")).lines();
        let heard = said.clone();
        // Reads on to the end, so that a full pipe never holds the server up.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(address) = address_in(&line) {
                    let _ = sender.send(address);
                }
                let mut heard = heard.lock().expect("no holder of this lock panics");
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        let address = receiver.recv_timeout(PATIENCE);
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            said,
        };
        match address {
            Ok(address) => server.address = address,
            Err(RecvTimeoutError::Timeout) => panic!("no address so far, but {:?}", server.said()),
            Err(RecvTimeoutError::Disconnected) => panic!("it ended with {:?}", server.said()),
        }
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Everything it has written to stderr so far.
    pub fn said(&self) -> String {
        self.said
            .lock()
            .map(|said| said.clone())
            .unwrap_or_default()
    }

    /// A new connection to it.
    pub fn connect(&self) -> Peer {
        Peer::new(TcpStream::connect(self.address).expect("the server accepts"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `http://127.0.0.1:PORT/` somewhere in a line.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://127.0.0.1:")?;
    let (port, _) = rest.split_once('/')?;
    Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?)))
}

/// The client's end of a connection: bytes, and nothing that knows HTTP.
pub struct Peer(TcpStream);

impl Peer {
    /// Takes a connected socket; nothing on it waits longer than [`PATIENCE`].
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a fresh socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        Self(stream)
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// Those of send(2); `TimedOut` when the server takes none of it.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).map_err(in_words)
    }

    /// Shuts down the sending direction.
    pub fn half_close(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    /// Receives `length` bytes, or fewer if the server closes before.
    ///
    /// # Errors
    /// Those of recv(2), with what had arrived before: a reset, or `TimedOut`.
    pub fn receive(&mut self, length: usize) -> Result<Vec<u8>, (Vec<u8>, io::Error)> {
        let mut bytes = Vec::new();
        let mut rest = (&self.0).take(length as u64);
        match rest.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err((bytes, in_words(error))),
        }
    }

    /// Receives what there is, or waits for it; nothing at all means that the server closed.
    ///
    /// # Errors
    /// Those of recv(2): a reset, or `TimedOut`.
    pub fn receive_some(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            match self.0.read(&mut bytes) {
                Ok(length) => {
                    bytes.truncate(length);
                    return Ok(bytes);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(in_words(error)),
            }
        }
    }

    /// Receives until the server closes.
    ///
    /// # Errors
    /// Those of [`Peer::receive`].
    pub fn receive_to_end(&mut self) -> Result<Vec<u8>, (Vec<u8>, io::Error)> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err((bytes, in_words(error))),
        }
    }

    /// The socket itself.
    pub fn stream(&self) -> &TcpStream {
        &self.0
    }
}

/// A timeout is `WouldBlock`, which would not help a reader.
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => io::Error::new(
            ErrorKind::TimedOut,
            "nothing happened for as long as a test waits",
        ),
        _ => error,
    }
}
