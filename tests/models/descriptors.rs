//! No descriptor left: no client is lost, the server goes on, and accepting continues later.

use crate::client::{Client, get};
use crate::process::{Launch, eventually};
use crate::{EVERY, served, small};

/// All stay until they have an answer, and there are more of them than descriptors. One that was
/// answered leaves. The model with processes has no descriptor for a client but while it forks.
/// Fails with an error of accept(2) that ends the server, and with one that is never tried again.
#[test]
fn accepting_goes_on_when_connections_end_and_free_descriptors() {
    let root = small();
    for model in EVERY {
        let launch = Launch::of(&root).run_before("ulimit -n 48");
        let launch = launch.with(&format!("--model {model} --max-connections 1000"));
        let mut server = launch.start();
        let mut clients: Vec<_> = (0..100)
            .map(|_| Client::with_request(&server, "GET /small HTTP/1.1\r\nHost: "))
            .collect();
        if !["sequential", "process"].contains(&model) {
            eventually("descriptors are out", || server.is_out_of_descriptors(48));
            eventually("it is said", || {
                let said = server.diagnostics();
                said.contains("cannot accept for now")
            });
        }
        for mut client in clients.drain(..) {
            client.send("test\r\n\r\n");
            let answer = client.answer();
            assert!(matches!(answer.status(), 200 | 503), "{model}");
        }
        eventually("the other connections are closed", || {
            let answer = Client::with_request(&server, get("/small")).answer();
            answer.status() == 200
        });
        served(&mut Client::of(&server));
        assert!(server.is_alive(), "{model}");
        let said = server.diagnostics();
        let warnings = said.matches("cannot accept for now").count();
        assert!(warnings <= 1, "{model} repeats itself: {said}");
    }
}
