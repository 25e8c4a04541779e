//! More clients than there is room for. Under `ulimit -n 64` the server grants itself 40
//! connections and keeps the other descriptors for files; `--max-connections 1000` makes it run
//! into the limit itself (EMFILE).

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

/// All have connected, as far as they can tell, before the first is answered; and none leaves. So
/// the server must make room by itself, and must remember without another connection's coming
/// that somebody waits. Fails with `evict` doing nothing; red with `Listeners` that forget that
/// a door is ready when they stop for want of room.
#[test]
fn with_room_for_40_200_clients_are_served_one_after_the_other() {
    let root = small_site();
    let server = Launch::of(&root).after(FEW).start();
    let mut clients: Vec<_> = (0..200)
        .map(|_| Client::saying(&server, get("/small")))
        .collect();
    for client in &mut clients {
        let answer = client.answer();
        assert_eq!(answer.status(), 200, "{}", answer.head);
        assert_eq!(answer.body, b"small");
    }
}

/// The same, but it is accept(2) that fails. Then there may be no descriptor for the file.
#[test]
fn with_no_descriptor_left_200_clients_are_answered_one_after_the_other() {
    let root = small_site();
    let mut server = Launch::of(&root)
        .after(FEW)
        .with("--max-connections 1000")
        .start();
    let mut clients: Vec<_> = (0..200)
        .map(|_| Client::saying(&server, get("/small")))
        .collect();
    for client in &mut clients {
        let answer = client.answer();
        assert!(
            matches!(answer.status(), 200 | 503),
            "never that the file does not exist: {}",
            answer.head
        );
    }
    assert!(server.is_alive());
    let said = server.diagnostics();
    assert_eq!(said.matches("cannot accept for now").count(), 1, "{said}");
}

/// Nobody can be sent away for those who wait: all are in the middle of a request. Fails without
/// the pause, when the loop tries accept(2) in every turn: it then uses all there is.
#[test]
fn the_server_sleeps_while_it_cannot_accept() {
    let root = small_site();
    let server = Launch::of(&root)
        .after(FEW)
        .with("--max-connections 1000")
        .start();
    let mut clients: Vec<_> = (0..120).map(|_| Client::saying(&server, PARTIAL)).collect();
    eventually("descriptors are out", || server.is_out_of_descriptors(ALL));
    let (begun, before) = (Instant::now(), server.cpu_time());
    sleep(Duration::from_secs(1));
    let (elapsed, used) = (begun.elapsed(), server.cpu_time() - before);
    assert!(used < elapsed / 4, "{used:?} of CPU in {elapsed:?}");

    // Each that leaves lets one in, although there is no new connection to announce it.
    for mut client in clients.drain(..) {
        client.send(REMAINDER);
        assert!(matches!(client.answer().status(), 200 | 503));
    }
}

/// A 404 might be remembered by a cache, and be believed. Fails with EMFILE among the errors
/// that mean "nothing here".
#[test]
fn a_file_for_which_there_is_no_descriptor_is_a_503_and_never_a_404() {
    let root = small_site();
    let server = Launch::of(&root)
        .after(FEW)
        .with("--max-connections 1000")
        .start();
    let mut asking = Client::saying(&server, "GET /large HTTP/1.1\r\nHost: ");
    let mut others: Vec<_> = (0..100).map(|_| Client::saying(&server, PARTIAL)).collect();
    eventually("descriptors are out", || server.is_out_of_descriptors(ALL));

    asking.send(REMAINDER);
    let answer = asking.answer();
    assert_eq!(answer.status(), 503, "{}", answer.head);
    assert_eq!(answer.field("Retry-After"), Some("1"));

    // It passes, on the same connection.
    others.clear();
    eventually("the others are gone", || server.descriptors() < ALL / 2);
    let answer = asking.ask("/large");
    assert_eq!(answer.status(), 200, "{}", answer.head);
    assert_eq!(answer.body.len(), 100_000);
}

/// As they are asked for one after the other, all could be kept. Fails with a limit of 1000; red
/// (one opening for each answer) with a limit of 0.
#[test]
fn no_more_files_are_kept_open_than_the_limit_says() {
    let root = site_of_old_files(100);
    let server = Launch::of(&root).start();
    let mut client = Client::of(&server);
    assert_eq!(client.ask("/missing").status(), 404);
    let before = server.descriptors();
    // Again, if it took so long that the first ones are closed for their age.
    eventually("64 are kept", || {
        for number in 0..100 {
            assert_eq!(client.ask(&format!("/{number}")).body, vec![b'o'; 50_000]);
        }
        server.descriptors() == before + 64
    });
}

/// Red where only the files of a turn are closed when one cannot be opened.
#[test]
fn cached_open_files_are_closed_when_descriptors_run_out() {
    let root = site_of_old_files(2);
    let server = Launch::of(&root)
        .after(FEW)
        .with("--max-connections 1000")
        .start();
    let mut asking = Client::of(&server);
    assert_eq!(asking.ask("/missing").status(), 404);
    let before = server.descriptors();
    assert_eq!(asking.ask("/0").status(), 200);
    assert_eq!(server.descriptors(), before + 1, "it is kept");
    let _others: Vec<_> = (0..100).map(|_| Client::saying(&server, PARTIAL)).collect();
    eventually("descriptors are out", || server.is_out_of_descriptors(ALL));
    let answer = asking.ask("/1");
    assert_eq!(answer.status(), 200, "{}", answer.head);
}

