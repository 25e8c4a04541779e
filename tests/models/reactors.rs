//! The model with several loops: they divide the connections, and stop as one server.

use crate::children::sockets;
use crate::client::{Client, StreamEnd, get};
use crate::process::{Launch, Server, eventually, site};
use crate::{REACTORS, assert_served, small, start};
use rustix::process::Signal;
use std::fs;

/// With each loop's connections, in its line of the tally.
fn tally(path: &std::path::Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| {
        let (_, rest) = line.split_once("\"connections\":").unwrap();
        rest.split(',').next().unwrap().parse().unwrap()
    });
    lines.collect()
}

#[track_caller]
fn stop(mut server: Server) -> String {
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    server.diagnostics()
}

/// All 90 wait in three accept queues when the server is asked to stop. Fails if `stop_accepting`
/// does not accept what waits, and if the sockets have no SO_REUSEPORT: then one loop gets all.
#[test]
fn connections_wait_in_the_queues_of_all_loops_and_a_stop_loses_none() {
    let root = small();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tally");
    let launch = Launch::of(&root).with(&format!("--model {REACTORS}"));
    let server = launch.arg("--tally").arg(&path).start();
    server.freeze();
    let clients: Vec<_> = (0..90)
        .map(|_| Client::with_request(&server, get("/small")))
        .collect();
    server.signal(Signal::TERM);
    server.thaw();
    for mut client in clients {
        assert_eq!(client.read_response().body, b"small");
        client.expect_end();
    }
    stop(server);
    let connections = tally(&path);
    assert_eq!(connections.len(), 3, "{connections:?}");
    assert_eq!(connections.iter().sum::<u64>(), 90, "{connections:?}");
}

/// Fails if the first socket is bound with SO_REUSEPORT.
#[test]
fn a_second_server_on_the_same_port_is_an_error() {
    let root = small();
    let server = start(&root, REACTORS, "");
    let options = format!("--model {REACTORS} -p {}", server.address().port());
    let (status, messages) = Launch::of(&root).with(&options).expect_failure();
    assert_eq!(status.code(), Some(1));
    assert!(messages.contains("address already in use"), "{messages}");
    assert_served(&mut Client::of(&server));
}

/// Fails if the limit is logged as if it were that of the server.
#[test]
fn a_loop_that_is_full_logs_its_own_part_of_the_limit() {
    let root = small();
    let server = start(&root, REACTORS, "--max-connections 6");
    let clients: Vec<_> = (0..40)
        .map(|_| Client::with_request(&server, "GET /small HTTP/1.1\r\nHost: "))
        .collect();
    let why = "all 2 allowed connections of a loop are open (--max-connections)";
    eventually("it is logged", || server.diagnostics().contains(why));
    drop(clients);
    stop(server);
}

#[test]
fn more_loops_than_there_are_descriptors_for_are_an_error() {
    let root = small();
    let launch = Launch::of(&root).run_before("ulimit -n 64");
    let launch = launch.with("--model reactors --workers 40");
    let (status, messages) = launch.expect_failure();
    assert_eq!(status.code(), Some(1));
    let why = " of 40 cannot be started (--workers): ";
    assert!(messages.contains(why), "{messages}");
    assert!(messages.contains("Too many open files"), "{messages}");
}

/// Fails if `StopMessages` are those of one loop.
#[test]
fn the_loops_log_together_that_they_stop() {
    let root = site(&[("small", b"small")]);
    let large = fs::File::create(root.path().join("large")).unwrap();
    large.set_len(50 * 1024 * 1024).unwrap();
    let server = start(&root, REACTORS, "-v --grace 0.3");
    let mut clients: Vec<_> = (0..20)
        .map(|_| Client::with_request(&server, get("/large")))
        .collect();
    for client in &mut clients {
        assert!(client.read_head().starts_with("HTTP/1.1 200 "));
    }
    let messages = stop(server);
    for expected in [
        "received SIGTERM",
        "stopping; connections open: 20",
        "the grace period is over; connections closed: 20",
    ] {
        assert_eq!(messages.matches(expected).count(), 1, "{messages}");
    }
    for mut client in clients {
        assert_eq!(client.read_to_end().1, StreamEnd::Reset);
    }
}

/// The loops share one queue. Fails if each of them removes the file.
#[test]
fn a_unix_socket_is_served_by_all_loops_and_its_file_is_removed_at_the_end() {
    let root = small();
    let directory = tempfile::tempdir().unwrap();
    let [socket, path] = ["socket", "tally"].map(|name| directory.path().join(name));
    let launch = Launch::of(&root).with(&format!("--model {REACTORS} -b 127.0.0.1"));
    let launch = launch.arg("-b").arg(format!("unix:{}", socket.display()));
    let server = launch.arg("--tally").arg(&path).start();
    for _ in 0..20 {
        let mut client = Client::at(&socket);
        client.send(get("/small"));
        assert_eq!(client.read_response().body, b"small");
    }
    assert!(socket.exists());
    stop(server);
    assert!(!socket.exists());
    assert_eq!(tally(&path).iter().sum::<u64>(), 20);
}

/// Fails if each loop allows as many connections as the server.
#[test]
fn the_loops_divide_the_limit_of_connections() {
    let root = small();
    let server = start(&root, REACTORS, "--max-connections 6 --idle-timeout 600");
    let mut clients: Vec<_> = (0..40)
        .map(|_| Client::with_request(&server, "GET /small HTTP/1.1\r\nHost: "))
        .collect();
    // Those that were not accepted have no inode.
    let open = || {
        let sockets = sockets(server.address().port()).into_iter();
        let accepted = sockets.filter(|(listens, inode)| !listens && inode != "socket:[0]");
        accepted.count()
    };
    // Each has two connections, and has accepted the one that does not fit.
    eventually("each loop is full", || open() == 9);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(open(), 9);
    for client in &mut clients {
        client.send("test\r\nConnection: close\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.read_response().body, b"small");
    }
}

#[test]
fn what_needs_one_loop_is_an_error_that_says_so() {
    let root = small();
    for (option, expected) in [
        (
            "--trace -",
            "--trace shows one loop; set --model to reactor",
        ),
        ("--admin 127.0.0.1:0", "--admin is for the models"),
    ] {
        let options = format!("--model reactors {option}");
        let (status, messages) = Launch::of(&root).with(&options).expect_failure();
        assert_eq!(status.code(), Some(2));
        assert!(messages.contains(expected), "{messages}");
    }
}
