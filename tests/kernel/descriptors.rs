//! More clients than slots or descriptors. Under `ulimit -n 64` the server allows 40 connections
//! and keeps the other descriptors for files; with `--max-connections 1000` it runs into the limit
//! itself (EMFILE).

use crate::client::{Client, get};
use crate::process::{Launch, Server, eventually, site, skipped};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

const FEW: &str = "ulimit -n 64";
const PARTIAL: &str = "GET /small HTTP/1.1\r\nHost: ";
const REMAINDER: &str = "test\r\n\r\n";

/// What `FEW` allows.
const ALL: usize = 64;

fn small_site() -> tempfile::TempDir {
    site(&[("small", b"small"), ("large", &[b'l'; 100_000])])
}

/// All have connected before the first is answered, and none closes. So the server must evict
/// connections, and must remember that others wait although no event says so. Fails if `evict` does
/// nothing, or if `Listeners` forget at the limit that a listener is ready.
#[test]
fn with_a_limit_of_40_connections_200_clients_are_served() {
    let root = small_site();
    let server = Launch::of(&root).run_before(FEW).start();
    let mut clients: Vec<_> = (0..200)
        .map(|_| Client::with_request(&server, get("/small")))
        .collect();
    for client in &mut clients {
        let response = client.read_response();
        assert_eq!(response.status(), 200, "{}", response.head);
        assert_eq!(response.body, b"small");
    }
    let why = "all 40 allowed connections are open (raise the limit: ulimit -n)";
    eventually("it is logged which limit it is", || {
        server.diagnostics().contains(why)
    });
}

/// The same with EMFILE from accept(2). There may be no descriptor for the file, too.
#[test]
fn with_no_descriptor_left_200_clients_are_served() {
    let root = small_site();
    let mut server = Launch::of(&root)
        .run_before(FEW)
        .with("--max-connections 1000")
        .start();
    let mut clients: Vec<_> = (0..200)
        .map(|_| Client::with_request(&server, get("/small")))
        .collect();
    for client in &mut clients {
        let response = client.read_response();
        assert!(
            matches!(response.status(), 200 | 503),
            "never that the file does not exist: {}",
            response.head
        );
    }
    assert!(server.is_alive());
    let messages = server.diagnostics();
    assert_eq!(
        messages.matches("cannot accept for now").count(),
        1,
        "{messages}"
    );
}

/// No connection can be evicted: all are in the middle of a request. Fails if accepting does not
/// pause: then the loop calls accept(2) in every iteration and uses a whole core.
#[test]
fn the_server_sleeps_while_it_cannot_accept() {
    let root = small_site();
    let server = Launch::of(&root)
        .run_before(FEW)
        .with("--max-connections 1000")
        .start();
    let mut clients: Vec<_> = (0..120)
        .map(|_| Client::with_request(&server, PARTIAL))
        .collect();
    eventually("descriptors are out", || server.is_out_of_descriptors(ALL));
    let (begun, before) = (Instant::now(), server.cpu_time());
    sleep(Duration::from_secs(1));
    let (elapsed, used) = (begun.elapsed(), server.cpu_time() - before);
    assert!(used < elapsed / 4, "{used:?} of CPU in {elapsed:?}");

    // When one closes, a waiting one is accepted, although no new connection raises an event.
    for mut client in clients.drain(..) {
        client.send(REMAINDER);
        assert!(matches!(client.read_response().status(), 200 | 503));
    }
}

