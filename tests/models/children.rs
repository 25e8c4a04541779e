//! The model with a process per connection.

use crate::client::Client;
use crate::process::{Server, eventually};
use crate::{assert_served, small, start};
use rustix::process::Signal;

/// Its children, zombies included.
fn children(server: &Server) -> usize {
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let text = std::fs::read_to_string(path).unwrap();
    text.split_whitespace().count()
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
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let child = std::fs::read_to_string(path).unwrap();
    let mut second = Client::of(&server);
    assert_served(&mut second);
    let child = rustix::process::Pid::from_raw(child.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(child, Signal::KILL).unwrap();
    first.expect_end();
    assert_served(&mut second);
    assert!(server.is_alive());
}

/// Sockets with this local port: listening or not, and their inodes.
fn sockets(port: u16) -> Vec<(bool, String)> {
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
/// that kept the socket of another child would keep that connection open. Fails if `close_in_child`
/// does nothing, and if the parent keeps its copy of a connection.
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
    assert_eq!(
        open, 3,
        "one more socket, for example that of the parent's signals"
    );
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
