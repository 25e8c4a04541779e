//! No descriptor left: no client is lost, the server goes on, and accepting continues later.

use crate::client::{Client, get};
use crate::process::{Launch, available, eventually};
use crate::{EVERY, PREFORK, REACTORS, assert_served, small};

/// There are more clients than descriptors. Each stays until it has its response, and then closes.
/// (In the models with processes, no process has many connections.) Fails if an error of accept(2) ends the server, and if accept(2) is never called again.
#[test]
fn accepting_goes_on_when_connections_end_and_free_descriptors() {
    let root = small();
    for model in available(&EVERY) {
        let launch = Launch::of(&root).run_before("ulimit -n 48");
        let launch = launch.with(&format!("--model {model} --max-connections 1000"));
        // Several loops take descriptors from each other.
        let launch = match model {
            REACTORS => launch.with("--workers 1"),
            _ => launch,
        };
        let mut server = launch.start();
        let mut clients: Vec<_> = (0..100)
            .map(|_| Client::with_request(&server, "GET /small HTTP/1.1\r\nHost: "))
            .collect();
        if !["sequential", "process", PREFORK].contains(&model) {
            eventually("descriptors are out", || server.is_out_of_descriptors(48));
            eventually("it is logged", || {
                let messages = server.diagnostics();
                messages.contains("cannot accept for now")
            });
        }
        for mut client in clients.drain(..) {
            client.send("test\r\n\r\n");
            let response = client.read_response();
            assert!(matches!(response.status(), 200 | 503), "{model}");
        }
        eventually("the other connections are closed", || {
            let response = Client::with_request(&server, get("/small")).read_response();
            response.status() == 200
        });
        assert_served(&mut Client::of(&server));
        assert!(server.is_alive(), "{model}");
        let messages = server.diagnostics();
        let warnings = messages.matches("cannot accept for now").count();
        assert!(warnings <= 1, "{model} repeats the warning: {messages}");
    }
}
