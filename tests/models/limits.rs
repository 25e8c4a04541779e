//! Limits of the models: connections and timeouts.

use crate::client::{Client, get};
use crate::process::Launch;
use crate::{ALL, MANY, served, small, start};

/// Fails with a wait that forgets to look at the deadline.
#[test]
fn a_head_that_comes_too_slowly_is_answered_with_408() {
    let root = small();
    for model in ALL {
        let server = start(&root, model, "--header-timeout 0.2");
        let mut client = Client::with_request(&server, "GET /small HTTP/1.1\r\nHo");
        assert_eq!(client.answer().status(), 408, "{model}");
    }
}

/// Fails if `wait_for_capacity` returns at once.
#[test]
fn at_the_limit_the_next_connection_waits_until_one_ends() {
    let root = small();
    for model in ["thread", "process", "coroutine"] {
        let server = start(&root, model, "--max-connections 2");
        let mut first = Client::of(&server);
        let mut second = Client::of(&server);
        served(&mut first);
        served(&mut second);
        let mut third = Client::with_request(&server, get("/small"));
        assert!(third.has_received_nothing(), "{model}");
        drop(first);
        assert_eq!(third.answer().body, b"small", "{model}");
        served(&mut second);
    }
}

/// Fails with one more worker than said, which would serve the last client at once.
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
    assert_eq!(third.answer().body, b"small");
}

#[test]
fn two_hundred_connections_stay_open_and_send_another_request() {
    let root = small();
    for model in MANY {
        let server = start(&root, model, "");
        let mut clients: Vec<_> = (0..200).map(|_| Client::of(&server)).collect();
        for _ in 0..2 {
            clients.iter_mut().for_each(served);
        }
        // One that breaks off in the middle of a request hurts no other.
        clients[0].send("GET /small HTTP/1.1\r\n");
        drop(clients.remove(0));
        clients.iter_mut().for_each(served);
    }
}

#[test]
fn conflicting_options_are_usage_errors() {
    let root = small();
    let (status, said) = Launch::of(&root).with("--workers 3").fail();
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("add --model pool"), "{said}");
}