/// A cache could store a 404. Fails if EMFILE counts as "not found".
#[test]
fn a_file_for_which_there_is_no_descriptor_is_a_503_and_never_a_404() {
    let root = small_site();
    let server = Launch::of(&root)
        .run_before(FEW)
        .with("--max-connections 1000")
        .start();
    let mut requesting = Client::with_request(&server, "GET /large HTTP/1.1\r\nHost: ");
    let mut others: Vec<_> = (0..100)
        .map(|_| Client::with_request(&server, PARTIAL))
        .collect();
    eventually("descriptors are out", || server.is_out_of_descriptors(ALL));

    requesting.send(REMAINDER);
    let response = requesting.read_response();
    assert_eq!(response.status(), 503, "{}", response.head);
    assert_eq!(response.field("Retry-After"), Some("1"));

    // With free descriptors, the same connection gets the file.
    others.clear();
    eventually("the other connections are closed", || {
        server.descriptors() < ALL / 2
    });
    let response = requesting.fetch("/large");
    assert_eq!(response.status(), 200, "{}", response.head);
    assert_eq!(response.body.len(), 100_000);
}

/// They are requested one after the other, so all could be kept. Fails if the limit is 1000, and if
/// it is 0 (each response then opens its file).
#[test]
fn no_more_files_are_kept_open_than_the_limit_says() {
    let root = site_of_old_files(100);
    let server = Launch::of(&root).start();
    let mut client = Client::of(&server);
    assert_eq!(client.fetch("/missing").status(), 404);
    let before = server.descriptors();
    // Repeated, as a file that was kept for some seconds is closed.
    eventually("64 are kept", || {
        for number in 0..100 {
            assert_eq!(client.fetch(&format!("/{number}")).body, vec![b'o'; 50_000]);
        }
        server.descriptors() == before + 64
    });
}

/// Fails if only the files of the current iteration are closed when an open fails.
#[test]
fn cached_open_files_are_closed_when_descriptors_run_out() {
    let root = site_of_old_files(2);
    let server = Launch::of(&root)
        .run_before(FEW)
        .with("--max-connections 1000")
        .start();
    let mut requesting = Client::of(&server);
    assert_eq!(requesting.fetch("/missing").status(), 404);
    let before = server.descriptors();
    assert_eq!(requesting.fetch("/0").status(), 200);
    assert_eq!(server.descriptors(), before + 1, "it is kept");
    let _others: Vec<_> = (0..100)
        .map(|_| Client::with_request(&server, PARTIAL))
        .collect();
    eventually("descriptors are out", || server.is_out_of_descriptors(ALL));
    let response = requesting.fetch("/1");
    assert_eq!(response.status(), 200, "{}", response.head);
}

/// Too large for the file cache, and old enough to be kept open.
fn site_of_old_files(count: usize) -> tempfile::TempDir {
    let root = site(&[]);
    for number in 0..count {
        let path = root.path().join(number.to_string());
        fs::write(&path, [b'o'; 50_000]).unwrap();
        let file = fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60))
            .unwrap();
    }
    // Their inodes must have changed some time ago, too.
    sleep(Duration::from_millis(50));
    root
}

/// Fails if `--max-connections` is ignored, or too large by one.
#[test]
fn a_connection_beyond_the_limit_waits_and_is_served_when_one_ends() {
    let root = small_site();
    let server = Launch::of(&root).with("--max-connections 2").start();
    let first = Client::with_request(&server, PARTIAL);
    let second = Client::with_request(&server, PARTIAL);
    let mut third = Client::with_request(&server, get("/small"));
    assert!(third.has_received_nothing());
    drop(first);
    assert_eq!(third.read_response().body, b"small");
    drop(second);
}

/// Fails if `evict` takes the wrong end of the order.
#[test]
fn the_connection_that_is_idle_longest_is_evicted() {
    let root = small_site();
    let server = Launch::of(&root).with("--max-connections 3").start();
    let mut clients: Vec<_> = (0..3).map(|_| Client::of(&server)).collect();
    // The first to connect sends the last request.
    for client in [0, 1, 2, 0] {
        assert_eq!(clients[client].fetch("/small").status(), 200);
        sleep(Duration::from_millis(20));
    }
    for (expected_end, open) in [(1, [2, 0].as_slice()), (2, &[0])] {
        let mut new = Client::with_request(&server, PARTIAL);
        clients[expected_end].expect_end();
        for &client in open {
            assert!(
                clients[client].has_received_nothing(),
                "client {client} is closed"
            );
        }
        new.send(REMAINDER);
        assert_eq!(new.read_response().status(), 200);
        // It is in the middle of a request, so it is not evicted.
        new.send(PARTIAL);
        clients.push(new);
    }
    assert_eq!(clients[0].fetch("/small").status(), 200);
}

