//! Limits of the models: connections and timeouts.

use crate::client::{Client, get};
use crate::process::{Launch, Server, available, eventually};
use crate::{ALL, MANY, PREFORK, assert_served, small, start};

/// Fails if the wait does not check the deadline.
#[test]
fn a_head_that_arrives_too_slowly_is_answered_with_408() {
    let root = small();
    for model in available(&ALL) {
        let server = start(&root, model, "--header-timeout 0.2");
        let mut client = Client::with_request(&server, "GET /small HTTP/1.1\r\nHo");
        assert_eq!(client.read_response().status(), 408, "{model}");
    }
}

/// Fails if `wait_for_capacity` returns at once.
#[test]
fn at_the_limit_the_next_connection_waits_until_one_ends() {
    let root = small();
    for model in ["thread", "thread-reuse", "process", "coroutine"] {
        let server = start(&root, model, "--max-connections 2");
        let mut first = Client::of(&server);
        let mut second = Client::of(&server);
        assert_served(&mut first);
        assert_served(&mut second);
        let mut third = Client::with_request(&server, get("/small"));
        assert!(third.has_received_nothing(), "{model}");
        drop(first);
        assert_eq!(third.read_response().body, b"small", "{model}");
        assert_served(&mut second);
    }
}

/// Fails if there is one worker more than `--workers`, which would serve the third client at once.
#[test]
fn two_silent_clients_hold_a_pool_of_two_until_their_timeout() {
    let root = small();
    let server = start(
        &root,
        "pool",
        "--workers 2 --idle-timeout 1 --no-defer-accept",
    );
    let mut silent = [Client::of(&server), Client::of(&server)];
    let mut third = Client::with_request(&server, get("/small"));
    assert!(third.has_received_nothing());
    silent.iter_mut().for_each(Client::expect_end);
    assert_eq!(third.read_response().body, b"small");
}

#[test]
fn two_hundred_connections_stay_open_and_send_another_request() {
    let root = small();
    for model in available(&MANY) {
        let options = if model == PREFORK {
            "--workers 200"
        } else {
            ""
        };
        let server = start(&root, model, options);
        let mut clients: Vec<_> = (0..200).map(|_| Client::of(&server)).collect();
        for _ in 0..2 {
            clients.iter_mut().for_each(assert_served);
        }
        // A client that closes in the middle of a request affects no other.
        clients[0].send("GET /small HTTP/1.1\r\n");
        drop(clients.remove(0));
        clients.iter_mut().for_each(assert_served);
    }
}

/// The threads that serve connections, or have served one.
fn connection_threads(server: &Server) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let names = tasks.flatten();
    let names = names.map(|task| std::fs::read_to_string(task.path().join("comm")));
    let names = names.filter(|name| name.as_ref().is_ok_and(|name| name == "connection\n"));
    names.count()
}

/// Fails if a thread is started for each connection, if a thread that waits does not count among
/// the connections that are allowed, and if it never ends.
#[test]
fn threads_that_are_used_again_are_as_many_as_connections_were_open_and_end_when_idle() {
    let root = small();
    let server = start(&root, "thread-reuse", "--max-connections 3");
    for _ in 0..5 {
        let mut clients = [(); 3].map(|()| Client::of(&server));
        clients.iter_mut().for_each(assert_served);
        assert_eq!(connection_threads(&server), 3);
    }
    eventually("they end", || connection_threads(&server) == 0);
    assert_served(&mut Client::of(&server));
}

/// Fails if a thread has buffers before the first byte of its connection: in a build without
/// optimization it takes 20 KiB, and took 150 in the memory of earlier connections.
#[test]
fn a_thread_whose_connection_is_silent_has_no_buffers() {
    let root = small();
    let server = start(&root, "thread", "--no-defer-accept");
    let connect = || (0..200).map(|_| Client::of(&server)).collect::<Vec<_>>();
    connect().iter_mut().for_each(assert_served);
    eventually("they end", || connection_threads(&server) == 0);
    let before = server.memory();
    let _silent = connect();
    eventually("each has a thread", || connection_threads(&server) == 200);
    let each = server.memory().saturating_sub(before) / 200;
    assert!(each < 64 * 1024, "{each} bytes for a silent connection");
}

#[test]
fn conflicting_options_are_usage_errors() {
    let root = small();
    let (status, messages) = Launch::of(&root).with("--workers 3").expect_failure();
    assert_eq!(status.code(), Some(2));
    assert!(
        messages.contains("--workers is for the models pool, prefork and reactors"),
        "{messages}"
    );
}
