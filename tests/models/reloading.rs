//! SIGHUP with a configuration file, in every model: the file is read again.

use crate::client::{Client, Response, StreamEnd, field};
use crate::process::{Launch, Server, available, eventually, site};
use crate::{EVERY, assert_served};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const LARGE: usize = 20 * 1024 * 1024;

/// A request whose response ends the connection.
const LAST: &str = "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A site, and the path of a file that configures it.
fn files() -> (TempDir, TempDir, String) {
    let root = site(&[("small", b"small")]);
    let large = fs::File::create(root.path().join("large")).unwrap();
    large.set_len(LARGE as u64).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("oneloop.toml");
    let path = path.to_str().unwrap().to_owned();
    (root, directory, path)
}

fn configure(path: &str, version: u32, further: &str) {
    fs::write(path, format!("header = 'X-Version: {version}'\n{further}")).unwrap();
}

fn start(root: &Path, model: &str, path: &str) -> Server {
    let launch = Launch::of(root).with(&format!("--model {model}"));
    launch.with("--config").arg(path).start()
}

/// The version that the header of a new connection's response has.
fn version(server: &Server) -> String {
    let response = Client::of(server).fetch("/small");
    response.field("X-Version").unwrap().to_owned()
}

/// Fails if `reload` closes what is being sent, or replaces the site before the file is checked.
#[test]
fn a_reload_changes_the_site_and_loses_no_response() {
    let (root, _directory, path) = files();
    for model in available(&EVERY) {
        configure(&path, 1, "");
        let mut server = start(root.path(), model, &path);
        let mut slow = Client::with_request(&server, LAST);
        assert_eq!(field(&slow.read_head(), "X-Version"), Some("1"), "{model}");
        configure(&path, 2, "idle-timeout = 3");
        server.signal(Signal::HUP);
        eventually("what needs a restart is logged", || {
            let needed = "restart the server to apply what has changed: idle-timeout";
            server.diagnostics().contains(needed)
        });
        // The model sequential serves no second connection before the first has ended.
        if model != "sequential" {
            eventually("the site is the new one", || version(&server) == "2");
        }
        let (body, end) = slow.read_to_end();
        assert_eq!((body.len(), end), (LARGE, StreamEnd::Closed), "{model}");
        assert_eq!(version(&server), "2", "{model}");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{model}");
    }
}

/// The threads of the connections sleep in their reads, and share several handlers. Fails if one of
/// these is not loaded before the next request is answered.
#[test]
fn after_a_reload_every_open_connection_of_a_thread_gets_the_new_configuration() {
    let (root, _directory, path) = files();
    for model in ["thread", "thread-reuse", "pool"] {
        configure(&path, 1, "");
        let server = start(root.path(), model, &path);
        let mut clients: Vec<_> = (0..9).map(|_| Client::of(&server)).collect();
        let versions = |clients: &mut Vec<Client>| {
            let responses = clients.iter_mut().map(|client| client.fetch("/small"));
            let version = |response: Response| response.field("X-Version").unwrap().to_owned();
            responses.map(version).collect::<Vec<_>>()
        };
        assert_eq!(versions(&mut clients), ["1"; 9], "{model}");
        // What needs a restart is logged.
        configure(&path, 2, "idle-timeout = 3");
        server.signal(Signal::HUP);
        eventually("the file is read", || {
            server.diagnostics().contains("restart the server")
        });
        assert_eq!(versions(&mut clients), ["2"; 9], "{model}");
    }
}

#[test]
fn a_wrong_file_keeps_the_configuration_and_the_log_says_why() {
    let (root, _directory, path) = files();
    for model in available(&EVERY) {
        configure(&path, 1, "");
        let server = start(root.path(), model, &path);
        assert_eq!(version(&server), "1", "{model}");
        let wrong = [
            (
                "port = 70000",
                ":2: port: a port is a number from 0 to 65535",
            ),
            ("prot = 1", ":2: there is no key prot; did you mean port?"),
        ];
        for (further, expected) in wrong {
            configure(&path, 2, further);
            server.signal(Signal::HUP);
            eventually("the error is logged", || {
                let expected = format!("the configuration stays as it was: {path}{expected}");
                server.diagnostics().contains(&expected)
            });
            assert_eq!(version(&server), "1", "{model}");
        }
        fs::remove_file(&path).unwrap();
        server.signal(Signal::HUP);
        eventually("the error is logged", || {
            server.diagnostics().contains("oneloop.toml: No such file")
        });
        assert_eq!(version(&server), "1", "{model}");
        assert_served(&mut Client::of(&server));
    }
}
