//! The models with processes: what becomes of the children.

use crate::client::Client;
use crate::process::{Launch, Server, eventually};
use crate::{assert_served, sleeps, small, start};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::thread::sleep;
use std::time::Duration;

/// Its children, zombies included.
fn child_ids(server: &Server) -> Vec<Pid> {
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let text = std::fs::read_to_string(path).unwrap();
    let ids = text.split_whitespace().map(|id| id.parse().unwrap());
    ids.map(|id| Pid::from_raw(id).unwrap()).collect()
}

fn children(server: &Server) -> usize {
    child_ids(server).len()
}

/// Fails if `reap` does nothing: the zombies stay.
#[test]
fn a_child_that_has_ended_does_not_stay_a_zombie() {
    let root = small();
    let server = start(&root, "process", "");
    for _ in 0..10 {
        assert_served(&mut Client::of(&server));
    }
    let mut open = Client::of(&server);
    assert_served(&mut open);
    eventually("one child is left", || children(&server) == 1);
    drop(open);
    eventually("no child is left", || children(&server) == 0);
}

/// Fails if the parent keeps its copy of the socket: then the connection stays open.
#[test]
fn a_killed_child_ends_its_own_connection_and_no_other() {
    let root = small();
    let mut server = start(&root, "process", "");
    let mut first = Client::of(&server);
    assert_served(&mut first);
    let child = child_ids(&server)[0];
    let mut second = Client::of(&server);
    assert_served(&mut second);
    kill_process(child, Signal::KILL).unwrap();
    first.expect_end();
    assert_served(&mut second);
    assert!(server.is_alive());
}

/// Sockets with this local port: listening or not, and their inodes.
pub fn sockets(port: u16) -> Vec<(bool, String)> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    let rows = table
        .lines()
        .skip(1)
        .map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[1].ends_with(&port))
        .map(|row| (row[3] == "0A", format!("socket:[{}]", row[9])))
        .collect()
}

/// A child that kept a listening socket would keep the port when the parent has closed it, and one
/// that kept the socket of another child would keep that connection open. Fails if the child keeps
/// its copies of them, and if the parent keeps its copy of a connection.
#[test]
fn a_child_has_no_listening_socket_no_poll_and_no_other_connection() {
    let root = small();
    let server = start(&root, "process", "--idle-timeout 600");
    let mut clients = Vec::new();
    for number in 1..=3 {
        let mut client = Client::of(&server);
        assert_served(&mut client);
        clients.push(client);
        assert_eq!(children(&server), number);
    }
    let sockets = sockets(server.address().port());
    assert_eq!(sockets.iter().filter(|(listens, _)| *listens).count(), 1);
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let (mut client_sockets, mut open) = (Vec::new(), 0);
    for child in std::fs::read_to_string(path).unwrap().split_whitespace() {
        for entry in std::fs::read_dir(format!("/proc/{child}/fd")).unwrap() {
            let target = std::fs::read_link(entry.unwrap().path()).unwrap();
            let target = target.to_str().unwrap().to_owned();
            assert!(!target.contains("eventpoll"), "{child}: {target}");
            open += usize::from(target.starts_with("socket:"));
            let found = sockets.iter().find(|(_, inode)| *inode == target);
            client_sockets.extend(found.map(|(listens, _)| (*listens, target)));
        }
    }
    // Each has its connection, and the two sockets through which handlers of signals wake the
    // parent.
    assert_eq!(open, 3 + 2 * 3, "further sockets");
    client_sockets.sort();
    assert_eq!(client_sockets.len(), 3, "{client_sockets:?}");
    assert!(
        client_sockets.iter().all(|(listens, _)| !listens),
        "{client_sockets:?}"
    );
    client_sockets.dedup();
    assert_eq!(
        client_sockets.len(),
        3,
        "two children have the same connection: {client_sockets:?}"
    );
}

