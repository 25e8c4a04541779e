//! Stopping in every model: idle, sending and waiting connections.

use crate::client::Client;
use crate::process::{available, eventually};
use crate::{ALL, assert_served, small, start};
use rustix::process::Signal;

/// The grace period is longer than any wait here, so the server stops because all is done. Fails if
/// `wake_if_idle` does nothing, and if the first signal is lost and not repeated.
#[test]
fn sigterm_ends_idle_connections_and_the_server() {
    let root = small();
    for model in available(&ALL) {
        let mut server = start(&root, model, "--grace 600");
        let mut clients: Vec<_> = match model {
            "sequential" => vec![Client::of(&server)],
            _ => (0..20).map(|_| Client::of(&server)).collect(),
        };
        clients.iter_mut().for_each(assert_served);
        server.signal(Signal::TERM);
        clients.iter_mut().for_each(Client::expect_end);
        assert_eq!(server.wait().code(), Some(0), "{model}");
    }
}

/// Fails if draining closes every connection that is not sending.
#[test]
fn a_partial_request_is_answered_after_sigterm_and_then_the_connection_closes() {
    let root = small();
    for model in available(&ALL) {
        let mut server = start(&root, model, "--grace 600 --linger-timeout 0.3");
        let mut client = Client::of(&server);
        assert_served(&mut client);
        client.send("GET /small HTTP/1.1\r\nHo");
        // The server reads this before or after the signal arrives. It is answered in both cases.
        server.signal(Signal::TERM);
        std::thread::sleep(std::time::Duration::from_millis(50));
        client.send("st: test\r\n\r\n");
        let response = client.read_response();
        assert_eq!(response.body, b"small", "{model}");
        assert_eq!(response.field("Connection"), Some("close"), "{model}");
        client.expect_end();
        assert_eq!(server.wait().code(), Some(0), "{model}");
    }
}

/// Fails if a driver does not abort its connections: the grace period is ten minutes.
#[test]
fn a_second_signal_stops_the_server_at_once() {
    let root = small();
    for model in available(&ALL) {
        let mut server = start(&root, model, "--grace 600 --header-timeout 600");
        let mut client = Client::of(&server);
        assert_served(&mut client);
        client.send("GET /small HTTP/1.1\r\nHo");
        std::thread::sleep(std::time::Duration::from_millis(50));
        server.signal(Signal::TERM);
        // Two signals that arrive together count as one, so the signal is sent until it has been
        // handled.
        eventually(model, || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            server.signal(Signal::TERM);
            !server.is_alive()
        });
        assert_eq!(server.wait().code(), Some(0), "{model}");
    }
}
