//! Both servers, with the same files, on unix sockets: so 100,000 connections use no ports.

use crate::process::{self, Launch, TIME_LIMIT, eventually};
use crate::responses::{Response, parse};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The release of the known differences. Others may parse heads differently.
const RELEASE: &str = "nginx/1.22.";

/// The request that follows every head, to see whether it is answered.
pub const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n";

/// The files that both serve. No content looks like the start of a response.
const FILES: [(&str, &[u8]); 7] = [
    ("index.html", b"home"),
    ("a", b"file a"),
    ("a b", b"with a blank"),
    ("%41", b"with a percent sign"),
    ("\u{fc}", b"beyond ASCII"),
    ("dir/index.html", b"in a directory"),
    ("probe", b"probe"),
];

/// The responses of both servers to the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinions {
    pub ours: Vec<Response>,
    pub theirs: Vec<Response>,
}

/// Both servers, until this is dropped.
pub struct Servers {
    place: TempDir,
    _site: TempDir,
    _oneloop: process::Server,
    _nginx: Nginx,
}

impl Servers {
    /// Starts both. `None`, and a line that says why, if there is no nginx of that release.
    pub fn start() -> Option<Self> {
        if !process::has("nginx") || !is_that_release() {
            return None;
        }
        let site = process::site(&FILES);
        let place = tempfile::tempdir().unwrap();
        let nginx = Nginx::start(place.path(), site.path());
        let oneloop = Launch::of(&site)
            .without_port()
            .with("--no-listing -b")
            .arg(format!("unix:{}", place.path().join("oneloop").display()))
            .start();
        Some(Self {
            place,
            _site: site,
            _oneloop: oneloop,
            _nginx: nginx,
        })
    }

    /// The responses of both to `bytes`, followed by the [`PROBE`].
    pub fn ask(&self, bytes: &[u8]) -> Opinions {
        let stream = [bytes, PROBE].concat();
        let of = |name| parse(&stream, &exchange(&self.place.path().join(name), &stream));
        Opinions {
            ours: of("oneloop"),
            theirs: of("nginx"),
        }
    }
}

/// Sends all bytes, shuts down the sending side, and returns what the server sends until it closes.
fn exchange(socket: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(TIME_LIMIT)).unwrap();
    stream.set_write_timeout(Some(TIME_LIMIT)).unwrap();
    // A server that refuses the request may close before it has received everything.
    let sent = stream.write_all(bytes);
    let _ = sent.and_then(|()| stream.shutdown(Shutdown::Write));
    let mut response = Vec::new();
    match stream.read_to_end(&mut response) {
        Ok(_) => {}
        // It closed without reading the rest; what it sent before has arrived.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!(
            "{}: {error} after {:?}, sent {:?}",
            socket.display(),
            response.escape_ascii().to_string(),
            bytes.escape_ascii().to_string()
        ),
    }
    response
}

fn is_that_release() -> bool {
    let output = Command::new("nginx").arg("-v").output().unwrap();
    let version = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_so = version.contains(RELEASE);
    if !is_so {
        let version = version.trim();
        process::skipped(&format!("{version}, and the table is about {RELEASE}x"));
    }
    is_so
}

/// nginx, until it is dropped.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Nginx {
    /// The default configuration, except for the site and the directories to write. One process, so
    /// that killing it leaves none.
    fn start(place: &Path, site: &Path) -> Self {
        let (at, site) = (place.display(), site.display());
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log crit;
            events {{ worker_connections 64; }}
            http {{
                access_log off;
                client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;
                fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi;
                scgi_temp_path {at}/scgi;
                server {{ listen unix:{at}/nginx; root {site}; }}
            }}"
        );
        let path: PathBuf = place.join("nginx.conf");
        fs::write(&path, config).unwrap();
        let child = Command::new("nginx")
            .arg("-p")
            .arg(place)
            .arg("-c")
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let socket = place.join("nginx");
        eventually("nginx listens", || UnixStream::connect(&socket).is_ok());
        Self(child)
    }
}