/// A server of the model `prefork`, all of whose processes run.
fn preforked(root: &std::path::Path, workers: usize) -> Server {
    let options = format!("--model prefork --workers {workers}");
    let server = Launch::of(root).with(&options).start();
    eventually("all processes run", || children(&server) == workers);
    server
}

/// Fails if a process is forked for a connection, and if one that was killed is not replaced.
#[test]
fn a_preforked_process_that_is_killed_is_replaced_and_the_others_serve_on() {
    let root = small();
    let mut server = preforked(root.path(), 3);
    let before = child_ids(&server);
    for _ in 0..10 {
        assert_served(&mut Client::of(&server));
    }
    assert_eq!(child_ids(&server), before);
    let killed = before[0];
    kill_process(killed, Signal::KILL).unwrap();
    eventually("it is replaced", || {
        let now = child_ids(&server);
        now.len() == 3 && !now.contains(&killed)
    });
    let message = format!("process {} was ended by signal 9", killed.as_raw_nonzero());
    eventually("it is logged", || server.diagnostics().contains(&message));
    assert_served(&mut Client::of(&server));
    assert!(server.is_alive());
}

/// Fails if `ForkPolicy` allows all forks: there are thousands in this time.
#[test]
fn preforked_processes_that_cannot_serve_are_replaced_with_pauses_until_they_can() {
    let directory = tempfile::tempdir().unwrap();
    let [root, logs, away] = ["root", "logs", "away"].map(|name| directory.path().join(name));
    for directory in [&root, &logs] {
        std::fs::create_dir(directory).unwrap();
    }
    std::fs::write(root.join("small"), "small").unwrap();
    let log = logs.join("log");
    let options = format!("--model prefork --workers 4 --log-file {}", log.display());
    let server = Launch::of(&root).with(&options).start();
    eventually("all processes run", || children(&server) == 4);
    std::fs::rename(&logs, &away).unwrap();
    for child in child_ids(&server) {
        kill_process(child, Signal::KILL).unwrap();
    }
    let failures = || {
        let messages = server.diagnostics();
        let message = "a process ends, because it cannot serve: cannot open the access log /";
        messages.matches(message).count()
    };
    eventually("one fails", || failures() > 0);
    let before = failures();
    sleep(Duration::from_millis(2500));
    let count = failures() - before;
    assert!(count <= 6, "{count} processes were forked");
    std::fs::rename(&away, &logs).unwrap();
    assert_served(&mut Client::of(&server));
    eventually("all processes run", || children(&server) == 4);
}

/// The port must be free for another server. Fails if a process keeps the end of the pipe to which
/// nothing is written.
#[test]
fn preforked_processes_end_when_their_parent_is_killed() {
    let root = small();
    let mut server = preforked(root.path(), 3);
    let before = child_ids(&server);
    server.signal(Signal::KILL);
    server.wait();
    for child in before {
        eventually("it ends", || is_gone(child));
    }
}

/// Whether a process has ended; it may be a zombie of a parent that reaps nothing.
fn is_gone(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    test_kill_process(process).is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}

/// Fails without EPOLLEXCLUSIVE: each connection wakes all processes. (While one closes its
/// connection, the next connection wakes another one.)
#[test]
#[cfg(not(mio_unsupported_force_poll_poll))]
fn a_connection_does_not_wake_all_of_the_preforked_processes() {
    let root = small();
    let server = preforked(root.path(), 16);
    let pids = child_ids(&server);
    let counts = || {
        let pids = pids.iter().map(|pid| pid.as_raw_nonzero().get());
        let counts = pids.map(|pid| sleeps(pid.cast_unsigned()));
        counts.collect::<Vec<_>>()
    };
    let mut before = counts();
    eventually("all wait", || {
        sleep(Duration::from_millis(300));
        let now = counts();
        now == std::mem::replace(&mut before, now.clone())
    });
    for _ in 0..20 {
        assert_served(&mut Client::of(&server));
    }
    let after = counts();
    let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    assert!((1..=12).contains(&changed), "{changed} of 16 were woken");
}