/// Too large to be remembered with their bytes, and old enough to be kept open.
fn site_of_old_files(count: usize) -> tempfile::TempDir {
    let root = site(&[]);
    for number in 0..count {
        let path = root.path().join(number.to_string());
        fs::write(&path, [b'o'; 50_000]).unwrap();
        let file = fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60))
            .unwrap();
    }
    // The change of their inodes is to be old, too.
    sleep(Duration::from_millis(50));
    root
}

/// Fails with `--max-connections` that is ignored, and with a room of one more.
#[test]
fn a_connection_beyond_the_limit_waits_and_is_served_when_one_ends() {
    let root = small_site();
    let server = Launch::of(&root).with("--max-connections 2").start();
    let first = Client::saying(&server, PARTIAL);
    let second = Client::saying(&server, PARTIAL);
    let mut third = Client::saying(&server, get("/small"));
    assert!(third.hears_nothing());
    drop(first);
    assert_eq!(third.answer().body, b"small");
    drop(second);
}

/// Fails with the order of `evict` turned round.
#[test]
fn the_connection_that_is_idle_longest_is_evicted() {
    let root = small_site();
    let server = Launch::of(&root).with("--max-connections 3").start();
    let mut clients: Vec<_> = (0..3).map(|_| Client::of(&server)).collect();
    // The first to come is the last to have asked.
    for asked in [0, 1, 2, 0] {
        assert_eq!(clients[asked].ask("/small").status(), 200);
        sleep(Duration::from_millis(20));
    }
    for (expected_end, still_there) in [(1, [2, 0].as_slice()), (2, &[0])] {
        let mut new = Client::saying(&server, PARTIAL);
        clients[expected_end].expect_end();
        for &client in still_there {
            assert!(clients[client].hears_nothing(), "client {client} is closed");
        }
        new.send(REMAINDER);
        assert_eq!(new.answer().status(), 200);
        // It stays, in the middle of a request: no candidate.
        new.send(PARTIAL);
        clients.push(new);
    }
    assert_eq!(clients[0].ask("/small").status(), 200);
}

/// Only accept(2) can tell whether anybody waits. Fails with an eviction as soon as the last place
/// is taken.
#[test]
fn idle_connections_up_to_the_limit_stay_open() {
    let root = small_site();
    let server = Launch::of(&root).with("--max-connections 3").start();
    let mut clients: Vec<_> = (0..3).map(|_| Client::of(&server)).collect();
    for client in &mut clients {
        assert_eq!(client.ask("/small").status(), 200);
    }
    // Longer than a connection has to be idle to be closed for another one's sake.
    sleep(Duration::from_millis(1500));
    for client in &mut clients {
        assert_eq!(client.ask("/small").status(), 200);
    }
}

/// Closing the listening socket would reset them. Fails with a limit that holds to the last.
#[test]
fn a_connection_that_waits_at_the_limit_is_answered_when_the_server_stops() {
    let root = small_site();
    let mut server = Launch::of(&root)
        .with("--max-connections 2 --grace 600")
        .start();
    let mut inside: Vec<_> = (0..2).map(|_| Client::saying(&server, PARTIAL)).collect();
    let mut outside: Vec<_> = (0..20)
        .map(|_| Client::saying(&server, get("/small")))
        .collect();
    assert!(outside[0].hears_nothing());
    server.signal(rustix::process::Signal::TERM);
    for client in &mut outside {
        assert_eq!(client.answer().body, b"small");
        client.expect_end();
    }
    for client in &mut inside {
        client.send(REMAINDER);
        assert_eq!(client.answer().body, b"small");
    }
    drop((inside, outside));
    assert_eq!(server.wait().code(), Some(0));
}

/// A connection that asks for nothing costs next to nothing: half a KiB of the server's memory at
/// most, all told. Fails with a read buffer that keeps its buffer.
#[test]
fn five_thousand_idle_connections_stay_open_and_are_answered() {
    const COUNT: usize = 5000;
    if !raise_descriptors(12_000) {
        return skipped("5,000 connections need a hard limit of 12,000 descriptors (ulimit -Hn)");
    }
    let root = small_site();
    let server = Launch::of(&root).with("--idle-timeout 600").start();
    let before = server.descriptors();
    // Warm: what is allocated once is not the connections'.
    let mut clients = vec![Client::of(&server)];
    assert_eq!(clients[0].ask("/small").status(), 200);
    let memory = server.memory();

    for _ in clients.len()..COUNT {
        let mut client = Client::of(&server);
        assert_eq!(client.ask("/small").status(), 200);
        clients.push(client);
    }
    assert_eq!(server.descriptors(), before + COUNT);
    for client in &mut clients {
        assert_eq!(client.ask("/small").body, b"small");
    }
    let each = server.memory().saturating_sub(memory) / COUNT as u64;
    // poll(2) wants a table of everybody, which epoll keeps in the kernel.
    if !cfg!(mio_unsupported_force_poll_poll) {
        assert!(each < 512, "{each} bytes for each connection");
    }
    drop(clients);
    eventually_back(&server, before);
}

#[track_caller]
fn eventually_back(server: &Server, descriptors: usize) {
    eventually("every descriptor is back", || {
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
