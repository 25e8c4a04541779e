//! What level-triggered loops must not do: end every wait because of something that nothing in the
//! loop uses. The polls of a trace are counted.

use crate::client::{Client, get};
use crate::process::{Launch, Server, eventually, has, site};
use crate::{assert_served, small};
use std::fs::{self, File};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

const LEVELS: [&str; 3] = ["level", "poll", "select"];

/// More than the kernel's socket buffers take.
const LARGE: u64 = 30_000_000;

/// A server that writes a trace.
struct Traced {
    server: Server,
    trace: PathBuf,
    /// The site, and the trace beside it.
    _directory: TempDir,
}

impl Traced {
    fn start(model: &str, options: &str) -> Self {
        let directory = site(&[("root/small", b"small")]);
        let large = File::create(directory.path().join("root/large")).unwrap();
        large.set_len(LARGE).unwrap();
        let trace = directory.path().join("trace");
        let launch = Launch::of(directory.path().join("root"))
            .arg("--trace")
            .arg(&trace);
        let launch = launch.with(&format!("--trace-format json --model {model}"));
        Self {
            server: launch.with(options).start(),
            trace,
            _directory: directory,
        }
    }

    /// How many records of the trace are `call`.
    fn count(&self, call: &str) -> usize {
        let trace = fs::read_to_string(&self.trace).unwrap();
        trace.matches(&format!("\"call\":\"{call}\"")).count()
    }

    /// A loop that does not sleep polls thousands of times in half a second; one that pauses at the
    /// limit of connections, five times.
    #[track_caller]
    fn assert_asleep(&self, model: &str) {
        let before = self.count("poll");
        sleep(Duration::from_millis(500));
        let polls = self.count("poll") - before;
        assert!(polls < 50, "{model}: {polls} polls in half a second");
    }
}

/// Fails if a connection that sends is watched for reading, too, or for an end of stream.
#[test]
fn unread_requests_do_not_wake_a_connection_that_waits_for_its_socket() {
    for model in LEVELS {
        let traced = Traced::start(model, "");
        let mut client = Client::with_request(&traced.server, get("/large"));
        client.read_head();
        eventually("the socket is full", || {
            let trace = fs::read_to_string(&traced.trace).unwrap();
            trace.contains("would block")
        });
        client.send(get("/small"));
        traced.assert_asleep(model);
        client.finish_sending();
        traced.assert_asleep(model);
        let mut body = vec![1; LARGE as usize];
        let mut filled = 0;
        while filled < body.len() {
            filled += client.read(&mut body[filled..]).unwrap();
        }
        assert_eq!(client.read_response().body, b"small", "{model}");
        client.expect_end();
    }
}

/// Fails if an event without the flag that is waited for is ignored.
#[test]
fn a_reset_ends_a_connection_that_waits_for_its_socket() {
    for model in LEVELS {
        let traced = Traced::start(model, "--send-timeout 600");
        let mut client = Client::with_request(&traced.server, get("/large"));
        client.read_head();
        client.reset();
        eventually("it is closed", || traced.count("close") == 1);
        traced.assert_asleep(model);
    }
}

/// Fails if a listener is watched while accepting pauses: connections that wait end every poll.
#[test]
fn connections_that_wait_at_the_limit_do_not_wake_the_loop() {
    for model in LEVELS {
        let traced = Traced::start(model, "--max-connections 2 --header-timeout 600");
        let begun = || Client::with_request(&traced.server, "GET /small HTTP/1.1\r\nHo");
        let mut first = [begun(), begun()];
        eventually("both are accepted", || traced.count("accept") == 2);
        let mut waiting = [0; 4].map(|_| Client::with_request(&traced.server, get("/small")));
        sleep(Duration::from_millis(100));
        traced.assert_asleep(model);
        first[0].send("st: test\r\n\r\n");
        assert_eq!(first[0].read_response().body, b"small", "{model}");
        drop(first);
        for client in &mut waiting {
            assert_eq!(client.read_response().body, b"small", "{model}");
        }
    }
}

/// A closed connection whose peer goes on sending, and one that is closed on both sides.
#[test]
fn a_lingering_connection_does_not_keep_the_loop_awake() {
    for model in LEVELS {
        let traced = Traced::start(model, "--linger-timeout 600");
        let request = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9000\r\n\r\n";
        let mut client = Client::with_request(&traced.server, request);
        assert_eq!(client.read_response().status(), 405, "{model}");
        traced.assert_asleep(model);
        client.send(b"some of it");
        traced.assert_asleep(model);
        client.finish_sending();
        eventually("it is closed", || traced.count("close") == 1);
        traced.assert_asleep(model);
    }
}

/// However often the socket is full. Fails if each wait is made known, or each response.
#[test]
fn a_download_changes_twice_what_its_socket_is_watched_for() {
    for model in LEVELS {
        let traced = Traced::start(model, "");
        let mut client = Client::of(&traced.server);
        (0..20).for_each(|_| assert_served(&mut client));
        eventually("it is registered", || traced.count("register") == 1);
        assert_eq!(client.fetch("/large").body.len() as u64, LARGE);
        assert_served(&mut client);
        drop(client);
        eventually("it is closed", || traced.count("close") == 1);
        // Once for writing, and once for reading again; not at all if the client was fast.
        let registered = traced.count("register");
        assert!([1, 3].contains(&registered), "{model}: {registered}");
    }
}

/// The limit of descriptors is lowered, so that accept(2) fails first. Fails if a descriptor is
/// FD_SETSIZE or more.
#[test]
fn with_select_no_descriptor_is_1024_or_more_and_all_clients_are_served() {
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: own.maximum,
        ..own
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    if !has("prlimit") || own.maximum.is_some_and(|most| most < 4096) {
        return crate::process::skipped("the limit of descriptors is low");
    }
    let root = small();
    let launch = Launch::of(&root).with("--model select --max-connections 2000");
    let server = launch.start();
    let warning = "2000 connections may need more than the 1024 descriptors granted \
                   (select(2) can watch no more; try: --model poll)";
    assert!(
        server.diagnostics().contains(warning),
        "{}",
        server.diagnostics()
    );
    let mut clients: Vec<_> = (0..1200)
        .map(|_| Client::with_request(&server, get("/small")))
        .collect();
    for client in &mut clients {
        let response = client.read_response();
        assert!(matches!(response.status(), 200 | 503), "{}", response.head);
    }
    let messages = server.diagnostics();
    let why = "Too many open files (os error 24) (select(2) can watch no more; try: --model poll)";
    assert!(messages.contains(why), "{messages}");
}
