//! Labs about time.

use crate::study::lab::client::{Client, get};
use crate::study::lab::server::Server;
use crate::study::lab::stage::Stage;
use std::io;
use std::thread;
use std::time::Duration;

/// A head that arrives slowly.
pub fn slow_head(stage: &mut Stage<'_>) -> io::Result<()> {
    const MEANING: &str = "A client that sends a byte from time to time keeps its connection open. \
                           A thousand of these, from one laptop, fill a server.";
    let server = stage.server(&["--header-timeout", "3"])?;
    let first = "GET /page.txt HTTP/1.1\r\nHost: lab\r\nX-Long: ";
    let bytes = trickle(&server, first, "x")?;
    stage.see(
        "sends its header fields a byte at a time (the header timeout is 3 s)",
        "408",
        bytes,
        MEANING,
    );
    let lines = trickle(&server, "GET /page.txt HTTP/1.1\r\n", "X-Field: x\r\n")?;
    stage.see(
        "sends its header fields a line at a time",
        "408",
        lines,
        MEANING,
    );
    let mut client = Client::connect(server.address)?;
    let request = get("/page.txt");
    for piece in request.as_bytes().chunks(12) {
        client.send(piece)?;
        thread::sleep(Duration::from_millis(150));
    }
    stage.see(
        "sends its request in pieces, but within 3 s",
        "200, 20 bytes",
        client.describe_response(),
        "A slow client that is in time is answered.",
    );
    Ok(())
}

/// Sends `first`, and then `piece` for up to ten seconds. Says what came.
fn trickle(server: &Server, first: &str, piece: &str) -> io::Result<String> {
    let mut client = Client::connect(server.address)?;
    client.send(first)?;
    for _ in 0..100 {
        if client.receives_within(Duration::from_millis(100)) {
            return Ok(match client.head() {
                Ok(head) => head.status,
                Err(end) => end.to_string(),
            });
        }
        if client.send(piece).is_err() {
            break;
        }
    }
    Ok("nothing for 10 s".to_owned())
}

/// A deadline that moves after its timer was set.
pub fn early_timer(stage: &mut Stage<'_>) -> io::Result<()> {
    let server = stage.server(&["--idle-timeout", "2"])?;
    let mut client = Client::connect(server.address)?;
    client.asks_for("/page.txt");
    thread::sleep(Duration::from_millis(1000));
    client.asks_for("/page.txt");
    // Its timer fires in this time, a second before the deadline.
    stage.see(
        "sends a request, another one a second later, and then nothing",
        "asleep",
        server.activity()?,
        "A timer that fires early is set anew, for the deadline. Before that there is nothing to \
         do.",
    );
    client.time_limit = Duration::from_secs(7);
    let (_, end) = client.rest();
    stage.see(
        "waits on (the idle timeout is 2 s)",
        "the connection is closed",
        end.to_string(),
        "The connection has no timer any more. Nothing ever closes it.",
    );
    let mut client = Client::connect(server.address)?;
    let mut answered = 0;
    for _ in 0..5 {
        answered += usize::from(client.asks_for("/page.txt") == "200, 20 bytes");
        thread::sleep(Duration::from_millis(800));
    }
    stage.see(
        "sends five requests, 0.8 s apart",
        "5 of 5 are answered",
        format!("{answered} of 5 are answered"),
        "A connection that is in use is not idle, whenever its timer was set.",
    );
    Ok(())
}