/// Only accept(2) can tell whether a connection waits. Fails if a connection is evicted as soon as
/// the last slot is taken.
#[test]
fn idle_connections_up_to_the_limit_stay_open() {
    let root = small_site();
    let server = Launch::of(&root).with("--max-connections 3").start();
    let mut clients: Vec<_> = (0..3).map(|_| Client::of(&server)).collect();
    for client in &mut clients {
        assert_eq!(client.fetch("/small").status(), 200);
    }
    // Longer than `min_idle_time`.
    sleep(Duration::from_millis(1500));
    for client in &mut clients {
        assert_eq!(client.fetch("/small").status(), 200);
    }
}

/// Closing the listening socket would reset them. Fails if the limit holds while stopping.
#[test]
fn a_connection_that_waits_at_the_limit_is_answered_when_the_server_stops() {
    let root = small_site();
    let mut server = Launch::of(&root)
        .with("--max-connections 2 --grace 600")
        .start();
    let mut inside: Vec<_> = (0..2)
        .map(|_| Client::with_request(&server, PARTIAL))
        .collect();
    let mut outside: Vec<_> = (0..20)
        .map(|_| Client::with_request(&server, get("/small")))
        .collect();
    assert!(outside[0].has_received_nothing());
    server.signal(rustix::process::Signal::TERM);
    for client in &mut outside {
        assert_eq!(client.read_response().body, b"small");
        client.expect_end();
    }
    for client in &mut inside {
        client.send(REMAINDER);
        assert_eq!(client.read_response().body, b"small");
    }
    drop((inside, outside));
    assert_eq!(server.wait().code(), Some(0));
}

/// An idle connection costs at most half a KiB of the server's memory. Fails if the read buffer
/// keeps its memory.
#[test]
fn five_thousand_idle_connections_stay_open_and_are_answered() {
    const COUNT: usize = 5000;
    if !raise_descriptors(12_000) {
        return skipped("5,000 connections need a hard limit of 12,000 descriptors (ulimit -Hn)");
    }
    let root = small_site();
    let server = Launch::of(&root).with("--idle-timeout 600").start();
    let before = server.descriptors();
    // A warm-up: the first allocations do not belong to connections.
    let mut clients = vec![Client::of(&server)];
    assert_eq!(clients[0].fetch("/small").status(), 200);
    let memory = server.memory();

    for _ in clients.len()..COUNT {
        let mut client = Client::of(&server);
        assert_eq!(client.fetch("/small").status(), 200);
        clients.push(client);
    }
    assert_eq!(server.descriptors(), before + COUNT);
    for client in &mut clients {
        assert_eq!(client.fetch("/small").body, b"small");
    }
    let each = server.memory().saturating_sub(memory) / COUNT as u64;
    // With poll(2) the process itself holds a table of all descriptors.
    if !cfg!(mio_unsupported_force_poll_poll) {
        assert!(each < 512, "{each} bytes for each connection");
    }
    drop(clients);
    wait_for_descriptors(&server, before);
}

#[track_caller]
fn wait_for_descriptors(server: &Server, descriptors: usize) {
    eventually("all its descriptors are closed", || {
        server.descriptors() == descriptors
    });
}

/// Gives this process what the hard limit allows, if that is at least `needed`.
fn raise_descriptors(needed: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    limit.maximum.is_none_or(|most| most >= needed) && setrlimit(Resource::Nofile, raised).is_ok()
}
