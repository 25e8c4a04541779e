//! Labs about requests: where one ends and the next begins.

use super::pause;
use crate::study::lab::client::{Client, get};
use crate::study::lab::stage::Stage;
use std::io;
use std::thread;
use std::time::Duration;

/// A request that arrives in several reads.
pub fn partial_head(stage: &mut Stage<'_>) -> io::Result<()> {
    const MEANING: &str = "TCP carries bytes, not messages. A read returns what has arrived: a \
                           part of a request, or more than one.";
    let server = stage.server(&[])?;
    let request = get("/page.txt");
    let cuts = [
        ("sends `GET /page.txt HT`, and the rest a moment later", 16),
        ("sends the first line, and the rest a moment later", 24),
        (
            "sends the first line up to its CR, and the rest, LF first, a moment later",
            23,
        ),
    ];
    for (action, at) in cuts {
        let mut client = Client::connect(server.address)?;
        let (first, rest) = request.split_at(at);
        client.send(first)?;
        pause();
        // The server may have closed the connection.
        let _ = client.send(rest);
        stage.see(action, "200, 20 bytes", client.describe_response(), MEANING);
    }
    let mut client = Client::connect(server.address)?;
    for byte in request.bytes() {
        if client.send([byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    stage.see(
        "sends a byte at a time",
        "200, 20 bytes",
        client.describe_response(),
        MEANING,
    );

    let mut client = Client::connect(server.address)?;
    let (first, rest) = request.split_at(16);
    client.send(request.clone() + first)?;
    let observed = client.describe_response();
    pause();
    let _ = client.send(rest);
    let observed = format!("{observed}; {}", client.describe_response());
    stage.see(
        "sends a request and a half, and the rest after the first response",
        "200, 20 bytes; 200, 20 bytes",
        observed,
        "What is left over after a request is the beginning of the next one.",
    );
    Ok(())
}

/// A HEAD request, and another request on the same connection.
pub fn head_with_body(stage: &mut Stage<'_>) -> io::Result<()> {
    let server = stage.server(&[])?;
    for (path, size) in [("/page.txt", "20"), ("/big.bin", "3000000")] {
        let mut client = Client::connect(server.address)?;
        client.send(get(path).replace("GET", "HEAD"))?;
        let observed = match client.head() {
            Ok(head) => format!("{}, Content-Length {}", head.status, head.length),
            Err(end) => end.to_string(),
        };
        stage.see(
            format!("sends HEAD {path}"),
            format!("200, Content-Length {size}"),
            observed,
            "A response to HEAD has the header fields that GET would get (RFC 9110 9.3.2).",
        );
        stage.see(
            "then sends GET /page.txt on the same connection",
            "200, 20 bytes",
            client.asks_for("/page.txt"),
            "After the head of a response to HEAD comes the next response. A client takes \
             everything else for a part of that.",
        );
    }
    Ok(())
}

/// Requests that are sent without waiting for the responses.
pub fn pipelined_requests(stage: &mut Stage<'_>) -> io::Result<()> {
    const MEANING: &str = "The second request has been received together with the first. The \
                           socket will not announce it again.";
    let server = stage.server(&[])?;
    let mut client = Client::connect(server.address)?;
    client.send(get("/big.bin") + &get("/page.txt"))?;
    stage.see(
        "sends two requests in one write, for a large and a small file",
        "200, 3,000,000 bytes; 200, 20 bytes",
        format!(
            "{}; {}",
            client.describe_response(),
            client.describe_response()
        ),
        MEANING,
    );
    let mut client = Client::connect(server.address)?;
    client.send([get("/big.bin"), get("/page.txt").repeat(9)].concat())?;
    stage.see(
        "sends ten requests in one write",
        "10 of 10 are answered",
        client.describe_responses(10),
        MEANING,
    );
    let server = stage.server(&["--header-timeout", "1"])?;
    let mut client = Client::connect(server.address)?;
    client.time_limit = Duration::from_secs(6);
    client.send(get("/big.bin") + "GET /page.txt HT")?;
    let first = client.describe_response();
    let second = match client.head() {
        Ok(head) => head.status,
        Err(end) => end.to_string(),
    };
    stage.see(
        "sends a request and a half, and never the rest (the header timeout is 1 s)",
        "200, 3,000,000 bytes; 408",
        format!("{first}; {second}"),
        "A request that has begun must be complete within the header timeout, also if it began \
         in the same read as the one before.",
    );
    Ok(())
}
