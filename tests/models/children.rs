//! What is the business of processes alone.

use crate::client::Client;
use crate::process::{Server, eventually};
use crate::{served, small, start};
use rustix::process::Signal;

/// Its children, zombies included.
fn children(server: &Server) -> usize {
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let text = std::fs::read_to_string(path).unwrap();
    text.split_whitespace().count()
}

/// Red with `reap` left out: the zombies stay.
#[test]
fn a_child_that_has_ended_does_not_stay_a_zombie() {
    let root = small();
    let server = start(&root, "process", "");
    for _ in 0..10 {
        served(&mut Client::of(&server));
    }
    let mut here = Client::of(&server);
    served(&mut here);
    eventually("one child is left", || children(&server) == 1);
    drop(here);
    eventually("no child is left", || children(&server) == 0);
}

/// Red when the parent keeps its copy of the socket: then the close of the child is none.
#[test]
fn a_killed_child_ends_its_own_connection_and_no_other() {
    let root = small();
    let mut server = start(&root, "process", "");
    let mut first = Client::of(&server);
    served(&mut first);
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let child = std::fs::read_to_string(path).unwrap();
    let mut second = Client::of(&server);
    served(&mut second);
    let child = rustix::process::Pid::from_raw(child.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(child, Signal::KILL).unwrap();
    first.expect_end();
    served(&mut second);
    assert!(server.is_alive());
}
